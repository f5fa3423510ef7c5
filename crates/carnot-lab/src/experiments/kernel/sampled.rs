//! Kernels estimated from random networks, for layers without theory and beside the theory of the others.
//!
//! What is estimated is the mean over networks of the widths given, not the limit: the two differ by a part of order 1/n.

use carnot_kernel::{Engine, Inputs, Values};
use carnot_math::stats::Moments;
use carnot_net::dataset::Dataset;
use carnot_net::hyper::LayerInit;
use carnot_net::layers::{Layer, Role};
use carnot_net::plan::Plan;
use carnot_sim::empirical::average::{Average, KernelPart, extend};
use carnot_sim::empirical::feature::last_hidden;
use carnot_sim::train::spec::Precision;

use super::answer::{Against, SMALL, Sampled};
use super::data::Split;
use super::matrices::{Aside, Kernels};
use super::work::{Points, options, parts};
use super::{KernelSpec, effort, keep};
use crate::error::{LabError, gib};
use crate::experiments::Tools;
use crate::memory;

/// Networks between two looks at the error.
const TOGETHER: u64 = 8;
/// Fewest networks from which the error is believed: with fewer, chance stops too early.
const LEAST: u64 = 32;
/// Samples on which theory is held against the mean, where it is known: its cost does not matter there.
const COMPARED: usize = 64;
/// Standard errors below this share of the entry are rounding: such entries have no z.
const ROUNDING: f64 = 1e-9;

/// How K of the outputs follows from what is averaged.
///
/// Where the last layer is dense, its weights are averaged exactly, $K = C_b + \frac{C_W}{n}\,x_a \cdot x_b$ over features x:
/// the mean over outputs of one network would be far noisier. Elsewhere products of outputs are averaged.
#[derive(Clone, Copy, Debug)]
struct Reader {
    site: usize,
    c_w: f64,
    c_b: f64,
}

impl Reader {
    fn of(plan: &Plan, init: &[LayerInit]) -> Reader {
        let last = plan.sites.last().expect("a plan has layers");
        match (last.weighted, last_hidden(plan)) {
            (Some(weighted), Some(site)) if matches!(last.layer, Layer::Dense(_)) => {
                let has_bias = last.parameters.iter().any(|p| p.role == Role::Bias);
                let init = init[weighted];
                Reader { site, c_w: init.c_w, c_b: if has_bias { init.c_b } else { 0.0 } }
            }
            _ => Reader { site: last.index, c_w: 1.0, c_b: 0.0 },
        }
    }
}

/// Mean and standard error of every entry, `[T, T]`.
struct Means {
    value: Vec<f64>,
    error: Vec<f64>,
}

impl Means {
    fn of(moments: &[Moments], c_w: f64, c_b: f64) -> Means {
        let value = moments.iter().map(|m| c_b + c_w * m.mean()).collect();
        Means { value, error: moments.iter().map(|m| c_w * m.error()).collect() }
    }

    /// Root of the summed squared errors over the norm.
    fn relative_error(&self) -> f64 {
        let norm = |all: &[f64]| all.iter().map(|x| x * x).sum::<f64>().sqrt();
        norm(&self.error) / norm(&self.value)
    }

    fn block(
        of: &[f64],
        wide: usize,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) -> Vec<f64> {
        rows.flat_map(|a| of[a * wide..][columns.clone()].to_vec()).collect()
    }
}

/// Samples of both sets in one list.
fn joint(split: &Split) -> (Vec<f64>, usize) {
    let mut data = split.train.exact_inputs();
    data.extend(split.test.as_ref().map_or(Vec::new(), Dataset::exact_inputs));
    (data, split.train.len() + split.test.as_ref().map_or(0, Dataset::len))
}

