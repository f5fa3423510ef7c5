//! Networks with weights taken away: counts, scores against differences, training under a mask, barriers.

use std::ops::ControlFlow;

use carnot_net::activation::Activation;
use carnot_net::dataset::{self, Dataset, Options};
use carnot_net::hyper::LayerInit;
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use carnot_net::shorthand::{self, Style};
use carnot_sim::error::SimError;
use carnot_sim::initialise::initialise;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::prune::barrier::{STABLE, error_barrier};
use carnot_sim::prune::mask::{Kind, Mask, prunable};
use carnot_sim::prune::masked::{Begin, train_from};
use carnot_sim::prune::scores::{NoScore, Score, prune_at_start, synflow};
use carnot_sim::train::Training;
use carnot_sim::train::evaluate::{gradient, score};
use carnot_sim::train::spec::{Schedule, TrainSpec};
use carnot_sim::train::until::train_until;

fn plan(text: &str, activation: &str) -> Plan {
    let style = Style { activation: Activation::parse(activation).unwrap(), residual: None, norm: None };
    Plan::new(&shorthand::parse(text, &style).unwrap()).unwrap()
}

fn start(plan: &Plan, seed: u64) -> Vec<f64> {
    let mut parameters = vec![0.0; plan.parameters];
    initialise(plan, &inits(plan), seed, 0, &mut parameters);
    parameters
}

fn inits(plan: &Plan) -> Vec<LayerInit> {
    vec![LayerInit::normal(2.0, 0.1); plan.weighted]
}

fn digits() -> Dataset {
    dataset::open("digits", &Options::default()).unwrap().split(0.2, 1).unwrap().0
}

fn golden(id: &str) -> serde_json::Value {
    let all: serde_json::Value = serde_json::from_str(include_str!("golden/pruning.json")).unwrap();
    let items = all["items"].as_array().unwrap();
    items.iter().find(|item| item["id"] == id).unwrap_or_else(|| panic!("no {id}"))["value"].clone()
}

/// One in five of what is left, of the output one in ten: the shares that the paper prints, to one weight a tensor and round.
#[test]
fn rounds_of_a_lenet_leave_what_the_closed_form_says() {
    let plan = plan("784-300-100-10", "relu");
    let rates = golden("imp.rates.lenet");
    let rate = |kind| match kind {
        Kind::Output => rates["output"].as_f64().unwrap(),
        _ => rates["dense"].as_f64().unwrap(),
    };
    let scores: Vec<f64> = start(&plan, 1).iter().map(|w| w.abs()).collect();
    let mut mask = Mask::whole(&plan);
    let shares: Vec<f64> = serde_json::from_value(golden("imp.remaining.lenet_300_100")).unwrap();
    for (round, expect) in shares.iter().enumerate() {
        if round > 0 {
            let before = mask.clone();
            mask.take_by_tensor(&scores, rate);
            assert!(
                mask.alive().iter().zip(before.alive()).all(|(now, then)| !now || *then),
                "what is gone stays so"
            );
        }
        let tolerance = 0.5 * 3.0 * round as f64 / 266_200.0 + 1e-6;
        assert!((mask.share() - expect).abs() <= tolerance, "round {round}: {}, {expect}", mask.share());
    }
    // The least go first.
    let first = &mask.tensors()[0];
    let own = |alive: bool| {
        first.at.clone().filter(|&at| mask.alive()[at] == alive).map(|at| scores[at]).collect::<Vec<f64>>()
    };
    let most = own(false).into_iter().fold(0.0, f64::max);
    assert!(own(true).into_iter().all(|kept| kept >= most));
}

