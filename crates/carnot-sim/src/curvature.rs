//! How sharply a loss is bent where training ended: the largest eigenvalue of its Hessian.

use carnot_math::linalg::symmetric_eigen;
use carnot_math::random::Stream;
use carnot_net::dataset::Dataset;
use carnot_net::plan::Plan;

use crate::loss::Loss;
use crate::train::evaluate::gradient;

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lanczos {
    /// Products with the Hessian at most, ≥ 1; each costs two gradients.
    pub products: usize,
    /// Ends when the error is below this share of the value.
    pub tolerance: f64,
    /// Seed of the first direction.
    pub seed: u64,
}

impl Default for Lanczos {
    fn default() -> Lanczos {
        Lanczos { products: 40, tolerance: 0.01, seed: 1 }
    }
}

/// The largest eigenvalue of a Hessian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sharpness {
    /// λ, in units of the loss over those of the parameters squared.
    pub value: f64,
    /// ‖H v − λ v‖ of its unit vector v: an eigenvalue of H lies as near as this. It is the largest one unless the first direction has
    /// next to nothing of its eigenvector; λ is never above the largest.
    pub error: f64,
    /// Products that were needed.
    pub products: usize,
}

/// Largest eigenvalue of the Hessian of the mean loss on a set, for the network as it is used (no dropout, running means of batch
/// norms held fixed), over all parameters that follow gradients.
///
/// Lanczos with full orthogonalisation; products are central differences of gradients in double precision,
/// $Hv \approx [g(\theta + hv) - g(\theta - hv)]/2h$ with h = 10⁻⁵(1 + ‖θ‖). At a kink of a ReLU the Hessian is that between the two
/// sides.
///
/// * `parameters`: `[plan.parameters]`
/// * returns: `None` where a gradient is not finite, or nothing is trained
///
/// Source: Lanczos 1950; the error is the residual bound of Parlett, *The Symmetric Eigenvalue Problem*, theorem 4.5.1.
#[must_use]
pub fn sharpness(
    plan: &Plan,
    parameters: &[f64],
    loss: Loss,
    data: &Dataset,
    effort: Lanczos,
) -> Option<Sharpness> {
    scaled(plan, parameters, &|at| gradient(plan, at, loss, data), None, effort)
}

/// The same of any function of the parameters whose gradient is given, such as the loss [beyond the constant](crate::train::beyond).
#[must_use]
pub fn sharpness_of(
    plan: &Plan,
    parameters: &[f64],
    gradient: &dyn Fn(&[f64]) -> Vec<f64>,
    effort: Lanczos,
) -> Option<Sharpness> {
    scaled(plan, parameters, gradient, None, effort)
}

/// The same of $P^{-1/2} H P^{-1/2}$: what decides whether an optimizer that divides each coordinate by P is stable.
///
/// * `preconditioner`: the diagonal of P, `[plan.parameters]`, > 0 where parameters follow gradients
/// * returns: `None` also where P is not positive
///
/// Source: Cohen et al., arXiv:2207.14484. Checked by
/// `curvature::tests::preconditioned_sharpness_is_that_of_the_scaled_moment`.
#[must_use]
pub fn preconditioned_sharpness(
    plan: &Plan,
    parameters: &[f64],
    loss: Loss,
    data: &Dataset,
    preconditioner: &[f64],
    effort: Lanczos,
) -> Option<Sharpness> {
    let is_positive = preconditioner.iter().zip(trained(plan)).all(|(p, is_trained)| !is_trained || *p > 0.0);
    let roots: Vec<f64> =
        preconditioner.iter().map(|p| if *p > 0.0 { 1.0 / p.sqrt() } else { 0.0 }).collect();
    if !is_positive || roots.len() != parameters.len() {
        return None;
    }
    scaled(plan, parameters, &|at| gradient(plan, at, loss, data), Some(&roots), effort)
}

