//! Logs with known truth are named rightly, in every format, over many seeds; healthy ones are left alone.

mod curves;
mod logfile;

use std::path::Path;

use carnot_lab::logged::asked::Asked;
use carnot_lab::logged::diagnose;
use carnot_report::finding::Level;
use carnot_report::report::{Report, Word};
use curves::{BIGRAM, HEALTHY, UNIGRAM};
use logfile::{FORMATS, Format, Line, write};

/// Seeds of each kind of curve.
const SEEDS: u64 = 40;

fn asked() -> Asked {
    Asked { vocabulary: Some(64), unigram: Some(UNIGRAM), bigram: Some(BIGRAM), ..Asked::default() }
}

fn read(path: &Path, asked: &Asked) -> Report {
    diagnose(path, Path::new("runs"), asked, "carnot diagnose").unwrap_or_else(|error| panic!("{error}"))
}

/// Verdict and codes of the findings that cost or block.
fn named(report: &Report) -> (Word, Vec<String>) {
    let mut codes: Vec<String> =
        report.findings.iter().filter(|f| f.level < Level::Note).map(|f| f.code.clone()).collect();
    codes.dedup();
    (report.verdict.as_ref().unwrap().word, codes)
}

/// Share of seeds whose log is named as expected, each in another format than its neighbour.
fn rate(what: &str, word: Word, code: &[&str], of: impl Fn(u64) -> Vec<Line>) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for seed in 0..SEEDS {
        let format = FORMATS[seed as usize % 3];
        let report = read(&write(folder.path(), &format!("{seed}"), &of(seed), format), &asked());
        let found = named(&report);
        if found != (word, code.iter().map(ToString::to_string).collect()) {
            wrong.push(format!("seed {seed} ({format:?}): {found:?} {}", report.verdict.unwrap().why));
        }
    }
    let share = 1.0 - wrong.len() as f64 / SEEDS as f64;
    println!("{what}: {share:.3} of {SEEDS} named rightly\n  {}", wrong.join("\n  "));
    share
}

#[test]
fn runs_with_a_fault_are_named_rightly() {
    let rates = [
        rate("unigram plateau", Word::WillNotLearn, &["T521"], |seed| {
            curves::log("unigram", seed, curves::unigram_plateau)
        }),
        rate("uniform plateau", Word::WillNotLearn, &["T521"], |seed| {
            curves::log("uniform", seed, curves::uniform_plateau)
        }),
        rate("bigram plateau", Word::LearnsAtACost, &["T521"], |seed| {
            curves::log("bigram", seed, curves::bigram_plateau)
        }),
        rate("divergence", Word::WillNotLearn, &["T522"], curves::diverging),
        rate("dead", Word::WillNotLearn, &["T523"], curves::dead),
        rate("overfitting", Word::LearnsAtACost, &["T524"], |seed| curves::overfitting(seed).0),
        rate("spike", Word::LearnsAtACost, &["T525"], |seed| curves::spiked(seed).0),
    ];
    assert!(rates.iter().all(|&rate| rate >= 0.95), "{rates:?}");
}

#[test]
fn healthy_runs_of_every_shape_raise_no_alarm() {
    let mut sum = 0.0;
    for (shape, curve) in HEALTHY {
        let share = rate(shape, Word::Learns, &[], |seed| curves::log(shape, seed, *curve));
        assert!(share >= 0.9, "{shape}: {share}");
        sum += share / HEALTHY.len() as f64;
    }
    println!("healthy: {sum:.4} of {} without alarm", SEEDS as usize * HEALTHY.len());
    assert!(sum >= 0.97, "{sum}");
}

