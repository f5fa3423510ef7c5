//! Pair averages of functions with kinks, by one integral over the angle.
//!
//! A function is taken apart into what jumps at its kinks $k_i$ and what does not: σ jumps by $v_i$, its slope s by $h_i$, and
//! the rest of its curvature, g, by $g_i$, where g is γ e^{αz} with one rate α on all pieces. That is
//!
//! $$ \sigma' = s + \sum_i v_i\,\delta(z-k_i), \qquad s' = g + \sum_i h_i\,\delta(z-k_i), \qquad
//!    g' = \alpha g + \sum_i g_i\,\delta(z-k_i). $$
//!
//! With d⟨f f⟩/dc = ⟨f′f′⟩ (Price 1958) the averages of a pair with variances a, b and covariance c are
//!
//! $$ \langle ss\rangle = \langle s\rangle\langle s\rangle + K_1(c)\langle g\rangle\langle g\rangle
//!      + \int_0^c \big[r_1(c') + K_1(c-c')\,r_2(c')\big]\,dc' , $$
//! $$ \langle\sigma\sigma\rangle = \langle\sigma\rangle\langle\sigma\rangle + c\,\langle s\rangle\langle s\rangle
//!      + K_2(c)\langle g\rangle\langle g\rangle + \int_0^c \big[r_0(c') + (c-c')\,r_1(c') + K_2(c-c')\,r_2(c')\big]\,dc' , $$
//!
//! $$ K_1(x) = \frac{e^{\alpha^2 x}-1}{\alpha^2}, \quad K_2(x) = \frac{e^{\alpha^2x}-1-\alpha^2x}{\alpha^4}; \qquad
//!    r = \sum_{ij} j_i j_j\,\varphi(k_i,k_j) + \sum_i j_i\big[\varphi_a(k_i)\,m_b(k_i) + \varphi_b(k_i)\,m_a(k_i)\big] $$
//!
//! with (jump, mean) = (v, s), (h, g), (g, αg) in r₀, r₁, r₂; φ densities of one and of two numbers, and m the mean of the
//! function of one number where the other sits at a kink: error functions of
//! $(k_j - \rho\sqrt{b/a}\,k_i)/\sqrt{b(1-\rho^2)}$. The one integral left is over the angle t, ρ = cos t, from a right angle to
//! that of the pair; it is taken in ln tan(t/2), in which the steps that near kinks make for near points have a width of 1.
//!
//! Nothing cancels, neither at small variances, where kinks are far, nor at large ones, where the function is all kink.
//! ⟨σσ⟩/√(⟨σ²⟩⟨σ²⟩) and ⟨ss⟩/√(⟨s²⟩⟨s²⟩) are good to 1e-13. Pairs nearer than 1e-3 in angle, and those with α²c > 4, start from
//! the other end of the integral, ρ = ±1, where σ(√a x) and σ(√b x) differ by little or nothing and e^{α²c} only falls.
//!
//! * `single`: averages over one number
//! * `line`: a line of pairs, sixteen at a time
//! * `ends`: parallel and opposite pairs
//! * `special`: exponential and error function without branches
//!
//! Source of the theorem: Price, IRE Trans. Inf. Theory 4 (1958) 69; for the probability of a quadrant this is the integral of
//! Drezner & Wesolowsky, J. Stat. Comput. Simul. 35 (1990) 101.

mod ends;
mod line;
mod single;
mod special;
#[cfg(test)]
mod tests;

pub use single::{COLUMNS, Single};

/// Largest α²K: beyond, e^{α²(c−c′)} is narrower than the integral over the angle resolves.
const MOST_GROWTH: f64 = 34.0;
/// Most kinks.
pub const MOST_KINKS: usize = 8;

/// One piece: A + B z + γ (e^{αz} − 1 − αz)/α², or A + B z + γ z²/2 where α = 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Piece {
    /// A.
    pub constant: f64,
    /// B.
    pub slope: f64,
    /// γ.
    pub curve: f64,
}

/// A function made of pieces between kinks.
#[derive(Clone, Debug, PartialEq)]
pub struct Pieces {
    kinks: Vec<f64>,
    pieces: Vec<Piece>,
    rate: f64,
    /// What jumps at each kink: σ, s, g.
    jumps: Vec<[f64; 3]>,
    /// The piece from which jumps are counted.
    base: usize,
    /// Pairs of kinks that contribute, those that mirror each other taken together.
    meetings: Vec<Meeting>,
}

