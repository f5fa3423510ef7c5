//! Chart → SVG in one style: theory is a line, data are dots with bars, an uncertainty is a band.
//!
//! The colours written into the elements are those of the light theme, so the file is right wherever it is opened;
//! a style sheet that selects elements by these colours ([`THEME`]) makes it follow dark and light.

mod draw;
mod scale;
pub mod sheet;

use crate::chart::{Axis, Chart, Ink, Kind, Series};
use crate::number;
use crate::report::Tone;
use crate::section::Map;
use scale::Scale;

/// Width of a picture, in CSS pixels; it scales with its container.
pub const WIDTH: u32 = 360;
/// Height of a picture, in CSS pixels.
pub const HEIGHT: u32 = 240;

/// Style sheet of all pictures: maps the colours of the light theme to custom properties.
pub const THEME: &str = include_str!("../assets/chart.css");

/// A place on a picture where a reading can be asked for: by pointer, by keyboard, by a screen reader.
#[derive(Clone, Debug, PartialEq)]
pub struct Spot {
    /// Horizontal place, in CSS pixels of the picture.
    pub left: f64,
    /// Vertical place.
    pub top: f64,
    /// What stands there: `layer 10: measured 0.0039 ± 0.0001, theory 0.0039`.
    pub words: String,
}

/// The picture as a file of its own, with title, legend and style sheet.
pub fn render(chart: &Chart) -> String {
    let body = picture(chart);
    let style = format!("<style>{THEME}</style>\n");
    let at = body.find('>').map_or(body.len(), |end| end + 1);
    format!("{}\n{style}<title>{}</title>{}", &body[..at], escape(&chart.title), &body[at..])
}

/// The picture alone, to be put into a page that has [`THEME`]; title and legend are left to the page.
///
/// Focusable spots follow the drawing, one per position of the horizontal axis; only the first takes part in the tab
/// order, and a script moves between them with the arrow keys.
pub fn picture(chart: &Chart) -> String {
    let (x, y) = scales(chart);
    let drawn = draw::chart(chart, &x, &y);
    finish(&drawn, &format!("{}. {}", chart.title, chart.caption), &spots(chart))
}

/// A map as a picture of coloured cells.
pub fn map(map: &Map) -> String {
    finish(&draw::map(map), &format!("{}. {}", map.title, map.caption), &[])
}

/// Colour of one cell of a map whose known values run from `low` to `high`, in the light theme.
pub fn cell_colour(map: &Map, value: f64, low: f64, high: f64) -> &'static str {
    draw::cell_colour(map, value, low, high)
}

/// Colour of an area by its meaning, in the light theme.
pub fn tone_colour(tone: Tone) -> &'static str {
    draw::tone_colour(tone)
}

/// Where readings can be asked for.
pub fn spots(chart: &Chart) -> Vec<Spot> {
    let (x, y) = scales(chart);
    let mut places: Vec<f64> = points(chart).map(|(_, at_x, _)| at_x).filter(|&at| x.shows(at)).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    places.iter().filter_map(|&place| spot(chart, place, &x, &y)).collect()
}

fn spot(chart: &Chart, place: f64, x: &Scale, y: &Scale) -> Option<Spot> {
    let here: Vec<(&Series, f64, usize)> = chart
        .series
        .iter()
        .filter(|series| series.kind != Kind::Band)
        .filter_map(|series| {
            let at = series.x.iter().position(|&value| value == Some(place))?;
            let value = series.y.get(at).copied().flatten().filter(|&value| y.shows(value))?;
            Some((series, value, at))
        })
        .collect();
    let top = here.iter().rev().find(|(series, ..)| series.kind == Kind::Dots).or(here.first())?;
    let words: Vec<String> =
        here.iter().rev().map(|(series, value, at)| reading(series, *value, *at)).collect();
    Some(Spot {
        left: draw::left(x, place),
        top: draw::top(y, top.1),
        words: format!("{} {}: {}", name(&chart.x), number::position(place), words.join(", ")),
    })
}

