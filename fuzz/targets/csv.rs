//! Any bytes are refused, or give a data set that keeps its promises; gzip too.
#![no_main]

use carnot_fuzz::{LIMIT, accepted, options};
use carnot_net::dataset::{Source, csv};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(source) = Source::bytes(bytes, "fuzz", LIMIT) {
        accepted(csv::read(source, &options()));
    }
});
