//! From an activation, a depth and widths: which initialisation, how far seeds will differ, how deep is too deep, which rates.

use crate::criticality::{Class, Criticality, NoCriticality, criticality};
use crate::error::{Known, TheoryError, Unknown, check};
use crate::finite_width::{Table, table};
use crate::information::best_aspect_ratio;
use crate::layer::{Scales, Stack};
use crate::moments::moments;
use crate::phases::boundary;
use crate::tangent::{Rates, equalizing_rates};
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
    Ok(edge(activation, because).or_else(|| least_ordered(activation, because)).unwrap_or(Init {
        c_w: None,
        c_b: None,
        choice: Choice::Nothing { because },
    }))
}

fn kernels() -> impl Iterator<Item = f64> {
    (-24..=48).map(|k| 2.0f64.powf(f64::from(k) / 8.0))
}

fn edge(activation: &Formula, because: NoCriticality) -> Option<Init> {
    let points = kernels().filter_map(|kernel| Some((kernel, boundary(activation, kernel).ok()?)));
    let usable = points.filter(|(_, point)| point.is_usable());
    let (kernel, best) = usable.max_by(|a, b| a.1.chi_parallel.total_cmp(&b.1.chi_parallel))?;
    let choice = Choice::EdgeOfChaos { kernel, chi_parallel: best.chi_parallel, because };
    Some(Init { c_w: Some(best.c_w), c_b: Some(best.c_b), choice })
}

fn least_ordered(activation: &Formula, because: NoCriticality) -> Option<Init> {
    let point = |kernel: f64| {
        let all = moments(activation, kernel).ok()?;
        let c_w = kernel / all.square;
        let chi_perpendicular = c_w * all.slope.ok()?.square;
        let stable = (c_w * all.radial).abs() < 0.95 && chi_perpendicular < 1.0;
        stable.then_some((kernel, c_w, chi_perpendicular))
    };
    let (kernel, c_w, chi_perpendicular) = kernels().filter_map(point).max_by(|a, b| a.2.total_cmp(&b.2))?;
    let choice = Choice::LeastOrdered { kernel, chi_perpendicular, because };
    Some(Init { c_w: Some(c_w), c_b: Some(0.0), choice })
}

/// A plain network to be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Activation.
    pub activation: Formula,
    /// Hidden widths n_1..n_{L−1}, at least one.
    pub hidden: Vec<usize>,
    /// Number of outputs n_L.
    pub outputs: usize,
    /// |x|²/n₀ of a typical input.
    pub input_square: f64,
}

/// What theory advises for a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// Recommended variances.
    pub init: Init,
    /// The layers with these variances and λ_W = λ_b = 1.
    pub table: Option<Table>,
    /// Expected relative deviation of the last kernel between seeds, √(V/(nK²)).
    pub spread: Known,
    /// Aspect ratio L/n at which the series in L/n turns over.
    pub best_aspect_ratio: Known,
    /// Depth at which the spread between seeds reaches one, at the narrowest width.
    pub depth_budget: Known,
    /// Rate factors with which every layer contributes equally.
    pub rates: Result<Vec<Rates>, TheoryError>,
    /// Largest stable rate of full-batch descent on ½ mean (z − y)² with those factors, whatever the correlations of the inputs.
    pub stable_rate: Result<f64, TheoryError>,
}

/// Advice for a plain network: initialisation, spread between seeds, aspect ratio, depth, rates.
///
/// # Errors
/// [`TheoryError::OutOfRange`] for empty widths or an input of zero.
///
/// Source: PDLT ch. 4.3, 5, 9, appendix A.
pub fn advise(plan: &Plan) -> Result<Advice, TheoryError> {
    check("hidden layers", plan.hidden.len() as f64, !plan.hidden.is_empty(), "≥ 1")?;
    check("|x|²/n₀", plan.input_square, plan.input_square > 0.0, "> 0")?;
    let init = recommended_init(&plan.activation)?;
    let (Some(c_w), Some(c_b)) = (init.c_w, init.c_b) else { return Ok(nothing(init)) };
    let scales = Scales::new(c_w, c_b).with_rates(1.0, 1.0);
    let depth = plan.hidden.len() + 1;
    let stack = Stack::uniform(&plan.activation, depth, scales).with_widths(&plan.hidden)?;
    let table = table(&stack, plan.input_square)?;
    let rates = equalizing_rates(&stack, plan.input_square, Rates { lambda_w: 1.0, lambda_b: 1.0 });
    let stable_rate = match &rates {
        Ok(rates) => stable_rate(&stack, rates, plan.input_square),
        Err(error) => Err(error.clone()),
    };
    let growth = growth(&init, &table);
    let narrowest = plan.hidden.iter().copied().min().unwrap_or(1) as f64;
    Ok(Advice {
        spread: spread(&table, &plan.hidden),
        best_aspect_ratio: growth.clone().map(|nu| best_aspect_ratio(nu, plan.outputs)),
        depth_budget: growth.map(|nu| narrowest / nu),
        table: Some(table),
        init,
        rates,
        stable_rate,
    })
}

fn nothing(init: Init) -> Advice {
    let unknown = || Unknown::NoCriticalPoint;
    Advice {
        init,
        table: None,
        spread: Err(unknown()),
        best_aspect_ratio: Err(unknown()),
        depth_budget: Err(unknown()),
        rates: Err(unknown().into()),
        stable_rate: Err(unknown().into()),
    }
}

/// Relative standard deviation of the kernel between seeds at the last layer, √(V/(nK²)).
///
/// # Errors
/// [`Unknown::KernelGrows`] when the table ended before the last layer.
pub fn spread(table: &Table, hidden: &[usize]) -> Known {
    let (Some(row), None) = (table.rows.last(), &table.ended) else { return Err(Unknown::KernelGrows) };
    let width = hidden.last().copied().unwrap_or(1) as f64;
    Ok((row.vertex / width).sqrt() / row.kernel)
}

/// ν: V/K² per layer, from the class where its limit is exact, else from the last layers of this very table.
fn growth(init: &Init, table: &Table) -> Known {
    if let (Choice::Critical(Class::ScaleInvariant), Some(row)) = (&init.choice, table.rows.get(1)) {
        return Ok(row.vertex / row.kernel.powi(2));
    }
    let (Some(last), None) = (table.rows.last(), &table.ended) else { return Err(Unknown::KernelGrows) };
    let steps = (last.layer - 1).max(1) as f64;
    Ok(last.vertex / last.kernel.powi(2) / steps)
}

fn stable_rate(stack: &Stack, rates: &[Rates], input_square: f64) -> Result<f64, TheoryError> {
    let mut stack = stack.clone();
    for (scales, rates) in stack.layers.iter_mut().zip(rates) {
        *scales = scales.with_rates(rates.lambda_w, rates.lambda_b);
    }
    let table = table(&stack, input_square)?;
    let last = table.rows.last().ok_or(Unknown::KernelGrows)?;
    // λ_max of Θ over N inputs of this norm is at most N Θ.
    Ok(2.0 / last.tangent.clone()?.mean)
}
