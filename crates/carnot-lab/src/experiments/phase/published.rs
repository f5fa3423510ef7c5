//! The published diagram beside ours, cell by cell.

use std::collections::BTreeMap;

use carnot_math::curve::convexity_of;
use carnot_math::stats::pearson;
use carnot_report::number::{percent, significant};
use carnot_report::section::{Cell, Heading, Row, Table};
use serde::{Deserialize, Serialize};

use super::PhaseSpec;
use super::axes::Setting;
use super::write::Diagram;
use crate::error::LabError;
use crate::settings::within;

/// What the figure of the paper shows.
#[derive(Deserialize)]
struct Figure {
    slopes: Vec<f64>,
    panels: BTreeMap<String, Panel>,
}

/// One kind of noise.
#[derive(Deserialize)]
struct Panel {
    noises: Vec<f64>,
    /// `[slope][noise]`
    accuracy: Vec<Vec<f64>>,
    /// `[slope][noise][layer]`: (D − least)/(most − least).
    curves: Vec<Vec<Vec<f64>>>,
}

fn figure() -> Figure {
    serde_json::from_str(include_str!("published.json")).expect("the file was read by a test")
}

/// The panel of a kind of noise.
fn panel(noise: Setting) -> Option<(Vec<f64>, Panel)> {
    let mut figure = figure();
    let name = serde_json::to_value(noise).expect("a word");
    let panel = figure.panels.remove(name.as_str().unwrap_or_default())?;
    Some((figure.slopes, panel))
}

/// One cell of both diagrams.
struct Pair {
    convexity: [f64; 2],
    accuracy: [f64; 2],
    /// Standard error of our accuracy; 0 for a single seed.
    error: f64,
    /// Largest and mean distance of the two curves, each brought to 0 … 1.
    apart: Vec<f64>,
}

/// Refuses a comparison that has nothing to compare.
///
/// # Errors
/// [`LabError::OutOfRange`] when no cell was published.
pub fn check(spec: &PhaseSpec) -> Result<(), LabError> {
    let says = |range: &str| within("published", "true", false, range);
    if spec.rows != Setting::Slope {
        return says("false for these rows: published are slopes");
    }
    let Some((slopes, panel)) = panel(spec.noise) else {
        return says("false for this noise: published are dropout, data, rate and batch");
    };
    if spec.depth + 1 != panel.curves[0][0].len() {
        return says(&format!(
            "false for this depth: published are curves of {} layers",
            panel.curves[0][0].len() - 1
        ));
    }
    if places(spec, &slopes, &panel).is_empty() {
        let said =
            format!("false for these cells: published are slopes {slopes:?}, noises {:?}", panel.noises);
        return says(&said);
    }
    Ok(())
}

/// Our row and column beside the published ones.
fn places(spec: &PhaseSpec, slopes: &[f64], panel: &Panel) -> Vec<[(usize, usize); 2]> {
    let same = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
    let mut found = Vec::new();
    for (row, &slope) in spec.slopes.iter().enumerate() {
        for (column, &noise) in spec.noises.iter().enumerate() {
            let theirs = (
                slopes.iter().position(|&s| same(s, slope)),
                panel.noises.iter().position(|&n| same(n, noise)),
            );
            if let (Some(there_row), Some(there_column)) = theirs {
                found.push([(row, column), (there_row, there_column)]);
            }
        }
    }
    found
}

/// A curve brought to 0 … 1 as those of the figure are.
fn levelled(curve: &[f64]) -> Vec<f64> {
    let (low, high) =
        curve.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &d| (l.min(d), h.max(d)));
    curve.iter().map(|d| (d - low) / (high - low)).collect()
}

fn pairs(spec: &PhaseSpec, diagram: &Diagram, slopes: &[f64], panel: &Panel) -> Vec<Pair> {
    let pair = |&[ours, theirs]: &[(usize, usize); 2]| {
        let published = &panel.curves[theirs.0][theirs.1];
        let curve = diagram.mean_curve(ours)?;
        let convexity = diagram.convexity(ours)?.value;
        let accuracy = diagram.of(ours, &|answer| answer.test)?;
        let apart: Vec<f64> = levelled(&curve).iter().zip(published).map(|(a, b)| (a - b).abs()).collect();
        Some(Pair {
            convexity: [convexity, convexity_of(published).ok()?],
            accuracy: [accuracy.value, panel.accuracy[theirs.0][theirs.1]],
            error: if accuracy.error.is_finite() { accuracy.error } else { 0.0 },
            apart,
        })
    };
    places(spec, slopes, panel).iter().filter_map(pair).collect()
}

/// How near our diagram is to the published one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Nearness {
    /// Cells compared.
    pub cells: usize,
    /// Correlation of the convexities.
    pub convexity: f64,
    /// Correlation of the accuracies.
    pub accuracy: f64,
    /// Mean of ours less theirs.
    pub accuracy_gap: f64,
    /// Root mean square of ours less theirs.
    pub accuracy_off: f64,
    /// Share of cells whose accuracies are within two of their joint errors, each taken as large as ours, and 0.1 points of reading;
    /// `None` for a single seed.
    pub accuracy_within: Option<f64>,
    /// Median over cells of the mean distance of the two curves, brought to 0 … 1.
    pub curve_median: f64,
    /// Largest of them.
    pub curve_most: f64,
}

