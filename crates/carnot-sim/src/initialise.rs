//! The parameters a member starts with.

use crate::error::SimError;
use carnot_math::linalg;
use carnot_math::random::Stream;
use carnot_math::scalar::Scalar;
use carnot_net::hyper::{Law, LayerInit};
use carnot_net::layers::{Parameter, Role};
use carnot_net::plan::Plan;

/// Checks that there is one initialisation per layer with weights, with variances that are finite and ≥ 0.
///
/// # Errors
/// [`SimError::Initialisations`], [`SimError::Range`].
pub fn check(plan: &Plan, init: &[LayerInit]) -> Result<(), SimError> {
    if init.len() != plan.weighted {
        return Err(SimError::Initialisations { expected: plan.weighted, found: init.len() });
    }
    for layer in init {
        for (name, value) in [("c_w", layer.c_w), ("c_b", layer.c_b)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(SimError::Range { name, value, range: "a finite number ≥ 0" });
            }
        }
    }
    Ok(())
}

/// Writes the parameters of one member, `[plan.parameters]`.
///
/// Weights have variance $C_W/\text{fan-in}$ and biases $C_b$, in the shape of [`LayerInit::law`]; gains are one and
/// shifts zero. The numbers depend on (seed, member, site) only, and are the same draws in both number types.
///
/// * `init`: one per layer with weights, checked by [`check`]
///
/// # Panics
/// When `init` or `out` has another length than the plan asks for.
pub fn initialise<S: Scalar>(plan: &Plan, init: &[LayerInit], seed: u64, member: u64, out: &mut [S]) {
    assert_eq!(init.len(), plan.weighted, "one initialisation per layer with weights");
    assert_eq!(out.len(), plan.parameters, "room for every parameter");
    for site in plan.all() {
        if site.parameters.is_empty() {
            continue;
        }
        let mut stream = Stream::new(seed, "init", &[member, site.index as u64]);
        let mut place = site.offset;
        for parameter in &site.parameters {
            let values = &mut out[place..place + parameter.len()];
            place += parameter.len();
            draw(parameter, site.weighted.map(|at| init[at]), &mut stream, values);
        }
    }
}

fn draw<S: Scalar>(parameter: &Parameter, init: Option<LayerInit>, stream: &mut Stream, out: &mut [S]) {
    match parameter.role {
        Role::Gain | Role::RunningVariance => out.fill(S::from_f64(1.0)),
        Role::Shift | Role::RunningMean => out.fill(S::default()),
        Role::Weight => {
            let init = init.expect("a site with weights is weighted");
            let variance = init.c_w / parameter.fan_in as f64;
            match init.law {
                Law::Orthogonal => orthogonal(parameter, variance, stream, out),
                law => independent(law, variance, stream, out),
            }
        }
        Role::Bias => {
            let init = init.expect("a site with biases is weighted");
            independent(init.law, init.c_b, stream, out);
        }
    }
}

/// Independent numbers of mean zero; an orthogonal law has nothing to say of biases, which are Gaussian then.
fn independent<S: Scalar>(law: Law, variance: f64, stream: &mut Stream, out: &mut [S]) {
    match law {
        _ if variance == 0.0 => out.fill(S::default()),
        Law::Uniform => {
            // The interval ±h has variance h²/3.
            let half = (3.0 * variance).sqrt();
            stream.fill_uniform(out, -half, half);
        }
        Law::Normal | Law::Orthogonal => stream.fill_normal(out, variance.sqrt()),
    }
}

