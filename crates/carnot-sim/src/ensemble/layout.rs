//! Which numbers of a member are remembered, and where they stand in a row.

use super::Ensemble;
use carnot_net::observables::TABLE;
use carnot_net::reading::Reading;

/// A number of a member, or why there is none.
pub(super) type Number = Result<f64, String>;

/// The layers that are read.
pub(super) struct Layout {
    pub(super) samples: usize,
    pub(super) layers: Vec<LayerLayout>,
}

/// One layer and the numbers read of it.
pub(super) struct LayerLayout {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) width: usize,
    pub(super) gradient: bool,
    pub(super) tangent: bool,
}

impl Layout {
    pub(super) fn new(ensemble: &Ensemble) -> Layout {
        let sites = ensemble.plan.read_sites();
        let last = sites.len().saturating_sub(1);
        let layer = |(i, site): (usize, &&carnot_net::plan::Site)| LayerLayout {
            index: site.index,
            name: site.name.clone(),
            width: site.output.width(),
            gradient: ensemble.gradient,
            tangent: ensemble.tangent.is_some() && i == last,
        };
        let samples = ensemble.inputs.len() / ensemble.plan.input.len();
        Layout { samples, layers: sites.iter().enumerate().map(layer).collect() }
    }

    /// One row per layer: kernels, distances, gradients, tangents, observables.
    pub(super) fn numbers(&self, ensemble: &Ensemble, readings: &[Reading]) -> Vec<Row> {
        let row = |(layer, reading): (&LayerLayout, &Reading)| {
            let pairs = |gram: &carnot_net::kernel::Gram| {
                let of = |(a, b)| gram.distance_of(a, b).expect("a pair that is kept");
                gram.pairs().map(of).map(checked).collect::<Vec<Number>>()
            };
            let plain = |values: &[f64]| values.iter().map(|&x| checked(x)).collect::<Vec<Number>>();
            let gradient = match (layer.gradient, reading.gradient.is_empty()) {
                (true, true) => {
                    vec![Err("the gradient is exactly zero at the output".to_string()); self.samples]
                }
                _ => plain(&reading.gradient),
            };
            let tangent = reading.tangent.as_ref();
            Row {
                kernel: plain(&reading.forward.variance),
                distance: pairs(&reading.forward),
                gradient,
                tangent: tangent.map_or_else(Vec::new, |gram| plain(&gram.variance)),
                tangent_distance: tangent.map_or_else(Vec::new, pairs),
                observables: TABLE
                    .iter()
                    .map(|row| {
                        let value = (row.of)(reading, ensemble.labels);
                        value.map_err(|missing| missing.to_string()).and_then(checked)
                    })
                    .collect(),
            }
        };
        self.layers.iter().zip(readings).map(row).collect()
    }
}

/// The numbers of one layer of one member.
pub(super) struct Row {
    pub(super) kernel: Vec<Number>,
    pub(super) distance: Vec<Number>,
    pub(super) gradient: Vec<Number>,
    pub(super) tangent: Vec<Number>,
    pub(super) tangent_distance: Vec<Number>,
    pub(super) observables: Vec<Number>,
}

/// The fourth power of a number must fit into double precision, or its moments would not.
fn checked(value: f64) -> Number {
    if !value.is_finite() {
        return Err("the signal overflows".to_string());
    }
    let size = value.abs();
    match size {
        _ if size > 1e75 => Err("the signal is beyond 1e75".to_string()),
        _ if size > 0.0 && size < 1e-75 => Err("the signal is below 1e-75".to_string()),
        _ => Ok(value),
    }
}
