//! Activations: a name, a formula, and closed Gaussian averages where they exist.
//!
//! Adding one is one row in [`table::TABLE`]; values, derivatives to fourth order, kinks, LaTeX, C and the
//! conformance tests follow from its formula.

pub mod closed;
mod gelu;
mod geometry;
mod monomial;
pub mod piecewise;
pub mod recognise;
pub mod table;

use carnot_math::formula::{Formula, FormulaError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use closed::ClosedForm;
use recognise::Wrapped;
use table::{Row, TABLE};

/// σ(z): what a layer applies to each preactivation.
#[derive(Debug, Clone, PartialEq)]
pub struct Activation {
    /// Specification from which [`Activation::parse`] makes the same activation: `gelu`, `leaky_relu(0.1)`, or a formula.
    pub name: String,
    /// The function itself.
    pub formula: Formula,
    /// Gaussian averages in closed form, if known.
    pub closed: Option<ClosedForm>,
}

/// Why a text is not an activation.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ActivationError {
    /// A bare name that is in no row.
    #[error("no activation is called `{name}`{}", nearest.as_ref().map(|n| format!(", did you mean `{n}`?")).unwrap_or_default())]
    UnknownName {
        /// The name as written.
        name: String,
        /// The known name closest to it, if one is close.
        nearest: Option<String>,
    },
    /// More parameters than the row has.
    #[error("`{name}` takes at most {expected} parameter(s), not {found}")]
    ParameterCount {
        /// The activation.
        name: &'static str,
        /// How many it takes.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A parameter outside its range.
    #[error("`{parameter}` of `{name}` is {value}, which is not {} between {low} and {high}", if *whole { "a whole number" } else { "a number" })]
    ParameterRange {
        /// The activation.
        name: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// What was given.
        value: f64,
        /// Smallest value allowed.
        low: f64,
        /// Largest value allowed.
        high: f64,
        /// Whether it must be whole.
        whole: bool,
    },
    /// A formula that cannot be read.
    #[error(transparent)]
    Formula(#[from] FormulaError),
}

impl Activation {
    /// The activation of that name or alias in the table, with default parameters.
    ///
    /// # Errors
    /// [`ActivationError::UnknownName`] with the nearest known name.
    pub fn named(name: &str) -> Result<Activation, ActivationError> {
        match row(name) {
            Some(row) => from_row(row, &[]),
            None => Err(unknown(name)),
        }
    }

    /// A name or alias (`swish`), a name with parameters (`leaky_relu(0.1)`, `scale_invariant(1, 0.2)`, also `lrelu0.1`), or
    /// any formula in `z`.
    ///
    /// # Errors
    /// [`ActivationError`]: an unknown name with the nearest known one, a parameter out of range, or a formula with the place at fault.
    pub fn parse(spec: &str) -> Result<Activation, ActivationError> {
        let spec = spec.trim();
        if let Some(row) = row(spec) {
            return from_row(row, &[]);
        }
        if let Some((row, values)) = with_parameters(spec) {
            return from_row(row, &values);
        }
        match Formula::parse(spec) {
            Ok(formula) => {
                let found = recognise::recognise(&formula).filter(Wrapped::is_plain);
                Ok(Activation { name: spec.to_owned(), formula, closed: found.map(|found| found.form) })
            }
            Err(_) if is_bare_name(spec) => Err(unknown(spec)),
            Err(error) => Err(error.into()),
        }
    }
}

impl Activation {
    /// The activation as α g(βz) + γ with closed averages of g, where it is that.
    #[must_use]
    pub fn wrapped(&self) -> Option<Wrapped> {
        self.closed.map(Wrapped::plain).or_else(|| recognise::recognise(&self.formula))
    }
}

fn row(name: &str) -> Option<&'static Row> {
    let lower = name.to_ascii_lowercase().replace('-', "_");
    // A single letter or `z - x` must stay a formula, so only whole names count.
    TABLE.iter().find(|row| row.name == lower || row.aliases.contains(&lower.as_str()))
}

fn is_bare_name(spec: &str) -> bool {
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    spec.starts_with(|c: char| c.is_ascii_alphabetic()) && spec.chars().all(named)
}

fn unknown(name: &str) -> ActivationError {
    let names = TABLE.iter().flat_map(|row| row.aliases.iter().chain([&row.name]));
    let distance = |known: &str| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), known);
    let scored = names.map(|known| (distance(known), known.len().abs_diff(name.len()), *known));
    let close = |(distance, _, _): &(usize, usize, &str)| *distance <= (name.len() / 3).max(1);
    let nearest = if name.len() > 40 { None } else { scored.filter(close).min() };
    let nearest = nearest.map(|(_, _, known)| known.to_owned());
    ActivationError::UnknownName { name: name.chars().take(60).collect(), nearest }
}

