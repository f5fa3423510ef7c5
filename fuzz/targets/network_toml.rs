//! A network as TOML is either refused or written back so that it reads the same.
#![no_main]

use carnot_net::network::Network;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(network) = Network::from_toml(text) {
        let again = Network::from_toml(&network.to_toml()).expect("what was written reads");
        assert_eq!(again, network);
    }
});
