//! Reins: left alone they change no bit; moved they are a training with those settings from there on.

use carnot_net::activation::Activation;
use carnot_net::dataset::{self, Dataset, Options};
use carnot_net::hyper::LayerInit;
use carnot_net::layers::Layer;
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use carnot_sim::error::SimError;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::steer::{Reins, Sight, train_steered};
use carnot_sim::train::{Training, train, train_watched};

const NETWORK: &str = "input = [64]\nlayers = [{ batch_norm = 0.1 }, { residual = 1.0, block = [{ dense = 64 }, { dropout = 0.2 }] }, { dense = 32 }, { act = 'relu' }, { dropout = 0.1 }, { dense = 10 }]";

fn plan(text: &str) -> Plan {
    Plan::new(&Network::from_toml(text).unwrap()).unwrap()
}

fn digits() -> Dataset {
    dataset::open("digits", &Options::default()).unwrap().split(0.2, 1).unwrap().0
}

fn training<'a>(plan: &'a Plan, init: &'a [LayerInit], data: &'a Dataset, spec: TrainSpec) -> Training<'a> {
    Training {
        plan,
        init,
        rates: &[],
        optimizer: Optimizer::named("adam").unwrap(),
        loss: Loss::CrossEntropy,
        train: data,
        test: None,
        spec,
    }
}

const SPEC: fn() -> TrainSpec = || TrainSpec {
    steps: 30,
    batch: 50,
    rate: 3e-3,
    label_noise: 0.1,
    input_noise: 0.1,
    ..TrainSpec::default()
};

fn last(sight: Sight<f32>) -> Vec<f32> {
    sight.moment.parameters.to_vec()
}

#[test]
fn reins_left_alone_change_no_bit() {
    let (plan, data) = (plan(NETWORK), digits());
    let init = vec![LayerInit::normal(2.0, 0.0); plan.weighted];
    let training = training(&plan, &init, &data, SPEC());
    let plain = train(&training, 0..3, &|_| {}).unwrap();
    let watched = train_watched::<f32, _>(&training, 0..3, &[0, 7, 30], &|m| m.parameters.to_vec()).unwrap();
    let alone = |sight: Sight<f32>, _: &mut Reins| last(sight);
    let steered = train_steered::<f32, _>(&training, 0..3, &[0, 7, 30], &alone).unwrap();
    for ((plain, (history, seen)), (steered, own)) in plain.iter().zip(&watched).zip(&steered) {
        assert_eq!(plain, history);
        assert_eq!(plain, steered);
        assert_eq!(seen, own);
    }
}

/// Set at the start, they are the training that was set so before.
#[test]
fn reins_taken_at_the_start_are_the_settings() {
    let data = digits();
    let wanted = plan(&NETWORK.replace("0.2 }", "0.4 }").replace("'relu'", "'max(z, 0.5 * z)'"));
    let init = vec![LayerInit::normal(2.0, 0.0); wanted.weighted];
    let spec = TrainSpec { rate: 1e-3, label_noise: 0.3, input_noise: 0.5, temperature: 1e-5, ..SPEC() };
    let wanted = train(&training(&wanted, &init, &data, spec), 0..2, &|_| {}).unwrap();
    let plain = plan(NETWORK);
    let quiet = TrainSpec { label_noise: 0.0, input_noise: 0.0, ..SPEC() };
    let steered = train_steered::<f32, _>(
        &training(&plain, &init, &data, quiet),
        0..2,
        &[0],
        &|_, reins: &mut Reins| {
            assert_eq!(reins.dropout, [0.2, 0.1]);
            *reins = Reins {
                rate: 1e-3,
                label_noise: 0.3,
                input_noise: 0.5,
                temperature: 1e-5,
                dropout: vec![0.4, 0.1],
                activations: vec![Activation::parse("max(z, 0.5 * z)").unwrap()],
            };
        },
    )
    .unwrap();
    for (wanted, (steered, _)) in wanted.iter().zip(&steered) {
        assert_eq!(wanted.train, steered.train);
        assert_eq!(wanted.points, steered.points);
    }
}

/// From the step on at which they are moved, and not before; the plan that is seen is the one in force.
#[test]
fn reins_taken_on_the_way_hold_from_there_on() {
    let (plan, data) = (plan(NETWORK), digits());
    let init = vec![LayerInit::normal(2.0, 0.0); plan.weighted];
    let training = training(&plan, &init, &data, SPEC());
    let plain = train_watched::<f32, _>(&training, 0..1, &[10, 11], &|m| m.parameters.to_vec()).unwrap();
    let steered = train_steered::<f32, _>(&training, 0..1, &[10, 11], &|sight, reins: &mut Reins| {
        let dropped = sight.plan.all().into_iter().find_map(|site| match &site.layer {
            Layer::Dropout(dropout) => Some(dropout.probability),
            _ => None,
        });
        let loss = sight.loss.unwrap();
        reins.dropout[0] = 0.6;
        (sight.moment.parameters.to_vec(), dropped.unwrap(), loss)
    })
    .unwrap();
    let (plain, steered) = (&plain[0].1, &steered[0].1);
    assert_eq!(plain[0], steered[0].0);
    assert_ne!(plain[1], steered[1].0);
    assert_eq!([steered[0].1, steered[1].1], [0.2, 0.6]);
    assert!(steered.iter().all(|(.., loss)| *loss > 0.0 && *loss < 10.0));
}

type Change = fn(&mut Reins);

#[test]
fn reins_out_of_range_are_refused() {
    let (plan, data) = (plan(NETWORK), digits());
    let init = vec![LayerInit::normal(2.0, 0.0); plan.weighted];
    let training = training(&plan, &init, &data, SPEC());
    let changes: [(&str, Change); 5] = [
        ("dropout", |reins| reins.dropout[1] = 1.0),
        ("dropout layers", |reins| reins.dropout.clear()),
        ("activations", |reins| reins.activations.clear()),
        ("rate", |reins| reins.rate = f64::NAN),
        ("label noise", |reins| reins.label_noise = 1.5),
    ];
    for (wanted, change) in changes {
        let found = train_steered::<f32, _>(&training, 0..1, &[5, 10], &|_, reins: &mut Reins| change(reins));
        match found {
            Err(SimError::Range { name, .. }) => assert_eq!(name, wanted),
            other => panic!("{wanted}: {other:?}"),
        }
    }
}