/// Two kinks and the products of their jumps.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Meeting {
    row: usize,
    column: usize,
    /// v v, h h, g g.
    products: [f64; 3],
}

impl Pieces {
    /// A function of these pieces; `None` beyond [`MOST_KINKS`] kinks, or with jumps of σ and α ≠ 0.
    ///
    /// * `kinks`: ascending; `pieces`: one more, from left to right; `rate`: α
    ///
    /// # Panics
    /// When the numbers of kinks and pieces do not fit.
    #[must_use]
    pub fn new(kinks: &[f64], pieces: &[Piece], rate: f64) -> Option<Pieces> {
        assert_eq!(pieces.len(), kinks.len() + 1, "one piece more than kinks");
        if kinks.is_empty() || kinks.len() > MOST_KINKS {
            return None;
        }
        let flat = pieces.iter().position(|piece| piece.curve == 0.0);
        let middle = kinks.partition_point(|kink| *kink <= 0.0);
        let mut all = Pieces {
            kinks: kinks.to_vec(),
            pieces: pieces.to_vec(),
            rate,
            jumps: Vec::new(),
            base: flat.unwrap_or(middle),
            meetings: Vec::new(),
        };
        all.jumps = (0..kinks.len()).map(|at| all.jump(at)).collect();
        let has_steps = all.jumps.iter().any(|jump| jump[0] != 0.0);
        let is_finite = all.jumps.iter().flatten().all(|jump| jump.is_finite());
        all.meetings = all.meetings();
        (is_finite && !(has_steps && rate != 0.0)).then_some(all)
    }

    /// Places of the kinks, ascending.
    #[must_use]
    pub fn kinks(&self) -> &[f64] {
        &self.kinks
    }

    /// α.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether averages at this variance hold: α²K ≤ 34.
    #[must_use]
    pub fn holds_at(&self, variance: f64) -> bool {
        variance >= 0.0 && self.rate * self.rate * variance <= MOST_GROWTH
    }

    /// σ, s and g on one piece, which is extended beyond its ends.
    #[inline]
    fn on(&self, piece: usize, z: f64) -> [f64; 3] {
        let Piece { constant, slope, curve } = self.pieces[piece];
        if curve == 0.0 {
            return [constant + slope * z, slope, 0.0];
        }
        if self.rate == 0.0 {
            return [constant + z * (slope + 0.5 * curve * z), slope + curve * z, curve];
        }
        let y = self.rate * z;
        let first = y.exp_m1() / self.rate;
        let second = if y.abs() < 1.0 {
            z * z * special::second_remainder::<false>(y)
        } else {
            (first - z) / self.rate
        };
        [constant + slope * z + curve * second, slope + curve * first, curve * y.exp()]
    }

    /// σ, s and g; at a kink those on its left.
    #[must_use]
    pub fn at(&self, z: f64) -> [f64; 3] {
        self.on(self.kinks.partition_point(|kink| *kink < z), z)
    }

    fn jump(&self, at: usize) -> [f64; 3] {
        let (left, right) = (self.on(at, self.kinks[at]), self.on(at + 1, self.kinks[at]));
        // What rounding leaves of a function that does not jump would pass for a step.
        let jump =
            |(l, r): (f64, f64)| if (r - l).abs() <= 1e-12 * (l.abs() + r.abs()) { 0.0 } else { r - l };
        std::array::from_fn(|k| jump((left[k], right[k])))
    }

    /// Whether kinks sit opposite each other.
    fn mirror(&self, at: usize) -> Option<usize> {
        self.kinks.iter().position(|kink| *kink == -self.kinks[at])
    }

    /// φ(x, y) = φ(−x, −y): two meetings in one.
    fn meetings(&self) -> Vec<Meeting> {
        let mut all: Vec<Meeting> = Vec::new();
        for row in 0..self.kinks.len() {
            for column in 0..self.kinks.len() {
                let products = std::array::from_fn(|k| self.jumps[row][k] * self.jumps[column][k]);
                let mirrored = self.mirror(row).zip(self.mirror(column));
                let other = all.iter_mut().find(|other| Some((other.row, other.column)) == mirrored);
                match other {
                    Some(other) => (0..3).for_each(|k| other.products[k] += products[k]),
                    None => all.push(Meeting { row, column, products }),
                }
            }
        }
        all.retain(|meeting| meeting.products != [0.0; 3]);
        all
    }
}
