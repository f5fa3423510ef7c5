//! The diagram → report.

use carnot_math::jackknife::of_mean;
use carnot_math::stats::{Estimate, Moments};
use carnot_report::chart::{Axis, Chart, Series};
use carnot_report::number::{percent, significant};
use carnot_report::report::{Headline, Line, Provenance, Report, Tone};
use carnot_report::section::{Cell, Heading, Map, Row, Section, Table};
use serde_json::json;

use super::axes::Setting;
use super::compare::{Rank, rank};
use super::network::Answer;
use super::observables::{OfCurve, Show, before, convexity, curve, spread, straightness};
use super::refine::{self, Block, Place, refine};
use super::{Phase, PhaseSpec};
use super::{predictors, published};
use crate::experiments::Experiment;

/// Everything known so far.
pub struct Diagram {
    /// `[slope][noise]`: answers of the seeds done.
    pub cells: Vec<Vec<Vec<Answer>>>,
    /// Curves of the chain, `[slope × noise]`.
    pub chain: Option<Vec<Vec<f64>>>,
}

impl Diagram {
    /// Nothing yet.
    pub fn empty(spec: &PhaseSpec) -> Diagram {
        Diagram { cells: vec![vec![Vec::new(); spec.noises.len()]; spec.slopes.len()], chain: None }
    }

    fn networks(&self) -> usize {
        self.cells.iter().flatten().map(Vec::len).sum()
    }

    /// A number of each network of a cell, averaged over its seeds.
    pub fn of(
        &self,
        (row, column): (usize, usize),
        number: &dyn Fn(&Answer) -> Option<f64>,
    ) -> Option<Estimate> {
        let all: Vec<f64> = self.cells[row][column].iter().filter_map(number).collect();
        (!all.is_empty()).then(|| Moments::of(&all).estimate())
    }

    /// Mean over the seeds of a cell's curves, those that are whole.
    pub fn mean_curve(&self, (row, column): (usize, usize)) -> Option<Vec<f64>> {
        let curves: Vec<Vec<f64>> = self.cells[row][column].iter().filter_map(curve).collect();
        let points = curves.first()?.len();
        let mean = |at: usize| curves.iter().map(|curve| curve[at]).sum::<f64>() / curves.len() as f64;
        Some((0..points).map(mean).collect())
    }

    /// A number of a cell's mean curve.
    pub fn of_mean_curve(&self, (row, column): (usize, usize), number: OfCurve) -> Option<Estimate> {
        let curves: Vec<Vec<f64>> = self.cells[row][column].iter().filter_map(curve).collect();
        (!curves.is_empty()).then(|| of_mean(&curves, &|mean| number(mean).ok_or(())).ok()).flatten()
    }

    /// Convexity of a cell.
    pub fn convexity(&self, at: (usize, usize)) -> Option<Estimate> {
        self.of_mean_curve(at, convexity)
    }

    /// What is shown of a cell.
    fn shown(&self, show: Show, at: (usize, usize)) -> Option<Estimate> {
        let row = show.row();
        match row.of_curve.filter(|_| row.is_ratio) {
            Some(number) => self.of_mean_curve(at, number),
            None => self.of(at, &row.of),
        }
    }

    /// The same of a cell that was trained: it does not exist where all its networks diverged.
    pub fn known(&self, show: Show, at: (usize, usize)) -> Option<Option<f64>> {
        (!self.cells[at.0][at.1].is_empty()).then(|| self.shown(show, at).map(|found| found.value))
    }

    fn chain_at(&self, spec: &PhaseSpec, (row, column): (usize, usize)) -> Option<&Vec<f64>> {
        self.chain.as_ref()?.get(row * spec.noises.len() + column)
    }
}

