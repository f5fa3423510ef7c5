//! The general route: every layer's own rule, over all samples together.

use crate::engine::{Inputs, Options, Precision};
use crate::error::KernelError;
use crate::matrices::{Matrices, Values};
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::kernel::{Gram, Kernel};
use carnot_net::plan::{Plan, Theory};

/// K and Θ of `first` with itself, or with `second`.
pub(crate) fn matrices(
    plan: &Plan,
    init: &[LayerInit],
    rate: &[LayerRate],
    options: Options,
    first: Inputs,
    second: Option<Inputs>,
) -> Result<Matrices, KernelError> {
    let mut data = first.data.to_vec();
    data.extend(second.iter().flat_map(|second| second.data));
    let samples = first.samples + second.map_or(0, |second| second.samples);
    let inputs = Kernel::of_inputs(&data, samples, plan.input.positions(), plan.positions(), options.tangent);
    let theory = Theory::new(init, rate);
    let sites = plan.all();
    let mut last = None;
    for (site, kernel) in sites.iter().zip(plan.propagate(inputs, &theory)) {
        let layer = site.name.clone();
        let kernel = kernel.map_err(|why| KernelError::NotKnown { layer: layer.clone(), why })?;
        let tangent_is_finite = kernel.tangent.as_ref().is_none_or(Gram::is_finite);
        if !(kernel.forward.is_finite() && tangent_is_finite) {
            return Err(KernelError::Overflow { layer });
        }
        last = Some(kernel);
    }
    let last = last.expect("a plan has at least one site");
    let columns = match second {
        None => 0..first.samples,
        Some(_) => first.samples..samples,
    };
    let block = |gram: &Gram| {
        let p = gram.positions;
        let entry = |a: usize, b: usize| {
            let at = |position: usize| gram.covariance(a * p + position, b * p + position);
            (0..p).filter_map(at).sum::<f64>() / p as f64
        };
        let values = (0..first.samples).flat_map(|a| columns.clone().map(move |b| (a, b)));
        let values: Vec<f64> = values.map(|(a, b)| entry(a, b)).collect();
        match options.precision {
            Precision::F64 => Values::F64(values),
            Precision::F32 => Values::F32(values.into_iter().map(|x| x as f32).collect()),
        }
    };
    let tangent = last.tangent.as_ref().map(block);
    Ok(Matrices { rows: first.samples, columns: columns.len(), kernel: block(&last.forward), tangent })
}
