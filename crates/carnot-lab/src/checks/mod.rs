//! The table of checks: one file each, evidence → finding.
//!
//! To add one: write a file with a [`Check`] and its page, and add its row to [`TABLE`]. It then appears in every
//! report of `check`, in `carnot explain` and in the book.

pub mod deep_for_width;
pub mod gradient;
pub mod init_mismatch;
pub mod inputs_merge;
pub mod inputs_scatter;
pub mod no_critical_point;
pub mod signal_range;
pub mod stuck;
pub mod tokens;
pub mod weights;

use carnot_net::activation::Activation;
use carnot_net::plan::Plan;
use carnot_report::finding::{Finding, Level, Remedy};
use carnot_report::profile::Profile;
use carnot_theory::forecast::LayerForecast;
use carnot_theory::initial::Initial;

use crate::experiments::check::tries::Tries;
use crate::explain::CheckPage;
use crate::remedy::Remedied;

/// What is known of a network when it is judged.
pub struct Evidence<'a> {
    /// The network.
    pub plan: &'a Plan,
    /// How it starts.
    pub initial: &'a Initial,
    /// The rule in words.
    pub init_words: String,
    /// The activation that feeds each layer with weights.
    pub feeding: &'a [Option<Activation>],
    /// What theory expects, on the same probe.
    pub expected: &'a [LayerForecast],
    /// The forecast with the remedy.
    pub better: &'a [LayerForecast],
    /// Columns measured on the network itself; the theory's where nothing was measured.
    pub measured: &'a Profile,
    /// Whether the optimizer divides by the size of the gradient, as Adam does.
    pub is_adaptive: bool,
    /// What would help.
    pub remedied: &'a Remedied,
    /// Trainings of copies, where asked for.
    pub tries: Option<&'a Tries>,
}

/// What a check found.
pub enum Outcome {
    /// Nothing is wrong.
    Fine,
    /// Something is.
    Found(Box<Finding>),
    /// It cannot tell, and why.
    NotApplicable(String),
}

/// One check.
pub struct Check {
    /// Its page.
    pub page: &'static CheckPage,
    /// Its judgement.
    pub run: fn(&Evidence) -> Outcome,
}

/// Every check, in the order of their codes.
pub const TABLE: &[Check] = &[
    inputs_merge::CHECK,
    inputs_scatter::CHECK,
    init_mismatch::CHECK,
    signal_range::CHECK,
    no_critical_point::CHECK,
    gradient::VANISHES,
    gradient::EXPLODES,
    deep_for_width::CHECK,
    stuck::CHECK,
];

/// What `carnot explain` says about each check: those on a network as data, on measured models, on weights alone, on logs, on a
/// config.
pub const PAGES: &[&CheckPage] = &{
    const MEASURED: [&CheckPage; crate::measured::checks::TABLE.len()] = crate::measured::checks::PAGES;
    const LOGGED: [&CheckPage; crate::logged::checks::TABLE.len()] = crate::logged::checks::PAGES;
    const ALL: usize = TABLE.len() + MEASURED.len() + weights::TABLE.len() + LOGGED.len() + 1;
    let mut pages: [&CheckPage; ALL] = [TABLE[0].page; ALL];
    let (mut at, before) = (0, TABLE.len() + MEASURED.len());
    let after = before + weights::TABLE.len();
    while at < ALL {
        pages[at] = if at < TABLE.len() {
            TABLE[at].page
        } else if at < before {
            MEASURED[at - TABLE.len()]
        } else if at < after {
            weights::TABLE[at - before].page
        } else if at + 1 < ALL {
            LOGGED[at - after]
        } else {
            &tokens::PAGE
        };
        at += 1;
    }
    pages
};

