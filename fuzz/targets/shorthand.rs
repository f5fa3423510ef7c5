//! A network in shorthand is either refused or can be written as TOML and read back.
#![no_main]

use carnot_net::activation::Activation;
use carnot_net::network::Network;
use carnot_net::shorthand::{Style, looks_like, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = looks_like(text);
    let activation = Activation::named("tanh").expect("a row of the table");
    let style = Style { activation, residual: Some(0.5), norm: None };
    if let Ok(network) = parse(text, &style) {
        let again = Network::from_toml(&network.to_toml()).expect("what was written reads");
        assert_eq!(again, network);
    }
});
