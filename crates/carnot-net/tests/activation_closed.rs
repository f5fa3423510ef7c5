//! Closed Gaussian averages: against reference numbers, against quadrature, and where inputs merge.

use carnot_math::gauss;
use carnot_net::activation::Activation;
use carnot_net::activation::table::TABLE;
use serde_json::Value;

fn golden(name: &str) -> Value {
    let path = format!("{}/../../tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn kinks(activation: &Activation) -> Vec<f64> {
    activation.formula.kinks().iter().map(|kink| kink.at).collect()
}

fn close(got: f64, want: f64, relative: f64, absolute: f64) -> bool {
    (got - want).abs() <= relative * want.abs() + absolute
}

#[test]
fn one_number_averages_match_the_sheet() {
    let golden = golden("moments");
    let mut seen = 0;
    for entry in golden["entries"].as_array().unwrap() {
        let Some(k) = entry["inputs"]["K"].as_f64() else { continue };
        let activation = Activation::parse(entry["inputs"]["activation"].as_str().unwrap()).unwrap();
        let (rtol, atol) = (entry["rtol"].as_f64().unwrap(), entry["atol"].as_f64().unwrap());
        let kinks = kinks(&activation);
        let average = |f: &dyn Fn([f64; 5], f64) -> f64| {
            gauss::average(|z| f(activation.formula.jet(z), z), k, &kinks).unwrap().value
        };
        let by_quadrature: [(&str, f64); 6] = [
            ("s", average(&|s, _| s[0])),
            ("ss", average(&|s, _| s[0] * s[0])),
            ("s4", average(&|s, _| s[0].powi(4))),
            ("pp", average(&|s, _| s[1] * s[1])),
            ("p4", average(&|s, _| s[1].powi(4))),
            ("sspp", average(&|s, _| s[0] * s[0] * s[1] * s[1])),
        ];
        for (name, got) in by_quadrature {
            if let Some(want) = entry["value"][name].as_f64() {
                assert!(close(got, want, rtol, atol), "{} {name}: {got} {want}", entry["id"]);
                seen += 1;
            }
        }
        if let Some(moments) = activation.closed.and_then(|closed| closed.single(k)) {
            for (name, got) in [("s", moments.mean), ("ss", moments.ss), ("pp", moments.pp)] {
                let want = entry["value"][name].as_f64().unwrap();
                assert!(close(got, want, 1e-12, 1e-14), "{} {name}: {got} {want}", entry["id"]);
            }
        }
    }
    assert!(seen >= 50, "only {seen} numbers compared");
}

#[test]
fn pair_averages_match_the_sheet() {
    let golden = golden("moments");
    let mut seen = 0;
    for entry in golden["entries"].as_array().unwrap() {
        let Some(k) = entry["inputs"]["K"].as_array() else { continue };
        let at = |i: usize, j: usize| k[i][j].as_f64().unwrap();
        let (a, b, c) = (at(0, 0), at(1, 1), at(0, 1));
        let activation = Activation::parse(entry["inputs"]["activation"].as_str().unwrap()).unwrap();
        let moments = match activation.closed.and_then(|closed| closed.pair(a, b, c)) {
            Some(moments) => [moments.ss, moments.pp],
            None => gauss::pair_average(a, b, a + b - 2.0 * c, &kinks(&activation), |x, y| {
                let (x, y) = (activation.formula.jet(x), activation.formula.jet(y));
                [x[0] * y[0], x[1] * y[1]]
            }),
        };
        for (name, got) in ["s1s2", "p1p2"].into_iter().zip(moments) {
            if let Some(want) = entry["value"][name].as_f64() {
                assert!(close(got, want, 1e-12, 1e-14), "{} {name}: {got} {want}", entry["id"]);
                seen += 1;
            }
        }
    }
    assert!(seen >= 20, "only {seen} numbers compared");
}

#[test]
fn every_closed_form_agrees_with_quadrature() {
    let specs = ["leaky_relu(0.1)", "scale_invariant(0.7, -0.4)", "power(4)", "power(5)"];
    for spec in TABLE.iter().map(|row| row.name).chain(specs) {
        let activation = Activation::parse(spec).unwrap();
        let Some(closed) = activation.closed else { continue };
        let (formula, kinks) = (&activation.formula, kinks(&activation));
        for k in [0.01, 0.6, 4.0] {
            let moments = closed.single(k).unwrap();
            let slope = |z: f64| formula.jet(z)[1];
            let f = |f: &dyn Fn(f64) -> f64| gauss::average(f, k, &kinks).unwrap().value;
            let got = [moments.mean, moments.ss, moments.pp];
            let want = [f(&|z| formula.value(z)), f(&|z| formula.value(z).powi(2)), f(&|z| slope(z).powi(2))];
            for (got, want) in got.into_iter().zip(want) {
                assert!(close(got, want, 1e-12, 1e-14), "{spec} at {k}: {got} {want}");
            }
        }
        for (a, b, rho) in
            [(1.2, 0.8, 0.5), (0.3, 2.0, -0.8), (1.0, 1.0, 0.0), (0.5, 0.4, 0.97), (3.0, 3.0, 0.9)]
        {
            let c = rho * f64::sqrt(a * b);
            let d = a + b - 2.0 * c;
            let [ss, pp, square, top] = gauss::pair_average(a, b, d, &kinks, |x, y| {
                let (x, y) = (formula.jet(x), formula.jet(y));
                let product = x[0] * y[0];
                [product, x[1] * y[1], (x[0] - y[0]).powi(2), product.abs()]
            });
            let moments = closed.pair(a, b, c).unwrap();
            // The two-variable rule ends at 9 standard deviations, which e^(z1+z2) still notices.
            let tolerance = if spec == "exp" { 1e-9 } else { 1e-12 };
            assert!(
                close(moments.ss, ss, tolerance, 1e-13 * top),
                "{spec} ({a} {b} {rho}) ss {} {ss}",
                moments.ss
            );
            assert!(close(moments.pp, pp, tolerance, 1e-13), "{spec} ({a} {b} {rho}) pp {} {pp}", moments.pp);
            let distance = closed.distance(a, b, d).unwrap();
            assert!(close(distance, square, tolerance, 1e-14), "{spec} ({a} {b} {rho}) {distance} {square}");
            let again = closed.pair_at_distance(a, b, d).unwrap();
            assert!(
                close(again.ss, ss, tolerance, 1e-13 * top) && close(again.pp, pp, tolerance, 1e-13),
                "{spec}"
            );
        }
    }
}

#[test]
fn distances_of_merging_inputs_keep_their_digits() {
    let golden = golden("distances");
    let mut worst = (0.0, String::new());
    for row in golden["rows"].as_array().unwrap() {
        let number = |at: usize| row[at].as_f64().unwrap();
        let activation = Activation::parse(row[0].as_str().unwrap()).unwrap();
        let got = activation.closed.unwrap().distance(number(1), number(2), number(3)).unwrap();
        let want = number(4);
        let error = if want == 0.0 { got.abs() } else { (got / want - 1.0).abs() };
        if error > worst.0 || error.is_nan() {
            worst = (error, format!("{row} got {got}"));
        }
    }
    assert!(worst.0 < 1e-8, "{} {}", worst.0, worst.1);
}

#[test]
fn equal_inputs_have_no_distance_and_dead_ones_no_surprise() {
    for row in TABLE {
        let Some(closed) = Activation::named(row.name).unwrap().closed else { continue };
        for k in [0.0, 1e-300, 1e-8, 1.0, 50.0] {
            assert_eq!(closed.distance(k, k, 0.0), Some(0.0), "{} at {k}", row.name);
            if let (Some(single), Some(pair)) = (closed.single(k), closed.pair(k, k, k)) {
                let same = close(pair.ss, single.ss, 1e-13, 0.0) && close(pair.pp, single.pp, 1e-13, 0.0);
                assert!(same || k == 0.0, "{} at {k:e}: {single:?} {pair:?}", row.name);
            }
        }
        assert!(closed.distance(1.0, 0.0, 1.0).unwrap().is_finite(), "{}", row.name);
        assert!(closed.distance(2.0, 1.0, -1.0).unwrap() >= 0.0, "{}", row.name);
    }
}