/// Error with which accuracies were read from the figure.
const READ: f64 = 0.001;

/// Compares; `None` while fewer than three cells are known.
pub fn nearness(spec: &PhaseSpec, diagram: &Diagram) -> Option<Nearness> {
    let (slopes, panel) = panel(spec.noise)?;
    let pairs = pairs(spec, diagram, &slopes, &panel);
    if pairs.len() < 3 {
        return None;
    }
    let n = pairs.len() as f64;
    let both =
        |of: fn(&Pair) -> [f64; 2]| -> Vec<(f64, f64)> { pairs.iter().map(|p| of(p).into()).collect() };
    let gaps: Vec<f64> = pairs.iter().map(|pair| pair.accuracy[0] - pair.accuracy[1]).collect();
    let mut apart: Vec<f64> =
        pairs.iter().map(|pair| pair.apart.iter().sum::<f64>() / pair.apart.len() as f64).collect();
    apart.sort_by(f64::total_cmp);
    let near =
        pairs.iter().zip(&gaps).filter(|(pair, gap)| gap.abs() <= READ + 2.0 * 2f64.sqrt() * pair.error);
    let has_errors = pairs.iter().all(|pair| pair.error > 0.0);
    Some(Nearness {
        cells: pairs.len(),
        convexity: pearson(&both(|pair| pair.convexity))?,
        accuracy: pearson(&both(|pair| pair.accuracy))?,
        accuracy_gap: gaps.iter().sum::<f64>() / n,
        accuracy_off: (gaps.iter().map(|gap| gap * gap).sum::<f64>() / n).sqrt(),
        accuracy_within: has_errors.then(|| near.count() as f64 / n),
        curve_median: 0.5 * (apart[(apart.len() - 1) / 2] + apart[apart.len() / 2]),
        curve_most: apart[apart.len() - 1],
    })
}

/// As a table.
pub fn table(near: &Nearness) -> Table {
    let points = |share: f64| format!("{} points", significant(100.0 * share, 2));
    let row = |what: &str, found: String| Row::new(vec![Cell::text(what), Cell::text(found)]);
    let mut rows = vec![
        row("convexity: correlation over cells", significant(near.convexity, 4)),
        row(
            "curves, each brought to 0 … 1: mean distance, median of the cells",
            significant(near.curve_median, 2),
        ),
        row("curves: largest such distance", significant(near.curve_most, 2)),
        row("test accuracy: correlation over cells", significant(near.accuracy, 3)),
        row("test accuracy: ours less theirs", points(near.accuracy_gap)),
        row("test accuracy: root mean square of that", points(near.accuracy_off)),
    ];
    if let Some(share) = near.accuracy_within {
        rows.push(row("test accuracy: cells within two joint errors of the seeds", percent(share)));
    }
    Table {
        title: "Against the published diagram".into(),
        caption: format!(
            "{} cells of the figure of Shi, Pan and Dokmanić, arXiv:2407.19353, read from its vector file. Theirs is MNIST at 10 × 10 pixels.",
            near.cells
        ),
        columns: vec![Heading::words("what"), Heading::words("found")],
        rows,
        ..Table::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Corners that Carnot's sheet lists, read from the same figure by other people.
    #[test]
    fn the_figure_has_the_corners_of_the_sheet() {
        for (noise, column, convexity, accuracy) in [
            (Setting::Dropout, 0, [-0.13, 0.12], [0.920, 0.891]),
            (Setting::Dropout, 7, [0.13, 0.27], [0.909, 0.892]),
            (Setting::Data, 0, [-0.18, 0.13], [0.883, 0.857]),
            (Setting::Data, 7, [0.12, 0.18], [0.834, 0.834]),
            (Setting::Rate, 0, [-0.16, -0.02], [0.886, 0.884]),
            (Setting::Rate, 7, [0.04, 0.38], [0.886, 0.837]),
            (Setting::Batch, 7, [-0.14, 0.12], [0.920, 0.886]),
            (Setting::Batch, 1, [0.05, 0.29], [0.934, 0.877]),
        ] {
            let (slopes, panel) = panel(noise).unwrap();
            assert_eq!((slopes.len(), panel.noises.len(), panel.curves.len()), (6, 8, 6));
            assert!(panel.curves.iter().flatten().all(|curve| curve.len() == 8));
            for (row, (bent, right)) in [0, 5].into_iter().zip(convexity.into_iter().zip(accuracy)) {
                let found = convexity_of(&panel.curves[row][column]).unwrap();
                assert!((found - bent).abs() < 0.006, "{noise:?} {row} {column}: {found}, expected {bent}");
                let found = panel.accuracy[row][column];
                assert!((found - right).abs() < 6e-4, "{noise:?} {row} {column}: {found}, expected {right}");
            }
        }
    }
}
