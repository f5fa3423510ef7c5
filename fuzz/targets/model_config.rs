//! Any text is refused as config.json, or gives an architecture that can be told and, where it is small, built.
#![no_main]

use std::path::Path;

use carnot_models::huggingface::config::{Config, parse};
use carnot_models::huggingface::network::network;
use carnot_net::plan::Plan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| match parse(bytes, Path::new("config.json")) {
    Ok(Config::Known(found)) => {
        assert!(!found.words().is_empty());
        if found.depth <= 100
            && let Ok(network) = network(&found, found.initial_std.unwrap_or(0.02), 3)
        {
            let _ = Plan::new(&network);
        }
    }
    Ok(Config::UnknownFamily(name)) => assert!(name.chars().count() <= 60),
    Err(error) => assert!(!error.to_string().is_empty()),
});