/// Writes what is known.
pub fn report(spec: &PhaseSpec, diagram: &Diagram) -> Report {
    let mut report = Report::new("phase", &Phase::subject(spec));
    report.provenance = Provenance { seed: Some(spec.seed), device: "cpu".into(), ..Provenance::default() };
    let all = (spec.slopes.len() * spec.noises.len()) as u64 * spec.seeds;
    let (rows, columns) = (spec.slopes.len(), spec.noises.len());
    let places: Vec<(usize, usize)> =
        (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).collect();
    let bent: Vec<Option<Estimate>> = places.iter().map(|&at| diagram.convexity(at)).collect();
    let uneven: Vec<Option<Estimate>> = places.iter().map(|&at| diagram.of_mean_curve(at, spread)).collect();
    let tested: Vec<Option<Estimate>> =
        places.iter().map(|&at| diagram.of(at, &|answer| answer.test)).collect();
    let chained: Vec<Option<f64>> =
        places.iter().map(|&at| diagram.chain_at(spec, at).and_then(|curve| convexity(curve))).collect();
    let pairs = |a: &[Option<f64>], b: &[Option<f64>]| -> Vec<(f64, f64)> {
        a.iter().zip(b).filter_map(|(a, b)| Some(((*a)?, (*b)?))).collect()
    };
    let values =
        |of: &[Option<Estimate>]| -> Vec<Option<f64>> { of.iter().map(|e| e.map(|e| e.value)).collect() };
    // Cells that were not trained are read between others; they count in the picture, and not in any correlation.
    let (_, leaves) = refine(Block::whole(rows, columns), spec.detail, &|at| diagram.known(spec.show, at));
    let between = |found: &[Option<Estimate>]| -> Vec<Option<f64>> {
        let known = |(row, column): Place| {
            diagram.known(spec.show, (row, column))?;
            Some(found[row * columns + column].map(|found| found.value))
        };
        let value = |at: Place| known(at).unwrap_or_else(|| refine::between(&leaves, at, &known));
        places.iter().map(|&at| value(at)).collect()
    };
    let with_chain = rank(&pairs(&values(&bent), &chained), spec.seed);
    let with_test = rank(&pairs(&values(&uneven), &values(&tested)), spec.seed);
    report.headline = Some(headline(&values(&bent)));
    report.summary = lines(with_chain, with_test, &values(&bent), &values(&tested));
    let trained = places.iter().filter(|&&at| diagram.known(spec.show, at).is_some()).count();
    let whole = places.iter().all(|&at| {
        diagram.cells[at.0][at.1].len() as u64 == spec.seeds || diagram.known(spec.show, at).is_none()
    });
    if spec.detail > 0.0 && trained > 0 && whole {
        let text = format!("{trained} of {} cells, the others are read between them", places.len());
        report.summary.push(Line::new("trained", text));
    } else if (diagram.networks() as u64) < all {
        report.summary.push(Line::new("so far", format!("{} of {all} networks", diagram.networks())));
    }
    if !spec.has_chain() {
        let text = "not drawn: its friction stands for nonlinearity in the rows, its shaking for noise";
        report.summary.push(Line::new("chain", text));
    }
    let shown = spec.show.row();
    let seen: Vec<Option<Estimate>> = places.iter().map(|&at| diagram.shown(spec.show, at)).collect();
    let of_chain = |at: Place| diagram.chain_at(spec, at).and_then(|curve| shown.of_curve?(curve));
    let chain_seen: Vec<Option<f64>> = places.iter().map(|&at| of_chain(at)).collect();
    let limits = ends(spec.show, values(&seen).iter().chain(&chain_seen).flatten());
    let map = |title: &str, caption: &str, values: &[Option<f64>], scale: &str, limits| {
        let axis = |setting: Setting| match setting.is_log() {
            true => Axis::log(&setting.label(spec)),
            false => Axis::linear(&setting.label(spec)),
        };
        Section::Map(Map {
            title: title.into(),
            caption: caption.into(),
            x: axis(spec.noise),
            y: axis(spec.rows),
            x_values: spec.noises.clone(),
            y_values: spec.slopes.clone(),
            cells: values.chunks(columns).map(<[_]>::to_vec).collect(),
            limits,
            scale: scale.into(),
            ..Map::default()
        })
    };
    report.sections.push(map("Networks", shown.means, &between(&seen), shown.label, limits));
    if diagram.chain.is_some() && shown.of_curve.is_some() {
        let same =
            "The chain, in the same colours: friction in place of nonlinearity, shaking in place of noise.";
        report.sections.push(map("Chain of blocks and springs", same, &chain_seen, shown.label, limits));
    }
    if spec.show != Show::Test {
        let caption = "Mean over the seeds.";
        report.sections.push(map("Test accuracy", caption, &between(&tested), "test accuracy", None));
    }
    report.sections.extend(corner_curves(spec, diagram).into_iter().map(Section::Chart));
    report.sections.push(Section::Table(corners(spec, diagram)));
    let near = spec.published.then(|| published::nearness(spec, diagram)).flatten();
    report.sections.extend(near.as_ref().map(|near| Section::Table(published::table(near))));
    let (goes, entered) = predictors::found(diagram);
    if !goes.is_empty() {
        report.sections.push(Section::Table(predictors::table(&goes, entered)));
    }
    report.extra.insert("against_published".into(), json!(near));
    report.extra.insert("goes_with_test_accuracy".into(), json!(goes));
    report.extra.insert("noise".into(), json!(spec.noise));
    report.extra.insert("rows".into(), json!(spec.rows));
    report.extra.insert("noises".into(), json!(spec.noises));
    report.extra.insert("slopes".into(), json!(spec.slopes));
    report.extra.insert("shown".into(), json!(spec.show));
    let tables = [
        ("convexity", &bent),
        ("relative_spread", &uneven),
        ("test_accuracy", &tested),
        ("observable", &seen),
    ];
    for (name, found) in tables {
        let table = |of: fn(&Estimate) -> f64| -> Vec<Vec<Option<f64>>> {
            found.chunks(columns).map(|row| row.iter().map(|cell| cell.as_ref().map(of)).collect()).collect()
        };
        report.extra.insert(name.into(), json!(table(|e| e.value)));
        report.extra.insert(format!("{name}_error"), json!(table(|e| e.error)));
    }
    report.extra.insert("convexity_chain".into(), json!(chained.chunks(columns).collect::<Vec<_>>()));
    report.extra.insert("rank_correlation_with_chain".into(), json!(with_chain));
    report.extra.insert("rank_correlation_of_spread_and_accuracy".into(), json!(with_test));
    report
}

