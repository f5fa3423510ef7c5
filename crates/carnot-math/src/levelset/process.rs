//! A Gaussian process over one axis and the plane across it, with a prior mean, its lengths chosen by the evidence.

use crate::linalg::large::Cholesky;

/// A value that was looked up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Where, in the units of the axes: along the first, and the two across it.
    pub at: [f64; 3],
    /// What was found there: signed, 0 on the border.
    pub value: f64,
    /// What was expected there before: the prior mean.
    pub prior: f64,
}

/// What is known of a function before any value of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief {
    /// Least and largest length of the first axis, and of the plane across it, in their units, > 0.
    pub lengths: [(f64, f64); 2],
    /// Least and largest standard deviation of a value's noise, > 0.
    pub noise: (f64, f64),
    /// Standard deviation of the function about its prior mean, > 0; the evidence moves it by at most a factor of two.
    pub size: f64,
}

/// Lengths that are tried along each axis, in equal ratios.
const LENGTHS: usize = 7;
/// Factors of the size that are tried.
const SIZES: [f64; 3] = [0.5, 1.0, 2.0];
/// Noises that are tried, in equal ratios.
const NOISES: usize = 3;
/// Standard deviation of ln(length) of the prior, in ln units, about the middle of its range: weak, so that a handful of equal values
/// does not make the longest length certain.
const SPREAD: f64 = 1.0;

/// A Gaussian process that has seen some values.
#[derive(Clone, Debug)]
pub struct Process {
    seen: Vec<Seen>,
    lengths: [f64; 2],
    size: f64,
    noise: f64,
    factor: Cholesky,
    /// K⁻¹ (value − prior).
    weights: Vec<f64>,
    evidence: f64,
}

/// Mean and standard deviation of the function at one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the function, without the noise of a value.
    pub sd: f64,
}

impl Process {
    /// The process with the lengths and the size of largest posterior weight: marginal likelihood times a log-normal prior of the lengths.
    ///
    /// $$ \ln p = -\tfrac12 r^\top K^{-1} r - \tfrac12 \ln\det K - \sum_a \frac{(\ln \ell_a - m_a)^2}{2} $$
    ///
    /// Matérn-5/2 along the first axis and in the distance across it, as a product. All lengths of a fixed lattice are tried, so that the answer depends on nothing but the values.
    ///
    /// * returns: `None` for a value that is not finite
    ///
    /// Source: Rasmussen, Williams, *Gaussian Processes for Machine Learning*, equations 2.30 and 4.17.
    #[must_use]
    pub fn fit(seen: &[Seen], belief: &Belief) -> Option<Process> {
        let ladder = |(low, high): (f64, f64), n: usize| -> Vec<f64> {
            let mut all: Vec<f64> =
                (0..n).map(|at| low * (high / low).powf(at as f64 / (n - 1) as f64)).collect();
            all.dedup();
            all
        };
        let noises = ladder(belief.noise, NOISES);
        let middle = |(low, high): (f64, f64)| 0.5 * (low.ln() + high.ln());
        let mut best: Option<(f64, Process)> = None;
        for &first in &ladder(belief.lengths[0], LENGTHS) {
            for &second in &ladder(belief.lengths[1], LENGTHS) {
                let lengths = [first, second];
                let prior: f64 = (0..2)
                    .map(|axis| -((lengths[axis].ln() - middle(belief.lengths[axis])) / SPREAD).powi(2) / 2.0)
                    .sum();
                for factor in SIZES {
                    for &noise in &noises {
                        let Some(process) = Process::with(seen, lengths, factor * belief.size, noise) else {
                            continue;
                        };
                        let weight = process.evidence + prior;
                        if best.as_ref().is_none_or(|(known, _)| weight > *known) {
                            best = Some((weight, process));
                        }
                    }
                }
            }
        }
        best.map(|(_, process)| process)
    }

    /// The process with these lengths and this size.
    #[must_use]
    pub fn with(seen: &[Seen], lengths: [f64; 2], size: f64, noise: f64) -> Option<Process> {
        let n = seen.len();
        let mut matrix = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                matrix[i * n + j] = size * size * matern(seen[i].at, seen[j].at, lengths);
            }
            matrix[i * n + i] += noise * noise;
        }
        let factor = Cholesky::of(matrix, n).ok()?;
        let residual: Vec<f64> = seen.iter().map(|seen| seen.value - seen.prior).collect();
        if residual.iter().any(|r| !r.is_finite()) {
            return None;
        }
        let mut weights = residual.clone();
        factor.solve_rows(&mut weights);
        let fit: f64 = residual.iter().zip(&weights).map(|(r, w)| r * w).sum();
        let evidence = -0.5 * (fit + factor.ln_det() + n as f64 * std::f64::consts::TAU.ln());
        Some(Process { seen: seen.to_vec(), lengths, size, noise, factor, weights, evidence })
    }

    /// The function at a place whose prior mean is `prior`.
    #[must_use]
    pub fn guess(&self, at: [f64; 3], prior: f64) -> Guess {
        let mut k: Vec<f64> =
            self.seen.iter().map(|seen| self.size * self.size * matern(seen.at, at, self.lengths)).collect();
        let mean = prior + k.iter().zip(&self.weights).map(|(k, w)| k * w).sum::<f64>();
        self.factor.half_solve_rows(&mut k);
        let left = self.size * self.size - k.iter().map(|k| k * k).sum::<f64>();
        Guess { mean, sd: left.max(0.0).sqrt() }
    }

    /// Length of the first axis, and of the plane across it.
    #[must_use]
    pub fn lengths(&self) -> [f64; 2] {
        self.lengths
    }

    /// Standard deviation about the prior mean.
    #[must_use]
    pub fn size(&self) -> f64 {
        self.size
    }

    /// Standard deviation of a value's noise.
    #[must_use]
    pub fn noise(&self) -> f64 {
        self.noise
    }

    /// Logarithm of the marginal likelihood.
    #[must_use]
    pub fn evidence(&self) -> f64 {
        self.evidence
    }
}

