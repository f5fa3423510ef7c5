//! Gram matrices of the features of a layer.

use super::{Matrix, Network};
use crate::error::SimError;
use carnot_math::device::{View, product_into};
use carnot_math::scalar::Scalar;
use carnot_net::batch::Batch;
use carnot_net::plan::{Plan, Site, Weights};
use carnot_net::tape::{Mode, Tape, Watch};
use rayon::prelude::*;

/// Samples that pass together.
const TOGETHER: usize = 64;

/// Gram matrix of what leaves one site of the network, divided by the number of features and positions:
///
/// $$ \hat K_{ab} = \frac{1}{nP} \sum_{ip} x_{ipa}\, x_{ipb} $$
///
/// At the last site this is the mean of products of outputs; after the last activation it is the kernel $\hat G$ of the
/// output before $C_W$ and $C_b$.
///
/// * `site`: index in the plan's preorder ([`carnot_net::plan::Site::index`])
/// * `first`, `second`: `[samples, shape]`; without a second set the matrix is symmetric
///
/// # Errors
/// [`SimError`] when sizes do not fit or the plan has no such site.
pub fn features<S: Scalar>(
    network: Network<S>,
    site: usize,
    first: &[f64],
    second: Option<&[f64]>,
) -> Result<Matrix, SimError> {
    if site >= network.plan.all().len() {
        return Err(SimError::Range { name: "site", value: site as f64, range: "an index of the plan" });
    }
    let samples = network.samples(first)?;
    let rows = values(network, site, first);
    let size = rows.len() / samples;
    let others = match second {
        None => None,
        Some(second) => Some((network.samples(second)?, values(network, site, second))),
    };
    let (columns, theirs) = others.as_ref().map_or((samples, &rows), |(n, values)| (*n, values));
    let mut out = vec![S::default(); samples * columns];
    let share = S::from_f64(1.0 / size as f64);
    out.par_chunks_mut(64 * columns).zip(rows.par_chunks(64 * size)).for_each(|(out, mine)| {
        let left = View::new(mine, mine.len() / size, size);
        product_into(out, left, View::new(theirs, columns, size).transposed(), share, false);
    });
    let mut matrix = Matrix::zeros(samples, columns, 1);
    matrix.values.iter_mut().zip(&out).for_each(|(to, from)| *to = from.to_f64());
    if second.is_none() {
        matrix.mirror();
    }
    Ok(matrix)
}

/// The site whose features the last layer with weights reads: what a network has learned to see.
///
/// * returns: index in the plan's preorder; none when nothing stands between the input and that layer
#[must_use]
pub fn last_hidden(plan: &Plan) -> Option<usize> {
    fn has_weights(site: &Site) -> bool {
        site.weighted.is_some() || site.inside.iter().any(has_weights)
    }
    let last = plan.sites.iter().rposition(has_weights)?;
    Some(plan.sites[last.checked_sub(1)?].index)
}

/// What leaves a site, `[samples, numbers of the site's output]`.
fn values<S: Scalar>(network: Network<S>, site: usize, inputs: &[f64]) -> Vec<S> {
    let plan = network.plan;
    let weights = Weights { data: network.parameters, stride: plan.parameters };
    let pass = |tape: &mut Tape<S>, chunk: &[f64]| {
        tape.record = false;
        let mut input = tape.take(1, chunk.len() / plan.input.len(), &plan.input);
        input.data.iter_mut().zip(chunk).for_each(|(to, from)| *to = S::from_f64(*from));
        let mut ear = Ear { site, values: Vec::new() };
        let end = plan.forward(weights, input, tape, &mut ear);
        tape.give(end);
        ear.values
    };
    let chunks = inputs.par_chunks(TOGETHER * plan.input.len());
    let parts: Vec<Vec<S>> = chunks.map_init(|| Tape::new(Mode::Evaluate), pass).collect();
    parts.concat()
}

struct Ear<S> {
    site: usize,
    values: Vec<S>,
}

impl<S: Scalar> Watch<S> for Ear<S> {
    fn forward(&mut self, index: usize, output: &Batch<S>) {
        if index == self.site {
            self.values = output.data.clone();
        }
    }

    fn backward(&mut self, _: usize, _: &Batch<S>) {}
}
