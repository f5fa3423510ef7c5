//! A deep tanh network with PyTorch's default start: its numbers, its pictures and its findings.

use serde_json::json;

use crate::chart::{Axis, Chart, Ink, Series};
use crate::finding::{Finding, Level, Remedy, Safety};
use crate::profile::{Column, Profile};
use crate::section::{Cell, Heading, Role, Row, Show, Spark, Sparklines, Table};

const N_LAYERS: usize = 51;
const WIDTH: f64 = 128.0;

/// Values at some layers (from 1), geometric or linear in between.
pub fn along(nodes: &[(usize, f64)], geometric: bool) -> Vec<f64> {
    (1..=N_LAYERS)
        .map(|layer| {
            let after = nodes.iter().position(|node| node.0 >= layer).unwrap_or(nodes.len() - 1).max(1);
            let ((from, low), (to, high)) = (nodes[after - 1], nodes[after]);
            let share = (layer as f64 - from as f64) / (to - from) as f64;
            if geometric { low * (high / low).powf(share) } else { low + (high - low) * share }
        })
        .collect()
}

pub fn layers() -> Vec<String> {
    (0..N_LAYERS - 1).map(|at| format!("fc.{at}")).chain(["head".to_string()]).collect()
}

pub fn depth() -> Vec<f64> {
    (1..=N_LAYERS).map(|layer| layer as f64).collect()
}

pub fn kernel() -> Vec<f64> {
    let nodes = [
        (1, 0.330),
        (2, 0.0724),
        (3, 0.0250),
        (5, 0.0061),
        (10, 0.0039),
        (20, 0.0036),
        (50, 0.0041),
        (51, 0.0049),
    ];
    let wobble = |layer: usize| 1.0 + if layer > 10 { 0.09 * (layer as f64 * 1.7).sin() } else { 0.0 };
    along(&nodes, true)
        .iter()
        .enumerate()
        .map(|(at, k)| if [20, 50, 51].contains(&(at + 1)) { *k } else { k * wobble(at + 1) })
        .collect()
}

pub fn kernel_theory() -> Vec<f64> {
    along(&[(1, 0.334), (2, 0.0733), (3, 0.0240), (5, 0.0060), (10, 0.0039), (51, 0.0039)], true)
}

pub fn distance() -> Vec<f64> {
    let nodes = [(1, 0.990), (2, 0.957), (3, 0.824), (5, 0.337), (10, 0.002), (20, 3.0e-8), (51, 1.0e-8)];
    along(&nodes, true)
}

pub fn distance_theory() -> Vec<f64> {
    let nodes = [(1, 0.992), (2, 0.960), (3, 0.830), (5, 0.342), (10, 0.0021), (20, 3.3e-8), (51, 1.0e-8)];
    along(&nodes, true)
}

pub fn correlation() -> Vec<f64> {
    distance().iter().map(|distance| 1.0 - distance).collect()
}

pub fn correlation_theory() -> Vec<f64> {
    distance_theory().iter().map(|distance| 1.0 - distance).collect()
}

pub fn gradient() -> Vec<f64> {
    let nodes = [
        (1, 5.2e-13),
        (2, 1.1e-12),
        (3, 2.1e-12),
        (5, 6.5e-12),
        (10, 1.1e-10),
        (20, 2.8e-8),
        (50, 0.58),
        (51, 1.0),
    ];
    along(&nodes, true)
}

pub fn gradient_theory() -> Vec<f64> {
    (0..N_LAYERS).map(|at| 0.575f64.powi((N_LAYERS - 1 - at) as i32)).collect()
}

pub fn scaled(list: &[f64], by: f64) -> Vec<f64> {
    list.iter().map(|value| value * by).collect()
}

pub fn sum(list: &[f64], other: &[f64], sign: f64) -> Vec<f64> {
    list.iter().zip(other).map(|(a, b)| a + sign * b).collect()
}

/// Expected relative deviation of one network: √(V/K² / n), with V/K² growing from 2.
pub fn deviation() -> Vec<f64> {
    (0..N_LAYERS).map(|at| ((2.0 + 0.09 * at as f64) / WIDTH).sqrt()).collect()
}

pub fn kernel_spread() -> Vec<f64> {
    kernel_theory().iter().zip(deviation()).map(|(k, deviation)| k * deviation).collect()
}

