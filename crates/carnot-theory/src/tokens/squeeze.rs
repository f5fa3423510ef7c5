//! What an MLP does to the distance of two vectors.

use carnot_math::gauss::{average, pair_average, smooth_pair_average};
use carnot_net::activation::recognise::recognise;

use super::Mlp;
use crate::error::TheoryError;

/// Distances at which the average is taken; between them the logarithm is interpolated.
const POINTS: usize = 65;
/// How much denser they lie near 1 than evenly in ln δ.
const DENSER: f64 = 8.0;
/// Smallest distance; below it the MLP is linear.
const LEAST: f64 = 1e-12;

/// Largest variance at which a smooth activation is averaged with few nodes, and their number in each direction.
const SMOOTH: f64 = 2.0;
const ORDER: usize = 60;

/// Half the squared distance of what leaves an MLP, by that of the unit vectors that enter.
pub(super) struct Squeeze {
    /// Mean square of what leaves.
    pub(super) mean_square: f64,
    /// At evenly spaced [`axis`]: ln of what leaves; empty where nothing does.
    table: Vec<f64>,
}

impl Squeeze {
    pub(super) fn new(mlp: &Mlp) -> Result<Squeeze, TheoryError> {
        let failed = || TheoryError::NotFinite { kernel: mlp.c_in };
        let kinks: Vec<f64> = mlp.activation.kinks().iter().map(|kink| kink.at).collect();
        let value = |z: f64| mlp.activation.value(z);
        let square = average(|z| value(z).powi(2), mlp.c_in, &kinks).map_err(|_| failed())?.value;
        let gate = if mlp.is_gated { mlp.c_in } else { 1.0 };
        let mean_square = mlp.c_out * gate * square;
        if !mean_square.is_finite() {
            return Err(failed());
        }
        if mean_square == 0.0 {
            return Ok(Squeeze { mean_square, table: Vec::new() });
        }
        let closed = recognise(&mlp.activation);
        let known = |c: f64, d: f64| {
            let wrapped = closed.as_ref()?;
            let inner = wrapped.inner * wrapped.inner;
            let apart = wrapped.form.distance(inner * c, inner * c, inner * d)?;
            Some(wrapped.outer * wrapped.outer * apart / 2.0)
        };
        let at = |k: usize| {
            let delta = Squeeze::place(k);
            let (c, d) = (mlp.c_in, 2.0 * mlp.c_in * delta);
            let half_square = |x: f64, y: f64| [(value(x) - value(y)).powi(2) / 2.0];
            let apart = known(c, d).unwrap_or_else(|| match kinks.is_empty() && c <= SMOOTH {
                true => smooth_pair_average(c, c, d, ORDER, half_square)[0],
                false => pair_average(c, c, d, &kinks, half_square)[0],
            });
            // The gate's product of two independent averages.
            let whole = if mlp.is_gated { mlp.c_in * (apart + delta * (square - apart)) } else { apart };
            (mlp.c_out * whole).ln()
        };
        let table: Vec<f64> = (0..POINTS).map(at).collect();
        if table.iter().all(|x| x.is_finite()) { Ok(Squeeze { mean_square, table }) } else { Err(failed()) }
    }

    /// The distance of a point of the table, by bisection.
    fn place(k: usize) -> f64 {
        let wanted = axis(LEAST) + (axis(1.0) - axis(LEAST)) * k as f64 / (POINTS - 1) as f64;
        let (mut low, mut high) = (LEAST.ln(), 0.0);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            *(if axis(middle.exp()) < wanted { &mut low } else { &mut high }) = middle;
        }
        high.exp()
    }

    /// * `delta`: 1 − cosine of what enters, 0 to 1
    pub(super) fn apart(&self, delta: f64) -> f64 {
        if self.table.is_empty() || delta <= 0.0 {
            return 0.0;
        }
        if delta <= LEAST {
            return self.table[0].exp() * delta / LEAST;
        }
        let x = (axis(delta.min(1.0)) - axis(LEAST)) / (axis(1.0) - axis(LEAST)) * (POINTS - 1) as f64;
        // Four points around, as a cubic.
        let first = (x as usize).clamp(1, POINTS - 3) - 1;
        let mut sum = 0.0;
        for i in 0..4 {
            let others = (0..4).filter(|j| *j != i);
            let weight: f64 = others.map(|j| (x - (first + j) as f64) / (i as f64 - j as f64)).product();
            sum += weight * self.table[first + i];
        }
        sum.exp()
    }

    /// Derivative of [`Squeeze::apart`] by δ: with $C_2$ and the variance $C_1$ of what enters, $C_1C_2\langle\sigma'\sigma'\rangle$ of two
    /// vectors at that distance, by which small changes of both that go together are carried on; at 0 that of a vector alone.
    ///
    /// * `delta`: 1 − cosine of what enters, 0 to 1
    pub(super) fn slope(&self, delta: f64) -> f64 {
        if self.table.is_empty() {
            return 0.0;
        }
        let at = delta.clamp(LEAST, 1.0);
        if at <= 2.0 * LEAST {
            return self.table[0].exp() / LEAST;
        }
        let (low, high) = (at * (1.0 - NEAR), (at * (1.0 + NEAR)).min(1.0));
        (self.apart(high) - self.apart(low)) / (high - low)
    }
}

