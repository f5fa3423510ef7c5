//! What a user can see: answers for every kind of activation, limits, and agreement between independent computations.

use carnot_math::formula::Formula;
use carnot_net::activation::Activation;
use carnot_theory::criticality::{Class, Criticality, NotAbove, NotAtZero, criticality};
use carnot_theory::error::{TheoryError, Unknown};
use carnot_theory::finite_width::table;
use carnot_theory::layer::{Scales, Stack};
use carnot_theory::moments::moments;
use carnot_theory::phases::{Phase, correlations, fixed_points, settle};
use carnot_theory::recommend::{Choice, Plan, advise, recommended_init};
use carnot_theory::tangent::{Rates, contributions, equalizing_rates};
use carnot_theory::tensors::{Wanted, tensors};
use carnot_theory::transformer::{AttentionScales, attention_block};

fn formula(name: &str) -> Formula {
    Activation::parse(name).expect("known").formula
}

fn close(have: f64, want: f64, relative: f64) {
    assert!((have - want).abs() <= relative * want.abs().max(1e-12), "{have} instead of {want}");
}

#[test]
fn every_activation_has_its_class_or_none() {
    let cases = [
        ("linear", Some(Class::ScaleInvariant)),
        ("relu", Some(Class::ScaleInvariant)),
        ("lrelu0.1", Some(Class::ScaleInvariant)),
        ("abs", Some(Class::ScaleInvariant)),
        ("tanh", Some(Class::KernelZero)),
        ("sin", Some(Class::KernelZero)),
        ("erf", Some(Class::KernelZero)),
        ("arctan", Some(Class::KernelZero)),
        ("elu", Some(Class::KernelZeroKinked)),
        ("selu", Some(Class::KernelZeroKinked)),
        ("celu", Some(Class::KernelZeroKinked)),
        ("softsign", Some(Class::KernelZeroKinked)),
        ("hard_tanh", Some(Class::KernelZeroFlat)),
        ("swish", Some(Class::HalfStable)),
        ("gelu", Some(Class::HalfStable)),
        ("gelu_tanh", Some(Class::HalfStable)),
        ("mish", Some(Class::HalfStable)),
        ("hard_swish", Some(Class::HalfStable)),
        ("sigmoid", None),
        ("softplus", None),
        ("cos", None),
        ("square", None),
        ("cube", None),
        ("relu2", None),
        ("exp", None),
        ("hard_sigmoid", None),
        ("sign", None),
        ("step", None),
        // A user's own: odd with a softer bend, and a bounded one without a slope at zero.
        ("z / sqrt(1 + z^2)", Some(Class::KernelZero)),
        ("tanh(z) + tanh(z - 1)", None),
    ];
    for (name, class) in cases {
        let answer = criticality(&formula(name)).expect("an answer");
        assert_eq!(answer.point().map(|point| point.class), class, "{name}: {answer:?}");
    }
}

#[test]
fn half_stable_points_have_their_published_digits() {
    let rows = [
        ("swish", 14.3201736180258, 1.988004678269492, 0.5551431707215304, 2.849792e-6, 1.7330272e-3),
        ("gelu", 3.56155281280883, 1.983058257437547, 0.1729223907560674, -1.4362642e-4, 9.3335406e-3),
        ("gelu_tanh", 3.556772844715111, 1.982888239821092, 0.1728951982638158, -1.6181948e-4, 9.3672619e-3),
        ("mish", 1.670169132478078, 2.013524069719531, 0.0945217873706653, 7.8939707e-3, 3.4577403e-2),
        ("hard_swish", 4.803855948880405, 1.97328958364247, 0.507145848788517, 1.3900509e-3, 2.1976216e-2),
    ];
    for (name, kernel, c_w, c_b, a_1, b_1) in rows {
        let answer = criticality(&formula(name)).expect("an answer");
        let point = answer.point().expect("critical");
        close(point.kernel.expect("K*"), kernel, 1e-9);
        close(point.c_w, c_w, 1e-10);
        close(point.c_b, c_b, 1e-9);
        close(point.a_1.expect("a1"), a_1, 1e-6);
        close(point.b_1.expect("b1"), b_1, 1e-7);
    }
}

