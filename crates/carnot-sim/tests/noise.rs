//! Noise in training: labels, inputs and parameters are shaken as much as asked, and the same way every time.

use carnot_math::stats::Moments;
use carnot_net::dataset::{self, Dataset, Options, Targets};
use carnot_net::hyper::LayerInit;
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use carnot_sim::error::SimError;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::{Moment, Training, train, train_watched};

fn plan(text: &str) -> Plan {
    Plan::new(&Network::from_toml(text).unwrap()).unwrap()
}

fn digits() -> (Dataset, Dataset) {
    dataset::open("digits", &Options::default()).unwrap().split(0.8, 1).unwrap()
}

const NETWORK: &str = "input = [64]\nlayers = [{ batch_norm = 0.1 }, { repeat = 2, block = [{ dense = 32 }, { batch_norm = 0.1 }, { act = 'relu' }, { dropout = 0.1 }] }, { dense = 10 }]";

fn training<'a>(
    plan: &'a Plan,
    init: &'a [LayerInit],
    data: &'a (Dataset, Dataset),
    spec: TrainSpec,
) -> Training<'a> {
    let optimizer = Optimizer::named("adam").unwrap();
    Training {
        plan,
        init,
        rates: &[],
        optimizer,
        loss: Loss::CrossEntropy,
        train: &data.0,
        test: Some(&data.1),
        spec,
    }
}

#[test]
fn labels_that_are_all_redrawn_teach_nothing_and_half_of_them_still_do() {
    let (plan, data) = (plan(NETWORK), digits());
    let init = vec![LayerInit::normal(2.0, 0.0); plan.weighted];
    let of = |label_noise: f64| {
        let spec = TrainSpec { steps: 200, batch: 256, rate: 3e-3, label_noise, ..TrainSpec::default() };
        train(&training(&plan, &init, &data, spec), 0..2, &|_| {}).unwrap()
    };
    for history in of(0.5) {
        // Redrawn labels may be right: the entropy of what is taught is that of 0.55 and nine times 0.05.
        let taught = -(0.55f64 * 0.55f64.ln() + 9.0 * 0.05 * 0.05f64.ln());
        let last = history.points.last().unwrap().loss;
        assert!(history.test.unwrap().accuracy.unwrap() > 0.9, "{history:?}");
        // Fresh labels cannot be learned by heart: the loss stays above their entropy, and comes near it.
        assert!(last > taught - 0.02 && last < taught + 0.3, "{last}, entropy {taught}");
    }
    for history in of(1.0) {
        assert!(history.test.unwrap().accuracy.unwrap() < 0.35, "{history:?}");
        assert!((history.points.last().unwrap().loss - 10f64.ln()).abs() < 0.1);
    }
}

#[test]
fn noisy_trainings_have_the_same_bits_in_any_block_and_differ_between_members() {
    let (plan, data) = (plan(NETWORK), digits());
    let init = vec![LayerInit::normal(2.0, 0.0); plan.weighted];
    let noisy = TrainSpec {
        steps: 12,
        label_noise: 0.3,
        input_noise: 0.2,
        temperature: 1e-4,
        ..TrainSpec::default()
    };
    let of = |block: usize| {
        let spec = TrainSpec { block: Some(block), ..noisy };
        train(&training(&plan, &init, &data, spec), 0..5, &|_| {}).unwrap()
    };
    let one = of(1);
    assert_eq!(of(2), one);
    assert_eq!(of(5), one);
    assert_ne!(one[0].train, one[1].train);
    for quiet in [
        TrainSpec { label_noise: 0.0, ..noisy },
        TrainSpec { input_noise: 0.0, ..noisy },
        TrainSpec { temperature: 0.0, ..noisy },
    ] {
        assert_ne!(
            train(&training(&plan, &init, &data, quiet), 0..1, &|_| {}).unwrap()[0].train,
            one[0].train
        );
    }
}

fn line(inputs: Vec<f32>, values: Vec<f32>) -> Dataset {
    Dataset {
        name: "line".into(),
        shape: vec![1],
        inputs,
        targets: Targets::Values { values, width: 1 },
        exact: Default::default(),
        source: String::new(),
    }
}

