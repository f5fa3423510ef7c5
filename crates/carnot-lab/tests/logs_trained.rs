//! Real trainings whose fate is known from how they were set up: their logs are named rightly.
//!
//! With CARNOT_WRITE_FIXTURES the logs of the book's chapter are written anew.

mod logfile;

use std::path::Path;

use carnot_lab::logged::asked::Asked;
use carnot_lab::logged::diagnose;
use carnot_math::random::Stream;
use carnot_net::activation::Activation;
use carnot_net::dataset::{self, Dataset, Options, Targets};
use carnot_net::hyper::LayerInit;
use carnot_net::plan::Plan;
use carnot_net::shorthand::{self, Style};
use carnot_report::finding::Level;
use carnot_report::report::{Report, Word};
use carnot_sim::initialise::initialise;
use carnot_sim::loss::Loss;
use carnot_sim::train::evaluate::{gradient, score};
use logfile::{FORMATS, Format, Line, write};

/// A training by plain gradient descent, one line a step.
struct Run {
    network: &'static str,
    c_w: f64,
    rate: fn(u64) -> f64,
    steps: u64,
    batch: usize,
    validate: u64,
    loss: Loss,
}

impl Default for Run {
    fn default() -> Run {
        Run {
            network: "64-64x2-10",
            c_w: 1.0,
            rate: |_| 0.3,
            steps: 600,
            batch: 50,
            validate: 0,
            loss: Loss::CrossEntropy,
        }
    }
}

impl Run {
    fn log(&self, train: &Dataset, test: &Dataset, seed: u64) -> Vec<Line> {
        let style = Style { activation: Activation::parse("tanh").unwrap(), residual: None, norm: None };
        let plan = Plan::new(&shorthand::parse(self.network, &style).unwrap()).unwrap();
        let mut parameters = vec![0.0; plan.parameters];
        initialise(&plan, &vec![LayerInit::normal(self.c_w, 0.0); plan.weighted], seed, 0, &mut parameters);
        let mut lines = Vec::new();
        for step in 0..self.steps {
            let mut chosen = Stream::new(seed, "batch", &[step]);
            let indices: Vec<usize> = (0..self.batch).map(|_| chosen.below(train.len())).collect();
            let batch =
                if self.batch >= train.len() { train.clone() } else { train.subset(&indices).unwrap() };
            let loss = score(&plan, &parameters, self.loss, &batch).loss.unwrap_or(f64::NAN);
            let slope = gradient(&plan, &parameters, self.loss, &batch);
            let rate = (self.rate)(step);
            let is_due = self.validate > 0 && step % self.validate == 0;
            lines.push(Line {
                step: step as f64,
                loss,
                validation: is_due
                    .then(|| score(&plan, &parameters, self.loss, test).loss.unwrap_or(f64::NAN)),
                rate,
                gradient: slope.iter().map(|g| g * g).sum::<f64>().sqrt(),
            });
            parameters.iter_mut().zip(&slope).for_each(|(w, g)| *w -= rate * g);
        }
        lines
    }
}

fn digits() -> (Dataset, Dataset) {
    dataset::open("digits", &Options::default()).unwrap().split(0.8, 1).unwrap()
}

fn read(lines: &[Line], asked: &Asked, format: Format) -> Report {
    let folder = tempfile::tempdir().unwrap();
    diagnose(&write(folder.path(), "log", lines, format), Path::new("runs"), asked, "").unwrap()
}

fn named(report: &Report) -> (Word, Vec<&str>) {
    let mut codes: Vec<&str> =
        report.findings.iter().filter(|f| f.level < Level::Note).map(|f| f.code.as_str()).collect();
    codes.dedup();
    (report.verdict.as_ref().unwrap().word, codes)
}

fn ten() -> Asked {
    Asked { classes: Some(10), ..Asked::default() }
}

fn keep(name: &str, lines: &[Line], format: Format) {
    if std::env::var_os("CARNOT_WRITE_FIXTURES").is_some() {
        write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../carnot/tests/fixtures"), name, lines, format);
    }
}

#[test]
fn a_sensible_network_learns_and_says_so() {
    let (train, test) = digits();
    for seed in 0..5 {
        let lines = Run { validate: 20, ..Run::default() }.log(&train, &test, seed);
        let report = read(&lines, &ten(), FORMATS[seed as usize % 3]);
        assert_eq!(named(&report), (Word::Learns, vec![]), "seed {seed}: {:?}", report.findings);
    }
}

