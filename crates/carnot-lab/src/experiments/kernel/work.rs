//! The work of one job: kernels on the samples, and what they predict.

use carnot_kernel::{Engine, Inputs, Matrices, Options, Precision, Route};
use carnot_math::device::View;
use carnot_math::linalg::large as large_linalg;
use carnot_net::dataset::{Dataset, Targets as Wanted};
use carnot_net::hyper::LayerInit;
use carnot_net::plan::Plan;
use carnot_net::tape::Mode;
use carnot_sim::train::spec::Precision as Float;
use carnot_theory::inference::Duration;
use carnot_theory::regression::choose::{Criterion, best};
use carnot_theory::regression::descent::{Descent, Loss, Start};
use carnot_theory::regression::lanczos;
use carnot_theory::regression::modes::Modes;
use carnot_theory::regression::operator::InMemory;
use carnot_theory::regression::posterior::Posterior;
use carnot_theory::regression::problem::{Predicted, Prior, Ridge, Targets};
use carnot_theory::regression::spectrum::{Timetable, alignment};

use super::answer::{Answer, Moment, Prediction, SMALL, Side, Small, Spectrum};
use super::data::{self, Split};
use super::matrices::{self, Aside, Kernels};
use super::networks;
use super::score::scores;
use super::{KernelSpec, drift, keep, large, sampled};
use crate::error::LabError;
use crate::experiments::Tools;
use crate::memory;

/// Matrices of N² numbers that are in memory at once: both kernels, both sets of eigenvectors, and one in hand.
const SQUARES: f64 = 5.0;
/// Most training samples whose eigenvectors are found: they cost fifty times a Cholesky factor.
const DECOMPOSED: usize = 2500;
/// The same beside real networks, which are read before they have converged: theory at their time needs eigenvectors.
const DECOMPOSED_BESIDE: usize = 6000;
/// Samples on which the noise is chosen beyond that.
const FEW: usize = 1500;
/// Passes of Lanczos for the largest eigenvalue.
const PASSES: usize = 60;
/// Moments of training that are shown.
const MOMENTS: usize = 25;

/// The samples of a set, as the engine takes them.
pub struct Points {
    /// `[samples, shape]`
    pub data: Vec<f64>,
    /// Number of samples.
    pub samples: usize,
}

impl Points {
    /// Every digit that the source had.
    pub fn of(data: &Dataset) -> Points {
        Points { data: data.exact_inputs(), samples: data.len() }
    }

    /// As the engine takes them.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs { data: &self.data, samples: self.samples }
    }
}

/// Precision, tolerance and mode of the engine.
pub fn options(spec: &KernelSpec, tangent: bool) -> Options {
    let precision = match spec.float {
        Float::Float32 => Precision::F32,
        Float::Float64 => Precision::F64,
    };
    let mode = if spec.dropout { Mode::Train } else { Mode::Evaluate };
    Options { precision, tangent, tolerance: spec.tolerance, mode }
}

/// Largest eigenvalue of Θ over some samples.
///
/// # Errors
/// When the kernel is not known or is none.
pub fn largest_eigenvalue(spec: &KernelSpec, plan: &Plan, few: &Dataset) -> Result<f64, LabError> {
    let init = spec.init.initial(plan)?.layers;
    let rates = spec.parametrization.rates(plan, &init);
    let engine = Engine::compile(plan, &init, &rates, options(spec, true))?;
    let matrices = engine.gram(Points::of(few).inputs())?;
    let tangent = matrices.tangent.expect("it was asked for").into_f64();
    Ok(Modes::of(&tangent, few.len())?.largest())
}

/// Bytes of kernels, eigenvectors and predictions, all in memory.
fn dense_bytes(spec: &KernelSpec, split: &Split) -> Result<f64, LabError> {
    let plan = Plan::new(spec.network.network())?;
    let (n, m) = (split.train.len() as f64, split.test.as_ref().map_or(0, Dataset::len) as f64);
    Ok(8.0 * (SQUARES * n * n + 2.0 * n * m + (n + m) * plan.input.len() as f64))
}

