//! What a formula promises, as claims.

use super::*;

fn f(text: &str) -> Formula {
    Formula::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: &str) -> FormulaErrorKind {
    Formula::parse(text).expect_err(text).kind
}

#[test]
fn precedence_follows_the_school() {
    for (text, value) in [
        ("1 + 2 * 3", 7.0),
        ("-2^2", -4.0),
        ("2^3^2", 512.0),
        ("2^-1", 0.5),
        ("8 / 2 / 2", 2.0),
        ("8 - 2 - 2", 4.0),
        ("(1 + 2) * 3", 9.0),
        ("2 ** 3", 8.0),
        ("+3", 3.0),
        ("--3", 3.0),
        ("1e2 + .5 + 1.", 101.5),
        ("2 * pi", std::f64::consts::TAU),
        ("ln(e)", 1.0),
        ("if(1 < 2, 3, 4) + if(2 <= 1, 3, 4) + if(1 >= 1, 10, 0)", 17.0),
        ("max(1, 2) + min(1, 2) + clip(5, 0, 3) + pow(2, 3)", 14.0),
        ("step(0) + sign(0) + sign(-3) + step(2)", 0.0),
    ] {
        assert_eq!(f(text).value(0.3), value, "{text}");
    }
}

#[test]
fn jets_of_primitives_match_finite_differences_of_the_derivative_below() {
    let texts = [
        "exp(z)",
        "expm1(z)",
        "ln(z+3)",
        "log1p(z)",
        "sqrt(z+2)",
        "sin(z)",
        "cos(z)",
        "tan(z)",
        "asin(z/2)",
        "acos(z/2)",
        "atan(z)",
        "sinh(z)",
        "cosh(z)",
        "tanh(z)",
        "asinh(2*z)",
        "erf(z)",
        "erfc(z)",
        "normal_cdf(z)",
        "normal_pdf(z)",
        "sigmoid(z)",
        "softplus(z)",
        "(z+2)^3.5",
        "z^3",
        "(z+2)^-2",
        "2^z",
        "(z+2)^z",
        "1/(z+2)",
        "z*abs(z)",
        "gelu(z)",
        "silu(z)",
        "z*tanh(softplus(z))",
        "sin(z^2)*exp(-z)/(1+z^2)",
    ];
    for text in texts {
        let f = f(text);
        for z in [-0.7, -0.31, 0.2, 0.9] {
            let h = 1e-5;
            let (low, high, jet) = (f.jet(z - h), f.jet(z + h), f.jet(z));
            assert!((jet[0] - f.value(z)).abs() <= 1e-15 * jet[0].abs(), "{text} at {z}");
            for k in 1..5 {
                let difference = (high[k - 1] - low[k - 1]) / (2.0 * h);
                let tolerance = 3e-8 * (1.0 + jet[k].abs() + jet[k - 1].abs()) + 1e-8 * jet[4].abs();
                assert!(
                    (jet[k] - difference).abs() < tolerance,
                    "{text} order {k} at {z}: {} {difference}",
                    jet[k]
                );
            }
        }
    }
}

#[test]
fn far_tails_are_finite_where_the_function_is() {
    for text in [
        "z*sigmoid(z)",
        "z*tanh(softplus(z))",
        "ln(1+exp(z))",
        "ln(exp(z)+1)",
        "log1p(exp(z))",
        "z*normal_cdf(z)",
        "1/(1+exp(-z))",
        "exp(z)/(1+exp(z))",
        "z/(1+exp(-z))",
        "z*(1+erf(z/sqrt(2)))/2",
        "tanh(z)",
        "atan(z)",
        "asinh(z)",
        "erf(z)",
        "if(z > 0, z, expm1(z))",
        "z/(1+abs(z))",
        "exp(-z^2)",
        "normal_pdf(z)*z^2",
        "sinh(z)/cosh(z)",
    ] {
        for z in [-1e6, -1e3, -800.0, -709.9, -300.0, -60.0, -38.0, 38.0, 60.0, 300.0, 709.9, 800.0, 1e3, 1e6]
        {
            let jet = f(text).jet(z);
            assert!(jet.iter().all(|d| d.is_finite()), "{text} at {z}: {jet:?}");
            assert!(jet[2].abs() < 1e-3 && jet[4].abs() < 1e-3, "{text} at {z}: {jet:?}");
        }
    }
}

