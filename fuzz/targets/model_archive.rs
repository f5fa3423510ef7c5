//! Any bytes, archives of arrays and of pickles among them, are refused or give tensors that keep their promises.
#![no_main]

use carnot_fuzz::model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| model(bytes.to_vec(), "a.pt"));
