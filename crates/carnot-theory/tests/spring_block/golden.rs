//! Every case of the sheet about the chain and about load curves; `tests/golden/spring-block.json` says how they were made.

use carnot_math::curve::shape;
use carnot_theory::spring_block::chain::{Chain, Friction, Parameters, loads};
use carnot_theory::spring_block::inertial::inertial;
use carnot_theory::spring_block::noise::Noise;
use carnot_theory::spring_block::overdamped::{Course, Member, overdamped};
use carnot_theory::spring_block::response::{
    balance, mean_slip, mean_slip_slope, relaxation_time, relaxed_loads,
};
use carnot_theory::spring_block::rest::rest;
use serde_json::Value;

use super::{chain, copies};

fn cases(kind: &str, at_least: usize) -> Vec<Value> {
    let file: Value =
        serde_json::from_str(include_str!("../../../../tests/golden/spring-block.json")).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    let found: Vec<Value> = cases.into_iter().filter(|case| case["kind"] == kind).collect();
    assert!(found.len() >= at_least, "{} cases of kind {kind}", found.len());
    found
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list")).iter().map(number).collect()
}

fn whole(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count")) as usize
}

/// Compares within the case's own tolerances.
fn assert_near(case: &Value, what: &str, got: &[f64], expected: &[f64]) {
    let (absolute, relative) = (number(&case["tol_abs"]), number(&case["tol_rel"]));
    assert_eq!(got.len(), expected.len(), "{}: {what}", case["name"]);
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        let allowed = absolute.max(relative * expected.abs());
        let off = (got - expected).abs();
        assert!(
            off <= allowed,
            "{}: {what}[{at}] = {got}, expected {expected} ± {allowed:.1e}",
            case["name"]
        );
    }
}

fn built(inputs: &Value) -> Chain {
    let same = |key: &str| Friction::Same(number(&inputs[key]));
    Chain::new(&Parameters {
        n_blocks: whole(&inputs["n"]),
        // Times do not depend on the end, and their rows have none.
        end: inputs["y"].as_f64().unwrap_or(1.0),
        stiffness: number(&inputs["k"]),
        damping: number(&inputs["gamma"]),
        friction_right: same("mur"),
        friction_left: same("mul"),
    })
    .unwrap()
}

fn snapshots(inputs: &Value) -> Vec<usize> {
    inputs["snapshots"].as_array().unwrap().iter().map(whole).collect()
}

#[test]
fn overdamped_chains_move_as_the_authors_scheme() {
    for case in cases("chain_overdamped", 5) {
        let inputs = &case["inputs"];
        let (chain, snapshots) = (built(inputs), snapshots(inputs));
        let start = inputs["x0"].as_array().map(|_| numbers(&inputs["x0"]));
        let member = Member { chain: &chain, noise: Noise::NONE, start: start.as_deref(), key: [0, 0] };
        let course =
            Course { step: number(&inputs["dt"]), steps: whole(&inputs["steps"]), snapshots: &snapshots };
        let track = overdamped(&[member], &course, 0).unwrap().remove(0);
        let expect = &case["expect"];
        assert_near(&case, "final position", &track.positions, &numbers(&expect["x_final"]));
        let stretched = loads(chain.end(), &track.positions);
        assert_near(&case, "load", &stretched, &numbers(&expect["elongation_final"]));
        for (at, positions) in snapshots.iter().zip(&track.snapshots) {
            let at = at.to_string();
            assert_near(&case, &format!("after {at}"), positions, &numbers(&expect["x_at"][at.as_str()]));
        }
    }
}

#[test]
fn chains_with_inertia_stick_as_the_reference_does() {
    for case in cases("chain_second_order", 1) {
        let (inputs, expect) = (&case["inputs"], &case["expect"]);
        let (chain, snapshots) = (built(inputs), snapshots(inputs));
        let course =
            Course { step: number(&inputs["dt"]), steps: whole(&inputs["steps"]), snapshots: &snapshots };
        let members = copies(&chain, Noise::NONE, 1);
        let track = inertial(&members, number(&inputs["m"]), &course, 0).unwrap().remove(0);
        assert_near(&case, "position", &track.track.positions, &numbers(&expect["x_final"]));
        assert_near(&case, "velocity", &track.velocities, &numbers(&expect["v_final"]));
        for (at, snapshot) in snapshots.iter().enumerate() {
            let expected = &expect["at"][snapshot.to_string().as_str()];
            assert_near(&case, "x on the way", &track.track.snapshots[at], &numbers(&expected["x"]));
            assert_near(&case, "v on the way", &track.velocities_at[at], &numbers(&expected["v"]));
        }
    }
}

