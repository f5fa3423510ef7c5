//! The table of observables: what is read off every call. One file and one row each.
//!
//! Names and symbols are those of theory where theory knows the same thing (`kernel`, `correlation`, `separation`, …), so that
//! a measured column stands beside a predicted one. Vectors are those of [`Seen`]: one a sample (or one a label where tokens are
//! classified), normalised behind residual blocks. Errors are standard errors over the samples of the probe.

pub mod alignment;
pub mod block;
pub mod collapse;
pub mod confusion;
pub mod finite;
pub mod gradient;
pub mod language;
pub mod load;
pub mod rank;
pub mod reader;
pub mod sameness;
pub mod separation;
pub mod shuffled;
pub mod signal;
pub mod units;
pub mod weights;

use carnot_math::stats::Estimate;

use crate::seen::Seen;

/// Why an observable has no number here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The probe has no labels.
    #[error("needs labels")]
    Labels,
    /// All samples are of one class.
    #[error("needs at least two classes")]
    OneClass,
    /// Every class has one sample.
    #[error("needs two samples of one class: every class has one")]
    Singles,
    /// The layer says the same to every sample.
    #[error("constant: the same vector for every sample")]
    Constant,
    /// The class means are one vector.
    #[error("no separation: all class means are the same")]
    Merged,
    /// What separates the class means is no more than the scatter of means of so few samples.
    #[error("no separation found beyond that of random labels")]
    NoSeparation,
    /// Nothing is left of the scatter within classes.
    #[error("collapsed: no scatter within classes is left")]
    Collapsed,
    /// NaN or infinite features.
    #[error("{count} features are not finite")]
    NotFinite {
        /// How many.
        count: u64,
    },
    /// Too few samples.
    #[error("needs at least {needed} samples")]
    Few {
        /// How many would do.
        needed: usize,
    },
    /// There is no call before.
    #[error("the first call: nothing to compare it with")]
    First,
    /// The call before has no such number.
    #[error("not known for the call before: {0}")]
    Before(Box<Missing>),
    /// The call is inside a branch.
    #[error("inside a branch: the call before is not its input")]
    Inside,
    /// Labels, or the call before, are of another number of rows.
    #[error("its positions do not match the labels or the call before")]
    Positions,
    /// The caller did not hand it over.
    #[error("needs {0}")]
    NotGiven(&'static str),
    /// The observable means nothing for calls of this kind.
    #[error("only for {0}")]
    Kind(&'static str),
    /// Tokens are classified: the scatter of a stream misleads there.
    #[error("misleads for tokens as classes: the unexplained share is the measure there")]
    Tokens,
    /// Out of the range of numbers.
    #[error("out of the range of numbers")]
    Range,
}

/// One observable.
pub struct Observable {
    /// Name in JSON columns.
    pub name: &'static str,
    /// As printed.
    pub symbol: &'static str,
    /// In words, two or three.
    pub title: &'static str,
    /// One sentence.
    pub meaning: &'static str,
    /// Its number for one call.
    pub of: fn(&Seen) -> Result<Estimate, Missing>,
}

/// Every observable that is read off one call. `load_stress`, `nc4`, `accuracy` and `confusion` need all calls of a step and are added at its end.
pub const TABLE: &[Observable] = &[
    signal::ROW,
    sameness::CORRELATION,
    sameness::DISTANCE,
    gradient::ROW,
    separation::TRACE,
    separation::PINV,
    separation::CORRECTED,
    shuffled::ROW,
    load::ROW,
    load::UNEXPLAINED,
    reader::UNEXPLAINED,
    reader::ACCURACY,
    reader::CONFLICT,
    rank::EFFECTIVE,
    rank::PARTICIPATION,
    alignment::BEFORE,
    alignment::LABELS,
    collapse::NC1,
    collapse::NORMS,
    collapse::ANGLES,
    collapse::HEAD,
    collapse::CDNV,
    block::INFLUENCE,
    block::LARGEST,
    block::CONTRIBUTION,
    units::DEAD,
    units::SATURATED,
    weights::SCALE,
    weights::GRADIENT,
    weights::UPDATE,
    finite::FEATURES,
    finite::GRADIENT,
    language::LENS,
    language::LENS_LOAD,
    language::TOKENS,
    language::TOKENS_LOAD,
    language::CURRENT,
    language::ENTROPY,
    language::LOGIT,
];

/// Those that a call has which says the same to every sample: they compare no samples.
pub const OF_TABLES: [&str; 6] =
    ["kernel", "weight_scale", "gradient_to_weight", "update_ratio", "non_finite", "gradient_non_finite"];

/// Those that need all calls of a step.
pub const OF_STEPS: &[Summary] = &[
    confusion::SUMMARY,
    Summary {
        name: "accuracy",
        symbol: "acc",
        title: "accuracy",
        meaning: "Share of the probe whose label is the largest output of the last call.",
    },
    Summary {
        name: "load_stress",
        symbol: "d/d̄−1",
        title: "stress of the load",
        meaning: "Load over the mean load, less 1: 0 is a fair share, −1 is idle.",
    },
    Summary {
        name: "nc4",
        symbol: "NC4",
        title: "disagreement with the head",
        meaning: "Share of samples whose nearest class mean is not what the head says.",
    },
];

/// An observable that is made from the whole step.
pub struct Summary {
    /// Name in JSON columns.
    pub name: &'static str,
    /// As printed.
    pub symbol: &'static str,
    /// In words.
    pub title: &'static str,
    /// One sentence.
    pub meaning: &'static str,
}

/// A number without an error over samples: it is a fact of the probe or of the weights.
pub(crate) fn fact(value: f64) -> Estimate {
    Estimate::exact(value)
}

/// A number whose error over samples is `error`, of n samples.
pub(crate) fn estimate(value: f64, error: f64, n: usize) -> Estimate {
    Estimate { value, error, spread: 0.0, n: n as u64 }
}
