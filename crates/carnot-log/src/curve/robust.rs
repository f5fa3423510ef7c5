//! Statistics that a few wild points do not move.

/// Median of the finite values; NaN of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let n = sorted.len();
    if n == 0 {
        return f64::NAN;
    }
    let (_, &mut middle, _) = sorted.select_nth_unstable_by(n / 2, f64::total_cmp);
    if n % 2 == 1 {
        return middle;
    }
    let below = sorted[..n / 2].iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (below + middle) / 2.0
}

/// Standard deviation of a normal distribution with the same median distance from `centre`.
#[must_use]
pub fn spread(values: &[f64], centre: f64) -> f64 {
    let distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    1.4826 * median(&distances)
}

/// Standard deviation of single points about a smooth trend, from second differences; 0 of fewer than four points.
#[must_use]
pub fn noise(values: &[f64]) -> f64 {
    let bends: Vec<f64> = values.windows(3).map(|three| three[2] - 2.0 * three[1] + three[0]).collect();
    let finite = bends.iter().filter(|bend| bend.is_finite()).count();
    if finite < 2 { 0.0 } else { spread(&bends, 0.0) / 6f64.sqrt() }
}

/// A straight line through points, with errors that know that neighbours are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Value at the middle of the points.
    pub mean: f64,
    /// Its standard error.
    pub mean_error: f64,
    /// Where that middle is.
    pub centre: f64,
    /// Change per unit of x.
    pub slope: f64,
    /// Its standard error.
    pub slope_error: f64,
    /// Standard deviation of the points about the line.
    pub scatter: f64,
}

impl Line {
    /// The least-squares line; `None` of fewer than three points, or of points at one place.
    ///
    /// Residuals with correlation ρ between neighbours count as n (1−ρ)/(1+ρ) independent ones.
    #[must_use]
    pub fn through(x: &[f64], y: &[f64]) -> Option<Line> {
        let n = x.len();
        if n < 3 {
            return None;
        }
        let count = n as f64;
        let (centre, mean) = (x.iter().sum::<f64>() / count, y.iter().sum::<f64>() / count);
        let spread: f64 = x.iter().map(|x| (x - centre).powi(2)).sum();
        if spread <= 0.0 || !mean.is_finite() {
            return None;
        }
        let slope = x.iter().zip(y).map(|(x, y)| (x - centre) * (y - mean)).sum::<f64>() / spread;
        let residuals: Vec<f64> = x.iter().zip(y).map(|(x, y)| y - mean - slope * (x - centre)).collect();
        let square: f64 = residuals.iter().map(|r| r * r).sum();
        let beside: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let likeness = if square > 0.0 { (beside / square).clamp(0.0, 0.95) } else { 0.0 };
        let inflation = ((1.0 + likeness) / (1.0 - likeness)).sqrt();
        let scatter = (square / (count - 2.0)).sqrt();
        Some(Line {
            mean,
            mean_error: scatter / count.sqrt() * inflation,
            centre,
            slope,
            slope_error: scatter / spread.sqrt() * inflation,
            scatter,
        })
    }

    /// The line at a place, with its error.
    #[must_use]
    pub fn at(&self, x: f64) -> (f64, f64) {
        let far = x - self.centre;
        (self.mean + self.slope * far, self.mean_error.hypot(self.slope_error * far))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_lines_are_those_of_the_textbook() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, f64::NAN, 3.0, 2.0])), (2.0, 2.5));
        assert!(median(&[]).is_nan());
        let x: Vec<f64> = (0..50).map(f64::from).collect();
        let y: Vec<f64> =
            x.iter().map(|x| 3.0 - 0.5 * x + if *x as i32 % 2 == 0 { 0.1 } else { -0.1 }).collect();
        let line = Line::through(&x, &y).unwrap();
        assert!((line.slope + 0.5).abs() < 1e-3 && (line.at(0.0).0 - 3.0).abs() < 0.05, "{line:?}");
        // Second differences of a swing of ± 0.1 are all ± 0.4.
        assert!((noise(&y) - 1.4826 * 0.4 / 6f64.sqrt()).abs() < 1e-9);
        assert_eq!(Line::through(&[1.0; 5], &[1.0; 5]), None);
    }
}
