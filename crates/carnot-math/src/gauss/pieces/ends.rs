//! Pairs from the end of the integral: parallel and opposite ones, and those where e^{α²c} has grown.

use super::line::{Chunk, Integrand, LANES, Row, Sums};
use super::special::second_remainder;
use super::{COLUMNS, MOST_KINKS, Pieces};

/// How far the integral goes towards no angle, in ln tan(t/2): e^−34 is rounding.
const REACH: f64 = 34.0;

impl Pieces {
    /// 1 ∓ cos θ′ and ⟨ss⟩ of one pair, without cancellation at any angle.
    ///
    /// With ± the sign of cos θ and c₁ = ±√(ab) the end,
    ///
    /// $$ \langle\sigma\sigma\rangle(c) = \langle\sigma\sigma\rangle(c_1) + (c-c_1)\langle ss\rangle(c_1)
    ///      + K_2(c-c_1)\langle gg\rangle(c_1) + \int_{c_1}^c \big[r_0 + (c-c')\,r_1 + K_2(c-c')\,r_2\big]\,dc' , $$
    ///
    /// where c − c₁ = ∓√(ab)(1 − |cos θ|) loses no digits, and what remains at the end is an average over one number.
    ///
    /// Slower than [`Pieces::line`] by a factor of a hundred.
    ///
    /// * `points`: [`Pieces::constants`] of both; `u`, `w`: 1 ∓ cos θ
    /// * returns: 1 ∓ cos θ′ and ⟨ss⟩
    pub fn pair(&self, points: [&[f64]; 2], u: f64, w: f64) -> (f64, f64, f64) {
        let [row, column] = points;
        let unit = row[1] * column[1];
        let has_variance = row[0] > 0.0 && column[0] > 0.0;
        if !has_variance {
            let slope = row[3] * column[3];
            let cosine = row[2] * column[2] * unit;
            let (u, w) = if unit > 0.0 { (1.0 - cosine, 1.0 + cosine) } else { (0.0, 2.0) };
            return (u.max(0.0), w.max(0.0), slope);
        }
        let (sign, small) = if u <= w { (1.0, u.max(0.0)) } else { (-1.0, w.max(0.0)) };
        let of = |f: [f64; 3], g: [f64; 3]| {
            let (a, b) = (f[0] * row[1], g[0] * column[1]);
            [0.5 * (a - b) * (a - b), 0.5 * (a + b) * (a + b), f[1] * g[1], f[2] * g[2]]
        };
        let [end_u, end_w, slopes, curves] = self.sum([row[0], sign * column[0]], of);
        let sums = self.near([row, column], sign, small);
        let x = -sign * row[0] * column[0] * small;
        let y = self.rate() * self.rate() * x;
        let remainder = second_remainder::<false>(y);
        let rest = x * slopes + x * x * remainder * curves - sums.value[0];
        let (u, w) = (end_u - rest * unit, end_w + rest * unit);
        let slope = slopes + x * (1.0 + y * remainder) * curves - sums.slope[0];
        if unit > 0.0 { (u.max(0.0), w.max(0.0), slope) } else { (0.0, 2.0, slope) }
    }

    /// The integral over the angles between the end and the pair.
    fn near(&self, [row, column]: [&[f64]; 2], sign: f64, small: f64) -> Sums {
        let mut sums = Sums { value: [0.0; LANES], slope: [0.0; LANES] };
        if small == 0.0 {
            return sums;
        }
        let (mut places, mut weights) = ([[0.0; LANES]; MOST_KINKS], [[0.0; LANES]; MOST_KINKS]);
        for kink in 0..self.kinks().len() {
            places[kink] = [sign * column[COLUMNS + 2 * kink]; LANES];
            weights[kink] = [column[COLUMNS + 2 * kink + 1]; LANES];
        }
        let end = 0.5 * (small / (2.0 - small)).ln();
        let row = Row::new(row, self.kinks().len());
        let integrand = Integrand { pieces: self, row: &row };
        for panel in 0..2 {
            let length = REACH / 2.0;
            let chunk = Chunk {
                sign: [sign; LANES],
                small: [small; LANES],
                start: [end - length * f64::from(panel + 1); LANES],
                length: [length; LANES],
                deviation: [column[0]; LANES],
                places,
                weights,
            };
            if self.rate() == 0.0 {
                integrand.add::<false, true, false, true>(&chunk, 80, &mut sums);
            } else {
                integrand.add::<false, true, true, false>(&chunk, 80, &mut sums);
            }
        }
        sums
    }
}
