//! How many tokens a softmax of random logits looks at.

/// Steps of both rules: the integrands are analytic and fall faster than any exponential, so that errors are those of rounding.
const STEP: f64 = 0.2;
/// Standard deviations of a logit that count.
const REACH: f64 = 8.5;
/// Below this variance of the logits all weights are equal.
const EVEN: f64 = 1e-10;

/// $E\sum_i p_i^2$ of a softmax over t independent Gaussian logits of variance `variance`, for each number of tokens t ≥ 1: 1/t where all
/// are equal, 1 where one takes all.
///
/// $$ E\sum_i p_i^2 = t\int_0^\infty\lambda\,E[e^{2x-\lambda e^x}]\,E[e^{-\lambda e^x}]^{t-1}\,d\lambda, \quad x\sim N(0, v), $$
///
/// since $1/S^2 = \int\lambda e^{-\lambda S}d\lambda$: one dimension, however many tokens.
///
/// * `variance`: v ≥ 0; beyond 100 it counts as 100
pub fn participation(variance: f64, tokens: &[usize]) -> Vec<f64> {
    if variance.is_nan() || variance <= EVEN {
        return tokens.iter().map(|&t| 1.0 / t as f64).collect();
    }
    let deviation = variance.min(100.0).sqrt();
    let most = tokens.iter().copied().max().unwrap_or(1) as f64;
    let inner = (deviation / 2.5).min(STEP);
    let nodes = (REACH * deviation / inner).ceil() as i64;
    let density: Vec<(f64, f64)> = (-nodes..=nodes)
        .map(|k| {
            let x = k as f64 * inner;
            (
                x,
                (-0.5 * (x / deviation).powi(2)).exp() * inner
                    / (deviation * (2.0 * std::f64::consts::PI).sqrt()),
            )
        })
        .collect();
    // λ = e^s: below, the integrand falls like (t e^{s + v})²; above, like exp(−e^{s − reach}).
    let low = -most.ln() - 20.0 - REACH * deviation - deviation * deviation;
    let high = 4.0 + REACH * deviation;
    let mut sums = vec![0.0; tokens.len()];
    for k in 0..=((high - low) / STEP).ceil() as i64 {
        let s = low + k as f64 * STEP;
        let (mut square, mut left) = (0.0, 0.0);
        for &(x, weight) in &density {
            let y = s + x;
            let rest = (-y.exp()).exp() * weight;
            left += rest;
            square += (2.0 * y).exp() * rest;
        }
        for (sum, &t) in sums.iter_mut().zip(tokens) {
            *sum += STEP * t as f64 * square * left.powi(t as i32 - 1);
        }
    }
    sums.iter().zip(tokens).map(|(sum, &t)| sum.clamp(1.0 / t as f64, 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::random::Stream;
    use carnot_math::stats::{Estimate, Moments, z_score};

    #[test]
    fn it_is_that_of_sampled_logits() {
        for (variance, tokens) in [(0.3, 24), (1.0, 2), (1.0, 128), (9.0, 24), (40.0, 7)] {
            let mut stream = Stream::new(4, "participation", &[tokens as u64]);
            let mut one = || {
                let weights: Vec<f64> =
                    (0..tokens).map(|_| (f64::sqrt(variance) * stream.normal::<f64>()).exp()).collect();
                weights.iter().map(|w| w * w).sum::<f64>() / weights.iter().sum::<f64>().powi(2)
            };
            let sampled = Moments::of(&(0..20_000).map(|_| one()).collect::<Vec<_>>()).estimate();
            let found = participation(variance, &[tokens])[0];
            let far = z_score(sampled, Estimate::exact(found));
            assert!(far.abs() < 4.0, "{variance}, {tokens}: {found}, sampled {sampled:?}");
        }
    }

    #[test]
    fn equal_logits_look_everywhere_and_one_token_at_itself() {
        assert_eq!(participation(0.0, &[1, 4, 100]), [1.0, 0.25, 0.01]);
        assert!((participation(1e-6, &[50])[0] - 0.02 * (1.0 + 1e-6)).abs() < 1e-9);
        assert!((participation(3.0, &[1])[0] - 1.0).abs() < 1e-9);
    }
}
