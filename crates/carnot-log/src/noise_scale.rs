//! How noisy the gradient is: the batch above which averaging more samples gains little.

/// A number with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The value.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

/// Parts that are left out in turn for the error.
const PARTS: usize = 10;

/// Gradient noise scale $B = S/|G|^2$ from norms of the same gradient over batches of two sizes.
///
/// $$ |G|^2 = \frac{B|g_B|^2 - b|g_b|^2}{B-b}, \qquad S = \frac{|g_b|^2 - |g_B|^2}{1/b - 1/B} $$
///
/// Both are averaged over the steps before they are divided. The error is the jackknife over ten parts of the steps.
///
/// * `small`, `large`: batch sizes b < B
/// * `norms`: pairs (|g_b|, |g_B|), of neighbouring steps
/// * returns: B in samples; `None` with fewer than ten pairs, or when the mean gradient is lost in the noise
///
/// Source: McCandlish, Kaplan, Amodei, arXiv:1812.06162, appendix A.1.
#[must_use]
pub fn noise_scale(small: f64, large: f64, norms: &[(f64, f64)]) -> Option<Measured> {
    let pairs: Vec<(f64, f64)> =
        norms.iter().copied().filter(|(a, b)| a.is_finite() && b.is_finite()).collect();
    if pairs.len() < PARTS || large <= small || small < 1.0 {
        return None;
    }
    let of = |left_out: Option<usize>| -> Option<f64> {
        let is_in = |at: usize| left_out.is_none_or(|part| at * PARTS / pairs.len() != part);
        let (mut a, mut b, mut n) = (0.0, 0.0, 0.0);
        for (at, (small_norm, large_norm)) in pairs.iter().enumerate().filter(|(at, _)| is_in(*at)) {
            let _ = at;
            a += small_norm * small_norm;
            b += large_norm * large_norm;
            n += 1.0;
        }
        let (a, b): (f64, f64) = (a / n, b / n);
        let signal = (large * b - small * a) / (large - small);
        let noise = (a - b) / (1.0 / small - 1.0 / large);
        (signal > 0.0 && noise > 0.0).then(|| noise / signal)
    };
    let value = of(None)?;
    let parts: Option<Vec<f64>> = (0..PARTS).map(|part| of(Some(part))).collect();
    let parts = parts?;
    let mean = parts.iter().sum::<f64>() / PARTS as f64;
    let spread = parts.iter().map(|part| (part - mean).powi(2)).sum::<f64>();
    Some(Measured { value, error: ((PARTS - 1) as f64 / PARTS as f64 * spread).sqrt() })
}

/// The same from gradients of K parts of one batch, b samples each.
///
/// $$ S = \frac{b}{K-1}\Big(\sum_k |g_k|^2 - K |\bar g|^2\Big), \qquad |G|^2 = |\bar g|^2 - \frac{S}{Kb} $$
///
/// The error is the jackknife over parts.
///
/// * `samples`: b ≥ 1
/// * `parts`: of each part |g_k|² and g_k · ḡ with the mean ḡ of all
/// * returns: B = S/|G|² in samples; `None` with fewer than four parts, or when the mean gradient is lost in the noise, of all parts or of all but one
///
/// Source: as [`noise_scale`]; the unbiased variance of a mean.
#[must_use]
pub fn noise_scale_of_parts(samples: f64, parts: &[(f64, f64)]) -> Option<Measured> {
    let count = parts.len() as f64;
    if parts.len() < 4 || parts.iter().any(|(own, with)| !own.is_finite() || !with.is_finite()) {
        return None;
    }
    let squares: f64 = parts.iter().map(|(own, _)| own).sum();
    let mean: f64 = parts.iter().map(|(_, with)| with).sum::<f64>() / count;
    let ratio = |count: f64, squares: f64, mean: f64| {
        let noise = samples / (count - 1.0) * (squares - count * mean);
        let signal = mean - noise / (count * samples);
        (signal > 0.0 && noise > 0.0).then(|| noise / signal)
    };
    let without = |(own, with): &(f64, f64)| {
        let left = count - 1.0;
        ratio(left, squares - own, (count * count * mean - 2.0 * count * with + own) / (left * left))
    };
    let value = ratio(count, squares, mean)?;
    let all: Vec<f64> = parts.iter().map(without).collect::<Option<_>>()?;
    let middle = all.iter().sum::<f64>() / count;
    let spread: f64 = all.iter().map(|one| (one - middle).powi(2)).sum();
    Some(Measured { value, error: ((count - 1.0) / count * spread).sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    /// Gradients of known mean and covariance: tr Σ = 100, |G|² = 4, so the noise scale is 25.
    #[test]
    fn noise_scale_of_known_gradients_is_found_within_its_error() {
        let mut z = Vec::new();
        for seed in 0..20 {
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let mut norm = |batch: f64| {
                let of = |_| {
                    let noise: f64 = StandardNormal.sample(&mut random);
                    (2.0 / 10.0 + noise / batch.sqrt()).powi(2)
                };
                (0..100).map(of).sum::<f64>().sqrt()
            };
            let pairs: Vec<(f64, f64)> = (0..200).map(|_| (norm(8.0), norm(128.0))).collect();
            let found = noise_scale(8.0, 128.0, &pairs).unwrap();
            z.push((found.value - 25.0) / found.error);
        }
        let chi2 = z.iter().map(|z| z * z).sum::<f64>();
        // 20 degrees of freedom: 99.9 % of the time below 45.3; a jackknife over ten parts has tails of its own.
        assert!(chi2 < 50.0 && chi2 > 5.0, "{z:?}");
        assert_eq!(
            noise_scale(8.0, 128.0, &[(1.0, 2.0); 20]),
            None,
            "the larger batch has no larger gradient"
        );
        assert_eq!(noise_scale(8.0, 128.0, &[(2.0, 1.0); 5]), None);
    }

    /// The same gradients, 32 parts of 16 samples of one batch.
    #[test]
    fn noise_scale_of_the_parts_of_one_batch_is_found_within_its_error() {
        let mut z = Vec::new();
        for seed in 0..40 {
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let mut part = || -> Vec<f64> {
                let of = |_| 0.2 + Distribution::<f64>::sample(&StandardNormal, &mut random) / 4.0;
                (0..100).map(of).collect()
            };
            let parts: Vec<Vec<f64>> = (0..32).map(|_| part()).collect();
            let mean: Vec<f64> = (0..100).map(|i| parts.iter().map(|g| g[i]).sum::<f64>() / 32.0).collect();
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let seen: Vec<(f64, f64)> = parts.iter().map(|g| (dot(g, g), dot(g, &mean))).collect();
            let found = noise_scale_of_parts(16.0, &seen).unwrap();
            z.push((found.value - 25.0) / found.error);
        }
        let chi2 = z.iter().map(|z| z * z).sum::<f64>();
        // 40 degrees of freedom: 99.9 % of the time between 17.9 and 73.4.
        assert!(chi2 < 73.4 && chi2 > 17.9, "{chi2}: {z:?}");
        // Without a mean there is no scale.
        assert_eq!(noise_scale_of_parts(16.0, &[(1.0, 0.01); 8]), None);
        assert_eq!(noise_scale_of_parts(16.0, &[(1.0, 0.5); 3]), None);
    }
}
