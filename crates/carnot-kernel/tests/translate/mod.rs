//! The peer's list of operations as a network of Carnot, in TOML.

use carnot_net::hyper::LayerInit;
use carnot_net::layers::LayerRule;
use carnot_net::parametrization::Parametrization;
use carnot_net::plan::Plan;
use serde_json::Value;

/// Width of layers that do not say theirs; kernels of infinite width do not depend on it.
const WIDTH: u64 = 16;

pub fn network(arch: &[Value], input: &[usize]) -> String {
    format!("input = {input:?}\nlayers = [{}]\n", layers(arch))
}

fn layers(arch: &[Value]) -> String {
    arch.iter().map(layer).collect::<Vec<_>>().join(", ")
}

fn number(op: &Value, key: &str) -> f64 {
    op[key].as_f64().unwrap_or_else(|| panic!("{op} has no number {key}"))
}

/// `c_w` and the bias of a layer with weights.
fn variances(op: &Value) -> String {
    format!("c_w = {:?}, {}", number(op, "W_std").powi(2), bias(op))
}

fn bias(op: &Value) -> String {
    op["b_std"].as_f64().map_or("bias = false".into(), |b| format!("c_b = {:?}", b * b))
}

fn padding(op: &Value) -> String {
    op["padding"].as_str().map_or(String::new(), |p| format!(", padding = '{}'", p.to_lowercase()))
}

fn list(op: &Value, key: &str, name: &str) -> String {
    op.get(key).filter(|value| !value.is_null()).map_or(String::new(), |value| format!(", {name} = {value}"))
}

fn conv(op: &Value, name: &str) -> String {
    let sizes = list(op, "filter", "kernel") + &list(op, "strides", "stride") + &padding(op);
    let width = op["width"].as_u64().unwrap_or(WIDTH);
    format!("{{ {name} = {width}, {}{sizes} }}", variances(op))
}

fn pool(op: &Value, reduce: &str) -> String {
    let stride = list(op, "strides", "stride");
    let edges = if op["normalize_edges"] == true { ", normalize_edges = true" } else { "" };
    format!("{{ pool = {}, reduce = '{reduce}'{stride}{}{edges} }}", op["window"], padding(op))
}

fn act(spec: impl std::fmt::Display) -> String {
    format!("{{ act = '{spec}' }}")
}

fn layer(op: &Value) -> String {
    let kind = op["op"].as_str().unwrap_or_else(|| panic!("{op} has no op"));
    match kind {
        "dense" => {
            let width = op["width"].as_u64().unwrap_or(WIDTH);
            format!("{{ dense = {width}, {} }}", variances(op))
        }
        "conv" => conv(op, "conv"),
        "conv_local" => conv(op, "conv_local"),
        "conv_transpose" => conv(op, "conv_transposed"),
        "flatten" => "{ flatten = true }".into(),
        "global_avg_pool" => "{ pool = 'global' }".into(),
        "global_sum_pool" => "{ pool = 'global', reduce = 'sum' }".into(),
        "avg_pool" => pool(op, "average"),
        "sum_pool" => pool(op, "sum"),
        "layer_norm" => {
            // The peer counts the batch as axis 0 and lists the channels among the axes, as the last or as −1.
            let mut axes: Vec<i64> = op["axis"]
                .as_array()
                .map_or(Vec::new(), |list| list.iter().map(|axis| axis.as_i64().expect("an axis")).collect());
            axes.sort_unstable();
            let last = if axes.contains(&-1) { -1 } else { axes.last().copied().unwrap_or(-1) };
            axes.retain(|&axis| axis != last);
            let axes: Vec<i64> = axes.iter().map(|axis| axis - 1).collect();
            format!("{{ norm = 'layer', epsilon = 1e-12, axes = {axes:?} }}")
        }
        "dropout" => format!("{{ dropout = {:?} }}", 1.0 - number(op, "rate")),
        "residual" => {
            format!("{{ residual = 1.0, block = [{}] }}", layers(op["branch"].as_array().expect("a branch")))
        }
        "repeat" => {
            let of = layers(op["of"].as_array().expect("a block"));
            format!("{{ repeat = {}, block = [{of}] }}", op["times"])
        }
        "branches" => {
            let join = if op["join"] == "prod" { "product" } else { op["join"].as_str().expect("a join") };
            let chains = op["of"].as_array().expect("branches").iter();
            let chains: Vec<String> =
                chains.map(|chain| format!("[{}]", layers(chain.as_array().expect("a chain")))).collect();
            format!("{{ branches = '{join}', of = [{}] }}", chains.join(", "))
        }
        "attention" => attention(op),
        "exp_normalized" => {
            format!("{{ exp_normalized = {:?}, shift = {:?} }}", number(op, "gamma"), number(op, "shift"))
        }
        _ => act(activation(op, kind)),
    }
}

