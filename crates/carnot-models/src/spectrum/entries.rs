//! Entries of a matrix: moments, what is not finite, and the law they may have been drawn from.

use carnot_math::device::wide::{Loop, Real, widest};
use serde::{Deserialize, Serialize};

use super::{Answer, Unknown};

/// Moments of the entries of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entries {
    /// Number of entries N.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation σ, > 0.
    pub std: f64,
    /// Relative standard error of σ², from the fourth moment: $\sqrt{(\mathrm{kurt} + 2)/N}$.
    pub variance_error: f64,
    /// Excess kurtosis: 0 for a Gaussian, −1.2 for a uniform law.
    pub kurtosis: f64,
    /// Largest |w − mean| in units of σ.
    pub largest: f64,
}

/// How entries look as if they had been drawn, and nothing had happened to them since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// Gaussian.
    Normal,
    /// Gaussian, cut at two standard deviations.
    TruncatedNormal,
    /// Uniform.
    Uniform,
    /// None of these: trained, pruned, quantised, or drawn in another way.
    Other,
}

impl Law {
    /// As printed.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Law::Normal => "normal",
            Law::TruncatedNormal => "normal, cut at 2σ",
            Law::Uniform => "uniform",
            Law::Other => "other",
        }
    }
}

/// Number of NaN and of infinite entries.
#[must_use]
pub fn not_finite(values: &[f32]) -> (u64, u64) {
    let count = |is: fn(&f32) -> bool| values.iter().filter(|&value| is(value)).count() as u64;
    if values.iter().all(|value| value.is_finite()) {
        return (0, 0);
    }
    (count(|value| value.is_nan()), count(|value| value.is_infinite()))
}

impl Entries {
    /// The moments of all entries.
    ///
    /// $$ \sigma^2 = \frac1N \sum (w - \bar w)^2, \qquad \mathrm{kurt} = \frac{1}{N\sigma^4}\sum (w - \bar w)^4 - 3 $$
    ///
    /// # Errors
    /// [`Unknown::NotFinite`]; [`Unknown::Constant`], for which only the value is known; [`Unknown::TooFew`] for nothing.
    pub fn of(values: &[f32]) -> Answer<Entries> {
        let Some(first) = values.first() else { return Err(Unknown::TooFew { found: 0, needed: 1 }) };
        let n = values.len() as f64;
        let mut sums = [0.0; LANES];
        widest(Sums(values), &mut sums, &mut [], &mut []);
        let total: f64 = sums.iter().sum();
        // Finite entries in single precision cannot add up to more than a double holds.
        if !total.is_finite() {
            let (nan, infinite) = not_finite(values);
            return Err(Unknown::NotFinite { nan, infinite });
        }
        if values.iter().all(|value| value == first) {
            return Err(Unknown::Constant { value: f64::from(*first) });
        }
        let mean = total / n;
        let [mut squares, mut fourths, mut sizes] = [[0.0; LANES]; 3];
        widest(Powers { values, mean }, &mut squares, &mut fourths, &mut sizes);
        let (second, fourth) = (squares.iter().sum::<f64>() / n, fourths.iter().sum::<f64>() / n);
        let kurtosis = fourth / (second * second) - 3.0;
        let std = second.sqrt();
        let largest = sizes.iter().fold(0.0f64, |most, size| most.max(*size)).sqrt() / std;
        let variance_error = ((kurtosis + 2.0).max(0.0) / n).sqrt();
        Ok(Entries { count: values.len() as u64, mean, std, variance_error, kurtosis, largest })
    }

    /// The law whose mean, kurtosis and range are those of the entries, within four standard errors.
    ///
    /// The standard errors of the kurtosis of N draws are $\sqrt{24/N}$ for a Gaussian and, from the eighth moment, 3.8/√N and 1.7/√N for
    /// the other two.
    #[must_use]
    pub fn law(&self) -> Law {
        let root = (self.count as f64).sqrt();
        let centred = (self.mean / self.std).abs() < 4.0 / root;
        let is = |kurtosis: f64, error: f64| (self.kurtosis - kurtosis).abs() < 4.0 * error / root;
        // A Gaussian cut at 2σ has variance 0.7741 and excess kurtosis −0.6344; its ends lie at 2.273 of its own σ.
        match () {
            () if !centred => Law::Other,
            () if is(0.0, 24f64.sqrt()) => Law::Normal,
            () if is(-0.6344, 1.7) && self.largest < 2.30 => Law::TruncatedNormal,
            () if is(-1.2, 1.0) && self.largest < 1.76 => Law::Uniform,
            () => Law::Other,
        }
    }
}

