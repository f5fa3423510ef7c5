//! Tables of text: one sample a line, cells parted by commas, semicolons or tabs, with or without a line of names.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Chain, Cursor, Read};
use std::path::{Path, PathBuf};

use ::csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder, Trim};

use super::array::{Array, Source, fill};
use super::assemble::{LABEL_LIMIT, assemble, could_be_labels, is_label_name, to_label};
use super::error::{At, DataError, LabelFault, nearest};
use super::options::{Options, Task};
use super::set::{Dataset, Targets};

/// Column names that mean targets, case ignored, in this order.
const TARGET_NAMES: &[&str] = &["label", "labels", "target", "targets", "class", "y"];

/// Reads a table.
///
/// * The first line holds names if none of its cells is a number, or if one is a usual name for targets or the
///   column asked for, or if it has text above numbers in every column where it has text and one of the two is true.
/// * Targets are the column `options.label` (name, or number from 1); else the column named `label`, `target`,
///   `class` or `y`; else the last column, if it holds text, or few different whole numbers from 0.
/// * Targets that are text become classes in alphabetical order.
///
/// # Errors
/// Everything that is wrong with a cell is reported with its line and column.
pub fn read(source: Source, options: &Options) -> Result<Dataset, DataError> {
    let path = source.path.clone();
    let mut table = Table { path: path.clone(), limit: source.limit, ..Table::default() };
    let mut records = Records::new(source.reader).map_err(|error| table.failed(error))?;

    let Some(first) = records.next(&table)? else { return Err(table.nothing("samples")) };
    let second = records.next(&table)?;
    table.cells = first.cells.len();
    let names = names(&first.cells, second.as_ref().map(|second| &second.cells), options)
        .map_err(|column| not_number(&path, first.line, column, &first.cells))?;
    table.choose_label(names.as_deref(), options)?;

    let has_names = names.is_some();
    let mut pending = [if has_names { None } else { Some(first) }, second].into_iter().flatten();
    while let Some(record) = match pending.next() {
        Some(record) => Some(record),
        None => records.next(&table)?,
    } {
        table.push(&record)?;
    }
    table.finish(names, options)
}

/// The table as it grows: all cells as numbers, the label column among them.
#[derive(Default)]
struct Table {
    path: PathBuf,
    limit: u64,
    cells: usize,
    values: Vec<f64>,
    /// Column of the targets, from zero, if known before the end.
    label: Option<usize>,
    /// The targets were named, so that they cannot be taken for inputs.
    is_strict: bool,
    /// Texts of the label column, in order of appearance.
    texts: Option<BTreeMap<Vec<u8>, u32>>,
}

impl Table {
    fn choose_label(&mut self, names: Option<&[String]>, options: &Options) -> Result<(), DataError> {
        let names = names.unwrap_or_default();
        let find = |wanted: &str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        self.label = match &options.label {
            None => TARGET_NAMES.iter().find_map(|wanted| find(wanted)),
            Some(wanted) => {
                let exact = names.iter().position(|name| name == wanted).or_else(|| find(wanted));
                let numbered = || wanted.parse().ok().filter(|number| (1..=self.cells).contains(number));
                let column = exact.or_else(|| numbered().map(|number: usize| number - 1));
                Some(column.ok_or_else(|| DataError::NoColumn {
                    path: self.path.clone(),
                    wanted: wanted.clone(),
                    columns: self.cells,
                    nearest: nearest(wanted, names.iter().map(String::as_str)),
                })?)
            }
        };
        let is_called_label =
            self.label.and_then(|label| names.get(label)).is_some_and(|name| is_label_name(name));
        self.is_strict = options.task == Task::Classes || (is_called_label && options.task == Task::Auto);
        Ok(())
    }

    fn push(&mut self, record: &Record) -> Result<(), DataError> {
        let found = record.cells.len();
        if found != self.cells {
            let (path, line) = (self.path.clone(), record.line);
            return Err(DataError::Ragged { path, line, expected: self.cells, found });
        }
        let needed = (self.values.len() as u64 + found as u64) * 12;
        if needed > self.limit || self.values.try_reserve(found).is_err() {
            let (path, at) = (self.path.clone(), At::Line(record.line));
            return Err(DataError::TooLarge { path, at, needed, limit: self.limit });
        }
        if self.values.is_empty() {
            self.expect_text(&record.cells);
        }
        for (column, cell) in record.cells.iter().enumerate() {
            let value = self.number(record, column, cell)?;
            self.values.push(value);
        }
        Ok(())
    }

