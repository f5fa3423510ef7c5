//! Norms and joins on a line of pairs.

use carnot_math::device::wide::{Loop, Real};

/// LayerNorm or RMSNorm: α = √(K/K_c), μ = mean/√K_c with K_c the centred variance, and the factor of Θ.
pub(super) struct Norm<'a, S> {
    pub(super) row: [S; 3],
    pub(super) columns: [&'a [S]; 3],
    pub(super) tangent: bool,
}

impl<S: Real> Loop<S> for Norm<'_, S> {
    #[inline(always)]
    fn run<const FMA: bool>(self, u: &mut [S], w: &mut [S], tangent: &mut [S]) {
        let n = u.len();
        let w = &mut w[..n];
        let [alphas, means, factors] = self.columns.map(|column| &column[..n]);
        let [alpha, mean, factor] = self.row;
        for j in 0..n {
            let share = alpha * alphas[j];
            let (apart, below, above) = (alpha - alphas[j], mean - means[j], mean + means[j]);
            // α² − μ² = 1, so 1 ∓ (αα′c − μμ′) = αα′(1 ∓ c) − ½[(μ ∓ μ′)² − (α − α′)²].
            let near = S::HALF * S::mad::<FMA>(below, below, -(apart * apart));
            let far = S::HALF * S::mad::<FMA>(above, above, -(apart * apart));
            u[j] = S::mad::<FMA>(share, u[j], -near).greatest(S::ZERO);
            w[j] = S::mad::<FMA>(share, w[j], -far).greatest(S::ZERO);
        }
        if self.tangent {
            for (t, other) in tangent[..n].iter_mut().zip(factors) {
                *t *= factor * *other;
            }
        }
    }
}

/// A skip path added to a branch: shares of both in the standard deviation, and β², γ² for Θ.
pub(super) struct Join<'a, S> {
    pub(super) row: [S; 2],
    pub(super) columns: [&'a [S]; 2],
    pub(super) kept: [&'a [S]; 3],
    pub(super) squares: [S; 2],
}

impl<S: Real> Loop<S> for Join<'_, S> {
    #[inline(always)]
    fn run<const FMA: bool>(self, u: &mut [S], w: &mut [S], tangent: &mut [S]) {
        let n = u.len();
        let w = &mut w[..n];
        let [branches, skips] = self.columns.map(|column| &column[..n]);
        let [kept_u, kept_w] = [&self.kept[0][..n], &self.kept[1][..n]];
        let [branch, skip] = self.row;
        for j in 0..n {
            let (apart_b, apart_s) = (branch - branches[j], skip - skips[j]);
            let apart = S::HALF * S::mad::<FMA>(apart_b, apart_b, apart_s * apart_s);
            let (share, rest) = (branch * branches[j], skip * skips[j]);
            u[j] = S::mad::<FMA>(share, u[j], S::mad::<FMA>(rest, kept_u[j], apart));
            w[j] = S::mad::<FMA>(share, w[j], S::mad::<FMA>(rest, kept_w[j], apart));
        }
        if !tangent.is_empty() {
            for (t, kept) in tangent[..n].iter_mut().zip(&self.kept[2][..n]) {
                *t = S::mad::<FMA>(self.squares[0], *t, self.squares[1] * *kept);
            }
        }
    }
}

/// Independent masks: the part `keep` of each variance is shared with other samples, the rest is its own.
pub(super) struct Drop<S> {
    pub(super) keep: S,
}

impl<S: Real> Loop<S> for Drop<S> {
    #[inline(always)]
    fn run<const FMA: bool>(self, u: &mut [S], w: &mut [S], _: &mut [S]) {
        for x in u.iter_mut().chain(w) {
            *x = S::mad::<FMA>(self.keep, *x, S::ONE - self.keep);
        }
    }
}
