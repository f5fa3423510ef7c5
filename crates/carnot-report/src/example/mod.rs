//! Example reports for snapshots, benches and the browser test. They are fixtures, not measurements.
//!
//! Texts, tables and the values at layers 1, 2, 3, 5, 10, 20, 50 and 51 of the check are those of the design sheet. Values at other
//! layers are interpolated; errors, spreads, healthy ranges, χ⊥, the evidence, the border map, the predicted curves and the steps of
//! the recording are made up to exercise the rendering.

mod collapse;

use std::collections::BTreeMap;

use serde_json::json;

use crate::chart::{Axis, Chart, Ink, Series};
use crate::diagnostic::{Diagnostic, Place};
use crate::profile::{Column, Profile};
use crate::report::{Coverage, Headline, Line, Provenance, Report, Skipped, Snippet, Tone, Verdict, Word};
use crate::section::{Bars, Cell, Heading, Map, Outcome, Row, Section, Show, Table, Text};

/// `carnot check`: a network that will not learn.
pub fn check() -> Report {
    let mut report = Report::new("check", "784-128x50-10, tanh, PyTorch default init");
    report.id = "3f9c2a".into();
    report.verdict = Some(Verdict {
        word: Word::WillNotLearn,
        why: "Inputs become indistinguishable by layer 10, and the gradient that reaches layer 1 is 5e-13 of the \
              gradient at the output."
            .into(),
    });
    report.summary = vec![
        Line::new("cause", "weights start too small for tanh: C_W = 0.333, critical is 1"),
        Line::new("remedy", "carnot.init_(model), rate 0.01")
            .with_note("safe: nothing learned yet")
            .with_copy("carnot.init_(model)"),
        Line::new(
            "tried",
            "150 steps: loss 2.304 → 2.301 as it is (chance is 2.303), 2.302 → 1.235 with the remedy",
        ),
    ];
    report.sections = vec![
        Section::Sparklines(collapse::sparklines()),
        Section::Chart(collapse::signal_chart()),
        Section::Chart(collapse::sameness_chart()),
        Section::Chart(collapse::gradient_chart()),
        Section::Table(collapse::layer_table()),
        Section::Table(collapse::comparison(Show::Page)),
    ];
    report.findings = collapse::findings();
    report.profiles = collapse::profiles();
    report.code = vec![
        Snippet { label: "PyTorch".into(), text: "import carnot\n\ncarnot.init_(model)   # std 1/√fan_in, bias 0\noptimizer = torch.optim.SGD(model.parameters(), lr=0.01)".into() },
        Snippet { label: "JAX".into(), text: "init = jax.nn.initializers.variance_scaling(\n    1.0, \"fan_in\", \"normal\")".into() },
        Snippet { label: "config".into(), text: "[init]\nscheme = \"critical\"\n\n[train]\nrate = 0.01".into() },
    ];
    report.coverage = Some(Coverage {
        read: 51,
        of: 51,
        what: "weight layers, 50 activations".into(),
        probe: Some("200 inputs, 10 classes, eval mode".into()),
        skipped: vec![],
    });
    report.saved = Some("runs/3f9c2a-check-mlp/report.html".into());
    report.next = vec![Line::new("explain", "carnot explain S101")];
    report.provenance = provenance("carnot check train.py:model --data train.py:batch --try 150");
    report
}

fn provenance(command: &str) -> Provenance {
    Provenance {
        version: "0.1.0".into(),
        seed: Some(7),
        device: "cpu".into(),
        command: command.into(),
        made: Some("2025-06-01T12:00:00Z".into()),
        seconds: Some(1.4),
        spec: Some(
            json!({ "network": "784-128x50-10", "activation": "tanh", "init": { "scheme": "torch" } }),
        ),
        more: BTreeMap::from([("probe".to_string(), "mixture, 10 classes".to_string())]),
    }
}