/// Lanczos on $S H S$ with a diagonal S.
fn scaled(
    plan: &Plan,
    parameters: &[f64],
    gradient: &dyn Fn(&[f64]) -> Vec<f64>,
    scale: Option<&[f64]>,
    effort: Lanczos,
) -> Option<Sharpness> {
    let trained: Vec<bool> = trained(plan);
    let scale_of = |at: usize| scale.map_or(1.0, |scale| scale[at]);
    let size = parameters.iter().map(|w| w * w).sum::<f64>().sqrt();
    let h = 1e-5 * (1.0 + size);
    let product = |v: &[f64]| -> Option<Vec<f64>> {
        let v: Vec<f64> = v.iter().enumerate().map(|(at, v)| v * scale_of(at)).collect();
        // The step is of the same length whatever the scale makes of the direction.
        let h = h / if scale.is_some() { dot(&v, &v).sqrt() } else { 1.0 };
        let at = |side: f64| {
            let moved: Vec<f64> = parameters.iter().zip(&v).map(|(w, v)| w + side * h * v).collect();
            gradient(&moved)
        };
        let (ahead, behind) = (at(1.0), at(-1.0));
        let of =
            |((a, b), &is_trained): ((&f64, &f64), &bool)| if is_trained { (a - b) / (2.0 * h) } else { 0.0 };
        let out = ahead.iter().zip(&behind).zip(&trained).map(of);
        let out: Vec<f64> = out.enumerate().map(|(at, x)| x * scale_of(at)).collect();
        out.iter().all(|x| x.is_finite()).then_some(out)
    };
    let mut stream = Stream::new(effort.seed, "first direction", &[]);
    let first = trained.iter().map(|&is_trained| if is_trained { stream.normal() } else { 0.0 }).collect();
    let mut basis: Vec<Vec<f64>> = vec![unit(first)?.0];
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    loop {
        let v = &basis[basis.len() - 1];
        let mut w = product(v)?;
        diagonal.push(dot(v, &w));
        // Twice: once leaves a part of the size of rounding over cancellation.
        for _ in 0..2 {
            for old in &basis {
                let part = dot(old, &w);
                w.iter_mut().zip(old).for_each(|(w, v)| *w -= part * v);
            }
        }
        let (value, last) = largest(&diagonal, &beside)?;
        let next = unit(w);
        let left = next.as_ref().map_or(0.0, |(_, norm)| *norm);
        let found = Sharpness { value, error: (left * last).abs(), products: diagonal.len() };
        let is_done =
            found.error <= effort.tolerance * value.abs() || found.products >= effort.products.max(1);
        match next {
            Some((next, norm)) if !is_done => {
                basis.push(next);
                beside.push(norm);
            }
            _ => return Some(found),
        }
    }
}

/// Which parameters follow gradients.
pub(crate) fn trained(plan: &Plan) -> Vec<bool> {
    let mut trained = vec![false; plan.parameters];
    for site in plan.all() {
        let mut start = site.offset;
        for parameter in &site.parameters {
            trained[start..start + parameter.len()].fill(!parameter.role.follows());
            start += parameter.len();
        }
    }
    trained
}

