//! Logs of trainings.

use carnot_log::error::LogError;
use carnot_report::diagnostic::{Diagnostic, Place};

use super::{Explain, at, flag, told};
use crate::spec::nearest;

impl Explain for LogError {
    fn explain(&self) -> Diagnostic {
        let problem = self.to_string();
        match self {
            LogError::File { error, .. } => told(
                "log/file",
                problem,
                match error.kind() {
                    std::io::ErrorKind::NotFound => "there is no such file, and no run of that name",
                    _ => "the system does not let it be read",
                },
                "look at the path; carnot runs lists runs",
            ),
            LogError::NotALog { .. } => told(
                "log/unknown",
                problem,
                "a log is a CSV file with headings, a file of JSON objects, a TensorBoard event file or its folder, a recording or a run",
                "carnot diagnose log.csv, with headings such as step,loss,val_loss,lr,grad_norm",
            ),
            LogError::Cells { path, line, .. } => at(
                in_log(path, *line),
                told(
                    "log/cells",
                    problem,
                    "a number with a comma in it, or headings of another table",
                    "write numbers with points, and a heading above every column",
                ),
            ),
            LogError::Json { path, line, .. } => at(
                in_log(path, *line),
                told(
                    "log/json",
                    problem,
                    "the line begins as an object and is not whole; only the last line of a log that is being written may be so",
                    "take that line out, or repair it",
                ),
            ),
            LogError::TooLong { .. } => told(
                "log/too-long",
                problem,
                "lengths are bounded so that reading a file is, whatever stands in it",
                "write one object a line, and pictures and graphs to another event file",
            ),
            LogError::Damaged { .. } => told(
                "log/damaged",
                problem,
                "the file was changed or truncated in the middle; a writer that is killed damages the last record alone",
                "copy it again from where it was written",
            ),
            LogError::NoLoss { names, .. } => told(
                "log/no-loss",
                problem,
                "losses are known by names such as loss, train_loss, train/loss, nll",
                match names.first() {
                    Some(name) => format!("--loss \"{name}\", or another of these names"),
                    None => "write a column called loss".into(),
                },
            ),
            LogError::NoSeries { flag: name, wanted, names, .. } => {
                let known: Vec<&str> = names.iter().map(String::as_str).collect();
                let near = nearest(wanted, &known);
                let cause = near.as_ref().map_or("no name of the log is similar".into(), |near| {
                    format!("did you mean \"{near}\"?")
                });
                let remedy = near.or_else(|| names.first().cloned());
                let remedy = remedy.map_or("write a heading above every column".into(), |near| {
                    format!("--{name} \"{near}\"")
                });
                at(flag(format!("--{name}")), told("log/no-series", problem, cause, remedy))
            }
            LogError::NoReference { .. } => told(
                "log/no-reference",
                problem,
                "entropies are counted in a text, or in a file with one label a line",
                "--data TEXT, --labels FILE, or the numbers themselves: --unigram X --bigram X",
            ),
        }
    }
}

fn in_log(path: &std::path::Path, line: u64) -> Place {
    Place::File {
        file: path.display().to_string(),
        line: line as usize,
        column: 1,
        source: String::new(),
        length: 0,
    }
}
