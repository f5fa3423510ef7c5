//! Kernels on the samples as predictions take them, from theory or from random networks.

use carnot_kernel::{Engine, Inputs};
use carnot_net::plan::Plan;

use super::answer::{SMALL, Sampled};
use super::data::Split;
use super::work::{Points, options, parts, route};
use super::{KernelSpec, keep};
use crate::error::LabError;

/// Most samples kept aside for which the kernel among them is computed whole.
const BLOCK: usize = 500;

/// Both kernels among the training samples, and between them and those kept aside.
pub struct Kernels {
    /// K, `[N, N]`.
    pub kernel: Vec<f64>,
    /// Θ, `[N, N]`.
    pub tangent: Vec<f64>,
    /// K and Θ of the samples kept aside.
    pub aside: Option<(Aside, Aside)>,
    /// How they were computed.
    pub route: String,
    /// Where they were kept.
    pub saved: Vec<String>,
    /// How sure they are, when they were sampled.
    pub sampled: Option<Sampled>,
    /// Standard errors of K and Θ, `[N, N]`, when they were sampled.
    pub errors: Option<(Vec<f64>, Vec<f64>)>,
}

/// Kernels between the samples kept aside and the others.
pub struct Aside {
    /// `[M, N]`
    pub cross: Vec<f64>,
    /// `[M]`
    pub prior: Vec<f64>,
    /// `[M, M]`, when M is small.
    pub whole: Option<Vec<f64>>,
}

/// The kernels at infinite width.
///
/// # Errors
/// When a kernel is not known, or does not fit.
pub fn exact(spec: &KernelSpec, split: &Split) -> Result<Kernels, LabError> {
    let plan = Plan::new(spec.network.network())?;
    let init = spec.init.initial(&plan)?.layers;
    let rates = spec.parametrization.rates(&plan, &init);
    let engine = Engine::compile(&plan, &init, &rates, options(spec, true))?;
    let train = Points::of(&split.train);
    let own = engine.gram(train.inputs())?;
    let both = [&own.kernel, own.tangent.as_ref().expect("it was asked for")];
    let saved = keep::keep(spec, &both, [own.rows, own.columns])?;
    let (kernel, tangent) = parts(own);
    let aside = match split.test.as_ref().map(Points::of) {
        None => None,
        Some(test) => {
            let (k, t) = parts(engine.cross(test.inputs(), train.inputs())?);
            let whole = match test.samples <= SMALL {
                true => Some(engine.gram(test.inputs())?.kernel.into_f64()),
                false => None,
            };
            let prior = diagonal(&engine, &test, &plan)?;
            let tangent = Aside { cross: t, prior: prior.clone(), whole: whole.clone() };
            Some((Aside { cross: k, prior, whole }, tangent))
        }
    };
    Ok(Kernels { kernel, tangent, aside, route: route(&engine).into(), saved, sampled: None, errors: None })
}

/// K of each sample with itself.
pub fn diagonal(engine: &Engine, points: &Points, plan: &Plan) -> Result<Vec<f64>, LabError> {
    let width = plan.input.len();
    let mut all = Vec::with_capacity(points.samples);
    for rows in points.data.chunks(BLOCK * width) {
        let samples = rows.len() / width;
        let block = engine.gram(Inputs { data: rows, samples })?.kernel.into_f64();
        all.extend((0..samples).map(|a| block[a * (samples + 1)]));
    }
    Ok(all)
}
