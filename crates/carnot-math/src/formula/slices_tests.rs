//! Slices against the scalar evaluation: accuracy, independence of place, NaN and infinities.

use super::Formula;

/// Arguments from tiny to large, dense around 0.
fn arguments(limit: f32) -> Vec<f32> {
    let mut z: Vec<f32> = (-40_000..=40_000).map(|k| k as f32 / 40_000.0 * limit).collect();
    z.extend((0..2000).flat_map(|k| {
        let small = 10f32.powf(-8.0 * k as f32 / 2000.0);
        [small, -small]
    }));
    z
}

/// Largest error in units of `ulp · max(|exact|, floor)`, for values and slopes.
fn errors(text: &str, limit: f32, floor: f64) -> (f64, f64) {
    let formula = Formula::parse(text).unwrap();
    let z = arguments(limit);
    let (mut value, mut slope, mut again) = (vec![0.0; z.len()], vec![0.0; z.len()], vec![0.0; z.len()]);
    formula.values_and_slopes(&z, &mut value, &mut slope);
    formula.values(&z, &mut again);
    let mut worst = (0.0f64, 0.0f64);
    for k in 0..z.len() {
        let same = value[k].to_bits() == again[k].to_bits() || (value[k].is_nan() && again[k].is_nan());
        assert!(same, "{text} at {}: {} {}", z[k], value[k], again[k]);
        let exact = formula.jet(f64::from(z[k]));
        let error = |got: f32, exact: f64| {
            if (exact.is_nan() && got.is_nan()) || f64::from(got) == exact || (exact as f32) == got {
                return 0.0;
            }
            (f64::from(got) - exact).abs() / (f64::from(f32::EPSILON) * exact.abs().max(floor))
        };
        let pair = (error(value[k], exact[0]), error(slope[k], exact[1]));
        worst = (worst.0.max(pair.0), worst.1.max(pair.1));
    }
    worst
}

#[test]
fn elementary_functions_in_single_precision_keep_their_last_places() {
    // Text, range, units in the last place of the value and of the slope.
    for (text, limit, value, slope) in [
        ("exp(z)", 100.0, 2.0, 2.0),
        ("ln(z)", 100.0, 2.0, 1.0),
        ("log1p(z)", 100.0, 2.0, 2.0),
        ("sigmoid(z)", 85.0, 2.0, 4.0),
        ("softplus(z)", 80.0, 2.0, 2.0),
        ("normal_cdf(z)", 9.0, 4.0, 2.0),
        ("normal_pdf(z)", 12.0, 2.0, 2.0),
        ("erfc(z)", 8.0, 4.0, 4.0),
        ("erf(z)", 8.0, 2.0, 4.0),
        ("atan(z)", 100.0, 2.0, 2.0),
        ("sqrt(z)", 10.0, 1.0, 1.0),
        ("z^3", 10.0, 2.0, 2.0),
        ("asinh(z)", 10.0, 1.0, 1.0),
        ("if(z > 0, z, expm1(z))", 50.0, 2.0, 2.0),
        ("clip(z + 3, 0, 6) * z / 6", 10.0, 2.0, 2.0),
        ("max(z, 0)^2", 10.0, 1.0, 1.0),
    ] {
        let (v, s) = errors(text, limit, 1e-37);
        assert!(v <= value && s <= slope, "{text}: {v:.2} and {s:.2} units in the last place");
    }
    // Where a slope or value passes through 0 or dies out, what counts is the error against 1.
    for (text, limit, value, slope) in [
        ("tanh(z)", 20.0, 3.0, 6.0),
        ("expm1(z)", 50.0, 2.0, 2.0),
        ("sin(z)", 1e7, 2.0, 2.0),
        ("cos(z)", 1e5, 2.0, 2.0),
        ("z * sigmoid(z)", 80.0, 2.0, 2.0),
        ("z * normal_cdf(z)", 9.0, 2.0, 2.0),
        ("z * tanh(softplus(z))", 40.0, 4.0, 60.0),
        ("z + sin(z)^2", 50.0, 3.0, 3.0),
        ("z / (1 + abs(z))", 50.0, 2.0, 2.0),
    ] {
        let (v, s) = errors(text, limit, 1.0);
        assert!(v <= value && s <= slope, "{text}: {v:.2} and {s:.2} rounding errors of 1");
    }
}

#[test]
fn the_place_of_an_element_does_not_change_its_bits() {
    for text in [
        "tanh(z)",
        "z*normal_cdf(z)",
        "sin(z)",
        "z*tanh(softplus(z))",
        "if(z>0,z,0.1*z)",
        "z^3+exp(-z)/(1+z^2)",
    ] {
        let formula = Formula::parse(text).unwrap();
        let z: Vec<f32> = (0..1300).map(|k| (k * 7919 % 1301) as f32 / 200.0 - 3.0).collect();
        let (mut value, mut slope) = (vec![0.0; z.len()], vec![0.0; z.len()]);
        formula.values_and_slopes(&z, &mut value, &mut slope);
        for start in [0, 1, 3, 511, 512, 700, 1299] {
            for length in [1usize, 7, 64, 601] {
                let end = (start + length).min(z.len());
                let (mut v, mut s) = (vec![0.0; end - start], vec![0.0; end - start]);
                formula.values_and_slopes(&z[start..end], &mut v, &mut s);
                assert!(v == value[start..end] && s == slope[start..end], "{text} from {start} to {end}");
            }
        }
    }
}

#[test]
fn not_a_number_stays_so_and_infinities_have_their_limits() {
    for text in [
        "max(z,0)",
        "tanh(z)",
        "z*sigmoid(z)",
        "gelu(z)",
        "clip(z,-1,1)",
        "max(z,sin(z))",
        "abs(z)",
        "sign(z)",
        "step(z)",
    ] {
        let mut value = [0f32; 2];
        Formula::parse(text).unwrap().values(&[f32::NAN, 1.0], &mut value);
        assert!(value[0].is_nan() && value[1].is_finite(), "{text}");
    }
    for (text, left, right) in [
        ("tanh(z)", -1.0, 1.0),
        ("gelu(z)", 0.0, f32::INFINITY),
        ("erf(z)", -1.0, 1.0),
        ("exp(z)", 0.0, f32::INFINITY),
    ] {
        let mut value = [0f32; 2];
        Formula::parse(text).unwrap().values(&[f32::NEG_INFINITY, f32::INFINITY], &mut value);
        assert_eq!(value, [left, right], "{text}");
    }
}

#[test]
fn slices_in_double_precision_are_the_scalar_evaluation() {
    for text in [
        "tanh(z)",
        "gelu(z)",
        "silu(z)",
        "softplus(z)*sin(z)",
        "if(z>0,z,0.1*z)",
        "max(z,0)^2",
        "clip(z,-1,1)",
        "z^2.5",
        "2^z",
        "erf(z)/3",
        "max(z, 0.1*z)",
        "sqrt(abs(z))",
    ] {
        let formula = Formula::parse(text).unwrap();
        let z: Vec<f64> = (-600..=600).map(|k| f64::from(k) / 100.0).collect();
        let (mut value, mut slope) = (vec![0.0; z.len()], vec![0.0; z.len()]);
        formula.values_and_slopes(&z, &mut value, &mut slope);
        for (k, z) in z.iter().enumerate() {
            let jet = formula.jet(*z);
            let close = |a: f64, b: f64| {
                a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-14 * (1e-3 + b.abs())
            };
            assert!(
                close(value[k], jet[0]) && close(slope[k], jet[1]),
                "{text} at {z}: {} {} {jet:?}",
                value[k],
                slope[k]
            );
        }
    }
}
