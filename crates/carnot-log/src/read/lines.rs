//! One JSON object a line, and whole JSON files: `trainer_state.json`, a list of objects, an object of columns.

use std::io::{BufRead, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::{LONGEST, failed, json, line};
use crate::error::LogError;
use crate::log::{Gather, Log};
use crate::names::step_name;

/// The log in a file of JSON.
///
/// # Errors
/// [`LogError::Json`] with the line, [`LogError::NotALog`], [`LogError::TooLong`].
pub fn read(path: &Path, mut source: impl BufRead, step: Option<&str>) -> Result<Log, LogError> {
    let mut rows = Rows { step: step.map(str::to_string), ..Rows::default() };
    let (mut at, mut torn, mut foreign) = (0, false, 0u64);
    let mut before: Vec<u8> = Vec::new();
    while let Some((bytes, has_end)) = line(&mut source, path, at + 1)? {
        at += 1;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim().trim_start_matches('\u{feff}');
        if text.is_empty() {
            continue;
        }
        match json::parse(text) {
            Ok(Value::Object(object)) if !is_whole(&object) => rows.take(&object),
            // One value over many lines, or one that holds the whole log.
            Ok(_) | Err(_) if rows.count == 0 && text.starts_with(['{', '[']) => {
                before.extend(&bytes);
                before.push(b'\n');
                return whole(path, before, source, step);
            }
            Err(error) if text.starts_with('{') => {
                if has_end && !source.fill_buf().map_err(|error| failed(path, error))?.is_empty() {
                    let message = format!("no JSON object: {error}");
                    return Err(LogError::Json { path: path.into(), line: at, message });
                }
                torn = true;
            }
            _ => foreign += 1,
        }
    }
    let mut log = rows.log(path, "JSON lines")?;
    if foreign > 0 {
        log.remarks.push(format!("{foreign} lines are no JSON objects and are left out"));
    }
    if torn {
        log.remarks.push("the last line is not whole, as while it is written: it is left out".into());
    }
    Ok(log)
}

/// Is this object itself a log rather than a line of one?
fn is_whole(object: &Map<String, Value>) -> bool {
    object.contains_key("log_history")
        || object.values().any(|value| value.as_array().is_some_and(|list| list.len() > 3))
}

/// A file that is one JSON value.
fn whole(path: &Path, mut text: Vec<u8>, source: impl Read, step: Option<&str>) -> Result<Log, LogError> {
    source.take(4 * LONGEST).read_to_end(&mut text).map_err(|error| failed(path, error))?;
    if text.len() as u64 >= 4 * LONGEST {
        return Err(LogError::TooLong { path: path.into(), place: "the file".into(), most: 4 * LONGEST });
    }
    let text = String::from_utf8_lossy(&text);
    let value = json::parse(&text).map_err(|error| LogError::Json {
        path: path.into(),
        line: error.line() as u64,
        message: format!("no JSON value: {error}"),
    })?;
    let mut rows = Rows { step: step.map(str::to_string), ..Rows::default() };
    let mut all =
        |list: &[Value]| list.iter().filter_map(Value::as_object).for_each(|object| rows.take(object));
    match &value {
        Value::Array(list) => all(list),
        Value::Object(object) => match object.get("log_history") {
            Some(Value::Array(list)) => {
                all(list);
                return rows.log(path, "trainer state");
            }
            _ => rows.columns(object),
        },
        _ => {}
    }
    rows.log(path, "JSON")
}

/// Objects of one log, one after the other.
#[derive(Default)]
struct Rows {
    step: Option<String>,
    gather: Gather,
    count: u64,
    now: f64,
    counted: bool,
    unit: String,
}

impl Rows {
    fn take(&mut self, object: &Map<String, Value>) {
        let mut numbers: Vec<(String, f64)> = Vec::new();
        json::numbers(object, &mut |name, value| numbers.push((name.into(), value)));
        self.count += 1;
        let wanted = self.step.clone();
        let counter = match &wanted {
            Some(name) => numbers.iter().find(|(known, _)| known == name),
            None => {
                let name = step_name(numbers.iter().map(|(name, _)| name.as_str()));
                name.and_then(|name| numbers.iter().find(|(known, _)| known == name))
            }
        };
        match counter.filter(|(_, step)| step.is_finite()) {
            Some((name, step)) => {
                self.now = *step;
                self.counted = true;
                self.unit =
                    if name.to_lowercase().contains("epoch") { "epoch".into() } else { "step".into() };
            }
            None if !self.counted => self.now = self.count as f64,
            None => {}
        }
        let own = counter.map(|(name, _)| name.clone());
        for (name, value) in numbers.iter().filter(|(name, _)| Some(name) != own.as_ref()) {
            self.gather.push(name, self.count, self.now, *value);
        }
    }

    /// An object of lists: `{"loss": [2.3, 2.1], "val_loss": […]}`.
    fn columns(&mut self, object: &Map<String, Value>) {
        let lists = || object.iter().filter_map(|(name, value)| Some((name, value.as_array()?)));
        let wanted = self.step.clone();
        let name = wanted.or_else(|| step_name(lists().map(|(name, _)| name.as_str())).map(str::to_string));
        let steps = name.as_ref().and_then(|name| object.get(name)?.as_array());
        self.unit = name
            .clone()
            .filter(|name| name.to_lowercase().contains("epoch"))
            .map_or("step".into(), |_| "epoch".into());
        self.counted = steps.is_some();
        for (column, list) in lists().filter(|(column, _)| Some(*column) != name.as_ref()) {
            for (at, value) in list.iter().enumerate() {
                let step = steps.and_then(|steps| json::one(steps.get(at)?)).unwrap_or(at as f64 + 1.0);
                if let Some(value) = json::one(value) {
                    self.count += 1;
                    self.gather.push(column, at as u64 + 1, step, value);
                }
            }
        }
    }

    fn log(self, path: &Path, format: &str) -> Result<Log, LogError> {
        if self.gather.is_empty() {
            let why = "it is JSON without a number by name".into();
            return Err(LogError::NotALog { path: path.into(), why });
        }
        let unit = if self.counted { self.unit } else { "line".into() };
        let mut log = self.gather.log(&path.display().to_string(), format, &unit);
        if let Some(wanted) = self.step.filter(|_| !self.counted) {
            let (path, names) = (log.path, log.series.into_iter().map(|series| series.name).collect());
            return Err(LogError::NoSeries { path, flag: "step", wanted, names });
        }
        if !self.counted {
            log.remarks.push("nothing counts steps: lines are counted in their place".into());
        }
        Ok(log)
    }
}