/// What the work will cost.
///
/// # Errors
/// [`LabError::TooLarge`] with what would fit.
pub fn cost(spec: &KernelSpec) -> Result<Option<String>, LabError> {
    keep::check(spec)?;
    let plan = Plan::new(spec.network.network())?;
    let split = data::split(spec, &plan)?;
    let (n, m) = (split.train.len() as f64, split.test.as_ref().map_or(0, Dataset::len) as f64);
    if !spec.drift.is_empty() {
        return drift::measure::cost(spec, &split, &plan);
    }
    let needed = dense_bytes(spec, &split)?;
    if spec.sampled > 0 {
        return sampled::cost(spec, &split, &plan, needed);
    }
    let available = memory::budget(spec.memory);
    if large::is_wanted(spec, needed) {
        let outputs = split.train.targets.outputs() as f64;
        let inside = large::bytes(spec, n, outputs, plan.input.len() as f64);
        let disk = 2.0 * n * n * if spec.float == Float::Float32 { 4.0 } else { 8.0 };
        if inside <= available {
            return Ok(Some(format!(
                "{} on disk and {} of memory for {n} samples, solved iteratively",
                crate::error::gib(disk),
                crate::error::gib(inside)
            )));
        }
    }
    if needed > available {
        let fits = ((available / 8.0 / SQUARES).sqrt() * 0.98).floor();
        return Err(LabError::TooLarge {
            what: format!("the prediction from {n} training samples"),
            needed,
            available,
            fits: format!("--train {fits}, --save k.npy to work from disk, or --memory with more GiB"),
        });
    }
    Ok((n > 2000.0).then(|| format!("{} of memory for {n} + {m} samples", crate::error::gib(needed))))
}

/// K alone, and what a Bayesian network predicts.
///
/// # Errors
/// When the kernel is not known.
pub fn bayesian(spec: &KernelSpec, plan: &Plan, init: &[LayerInit], split: &Split) -> Result<Side, LabError> {
    let rates = spec.parametrization.rates(plan, init);
    let engine = Engine::compile(plan, init, &rates, options(spec, false))?;
    let train = Points::of(&split.train);
    let kernel = engine.gram(train.inputs())?.kernel.into_f64();
    let test = split.test.as_ref().map(Points::of);
    let aside = match &test {
        Some(test) => Some(Aside {
            cross: engine.cross(test.inputs(), train.inputs())?.kernel.into_f64(),
            prior: matrices::diagonal(&engine, test, plan)?,
            whole: None,
        }),
        None => None,
    };
    Ok(posterior(spec, split, &kernel, aside.as_ref(), Criterion::EvidenceAtAmplitude))
}

/// Kernels, spectra and predictions of one network.
///
/// # Errors
/// When a kernel is not known, or does not fit.
pub fn answer(spec: &KernelSpec, split: &Split, tools: &Tools) -> Result<Answer, LabError> {
    cost(spec)?;
    if spec.sampled == 0 && large::is_wanted(spec, dense_bytes(spec, split)?) {
        return large::answer(spec, split, tools);
    }
    tools.step("kernels", 0, 1);
    let Kernels { kernel, tangent, aside, route, saved, sampled, errors } = match spec.sampled {
        0 => matrices::exact(spec, split)?,
        _ => sampled::kernels(spec, split, tools)?,
    };
    tools.step("predictions", 0, 1);
    let both = aside.as_ref().map(|(k, t)| (k, t));
    let nngp = posterior(spec, split, &kernel, both.map(|(k, _)| k), Criterion::LeaveOneOutDensity);
    let ntk = descent(spec, split, (&kernel, &tangent), both, tools);
    let (n, m) = (split.train.len(), split.test.as_ref().map_or(0, Dataset::len));
    let rows = |values: &[f64], width: usize| values.chunks(width).map(<[f64]>::to_vec).collect::<Vec<_>>();
    let crossed = |aside: Option<&Aside>| {
        let transposed = |a: &Aside| (0..n).map(|i| (0..m).map(|j| a.cross[j * n + i]).collect()).collect();
        aside.map_or(Vec::new(), transposed)
    };
    let matrices = (n <= SMALL && m <= SMALL).then(|| Small {
        nngp: rows(&kernel, n),
        ntk: rows(&tangent, n),
        nngp_test: crossed(both.map(|(k, _)| k)),
        ntk_test: crossed(both.map(|(_, t)| t)),
        nngp_error: errors.as_ref().map_or(Vec::new(), |(k, _)| rows(k, n)),
        ntk_error: errors.as_ref().map_or(Vec::new(), |(_, t)| rows(t, n)),
    });
    Ok(Answer {
        train: n,
        test: m,
        outputs: split.train.targets.outputs(),
        route,
        sampled,
        nngp,
        ntk,
        matrices,
        saved,
        remarks: remarks(&Points::of(&split.train)),
    })
}

