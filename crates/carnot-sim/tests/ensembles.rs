//! Ensembles against what theory knows exactly, and against themselves.

use carnot_math::random::Stream;
use carnot_math::stats::Estimate;
use carnot_net::activation::Activation;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use carnot_net::reading::Labels;
use carnot_net::shorthand::{self, Style};
use carnot_sim::ensemble::part::{Part, merge};
use carnot_sim::ensemble::statistics::{fluctuation, profile, worst_relative_error};
use carnot_sim::ensemble::{Ensemble, TangentAsk, run_job};
use carnot_sim::error::SimError;
use carnot_sim::train::spec::Precision;

fn plan(text: &str, activation: &str) -> Plan {
    let activation = Activation::parse(activation).unwrap();
    let style = Style { activation, residual: None, norm: None };
    Plan::new(&shorthand::parse(text, &style).unwrap()).unwrap()
}

fn inputs(plan: &Plan, samples: usize) -> Vec<f64> {
    let mut inputs = vec![0.0; samples * plan.input.len()];
    Stream::new(4, "ensemble test", &[]).fill_normal(&mut inputs, 1.0);
    inputs
}

fn ensemble<'a>(plan: &'a Plan, init: &'a [LayerInit], inputs: &'a [f64]) -> Ensemble<'a> {
    let (labels, precision) = (Labels::default(), Precision::Float64);
    Ensemble { plan, init, seed: 6, inputs, labels, precision, gradient: true, tangent: None }
}

fn assert_near(what: &str, found: Estimate, expect: f64) {
    let z = (found.value - expect) / found.error;
    assert!(z.abs() < 4.0, "{what}: {} ± {}, expected {expect}, z {z} (seed 6)", found.value, found.error);
}

#[test]
fn the_first_layer_has_its_gaussian_kernel_and_fluctuation() {
    let plan = plan("7-40-3", "tanh");
    let init = [LayerInit::normal(1.3, 0.2), LayerInit::normal(1.0, 0.0)];
    let inputs = inputs(&plan, 3);
    let part = run_job(&ensemble(&plan, &init, &inputs), 0..2000).unwrap();
    let layer = &part.layers[0];
    for a in 0..3 {
        let x = &inputs[a * 7..(a + 1) * 7];
        let kernel = 0.2 + 1.3 * x.iter().map(|x| x * x).sum::<f64>() / 7.0;
        assert_near("K", layer.kernel[a].estimate(), kernel);
        assert_near("n Var K / K²", fluctuation(&layer.kernel[a], layer.width), 2.0);
    }
    let (x, y) = (&inputs[..7], &inputs[7..14]);
    let distance = 1.3 * x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / 7.0;
    assert_near("d", layer.distance[0].estimate(), distance);
}

#[test]
fn deep_linear_networks_fluctuate_exactly_as_their_closed_form_says() {
    // E[Ĝ²]/E[Ĝ]² = Π (1 + 2/n_l) over hidden layers; one more Gaussian average gives the kernel of layer l.
    let (width, depth) = (24.0_f64, 5);
    let plan = plan("6-24x5-2", "z");
    let init = vec![LayerInit::normal(1.0, 0.0); plan.weighted];
    let inputs = inputs(&plan, 1);
    let part = run_job(&ensemble(&plan, &init, &inputs), 0..4000).unwrap();
    for l in 0..depth {
        let second = (1.0 + 2.0 / width).powi(l as i32 + 1);
        assert_near("n Var K / K²", fluctuation(&part.layers[l].kernel[0], 24), width * (second - 1.0));
        // |Wᵀδ|² keeps its mean at C_W = 1 with equal widths; into the last hidden layer come two outputs.
        assert_near("gradient", part.layers[l].gradient[0].estimate(), 1.0);
    }
}

#[test]
fn relu_doubles_what_the_critical_variance_halves() {
    let plan = plan("10-64x4-10", "relu");
    let init = vec![LayerInit::normal(2.0, 0.0); plan.weighted];
    let inputs = inputs(&plan, 1);
    let part = run_job(&ensemble(&plan, &init, &inputs), 0..2000).unwrap();
    let first = 2.0 * inputs.iter().map(|x| x * x).sum::<f64>() / 10.0;
    for layer in &part.layers {
        assert_near(&layer.name, layer.kernel[0].estimate(), first);
    }
}