#[test]
fn chains_at_rest_are_parabolas() {
    for case in cases("closed_form", 1) {
        for row in case["expect"]["rows"].as_array().unwrap() {
            let chain = Chain::new(&Parameters {
                n_blocks: whole(&row["n"]),
                end: number(&row["y"]),
                friction_right: Friction::Same(number(&row["m"])),
                ..Parameters::default()
            });
            let rest = rest(&chain.unwrap());
            assert_near(&case, "load", &rest.loads, &numbers(&row["elongation"]));
        }
    }
}

#[test]
fn mean_responses_and_times_are_those_of_the_sheet() {
    for case in cases("mean_field", 3) {
        let (inputs, expect) = (&case["inputs"], &case["expect"]);
        let rows = expect["rows"].as_array().cloned().unwrap_or_default();
        assert!(!rows.is_empty() || inputs["mur"].is_number(), "{}", case["name"]);
        for row in &rows {
            let (s, right, left) = (number(&row["s"]), number(&row["mur"]), number(&row["mul"]));
            if row["mean_slip"].is_number() {
                let got = mean_slip(number(&row["z"]), s, right, left);
                assert_near(&case, "mean slip", &[got], &[number(&row["mean_slip"])]);
            } else {
                let chain = built(row);
                let slope = mean_slip_slope(balance(right, left), s, right, left);
                let got = [chain.frictionless_time(), slope, relaxation_time(&chain, s).unwrap()];
                let keys = ["frictionless_time", "rate_factor", "relaxation_time"];
                assert_near(&case, "times", &got, &keys.map(|key| number(&row[key])));
            }
        }
        if rows.is_empty() {
            let [right, left, s] = ["mur", "mul", "s"].map(|key| number(&inputs[key]));
            let got = [balance(right, left), mean_slip_slope(balance(right, left), s, right, left)];
            let expected = ["z_star", "rate_factor"].map(|key| number(&expect[key]));
            assert_near(&case, "zero and rate", &got, &expected);
        }
    }
}

#[test]
fn shaken_chains_have_the_means_of_the_sheet() {
    for case in cases("chain_overdamped_noise", 2) {
        let (inputs, expect) = (&case["inputs"], &case["expect"]);
        let chain = built(inputs);
        let course = Course { step: number(&inputs["dt"]), steps: whole(&inputs["steps"]), snapshots: &[] };
        let runs = whole(&inputs["runs"]);
        let members = copies(&chain, Noise::per_step(number(&inputs["s"])), runs);
        let tracks = overdamped(&members, &course, 5).unwrap();
        let mut mean = vec![0.0; chain.n_blocks() + 1];
        for track in &tracks {
            let each = loads(chain.end(), &track.mean);
            mean.iter_mut().zip(each).for_each(|(mean, load)| *mean += load / runs as f64);
        }
        assert_near(&case, "mean load (seed 5)", &mean, &numbers(&expect["mean_elongation"]));
        let relaxed = relaxed_loads(&chain);
        let predicted = numbers(&expect["infinite_time_prediction"]);
        assert!(super::largest_gap(&relaxed, &predicted) < 1e-12, "{relaxed:?}");
    }
}

#[test]
fn load_curves_have_the_shapes_of_the_sheet() {
    for case in cases("load_curve", 3) {
        let expect = &case["expect"];
        let shape = shape(&numbers(&case["inputs"]["D"])).unwrap();
        let relative = shape.relative.clone().unwrap();
        assert_near(&case, "loads", &shape.loads, &numbers(&expect["loads"]));
        assert_near(&case, "share", &relative.share, &numbers(&expect["share"]));
        assert_near(&case, "stress", &relative.stress, &numbers(&expect["stress"]));
        let got = [
            ("total", shape.total),
            ("pearson_r", shape.correlation.unwrap()),
            ("load_std", shape.load_spread),
            ("relative_load_std", relative.spread),
            ("curvature_sum", shape.curvature),
            ("convexity", relative.convexity),
            ("centre_of_load", shape.centre.unwrap()),
            ("friction_index", relative.friction_index),
        ];
        for (key, got) in got {
            assert_near(&case, key, &[got], &[number(&expect[key])]);
        }
        let place = |key: &str| expect[key].as_u64().map(|place| place as usize);
        assert_eq!(shape.largest_drop, place("largest_drop_after_layer"), "{}", case["name"]);
        assert_eq!(shape.lowest_load, place("lowest_load_layer"), "{}", case["name"]);
    }
}

#[test]
fn another_friction_is_another_curve() {
    // Guards the comparisons above against tolerances that would pass anything.
    let (a, b) = (rest(&chain(0.01, 0.0)), rest(&chain(0.0100001, 0.0)));
    assert!(super::largest_gap(&a.loads, &b.loads) > 1e-8);
}