/// Ends of the colours that networks and chain share: to both sides of zero where what is shown has a sign. A curve that only falls has
/// a convexity within ±1/2; beyond, where a curve ends about as high as it began, the last colour is enough.
fn ends<'a>(show: Show, values: impl Iterator<Item = &'a f64>) -> Option<(f64, f64)> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
    let most = low.abs().max(high.abs());
    if low > high || most == 0.0 {
        return None;
    }
    Some(if show == Show::Convexity { (-most.min(0.5), most.min(0.5)) } else { (low, high) })
}

/// Convexity within which a curve counts as straight.
const STRAIGHT: f64 = 0.03;

fn headline(bent: &[Option<f64>]) -> Headline {
    let known: Vec<f64> = bent.iter().flatten().copied().collect();
    let deep = known.iter().filter(|&&value| value < -STRAIGHT).count();
    let shallow = known.iter().filter(|&&value| value > STRAIGHT).count();
    let text = match (known.len(), deep, shallow) {
        (0, ..) => "NOTHING MEASURED YET",
        (_, 1.., 1..) => "NOISE AND NONLINEARITY DECIDE WHICH LAYERS WORK",
        (_, 1.., 0) => "DEEP LAYERS DO THE WORK, OR ALL OF THEM",
        (_, 0, 1..) => "SHALLOW LAYERS DO THE WORK, OR ALL OF THEM",
        (_, 0, 0) => "ALL LAYERS SHARE THE WORK",
    };
    Headline { text: text.into(), tone: Tone::Plain }
}

fn lines(chain: Option<Rank>, test: Option<Rank>, bent: &[Option<f64>], tested: &[Option<f64>]) -> Vec<Line> {
    let words = |rank: &Rank| {
        let [value, low, high] = [rank.value, rank.low, rank.high].map(|x| significant(x, 2));
        format!("{value} ({low} to {high}) over {} cells", rank.n)
    };
    let mut lines = Vec::new();
    if let Some(rank) = &chain {
        lines.push(Line::new("chain", format!("rank correlation of the two diagrams {}", words(rank))));
    }
    if let Some(rank) = &test {
        let text = format!("rank correlation of uneven loads with test accuracy {}", words(rank));
        lines.push(Line::new("accuracy", text));
    }
    let known = bent.iter().zip(tested).filter_map(|(bent, tested)| Some(((*bent)?, (*tested)?)));
    if let Some((bent, best)) = known.max_by(|a, b| a.1.total_cmp(&b.1)) {
        let text = format!("test accuracy {} at convexity {}", percent(best), significant(bent, 2));
        lines.push(Line::new("best cell", text));
    }
    lines
}

