//! The picture of the README: some charts of a report side by side, as one SVG file that follows dark and light.
//!
//! `carnot check … --json | cargo run --release --example picture > book/src/img/check.svg`

use std::io::{self, Read, Write};

use carnot_report::chart::{Chart, Kind};
use carnot_report::json;
use carnot_report::section::Section;
use carnot_report::svg::{HEIGHT, THEME, WIDTH, colour, picture};

/// Titles of the charts that are shown, by their first word.
const SHOWN: &[&str] = &["sameness", "gradient", "training"];

/// Space between two charts, and above each for its title.
const GAP: u32 = 24;
const HEAD: u32 = 34;
const FOOT: u32 = 34;

fn main() -> io::Result<()> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let report = json::from_str(&text).map_err(io::Error::other)?;
    let chart = |section| match section {
        Section::Chart(chart) => Some(chart),
        _ => None,
    };
    let all: Vec<Chart> = report.sections.into_iter().filter_map(chart).collect();
    let wanted = |word: &&str| all.iter().find(|chart| chart.title.starts_with(*word));
    let charts: Vec<&Chart> = SHOWN.iter().filter_map(wanted).collect();
    io::stdout().write_all(side_by_side(&charts).as_bytes())
}

fn side_by_side(charts: &[&Chart]) -> String {
    let n = charts.len() as u32;
    let (width, height) = (n * WIDTH + n.saturating_sub(1) * GAP, HEAD + HEIGHT + FOOT);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         class=\"chart\" role=\"img\" font-family=\"system-ui, sans-serif\">\n<style>{THEME}</style>\n"
    );
    for (at, chart) in charts.iter().enumerate() {
        let left = at as u32 * (WIDTH + GAP);
        text += &format!(
            "<text x=\"{left}\" y=\"20\" font-size=\"15\" font-weight=\"600\" fill=\"#5B6470\">{}</text>\n",
            escaped(&chart.title)
        );
        text += &placed(&picture(chart), left, HEAD);
        text += &legend(chart, left, height - 10);
    }
    text + "</svg>\n"
}

/// A picture inside another one, without the spots that only a page makes use of.
fn placed(picture: &str, left: u32, top: u32) -> String {
    let end = picture.find("<circle class=\"spot\"").unwrap_or(picture.len());
    let drawn = picture[..end].trim_end().trim_end_matches("</svg>");
    drawn.replacen("<svg ", &format!("<svg x=\"{left}\" y=\"{top}\" "), 1) + "</svg>\n"
}

/// What is drawn how, on one line.
fn legend(chart: &Chart, mut left: u32, y: u32) -> String {
    let mut text = String::new();
    for series in &chart.series {
        let (ink, name) = (colour(series.ink), escaped(&series.name));
        let middle = y - 4;
        text += &match series.kind {
            Kind::Dots => format!("<circle cx=\"{}\" cy=\"{middle}\" r=\"3.5\" fill=\"{ink}\"/>", left + 8),
            _ => format!("<path d=\"M{left} {middle}h16\" stroke=\"{ink}\" stroke-width=\"2\"/>"),
        };
        text +=
            &format!("<text x=\"{}\" y=\"{y}\" font-size=\"12\" fill=\"#5B6470\">{name}</text>\n", left + 21);
        left += 40 + 13 * series.name.chars().count() as u32 / 2;
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
