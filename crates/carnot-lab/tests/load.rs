//! `carnot load` on curves of known shape.

use std::collections::BTreeMap;

use carnot_lab::measured::Question;
use carnot_lab::measured::evidence::ModelEvidence;
use carnot_lab::measured::load::curve::{LoadCurve, TRACE};
use carnot_lab::measured::load::shape::measure;
use carnot_math::random::Stream;
use carnot_probe::call::{Role, WeightStats};
use carnot_probe::reading::{LayerReading, Number, StepReading};
use carnot_probe::recording::{Header, Probe, Recording};
use carnot_report::report::{Report, Word};
use carnot_theory::spring_block::fit::atlas::Setting;
use serde_json::{Value, json};

fn layer(name: &str, kind: &str, role: Role, values: &[(&str, f64, f64)]) -> LayerReading {
    let number =
        |&(name, value, error): &(&str, f64, f64)| (name.to_string(), Number { value, error: Some(error) });
    let values: BTreeMap<String, Number> = values.iter().map(number).collect();
    let weights = (kind == "linear").then(WeightStats::default);
    LayerReading {
        name: name.into(),
        kind: kind.into(),
        role,
        positions: 1,
        width: 64,
        weights,
        values,
        ..LayerReading::default()
    }
}

/// A trained chain of dense layers with that curve, errors independent, and a head.
fn chain(curve: &[f64], error: f64) -> Recording {
    let mut layers = Vec::new();
    for (at, d) in curve.iter().enumerate() {
        let mut values = vec![("separation", *d, error), ("separation_shuffled", 3.0, 0.05)];
        if at > 0 {
            values.push(("load", curve[at - 1] - d, error * std::f64::consts::SQRT_2));
        }
        let (name, kind) = if at == 0 { ("input".into(), "input") } else { (format!("fc{at}"), "linear") };
        layers.push(layer(&name, kind, Role::Chain, &values));
    }
    layers.push(layer("head", "linear", Role::Chain, &[]));
    recording(layers)
}

fn recording(layers: Vec<LayerReading>) -> Recording {
    let probe = Probe { samples: 1000, classes: 10, has_labels: true };
    let steps = vec![StepReading { step: 100, loss: Some(0.1), layers }];
    Recording { header: Header::new("made", probe), steps, thinned: 1, is_torn: false }
}

fn report(run: &Recording) -> Report {
    Question::Load.report(run, None, "carnot load made.carnot")
}

/// The first measure's part of the JSON.
fn data(report: &Report) -> &Value {
    &report.extra["load"]["curves"][0]
}

fn headline(report: &Report) -> String {
    report.first_line().unwrap().0
}

fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../../tests/golden/spring-block.json")).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    cases.into_iter().filter(|case| case["kind"] == "load_curve").collect()
}

fn near(what: &str, got: &Value, expect: &Value) {
    let (got, expect) = (got.as_f64().unwrap_or(f64::NAN), expect.as_f64().unwrap());
    assert!((got - expect).abs() <= 1e-9 * expect.abs().max(1.0), "{what}: {got}, expected {expect}");
}

#[test]
fn the_curves_of_the_sheet_have_its_numbers_and_their_words() {
    let words = ["THE LOAD IS EVEN", "DEEP LAYERS DO THE WORK", "LAYER 5 IS NEARLY IDLE"];
    let cases = cases();
    assert_eq!(cases.len(), words.len());
    for (case, words) in cases.iter().zip(words) {
        let curve: Vec<f64> =
            case["inputs"]["D"].as_array().unwrap().iter().map(|d| d.as_f64().unwrap()).collect();
        let report = report(&chain(&curve, 0.01));
        assert_eq!(headline(&report), words);
        let (shape, expect) = (&data(&report)["shape"], &case["expect"]);
        let rows = [
            ("total", "total"),
            ("straightness", "pearson_r"),
            ("load_spread", "load_std"),
            ("relative_spread", "relative_load_std"),
            ("friction_index", "friction_index"),
            ("convexity", "convexity"),
            ("curvature", "curvature_sum"),
            ("centre", "centre_of_load"),
        ];
        for (ours, theirs) in rows {
            near(ours, &shape[ours]["value"], &expect[theirs]);
        }
        let stages = data(&report)["stages"].as_array().unwrap();
        assert_eq!(stages.len(), curve.len() - 1);
        for (at, stage) in stages.iter().enumerate() {
            near("load", &stage["load"]["value"], &expect["loads"][at]);
            near("load error", &stage["load"]["error"], &json!(0.01 * std::f64::consts::SQRT_2));
            near("share", &stage["share"], &expect["share"][at]);
            near("stress", &stage["stress"], &expect["stress"][at]);
        }
    }
}