/// `carnot check` on a hostile model: names with markup, numbers that are not finite, layers that cannot be read.
pub fn hostile() -> Report {
    let mut report = check();
    let name = "</script><script>alert(1)</script>";
    report.subject = format!("{name} & \"quotes\" 'too'");
    let mut measured = Profile::new("measured", 0, vec![name.into(), "b\u{1b}[31m".into(), "c".into()]);
    measured.insert("kernel", Column::measured("K", &[f64::NAN, f64::INFINITY, 1.0], &[0.1, 0.1, f64::NAN]));
    report.profiles = vec![measured];
    report.findings[0].at = name.into();
    report.code[0].text = format!("<!-- {name}");
    report.sections.push(Section::Chart(Chart::new(name, name, Axis::log(name), Axis::log(name))));
    report.coverage = Some(Coverage {
        read: 1,
        of: 3,
        what: "layers".into(),
        probe: None,
        skipped: vec![
            Skipped { layer: name.into(), because: "not finite".into() },
            Skipped { layer: "b".into(), because: "tied to <embed>".into() },
        ],
    });
    report.extra.insert("note".into(), json!(name));
    report
}

/// `carnot check` on a network that learns: the short report.
pub fn healthy() -> Report {
    let mut report = Report::new("check", "784-128x10-10, relu, He init");
    report.id = "77aa01".into();
    report.verdict = Some(Verdict {
        word: Word::Learns,
        why: "Critical initialisation, signal within 4 % of theory at every layer, gradient 0.8 – 1.3 × across depth."
            .into(),
    });
    report.coverage =
        Some(Coverage { read: 11, of: 11, what: "weight layers".into(), probe: None, skipped: vec![] });
    report.saved = Some("runs/77aa01-check-mlp/report.html".into());
    report.provenance = provenance("carnot check train.py:model");
    report
}

/// `carnot predict`.
pub fn predict() -> Report {
    let mut report = Report::new("predict", "784-128x50-10, tanh");
    report.id = "5be201".into();
    report.sections = vec![
        Section::Table(collapse::comparison(Show::Everywhere)),
        Section::Chart(predicted_signal()),
        Section::Chart(predicted_gradient()),
    ];
    report.next = vec![
        Line::new("use", "init: normal, std 1/√fan_in, bias 0").with_note("torch: carnot.init_(model)"),
        Line::new("try", "carnot ensemble 784-128x50-10 --init critical")
            .with_note("does theory hold at your width?"),
    ];
    report.code = check().code;
    report.provenance = provenance("carnot predict 784-128x50-10 --activation tanh");
    report.provenance.seed = None;
    let criticality = json!({ "class": "K* = 0", "c_w": 1.0, "c_b": 0.0, "kernel": 0.0 });
    report.extra.insert("criticality".into(), criticality);
    report
}

fn predicted_signal() -> Chart {
    let critical: Vec<f64> = collapse::depth().iter().map(|layer| 0.52 / (layer - 0.5)).collect();
    let chart = Chart::new(
        "signal K",
        "At criticality the signal falls as 1/layer; as PyTorch starts it, it collapses within five layers.",
        collapse::depth_axis(),
        Axis::log("K"),
    );
    chart
        .with(Series::line("critical", &collapse::depth(), &critical))
        .with(Series::line("as PyTorch", &collapse::depth(), &collapse::kernel_theory()).in_ink(Ink::Context))
        .about("kernel")
}

fn predicted_gradient() -> Chart {
    let critical: Vec<f64> = collapse::depth().iter().map(|layer| (layer / 51.0).powf(0.54)).collect();
    let chart = Chart::new(
        "gradient, relative to the output",
        "At criticality 0.12 of the gradient reaches layer 1; as PyTorch starts it, 7e-13.",
        collapse::depth_axis(),
        Axis::log("gradient"),
    );
    chart
        .with(Series::line("critical", &collapse::depth(), &critical))
        .with(
            Series::line("as PyTorch", &collapse::depth(), &collapse::gradient_theory()).in_ink(Ink::Context),
        )
        .about("gradient")
}

