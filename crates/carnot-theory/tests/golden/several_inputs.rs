//! Sections about two and more inputs.

use crate::entry::Entry;
use carnot_theory::layer::{Scales, Stack};
use carnot_theory::pair::{Grams, Pair, grams, pair_moments};
use carnot_theory::tensors::{Tensors, Wanted, tensors};
use serde_json::{Value, json};

pub fn moments2d(entry: &Entry) -> Vec<String> {
    let k = entry.numbers("K");
    let all =
        pair_moments(&entry.activation(), Pair { first: k[0], second: k[3], between: k[1] }).expect("finite");
    entry.compare(json!({ "s1s2": all.value, "p1p2": all.slope.ok() }))
}

pub fn stack(entry: &Entry, depth: usize) -> Stack {
    let scales = Scales::new(entry.number("C_W"), entry.number("C_b"));
    let scales = scales.with_rates(entry.number_or("lambda_W", 1.0), entry.number_or("lambda_b", 0.0));
    Stack::uniform(&entry.activation(), depth, scales)
}

/// x_a·x_b/n₀ of inputs `[D, n₀]`.
pub fn gram_of(inputs: &[Vec<f64>]) -> Vec<f64> {
    let dot = |a: &Vec<f64>, b: &Vec<f64>| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>() / a.len() as f64;
    inputs.iter().flat_map(|a| inputs.iter().map(move |b| dot(a, b))).collect()
}

pub fn rows_of(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().expect("rows").iter().map(crate::entry::flat).collect()
}

pub fn pair_tables(entry: &Entry) -> Vec<String> {
    let stack = stack(entry, entry.count("L"));
    let layers = grams(&stack, &entry.numbers("gram_x_over_n0"), 2).expect("finite");
    let row = |(index, layer): (usize, &Grams)| {
        let (k, theta) = (&layer.kernel, layer.tangent.as_ref().expect("no jump"));
        json!([index + 1, k[0], k[1], k[3], theta[0], theta[1], theta[3], k[1] / (k[0] * k[3]).sqrt()])
    };
    let rows: Vec<Value> = layers.iter().enumerate().map(row).collect();
    entry.compare(json!({ "columns": entry.value["columns"], "rows": rows }))
}

pub fn pair_tensors(entry: &Entry) -> Vec<String> {
    let stack = stack(entry, entry.count("layer"));
    let layers = tensors(&stack, &entry.numbers("gram_x_over_n0"), 2, Wanted::Differentials).expect("finite");
    entry.compare(tensor_values(layers.last().expect("layers")))
}

pub fn tensor_values(state: &Tensors) -> Value {
    let tangent = state.tangent.as_ref().expect("wanted");
    let first = state.differentials.as_ref().expect("wanted");
    let mut all = json!({
        "K": state.kernel, "G1": state.kernel_shift, "V": state.vertex.values(), "Theta": tangent.mean,
        "H1": tangent.shift, "A": tangent.a.values(), "B": tangent.b.values(), "D": tangent.d.values(),
        "F": tangent.f.values(), "P": first.p.values(), "Q": first.q.values(),
    });
    if let Some(Ok(second)) = &state.curvature {
        all["R"] = json!(second.r.values());
        all["S"] = json!(second.s.values());
        all["T"] = json!(second.t.values());
        all["U"] = json!(second.u.values());
    }
    all
}

/// The last kernels of a gram entry.
pub fn gram_entry(entry: &Entry) -> Grams {
    let inputs = rows_of(&entry.inputs["X"]);
    let layers = grams(&stack(entry, entry.count("L")), &gram_of(&inputs), inputs.len()).expect("finite");
    layers.into_iter().next_back().expect("layers")
}

pub fn gram(entry: &Entry) -> Vec<String> {
    let last = gram_entry(entry);
    let rows = |m: &[f64]| m.chunks(last.samples).map(<[f64]>::to_vec).collect::<Vec<_>>();
    entry.compare(json!({ "K": rows(&last.kernel), "Theta": rows(last.tangent.as_ref().expect("no jump")) }))
}