fn reading(series: &Series, value: f64, at: usize) -> String {
    let error = series.error.get(at).copied().flatten().unwrap_or(0.0);
    format!("{} {}", series.name, number::estimate(value, error))
}

/// The first words of an axis label, up to a comma.
fn name(axis: &Axis) -> &str {
    axis.label.split(',').next().unwrap_or("").trim()
}

fn scales(chart: &Chart) -> (Scale, Scale) {
    let x: Vec<f64> = points(chart).map(|(_, x, _)| x).collect();
    let y: Vec<f64> = points(chart).flat_map(|(_, _, y)| y).collect();
    (Scale::over(&x, chart.x.log, false), Scale::over(&y, chart.y.log, true))
}

/// Every position with the heights that must be seen there.
fn points(chart: &Chart) -> impl Iterator<Item = (&Series, f64, Vec<f64>)> {
    chart.series.iter().flat_map(|series| {
        series.x.iter().enumerate().filter_map(move |(at, x)| {
            let x = x.filter(|x| x.is_finite())?;
            let heights = heights(series, at);
            (!heights.is_empty()).then_some((series, x, heights))
        })
    })
}

fn heights(series: &Series, at: usize) -> Vec<f64> {
    let get = |list: &[Option<f64>]| list.get(at).copied().flatten();
    let all = match series.kind {
        Kind::Band => vec![get(&series.low), get(&series.high)],
        Kind::Line => vec![get(&series.y)],
        Kind::Dots => {
            let y = get(&series.y);
            let error = get(&series.error).unwrap_or(0.0);
            vec![y, y.map(|y| y - error), y.map(|y| y + error)]
        }
    };
    all.into_iter().flatten().filter(|value| value.is_finite()).collect()
}

/// The colour of an ink in the light theme.
pub fn colour(ink: Ink) -> &'static str {
    match ink {
        Ink::Theory => "#1F5FA8",
        Ink::Data => "#BF551A",
        Ink::Context => "#8A919C",
    }
}

/// A curve over the layers 1, 2, … in the units and the frame of a picture, as the `d` of a path; gaps are left open, and what lies outside the
/// frame runs along its edge.
pub fn trace(chart: &Chart, values: &[Option<f64>]) -> String {
    let (x, y) = scales(chart);
    let mut path = String::new();
    let mut pen = 'M';
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value.filter(|value| y.shows(*value)) else {
            pen = 'M';
            continue;
        };
        let left = draw::left(&x, (at + 1) as f64) * draw::UNIT;
        path += &format!("{pen}{left:.0} {:.0}", draw::top(&y, value) * draw::UNIT);
        pen = 'L';
    }
    path
}

/// Replaces the outer tag by a scaling, labelled one and appends the spots.
fn finish(drawn: &str, label: &str, spots: &[Spot]) -> String {
    let inner = drawn.split_once('>').map_or("", |(_, rest)| rest);
    let inner = inner.trim_end().trim_end_matches("</svg>");
    let (width, height) = (WIDTH * draw::UNIT as u32, HEIGHT * draw::UNIT as u32);
    let mut text = format!(
        "<svg class=\"chart\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {width} {height}\" role=\"group\" aria-label=\"{}\">{inner}",
        escape(label.trim().trim_end_matches(". "))
    );
    if !spots.is_empty() {
        // Where the page's script draws the curve of another step.
        text += &format!(
            "<path class=\"now\" d=\"\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"/>\n",
            colour(Ink::Data),
            1.5 * draw::UNIT
        );
    }
    for (at, spot) in spots.iter().enumerate() {
        let words = escape(&spot.words);
        let tab = if at == 0 { 0 } else { -1 };
        text += &format!(
            "<circle class=\"spot\" cx=\"{:.0}\" cy=\"{:.0}\" r=\"{}\" tabindex=\"{tab}\" role=\"img\" \
             aria-label=\"{words}\" fill=\"none\"/>\n",
            spot.left * draw::UNIT,
            spot.top * draw::UNIT,
            5.0 * draw::UNIT
        );
    }
    text + "</svg>\n"
}

fn escape(text: &str) -> String {
    crate::html::escape::text(text)
}