/// One weight in a parabola of curvature h: $w' = (1 - \eta h) w + \sqrt{2\eta T}\,\xi$ has the stationary variance
/// $T/[h(1 - \eta h/2)]$.
#[test]
fn a_weight_at_a_temperature_has_its_stationary_variance() {
    let plan = plan("input = [1]\nlayers = [{ dense = 1, bias = false }]");
    let init = vec![LayerInit::normal(0.0, 0.0)];
    let data = (line(vec![2.0, -2.0], vec![0.0, 0.0]), line(vec![1.0], vec![0.0]));
    let (eta, curvature, temperature) = (0.05, 4.0, 0.3);
    let spec = TrainSpec { steps: 60, batch: 2, rate: eta, temperature, ..TrainSpec::default() };
    let training = Training {
        optimizer: Optimizer::named("sgd").unwrap(),
        loss: Loss::Squared,
        ..training(&plan, &init, &data, spec)
    };
    let look = |moment: Moment<f64>| moment.parameters[0];
    let seen = train_watched::<f64, f64>(&training, 0..4000, &[60], &look).unwrap();
    let squares = Moments::of(&seen.iter().map(|(_, w)| w[0] * w[0]).collect::<Vec<_>>());
    let expect = temperature / (curvature * (1.0 - eta * curvature / 2.0));
    let z = (squares.mean() - expect) / squares.error();
    assert!(z.abs() < 4.0, "{} ± {}, expected {expect}", squares.mean(), squares.error());
}

/// The gradient of a linear network is that of inputs with noise: $\langle x^2 \rangle$ grows by the variance of the noise.
#[test]
fn noise_at_the_input_has_the_size_asked_for() {
    let plan = plan("input = [1]\nlayers = [{ dense = 1, bias = false }]");
    let init = vec![LayerInit::normal(1.0, 0.0)];
    let data = (line(vec![2.0, -2.0], vec![0.0, 0.0]), line(vec![1.0], vec![0.0]));
    let eta = 1e-3;
    let spec = TrainSpec { steps: 1, batch: 2, rate: eta, input_noise: 0.5, ..TrainSpec::default() };
    let training = Training {
        optimizer: Optimizer::named("sgd").unwrap(),
        loss: Loss::Squared,
        ..training(&plan, &init, &data, spec)
    };
    let look = |moment: Moment<f64>| moment.parameters[0];
    let seen = train_watched::<f64, f64>(&training, 0..4000, &[0, 1], &look).unwrap();
    // w' = w (1 − η⟨x²⟩), ⟨x²⟩ = 4 + (0.5·2)² on average.
    let squares = Moments::of(&seen.iter().map(|(_, w)| (1.0 - w[1] / w[0]) / eta).collect::<Vec<_>>());
    let z = (squares.mean() - 5.0) / squares.error();
    assert!(z.abs() < 4.0, "{} ± {}", squares.mean(), squares.error());
}

#[test]
fn noise_out_of_range_or_without_classes_is_refused() {
    let plan = plan("input = [1]\nlayers = [{ dense = 1 }]");
    let init = vec![LayerInit::normal(1.0, 0.0)];
    let data = (line(vec![2.0], vec![0.0]), line(vec![1.0], vec![0.0]));
    let told = |spec: TrainSpec| {
        let training = Training { loss: Loss::Squared, ..training(&plan, &init, &data, spec) };
        train(&training, 0..1, &|_| {}).unwrap_err()
    };
    let usual = TrainSpec::default();
    assert!(matches!(told(TrainSpec { label_noise: 0.5, ..usual }), SimError::NoClasses));
    let range = |spec| matches!(told(spec), SimError::Range { .. });
    assert!(
        range(TrainSpec { label_noise: 1.5, ..usual }) && range(TrainSpec { input_noise: f64::NAN, ..usual })
    );
    assert!(range(TrainSpec { temperature: -1.0, ..usual }));
}
