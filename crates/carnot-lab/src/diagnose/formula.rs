//! Formulas and activations.

use carnot_math::formula::{FormulaError, FormulaErrorKind as Kind};
use carnot_net::activation::ActivationError;
use carnot_report::diagnostic::{Diagnostic, Place};

use super::{Explain, at, flag, meant, told};

const EXAMPLE: &str = "--activation \"z * tanh(softplus(z))\"";

impl Explain for FormulaError {
    fn explain(&self) -> Diagnostic {
        let length = self.at.end.saturating_sub(self.at.start);
        let text: String = self.text.chars().take(200).collect();
        let place = Place::Formula { text, start: self.at.start, length };
        at(place, formula(&self.kind))
    }
}

fn formula(kind: &Kind) -> Diagnostic {
    let problem = format!("the formula cannot be read: {kind}");
    match kind {
        Kind::Empty => told("formula/empty", "the formula is empty", "there is nothing but blanks", EXAMPLE),
        Kind::TooLong { limit, .. } => told(
            "formula/too-long",
            problem,
            format!("an activation is a line, and {limit} bytes are a page"),
            "shorten it; carnot explain gelu shows how activations are written",
        ),
        Kind::TooDeep { limit } => told(
            "formula/too-deep",
            problem,
            format!("parentheses, signs or powers are nested more than {limit} times"),
            "remove parentheses that change nothing",
        ),
        Kind::UnexpectedCharacter { expected, .. } => told(
            "formula/syntax",
            problem,
            format!("{expected} would fit at the mark"),
            format!("formulas are written as in {EXAMPLE}"),
        ),
        Kind::UnexpectedEnd { expected } => told(
            "formula/syntax",
            problem,
            format!("{expected} is missing at the end, perhaps a closing parenthesis"),
            format!("formulas are written as in {EXAMPLE}"),
        ),
        Kind::UnknownName { name, nearest } => told(
            "formula/unknown-name",
            format!("the formula cannot be read: there is no `{name}`"),
            meant(nearest.as_deref(), "the variable is z, and functions are written as in tanh(z)"),
            match nearest {
                Some(nearest) => format!("write {nearest}"),
                None => format!("formulas are written as in {EXAMPLE}"),
            },
        ),
        Kind::WrongArgumentCount { function, expected, .. } => told(
            "formula/arguments",
            problem,
            format!("{function} takes {expected}, separated by commas"),
            format!("give {function} what it takes"),
        ),
        Kind::NumberOutOfRange => {
            told("formula/number", problem, "numbers go up to about 1.8e308", "write a smaller number")
        }
        Kind::NotFinite => told(
            "formula/not-finite",
            problem,
            "a division by zero, a logarithm or a root of a negative number",
            "write the constant in another way",
        ),
    }
}

impl Explain for ActivationError {
    fn explain(&self) -> Diagnostic {
        match self {
            ActivationError::UnknownName { name, nearest } => at(
                flag("--activation"),
                told(
                    "activation/unknown-name",
                    format!("no activation is called `{name}`"),
                    meant(nearest.as_deref(), "it is in no row of the table, and is no formula in z"),
                    match nearest {
                        Some(nearest) => format!("--activation {nearest}"),
                        None => format!("write its formula, as in {EXAMPLE}"),
                    },
                ),
            ),
            ActivationError::ParameterCount { name, expected, .. } => at(
                flag("--activation"),
                told(
                    "activation/parameters",
                    self.to_string(),
                    if *expected == 0 {
                        "it has no parameters".into()
                    } else {
                        format!("it has only {expected}")
                    },
                    format!("carnot explain {name}   lists what it takes"),
                ),
            ),
            ActivationError::ParameterRange { name, parameter, low, high, .. } => at(
                flag("--activation"),
                told(
                    "activation/parameter-range",
                    self.to_string(),
                    format!("{parameter} is a constant of the formula, from {low} to {high}"),
                    format!("carnot explain {name}   lists what it takes"),
                ),
            ),
            ActivationError::Formula(error) => error.explain(),
        }
    }
}
