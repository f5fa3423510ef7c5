//! What theory expects of a whole network, layer by layer, before a single number is drawn.
//!
//! The kernel, distances and gradients come from the layer rules and hold for every network of the layer set.
//! Susceptibilities are the growth of a small distance and of a small change of norm from one read layer to the
//! next. Fluctuations (1/n) are known for dense stacks and for residual stacks of dense layers with one
//! activation; elsewhere the cell says so.

use crate::error::Unknown as Open;
use crate::finite_width;
use crate::layer::{Scales, Stack};
use crate::residual::{ResidualScales, residual_table};
use crate::shape_of::{Step, Steps, steps};
use carnot_net::error::Unknown as Lost;
use carnot_net::kernel::{Gram, Kernel};
use carnot_net::layers::LayerRule;
use carnot_net::observables;
use carnot_net::plan::{Plan, Site, Theory, backward_gains, propagate_site};
use carnot_net::reading::{Labels, Reading, merge_positions};

/// Why a cell of a forecast is empty.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Because {
    /// A layer rule has no answer.
    #[error(transparent)]
    Layer(#[from] Lost),
    /// The quantity is not known, or infinite.
    #[error(transparent)]
    Open(#[from] Open),
    /// Fluctuations are known for other structures only.
    #[error("1/n theory covers stacks of dense layers with one activation, and {0} is not part of one")]
    Structure(
        /// The first layer that does not fit.
        String,
    ),
    /// The recursion left the range of floating-point numbers.
    #[error("the 1/n recursion ended at an earlier layer: {0}")]
    Ended(
        /// Why.
        String,
    ),
    /// There is no layer after this one.
    #[error("no layer follows")]
    Last,
    /// An observable without a value.
    #[error(transparent)]
    Missing(#[from] observables::Missing),
}

/// A number or the reason why there is none.
pub type Answer = Result<f64, Because>;

/// What is expected of one read layer.
#[derive(Clone, Debug)]
pub struct LayerForecast {
    /// Index of the site in the plan.
    pub index: usize,
    /// Name.
    pub name: String,
    /// Width n of this layer.
    pub width: usize,
    /// Kernel, distances and gradient at infinite width: every observable is a function of it.
    pub reading: Result<Reading, Because>,
    /// χ∥ from this layer to the next.
    pub chi_parallel: Answer,
    /// χ⊥ from this layer to the next.
    pub chi_perpendicular: Answer,
    /// Four-point vertex V; the variance of the metric is V/n of the layer before.
    pub vertex: Answer,
    /// G₁: the mean kernel is K + G₁/n of the layer before.
    pub kernel_shift: Answer,
    /// Θ at infinite width.
    pub tangent: Answer,
    /// Relative variance of a diagonal entry of the tangent kernel, times n: (A + 2B)/Θ².
    pub tangent_variance: Answer,
}

impl LayerForecast {
    /// Standard deviation of the measured K of one network over seeds, relative to K:
    /// $\sqrt{2/n_\ell + V/(K^2 n_{\ell-1})}$ to leading order.
    ///
    /// # Errors
    /// The reason why the vertex or the kernel is not known.
    pub fn spread(&self, width_before: usize) -> Answer {
        let kernel = self.reading.as_ref().map_err(Clone::clone)?.forward.mean_variance();
        let vertex = self.vertex.clone()? / (kernel * kernel);
        Ok((2.0 / self.width as f64 + vertex / width_before as f64).sqrt())
    }
}

/// The forecast of every read layer, in order.
///
/// * `inputs`: kernel of the probe; its tangent is ignored
/// * `theory`: initialisation, and rates for the tangent kernel (all read layers lack Θ when `rate` is empty)
#[must_use]
pub fn forecast(plan: &Plan, theory: &Theory, inputs: &Kernel) -> Vec<LayerForecast> {
    let without_tangent = Kernel { tangent: None, ..inputs.clone() };
    let kernels = plan.propagate(without_tangent.clone(), theory);
    let gradients = gradients(plan, theory, &without_tangent, &kernels);
    let tangents = tangents(plan, theory, inputs);
    let fluctuations = fluctuations(plan, theory, inputs);
    let is_known = |row: &Fluctuation| row.chi_parallel.is_some() && row.chi_perpendicular.is_some();
    let all_known = !fluctuations.is_empty() && fluctuations.iter().all(is_known);
    let chis = (!all_known).then(|| Susceptibilities::of(plan, theory, inputs));
    let mut layers = Vec::new();
    for (at, site) in plan.read_sites().iter().enumerate() {
        let reading =
            kernels[site.index].as_ref().map_err(|lost| Because::from(lost.clone())).map(|kernel| {
                let gradient =
                    gradients.get(at).and_then(|g| g.as_ref().ok()).map(|g| vec![*g; inputs.forward.samples]);
                Reading {
                    index: site.index,
                    layer: site.name.clone(),
                    width: site.output.width(),
                    forward: merge_positions(&kernel.forward),
                    tangent: None,
                    gradient: gradient.unwrap_or_default(),
                }
            });
        let row = fluctuations.get(at);
        layers.push(LayerForecast {
            index: site.index,
            name: site.name.clone(),
            width: site.output.width(),
            reading,
            chi_parallel: row.and_then(|row| row.chi_parallel).map_or_else(
                || chis.as_ref().map_or(Err(Because::Last), |chis| chis.parallel[at].clone()),
                Ok,
            ),
            chi_perpendicular: row.and_then(|row| row.chi_perpendicular.clone()).unwrap_or_else(|| {
                chis.as_ref().map_or(Err(Because::Last), |chis| chis.perpendicular[at].clone())
            }),
            vertex: row.map_or_else(|| structure(plan), |row| row.vertex.clone()),
            kernel_shift: row.map_or_else(|| structure(plan), |row| row.kernel_shift.clone()),
            tangent: tangents.get(at).cloned().unwrap_or(Err(observables::Missing::NotMeasured.into())),
            tangent_variance: row.map_or_else(|| structure(plan), |row| row.tangent_variance.clone()),
        });
    }
    layers
}

/// Value of an observable of a forecast layer.
///
/// # Errors
/// The reason why it has none.
pub fn observe(layer: &LayerForecast, name: &str, labels: Labels) -> Answer {
    if name == "tangent" {
        return layer.tangent.clone();
    }
    let observable = observables::named(name).expect("observables are named from their table");
    let reading = layer.reading.as_ref().map_err(Clone::clone)?;
    (observable.of)(reading, labels).map_err(Because::from)
}

/// Squared norm of the gradient at each read layer over that at the last read layer.
fn gradients(plan: &Plan, theory: &Theory, inputs: &Kernel, kernels: &[Result<Kernel, Lost>]) -> Vec<Answer> {
    let gains = backward_gains(&plan.sites, inputs, kernels, theory);
    let read: Vec<bool> = plan.sites.iter().map(|site| site.layer.is_read()).collect();
    let last = read.iter().rposition(|&r| r).unwrap_or(0);
    let mut product: Answer = Ok(1.0);
    let mut out = Vec::new();
    for at in (0..=last).rev() {
        if read[at] {
            out.push(product.clone());
        }
        product = product.and_then(|p| gains[at].clone().map(|g| p * g).map_err(Because::from));
    }
    out.reverse();
    out
}

/// Θ at each read layer, for one sample of the mean variance.
fn tangents(plan: &Plan, theory: &Theory, inputs: &Kernel) -> Vec<Answer> {
    if theory.rate.is_empty() {
        return Vec::new();
    }
    let mut single = one_sample(inputs, 1.0);
    single.tangent = Some(Gram::zeros(1, single.forward.positions, single.forward.keep));
    let kernels = plan.propagate(single, theory);
    let tangent = |kernel: &Kernel| kernel.tangent.as_ref().map(Gram::mean_variance).unwrap_or(f64::NAN);
    let of = |site: &&Site| kernels[site.index].as_ref().map(tangent).map_err(|lost| lost.clone().into());
    plan.read_sites().iter().map(of).collect()
}

/// The first sample alone, its norm set to the mean over samples times `factor`.
fn one_sample(inputs: &Kernel, factor: f64) -> Kernel {
    let gram = &inputs.forward;
    let p = gram.positions;
    let own = gram.variance[..p].iter().sum::<f64>() / p as f64;
    let ratio = if own > 0.0 { factor * gram.mean_variance() / own } else { 0.0 };
    let mut forward = Gram::zeros(1, p, gram.keep);
    forward.variance = gram.variance[..p].iter().map(|v| v * ratio).collect();
    forward.fill_pairs(|a, b| ratio * gram.distance_of(a, b).expect("the same layout"));
    let mean = inputs.mean[..p].iter().map(|m| m * ratio.sqrt()).collect();
    Kernel { forward, mean, gaussian: inputs.gaussian, tangent: None }
}

/// Two copies of one sample a little apart, everything else alike.
fn twins(single: &Kernel) -> Kernel {
    let gram = &single.forward;
    let p = gram.positions;
    let apart = 1e-10 * gram.mean_variance();
    let mut forward = Gram::zeros(2, p, gram.keep);
    forward.variance = [gram.variance.clone(), gram.variance.clone()].concat();
    forward.fill_pairs(|a, b| {
        let across = if (a < p) == (b < p) { 0.0 } else { apart };
        across + gram.distance_of(a % p, b % p).expect("the same layout")
    });
    let mean = [single.mean.clone(), single.mean.clone()].concat();
    Kernel { forward, mean, gaussian: single.gaussian, tangent: None }
}

fn scaled(kernel: &Kernel, factor: f64) -> Kernel {
    let forward = kernel.forward.map(|_, v| factor * v, |_, _, d| factor * d);
    let mean = kernel.mean.iter().map(|m| m * factor.sqrt()).collect();
    Kernel { forward, mean, gaussian: kernel.gaussian, tangent: None }
}

struct Susceptibilities {
    parallel: Vec<Answer>,
    perpendicular: Vec<Answer>,
}

impl Susceptibilities {
    /// χ∥ = d ln K′/d ln K × K′/K and χ⊥ = d′/d between consecutive read layers.
    fn of(plan: &Plan, theory: &Theory, inputs: &Kernel) -> Susceptibilities {
        let single = one_sample(inputs, 1.0);
        let kernels = plan.propagate(single.clone(), theory);
        let pairs = plan.propagate(twins(&single), theory);
        let read = plan.read_sites();
        let place = |site: &Site| plan.sites.iter().position(|s| s.index == site.index).expect("top level");
        let mut parallel = Vec::new();
        let mut perpendicular = Vec::new();
        for (at, site) in read.iter().enumerate() {
            let Some(next) = read.get(at + 1) else {
                parallel.push(Err(Because::Last));
                perpendicular.push(Err(Because::Last));
                continue;
            };
            let between = &plan.sites[place(site) + 1..=place(next)];
            parallel.push(Self::parallel(between, &kernels[site.index], theory));
            perpendicular.push(match (&pairs[site.index], &pairs[next.index]) {
                (Ok(before), Ok(after)) => Ok(merge_positions(&after.forward).mean_distance()
                    / merge_positions(&before.forward).mean_distance()),
                (_, Err(lost)) | (Err(lost), _) => Err(lost.clone().into()),
            });
        }
        Susceptibilities { parallel, perpendicular }
    }

    fn parallel(between: &[Site], kernel: &Result<Kernel, Lost>, theory: &Theory) -> Answer {
        let kernel = kernel.as_ref().map_err(|lost| Because::from(lost.clone()))?;
        let step = 1e-4;
        let through = |factor: f64| -> Result<f64, Lost> {
            let mut state = scaled(kernel, factor);
            for site in between {
                state = propagate_site(site, state, theory, &mut Vec::new())?;
            }
            Ok(state.forward.mean_variance())
        };
        let rise = through(1.0 + step)? - through(1.0 - step)?;
        Ok(rise / (2.0 * step * kernel.forward.mean_variance()))
    }
}

/// One row of 1/n theory.
struct Fluctuation {
    chi_parallel: Option<f64>,
    chi_perpendicular: Option<Answer>,
    vertex: Answer,
    kernel_shift: Answer,
    tangent_variance: Answer,
}

fn structure(plan: &Plan) -> Answer {
    Err(match steps(plan) {
        Err(layer) => Because::Structure(layer),
        Ok(_) => Because::Ended("the kernel is not finite".to_string()),
    })
}

fn fluctuations(plan: &Plan, theory: &Theory, inputs: &Kernel) -> Vec<Fluctuation> {
    let Ok(steps) = steps(plan) else {
        return Vec::new();
    };
    let input = inputs.forward.mean_variance();
    match steps.steps.iter().all(|step| step.skip == 0.0 && step.branch == 1.0) {
        true => plain(&steps, theory, input),
        false => residual(&steps, theory, input),
    }
}

fn scales(step: &Step, theory: &Theory) -> Scales {
    let (init, rate) = (theory.init[step.weighted], theory.rate.get(step.weighted));
    let c_b = if step.bias { init.c_b } else { 0.0 };
    let (lambda_w, lambda_b) = rate.map_or((1.0, 1.0), |rate| (rate.lambda_w, rate.lambda_b));
    let lambda_b = if step.bias { lambda_b } else { 0.0 };
    Scales::new(init.c_w, c_b).with_rates(lambda_w, lambda_b)
}

fn plain(steps: &Steps, theory: &Theory, input: f64) -> Vec<Fluctuation> {
    let layers: Vec<Scales> = steps.steps.iter().map(|step| scales(step, theory)).collect();
    let depth = layers.len();
    let hidden: Vec<usize> = steps.steps[..depth - 1].iter().map(|step| step.width).collect();
    let stack = Stack { activation: steps.activation.formula.clone(), layers, width_ratios: Vec::new() };
    let table = match stack.with_widths(&hidden).and_then(|stack| finite_width::table(&stack, input)) {
        Ok(table) => table,
        Err(_) => return Vec::new(),
    };
    let rows = table.rows.iter().map(|row| Fluctuation {
        chi_parallel: Some(row.chi_parallel),
        chi_perpendicular: Some(row.chi_perpendicular.clone().map_err(Because::from)),
        vertex: Ok(row.vertex),
        kernel_shift: Ok(row.kernel_shift),
        tangent_variance: row
            .tangent
            .as_ref()
            .map(|t| t.relative_variance())
            .map_err(|open| open.clone().into()),
    });
    let ended = table.ended.as_ref().map(ToString::to_string);
    let lost = || Err(Because::Ended(ended.clone().unwrap_or_default()));
    let missing = (table.rows.len()..depth).map(|_| Fluctuation {
        chi_parallel: None,
        chi_perpendicular: None,
        vertex: lost(),
        kernel_shift: lost(),
        tangent_variance: lost(),
    });
    rows.collect::<Vec<_>>().into_iter().chain(missing).collect()
}

fn residual(steps: &Steps, theory: &Theory, input: f64) -> Vec<Fluctuation> {
    let first = scales(&steps.steps[0], theory);
    let kernel = first.c_b + first.c_w * input;
    let scales_of = |step: &Step| {
        let own = scales(step, theory);
        let beta = step.branch * step.branch;
        ResidualScales { c_w: beta * own.c_w, c_b: beta * own.c_b, skip: step.skip }
    };
    let all: Vec<ResidualScales> = steps.steps[1..].iter().map(scales_of).collect();
    let Ok(rows) = residual_table(&steps.activation.formula, kernel, &all) else {
        return Vec::new();
    };
    let open = |what| Err(Because::Open(Open::NotDerived { what }));
    rows.iter()
        .map(|row| Fluctuation {
            chi_parallel: None,
            chi_perpendicular: None,
            vertex: Ok(row.vertex),
            kernel_shift: open(crate::error::Quantity::KernelShift),
            tangent_variance: open(crate::error::Quantity::TangentFluctuation),
        })
        .collect()
}
