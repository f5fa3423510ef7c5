//! Branches: one input through several chains of layers, joined by sum, concatenation or product.

use super::dense::check_width;
use super::{Arm, LayerRule};
use crate::batch::Batch;
use crate::error::{NetworkError, ShapeFault, Unknown};
use crate::kernel::{Gram, Kernel, Positions};
use crate::network::Named;
use crate::plan::{Site, Theory, Weights};
use crate::plan::{backward_gains, forward_all, positions_through, propagate_site, renewed};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// How branches become one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// Feature by feature: $\sum_i f_i$.
    Sum,
    /// Features side by side.
    Concat,
    /// Feature by feature: $\prod_i f_i$.
    Product,
}

/// Several chains of layers with the same input; an empty chain passes it on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branches {
    /// `"sum"`, `"concat"` or `"product"`.
    #[serde(rename = "branches")]
    pub join: Join,
    /// The chains.
    pub of: Vec<Vec<Named>>,
}

/// A kernel and the factor of its features in a sum.
pub(super) struct Term<'a> {
    pub(super) factor: f64,
    pub(super) kernel: &'a Kernel,
}

/// Kernel of $\sum_i \beta_i f_i$, whose features are independent of each other except for their means:
///
/// $$ K = \sum_i \beta_i^2 K_i + m_a m_b - \sum_i \beta_i^2 m_{ia} m_{ib},\qquad m = \sum_i \beta_i m_i,\qquad
///    \Theta = \sum_i \beta_i^2 \Theta_i $$
pub(super) fn sum(terms: &[Term]) -> Kernel {
    let first = &terms[0].kernel.forward;
    let sites = 0..first.sites();
    let means = |a: usize| terms.iter().map(move |term| term.factor * term.kernel.mean[a]);
    let mean: Vec<f64> = sites.map(|a| means(a).sum()).collect();
    let squared = |of: &dyn Fn(&Kernel) -> f64| {
        terms.iter().map(|term| term.factor * term.factor * of(term.kernel)).sum::<f64>()
    };
    let forward = first.map(
        |a, _| {
            let own: f64 = means(a).map(|m| m * m).sum();
            squared(&|k| k.forward.variance[a]) + (mean[a] * mean[a] - own)
        },
        |a, b, _| {
            let own: f64 = means(a).zip(means(b)).map(|(x, y)| (x - y) * (x - y)).sum();
            squared(&|k| k.forward.distance_of(a, b).expect(SAME)) + ((mean[a] - mean[b]).powi(2) - own)
        },
    );
    let tangents: Option<Vec<&Gram>> = terms.iter().map(|term| term.kernel.tangent.as_ref()).collect();
    let weights: Vec<f64> = terms.iter().map(|term| term.factor * term.factor).collect();
    let tangent = tangents.map(|all| mixed(&all, &weights));
    let gaussian = terms.iter().all(|term| term.kernel.gaussian);
    Kernel { forward, mean, gaussian, tangent }
}

const SAME: &str = "branches keep the same pairs";

/// Σ w_i G_i.
fn mixed(grams: &[&Gram], weights: &[f64]) -> Gram {
    let total = |of: &dyn Fn(&Gram) -> f64| grams.iter().zip(weights).map(|(g, w)| w * of(g)).sum::<f64>();
    grams[0].map(|a, _| total(&|g| g.variance[a]), |a, b, _| total(&|g| g.distance_of(a, b).expect(SAME)))
}

/// Kernel of features side by side: the mean weighted by widths.
fn concat(kernels: &[Kernel], widths: &[usize]) -> Kernel {
    let all: usize = widths.iter().sum();
    let weights: Vec<f64> = widths.iter().map(|&width| width as f64 / all as f64).collect();
    let forward: Vec<&Gram> = kernels.iter().map(|kernel| &kernel.forward).collect();
    let tangents: Option<Vec<&Gram>> = kernels.iter().map(|kernel| kernel.tangent.as_ref()).collect();
    let mean_of = |a: usize| kernels.iter().zip(&weights).map(|(k, w)| w * k.mean[a]).sum();
    Kernel {
        forward: mixed(&forward, &weights),
        mean: (0..kernels[0].mean.len()).map(mean_of).collect(),
        // Features of several variances are not one Gaussian.
        gaussian: kernels.len() == 1 && kernels[0].gaussian,
        tangent: tangents.map(|all| mixed(&all, &weights)),
    }
}

