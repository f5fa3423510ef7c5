//! Activations shaped for depth: scales and shifts with which a deep chain without skips neither forgets nor explodes.
//!
//! With preactivations of variance one, layers without biases and C_W = 1, an activation
//! $\hat\sigma(z) = s\,[\sigma(az + b) + c]$ maps variances by $Q(q)$ and correlations by $C(\rho)$. Deep kernel shaping
//! (arXiv:2110.01765) wants $Q(1) = 1$, $Q'(1) = 1$, $C(0) = 0$ and a slope $C'(1)$ slightly above one; tailored
//! activations (arXiv:2203.08120) want $Q(1) = Q'(1) = C'(1) = 1$ and a small curvature $C''(1)$.

use crate::error::{TheoryError, check};
use carnot_math::formula::{Formula, FormulaError};
use carnot_math::gauss;
use carnot_net::activation::Activation;
use carnot_net::activation::closed::ClosedForm;
use serde::{Deserialize, Serialize};

/// $\hat\sigma(z) = s\,[\sigma(az + b) + c]$.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shaped {
    /// a > 0.
    pub input_scale: f64,
    /// b.
    pub input_shift: f64,
    /// c.
    pub output_shift: f64,
    /// s > 0.
    pub output_scale: f64,
}

/// What the maps of an activation are at variance one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Maps {
    /// $Q(1) = \langle\hat\sigma^2\rangle$.
    pub square: f64,
    /// $Q'(1) = \langle\hat\sigma\hat\sigma' z\rangle$.
    pub square_slope: f64,
    /// $C(0) = \langle\hat\sigma\rangle^2/Q(1)$.
    pub at_zero: f64,
    /// $C'(1) = \langle\hat\sigma'^2\rangle/Q(1)$.
    pub slope: f64,
    /// $C''(1) = \langle\hat\sigma''^2\rangle/Q(1)$; infinite for a kink, and that is not a number to aim at.
    pub curvature: f64,
}

/// What one layer of the chain is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// $C(0) = 0$ and this slope $C'(1) > 1$.
    Slope(f64),
    /// $C'(1) = 1$ and this curvature $C''(1) > 0$.
    Curvature(f64),
}

impl Target {
    /// Deep kernel shaping of a chain of `depth` layers: $C'(1)^L = \zeta$.
    ///
    /// * `slope`: ζ > 1 of the whole chain, usually 1.5
    ///
    /// # Errors
    /// [`TheoryError::OutOfRange`].
    pub fn deep_kernel_shaping(depth: usize, slope: f64) -> Result<Target, TheoryError> {
        check("depth", depth as f64, depth > 0, "at least 1")?;
        check("slope of the chain", slope, slope > 1.0 && slope.is_finite(), "> 1")?;
        Ok(Target::Slope(slope.powf(1.0 / depth as f64)))
    }

    /// Tailored activations for a chain of `depth` layers: curvatures add where slopes are one, $L\,C''(1) = \tau$.
    ///
    /// * `curvature`: τ > 0 of the whole chain, usually 0.3
    ///
    /// # Errors
    /// [`TheoryError::OutOfRange`].
    pub fn tailored(depth: usize, curvature: f64) -> Result<Target, TheoryError> {
        check("depth", depth as f64, depth > 0, "at least 1")?;
        check("curvature of the chain", curvature, curvature > 0.0 && curvature.is_finite(), "> 0")?;
        Ok(Target::Curvature(curvature / depth as f64))
    }
}

/// A leaky ReLU for a chain: $\hat\sigma(z) = s\,\max(z, \alpha z)$.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapedLeakyRelu {
    /// α, 0 ≤ α ≤ 1.
    pub negative_slope: f64,
    /// $s = \sqrt{2/(1 + \alpha^2)}$, so that $Q(q) = q$.
    pub output_scale: f64,
}

