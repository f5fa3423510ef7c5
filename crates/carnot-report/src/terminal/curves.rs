//! Pictures made of characters: sparklines, bars and maps.

use super::paint::{self, Paint};
use super::{Style, ascii};
use crate::number;
use crate::section::{Map, Outcome, Sparklines};

const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII_HEIGHTS: [char; 8] = ['.', ':', '-', '=', '+', '*', '#', '@'];
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const SHADES: [&str; 5] = ["··", "░░", "▒▒", "▓▓", "██"];
const ASCII_SHADES: [&str; 5] = ["..", "--", "==", "##", "@@"];
/// Widest and narrowest sparkline.
const CURVE: usize = 34;
const NARROW_CURVE: usize = 16;

/// The rows of small curves under one scale of depth.
pub fn sparklines(sparklines: &Sparklines, style: &Style, paint: &Paint) -> String {
    let rows = &sparklines.rows;
    let widest =
        |of: fn(&crate::section::Spark) -> &str| rows.iter().map(|r| paint::width(of(r))).max().unwrap_or(0);
    let (label, symbol) = (widest(|row| &row.label), widest(|row| &row.symbol));
    let (reading, theory) = (widest(|row| &row.reading), widest(|row| &row.theory));
    let before = 2 + label + 3 + symbol + 3;
    let after = 4 + reading + 4 + theory.max(paint::width(&sparklines.heading));
    let curve = style.text_width().saturating_sub(before + after).clamp(NARROW_CURVE, CURVE);
    let scale = scale(sparklines, curve, style);
    let heading =
        format!("{}{scale}    {}    {}", " ".repeat(before), " ".repeat(reading), sparklines.heading);
    let mut text = format!("{}\n", paint.dim(heading.trim_end()));
    for row in rows {
        let line = format!(
            "  {}   {}   {}    {}    {}",
            paint::pad(&row.label, label),
            paint::pad(&row.symbol, symbol),
            heights(&row.values, row.log, curve, style),
            paint::pad(&row.reading, reading),
            row.theory
        );
        text += &format!("{}\n", line.trim_end());
    }
    text
}

/// `input ───── depth ───── output`, over the curve.
fn scale(sparklines: &Sparklines, width: usize, style: &Style) -> String {
    let words = [&sparklines.from, &sparklines.along, &sparklines.to].map(|word| paint::width(word));
    let rest = width.saturating_sub(words.iter().sum::<usize>() + 4);
    let dash = if style.unicode { "─" } else { "-" };
    if rest < 2 {
        let blank = width.saturating_sub(words[0] + words[2]).max(1);
        return format!("{}{}{}", sparklines.from, " ".repeat(blank), sparklines.to);
    }
    let (left, right) = (dash.repeat(rest / 2), dash.repeat(rest - rest / 2));
    format!("{} {left} {} {right} {}", sparklines.from, sparklines.along, sparklines.to)
}

/// One character per bin of layers: heights from zero (or from the lowest, for logarithms) to the highest.
pub fn heights(values: &[Option<f64>], log: bool, width: usize, style: &Style) -> String {
    let binned: Vec<Option<f64>> = (0..width).map(|at| bin(values, log, at, width)).collect();
    let known = || binned.iter().flatten().copied();
    let high = known().fold(f64::NEG_INFINITY, f64::max);
    let lowest = known().fold(f64::INFINITY, f64::min);
    let low = if log { lowest } else { lowest.min(0.0) };
    let characters = if style.unicode { HEIGHTS } else { ASCII_HEIGHTS };
    let write = |value: &Option<f64>| match value {
        None => ' ',
        Some(_) if high <= low => characters[0],
        Some(value) => characters[(((value - low) / (high - low)) * 8.0).min(7.0) as usize],
    };
    binned.iter().map(write).collect()
}

/// Mean of the values that fall into one bin, or the nearest value when bins are narrower than layers.
fn bin(values: &[Option<f64>], log: bool, at: usize, width: usize) -> Option<f64> {
    let n_layers = values.len();
    let start = at * n_layers / width;
    let end = ((at + 1) * n_layers / width).max(start + 1).min(n_layers);
    let fit = |value: f64| if log { (value > 0.0).then(|| value.ln()) } else { Some(value) };
    let inside: Vec<f64> = values
        .get(start..end)?
        .iter()
        .flatten()
        .filter_map(|&value| fit(value))
        .filter(|value| value.is_finite())
        .collect();
    (!inside.is_empty()).then(|| inside.iter().sum::<f64>() / inside.len() as f64)
}

/// One bar per length, the longest of `width` columns.
pub fn bars(lengths: &[Option<f64>], width: usize, style: &Style) -> Vec<String> {
    let longest = lengths.iter().flatten().copied().filter(|l| l.is_finite()).fold(0.0, f64::max);
    let write = |length: &Option<f64>| match length {
        Some(length) if *length > 0.0 && length.is_finite() => bar(length / longest * width as f64, style),
        _ => String::new(),
    };
    lengths.iter().map(write).collect()
}