/// Thirty tanh layers at the variance of PyTorch: no gradient comes through, only the output bias learns. Nine in ten of the
/// samples are of two classes, so that what it learns is not ln 10.
#[test]
fn a_network_too_deep_stays_at_the_entropy_of_its_classes() {
    let (train, test) = digits();
    let Targets::Classes { labels, .. } = &train.targets else { panic!() };
    let kept: Vec<usize> = (0..train.len()).filter(|&at| labels[at] < 2 || at % 18 == 0).collect();
    let few = train.subset(&kept).unwrap();
    let (total, counts) = (few.len() as f64, few.class_counts());
    let prior: f64 = counts.iter().map(|&n| n as f64 / total).filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum();
    for seed in 0..3 {
        let run = Run { network: "64-64x30-10", c_w: 1.0 / 3.0, rate: |_| 0.1, steps: 400, ..Run::default() };
        let lines = run.log(&few, &test, seed);
        let report = read(&lines, &Asked { unigram: Some(prior), ..ten() }, Format::Csv);
        assert_eq!(named(&report), (Word::WillNotLearn, vec!["T521"]), "seed {seed}");
        assert_eq!(report.extra["diagnosis"]["at"][0]["kind"], "unigram", "{prior} {:?}", report.verdict);
        if seed == 0 {
            keep("plateau", &lines, Format::Csv);
            let Targets::Classes { labels, .. } = &few.targets else { panic!() };
            let text: String = labels.iter().map(|label| format!("{label}\n")).collect();
            if std::env::var_os("CARNOT_WRITE_FIXTURES").is_some() {
                std::fs::write(
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("../carnot/tests/fixtures/labels.txt"),
                    text,
                )
                .unwrap();
            }
        }
    }
}

#[test]
fn a_rate_far_beyond_the_edge_diverges() {
    let (train, test) = digits();
    for seed in 0..3 {
        let run = Run {
            rate: |step| if step < 150 { 0.1 } else { 40.0 },
            steps: 300,
            loss: Loss::Squared,
            ..Run::default()
        };
        let report = read(&run.log(&train, &test, seed), &Asked::default(), Format::JsonLines);
        assert_eq!(named(&report), (Word::WillNotLearn, vec!["T522"]), "seed {seed}");
        let events = report.extra["diagnosis"]["events"].as_array().unwrap();
        let began =
            events.iter().find(|event| event["word"] == "begins to rise").unwrap()["step"].as_f64().unwrap();
        assert!((began - 150.0).abs() <= 5.0, "seed {seed}: {began}");
        assert!(report.findings[0].because.contains("rate"), "{}", report.findings[0].because);
    }
}

#[test]
fn a_rate_of_nothing_is_a_dead_run_and_its_cause_is_told() {
    let (train, test) = digits();
    let run = Run { rate: |_| 0.0, steps: 60, batch: 10_000, ..Run::default() };
    let report = read(
        &run.log(&train.subset(&(0..100).collect::<Vec<_>>()).unwrap(), &test, 1),
        &ten(),
        Format::Events,
    );
    assert_eq!(named(&report), (Word::WillNotLearn, vec!["T523"]));
    assert_eq!(report.findings[0].because, "the rate is 0");
}

/// Two hundred samples, every third label wrong, and a network that can learn them by heart.
#[test]
fn a_small_training_set_is_learned_by_heart() {
    let (train, test) = digits();
    for seed in 0..3 {
        let mut few = train.subset(&(0..200).map(|at| at * 7 + seed as usize).collect::<Vec<_>>()).unwrap();
        let Targets::Classes { labels, .. } = &mut few.targets else { panic!() };
        labels.iter_mut().step_by(3).for_each(|label| *label = (*label + 1) % 10);
        let run = Run {
            network: "64-128x2-10",
            rate: |_| 0.3,
            steps: 800,
            batch: 50,
            validate: 10,
            ..Run::default()
        };
        let lines = run.log(&few, &test, seed);
        let report = read(&lines, &Asked::default(), Format::JsonLines);
        assert_eq!(named(&report), (Word::LearnsAtACost, vec!["T524"]), "seed {seed}: {:?}", report.findings);
        let own: Vec<(f64, f64)> =
            lines.iter().filter_map(|line| Some((line.step, line.validation?))).collect();
        let lowest = own.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
        let said: f64 = report.findings[0].at.trim_start_matches("step ").parse().unwrap();
        assert!((said - lowest).abs() <= 60.0, "seed {seed}: said {said}, lowest {lowest}");
        if seed == 0 {
            keep("overfit", &lines, Format::JsonLines);
        }
    }
}

/// The rate is far too high for five steps in the middle of a run.
#[test]
fn a_burst_of_the_rate_makes_a_spike_that_recovers() {
    let (train, test) = digits();
    for seed in 0..3 {
        let run = Run {
            rate: |step| if (300..305).contains(&step) { 2.0 } else { 0.1 },
            steps: 700,
            ..Run::default()
        };
        let lines = run.log(&train, &test, seed);
        let report = read(&lines, &ten(), Format::Events);
        println!("{:?} {}", named(&report), report.verdict.as_ref().unwrap().why);
        let finding =
            report.findings.iter().find(|f| f.code == "T525").unwrap_or_else(|| panic!("seed {seed}"));
        assert!(
            finding.saw.contains("is back at step") && finding.because.contains("rate"),
            "{} {}",
            finding.saw,
            finding.because
        );
        let from: f64 = finding.at.trim_start_matches("step ").parse().unwrap();
        assert!((299.0..=310.0).contains(&from), "{from}");
        if seed == 0 {
            keep("spike", &lines, Format::Events);
        }
    }
}
