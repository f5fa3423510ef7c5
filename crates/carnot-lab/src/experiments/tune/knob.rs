//! What is turned: its range, its natural coordinate, and how much the load curve bends for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is moved while a network trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Knob {
    /// Dropout, the same at every hidden layer.
    #[default]
    Dropout,
    /// Dropout of each hidden layer by itself.
    Layers,
    /// Learning rate.
    Rate,
    /// Share of labels that each batch redraws, and noise of that many standard deviations at the inputs.
    Data,
    /// Slope of the activation below zero: 0 is the ReLU, 1 is linear.
    Slope,
}

/// Every knob.
#[cfg(test)]
pub const KNOBS: [Knob; 5] = [Knob::Dropout, Knob::Layers, Knob::Rate, Knob::Data, Knob::Slope];

impl Knob {
    /// As axes and tables call it.
    pub fn label(self) -> &'static str {
        match self {
            Knob::Dropout => "dropout p",
            Knob::Layers => "dropout p per layer",
            Knob::Rate => "learning rate",
            Knob::Data => "data noise q",
            Knob::Slope => "slope",
        }
    }

    /// Values of a plain sweep, from little noise to much.
    pub fn usual(self) -> Vec<f64> {
        match self {
            Knob::Dropout | Knob::Layers => vec![0.0, 0.05, 0.1, 0.2, 0.3, 0.4],
            Knob::Rate => vec![1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03],
            Knob::Data => vec![0.0, 0.1, 0.2, 0.3, 0.5, 0.7],
            Knob::Slope => vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
        }
    }

    /// What a network has that nobody thought about: no noise, a ReLU, Adam's usual rate.
    pub fn untouched(self) -> f64 {
        if self == Knob::Rate { 1e-3 } else { 0.0 }
    }

    /// What a value may be, in words; `None` where it is one.
    pub fn refuses(self, value: f64) -> Option<&'static str> {
        let (is_good, range) = match self {
            Knob::Dropout | Knob::Layers => ((0.0..=MOST_DROPPED).contains(&value), "0 ≤ p ≤ 0.95"),
            Knob::Rate => (value > 0.0 && value <= 100.0, "above 0, at most 100"),
            Knob::Data | Knob::Slope => ((0.0..=1.0).contains(&value), "0 to 1"),
        };
        (!is_good).then_some(range)
    }

    /// The coordinate in which the convexity answers in proportion: of dropout the standard deviation of what multiplies a kept unit,
    /// $\sqrt{p/(1-p)}$; of the rate its logarithm; of the others the value itself.
    pub fn coordinate(self, value: f64) -> f64 {
        match self {
            Knob::Dropout | Knob::Layers => (value / (1.0 - value)).sqrt(),
            Knob::Rate => value.ln(),
            Knob::Data | Knob::Slope => value,
        }
    }

    /// The value at a coordinate, see [`Knob::coordinate`].
    pub fn value(self, coordinate: f64) -> f64 {
        match self {
            Knob::Dropout | Knob::Layers => {
                let square = coordinate.max(0.0).powi(2);
                square / (1.0 + square)
            }
            Knob::Rate => coordinate.exp(),
            Knob::Data | Knob::Slope => coordinate,
        }
    }

    /// Convexity of a trained network's load curve per unit of the coordinate, > 0: more of each bends the work to the front.
    ///
    /// Measured on digits, see the book's page on tuning. A law that divides by half or twice the true number moves twice or half as
    /// fast; both settle.
    pub fn response(self) -> f64 {
        match self {
            Knob::Dropout | Knob::Layers => 0.35,
            Knob::Rate => 0.085,
            Knob::Data => 0.27,
            Knob::Slope => 0.26,
        }
    }

    /// Is it read on a logarithmic scale?
    pub fn is_log(self) -> bool {
        self == Knob::Rate
    }

    /// Does every hidden layer have its own value?
    pub fn is_by_layer(self) -> bool {
        self == Knob::Layers
    }
}

/// Beyond it hardly a unit of a layer is left.
const MOST_DROPPED: f64 = 0.95;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_lead_back_to_values_and_usual_values_are_allowed() {
        for knob in KNOBS {
            for value in knob.usual().into_iter().chain([knob.untouched()]) {
                assert!((knob.value(knob.coordinate(value)) - value).abs() < 1e-12, "{knob:?} {value}");
                assert_eq!(knob.refuses(value), None);
            }
            assert!(knob.refuses(-1.0).is_some() && knob.refuses(f64::NAN).is_some(), "{knob:?}");
            assert!(knob.usual().contains(&knob.untouched()), "{knob:?}");
        }
    }
}
