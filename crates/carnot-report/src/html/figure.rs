//! A picture with its legend, its conclusion and the table behind it.

use super::escape::text;
use super::words;
use crate::chart::{Chart, Ink, Kind, Series};
use crate::number;
use crate::section::Map;
use crate::svg;

/// A chart as a figure.
pub fn figure(chart: &Chart) -> String {
    let about =
        chart.about.as_ref().map_or_else(String::new, |name| format!(" data-about=\"{}\"", text(name)));
    format!(
        "<figure{about}>\n<h3>{}</h3>\n{}{}<figcaption>{}</figcaption>\n{}</figure>\n",
        words::linked_about(&chart.title, chart.about.as_deref()),
        format_args!("{}\n", legend(chart)),
        svg::picture(chart),
        words::linked(&chart.caption),
        behind(chart)
    )
}

/// A map as a figure.
pub fn map(map: &Map) -> String {
    format!(
        "<figure class=\"map\">\n<h3>{}</h3>\n{}{}<figcaption>{}</figcaption>\n{}</figure>\n",
        words::linked(&map.title),
        map_legend(map),
        svg::map(map),
        words::linked(&map.caption),
        behind_map(map),
    )
}

fn legend(chart: &Chart) -> String {
    let mut n_lines = [0usize; 3];
    let keys: String = chart
        .series
        .iter()
        .enumerate()
        // Points on a line of the same name need no key of their own.
        .filter(|(at, series)| *at == 0 || chart.series[at - 1].name != series.name)
        .map(|(_, series)| {
            let nth = n_lines[series.ink as usize];
            n_lines[series.ink as usize] += usize::from(series.kind == Kind::Line);
            format!("<li>{}{}</li>", key(series, nth), text(&series.name))
        })
        .collect();
    format!("<ul class=\"legend\">{keys}</ul>")
}

/// A small drawing of how a series is drawn; its colour comes from the class.
fn key(series: &Series, nth: usize) -> String {
    let ink = match series.ink {
        Ink::Theory => "theory",
        Ink::Data => "data",
        Ink::Context => "context",
    };
    let drawing = match series.kind {
        Kind::Band => "<rect x=\"0\" y=\"1\" width=\"18\" height=\"8\" rx=\"1\" opacity=\"0.22\" fill=\"currentColor\"/>".to_string(),
        Kind::Dots => "<circle cx=\"9\" cy=\"5\" r=\"3\" fill=\"currentColor\"/><path d=\"M9 0v10\" stroke=\"currentColor\"/>".to_string(),
        Kind::Line => {
            let dash = ["", "5 3", "2 2", "10 3"][nth.min(3)];
            let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
            format!("<path d=\"M0 5h18\" stroke=\"currentColor\" stroke-width=\"2\"{dash}/>")
        }
    };
    format!(
        "<svg class=\"key {ink}\" width=\"18\" height=\"10\" viewBox=\"0 0 18 10\" aria-hidden=\"true\">{drawing}</svg>"
    )
}

/// The numbers of a chart, one row per position.
fn behind(chart: &Chart) -> String {
    let mut places: Vec<f64> =
        chart.series.iter().flat_map(|series| series.x.iter().flatten().copied()).collect();
    places.retain(|place| place.is_finite());
    places.sort_by(f64::total_cmp);
    places.dedup();
    if places.is_empty() {
        return String::new();
    }
    let headings: String =
        chart.series.iter().map(|series| format!("<th scope=\"col\">{}</th>", text(&series.name))).collect();
    let row = |&place: &f64| {
        let cells: String =
            chart.series.iter().map(|series| format!("<td>{}</td>", reading(series, place))).collect();
        format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", number::position(place))
    };
    let rows: String = places.iter().map(row).collect();
    format!(
        "<details><summary>numbers</summary><div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr><th scope=\"col\">{}</th>{headings}</tr></thead>\n\
         <tbody>\n{rows}</tbody></table></div></details>\n",
        text(&chart.x.label)
    )
}

/// The numbers of a map, top row first as it is drawn.
fn behind_map(map: &Map) -> String {
    let heading = |&value: &f64| format!("<th scope=\"col\">{}</th>", number::position(value));
    let headings: String = map.x_values.iter().map(heading).collect();
    let word = |value: f64| match map.outcomes.iter().find(|outcome| outcome.value == value) {
        Some(outcome) => text(&outcome.word),
        None => number::significant(value, 3),
    };
    let row = |(place, cells): (&f64, &Vec<Option<f64>>)| {
        let cell = |value: &Option<f64>| format!("<td>{}</td>", value.map_or_else(String::new, word));
        let cells: String = cells.iter().map(cell).collect();
        format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", number::position(*place))
    };
    let rows: String = map.y_values.iter().zip(&map.cells).rev().map(row).collect();
    format!(
        "<details><summary>numbers</summary><div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr><th scope=\"col\">{}</th>{headings}</tr></thead>\n\
         <tbody>\n{rows}</tbody></table></div></details>\n",
        text(&map.x.label)
    )
}

fn reading(series: &Series, place: f64) -> String {
    let Some(at) = series.x.iter().position(|&x| x == Some(place)) else { return String::new() };
    let get = |list: &[Option<f64>]| list.get(at).copied().flatten();
    if series.kind == Kind::Band {
        return match (get(&series.low), get(&series.high)) {
            (Some(low), Some(high)) => {
                format!("{} to {}", number::significant(low, 3), number::significant(high, 3))
            }
            _ => String::new(),
        };
    }
    get(&series.y).map_or_else(String::new, |y| number::estimate(y, get(&series.error).unwrap_or(0.0)))
}

fn map_legend(map: &Map) -> String {
    let swatch = |fill: &str| {
        format!(
            "<svg class=\"chart key\" width=\"14\" height=\"10\" aria-hidden=\"true\"><rect width=\"14\" height=\"10\" fill=\"{fill}\"/></svg>"
        )
    };
    let (low, high) = map.range();
    let mut keys: String = if map.outcomes.is_empty() {
        let end = |value: f64| {
            format!(
                "<li>{}{}</li>",
                swatch(svg::cell_colour(map, value, low, high)),
                number::significant(value, 2)
            )
        };
        if low > high {
            String::new()
        } else {
            let middle = if map.has_sides() { end(0.0) } else { String::new() };
            format!("<li>{}</li>{}{middle}{}", text(&map.scale), end(low), end(high))
        }
    } else {
        map.outcomes
            .iter()
            .map(|outcome| {
                format!(
                    "<li>{}{} {}</li>",
                    swatch(svg::tone_colour(outcome.tone)),
                    text(&outcome.sign),
                    text(&outcome.word)
                )
            })
            .collect()
    };
    for series in &map.border {
        keys += &format!("<li>{}{}</li>", key(series, 0), text(&series.name));
    }
    format!("<ul class=\"legend\">{keys}</ul>\n")
}
