//! What a weight is worth: the less, the sooner it goes.

use super::mask::Mask;
use crate::loss::Loss;
use crate::train::evaluate::gradient_softened;
use carnot_math::scalar::Scalar;
use carnot_net::activation::Activation;
use carnot_net::dataset::Dataset;
use carnot_net::layers::{Layer, Role};
use carnot_net::plan::{Plan, Site, Weights};
use carnot_net::tape::{Mode, Tape, Unwatched};

/// By what logits are divided for [`grasp`], as in its reference implementation.
pub const TEMPERATURE: f64 = 200.0;

/// A score of weights; of every one larger means: keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// |θ|.
    Magnitude,
    /// |θ ∂L/∂θ|: by how much the loss moves when the weight goes, to first order (arXiv:1810.02340).
    Snip,
    /// θ (H g): by how much the square of the gradient would fall when it goes (arXiv:2002.07376).
    Grasp,
    /// θ ∂R/∂θ of the sum R of all paths of absolute weights (arXiv:2006.05467); needs no data.
    Synflow,
}

/// Why a score does not exist.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoScore {
    /// Of paths: a layer that is not linear in what enters once weights are positive.
    #[error("paths through `{layer}` ({kind}) are no products of weights")]
    Paths {
        /// The layer.
        layer: String,
        /// Its kind.
        kind: &'static str,
    },
    /// Numbers that are too large for double precision, or no numbers.
    #[error("the scores are not finite")]
    NotFinite,
}

impl Score {
    /// The scores of all parameters, `[plan.parameters]`, of which only those of prunable weights mean anything.
    ///
    /// * `parameters`: `[plan.parameters]`
    /// * `mask`: what is gone already; its weights count as zero
    /// * `data`: about ten samples a class; not looked at by the magnitude and by paths
    ///
    /// # Errors
    /// [`NoScore`].
    pub fn of(
        self,
        plan: &Plan,
        parameters: &[f64],
        mask: &Mask,
        loss: Loss,
        data: &Dataset,
    ) -> Result<Vec<f64>, NoScore> {
        let mut own = parameters.to_vec();
        mask.put(&mut own);
        let all: Vec<f64> = match self {
            Score::Magnitude => own.iter().map(|w| w.abs()).collect(),
            Score::Snip => {
                let slope = gradient_softened(plan, &own, loss, data, 1.0);
                own.iter().zip(&slope).map(|(w, g)| (w * g).abs()).collect()
            }
            Score::Grasp => grasp(plan, &own, mask, loss, data),
            Score::Synflow => synflow(plan, &own)?.1,
        };
        if all.iter().all(|score| score.is_finite()) { Ok(all) } else { Err(NoScore::NotFinite) }
    }
}

/// θ (H g) of the softened loss, H g from central differences of gradients along g.
fn grasp(plan: &Plan, own: &[f64], mask: &Mask, loss: Loss, data: &Dataset) -> Vec<f64> {
    let slope = |at: &[f64]| {
        let mut slope = gradient_softened(plan, at, loss, data, TEMPERATURE);
        // What is gone stays where it is.
        mask.put(&mut slope);
        slope
    };
    let g = slope(own);
    let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let size = length(&g);
    if size == 0.0 {
        return vec![0.0; own.len()];
    }
    let h = 1e-5 * (1.0 + length(own)) / size;
    let moved = |side: f64| own.iter().zip(&g).map(|(w, g)| w + side * h * g).collect::<Vec<f64>>();
    let (ahead, behind) = (slope(&moved(1.0)), slope(&moved(-1.0)));
    own.iter().zip(ahead.iter().zip(&behind)).map(|(w, (a, b))| w * (a - b) / (2.0 * h)).collect()
}

/// $R = \mathbf 1^\top \prod_l |W_l|\, \mathbf 1$, and of every weight $\theta\,\partial R/\partial\theta \ge 0$, `[plan.parameters]`.
///
/// Biases are left out. The scores of each matrix in a chain sum to R, and of a hidden unit those that enter to those that leave.
///
/// # Errors
/// [`NoScore::Paths`] for norms, attention, and whatever else is no sum of products.
///
/// Source: arXiv:2006.05467, equation 1 and theorems 1 and 2.
pub fn synflow(plan: &Plan, parameters: &[f64]) -> Result<(f64, Vec<f64>), NoScore> {
    let is_linear = |layer: &Layer| {
        matches!(
            layer,
            Layer::Dense(_)
                | Layer::Conv(_)
                | Layer::Activate(_)
                | Layer::Flatten(_)
                | Layer::Pool(_)
                | Layer::Dropout(_)
                | Layer::Residual(_)
                | Layer::Repeat(_)
        )
    };
    for site in plan.all() {
        if !is_linear(&site.layer) {
            return Err(NoScore::Paths { layer: site.name.clone(), kind: site.layer.kind() });
        }
    }
    let mut straight = plan.clone();
    let identity = Activation::parse("linear").expect("the line is in the table");
    straighten(&mut straight.sites, &identity);
    let mut absolute: Vec<f64> = parameters.iter().map(|w| w.abs()).collect();
    for site in plan.all() {
        let mut start = site.offset;
        for parameter in &site.parameters {
            if parameter.role != Role::Weight {
                absolute[start..start + parameter.len()].fill(0.0);
            }
            start += parameter.len();
        }
    }
    let mut tape = Tape::new(Mode::Evaluate);
    let mut input = tape.take(1, 1, &straight.input);
    input.data.fill(1.0);
    let weights = || Weights { data: &absolute[..], stride: plan.parameters };
    let mut outputs = straight.forward(weights(), input, &mut tape, &mut Unwatched);
    let total: f64 = outputs.data.iter().sum();
    outputs.data.fill(1.0);
    let mut slope = vec![0.0; plan.parameters];
    straight.backward(weights(), outputs, &mut slope, &mut tape, &mut Unwatched);
    Ok((total, absolute.iter().zip(&slope).map(|(w, g)| w * g).collect()))
}

fn straighten(sites: &mut [Site], identity: &Activation) {
    for site in sites {
        if let Layer::Activate(layer) = &mut site.layer {
            layer.activation = identity.clone();
        }
        straighten(&mut site.inside, identity);
    }
}

/// Takes weights away before training: `rounds` times towards the share `keep` of all, $P_r = P^{r/R}$, with new scores each time.
///
/// # Errors
/// [`NoScore`].
pub fn prune_at_start<S: Scalar>(
    score: Score,
    plan: &Plan,
    parameters: &[S],
    (keep, rounds): (f64, usize),
    loss: Loss,
    data: &Dataset,
) -> Result<Mask, NoScore> {
    let parameters: Vec<f64> = parameters.iter().map(|w| w.to_f64()).collect();
    let mut mask = Mask::whole(plan);
    for round in 1..=rounds.max(1) {
        let scores = score.of(plan, &parameters, &mask, loss, data)?;
        mask.take_together(&scores, keep.powf(round as f64 / rounds.max(1) as f64), |_| true);
    }
    Ok(mask)
}
