//! Sections about information, residual networks, transformers, normalisation and scaling.

use crate::entry::{Entry, activation, flat};
use carnot_theory::criticality::Slopes;
use carnot_theory::information::{best_aspect_ratio, mixture_information, mutual_information};
use carnot_theory::isometry::{SingularValues, WeightLaw, singular_values};
use carnot_theory::normalization::batch_norm_growth;
use carnot_theory::parametrization::{Group, maximal_update};
use carnot_theory::phases::boundary;
use carnot_theory::residual::{
    ResidualRow, ResidualScales, kernel_zero_growth, residual_table, scale_invariant_growth,
    skip_for_aspect_ratio,
};
use carnot_theory::transformer::{
    AttentionScales, MlpScales, PreNormStack, attention_block, normalized, pre_norm_stack,
};
use serde_json::json;

pub fn information(entry: &Entry) -> Vec<String> {
    if entry.inputs.get("n_L").is_some() {
        return entry.compare(json!({ "r_star": best_aspect_ratio(entry.number("nu"), entry.count("n_L")) }));
    }
    let (first, second, variance) = (entry.count("m1"), entry.count("m2"), entry.number("log_variance"));
    let eps = variance.exp_m1();
    entry.compare(json!({
        "mi": mixture_information(first, second, variance).expect("in range"), "eps": eps,
        "truncated_eps": mutual_information(first, second, eps),
    }))
}

pub fn residual_rows(name: &str, first: f64, scales: ResidualScales, layers: usize) -> Vec<ResidualRow> {
    residual_table(&activation(name), first, &vec![scales; layers - 1]).expect("finite")
}

pub fn residual(entry: &Entry) -> Vec<String> {
    if entry.inputs.get("r").is_some() {
        return entry
            .compare(json!({ "gamma": skip_for_aspect_ratio(entry.number("r"), entry.count("n_L")) }));
    }
    let skip = entry.number("gamma");
    let Some(name) = entry.inputs["activation"].as_str() else {
        let growth = scale_invariant_growth(Slopes { plus: 1.0, minus: 0.0 }, skip).expect("in range");
        return entry.compare(json!({
            "nu_quartic_only": growth.quartic, "nu_full": growth.full, "nu_tanh": kernel_zero_growth(skip),
        }));
    };
    let scales = ResidualScales { c_w: entry.number("C_W"), c_b: entry.number("C_b"), skip };
    let layers = entry.value["K"].as_array().expect("layers").len();
    let rows = residual_rows(name, entry.number("K1"), scales, layers);
    let column = |f: fn(&ResidualRow) -> f64| rows.iter().map(f).collect::<Vec<f64>>();
    entry.compare(json!({
        "K": column(|r| r.kernel), "V": column(|r| r.vertex), "V_quartic_only": column(|r| r.vertex_quartic),
        "T3": column(|r| r.three_point),
    }))
}

pub fn pre_norm_of(name: &str, c_w: f64, c_x: f64, start: f64, blocks: usize) -> PreNormStack {
    pre_norm_stack(&activation(name), MlpScales { c_w, c_x }, start, blocks).expect("finite")
}

pub fn pre_norm(entry: &Entry) -> Vec<String> {
    let name = entry.inputs["activation"].as_str().expect("an activation");
    let stack = pre_norm_of(
        name,
        entry.number("C_W"),
        entry.number("C_X"),
        entry.number("G1"),
        entry.count("blocks"),
    );
    entry.compare(json!({ "G": stack.kernel, "J2": stack.jacobian }))
}

pub fn transformer(entry: &Entry) -> Vec<String> {
    let kernel = flat(&entry.inputs["G"]);
    let tokens = entry.inputs["G"].as_array().expect("rows").len();
    let scales = AttentionScales {
        c_q: entry.number("C_Q"),
        c_k: entry.number("C_K"),
        c_v: entry.number("C_V"),
        c_u: entry.number("C_U"),
    };
    let rows = |m: Vec<f64>| m.chunks(tokens).map(<[f64]>::to_vec).collect::<Vec<_>>();
    entry.compare(json!({
        "F": rows(normalized(&kernel, tokens).expect("positive")),
        "G_out": rows(attention_block(&kernel, tokens, scales).expect("few tokens")),
    }))
}

pub fn batch_norm(entry: &Entry) -> Vec<String> {
    entry.compare(json!({ "factor": batch_norm_growth(&entry.activation()).expect("no jump") }))
}

pub fn spectrum(name: &str, law: WeightLaw, kernel: f64, depth: usize) -> SingularValues {
    let activation = activation(name);
    let edge = boundary(&activation, kernel).expect("no jump");
    singular_values(&activation, kernel, edge.c_w, depth, law).expect("no jump")
}

pub fn law(name: &str) -> WeightLaw {
    if name.starts_with("gauss") { WeightLaw::Gaussian } else { WeightLaw::Orthogonal }
}

pub fn isometry(entry: &Entry) -> Vec<String> {
    let name = entry.inputs["activation"].as_str().unwrap_or("tanh");
    let law = law(entry.inputs["init"].as_str().expect("a law"));
    let values = spectrum(name, law, entry.number("K_star"), entry.count("L"));
    entry.compare(json!({ "mu2_over_mu1sq": values.slope_ratio, "variance": values.variance }))
}

pub fn parametrization(entry: &Entry) -> Vec<String> {
    let of = |group| maximal_update(group, entry.number("m")).expect("positive");
    let (input, hidden, output, bias) =
        (of(Group::Input), of(Group::Hidden), of(Group::Output), of(Group::Bias));
    entry.compare(json!({
        "hidden_init_var": hidden.variance, "hidden_lr_adam": hidden.adam, "hidden_lr_sgd": hidden.sgd,
        "input_lr_adam": input.adam, "input_lr_sgd": input.sgd, "output_logit_multiplier": output.output,
        "output_lr_adam_with_multiplier": output.adam, "output_lr_sgd_with_multiplier": output.sgd,
        "bias_lr_adam": bias.adam, "bias_lr_sgd": bias.sgd,
    }))
}