/// Relative distance over which slopes are taken: the table's cubic is good to 1e-4 of itself.
const NEAR: f64 = 0.01;

/// Where a distance lies in the table.
fn axis(delta: f64) -> f64 {
    delta.ln() + DENSER * delta
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::formula::Formula;

    /// For the ReLU, 1 − K with K(ρ) = [√(1 − ρ²) + ρ(π − arccos ρ)]/π, halved.
    #[test]
    fn of_the_relu_it_is_the_arc_cosine_kernel() {
        let activation = Formula::parse("max(z, 0)").unwrap();
        let squeeze = Squeeze::new(&Mlp { activation, c_in: 0.4, c_out: 1.6, is_gated: false }).unwrap();
        assert!((squeeze.mean_square - 0.32).abs() < 1e-12);
        for delta in [1.0, 0.7, 0.3, 0.01, 1e-4] {
            let rho: f64 = 1.0 - delta;
            let kernel =
                ((1.0 - rho * rho).sqrt() + rho * (std::f64::consts::PI - rho.acos())) / std::f64::consts::PI;
            let expect = 0.32 * (1.0 - kernel);
            assert!(
                (squeeze.apart(delta) / expect - 1.0).abs() < 1e-4,
                "{delta}: {} and {expect}",
                squeeze.apart(delta)
            );
        }
        // Near one another the slope is that of the average squared slope.
        assert!((squeeze.apart(1e-14) / (0.32 * 1e-14) - 1.0).abs() < 1e-4);
        assert_eq!(squeeze.apart(0.0), 0.0);
        // ⟨σ'σ'⟩ is (π − arccos ρ)/2π, times C₁C₂ = 0.64.
        for delta in [1.0, 0.7, 0.3, 0.01, 1e-4, 0.0] {
            let expect =
                0.64 * (std::f64::consts::PI - f64::acos(1.0 - delta)) / (2.0 * std::f64::consts::PI);
            let found = squeeze.slope(delta);
            assert!((found / expect - 1.0).abs() < 0.01, "{delta}: {found} and {expect}");
        }
    }

    /// Few nodes give what many give: 1e-4 is what the table gives.
    #[test]
    fn smooth_activations_are_averaged_as_kinked_ones_are() {
        for text in ["z * (1 + erf(z / sqrt(2))) / 2", "tanh(z)"] {
            let activation = Formula::parse(text).unwrap();
            let squeeze =
                Squeeze::new(&Mlp { activation: activation.clone(), c_in: 1.5, c_out: 1.0, is_gated: false })
                    .unwrap();
            for delta in [1.0, 0.3, 1e-3, 1e-9] {
                let [expect] = pair_average(1.5, 1.5, 3.0 * delta, &[], |x, y| {
                    [(activation.value(x) - activation.value(y)).powi(2) / 2.0]
                });
                assert!(
                    (squeeze.apart(delta) / expect - 1.0).abs() < 1e-4,
                    "{text} {delta}: {} and {expect}",
                    squeeze.apart(delta)
                );
            }
        }
    }

    #[test]
    fn a_gate_multiplies_two_averages() {
        let gated = |text: &str| Mlp {
            activation: Formula::parse(text).unwrap(),
            c_in: 0.5,
            c_out: 2.0,
            is_gated: true,
        };
        // σ = z: the product of two independent linear maps has the covariance (0.5 ρ)², times 2.
        let squeeze = Squeeze::new(&gated("z")).unwrap();
        assert!((squeeze.mean_square - 0.5).abs() < 1e-12);
        for delta in [0.9, 0.2, 1e-3] {
            let rho: f64 = 1.0 - delta;
            assert!((squeeze.apart(delta) / (0.5 * (1.0 - rho * rho)) - 1.0).abs() < 1e-4, "{delta}");
        }
    }
}