    /// Text in the label column, or in the last if no label is known, makes that column the classes.
    fn expect_text(&mut self, first: &ByteRecord) {
        let column = self.label.unwrap_or(self.cells - 1);
        let holds_text = number(&first[column]).is_none() && !first[column].is_empty();
        let others_are_numbers =
            first.iter().enumerate().all(|(index, cell)| index == column || number(cell).is_some());
        if holds_text && (self.label.is_some() || (others_are_numbers && self.cells > 1)) {
            self.label = Some(column);
            self.texts = Some(BTreeMap::new());
        }
    }

    fn number(&mut self, record: &Record, column: usize, cell: &[u8]) -> Result<f64, DataError> {
        let at = At::Cell { line: record.line, column: column + 1 };
        let is_label = self.label == Some(column);
        if let Some(texts) = self.texts.as_mut().filter(|_| is_label && !cell.is_empty()) {
            let next = texts.len() as u32;
            let class = *texts.entry(cell.to_vec()).or_insert(next);
            if class >= LABEL_LIMIT {
                let fault = LabelFault::TooLarge { label: f64::from(class), limit: LABEL_LIMIT };
                return Err(DataError::Label { path: self.path.clone(), at, fault });
            }
            return Ok(f64::from(class));
        }
        let Some(value) = number(cell) else {
            return Err(not_number(&self.path, record.line, column, &record.cells));
        };
        let single = value as f32;
        if !single.is_finite() {
            return Err(DataError::NotFinite { path: self.path.clone(), at, value });
        }
        if is_label && self.is_strict {
            to_label(single).map_err(|fault| DataError::Label { path: self.path.clone(), at, fault })?;
        }
        Ok(value)
    }

    /// Parts targets from inputs, in place.
    fn finish(mut self, names: Option<Vec<String>>, options: &Options) -> Result<Dataset, DataError> {
        if self.values.is_empty() {
            return Err(self.nothing("samples"));
        }
        let rows = self.values.len() / self.cells;
        let column = self.label.or_else(|| self.guess());
        if column.is_some() && self.cells == 1 {
            return Err(self.nothing("inputs beside the targets"));
        }
        let targets = column.map(|column| self.take(column));
        let shape = vec![rows, self.cells - usize::from(column.is_some())];
        let called = |column: usize| match names.as_ref().map(|names| &names[column]) {
            Some(name) => format!("`{name}`"),
            None => (column + 1).to_string(),
        };
        let source = match column {
            Some(column) => format!("{}, targets from column {}", self.path.display(), called(column)),
            None => format!("{}, no targets", self.path.display()),
        };
        self.values.shrink_to_fit();
        let inputs = array(String::new(), shape, self.values, false);
        let name = column.map(called).unwrap_or_default();
        let is_whole = self.texts.is_some();
        let targets = targets.map(|values| array(name, vec![rows], values, is_whole));
        // A text column stays classes whatever the task says: texts are not values.
        let task = if is_whole { Task::Classes } else { options.task };
        let mut data = assemble(&self.path, inputs, targets, &Options { task, ..options.clone() }, source)?;
        if let (Some(texts), Targets::Classes { labels, classes }) = (self.texts, &mut data.targets) {
            // The map is sorted, so its order is the alphabet and its values say when each text was first seen.
            let mut rank = vec![0; texts.len()];
            texts.values().enumerate().for_each(|(place, &seen)| rank[seen as usize] = place as u32);
            labels.iter_mut().for_each(|label| *label = rank[*label as usize]);
            *classes = texts.len();
        }
        Ok(data)
    }

    /// The last column, if it looks like labels: whole numbers from 0, few different ones, each twice on average.
    fn guess(&self) -> Option<usize> {
        let last = self.cells - 1;
        let column: Vec<f32> = self.values.iter().skip(last).step_by(self.cells).map(|&x| x as f32).collect();
        let mut different: Vec<u32> = column.iter().map(|value| value.to_bits()).collect();
        different.sort_unstable();
        different.dedup();
        let repeats = 2 * different.len() <= column.len();
        (last > 0 && repeats && could_be_labels(&column)).then_some(last)
    }

    /// Removes a column from the values and returns it.
    fn take(&mut self, column: usize) -> Vec<f64> {
        let (mut taken, mut kept) = (Vec::with_capacity(self.values.len() / self.cells), 0);
        for index in 0..self.values.len() {
            let value = self.values[index];
            if index % self.cells == column {
                taken.push(value);
            } else {
                self.values[kept] = value;
                kept += 1;
            }
        }
        self.values.truncate(kept);
        taken
    }

    fn nothing(&self, what: &'static str) -> DataError {
        DataError::Nothing { path: self.path.clone(), at: At::Whole, what }
    }

    fn failed(&self, error: std::io::Error) -> DataError {
        let reader: Box<dyn Read> = Box::new(std::io::empty());
        Source { reader, path: self.path.clone(), bound: 0, limit: self.limit }.failed(error)
    }
}

