//! The drawing itself, on a plotters canvas.

use plotters::coord::cartesian::Cartesian2d;
use plotters::element::{CoordMapper, DashedPathElement, Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::scale::Scale;
use super::{HEIGHT, WIDTH, colour};
use crate::chart::{Chart, Kind, Series};
use crate::report::Tone;
use crate::section::Map;

/// Canvas units per CSS pixel: plotters counts in whole units, and a curve needs finer steps than a pixel.
pub const UNIT: f64 = 4.0;
/// Plot area, in CSS pixels from the left and top.
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH as f64 - 12.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = HEIGHT as f64 - 44.0;
const TEXT: &str = "#5B6470";
const GRID: &str = "#E4E7EB";
const AXIS: &str = "#B9C0C9";
/// Shades of a map with a scale, low to high.
const SHADES: [&str; 9] =
    ["#E3EDF7", "#CBDDF0", "#B0CCE8", "#92B8DE", "#73A3D3", "#548DC6", "#3A78B8", "#2868B0", "#1F5FA9"];
/// Of values below and above zero: the middle one is zero.
const SIDES: [&str; 9] =
    ["#A8480F", "#C9702F", "#E09A63", "#F0C7A3", "#ECEEF1", "#B5D0EB", "#7FAEDB", "#4A88C6", "#1D5CA5"];
/// Smallest side of a cell that has room for its sign, in CSS pixels.
const SIGN: f64 = 9.0;
/// Font size in CSS pixels; plotters divides by 1.24.
const FONT: f64 = 12.0 * 1.24;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Plane<'a> = DrawingArea<SVGBackend<'a>, Cartesian2d<Scale, Scale>>;

/// Horizontal place of a value, in CSS pixels.
pub fn left(x: &Scale, value: f64) -> f64 {
    LEFT + x.fraction(value) * (RIGHT - LEFT)
}

/// Vertical place of a value, in CSS pixels.
pub fn top(y: &Scale, value: f64) -> f64 {
    BOTTOM - y.fraction(value) * (BOTTOM - TOP)
}

/// The whole chart as an SVG text of plotters.
pub fn chart(chart: &Chart, x: &Scale, y: &Scale) -> String {
    on_canvas(|root| {
        frame(root, chart.x.label.as_str(), chart.y.label.as_str(), (chart.x.log, chart.y.log), x, y);
        if !(x.has_data && y.has_data) {
            let middle = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
            text(root, "no data", middle, HPos::Center, VPos::Center);
            return;
        }
        if x.hidden + y.hidden > 0 {
            let words = match x.hidden + y.hidden {
                1 => "1 value ≤ 0 is not shown".to_string(),
                n => format!("{n} values ≤ 0 are not shown"),
            };
            text(root, &words, (RIGHT, TOP - 12.0), HPos::Right, VPos::Center);
        }
        let plane = plane(root, x, y);
        let mut n_lines = [0usize; 3];
        for series in &chart.series {
            match series.kind {
                Kind::Band => band(&plane, series, x, y),
                Kind::Line => {
                    line(&plane, series, n_lines[series.ink as usize], x, y);
                    n_lines[series.ink as usize] += 1;
                }
                Kind::Dots => dots(&plane, series, x, y),
            }
        }
    })
}

/// The whole map as an SVG text of plotters.
pub fn map(map: &Map) -> String {
    let (x_ends, y_ends) = (borders(&map.x_values, map.x.log), borders(&map.y_values, map.y.log));
    let x = Scale::over(&x_ends, map.x.log, false);
    let y = Scale::over(&y_ends, map.y.log, false);
    let range = map.range();
    on_canvas(|root| {
        frame(root, &map.x.label, &map.y.label, (map.x.log, map.y.log), &x, &y);
        for (row, cells) in map.cells.iter().enumerate().take(map.y_values.len()) {
            for (column, value) in cells.iter().enumerate().take(map.x_values.len()) {
                let Some(value) = value.filter(|value| value.is_finite()) else { continue };
                let place = CellPlace {
                    left: left(&x, x_ends[column]),
                    right: left(&x, x_ends[column + 1]),
                    top: top(&y, y_ends[row + 1]),
                    bottom: top(&y, y_ends[row]),
                };
                cell(root, map, range, value, &place);
            }
        }
        let plane = plane(root, &x, &y);
        for series in &map.border {
            match series.kind {
                Kind::Band => band(&plane, series, &x, &y),
                Kind::Line => line(&plane, series, 0, &x, &y),
                Kind::Dots => dots(&plane, series, &x, &y),
            }
        }
    })
}

/// One cell of a map, in CSS pixels.
struct CellPlace {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

fn cell(root: &Canvas, map: &Map, (low, high): (f64, f64), value: f64, place: &CellPlace) {
    let corner = (px(place.left), px(place.top));
    let opposite = (px(place.right) - 2, px(place.bottom) - 2);
    put(root, &Rectangle::new([corner, opposite], rgb(cell_colour(map, value, low, high)).filled()));
    let Some(outcome) = map.outcomes.iter().find(|outcome| outcome.value == value) else { return };
    // Without room for a sign the border and its legend have to do.
    if place.right - place.left >= SIGN && place.bottom - place.top >= SIGN {
        let centre = ((place.left + place.right) / 2.0 - 0.25, (place.top + place.bottom) / 2.0 - 0.25);
        text(root, &outcome.sign, centre, HPos::Center, VPos::Center);
    }
}

/// Values between neighbouring centres; the outer cells reach as far outwards as inwards.
fn borders(centres: &[f64], log: bool) -> Vec<f64> {
    let to_axis = |value: f64| if log { value.max(f64::MIN_POSITIVE).log10() } else { value };
    let from_axis = |value: f64| if log { 10f64.powf(value) } else { value };
    let places: Vec<f64> = centres.iter().map(|&centre| to_axis(centre)).collect();
    let (Some(&first), Some(&last)) = (places.first(), places.last()) else { return Vec::new() };
    let half = |from: usize| places.get(from..from + 2).map_or(0.5, |pair| (pair[1] - pair[0]) / 2.0);
    let mut borders = vec![first - half(0)];
    borders.extend(places.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0));
    borders.push(last + half(places.len().saturating_sub(2)));
    borders.into_iter().map(from_axis).collect()
}

fn plane<'a>(root: &Canvas<'a>, x: &Scale, y: &Scale) -> Plane<'a> {
    let ends = (px(LEFT)..px(RIGHT), px(BOTTOM)..px(TOP));
    root.clone().apply_coord_spec(Cartesian2d::new(x.clone(), y.clone(), ends))
}