/// How the kernels were computed, in a word.
pub fn route(engine: &Engine) -> &'static str {
    match engine.route() {
        Route::Entrywise => "entrywise",
        Route::Spatial => "spatial",
        Route::General => "general",
    }
}

/// The noise that predicts samples of a small set left out best, under K or Θ.
///
/// # Errors
/// When the kernel is not known.
pub fn noise_of(spec: &KernelSpec, few: &Split, is_tangent: bool) -> Result<f64, LabError> {
    let plan = Plan::new(spec.network.network())?;
    let init = spec.init.initial(&plan)?.layers;
    let rates = spec.parametrization.rates(&plan, &init);
    let engine = Engine::compile(&plan, &init, &rates, options(spec, true))?;
    let (kernel, tangent) = parts(engine.gram(Points::of(&few.train).inputs())?);
    let modes = Modes::of(if is_tangent { &tangent } else { &kernel }, few.train.len())?;
    let (values, outputs) = data::targets(&few.train).unwrap_or_default();
    let targets = Targets { values: &values, outputs };
    Ok(noise(spec, &modes, targets, Criterion::LeaveOneOutError)?.0)
}

/// K and Θ.
pub fn parts(matrices: Matrices) -> (Vec<f64>, Vec<f64>) {
    let tangent = matrices.tangent.expect("it was asked for").into_f64();
    (matrices.kernel.into_f64(), tangent)
}

/// Repeated and zero samples, said before they are found in a spectrum.
pub fn remarks(points: &Points) -> Vec<String> {
    let width = points.data.len() / points.samples.max(1);
    let bits = |row: &[f64]| row.iter().map(|x| (x + 0.0).to_bits()).collect::<Vec<u64>>();
    let mut rows: Vec<Vec<u64>> = points.data.chunks(width).map(bits).collect();
    let zeros = rows.iter().filter(|row| row.iter().all(|&x| x == 0)).count();
    let all = rows.len();
    rows.sort_unstable();
    rows.dedup();
    let mut remarks = Vec::new();
    if all == 1 {
        remarks.push("one training sample: nothing can be left out".into());
    }
    if rows.len() < all {
        let twice = all - rows.len();
        remarks.push(format!(
            "{twice} of {all} training samples repeat others: the kernel is singular without noise"
        ));
    }
    if zeros > 0 {
        remarks.push(format!("{zeros} training samples are zero: only biases reach the output there"));
    }
    remarks
}

/// A training kernel with its eigenvectors, or, where they would take minutes, with its largest eigenvalue alone.
struct Known {
    modes: Option<Modes>,
    spectrum: Spectrum,
}

impl Known {
    fn of(
        spec: &KernelSpec,
        kernel: &[f64],
        n: usize,
        targets: Option<Targets>,
        most: usize,
    ) -> Result<Known, LabError> {
        if n <= most || spec.time.is_some() {
            let modes = Modes::of(kernel, n)?;
            let spectrum = spectrum(&modes, kernel, targets);
            return Ok(Known { modes: Some(modes), spectrum });
        }
        let mut start = vec![0.0; n];
        carnot_math::random::Stream::new(spec.seed, "lanczos", &[]).fill_normal(&mut start, 1.0);
        let [_, largest] = lanczos::extremes(&InMemory::new(kernel, n)?, 0.0, &start, PASSES)?;
        Ok(Known { modes: None, spectrum: Spectrum::of_largest(largest.value, n) })
    }