/// Entrywise product of covariances, in distances:
/// $2 d = (v^1_a - v^1_b)(v^2_a - v^2_b) + d^1(v^2_a + v^2_b) + d^2(v^1_a + v^1_b) - d^1 d^2$.
fn multiplied(one: &Gram, two: &Gram) -> Gram {
    one.map(
        |a, v| v * two.variance[a],
        |a, b, d| {
            let (va, vb) = (one.variance[a], one.variance[b]);
            let (wa, wb) = (two.variance[a], two.variance[b]);
            let e = two.distance_of(a, b).expect(SAME);
            ((va - vb) * (wa - wb) + d * (wa + wb) + e * (va + vb) - d * e) / 2.0
        },
    )
}

/// Kernel of the product of independent features: $K_1 K_2$ and $\Theta_1 K_2 + K_1 \Theta_2$.
fn product(one: &Kernel, two: &Kernel) -> Kernel {
    let tangent = match (&one.tangent, &two.tangent) {
        (Some(s), Some(t)) => {
            let (left, right) = (multiplied(s, &two.forward), multiplied(&one.forward, t));
            Some(mixed(&[&left, &right], &[1.0, 1.0]))
        }
        _ => None,
    };
    let means = one.mean.iter().zip(&two.mean).map(|(a, b)| a * b);
    Kernel {
        forward: multiplied(&one.forward, &two.forward),
        mean: means.collect(),
        gaussian: false,
        tangent,
    }
}

