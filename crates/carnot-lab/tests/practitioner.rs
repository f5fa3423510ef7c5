//! The small model learns, the bigger one refuses at every rate, theory says so before, and another design of the same size learns: the
//! practitioner's story in reduced form, on the text of a licence.

use carnot_lab::logged::asked::Asked;
use carnot_lab::logged::diagnose;
use carnot_net::activation::Activation;
use carnot_net::dataset::{self, Dataset, Options};
use carnot_net::hyper::Scheme;
use carnot_net::plan::Plan;
use carnot_net::shorthand::{Style, parse};
use carnot_report::report::{Report, Word};
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::optimizer::adam::Adam;
use carnot_sim::train::Training;
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::steer::train_steered;
use carnot_theory::initial::initial;
use carnot_theory::tokens::walk::{Memory, walk};
use rayon::prelude::*;

const STEPS: u64 = 120;

fn text() -> Dataset {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../LICENSE-APACHE");
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("licence.txt");
    std::fs::copy(path, &copy).unwrap();
    dataset::open(&copy.display().to_string(), &Options::default()).unwrap()
}

fn plan(text: &str) -> Plan {
    let style = Style { activation: Activation::parse("relu").unwrap(), residual: None, norm: None };
    Plan::new(&parse(text, &style).unwrap()).unwrap()
}

/// Losses of all steps.
fn losses(plan: &Plan, data: &Dataset, rate: f64) -> Vec<f64> {
    let init = initial(plan, Scheme::Xavier, None, None).unwrap().layers;
    let spec = TrainSpec { steps: STEPS, batch: 6, rate, seed: 1, evaluate: 1, ..TrainSpec::default() };
    let optimizer = Optimizer::Adam(Adam::default());
    let training = Training {
        plan,
        init: &init,
        rates: &[],
        optimizer,
        loss: Loss::CrossEntropy,
        train: data,
        test: None,
        spec,
    };
    let looks: Vec<u64> = (1..=STEPS).collect();
    let seen = train_steered::<f32, _>(&training, 0..1, &looks, &|sight, _| sight.loss).unwrap();
    seen[0].1.iter().map(|loss| loss.expect("finite")).collect()
}

#[test]
fn the_bigger_model_stays_at_the_frequencies_of_tokens_and_theory_says_so_before() {
    let data = text();
    let counts = data.class_counts();
    let all = data.rows() as f64;
    let shares: Vec<f64> = counts.iter().filter(|&&n| n > 0).map(|&n| n as f64 / all).collect();
    let unigram: f64 = shares.iter().map(|p| -p * p.ln()).sum();
    let matches: f64 = shares.iter().map(|p| p * p).sum();
    let left = |plan: &Plan| {
        let init = initial(plan, Scheme::Xavier, None, None).unwrap().layers;
        let states = walk(plan, &init, matches, &mut Memory::default()).unwrap();
        states[states.len() - 2].stream.information
    };
    let (small, big, deep) = (plan("post:2x64"), plan("post:16x64"), plan("deepnorm:16x64"));
    assert!(left(&small) > 0.5 && left(&big) < 1e-3 && left(&deep) > 0.9);
    let runs: Vec<(&Plan, f64)> = [1e-3, 3e-3]
        .iter()
        .map(|&rate| (&small, rate))
        .chain([3e-4, 1e-3, 3e-3].iter().map(|&rate| (&big, rate)))
        .chain([(&deep, 1e-3)])
        .collect();
    let curves: Vec<Vec<f64>> = runs.par_iter().map(|(plan, rate)| losses(plan, &data, *rate)).collect();
    let last = |curve: &Vec<f64>| curve[curve.len() - 20..].iter().sum::<f64>() / 20.0;
    let losses: Vec<f64> = curves.iter().map(last).collect();
    let (learned, rest) = losses.split_at(2);
    let (stuck, deep) = rest.split_at(3);
    assert!(learned.iter().chain(deep).all(|&loss| loss < unigram - 0.3), "{unigram}: {losses:?}");
    // Its last loss is that of frequencies: neither above nor below them by more than what batches of 144 tokens leave.
    assert!(stuck.iter().all(|&loss| (loss - unigram).abs() < 0.1), "{unigram}: {losses:?}");
    // What the log of each says afterwards.
    for (place, curve) in curves.iter().enumerate() {
        let report = diagnosed(curve, unigram);
        let word = report.verdict.as_ref().unwrap().word;
        let is_stuck = (2..5).contains(&place);
        assert_eq!(word == Word::WillNotLearn, is_stuck, "{place}: {:?}", report.verdict);
        if is_stuck {
            assert!(
                report.findings.iter().any(|finding| finding.code == "T521"),
                "{place}: {:?}",
                report.findings
            );
            assert_eq!(
                report.extra["diagnosis"]["at"][0]["kind"], "unigram",
                "{place}: {:?}",
                report.verdict
            );
        }
    }
}

/// What `carnot diagnose` says of a log with these losses.
fn diagnosed(curve: &[f64], unigram: f64) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.csv");
    let rows = curve.iter().enumerate().map(|(step, loss)| format!("{step},{loss}\n"));
    std::fs::write(&path, format!("step,loss\n{}", rows.collect::<String>())).unwrap();
    let asked = Asked { classes: Some(64), unigram: Some(unigram), ..Asked::default() };
    diagnose(&path, folder.path(), &asked, "carnot diagnose log.csv").unwrap()
}
