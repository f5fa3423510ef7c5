//! Progressive sharpening up to the edge of stability, on real digits: full-batch training meets its threshold.

use carnot_net::activation::Activation;
use carnot_net::dataset::{self, Dataset, Options};
use carnot_net::hyper::LayerInit;
use carnot_net::plan::Plan;
use carnot_net::shorthand::{self, Style};
use carnot_sim::curvature::{Lanczos, preconditioned_sharpness, sharpness};
use carnot_sim::edge::{Descent, adam_preconditioner};
use carnot_sim::initialise::initialise;
use carnot_sim::loss::Loss;
use carnot_sim::train::evaluate::{gradient, score};

/// 64-48-48-10, tanh, 200 digits: 5962 parameters.
fn started() -> (Plan, Vec<f64>, Dataset) {
    let style = Style { activation: Activation::parse("tanh").unwrap(), residual: None, norm: None };
    let plan = Plan::new(&shorthand::parse("64-48-48-10", &style).unwrap()).unwrap();
    let init = vec![LayerInit::normal(1.0, 0.0); plan.weighted];
    let mut parameters = vec![0.0; plan.parameters];
    initialise(&plan, &init, 3, 0, &mut parameters);
    let data = dataset::open("digits", &Options::default()).unwrap().probe(200, 1);
    (plan, parameters, data)
}

const EFFORT: Lanczos = Lanczos { products: 40, tolerance: 1e-4, seed: 1 };

/// Sharpness over the threshold, mean and extremes of the looks in the last third, each with a relative error below 1 %.
fn ratios(rate: f64, steps: u64) -> Vec<f64> {
    let (plan, mut parameters, data) = started();
    let threshold = Descent::Gradient.threshold(rate);
    let mut seen = Vec::new();
    for step in 1..=steps {
        let slope = gradient(&plan, &parameters, Loss::Squared, &data);
        parameters.iter_mut().zip(&slope).for_each(|(w, g)| *w -= rate * g);
        if step > steps * 2 / 3 && step % (steps / 24) == 0 {
            let found =
                sharpness(&plan, &parameters, Loss::Squared, &data, EFFORT).expect("the run is stable");
            assert!(found.error < 0.01 * found.value, "{found:?}");
            seen.push(found.value / threshold);
        }
    }
    seen
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn gradient_descent_sharpens_the_loss_to_two_over_its_rate_and_no_further() {
    for (rate, steps) in [(0.08, 2400), (0.1, 2400)] {
        let ratios = ratios(rate, steps);
        println!("rate {rate}: {ratios:?}");
        assert!((mean(&ratios) - 1.0).abs() < 0.06, "rate {rate}: {ratios:?}");
    }
    // A small rate has not met its edge by then.
    let far = ratios(0.02, 1200);
    assert!(mean(&far) < 0.5, "{far:?}");
}

#[test]
fn adam_sharpens_the_preconditioned_loss_to_its_own_threshold() {
    let (plan, mut parameters, data) = started();
    let before = score(&plan, &parameters, Loss::Squared, &data).loss.unwrap();
    let (rate, beta1, beta2, epsilon) = (1e-3, 0.9, 0.999, 1e-8);
    let (mut first, mut second) = (vec![0.0; plan.parameters], vec![0.0; plan.parameters]);
    let threshold = Descent::Adam(beta1).threshold(rate);
    let mut seen = Vec::new();
    let steps = 3000u64;
    for step in 1..=steps {
        let slope = gradient(&plan, &parameters, Loss::Squared, &data);
        let (one, two) = (1.0 - f64::powf(beta1, step as f64), 1.0 - f64::powf(beta2, step as f64));
        for at in 0..plan.parameters {
            first[at] = beta1 * first[at] + (1.0 - beta1) * slope[at];
            second[at] = beta2 * second[at] + (1.0 - beta2) * slope[at] * slope[at];
            parameters[at] -= rate * (first[at] / one) / ((second[at] / two).sqrt() + epsilon);
        }
        if step > steps * 2 / 3 && step % 125 == 0 {
            let diagonal = adam_preconditioner(&second, step, beta1, beta2, epsilon);
            let found = preconditioned_sharpness(&plan, &parameters, Loss::Squared, &data, &diagonal, EFFORT)
                .unwrap();
            seen.push(found.value / threshold);
        }
    }
    println!("adam: {seen:?}");
    assert!((mean(&seen) - 1.0).abs() < 0.1, "{seen:?}");
    assert!(score(&plan, &parameters, Loss::Squared, &data).loss.unwrap() < 0.2 * before);
}
