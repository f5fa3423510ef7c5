//! From an activation, a depth and widths: which initialisation, how far seeds will differ, how deep is too deep, which rates.

use crate::criticality::{Class, Criticality, NoCriticality, NotAbove, NotAtZero, criticality};
use crate::error::{Known, TheoryError, Unknown, check};
use crate::finite_width::table;
use crate::information::best_aspect_ratio;
use crate::layer::{Scales, Stack};
use crate::moments::{Scan, roughest_kink, scan};
use crate::phases::Boundary;
use crate::residual::{ResidualRow, ResidualScales, residual_table};
use crate::tangent::{Rates, rates_from};
use carnot_math::formula::Formula;
use serde::{Deserialize, Serialize};

/// What kind of initialisation is recommended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Choice {
    /// A critical point: both susceptibilities are one.
    Critical(Class),
    /// No critical point; χ⊥ = 1 alone, with the χ∥ nearest to one.
    EdgeOfChaos {
        /// Fixed point K*.
        kernel: f64,
        /// χ∥ < 1 there.
        chi_parallel: f64,
        /// Why there is no critical point.
        because: NoCriticality,
    },
    /// Not even that; stable, with inputs that merge as slowly as possible.
    LeastOrdered {
        /// Fixed point K*.
        kernel: f64,
        /// χ⊥ < 1 there.
        chi_perpendicular: f64,
        /// Why there is no critical point.
        because: NoCriticality,
    },
    /// No variances give a stable kernel: normalise, or take another activation.
    Nothing {
        /// Why there is no critical point.
        because: NoCriticality,
    },
}

/// Initial variances that are recommended for an activation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Init {
    /// C_W; `None` when nothing can be recommended.
    pub c_w: Option<f64>,
    /// C_b.
    pub c_b: Option<f64>,
    /// What kind of point it is.
    pub choice: Choice,
}

/// The recommended initial variances for any activation.
///
/// The critical point; else the point of the edge of chaos (χ⊥ = 1, C_b ≥ 0, χ∥ < 1) with χ∥ nearest to 1; else, without biases, the
/// stable point with the largest χ⊥; else nothing.
///
/// # Errors
/// As [`criticality`].
///
/// Source: PDLT ch. 5; the fall-backs follow arXiv:1611.01232.
pub fn recommended_init(activation: &Formula) -> Result<Init, TheoryError> {
    let because = match criticality(activation)? {
        Criticality::Point(point) => {
            let choice = Choice::Critical(point.class);
            return Ok(Init { c_w: Some(point.c_w), c_b: Some(point.c_b), choice });
        }
        Criticality::None(because) => because,
    };
    let scans = scans(activation);
    let fallback = edge(&scans, because).or_else(|| least_ordered(&scans, because));
    Ok(fallback.unwrap_or(Init { c_w: None, c_b: None, choice: Choice::Nothing { because } }))
}

fn kernels() -> impl Iterator<Item = f64> {
    (-24..=48).map(|k| 2.0f64.powf(f64::from(k) / 8.0))
}

/// Kernels with their averages; none where the activation jumps.
fn scans(activation: &Formula) -> Vec<(f64, Scan)> {
    if matches!(roughest_kink(activation), Some((0, _))) {
        return Vec::new();
    }
    kernels().filter_map(|kernel| Some((kernel, scan(activation, kernel).ok()?))).collect()
}

fn edge(scans: &[(f64, Scan)], because: NoCriticality) -> Option<Init> {
    let point = |&(kernel, at): &(f64, Scan)| {
        let c_w = 1.0 / at.slope_square;
        let edge = Boundary { c_w, c_b: kernel - c_w * at.square, chi_parallel: c_w * at.radial };
        edge.is_usable().then_some((kernel, edge))
    };
    let usable = scans.iter().filter_map(point);
    let (kernel, best) = usable.max_by(|a, b| a.1.chi_parallel.total_cmp(&b.1.chi_parallel))?;
    let choice = Choice::EdgeOfChaos { kernel, chi_parallel: best.chi_parallel, because };
    Some(Init { c_w: Some(best.c_w), c_b: Some(best.c_b), choice })
}

