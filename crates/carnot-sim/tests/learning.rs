//! Training as a user sees it: it learns, it repeats, it says when it breaks.

use carnot_net::activation::Activation;
use carnot_net::dataset::{self, Dataset, Options, Targets};
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use carnot_net::shorthand::{self, Style};
use carnot_sim::error::SimError;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::history::History;
use carnot_sim::train::spec::{Precision, TrainSpec};
use carnot_sim::train::{Training, train};

fn plan(text: &str, activation: &str) -> Plan {
    let activation = Activation::parse(activation).unwrap();
    let style = Style { activation, residual: None, norm: None };
    Plan::new(&shorthand::parse(text, &style).unwrap()).unwrap()
}

fn digits() -> (Dataset, Dataset) {
    dataset::open("digits", &Options::default()).unwrap().split(0.8, 1).unwrap()
}

fn training<'a>(plan: &'a Plan, init: &'a [LayerInit], data: &'a (Dataset, Dataset)) -> Training<'a> {
    let optimizer = Optimizer::named("adam").unwrap();
    let (loss, rates) = (Loss::CrossEntropy, &[][..]);
    let spec = TrainSpec::default();
    Training { plan, init, rates, optimizer, loss, train: &data.0, test: Some(&data.1), spec }
}

fn run(training: &Training, members: std::ops::Range<u64>) -> Vec<History> {
    train(training, members, &|_| {}).unwrap()
}

#[test]
fn a_sensible_network_learns_the_digits() {
    let (plan, data) = (plan("64-64x2-10", "relu"), digits());
    let init = vec![LayerInit::normal(2.0, 0.0); plan.weighted];
    let mut training = training(&plan, &init, &data);
    training.spec = TrainSpec { steps: 300, rate: 3e-3, ..training.spec };
    for history in run(&training, 0..2) {
        let accuracy = history.test.unwrap().accuracy.unwrap();
        assert!(accuracy > 0.9, "member {}: {accuracy}", history.member);
        assert!(history.before.loss.unwrap() > 2.0 && history.train.loss.unwrap() < 0.2);
        assert_eq!(history.diverged, None);
    }
}

#[test]
fn every_optimizer_and_loss_makes_the_loss_smaller() {
    let (plan, data) = (plan("64-32-10", "tanh"), digits());
    let init = vec![LayerInit::normal(1.0, 0.0); plan.weighted];
    for (name, rate) in [("sgd", 0.1), ("momentum", 0.02), ("adam", 3e-3), ("adamw", 3e-3)] {
        for loss in [Loss::CrossEntropy, Loss::Squared] {
            let mut training = training(&plan, &init, &data);
            (training.optimizer, training.loss) = (Optimizer::named(name).unwrap(), loss);
            training.spec = TrainSpec { steps: 100, rate, ..training.spec };
            let history = &run(&training, 0..1)[0];
            let (before, after) = (history.before.loss.unwrap(), history.train.loss.unwrap());
            assert!(after < 0.7 * before, "{name} {loss:?}: {before} -> {after}");
        }
    }
}

#[test]
fn threads_and_blocks_change_no_bit() {
    let text = "input = [64]\nlayers = [{ dense = 24 }, { act = 'tanh' }, { dropout = 0.2 }, { residual = 1.0, block = [{ norm = 'layer' }, { dense = 24 }, { act = 'gelu' }] }, { dense = 10 }]";
    let plan = Plan::new(&Network::from_toml(text).unwrap()).unwrap();
    let (init, data) = (vec![LayerInit::torch(64); plan.weighted], digits());
    let mut training = training(&plan, &init, &data);
    training.spec = TrainSpec { steps: 20, batch: 32, clip: Some(1.0), warm_up: 5, ..training.spec };
    for precision in [Precision::Float32, Precision::Float64] {
        training.spec.precision = precision;
        training.spec.block = Some(1);
        let expect = run(&training, 0..7);
        assert_ne!(expect[0].train, expect[1].train);
        for threads in 1..=3 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for block in [None, Some(1), Some(2), Some(3), Some(7)] {
                training.spec.block = block;
                let found = pool.install(|| run(&training, 0..7));
                assert_eq!(found, expect, "{threads} threads, block {block:?}");
            }
        }
        // A member does not depend on who trains beside it.
        assert_eq!(run(&training, 3..5), expect[3..5]);
    }
}

