//! Pair averages by expansion in Hermite polynomials, for a whole line of pairs at once.
//!
//! $$ \langle\sigma\sigma\rangle = \sum_k a_k b_k c^k, \qquad \langle\sigma'\sigma'\rangle = \frac{1}{\sqrt{K_a K_b}} \sum_k k\, a_k b_k c^{k-1} $$
//!
//! with aₖ, bₖ the coefficients of σ at the two variances and c the correlation.

use super::number::Number;
use super::rule::Weigh;
use carnot_math::device::wide::Loop;

/// Most pairs of one line.
pub(crate) const LINE: usize = 256;
/// Terms summed in one pass over a line: enough that arithmetic, not memory, sets the pace.
pub(crate) const TERMS: usize = 4;

/// Which powers of c occur, beside one lone term (a₀ of an odd function, a₁ of an even one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parity {
    /// c, c³, c⁵, … and a₀.
    Odd,
    /// 1, c², c⁴, … and a₁.
    Even,
    /// All.
    Neither,
}

impl Parity {
    /// The order of the term number `m`.
    pub(crate) fn order(self, m: usize) -> usize {
        match self {
            Parity::Odd => 2 * m + 1,
            Parity::Even => 2 * m,
            Parity::Neither => m,
        }
    }

    /// The order of the lone term.
    pub(crate) fn lone(self) -> Option<usize> {
        match self {
            Parity::Odd => Some(0),
            Parity::Even => Some(1),
            Parity::Neither => None,
        }
    }
}

/// The columns of a series start with these; then come the terms in their order.
pub(crate) const SLOPE_FACTOR: usize = 0;
pub(crate) const LONE: usize = 1;
pub(crate) const FIRST: usize = 2;

/// A series on a line of pairs, and the weights after it where there are any.
pub(crate) struct SeriesLine<'a, S, const TANGENT: bool, const CAREFUL: bool> {
    pub(crate) parity: Parity,
    /// Constants of the row: slope factor, lone term, terms; all over √⟨σ²⟩.
    pub(crate) row: &'a [S],
    /// The same of the columns, each `[points]`.
    pub(crate) columns: &'a [Vec<S>],
    /// First column of the line.
    pub(crate) first: usize,
    /// Terms beside the first that matter for this line.
    pub(crate) terms: usize,
    pub(crate) weigh: Option<Weigh<'a, S>>,
}

/// Sums of a line while they grow.
struct Sums<S> {
    /// Σ q_m x^m and its derivative in x.
    value: [S; LINE],
    slope: [S; LINE],
    /// T_m = Σ_{j ≥ m} q_j and Σ_{m ≥ 1} T_m x^(m−1), which is Σ q_m (1 − x^m)/(1 − x) without cancellation.
    rest: [S; LINE],
    lost: [S; LINE],
    /// ½ Σ (a_m − b_m)².
    apart: [S; LINE],
}

impl<'a, S: Number, const TANGENT: bool, const CAREFUL: bool> SeriesLine<'a, S, TANGENT, CAREFUL> {
    #[inline(always)]
    fn column(&self, at: usize, n: usize) -> &'a [S] {
        &self.columns[at][self.first..self.first + n]
    }

    /// Adds [`TERMS`] terms, the highest first.
    #[inline(always)]
    fn add<const FMA: bool>(&self, m: usize, x: &[S; LINE], sums: &mut Sums<S>, n: usize) {
        let row: [S; TERMS] = std::array::from_fn(|k| self.row[FIRST + m - k]);
        let columns: [&[S]; TERMS] = std::array::from_fn(|k| self.column(FIRST + m - k, n));
        for j in 0..n {
            let x = x[j];
            let (mut value, mut slope) = (sums.value[j], sums.slope[j]);
            let (mut rest, mut lost, mut apart) = (sums.rest[j], sums.lost[j], sums.apart[j]);
            for k in 0..TERMS {
                let q = row[k] * columns[k][j];
                if TANGENT {
                    slope = S::mad::<FMA>(slope, x, value);
                }
                value = S::mad::<FMA>(value, x, q);
                if CAREFUL {
                    rest += q;
                    lost = S::mad::<FMA>(lost, x, rest);
                    let difference = row[k] - columns[k][j];
                    apart = S::mad::<FMA>(S::HALF * difference, difference, apart);
                }
            }
            sums.value[j] = value;
            if TANGENT {
                sums.slope[j] = slope;
            }
            if CAREFUL {
                (sums.rest[j], sums.lost[j], sums.apart[j]) = (rest, lost, apart);
            }
        }
    }
}