#[test]
fn kinks_are_found_with_their_order_and_false_ones_are_not() {
    let kinks = |text: &str| f(text).kinks().iter().map(|k| (k.at, k.order)).collect::<Vec<_>>();
    assert_eq!(kinks("max(z, 0)"), [(0.0, 1)]);
    assert_eq!(kinks("max(0, z)^2"), [(0.0, 2)]);
    assert_eq!(kinks("max(z, 0)^4"), [(0.0, 4)]);
    assert_eq!(kinks("max(z, 0)^5"), []);
    assert_eq!(kinks("sign(z - 1)"), [(1.0, 0)]);
    assert_eq!(kinks("if(z > 0, z, expm1(z))"), [(0.0, 2)]);
    assert_eq!(kinks("clip(z, -1, 1)"), [(-1.0, 1), (1.0, 1)]);
    assert_eq!(kinks("z * clip(z + 3, 0, 6) / 6"), [(-3.0, 1), (3.0, 1)]);
    assert_eq!(kinks("z / (1 + abs(z))"), [(0.0, 2)]);
    assert_eq!(kinks("abs(z)^2"), []);
    assert_eq!(kinks("max(z^2, 0)"), []);
    assert_eq!(kinks("abs(z - 100)"), [(100.0, 1)]);
    assert_eq!(kinks("sqrt(z^2)"), [(0.0, 1)]);
    assert_eq!(kinks("tanh(z)"), []);
    assert_eq!(kinks("abs(3*z + 0.3)"), [(-0.09999999999999999, 1)]);
    let root2 = kinks("max(z^2, 2)");
    assert_eq!(root2.len(), 2);
    assert!((root2[1].0 - 2f64.sqrt()).abs() < 1e-15 && root2[1].1 == 1, "{root2:?}");
    assert_eq!(kinks("abs(sin(z))").len(), 39);
}

#[test]
fn at_a_kink_the_jet_follows_pytorch_and_the_sides_are_there() {
    assert_eq!(f("max(z, 0)").jet(0.0)[1], 0.0);
    assert_eq!(f("max(0, z)").jet(0.0)[1], 0.0);
    assert_eq!(f("relu(z)").jet(0.0)[1], 0.0);
    assert_eq!(f("abs(z)").jet(0.0)[1], 0.0);
    assert_eq!(f("max(z, 0.1*z)").jet(0.0)[1], 0.1);
    assert_eq!(f("clip(z, -1, 1)").jet(1.0)[1], 0.0);
    assert_eq!(f("max(z, 0)").one_sided(0.0, 1)[1], 1.0);
    assert_eq!(f("max(z, 0)").one_sided(0.0, -1)[1], 0.0);
    assert_eq!(f("sign(z)").one_sided(0.0, -1)[0], -1.0);
    assert_eq!(f("max(z^2, 0)").jet(0.0)[2], 2.0);
    assert_eq!(f("abs(z^2)").jet(0.0)[2], 2.0);
}

#[test]
fn parameters_are_constants_and_survive_in_the_closed_text() {
    let leaky = Formula::parse_with("if(z > 0, z, a * z)", &[("a", -0.25)]).unwrap();
    assert_eq!(leaky.value(-2.0), 0.5);
    assert_eq!(leaky.closed_text(), "if(z > 0, z, (-0.25) * z)");
    assert_eq!(f(&leaky.closed_text()).value(-2.0), 0.5);
    assert_ne!(leaky, Formula::parse_with("if(z > 0, z, a * z)", &[("a", 0.25)]).unwrap());
    let nan = Formula::parse_with("a * z", &[("a", f64::NAN)]).unwrap_err();
    assert_eq!((nan.kind, nan.at), (FormulaErrorKind::NumberOutOfRange, 0..1));
}

#[test]
fn errors_name_the_kind_and_the_bytes() {
    use FormulaErrorKind as Kind;
    let at = |text: &str| Formula::parse(text).expect_err(text).at;
    assert_eq!(error("  "), Kind::Empty);
    assert_eq!(error("tahn(z)"), Kind::UnknownName { name: "tahn".into(), nearest: Some("tanh".into()) });
    assert_eq!(at("1 + tahn(z)"), 4..8);
    assert!(matches!(error("z +"), Kind::UnexpectedEnd { .. }));
    assert!(matches!(error("(z"), Kind::UnexpectedEnd { .. }));
    assert!(matches!(error("z $ 2"), Kind::UnexpectedCharacter { found: '$', .. }));
    assert!(matches!(error("2z"), Kind::UnexpectedCharacter { found: 'z', .. }));
    assert!(matches!(error("z)"), Kind::UnexpectedCharacter { found: ')', .. }));
    assert!(matches!(error("tanh z"), Kind::UnexpectedCharacter { found: 'z', .. }));
    assert!(matches!(error("if(z, 1, 2)"), Kind::UnexpectedCharacter { found: ',', .. }));
    assert_eq!(at("z + é * §"), 9..11);
    assert_eq!(error("max(z)"), Kind::WrongArgumentCount { function: "max".into(), expected: 2, found: 1 });
    assert_eq!(error("tanh()"), Kind::WrongArgumentCount { function: "tanh".into(), expected: 1, found: 0 });
    assert_eq!(error("1e999 * z"), Kind::NumberOutOfRange);
    assert_eq!(error("z + 1/0"), Kind::NotFinite);
    assert_eq!(at("z + ln(-1) * 2"), 4..10);
    assert!(matches!(error(&"(".repeat(4000)), Kind::TooDeep { .. }));
    assert!(matches!(error(&"-".repeat(4000)), Kind::TooDeep { .. }));
    assert!(matches!(error(&"z^".repeat(2000)), Kind::TooDeep { .. }));
    assert!(matches!(error(&"z".repeat(5000)), Kind::TooLong { bytes: 5000, .. }));
    assert_eq!(
        Formula::parse("tahn(z)").unwrap_err().to_string(),
        "formula `tahn(z)`: `tahn` is not known, did you mean `tanh`? (at bytes 0 to 4)"
    );
}