#[test]
fn a_run_that_diverges_is_reported_with_its_step_and_leaves_its_neighbours_alone() {
    let (plan, data) = (plan("64-16-10", "relu"), digits());
    let init = vec![LayerInit::normal(2.0, 0.0); plan.weighted];
    let mut training = training(&plan, &init, &data);
    training.optimizer = Optimizer::named("sgd").unwrap();
    training.loss = Loss::Squared;
    training.spec = TrainSpec { steps: 60, rate: 1e3, block: Some(3), ..training.spec };
    for history in run(&training, 0..3) {
        let at = history.diverged.expect("a rate of 1000 diverges");
        assert!(at > 1 && at < 60, "{at}");
        assert_eq!(history.train.loss, None);
        assert!(history.before.loss.is_some());
        assert!(history.points.iter().all(|point| point.step < at));
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
    }
}

#[test]
fn rates_that_are_uniform_in_the_language_of_theory_are_plain_rates() {
    let (plan, data) = (plan("64-16-10", "tanh"), digits());
    let init = vec![LayerInit::normal(1.0, 0.1); plan.weighted];
    let rates: Vec<LayerRate> =
        plan.weighted_sites().iter().map(|s| LayerRate::uniform(s.fan_in())).collect();
    let mut training = training(&plan, &init, &data);
    training.spec.steps = 10;
    let plain = run(&training, 0..2);
    training.rates = &rates;
    assert_eq!(run(&training, 0..2), plain);
    let faster: Vec<LayerRate> = rates.iter().map(|r| LayerRate { lambda_b: 2.0, ..*r }).collect();
    training.rates = &faster;
    assert_ne!(run(&training, 0..2), plain);
}

#[test]
fn full_batch_gradient_descent_on_a_linear_network_follows_its_closed_form() {
    // One sample, one weight: w <- w - rate (w x - y) x.
    let text = "input = [1]\nlayers = [{ dense = 1, bias = false }]";
    let plan = Plan::new(&Network::from_toml(text).unwrap()).unwrap();
    let set = |inputs: Vec<f32>, values: Vec<f32>| Dataset {
        name: "line".into(),
        shape: vec![1],
        inputs,
        targets: Targets::Values { values, width: 1 },
        exact: Default::default(),
        source: String::new(),
    };
    let data = (set(vec![2.0], vec![1.0]), set(vec![1.0], vec![0.0]));
    let init = [LayerInit::normal(1.0, 0.0)];
    let mut training = training(&plan, &init, &data);
    (training.optimizer, training.loss) = (Optimizer::named("sgd").unwrap(), Loss::Squared);
    training.spec = TrainSpec { steps: 7, rate: 0.05, precision: Precision::Float64, ..training.spec };
    let history = &run(&training, 0..1)[0];
    let ratio = history.train.loss.unwrap() / history.before.loss.unwrap();
    // The error shrinks by 1 - rate x² = 0.8 a step, the loss by its square.
    assert!((ratio / 0.8f64.powi(14) - 1.0).abs() < 1e-10, "{ratio}");
    assert_eq!(history.train.accuracy, None);
}

#[test]
fn what_does_not_fit_is_refused_before_it_starts() {
    let (plan, data) = (plan("64-16-10", "tanh"), digits());
    let init = vec![LayerInit::normal(1.0, 0.0); plan.weighted];
    let fault = |change: &dyn Fn(&mut Training)| {
        let mut training = training(&plan, &init, &data);
        change(&mut training);
        train(&training, 0..1, &|_| {}).unwrap_err()
    };
    assert!(matches!(fault(&|t| t.init = &[]), SimError::Initialisations { expected: 2, found: 0 }));
    assert!(matches!(fault(&|t| t.spec.rate = f64::NAN), SimError::Range { name: "rate", .. }));
    assert!(matches!(fault(&|t| t.spec.clip = Some(0.0)), SimError::Range { name: "clip", .. }));
    assert!(matches!(fault(&|t| t.spec.batch = 0), SimError::Range { name: "batch", .. }));
    let small = plan_of("63-16-10");
    let init = vec![LayerInit::normal(1.0, 0.0); 2];
    let wrong = Training { plan: &small, ..training(&plan, &init, &data) };
    assert!(matches!(train(&wrong, 0..1, &|_| {}), Err(SimError::Input { found: 64, .. })));
    let small = plan_of("64-16-9");
    let wrong = Training { plan: &small, ..wrong };
    assert!(matches!(train(&wrong, 0..1, &|_| {}), Err(SimError::Outputs { needed: 10, found: 9 })));
}

fn plan_of(text: &str) -> Plan {
    plan(text, "tanh")
}