/// K and Θ as means over random networks.
///
/// # Errors
/// When sizes do not fit, or a kernel is not finite.
pub fn kernels(spec: &KernelSpec, split: &Split, tools: &Tools) -> Result<Kernels, LabError> {
    let plan = Plan::new(spec.network.network())?;
    let init = spec.init.initial(&plan)?.layers;
    let rates = spec.parametrization.rates(&plan, &init);
    let reader = Reader::of(&plan, &init);
    let (inputs, all) = joint(split);
    let average = Average {
        plan: &plan,
        init: &init,
        rates: Some(&rates),
        site: Some(reader.site),
        seed: spec.seed,
        first: &inputs,
        second: None,
    };
    let part = match spec.float {
        Precision::Float32 => gather::<f32>(spec, &average, reader, tools)?,
        Precision::Float64 => gather::<f64>(spec, &average, reader, tools)?,
    };
    let members = part.members();
    let [kernel, tangent] = both(&part, reader);
    drop(part);
    let (against, no_theory) = match against(spec, &plan, &inputs, all, [&kernel, &tangent]) {
        Ok(against) => (Some(against), None),
        Err(because @ (LabError::Kernel(_) | LabError::Theory(_))) => (None, Some(because.to_string())),
        Err(error) => return Err(error),
    };
    let sampled = Sampled {
        members,
        most: spec.sampled,
        precision: spec.precision,
        kernel_error: kernel.relative_error(),
        tangent_error: tangent.relative_error(),
        against,
        no_theory,
    };
    let n = split.train.len();
    let own = |of: &[f64]| Means::block(of, all, 0..n, 0..n);
    let errors = (own(&kernel.error), own(&tangent.error));
    let (k, t) = (own(&kernel.value), own(&tangent.value));
    let files = [&k, &t, &errors.0, &errors.1].map(|values| in_precision(spec, values));
    let saved = keep::keep(spec, &files.each_ref(), [n, n])?;
    let aside = (all > n).then(|| {
        let prior: Vec<f64> = (n..all).map(|b| kernel.value[b * (all + 1)]).collect();
        let whole = (all - n <= SMALL).then(|| Means::block(&kernel.value, all, n..all, n..all));
        let cross = |of: &Means| Means::block(&of.value, all, n..all, 0..n);
        let second = Aside { cross: cross(&tangent), prior: prior.clone(), whole: whole.clone() };
        (Aside { cross: cross(&kernel), prior, whole }, second)
    });
    Ok(Kernels {
        kernel: k,
        tangent: t,
        aside,
        route: "sampled".into(),
        saved,
        sampled: Some(sampled),
        errors: Some(errors),
    })
}

fn in_precision(spec: &KernelSpec, values: &[f64]) -> Values {
    match spec.float {
        Precision::Float32 => Values::F32(values.iter().map(|&x| x as f32).collect()),
        Precision::Float64 => Values::F64(values.to_vec()),
    }
}

fn both(part: &KernelPart, reader: Reader) -> [Means; 2] {
    [Means::of(&part.features, reader.c_w, reader.c_b), Means::of(&part.tangent, 1.0, 0.0)]
}

/// Adds networks until the error is small enough or as many were seen as were asked for; looks at fixed numbers of them, so
/// that the answer does not depend on threads.
fn gather<S: carnot_math::scalar::Scalar>(
    spec: &KernelSpec,
    average: &Average,
    reader: Reader,
    tools: &Tools,
) -> Result<KernelPart, LabError> {
    let mut part = None;
    let mut done = 0;
    loop {
        let end = (done + TOGETHER).min(spec.sampled);
        let now = extend::<S>(average, done..end, part.take())?;
        done = end;
        tools.step("random networks", done, spec.sampled);
        let is_sure = || both(&now, reader).iter().all(|means| means.relative_error() <= spec.precision);
        if done == spec.sampled || (done >= LEAST && spec.precision > 0.0 && is_sure()) {
            return Ok(now);
        }
        part = Some(now);
    }
}

