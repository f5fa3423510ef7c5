//! From covariances to covariances: one activation on a block of pairs.

use carnot_math::gauss;
use carnot_math::scalar::Scalar;
use carnot_net::activation::Activation;
use carnot_net::dual::Dual;
use carnot_net::error::Unknown;

/// Which points a block of pairs takes on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The same point for every pair.
    One(usize),
    /// Consecutive points from this one on, one per pair.
    From(usize),
}

impl Lane {
    fn at(self, pair: usize) -> usize {
        match self {
            Lane::One(point) => point,
            Lane::From(first) => first + pair,
        }
    }
}

/// What is known of single Gaussian numbers z ~ N(0, K), each by itself.
#[derive(Clone, Debug)]
pub struct Points {
    /// K ≥ 0, as given.
    pub variance: Vec<f64>,
    /// ⟨σ⟩.
    pub mean: Vec<f64>,
    /// ⟨σ²⟩, the variance after the activation.
    pub square: Vec<f64>,
    /// ⟨σ′²⟩.
    pub slope_square: Vec<f64>,
}

/// An activation, ready to average over pairs.
#[derive(Clone, Debug)]
pub struct PairDual {
    activation: Activation,
    kinks: Vec<f64>,
}

impl PairDual {
    /// Prepares an activation.
    ///
    /// * `tolerance`: largest error of a tabulated ⟨σσ⟩ relative to √(⟨σ²⟩ₐ⟨σ²⟩_b), > 0; closed forms do not use it
    #[must_use]
    pub fn new(activation: &Activation, _tolerance: f64) -> PairDual {
        let kinks = activation.formula.kinks().iter().map(|kink| kink.at).collect();
        PairDual { activation: activation.clone(), kinks }
    }

    /// Averages over single numbers of these variances, in their order; needed before [`PairDual::pairs`].
    ///
    /// # Errors
    /// [`Unknown::Average`] when one does not converge.
    pub fn points(&self, variances: &[f64]) -> Result<Points, Unknown> {
        let singles = Dual::of(&self.activation).single_averages(variances)?;
        Ok(Points {
            variance: variances.to_vec(),
            mean: singles.iter().map(|single| single[0]).collect(),
            square: singles.iter().map(|single| single[1]).collect(),
            slope_square: singles.iter().map(|single| single[2]).collect(),
        })
    }

    /// Overwrites a block: `kernel` from covariances K_ab to ⟨σ(z_a)σ(z_b)⟩, `tangent` from Θ_ab to ⟨σ′(z_a)σ′(z_b)⟩ Θ_ab.
    ///
    /// $$ \begin{pmatrix} z_a \\ z_b \end{pmatrix} \sim \mathcal N\left(0, \begin{pmatrix} K_{aa} & K_{ab} \\ K_{ab} & K_{bb} \end{pmatrix}\right) $$
    ///
    /// * `rows`, `columns`: [`Points`] of the two sides, made by this activation; with `row` and `column` they say
    ///   which two points each pair joins
    /// * `kernel`: `[pairs]`, |K_ab| ≤ √(K_aa K_bb) up to rounding (beyond that it is cut)
    /// * `tangent`: `[pairs]`, where wanted
    ///
    /// # Errors
    /// [`Unknown::Average`] when an average does not converge.
    ///
    /// # Panics
    /// When the slices differ in length or a lane leaves its points.
    pub fn pairs<S: Scalar>(
        &self,
        (rows, row): (&Points, Lane),
        (columns, column): (&Points, Lane),
        kernel: &mut [S],
        mut tangent: Option<&mut [S]>,
    ) -> Result<(), Unknown> {
        assert!(tangent.as_ref().is_none_or(|tangent| tangent.len() == kernel.len()), "one tangent per pair");
        for pair in 0..kernel.len() {
            let (a, b) = (rows.variance[row.at(pair)], columns.variance[column.at(pair)]);
            let [value, slope] = self.pair(a, b, kernel[pair].to_f64())?;
            kernel[pair] = S::from_f64(value);
            if let Some(tangent) = tangent.as_mut() {
                tangent[pair] = S::from_f64(slope * tangent[pair].to_f64());
            }
        }
        Ok(())
    }

    /// ⟨σσ⟩ and ⟨σ′σ′⟩ of one pair.
    fn pair(&self, a: f64, b: f64, covariance: f64) -> Result<[f64; 2], Unknown> {
        let root = if a == b { a } else { (a * b).sqrt() };
        let covariance = covariance.clamp(-root, root);
        let formula = &self.activation.formula;
        let closed = self.activation.closed.as_ref().and_then(|closed| closed.pair(a, b, covariance));
        let [value, slope] = match closed {
            Some(pair) => [pair.ss, pair.pp],
            None => gauss::pair_average(a, b, (a - covariance) + (b - covariance), &self.kinks, |x, y| {
                let (x, y) = (formula.jet(x), formula.jet(y));
                [x[0] * y[0], x[1] * y[1]]
            }),
        };
        if value.is_finite() && slope.is_finite() {
            return Ok([value, slope]);
        }
        Err(Unknown::Average { activation: self.activation.name.clone(), variance: a.max(b) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(activation: &str, tolerance: f64) {
        let activation = Activation::parse(activation).unwrap();
        let dual = PairDual::new(&activation, tolerance);
        let points = dual.points(&[0.5, 1.0, 2.0, 1.0]).unwrap();
        let kinks: Vec<f64> = activation.formula.kinks().iter().map(|kink| kink.at).collect();
        let mut kernel = [0.3f64, -0.9, 0.7];
        let mut tangent = [1.0f64, 2.0, 3.0];
        let before = (kernel, tangent);
        dual.pairs((&points, Lane::One(1)), (&points, Lane::From(1)), &mut kernel, Some(&mut tangent))
            .unwrap();
        for pair in 0..3 {
            let (b, c) = (points.variance[1 + pair], before.0[pair]);
            let exact = gauss::pair_average(1.0, b, 1.0 + b - 2.0 * c, &kinks, |x, y| {
                let (x, y) = (activation.formula.jet(x), activation.formula.jet(y));
                [x[0] * y[0], x[1] * y[1]]
            });
            let scale = (points.square[1] * points.square[1 + pair]).sqrt();
            assert!((kernel[pair] - exact[0]).abs() <= tolerance * scale, "{}: {kernel:?}", activation.name);
            let scale = (points.slope_square[1] * points.slope_square[1 + pair]).sqrt() * before.1[pair];
            let slope = exact[1] * before.1[pair];
            assert!((tangent[pair] - slope).abs() <= tolerance * scale, "{}: {tangent:?}", activation.name);
        }
    }

    #[test]
    fn blocks_of_pairs_agree_with_quadrature() {
        for activation in ["relu", "leaky_relu(0.1)", "erf", "gelu", "relu2", "sin", "cube", "exp"] {
            check(activation, 1e-12);
        }
        for activation in ["tanh", "silu", "softplus"] {
            check(activation, 1e-10);
        }
    }
}
