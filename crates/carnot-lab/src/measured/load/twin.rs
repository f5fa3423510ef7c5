//! The mechanical twin: which friction and which noise of a chain of blocks have the measured load curve.
//!
//! An illustration, not a measurement: nobody has published which friction an activation has, and one curve cannot tell a chain
//! frozen in its parabola from a relaxed one (Carnot's sheet on the chain, section 10).

use carnot_theory::spring_block::fit::answer::{Answer, Demand, Departure, Fit, Interval, Known, Misfit};
use carnot_theory::spring_block::fit::atlas::{Atlas, Setting};
use carnot_theory::spring_block::fit::measured::{Errors, FitError, Measured};
use serde::Serialize;
use serde_json::{Value, json};

use super::curve::LoadCurve;
use crate::measured::checks::short;

/// Loads beyond which no chain is laid: the atlas costs as the square of the blocks, four seconds of one core at this length.
const MOST_LOADS: usize = 64;

/// What the chain says of a curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Twin {
    /// The answer of the fit.
    pub answer: Answer,
    /// What was held fixed.
    pub setting: Setting,
    /// Step a of the loads from layer to layer over the pull, κ/M: μ_→ of a frozen chain, (μ_→ − μ_←)/2 of a relaxed one.
    pub step: Option<f64>,
}

/// Lays the chain through a curve.
///
/// # Errors
/// Why there is none, in words.
pub fn fit(curve: &LoadCurve) -> Result<Twin, String> {
    let values = curve.values();
    let n_loads = values.len() - 1;
    let covariance = curve.covariance().ok_or("the errors of some separations are not known")?;
    if n_loads > MOST_LOADS {
        return Err(format!("{n_loads} layers are too many to lay a chain through: at most {MOST_LOADS}"));
    }
    let setting = Setting::default();
    let fitted = Atlas::new(setting, n_loads).and_then(|atlas| {
        atlas.fit(&Measured { curve: &values, errors: Errors::Covariance(&covariance) }, &Demand::default())
    });
    let step = carnot_math::curve::shape(&values).ok().and_then(|shape| shape.relative.ok());
    let step = step.map(|relative| relative.friction_index / n_loads as f64);
    match fitted {
        Ok(answer) => Ok(Twin { answer, setting, step }),
        Err(FitError::TooFewPoints { points }) => {
            Err(format!("{} hidden layers are too few: a chain needs at least 4 loads", points - 1))
        }
        Err(other) => Err(other.to_string()),
    }
}

impl Twin {
    /// Its curve, `[M+1]` in the unit of D: the nearest one, whether it fits or not.
    #[must_use]
    pub fn curve(&self) -> &[f64] {
        match &self.answer {
            Answer::Fits(fit) => &fit.best.curve,
            Answer::DoesNotFit(misfit) => &misfit.best.curve,
        }
    }

    /// One sentence; `names` of the layers with the loads, `[M]`.
    #[must_use]
    pub fn words(&self, names: &[String]) -> String {
        match &self.answer {
            Answer::Fits(fit) => fits(fit, names.len()),
            Answer::DoesNotFit(misfit) => does_not_fit(misfit, names),
        }
    }

    /// What the two readings of the slope of the loads are, where there is one.
    #[must_use]
    pub fn readings(&self) -> Option<String> {
        let step = self.step?;
        let relaxed = 2.0 * step + self.setting.friction_left;
        let share = |x: f64| if x < 0.0 { format!("{} < 0, no chain", short(x)) } else { short(x) };
        Some(format!(
            "loads {} by {} of the pull a layer: at rest without noise the friction is μ_→ = {}, relaxed by noise μ_→ = {} (with μ_← = {}); \
             one curve cannot tell the two apart",
            if step < 0.0 { "fall" } else { "grow" },
            short(step.abs()),
            share(step),
            share(relaxed),
            short(self.setting.friction_left)
        ))
    }

    /// As data.
    #[must_use]
    pub fn data(&self) -> Value {
        let known = match &self.answer {
            Answer::Fits(fit) => json!(fit.known()),
            Answer::DoesNotFit(_) => Value::Null,
        };
        json!({ "answer": self.answer, "known": known, "setting": self.setting, "step": self.step })
    }
}

fn fits(fit: &Fit, n_loads: usize) -> String {
    let best = &fit.best;
    let known = match fit.known() {
        Known::Both => "the curve tells both".to_string(),
        Known::Friction => "the curve tells the friction, and of the noise a bound".into(),
        Known::Noise => "the curve tells the noise, and of the friction a bound".into(),
        Known::Combination => {
            let c = &fit.combination;
            let name = match (c.friction_power, c.noise_power) {
                (a, 0.0) => power("μ", a),
                (0.0, b) => power("s", b),
                (a, b) => format!("{} · {}", power("μ", a), power("s", b)),
            };
            let error = carnot_report::number::estimate(c.value, c.value * c.relative_error);
            format!("the curve tells neither alone, only {name} = {error}")
        }
    };
    format!(
        "a chain of {n_loads} blocks fits (p = {}): friction μ_→ = {} {}, noise s = {} {}, in units of the pull; {known}",
        short(best.p),
        short(best.friction),
        interval(&fit.friction),
        short(best.noise),
        interval(&fit.noise)
    )
}

fn power(of: &str, power: f64) -> String {
    if power == 1.0 { of.into() } else { format!("{of}^{}", short(power)) }
}

/// `[0.05, 0.08]`, open ends as what bounds them.
fn interval(interval: &Interval) -> String {
    match (interval.is_open_below, interval.is_open_above) {
        (false, false) => format!("[{}, {}]", short(interval.low), short(interval.high)),
        (true, false) => format!("(below {})", short(interval.high)),
        (false, true) => format!("(above {})", short(interval.low)),
        (true, true) => "(anything)".into(),
    }
}

fn does_not_fit(misfit: &Misfit, names: &[String]) -> String {
    let p = if misfit.best.p < 1e-6 { "< 1e-6".into() } else { format!("= {}", short(misfit.best.p)) };
    let place = match &misfit.worst {
        None => "no single layer is to blame".to_string(),
        Some(worst) => {
            let name =
                |layer: usize| layer.checked_sub(1).and_then(|at| names.get(at)).map_or("the input", |n| n);
            let excess = carnot_report::number::estimate(worst.excess.abs(), worst.error);
            let more = if worst.excess > 0.0 { "more" } else { "less" };
            match worst.departure {
                Departure::Load => format!(
                    "worst at layer {}, {}: its load is {excess} {more} than the chain's",
                    worst.layer,
                    name(worst.layer)
                ),
                Departure::Point => format!(
                    "worst behind layer {}, {}: its load is {excess} {more} than the chain's, and the next one makes up for it",
                    worst.layer,
                    name(worst.layer)
                ),
            }
        }
    };
    format!("DOES NOT FIT: no chain has this curve (p {p}); {place}")
}
