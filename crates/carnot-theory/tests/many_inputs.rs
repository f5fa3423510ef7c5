//! The 1/n tensors of more inputs than meet in one average.

use carnot_math::formula::Formula;
use carnot_math::random::Stream;
use carnot_math::stats::Moments;
use carnot_net::activation::Activation;
use carnot_theory::error::{TheoryError, Unknown};
use carnot_theory::layer::{Scales, Stack};
use carnot_theory::tensors::{Tensors, Wanted, tensors};

const SEED: u64 = 20_261_122;

fn formula(name: &str) -> Formula {
    Activation::parse(name).expect("known").formula
}

fn inputs(samples: usize, width: usize) -> Vec<Vec<f64>> {
    let mut stream = Stream::new(SEED, "many inputs", &[]);
    let one = |_| {
        let mut x = vec![0.0; width];
        stream.fill_normal(&mut x, 1.0);
        x
    };
    (0..samples).map(one).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn gram(inputs: &[Vec<f64>]) -> Vec<f64> {
    inputs.iter().flat_map(|a| inputs.iter().map(move |b| dot(a, b) / a.len() as f64)).collect()
}

fn of(activation: &str, depth: usize, scales: Scales, gram: &[f64], wanted: Wanted) -> Tensors {
    let samples = gram.len().isqrt();
    let stack = Stack::uniform(&formula(activation), depth, scales);
    tensors(&stack, gram, samples, wanted).expect("an answer").pop().expect("layers")
}

fn close(what: &str, found: f64, expect: f64, scale: f64, tolerance: f64) {
    assert!((found - expect).abs() <= tolerance * scale, "{what}: {found}, expected {expect}");
}

/// ⟨∏ sin^(k_i)(z_{a_i})⟩, exactly: products of sines are sums of exponentials.
fn of_sines(kernel: &[f64], samples: usize, labels: &[usize], orders: &[u32]) -> f64 {
    let n = labels.len();
    let mut sum = 0.0;
    for signs in 0..1u32 << n {
        let sign = |i: usize| if signs >> i & 1 == 1 { -1.0 } else { 1.0 };
        let mut exponent = 0.0;
        for i in 0..n {
            for j in 0..n {
                exponent -= 0.5 * sign(i) * sign(j) * kernel[labels[i] * samples + labels[j]];
            }
        }
        // sin^(k) z = Re of e^{i(z + (k−1)π/2)}, half of each sign.
        let phase: f64 =
            (0..n).map(|i| sign(i) * (f64::from(orders[i]) - 1.0) * std::f64::consts::FRAC_PI_2).sum();
        sum += phase.cos() * exponent.exp();
    }
    sum / f64::from(1u32 << n)
}

#[test]
fn sines_of_four_inputs_have_their_closed_form_in_every_tensor() {
    let scales = Scales::new(1.3, 0.1).with_rates(0.8, 0.4);
    let x = gram(&inputs(5, 4));
    let first = of("sin(z)", 1, scales, &x, Wanted::Differentials);
    let second = of("sin(z)", 2, scales, &x, Wanted::Differentials);
    let (k, theta) = (&first.kernel, &first.tangent.as_ref().unwrap().mean);
    let mean = |labels: &[usize], orders: &[u32]| of_sines(k, 5, labels, orders);
    let t = |a: usize, b: usize| theta[a * 5 + b];
    let (c, l) = (1.3, 0.8);
    let tangent = second.tangent.as_ref().unwrap();
    let (differentials, curvature) =
        (second.differentials.as_ref().unwrap(), second.curvature.as_ref().unwrap().as_ref().unwrap());
    for [i, j, m, n] in [[0, 1, 2, 3], [4, 2, 1, 0], [3, 3, 1, 4], [2, 0, 2, 1], [1, 1, 4, 4], [0, 4, 4, 4]] {
        let all = [i, j, m, n];
        let v = c * c * (mean(&all, &[0; 4]) - mean(&[i, j], &[0; 2]) * mean(&[m, n], &[0; 2]));
        close("V", second.vertex.at(i, j, m, n), v, 0.1, 1e-7);
        let f = c * c * mean(&[i, m, j, n], &[0, 0, 1, 1]) * t(j, n);
        close("F", tangent.f.at(i, j, m, n), f, 0.1, 1e-7);
        let b = c * c * mean(&all, &[1; 4]) * t(i, m) * t(j, n);
        close("B", tangent.b.at(i, j, m, n), b, 0.1, 1e-7);
        let p = c * c * mean(&all, &[2, 1, 1, 0]) * t(i, j) * t(i, m);
        close("P", differentials.p.at(i, j, m, n), p, 0.1, 1e-7);
        let r = c
            * (l * mean(&all, &[2, 0, 1, 1]) * t(i, m) * t(i, n)
                + c * mean(&all, &[3, 1, 1, 1]) * t(i, j) * t(i, m) * t(i, n));
        close("R", curvature.r.at(i, j, m, n), r, 0.1, 1e-7);
        let s = c
            * (l * mean(&all, &[1; 4]) * t(i, m) * t(j, n)
                + c * mean(&all, &[2, 2, 1, 1]) * t(i, j) * t(i, m) * t(j, n));
        close("S", curvature.s.at(i, j, m, n), s, 0.1, 1e-7);
    }
}

#[test]
fn what_is_known_of_some_inputs_does_not_depend_on_the_others() {
    let scales = Scales::new(1.4, 0.05).with_rates(1.0, 0.4);
    let all = inputs(6, 3);
    for (activation, wanted) in
        [("tanh", Wanted::Differentials), ("gelu", Wanted::Tangent), ("relu", Wanted::Tangent)]
    {
        let whole = of(activation, 3, scales, &gram(&all), wanted);
        let places = [4, 1, 3];
        let some: Vec<Vec<f64>> = places.iter().map(|&a| all[a].clone()).collect();
        let (part, expect) = (of(activation, 3, scales, &gram(&some), wanted), whole.among(&places));
        let compare = |what: &str, found: &[f64], expect: &[f64]| {
            let scale = expect.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
            found
                .iter()
                .zip(expect)
                .for_each(|(f, e)| close(&format!("{activation} {what}"), *f, *e, scale, 1e-6));
        };
        compare("V", part.vertex.values(), expect.vertex.values());
        let (a, b) = (part.tangent.unwrap(), expect.tangent.unwrap());
        compare("A", a.a.values(), b.a.values());
        compare("H1", &a.shift, &b.shift);
        if wanted == Wanted::Differentials {
            let (a, b) = (part.curvature.unwrap().unwrap(), expect.curvature.unwrap().unwrap());
            compare("R", a.r.values(), b.r.values());
            compare("T", a.t.values(), b.t.values());
        }
    }
}

#[test]
fn repeated_nearly_parallel_and_dependent_inputs_are_handled() {
    let mut all = inputs(3, 3);
    all.push(all[0].clone());
    all.push(all[1].iter().map(|x| x * (1.0 + 1e-7)).collect());
    // Follows from two others: the kernel of the first layer is singular without a bias.
    all.push(all[0].iter().zip(&all[2]).map(|(x, y)| x + y).collect());
    for (activation, c_b) in [("tanh", 0.0), ("gelu", 0.1), ("relu", 0.1), ("relu", 0.0)] {
        let last = of(activation, 3, Scales::new(1.4, c_b), &gram(&all), Wanted::Tangent);
        let tangent = last.tangent.as_ref().unwrap();
        assert!(
            last.vertex
                .values()
                .iter()
                .chain(tangent.a.values())
                .chain(&tangent.shift)
                .all(|x| x.is_finite())
        );
        assert_eq!(last.vertex.at(0, 1, 2, 5), last.vertex.at(3, 1, 2, 5));
        let (a, b) = (last.vertex.at(0, 1, 2, 1), last.vertex.at(0, 4, 2, 4));
        close(&format!("{activation} parallel"), a, b, last.vertex.at(0, 0, 0, 0), 1e-5);
        let (a, b) = (tangent.a.at(0, 1, 2, 1), tangent.a.at(0, 4, 2, 4));
        close(&format!("{activation} parallel A"), a, b, tangent.a.at(0, 0, 0, 0), 1e-3);
    }
}

#[test]
fn a_kink_that_is_not_straight_is_refused_with_its_reason() {
    let stack = Stack::uniform(&formula("elu"), 3, Scales::new(1.0, 0.1));
    let refused = tensors(&stack, &gram(&inputs(3, 3)), 3, Wanted::Kernel).unwrap_err();
    assert!(
        matches!(refused, TheoryError::Unknown(Unknown::KinkWithManyInputs { samples: 3, .. })),
        "{refused:?}"
    );
    let relu = Stack::uniform(&formula("relu"), 3, Scales::new(2.0, 0.1));
    let refused = tensors(&relu, &gram(&inputs(3, 3)), 3, Wanted::Differentials).unwrap_err();
    assert!(matches!(refused, TheoryError::Unknown(Unknown::KinkWithManyInputs { .. })), "{refused:?}");
}

/// n Cov(Ĝ_ab, Ĝ_cd) over real networks with two hidden layers, four inputs.
fn check_vertex(name: &str, n: usize, draws: u64, slack: f64) {
    let activation = formula(name);
    let (c_w, c_b) = (1.6, 0.1);
    let all = inputs(4, 3);
    let theory = of(name, 3, Scales::new(c_w, c_b), &gram(&all), Wanted::Kernel);
    let pairs = [[0, 1, 2, 3], [0, 2, 1, 3], [0, 0, 1, 2], [3, 3, 2, 0]];
    let mut products = [Moments::default(); 4];
    for draw in 0..draws {
        let mut stream = Stream::new(SEED, name, &[draw]);
        let mut signal = all.clone();
        for _ in 0..2 {
            let below = signal[0].len();
            let (mut w, mut b) = (vec![0.0f64; n * below], vec![0.0f64; n]);
            stream.fill_normal(&mut w, (c_w / below as f64).sqrt());
            stream.fill_normal(&mut b, c_b.sqrt());
            let step = |x: &Vec<f64>| {
                w.chunks(below).zip(&b).map(|(row, b)| activation.value(dot(row, x) + b)).collect()
            };
            signal = signal.iter().map(step).collect();
        }
        let moved = |a: usize, b: usize| {
            c_b + c_w * dot(&signal[a], &signal[b]) / n as f64 - theory.kernel[a * 4 + b]
        };
        for (sum, [a, b, c, d]) in products.iter_mut().zip(pairs) {
            sum.push(n as f64 * moved(a, b) * moved(c, d));
        }
    }
    for (found, [a, b, c, d]) in products.iter().zip(pairs) {
        let expect = theory.vertex.at(a, b, c, d);
        let allowed = 4.0 * found.error() + slack / n as f64 * theory.vertex.at(0, 0, 0, 0);
        assert!(
            (found.mean() - expect).abs() < allowed,
            "{name} V{a}{b}{c}{d}: {} ± {}, theory {expect}, seed {SEED}",
            found.mean(),
            found.error()
        );
    }
}

#[test]
fn kernels_of_four_different_inputs_fluctuate_together_as_predicted() {
    check_vertex("relu", 96, 6_000, 6.0);
    check_vertex("tanh", 96, 6_000, 6.0);
}

#[test]
fn a_dozen_inputs_take_seconds() {
    for (activation, scales, wanted, samples) in [
        ("tanh", Scales::new(1.3, 0.05), Wanted::Differentials, 6),
        ("gelu", Scales::new(1.983, 0.173), Wanted::Differentials, 6),
        ("relu", Scales::new(2.0, 0.0), Wanted::Tangent, 6),
        ("tanh", Scales::new(1.3, 0.05), Wanted::Differentials, 9),
        ("relu", Scales::new(2.0, 0.0), Wanted::Tangent, 9),
    ] {
        let start = std::time::Instant::now();
        let last = of(activation, 3, scales.with_rates(1.0, 0.4), &gram(&inputs(samples, 4)), wanted);
        let seconds = start.elapsed().as_secs_f64();
        println!("{activation}, {samples} inputs, three layers, {wanted:?}: {seconds:.2} s");
        assert!(last.vertex.values().iter().all(|x| x.is_finite()));
        assert!(seconds < 60.0, "{activation}, {samples} inputs: {seconds} s");
    }
}
