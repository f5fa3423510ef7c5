//! What every row of the table of activations promises, whoever adds it.

use carnot_math::formula::Formula;
use carnot_net::activation::Activation;
use carnot_net::activation::table::TABLE;
use std::process::Command;

/// All rows, and a few with other parameters.
fn activations() -> Vec<Activation> {
    let specs =
        ["leaky_relu(0.2)", "elu(0.5)", "celu(0.5)", "snake(0.5)", "power(4)", "scale_invariant(0.5, -2)"];
    let names = TABLE.iter().map(|row| row.name).chain(specs);
    names.map(|spec| Activation::parse(spec).unwrap()).collect()
}

fn away_from_kinks(formula: &Formula, z: f64, least: f64) -> bool {
    formula.kinks().iter().all(|kink| (kink.at - z).abs() > least)
}

#[test]
fn each_derivative_is_the_difference_of_the_one_below() {
    for Activation { name, formula, .. } in activations() {
        let h = 1e-5;
        for z in (-100..=100).map(|k| f64::from(k) * 0.0413 + 0.003) {
            if !away_from_kinks(&formula, z, 1e-3) {
                continue;
            }
            let (low, at, high) = (formula.jet(z - h), formula.jet(z), formula.jet(z + h));
            for k in 1..5 {
                let difference = (high[k - 1] - low[k - 1]) / (2.0 * h);
                let size = 1.0 + at.iter().fold(0.0f64, |most, d| most.max(d.abs()));
                assert!(
                    (difference - at[k]).abs() < 1e-7 * size,
                    "{name}: order {k} at {z}: {} {difference}",
                    at[k]
                );
            }
        }
    }
}

#[test]
fn at_kinks_the_sides_are_limits_and_the_named_order_jumps() {
    for Activation { name, formula, .. } in activations() {
        for kink in formula.kinks() {
            let h = 1e-7;
            let (left, right) = (formula.one_sided(kink.at, -1), formula.one_sided(kink.at, 1));
            let (near_left, near_right) = (formula.jet(kink.at - h), formula.jet(kink.at + h));
            for k in 0..5 {
                let close = |a: f64, b: f64| (a - b).abs() < 1e-4 * (1.0 + a.abs());
                assert!(close(left[k], near_left[k]), "{name}: order {k} left of {}", kink.at);
                assert!(close(right[k], near_right[k]), "{name}: order {k} right of {}", kink.at);
            }
            let order = usize::from(kink.order);
            assert!(
                (left[order] - right[order]).abs() > 1e-6,
                "{name}: order {order} does not jump at {}",
                kink.at
            );
            assert!((0..order).all(|k| (left[k] - right[k]).abs() < 1e-9), "{name}: a lower order jumps");
        }
    }
}

#[test]
fn slices_are_the_formula_in_both_precisions() {
    for Activation { name, formula, .. } in activations() {
        let z: Vec<f32> = (-2000..=2000).map(|k| k as f32 * 0.00517).collect();
        let (mut value, mut slope, mut alone) =
            (vec![0f32; z.len()], vec![0f32; z.len()], vec![0f32; z.len()]);
        formula.values_and_slopes(&z, &mut value, &mut slope);
        formula.values(&z, &mut alone);
        assert_eq!(value, alone, "{name}");
        let wide: Vec<f64> = z.iter().map(|z| f64::from(*z)).collect();
        let (mut value64, mut slope64) = (vec![0.0; z.len()], vec![0.0; z.len()]);
        formula.values_and_slopes(&wide, &mut value64, &mut slope64);
        for (k, z) in wide.iter().enumerate() {
            let jet = formula.jet(*z);
            let near = |got: f32, want: f64| (f64::from(got) - want).abs() <= 1e-5 * (1.0 + want.abs());
            assert!(near(value[k], jet[0]), "{name} at {z}: {} {}", value[k], jet[0]);
            assert!(near(slope[k], jet[1]), "{name}' at {z}: {} {}", slope[k], jet[1]);
            let same = |got: f64, want: f64| (got - want).abs() <= 1e-14 * (1.0 + want.abs());
            assert!(
                same(value64[k], jet[0]) && same(slope64[k], jet[1]),
                "{name} at {z} in double precision"
            );
        }
    }
}

#[test]
fn nothing_overflows_within_sixty_of_the_origin() {
    for Activation { name, formula, .. } in activations() {
        let z: Vec<f32> = (-600..=600).map(|k| k as f32 / 10.0).collect();
        let (mut value, mut slope) = (vec![0f32; z.len()], vec![0f32; z.len()]);
        formula.values_and_slopes(&z, &mut value, &mut slope);
        assert!(value.iter().chain(&slope).all(|v| v.is_finite()), "{name} in single precision");
        for z in &z {
            let jet = formula.jet(f64::from(*z));
            assert!(jet.iter().all(|d| d.is_finite()), "{name} at {z}: {jet:?}");
        }
    }
}

#[test]
fn latex_is_there_and_balanced() {
    for Activation { name, formula, .. } in activations() {
        let latex = formula.latex();
        assert!(!latex.is_empty(), "{name}");
        let count = |piece: &str| latex.matches(piece).count();
        assert_eq!(count("{"), count("}"), "{name}: {latex}");
        assert_eq!(count(r"\left"), count(r"\right"), "{name}: {latex}");
    }
}

#[test]
fn the_c_source_compiles_and_computes_the_same() {
    let Ok(folder) = tempfile::tempdir() else { panic!("no temporary folder") };
    let (source, program) = (folder.path().join("all.c"), folder.path().join("all"));
    let all = activations();
    let places = [-7.3, -3.0, -1.0, -0.4, 0.0, 0.25, 1.0, 2.9, 11.5];
    let mut text = String::from("#include <math.h>\n#include <stdio.h>\ntypedef double real;\n");
    for (k, activation) in all.iter().enumerate() {
        text += &format!("#define activation a{k}\n#define activation_slope s{k}\n");
        text += &activation.formula.c_source();
        text += "#undef activation\n#undef activation_slope\n";
    }
    text += "int main(void) {\n";
    for k in 0..all.len() {
        for z in places {
            text += &format!("    printf(\"%.17g %.17g\\n\", a{k}({z:?}), s{k}({z:?}));\n");
        }
    }
    text += "    return 0;\n}\n";
    std::fs::write(&source, text).unwrap();
    let compiled = Command::new("cc").arg(&source).arg("-o").arg(&program).arg("-lm").output();
    let Ok(compiled) = compiled else {
        println!("skipped: no C compiler `cc` on this machine");
        return;
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let output = String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap();
    let mut lines = output.lines();
    for Activation { name, formula, .. } in &all {
        for z in places {
            let line = lines.next().unwrap();
            let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
            let jet = formula.jet(z);
            for k in 0..2 {
                let close = (numbers[k] - jet[k]).abs() <= 1e-13 * (1.0 + jet[k].abs());
                assert!(close, "{name} order {k} at {z}: C gives {}, the jet {}", numbers[k], jet[k]);
            }
        }
    }
}

#[test]
fn an_activation_survives_its_specification() {
    for activation in activations() {
        let json = serde_json::to_string(&activation).unwrap();
        assert_eq!(serde_json::from_str::<Activation>(&json).unwrap(), activation, "{json}");
    }
}