#[test]
fn expansions_at_zero_have_their_exact_coefficients() {
    let rows = [
        ("tanh", -2.0, 17.0 / 3.0),
        ("sin", -1.0, 2.0 / 3.0),
        ("erf", -2.0, 14.0 / 3.0),
        ("arctan", -2.0, 23.0 / 3.0),
    ];
    for (name, a_1, a_2) in rows {
        let answer = criticality(&formula(name)).expect("an answer");
        let point = answer.point().expect("critical");
        close(point.a_1.expect("a1"), a_1, 1e-12);
        close(point.a_2.expect("a2"), a_2, 1e-12);
    }
    for (name, kappa) in
        [("elu", 0.7978845608028654), ("selu", 1.1758088676), ("softsign", 3.191538243211462)]
    {
        let answer = criticality(&formula(name)).expect("an answer");
        close(answer.point().and_then(|point| point.kappa).expect("kinked"), kappa, 1e-9);
    }
}

#[test]
fn the_reason_for_no_criticality_is_the_right_one() {
    let reason = |name: &str| match criticality(&formula(name)).expect("an answer") {
        Criticality::None(why) => why,
        Criticality::Point(point) => panic!("{name} is critical: {point:?}"),
    };
    assert!(matches!(reason("sign").at_zero, NotAtZero::Jumps { .. }));
    assert!(matches!(reason("sigmoid").at_zero, NotAtZero::ValueAtZero { .. }));
    assert!(matches!(reason("sigmoid").above, NotAbove::NormAlwaysSlower { .. }));
    assert!(matches!(reason("softplus").above, NotAbove::NormAlwaysFaster { .. }));
    assert!(matches!(reason("square").at_zero, NotAtZero::NoSlopeAtZero));
    for (name, ratio) in [("square", 1.5), ("relu2", 1.5), ("cube", 5.0 / 3.0)] {
        let NotAbove::NormAlwaysFaster { ratio: have } = reason(name).above else { panic!("{name}") };
        close(have, ratio, 1e-10);
    }
    assert!(reason("softplus").to_string().contains("norms grow faster"));
}

#[test]
fn one_input_through_the_general_tensors_gives_the_table() {
    for (name, c_w, c_b) in
        [("tanh", 1.3, 0.05), ("gelu", 1.983, 0.173), ("relu", 2.0, 0.1), ("elu", 1.1, 0.1)]
    {
        let stack = Stack::uniform(&formula(name), 4, Scales::new(c_w, c_b).with_rates(1.0, 0.4))
            .with_widths(&[100, 150, 120])
            .expect("widths fit");
        let rows = table(&stack, 0.8).expect("an answer").rows;
        let layers = tensors(&stack, &[0.8], 1, Wanted::Differentials).expect("an answer");
        for (row, layer) in rows.iter().zip(&layers) {
            let (one, all) = (row.tangent.clone().expect("no jump"), layer.tangent.as_ref().expect("wanted"));
            let first = layer.differentials.as_ref().expect("wanted");
            let mut pairs = vec![
                (row.kernel, layer.kernel[0]),
                (row.kernel_shift, layer.kernel_shift[0]),
                (row.vertex, layer.vertex.values()[0]),
                (one.mean, all.mean[0]),
                (one.shift, all.shift[0]),
                (one.a, all.a.values()[0]),
                (one.b, all.b.values()[0]),
                (one.d, all.d.values()[0]),
                (one.f, all.f.values()[0]),
                (one.p, first.p.values()[0]),
                (one.q, first.q.values()[0]),
            ];
            if let (Ok(one), Some(Ok(all))) = (&row.curvature, &layer.curvature) {
                pairs.extend([(one.r, all.r.values()[0]), (one.s, all.s.values()[0])]);
                pairs.extend([(one.t, all.t.values()[0]), (one.u, all.u.values()[0])]);
            }
            for (k, (want, have)) in pairs.into_iter().enumerate() {
                assert!(
                    (have - want).abs() < 1e-9 * (1.0 + want.abs()),
                    "{name} {} quantity {k}: {have}, {want}",
                    row.layer
                );
            }
        }
    }
}