/// The plateau is named by what it equals, not only by its being one.
#[test]
fn plateaus_have_the_right_name_and_age() {
    let folder = tempfile::tempdir().unwrap();
    let (mut right, mut started) = (0, 0);
    for seed in 0..SEEDS {
        let lines = curves::log("unigram", seed, curves::unigram_plateau);
        let report = read(&write(folder.path(), "log", &lines, Format::Csv), &asked());
        let at = &report.extra["diagnosis"]["at"][0];
        right += u64::from(at["kind"] == "unigram" && at["value"] == UNIGRAM);
        let events = report.extra["diagnosis"]["events"].as_array().unwrap().clone();
        let from =
            events.iter().find(|event| event["word"] == "plateau").and_then(|event| event["step"].as_f64());
        // The curve is within δ = 0.095 of its floor after a time constant times ln(0.95/0.1), a sixth of the run.
        let span = lines[lines.len() - 1].step;
        started += u64::from(from.is_some_and(|from| (0.05..0.35).contains(&(from / span))));
    }
    println!("name {right}, age {started} of {SEEDS}");
    assert!(right >= 38 && started >= 38, "{right} {started}");
}

#[test]
fn spikes_and_turns_are_found_where_they_are_and_what_preceded_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (mut placed, mut preceded, mut turned) = (0, 0, 0);
    for seed in 0..SEEDS {
        let (lines, step) = curves::spiked(seed);
        let every = lines[1].step - lines[0].step;
        let report = read(&write(folder.path(), "log", &lines, Format::JsonLines), &asked());
        let events = report.extra["diagnosis"]["events"].as_array().unwrap().clone();
        let is_there = |word: &str, step: f64, reach: f64| {
            events
                .iter()
                .any(|event| event["word"] == word && (event["step"].as_f64().unwrap() - step).abs() <= reach)
        };
        placed += u64::from(is_there("spike", step, 2.0 * every));
        preceded += u64::from(
            report.findings.iter().any(|f| f.code == "T525" && f.because.contains("the gradient norm was")),
        );
        let (lines, step) = curves::overfitting(seed);
        let span = lines[lines.len() - 1].step;
        let report = read(&write(folder.path(), "log", &lines, Format::Events), &asked());
        let events = report.extra["diagnosis"]["events"].as_array().unwrap().clone();
        let found = events
            .iter()
            .find(|event| event["word"] == "best validation")
            .and_then(|event| event["step"].as_f64());
        turned += u64::from(found.is_some_and(|found| (found - step).abs() < 0.15 * span));
    }
    println!("spike placed {placed}, preceded {preceded}, turn {turned} of {SEEDS}");
    assert!(placed >= 38 && preceded >= 38 && turned >= 38, "{placed} {preceded} {turned}");
}

/// Half of a power law is seen; what is expected at twice its length is held against what it is there.
#[test]
fn losses_ahead_lie_within_twice_their_error() {
    let folder = tempfile::tempdir().unwrap();
    let (mut inside, mut all) = (0, 0);
    for seed in 0..2 * SEEDS {
        let lines = curves::log("ahead", seed, |share| curves::power_law(share / 2.0));
        let report = read(&write(folder.path(), "log", &lines, Format::Csv), &asked());
        let ahead = &report.extra["diagnosis"]["ahead"]["loss"];
        let (Some(value), Some(error)) = (ahead["value"].as_f64(), ahead["error"].as_f64()) else { continue };
        all += 1;
        inside += u64::from((value - curves::power_law(1.0)).abs() < 2.0 * error);
    }
    println!("ahead: {inside} of {all} within twice the error");
    assert!(all >= 40 && inside * 10 >= all * 8, "{inside} of {all}");
}

#[test]
fn formats_say_the_same_and_torn_ends_are_ordinary() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, _) = curves::spiked(3);
    let mut words = Vec::new();
    for format in FORMATS {
        let path = write(folder.path(), "whole", &lines, format);
        let whole = read(&path, &asked());
        words.push((named(&whole), whole.findings[0].at.clone()));
        let bytes = std::fs::read(&path).unwrap();
        for cut in [1, 7, 20] {
            std::fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
            let torn = read(&path, &asked());
            assert_eq!(named(&torn), named(&whole), "{format:?} {cut}");
            let is_said =
                torn.summary.iter().any(|line| line.label == "note" && line.text.contains("left out"));
            // A JSON object without the line end alone is whole.
            assert!(
                is_said || (format == Format::JsonLines && cut == 1),
                "{format:?} {cut}: {:?}",
                torn.summary
            );
        }
    }
    assert!(words.iter().all(|said| *said == words[0]), "{words:?}");
}