    /// The noise that is given, or that predicts samples left out best: all of them, or a part where they are many.
    fn noise(
        &self,
        spec: &KernelSpec,
        kernel: &[f64],
        targets: Targets,
        criterion: Criterion,
        seed: u64,
    ) -> Result<(f64, &'static str), LabError> {
        if let Some(modes) = &self.modes {
            return noise(spec, modes, targets, criterion);
        }
        let n = targets.values.len() / targets.outputs;
        let mut order: Vec<usize> = (0..n).collect();
        carnot_math::random::Stream::new(seed, "kernel/part", &[]).shuffle(&mut order);
        let few = &order[..FEW.min(n)];
        let part: Vec<f64> = few.iter().flat_map(|&a| few.iter().map(move |&b| kernel[a * n + b])).collect();
        let outputs = targets.outputs;
        let values: Vec<f64> =
            few.iter().flat_map(|&a| targets.values[a * outputs..(a + 1) * outputs].to_vec()).collect();
        let modes = Modes::of(&part, few.len())?;
        let (noise, by) = noise(spec, &modes, Targets { values: &values, outputs }, criterion)?;
        Ok((noise, if by == "leave-one-out" { "a part left out" } else { by }))
    }
}

/// A Bayesian network: posterior under K.
fn posterior(
    spec: &KernelSpec,
    split: &Split,
    kernel: &[f64],
    aside: Option<&Aside>,
    criterion: Criterion,
) -> Side {
    let n = split.train.len();
    let wanted = data::targets(&split.train);
    let targets = wanted.as_ref().map(|(values, outputs)| Targets { values, outputs: *outputs });
    let known = match Known::of(spec, kernel, n, targets, DECOMPOSED) {
        Ok(known) => known,
        Err(error) => return Side { spectrum: None, prediction: None, because: Some(error.to_string()) },
    };
    let spectrum = Some(known.spectrum.clone());
    let Some(targets) = targets else { return Side { spectrum, prediction: None, because: None } };
    let predicted = || -> Result<Prediction, LabError> {
        let (noise, noise_by) = known.noise(spec, kernel, targets, criterion, spec.seed)?;
        let fit = Posterior::fit(kernel.to_vec(), n, targets, Ridge::Absolute(noise))?;
        let mut prediction = Prediction::blank(noise, noise_by);
        let mut scale = 1.0;
        match fit.log_evidence() {
            Ok(evidence) => {
                prediction.log_evidence = Some(evidence);
                // A model with a free amplitude a scales fit and volume: its best a is the fit over the number of targets.
                let count = targets.values.len() as f64;
                let fit: f64 = fit.weights().iter().zip(targets.values).map(|(w, y)| w * y).sum();
                let amplitude = fit / count;
                prediction.amplitude = Some(amplitude);
                prediction.evidence_at_amplitude =
                    Some(evidence + 0.5 * fit - 0.5 * count * (1.0 + amplitude.ln()));
            }
            Err(because) => prediction.no_evidence = Some(because.to_string()),
        }
        match fit.leave_one_out() {
            Ok(left) => {
                let factor = left.variance_scale();
                (scale, prediction.bar_scale) = (factor.value, Some(factor.into()));
                let found = Predicted { mean: left.mean, variance: left.variance, covariance: None };
                prediction.left_out = Some(scores(&split.train, &found, 0.0, scale)?);
            }
            Err(because) => prediction.no_left_out = Some(because.to_string()),
        }
        if let Some((aside, test)) = aside.zip(split.test.as_ref()) {
            let found = match spec.time.zip(known.modes.as_ref()) {
                None => fit.predict(&aside.cross, prior(aside))?,
                // Gradient descent on the last layer alone: its tangent kernel is K.
                Some((time, modes)) => {
                    let descent = Descent::new(modes, targets, Ridge::Absolute(noise), spec.loss.into())?;
                    descent.predict(&aside.cross, from(kernel, aside), Duration::Flow(time))?
                }
            };
            enter(&mut prediction, test, &found, (noise, scale))?;
        }
        Ok(prediction)
    };
    concluded(spectrum, predicted())
}

