//! The three ways to pair averages agree: closed form, expansion, quadrature.

use carnot_math::gauss::pair_average;
use carnot_net::activation::Activation;
use carnot_net::dual::Dual;
use carnot_net::kernel::{Gram, Kernel, Positions};

fn pair_kernel(variances: &[f64], distance: impl Fn(usize, usize) -> f64, tangent: bool) -> Kernel {
    let mut gram = Gram::zeros(variances.len(), 1, Positions::Full);
    gram.variance.copy_from_slice(variances);
    gram.fill_pairs(distance);
    let mut kernel = Kernel::of_gram(gram, false);
    kernel.gaussian = true;
    if tangent {
        kernel.tangent = Some(Gram::of_covariance(&[2.0, 0.5, 0.5, 1.5], 2));
    }
    kernel
}

/// ⟨(σ_a − σ_b)²⟩ by quadrature; only for inputs that are not close.
fn reference(activation: &Activation, a: f64, b: f64, d: f64) -> f64 {
    let f = &activation.formula;
    let kinks: Vec<f64> = f.kinks().iter().map(|kink| kink.at).collect();
    pair_average(a, b, d, &kinks, |x, y| [(f.value(x) - f.value(y)).powi(2)])[0]
}

#[test]
fn every_way_gives_the_distance_of_quadrature() {
    let close = [
        "tanh",
        "relu",
        "gelu",
        "sin",
        "erf",
        "silu",
        "softplus",
        "z*exp(-z^2/9)",
        "leaky_relu(0.2)",
        "hard_tanh",
    ];
    let kinked = ["elu", "selu", "softsign", "celu(0.5)"];
    for (names, tolerance) in [(&close[..], 1e-9), (&kinked[..], 1e-6)] {
        for name in names {
            let activation = Activation::parse(name).expect("a known activation");
            for (a, b, rho) in [(1.0, 1.0, 0.3), (0.7, 1.6, -0.4), (1.2, 1.1, 0.95)] {
                let d = a + b - 2.0 * rho * f64::sqrt(a * b);
                let kernel = Dual::of(&activation)
                    .propagate(&pair_kernel(&[a, b], |_, _| d, false))
                    .expect("converges");
                let expect = reference(&activation, a, b, d);
                let got = kernel.forward.mean_distance();
                assert!(
                    (got - expect).abs() < tolerance * expect,
                    "{name} {a} {b} {rho}: {got} against {expect}"
                );
            }
        }
    }
}

#[test]
fn merged_inputs_grow_apart_as_the_slope_says() {
    // d' = <sigma'^2> d for equal norms, when d is far below every scale of the activation.
    for name in ["tanh", "relu", "gelu", "elu", "selu", "sin", "hard_tanh"] {
        let activation = Activation::parse(name).expect("a known activation");
        let d = 1e-18;
        let kernel =
            Dual::of(&activation).propagate(&pair_kernel(&[0.8, 0.8], |_, _| d, false)).expect("converges");
        let slope = Dual::of(&activation).mean_squared_slope(&[0.8]).expect("converges");
        let ratio = kernel.forward.mean_distance() / (slope * d);
        let tolerance = if ["elu", "selu", "hard_tanh"].contains(&name) { 1e-4 } else { 1e-7 };
        assert!((ratio - 1.0).abs() < tolerance, "{name}: {ratio}");
    }
}

#[test]
fn many_variances_are_interpolated_without_loss() {
    for name in ["tanh", "silu", "softplus"] {
        let activation = Activation::parse(name).expect("a known activation");
        let variances: Vec<f64> = (0..60).map(|i| 0.5 + 0.02 * f64::from(i)).collect();
        let d = |a: usize, b: usize| (variances[a] + variances[b]) * 0.6;
        let all = Dual::of(&activation).propagate(&pair_kernel(&variances, d, false)).expect("converges");
        for (a, b) in [(0, 1), (3, 50), (20, 59)] {
            let two = pair_kernel(&[variances[a], variances[b]], |_, _| d(a, b), false);
            let own = Dual::of(&activation).propagate(&two).expect("converges").forward.mean_distance();
            let got = all.forward.distance_of(a, b).expect("kept");
            assert!((got - own).abs() < 1e-10 * own, "{name} {a} {b}: {got} against {own}");
        }
    }
}

#[test]
fn the_tangent_kernel_follows_the_slopes() {
    for name in ["relu", "tanh", "gelu", "selu"] {
        let activation = Activation::parse(name).expect("a known activation");
        let (a, b, d) = (1.0, 1.3, 0.9);
        let kernel =
            Dual::of(&activation).propagate(&pair_kernel(&[a, b], |_, _| d, true)).expect("converges");
        let f = &activation.formula;
        let kinks: Vec<f64> = f.kinks().iter().map(|kink| kink.at).collect();
        let [pp] = pair_average(a, b, d, &kinks, |x, y| [f.jet(x)[1] * f.jet(y)[1]]);
        let got = kernel.tangent.expect("asked for").covariance(0, 1).expect("kept");
        assert!((got - 0.5 * pp).abs() < 1e-6, "{name}: {got} against {}", 0.5 * pp);
    }
}
