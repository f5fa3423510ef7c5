//! Mean kernels of many random networks: for layers without theory, and to test the theory of the others.

use super::feature::features;
use super::tangent::{Blocks, tangent};
use super::{Matrix, Network};
use crate::error::SimError;
use crate::initialise::{self, initialise};
use carnot_math::scalar::Scalar;
use carnot_math::stats::{Estimate, Moments};
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::plan::Plan;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Which kernels of which random networks.
#[derive(Clone, Copy, Debug)]
pub struct Average<'a> {
    /// The network.
    pub plan: &'a Plan,
    /// How members start: one per layer with weights.
    pub init: &'a [LayerInit],
    /// Relative rates, one per layer with weights; none for no tangent kernel.
    pub rates: Option<&'a [LayerRate]>,
    /// The site whose features are averaged; none for no feature kernel.
    pub site: Option<usize>,
    /// Seed of all members.
    pub seed: u64,
    /// `[samples, shape]`
    pub first: &'a [f64],
    /// `[samples, shape]`; none for the first set with itself.
    pub second: Option<&'a [f64]>,
}

/// Moments over members of every entry of their kernels. Plain data: a job's part, to be merged in the order of members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelPart {
    /// Samples of the first set.
    pub rows: usize,
    /// Samples of the second set.
    pub columns: usize,
    /// `[rows, columns]`: kernel of features; empty where not asked.
    pub features: Vec<Moments>,
    /// `[rows, columns]`: tangent kernel, mean over outputs; empty where not asked.
    pub tangent: Vec<Moments>,
}

/// When enough members have been seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// Largest [`KernelPart::relative_error`] wanted, > 0.
    pub relative_error: f64,
    /// Most members, whatever the error.
    pub most: u64,
}

impl KernelPart {
    /// Adds the members of another part.
    ///
    /// # Errors
    /// [`SimError::Parts`] when it is of other samples or other kernels.
    pub fn merge(&mut self, other: &KernelPart) -> Result<(), SimError> {
        let shape = |part: &KernelPart| (part.rows, part.columns, part.features.len(), part.tangent.len());
        if shape(self) != shape(other) {
            return Err(SimError::Parts);
        }
        self.features.iter_mut().zip(&other.features).for_each(|(a, b)| a.merge(b));
        self.tangent.iter_mut().zip(&other.tangent).for_each(|(a, b)| a.merge(b));
        Ok(())
    }

    /// Number of members.
    #[must_use]
    pub fn members(&self) -> u64 {
        self.features.first().or(self.tangent.first()).map_or(0, Moments::count)
    }

    /// Root of summed squared standard errors over the Frobenius norm, of the worse of the two kernels.
    #[must_use]
    pub fn relative_error(&self) -> f64 {
        let of = |all: &[Moments]| {
            let errors: f64 = all.iter().map(|m| m.error().powi(2)).sum();
            let size: f64 = all.iter().map(|m| m.mean().powi(2)).sum();
            if all.is_empty() { 0.0 } else { (errors / size).sqrt() }
        };
        of(&self.features).max(of(&self.tangent))
    }
}

/// Numbers of matrices that wait to be added: 256 MiB. Half of it only matters with many threads.
const WAITING: usize = 1 << 25;

/// Kernels of the members of one job, in parallel on the current rayon pool; same bits for any number of threads.
///
/// # Errors
/// [`SimError`] when sizes do not fit.
pub fn run_job<S: Scalar>(average: &Average, members: Range<u64>) -> Result<KernelPart, SimError> {
    extend::<S>(average, members, None)
}

