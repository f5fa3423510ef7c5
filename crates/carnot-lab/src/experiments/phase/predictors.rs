//! What goes with test accuracy: uneven loads, and what people look at otherwise.

use carnot_math::stats::{Estimate, Moments, partial_correlation, spearman};
use carnot_report::section::{Cell, Heading, Row, Table};
use serde::Serialize;

use super::network::Answer;
use super::observables::Show;
use super::write::Diagram;

/// What may tell how well a network does on new data; the plainest first.
const PREDICTORS: &[Show] =
    &[Show::Loss, Show::Spread, Show::Convexity, Show::TotalLoad, Show::Weights, Show::Sharpness];

/// The number of a predictor, and what it is called.
fn number(show: Show) -> (&'static str, fn(&Answer) -> Option<f64>) {
    match show {
        // To either side is uneven.
        Show::Convexity => {
            ("bend of the loads |convexity|", |answer| (Show::Convexity.row().of)(answer).map(f64::abs))
        }
        _ => (show.row().label, show.row().of),
    }
}

/// Rank correlations of one predictor with test accuracy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The predictor.
    pub name: &'static str,
    /// Over all networks of a seed.
    pub all: Option<Estimate>,
    /// What is left of it when both are cleared of the training loss.
    pub given_loss: Option<Estimate>,
    /// |ρ| less that of the training loss, on the same networks.
    pub more_than_loss: Option<Estimate>,
    /// Over networks that fit their training set: accuracy above 98 %.
    pub fitted: Option<Estimate>,
}

/// Networks of one seed below which a correlation says nothing.
const FEWEST: usize = 8;
/// Training accuracy of a network that fits.
const FITS: f64 = 0.98;

/// Correlates every predictor with test accuracy over the cells, for each seed alone; the error is that of the mean over seeds, which
/// share the data and the cells.
///
/// * returns: one for each predictor, and the number of networks that entered
pub fn found(diagram: &Diagram) -> (Vec<Found>, usize) {
    // A seed counts when every cell that was trained has it, so that all seeds speak of the same cells.
    let sizes = || diagram.cells.iter().flatten().map(Vec::len).filter(|&seeds| seeds > 0);
    let seeds = sizes().min().unwrap_or(0);
    let networks = |seed: usize| diagram.cells.iter().flatten().filter_map(move |cell| cell.get(seed));
    let over = |number: &dyn Fn(usize) -> Option<f64>| -> Option<Estimate> {
        let values: Option<Vec<f64>> = (0..seeds).map(number).collect();
        values.filter(|values| !values.is_empty()).map(|values| Moments::of(&values).estimate())
    };
    let rank = |seed: usize, x: fn(&Answer) -> Option<f64>, y: fn(&Answer) -> Option<f64>, fits: bool| {
        let fitted = |answer: &&Answer| !fits || answer.train.is_some_and(|share| share > FITS);
        let known = |answer: &&Answer| {
            PREDICTORS.iter().all(|&show| show == Show::Sharpness || number(show).1(answer).is_some())
        };
        let pairs: Vec<(f64, f64)> = networks(seed)
            .filter(known)
            .filter(fitted)
            .filter_map(|answer| Some((x(answer)?, y(answer)?)))
            .collect();
        (pairs.len() >= FEWEST).then(|| spearman(&pairs)).flatten()
    };
    let test: fn(&Answer) -> Option<f64> = |answer| answer.test;
    let loss: fn(&Answer) -> Option<f64> = |answer| answer.loss;
    let row = |&show: &Show| {
        let (name, own) = number(show);
        let is_loss = show == Show::Loss;
        let given = |seed| {
            partial_correlation(
                rank(seed, own, test, false)?,
                rank(seed, own, loss, false)?,
                rank(seed, test, loss, false)?,
            )
        };
        let more = |seed| Some(rank(seed, own, test, false)?.abs() - rank(seed, loss, test, false)?.abs());
        Found {
            name,
            all: over(&|seed| rank(seed, own, test, false)),
            given_loss: if is_loss { None } else { over(&given) },
            more_than_loss: if is_loss { None } else { over(&more) },
            fitted: over(&|seed| rank(seed, own, test, true)),
        }
    };
    (PREDICTORS.iter().map(row).filter(|found| found.all.is_some()).collect(), seeds * sizes().count())
}

/// As a table.
pub fn table(found: &[Found], networks: usize) -> Table {
    let cell = |of: Option<Estimate>| match of {
        Some(of) if of.error > 0.0 && of.error.is_finite() => Cell::measured(of.value, of.error),
        Some(of) => Cell::significant(of.value, 2),
        None => Cell::missing(),
    };
    let row = |found: &Found| {
        Row::new(vec![
            Cell::text(found.name),
            cell(found.all),
            cell(found.given_loss),
            cell(found.more_than_loss),
            cell(found.fitted),
        ])
    };
    Table {
        title: "What goes with test accuracy".into(),
        caption: format!(
            "Rank correlations over the cells of each seed, {networks} networks in all; ± over seeds. Cleared: of the training loss. More: size less that of the training loss. Fitted: networks with more than 98 % on their training set."
        ),
        columns: vec![
            Heading::words("of a trained network"),
            Heading::number("all"),
            Heading::number("cleared"),
            Heading::number("more"),
            Heading::number("fitted"),
        ],
        rows: found.iter().map(row).collect(),
        ..Table::default()
    }
}
