//! A log as plain data, and how rows become series.

use std::collections::HashMap;

/// Points kept of all series together; beyond it every second point of the longest is dropped.
const KEPT: usize = 4_000_000;
/// Series that are kept; a log with more is no log of one training.
const MOST_SERIES: usize = 4096;

/// What a training wrote down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// Where it was read, as the user gave it.
    pub path: String,
    /// What kind of log it is: `CSV`, `JSON lines`, `TensorBoard events`, `recording`, …
    pub format: String,
    /// What its horizontal axis counts: `step`, `epoch`, `line`.
    pub unit: String,
    /// Its series, in the order in which they first appear.
    pub series: Vec<Series>,
    /// What had to be decided or left out on the way, one sentence each.
    pub remarks: Vec<String>,
}

/// One quantity over the steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// As written in the log; nested keys are joined by points.
    pub name: String,
    /// Steps, strictly ascending.
    pub steps: Vec<f64>,
    /// Values; not all of them need be finite.
    pub values: Vec<f64>,
    /// Where the training went back to an earlier step.
    pub rewinds: Vec<Rewind>,
}

/// A restart from a checkpoint: what was written after it replaces what was written before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rewind {
    /// The last step before it.
    pub from: f64,
    /// The first step after it.
    pub to: f64,
}

impl Log {
    /// The series of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.name == name)
    }

    /// All names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.series.iter().map(|series| series.name.clone()).collect()
    }
}

impl Series {
    /// Values at steps from `from` to `to`, both included.
    pub fn between(&self, from: f64, to: f64) -> impl Iterator<Item = f64> + '_ {
        let inside = move |(step, _): &(&f64, &f64)| **step >= from && **step <= to;
        self.steps.iter().zip(&self.values).filter(inside).map(|(_, &value)| value)
    }
}

/// One written number: its row, its step, its value.
#[derive(Clone, Copy, Debug)]
struct Written {
    row: u64,
    step: f64,
    value: f64,
}

/// A series while it is read.
#[derive(Debug, Default)]
struct Growing {
    name: String,
    points: Vec<Written>,
    /// Every how manyth point is kept.
    every: u64,
    seen: u64,
    last: Option<Written>,
}

/// Collects numbers as they are read, in bounded memory.
#[derive(Debug, Default)]
pub struct Gather {
    all: Vec<Growing>,
    places: HashMap<String, usize>,
    kept: usize,
    left_out: u64,
}

impl Gather {
    /// One number.
    ///
    /// * `row`: counts what was read, in the order of the file
    pub fn push(&mut self, name: &str, row: u64, step: f64, value: f64) {
        let at = match self.places.get(name) {
            Some(&at) => at,
            None if self.all.len() >= MOST_SERIES => {
                self.left_out += 1;
                return;
            }
            None => {
                self.places.insert(name.into(), self.all.len());
                self.all.push(Growing { name: name.into(), every: 1, ..Growing::default() });
                self.all.len() - 1
            }
        };
        let one = &mut self.all[at];
        let written = Written { row, step, value };
        if one.seen.is_multiple_of(one.every) {
            one.points.push(written);
            one.last = None;
            self.kept += 1;
        } else {
            one.last = Some(written);
        }
        one.seen += 1;
        if self.kept > KEPT {
            self.thin();
        }
    }

    fn thin(&mut self) {
        let Some(longest) = self.all.iter_mut().max_by_key(|one| one.points.len()) else { return };
        let before = longest.points.len();
        let mut at = 0;
        longest.points.retain(|_| {
            at += 1;
            at % 2 == 1
        });
        longest.every *= 2;
        self.kept -= before - longest.points.len();
    }

    /// True when nothing was pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The log; a counter that starts anew again and again is no step, rows are counted in its place.
    #[must_use]
    pub fn log(self, path: &str, format: &str, unit: &str) -> Log {
        let mut log = Log { path: path.into(), format: format.into(), unit: unit.into(), ..Log::default() };
        let is_cyclic = self.all.iter().any(|one| cycles(&one.points));
        if is_cyclic {
            log.remarks.push(format!("{unit} starts anew several times, as a counter within epochs does: lines are counted in its place"));
            log.unit = "line".into();
        }
        if self.left_out > 0 {
            log.remarks.push(format!(
                "more than {MOST_SERIES} series: {} numbers of the rest are left out",
                self.left_out
            ));
        }
        for mut one in self.all {
            one.points.extend(one.last);
            if one.every > 1 {
                log.remarks.push(format!("{} is long: one number in {} is kept", one.name, one.every));
            }
            log.series.push(one.finish(is_cyclic));
        }
        log
    }
}

impl Growing {
    fn finish(self, count_rows: bool) -> Series {
        let mut series = Series { name: self.name, ..Series::default() };
        for written in self.points {
            let step = if count_rows { written.row as f64 } else { written.step };
            if let Some(&last) = series.steps.last()
                && step < last
            {
                series.rewinds.push(Rewind { from: last, to: step });
            }
            // What was written later counts: TensorBoard shows restarted runs the same way.
            while series.steps.last().is_some_and(|&last| last >= step) {
                series.steps.pop();
                series.values.pop();
            }
            series.steps.push(step);
            series.values.push(written.value);
        }
        series
    }
}

/// Does the step go back to the same start at least three times, as a counter within epochs does?
fn cycles(points: &[Written]) -> bool {
    let Some(first) = points.first() else { return false };
    let back: Vec<f64> =
        points.windows(2).filter(|pair| pair[1].step < pair[0].step).map(|pair| pair[1].step).collect();
    back.len() >= 3 && back.iter().all(|&to| to <= first.step + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(steps: &[f64]) -> Log {
        let mut gather = Gather::default();
        for (row, &step) in steps.iter().enumerate() {
            gather.push("loss", row as u64, step, row as f64);
        }
        gather.log("run", "test", "step")
    }

    #[test]
    fn a_restart_replaces_what_was_written_before_it() {
        let log = gathered(&[0.0, 10.0, 20.0, 30.0, 20.0, 30.0, 40.0]);
        let loss = &log.series[0];
        assert_eq!(loss.steps, [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(loss.values, [0.0, 1.0, 4.0, 5.0, 6.0]);
        assert_eq!(loss.rewinds, [Rewind { from: 30.0, to: 20.0 }]);
    }

    #[test]
    fn a_counter_within_epochs_is_no_step() {
        let log = gathered(&[0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0, 1.0]);
        assert_eq!(log.series[0].steps.len(), 11);
        assert_eq!((log.unit.as_str(), log.remarks.len()), ("line", 1));
        // One restart from the beginning is a restart.
        assert_eq!(gathered(&[0.0, 1.0, 2.0, 0.0, 1.0]).series[0].steps.len(), 2);
    }

    #[test]
    fn memory_is_bounded_and_the_last_point_is_kept() {
        let mut gather = Gather::default();
        for row in 0..KEPT as u64 + 1001 {
            gather.push("loss", row, row as f64, 1.0);
        }
        let log = gather.log("run", "test", "step");
        assert!(log.series[0].steps.len() < KEPT * 6 / 10);
        assert_eq!(log.series[0].steps.last(), Some(&((KEPT + 1000) as f64)));
        assert!(log.remarks[0].contains("one number in 2"));
    }
}
