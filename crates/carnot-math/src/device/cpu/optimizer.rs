//! One step of an optimiser over all weights of a group, in one pass through memory.

use super::multiversion;
use crate::scalar::Scalar;

/// Numbers of one Adam step, in the convention of PyTorch's `Adam` and `AdamW`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate η ≥ 0.
    pub rate: f64,
    /// Decay β₁ of the running mean, in [0, 1).
    pub beta1: f64,
    /// Decay β₂ of the running square, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the square, > 0.
    pub epsilon: f64,
    /// Decoupled weight decay λ ≥ 0 (AdamW): weights shrink by 1 - ηλ before the step. 0 is Adam.
    pub decay: f64,
    /// 1 - β₁ᵗ at step t = 1, 2, ….
    pub correction1: f64,
    /// 1 - β₂ᵗ.
    pub correction2: f64,
}

/// Numbers of one step of gradient descent with momentum, in the convention of PyTorch's `SGD` (no dampening).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentumStep {
    /// Learning rate η ≥ 0.
    pub rate: f64,
    /// Momentum μ in [0, 1); 0 is plain gradient descent.
    pub momentum: f64,
    /// Coupled weight decay λ ≥ 0: λw is added to the gradient.
    pub decay: f64,
    /// Looks ahead along the velocity (Nesterov).
    pub nesterov: bool,
}

multiversion! {
    /// One step of Adam.
    ///
    /// $$ m \leftarrow \beta_1 m + (1-\beta_1) g, \quad v \leftarrow \beta_2 v + (1-\beta_2) g^2, \quad
    ///    w \leftarrow (1 - \eta\lambda) w - \frac{\eta}{c_1} \frac{m}{\sqrt{v / c_2} + \epsilon} $$
    ///
    /// * `w`: weights, `m`: running means, `v`: running squares, all updated; `g`: gradient; all of one length.
    ///   Means and squares below [`Scalar::NEGLIGIBLE`] become zero
    ///
    /// # Panics
    /// When the lengths differ.
    ///
    /// Source: Kingma, Ba 2015; Loshchilov, Hutter 2019.
    pub fn adam_step<S: Scalar>(w: &mut [S], m: &mut [S], v: &mut [S], g: &[S], step: &AdamStep) {
        let n = g.len();
        assert!(w.len() == n && m.len() == n && v.len() == n,
            "{n} gradients for {} weights, {} means, {} squares", w.len(), m.len(), v.len());
        let s = S::from_f64;
        let (beta1, rest1) = (s(step.beta1), s(1.0 - step.beta1));
        let (beta2, rest2) = (s(step.beta2), s(1.0 - step.beta2));
        let rate = s(step.rate / step.correction1);
        let root_correction = s(1.0 / step.correction2.sqrt());
        let (epsilon, keep) = (s(step.epsilon), s(1.0 - step.rate * step.decay));
        for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
            *m = (beta1 * *m + rest1 * *g).flushed();
            *v = (beta2 * *v + rest2 * (*g * *g)).flushed();
            *w = keep * *w - rate * *m / (v.root() * root_correction + epsilon);
        }
    }

    /// One step of gradient descent with momentum.
    ///
    /// $$ v \leftarrow \mu v + g + \lambda w, \qquad w \leftarrow w - \eta v $$
    ///
    /// With `nesterov` the weights move by η (g + λw + μv) instead.
    ///
    /// * `w`: weights, `v`: velocities, both updated; `g`: gradient; all of one length
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn momentum_step<S: Scalar>(w: &mut [S], v: &mut [S], g: &[S], step: &MomentumStep) {
        let n = g.len();
        assert!(w.len() == n && v.len() == n, "{n} gradients for {} weights, {} velocities", w.len(), v.len());
        let s = S::from_f64;
        let (rate, momentum, decay) = (s(step.rate), s(step.momentum), s(step.decay));
        // w -= η (ahead₁ (g + λw) + ahead₂ v)
        let (ahead1, ahead2) = if step.nesterov { (s(1.0), momentum) } else { (s(0.0), s(1.0)) };
        for ((w, v), g) in w.iter_mut().zip(v).zip(g) {
            let slope = *g + decay * *w;
            *v = (momentum * *v + slope).flushed();
            *w -= rate * (ahead1 * slope + ahead2 * *v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn random(n: usize, at: u64) -> Vec<f64> {
        let mut out = vec![0.0; n];
        Stream::new(4, "optimizer test", &[at]).fill_normal(&mut out, 1.0);
        out
    }

    #[test]
    fn adam_follows_its_definition_over_many_steps() {
        let (n, rate, beta1, beta2, epsilon, decay) = (37, 0.01, 0.9, 0.999, 1e-8, 0.1);
        let (mut w, mut m, mut v) = (random(n, 0), vec![0.0; n], vec![0.0; n]);
        let (mut w2, mut m2, mut v2) = (w.clone(), m.clone(), v.clone());
        for t in 1..=20 {
            let g = random(n, t as u64);
            let (correction1, correction2) = (1.0 - f64::powi(beta1, t), 1.0 - f64::powi(beta2, t));
            adam_step(
                &mut w,
                &mut m,
                &mut v,
                &g,
                &AdamStep { rate, beta1, beta2, epsilon, decay, correction1, correction2 },
            );
            for i in 0..n {
                w2[i] -= rate * decay * w2[i];
                m2[i] = beta1 * m2[i] + (1.0 - beta1) * g[i];
                v2[i] = beta2 * v2[i] + (1.0 - beta2) * g[i] * g[i];
                w2[i] -= rate * (m2[i] / correction1) / ((v2[i] / correction2).sqrt() + epsilon);
            }
        }
        for i in 0..n {
            assert!((w[i] - w2[i]).abs() < 1e-14, "weight {i}: {}, expected {}", w[i], w2[i]);
        }
    }

    #[test]
    fn momentum_follows_its_definition_over_many_steps() {
        for nesterov in [false, true] {
            let (n, rate, momentum, decay) = (19, 0.1, 0.9, 0.01);
            let (mut w, mut v) = (random(n, 0), vec![0.0; n]);
            let (mut w2, mut v2) = (w.clone(), v.clone());
            for t in 1..=20 {
                let g = random(n, t);
                momentum_step(&mut w, &mut v, &g, &MomentumStep { rate, momentum, decay, nesterov });
                for i in 0..n {
                    let slope = g[i] + decay * w2[i];
                    v2[i] = momentum * v2[i] + slope;
                    w2[i] -= rate * if nesterov { slope + momentum * v2[i] } else { v2[i] };
                }
            }
            for i in 0..n {
                assert!((w[i] - w2[i]).abs() < 1e-13, "nesterov {nesterov}, weight {i}: {}, {}", w[i], w2[i]);
            }
        }
    }

    #[test]
    fn the_first_adam_step_has_the_size_of_the_rate() {
        let (mut w, mut m, mut v) = ([0f32; 3], [0f32; 3], [0f32; 3]);
        let step = AdamStep {
            rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            decay: 0.0,
            correction1: 0.1,
            correction2: 0.001,
        };
        adam_step(&mut w, &mut m, &mut v, &[5.0, -0.01, 0.0], &step);
        for (w, expect) in w.iter().zip([-1e-3, 1e-3, 0.0]) {
            assert!((w - expect).abs() < 1e-8, "{w}, expected {expect}");
        }
    }
}