/// The leaky ReLU whose chain takes uncorrelated inputs to the correlation η: $C^{(L)}(0) = \eta$.
///
/// * `depth`: L ≥ 1
/// * `correlation`: η, 0 < η < 1, usually 0.9
///
/// # Errors
/// [`TheoryError::OutOfRange`] when even a ReLU (α = 0) stays below η at that depth.
///
/// Source: Zhang, Botev, Martens, arXiv:2203.08120, section 4.
pub fn shaped_leaky_relu(depth: usize, correlation: f64) -> Result<ShapedLeakyRelu, TheoryError> {
    check("depth", depth as f64, depth > 0, "at least 1")?;
    let reach = |slope: f64| {
        let one = |rho: f64| {
            let (bend, size) = ((1.0 - slope).powi(2), 1.0 + slope * slope);
            let arc = ((1.0 - rho * rho).max(0.0).sqrt() + (std::f64::consts::PI - rho.acos()) * rho)
                / std::f64::consts::PI;
            ((bend * arc + 2.0 * slope * rho) / size).min(1.0)
        };
        (0..depth).fold(0.0, |rho, _| one(rho))
    };
    let within = correlation > 0.0 && correlation < reach(0.0);
    check("correlation after the chain", correlation, within, "above 0 and below that of a ReLU chain")?;
    // The correlation falls with α, from that of a ReLU to zero.
    let (mut low, mut high) = (0.0, 1.0);
    while high - low > 1e-15 {
        let middle = (low + high) / 2.0;
        if middle == low || middle == high {
            break;
        }
        if reach(middle) > correlation { low = middle } else { high = middle }
    }
    let negative_slope = (low + high) / 2.0;
    Ok(ShapedLeakyRelu { negative_slope, output_scale: (2.0 / (1.0 + negative_slope.powi(2))).sqrt() })
}

/// Scales and shifts with which an activation meets a target.
///
/// Newton's method with a line search on $Q'(1)$, $C'(1)$ (and $C''(1)$); s, and c where $C(0) = 0$, follow. A
/// scale-invariant activation such as ReLU has one freedom less: its b is 1 (−1 for slopes that 1 cannot reach) and Q′ is
/// left free. An odd activation is given b ≥ 0; other activations may have several solutions.
///
/// # Errors
/// [`TheoryError::OutOfRange`] when no scale and shift reach the target; for a curvature also when the slope jumps
/// (see [`shaped_leaky_relu`]).
///
/// Source: Martens et al., arXiv:2110.01765; Zhang, Botev, Martens, arXiv:2203.08120. Checked by
/// `tests/shaping.rs` against the package of these authors.
pub fn shaped(activation: &Activation, target: Target) -> Result<Shaped, TheoryError> {
    let formula = &activation.formula;
    let invariant = matches!(activation.closed, Some(ClosedForm::ScaleInvariant { .. }));
    let (what, wanted) = match target {
        Target::Slope(slope) => ("slope of a layer", slope),
        Target::Curvature(curvature) => ("curvature of a layer", curvature),
    };
    let least = if matches!(target, Target::Slope(_)) { 1.0 } else { 0.0 };
    check(what, wanted, wanted > least && wanted.is_finite(), "above that of a linear layer")?;
    let smooth = formula.kinks().is_empty();
    let reachable = "one that some scale and shift of this activation reach";
    check(
        what,
        wanted,
        smooth || matches!(target, Target::Slope(_)),
        "asked of an activation without kinks",
    )?;
    let problem = Problem { formula, target, invariant };
    for start in problem.starts() {
        let Some(found) = problem.solve(&start) else { continue };
        let shaped = problem.complete(&found);
        // Solutions of this kind have an unstable Q map, and kernels of real networks that scatter widely.
        if matches!(target, Target::Curvature(_)) && shaped.input_scale * shaped.output_scale >= 2.0 {
            continue;
        }
        return Ok(problem.upright(shaped));
    }
    Err(TheoryError::OutOfRange { what, value: wanted, range: reachable })
}

