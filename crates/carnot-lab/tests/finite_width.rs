//! Predictions of order 1/n against ensembles of real trained networks.

use carnot_math::stats::Estimate;
use carnot_net::activation::Activation;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::plan::Plan;
use carnot_net::shorthand::{self, Style};
use carnot_sim::trained::Task;
use carnot_sim::trained::flow::{FlowSpec, Stepping};
use carnot_sim::trained::member::End;
use carnot_sim::trained::part::{run_job, run_linear};
use carnot_sim::trained::posterior::weigh_job;
use carnot_theory::at_width::{Question, linear_at_width, posterior_at_width, trained_at_width};
use carnot_theory::inference::Duration;
use carnot_theory::layer::{Scales, Stack};

const SEED: u64 = 5;
const INPUTS: [[f64; 3]; 4] = [[1.0, -0.5, 0.7], [0.2, 0.9, -1.1], [-0.8, 0.4, 0.9], [0.9, 0.3, -0.4]];
const TARGETS: [f64; 3] = [1.5, -1.0, 1.2];

/// Three inputs learned, one asked, three layers.
struct Case {
    plan: Plan,
    init: Vec<LayerInit>,
    rates: Vec<LayerRate>,
    inputs: Vec<f64>,
    stack: Stack,
    gram: Vec<f64>,
    width: f64,
}

impl Case {
    fn new(activation: &str, [c_w, c_b]: [f64; 2], width: usize) -> Case {
        let parsed = Activation::parse(activation).unwrap();
        let style = Style { activation: parsed.clone(), residual: None, norm: None };
        let dot = |k: usize| INPUTS[k / 4].iter().zip(&INPUTS[k % 4]).map(|(x, y)| x * y).sum::<f64>() / 3.0;
        Case {
            plan: Plan::new(&shorthand::parse(&format!("3-{width}x2-1"), &style).unwrap()).unwrap(),
            init: vec![LayerInit::normal(c_w, c_b); 3],
            rates: vec![LayerRate { lambda_w: 1.0, lambda_b: 0.4 }; 3],
            inputs: INPUTS.concat(),
            stack: Stack::uniform(&parsed.formula, 3, Scales::new(c_w, c_b).with_rates(1.0, 0.4)),
            gram: (0..16).map(dot).collect(),
            width: width as f64,
        }
    }

    fn task(&self) -> Task<'_> {
        let (train, test) = self.inputs.split_at(9);
        Task {
            plan: &self.plan,
            init: &self.init,
            rates: &self.rates,
            seed: SEED,
            train,
            targets: &TARGETS,
            test,
        }
    }

    fn question(&self) -> Question<'_> {
        Question {
            stack: &self.stack,
            input: &self.gram,
            samples: 4,
            train: &[0, 1, 2],
            test: &[3],
            targets: &TARGETS,
            outputs: 1,
            width: self.width,
        }
    }
}

fn z(measured: Estimate, predicted: f64) -> f64 {
    (measured.value - predicted) / measured.error
}

#[test]
fn trained_networks_leave_infinite_width_where_the_correction_says() {
    let case = Case::new("tanh", [1.3, 0.05], 96);
    let spec = FlowSpec { stepping: Stepping::RungeKutta, rate: 0.25, steps: 40 };
    let theory = trained_at_width(&case.question(), Duration::Converged).unwrap().mean[0];
    let mut part = run_job(&case.task(), spec, End::Converged, 0..300).unwrap();
    part.merge(&run_linear(&case.task(), spec, End::Converged, 300..12_300).unwrap()).unwrap();
    let measured = part.mean()[0];
    let (infinite, corrected) = (z(measured, theory.leading), z(measured, theory.value()));
    println!("{} ± {}, {theory:?}, z {infinite:.1} and {corrected:.1}", measured.value, measured.error);
    assert!(infinite.abs() > 4.0, "infinite width must be excluded: z = {infinite:.1} (seed {SEED})");
    assert!(corrected.abs() < 4.0, "corrected: z = {corrected:.1} (seed {SEED})");
    assert!(theory.is_trusted());
}

