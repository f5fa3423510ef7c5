//! Reading back, one line at a time: what strangers wrote, so every length is bounded before it is believed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{CHECKSUM, Header, LONGEST, SCHEMA, checksum};
use crate::error::ProbeError;
use crate::reading::StepReading;

/// Numbers kept at once by [`read`]; beyond it every second step is dropped.
const KEPT: usize = 4_000_000;

/// Reads step after step; holds one line at a time.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    path: PathBuf,
    /// What the recording is of.
    pub header: Header,
    at: u64,
    whole: u64,
    records: u64,
    is_torn: bool,
}

/// A recording in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// What it is of.
    pub header: Header,
    /// Its steps in the order of the file; not all of them when `thinned` is more than 1.
    pub steps: Vec<StepReading>,
    /// Every how manyth step is here; the first and the last always are.
    pub thinned: u64,
    /// The writer was stopped in the middle of a line, which is ignored.
    pub is_torn: bool,
}

/// Does the file begin as a recording does? False for what cannot be read.
#[must_use]
pub fn is_recording(path: &Path) -> bool {
    let mut start = [0u8; 64];
    let Ok(mut file) = File::open(path) else { return false };
    let Ok(found) = file.read(&mut start) else { return false };
    start[..found].starts_with(b"{\"schema\":\"carnot.recording/")
}

/// The whole recording, thinned where it would not fit: memory is bounded whatever the file says.
///
/// # Errors
/// [`ProbeError::File`], [`ProbeError::NotARecording`], [`ProbeError::Version`], [`ProbeError::Damaged`].
pub fn read(path: &Path) -> Result<Recording, ProbeError> {
    let failed = |error| ProbeError::File { path: path.into(), what: "read", error };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(ProbeError::NotARecording { path: path.into(), why: "it is a folder".into() });
    }
    Reader::new(BufReader::new(file), path)?.collect(KEPT)
}

impl<R: BufRead> Reader<R> {
    /// Reads the header. `path` is for messages only.
    ///
    /// # Errors
    /// [`ProbeError::NotARecording`], [`ProbeError::Version`].
    pub fn new(source: R, path: &Path) -> Result<Reader<R>, ProbeError> {
        let header = Header::default();
        let mut reader =
            Reader { source, path: path.into(), header, at: 0, whole: 0, records: 0, is_torn: false };
        let refuse = |why: String| ProbeError::NotARecording { path: path.into(), why };
        let line = reader.line()?.ok_or_else(|| refuse("its first line has no end".into()))?;
        let value: serde_json::Value =
            serde_json::from_slice(&line).map_err(|_| refuse("its first line is not JSON".into()))?;
        match value["schema"].as_str() {
            Some(SCHEMA) => {}
            Some(other) if other.starts_with("carnot.recording/") => {
                return Err(ProbeError::Version {
                    path: path.into(),
                    found: other.chars().take(40).collect(),
                });
            }
            _ => return Err(refuse("its first line does not say \"schema\": \"carnot.recording/1\"".into())),
        }
        reader.header = serde_json::from_value(value)
            .map_err(|error| refuse(format!("its header is not whole: {error}")))?;
        Ok(reader)
    }

    /// The next step; `None` at the end, or at a torn last line.
    ///
    /// # Errors
    /// [`ProbeError::Damaged`] for a line that is wrong and not the last.
    pub fn step(&mut self) -> Result<Option<StepReading>, ProbeError> {
        let (start, record) = (self.at, self.records + 1);
        let Some(line) = self.line()? else { return Ok(None) };
        match parse(&line) {
            Ok(reading) => {
                self.records += 1;
                self.whole = self.at;
                Ok(Some(reading))
            }
            Err(why) if !self.is_at_end()? => {
                Err(ProbeError::Damaged { path: self.path.clone(), record, at: start, why })
            }
            Err(_) => {
                self.is_torn = true;
                Ok(None)
            }
        }
    }

    /// Bytes up to the end of the last whole line.
    #[must_use]
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// All steps, no more than about `budget` numbers at once: when they are more, every second step is dropped, never the last.
    ///
    /// # Errors
    /// As [`Reader::step`].
    pub fn collect(mut self, budget: usize) -> Result<Recording, ProbeError> {
        let (mut steps, mut thinned, mut numbers, mut count) = (Vec::new(), 1u64, 0usize, 0u64);
        let mut last = None;
        while let Some(step) = self.step()? {
            if count % thinned == 0 {
                numbers += weight(&step);
                steps.push(step);
                last = None;
            } else {
                last = Some(step);
            }
            count += 1;
            while numbers > budget && steps.len() > 2 {
                thinned *= 2;
                let mut at = 0;
                let dropped = steps.last().filter(|_| steps.len() % 2 == 0).cloned();
                steps.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
                last = dropped.or(last);
                numbers = steps.iter().map(weight).sum();
            }
        }
        steps.extend(last);
        Ok(Recording { header: self.header, steps, thinned, is_torn: self.is_torn })
    }

    /// The next line without its end; `None` at the end of the file or when the last line has none.
    fn line(&mut self) -> Result<Option<Vec<u8>>, ProbeError> {
        let mut line = Vec::new();
        let failed = |error| ProbeError::File { path: self.path.clone(), what: "read", error };
        let read =
            (&mut self.source).take(LONGEST as u64 + 1).read_until(b'\n', &mut line).map_err(failed)?;
        if line.last() == Some(&b'\n') {
            line.pop();
            self.at += read as u64;
            if self.whole == 0 {
                self.whole = self.at;
            }
            return Ok(Some(line));
        }
        if read > LONGEST {
            let why = format!("a line is longer than {LONGEST} bytes");
            return Err(match self.whole {
                0 => ProbeError::NotARecording { path: self.path.clone(), why },
                _ => ProbeError::Damaged {
                    path: self.path.clone(),
                    record: self.records + 1,
                    at: self.at,
                    why,
                },
            });
        }
        self.is_torn = read > 0;
        Ok(None)
    }

    fn is_at_end(&mut self) -> Result<bool, ProbeError> {
        let failed = |error| ProbeError::File { path: self.path.clone(), what: "read", error };
        self.source.fill_buf().map(<[u8]>::is_empty).map_err(failed)
    }
}

/// Numbers and names of a step, as a measure of its memory.
fn weight(step: &StepReading) -> usize {
    let of = |layer: &crate::reading::LayerReading| {
        4 + layer.values.len() + layer.missing.values().map(Vec::len).sum::<usize>()
    };
    1 + step.layers.iter().map(of).sum::<usize>()
}

fn parse(line: &[u8]) -> Result<StepReading, String> {
    let (sum, json) = line.split_at_checked(CHECKSUM).ok_or("it is too short")?;
    let json = json.strip_prefix(b" ").ok_or("its checksum is not followed by a blank")?;
    if checksum(json).as_bytes() != sum {
        return Err("its checksum is wrong".into());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}
