//! CSV and its relatives: a line of headings, a row a step.

use std::io::BufRead;
use std::path::Path;

use super::{line, number};
use crate::error::LogError;
use crate::log::{Gather, Log};
use crate::names::step_name;

/// Columns of a table at most.
const MOST_COLUMNS: usize = 4096;

/// All columns of a table that hold numbers.
///
/// # Errors
/// [`LogError::NotALog`], [`LogError::Cells`] with the line, [`LogError::NoSeries`] for a step column that is not there.
pub fn read(path: &Path, mut source: impl BufRead, step: Option<&str>) -> Result<Log, LogError> {
    let refuse = |why: String| LogError::NotALog { path: path.into(), why };
    let mut at = 0;
    let first = loop {
        at += 1;
        let Some((bytes, _)) = line(&mut source, path, at)? else {
            return Err(refuse("it has no rows".into()));
        };
        // Comments before the headings.
        if !bytes.is_empty() && bytes[0] != b'#' {
            break bytes;
        }
    };
    let between = delimiter(&first);
    let first = cells(&first, between).ok_or_else(|| refuse("its first line is no text".into()))?;
    let is_bare = first.iter().all(|cell| number(cell).is_some());
    let names: Vec<String> = match is_bare {
        true => (1..=first.len()).map(|at| format!("{at}")).collect(),
        false => first.iter().map(|cell| cell.trim().trim_start_matches('\u{feff}').to_string()).collect(),
    };
    if names.len() > MOST_COLUMNS
        || (names.len() == 1 && !is_bare && !names[0].to_lowercase().contains("loss"))
    {
        return Err(refuse("its first line is no line of headings such as step,loss,lr".into()));
    }
    let counter = counter(path, &names, step)?;
    let mut table = Table { names, counter, ..Table::default() };
    if is_bare {
        table.row(path, at, &first)?;
    }
    loop {
        at += 1;
        let Some((bytes, has_end)) = line(&mut source, path, at)? else { break };
        if bytes.is_empty() || bytes[0] == b'#' {
            continue;
        }
        if !has_end {
            // Its last number may be cut in two, which nobody could see.
            table.is_torn = true;
            break;
        }
        let row = cells(&bytes, between).ok_or_else(|| refuse(format!("line {at} is no text")))?;
        table.row(path, at, &row)?;
    }
    table.log(path, is_bare)
}

#[derive(Default)]
struct Table {
    names: Vec<String>,
    counter: Option<usize>,
    gather: Gather,
    rows: u64,
    step: f64,
    /// The first cell that is no number, and how many there are.
    odd: Option<(u64, String, String)>,
    odds: u64,
    numbers: u64,
    is_torn: bool,
}

impl Table {
    fn row(&mut self, path: &Path, line: u64, cells: &[String]) -> Result<(), LogError> {
        if cells.len() > self.names.len() {
            let (found, columns) = (cells.len(), self.names.len());
            return Err(LogError::Cells { path: path.into(), line, found, columns });
        }
        // A program that was started again writes its headings again.
        if cells.iter().zip(&self.names).all(|(cell, name)| cell.trim() == name) {
            return Ok(());
        }
        self.rows += 1;
        match self.counter {
            None => self.step = self.rows as f64,
            Some(at) => {
                self.step =
                    cells.get(at).and_then(|cell| number(cell)).filter(|x| x.is_finite()).unwrap_or(self.step)
            }
        }
        for (at, cell) in cells.iter().enumerate() {
            let is_counter = Some(at) == self.counter;
            if is_counter || matches!(cell.trim(), "" | "-" | "None" | "null" | "NA" | "N/A") {
                continue;
            }
            match number(cell) {
                Some(value) => {
                    self.numbers += 1;
                    self.gather.push(&self.names[at], self.rows, self.step, value);
                }
                None => {
                    self.odds += 1;
                    let shown = || (line, self.names[at].clone(), cell.trim().chars().take(40).collect());
                    self.odd = self.odd.take().or_else(|| Some(shown()));
                }
            }
        }
        Ok(())
    }

    fn log(self, path: &Path, is_bare: bool) -> Result<Log, LogError> {
        if self.numbers == 0 {
            let why = match &self.odd {
                Some((line, name, cell)) => {
                    format!("no cell is a number; {name} in line {line} is \"{cell}\"")
                }
                None => "it has headings and no rows".into(),
            };
            return Err(LogError::NotALog { path: path.into(), why });
        }
        let unit = self.counter.map_or("line", |at| self.names[at].trim_start_matches('_'));
        let unit = if unit.to_lowercase().contains("epoch") {
            "epoch"
        } else if self.counter.is_some() {
            "step"
        } else {
            unit
        };
        let mut log = self.gather.log(&path.display().to_string(), "CSV", unit);
        if is_bare {
            log.remarks.push("without headings: columns are called 1, 2, 3, …".into());
        }
        if self.counter.is_none() {
            log.remarks.push("no column counts steps: rows are counted in its place".into());
        }
        if let Some((line, name, cell)) = self.odd {
            log.remarks.push(format!(
                "{} cells are no numbers, the first of them {name} in line {line}: \"{cell}\"",
                self.odds
            ));
        }
        if self.is_torn {
            log.remarks.push("the last line has no end, as while it is written: it is left out".into());
        }
        Ok(log)
    }
}

fn counter(path: &Path, names: &[String], step: Option<&str>) -> Result<Option<usize>, LogError> {
    match step {
        Some(wanted) => {
            names.iter().position(|name| name == wanted).map(Some).ok_or_else(|| LogError::NoSeries {
                path: path.display().to_string(),
                flag: "step",
                wanted: wanted.into(),
                names: names.to_vec(),
            })
        }
        None => {
            let found = step_name(names.iter().map(String::as_str));
            Ok(found.and_then(|found| names.iter().position(|name| name == found)))
        }
    }
}

/// What stands most often between the cells.
fn delimiter(line: &[u8]) -> u8 {
    let count = |byte: u8| line.iter().filter(|&&other| other == byte).count();
    [b',', b'\t', b';'].into_iter().max_by_key(|&byte| (count(byte), byte == b',')).unwrap_or(b',')
}

/// Cells of one line, quotes taken off.
fn cells(line: &[u8], delimiter: u8) -> Option<Vec<String>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(line);
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(str::to_string).collect())
}