impl Shaped {
    /// The maps of a shaped activation.
    #[must_use]
    pub fn maps(&self, formula: &Formula) -> Maps {
        let kinks: Vec<f64> =
            formula.kinks().iter().map(|kink| (kink.at - self.input_shift) / self.input_scale).collect();
        let rule = gauss::rule(1.0, &kinks);
        let (a, s) = (self.input_scale, self.output_scale);
        let mut sums = [0.0; 5];
        for (&z, &w) in rule.z.iter().zip(&rule.w) {
            let jet = formula.jet(a * z + self.input_shift);
            let (value, slope) = (s * (jet[0] + self.output_shift), s * a * jet[1]);
            let bend = s * a * a * jet[2];
            let each = [value * value, value * slope * z, value, slope * slope, bend * bend];
            sums.iter_mut().zip(each).for_each(|(sum, x)| *sum += w * x);
        }
        let q = sums[0];
        let curvature = if kinks.is_empty() { sums[4] / q } else { f64::INFINITY };
        Maps { square: q, square_slope: sums[1], at_zero: sums[2].powi(2) / q, slope: sums[3] / q, curvature }
    }

    /// The shaped activation as a formula in z, for a network description.
    ///
    /// # Errors
    /// [`FormulaError`] when the formula of the activation does not read back, which a test excludes for the table.
    pub fn formula(&self, formula: &Formula) -> Result<Formula, FormulaError> {
        let inner = format!("({:?} * z + ({:?}))", self.input_scale, self.input_shift);
        let text = in_place_of_z(&formula.closed_text(), &inner);
        Formula::parse(&format!("{:?} * (({text}) + ({:?}))", self.output_scale, self.output_shift))
    }
}

/// Every name `z` replaced, and no letter of another name.
fn in_place_of_z(text: &str, by: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_') {
        // Digits in front, as in 1e-3, belong to a number.
        let in_number = rest[..at].ends_with(|c: char| c.is_ascii_digit() || c == '.');
        let end = rest[at..].find(|c| !is_name(c)).map_or(rest.len(), |len| at + len);
        out.push_str(&rest[..at]);
        out.push_str(if &rest[at..end] == "z" && !in_number { by } else { &rest[at..end] });
        rest = &rest[end..];
    }
    out + rest
}

struct Problem<'a> {
    formula: &'a Formula,
    target: Target,
    invariant: bool,
}

/// Residuals are met to this; parameters are then good to about a hundred times as much.
const MET: f64 = 1e-11;

