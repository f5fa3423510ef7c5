//! Theory at order 1/n against ensembles of real networks: `cargo run --release --example finite_width -- CASE WIDTH MEMBERS KERNELS`.
//!
//! CASE is `tanh`, `gelu` (trained by gradient flow to zero loss), `tanh-early` (stopped on the way), `relu-linear` (networks made
//! linear around their start), or `tanh-bayes`, `gelu-bayes`, `relu-bayes` (posterior). MEMBERS are trained with their mirror images,
//! KERNELS more are only made linear. Prints one line for each prediction, with distances in standard errors.

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
use carnot_theory::at_width::{Corrected, Question, linear_at_width, posterior_at_width, trained_at_width};
use carnot_theory::inference::Duration;
use carnot_theory::layer::{Scales, Stack};

/// Six inputs of three numbers: four are learned, two are asked.
const INPUTS: [[f64; 3]; 6] = [
    [1.0, -0.5, 0.7],
    [0.2, 0.9, -1.1],
    [-0.8, 0.4, 0.9],
    [0.5, 1.2, 0.3],
    [0.9, 0.3, -0.4],
    [-0.3, -0.7, 1.2],
];
/// Odd enough to need features that are not there at the start.
const TARGETS: [f64; 4] = [1.5, -1.0, 1.2, -1.4];

struct Case {
    activation: &'static str,
    c_w: f64,
    c_b: f64,
    depth: usize,
}

fn case(name: &str) -> Case {
    let (activation, c_w, c_b, depth) = match name {
        "tanh" => ("tanh", 1.3, 0.05, 3),
        "gelu" => ("gelu", 1.983058257437547, 0.1729223907560674, 3),
        "relu" => ("relu", 2.0, 0.0, 3),
        other => panic!("no case {other}"),
    };
    Case { activation, c_w, c_b, depth }
}

fn line(width: usize, what: &str, measured: Estimate, theory: Corrected) {
    let z = |predicted: f64| (measured.value - predicted) / measured.error;
    println!(
        "{width:5} {what:16} {:9.5} ± {:.5}   n→∞ {:9.5} z {:7.1}   1/n {:9.5} z {:6.1}   {:4.1} %{}",
        measured.value,
        measured.error,
        theory.leading,
        z(theory.leading),
        theory.value(),
        z(theory.value()),
        100.0 * theory.relative(),
        if theory.is_trusted() { "" } else { " not trusted" }
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |i: usize, usual: u64| arguments.get(i).map_or(usual, |text| text.parse().expect("a number"));
    let name = arguments.first().map_or("tanh", String::as_str);
    let (width, members, kernels) = (number(1, 64) as usize, number(2, 500), number(3, 20_000));
    let (base, how) = name.split_once('-').unwrap_or((name, ""));
    let Case { activation, c_w, c_b, depth } = case(base);
    let parsed = Activation::parse(activation).expect("known");
    let style = Style { activation: parsed.clone(), residual: None, norm: None };
    let text = format!("3-{width}x{}-1", depth - 1);
    let plan = Plan::new(&shorthand::parse(&text, &style).expect("a network")).expect("a plan");
    let init = vec![LayerInit::normal(c_w, c_b); depth];
    let rates = vec![LayerRate { lambda_w: 1.0, lambda_b: 0.4 }; depth];
    let inputs = INPUTS.concat();
    let (train, test) = inputs.split_at(12);
    let task = Task { plan: &plan, init: &init, rates: &rates, seed: 1, train, targets: &TARGETS, test };
    let stack = Stack::uniform(&parsed.formula, depth, Scales::new(c_w, c_b).with_rates(1.0, 0.4));
    let gram: Vec<f64> = (0..36)
        .map(|k| INPUTS[k / 6].iter().zip(&INPUTS[k % 6]).map(|(x, y)| x * y).sum::<f64>() / 3.0)
        .collect();
    let question = Question {
        stack: &stack,
        input: &gram,
        samples: 6,
        train: &[0, 1, 2, 3],
        test: &[4, 5],
        targets: &TARGETS,
        outputs: 1,
        width: width as f64,
    };
    if how == "bayes" {
        let theory = posterior_at_width(&question, 0.0).expect("known");
        let part = weigh_job(&task, theory.log_evidence.value(), 0..members).expect("weighed");
        for b in 0..2 {
            line(width, &format!("mean {b}"), part.mean(b, 0, 1), theory.mean[b]);
            line(width, &format!("variance {b}"), part.covariance(b, [0, 0], 1), theory.covariance[3 * b]);
        }
        line(width, "ln evidence", part.log_evidence(), theory.log_evidence);
        println!("      {:.0} of {} batches count", part.effective_batches(), part.batches.len());
        return;
    }
    // A twentieth of the slowest time of learning at infinite width.
    let linear = linear_at_width(&question, Duration::Converged).expect("known");
    let spec = FlowSpec { stepping: Stepping::RungeKutta, rate: rate(&question), steps: number(4, 60) };
    let (end, duration) = match how {
        "early" => (End::Here, Duration::Flow(spec.rate * spec.steps as f64)),
        _ => (End::Converged, Duration::Converged),
    };
    if how == "linear" {
        let part = run_linear(&task, spec, end, 0..kernels).expect("kernels");
        for b in 0..2 {
            line(width, &format!("linear mean {b}"), part.linear[b].estimate(), linear.linear[b]);
        }
        return;
    }
    let theory = trained_at_width(&question, duration).expect("known");
    let mut part = run_job(&task, spec, end, 0..members).expect("trained");
    part.merge(&run_linear(&task, spec, end, members..members + kernels).expect("kernels"))
        .expect("one task");
    for b in 0..2 {
        line(width, &format!("trained mean {b}"), part.mean()[b], theory.mean[b]);
        line(width, &format!("linear mean {b}"), part.linear[b].estimate(), theory.linear[b]);
        let moved = Corrected {
            leading: 0.0,
            coefficient: theory.mean[b].coefficient - theory.linear[b].coefficient,
            ..theory.mean[b]
        };
        line(width, &format!("moved {b}"), part.moved[b].estimate(), moved);
        let spread = Corrected {
            leading: theory.covariance[3 * b],
            coefficient: 0.0,
            width: width as f64,
            scale: 1.0,
        };
        line(width, &format!("spread {b}"), part.spread()[b], spread);
    }
}

/// 1/λ_max of the tangent kernel of the training inputs at infinite width.
fn rate(question: &Question) -> f64 {
    let state = question.state(carnot_theory::tensors::Wanted::Tangent).expect("known");
    let theta = state.tangent.expect("wanted").mean;
    let inner: Vec<f64> = (0..16).map(|k| theta[k / 4 * 6 + k % 4]).collect();
    let values = carnot_math::linalg::symmetric_eigen(&inner, 4).expect("finite").values;
    eprintln!("eigenvalues of the tangent kernel: {values:.3?}");
    1.0 / values[3]
}
