//! Formulas of one variable: the text of an activation and everything that follows from it.
//!
//! [`Formula::parse`] reads `max(z, 0)` or `z * tanh(softplus(z))` once; from the one tree come values
//! ([`Formula::value`], and slices of them), derivatives to fourth order ([`Formula::jet`], by truncated Taylor
//! arithmetic, never by differences), the points where it is not smooth ([`Formula::kinks`]), LaTeX and C.
//!
//! Grammar, loosest first: `a + b`, `a - b`; `a * b`, `a / b`; `-a`; `a ^ b` (also `**`; binds tighter than the sign on its
//! left, groups to the right); numbers, `pi`, `e`, the variable `z` (or `x`), parameters, and calls. Calls: exp ln log
//! expm1 log1p sqrt sin cos tan asin acos atan sinh cosh tanh asinh erf erfc normal_cdf normal_pdf sigmoid softplus abs sign step
//! relu gelu silu pow(a, b) max(a, b) min(a, b) clip(u, low, high) if(a < b, then, otherwise) with < <= > >=.
//!
//! At a kink [`Formula::jet`] follows PyTorch: relu'(0) = 0, clip' = 0 at its ends, abs'(0) = 0, and otherwise the branch
//! that is valid at the point (`if`) or on its left (`max`, `min`). sign(0) = step(0) = 0.

mod c;
mod error;
mod expression;
mod jet;
mod kinks;
mod latex;
mod lower;
mod parse;
mod program;
mod simple;
mod slices;
#[cfg(test)]
mod slices_tests;
mod tape;
#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use error::{FormulaError, FormulaErrorKind};
pub use kinks::Kink;

use expression::{Expression, Node};
use program::Program;
use tape::{Side, Tape};

/// A formula in one variable, read once; cheap to clone.
#[derive(Clone)]
pub struct Formula {
    inner: Arc<Inner>,
}

struct Inner {
    text: String,
    parameters: Vec<(String, f64)>,
    expression: Expression,
    tape: Tape,
    program: Program,
    kinks: Vec<Kink>,
}

impl Formula {
    /// Reads a formula in `z`.
    ///
    /// # Errors
    /// [`FormulaError`] with the bytes at fault. Never panics, whatever the text.
    ///
    /// ```
    /// let swish = carnot_math::formula::Formula::parse("z / (1 + exp(-z))").unwrap();
    /// assert_eq!(swish.jet(0.0)[..3], [0.0, 0.5, 0.5]);
    /// ```
    pub fn parse(text: &str) -> Result<Formula, FormulaError> {
        Formula::parse_with(text, &[])
    }

    /// Reads a formula in `z` with named constants, which win over `e` and over `z`.
    ///
    /// # Errors
    /// As [`Formula::parse`]; a used parameter that is not finite is [`FormulaErrorKind::NumberOutOfRange`].
    pub fn parse_with(text: &str, parameters: &[(&str, f64)]) -> Result<Formula, FormulaError> {
        let expression = parse::parse(text, parameters)?;
        let tape = Tape::new(text, &expression)?;
        let kinks = kinks::find(&tape);
        let program = Program::new(&tape);
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Ok(Formula {
            inner: Arc::new(Inner { text: text.to_owned(), parameters, expression, tape, program, kinks }),
        })
    }

    /// The text as given.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// The named constants as given.
    pub fn parameters(&self) -> &[(String, f64)] {
        &self.inner.parameters
    }

    /// The text with its parameters replaced by their numbers, so that it can be read again alone.
    pub fn closed_text(&self) -> String {
        let mut text = String::new();
        let mut copied = 0;
        for (node, place) in self.inner.expression.nodes.iter().zip(&self.inner.expression.places) {
            if let Node::Parameter(value) = node {
                text.push_str(&self.inner.text[copied..place.start]);
                text.push_str(&if *value < 0.0 { format!("({value})") } else { format!("{value}") });
                copied = place.end;
            }
        }
        text.push_str(&self.inner.text[copied..]);
        text
    }

    /// f(z).
    pub fn value(&self, z: f64) -> f64 {
        self.inner.tape.value(z)
    }

    /// f, f', f'', f''', f'''' at z (derivatives, not Taylor coefficients); at a kink see the module's convention.
    pub fn jet(&self, z: f64) -> [f64; 5] {
        self.inner.tape.jet(z, Side::At).derivatives()
    }

    /// The jet at z as the limit from the left (`side` < 0) or from the right (`side` ≥ 0).
    pub fn one_sided(&self, z: f64, side: i8) -> [f64; 5] {
        let side = if side < 0 { Side::Left } else { Side::Right };
        self.inner.tape.jet(z, side).derivatives()
    }

    /// Points where a derivative up to the fourth jumps, in increasing order.
    ///
    /// Exact where the switching expression is affine in z; otherwise found on [−60, 60] by scan and bisection.
    pub fn kinks(&self) -> &[Kink] {
        &self.inner.kinks
    }
}

impl std::fmt::Debug for Formula {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Formula").field("text", &self.text()).field("parameters", &self.parameters()).finish()
    }
}

impl PartialEq for Formula {
    /// Same text and same parameters, bit for bit.
    fn eq(&self, other: &Formula) -> bool {
        let same = |((a, v), (b, w)): (&(String, f64), &(String, f64))| a == b && v.to_bits() == w.to_bits();
        self.text() == other.text()
            && self.parameters().len() == other.parameters().len()
            && self.parameters().iter().zip(other.parameters()).all(same)
    }
}

impl Eq for Formula {}

impl Hash for Formula {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
        for (name, value) in self.parameters() {
            name.hash(state);
            value.to_bits().hash(state);
        }
    }
}

impl Serialize for Formula {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.closed_text())
    }
}

impl<'de> Deserialize<'de> for Formula {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Formula, D::Error> {
        let text = String::deserialize(deserializer)?;
        Formula::parse(&text).map_err(serde::de::Error::custom)
    }
}