/// Colour of one cell of a map, in the light theme.
pub fn cell_colour(map: &Map, value: f64, low: f64, high: f64) -> &'static str {
    match map.outcomes.iter().find(|outcome| outcome.value == value) {
        Some(outcome) => tone_colour(outcome.tone),
        None if high > low => {
            let shades = if map.has_sides() { &SIDES } else { &SHADES };
            shades[((value - low) / (high - low) * 9.0).clamp(0.0, 8.0) as usize]
        }
        None => SHADES[0],
    }
}

/// Colour of an area by its meaning, in the light theme.
pub fn tone_colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "#CFE6D8",
        Tone::Costs => "#F4E3B5",
        Tone::Blocks => "#F1C7BF",
        Tone::Plain => "#DDE1E6",
    }
}

fn on_canvas(paint: impl Fn(&Canvas)) -> String {
    let mut drawn = String::new();
    {
        let size = (WIDTH * UNIT as u32, HEIGHT * UNIT as u32);
        let root = SVGBackend::with_string(&mut drawn, size).into_drawing_area();
        paint(&root);
        root.present().expect("writing to a string does not fail");
    }
    drawn
}

/// Grid, axes, ticks and labels. A logarithmic axis says so.
fn frame(root: &Canvas, x_label: &str, y_label: &str, log: (bool, bool), x: &Scale, y: &Scale) {
    for (value, label) in &y.ticks {
        let height = top(y, *value);
        rule(root, (LEFT, height), (RIGHT, height), GRID);
        text(root, label, (LEFT - 8.0, height), HPos::Right, VPos::Center);
    }
    rule(root, (LEFT, BOTTOM), (RIGHT, BOTTOM), AXIS);
    for (value, label) in &x.ticks {
        let place = left(x, *value);
        rule(root, (place, BOTTOM), (place, BOTTOM + 4.0), AXIS);
        text(root, label, (place, BOTTOM + 8.0), HPos::Center, VPos::Top);
    }
    text(root, &named(y_label, log.1), (0.0, TOP - 16.0), HPos::Left, VPos::Center);
    text(root, &named(x_label, log.0), (RIGHT, BOTTOM + 25.0), HPos::Right, VPos::Top);
}

