//! Sections with Monte-Carlo measurements over real finite networks: our theory must equal the recorded theory, and agree with
//! the measurement within four standard errors plus, where the measurement is at one width, the next order in 1/n.

use crate::after_data::{bayes as predict, train};
use crate::architectures::{law, pre_norm_of, residual_rows, spectrum};
use crate::entry::{Entry, agree, flat, matches, named};
use crate::one_input::rows;
use crate::several_inputs::{gram_of, rows_of, stack, tensor_values};
use carnot_theory::criticality::{Slopes, criticality};
use carnot_theory::deep_linear::scale_invariant_second_moment;
use carnot_theory::layer::{Scales, Stack};
use carnot_theory::normalization::batch_norm_growth;
use carnot_theory::residual::ResidualScales;
use carnot_theory::tensors::{Wanted, tensors as all_tensors};
use serde_json::json;

/// The common set-up of the measurements: variances per activation, λ_b = 0.4, λ_W = 1.
fn common_stack(entry: &Entry, depth: usize) -> Stack {
    let activation = entry.activation();
    let scales = match entry.inputs["act"].as_str() {
        Some("tanh") => Scales::new(1.3, 0.05),
        _ => {
            let answer = criticality(&activation).expect("an answer");
            let point = answer.point().expect("critical");
            Scales::new(point.c_w, point.c_b)
        }
    };
    Stack::uniform(&activation, depth, scales.with_rates(1.0, 0.4))
}

pub fn isometry(entry: &Entry) -> Vec<String> {
    let name = entry.inputs["act"].as_str().expect("an activation");
    let law = law(entry.inputs["init"].as_str().expect("a law"));
    let theory = spectrum(name, law, entry.number("Kstar"), entry.count("L")).variance;
    let mut failures = matches(&entry.value["theory"], json!(theory), 1e-8, 1e-12);
    let (value, error) =
        (entry.value["var"].as_f64().expect("a number"), entry.value["err"].as_f64().expect("an error"));
    failures.extend(agree("variance", value, error, theory, 0.0));
    failures
}

pub fn batch_norm(entry: &Entry) -> Vec<String> {
    let theory = batch_norm_growth(&entry.activation()).expect("no jump");
    let mut failures = matches(&entry.value["theory_large_B"], json!(theory), 1e-9, 1e-12);
    let number = |key: &str| entry.value[key].as_f64().expect("a number");
    failures.extend(agree(
        "factor",
        number("factor"),
        number("err"),
        theory,
        2.0 * theory / entry.number("B"),
    ));
    failures
}

pub fn pre_norm(entry: &Entry) -> Vec<String> {
    let reference = named("preln-001");
    let name = entry.inputs["act"].as_str().expect("an activation");
    let theory = pre_norm_of(name, reference.number("C_W"), reference.number("C_X"), 1.0, entry.count("L"));
    let mut failures = matches(&entry.value["G_theory"], json!(theory.kernel), 1e-9, 1e-12);
    failures.extend(matches(&entry.value["J2_theory"], json!(theory.jacobian), 1e-9, 1e-12));
    let (measured, errors) = (flat(&entry.value["J2"]), flat(&entry.value["J2_err"]));
    for (k, theory) in theory.jacobian.iter().enumerate() {
        failures.extend(agree("J2", measured[k], errors[k], *theory, 2.0 * theory / entry.number("n")));
    }
    failures
}

fn bayes_inputs() -> (Vec<Vec<f64>>, Vec<f64>) {
    let reference = named("bayes_finite-001");
    let y = rows_of(&reference.inputs["y"]);
    (rows_of(&reference.inputs["X"]), vec![y[0][0], y[1][0], y[0][1], y[1][1]])
}

pub fn bayes(entry: &Entry) -> Vec<String> {
    let (inputs, targets) = bayes_inputs();
    let ours = predict(&common_stack(entry, entry.count("L")), &inputs, &targets, 2);
    let theory = vec![
        flat(&ours["mean1"])[0],
        flat(&ours["mean1"])[1],
        ours["cov1_same"].as_f64().expect("a number"),
        flat(&ours["cross1"])[1],
        ours["lnev1"].as_f64().expect("a number"),
    ];
    let mut failures = matches(&entry.value["theory"], json!(theory), 2e-4, 1e-5);
    let (measured, errors) = (flat(&entry.value["mc_n_times_dev"]), flat(&entry.value["err"]));
    for k in 0..theory.len() {
        let next = 8.0 * theory[k].abs() / entry.number("n");
        failures.extend(agree("posterior", measured[k], errors[k], theory[k], next));
    }
    failures
}

fn trained(entry: &Entry, inputs: &[Vec<f64>], targets: &[f64]) -> Vec<String> {
    let mean = train(&common_stack(entry, entry.count("L")), inputs, targets, 1);
    let parts =
        [mean.frozen[0], mean.fluctuation[0], mean.first_differential[0], mean.second_differential[0]];
    let total = mean.shift()[0];
    let digits = 1.5e-4;
    let mut failures = matches(&entry.value["theory"], json!(parts), digits, digits);
    failures.extend(matches(&entry.value["theory_total"], json!(total), digits, 2.0 * digits));
    let number = |key: &str| entry.value[key].as_f64().expect("a number");
    failures.extend(agree("trained mean", number("mc"), number("err"), total, 0.0));
    failures
}