#[test]
fn a_formula_of_four_thousand_bytes_takes_little_time() {
    let start = std::time::Instant::now();
    let many: Vec<String> = (0..400).map(|k| format!("abs(z*z-{k})")).collect();
    let long = f(many.join("+")[..4000].rsplit_once('+').unwrap().0);
    assert!(!long.kinks().is_empty());
    f(&format!("z{}", "*z".repeat(2000)));
    assert!(start.elapsed().as_secs_f64() < 5.0, "{:?}", start.elapsed());
}

mod random {
    use super::*;
    use proptest::prelude::*;

    const PIECES: &[&str] = &[
        "z", "x", "1", "0", "2.5", "1e3", "e", "pi", "+", "-", "*", "/", "^", "(", ")", ",", "<", ">=",
        "exp(", "tanh(", "max(", "if(z<", "gelu(", "silu(", "abs(", "sqrt(", "ln(", "sign(", "clip(z,",
        "sin(", " ", "erf(", "step(", "²", "tahn(", "1e999",
    ];

    /// A text that is a formula, nested up to a few levels.
    fn formula() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("z".to_owned()),
            (-3.0..3.0f64).prop_map(|c| format!("({c:.2})")),
            Just("0.5".to_owned())
        ];
        leaf.prop_recursive(5, 40, 4, |inner| {
            let unary = prop::sample::select(
                &["tanh", "gelu", "silu", "sin", "abs", "sigmoid", "softplus", "erf", "step", "relu"][..],
            );
            let binary = prop::sample::select(&[" + ", " - ", " * ", " / "][..]);
            prop_oneof![
                (unary, inner.clone()).prop_map(|(f, u)| format!("{f}({u})")),
                (inner.clone(), binary, inner.clone()).prop_map(|(a, o, b)| format!("({a}{o}{b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("max({a}, {b})")),
                (inner.clone(), inner.clone(), inner.clone(), inner)
                    .prop_map(|(a, b, c, d)| format!("if({a} < {b}, {c}, {d})")),
            ]
        })
    }

    fn everything(f: &Formula) {
        let _ = (
            f.latex().len(),
            f.c_source().len(),
            f.jet(0.3),
            f.value(-1e300),
            f.one_sided(0.0, -1),
            f.closed_text(),
        );
        let (mut value, mut slope) = ([0f32; 3], [0f32; 3]);
        f.values_and_slopes(&[0.1, -2.0, 1e20], &mut value, &mut slope);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            if let Ok(f) = Formula::parse(&text) {
                everything(&f);
            }
        }

        #[test]
        fn no_sequence_of_pieces_panics(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..25)) {
            match Formula::parse(&pieces.concat()) {
                Ok(f) => everything(&f),
                Err(error) => {
                    prop_assert!(error.at.start <= error.at.end && error.at.end <= error.text.len());
                    prop_assert!(error.text.is_char_boundary(error.at.start) && error.text.is_char_boundary(error.at.end));
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn values_jets_and_slices_agree(text in formula(), z in -6.0..6.0f64) {
            let Ok(f) = Formula::parse(&text) else { return Ok(()) };
            let (value, jet) = (f.value(z), f.jet(z));
            let (mut values, mut slopes) = ([0.0], [0.0]);
            f.values_and_slopes(&[z], &mut values, &mut slopes);
            let close = |a: f64, b: f64| a == b || !a.is_finite() || !b.is_finite() || (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()));
            prop_assert!(close(value, jet[0]), "{} at {}: value {} jet {}", text, z, value, jet[0]);
            prop_assert!(close(value, values[0]), "{} at {}: value {} slice {}", text, z, value, values[0]);
            prop_assert!(close(jet[1], slopes[0]), "{} at {}: slope {} slice {}", text, z, jet[1], slopes[0]);
            prop_assert!(f.kinks().windows(2).all(|k| k[0].at < k[1].at));
        }
    }
}

#[test]
fn nested_doublings_stay_linear_in_time_and_text() {
    let nested = (0..60)
        .fold("z".to_owned(), |inner, k| format!("{}({inner})", if k % 2 == 0 { "gelu" } else { "silu" }));
    let start = std::time::Instant::now();
    let f = f(&nested);
    assert!(f.c_source().len() < 40_000 && f.latex().len() < 5_000 && f.value(0.5).is_finite());
    assert!(start.elapsed().as_secs_f64() < 1.0);
}
