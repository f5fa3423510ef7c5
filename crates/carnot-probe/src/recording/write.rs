//! Appending.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::read::Reader;
use super::{Header, LONGEST, SCHEMA, checksum};
use crate::error::ProbeError;
use crate::reading::StepReading;

/// A recording that is being written.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
}

impl Writer {
    /// Begins a recording in a new file; one that is there is never overwritten.
    ///
    /// # Errors
    /// [`ProbeError::File`], also when the file exists.
    pub fn create(path: &Path, header: &Header) -> Result<Writer, ProbeError> {
        let failed = |error| ProbeError::File { path: path.into(), what: "created", error };
        let header = Header { schema: SCHEMA.into(), ..header.clone() };
        let mut line = serde_json::to_vec(&header).expect("a header is plain data with text keys");
        line.push(b'\n');
        let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
        file.write_all(&line).map_err(failed)?;
        Ok(Writer { file, path: path.into() })
    }

    /// Goes on with a recording; a torn last line is cut off.
    ///
    /// # Errors
    /// As [`super::read`], and [`ProbeError::File`].
    pub fn resume(path: &Path) -> Result<Writer, ProbeError> {
        let failed = |error| ProbeError::File { path: path.into(), what: "written", error };
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let mut reader = Reader::new(BufReader::new(&file), path)?;
        while reader.step()?.is_some() {}
        let end = reader.whole();
        file.set_len(end).map_err(failed)?;
        file.seek(SeekFrom::Start(end)).map_err(failed)?;
        Ok(Writer { file, path: path.into() })
    }

    /// Appends a step with one write: whole, or torn and ignored.
    ///
    /// # Errors
    /// [`ProbeError::File`]; [`ProbeError::TooLong`] for a reading beyond [`LONGEST`].
    pub fn write(&mut self, reading: &StepReading) -> Result<(), ProbeError> {
        let json = serde_json::to_string(reading).expect("a reading is plain data with text keys");
        let line = format!("{} {json}\n", checksum(json.as_bytes()));
        if line.len() > LONGEST {
            return Err(ProbeError::TooLong { step: reading.step, bytes: line.len() });
        }
        let failed = |error| ProbeError::File { path: self.path.clone(), what: "written", error };
        self.file.write_all(line.as_bytes()).map_err(failed)
    }

    /// Where it is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
