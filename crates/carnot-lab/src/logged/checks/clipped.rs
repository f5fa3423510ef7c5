//! R321: most updates are clipped.

use carnot_report::finding::{Finding, Level, Safety};

use super::{LogCheck, Said, found, measured, short};
use crate::explain::CheckPage;
use crate::logged::evidence::LogEvidence;

/// The check.
pub const CHECK: LogCheck = LogCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "R321",
    name: "clipped-updates",
    sees: "More than half of the gradients are longer than the norm they are clipped to (--clip, or a series that counts clipped updates, or norms that stop at one value).",
    matters: "Clipped steps all have the same length: the rate is set by the clip, and the schedule and the size of the gradient by nothing.",
    remedy: "Clip at the 90th percentile of the norms seen, and lower the rate instead.",
    theory: "Clipping is meant for outliers; beyond half it is normalised descent with a rate nobody chose.",
    ignore: "The optimizer divides by the size of the gradient anyway, as Adam does, and the run is healthy: then only the outliers' weight changes.",
};

/// Share of updates from which on the clip decides the length of steps.
const SHARE: f64 = 0.5;

fn run(evidence: &LogEvidence) -> Result<Vec<Finding>, String> {
    if matches!(evidence.fate, crate::logged::fate::Fate::Dead(_)) {
        return Err("nothing moves".into());
    }
    let (share, n, how) =
        clipped(evidence).ok_or("needs --clip with a gradient norm, or a series of clipped updates")?;
    if share <= SHARE {
        return Ok(vec![]);
    }
    let error = (share * (1.0 - share) / n).sqrt();
    let quantile = evidence.signals.gradient.as_ref().map(|series| {
        let mut norms: Vec<f64> = series.values.iter().copied().filter(|norm| norm.is_finite()).collect();
        norms.sort_by(f64::total_cmp);
        norms.get(norms.len() * 9 / 10).copied().unwrap_or(f64::NAN)
    });
    let advice = quantile.filter(|norm| norm.is_finite() && evidence.asked.clip.is_some());
    let said = Said {
        level: Level::Costs,
        at: "the whole run".into(),
        saw: format!("{} of the updates are clipped{how}", measured(super::Measured { value: share, error })),
        because: "the clip sets the length of most steps, so the rate is too high in disguise".into(),
        action: match advice {
            Some(norm) => {
                format!("clip at {}, the 90th percentile of the norms, and lower the rate", short(norm))
            }
            None => "clip at the 90th percentile of the norms, and lower the rate".into(),
        },
        safety: Safety::Safe,
    };
    Ok(vec![found(&PAGE, said)])
}

/// Share of clipped updates, of how many, and how that is known.
fn clipped(evidence: &LogEvidence) -> Option<(f64, f64, String)> {
    let share = |values: &[f64], is: &dyn Fn(f64) -> bool| {
        let known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let n = known.len() as f64;
        (known.len() >= 20).then(|| (known.iter().filter(|value| is(**value)).count() as f64 / n, n))
    };
    if let Some(series) = &evidence.signals.clipped {
        let known: Vec<f64> =
            series.values.iter().copied().filter(|value| (0.0..=1.0).contains(value)).collect();
        let n = known.len() as f64;
        return (known.len() >= 20)
            .then(|| (known.iter().sum::<f64>() / n, n, format!(" ({})", series.name)));
    }
    let norms = &evidence.signals.gradient.as_ref()?.values;
    if let Some(clip) = evidence.asked.clip {
        let (share, n) = share(norms, &|norm| norm >= clip * (1.0 - 1e-6))?;
        return Some((share, n, format!(": their norm is {} or more", short(clip))));
    }
    // Norms written after clipping stop at one value.
    let most = norms.iter().copied().filter(|norm| norm.is_finite()).fold(0.0, f64::max);
    let (share, n) = share(norms, &|norm| norm >= most * (1.0 - 1e-3))?;
    (most > 0.0 && share > 0.1).then(|| (share, n, format!(": their norm stops at {}", short(most))))
}