pub fn profiles() -> Vec<Profile> {
    let mut theory = Profile::new("theory", 0, layers());
    theory.insert("kernel", Column::exact("K", &kernel_theory()).with_spread(&kernel_spread()));
    theory.insert("correlation", Column::exact("corr", &correlation_theory()));
    theory.insert("gradient", Column::exact("∇", &gradient_theory()).with_log());
    let chi = along(&[(1, 0.21), (3, 0.315), (10, 0.331), (51, 0.331)], false);
    theory.insert("chi_perpendicular", Column::exact("χ⊥", &chi));
    let mut measured = Profile::new("measured", 0, layers());
    measured.insert("kernel", Column::measured("K", &kernel(), &scaled(&kernel(), 0.02)));
    let errors: Vec<f64> = correlation().iter().map(|c| 0.002 + 0.02 * c * (1.0 - c)).collect();
    measured.insert("correlation", Column::measured("corr", &correlation(), &errors).with_healthy(0.0, 0.3));
    let gradients = Column::measured("∇", &gradient(), &scaled(&gradient(), 0.05)).with_log();
    measured.insert("gradient", gradients.with_healthy(0.1, 10.0));
    let mut chi_measured: Vec<Option<f64>> = chi.iter().map(|chi| Some(chi * 1.01)).collect();
    chi_measured[N_LAYERS - 1] = None;
    let errors = vec![Some(0.01); N_LAYERS];
    let column = Column::partial("χ⊥", chi_measured, errors).with_missing("head", "no activation follows");
    measured.insert("chi_perpendicular", column.with_healthy(0.9, 1.1));
    vec![theory, measured]
}

pub fn depth_axis() -> Axis {
    Axis::linear("layer, input to output")
}

pub fn signal_chart() -> Chart {
    let (theory, spread) = (kernel_theory(), kernel_spread());
    Chart::new(
        "signal K",
        "The signal falls to its fixed point within five layers and stays there, as theory says.",
        depth_axis(),
        Axis::log("K"),
    )
    .with(Series::band(
        "theory ± spread at n = 128",
        &depth(),
        &sum(&theory, &spread, -1.0),
        &sum(&theory, &spread, 1.0),
    ))
    .with(Series::line("theory", &depth(), &theory))
    .with(Series::dots("measured", &depth(), &kernel(), &scaled(&kernel(), 0.02)))
    .about("kernel")
}

pub fn sameness_chart() -> Chart {
    let errors: Vec<f64> = correlation().iter().map(|c| 0.002 + 0.02 * c * (1.0 - c)).collect();
    Chart::new(
        "sameness, correlation of inputs",
        "Different inputs become one by layer 10: nothing behind it can tell them apart.",
        depth_axis(),
        Axis::linear("correlation"),
    )
    .with(Series::line("theory", &depth(), &correlation_theory()))
    .with(Series::dots("measured", &depth(), &correlation(), &errors))
    .about("correlation")
}

pub fn gradient_chart() -> Chart {
    Chart::new(
        "gradient, relative to the output",
        "Each layer keeps 0.575 of the gradient, so 5e-13 of it reaches layer 1.",
        depth_axis(),
        Axis::log("gradient"),
    )
    .with(Series::line("theory", &depth(), &gradient_theory()))
    .with(Series::dots("measured", &depth(), &gradient(), &scaled(&gradient(), 0.05)))
    .about("gradient")
}

pub fn sparklines() -> Sparklines {
    let row = |label: &str, symbol: &str, values: Vec<f64>, log: bool, reading: &str, theory: &str| Spark {
        label: label.into(),
        symbol: symbol.into(),
        values: values.into_iter().map(Some).collect(),
        log,
        reading: reading.into(),
        theory: theory.into(),
    };
    Sparklines {
        from: "input".into(),
        along: "depth".into(),
        to: "output".into(),
        heading: "theory".into(),
        rows: vec![
            row("signal", "K", kernel(), false, "0.330 → 0.0041", "→ 0.0039"),
            row("sameness", "corr", correlation(), false, "0.010 → 1.000", "depth 0.90 layers"),
            row("gradient", "log", gradient(), true, "5e-13 ← 0.95", "× 0.575 a layer"),
        ],
    }
}

pub fn layer_table() -> Table {
    let shown = [1usize, 2, 3, 5, 10, 20, 50, 51];
    let row = |layer: usize| {
        let at = layer - 1;
        let theory = if layer == N_LAYERS { Cell::missing() } else { Cell::number(kernel_theory()[at]) };
        let row = Row::new(vec![
            Cell::text(layer.to_string()),
            Cell::text(layers()[at].clone()),
            Cell::number(kernel()[at]),
            theory,
            Cell::number(correlation()[at]),
            if layer == N_LAYERS { Cell::text("1") } else { Cell::significant(gradient()[at], 2) },
        ]);
        if layer == 10 { row.with_mark("S101 inputs-merge") } else { row }
    };
    Table {
        title: "Layers".into(),
        role: Role::Layers,
        columns: vec![
            Heading::count("layer"),
            Heading::words(""),
            Heading::number("K"),
            Heading::number("theory"),
            Heading::number("corr").with_decimals(3),
            Heading::number("gradient"),
        ],
        rows: shown.iter().map(|&layer| row(layer)).collect(),
        folded: Some("43 more layers alike: --layers all".into()),
        ..Table::default()
    }
}

