//! Any bytes are refused, or give a data set that keeps its promises.
#![no_main]

use std::io::Cursor;
use std::path::Path;

use carnot_fuzz::{accepted, options};
use carnot_net::dataset::npz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| accepted(npz::read(Cursor::new(bytes), Path::new("fuzz"), &options())));