/// A trained network: gradient descent under Θ from random starts of covariance K.
fn descent(
    spec: &KernelSpec,
    split: &Split,
    (kernel, tangent): (&[f64], &[f64]),
    aside: Option<(&Aside, &Aside)>,
    tools: &Tools,
) -> Side {
    let n = split.train.len();
    let wanted = data::targets(&split.train);
    let targets = wanted.as_ref().map(|(values, outputs)| Targets { values, outputs: *outputs });
    let most = if spec.members > 0 { DECOMPOSED_BESIDE } else { DECOMPOSED };
    let known = match Known::of(spec, tangent, n, targets, most) {
        Ok(known) => known,
        Err(error) => return Side { spectrum: None, prediction: None, because: Some(error.to_string()) },
    };
    let spectrum = Some(known.spectrum.clone());
    let Some(targets) = targets else { return Side { spectrum, prediction: None, because: None } };
    let predicted = || -> Result<Prediction, LabError> {
        let criterion = Criterion::LeaveOneOutError;
        let (noise, noise_by) = known.noise(spec, tangent, targets, criterion, spec.seed)?;
        let mut prediction = Prediction::blank(noise, noise_by);
        prediction.no_evidence = Some("training by gradient descent is no inference".into());
        match Posterior::fit(tangent.to_vec(), n, targets, Ridge::Absolute(noise))
            .and_then(|fit| fit.leave_one_out())
        {
            Ok(left) => {
                let found = Predicted { mean: left.mean, variance: Vec::new(), covariance: None };
                prediction.left_out = Some(scores(&split.train, &found, 0.0, 1.0)?);
            }
            Err(because) => prediction.no_left_out = Some(because.to_string()),
        }
        let Some(((start, aside), test)) = aside.zip(split.test.as_ref()) else { return Ok(prediction) };
        let Some(modes) = &known.modes else {
            let found = converged((kernel, tangent), targets, noise, (start, aside))?;
            enter(&mut prediction, test, &found, (0.0, 1.0))?;
            return Ok(prediction);
        };
        let descent = Descent::new(modes, targets, Ridge::Absolute(noise), spec.loss.into())?;
        let table = Timetable::new(modes, targets, spec.loss.into())?;
        for part in [0.5, 0.9, 0.99] {
            let time = table.time_to(part)?;
            prediction.times.push(time.is_finite().then_some(time));
        }
        {
            let duration = spec.time.map_or(Duration::Converged, Duration::Flow);
            let found = descent.predict(&aside.cross, from(kernel, start), duration)?;
            enter(&mut prediction, test, &found, (0.0, 1.0))?;
            if spec.members > 0 {
                let time = networks::time(spec, split, networks::rate(spec, split, tools)?);
                let free = Descent::new(modes, targets, Ridge::Absolute(0.0), Loss::Sum)?;
                let found = free.predict(&aside.cross, from(kernel, start), Duration::Flow(time))?;
                prediction.at_networks = Some(scores(test, &found, 0.0, 1.0)?);
            }
            for time in moments(modes, spec.loss.into(), targets.outputs) {
                let found = descent.predict(&aside.cross, Start::Zero, Duration::Flow(time))?;
                let found = Predicted { variance: Vec::new(), ..found };
                let scores = scores(test, &found, 0.0, 1.0)?;
                let accuracy = scores.accuracy.map(|a| a.value);
                prediction.curve.push(Moment { time, error: scores.error.value, accuracy });
            }
        }
        Ok(prediction)
    };
    concluded(spectrum, predicted())
}

/// Networks trained to the end, from one Cholesky factor: P = Θ_BA (Θ_AA + ridge)⁻¹, mean P y and variance
/// K_bb − 2 P K_Ab + P K_AA Pᵀ.
fn converged(
    (kernel, tangent): (&[f64], &[f64]),
    targets: Targets,
    ridge: f64,
    (start, aside): (&Aside, &Aside),
) -> Result<Predicted, LabError> {
    let n = targets.values.len() / targets.outputs;
    let m = aside.cross.len() / n;
    let mut inner = tangent.to_vec();
    (0..n).for_each(|a| inner[a * (n + 1)] += ridge);
    let factor = large_linalg::Cholesky::of(inner, n)
        .map_err(|_| carnot_theory::error::TheoryError::Singular { what: "tangent kernel" })?;
    let mut response = aside.cross.clone();
    factor.solve_rows(&mut response);
    let mut mean = vec![0.0; m * targets.outputs];
    large_linalg::multiply(&mut mean, &response, View::new(targets.values, n, targets.outputs));
    let mut through = vec![0.0; m * n];
    large_linalg::multiply(&mut through, &response, View::new(kernel, n, n));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let variance = |b: usize| {
        let row = b * n..(b + 1) * n;
        let (p, k) = (&response[row.clone()], &start.cross[row.clone()]);
        (start.prior[b] - 2.0 * dot(p, k) + dot(&through[row], p)).max(0.0)
    };
    Ok(Predicted { mean, variance: (0..m).map(variance).collect(), covariance: None })
}