#[test]
fn biases_norms_and_tables_are_never_pruned_and_kinds_are_told() {
    let text = "input = [1, 8, 8]\nlayers = [{ conv = 4, kernel = 3 }, { act = 'relu' }, { flatten = true }, { dense = 12 }, { norm = 'layer' }, { act = 'relu' }, { dense = 10 }]";
    let plan = Plan::new(&Network::from_toml(text).unwrap()).unwrap();
    let kinds: Vec<Kind> = prunable(&plan).iter().map(|tensor| tensor.kind).collect();
    assert_eq!(kinds, [Kind::Conv, Kind::Dense, Kind::Output]);
    let weights: usize = prunable(&plan).iter().map(|tensor| tensor.at.len()).sum();
    let mut mask = Mask::whole(&plan);
    mask.take_by_tensor(&vec![0.0; plan.parameters], |_| 1.0);
    let left = mask.alive().iter().filter(|alive| **alive).count();
    assert_eq!((left, mask.share()), (plan.parameters - weights, 0.0));
    // The head of a text is the last matrix; where it is the table of tokens, nothing is.
    let outputs = |text: &str| {
        prunable(&plan_of_text(text)).iter().filter(|tensor| tensor.kind == Kind::Output).count()
    };
    assert_eq!((outputs("pre:2x16"), outputs("pre:2x16,tied=1")), (1, 0));
}

fn plan_of_text(text: &str) -> Plan {
    let network = carnot_net::transformer::parse(text, &Activation::parse("gelu").unwrap()).unwrap();
    Plan::new(&network).unwrap()
}

#[test]
fn masks_survive_as_bits_and_a_shuffled_one_has_as_many_in_each_tensor() {
    let plan = plan("7-5-3", "tanh");
    let mut mask = Mask::whole(&plan);
    let scores: Vec<f64> = start(&plan, 3).iter().map(|w| w.abs()).collect();
    mask.take_together(&scores, 0.4, |_| true);
    assert!((mask.share() - 0.4).abs() <= 0.5 / 50.0);
    assert_eq!(Mask::of_bits(&plan, &mask.bits()).unwrap(), mask);
    assert_eq!(Mask::of_bits(&plan, &mask.bits()[1..]), None);
    let shuffled = mask.shuffled(5, 0);
    assert_ne!(shuffled, mask);
    for tensor in mask.tensors() {
        assert_eq!(mask.left(tensor), shuffled.left(tensor));
    }
    let scattered = mask.scattered(5, 0);
    assert_eq!(scattered.share(), mask.share());
    // Scores that are no numbers go first and break nothing.
    let mut broken = Mask::whole(&plan);
    broken.take_together(&vec![f64::NAN; plan.parameters], 0.5, |_| true);
    assert_eq!(broken.share(), 0.5);
}

/// The sum over every matrix is R, and of each hidden unit what enters is what leaves.
#[test]
fn paths_are_conserved() {
    let plan = plan("9-8-7-6-4", "relu");
    let parameters = start(&plan, 2);
    let (total, scores) = synflow(&plan, &parameters).unwrap();
    let tensors = prunable(&plan);
    for tensor in &tensors {
        let sum: f64 = scores[tensor.at.clone()].iter().sum();
        assert!((sum / total - 1.0).abs() < 1e-9, "{}: {sum}, {total}", tensor.name);
    }
    for pair in tensors.windows(2) {
        let (before, after) = (&scores[pair[0].at.clone()], &scores[pair[1].at.clone()]);
        for unit in 0..pair[1].fan_in {
            let entering: f64 = before[unit * pair[0].fan_in..(unit + 1) * pair[0].fan_in].iter().sum();
            let leaving: f64 = after.iter().skip(unit).step_by(pair[1].fan_in).sum();
            assert!((entering / leaving - 1.0).abs() < 1e-9, "unit {unit}");
        }
    }
    // By hand: a chain of single units is one path.
    let chain = self::plan("1-1-1", "tanh");
    let (total, scores) = synflow(&chain, &[2.0, 7.0, -3.0, 9.0]).unwrap();
    assert_eq!((total, scores), (6.0, vec![6.0, 0.0, 6.0, 0.0]));
    let norm = "input = [4]\nlayers = [{ dense = 4 }, { norm = 'layer' }, { dense = 2 }]";
    let plan = Plan::new(&Network::from_toml(norm).unwrap()).unwrap();
    assert!(matches!(synflow(&plan, &vec![1.0; plan.parameters]), Err(NoScore::Paths { .. })));
}

