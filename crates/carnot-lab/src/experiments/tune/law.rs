//! The law by which a look at the load curve moves the knob.
//!
//! The knob integrates what is missing: in its coordinate x (see [`Knob::coordinate`]) each look at a curve of convexity c moves it by
//! $\Delta x = g\,(c^* - c)/R$, R the response of the convexity to x, g the gain. A chain says the same of one layer: the pull on block
//! l is the difference of the loads on its two sides, and shaking lets it follow that pull. So with a knob of its own each layer l
//! follows the bend at its place, $b_l = \frac{M-1}{12}(d_l - d_{l+1})/\bar d$, whose mean over layers, weighted with l(M − l), is exactly
//! the convexity of the curve.

use carnot_math::curve::shape;

use super::knob::Knob;

/// A law of control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// What is moved.
    pub knob: Knob,
    /// Wanted convexity c*; 0 is even.
    pub target: f64,
    /// g: share of what is missing that one look makes up, once the network has followed, > 0.
    pub gain: f64,
    /// R: convexity per unit of the knob's coordinate, > 0.
    pub response: f64,
    /// Total load below which nothing is moved (nats).
    pub least: f64,
    /// Between these values it moves.
    pub bounds: (f64, f64),
}

/// Convexity by which one look at most sees the curve off its target: from one corner of the phase diagrams to another it differs by
/// 0.4; without a limit a curve of hardly any total load, the divisor, would throw the knob across its range.
const MOST_MISSING: f64 = 0.2;

/// Why the knob stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// The total load is too small for a shape to mean anything.
    LittleLoad,
    /// The curve has points that are no numbers, or no shape.
    NoShape,
}

impl Law {
    /// The values from here on, one per value that was.
    ///
    /// * `values`: one, or one per hidden layer
    /// * `curve`: D_0 … D_M; `None` where not finite
    ///
    /// # Errors
    /// The reason to leave the knob where it is.
    pub fn moved(&self, values: &[f64], curve: &[Option<f64>]) -> Result<Vec<f64>, Stays> {
        let curve: Vec<f64> = curve.iter().copied().collect::<Option<_>>().ok_or(Stays::NoShape)?;
        let shape = shape(&curve).map_err(|_| Stays::NoShape)?;
        if shape.total < self.least {
            return Err(Stays::LittleLoad);
        }
        let convexity = shape.relative.map_err(|_| Stays::NoShape)?.convexity;
        let bends = if self.knob.is_by_layer() { bends(&shape.loads) } else { Vec::new() };
        // Nothing is known of what follows the last hidden layer: it moves with the whole.
        let seen = |at: usize| bends.get(at).copied().unwrap_or(convexity);
        Ok(values.iter().enumerate().map(|(at, &value)| self.step(value, seen(at))).collect())
    }

    fn step(&self, value: f64, convexity: f64) -> f64 {
        let missing = (self.target - convexity).clamp(-MOST_MISSING, MOST_MISSING);
        let to = self.knob.coordinate(value) + self.gain * missing / self.response;
        self.knob.value(to).clamp(self.bounds.0, self.bounds.1)
    }
}

/// Bend at each layer between two loads, `[M − 1]`: $\frac{M-1}{12}(d_l - d_{l+1})/\bar d$.
fn bends(loads: &[f64]) -> Vec<f64> {
    let m = loads.len() as f64;
    let mean = loads.iter().sum::<f64>() / m;
    loads.windows(2).map(|pair| (m - 1.0) / 12.0 * (pair[0] - pair[1]) / mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(knob: Knob) -> Law {
        Law { knob, target: 0.0, gain: 0.1, response: 0.35, least: 1.0, bounds: (0.0, 0.5) }
    }

    fn known(curve: &[f64]) -> Vec<Option<f64>> {
        curve.iter().copied().map(Some).collect()
    }

    #[test]
    fn bends_weighted_with_l_m_less_l_are_the_convexity() {
        let curve = [1.3, 1.1, 0.2, 0.4, -1.0, -1.1, -2.5];
        let shape = shape(&curve).unwrap();
        let m = shape.loads.len();
        let weight = |l: usize| 6.0 * (l * (m - l)) as f64 / (m * (m * m - 1)) as f64;
        let mean: f64 = bends(&shape.loads).iter().zip(1..).map(|(bend, l)| weight(l) * bend).sum();
        assert!((mean - shape.relative.unwrap().convexity).abs() < 1e-12, "{mean}");
    }

    #[test]
    fn a_concave_curve_asks_for_noise_and_a_convex_one_for_less() {
        let (concave, convex) = (known(&[2.0, 1.9, 1.5, 0.0]), known(&[2.0, 0.5, 0.1, 0.0]));
        let straight = known(&[3.0, 2.0, 1.0, 0.0]);
        let law = law(Knob::Dropout);
        assert!(law.moved(&[0.1], &concave).unwrap()[0] > 0.1);
        assert!(law.moved(&[0.1], &convex).unwrap()[0] < 0.1);
        assert!((law.moved(&[0.1], &straight).unwrap()[0] - 0.1).abs() < 1e-12);
        assert_eq!(law.moved(&[0.0], &convex).unwrap(), [0.0]);
        let far = Law { gain: 10.0, ..law };
        assert_eq!(far.moved(&[0.1], &concave).unwrap(), [0.5]);
    }

    #[test]
    fn a_layer_between_a_small_and_a_large_load_gets_more_noise() {
        // Loads 1, 0.2, 1.8, 1.
        let curve = known(&[4.0, 3.0, 2.8, 1.0, 0.0]);
        let values = law(Knob::Layers).moved(&[0.2; 4], &curve).unwrap();
        assert!(values[0] < 0.2 && values[1] > 0.2 && values[2] < 0.2, "{values:?}");
    }

    #[test]
    fn nothing_moves_without_load() {
        let law = law(Knob::Dropout);
        assert_eq!(law.moved(&[0.1], &known(&[1.0, 0.9, 0.5, 0.1])), Err(Stays::LittleLoad));
        assert_eq!(law.moved(&[0.1], &known(&[1.0, 1.9, 2.5, 3.1])), Err(Stays::LittleLoad));
        assert_eq!(law.moved(&[0.1], &[Some(2.0), None, Some(0.0)]), Err(Stays::NoShape));
        assert_eq!(law.moved(&[0.1], &[]), Err(Stays::NoShape));
    }
}
