//! Residual stacks z' = b + Wσ(z) + γz: kernels, susceptibilities and the complete four-point vertex at order 1/n.

use crate::criticality::{Class, CriticalPoint, Slopes};
use crate::error::{TheoryError, check};
use crate::information::best_aspect_ratio;
use crate::moments::{moments, square_hermite};
use carnot_math::formula::Formula;

/// Scales of one residual layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResidualScales {
    /// Weight variance of the branch times fan-in.
    pub c_w: f64,
    /// Bias variance.
    pub c_b: f64,
    /// Strength γ of the skip path, usually in [0, 1].
    pub skip: f64,
}

/// One layer of a residual stack.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualRow {
    /// Layer, counted from 1.
    pub layer: usize,
    /// Kernel K.
    pub kernel: f64,
    /// χ∥ = γ² + C_W ⟨zσσ'⟩/K of the step to the next layer.
    pub chi_parallel: f64,
    /// χ⊥ = γ² + C_W ⟨σ'²⟩ of that step.
    pub chi_perpendicular: crate::error::Known,
    /// Four-point vertex V with all two-neuron cumulants.
    pub vertex: f64,
    /// V with the quartic cumulant alone: exact for linear networks, leading for small K.
    pub vertex_quartic: f64,
    /// Three-point vertex: n times the cumulant of z_i² and z_j.
    pub three_point: f64,
}

/// Highest two-neuron cumulant E[z_i² He_q(z_j)] that is kept.
const HIGHEST: usize = 61;

/// Kernels and vertices of a residual stack of equal widths.
///
/// $$ K' = C_b + C_W\langle\sigma^2\rangle + \gamma^2 K $$
///
/// A neuron keeps its own z on the skip path, so the cumulants E[z_i² He_q(z_j/√K)] = K C_{2q}/n of every order q feed V:
///
/// $$ C'_{2q} = \frac{\rho^q C_W}{K'}\Big[s_q + \tfrac{s_2}{2} C_{2q}\Big] + \rho^{2+q} C_{2q},\quad
///    s_q = \langle\sigma^2 He_q\rangle,\ \rho = \gamma\sqrt{K/K'},\quad V = C_{22}K^2 $$
///
/// * `first`: kernel K^(1) > 0; `scales`: one for each residual layer, applied after layer 1
///
/// # Errors
/// As [`moments`].
///
/// Source: PDLT appendix B for K and the quartic part; the complete vertex is our own derivation, checked by Monte Carlo.
pub fn residual_table(
    activation: &Formula,
    first: f64,
    scales: &[ResidualScales],
) -> Result<Vec<ResidualRow>, TheoryError> {
    check("kernel", first, first > 0.0, "> 0")?;
    let mut tower = Tower { kernel: first, cumulants: vec![0.0; HIGHEST + 1], quartic: 0.0 };
    let mut rows = Vec::with_capacity(scales.len() + 1);
    for layer in 1..=scales.len() + 1 {
        let Some(step) = scales.get(layer - 1).or(scales.last()) else { break };
        check("γ", step.skip, step.skip >= 0.0, "≥ 0")?;
        let all = moments(activation, tower.kernel)?;
        let skip = step.skip * step.skip;
        rows.push(ResidualRow {
            layer,
            kernel: tower.kernel,
            chi_parallel: skip + step.c_w * all.radial,
            chi_perpendicular: all.slope.as_ref().map(|s| skip + step.c_w * s.square).map_err(Clone::clone),
            vertex: 2.0f64.sqrt() * tower.cumulants[2] * tower.kernel.powi(2),
            vertex_quartic: tower.quartic,
            three_point: tower.cumulants[1] * tower.kernel.powf(1.5),
        });
        if layer <= scales.len() {
            let squares = square_hermite(activation, tower.kernel, HIGHEST)?;
            tower = tower.step(step, &all, &squares);
        }
    }
    Ok(rows)
}

/// Two-neuron cumulants C_{2q}/√(q!), which stay of order one.
struct Tower {
    kernel: f64,
    cumulants: Vec<f64>,
    quartic: f64,
}

impl Tower {
    fn step(&self, scales: &ResidualScales, all: &crate::moments::Moments, squares: &[f64]) -> Tower {
        let ResidualScales { c_w, c_b, skip } = *scales;
        let kernel = c_b + c_w * all.square + skip * skip * self.kernel;
        let rho = skip * (self.kernel / kernel).sqrt();
        // s_2/2 and Σ_q (s_q/q!) C_2q in normalised polynomials.
        let half = squares[2] / 2.0f64.sqrt();
        let mixed: f64 = (1..=HIGHEST).map(|q| squares[q] * self.cumulants[q]).sum();
        let four = 2.0f64.sqrt() * self.cumulants[2];
        let variance =
            c_w * c_w * (all.fourth - all.square.powi(2) + 2.0 * half * mixed - half * half * four);
        let next = |q: usize| match q {
            0 => 0.0,
            2 => {
                let value = variance / kernel.powi(2)
                    + 2.0 * rho * rho * c_w / kernel * (2.0 * half + mixed)
                    + rho.powi(4) * four;
                value / 2.0f64.sqrt()
            }
            _ => {
                let cumulant = self.cumulants[q];
                let power = rho.powi(q as i32);
                power * (c_w / kernel * (squares[q] + half * cumulant) + rho * rho * cumulant)
            }
        };
        let chi = skip * skip + c_w * all.radial;
        // ⟨σ²z²⟩ − K⟨σ²⟩ = K ⟨σ² He₂⟩ = 2K² d⟨σ²⟩/dK
        let crossed = 2.0 * all.radial * self.kernel.powi(2);
        let source = c_w * c_w * (all.fourth - all.square.powi(2)) + 2.0 * skip * skip * c_w * crossed;
        Tower {
            kernel,
            cumulants: (0..=HIGHEST).map(next).collect(),
            quartic: source + chi * chi * self.quartic,
        }
    }
}

