//! Optimizers against their definitions, written out without any kernel.

use carnot_sim::optimizer::adam::Adam;
use carnot_sim::optimizer::adamw::AdamW;
use carnot_sim::optimizer::momentum::Momentum;
use carnot_sim::optimizer::sgd::Sgd;
use carnot_sim::optimizer::{NAMES, Optimizer, Rule, Step};

/// Gradient of a bowl that is steeper in some directions, and not quite a bowl.
fn slope(weights: &[f64]) -> Vec<f64> {
    weights.iter().enumerate().map(|(i, w)| (1.0 + i as f64) * w + w.powi(3) - 0.3).collect()
}

fn start() -> Vec<f64> {
    (0..37).map(|i| (i as f64 * 0.7).sin()).collect()
}

fn plain(optimizer: Optimizer, rate: f64, steps: i32) -> Vec<f64> {
    let mut w = start();
    let (mut m, mut v) = (vec![0.0; w.len()], vec![0.0; w.len()]);
    for t in 1..=steps {
        let g = slope(&w);
        for i in 0..w.len() {
            match optimizer {
                Optimizer::Sgd(_) => w[i] -= rate * g[i],
                Optimizer::Momentum(Momentum { beta }) => {
                    m[i] = beta * m[i] + g[i];
                    w[i] -= rate * m[i];
                }
                Optimizer::Adam(_) | Optimizer::AdamW(_) => {
                    let (b1, b2, epsilon, decay) = match optimizer {
                        Optimizer::Adam(a) => (a.beta1, a.beta2, a.epsilon, 0.0),
                        Optimizer::AdamW(a) => (a.beta1, a.beta2, a.epsilon, a.decay),
                        _ => unreachable!(),
                    };
                    w[i] *= 1.0 - rate * decay;
                    m[i] = b1 * m[i] + (1.0 - b1) * g[i];
                    v[i] = b2 * v[i] + (1.0 - b2) * g[i] * g[i];
                    let (m, v) = (m[i] / (1.0 - b1.powi(t)), v[i] / (1.0 - b2.powi(t)));
                    w[i] -= rate * m / (v.sqrt() + epsilon);
                }
            }
        }
    }
    w
}

fn ours(optimizer: Optimizer, rate: f64, steps: u64) -> Vec<f64> {
    let mut weights = start();
    let room = |memory: usize| vec![0.0; if optimizer.memories() > memory { weights.len() } else { 0 }];
    let (mut first, mut second) = (room(0), room(1));
    for step in 1..=steps {
        let gradient = slope(&weights);
        let (first, second) = (&mut first[..], &mut second[..]);
        optimizer.step(Step { step, rate, weights: &mut weights, gradient: &gradient, first, second });
    }
    weights
}

#[test]
fn every_optimizer_follows_its_definition() {
    let all = [
        Optimizer::Sgd(Sgd {}),
        Optimizer::Momentum(Momentum { beta: 0.8 }),
        Optimizer::Adam(Adam { beta1: 0.8, beta2: 0.99, epsilon: 1e-6 }),
        Optimizer::AdamW(AdamW { beta1: 0.8, beta2: 0.99, epsilon: 1e-6, decay: 0.1 }),
    ];
    assert_eq!(all.map(|o| o.name()).as_slice(), NAMES, "a new optimizer needs its definition here");
    for optimizer in all {
        let (found, expect) = (ours(optimizer, 0.01, 50), plain(optimizer, 0.01, 50));
        for (a, b) in found.iter().zip(&expect) {
            assert!((a - b).abs() < 1e-12, "{optimizer:?}: {a}, expected {b}");
        }
    }
}

#[test]
fn optimizers_survive_a_round_trip_through_json_and_refuse_nonsense() {
    for name in NAMES {
        let optimizer = Optimizer::named(name).unwrap();
        let text = serde_json::to_string(&optimizer).unwrap();
        assert_eq!(serde_json::from_str::<Optimizer>(&text).unwrap(), optimizer, "{text}");
        assert_eq!(optimizer.check(), Ok(()));
    }
    assert_eq!(Optimizer::named("lion"), None);
    assert!(Optimizer::Adam(Adam { beta1: 1.0, ..Adam::default() }).check().is_err());
    assert!(Optimizer::Momentum(Momentum { beta: f64::NAN }).check().is_err());
}