/// With a hundred rounds paths leave every layer connected down to one weight in thirty; at once they empty the widest.
#[test]
fn paths_pruned_in_rounds_do_not_collapse_where_at_once_they_do() {
    let plan = plan("64-64-64-64-64-10", "relu");
    let (parameters, data) = (start(&plan, 4), digits());
    let least = |rounds: usize, keep: f64| {
        let mask =
            prune_at_start(Score::Synflow, &plan, &parameters, (keep, rounds), Loss::CrossEntropy, &data);
        let mask = mask.unwrap();
        mask.tensors().iter().map(|tensor| mask.left(tensor)).min().unwrap()
    };
    assert!(least(100, 0.002) >= 3, "{}", least(100, 0.002));
    assert!(least(100, 0.002) > least(1, 0.002));
}

#[test]
fn snip_is_the_slope_of_the_loss_in_the_mask_and_grasp_that_of_the_gradients_square() {
    let plan = plan("64-6-10", "tanh");
    let (parameters, data) = (start(&plan, 5), digits().subset(&(0..60).collect::<Vec<_>>()).unwrap());
    let mask = Mask::whole(&plan);
    let of = |score: Score| score.of(&plan, &parameters, &mask, Loss::CrossEntropy, &data).unwrap();
    let (snip, grasp) = (of(Score::Snip), of(Score::Grasp));
    let at = |place: usize, m: f64| {
        let mut own = parameters.clone();
        own[place] *= m;
        own
    };
    let h = 1e-5;
    for place in [0, 17, 200, 383, 400, 440] {
        let loss = |m: f64| score(&plan, &at(place, m), Loss::CrossEntropy, &data).loss.unwrap();
        let slope = (loss(1.0 + h) - loss(1.0 - h)) / (2.0 * h);
        assert!((snip[place] - slope.abs()).abs() < 1e-7, "{place}: {} {slope}", snip[place]);
        let square = |m: f64| {
            use carnot_sim::prune::scores::TEMPERATURE;
            use carnot_sim::train::evaluate::gradient_softened;
            let g = gradient_softened(&plan, &at(place, m), Loss::CrossEntropy, &data, TEMPERATURE);
            0.5 * g.iter().map(|g| g * g).sum::<f64>()
        };
        let slope = (square(1.0 + h) - square(1.0 - h)) / (2.0 * h);
        let size = grasp.iter().fold(0.0, |most: f64, score| most.max(score.abs()));
        assert!((grasp[place] - slope).abs() < 1e-4 * size, "{place}: {} {slope}", grasp[place]);
    }
    // A softened loss is that of divided outputs: at one it is the loss itself.
    let soft =
        carnot_sim::train::evaluate::gradient_softened(&plan, &parameters, Loss::CrossEntropy, &data, 1.0);
    assert_eq!(soft, gradient(&plan, &parameters, Loss::CrossEntropy, &data));
}

fn training<'a>(plan: &'a Plan, init: &'a [LayerInit], data: &'a Dataset, optimizer: &str) -> Training<'a> {
    Training {
        plan,
        init,
        rates: &[],
        optimizer: Optimizer::named(optimizer).unwrap(),
        loss: Loss::CrossEntropy,
        train: data,
        test: None,
        spec: TrainSpec {
            steps: 40,
            batch: 30,
            rate: 3e-3,
            schedule: Schedule::Linear,
            warm_up: 5,
            ..TrainSpec::default()
        },
    }
}