/// Theory on the first samples, where it is known.
fn against(
    spec: &KernelSpec,
    plan: &Plan,
    inputs: &[f64],
    all: usize,
    found: [&Means; 2],
) -> Result<[Against; 2], LabError> {
    let init = spec.init.initial(plan)?.layers;
    let rates = spec.parametrization.rates(plan, &init);
    let engine = Engine::compile(plan, &init, &rates, options(spec, true))?;
    let few = all.min(COMPARED);
    let (kernel, tangent) =
        parts(engine.gram(Inputs { data: &inputs[..few * plan.input.len()], samples: few })?);
    Ok([compared(found[0], &kernel, few, all), compared(found[1], &tangent, few, all)])
}

fn compared(found: &Means, theory: &[f64], few: usize, all: usize) -> Against {
    let (mut largest, mut squares, mut pairs) = (0.0f64, 0.0, 0);
    let (mut off, mut noise, mut size) = (0.0, 0.0, 0.0);
    for a in 0..few {
        for b in 0..=a {
            let (value, error) = (found.value[a * all + b], found.error[a * all + b]);
            let expect = theory[a * few + b];
            let share = if a == b { 1.0 } else { 2.0 };
            off += share * (value - expect) * (value - expect);
            noise += share * error * error;
            size += share * expect * expect;
            if error > ROUNDING * value.abs() {
                let z = (value - expect) / error;
                largest = largest.max(z.abs());
                squares += z * z;
                pairs += 1;
            }
        }
    }
    let known = |x: f64| x.is_finite().then_some(x);
    Against {
        samples: few,
        pairs,
        largest_z: known(largest).filter(|_| pairs > 0),
        root_mean_square_z: known((squares / pairs as f64).sqrt()),
        difference: (off / size).sqrt(),
        noise: (noise / size).sqrt(),
    }
}

/// Memory and time, said before the work.
///
/// # Errors
/// [`LabError::TooLarge`] with what would fit.
pub fn cost(spec: &KernelSpec, split: &Split, plan: &Plan, dense: f64) -> Result<Option<String>, LabError> {
    let all = (split.train.len() + split.test.as_ref().map_or(0, Dataset::len)) as f64;
    let number = if spec.float == Precision::Float32 { 4.0 } else { 8.0 };
    let threads = crate::drive::all_threads() as f64;
    // Moments of two kernels, matrices that wait to be added, and what is kept of the layers.
    let entry = 2.0 * 40.0 + 16.0 * TOGETHER as f64;
    let sampling = entry * all * all + threads * effort::kernel_bytes(plan, all, number);
    let (needed, available) = (sampling.max(dense), memory::budget(spec.memory));
    if needed > available {
        let share = (available / needed).sqrt() * 0.95;
        return Err(LabError::TooLarge {
            what: format!("a sampled kernel of {all} samples"),
            needed,
            available,
            fits: format!(
                "--train {:.0} --test {:.0}, or --memory with more GiB",
                share * split.train.len() as f64,
                share * (all - split.train.len() as f64)
            ),
        });
    }
    let work = spec.sampled as f64 * effort::kernels(plan, all);
    Ok(Some(format!(
        "kernels of {all} samples from at most {} random networks, {} and {}",
        spec.sampled,
        effort::words(work),
        gib(needed)
    )))
}

/// Largest eigenvalue of Θ of one random network over some samples, where no theory says it.
///
/// # Errors
/// When sizes do not fit.
pub fn largest_eigenvalue(spec: &KernelSpec, plan: &Plan, few: &Dataset) -> Result<f64, LabError> {
    let init = spec.init.initial(plan)?.layers;
    let rates = spec.parametrization.rates(plan, &init);
    let points = Points::of(few);
    let average = Average {
        plan,
        init: &init,
        rates: Some(&rates),
        site: None,
        seed: spec.seed,
        first: &points.data,
        second: None,
    };
    let part = extend::<f64>(&average, 0..1, None)?;
    let tangent: Vec<f64> = part.tangent.iter().map(Moments::mean).collect();
    Ok(carnot_theory::regression::modes::Modes::of(&tangent, few.len())?.largest())
}
