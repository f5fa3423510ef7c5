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
    integrate(variance, tokens, |t, [square, .., left]| t * square * left.powf(t - 1.0))
        .iter()
        .zip(tokens)
        .map(|(sum, &t)| sum.clamp(1.0 / t as f64, 1.0))
        .collect()
}

/// $J = E\sum_s p_s^2\,(1 - 2p_s + \sum_u p_u^2)$: mean square of the change of a sum $\sum_s p_s v_s$ of independent unit vectors when
/// the logits change by independent numbers of variance one; $(1 - 1/t)/t$ where all weights are equal, 0 where one takes all.
///
/// * `variance`: v ≥ 0 of the logits; beyond 100 it counts as 100
pub fn agility(variance: f64, tokens: &[usize]) -> Vec<f64> {
    let even = |t: usize| (1.0 - 1.0 / t as f64) / t as f64;
    if variance.is_nan() || variance <= EVEN {
        return tokens.iter().map(|&t| even(t)).collect();
    }
    // Powers of the sum come from 1/S^k = ∫ λ^{k−1} e^{−λS} dλ/(k−1)!.
    let at = |t: f64, [square, cube, fourth, left]: [f64; 4]| {
        let rest = left.powf(t - 1.0);
        let pairs = if t > 1.0 { (t - 1.0) * square * square * left.powf(t - 2.0) } else { 0.0 };
        t * (square * rest - cube * rest + (fourth * rest + pairs) / 6.0)
    };
    integrate(variance, tokens, at).iter().map(|sum| sum.clamp(0.0, 1.0)).collect()
}

/// Integral over ln λ of a function of t and of $E[y^k e^{-y}]$, $y = \lambda e^x$, for k = 2, 3, 4, 0.
fn integrate(variance: f64, tokens: &[usize], at: impl Fn(f64, [f64; 4]) -> f64) -> Vec<f64> {
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
        let mut moments = [0.0; 4];
        for &(x, weight) in &density {
            let y = (s + x).exp();
            let rest = (-y).exp() * weight;
            for (moment, power) in moments.iter_mut().zip([y * y, y * y * y, y * y * y * y, 1.0]) {
                // Far out a power is infinite before e^{−y} is 0.
                *moment += if rest > 0.0 { power * rest } else { 0.0 };
            }
        }
        for (sum, &t) in sums.iter_mut().zip(tokens) {
            *sum += STEP * at(t as f64, moments);
        }
    }
    sums
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
    fn what_logits_move_is_that_of_sampled_ones() {
        for (variance, tokens) in [(0.3, 24), (1.0, 2), (1.0, 128), (9.0, 24), (40.0, 7)] {
            let mut stream = Stream::new(4, "agility", &[tokens as u64]);
            let mut one = || {
                let weights: Vec<f64> =
                    (0..tokens).map(|_| (f64::sqrt(variance) * stream.normal::<f64>()).exp()).collect();
                let all: f64 = weights.iter().sum();
                let square = weights.iter().map(|w| (w / all).powi(2)).sum::<f64>();
                weights.iter().map(|w| (w / all).powi(2) * (1.0 - 2.0 * w / all + square)).sum::<f64>()
            };
            let sampled = Moments::of(&(0..20_000).map(|_| one()).collect::<Vec<_>>()).estimate();
            let found = agility(variance, &[tokens])[0];
            let far = z_score(sampled, Estimate::exact(found));
            assert!(far.abs() < 4.0, "{variance}, {tokens}: {found}, sampled {sampled:?}");
        }
        assert_eq!(agility(0.0, &[4]), [0.1875]);
        assert!(agility(2.0, &[1])[0] < 1e-9);
    }

    #[test]
    fn equal_logits_look_everywhere_and_one_token_at_itself() {
        assert_eq!(participation(0.0, &[1, 4, 100]), [1.0, 0.25, 0.01]);
        assert!((participation(1e-6, &[50])[0] - 0.02 * (1.0 + 1e-6)).abs() < 1e-9);
        assert!((participation(3.0, &[1])[0] - 1.0).abs() < 1e-9);
    }
}
