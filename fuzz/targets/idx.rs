//! The first byte parts the rest into a file of inputs and one of labels; whatever is accepted keeps its promises.
#![no_main]

use carnot_fuzz::{accepted, options, sources};
use carnot_net::dataset::idx;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((inputs, labels)) = sources(bytes) else { return };
    accepted(idx::read(inputs, labels, &options()));
});