/// Outputs of random networks, at which training starts.
fn from<'a>(kernel: &'a [f64], aside: &'a Aside) -> Start<'a> {
    Start::Ensemble { train: kernel, cross: &aside.cross, prior: prior(aside), noise: 0.0 }
}

fn prior(aside: &Aside) -> Prior<'_> {
    aside.whole.as_ref().map_or(Prior::Variances(&aside.prior), |whole| Prior::Full(whole))
}

fn concluded(spectrum: Option<Spectrum>, predicted: Result<Prediction, LabError>) -> Side {
    match predicted {
        Ok(prediction) => Side { spectrum, prediction: Some(prediction), because: None },
        Err(error) => Side { spectrum, prediction: None, because: Some(error.to_string()) },
    }
}

/// Enters what was predicted for the samples kept aside.
pub fn enter(
    prediction: &mut Prediction,
    test: &Dataset,
    found: &Predicted,
    (noise, scale): (f64, f64),
) -> Result<(), LabError> {
    let m = test.len();
    if !matches!(test.targets, Wanted::None) {
        prediction.kept_aside = Some(scores(test, found, noise, scale)?);
    }
    if m <= SMALL {
        let rows = |values: &[f64]| values.chunks(values.len() / m).map(<[f64]>::to_vec).collect();
        prediction.mean = Some(rows(&found.mean));
        prediction.covariance = found.covariance.as_deref().map(rows);
    }
    Ok(())
}

/// Eigenvalues at about sixty places, and the share of the targets along the first of them.
fn spectrum(modes: &Modes, kernel: &[f64], targets: Option<Targets>) -> Spectrum {
    let n = modes.samples();
    let mut order: Vec<usize> =
        (0..=60).map(|i| (n as f64).powf(f64::from(i) / 60.0).round() as usize).collect();
    order.dedup();
    let values = order.iter().map(|k| modes.values()[n - k] / n as f64).collect();
    // Targets that are all zero are aligned with nothing.
    let aligned = targets.and_then(|targets| alignment(modes, kernel, targets).ok());
    let power = aligned.as_ref().map_or(Vec::new(), |a| order.iter().map(|&k| a.cumulative[k - 1]).collect());
    let above = modes.values().iter().copied().find(|&value| value > modes.rounding());
    Spectrum {
        largest: modes.largest(),
        smallest: Some(modes.smallest()),
        rank: Some(modes.rank()),
        condition: above.map(|least| modes.largest() / least),
        largest_rate: Loss::Sum.largest_rate(modes.largest(), n, 1) * n as f64,
        order,
        values,
        power,
        alignment: aligned.map(|a| a.centred),
    }
}

/// The noise that is given, or that predicts samples left out best.
fn noise(
    spec: &KernelSpec,
    modes: &Modes,
    targets: Targets,
    criterion: Criterion,
) -> Result<(f64, &'static str), LabError> {
    match (spec.noise, spec.ridge) {
        (Some(noise), _) => Ok((noise, "given")),
        (None, Some(ridge)) => Ok((ridge * modes.mean_diagonal(), "given")),
        (None, None) if modes.samples() < 2 => Ok((0.0, "one sample")),
        (None, None) => Ok((best(modes, targets, criterion)?.1.ridge, "leave-one-out")),
    }
}

/// Times from the first direction learned to the last, in the unit of the loss.
fn moments(modes: &Modes, loss: Loss, outputs: usize) -> Vec<f64> {
    let floor = modes.rounding().max(1e-9 * modes.largest());
    let least = modes.values().iter().copied().find(|&value| value > floor).unwrap_or(modes.largest());
    let unit = loss.unit(modes.samples(), outputs);
    let (from, to) = ((0.1 / modes.largest() / unit).ln(), (10.0 / least / unit).ln());
    (0..MOMENTS).map(|i| (from + (to - from) * i as f64 / (MOMENTS - 1) as f64).exp()).collect()
}