pub fn comparison(show: Show) -> Table {
    let row = |cells: [&str; 4]| Row::new(cells.iter().map(|cell| Cell::text(*cell)).collect());
    Table {
        title: "as it is and recommended".into(),
        role: Role::Comparison,
        show,
        columns: ["", "as PyTorch", "critical", "meaning"].map(Heading::words).to_vec(),
        rows: vec![
            row(["C_W", "0.333", "1", "weight variance × fan-in"]),
            row(["C_b", "0.0026", "0", "bias variance"]),
            row(["phase", "ordered", "critical", ""]),
            row(["χ⊥ at layer 50", "0.331", "0.980", "1 keeps distances"]),
            row(["correlation depth ξ", "0.90 layers", "power law", "how deep an input is still seen"]),
            row(["signal at layer 50", "0.0039", "0.0104", ""]),
            row(["gradient, 50 → 1", "7e-13", "0.12", ""]),
            row(["spread between seeds", "", "51 %", "at width 128; 26 % at 512"]),
        ],
        ..Table::default()
    }
}

pub fn findings() -> Vec<Finding> {
    let inputs_merge = Finding {
        code: "S101".into(),
        name: "inputs-merge".into(),
        level: Level::Blocks,
        at: "fc.9".into(),
        position: Some("layer 10 of 51".into()),
        saw: "mean correlation of different inputs 0.998; 1.000 from layer 20 on".into(),
        because: "ordered phase: χ⊥ = 0.331 < 1, distances shrink × 0.575 a layer".into(),
        remedy: Remedy {
            text: "raise C_W from 0.333 to 1".into(),
            action: json!({ "init": { "c_w": 1.0, "c_b": 0.0 } }),
            command: Some("carnot.init_(model)".into()),
            safety: Some(Safety::Safe),
        },
        ignore_when: Some("the inputs of the probe batch really are alike".into()),
        evidence: vec![correlation_evidence()],
    };
    let init_mismatch = Finding {
        code: "S103".into(),
        name: "init-mismatch".into(),
        level: Level::Blocks,
        at: "50 layers".into(),
        position: None,
        saw: "kaiming_uniform(a=√5), PyTorch's default, before tanh".into(),
        because: "its variance 1/(3n) is too small for every common activation; tanh wants 1/n".into(),
        remedy: Remedy { text: "as S101".into(), action: json!({ "as": "S101" }), ..Remedy::default() },
        ignore_when: Some("the weights were loaded from a trained checkpoint".into()),
        evidence: vec![],
    };
    let deep_for_width = Finding {
        code: "W201".into(),
        name: "deep-for-width".into(),
        level: Level::Costs,
        at: "L/n = 50/128 = 0.39".into(),
        position: None,
        saw: "with the remedy, two seeds would differ by 51 % in signal at layer 50".into(),
        because: "fluctuations grow as depth/width: V/K² = 31.7 at layer 50".into(),
        remedy: Remedy {
            text: "width 512 (26 %), or depth 20 (33 %)".into(),
            action: json!({ "network": { "width": 512 } }),
            ..Remedy::default()
        },
        ignore_when: Some("you train several seeds and keep the best".into()),
        evidence: vec![spread_evidence()],
    };
    vec![deep_for_width, inputs_merge, init_mismatch]
}

pub fn correlation_evidence() -> Chart {
    Chart::new(
        "distance of different inputs",
        "One minus the correlation shrinks to a third from layer to layer.",
        depth_axis(),
        Axis::log("1 − corr"),
    )
    .with(Series::line("theory", &depth()[..20], &distance_theory()[..20]))
    .with(Series::dots("measured", &depth()[..20], &distance()[..20], &[]))
}

pub fn spread_evidence() -> Chart {
    let widths = [32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
    let spread: Vec<f64> = widths.iter().map(|n| 100.0 * (31.7f64 / n).sqrt()).collect();
    Chart::new(
        "spread between seeds",
        "The spread falls with the root of the width: 512 halves it.",
        Axis::log("width"),
        Axis::linear("spread in K at layer 50, %"),
    )
    .with(Series::line("theory", &widths, &spread).in_ink(Ink::Theory))
}