impl Guess {
    /// Probability that the function is above zero.
    #[must_use]
    pub fn above(&self) -> f64 {
        if self.sd > 0.0 {
            crate::stats::ln_normal_cdf(self.mean / self.sd).exp()
        } else {
            f64::from(u8::from(self.mean > 0.0))
        }
    }
}

/// Matérn-5/2 of both distances, multiplied: (1 + √5 d + 5d²/3) e^{−√5 d}.
fn matern(a: [f64; 3], b: [f64; 3], lengths: [f64; 2]) -> f64 {
    let of = |distance: f64, length: f64| {
        let d = 5f64.sqrt() * distance / length;
        (1.0 + d + d * d / 3.0) * (-d).exp()
    };
    of((a[0] - b[0]).abs(), lengths[0]) * of((a[1] - b[1]).hypot(a[2] - b[2]), lengths[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn belief() -> Belief {
        Belief { lengths: [(0.3, 3.0), (0.3, 3.0)], noise: (0.01, 0.01), size: 1.0 }
    }

    fn seen(f: impl Fn([f64; 3]) -> f64, n: usize) -> Vec<Seen> {
        let at =
            |i: usize| [(i % n) as f64 / (n - 1) as f64 * 3.0, (i / n) as f64 / (n - 1) as f64 * 3.0, 0.0];
        (0..n * n).map(|i| Seen { at: at(i), value: f(at(i)), prior: 0.0 }).collect()
    }

    #[test]
    fn a_smooth_function_is_read_between_its_values() {
        let f = |at: [f64; 3]| (at[0] - 0.6 * at[1] - 0.4).tanh();
        let process = Process::fit(&seen(f, 6), &belief()).unwrap();
        for at in [[0.5, 0.2, 0.0], [1.3, 1.1, 0.0], [2.2, 2.9, 0.0], [0.1, 2.7, 0.0]] {
            let guess = process.guess(at, 0.0);
            assert!((guess.mean - f(at)).abs() < 0.03, "{at:?}: {guess:?}, is {}", f(at));
            assert!((guess.mean - f(at)).abs() < 4.0 * guess.sd.max(0.01), "{at:?}: {guess:?}");
        }
    }

    /// By the formula for two values, written out.
    #[test]
    fn two_values_by_hand() {
        let seen = [
            Seen { at: [0.0; 3], value: 1.0, prior: 0.2 },
            Seen { at: [1.0, 0.0, 0.0], value: -1.0, prior: -0.1 },
        ];
        let process = Process::with(&seen, [1.0, 1.0], 2.0, 0.5).unwrap();
        let c = |d: f64| 4.0 * (1.0 + 5f64.sqrt() * d + 5.0 * d * d / 3.0) * (-(5f64.sqrt()) * d).exp();
        let (a, b) = (c(0.0) + 0.25, c(1.0));
        let det = a * a - b * b;
        let (r1, r2) = (0.8, -0.9);
        let (w1, w2) = ((a * r1 - b * r2) / det, (a * r2 - b * r1) / det);
        let guess = process.guess([0.5, 0.0, 0.0], 0.05);
        let k = c(0.5);
        assert!((guess.mean - (0.05 + k * (w1 + w2))).abs() < 1e-12, "{guess:?}");
        let expect = (4.0 - 2.0 * k * k / (a + b)).sqrt();
        assert!((guess.sd - expect).abs() < 1e-12, "{guess:?}, {expect}");
        let evidence = -0.5 * (r1 * w1 + r2 * w2 + det.ln() + 2.0 * std::f64::consts::TAU.ln());
        assert!((process.evidence() - evidence).abs() < 1e-12);
    }

    #[test]
    fn the_evidence_finds_along_which_axis_the_function_varies() {
        let process = Process::fit(&seen(|at| (3.0 * at[0]).sin(), 7), &belief()).unwrap();
        let [along, across] = process.lengths();
        assert!(across > 2.0 * along, "{along} {across}");
    }

    /// Across, only the distance counts: both axes there are alike.
    #[test]
    fn a_turn_of_the_plane_across_changes_nothing() {
        let turn = |[x, y, _]: [f64; 3]| [x, 0.6 * y, 0.8 * y];
        let flat = seen(|at| (at[0] - 0.6 * at[1] - 0.4).tanh(), 4);
        let turned: Vec<Seen> = flat.iter().map(|seen| Seen { at: turn(seen.at), ..*seen }).collect();
        let of = |seen: &[Seen]| Process::with(seen, [1.0, 1.5], 1.0, 0.1).unwrap();
        let (a, b) = (of(&flat), of(&turned));
        let at = [1.3, 1.1, 0.0];
        assert!((a.guess(at, 0.0).mean - b.guess(turn(at), 0.0).mean).abs() < 1e-12);
    }

    #[test]
    fn far_from_all_values_the_prior_stands() {
        let process = Process::fit(&seen(|_| 1.0, 2), &belief()).unwrap();
        let guess = process.guess([100.0, 100.0, 0.0], -0.7);
        assert!((guess.mean + 0.7).abs() < 1e-9 && guess.above() < 0.5, "{guess:?}");
        let bad = [Seen { at: [0.0; 3], value: f64::NAN, prior: 0.0 }];
        assert!(Process::fit(&bad, &belief()).is_none());
    }
}
