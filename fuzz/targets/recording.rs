#![no_main]
//! Recordings of real models, written by strangers.

use std::io::Cursor;
use std::path::Path;

use carnot_probe::recording::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(reader) = Reader::new(Cursor::new(bytes), Path::new("fuzzed.carnot")) {
        let _ = reader.collect(10_000);
    }
});