#[test]
fn a_repeated_input_has_the_components_of_one_input() {
    let stack = Stack::uniform(&formula("tanh"), 3, Scales::new(1.2, 0.1).with_rates(1.0, 0.4));
    let one = tensors(&stack, &[0.9], 1, Wanted::Differentials).expect("an answer");
    let two = tensors(&stack, &[0.9; 4], 2, Wanted::Differentials).expect("coinciding inputs are allowed");
    for (one, two) in one.iter().zip(&two) {
        for value in two.vertex.values() {
            close(*value, one.vertex.values()[0], 1e-7);
        }
        let (one, two) = (one.tangent.as_ref().expect("wanted"), two.tangent.as_ref().expect("wanted"));
        for value in &two.shift {
            assert!((value - one.shift[0]).abs() < 1e-6);
        }
    }
}

#[test]
fn differentials_of_relu_are_the_limit_of_smooth_ones() {
    let scales = Scales::new(2.0, 0.1).with_rates(1.0, 0.4);
    let input = [1.0, 0.3, 0.3, 0.8];
    let of = |text: &str| {
        let stack = Stack::uniform(&formula(text), 3, scales);
        let last =
            tensors(&stack, &input, 2, Wanted::Differentials).expect("an answer").pop().expect("layers");
        let first = last.differentials.expect("wanted");
        [first.p.values(), first.q.values()].concat()
    };
    let sharp = of("relu");
    // The rounded corner has σ(0) of the order of its width, so errors fall linearly with it: two widths extrapolate.
    let (wide, narrow) = (of("(z + sqrt(z^2 + 0.09)) / 2"), of("(z + sqrt(z^2 + 0.0225)) / 2"));
    let largest = sharp.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    for k in 0..sharp.len() {
        let limit = 2.0 * narrow[k] - wide[k];
        assert!((limit - sharp[k]).abs() < 0.03 * largest, "component {k}: {limit}, {}", sharp[k]);
    }
    assert!(sharp[..16].iter().any(|p| p.abs() > 0.01 * largest), "P is not zero between inputs");
}

#[test]
fn relu_pairs_that_nearly_coincide_are_nearly_one_input() {
    let stack = Stack::uniform(&formula("relu"), 3, Scales::new(2.0, 0.0));
    let near = |gap: f64| {
        let layers = tensors(&stack, &[1.0, 1.0 - gap, 1.0 - gap, 1.0], 2, Wanted::Kernel);
        layers.expect("an answer").pop().expect("layers").vertex
    };
    close(near(1e-2).at(0, 0, 0, 0), 4.0 * 10.0, 1e-6);
    // The angle between the two is √(2 gap), and components differ by a few times that.
    for gap in [1e-4, 1e-9, 1e-13] {
        let spread: f64 = near(gap).values().iter().map(|v| (v - 40.0).abs()).fold(0.0, f64::max);
        assert!(spread < 200.0 * f64::sqrt(2.0 * gap) + 1e-6, "gap {gap}: {spread}");
    }
}

#[test]
fn relu_grows_as_its_closed_forms_say() {
    let stack = Stack::uniform(&formula("relu"), 12, Scales::new(2.0, 0.0).with_rates(1.0, 0.3));
    for row in table(&stack, 0.5).expect("an answer").rows {
        let (l, tangent) = (row.layer as f64, row.tangent.expect("no jump"));
        let (own, kernel) = (0.3 + 0.5, 1.0);
        close(row.vertex, 5.0 * (l - 1.0) * kernel * kernel, 1e-10);
        close(tangent.mean, own * l, 1e-12);
        close(tangent.f, 2.0 * kernel * own * l * (l - 1.0) / 2.0, 1e-10);
        close(tangent.b, 2.0 * own * own * (l - 1.0) * l * (2.0 * l - 1.0) / 6.0, 1e-10);
        assert!(row.kernel_shift.abs() < 1e-10 && tangent.shift.abs() < 1e-9 && tangent.p.abs() < 1e-9);
        // Nothing has bent yet at layer 1.
        assert!(row.layer == 1 || matches!(row.curvature, Err(Unknown::SlopeJumps { .. })));
    }
}

