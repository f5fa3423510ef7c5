//! Theory without an answer.

use carnot_report::diagnostic::Diagnostic;
use carnot_theory::error::{TheoryError, Unknown};

use super::{Explain, told};

impl Explain for TheoryError {
    fn explain(&self) -> Diagnostic {
        let problem = self.to_string();
        match self {
            TheoryError::OutOfRange { what, range, .. } => told(
                "theory/out-of-range",
                problem,
                "the formula means nothing there",
                format!("{what} must be {range}"),
            ),
            TheoryError::Length { what, expected, .. } => told(
                "theory/length",
                problem,
                "something is given layer by layer, and there are more or fewer layers",
                format!("give {expected} of {what}"),
            ),
            TheoryError::NotFinite { .. } => told(
                "theory/not-finite",
                problem,
                "the activation grows so fast that no Gaussian average of it exists",
                "a smaller --c-w, or carnot ensemble, which measures instead",
            ),
            TheoryError::NotResolved { .. } => told(
                "theory/not-resolved",
                problem,
                "the activation is too rough for the integration grid in so many dimensions",
                "fewer inputs at once, or carnot ensemble, which measures instead",
            ),
            TheoryError::Singular { .. } => told(
                "theory/singular",
                problem,
                "two inputs are the same, or become the same on the way",
                "different inputs, or an initialisation that keeps them apart: --init critical",
            ),
            TheoryError::Kernel(fault) => fault.explain(),
            TheoryError::Unknown(unknown) => {
                told("theory/unknown", problem, "theory has no formula for this", way_out(unknown))
            }
        }
    }
}

/// What to do where theory says nothing.
fn way_out(unknown: &Unknown) -> &'static str {
    match unknown {
        Unknown::ValueJumps { .. } | Unknown::SlopeJumps { .. } => {
            "a smooth activation close to it, or carnot ensemble, which measures instead"
        }
        Unknown::KinkWithManyInputs { .. } => "two inputs at a time, or a smooth activation close to it",
        Unknown::KernelGrows => "a smaller --c-w",
        Unknown::KernelVanishes => "a larger --c-w",
        Unknown::NoStableFixedPoint { .. } => "another --c-w or --c-b",
        Unknown::InfiniteLength => "nothing: at a critical point every depth is seen",
        Unknown::NoCriticalPoint => "another activation: carnot explain gelu",
        Unknown::TooManyTokens { .. } => "fewer tokens, or carnot ensemble, which measures instead",
        Unknown::NoDensity { .. } => "noise in the targets: --noise 1e-6",
        Unknown::NotDerived { .. } => "carnot ensemble, which measures instead",
    }
}