/// `carnot ensemble`: 1000 networks of width 128 against theory.
pub fn ensemble() -> Report {
    let mut report = Report::new("ensemble", "128-128x10-128, tanh, critical, 1000 members");
    report.id = "c0ffee".into();
    report.headline = Some(Headline { text: "AGREES WITH THEORY".into(), tone: Tone::Good });
    let layer = [1.0, 2.0, 3.0, 5.0, 8.0, 11.0];
    let mean = [1.0039, 0.3971, 0.2386, 0.1276, 0.0745, 0.0522];
    let error = [0.0039, 0.0019, 0.0012, 0.0008, 0.0005, 0.0004];
    let theory = [1.0, 0.3943, 0.2365, 0.1279, 0.0745, 0.0522];
    let z = [1.0, 1.5, 1.8, -0.5, 0.0, -0.1];
    let vertex = [1.95, 2.78, 3.24, 4.46, 6.05, 8.04];
    let vertex_theory = [2.0, 2.63, 3.21, 4.41, 6.26, 8.16];
    let rows = (0..layer.len()).map(|at| {
        Row::new(vec![
            Cell::text(format!("{}", layer[at])),
            Cell::measured(mean[at], error[at]),
            Cell::number(theory[at]),
            Cell::number(z[at]),
            Cell::number(vertex[at]),
            Cell::number(vertex_theory[at]),
        ])
    });
    let table = Table {
        title: "Mean and fluctuation of the signal".into(),
        columns: vec![
            Heading::count("layer"),
            Heading::number("K measured"),
            Heading::number("theory").with_decimals(4),
            Heading::number("z").with_decimals(1),
            Heading::number("n·var/K²").with_decimals(2),
            Heading::number("theory").with_decimals(2),
        ],
        rows: rows.collect(),
        ..Table::default()
    };
    let note = "at width 32 the mean falls 6.4 % short at layer 11 (z = -4.3): L/n = 0.34 is too large for the \
                infinite-width mean";
    report.sections = vec![
        Section::Chart(
            Chart::new(
                "signal K, mean of 1000 networks",
                "The mean follows theory within two standard errors at every layer.",
                Axis::log("layer"),
                Axis::log("K"),
            )
            .with(Series::line("theory", &layer, &theory))
            .with(Series::dots("measured", &layer, &mean, &error))
            .about("kernel"),
        ),
        Section::Chart(
            Chart::new(
                "fluctuation n·var/K²",
                "Networks differ as the four-point vertex predicts.",
                Axis::linear("layer"),
                Axis::linear("n·var/K²"),
            )
            .with(Series::line("theory", &layer, &vertex_theory))
            .with(Series::dots("measured", &layer, &vertex, &vertex.map(|v| 0.06 * v)))
            .about("vertex"),
        ),
        Section::Table(table),
        Section::Text(Text { text: note.into(), ..Text::default() }),
    ];
    report.provenance = provenance("carnot ensemble 128-128x10-128 --activation tanh --init critical");
    report
}

/// `carnot load`: bars.
pub fn load() -> Report {
    let mut report = Report::new("load", "100-64x10-10, relu, after 2500 steps");
    report.id = "10ad00".into();
    report.headline = Some(Headline { text: "LAYERS 7–10 ARE NEARLY IDLE".into(), tone: Tone::Costs });
    let separation = [1.99, 0.88, 0.14, -0.42, -0.84, -1.10, -1.34, -1.41, -1.47, -1.49, -1.52, -1.98];
    let load = [0.0, 1.109, 0.736, 0.556, 0.421, 0.266, 0.236, 0.071, 0.056, 0.022, 0.032, 0.457];
    let names =
        ["input", "fc.0", "fc.1", "fc.2", "fc.3", "fc.4", "fc.5", "fc.6", "fc.7", "fc.8", "fc.9", "head"];
    let row = |at: usize| {
        let number = if (1..=10).contains(&at) { at.to_string() } else { String::new() };
        let value = if at == 0 { Cell::missing() } else { Cell::number(load[at]) };
        let row =
            Row::new(vec![Cell::text(number), Cell::text(names[at]), Cell::number(separation[at]), value]);
        if at == 7 { row.with_mark("L301 idle-layers") } else { row }
    };
    let table = Table {
        title: "Load of each layer".into(),
        caption: "separation = ln(within-class / between-class scatter); load = its fall across a layer"
            .into(),
        columns: vec![
            Heading::count("layer"),
            Heading::words(""),
            Heading::number("separation").with_decimals(2),
            Heading::number("load").with_decimals(3),
        ],
        rows: (0..names.len()).map(row).collect(),
        ..Table::default()
    };
    let lengths = load.iter().enumerate().map(|(at, &load)| (at > 0).then_some(load)).collect();
    report.sections = vec![
        Section::Bars(Bars { table, lengths }),
        Section::Text(Text {
            text: "layers 7–10 carry 4.6 % of the load; the curve is convex: early layers do the work".into(),
            ..Text::default()
        }),
    ];
    report.next =
        vec![Line::new("try", "carnot prune RUN --drop 7-10").with_note("measures what they are worth")];
    report.provenance = provenance("carnot load RUN");
    report
}