/// Growth of the vertex per layer, V/K² → ν × depth, for residual stacks at criticality.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResidualGrowth {
    /// From the quartic cumulant alone.
    pub quartic: f64,
    /// With all two-neuron cumulants.
    pub full: f64,
}

/// ν(γ) of the scale-invariant class, C_W = (1 − γ²)/A₂.
///
/// $$ \nu(\gamma) = (1-\gamma^2)[(1-\gamma^2)(3A_4/A_2^2-1) + 4\gamma^2] + 2\Big(\tfrac{1-\gamma^2}{A_2}\tfrac{a_+^2-a_-^2}{2}\Big)^2
///    \sum_{q\ odd} \frac{t_q^2}{q!}\frac{\gamma^q}{1-\gamma^q} $$
///
/// t₁ = √(8/π), t_q = 4 He_{q−3}(0)/√(2π); the sum is the part beyond the quartic.
///
/// * `skip`: γ in [0, 1)
///
/// Source: PDLT appendix B for the quartic part; the sum is our own derivation.
pub fn scale_invariant_growth(slopes: Slopes, skip: f64) -> Result<ResidualGrowth, TheoryError> {
    check("γ", skip, (0.0..1.0).contains(&skip), "in [0, 1)")?;
    let branch = 1.0 - skip * skip;
    let quartic = branch * (branch * slopes.nu() + 4.0 * skip * skip);
    let lopsided = (slopes.plus.powi(2) - slopes.minus.powi(2)) / 2.0 * branch / slopes.a_2();
    Ok(ResidualGrowth { quartic, full: quartic + 2.0 * lopsided.powi(2) * odd_sum(skip) })
}

/// Σ over odd q of t_q²/q! γ^q/(1 − γ^q).
fn odd_sum(skip: f64) -> f64 {
    let part = |q: i32| skip.powi(q) / (1.0 - skip.powi(q));
    let pi = std::f64::consts::PI;
    let mut sum = 8.0 / pi * part(1);
    // 16/(2π) He_{q−3}(0)²/q!, and He_{m+2}(0) = −(m+1) He_m(0).
    let mut weight = 8.0 / pi / 6.0;
    for q in (3..4001).step_by(2) {
        let term = weight * part(q);
        sum += term;
        if term < 1e-17 * sum {
            break;
        }
        let q = f64::from(q);
        weight *= (q - 2.0).powi(2) / ((q + 1.0) * (q + 2.0));
    }
    sum
}

/// ν(γ) of the K* = 0 classes: (2/3)(1 − γ⁴).
///
/// Source: PDLT appendix B.
pub fn kernel_zero_growth(skip: f64) -> f64 {
    2.0 / 3.0 * (1.0 - skip.powi(4))
}

/// The critical branch variance with a skip path, C_W (1 − γ²), and the growth of the vertex, where known.
///
/// # Errors
/// Not known for the half-stable and kinked classes beyond their recursion; [`TheoryError::OutOfRange`] for γ outside [0, 1).
pub fn residual_growth(point: &CriticalPoint, skip: f64) -> Result<ResidualGrowth, TheoryError> {
    check("γ", skip, (0.0..1.0).contains(&skip), "in [0, 1)")?;
    match (point.class, point.slopes) {
        (Class::ScaleInvariant, Some(slopes)) => scale_invariant_growth(slopes, skip),
        (Class::KernelZero, Some(slopes)) if slopes.plus == slopes.minus => {
            let full = kernel_zero_growth(skip);
            Ok(ResidualGrowth { quartic: full, full })
        }
        _ => Err(crate::error::Unknown::NotDerived { what: crate::error::Quantity::VertexGrowth }.into()),
    }
}

/// Best aspect ratio L/n of a residual stack from its growth ν(γ).
pub fn residual_aspect_ratio(growth: ResidualGrowth, outputs: usize) -> f64 {
    best_aspect_ratio(growth.full, outputs)
}

/// Skip strength γ that makes a wanted aspect ratio the best one, K* = 0 class.
///
/// $$ \gamma^4 = 1 - \frac{6}{(20+3n_L)\,r} $$
///
/// * returns: `None` where the plain stack is already good at this ratio
///
/// Source: PDLT appendix B.
pub fn skip_for_aspect_ratio(ratio: f64, outputs: usize) -> Option<f64> {
    let fourth = 1.0 - 6.0 / ((20.0 + 3.0 * outputs as f64) * ratio);
    (fourth > 0.0).then(|| fourth.powf(0.25))
}
