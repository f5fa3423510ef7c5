//! A prediction must start a report, not delay it.

use carnot_net::activation::Activation;
use carnot_theory::finite_width::table;
use carnot_theory::layer::{Scales, Stack};
use carnot_theory::recommend::recommended_init;

#[test]
fn a_hundred_layers_take_a_fraction_of_the_budget() {
    for name in ["tanh", "gelu", "relu", "elu", "swish", "mish"] {
        let activation = Activation::parse(name).expect("known").formula;
        let stack = Stack::uniform(&activation, 100, Scales::new(1.7, 0.05).with_rates(1.0, 1.0));
        let start = std::time::Instant::now();
        let table = table(&stack, 1.0).expect("an answer");
        let spent = start.elapsed();
        assert_eq!(table.rows.len(), 100);
        println!("{name}: 100 layers in {:.1} ms", spent.as_secs_f64() * 1e3);
        // Ten times the aim of 50 ms, since other work may share the machine.
        assert!(spent.as_millis() < 500, "{name}: {spent:?}");
    }
}

#[test]
fn the_critical_point_of_any_activation_takes_a_fraction_of_the_budget() {
    for name in ["swish", "tanh", "sigmoid", "softplus", "cube"] {
        let activation = Activation::parse(name).expect("known").formula;
        let start = std::time::Instant::now();
        recommended_init(&activation).expect("an answer");
        let spent = start.elapsed();
        println!("{name}: recommended variances in {:.1} ms", spent.as_secs_f64() * 1e3);
        assert!(spent.as_millis() < 1000, "{name}: {spent:?}");
    }
}
