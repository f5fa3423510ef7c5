//! What can be wrong with the text of a formula, as data with a place.

use std::ops::Range;

/// A formula that could not be read: the text, the bytes at fault, and what is wrong there.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("formula `{}`: {kind} ({})", shown(text), place(at))]
pub struct FormulaError {
    /// The whole text that was given.
    pub text: String,
    /// Bytes of `text` at fault; empty at the end of the text when something is missing there.
    pub at: Range<usize>,
    /// What is wrong.
    pub kind: FormulaErrorKind,
}

/// What is wrong with a formula.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FormulaErrorKind {
    /// There is nothing but blanks.
    #[error("there is nothing to read")]
    Empty,
    /// More bytes than any sensible activation has.
    #[error("{bytes} bytes are more than the limit of {limit}")]
    TooLong {
        /// Length of the text.
        bytes: usize,
        /// Longest text accepted.
        limit: usize,
    },
    /// Parentheses, signs, powers or calls are nested too deeply.
    #[error("it is nested deeper than {limit} levels")]
    TooDeep {
        /// Deepest nesting accepted.
        limit: usize,
    },
    /// A character that cannot stand here.
    #[error("`{found}` cannot stand here, where {expected} is expected")]
    UnexpectedCharacter {
        /// The first character that does not fit.
        found: char,
        /// What would fit.
        expected: &'static str,
    },
    /// The text stops too early.
    #[error("it ends where {expected} is expected")]
    UnexpectedEnd {
        /// What would fit.
        expected: &'static str,
    },
    /// A name that is neither the variable, a constant, a parameter nor a function.
    #[error("`{name}` is not known{}", nearest.as_ref().map(|n| format!(", did you mean `{n}`?")).unwrap_or_default())]
    UnknownName {
        /// The name as written.
        name: String,
        /// The known name closest to it, if one is close.
        nearest: Option<String>,
    },
    /// A function called with the wrong number of arguments.
    #[error("`{function}` takes {expected} argument(s), not {found}")]
    WrongArgumentCount {
        /// The function as written.
        function: String,
        /// How many it takes.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A number or parameter beyond the range of a 64-bit float.
    #[error("this number is beyond the range of a 64-bit float")]
    NumberOutOfRange,
    /// A constant part, such as `ln(-1)` or `1/0`, has no finite value.
    #[error("this part is constant and its value is not finite")]
    NotFinite,
}

/// At most 60 characters of the text, so that a hostile text does not flood a terminal.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn place(at: &Range<usize>) -> String {
    match at.end.saturating_sub(at.start) {
        0 | 1 => format!("at byte {}", at.start),
        _ => format!("at bytes {} to {}", at.start, at.end),
    }
}

/// The candidate closest to `name` in edit distance, if at most a third of it has to change.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let allowed = (name.len() / 3).max(1);
    if name.len() > 24 {
        return None;
    }
    candidates
        .map(|candidate| (edit_distance(name, candidate), candidate.len().abs_diff(name.len()), candidate))
        .filter(|(distance, _, candidate)| *distance <= allowed && *distance < candidate.len())
        .min()
        .map(|(_, _, candidate)| candidate.to_owned())
}

/// Levenshtein distance, where exchanging two neighbours counts once; letter case does not count.
fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replace = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replace.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(table[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    table[a.len()][b.len()]
}