/// A length above zero is always seen.
fn bar(columns: f64, style: &Style) -> String {
    if !style.unicode {
        return "#".repeat((columns.round() as usize).max(1));
    }
    let eighths = ((columns * 8.0).round() as usize).max(1);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// A coarse map: two columns a cell, highest row on top, ends of the axes in user units.
pub fn map(map: &Map, style: &Style, paint: &Paint) -> String {
    let labels: Vec<String> = map.y_values.iter().map(|&value| number::significant(value, 2)).collect();
    let width = labels.iter().map(|label| paint::width(label)).max().unwrap_or(0);
    let range = map.range();
    let mut text = format!("  {}\n", paint.dim(&map.y.label));
    for (at, cells) in map.cells.iter().enumerate().rev() {
        let label = paint.dim(&paint::pad_left(labels.get(at).map_or("", String::as_str), width));
        let signs: String = cells.iter().map(|cell| sign(*cell, map, range, style, paint)).collect();
        text += &format!("  {label}  {}\n", signs.trim_end());
    }
    text += &map_scale(map, width, paint);
    text += &format!("\n{}", paint::wrap(&legend(map, style), 2, 2, style.text_width()));
    if !map.caption.is_empty() {
        text += &paint::wrap(&map.caption, 2, 2, style.text_width());
    }
    text
}

fn map_scale(map: &Map, indent: usize, paint: &Paint) -> String {
    let end = |value: Option<&f64>| value.map(|&value| number::significant(value, 2)).unwrap_or_default();
    let (first, last) = (end(map.x_values.first()), end(map.x_values.last()));
    let blank = (2 * map.x_values.len()).saturating_sub(paint::width(&first) + paint::width(&last)).max(1);
    let line = format!("  {}  {first}{}{last}   {}", " ".repeat(indent), " ".repeat(blank), map.x.label);
    format!("{}\n", paint.dim(&line))
}

fn sign(cell: Option<f64>, map: &Map, (low, high): (f64, f64), style: &Style, paint: &Paint) -> String {
    let Some(value) = cell.filter(|value| value.is_finite()) else { return "  ".into() };
    if let Some(outcome) = outcome(map, value) {
        return paint.toned(outcome.tone, &spelled(&outcome.sign, style)) + " ";
    }
    let share = if high > low { (value - low) / (high - low) } else { 0.0 };
    let shades = if style.unicode { SHADES } else { ASCII_SHADES };
    shades[(share * 5.0).min(4.0) as usize].into()
}

fn outcome(map: &Map, value: f64) -> Option<&Outcome> {
    map.outcomes.iter().find(|outcome| outcome.value == value)
}

fn legend(map: &Map, style: &Style) -> String {
    if !map.outcomes.is_empty() {
        let write = |outcome: &Outcome| format!("{} {}", spelled(&outcome.sign, style), outcome.word);
        return map.outcomes.iter().map(write).collect::<Vec<_>>().join("   ");
    }
    let (low, high) = map.range();
    if low > high {
        return "no point yet".into();
    }
    let shades = if style.unicode { SHADES } else { ASCII_SHADES };
    let ends = (number::significant(low, 2), number::significant(high, 2));
    format!("{}: {} {} to {} {}", map.scale, shades[0], ends.0, shades[4], ends.1)
}

fn spelled(sign: &str, style: &Style) -> String {
    if style.unicode { sign.to_string() } else { ascii::spell(sign) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNICODE: Style = Style { width: 100, colour: false, unicode: true, all: false };

    #[test]
    fn a_curve_reaches_from_lowest_to_highest() {
        let values: Vec<Option<f64>> = (0..8).map(|at| Some(at as f64)).collect();
        assert_eq!(heights(&values, false, 8, &UNICODE), "▁▂▃▄▅▆▇█");
    }

    #[test]
    fn few_layers_are_stretched_and_many_are_averaged() {
        assert_eq!(heights(&[Some(0.0), Some(1.0)], false, 6, &UNICODE), "▁▁▁███");
        let many: Vec<Option<f64>> = (0..1000).map(|at| Some(at as f64)).collect();
        assert_eq!(heights(&many, false, 4, &UNICODE), "▂▄▆█");
    }

    #[test]
    fn empty_constant_and_broken_curves_are_drawn_as_such() {
        assert_eq!(heights(&[], false, 3, &UNICODE), "   ");
        assert_eq!(heights(&[Some(0.0); 2], false, 2, &UNICODE), "▁▁");
        assert_eq!(heights(&[Some(f64::NAN), None, Some(1.0)], true, 3, &UNICODE), "  ▁");
    }

    #[test]
    fn bars_are_proportional_and_never_vanish() {
        assert_eq!(
            bars(&[Some(2.0), Some(1.0), Some(1e-9), None, Some(-1.0)], 2, &UNICODE),
            ["██", "█", "▏", "", ""]
        );
    }
}