impl Evidence<'_> {
    /// A measured column, one number per read layer.
    pub fn column(&self, name: &str) -> Vec<Option<f64>> {
        crate::present::values(self.measured, name)
    }

    /// Number of read layers L.
    pub fn depth(&self) -> usize {
        self.expected.len()
    }

    /// Index of the last hidden layer.
    pub fn deep(&self) -> usize {
        self.depth().saturating_sub(2)
    }

    /// Index of the last layer whose step to the next is one of the stack: with skips the head has none around it.
    pub fn inner(&self) -> usize {
        let skips = self.plan.sites.iter().any(|site| site.layer.kind() == "residual");
        if skips { self.deep().saturating_sub(1) } else { self.deep() }
    }

    /// `layer 10 of 51`.
    pub fn position(&self, layer: usize) -> String {
        format!("layer {} of {}", layer + 1, self.depth())
    }

    /// Name of a read layer.
    pub fn name(&self, layer: usize) -> String {
        self.expected[layer].name.clone()
    }

    /// 1 − c at each read layer: how different two inputs still are; from distances, so that it never rounds to 0.
    pub fn apart(&self) -> Vec<Option<f64>> {
        let (kernel, distance) = (self.column("kernel"), self.column("distance"));
        let both = kernel.into_iter().zip(distance);
        both.map(|(k, d)| k.zip(d).filter(|(k, _)| *k > 0.0).map(|(k, d)| d / (2.0 * k))).collect()
    }

    /// 1 − c at the last hidden layer below which training was not seen to start (the book, Calibration): a plain
    /// optimizer needs the difference itself, an adaptive one only what rounding leaves of it.
    pub fn lost_apart(&self) -> f64 {
        if self.is_adaptive { 5e-14 } else { 5e-4 }
    }

    /// The same for the gradient at the first layer over that at the output; 10⁻⁸ is Adam's ε.
    pub fn lost_gradient(&self) -> f64 {
        if self.is_adaptive { 1e-8 } else { 1e-3 }
    }

    /// `Adam` or `plain gradient descent`, for the sentence that says why a level was chosen.
    pub fn optimizer_words(&self) -> &'static str {
        if self.is_adaptive { "an adaptive optimizer" } else { "a plain optimizer" }
    }

    /// The usual remedy: another initialisation, and another activation where that alone does not help.
    pub fn remedy(&self) -> Remedy {
        let (c_w, c_b) = crate::settings::variances(&self.remedied.layers);
        let action = serde_json::json!({
            "init": { "c_w": c_w, "c_b": c_b },
            "activation": self.remedied.activation,
        });
        let text = match &self.remedied.activation {
            Some(activation) => {
                format!("take {activation} in its place, with C_W = {} and C_b = {}", short(c_w), short(c_b))
            }
            None => format!("start with C_W = {} and C_b = {}", short(c_w), short(c_b)),
        };
        let command = match &self.remedied.activation {
            Some(activation) => format!("--activation {activation} --init critical"),
            None => "--init critical".into(),
        };
        Remedy { text, action, command: Some(command), safety: Some(carnot_report::finding::Safety::Safe) }
    }
}

/// A finding without evidence charts.
pub fn finding(
    page: &CheckPage,
    level: Level,
    at: String,
    saw: String,
    because: String,
    remedy: Remedy,
) -> Outcome {
    Outcome::Found(Box::new(Finding {
        code: page.code.into(),
        name: page.name.into(),
        level,
        at,
        position: None,
        saw,
        because,
        remedy,
        ignore_when: Some(page.ignore.into()),
        evidence: Vec::new(),
    }))
}

/// The same finding with its place in the network.
pub fn at_position(outcome: Outcome, position: String) -> Outcome {
    match outcome {
        Outcome::Found(mut finding) => {
            finding.position = (!position.is_empty()).then_some(position);
            Outcome::Found(finding)
        }
        other => other,
    }
}

/// A number to three digits.
pub fn short(value: f64) -> String {
    carnot_report::number::significant(value, 3)
}

/// Several names: `dense.1 … dense.51` when there are many.
pub fn names(all: &[String]) -> String {
    match all {
        [] => "none".into(),
        [one] => one.clone(),
        [first, .., last] => format!("{} layers, {first} … {last}", all.len()),
    }
}
