//! Every entry of `tests/golden/predictions.json`, made with the peer named in it.

use carnot_net::activation::Activation;
use carnot_theory::inference::Duration;
use carnot_theory::layer::{Scales, Stack};
use carnot_theory::pair::grams;
use carnot_theory::regression::descent::{Descent, Loss, Start};
use carnot_theory::regression::modes::Modes;
use carnot_theory::regression::posterior::Posterior;
use carnot_theory::regression::problem::{Prior, Ridge, Targets};
use serde_json::Value;

use crate::support::{assert_close, block};

fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        number => vec![number.as_f64().expect("a number")],
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// Kernels K and Θ between the samples of one or two input arrays, and the number of rows of each.
struct Kernels {
    kernel: Vec<f64>,
    tangent: Vec<f64>,
    rows: Vec<usize>,
}

fn kernels(file: &Value, entry: &Value) -> Kernels {
    let arrays = ["x_train", "x_test"].map(|key| entry[key].as_str().map(|name| &file["inputs"][name]));
    let arrays: Vec<&Value> = arrays.into_iter().flatten().collect();
    let rows: Vec<usize> = arrays.iter().map(|array| number(&array["shape"][0]) as usize).collect();
    let width = number(&arrays[0]["shape"][1]) as usize;
    let inputs: Vec<f64> = arrays.iter().flat_map(|array| flat(&array["data"])).collect();
    let points: Vec<&[f64]> = inputs.chunks(width).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>() / width as f64;
    let gram: Vec<f64> = points.iter().flat_map(|a| points.iter().map(move |b| dot(a, b))).collect();
    let layers = entry["arch"].as_array().expect("layers");
    let name =
        layers.iter().find_map(|l| l["op"].as_str().filter(|op| *op != "dense")).expect("one activation");
    let dense = layers.iter().filter(|layer| layer["op"] == "dense");
    let scales = |layer: &Value| {
        let (c_w, c_b) = (number(&layer["W_std"]).powi(2), layer["b_std"].as_f64().unwrap_or(0.0).powi(2));
        Scales { c_w, c_b, lambda_w: c_w, lambda_b: c_b }
    };
    let activation = Activation::parse(name).expect("known").formula;
    let stack = Stack { activation, layers: dense.map(scales).collect(), width_ratios: vec![] };
    let last = grams(&stack, &gram, points.len()).expect("kernels").pop().expect("a layer");
    Kernels { kernel: last.kernel, tangent: last.tangent.expect("a smooth activation"), rows }
}

fn file() -> Value {
    let text = include_str!("../golden/predictions.json");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn predictions_of_the_peer_are_reproduced_at_every_time_and_ridge() {
    let file = file();
    let entries = file["predict"].as_array().expect("entries");
    let mut seen = 0;
    for entry in entries.iter().filter(|entry| !entry["times"].is_null()) {
        let Kernels { kernel, tangent, rows } = kernels(&file, entry);
        let (n, total) = (rows[0], rows[0] + rows[1]);
        let (train, test): (Vec<usize>, Vec<usize>) = (0..total).partition(|&i| i < n);
        let part = |of: &[f64], a: &[usize], b: &[usize]| block(of, total, a, b);
        let (k_aa, k_ba, k_bb) =
            (part(&kernel, &train, &train), part(&kernel, &test, &train), part(&kernel, &test, &test));
        let (theta_aa, theta_ba) = (part(&tangent, &train, &train), part(&tangent, &test, &train));
        let values = flat(&entry["y_train"]);
        let targets = Targets { values: &values, outputs: values.len() / n };
        let ridge = Ridge::Relative(number(&entry["diag_reg"]));
        let rate = number(&entry["learning_rate"]);
        let (k_modes, theta_modes) = (Modes::of(&k_aa, n).unwrap(), Modes::of(&theta_aa, n).unwrap());
        let noise = ridge.absolute(k_modes.mean_diagonal()).unwrap();
        let start = |noise| Start::Ensemble { train: &k_aa, cross: &k_ba, prior: Prior::Full(&k_bb), noise };
        for time in entry["times"].as_array().expect("times") {
            let duration = time["t"].as_f64().map_or(Duration::Converged, |t| Duration::Flow(rate * t));
            let compare = |key: &str, mean: &[f64], covariance: Option<Vec<f64>>| {
                let what = format!("{} {key} at t = {}", entry["id"], time["t"]);
                assert_close(&what, mean, &flat(&time[format!("{key}_mean")]), 1e-11);
                let covariance = covariance.expect("asked for");
                assert_close(&what, &covariance, &flat(&time[format!("{key}_cov")]), 1e-11);
            };
            let descent = Descent::new(&theta_modes, targets, ridge, Loss::Mean).unwrap();
            let ntk = descent.predict(&theta_ba, start(0.0), duration).unwrap();
            compare("ntk", &ntk.mean, ntk.covariance);
            // With the kernel of the start itself the peer counts the ridge as noise of the start.
            let descent = Descent::new(&k_modes, targets, ridge, Loss::Mean).unwrap();
            let nngp = descent.predict(&k_ba, start(noise), duration).unwrap();
            compare("nngp", &nngp.mean, nngp.covariance);
            if duration == Duration::Converged {
                let posterior = Posterior::fit(k_aa.clone(), n, targets, ridge).unwrap();
                let bayes = posterior.predict(&k_ba, Prior::Full(&k_bb)).unwrap();
                compare("nngp", &bayes.mean, bayes.covariance);
            }
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} times compared");
}

#[test]
fn the_largest_rate_of_the_peer_is_reproduced() {
    let file = file();
    let entries = file["predict"].as_array().expect("entries");
    let entry = entries.iter().find(|entry| entry["id"] == "max-lr-a").expect("the entry");
    let Kernels { tangent, rows, .. } = kernels(&file, entry);
    let modes = Modes::of(&tangent, rows[0]).unwrap();
    let outputs = number(&entry["y_train_size"]) as usize / rows[0];
    assert_close("λ_max", &[modes.largest()], &[number(&entry["largest_eigenvalue"])], 1e-11);
    let rate = Loss::Mean.largest_rate(modes.largest(), rows[0], outputs);
    assert_close("rate", &[rate], &[number(&entry["max_learning_rate"])], 1e-11);
}