#[test]
fn the_tangent_kernel_of_one_layer_is_exact_and_of_two_layers_is_that_of_theory() {
    let text = "input = [5]\nlayers = [{ dense = 6 }]";
    let one = Plan::new(&Network::from_toml(text).unwrap()).unwrap();
    let (init, rates) = ([LayerInit::normal(1.0, 0.0)], [LayerRate { lambda_w: 1.5, lambda_b: 0.4 }]);
    let inputs = inputs(&one, 2);
    let mut asked = ensemble(&one, &init, &inputs);
    asked.tangent = Some(TangentAsk { rates: &rates, directions: 0 });
    let part = run_job(&asked, 0..2).unwrap();
    let expect = 0.4 + 1.5 * inputs[..5].iter().map(|x| x * x).sum::<f64>() / 5.0;
    assert!((part.layers[0].tangent[0].mean() / expect - 1.0).abs() < 1e-12);
    let apart = 1.5 * (0..5).map(|i| (inputs[i] - inputs[5 + i]).powi(2)).sum::<f64>() / 5.0;
    assert!((part.layers[0].tangent_distance[0].mean() / apart - 1.0).abs() < 1e-12);

    // Linear, two layers: Θ = λ_b + λ_W K + C_W Θ₁ with K = C_W x²/n, exactly in the mean at any width.
    let two = plan("5-12-3", "z");
    let (init, rates) = (vec![LayerInit::normal(1.2, 0.1); 2], vec![rates[0]; 2]);
    for directions in [0, 1] {
        let mut asked = ensemble(&two, &init, &inputs);
        asked.tangent = Some(TangentAsk { rates: &rates, directions });
        let part = run_job(&asked, 0..1500).unwrap();
        let square = inputs[..5].iter().map(|x| x * x).sum::<f64>() / 5.0;
        let expect = 0.4 + 1.5 * (0.1 + 1.2 * square) + 1.2 * (0.4 + 1.5 * square);
        assert_near("Θ", part.layers[1].tangent[0].estimate(), expect);
    }
}

#[test]
fn threads_and_kills_change_no_bit() {
    let plan = plan("6-16x3-4", "gelu");
    let init = vec![LayerInit::normal(1.9, 0.1); plan.weighted];
    let inputs = inputs(&plan, 4);
    let asked = Ensemble { labels: Labels { classes: &[0, 0, 1, 1] }, ..ensemble(&plan, &init, &inputs) };
    let jobs = [0..30, 30..50, 50..100u64];
    let parts: Vec<Part> = jobs.iter().map(|job| run_job(&asked, job.clone()).unwrap()).collect();
    let expect = merge(&parts).unwrap();
    assert!(expect.members.len() == 1 && expect.members[0] == (0..100), "{:?}", expect.members);
    assert!(expect.layers.iter().all(|layer| layer.missing.iter().all(|lack| lack.what == "tangent")));
    for threads in 1..=3 {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut again: Vec<Part> =
            pool.install(|| jobs.iter().rev().map(|job| run_job(&asked, job.clone()).unwrap()).collect());
        // As a store would: written as lines, read back, in whatever order they landed.
        again.rotate_left(1);
        let lines: Vec<String> = again.iter().map(|part| serde_json::to_string(part).unwrap()).collect();
        let read: Vec<Part> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(merge(&read).unwrap(), expect, "{threads} threads");
    }
    assert!(matches!(merge(&[parts[0].clone(), parts[0].clone()]), Err(SimError::Twice { member: 0 })));
    assert!(matches!(merge(&[]), Err(SimError::NoSamples)));
}

#[test]
fn more_members_are_known_better_and_a_lost_signal_says_so() {
    let small = plan("6-16-4", "tanh");
    let init = vec![LayerInit::normal(1.0, 0.0); 2];
    let inputs = inputs(&small, 3);
    let asked = ensemble(&small, &init, &inputs);
    let worst = |n| worst_relative_error(&run_job(&asked, 0..n).unwrap());
    assert_eq!(worst(1), f64::INFINITY);
    let ratio = worst(100) / worst(1600);
    assert!((2.5..6.5).contains(&ratio), "16 times the members: error {ratio} times smaller");

    // 45 layers at C_W = 0.01 shrink the signal to 1e-92, below what a fourth moment can hold.
    let deep = plan("6-8x45-4", "z");
    let init = vec![LayerInit::normal(0.01, 0.0); deep.weighted];
    let part = run_job(&ensemble(&deep, &init, &inputs), 0..3).unwrap();
    let last = part.layers.last().unwrap();
    assert!(last.missing.iter().any(|lack| lack.what == "kernel" && lack.count == 3), "{:?}", last.missing);
    let profile = profile(&part);
    let cells = &profile.column("kernel").unwrap().cells;
    assert!(cells[0].value().is_some() && cells.last().unwrap().value().is_none());
}
