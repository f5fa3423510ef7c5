//! Any bytes behind the magic and version of GGUF are refused, or give tensors whose numbers are as many as their shapes say.
#![no_main]

use carnot_fuzz::model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| model([b"GGUF\x03\0\0\0".as_slice(), bytes].concat(), "a.gguf"));
