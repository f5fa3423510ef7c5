//! Activations shaped for depth against the package of the methods' authors, and what the shaped chains then do.

use carnot_net::activation::Activation;
use carnot_net::hyper::LayerInit;
use carnot_net::kernel::{Gram, Kernel};
use carnot_net::layers::Layer;
use carnot_net::layers::activate::Activate;
use carnot_net::layers::dense::Dense;
use carnot_net::layers::repeat::Repeat;
use carnot_net::network::Network;
use carnot_net::plan::{Plan, Theory};
use carnot_net::shape::Shape;
use carnot_theory::shaping::{Shaped, Target, shaped, shaped_leaky_relu};
use serde_json::Value;

/// Parameters of the reference are found by a solver that stops at 1e-8; two solutions of one target differ by more.
const TOLERANCE: f64 = 1e-4;

fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("golden/shaping.json")).expect("JSON");
    file["cases"].as_array().expect("cases").clone()
}

fn activation(name: &str) -> Activation {
    // The package's gelu is the approximation by a tanh.
    Activation::parse(if name == "gelu" { "gelu_tanh" } else { name }).expect("an activation")
}

fn target(case: &Value) -> Target {
    let depth = case["depth"].as_u64().expect("a depth") as usize;
    if case["method"] == "DKS" {
        Target::deep_kernel_shaping(depth, 1.5).unwrap()
    } else {
        Target::tailored(depth, 0.3).unwrap()
    }
}

fn smooth() -> impl Iterator<Item = Value> {
    cases().into_iter().filter(|case| case["activation"] != "leaky_relu")
}

#[test]
fn shaped_activations_are_those_of_the_reference() {
    let mut other = Vec::new();
    for case in smooth() {
        let activation = activation(case["activation"].as_str().unwrap());
        let found = shaped(&activation, target(&case)).unwrap_or_else(|why| panic!("{case}: {why}"));
        let get = |key: &str| case["params"][key].as_f64().unwrap();
        let theirs = Shaped {
            input_scale: get("input_scale"),
            input_shift: get("input_shift"),
            output_shift: get("output_shift"),
            output_scale: get("output_scale"),
        };
        let list = |s: &Shaped| [s.input_scale, s.input_shift, s.output_shift, s.output_scale];
        // The mirror image of an odd activation has the same maps.
        let mirrored =
            Shaped { input_shift: -theirs.input_shift, output_shift: -theirs.output_shift, ..theirs };
        let close = |theirs: &Shaped| {
            list(&found).iter().zip(list(theirs)).all(|(a, b)| (a - b).abs() <= TOLERANCE * b.abs().max(1.0))
        };
        if !close(&theirs) && !close(&mirrored) {
            other.push(format!("{}: {found:?}, reference {theirs:?}", case["id"]));
        }
    }
    assert!(other.is_empty(), "{}", other.join("\n"));
}

#[test]
fn the_maps_of_shaped_activations_meet_their_targets() {
    for case in smooth() {
        let activation = activation(case["activation"].as_str().unwrap());
        let maps = shaped(&activation, target(&case)).unwrap().maps(&activation.formula);
        let near = |value: f64, expect: f64, what: &str| {
            assert!((value - expect).abs() < 1e-10, "{} {what}: {value} for {expect}", case["id"]);
        };
        near(maps.square, 1.0, "Q(1)");
        match target(&case) {
            Target::Slope(slope) => {
                near(maps.at_zero, 0.0, "C(0)");
                near(maps.slope, slope, "C'(1)");
            }
            Target::Curvature(curvature) => {
                near(maps.slope, 1.0, "C'(1)");
                near(maps.curvature, curvature, "C''(1)");
            }
        }
        if case["activation"] != "relu" {
            near(maps.square_slope, 1.0, "Q'(1)");
        }
    }
}

#[test]
fn leaky_slopes_are_those_of_the_reference() {
    for case in cases().into_iter().filter(|case| case["activation"] == "leaky_relu") {
        let found = shaped_leaky_relu(case["depth"].as_u64().unwrap() as usize, 0.9).unwrap();
        let get = |key: &str| case["params"][key].as_f64().unwrap();
        assert!((found.negative_slope - get("negative_slope")).abs() < TOLERANCE, "{case}: {found:?}");
        assert!((found.output_scale - get("output_scale")).abs() < TOLERANCE, "{case}: {found:?}");
    }
    assert!(shaped_leaky_relu(2, 0.9).is_err(), "two layers of ReLU do not reach 0.9");
}

/// Correlation and variance after a chain of a shaped activation, by the rules of the layers.
fn after_chain(formula: &str, depth: usize, rho: f64) -> (f64, f64) {
    let act = Layer::Activate(Activate { activation: Activation::parse(formula).unwrap() });
    let block = vec![act.into(), Layer::Dense(Dense { bias: false, ..Dense::of_width(8) }).into()];
    let first = Layer::Dense(Dense { bias: false, ..Dense::of_width(8) });
    let layers = vec![first.into(), Layer::Repeat(Repeat { times: depth, block }).into()];
    let plan = Plan::new(&Network { input: Shape::features(2), layers }).unwrap();
    let init = vec![LayerInit::normal(1.0, 0.0); plan.weighted];
    let inputs = Kernel::of_gram(Gram::of_covariance(&[1.0, rho, rho, 1.0], 2), false);
    let last = plan.propagate(inputs, &Theory::new(&init, &[])).pop().unwrap().unwrap().forward;
    (last.variance[0], last.covariance(0, 1).unwrap() / last.variance[0])
}

#[test]
fn a_shaped_chain_of_fifty_layers_keeps_its_signal_and_tells_inputs_apart() {
    let tanh = Activation::named("tanh").unwrap();
    let plain = after_chain("tanh(z)", 50, 0.5);
    let shaped = shaped(&tanh, Target::deep_kernel_shaping(50, 1.5).unwrap()).unwrap();
    let formula = shaped.formula(&tanh.formula).unwrap();
    let (variance, correlation) = after_chain(formula.text(), 50, 0.5);
    assert!(plain.0 < 0.05, "a plain chain loses its signal: {}", plain.0);
    assert!((variance - 1.0).abs() < 1e-6, "variance {variance}");
    // C of the whole chain is convex with slope 1.5 at one and value 0 at zero.
    assert!((0.2..0.5).contains(&correlation), "correlation {correlation}");
    let leaky = shaped_leaky_relu(50, 0.9).unwrap();
    let text = format!("{:?} * if(z > 0, z, {:?} * z)", leaky.output_scale, leaky.negative_slope);
    let (variance, correlation) = after_chain(&text, 50, 0.0);
    assert!((variance - 1.0).abs() < 1e-9 && (correlation - 0.9).abs() < 1e-4, "{variance}, {correlation}");
}

#[test]
fn every_activation_of_the_table_can_be_written_with_its_scales_and_shifts() {
    let shaped = Shaped { input_scale: 0.7, input_shift: -1e-3, output_shift: 0.2, output_scale: 1.3 };
    for row in carnot_net::activation::table::TABLE {
        let formula = Activation::named(row.name).unwrap().formula;
        let written = shaped.formula(&formula).unwrap_or_else(|why| panic!("{}: {why}", row.name));
        for z in [-1.7, -0.2, 0.4, 2.1] {
            let expect = 1.3 * (formula.value(0.7 * z - 1e-3) + 0.2);
            let off = (written.value(z) - expect).abs();
            assert!(off <= 1e-14 * expect.abs().max(1.0), "{} at {z}: {off}", row.name);
        }
    }
}