/// The four corners: name, row and column.
fn corner_places(spec: &PhaseSpec) -> Vec<(String, (usize, usize))> {
    let (top, right) = (spec.slopes.len() - 1, spec.noises.len() - 1);
    let mut places = Vec::new();
    for row in [0, top] {
        for column in [0, right] {
            let name = format!(
                "{} {}, {} {}",
                spec.rows.word(spec),
                spec.slopes[row],
                spec.noise.word(spec),
                spec.noises[column]
            );
            if !places.iter().any(|(_, at)| *at == (row, column)) {
                places.push((name, (row, column)));
            }
        }
    }
    places
}

/// Share of the whole fall that is left behind each layer.
fn left(curve: &[f64]) -> Vec<f64> {
    let (first, last) = (curve[0], curve[curve.len() - 1]);
    curve.iter().map(|d| (d - last) / (first - last)).collect()
}

/// One picture for each corner: the networks' curve and the chain's.
fn corner_curves(spec: &PhaseSpec, diagram: &Diagram) -> Vec<Chart> {
    let mut charts = Vec::new();
    for (name, at) in corner_places(spec) {
        let curves: Vec<Vec<f64>> =
            diagram.cells[at.0][at.1].iter().filter_map(curve).map(|d| left(&d)).collect();
        if curves.is_empty() {
            continue;
        }
        let mut chart = Chart::new(
            &name,
            "Share of the separation that is still to be done: a straight line shares the work evenly. Dots: networks, line: the chain.",
            Axis::linear("layer"),
            Axis::linear("(D − D_last)/(D_0 − D_last)"),
        );
        let layers = 0..=spec.cell(at).depth;
        let depth: Vec<f64> = layers.clone().map(|layer| layer as f64).collect();
        if let Some(curve) = diagram.chain_at(spec, at) {
            chart = chart.with(Series::line("chain", &depth, &left(curve)));
        }
        let moments =
            |layer: usize| Moments::of(&curves.iter().map(|curve| curve[layer]).collect::<Vec<_>>());
        let mean: Vec<f64> = layers.clone().map(|layer| moments(layer).mean()).collect();
        let error: Vec<f64> = layers.map(|layer| moments(layer).error()).collect();
        let error = if curves.len() > 1 { error } else { Vec::new() };
        charts.push(chart.with(Series::dots("networks", &depth, &mean, &error)));
    }
    charts
}

fn corners(spec: &PhaseSpec, diagram: &Diagram) -> Table {
    let number = |found: Option<Estimate>| match found {
        Some(found) if found.error > 0.0 && found.error.is_finite() => {
            Cell::measured(found.value, found.error)
        }
        Some(found) => Cell::significant(found.value, 3),
        None => Cell::missing(),
    };
    let row = |(name, at): (String, (usize, usize))| {
        let chain = diagram.chain_at(spec, at).and_then(|curve| convexity(curve));
        Row::new(vec![
            Cell::text(name),
            number(diagram.convexity(at)),
            chain.map_or(Cell::missing(), |value| Cell::significant(value, 3)),
            number(diagram.of_mean_curve(at, spread)),
            number(diagram.of(at, &|answer| straightness(&curve(answer)?))),
            number(diagram.of(at, &|answer| straightness(&before(answer)?))),
            number(diagram.of(at, &|answer| answer.train)),
            number(diagram.of(at, &|answer| answer.test)),
        ])
    };
    Table {
        title: "Corners".into(),
        caption: "Convexity of the mean curve: below 0 deep layers do the work. Spread of the mean curve: standard deviation of the loads over their mean. r: correlation of D with depth, −1 is straight; before: read before the activations.".into(),
        columns: vec![
            Heading::words("corner"),
            Heading::number("convexity"),
            Heading::number("chain"),
            Heading::number("spread"),
            Heading::number("r"),
            Heading::number("r before"),
            Heading::number("train"),
            Heading::number("test"),
        ],
        rows: corner_places(spec).into_iter().map(row).collect(),
        ..Table::default()
    }
}
