//! Any text is refused as config.json, or gives an architecture that can be told.
#![no_main]

use std::path::Path;

use carnot_models::huggingface::config::{Config, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| match parse(bytes, Path::new("config.json")) {
    Ok(Config::Known(found)) => assert!(!found.words().is_empty()),
    Ok(Config::UnknownFamily(name)) => assert!(name.chars().count() <= 60),
    Err(error) => assert!(!error.to_string().is_empty()),
});