pub fn train_one(entry: &Entry) -> Vec<String> {
    let reference = named("train_finite-001");
    trained(entry, &[reference.numbers("X_train"), reference.numbers("X_test")], &[entry.number("y")])
}

pub fn train_two(entry: &Entry) -> Vec<String> {
    let reference = named("train_finite-005");
    trained(entry, &rows_of(&reference.inputs["X"]), &entry.numbers("y"))
}

pub fn forward(entry: &Entry) -> Vec<String> {
    let (c_w, c_b, n) = (entry.number("CW"), entry.number("Cb"), entry.count("n"));
    let stack = Stack::uniform(&entry.activation(), entry.count("L"), Scales::new(c_w, c_b));
    let rows = rows(&stack, (entry.number("K1") - c_b) / c_w);
    let column = |f: fn(&carnot_theory::finite_width::Row) -> f64| rows.iter().map(f).collect::<Vec<f64>>();
    let (kernel, shift, vertex) = (column(|r| r.kernel), column(|r| r.kernel_shift), column(|r| r.vertex));
    let mut failures = matches(&entry.value["K_theory"], json!(kernel), 1e-8, 1e-10);
    failures.extend(matches(&entry.value["G1_theory"], json!(shift), 1e-7, 1e-9));
    failures.extend(matches(&entry.value["V_theory"], json!(vertex), 1e-7, 1e-9));
    let (means, mean_errors) = (flat(&entry.value["mean"]), flat(&entry.value["mean_err"]));
    let (spreads, spread_errors) = (flat(&entry.value["V"]), flat(&entry.value["V_err"]));
    let relu = Slopes { plus: 1.0, minus: 0.0 };
    for k in 1..rows.len() {
        let relative = vertex[k] / kernel[k].powi(2) / n as f64;
        let next = (relative * relative).max(4.0 / (n * n) as f64);
        failures.extend(agree(
            "mean",
            means[k],
            mean_errors[k],
            kernel[k] + shift[k] / n as f64,
            kernel[k] * next,
        ));
        let (theory, allowed) = if entry.inputs["act"] == "relu" {
            // Exact at any width.
            let second = scale_invariant_second_moment(relu, &vec![n; k]).expect("widths");
            (n as f64 * (second - 1.0) * kernel[k].powi(2), 0.0)
        } else {
            // Higher orders in depth/width add up like a geometric series.
            (vertex[k], vertex[k] * (2.0 * relative + 1.0 / n as f64))
        };
        failures.extend(agree("V", spreads[k], spread_errors[k], theory, allowed));
    }
    failures
}

pub fn residual(entry: &Entry) -> Vec<String> {
    let name = entry.inputs["act"].as_str().expect("an activation");
    let skip = entry.number("gamma");
    let c_w = (1.0 - skip * skip) * if name == "relu" { 2.0 } else { 1.0 };
    let rows = residual_rows(name, 1.0, ResidualScales { c_w, c_b: 0.0, skip }, entry.count("L"));
    let last = rows.last().expect("rows");
    let mut failures = matches(&entry.value["theory_V"], json!(last.vertex), 1e-5, 1e-9);
    failures.extend(matches(&entry.value["theory_V_quartic_only"], json!(last.vertex_quartic), 1e-5, 1e-9));
    let number = |key: &str| entry.value[key].as_f64().expect("a number");
    let relative = last.vertex / last.kernel.powi(2) / entry.number("n");
    failures.extend(agree("V", number("V"), number("V_err"), last.vertex, last.vertex * relative));
    failures
}

pub fn tensors(entry: &Entry) -> Vec<String> {
    let inputs = rows_of(&entry.inputs["X"]);
    let stack = stack(entry, entry.count("L"));
    let layers = all_tensors(&stack, &gram_of(&inputs), 2, Wanted::Differentials).expect("finite");
    let ours = tensor_values(layers.last().expect("layers"));
    let mut failures = matches(&entry.value["theory_leading"], ours.clone(), 1e-5, 1e-6);
    for (key, measured) in entry.value["mean"].as_object().expect("tensors") {
        let (measured, errors, theory) =
            (flat(measured), flat(&entry.value["stderr"][key]), flat(&ours[key]));
        let largest = theory.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        for k in 0..measured.len() {
            let next = 13.0 / entry.number("n") * largest;
            failures.extend(agree(&format!("{key}[{k}]"), measured[k], errors[k], theory[k], next));
        }
    }
    failures
}

pub fn tangent_mean(entry: &Entry) -> Vec<String> {
    let inputs = rows_of(&named("mc_tensors-001").inputs["X"]);
    let stack = common_stack(entry, entry.count("L"));
    let layers = all_tensors(&stack, &gram_of(&inputs), 2, Wanted::Tangent).expect("finite");
    let shift = &layers.last().and_then(|l| l.tangent.as_ref()).expect("wanted").shift;
    let theory = [shift[0], shift[1], shift[3]];
    let mut failures = matches(&entry.value["theory_H1"], json!(theory), 0.0, 1e-4);
    let (measured, errors) = (flat(&entry.value["mc_n_times_dev"]), flat(&entry.value["err"]));
    for k in 0..3 {
        failures.extend(agree("H1", measured[k], errors[k], theory[k], 0.0));
    }
    failures
}
