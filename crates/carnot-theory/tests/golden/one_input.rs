//! Sections about one input.

use crate::entry::Entry;
use carnot_theory::angle::angles;
use carnot_theory::criticality::{CriticalPoint, Criticality, criticality};
use carnot_theory::deep_linear::deep_linear_moment;
use carnot_theory::finite_width::{Row, table};
use carnot_theory::layer::{Scales, Stack};
use carnot_theory::moments::moments;
use carnot_theory::phases::{boundary, correlations, edge_curvature, fixed_points, settle};
use carnot_theory::tangent::{Rates, critical_rates};
use serde_json::{Value, json};

pub fn moments1d(entry: &Entry) -> Vec<String> {
    let all = moments(&entry.activation(), entry.number("K")).expect("finite");
    let slope = all.slope.expect("no jump");
    entry.compare(json!({
        "s": all.mean, "ss": all.square, "s4": all.fourth, "pp": slope.square, "p4": slope.fourth,
        "sspp": slope.with_value, "zsp_over_K": all.radial,
    }))
}

pub fn critical(entry: &Entry) -> Vec<String> {
    let activation = entry.activation();
    if entry.inputs.get("C_W").is_none() {
        return match criticality(&activation).expect("an answer") {
            Criticality::Point(point) => entry.compare(point_values(&point)),
            Criticality::None(why) => vec![format!("no critical point: {why}")],
        };
    }
    let (c_w, c_b) = (entry.number("C_W"), entry.number("C_b"));
    let point = match entry.value["K"].as_f64() {
        Some(_) => {
            fixed_points(&activation, c_w, c_b).expect("an answer").into_iter().find(|p| p.is_stable())
        }
        None => settle(&activation, c_w, c_b, 0.5).ok(),
    };
    let point = point.expect("a stable fixed point");
    entry.compare(json!({
        "K": point.kernel, "K_star": point.kernel, "mean": point.mean, "chi_par": point.chi_parallel,
        "chi_perp": point.chi_perpendicular.expect("no jump"),
    }))
}

fn point_values(point: &CriticalPoint) -> Value {
    let decay = |power: u8| point.decay.filter(|(_, p)| *p == power).map(|(limit, _)| limit);
    json!({
        "K_star": point.kernel, "C_W": point.c_w, "C_b": point.c_b, "a1": point.a_1, "a2": point.a_2, "b1": point.b_1,
        "p_perp": point.p_perpendicular, "p_par": point.p_parallel, "kappa": point.kappa, "nu": point.nu,
        "K_times_l_limit": decay(1), "K_times_l2_limit": decay(2), "A2": point.slopes.map(|s| s.a_2()),
        "A4": point.slopes.map(|s| s.a_4()), "rho": point.slopes.map(|s| s.angle_rate()),
    })
}

pub fn phase_boundary(entry: &Entry) -> Vec<String> {
    let point = boundary(&entry.activation(), entry.number("K_star")).expect("an answer");
    entry.compare(json!({ "C_W": point.c_w, "C_b": point.c_b, "chi_par": point.chi_parallel }))
}

pub fn depth_scales(entry: &Entry) -> Vec<String> {
    let activation = entry.activation();
    if let Some(kernel) = entry.inputs["K_star"].as_f64() {
        let edge = boundary(&activation, kernel).expect("an answer");
        let f2 = edge_curvature(&activation, edge.c_w, kernel).expect("smooth");
        return entry.compare(json!({ "C_W": edge.c_w, "C_b": edge.c_b, "f2": f2, "limit": 2.0 / f2 }));
    }
    let (c_w, c_b) = (entry.number("C_W"), entry.number("C_b"));
    let point = settle(&activation, c_w, c_b, 1.0).expect("a fixed point");
    let pair = correlations(&activation, c_w, c_b, &point).expect("an answer");
    entry.compare(json!({
        "K_star": point.kernel, "chi_par": point.chi_parallel, "chi_perp": point.chi_perpendicular.clone().expect("no jump"),
        "c_star": pair.correlation, "chi_c": pair.chi_correlation, "xi_q": point.kernel_depth().expect("finite"),
        "xi_c": pair.correlation_depth().expect("finite"), "phase": pair.phase.to_string(),
    }))
}