fn named(label: &str, log: bool) -> String {
    if log { format!("{label} (log)") } else { label.to_string() }
}

fn band(plane: &Plane, series: &Series, x: &Scale, y: &Scale) {
    let edge = |at: usize| {
        let get = |list: &[Option<f64>]| list.get(at).copied().flatten();
        let (place, low, high) = (get(&series.x)?, get(&series.low)?, get(&series.high)?);
        // On a logarithmic axis a lower edge at or below zero reaches the bottom.
        (x.shows(place) && y.shows(high) && low.is_finite()).then_some((place, low, high))
    };
    for run in runs((0..series.x.len()).map(edge)) {
        let upper = run.iter().map(|&(place, _, high)| (place, high));
        let lower = run.iter().rev().map(|&(place, low, _)| (place, low));
        let fill = rgb(colour(series.ink)).mix(0.16).filled();
        put(plane, &Polygon::new(upper.chain(lower).collect::<Vec<_>>(), fill));
    }
}

/// Lines of one ink are told apart by their dashes.
fn line(plane: &Plane, series: &Series, nth: usize, x: &Scale, y: &Scale) {
    let style = rgb(colour(series.ink)).stroke_width((1.8 * UNIT) as u32);
    for run in runs((0..series.x.len()).map(|at| shown(series, at, x, y))) {
        match nth {
            0 => put(plane, &PathElement::new(run, style)),
            nth => {
                let (size, gap) = [(6.0, 4.0), (2.0, 3.0), (14.0, 4.0)][(nth - 1).min(2)];
                put(plane, &DashedPathElement::new(run, (size * UNIT) as u32, (gap * UNIT) as u32, style));
            }
        }
    }
}

fn dots(plane: &Plane, series: &Series, x: &Scale, y: &Scale) {
    let ink = rgb(colour(series.ink));
    let crowded = series.x.len() > 30;
    let radius = if crowded { 2.2 } else { 3.2 };
    for at in 0..series.x.len() {
        let Some((place, value)) = shown(series, at, x, y) else { continue };
        let error = series.error.get(at).copied().flatten().filter(|e| e.is_finite() && *e > 0.0);
        if let Some(error) = error {
            let ends = vec![(place, value - error), (place, value + error)];
            put(plane, &PathElement::new(ends, ink.stroke_width((1.2 * UNIT) as u32)));
        }
        put(plane, &Circle::new((place, value), (radius * UNIT) as i32, ink.filled()));
    }
}

fn shown(series: &Series, at: usize, x: &Scale, y: &Scale) -> Option<(f64, f64)> {
    let place = series.x.get(at).copied().flatten()?;
    let value = series.y.get(at).copied().flatten()?;
    (x.shows(place) && y.shows(value)).then_some((place, value))
}

/// Stretches without a gap.
fn runs<T>(entries: impl Iterator<Item = Option<T>>) -> Vec<Vec<T>> {
    let mut runs: Vec<Vec<T>> = vec![Vec::new()];
    for entry in entries {
        match entry {
            Some(entry) => runs.last_mut().expect("there is always a last run").push(entry),
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn text(root: &Canvas, words: &str, (left, top): (f64, f64), h_pos: HPos, v_pos: VPos) {
    let style =
        ("system-ui, sans-serif", FONT * UNIT).into_font().color(&rgb(TEXT)).pos(Pos::new(h_pos, v_pos));
    put(root, &Text::new(words.to_string(), (px(left), px(top)), style));
}

fn rule(root: &Canvas, from: (f64, f64), to: (f64, f64), ink: &str) {
    let ends = vec![(px(from.0), px(from.1)), (px(to.0), px(to.1))];
    put(root, &PathElement::new(ends, rgb(ink).stroke_width(UNIT as u32)));
}

/// Drawing on a string cannot fail, except where plotters finds nothing to draw.
fn put<'a, 'b, E, C, M>(area: &'a DrawingArea<SVGBackend<'b>, C>, element: &'a E)
where
    C: CoordTranslate,
    M: CoordMapper,
    &'a E: PointCollection<'a, C::From, M>,
    E: Drawable<SVGBackend<'b>, M>,
{
    let _ = area.draw(element);
}

fn px(css: f64) -> i32 {
    (css * UNIT).round() as i32
}

fn rgb(hex: &str) -> RGBColor {
    let part =
        |from: usize| hex.get(from..from + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or(0);
    RGBColor(part(1), part(3), part(5))
}
