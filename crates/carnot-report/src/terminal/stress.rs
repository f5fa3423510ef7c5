//! The stress map as characters: observables down, layers across, one sign a cell.

use super::Style;
use super::paint::{self, Paint};
use crate::glossary;
use crate::report::{Report, Tone};
use crate::stress::{self, Stress};

/// Distances, in standard errors, from which a sign changes; as on the page.
const STEPS: [f64; 3] = [2.0, 4.0, 8.0];
const LOW: [&str; 3] = ["−", "▾", "▼"];
const HIGH: [&str; 3] = ["+", "▴", "▲"];
const ASCII_LOW: [&str; 3] = ["-", "v", "V"];
const ASCII_HIGH: [&str; 3] = ["+", "^", "A"];

/// The map of the latest readings; nothing when no reading has a yardstick, one line when all are as expected.
pub fn render(report: &Report, style: &Style, paint: &Paint) -> Option<String> {
    let readings = stress::readings(report, None)?;
    let rows = stress::map(readings, stress::theory(report));
    if rows.is_empty() {
        return None;
    }
    let n_layers = readings.layers.len();
    let is_calm = |row: &Stress| row.distance.iter().flatten().all(|z| z.abs() < STEPS[0]);
    let (calm, tense): (Vec<&Stress>, Vec<&Stress>) = rows.iter().partition(|row| is_calm(row));
    let mut text = String::new();
    if !tense.is_empty() {
        let title = |row: &Stress| {
            glossary::by_name(&row.name).map_or(row.name.clone(), |entry| entry.title.to_string())
        };
        let label = tense.iter().map(|row| paint::width(&title(row))).max().unwrap_or(0);
        let width = style.text_width().saturating_sub(label + 6).min(n_layers).max(1);
        text += &format!("  {}   {}\n", " ".repeat(label), paint.dim(&scale(width, style)));
        for row in &tense {
            let cells: String = (0..width).map(|at| cell(worst(row, at, width), style, paint)).collect();
            text += &format!("  {}   {cells}\n", paint::pad(&title(row), label));
        }
        let [low, high] = if style.unicode { [LOW, HIGH] } else { [ASCII_LOW, ASCII_HIGH] };
        let key = format!(
            "{} {} {} below its healthy range by 2, 4, 8 standard errors · {} {} {} above · one sign a call, input left",
            low[0], low[1], low[2], high[0], high[1], high[2]
        );
        text += &paint.dim(&paint::wrap(&key, 2, 2, style.text_width()));
    }
    if !calm.is_empty() {
        let names: Vec<&str> = calm
            .iter()
            .map(|row| glossary::by_name(&row.name).map_or(row.name.as_str(), |entry| entry.title))
            .collect();
        let line = format!("as expected at all {n_layers} calls: {}", names.join(", "));
        text += &paint.dim(&paint::wrap(&line, 2, 2, style.text_width()));
    }
    Some(text)
}

/// `input ──── output` over the cells.
fn scale(width: usize, style: &Style) -> String {
    let (from, to, dash) = ("input", "output", if style.unicode { "─" } else { "-" });
    match width.checked_sub(from.len() + to.len() + 2) {
        Some(rest) => format!("{from} {} {to}", dash.repeat(rest)),
        None => from.chars().take(width).collect(),
    }
}

/// The distance furthest from 0 among the layers that one cell stands for.
fn worst(row: &Stress, at: usize, width: usize) -> Option<f64> {
    let n = row.distance.len();
    let (from, to) = (at * n / width, ((at + 1) * n / width).max(at * n / width + 1));
    row.distance[from..to.min(n)].iter().flatten().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))
}

fn cell(z: Option<f64>, style: &Style, paint: &Paint) -> String {
    let Some(z) = z else { return " ".into() };
    let step = STEPS.iter().filter(|&&step| z.abs() >= step).count();
    if step == 0 {
        return paint.dim(if style.unicode { "·" } else { "." });
    }
    let [low, high] = if style.unicode { [LOW, HIGH] } else { [ASCII_LOW, ASCII_HIGH] };
    let sign = if z < 0.0 { low[step - 1] } else { high[step - 1] };
    paint.toned(if step > 1 { Tone::Blocks } else { Tone::Costs }, sign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Column, Profile};

    fn text(values: &[f64], unicode: bool) -> Option<String> {
        let mut profile =
            Profile::new("recording", 0, (0..values.len()).map(|at| format!("fc.{at}")).collect());
        profile
            .insert("kernel", Column::measured("K", values, &vec![0.0; values.len()]).with_healthy(1.0, 5.0));
        let mut report = Report::new("check", "toy");
        report.profiles.push(profile);
        let style = Style { unicode, ..Style::default() };
        render(&report, &style, &Paint::new(&style))
    }

    #[test]
    fn each_distance_has_its_sign() {
        // The range counts as ± 2 standard errors, so one error is 1.
        let map = text(&[3.0, -2.0, -4.0, -9.0, 8.0, 10.0, 14.0], true).unwrap();
        assert!(map.contains("signal   ·−▾▼+▴▲"), "{map}");
        assert!(text(&[3.0, -2.0, 14.0], false).unwrap().contains("signal   .-A"));
    }

    #[test]
    fn what_is_as_expected_is_one_line() {
        assert_eq!(text(&[3.0, 2.0], true).unwrap(), "  as expected at all 2 calls: signal\n");
    }

    #[test]
    fn many_layers_share_cells_and_the_worst_is_shown() {
        let mut values = vec![3.0; 1000];
        values[500] = 99.0;
        let map = text(&values, true).unwrap();
        assert_eq!(map.matches('▲').count(), 2, "one cell and the key\n{map}");
        assert!(map.lines().all(|line| paint::width(line) <= 100), "{map}");
    }
}
