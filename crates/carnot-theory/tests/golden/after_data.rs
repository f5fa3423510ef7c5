//! Sections about inference and training.

use crate::entry::{Entry, named};
use crate::several_inputs::{gram_entry, gram_of, rows_of, stack};
use carnot_theory::inference::{Duration, Split, descent, expected_error, posterior, posterior_shift};
use carnot_theory::layer::Stack;
use carnot_theory::tangent::{Sum, largest_stable_rate};
use carnot_theory::tensors::{Wanted, tensors};
use carnot_theory::training::{Problem, TrainedMean, trained_mean};
use serde_json::{Value, json};

/// Training indices 0..n−1 and the test index n−1 of n inputs.
const FIRST: &[usize] = &[0, 1, 2, 3, 4, 5, 6, 7];

pub fn bayes_infinite(entry: &Entry) -> Vec<String> {
    let grams = gram_entry(&named(entry.inputs["gram"].as_str().expect("a gram")));
    let (targets, n) = (entry.numbers("y"), grams.samples - 1);
    let split = Split {
        kernel: &grams.kernel,
        samples: grams.samples,
        train: &FIRST[..n],
        test: &[n],
        targets: &targets,
        outputs: 1,
    };
    let posterior = posterior(split, entry.number_or("noise", 0.0)).expect("positive definite");
    entry.compare(json!({
        "mean": posterior.prediction.mean[0], "var": posterior.prediction.covariance[0],
        "ln_evidence": posterior.log_evidence,
    }))
}

pub fn kernel_gd(entry: &Entry) -> Vec<String> {
    let grams = gram_entry(&named(entry.inputs["gram"].as_str().expect("a gram")));
    let (targets, n) = (entry.numbers("y"), grams.samples - 1);
    let tangent = grams.tangent.expect("no jump");
    let duration = match entry.inputs["steps"].as_u64() {
        Some(steps) => Duration::Steps { rate: entry.number("eta"), steps: steps as u32 },
        None => Duration::Converged,
    };
    let split = Split {
        kernel: &grams.kernel,
        samples: grams.samples,
        train: &FIRST[..n],
        test: &[n],
        targets: &targets,
        outputs: 1,
    };
    let prediction = descent(split, &tangent, duration).expect("positive definite");
    let inner: Vec<f64> = (0..n * n).map(|k| tangent[k / n * grams.samples + k % n]).collect();
    entry.compare(json!({
        "mean": prediction.mean[0], "var": prediction.covariance[0],
        "gen_error_if_target_0p3": expected_error(&prediction, 0, 0, 1, 0.3),
        "max_eta": largest_stable_rate(&inner, n, Sum::HalfSum).expect("positive"),
    }))
}

/// Targets given as one list for each output, as `[train, outputs]`.
fn by_example(value: &Value) -> (Vec<f64>, usize) {
    let rows = rows_of(value);
    let n = rows[0].len();
    ((0..n * rows.len()).map(|k| rows[k % rows.len()][k / rows.len()]).collect(), rows.len())
}

pub fn bayes_finite(entry: &Entry) -> Vec<String> {
    let inputs = rows_of(&entry.inputs["X"]);
    let (targets, outputs) = by_example(&entry.inputs["y"]);
    entry.compare(bayes(&stack(entry, entry.count("L")), &inputs, &targets, outputs))
}

pub fn bayes(stack: &Stack, inputs: &[Vec<f64>], targets: &[f64], outputs: usize) -> Value {
    let samples = inputs.len();
    let layers = tensors(stack, &gram_of(inputs), samples, Wanted::Kernel).expect("resolved");
    let last = layers.last().expect("layers");
    let split = Split {
        kernel: &last.kernel,
        samples,
        train: &FIRST[..samples - 1],
        test: &[samples - 1],
        targets,
        outputs,
    };
    let leading = posterior(split, 0.0).expect("positive definite");
    let shift = posterior_shift(split, &last.kernel_shift, &last.vertex).expect("positive definite");
    json!({
        "mean0": leading.prediction.mean, "cov0": leading.prediction.covariance[0], "lnev0": leading.log_evidence,
        "mean1": shift.mean, "cov1_same": shift.variance, "lnev1": shift.log_evidence,
        "cross1": shift.hebbian.chunks(outputs).collect::<Vec<_>>(),
    })
}

/// Trained mean with the first inputs as training set and the last as test.
pub fn train(stack: &Stack, inputs: &[Vec<f64>], targets: &[f64], outputs: usize) -> TrainedMean {
    let samples = inputs.len();
    let layers = tensors(stack, &gram_of(inputs), samples, Wanted::Differentials).expect("resolved");
    let last = layers.last().expect("layers");
    let problem =
        Problem { tensors: last, train: &FIRST[..samples - 1], test: samples - 1, targets, outputs };
    trained_mean(problem).expect("smooth")
}

pub fn train_finite(entry: &Entry) -> Vec<String> {
    let stack = stack(entry, entry.count("L"));
    if entry.inputs.get("X_train").is_some() {
        let inputs = vec![entry.numbers("X_train"), entry.numbers("X_test")];
        let mean = train(&stack, &inputs, &[entry.number("y")], 1);
        return entry.compare(json!({
            "mean_inf": mean.frozen[0], "one_over_n_frozen": mean.fluctuation[0],
            "one_over_n_dNTK": mean.first_differential[0], "one_over_n_ddNTK": mean.second_differential[0],
        }));
    }
    let (targets, outputs) = by_example(&entry.inputs["y"]);
    let mean = train(&stack, &rows_of(&entry.inputs["X"]), &targets, outputs);
    entry.compare(json!({
        "mean_inf": mean.frozen, "one_over_n_frozen": mean.fluctuation, "one_over_n_dNTK": mean.first_differential,
        "one_over_n_ddNTK": mean.second_differential,
    }))
}
