//! Averages over one number.

use super::super::legendre;
use super::super::panels::density;
use super::Pieces;

/// Half-width of the range in standard deviations; what lies outside has weight 1e-38.
const RANGE: f64 = 13.0;
/// Points per panel, and its greatest width in standard deviations.
const POINTS: usize = 20;
const STEP: f64 = 2.0;
/// Place of a kink in standard deviations where there is no variance.
const NOWHERE: f64 = 1e8;

/// Constants of one point beside its kinks: √K, 1/√⟨σ²⟩, ⟨σ⟩, ⟨s⟩, ⟨g⟩.
pub const COLUMNS: usize = 5;

/// Averages over z ~ N(0, K).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Single {
    /// ⟨σ⟩.
    pub mean: f64,
    /// ⟨s⟩, without the jumps of σ.
    pub mean_slope: f64,
    /// ⟨g⟩.
    pub mean_curve: f64,
    /// ⟨σ²⟩.
    pub square: f64,
    /// ⟨s²⟩.
    pub slope_square: f64,
}

impl Pieces {
    /// Averages at one variance.
    ///
    /// * `variance`: K ≥ 0; at 0 these are the values at 0, with `slope` for s, which may be asked at a kink
    ///
    /// Relative error about 1e-15, also where kinks are far or the function is zero around 0.
    #[must_use]
    pub fn single(&self, variance: f64, slope: f64) -> Single {
        if variance == 0.0 {
            let [value, _, curve] = self.at(0.0);
            let (square, slope_square) = (value * value, slope * slope);
            return Single { mean: value, mean_slope: slope, mean_curve: curve, square, slope_square };
        }
        let deviation = variance.sqrt();
        let [mean, mean_slope, mean_curve, square, slope_square] =
            self.sum([deviation, deviation], |[f, s, g], _| [f, s, g, f * f, s * s]);
        Single { mean, mean_slope, mean_curve, square, slope_square }
    }

    /// The constants of one point in the order in which lines of pairs read them: those of [`COLUMNS`], then for each kink its
    /// place k/√K and e^{−k²/2K}.
    #[must_use]
    pub fn constants(&self, variance: f64, single: &Single) -> Vec<f64> {
        let deviation = variance.sqrt();
        let inverse = if single.square > 0.0 { 1.0 / single.square.sqrt() } else { 0.0 };
        let mut all = vec![deviation, inverse, single.mean, single.mean_slope, single.mean_curve];
        for kink in &self.kinks {
            let place = if variance > 0.0 { kink / deviation } else { NOWHERE };
            all.extend([place, (-0.5 * place * place).exp()]);
        }
        all
    }

    /// Averages of functions of f(√a x) and f(±√b x), x one normal number; signed deviations.
    pub(super) fn sum<const M: usize>(
        &self,
        [first, second]: [f64; 2],
        of: impl Fn([f64; 3], [f64; 3]) -> [f64; M],
    ) -> [f64; M] {
        let growth = self.rate.abs() * first.abs().max(second.abs());
        let (range, step) = (RANGE + 2.0 * growth, STEP / (0.25 * growth).max(1.0));
        let mut breaks = vec![-range, 0.0, range];
        for deviation in [first, second] {
            breaks.extend(self.kinks.iter().map(|kink| kink / deviation).filter(|x| x.abs() < range));
        }
        breaks.sort_unstable_by(f64::total_cmp);
        breaks.dedup();
        let mut sums = [0.0; M];
        for ends in breaks.windows(2) {
            let middle = 0.5 * (ends[0] + ends[1]);
            let piece = |deviation: f64| self.kinks.partition_point(|kink| *kink < deviation * middle);
            let pieces = [piece(first), piece(second)];
            let panels = ((ends[1] - ends[0]) / step).ceil();
            let half = 0.5 * (ends[1] - ends[0]) / panels;
            for panel in 0..panels as usize {
                let centre = ends[0] + half * (2.0 * panel as f64 + 1.0);
                for &(node, weight) in legendre::table(POINTS) {
                    let x = centre + half * node;
                    let values = of(self.on(pieces[0], first * x), self.on(pieces[1], second * x));
                    let weight = half * weight * density(x);
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
                }
            }
        }
        sums
    }
}
