//! Any bytes are refused as a pickle, or walked to a value without running away.
#![no_main]

use carnot_models::files::torch::pickle::walk;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((walked, length)) = walk(bytes) {
        assert!(length <= bytes.len());
        // One opcode makes one value at most.
        assert!(walked.values().count() <= bytes.len());
    }
});