#[test]
fn too_few_losses_and_unknown_plateaus_are_said_not_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let lines = curves::log("unigram", 1, curves::unigram_plateau);
    let path = write(folder.path(), "few", &lines[..8], Format::Csv);
    assert_eq!(named(&read(&path, &asked())), (Word::CannotTell, vec![]));
    // Without any reference the same plateau may be anything.
    let path = write(folder.path(), "bare", &lines, Format::Csv);
    let report = read(&path, &Asked::default());
    assert_eq!(named(&report), (Word::CannotTell, vec![]));
    assert!(report.verdict.unwrap().why.contains("--data TEXT"));
}

#[test]
fn a_first_loss_far_above_chance_says_how_wide_the_logits_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = curves::log("wide", 1, curves::power_law);
    // s = 2: an excess of 2 nats.
    for (at, line) in lines.iter_mut().enumerate() {
        line.loss += 2.0 * (-(at as f64) / 10.0).exp();
    }
    let report = read(&write(folder.path(), "log", &lines, Format::Csv), &asked());
    let finding = report.findings.iter().find(|f| f.code == "T527").unwrap();
    let said: f64 =
        finding.because.split("about ").nth(1).unwrap().split(':').next().unwrap().parse().unwrap();
    assert!((said - 2.0).abs() < 0.2, "{}", finding.because);
}

#[test]
fn swings_clips_sharpness_and_noise_are_read_from_their_series() {
    let folder = tempfile::tempdir().unwrap();
    let lines = curves::log("swing", 2, curves::power_law);
    let mut text = String::from("step,loss,lr,grad_norm,sharpness,grad_norm_8,grad_norm_128,batch_size\n");
    for (at, line) in lines.iter().enumerate() {
        let swing = 0.2 * if at % 2 == 0 { 1.0 } else { -1.0 };
        let flat = 2.0 + (line.loss - curves::power_law(at as f64 / (lines.len() - 1) as f64)) * 0.3;
        // |G|² = 4 and tr Σ = 4000: noise scale 1000.
        let other = lines[(at + 7) % lines.len()].gradient;
        let norm = |batch: f64, noise: f64| (4.0 + 4000.0 / batch).sqrt() * (1.0 + 0.01 * (noise - 0.5));
        let sharpness = 19.8 + 0.5 * (line.gradient - 0.5);
        text += &format!(
            "{},{},{},{},{sharpness},{},{},32\n",
            at,
            flat + swing,
            0.1,
            3.0 * line.gradient,
            norm(8.0, line.gradient),
            norm(128.0, other)
        );
    }
    let path = folder.path().join("log.csv");
    std::fs::write(&path, text).unwrap();
    let asked = Asked { clip: Some(1.0), optimizer: Some("sgd".into()), ..asked() };
    let report = read(&path, &asked);
    let of = |code: &str| {
        report
            .findings
            .iter()
            .find(|f| f.code == code)
            .unwrap_or_else(|| panic!("no {code}: {:?}", named(&report)))
    };
    assert!(of("T526").saw.contains("± 0.2") && of("T526").saw.contains("period of 2"), "{}", of("T526").saw);
    assert!(of("R321").saw.contains("are clipped"), "{}", of("R321").saw);
    assert!(of("R322").saw.contains("threshold 20") && of("R322").level == Level::Note, "{}", of("R322").saw);
    assert!(of("R323").saw.contains("10") && of("R323").level == Level::Costs, "{}", of("R323").saw);
    let scale: f64 =
        of("R323").saw.split("scale is ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((scale - 1000.0).abs() < 50.0, "{}", of("R323").saw);
}