/// One line with its number.
struct Record {
    line: u64,
    cells: ByteRecord,
}

struct Records<R> {
    reader: Reader<Lines<R>>,
}

impl<R: Read> Records<Chain<Cursor<Vec<u8>>, R>> {
    fn new(mut reader: R) -> std::io::Result<Self> {
        let mut start = vec![0; 1 << 16];
        let found = fill(&mut reader, &mut start)?;
        start.truncate(found);
        if start.starts_with(b"\xef\xbb\xbf") {
            start.drain(..3);
        }
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).trim(Trim::All).delimiter(delimiter(&start));
        let reader = BufReader::with_capacity(1 << 16, Cursor::new(start).chain(reader));
        Ok(Records { reader: builder.from_reader(Lines { reader, line: 1, last: 0 }) })
    }
}

impl<R: Read> Records<R> {
    fn next(&mut self, table: &Table) -> Result<Option<Record>, DataError> {
        let mut cells = ByteRecord::new();
        match self.reader.read_byte_record(&mut cells) {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(Record { line: self.reader.get_ref().line, cells })),
            Err(error) => match error.into_kind() {
                ErrorKind::Io(error) => Err(table.failed(error)),
                // A byte reader that accepts any number of cells has no other failure; were there one, it would
                // be the text that is wrong.
                _ => Err(table.nothing("readable lines")),
            },
        }
    }
}

/// Hands out one line at a time and counts them.
///
/// The position that the `csv` crate gives to a record is that of the blank lines before it, and after CR LF that of
/// the line before. As it reads no further than a record needs, the line last handed out is the record's.
struct Lines<R> {
    reader: BufReader<R>,
    line: u64,
    /// The byte handed out last.
    last: u8,
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let start = self.reader.fill_buf()?;
        let start = &start[..start.len().min(buffer.len())];
        let Some(&first) = start.first() else { return Ok(0) };
        let is_new = self.last == b'\n' || (self.last == b'\r' && first != b'\n');
        self.line += u64::from(is_new);
        let end = start.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let taken = end.map_or(start.len(), |end| end + 1);
        buffer[..taken].copy_from_slice(&start[..taken]);
        self.last = start[taken - 1];
        self.reader.consume(taken);
        Ok(taken)
    }
}

/// The one of comma, semicolon and tab that the first line has most of.
fn delimiter(start: &[u8]) -> u8 {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let line = start.split(is_end).find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let count = |delimiter: u8| line.iter().filter(|&&byte| byte == delimiter).count();
    // Of equals the last counts as largest: the comma.
    b"\t;,".iter().copied().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

/// The names in the first line, `None` if it holds data, or the column of a cell that is neither.
fn names(
    first: &ByteRecord,
    second: Option<&ByteRecord>,
    options: &Options,
) -> Result<Option<Vec<String>>, usize> {
    let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
    let is_text = |cell: &[u8]| number(cell).is_none();
    let names = || Some(first.iter().map(text).collect());
    let is_name = |cell: &[u8]| {
        let cell = text(cell);
        options.label.as_ref() == Some(&cell) && cell.parse::<f64>().is_err()
            || TARGET_NAMES.iter().any(|name| cell.eq_ignore_ascii_case(name))
    };
    if !first.iter().any(is_text) {
        return Ok(None);
    }
    if first.iter().all(is_text) || first.iter().any(is_name) {
        return Ok(names());
    }
    // Mixed: text that is text in the next line too is data (a column of class names).
    let stray = first.iter().enumerate().find(|(column, cell)| {
        is_text(cell) && second.and_then(|second| second.get(*column)).is_none_or(|below| !is_text(below))
    });
    stray.map_or(Ok(None), |(column, _)| Err(column))
}

/// Numbers in single precision, and in double where that loses digits.
fn array(name: String, shape: Vec<usize>, exact: Vec<f64>, is_whole: bool) -> Array {
    let values: Vec<f32> = exact.iter().map(|&x| x as f32).collect();
    let loses = values.iter().zip(&exact).any(|(&x, &value)| f64::from(x) != value);
    Array { name, shape, values, exact: loses.then_some(exact), is_whole }
}

fn number(cell: &[u8]) -> Option<f64> {
    std::str::from_utf8(cell).ok()?.parse().ok()
}

fn not_number(path: &Path, line: u64, column: usize, cells: &ByteRecord) -> DataError {
    let text = String::from_utf8_lossy(cells.get(column).unwrap_or_default()).chars().take(40).collect();
    DataError::NotNumber { path: path.into(), at: At::Cell { line, column: column + 1 }, text }
}
