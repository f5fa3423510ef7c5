//! Stress map: layers across, observables down, colour = distance from where a reading should be.

use serde_json::json;

use super::escape::{self, text};
use super::{section, words};
use crate::chart::Chart;
use crate::glossary;
use crate::number;
use crate::profile::Profile;
use crate::report::Report;
use crate::section::Section;
use crate::stress::{self, Stress};
use crate::svg;

/// Distances, in standard errors, at which a cell changes its colour: conspicuous, clear, far.
const STEPS: [f64; 3] = [2.0, 4.0, 8.0];

/// The map with its scrubber and its panel of details; nothing when there is no reading with a yardstick.
pub fn block(report: &Report) -> String {
    let Some(readings) = stress::readings(report, None) else { return String::new() };
    let theory = stress::theory(report);
    let rows = stress::map(readings, theory);
    if rows.is_empty() {
        return String::new();
    }
    let body: String =
        rows.iter().enumerate().map(|(at, row)| map_row(row, readings, theory, at == 0)).collect();
    let table = format!(
        "<div class=\"scroll\"><table class=\"heat\" role=\"grid\" aria-label=\"stress by layer and observable\">\n{}<tbody>\n{body}</tbody></table></div>\n",
        scale(readings)
    );
    let lead = "<p class=\"lead\">Input on the left, output on the right. Colour and sign tell how far a reading lies from \
         theory or from its healthy range, in <a class=\"symbol\" href=\"#g-stress\">standard errors</a>. Choose a cell to read it.</p>\n";
    let key = "<ul class=\"legend heat-key\"><li><i class=\"z z-3 low\">−</i>8 or more below</li><li><i class=\"z z-1 low\">−</i>2 below</li>\
         <li><i class=\"z z0\"></i>as expected</li><li><i class=\"z z-1 high\">+</i>2 above</li><li><i class=\"z z-3 high\">+</i>8 or more above</li></ul>\n";
    let panel = "<p class=\"panel\" id=\"cell\" aria-live=\"polite\"></p>\n";
    section("stress", "Where it hurts", &format!("{lead}{table}{key}{}{panel}", scrubber(report)))
}

/// Numbers of the layers, every fifth of them.
fn scale(readings: &Profile) -> String {
    let n_layers = readings.layers.len();
    let stride = if n_layers > 20 { 5 } else { 1 };
    let number = |layer: usize| {
        let shown = layer == 1 || layer.is_multiple_of(stride);
        let words = if shown { layer.to_string() } else { String::new() };
        format!("<th scope=\"col\" title=\"{}\">{words}</th>", text(&readings.layers[layer - 1]))
    };
    let numbers: String = (1..=n_layers).map(number).collect();
    format!("<thead><tr><th scope=\"col\" class=\"corner\">layer</th>{numbers}</tr></thead>\n")
}

fn map_row(row: &Stress, readings: &Profile, theory: Option<&Profile>, is_first: bool) -> String {
    let title = glossary::by_name(&row.name).map_or(row.name.as_str(), |entry| entry.title);
    let cells: String = (0..readings.layers.len())
        .map(|layer| {
            let tab = if is_first && layer == 0 { 0 } else { -1 };
            let z = row.distance[layer];
            let class = class(z);
            let words = text(&said(&row.name, layer, z, readings, theory));
            format!("<td class=\"{class}\" tabindex=\"{tab}\" aria-label=\"{words}\">{}</td>", sign(z))
        })
        .collect();
    format!(
        "<tr data-name=\"{}\"><th scope=\"row\"><span class=\"title\">{} </span>{}</th>{cells}</tr>\n",
        text(&row.name),
        text(title),
        words::heading(&row.symbol)
    )
}

