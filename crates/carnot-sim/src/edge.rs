//! The edge of stability: how sharp a loss may be before a step of an optimizer throws its parameters out again.

/// A rule of descent, as far as its stability goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Descent {
    /// Gradient descent.
    Gradient,
    /// Heavy ball with momentum β.
    HeavyBall(f64),
    /// Nesterov's momentum β.
    Nesterov(f64),
    /// RMSProp: the gradient over the root of its running square.
    RmsProp,
    /// Adam and AdamW with β₁; weight decay is left out, it lowers the threshold by less than its own size.
    Adam(f64),
}

impl Descent {
    /// Words that [`Descent::named`] knows.
    pub const WORDS: [&str; 6] = ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"];

    /// The rule of that word, with its momentum or β₁.
    #[must_use]
    pub fn named(word: &str, momentum: f64) -> Option<Descent> {
        match word.to_lowercase().as_str() {
            "sgd" | "gd" => Some(Descent::Gradient),
            "momentum" => Some(Descent::HeavyBall(momentum)),
            "nesterov" => Some(Descent::Nesterov(momentum)),
            "rmsprop" => Some(Descent::RmsProp),
            "adam" | "adamw" => Some(Descent::Adam(momentum)),
            _ => None,
        }
    }

    /// Is the sharpness meant that of the preconditioned Hessian $P^{-1/2} H P^{-1/2}$?
    #[must_use]
    pub fn is_preconditioned(self) -> bool {
        matches!(self, Descent::RmsProp | Descent::Adam(_))
    }

    /// The largest sharpness at which the rule is stable on a quadratic.
    ///
    /// $$ \frac{2}{\eta}, \quad \frac{2+2\beta}{\eta}, \quad \frac{2+2\beta}{\eta(1+2\beta)}, \quad \frac{2}{\eta}, \quad
    ///    \frac{2+2\beta_1}{(1-\beta_1)\,\eta} $$
    ///
    /// for gradient descent, heavy ball, Nesterov, RMSProp and Adam; the last two of the preconditioned Hessian.
    ///
    /// * `rate`: η > 0
    ///
    /// Source: Cohen et al., arXiv:2103.00065, appendix; arXiv:2207.14484, proposition 1. Checked by
    /// `edge::tests::thresholds_are_those_at_which_a_quadratic_stops_shrinking`.
    #[must_use]
    pub fn threshold(self, rate: f64) -> f64 {
        match self {
            Descent::Gradient | Descent::RmsProp => 2.0 / rate,
            Descent::HeavyBall(beta) => (2.0 + 2.0 * beta) / rate,
            Descent::Nesterov(beta) => (2.0 + 2.0 * beta) / (rate * (1.0 + 2.0 * beta)),
            Descent::Adam(beta) => (2.0 + 2.0 * beta) / ((1.0 - beta) * rate),
        }
    }
}

/// The diagonal of Adam's preconditioner after `step` steps, for [`crate::curvature::preconditioned_sharpness`].
///
/// $$ P_t = (1-\beta_1^t)\left[\sqrt{v_t/(1-\beta_2^t)} + \epsilon\right] $$
///
/// * `second`: v, the running square of the gradient, ≥ 0
/// * `step`: t ≥ 1
///
/// Source: Cohen et al., arXiv:2207.14484, eq. 3.
#[must_use]
pub fn adam_preconditioner(second: &[f64], step: u64, beta1: f64, beta2: f64, epsilon: f64) -> Vec<f64> {
    let t = step as f64;
    let (first, correction) = (1.0 - beta1.powf(t), 1.0 - beta2.powf(t));
    second.iter().map(|v| first * ((v / correction).sqrt() + epsilon)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_those_of_the_sheet() {
        let rows = [
            (Descent::Gradient, 0.2, 10.0),
            (Descent::Gradient, 0.4, 5.0),
            (Descent::HeavyBall(0.9), 0.1, 38.0),
            (Descent::Nesterov(0.9), 0.1, 38.0 / 2.8),
            (Descent::RmsProp, 1e-3, 2000.0),
            (Descent::Adam(0.9), 1e-3, 38_000.0),
            (Descent::Adam(0.9), 3e-4, 38.0 / 3e-4),
        ];
        for (rule, rate, expect) in rows {
            assert!((rule.threshold(rate) / expect - 1.0).abs() < 1e-12, "{rule:?}");
        }
    }

    /// One coordinate of a quadratic, stepped by the rule itself: it shrinks just below the threshold and grows just above.
    #[test]
    fn thresholds_are_those_at_which_a_quadratic_stops_shrinking() {
        let rate = 0.1;
        for rule in [
            Descent::Gradient,
            Descent::HeavyBall(0.7),
            Descent::Nesterov(0.7),
            Descent::RmsProp,
            Descent::Adam(0.6),
        ] {
            let size = |share: f64| {
                let sharpness = share * rule.threshold(rate);
                let (mut x, mut v) = (1.0f64, 0.0f64);
                for _ in 0..4000 {
                    match rule {
                        Descent::Gradient | Descent::RmsProp => x -= rate * sharpness * x,
                        Descent::HeavyBall(beta) => {
                            v = beta * v - rate * sharpness * x;
                            x += v;
                        }
                        Descent::Nesterov(beta) => {
                            let ahead = x + beta * v;
                            v = beta * v - rate * sharpness * ahead;
                            x += v;
                        }
                        // With a constant preconditioner Adam is descent along a running mean.
                        Descent::Adam(beta) => {
                            v = beta * v + (1.0 - beta) * sharpness * x;
                            x -= rate * v;
                        }
                    }
                }
                x.abs().max(v.abs())
            };
            assert!(size(0.99) < 1e-6 && size(1.01) > 1e6, "{rule:?}: {} {}", size(0.99), size(1.01));
        }
    }
}