pub fn single_tables(entry: &Entry) -> Vec<String> {
    let scales = Scales::new(entry.number("C_W"), entry.number("C_b"));
    let scales = scales.with_rates(entry.number("lambda_W"), entry.number("lambda_b"));
    let mut stack = Stack::uniform(&entry.activation(), entry.count("L"), scales);
    stack.width_ratios = vec![entry.number_or("width_ratio", 1.0); stack.layers.len().saturating_sub(2)];
    entry.compare(columns(&rows(&stack, entry.number("x2_over_n0"))))
}

pub fn rows(stack: &Stack, input_square: f64) -> Vec<Row> {
    let table = table(stack, input_square).expect("an answer");
    assert_eq!(table.ended, None);
    table.rows
}

pub fn columns(rows: &[Row]) -> Value {
    let mut all = serde_json::Map::new();
    for row in rows {
        let values = row_values(row);
        for (key, value) in values.as_object().expect("an object") {
            all.entry(key).or_insert_with(|| json!([])).as_array_mut().expect("a list").push(value.clone());
        }
    }
    Value::Object(all)
}

fn row_values(row: &Row) -> Value {
    let tangent = row.tangent.clone().expect("no jump");
    let curvature = row.curvature.clone().ok();
    json!({
        "K": row.kernel, "chi_par": row.chi_parallel, "chi_perp": row.chi_perpendicular.clone().expect("no jump"),
        "V": row.vertex, "G1": row.kernel_shift, "Theta": tangent.mean, "H1": tangent.shift, "A": tangent.a,
        "B": tangent.b, "D": tangent.d, "F": tangent.f, "P": tangent.p, "Q": tangent.q, "R": curvature.map(|c| c.r),
        "S": curvature.map(|c| c.s), "T": curvature.map(|c| c.t), "U": curvature.map(|c| c.u),
    })
}

pub fn finite_angle(entry: &Entry) -> Vec<String> {
    let criticality = criticality(&entry.activation()).expect("an answer");
    let slopes = criticality.point().and_then(|point| point.slopes).expect("scale-invariant");
    let all = angles(slopes, entry.number("psi1"), 50).expect("in range");
    let at: Vec<f64> = [2, 5, 10, 50].iter().map(|&layer| all[layer - 1]).collect();
    entry.compare(json!({
        "rho": slopes.angle_rate(), "psi_at_2_5_10_50": at, "large_depth": entry.value["large_depth"],
    }))
}

pub fn deep_linear(entry: &Entry) -> Vec<String> {
    let depth = entry.count("L");
    let (c_w, hidden) = (vec![entry.number("C_W"); depth], vec![entry.count("n"); depth - 1]);
    let moment = |m| deep_linear_moment(entry.number("G0"), &c_w, &hidden, m).expect("lengths fit");
    entry.compare(json!({ "G2": moment(1), "G4": moment(2), "G6": moment(3) }))
}

pub fn ntk_scale_invariant(entry: &Entry) -> Vec<String> {
    let activation = entry.inputs["activation"].as_str().unwrap_or("relu");
    let activation = crate::entry::activation(activation);
    let point = criticality(&activation).expect("an answer").point().cloned().expect("critical");
    let scales = Scales::new(point.c_w, 0.0).with_rates(entry.number("lambda_W"), entry.number("lambda_b"));
    let stack = Stack::uniform(&activation, entry.count("L"), scales);
    let rows = rows(&stack, entry.number("K") / point.c_w);
    let mut ours = row_values(rows.last().expect("rows"));
    let signal = scales.lambda_w * entry.number("K") / point.c_w;
    ours["f"] = json!(signal / (scales.lambda_b + signal));
    entry.compare(ours)
}

pub fn ntk_lr_scaling(entry: &Entry) -> Vec<String> {
    let activation = entry.activation();
    let point = criticality(&activation).expect("an answer").point().cloned().expect("critical");
    let depth = entry.count("L");
    let total = Rates { lambda_w: entry.number("lambda_W_tilde"), lambda_b: entry.number("lambda_b_tilde") };
    let mut stack = Stack::uniform(&activation, depth, Scales::new(entry.number("C_W"), entry.number("C_b")));
    for (scales, rates) in stack.layers.iter_mut().zip(critical_rates(&point, depth, total)) {
        *scales = scales.with_rates(rates.lambda_w, rates.lambda_b);
    }
    let rows = rows(&stack, entry.number("K1") / entry.number("C_W"));
    entry.compare(row_values(rows.last().expect("rows")))
}