fn least_ordered(scans: &[(f64, Scan)], because: NoCriticality) -> Option<Init> {
    let point = |&(kernel, at): &(f64, Scan)| {
        let c_w = kernel / at.square;
        let chi_perpendicular = c_w * at.slope_square;
        let stable = (c_w * at.radial).abs() < 0.95 && chi_perpendicular < 1.0;
        stable.then_some((kernel, c_w, chi_perpendicular))
    };
    let (kernel, c_w, chi_perpendicular) =
        scans.iter().filter_map(point).max_by(|a, b| a.2.total_cmp(&b.2))?;
    let choice = Choice::LeastOrdered { kernel, chi_perpendicular, because };
    Some(Init { c_w: Some(c_w), c_b: Some(0.0), choice })
}

impl Init {
    /// The same point with a skip path z' = b + Wσ(z) + γz: both variances × (1 − γ²), K* unchanged.
    ///
    /// * `skip`: γ in [0, 1)
    pub fn with_skip(mut self, skip: f64) -> Self {
        let branch = 1.0 - skip * skip;
        (self.c_w, self.c_b) = (self.c_w.map(|c| branch * c), self.c_b.map(|c| branch * c));
        self
    }
}

/// A stack to be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Activation.
    pub activation: Formula,
    /// Hidden widths n_1..n_{L−1}, at least one; all equal with a skip path.
    pub hidden: Vec<usize>,
    /// Number of outputs n_L.
    pub outputs: usize,
    /// |x|²/n₀ of a typical input.
    pub input_square: f64,
    /// Strength γ of a skip path around every layer between hidden layers, in [0, 1); 0 is none.
    pub skip: f64,
}

/// What theory advises for a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// Recommended variances (of the branches, with a skip path).
    pub init: Init,
    /// Expected relative deviation of the last kernel between seeds, √(V/(nK²)).
    pub spread: Known,
    /// Aspect ratio L/n at which the series in L/n turns over.
    pub best_aspect_ratio: Known,
    /// Depth at which the spread between seeds reaches one, at the narrowest width.
    pub depth_budget: Known,
    /// Rate factors λ_W, λ_b with which every layer contributes equally; the last tangent kernel is then 1 + ⟨σ²⟩.
    pub rates: Result<Vec<Rates>, TheoryError>,
    /// Largest stable rate of full-batch descent on ½ mean (z − y)² with those factors, whatever the correlations of the inputs.
    pub stable_rate: Result<f64, TheoryError>,
}

/// Advice for a stack: initialisation, spread between seeds, aspect ratio, depth, rates.
///
/// # Errors
/// [`TheoryError::OutOfRange`] for empty or (with a skip path) unequal widths, an input of zero, or γ outside [0, 1).
///
/// Source: PDLT ch. 4.3, 5, 9, appendices A and B.
pub fn advise(plan: &Plan) -> Result<Advice, TheoryError> {
    check("hidden layers", plan.hidden.len() as f64, !plan.hidden.is_empty(), "≥ 1")?;
    check("|x|²/n₀", plan.input_square, plan.input_square > 0.0, "> 0")?;
    check("γ", plan.skip, (0.0..1.0).contains(&plan.skip), "in [0, 1)")?;
    let plain = recommended_init(&plan.activation)?;
    let (Some(c_w), Some(c_b)) = (plain.c_w, plain.c_b) else { return Ok(nothing(plain)) };
    let profile = if plan.skip > 0.0 { with_skip(plan, c_w, c_b) } else { without_skip(plan, c_w, c_b) };
    let init = plain.with_skip(plan.skip);
    let Ok(profile) = profile else { return Ok(Advice { init, ..nothing_for(Unknown::KernelGrows) }) };
    let growth = growth(&init.choice, &profile);
    let narrowest = plan.hidden.iter().copied().min().unwrap_or(1) as f64;
    let width = plan.hidden.last().copied().unwrap_or(1) as f64;
    let last = profile.squares.last().copied().unwrap_or(1.0);
    let rates = profile
        .reach
        .map(|reach| rates_from(&profile.squares, &reach, Rates { lambda_w: 1.0, lambda_b: 1.0 }));
    Ok(Advice {
        spread: Ok((profile.last_relative_vertex / width).sqrt()),
        best_aspect_ratio: Ok(best_aspect_ratio(growth, plan.outputs)),
        depth_budget: Ok(narrowest / growth),
        // λ_max of Θ over N inputs of this norm is at most N Θ.
        stable_rate: rates.as_ref().map(|_| 2.0 / (1.0 + last)).map_err(TheoryError::clone),
        rates,
        init,
    })
}

