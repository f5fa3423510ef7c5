//! An activation and its derivatives from a table: the same few nodes are wanted millions of times.

use carnot_math::formula::Formula;

/// Nodes per unit of z.
const FINENESS: f64 = 128.0;
/// Points of the interpolation: degree 5, error 0.005 h⁶ times the sixth derivative, 1e-10 for the fourth derivative of tanh.
const POINTS: usize = 6;

/// σ, σ', …, σ'''' on a uniform mesh.
pub(super) struct Jets {
    start: f64,
    values: Vec<[f64; 5]>,
}

impl Jets {
    /// For all z of size up to `reach`.
    pub(super) fn new(activation: &Formula, reach: f64) -> Self {
        let half = (reach * FINENESS).ceil() as i64 + POINTS as i64;
        let values = (-half..=half).map(|k| activation.jet(k as f64 / FINENESS)).collect();
        Self { start: -half as f64 / FINENESS, values }
    }

    /// The derivatives at one place.
    #[inline]
    pub(super) fn at(&self, z: f64) -> [f64; 5] {
        let place = (z - self.start) * FINENESS;
        let first = ((place as usize).max(2) - 2).min(self.values.len() - POINTS);
        let weights = lagrange(place - first as f64);
        let mut sum = [0.0; 5];
        for (node, weight) in self.values[first..first + POINTS].iter().zip(weights) {
            for (sum, value) in sum.iter_mut().zip(node) {
                *sum += weight * value;
            }
        }
        sum
    }
}

/// Weights of values at 0, 1, …, 5 for the value at t.
#[inline]
pub(super) fn lagrange(t: f64) -> [f64; POINTS] {
    let d: [f64; POINTS] = std::array::from_fn(|k| t - k as f64);
    let (low, high) = (d[0] * d[1] * d[2], d[3] * d[4] * d[5]);
    [
        -d[1] * d[2] * high / 120.0,
        d[0] * d[2] * high / 24.0,
        -d[0] * d[1] * high / 12.0,
        low * d[4] * d[5] / 12.0,
        -low * d[3] * d[5] / 24.0,
        low * d[3] * d[4] / 120.0,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_gives_back_the_derivatives() {
        let tanh = Formula::parse("tanh(z)").expect("a formula");
        let jets = Jets::new(&tanh, 9.0);
        for k in 0..2000 {
            let z = -9.0 + 18.0 * f64::from(k) / 1999.0;
            let (found, exact) = (jets.at(z), tanh.jet(z));
            for (order, (f, e)) in found.iter().zip(exact).enumerate() {
                assert!((f - e).abs() < 1e-9, "order {order} at {z}: {f}, exactly {e}");
            }
        }
    }
}
