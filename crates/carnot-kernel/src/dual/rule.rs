//! One activation, and the weights after it, on a line of pairs.
//!
//! A pair is carried by its angle, not its covariance: u = 1 − cos θ and w = 1 + cos θ, both ≥ 0 and each with its own
//! relative accuracy (u + w = 2), so that neither parallel nor opposite inputs lose digits. An error of u of the size
//! ε√u moves θ by ε only, which is what every formula here keeps to.

use carnot_math::device::wide::{Loop, Real};

/// How an activation turns the angle of a pair, given constants of the two points.
pub(crate) trait Rule<S: Real, const C: usize>: Copy {
    /// (u, w) of ⟨σσ⟩ and, where `SLOPE`, ⟨σ′σ′⟩.
    fn at<const FMA: bool, const SLOPE: bool>(self, row: [S; C], column: [S; C], u: S, w: S) -> (S, S, S);
}

/// What weights and a bias do to a line of pairs; `α² + β² = 1` are the shares of signal and bias in the new variance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weigh<'a, S> {
    /// Factor of Θ: C_W.
    pub(crate) c_w: S,
    /// λ_W, which lets K into Θ.
    pub(crate) lambda_w: S,
    /// λ_b.
    pub(crate) lambda_b: S,
    /// (α, β, ρ) of the row, ρ the standard deviation that enters.
    pub(crate) row: [S; 3],
    /// The same of the columns.
    pub(crate) columns: [&'a [S]; 3],
}

impl<'a, S: Real> Weigh<'a, S> {
    /// The same weights from a later column on.
    pub(crate) fn from(self, j: usize) -> Weigh<'a, S> {
        Weigh { columns: self.columns.map(|column| &column[j..]), ..self }
    }

    #[inline(always)]
    pub(crate) fn cut(self, n: usize) -> Weigh<'a, S> {
        Weigh { columns: self.columns.map(|column| &column[..n]), ..self }
    }

    /// (u, w, Θ) after the weights; `slope` is the factor that Θ still has to get.
    #[inline(always)]
    pub(crate) fn at<const FMA: bool, const TANGENT: bool>(
        &self,
        j: usize,
        u: S,
        w: S,
        slope: S,
        tangent: S,
    ) -> (S, S, S) {
        let [alpha, beta, rho] = self.row;
        let share = alpha * self.columns[0][j];
        let (apart, below) = (alpha - self.columns[0][j], beta - self.columns[1][j]);
        let above = beta + self.columns[1][j];
        // 1 ∓ cos of unit vectors (α e, β) and (α′e′, β′), as sums of terms ≥ 0.
        let apart = S::HALF * (apart * apart);
        let near = S::mad::<FMA>(S::HALF * below, below, apart);
        let far = S::mad::<FMA>(S::HALF * above, above, apart);
        let after = (S::mad::<FMA>(share, u, near), S::mad::<FMA>(share, w, far));
        if !TANGENT {
            return (after.0, after.1, tangent);
        }
        let kernel = (rho * self.columns[2][j]) * (S::HALF * (w - u));
        let kept = (self.c_w * slope) * tangent;
        (after.0, after.1, S::mad::<FMA>(self.lambda_w, kernel, kept) + self.lambda_b)
    }
}

/// An activation on a line of pairs (u, w, Θ), and the weights after it where there are any.
pub(crate) struct Pass<'a, S, R, const C: usize, const TANGENT: bool> {
    pub(crate) rule: R,
    pub(crate) row: [S; C],
    pub(crate) columns: [&'a [S]; C],
    pub(crate) weigh: Option<Weigh<'a, S>>,
}

impl<S: Real, R: Rule<S, C>, const C: usize, const TANGENT: bool> Loop<S> for Pass<'_, S, R, C, TANGENT> {
    #[inline(always)]
    fn run<const FMA: bool>(self, u: &mut [S], w: &mut [S], tangent: &mut [S]) {
        let n = u.len();
        let (w, tangent) = (&mut w[..n], if TANGENT { &mut tangent[..n] } else { tangent });
        let columns = self.columns.map(|column| &column[..n]);
        let (rule, row) = (self.rule, self.row);
        let step = |j: usize, u: S, w: S| {
            let column: [S; C] = std::array::from_fn(|c| columns[c][j]);
            rule.at::<FMA, TANGENT>(row, column, u, w)
        };
        match self.weigh {
            None => {
                for j in 0..n {
                    let (after_u, after_w, slope) = step(j, u[j], w[j]);
                    (u[j], w[j]) = (after_u, after_w);
                    if TANGENT {
                        tangent[j] = slope * tangent[j];
                    }
                }
            }
            Some(weigh) => {
                let weigh = weigh.cut(n);
                for j in 0..n {
                    let (after_u, after_w, slope) = step(j, u[j], w[j]);
                    let before = if TANGENT { tangent[j] } else { S::ZERO };
                    let after = weigh.at::<FMA, TANGENT>(j, after_u, after_w, slope, before);
                    (u[j], w[j]) = (after.0, after.1);
                    if TANGENT {
                        tangent[j] = after.2;
                    }
                }
            }
        }
    }
}

/// The identity: weights alone.
#[derive(Clone, Copy)]
pub(crate) struct Linear;

impl<S: Real> Rule<S, 0> for Linear {
    #[inline(always)]
    fn at<const FMA: bool, const SLOPE: bool>(self, _: [S; 0], _: [S; 0], u: S, w: S) -> (S, S, S) {
        (u, w, S::ONE)
    }
}
