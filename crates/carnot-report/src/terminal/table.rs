//! Tables, with or without a bar in each row.

use super::curves;
use super::paint::{self, Paint};
use super::{Style, ascii, tone_of_mark};
use crate::number;
use crate::report::Report;
use crate::section::{Align, Cell, Heading, Row, Table};

/// Blanks between columns, and after a count, which belongs to the name behind it.
const GAP: usize = 3;
const GAP_AFTER_COUNT: usize = 2;
/// Blanks between columns when the table would not fit otherwise.
const NARROW_GAP: usize = 2;
/// Columns of the longest bar.
const BAR: usize = 20;

/// A column laid out: heading and cells of one width, and the gap that follows.
struct Laid {
    heading: String,
    cells: Vec<String>,
    width: usize,
    gap: usize,
}

/// The table as text; `lengths` adds a bar to each row.
pub fn render(
    table: &Table,
    lengths: Option<&[Option<f64>]>,
    report: &Report,
    style: &Style,
    paint: &Paint,
) -> String {
    let mut columns: Vec<Laid> =
        table.columns.iter().enumerate().map(|(at, heading)| lay(heading, at, &table.rows, style)).collect();
    fit(&mut columns, lengths.is_some(), style);
    let bars = lengths.map(|lengths| curves::bars(lengths, BAR, style));
    let mut text = heading_line(&columns, paint);
    for (at, row) in table.rows.iter().enumerate() {
        let bar = bars.as_ref().and_then(|bars| bars.get(at)).map(String::as_str);
        text += &row_lines(&columns, at, bar, row, report, style, paint);
    }
    if let Some(folded) = &table.folded {
        text += &paint.dim(&paint::wrap(folded, 7, 7, style.text_width()));
    }
    if !table.caption.is_empty() {
        text += &format!("\n{}", paint::wrap(&table.caption, 2, 2, style.text_width()));
    }
    text
}

fn lay(heading: &Heading, at: usize, rows: &[Row], style: &Style) -> Laid {
    let cells = written(heading, at, rows, style);
    let cells = if heading.align == Align::Point { number::align_points(&cells) } else { cells };
    let own = cells.iter().map(|cell| paint::width(cell)).max().unwrap_or(0);
    let indent = if heading.align == Align::Point { heading_indent(&cells) } else { 0 };
    let label = format!("{}{}", " ".repeat(indent), heading.label);
    let width = own.max(paint::width(&label));
    let is_count = heading.align == Align::Right;
    let place = |text: &String| if is_count { paint::pad_left(text, width) } else { paint::pad(text, width) };
    let gap = if is_count { GAP_AFTER_COUNT } else { GAP };
    Laid { heading: place(&label), cells: cells.iter().map(place).collect(), width, gap }
}

/// A heading stands over the first digit, not over a minus sign.
fn heading_indent(cells: &[String]) -> usize {
    let digit = |cell: &String| cell.find(|c: char| c != ' ' && c != '-');
    cells.iter().filter(|cell| !cell.trim().is_empty()).filter_map(digit).min().unwrap_or(0)
}

fn written(heading: &Heading, at: usize, rows: &[Row], style: &Style) -> Vec<String> {
    let cells = texts(heading, at, rows);
    if style.unicode { cells } else { cells.iter().map(|cell| ascii::spell(cell)).collect() }
}

/// The cells of one column as text; measured numbers share their decimals.
pub(crate) fn texts(heading: &Heading, at: usize, rows: &[Row]) -> Vec<String> {
    let numbers: Vec<(Option<f64>, Option<f64>)> = rows
        .iter()
        .map(|row| match row.cells.get(at) {
            Some(Cell::Number { value, error, .. }) => (*value, *error),
            _ => (None, None),
        })
        .collect();
    let shared = number::column(&numbers);
    rows.iter().zip(shared).map(|(row, shared)| text(row.cells.get(at), shared, heading)).collect()
}

fn text(cell: Option<&Cell>, shared: String, heading: &Heading) -> String {
    match (cell, heading.decimals) {
        (None, _) | (Some(Cell::Number { value: None, .. }), _) => String::new(),
        (Some(Cell::Text(text)), _) => text.clone(),
        (Some(Cell::Number { value: Some(value), error: None, .. }), Some(decimals)) => {
            number::decimals(*value, decimals)
        }
        (Some(Cell::Number { value: Some(value), error: None, digits: Some(digits) }), None) => {
            number::significant(*value, *digits)
        }
        _ => shared,
    }
}

/// Makes the table fit: narrower gaps first, then the last column of words is wrapped.
fn fit(columns: &mut [Laid], has_bars: bool, style: &Style) {
    let extra = if has_bars { BAR + GAP } else { 0 };
    let total = |columns: &[Laid]| 2 + columns.iter().map(|c| c.width + c.gap).sum::<usize>() + extra;
    if total(columns) <= style.table_width() + GAP {
        return;
    }
    columns.iter_mut().for_each(|column| column.gap = NARROW_GAP);
}

fn heading_line(columns: &[Laid], paint: &Paint) -> String {
    if columns.iter().all(|column| column.heading.trim().is_empty()) {
        return String::new();
    }
    let line: String =
        columns.iter().map(|column| format!("{}{}", column.heading, " ".repeat(column.gap))).collect();
    format!("  {}\n", paint.dim(line.trim_end()))
}

fn row_lines(
    columns: &[Laid],
    at: usize,
    bar: Option<&str>,
    row: &Row,
    report: &Report,
    style: &Style,
    paint: &Paint,
) -> String {
    let (last, others) = match columns.split_last() {
        Some(split) => split,
        None => return String::new(),
    };
    let mut line: String = String::from("  ");
    for column in others {
        line += &format!("{}{}", column.cells[at], " ".repeat(column.gap));
    }
    let start = paint::width(&line);
    match bar {
        Some(bar) => line += &format!("{}{}{bar}", last.cells[at], " ".repeat(last.gap)),
        None if start + paint::width(last.cells[at].trim_end()) > style.table_width() => {
            line += paint::wrap(&last.cells[at], 0, start, style.table_width()).trim_end();
        }
        None => line += &last.cells[at],
    }
    match &row.mark {
        None => format!("{}\n", line.trim_end()),
        Some(mark) => {
            let line = if bar.is_some() { line.trim_end() } else { line.as_str() };
            let painted = paint.toned(tone_of_mark(mark, report), mark);
            if paint::width(line) + GAP + paint::width(mark) <= style.table_width() {
                format!("{line}   {painted}\n")
            } else {
                format!("{}\n{}{painted}\n", line.trim_end(), " ".repeat(9))
            }
        }
    }
}
