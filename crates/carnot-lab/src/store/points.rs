//! `points.jsonl`: one line a finished job, append-only, each with a checksum.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::failed;
use crate::error::LabError;
use crate::experiments::Point;

/// Name of the file.
pub const FILE: &str = "points.jsonl";

/// How a line starts; 16 hexadecimal digits of the checksum follow, then `",` and the point.
const START: &str = "{\"sum\":\"";

/// One line, with its end: the point as JSON whose first entry is the checksum of the rest.
pub fn line(point: &Point) -> String {
    let text = serde_json::to_string(point).expect("a point is plain data with text keys");
    let rest = &text[1..];
    format!("{START}{}\",{rest}\n", sum(rest))
}

/// The point of a line; `None` when the line is torn, foreign or damaged.
pub fn parse(line: &str) -> Option<Point> {
    let after = line.strip_prefix(START)?;
    let (digits, rest) = (after.get(..16)?, after.get(16..)?.strip_prefix("\",")?);
    if digits != sum(rest) {
        return None;
    }
    serde_json::from_str(&format!("{{{rest}")).ok()
}

fn sum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_string()
}

/// All whole lines, each job once: jobs are pure, so a second answer is the same answer.
pub(super) fn read(path: &Path) -> Result<Vec<Point>, LabError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", path, error)),
        Ok(_) => {}
    }
    let mut seen = HashSet::new();
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| parse(std::str::from_utf8(line).ok()?));
    Ok(lines.filter(|point| seen.insert(point.job.clone())).collect())
}

/// An open end of the file.
#[derive(Debug)]
pub struct Appender {
    file: File,
    path: PathBuf,
}

impl Appender {
    pub(super) fn open(path: PathBuf) -> Result<Appender, LabError> {
        let wrong = |error| failed("write", &path, error);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(wrong)?;
        if !ends_whole(&mut file).map_err(wrong)? {
            // Closed rather than cut off: it may be the line that another process is writing at this moment.
            file.write_all(b"\n").map_err(wrong)?;
        }
        Ok(Appender { file, path })
    }

    /// Adds one point, and returns it as it will be read back.
    ///
    /// # Errors
    /// [`LabError::Store`] when the line could not be written whole.
    pub fn add(&mut self, point: &Point) -> Result<Point, LabError> {
        let line = line(point);
        let wrong = |error| failed("write", &self.path, error);
        // One write, so that lines of two processes do not mix.
        match self.file.write(line.as_bytes()) {
            Ok(written) if written == line.len() => {}
            // Part of it went in before the disk was full or the quota reached; asking for the rest says which.
            Ok(written) => self.file.write_all(&line.as_bytes()[written..]).map_err(wrong)?,
            Err(error) => return Err(wrong(error)),
        }
        Ok(parse(line.trim_end()).expect("a line that was just written can be read"))
    }
}

fn ends_whole(file: &mut File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(length - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn point(job: &str, value: f64) -> Point {
        Point { job: job.into(), value: json!({ "mean": value, "text": "a \"b\" \n é" }) }
    }

    #[test]
    fn numbers_keep_every_bit() {
        for value in [0.1 + 0.2, -0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, 1.0 / 3.0] {
            let read = parse(line(&point("a", value)).trim_end()).unwrap();
            assert_eq!(read.value["mean"].as_f64().unwrap().to_bits(), value.to_bits());
        }
    }

    #[test]
    fn a_line_that_was_cut_or_changed_is_no_point() {
        let whole = line(&point("a", 0.25));
        for length in 0..whole.len() - 1 {
            if whole.is_char_boundary(length) {
                assert_eq!(parse(&whole[..length]), None, "cut to {length}");
            }
        }
        assert_eq!(parse(&whole.trim_end().replace("0.25", "0.26")), None);
    }

    #[test]
    fn torn_foreign_and_repeated_lines_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let (a, b) = (point("a", 1.0), point("b", 2.0));
        let torn = &line(&b)[..30];
        std::fs::write(&path, format!("{}hello\n\n{}{}{torn}", line(&a), "\u{feff}{}\n", line(&a))).unwrap();
        assert_eq!(read(&path).unwrap(), std::slice::from_ref(&a));
        Appender::open(path.clone()).unwrap().add(&b).unwrap();
        assert_eq!(read(&path).unwrap(), [a, b]);
    }

    #[test]
    fn many_writers_lose_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = path.clone();
                scope.spawn(move || {
                    let mut appender = Appender::open(path).unwrap();
                    for job in 0..50 {
                        appender.add(&point(&format!("{writer}-{job}"), 0.5)).unwrap();
                        appender.add(&point(&format!("shared-{job}"), 0.5)).unwrap();
                    }
                });
            }
        });
        assert_eq!(read(&path).unwrap().len(), 4 * 50 + 50);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error_and_not_a_loss() {
        let mut appender = Appender {
            file: OpenOptions::new().append(true).open("/dev/full").unwrap(),
            path: "/dev/full".into(),
        };
        let error = appender.add(&point("a", 1.0)).unwrap_err();
        let LabError::Store { action: "write", error, .. } = error else { panic!("{error}") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