#[test]
fn deep_linear_networks_have_their_exact_tensors() {
    let stack = Stack::uniform(&formula("linear"), 8, Scales::new(1.0, 0.0));
    for row in table(&stack, 1.0).expect("an answer").rows {
        let l = row.layer as f64;
        let (tangent, second) = (row.tangent.expect("smooth"), row.curvature.expect("smooth"));
        let wide = l * (l - 1.0);
        for (have, want) in [
            (row.vertex, 2.0 * (l - 1.0)),
            (tangent.d, wide),
            (tangent.f, wide / 2.0),
            (tangent.a, wide * (2.0 * l - 1.0) / 3.0),
            (tangent.b, wide * (2.0 * l - 1.0) / 6.0),
            (tangent.q, wide * (l + 1.0) / 6.0),
            (second.s, l * wide * (l + 1.0) / 12.0),
            (second.t, l * wide * (l + 1.0) / 12.0),
        ] {
            assert!((have - want).abs() < 1e-9 * (1.0 + want), "layer {l}: {have}, {want}");
        }
        assert!([tangent.p, second.r, second.u].iter().all(|x| x.abs() < 1e-10));
    }
}

#[test]
fn tanh_approaches_its_universal_limits() {
    let stack = Stack::uniform(&formula("tanh"), 1500, Scales::new(1.0, 0.0).with_rates(1.0, 0.5));
    let table = table(&stack, 1.0).expect("an answer");
    assert_eq!(table.ended, None);
    let row = table.rows.last().expect("rows");
    let l = row.layer as f64;
    close(row.kernel * l, 0.5, 5e-3);
    close(row.vertex / row.kernel.powi(2) / l, 2.0 / 3.0, 5e-3);
    close((1.0 - row.chi_parallel) * l, 2.0, 1e-2);
    close((1.0 - row.chi_perpendicular.clone().expect("smooth")) * l, 1.0, 1e-2);
    close(row.kernel_shift / row.kernel / l, -1.0 / 3.0, 1e-2);
}

#[test]
fn kinked_and_flat_classes_approach_their_limits() {
    let at = |name: &str, depth: usize| {
        let point = criticality(&formula(name)).expect("an answer").point().cloned().expect("critical");
        let stack = Stack::uniform(&formula(name), depth, Scales::new(point.c_w, 0.0));
        let row = table(&stack, 1.0).expect("an answer").rows.pop().expect("rows");
        (point, row)
    };
    for name in ["elu", "selu", "softsign"] {
        let (point, row) = at(name, 2000);
        let l = row.layer as f64;
        close(row.kernel * l * l, point.decay.expect("a power").0, 0.03);
        close(row.vertex / row.kernel.powi(2) / l, point.nu, 0.03);
    }
    // hard-tanh: the kernel falls only logarithmically, and the vertex grows as in the other K* = 0 classes.
    let (point, row) = at("hard_tanh", 2000);
    close(point.nu, 2.0 / 3.0, 1e-12);
    close(row.vertex / row.kernel.powi(2) / row.layer as f64, 2.0 / 3.0, 0.15);
    assert!(row.kernel > 0.05);
}

#[test]
fn phases_follow_the_perpendicular_susceptibility() {
    let tanh = formula("tanh");
    for (c_w, c_b, phase) in [(0.9, 0.05, Phase::Ordered), (2.5, 0.01, Phase::Chaotic)] {
        let point = settle(&tanh, c_w, c_b, 1.0).expect("a fixed point");
        let pair = correlations(&tanh, c_w, c_b, &point).expect("an answer");
        assert_eq!(pair.phase, phase);
        assert_eq!(pair.correlation < 1.0, phase == Phase::Chaotic);
        assert!(pair.correlation_depth().expect("finite") > 0.0);
    }
    let chaotic = settle(&tanh, 2.5, 0.0, 1.0).expect("a fixed point");
    assert_eq!(correlations(&tanh, 2.5, 0.0, &chaotic).expect("an answer").correlation, 0.0);
    assert_eq!(settle(&tanh, 0.9, 0.0, 1.0), Err(Unknown::KernelVanishes.into()));
    assert_eq!(settle(&formula("relu"), 2.5, 0.1, 1.0), Err(Unknown::KernelGrows.into()));
    close(fixed_points(&tanh, 2.5, 0.0).expect("an answer")[0].kernel, chaotic.kernel, 1e-9);
}