fn nothing(init: Init) -> Advice {
    Advice { init, ..nothing_for(Unknown::NoCriticalPoint) }
}

fn nothing_for(unknown: Unknown) -> Advice {
    let because = NoCriticality { at_zero: NotAtZero::NoSlopeAtZero, above: NotAbove::Jumps };
    Advice {
        init: Init { c_w: None, c_b: None, choice: Choice::Nothing { because } },
        spread: Err(unknown.clone()),
        best_aspect_ratio: Err(unknown.clone()),
        depth_budget: Err(unknown.clone()),
        rates: Err(unknown.clone().into()),
        stable_rate: Err(unknown.into()),
    }
}

/// What advice needs to know of every layer.
struct Profile {
    /// ⟨σ²⟩ below each layer, |x|²/n₀ below the first.
    squares: Vec<f64>,
    /// Product of χ⊥ from each layer to the last.
    reach: Result<Vec<f64>, TheoryError>,
    /// V/K² of the second and of the last layer.
    second_relative_vertex: f64,
    last_relative_vertex: f64,
}

impl Profile {
    fn new(squares: Vec<f64>, chi: Result<Vec<f64>, Unknown>, vertices: &[f64]) -> Self {
        let reach = chi.map(|chi| {
            let mut reach: Vec<f64> = (1..=chi.len())
                .rev()
                .scan(1.0, |product, layer| {
                    let here = *product;
                    *product *= if layer > 1 { chi[layer - 2] } else { 1.0 };
                    Some(here)
                })
                .collect();
            reach.reverse();
            reach
        });
        Self {
            squares,
            reach: reach.map_err(TheoryError::from),
            second_relative_vertex: vertices.get(1).copied().unwrap_or(0.0),
            last_relative_vertex: vertices.last().copied().unwrap_or(0.0),
        }
    }
}

fn without_skip(plan: &Plan, c_w: f64, c_b: f64) -> Result<Profile, TheoryError> {
    let depth = plan.hidden.len() + 1;
    let stack = Stack::uniform(&plan.activation, depth, Scales::new(c_w, c_b)).with_widths(&plan.hidden)?;
    let table = table(&stack, plan.input_square)?;
    if let Some(error) = table.ended {
        return Err(error);
    }
    let squares = table
        .rows
        .iter()
        .map(|row| if row.layer == 1 { plan.input_square } else { (row.kernel - c_b) / c_w });
    let chi = table.rows.iter().map(|row| row.chi_perpendicular.clone()).collect();
    let vertices: Vec<f64> = table.rows.iter().map(|row| row.vertex / row.kernel.powi(2)).collect();
    Ok(Profile::new(squares.collect(), chi, &vertices))
}

/// Layer 1 has no skip path and the plain critical variances; the output layer counts as one more residual layer.
fn with_skip(plan: &Plan, c_w: f64, c_b: f64) -> Result<Profile, TheoryError> {
    let width = plan.hidden[0];
    let equal = plan.hidden.iter().all(|&n| n == width);
    check("hidden widths", width as f64, equal, "all equal with a skip path")?;
    let branch = 1.0 - plan.skip * plan.skip;
    let scales = ResidualScales { c_w: branch * c_w, c_b: branch * c_b, skip: plan.skip };
    let first = c_b + c_w * plan.input_square;
    let rows = residual_table(&plan.activation, first, &vec![scales; plan.hidden.len()])?;
    let below = |pair: &[ResidualRow]| {
        (pair[1].kernel - scales.c_b - plan.skip.powi(2) * pair[0].kernel) / scales.c_w
    };
    let squares = std::iter::once(plan.input_square).chain(rows.windows(2).map(below));
    let chi = rows.iter().map(|row| row.chi_perpendicular.clone()).collect();
    let vertices: Vec<f64> = rows.iter().map(|row| row.vertex / row.kernel.powi(2)).collect();
    Ok(Profile::new(squares.collect(), chi, &vertices))
}

/// ν: V/K² per layer, from one layer where it is exact (scale-invariant), else from all layers of this very stack.
fn growth(choice: &Choice, profile: &Profile) -> f64 {
    let steps = (profile.squares.len() - 1).max(1) as f64;
    let mean = profile.last_relative_vertex / steps;
    if *choice == Choice::Critical(Class::ScaleInvariant) {
        mean.max(profile.second_relative_vertex)
    } else {
        mean
    }
}