/// `name(1, 2)` or `name0.1` where the row has parameters and all arguments are numbers.
fn with_parameters(spec: &str) -> Option<(&'static Row, Vec<f64>)> {
    if let Some((name, rest)) = spec.split_once('(') {
        let row = row(name.trim()).filter(|row| !row.parameters.is_empty())?;
        let inside = rest.strip_suffix(')')?;
        let values: Option<Vec<f64>> = inside.split(',').map(number).collect();
        return Some((row, values?));
    }
    let digits = spec.find(|c: char| c.is_ascii_digit())?;
    let (name, value) = spec.split_at(digits);
    let row = row(name).filter(|row| !row.parameters.is_empty())?;
    Some((row, vec![number(value)?]))
}

/// A plain decimal number; words such as `inf` are not.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    text.ends_with(|c: char| c.is_ascii_digit() || c == '.').then(|| text.parse().ok()).flatten()
}

fn from_row(row: &'static Row, given: &[f64]) -> Result<Activation, ActivationError> {
    if given.len() > row.parameters.len() {
        let expected = row.parameters.len();
        return Err(ActivationError::ParameterCount { name: row.name, expected, found: given.len() });
    }
    let mut values: Vec<f64> = row.parameters.iter().map(|parameter| parameter.default).collect();
    values[..given.len()].copy_from_slice(given);
    for (parameter, value) in row.parameters.iter().zip(&values) {
        let (low, high, whole) = (parameter.low, parameter.high, parameter.whole);
        if !(low..=high).contains(value) || (whole && value.fract() != 0.0) {
            let (name, parameter, value) = (row.name, parameter.name, *value);
            return Err(ActivationError::ParameterRange { name, parameter, value, low, high, whole });
        }
    }
    let named: Vec<(&str, f64)> = row.parameters.iter().map(|p| p.name).zip(values.iter().copied()).collect();
    let formula = Formula::parse_with(row.formula, &named)?;
    let default = row.parameters.iter().zip(&values).all(|(parameter, value)| parameter.default == *value);
    let list: Vec<String> = values.iter().map(f64::to_string).collect();
    let name = if default { row.name.to_owned() } else { format!("{}({})", row.name, list.join(", ")) };
    Ok(Activation { name, formula, closed: row.closed.map(|closed| closed(&values)) })
}

impl Serialize for Activation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Activation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Activation, D::Error> {
        let spec = String::deserialize(deserializer)?;
        Activation::parse(&spec).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_parses_under_all_its_names_and_comes_back_from_its_spec() {
        for row in TABLE {
            let activation = Activation::named(row.name).unwrap();
            for alias in row.aliases {
                assert_eq!(Activation::parse(alias).unwrap(), activation, "{alias}");
            }
            assert_eq!(Activation::parse(&activation.name).unwrap(), activation);
        }
    }

    #[test]
    fn parameters_are_read_from_a_call_or_a_suffix() {
        let wanted = Activation::parse("leaky_relu(0.1)").unwrap();
        assert_eq!(Activation::parse("lrelu0.1").unwrap(), wanted);
        assert_eq!(wanted.name, "leaky_relu(0.1)");
        assert_eq!(wanted.formula.value(-2.0), -0.2);
        assert_eq!(Activation::parse("scale_invariant(1, 0.2)").unwrap().formula.value(-1.0), -0.2);
        assert_eq!(Activation::parse("power(3)").unwrap().formula.value(2.0), 8.0);
        assert_eq!(Activation::parse("sin(2*z)").unwrap().formula.value(1.0), 2f64.sin());
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest() {
        let nearest = |spec: &str| match Activation::parse(spec) {
            Err(ActivationError::UnknownName { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(nearest("tahn").as_deref(), Some("tanh"));
        assert_eq!(nearest("leaky_rellu").as_deref(), Some("leaky_relu"));
        assert_eq!(nearest("quantum"), None);
        assert!(matches!(Activation::parse("power(2.5)"), Err(ActivationError::ParameterRange { .. })));
        assert!(matches!(Activation::parse("elu(1, 2)"), Err(ActivationError::ParameterCount { .. })));
        assert!(matches!(Activation::parse("z +"), Err(ActivationError::Formula(_))));
    }
}