#[test]
fn a_convex_curve_and_a_spike_have_their_words_too() {
    let convex = [3.0, 1.8, 0.9, 0.3, -0.1, -0.45];
    assert_eq!(headline(&report(&chain(&convex, 0.01))), "SHALLOW LAYERS DO THE WORK");
    let spike = [3.0, 2.5, 2.1, -0.2, -0.6, -1.1];
    assert_eq!(headline(&report(&chain(&spike, 0.01))), "THE LOAD IS UNEVEN");
    let plateau = [3.0, 2.0, 1.0, 0.99, 0.97, 0.96, 0.0];
    assert_eq!(headline(&report(&chain(&plateau, 0.004))), "LAYERS 3–5 ARE NEARLY IDLE");
    // The same plateau, measured too badly to call any layer idle.
    assert_ne!(headline(&report(&chain(&plateau, 0.2))), "LAYERS 3–5 ARE NEARLY IDLE");
}

#[test]
fn what_cannot_be_told_is_said_with_the_reason() {
    let curve = [3.0, 2.0, 1.0, 0.0, -1.0, -2.0];
    let told = |run: &Recording| {
        let report = report(run);
        assert_eq!(headline(&report), "CANNOT TELL");
        let verdict = report.verdict.clone().unwrap();
        assert_eq!(verdict.word, Word::CannotTell);
        (verdict.why, report.next)
    };
    let mut unlabelled = chain(&curve, 0.01);
    unlabelled.header.probe = Probe { samples: 1000, classes: 0, has_labels: false };
    let values = ["separation", "separation_shuffled", "load"];
    for layer in &mut unlabelled.steps[0].layers {
        layer.values.clear();
        layer.missing.insert("needs labels".into(), values.map(str::to_string).to_vec());
    }
    let (why, next) = told(&unlabelled);
    assert!(why.contains("need labels"), "{why}");
    assert!(next[0].text.contains("probe=(inputs, labels)"), "{next:?}");
    let (why, _) = told(&chain(&curve[..3], 0.01));
    assert!(why.contains("at least 3 hidden layers; this model has 2"), "{why}");
    let mut untrained = chain(&curve, 0.01);
    (untrained.header.starts_untrained, untrained.steps[0].step) = (true, 0);
    untrained.steps[0].loss = Some(2.3);
    assert!(told(&untrained).0.contains("untrained"));
    let level: Vec<f64> = curve.iter().map(|d| 0.02 * d).collect();
    let (why, _) = told(&chain(&level, 0.01));
    assert!(why.contains("shuffled labels") && why.contains("4 above it are needed"), "{why}");
    let mut dead = chain(&curve, 0.01);
    dead.steps[0].layers[3].values.remove("separation");
    dead.steps[0].layers[3].missing.insert("collapsed".into(), vec!["separation".into()]);
    let (why, _) = told(&dead);
    assert!(why.contains("fc3: collapsed"), "{why}");
    let mut empty = chain(&curve, 0.01);
    empty.steps.clear();
    assert!(told(&empty).0.contains("no whole step"));
    let (why, _) = told(&chain(&[3.0, 2.3, 1.3, 0.6, -0.3, -1.4], 0.35));
    assert!(why.contains("both possible"), "{why}");
}

/// Its shape alone, without the report around it.
fn shape(run: &Recording) -> Value {
    let evidence = ModelEvidence::of(run, None).unwrap();
    let curve = LoadCurve::of(&evidence, evidence.now(), &TRACE).unwrap();
    json!(measure(&curve).unwrap())
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    // A bent curve, a straight one, whose r of −1 and v of 0 lie at the end of their ranges, and both measured well and badly.
    let bent = [2.0, 1.8, 1.5, 1.1, 0.6, -0.1, -1.0];
    let straight: Vec<f64> = (0..7).map(|at| 2.0 - 0.5 * f64::from(at)).collect();
    let n = 60;
    for (curve, error) in [(&bent[..], 0.03), (&bent, 0.2), (&straight, 0.03), (&straight, 0.2)] {
        let truth = shape(&chain(curve, error));
        let mut held = BTreeMap::from(
            ["total", "straightness", "load_spread", "relative_spread", "friction_index", "centre"]
                .map(|name| (name, 0)),
        );
        for at in 0..n {
            let mut stream = Stream::new(5, "readings", &[at, (error * 1e3) as u64]);
            let read: Vec<f64> = curve.iter().map(|d| d + error * stream.normal::<f64>()).collect();
            let shape = shape(&chain(&read, error));
            for (name, held) in &mut held {
                let known = &shape[*name];
                let (low, high) = (known["low"].as_f64().unwrap(), known["high"].as_f64().unwrap());
                let value = truth[*name]["value"].as_f64().unwrap();
                *held += usize::from(low - 1e-9 <= value && value <= high + 1e-9);
            }
        }
        // 95 % of 60 is 57 ± 1.7.
        for (name, held) in held {
            assert!(held >= 50, "{name} of {curve:?} ± {error}: held in {held} of {n} (seed 5)");
        }
    }
}