impl LayerRule for Branches {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        if self.of.is_empty() {
            let layer = name.to_string();
            return Err(NetworkError::Range { layer, key: "of", value: 0.0, range: "at least one branch" });
        }
        Ok(input.clone())
    }

    fn is_read(&self) -> bool {
        true
    }

    fn renews(&self, site: &Site) -> bool {
        site.arm_sites().into_iter().all(renewed)
    }

    fn arms(&self, _: &str, input: &Shape) -> Vec<Arm> {
        self.of.iter().map(|layers| Arm { layers: layers.clone(), input: input.clone() }).collect()
    }

    fn joined(&self, name: &str, input: &Shape, after: &[Shape]) -> Result<Shape, NetworkError> {
        let alike = |a: &Shape, b: &Shape| match self.join {
            Join::Concat => a.axes() == b.axes(),
            Join::Sum | Join::Product => a == b,
        };
        if let Some(other) = after.iter().find(|shape| !alike(shape, &after[0])) {
            let why = ShapeFault::Branches { first: after[0].clone(), other: other.clone() };
            return Err(NetworkError::Shape { layer: name.to_string(), input: input.clone(), why });
        }
        if self.join != Join::Concat {
            return Ok(after[0].clone());
        }
        let width = after.iter().map(Shape::width).sum();
        check_width(name, "branches", width)?;
        Ok(after[0].with_width(width))
    }

    fn positions(&self, site: &Site, wanted: Positions) -> Positions {
        let each = site.arm_sites().into_iter().map(|arm| positions_through(arm, wanted));
        each.max().unwrap_or(wanted)
    }

    /// Sum: [`sum`]. Concatenation: $\sum_i n_i K_i / \sum_i n_i$. Product: $\prod_i K_i$ and
    /// $\sum_i \Theta_i \prod_{j\ne i} K_j$. Sum and product need features that are independent of each other: at most
    /// one branch may pass on features of the input without weights in between.
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        theory: &Theory,
        inside: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        let arms = site.arm_sites();
        let passed_on = arms.iter().filter(|arm| !renewed(arm)).count();
        if self.join != Join::Concat && passed_on > 1 {
            return Err(Unknown::CorrelatedBranches(site.name.clone()));
        }
        let mut kernels = Vec::new();
        for arm in arms {
            let mut branch = kernel.clone();
            for inner in arm {
                branch = propagate_site(inner, branch, theory, inside)?;
            }
            kernels.push(branch);
        }
        Ok(match self.join {
            Join::Sum => {
                let terms: Vec<Term> = kernels.iter().map(|kernel| Term { factor: 1.0, kernel }).collect();
                sum(&terms)
            }
            Join::Concat => concat(&kernels, &self.widths(site)),
            Join::Product => {
                let (first, rest) = kernels.split_first().expect("at least one branch");
                rest.iter().fold(first.clone(), |all, next| product(&all, next))
            }
        })
    }

    /// Sum over branches of their gain, times the share of the gradient that reaches them: 1 for a sum, the share of
    /// the width for a concatenation, the signal of the other branches for a product.
    fn backward_gain(
        &self,
        site: &Site,
        kernel: &Kernel,
        inside: &[Result<Kernel, Unknown>],
        theory: &Theory,
    ) -> Result<f64, Unknown> {
        let (widths, arms) = (self.widths(site), site.arm_sites());
        let (mut gains, mut signals, mut place) = (Vec::new(), Vec::new(), 0);
        for arm in arms {
            let len = crate::plan::count(arm);
            let kernels = &inside[place..place + len];
            let each = backward_gains(arm, kernel, kernels, theory);
            gains.push(each.into_iter().try_fold(1.0, |product, gain| Ok(product * gain?))?);
            let after = arm.last().map_or(Ok(kernel), |last| {
                kernels[last.index - arm[0].index].as_ref().map_err(Clone::clone)
            })?;
            signals.push(after.forward.mean_variance());
            place += len;
        }
        let all: usize = widths.iter().sum();
        let share = |i: usize| match self.join {
            Join::Sum => 1.0,
            Join::Concat => widths[i] as f64 / all as f64,
            Join::Product => (0..signals.len()).filter(|&j| j != i).map(|j| signals[j]).product(),
        };
        Ok(gains.iter().enumerate().map(|(i, gain)| gain * share(i)).sum())
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let mut outputs = Vec::new();
        for arm in site.arm_sites() {
            let mut copy = tape.take(input.members, input.samples, &input.shape);
            copy.data.copy_from_slice(&input.data);
            outputs.push(forward_all(arm, weights, copy, tape, watch));
        }
        let mut joined = tape.take(input.members, input.samples, &site.output);
        tape.give(input);
        match self.join {
            Join::Sum => {
                joined.data.copy_from_slice(&outputs[0].data);
                outputs[1..].iter().for_each(|part| device::cpu::add_assign(&mut joined.data, &part.data));
            }
            Join::Product => {
                joined.data.copy_from_slice(&outputs[0].data);
                let rest = outputs[1..].iter();
                rest.for_each(|part| device::cpu::multiply_assign(&mut joined.data, &part.data));
            }
            Join::Concat => {
                let mut from = 0;
                for part in &outputs {
                    into_columns(part, &mut joined, from);
                    from += part.shape.width();
                }
            }
        }
        for part in outputs {
            if self.join == Join::Product { tape.save(part) } else { tape.give(part) }
        }
        joined
    }

    fn backward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
        need_input: bool,
    ) -> Batch<S> {
        let arms = site.arm_sites();
        let saved = if self.join == Join::Product { arms.len() } else { 0 };
        let mut outputs: Vec<Batch<S>> = (0..saved).map(|_| tape.recall()).collect();
        outputs.reverse();
        let mut total = tape.take(gradient.members, gradient.samples, &site.input);
        total.data.fill(S::default());
        let mut from: usize = self.widths(site).iter().sum();
        for (i, arm) in arms.into_iter().enumerate().rev() {
            let shape = arm.last().map_or(&site.input, |last| &last.output);
            let mut part = tape.take(gradient.members, gradient.samples, shape);
            if self.join == Join::Concat {
                from -= shape.width();
                columns_of(&gradient, &mut part, from);
            } else {
                part.data.copy_from_slice(&gradient.data);
            }
            for (_, other) in outputs.iter().enumerate().filter(|(j, _)| *j != i) {
                device::cpu::multiply_assign(&mut part.data, &other.data);
            }
            for (at, inner) in arm.iter().enumerate().rev() {
                watch.backward(inner.index, &part);
                let needed = need_input || at > 0;
                part = inner.layer.backward(inner, weights, part, gradients, tape, watch, needed);
            }
            device::cpu::add_assign(&mut total.data, &part.data);
            tape.give(part);
        }
        outputs.into_iter().for_each(|part| tape.give(part));
        tape.give(gradient);
        total
    }
}

impl Branches {
    /// Features that leave each branch.
    fn widths(&self, site: &Site) -> Vec<usize> {
        let width = |arm: &[Site]| arm.last().map_or(site.input.width(), |last| last.output.width());
        site.arm_sites().into_iter().map(width).collect()
    }
}

/// Writes every row of `part` into the row of `whole`, from column `from` on.
fn into_columns<S: Scalar>(part: &Batch<S>, whole: &mut Batch<S>, from: usize) {
    let (narrow, wide) = (part.shape.width(), whole.shape.width());
    for (row, to) in part.data.chunks_exact(narrow).zip(whole.data.chunks_exact_mut(wide)) {
        to[from..from + narrow].copy_from_slice(row);
    }
}

/// The transpose of [`into_columns`].
fn columns_of<S: Scalar>(whole: &Batch<S>, part: &mut Batch<S>, from: usize) {
    let (narrow, wide) = (part.shape.width(), whole.shape.width());
    for (row, source) in part.data.chunks_exact_mut(narrow).zip(whole.data.chunks_exact(wide)) {
        row.copy_from_slice(&source[from..from + narrow]);
    }
}
