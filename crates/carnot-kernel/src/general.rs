//! The general route: every layer's own rule, over all samples together.

use crate::engine::{Inputs, Options, Precision};
use crate::error::KernelError;
use crate::matrices::{Matrices, Values};
use carnot_net::error::Unknown;
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
    let theory = Theory { init, rate, mode: options.mode };
    let output = output(plan, plan.propagate(inputs, &theory))?;
    let columns = match second {
        None => 0..first.samples,
        Some(_) => first.samples..samples,
    };
    let block = |gram: &Gram| {
        let p = gram.positions;
        let entry = |a: usize, b: usize| {
            let at = |position: usize| gram.covariance(a * p + position, b * p + position);
            (0..p).map(|q| at(q).expect("equal positions are always kept")).sum::<f64>() / p as f64
        };
        let values = (0..first.samples).flat_map(|a| columns.clone().map(move |b| (a, b)));
        let values: Vec<f64> = values.map(|(a, b)| entry(a, b)).collect();
        match options.precision {
            Precision::F64 => Values::F64(values),
            Precision::F32 => Values::F32(values.into_iter().map(|x| x as f32).collect()),
        }
    };
    let tangent = output.tangent.as_ref().map(block);
    Ok(Matrices { rows: first.samples, columns: columns.len(), kernel: block(&output.forward), tangent })
}

/// The kernel that leaves the network, or the first layer in preorder that has a reason of its own for having none.
fn output(plan: &Plan, kernels: Vec<Result<Kernel, Unknown>>) -> Result<Kernel, KernelError> {
    let sites = plan.all();
    let lost = |why: &Unknown| !matches!(why, Unknown::Upstream(_));
    let mut at_fault =
        sites.iter().zip(&kernels).filter_map(|(site, kernel)| Some((site, kernel.as_ref().err()?)));
    if let Some((site, why)) = at_fault.find(|(_, why)| lost(why)) {
        let layer = site.name.clone();
        return Err(match why {
            Unknown::Overflow(_) => KernelError::Overflow { layer },
            why => KernelError::NotKnown { layer, why: why.clone() },
        });
    }
    for (site, kernel) in sites.iter().zip(&kernels) {
        let tangent = kernel.as_ref().ok().and_then(|kernel| kernel.tangent.as_ref());
        if tangent.is_some_and(|tangent| !tangent.is_finite()) {
            return Err(KernelError::Overflow { layer: site.name.clone() });
        }
    }
    // The last top-level layer is not the last in preorder when it has layers inside.
    let last = plan.sites.last().expect("a plan has at least one site");
    kernels.into_iter().nth(last.index).expect("a kernel per site").map_err(|why| {
        let layer = last.name.clone();
        KernelError::NotKnown { layer, why }
    })
}
