//! Any bytes behind the magic pickle of old PyTorch files are refused, or give tensors that keep their promises.
#![no_main]

use carnot_fuzz::model;
use libfuzzer_sys::fuzz_target;

const LEGACY: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00.";

fuzz_target!(|bytes: &[u8]| model([LEGACY, bytes].concat(), "a.pth"));