/// [`run_job`], with the members added to a part that is there: no second set of moments is held.
///
/// # Errors
/// [`SimError`] when sizes do not fit, or the part is of other samples.
pub fn extend<S: Scalar>(
    average: &Average,
    members: Range<u64>,
    part: Option<KernelPart>,
) -> Result<KernelPart, SimError> {
    initialise::check(average.plan, average.init)?;
    let mut all = part;
    let mut start = members.start;
    let numbers = |values: &[f64]| values.len() / average.plan.input.len();
    let entries = numbers(average.first) * numbers(average.second.unwrap_or(average.first));
    // So many members are in memory at once.
    let threads = rayon::current_num_threads();
    let wave = (WAITING / (2 * entries).max(1)).clamp(threads, 16 * threads) as u64;
    while start < members.end {
        let end = (start + wave).min(members.end);
        let kernels: Result<Vec<_>, SimError> =
            (start..end).into_par_iter().map(|member| of_member::<S>(average, member)).collect();
        for (features, tangent) in kernels? {
            let shape = features.as_ref().or(tangent.as_ref()).map_or((0, 0), |m| (m.rows, m.columns));
            let empty = |matrix: &Option<Matrix>| {
                vec![Moments::default(); matrix.as_ref().map_or(0, |m| m.values.len())]
            };
            let part = all.get_or_insert_with(|| KernelPart {
                rows: shape.0,
                columns: shape.1,
                features: empty(&features),
                tangent: empty(&tangent),
            });
            for (moments, matrix) in [(&mut part.features, features), (&mut part.tangent, tangent)] {
                let values = matrix.map_or(Vec::new(), |matrix| matrix.values);
                if values.len() != moments.len() {
                    return Err(SimError::Parts);
                }
                moments.iter_mut().zip(values).for_each(|(m, x)| m.push(x));
            }
        }
        start = end;
    }
    all.ok_or(SimError::NoSamples)
}

fn of_member<S: Scalar>(
    average: &Average,
    member: u64,
) -> Result<(Option<Matrix>, Option<Matrix>), SimError> {
    let Average { plan, init, rates, site, seed, first, second } = *average;
    let mut parameters = vec![S::default(); plan.parameters];
    initialise(plan, init, seed, member, &mut parameters);
    let network = Network { plan, parameters: &parameters };
    let features = site.map(|site| features(network, site, first, second)).transpose()?;
    let tangent = rates.map(|rates| tangent(network, rates, first, second, Blocks::TraceMean)).transpose()?;
    Ok((features, tangent))
}

/// Adds members, 64 at first and then as many as there are, until the mean kernels are known well enough.
///
/// # Errors
/// As [`run_job`]; [`SimError::Range`] for a precision that is not positive.
pub fn until<S: Scalar>(average: &Average, stop: Stop) -> Result<KernelPart, SimError> {
    if stop.relative_error.is_nan() || stop.relative_error <= 0.0 {
        return Err(SimError::Range { name: "relative error", value: stop.relative_error, range: "> 0" });
    }
    let mut part = run_job::<S>(average, 0..stop.most.min(64))?;
    while part.relative_error() > stop.relative_error && part.members() < stop.most {
        let members = part.members();
        part.merge(&run_job::<S>(average, members..(2 * members).min(stop.most))?)?;
    }
    Ok(part)
}

/// Means at infinite width up to 1/n², from the means at widths n and 2n: $2\bar K_{2n} - \bar K_n$.
///
/// * `narrow`, `wide`: of independent members (another seed) at widths n and 2n in every hidden layer
///
/// # Panics
/// When there are not as many of one as of the other.
#[must_use]
pub fn without_first_order(narrow: &[Moments], wide: &[Moments]) -> Vec<Estimate> {
    assert_eq!(narrow.len(), wide.len(), "the same entries at both widths");
    let entry = |(narrow, wide): (&Moments, &Moments)| Estimate {
        value: 2.0 * wide.mean() - narrow.mean(),
        error: (4.0 * wide.error().powi(2) + narrow.error().powi(2)).sqrt(),
        spread: (4.0 * wide.variance() + narrow.variance()).sqrt(),
        n: narrow.count().min(wide.count()),
    };
    narrow.iter().zip(wide).map(entry).collect()
}