impl<S: Number, const TANGENT: bool, const CAREFUL: bool> Loop<S> for SeriesLine<'_, S, TANGENT, CAREFUL> {
    #[inline(always)]
    fn run<const FMA: bool>(self, u: &mut [S], w: &mut [S], tangent: &mut [S]) {
        let n = u.len();
        assert!(n <= LINE, "a line has at most {LINE} pairs");
        let (w, tangent) = (&mut w[..n], if TANGENT { &mut tangent[..n] } else { tangent });
        let zeros = [S::ZERO; LINE];
        let mut sums = Sums { value: zeros, slope: zeros, rest: zeros, lost: zeros, apart: zeros };
        let (mut cosine, mut x) = (zeros, zeros);
        let by_squares = self.parity != Parity::Neither;
        for j in 0..n {
            let c = S::HALF * (w[j] - u[j]);
            cosine[j] = c;
            x[j] = if by_squares { c * c } else { c };
        }
        let most = (self.row.len().min(self.columns.len()) - FIRST - 1) / TERMS * TERMS;
        let terms = self.terms.next_multiple_of(TERMS).min(most);
        for m in (1..=terms).rev().step_by(TERMS) {
            self.add::<FMA>(m, &x, &mut sums, n);
        }
        let (factor, lone) = (self.column(SLOPE_FACTOR, n), self.column(LONE, n));
        let last = self.column(FIRST, n);
        let weigh = self.weigh.map(|weigh| weigh.cut(n));
        for j in 0..n {
            let (c, x) = (cosine[j], x[j]);
            let q = self.row[FIRST] * last[j];
            let slope = S::mad::<FMA>(sums.slope[j], x, sums.value[j]);
            let value = S::mad::<FMA>(sums.value[j], x, q);
            let single = self.row[LONE] * lone[j];
            let (value, slope) = match self.parity {
                Parity::Odd => (S::mad::<FMA>(c, value, single), S::mad::<FMA>(S::TWO * x, slope, value)),
                Parity::Even => (S::mad::<FMA>(c, single, value), S::mad::<FMA>(S::TWO * c, slope, single)),
                Parity::Neither => (value, slope),
            };
            let slope = slope * (self.row[SLOPE_FACTOR] * factor[j]);
            let (mut after_u, mut after_w) =
                ((S::ONE - value).greatest(S::ZERO), (S::ONE + value).greatest(S::ZERO));
            if CAREFUL {
                let all = sums.rest[j] + q;
                let (d0, d1) = (self.row[FIRST] - last[j], self.row[LONE] - lone[j]);
                let apart = S::mad::<FMA>(S::HALF * d0, d0, S::mad::<FMA>(S::HALF * d1, d1, sums.apart[j]));
                let square = u[j] * w[j];
                match self.parity {
                    Parity::Odd => {
                        let is_near = u[j] <= w[j];
                        let size = if is_near { c } else { -c };
                        let lost = S::mad::<FMA>(size * square, sums.lost[j], u[j].least(w[j]) * all);
                        let small = apart + lost + if is_near { S::ZERO } else { S::TWO * single };
                        after_u = if is_near { small } else { S::TWO - small };
                        after_w = if is_near { S::TWO - small } else { small };
                    }
                    Parity::Even => {
                        after_u = apart + S::mad::<FMA>(square, sums.lost[j], single * u[j]);
                        after_w = S::TWO - after_u;
                    }
                    Parity::Neither => {
                        after_u = S::mad::<FMA>(u[j], sums.lost[j], apart);
                        after_w = S::TWO - after_u;
                    }
                }
                after_u = after_u.greatest(S::ZERO);
                after_w = after_w.greatest(S::ZERO);
            }
            let before = if TANGENT { tangent[j] } else { S::ZERO };
            let after = match &weigh {
                None => (after_u, after_w, slope * before),
                Some(weigh) => weigh.at::<FMA, TANGENT>(j, after_u, after_w, slope, before),
            };
            (u[j], w[j]) = (after.0, after.1);
            if TANGENT {
                tangent[j] = after.2;
            }
        }
    }
}

/// Terms beside the first that a line needs whose |correlations| go up to `cosine`: the rest is below a part of the whole.
pub(crate) fn terms_needed(shares: [&[f64]; 2], parity: Parity, cosine: f64, part: f64) -> usize {
    let most = shares[0].len().min(shares[1].len());
    if cosine >= 1.0 || most == 0 {
        return most.saturating_sub(1);
    }
    if cosine <= 0.0 {
        return 0;
    }
    let share = |m: usize| (shares[0][m] * shares[1][m]).sqrt();
    let (step, mut left) = (if parity == Parity::Neither { cosine } else { cosine * cosine }, 0.0);
    // Powers below e^-600 add nothing, and a power that has fallen to zero would never rise again.
    let felt = 1 + (600.0 / -step.ln()) as usize;
    let last = most.min(felt) - 1;
    let mut power = cosine.powi(parity.order(last) as i32);
    for m in (1..=last).rev() {
        left += share(m) * power;
        if left > part {
            return m;
        }
        power /= step;
    }
    0
}
