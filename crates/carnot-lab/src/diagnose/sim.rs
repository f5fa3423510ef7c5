//! Simulations that were not started.

use carnot_report::diagnostic::Diagnostic;
use carnot_sim::error::SimError;

use super::{Explain, at, network, told};

impl Explain for SimError {
    fn explain(&self) -> Diagnostic {
        let problem = self.to_string();
        match self {
            SimError::Initialisations { expected, .. } => told(
                "init/count",
                problem,
                "initialisations are given layer by layer, one a layer with weights",
                format!("give {expected} of them, or one scheme for all: --init critical"),
            ),
            SimError::Rates { expected, .. } => told(
                "rate/count",
                problem,
                "rates are given layer by layer, one pair a layer with weights",
                format!("give {expected} of them, or one rate for all: --rate 0.01"),
            ),
            SimError::Range { name, range, .. } => at(
                network::setting(name),
                told(
                    "config/out-of-range",
                    problem,
                    "the number means nothing there",
                    format!("{name} must be {range}"),
                ),
            ),
            SimError::Input { expected, found } => told(
                "data/shape",
                problem,
                "the network was made for other data",
                format!("a network that starts with {found} instead of {expected}"),
            ),
            SimError::Outputs { needed, .. } => told(
                "data/outputs",
                problem,
                "the last layer has one output a class, or one a value",
                format!("a network that ends with {needed}"),
            ),
            SimError::NoSamples => {
                told("data/nothing", problem, "the data set is empty", "--data digits   has 1,797 samples")
            }
            SimError::NoTargets => told(
                "data/no-targets",
                problem,
                "the data set has inputs only",
                "--data digits, or name the targets with --label",
            ),
            SimError::NoClasses => told(
                "data/no-classes",
                problem,
                "whole numbers from 0 are classes, anything else is a value to be reached",
                "--loss squared, or data with classes",
            ),
            SimError::Singular { .. } => told(
                "data/singular",
                problem,
                "a kernel of fewer dimensions than samples cannot tell them all apart",
                "fewer or different samples, or wider layers",
            ),
            SimError::Parts | SimError::Twice { .. } => told(
                "store/points",
                problem,
                "points of another specification were copied into the run",
                "repeat the command with --fresh",
            ),
        }
    }
}
