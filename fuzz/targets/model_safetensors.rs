//! Any bytes are refused as safetensors, or give tensors whose numbers are as many as their shapes say.
#![no_main]

use carnot_fuzz::model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| model(bytes.to_vec(), "a.safetensors"));