#[test]
fn equalizing_rates_give_every_layer_the_same_share() {
    for name in ["tanh", "gelu", "elu", "relu"] {
        let init = recommended_init(&formula(name)).expect("an answer");
        let scales = Scales::new(init.c_w.expect("critical"), init.c_b.expect("critical"));
        let mut stack = Stack::uniform(&formula(name), 9, scales);
        let rates = equalizing_rates(&stack, 1.0, Rates { lambda_w: 1.0, lambda_b: 0.5 }).expect("an answer");
        for (scales, rates) in stack.layers.iter_mut().zip(&rates) {
            *scales = scales.with_rates(rates.lambda_w, rates.lambda_b);
        }
        let shares = contributions(&stack, 1.0).expect("an answer");
        let last = table(&stack, 1.0).expect("an answer").rows.pop().expect("rows");
        close(shares.iter().sum(), last.tangent.expect("no jump").mean, 1e-10);
        for share in &shares {
            close(*share, shares[0], 1e-10);
        }
    }
}

#[test]
fn advice_is_given_or_refused_for_a_reason() {
    let plan = |name: &str| Plan {
        activation: formula(name),
        hidden: vec![100; 10],
        outputs: 10,
        input_square: 1.0,
        skip: 0.0,
    };
    let relu = advise(&plan("relu")).expect("an answer");
    close(relu.spread.expect("known"), (50.0f64 / 100.0).sqrt(), 1e-9);
    close(relu.best_aspect_ratio.expect("known"), 0.016, 1e-9);
    close(relu.depth_budget.expect("known"), 20.0, 1e-9);
    assert!(relu.stable_rate.expect("known") > 0.0);
    let residual = advise(&Plan { skip: 0.5, ..plan("tanh") }).expect("an answer");
    close(residual.init.c_w.expect("critical"), 0.75, 1e-12);
    assert!(
        residual.spread.expect("known") < advise(&plan("tanh")).expect("an answer").spread.expect("known")
    );
    assert_eq!(residual.rates.expect("known").len(), 11);
    let sigmoid = advise(&plan("sigmoid")).expect("an answer");
    assert!(matches!(sigmoid.init.choice, Choice::EdgeOfChaos { chi_parallel, .. } if chi_parallel < 1.0));
    assert!(matches!(
        recommended_init(&formula("softplus")).expect("an answer").choice,
        Choice::LeastOrdered { .. }
    ));
    let sign = advise(&plan("sign")).expect("an answer");
    assert!(matches!(sign.init.choice, Choice::Nothing { .. }));
    assert_eq!(sign.spread, Err(Unknown::NoCriticalPoint));
}

#[test]
fn what_is_not_known_says_why_and_is_never_nan() {
    assert!(
        matches!(moments(&formula("sign"), 1.0).expect("finite").slope, Err(Unknown::ValueJumps { at }) if at == 0.0)
    );
    assert!(matches!(moments(&formula("exp(z^2)"), 1.0), Err(TheoryError::NotFinite { .. })));
    assert!(matches!(moments(&formula("tanh"), 0.0), Err(TheoryError::OutOfRange { .. })));
    assert!(matches!(moments(&formula("tanh"), f64::NAN), Err(TheoryError::OutOfRange { .. })));
    let stack = Stack::uniform(&formula("cube"), 30, Scales::new(2.0, 0.0));
    let blown = table(&stack, 1.0).expect("an answer");
    assert!(blown.ended.is_some() && blown.rows.len() < 30);
    assert!(blown.rows.iter().all(|row| row.kernel.is_finite() && row.vertex.is_finite()));
    let scales = AttentionScales { c_q: 1.0, c_k: 1.0, c_v: 1.0, c_u: 1.0 };
    let five: Vec<f64> = (0..25).map(|k| if k % 6 == 0 { 1.0 } else { 0.1 }).collect();
    assert!(matches!(
        attention_block(&five, 5, scales),
        Err(TheoryError::Unknown(Unknown::TooManyTokens { .. }))
    ));
}

#[test]
fn equal_tokens_make_attention_add_exactly_its_values() {
    let scales = AttentionScales { c_q: 1.3, c_k: 0.8, c_v: 0.7, c_u: 1.1 };
    for tokens in 1..=3 {
        let after = attention_block(&vec![2.0; tokens * tokens], tokens, scales).expect("few tokens");
        after.iter().for_each(|value| close(*value, 2.0 + 0.77, 1e-12));
    }
}