/// Sums that run side by side, so that rounding does not grow with the number of entries and the processor is busy.
const LANES: usize = 32;

/// Entries added up before the sum of their lane is touched: reading and writing the lanes would take longer than adding.
const DEEP: usize = 4;

/// Sum, by lanes.
struct Sums<'a>(&'a [f32]);

impl Loop<f64> for Sums<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, sums: &mut [f64], _: &mut [f64], _: &mut [f64]) {
        let sums = &mut sums[..LANES];
        let whole = self.0.chunks_exact(DEEP * LANES);
        for (w, lane) in whole.remainder().iter().zip((0..LANES).cycle()) {
            sums[lane] += f64::from(*w);
        }
        for chunk in whole {
            let (a, b, c, d) = quarters(chunk);
            for lane in 0..LANES {
                let [a, b, c, d] = [a[lane], b[lane], c[lane], d[lane]].map(f64::from);
                sums[lane] += (a + b) + (c + d);
            }
        }
    }
}

/// Second and fourth powers of the distance from the mean, and the largest square, by lanes.
struct Powers<'a> {
    values: &'a [f32],
    mean: f64,
}

impl Loop<f64> for Powers<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, squares: &mut [f64], fourths: &mut [f64], sizes: &mut [f64]) {
        let (squares, fourths, sizes) = (&mut squares[..LANES], &mut fourths[..LANES], &mut sizes[..LANES]);
        let whole = self.values.chunks_exact(DEEP * LANES);
        for (w, lane) in whole.remainder().iter().zip((0..LANES).cycle()) {
            let square = (f64::from(*w) - self.mean).powi(2);
            squares[lane] += square;
            fourths[lane] += square * square;
            sizes[lane] = square.greatest(sizes[lane]);
        }
        for chunk in whole {
            let (a, b, c, d) = quarters(chunk);
            for lane in 0..LANES {
                let of = |w: f32| {
                    let distance = f64::from(w) - self.mean;
                    distance * distance
                };
                let (a, b, c, d) = (of(a[lane]), of(b[lane]), of(c[lane]), of(d[lane]));
                squares[lane] += (a + b) + (c + d);
                let two = f64::mad::<FMA>(a, a, b * b);
                fourths[lane] += f64::mad::<FMA>(c, c, two) + d * d;
                sizes[lane] = a.greatest(b).greatest(c.greatest(d)).greatest(sizes[lane]);
            }
        }
    }
}

/// A chunk cut in four.
#[inline(always)]
fn quarters(chunk: &[f32]) -> (&[f32], &[f32], &[f32], &[f32]) {
    let (a, rest) = chunk.split_at(LANES);
    let (b, rest) = rest.split_at(LANES);
    let (c, d) = rest.split_at(LANES);
    (a, b, c, &d[..LANES])
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::random::Stream;

    fn draws(law: Law, n: usize, seed: u64) -> Vec<f32> {
        let mut stream = Stream::new(seed, "entries", &[]);
        let draw = |_| match law {
            Law::Normal => stream.normal(),
            Law::Uniform => stream.uniform() as f32 - 0.5,
            _ => loop {
                let z: f32 = stream.normal();
                if z.abs() < 2.0 {
                    break z;
                }
            },
        };
        (0..n).map(draw).collect()
    }

    #[test]
    fn laws_are_recognised_and_their_variances_are_within_their_errors() {
        for (law, variance) in
            [(Law::Normal, 1.0), (Law::Uniform, 1.0 / 12.0), (Law::TruncatedNormal, 0.774_1)]
        {
            for seed in 0..20 {
                let entries = Entries::of(&draws(law, 20_000, seed)).unwrap();
                assert_eq!(entries.law(), law, "seed {seed}: {entries:?}");
                let z = (entries.std.powi(2) / variance - 1.0) / entries.variance_error;
                assert!(
                    z.abs() < 4.0,
                    "{law:?}: variance {} against {variance}, z = {z} (seed {seed})",
                    entries.std.powi(2)
                );
            }
        }
        let mut trained = draws(Law::Normal, 20_000, 1);
        trained[7] = 40.0;
        assert_eq!(Entries::of(&trained).unwrap().law(), Law::Other);
    }

    #[test]
    fn what_has_no_moments_says_why() {
        assert_eq!(
            Entries::of(&[1.0, f32::NAN, f32::INFINITY]),
            Err(Unknown::NotFinite { nan: 1, infinite: 1 })
        );
        assert_eq!(Entries::of(&[2.0; 9]), Err(Unknown::Constant { value: 2.0 }));
    }
}