fn attention(op: &Value) -> String {
    let std = |key: &str| number(op, key);
    let linear = op["linear_scaling"] == true;
    let weighting = op["attention_mechanism"].as_str().expect("a mechanism").to_lowercase();
    let logits = if linear {
        // Queries are keys here: only the product of the two deviations counts.
        format!("c_key = {:?}", std("W_key_std") * std("W_query_std"))
    } else {
        format!("c_query = {:?}, c_key = {:?}", std("W_query_std").powi(2), std("W_key_std").powi(2))
    };
    let positions = match op["pos_emb_type"].as_str() {
        Some("SUM") => {
            let decay = op["pos_emb_decay_fn"].as_f64().map_or(String::new(), |s| format!(", decay = {s:?}"));
            let c_w = std("W_pos_emb_std").powi(2);
            format!(", positions = {{ c_w = {c_w:?}, values = {}{decay} }}", op["val_pos_emb"] == true)
        }
        _ => String::new(),
    };
    format!(
        "{{ attention = {WIDTH}, weighting = '{weighting}', scaling = '{}', {logits}, c_value = {:?}, c_out = {:?}, {}{positions} }}",
        if linear { "linear" } else { "sqrt" },
        std("W_value_std").powi(2),
        std("W_out_std").powi(2),
        bias(op),
    )
}

fn activation(op: &Value, kind: &str) -> String {
    let value = |key: &str| number(op, key);
    let degree = || op["degree"].as_u64().expect("a degree");
    match kind {
        "relu" | "abs" | "erf" | "gelu" | "sin" | "cos" => kind.into(),
        "sign" => "sign(z)".into(),
        "leaky_relu" => format!("leaky_relu({:?})", value("alpha")),
        "abrelu" => format!("scale_invariant({:?}, {:?})", value("b"), value("a")),
        "sigmoid_like" => "0.5 * erf(z / 2.4020563531719796) + 0.5".into(),
        "rbf" => format!("sqrt(2) * sin(sqrt({:?}) * z + pi / 4)", 2.0 * value("gamma")),
        "exp" => format!("{:?} * exp({:?} * z)", value("a"), value("b")),
        "gaussian" => format!("{:?} * exp({:?} * z^2)", value("a"), value("b")),
        "gabor" => "exp(-z^2) * sin(z)".into(),
        "monomial" => format!("power({})", degree()),
        "rectified_monomial" => format!("max(z, 0)^{}", degree()),
        "polynomial" => {
            let coefficients = op["coef"].as_array().expect("coefficients").iter().enumerate();
            let terms: Vec<String> = coefficients.map(|(k, c)| format!("({c}) * z^{k}")).collect();
            terms.join(" + ")
        }
        "hermite" => hermite(degree()),
        "numerical" => op["fn"].as_str().expect("a function").into(),
        other => panic!("no translation for {other}: {op}"),
    }
}

/// Hermite polynomial He_d/√d!, by √(k+1) h_{k+1} = z h_k − √k h_{k−1}.
fn hermite(degree: u64) -> String {
    let (mut before, mut now) = (vec![], vec![1.0]);
    for k in 0..degree {
        let root = ((k + 1) as f64).sqrt();
        let mut next = vec![0.0; now.len() + 1];
        now.iter().enumerate().for_each(|(i, c)| next[i + 1] += c / root);
        let back: &Vec<f64> = &before;
        back.iter().enumerate().for_each(|(i, c)| next[i] -= (k as f64).sqrt() * c / root);
        (before, now) = (now, next);
    }
    let terms = now.iter().enumerate().filter(|(_, c)| **c != 0.0);
    terms.map(|(k, c)| format!("({c:?}) * z^{k}")).collect::<Vec<_>>().join(" + ")
}

pub fn parametrization(arch: &[Value]) -> Parametrization {
    let standard = arch.iter().any(|op| op["parameterization"] == "standard");
    if standard { Parametrization::Standard } else { Parametrization::Ntk }
}

/// Every layer says its own variances.
pub fn init(plan: &Plan) -> Vec<LayerInit> {
    let own = |site: &carnot_net::plan::Site| {
        let chosen = site.layer.chosen();
        let c_w = chosen.c_w.unwrap_or_else(|| panic!("{} has no c_w", site.name));
        LayerInit::normal(c_w, chosen.c_b.unwrap_or(0.0))
    };
    plan.weighted_sites().into_iter().map(own).collect()
}

/// Whether some activation has a kink or a jump.
pub fn has_kink(arch: &Value) -> bool {
    let text = arch.to_string();
    ["relu", "abs", "sign\"", "rectified"].iter().any(|name| text.contains(name))
}