/// The weights after each of some steps.
fn followed(training: &Training, begin: Begin<f32>, steps: &[u64]) -> Vec<Vec<f32>> {
    let mut all = Vec::new();
    train_from::<f32>(training, 0, begin, &mut |seen| {
        if steps.contains(&seen.step) {
            all.push(seen.parameters.to_vec());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

#[test]
fn from_the_start_and_whole_it_is_the_training_to_the_bit_and_from_the_middle_it_goes_on() {
    let (plan, data) = (plan("64-16-10", "relu"), digits());
    let init = inits(&plan);
    for optimizer in ["sgd", "momentum", "adam", "adamw"] {
        let training = training(&plan, &init, &data, optimizer);
        let mut known = Vec::new();
        train_until::<f32>(&training, 0, &mut |seen| {
            if [0, 13, 40].contains(&seen.step) {
                known.push(seen.parameters.to_vec());
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        let whole = Mask::whole(&plan);
        for mask in [None, Some(&whole)] {
            let begin = Begin { weights: &known[0], step: 0, mask };
            assert_eq!(followed(&training, begin, &[0, 13, 40]), known, "{optimizer}");
        }
        // Without a memory it is the same from the middle on: batches and rates go on.
        let begin = Begin { weights: &known[1], step: 13, mask: None };
        let later = followed(&training, begin, &[40]);
        assert_eq!(later[0] == known[2], optimizer == "sgd", "{optimizer}");
    }
}

#[test]
fn what_is_gone_stays_at_zero_with_every_optimizer() {
    let (plan, data) = (plan("64-16-10", "relu"), digits());
    let init = inits(&plan);
    let weights: Vec<f32> = start(&plan, 6).iter().map(|w| *w as f32).collect();
    let mut mask = Mask::whole(&plan);
    let scores: Vec<f64> = weights.iter().map(|w| f64::from(w.abs())).collect();
    mask.take_together(&scores, 0.2, |_| true);
    for optimizer in ["sgd", "momentum", "adam", "adamw"] {
        let training = training(&plan, &init, &data, optimizer);
        let found = followed(&training, Begin { weights: &weights, step: 0, mask: Some(&mask) }, &[0, 1, 40]);
        for (at, parameters) in found.iter().enumerate() {
            for ((now, alive), before) in parameters.iter().zip(mask.alive()).zip(&weights) {
                assert!(*alive || *now == 0.0, "{optimizer}");
                assert!(at > 0 || !*alive || now == before, "{optimizer}");
            }
        }
        let moved =
            found[2].iter().zip(&found[0]).zip(mask.alive()).filter(|((a, b), alive)| **alive && a != b);
        assert!(moved.count() > plan.parameters / 10, "{optimizer}");
    }
    let training = training(&plan, &init, &data, "sgd");
    let wrong = |weights: &[f32], step: u64| {
        train_from::<f32>(&training, 0, Begin { weights, step, mask: None }, &mut |_| {
            ControlFlow::Continue(())
        })
    };
    assert!(matches!(wrong(&weights[1..], 0), Err(SimError::Range { name: "weights", .. })));
    assert!(matches!(wrong(&weights, 41), Err(SimError::Range { name: "beginning", .. })));
}

/// Two trainings of a small network from one start, in other orders, end linearly connected; from two starts they do not.
#[test]
fn copies_of_one_start_are_connected_and_other_starts_are_not() {
    let (plan, data) = (plan("64-32-32-10", "relu"), digits());
    let init = inits(&plan);
    let trained = |start_seed: u64, seed: u64| -> Vec<f64> {
        let mut training = training(&plan, &init, &data, "adam");
        training.spec = TrainSpec { steps: 300, batch: 60, rate: 1e-3, seed, ..TrainSpec::default() };
        let weights: Vec<f32> = start(&plan, start_seed).iter().map(|w| *w as f32).collect();
        let found = followed(&training, Begin { weights: &weights, step: 0, mask: None }, &[300]);
        found[0].iter().map(|w| f64::from(*w)).collect()
    };
    let barrier = |a: &[f64], b: &[f64]| error_barrier(&plan, a, b, Loss::CrossEntropy, &data).unwrap();
    let one = trained(1, 1);
    let connected = barrier(&one, &trained(1, 2));
    let apart = barrier(&one, &trained(2, 3));
    assert!(connected < STABLE, "{connected}");
    assert!(apart > 3.0 * STABLE, "{apart}");
}