/// Everything about one cell, in one line.
fn said(name: &str, layer: usize, z: Option<f64>, readings: &Profile, theory: Option<&Profile>) -> String {
    let path = &readings.layers[layer];
    let mut parts = vec![format!("layer {}, {path}", layer + 1)];
    let Some(column) = readings.column(name) else { return parts.concat() };
    match column.value[layer] {
        Some(value) => {
            let error = column.error[layer].unwrap_or(0.0);
            parts.push(format!("{} {}", column.symbol, number::estimate(value, error)));
        }
        None => parts.push(format!("not read: {}", column.reason(path).unwrap_or("no reason recorded"))),
    }
    if let Some(value) = predicted(theory, name, path) {
        parts.push(format!("theory {}", number::significant(value, 3)));
    }
    if let Some(healthy) = column.healthy {
        let (low, high) = (number::significant(healthy.low, 2), number::significant(healthy.high, 2));
        parts.push(format!("healthy {low} to {high}"));
    }
    match z {
        Some(z) if z.abs() < STEPS[0] => parts.push("as expected".into()),
        Some(z) => {
            let side = if z < 0.0 { "below" } else { "above" };
            parts.push(format!("{} standard errors {side}", number::significant(z.abs(), 2)));
        }
        None => {}
    }
    parts.join(" · ")
}

fn predicted(theory: Option<&Profile>, name: &str, path: &str) -> Option<f64> {
    let theory = theory?;
    let at = theory.layers.iter().position(|layer| layer == path)?;
    theory.column(name)?.value[at]
}

fn class(z: Option<f64>) -> String {
    let Some(z) = z else { return "none".into() };
    let step = STEPS.iter().filter(|&&step| z.abs() >= step).count();
    match step {
        0 => "z z0".into(),
        step => format!("z z-{step} {}", if z < 0.0 { "low" } else { "high" }),
    }
}

fn sign(z: Option<f64>) -> &'static str {
    match z {
        Some(z) if z <= -STEPS[0] => "−",
        Some(z) if z >= STEPS[0] => "+",
        _ => "",
    }
}

/// A slider over the steps of a recording, with the cells of every step as data for the script.
fn scrubber(report: &Report) -> String {
    let steps = stress::steps(report);
    if steps.len() < 2 {
        return String::new();
    }
    let theory = stress::theory(report);
    let frames: Vec<_> =
        steps.iter().filter_map(|&step| Some((step, stress::readings(report, Some(step))?))).collect();
    let frames: Vec<_> = frames
        .iter()
        .map(|(step, readings)| {
            json!({ "step": step, "rows": frame(readings, theory), "curves": curves(report, readings) })
        })
        .collect();
    let last = frames.len().saturating_sub(1);
    let step = steps[steps.len() - 1];
    format!(
        "<label class=\"scrubber\">step <output>{step}</output><input type=\"range\" min=\"0\" max=\"{last}\" value=\"{last}\"></label>\n\
         <script type=\"application/json\" id=\"frames\">{}</script>\n",
        escape::json(&json!(frames).to_string())
    )
}

/// The curve of these readings in every picture about one of their columns.
fn curves(report: &Report, readings: &Profile) -> serde_json::Value {
    let charts = report.sections.iter().filter_map(|section| match section {
        Section::Chart(chart) => Some(chart),
        _ => None,
    });
    let curve = |chart: &Chart| {
        let name = chart.about.as_ref()?;
        Some((name.clone(), json!(svg::trace(chart, &readings.column(name)?.value))))
    };
    serde_json::Value::Object(charts.filter_map(curve).collect())
}

fn frame(readings: &Profile, theory: Option<&Profile>) -> serde_json::Value {
    let rows = stress::map(readings, theory);
    let cell = |row: &Stress, layer: usize| {
        let z = row.distance[layer];
        json!([class(z), sign(z), said(&row.name, layer, z, readings, theory)])
    };
    let entry = |row: &Stress| {
        let cells: Vec<_> = (0..readings.layers.len()).map(|layer| cell(row, layer)).collect();
        (row.name.clone(), json!(cells))
    };
    serde_json::Value::Object(rows.iter().map(entry).collect())
}