impl Problem<'_> {
    /// Unknowns: a, b, and for a curvature c; only a for a scale-invariant activation.
    fn starts(&self) -> Vec<Vec<f64>> {
        if self.invariant {
            return [1.0, 0.1, 0.3, 0.6, 3.0].iter().map(|a| vec![*a]).collect();
        }
        // A small curvature is best had from the middle of an activation, seen closely, not from its straight tails.
        let scales: &[f64] = match self.target {
            Target::Slope(_) => &[1.0, 0.1, 0.3, 0.05, 0.6, 1.5],
            Target::Curvature(_) => &[0.1, 0.3, 0.05, 1.0, 0.6, 1.5],
        };
        let shifts = [0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0];
        let outputs: &[f64] = match self.target {
            Target::Slope(_) => &[0.0],
            Target::Curvature(_) => &[0.0, 1.0, -1.0, 0.5, -0.5],
        };
        let mut all = Vec::new();
        for &a in scales {
            for b in shifts {
                for &c in outputs {
                    all.push(match self.target {
                        Target::Slope(_) => vec![a, b],
                        Target::Curvature(_) => vec![a, b, c],
                    });
                }
            }
        }
        all
    }

    /// s, and c where it is not an unknown.
    fn complete(&self, unknowns: &[f64]) -> Shaped {
        let a = unknowns[0].abs();
        let b = match (self.invariant, self.target) {
            // The largest slope that a ReLU reaches with a positive shift is that of b = 0, π/(π − 1).
            (true, Target::Slope(slope)) if slope >= std::f64::consts::PI / (std::f64::consts::PI - 1.0) => {
                -1.0
            }
            (true, _) => 1.0,
            (false, _) => unknowns[1],
        };
        let raw = Shaped { input_scale: a, input_shift: b, output_shift: 0.0, output_scale: 1.0 };
        let kinks: Vec<f64> = self.formula.kinks().iter().map(|kink| (kink.at - b) / a).collect();
        let rule = gauss::rule(1.0, &kinks);
        let mean = || rule.sum(|z| self.formula.value(a * z + b));
        let c = if let Target::Curvature(_) = self.target { unknowns[2] } else { -mean() };
        let square = rule.sum(|z| (self.formula.value(a * z + b) + c).powi(2));
        Shaped { output_shift: c, output_scale: 1.0 / square.sqrt(), ..raw }
    }

    fn residuals(&self, unknowns: &[f64]) -> Vec<f64> {
        let maps = self.complete(unknowns).maps(self.formula);
        match self.target {
            Target::Slope(slope) if self.invariant => vec![maps.slope - slope],
            Target::Slope(slope) => vec![maps.square_slope - 1.0, maps.slope - slope],
            Target::Curvature(curvature) => {
                vec![maps.square_slope - 1.0, maps.slope - 1.0, maps.curvature - curvature]
            }
        }
    }

    fn solve(&self, start: &[f64]) -> Option<Vec<f64>> {
        let size = |r: &[f64]| r.iter().map(|x| x * x).sum::<f64>();
        let mut at = start.to_vec();
        let mut off = self.residuals(&at);
        for _ in 0..60 {
            if off.iter().all(|r| r.abs() < MET) {
                return (at[0].abs() > 1e-6).then_some(at);
            }
            let step = self.newton(&at, &off)?;
            let mut length = 1.0;
            loop {
                let next: Vec<f64> = at.iter().zip(&step).map(|(x, s)| x - length * s).collect();
                let residuals = self.residuals(&next);
                if size(&residuals) < size(&off) && next.iter().all(|x| x.abs() < 50.0) {
                    (at, off) = (next, residuals);
                    break;
                }
                length /= 2.0;
                if length < 1e-4 {
                    return None;
                }
            }
        }
        None
    }

    /// J⁻¹ r, with J from central differences.
    fn newton(&self, at: &[f64], off: &[f64]) -> Option<Vec<f64>> {
        let n = at.len();
        let mut matrix = vec![0.0; n * (n + 1)];
        for j in 0..n {
            let h = 1e-5 * at[j].abs().max(0.01);
            let moved = |by: f64| {
                let mut moved = at.to_vec();
                moved[j] += by;
                self.residuals(&moved)
            };
            let (up, down) = (moved(h), moved(-h));
            (0..n).for_each(|i| matrix[i * (n + 1) + j] = (up[i] - down[i]) / (2.0 * h));
        }
        (0..n).for_each(|i| matrix[i * (n + 1) + n] = off[i]);
        eliminated(&mut matrix, n)
    }

    /// The mirror image with b ≥ 0 of an odd activation, whose maps are the same.
    fn upright(&self, shaped: Shaped) -> Shaped {
        let odd = [0.3, 1.1, 2.7].iter().all(|&z| {
            let (plus, minus) = (self.formula.value(z), self.formula.value(-z));
            (plus + minus).abs() < 1e-14 * plus.abs().max(1e-300)
        });
        if !(odd && shaped.input_shift < 0.0) {
            return shaped;
        }
        Shaped { input_shift: -shaped.input_shift, output_shift: -shaped.output_shift, ..shaped }
    }
}

/// Solution of `[matrix | right]`, `[n, n + 1]`, by elimination with pivots; `None` for a singular matrix.
fn eliminated(matrix: &mut [f64], n: usize) -> Option<Vec<f64>> {
    let width = n + 1;
    for column in 0..n {
        let pivot = (column..n)
            .max_by(|&i, &j| matrix[i * width + column].abs().total_cmp(&matrix[j * width + column].abs()))?;
        let value = matrix[pivot * width + column];
        if value.is_nan() || value.abs() <= 1e-14 {
            return None;
        }
        (0..width).for_each(|k| matrix.swap(pivot * width + k, column * width + k));
        for row in (0..n).filter(|&row| row != column) {
            let factor = matrix[row * width + column] / value;
            (0..width).for_each(|k| matrix[row * width + k] -= factor * matrix[column * width + k]);
        }
    }
    Some((0..n).map(|i| matrix[i * width + n] / matrix[i * width + i]).collect())
}