#[test]
fn the_twin_of_a_chain_is_that_chain() {
    let setting = Setting::default();
    let curve: Vec<f64> = setting.curve(7, 0.06, 0.02).unwrap().iter().map(|d| 3.0 * d - 1.0).collect();
    let report = report(&chain(&curve, 0.003));
    let twin = &data(&report)["twin"];
    let fit = &twin["answer"]["Fits"];
    assert_eq!(twin["known"], "Both", "{twin}");
    for (name, truth) in [("friction", 0.06), ("noise", 0.02)] {
        let (low, high) = (fit[name]["low"].as_f64().unwrap(), fit[name]["high"].as_f64().unwrap());
        assert!(low < truth && truth < high && high - low < 2.0 * truth, "{name} in [{low}, {high}]");
    }
    let words = carnot_report::terminal::render(&report, &Default::default());
    assert!(
        words.contains("an illustration and not a measurement")
            && words.contains("cannot tell the two apart"),
        "{words}"
    );
    let mut bad = curve;
    bad[4] -= 0.6;
    let report = self::report(&chain(&bad, 0.02));
    let misfit = &data(&report)["twin"]["answer"]["DoesNotFit"];
    assert_eq!(
        (&misfit["worst"]["layer"], &misfit["worst"]["departure"]),
        (&json!(4), &json!("Point")),
        "{misfit}"
    );
    let words = carnot_report::terminal::render(&report, &Default::default());
    assert!(words.contains("DOES NOT FIT") && words.contains("layer 4, fc4"), "{words}");
    let few = self::report(&chain(&[3.0, 2.0, 1.0, 0.0], 0.01));
    assert!(
        data(&few)["twin"]["missing"].as_str().unwrap().contains("3 hidden layers are too few"),
        "{few:?}"
    );
}

#[test]
fn errors_of_the_same_samples_cancel_in_a_load() {
    // Points known to 0.1, loads to 0.01: the curve moves up and down as a whole.
    let curve = [3.0, 2.0, 1.0, 0.0, -1.0, -2.0];
    let mut run = chain(&curve, 0.1);
    for layer in &mut run.steps[0].layers {
        if let Some(load) = layer.values.get_mut("load") {
            load.error = Some(0.01);
        }
    }
    let report = report(&run);
    for stage in data(&report)["stages"].as_array().unwrap() {
        near("load error", &stage["load"]["error"], &json!(0.01));
    }
    let total = data(&report)["shape"]["total"]["error"].as_f64().unwrap();
    // Five steps of 0.01 in a chain without memory: √5 · 0.01 and a little less.
    assert!(total > 0.02 && total < 0.0224, "{total}");
}

/// A trained language model: blocks with a lens and a reader.
fn language(lens: &[f64], token: &[f64]) -> Recording {
    let mut layers = vec![layer("embed", "embedding", Role::Chain, &[])];
    for at in 1..lens.len() {
        let values = [
            ("lens_loss", lens[at], 0.02),
            ("load_lens", lens[at - 1] - lens[at], 0.01),
            ("unexplained_token", token[at], 0.002),
            ("load_token", (token[at - 1] / token[at]).ln(), 0.003),
        ];
        layers.push(layer(&format!("blocks.{}", at - 1), "block", Role::Block, &values));
    }
    let mut run = recording(layers);
    run.header.probe = Probe { samples: 64, classes: 50, has_labels: true };
    run
}

#[test]
fn a_language_model_has_two_curves_and_a_word_where_they_agree() {
    let lens = [4.0, 3.4, 2.8, 2.2, 1.6];
    let token: Vec<f64> = [0.0, 0.1, 0.2, 0.3, 0.4].map(|x: f64| (-x).exp()).to_vec();
    let agreed = report(&language(&lens, &token));
    assert_eq!(headline(&agreed), "THE LOAD IS EVEN");
    let curves = agreed.extra["load"]["curves"].as_array().unwrap();
    assert_eq!(curves.len(), 2);
    assert_eq!(
        (&curves[0]["measure"], &curves[1]["measure"]),
        (&json!("lens_loss"), &json!("unexplained_token"))
    );
    near("depth zero", &curves[0]["depth_zero"]["separation"]["value"], &json!(4.0));
    near("load of the reader", &curves[1]["stages"][2]["load"]["value"], &json!(0.1));
    let early: Vec<f64> = [0.0, 0.4, 0.55, 0.65, 0.7].map(|x: f64| (-x).exp()).to_vec();
    let torn = report(&language(&lens, &early));
    assert_eq!(headline(&torn), "CANNOT TELL");
    let why = torn.verdict.unwrap().why;
    assert!(why.contains("disagree") && why.contains("shallow blocks"), "{why}");
}