/// Largest eigenvalue of a tridiagonal matrix, and the last component of its unit vector.
fn largest(diagonal: &[f64], beside: &[f64]) -> Option<(f64, f64)> {
    let n = diagonal.len();
    let mut matrix = vec![0.0; n * n];
    diagonal.iter().enumerate().for_each(|(i, &a)| matrix[i * n + i] = a);
    for (i, &b) in beside.iter().enumerate().take(n - 1) {
        matrix[i * n + i + 1] = b;
        matrix[(i + 1) * n + i] = b;
    }
    let eigen = symmetric_eigen(&matrix, n).ok()?;
    Some((*eigen.values.last()?, *eigen.vectors.last()?))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A vector of length one and the length it had; `None` when that is zero.
fn unit(mut v: Vec<f64>) -> Option<(Vec<f64>, f64)> {
    let norm = dot(&v, &v).sqrt();
    v.iter_mut().for_each(|x| *x /= norm);
    (norm > 0.0 && norm.is_finite()).then_some((v, norm))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initialise::initialise;
    use carnot_net::dataset::Targets;
    use carnot_net::hyper::LayerInit;
    use carnot_net::network::Network;

    fn data(samples: usize, width: usize) -> Dataset {
        let mut inputs = vec![0f32; samples * width];
        Stream::new(2, "inputs", &[]).fill_normal(&mut inputs, 1.0);
        let labels = (0..samples).map(|at| (at % 3) as u32).collect();
        Dataset {
            name: "toy".into(),
            shape: vec![width],
            inputs,
            targets: Targets::Classes { labels, classes: 3 },
            exact: Default::default(),
            source: String::new(),
        }
    }

    fn started(text: &str) -> (Plan, Vec<f64>) {
        let plan = Plan::new(&Network::from_toml(text).unwrap()).unwrap();
        let init = vec![LayerInit::normal(1.5, 0.1); plan.weighted];
        let mut parameters = vec![0.0; plan.parameters];
        initialise(&plan, &init, 5, 0, &mut parameters);
        (plan, parameters)
    }

    /// Of half the squared distance of a linear map the Hessian is the second moment of its inputs and 1, once for each output.
    #[test]
    fn sharpness_of_a_linear_map_is_the_largest_second_moment() {
        let (plan, parameters) = started("input = [4]\nlayers = [{ dense = 3 }]");
        let data = data(50, 4);
        let mut moment = [0.0; 25];
        for sample in 0..50 {
            let row: Vec<f64> = data.sample(sample).iter().map(|&x| f64::from(x)).chain([1.0]).collect();
            (0..25).for_each(|at| moment[at] += row[at / 5] * row[at % 5] / 50.0);
        }
        let expect = *symmetric_eigen(&moment, 5).unwrap().values.last().unwrap();
        let effort = Lanczos { tolerance: 1e-7, ..Lanczos::default() };
        let found = sharpness(&plan, &parameters, Loss::Squared, &data, effort).unwrap();
        assert!((found.value - expect).abs() < 1e-6 * expect, "{found:?}, expected {expect}");
    }

    /// The same, with each input's coordinate divided by the root of its P.
    #[test]
    fn preconditioned_sharpness_is_that_of_the_scaled_moment() {
        let (plan, parameters) = started("input = [4]\nlayers = [{ dense = 3 }]");
        let data = data(50, 4);
        let p: Vec<f64> = (0..plan.parameters).map(|at| 1.0 + at as f64).collect();
        // Weights of an output stand together, [outputs, inputs], and the biases after them.
        let of = |output: usize, input: usize| if input < 4 { p[output * 4 + input] } else { p[12 + output] };
        let expect = (0..3).map(|output| {
            let mut moment = [0.0; 25];
            for sample in 0..50 {
                let row: Vec<f64> = data.sample(sample).iter().map(|&x| f64::from(x)).chain([1.0]).collect();
                for at in 0..25 {
                    let (i, j) = (at / 5, at % 5);
                    moment[at] += row[i] * row[j] / 50.0 / (of(output, i) * of(output, j)).sqrt();
                }
            }
            *symmetric_eigen(&moment, 5).unwrap().values.last().unwrap()
        });
        let expect = expect.fold(0.0, f64::max);
        let effort = Lanczos { tolerance: 1e-7, ..Lanczos::default() };
        let found = preconditioned_sharpness(&plan, &parameters, Loss::Squared, &data, &p, effort).unwrap();
        assert!((found.value - expect).abs() < 1e-5 * expect, "{found:?}, expected {expect}");
        let plain =
            preconditioned_sharpness(&plan, &parameters, Loss::Squared, &data, &vec![1.0; p.len()], effort)
                .unwrap();
        let whole = sharpness(&plan, &parameters, Loss::Squared, &data, effort).unwrap();
        assert!((plain.value - whole.value).abs() < 1e-7 * whole.value);
        assert_eq!(
            preconditioned_sharpness(&plan, &parameters, Loss::Squared, &data, &vec![0.0; p.len()], effort),
            None
        );
    }

    #[test]
    fn sharpness_is_the_largest_eigenvalue_of_the_whole_hessian_within_its_error() {
        let text = "input = [4]\nlayers = [{ batch_norm = 0.1 }, { dense = 5 }, { batch_norm = 0.1 }, { act = \"tanh\" }, { dropout = 0.5 }, { dense = 3 }]";
        let (plan, parameters) = started(text);
        let data = data(30, 4);
        let n = plan.parameters;
        let of = |at: usize, side: f64| {
            let mut moved = parameters.clone();
            moved[at] += side * 1e-5;
            gradient(&plan, &moved, Loss::CrossEntropy, &data)
        };
        let kept: Vec<usize> = (0..n).filter(|&at| trained(&plan)[at]).collect();
        assert_eq!(n - kept.len(), 18, "two running means of 4 and of 5 features");
        let mut hessian = vec![0.0; kept.len() * kept.len()];
        for (i, &at) in kept.iter().enumerate() {
            let (ahead, behind) = (of(at, 1.0), of(at, -1.0));
            for (j, &to) in kept.iter().enumerate() {
                hessian[i * kept.len() + j] = (ahead[to] - behind[to]) / 2e-5;
            }
        }
        let all = symmetric_eigen(&hessian, kept.len()).unwrap().values;
        let expect = *all.last().unwrap();
        for tolerance in [1e-1, 1e-3, 1e-6] {
            let effort = Lanczos { tolerance, ..Lanczos::default() };
            let found = sharpness(&plan, &parameters, Loss::CrossEntropy, &data, effort).unwrap();
            let nearest = all.iter().map(|value| (value - found.value).abs()).fold(f64::INFINITY, f64::min);
            assert!(nearest <= found.error + 1e-6 && found.value < expect + 1e-6, "{found:?} of {all:?}");
            assert!(found.error <= tolerance * expect, "{found:?}");
            // A tenth is soon reached by a vector that has not found the largest one yet.
            assert!(
                tolerance > 0.01 || (found.value - expect).abs() <= found.error + 1e-6,
                "{found:?}, {expect}"
            );
        }
        let one = Lanczos { products: 1, tolerance: 0.0, seed: 1 };
        assert_eq!(sharpness(&plan, &parameters, Loss::CrossEntropy, &data, one).unwrap().products, 1);
        let broken = vec![f64::NAN; n];
        assert_eq!(sharpness(&plan, &broken, Loss::CrossEntropy, &data, one), None);
    }
}