/// Rows (or, where there are more rows than columns, columns) orthogonal; entries of the given variance.
fn orthogonal<S: Scalar>(parameter: &Parameter, variance: f64, stream: &mut Stream, out: &mut [S]) {
    let columns = parameter.fan_in;
    let rows = parameter.len() / columns;
    // Unit vectors of length max(rows, columns) have entries of variance 1 / max(rows, columns).
    let scale = (variance * rows.max(columns) as f64).sqrt();
    let matrix = linalg::orthogonal(rows, columns, stream);
    for (to, from) in out.iter_mut().zip(&matrix) {
        *to = S::from_f64(scale * from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::stats::Moments;
    use carnot_net::layers::Layer;
    use carnot_net::layers::dense::Dense;
    use carnot_net::network::Network;
    use carnot_net::shape::Shape;

    fn dense(fan_in: usize, width: usize) -> Plan {
        let layers = vec![Layer::Dense(Dense::of_width(width)).into()];
        Plan::new(&Network { input: Shape::features(fan_in), layers }).unwrap()
    }

    fn drawn(plan: &Plan, init: LayerInit, seed: u64) -> Vec<f64> {
        let mut out = vec![f64::NAN; plan.parameters];
        initialise(plan, &[init], seed, 0, &mut out);
        out
    }

    #[test]
    fn torch_default_is_uniform_on_one_over_the_root_of_fan_in() {
        let (fan_in, width) = (100, 1000);
        let values = drawn(&dense(fan_in, width), LayerInit::torch(fan_in), 3);
        let half = 1.0 / (fan_in as f64).sqrt();
        for (what, part) in [("weights", &values[..fan_in * width]), ("biases", &values[fan_in * width..])] {
            assert!(part.iter().all(|x| x.abs() <= half), "{what} leave the interval");
            // Kolmogorov–Smirnov distance from the uniform law; 1.95/√n is passed once in 1,000 times.
            let mut sorted: Vec<f64> = part.iter().map(|x| (x / half + 1.0) / 2.0).collect();
            sorted.sort_by(f64::total_cmp);
            let n = sorted.len() as f64;
            let distance =
                sorted.iter().enumerate().map(|(i, u)| (u - (i as f64 + 0.5) / n).abs()).fold(0.0, f64::max);
            assert!(distance < 1.95 / n.sqrt(), "{what}: distance {distance} with {n} numbers (seed 3)");
        }
    }

    #[test]
    fn every_law_has_the_variance_it_is_asked_for() {
        let (fan_in, width) = (64, 512);
        for law in [Law::Normal, Law::Uniform, Law::Orthogonal] {
            let values = drawn(&dense(fan_in, width), LayerInit { c_w: 1.7, c_b: 0.3, law }, 5);
            let expect = [(&values[..fan_in * width], 1.7 / 64.0), (&values[fan_in * width..], 0.3)];
            for (part, variance) in expect {
                let squares = Moments::of(&part.iter().map(|x| x * x).collect::<Vec<_>>());
                // Entries of an orthogonal matrix are not independent: their squares add up exactly.
                let z = (squares.mean() - variance) / squares.error();
                assert!(z.abs() < 4.0, "{law:?}: variance {}, expected {variance}, z {z}", squares.mean());
            }
        }
    }

    #[test]
    fn orthogonal_rows_or_columns_are_orthogonal() {
        for (fan_in, width) in [(8, 5), (5, 8)] {
            let values =
                drawn(&dense(fan_in, width), LayerInit { c_w: 2.0, c_b: 0.0, law: Law::Orthogonal }, 1);
            let w = &values[..fan_in * width];
            let wide = width <= fan_in;
            let (vectors, length) = if wide { (width, fan_in) } else { (fan_in, width) };
            let entry = |v: usize, i: usize| if wide { w[v * fan_in + i] } else { w[i * fan_in + v] };
            for a in 0..vectors {
                for b in 0..vectors {
                    let inner: f64 = (0..length).map(|i| entry(a, i) * entry(b, i)).sum();
                    let expect = if a == b { 2.0 * length as f64 / fan_in as f64 } else { 0.0 };
                    assert!((inner - expect).abs() < 1e-12, "{a}·{b} = {inner}, expected {expect}");
                }
            }
        }
    }

    #[test]
    fn members_and_seeds_differ_and_repeat() {
        let plan = dense(4, 4);
        let of = |seed, member| {
            let mut out = vec![0f32; plan.parameters];
            initialise(&plan, &[LayerInit::normal(1.0, 1.0)], seed, member, &mut out);
            out
        };
        assert_eq!(of(1, 2), of(1, 2));
        assert_ne!(of(1, 2), of(1, 3));
        assert_ne!(of(1, 2), of(2, 2));
    }

    #[test]
    fn a_wrong_number_of_layers_or_a_negative_variance_is_refused() {
        let plan = dense(2, 2);
        assert_eq!(check(&plan, &[]), Err(SimError::Initialisations { expected: 1, found: 0 }));
        let bad = check(&plan, &[LayerInit::normal(-1.0, 0.0)]);
        assert!(matches!(bad, Err(SimError::Range { name: "c_w", .. })));
    }
}
