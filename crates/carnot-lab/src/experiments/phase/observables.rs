//! What a diagram can show of a trained network. One row each.

use carnot_math::curve::{Shape, shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::network::Answer;

/// What the picture shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Show {
    /// Convexity of the load curve: below 0 deep layers do the work, above 0 shallow ones.
    #[default]
    Convexity,
    /// Standard deviation of the loads over their mean.
    Spread,
    /// Correlation of the separation with depth: −1 is straight.
    Straightness,
    /// Total load D_0 − D_L.
    TotalLoad,
    /// Loss on the training set.
    Loss,
    /// Accuracy on the training set.
    Train,
    /// Accuracy on the test set.
    Test,
    /// Norm of all weights together.
    Weights,
    /// Largest eigenvalue of the Hessian of the loss.
    Sharpness,
}

/// A number of a load curve; `None` where it does not exist.
pub type OfCurve = fn(&[f64]) -> Option<f64>;

/// A number of a trained network.
pub struct Observable {
    /// Which one.
    pub show: Show,
    /// As a scale or a row is called.
    pub label: &'static str,
    /// What it means, for a picture.
    pub means: &'static str,
    /// The number; `None` where it does not exist.
    pub of: fn(&Answer) -> Option<f64>,
    /// The same of a curve alone, where that is enough: then the chain has it too.
    pub of_curve: Option<OfCurve>,
    /// A ratio, whose denominator may come near zero: taken of the mean curve of a cell, not averaged over its networks.
    pub is_ratio: bool,
}

/// All of them.
pub const OBSERVABLES: &[Observable] = &[
    Observable {
        show: Show::Convexity,
        label: "convexity",
        means: "Convexity of the load curve: below 0 deep layers do the work, above 0 shallow ones",
        of: |answer| convexity(&curve(answer)?),
        of_curve: Some(convexity),
        is_ratio: true,
    },
    Observable {
        show: Show::Spread,
        label: "uneven loads v/|d̄|",
        means: "Standard deviation of the loads over their mean: 0 where all layers share the work",
        of: |answer| spread(&curve(answer)?),
        of_curve: Some(spread),
        is_ratio: true,
    },
    Observable {
        show: Show::Straightness,
        label: "straightness r",
        means: "Correlation of the separation with depth: −1 where every layer adds the same",
        of: |answer| straightness(&curve(answer)?),
        of_curve: Some(straightness),
        is_ratio: false,
    },
    Observable {
        show: Show::TotalLoad,
        label: "total load",
        means: "Separation gained from the first layer to the last",
        of: |answer| Some(shaped(&curve(answer)?)?.total),
        of_curve: Some(|curve| Some(shaped(curve)?.total)),
        is_ratio: false,
    },
    Observable {
        show: Show::Loss,
        label: "training loss",
        means: "Loss on the training set",
        of: |answer| answer.loss,
        of_curve: None,
        is_ratio: false,
    },
    Observable {
        show: Show::Train,
        label: "training accuracy",
        means: "Accuracy on the training set",
        of: |answer| answer.train,
        of_curve: None,
        is_ratio: false,
    },
    Observable {
        show: Show::Test,
        label: "test accuracy",
        means: "Accuracy on the test set",
        of: |answer| answer.test,
        of_curve: None,
        is_ratio: false,
    },
    Observable {
        show: Show::Weights,
        label: "norm of the weights",
        means: "Norm of all weights together",
        of: |answer| answer.weights,
        of_curve: None,
        is_ratio: false,
    },
    Observable {
        show: Show::Sharpness,
        label: "sharpness",
        means: "Largest eigenvalue of the Hessian of the loss",
        of: |answer| answer.sharpness,
        of_curve: None,
        is_ratio: false,
    },
];

impl Show {
    /// Its row.
    pub fn row(self) -> &'static Observable {
        OBSERVABLES.iter().find(|row| row.show == self).expect("every observable has a row")
    }
}

/// The load curve, where every point of it is a number.
pub fn curve(answer: &Answer) -> Option<Vec<f64>> {
    answer.curve.iter().copied().collect()
}

/// The curve read before the activations.
pub fn before(answer: &Answer) -> Option<Vec<f64>> {
    let whole: Option<Vec<f64>> = answer.before.iter().copied().collect();
    whole.filter(|curve| !curve.is_empty())
}

fn shaped(curve: &[f64]) -> Option<Shape> {
    shape(curve).ok()
}

/// Convexity of a curve; `None` where its total load is no number to divide by.
pub fn convexity(curve: &[f64]) -> Option<f64> {
    Some(shaped(curve)?.relative.ok()?.convexity)
}

/// Relative spread of the loads.
pub fn spread(curve: &[f64]) -> Option<f64> {
    Some(shaped(curve)?.relative.ok()?.spread)
}

/// Correlation of D_l with l: −1 is a straight descent.
pub fn straightness(curve: &[f64]) -> Option<f64> {
    shaped(curve)?.correlation.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_observable_has_one_row() {
        let all = [
            Show::Convexity,
            Show::Spread,
            Show::Straightness,
            Show::TotalLoad,
            Show::Loss,
            Show::Train,
            Show::Test,
            Show::Weights,
            Show::Sharpness,
        ];
        assert_eq!(OBSERVABLES.len(), all.len());
        assert!(all.iter().all(|show| show.row().show == *show));
    }
}