#[test]
fn training_that_stops_on_the_way_is_predicted_too() {
    let case = Case::new("tanh", [1.3, 0.05], 96);
    let spec = FlowSpec { stepping: Stepping::RungeKutta, rate: 0.2, steps: 6 };
    let theory = trained_at_width(&case.question(), Duration::Flow(1.2)).unwrap();
    let mut part = run_job(&case.task(), spec, End::Here, 0..400).unwrap();
    part.merge(&run_linear(&case.task(), spec, End::Here, 400..20_400).unwrap()).unwrap();
    let (mean, moved) = (theory.mean[0], theory.mean[0].coefficient - theory.linear[0].coefficient);
    for (what, measured, infinite, corrected) in [
        ("mean", part.mean()[0], mean.leading, mean.value()),
        ("linear", part.linear[0].estimate(), mean.leading, theory.linear[0].value()),
        ("moved", part.moved[0].estimate(), 0.0, moved / case.width),
    ] {
        let (infinite, corrected) = (z(measured, infinite), z(measured, corrected));
        println!("{what}: {} ± {}, z {infinite:.1} and {corrected:.1}", measured.value, measured.error);
        assert!(corrected.abs() < 4.0, "{what}: z = {corrected:.1} (seed {SEED})");
        assert!(what != "moved" || infinite.abs() > 4.0, "{what}: z = {infinite:.1} (seed {SEED})");
    }
    let spread = z(part.spread()[0], theory.covariance[0]);
    assert!(spread.abs() < 4.5, "spread: z = {spread:.1} (seed {SEED})");
}

#[test]
fn tangent_kernels_of_relu_networks_fluctuate_as_predicted() {
    let case = Case::new("relu", [2.0, 0.1], 64);
    let spec = FlowSpec { stepping: Stepping::RungeKutta, rate: 0.1, steps: 10 };
    for (end, duration) in [(End::Converged, Duration::Converged), (End::Here, Duration::Flow(1.0))] {
        let theory = linear_at_width(&case.question(), duration).unwrap().linear[0];
        let part = run_linear(&case.task(), spec, end, 0..50_000).unwrap();
        let measured = part.linear[0].estimate();
        let (infinite, corrected) = (z(measured, theory.leading), z(measured, theory.value()));
        println!("{} ± {}, {theory:?}, z {infinite:.1} and {corrected:.1}", measured.value, measured.error);
        assert!(corrected.abs() < 4.0, "corrected: z = {corrected:.1} (seed {SEED})");
        assert!(infinite.abs() > 4.0, "infinite width: z = {infinite:.1} (seed {SEED})");
    }
}

#[test]
fn posteriors_of_finite_networks_leave_infinite_width_where_the_correction_says() {
    for (activation, scales, width) in [("relu", [2.0, 0.1], 192), ("gelu", [1.983, 0.173], 192)] {
        let case = Case::new(activation, scales, width);
        let theory = posterior_at_width(&case.question(), 0.0).unwrap();
        let part = weigh_job(&case.task(), theory.log_evidence.value(), 0..12_000).unwrap();
        assert!(part.effective_batches() > 10.0);
        for (what, measured, theory) in [
            ("mean", part.mean(0, 0, 1), theory.mean[0]),
            ("variance", part.covariance(0, [0, 0], 1), theory.covariance[0]),
            ("ln evidence", part.log_evidence(), theory.log_evidence),
        ] {
            let (infinite, corrected) = (z(measured, theory.leading), z(measured, theory.value()));
            println!(
                "{activation} {what}: {} ± {}, {theory:?}, z {infinite:.1} and {corrected:.1}",
                measured.value, measured.error
            );
            // The next order is about the square of this one.
            let next = theory.relative().powi(2) * theory.scale;
            let off = (measured.value - theory.value()).abs();
            assert!(
                off < 4.0 * measured.error + 2.0 * next,
                "{activation} {what}: z = {corrected:.1} (seed {SEED})"
            );
            assert!(what != "variance" || infinite.abs() > 4.0, "{activation} {what}: z = {infinite:.1}");
        }
    }
}
