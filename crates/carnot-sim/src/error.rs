//! What can be wrong with a request to simulate.

use carnot_net::shape::Shape;

/// Why a simulation was not started. Everything that goes wrong later (a loss that becomes infinite, a signal
/// that dies) is a result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SimError {
    /// Not one initialisation per layer with weights.
    #[error("{found} initialisations for {expected} layers with weights")]
    Initialisations {
        /// Layers with weights.
        expected: usize,
        /// Initialisations given.
        found: usize,
    },
    /// Not one pair of rates per layer with weights.
    #[error("{found} pairs of rates for {expected} layers with weights")]
    Rates {
        /// Layers with weights.
        expected: usize,
        /// Rates given.
        found: usize,
    },
    /// A number outside its range.
    #[error("`{name}` is {value}, not {range}")]
    Range {
        /// Which.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What is allowed, in words.
        range: &'static str,
    },
    /// Samples of another size than the network takes.
    #[error("a sample has {found} numbers, the network takes {expected}")]
    Input {
        /// Shape the network takes.
        expected: Shape,
        /// Numbers in one sample.
        found: usize,
    },
    /// Targets of another size than the network gives.
    #[error("the targets need {needed} outputs, the network has {found}")]
    Outputs {
        /// Outputs that the targets need.
        needed: usize,
        /// Outputs of the network.
        found: usize,
    },
    /// A set without samples.
    #[error("there are no samples")]
    NoSamples,
    /// A set without targets.
    #[error("data without targets cannot be learned")]
    NoTargets,
    /// Cross-entropy of targets that are no classes.
    #[error("cross-entropy needs classes, the targets are numbers")]
    NoClasses,
    /// A member whose kernel has no inverse on the training samples.
    #[error(
        "the kernel of member {member} is singular on the training samples: two coincide, or the network is too narrow"
    )]
    Singular {
        /// The member.
        member: u64,
    },
    /// Parts of an ensemble that were measured on other layers or other samples.
    #[error("parts of different ensembles cannot be merged")]
    Parts,
    /// Two parts that hold the same member.
    #[error("member {member} is in two parts")]
    Twice {
        /// The member.
        member: u64,
    },
}