/// `carnot border`: a map of outcomes with its border.
pub fn border() -> Report {
    let mut report = Report::new("border", "784-128x10-10, tanh");
    report.id = "b02de2".into();
    report.headline =
        Some(Headline { text: "TRAINING FAILS ABOVE RATE 0.31 ± 0.02".into(), tone: Tone::Plain });
    let x_values: Vec<f64> = (0..24).map(|at| 10f64.powf(-3.0 + 4.0 * at as f64 / 23.0)).collect();
    let y_values: Vec<f64> = (0..12).map(|at| 0.2 + 3.8 * at as f64 / 11.0).collect();
    let edge = |c_w: f64| 0.31 / c_w.max(0.5);
    let outcome = |rate: f64, c_w: f64| match (rate > edge(c_w), rate < 0.003 || c_w < 0.4) {
        (true, _) => 1.0,
        (false, true) => 2.0,
        _ => 0.0,
    };
    let mut cells: Vec<Vec<Option<f64>>> =
        y_values.iter().map(|&y| x_values.iter().map(|&x| Some(outcome(x, y))).collect()).collect();
    cells[11][20] = None;
    let edges: Vec<f64> = y_values.iter().map(|&y| edge(y)).collect();
    let word = |value: f64, sign: &str, word: &str, tone: Tone| Outcome {
        value,
        sign: sign.into(),
        word: word.into(),
        tone,
    };
    report.sections = vec![Section::Map(Map {
        limits: None,
        title: "where training fails".into(),
        caption: "The border falls as 1/C_W: a larger start needs smaller steps.".into(),
        x: Axis::log("rate"),
        y: Axis::linear("C_W"),
        x_values,
        y_values: y_values.clone(),
        cells,
        outcomes: vec![
            word(0.0, "·", "learns", Tone::Good),
            word(1.0, "×", "diverges", Tone::Blocks),
            word(2.0, "○", "stalls", Tone::Costs),
        ],
        scale: String::new(),
        border: vec![Series::line("border", &edges, &y_values)],
    })];
    report.provenance = provenance("carnot border 784-128x10-10");
    report
}

/// A training job under `watch`: several steps, so that the page has a scrubber.
pub fn watched() -> Report {
    let mut report = check();
    report.subject = "784-128x50-10, tanh, step 300 of 1000".into();
    let first = report.profiles.pop().expect("the check has a measured profile");
    for step in [0u64, 100, 200, 300] {
        let mut profile = Profile::new("measured", step, collapse::layers());
        for (name, column) in first.columns() {
            let mut column = column.clone();
            let grown = |value: &Option<f64>| value.map(|value| value * (1.0 + step as f64 / 150.0));
            column.value = column.value.iter().map(grown).collect();
            profile.insert(name, column);
        }
        report.profiles.push(profile);
    }
    report
}

/// A key that does not exist, with the line it is in.
pub fn unknown_key() -> Diagnostic {
    Diagnostic {
        code: "config/unknown-key".into(),
        problem: "no key \"activaton\" in [network]".into(),
        cause: "did you mean \"activation\"?".into(),
        remedy: "carnot new predict   prints every key".into(),
        place: Some(Place::File {
            file: "net.toml".into(),
            line: 12,
            column: 3,
            source: "  activaton = \"tanh\"".into(),
            length: 9,
        }),
    }
}

/// A formula with an unknown name.
pub fn unknown_name() -> Diagnostic {
    Diagnostic {
        code: "formula/unknown-name".into(),
        problem: "no function \"tahn\"".into(),
        cause: "did you mean \"tanh\"?".into(),
        remedy: "carnot explain formula   lists every function".into(),
        place: Some(Place::Formula { text: "z * tahn(z)".into(), start: 4, length: 4 }),
    }
}

/// A kernel that does not fit; no place.
pub fn too_large() -> Diagnostic {
    Diagnostic {
        code: "kernel/too-large".into(),
        problem: "the kernel of 10 000 images with 32×32 positions kept apart needs 839 TB".into(),
        cause: "global average pooling mixes positions, so every pixel pair is needed".into(),
        remedy: "--probe 64 (34 GB) · flatten instead of pool (8 GB a tile of 1 000) · carnot ensemble (samples it)".into(),
        place: None,
    }
}
