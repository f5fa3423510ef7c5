//! Losses that need no network: those of uniform answers, of frequencies, of pairs. A run that stops at one of them has
//! learned just that.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::error::LogError;

/// Bytes that are read of a text at most; more does not change a frequency.
const MOST_BYTES: u64 = 64 << 20;
/// Parts of a text whose differences give the error.
const PARTS: usize = 32;

/// What an answer would have to know to reach a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing: all answers equally likely, ln V.
    Uniform,
    /// How often each symbol or class comes.
    Unigram,
    /// Which symbol follows which.
    Bigram,
    /// Nothing that the run did not know at its start: the loss at the first step.
    Start,
}

/// A loss to compare with.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// What it takes to reach it.
    pub kind: Kind,
    /// In nats.
    pub value: f64,
    /// Its standard error; 0 where it is exact.
    pub error: f64,
    /// Where it comes from: `ln 64`, `240788 characters of text.txt`.
    pub from: String,
}

impl Reference {
    /// Uniform answers over `count` symbols or classes.
    #[must_use]
    pub fn uniform(count: u64) -> Reference {
        Reference {
            kind: Kind::Uniform,
            value: (count.max(1) as f64).ln(),
            error: 0.0,
            from: format!("ln {count}"),
        }
    }

    /// As the user gave it.
    #[must_use]
    pub fn given(kind: Kind, value: f64) -> Reference {
        Reference { kind, value, error: 0.0, from: "as given".into() }
    }

    /// How near a loss must come to count as this one: 0.1 nat or 3 %, whichever is smaller.
    ///
    /// Of a few classes 0.1 nat would be a large part of everything there is to learn.
    #[must_use]
    pub fn delta(&self) -> f64 {
        (0.03 * self.value.abs()).min(0.1)
    }
}

/// What a symbol of a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symbol {
    /// A character.
    #[default]
    Character,
    /// A byte.
    Byte,
}

impl std::str::FromStr for Symbol {
    type Err = ();

    fn from_str(word: &str) -> Result<Symbol, ()> {
        match word {
            "characters" => Ok(Symbol::Character),
            "bytes" => Ok(Symbol::Byte),
            _ => Err(()),
        }
    }
}

/// References from a text: ln V, the entropy of its symbols and that of a symbol given the one before.
///
/// $$ L_1 = -\sum_w p_w \ln p_w, \qquad L_2 = -\sum_{v,w} p_{vw} \ln p_{w|v} $$
///
/// Errors are those of means over 32 parts of the text, since neighbouring symbols are alike; L₂ is raised by half of the
/// pairs seen minus the symbols seen, over the length, which corrects what is counted on the same text it is held against.
///
/// # Errors
/// [`LogError::File`], [`LogError::NoReference`] for a text that is too short or no UTF-8.
///
/// Source: Shannon, *Prediction and entropy of printed English*, 1951; correction: Miller 1955.
pub fn of_text(path: &Path, symbol: Symbol) -> Result<Vec<Reference>, LogError> {
    let bytes = start_of(path)?;
    let refuse = |why: &str| LogError::NoReference { path: path.into(), why: why.into() };
    let symbols: Vec<u32> = match symbol {
        Symbol::Byte => bytes.iter().map(|&byte| u32::from(byte)).collect(),
        Symbol::Character => {
            let text = match std::str::from_utf8(&bytes) {
                Ok(text) => text,
                // A bound cuts a character in two; anything else is no text.
                Err(error) if error.valid_up_to() + 4 > bytes.len() => {
                    std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
                }
                Err(_) => return Err(refuse("it is no UTF-8 text; --symbols bytes counts bytes")),
            };
            text.chars().map(u32::from).collect()
        }
    };
    if symbols.len() < 1000 {
        return Err(refuse(&format!("{} symbols are too few, 1000 at least", symbols.len())));
    }
    let word = if symbol == Symbol::Byte { "bytes" } else { "characters" };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(of_symbols(&symbols, &format!("{} {word} of {name}", symbols.len())))
}

/// References from a file with one label a line: ln K and the entropy of the frequencies.
///
/// # Errors
/// [`LogError::File`], [`LogError::NoReference`].
pub fn of_labels(path: &Path) -> Result<Vec<Reference>, LogError> {
    let bytes = start_of(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut counts: HashMap<&str, u64> = HashMap::new();
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .for_each(|label| *counts.entry(label).or_default() += 1);
    let n = counts.values().sum::<u64>();
    if counts.len() < 2 || n < 10 {
        let why =
            format!("{n} labels of {} classes: ten labels of two classes at least, one a line", counts.len());
        return Err(LogError::NoReference { path: path.into(), why });
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (value, variance) = entropy(counts.values().copied());
    let error = (variance / n as f64).sqrt();
    let mut uniform = Reference::uniform(counts.len() as u64);
    uniform.from = format!("ln {}", counts.len());
    Ok(vec![uniform, Reference { kind: Kind::Unigram, value, error, from: format!("{n} labels of {name}") }])
}

/// Mean and variance of −ln p.
fn entropy(counts: impl Iterator<Item = u64> + Clone) -> (f64, f64) {
    let n = counts.clone().sum::<u64>() as f64;
    let mut counts: Vec<u64> = counts.filter(|&count| count > 0).collect();
    // In a fixed order, so that sums have the same bits whatever order a table of hashes has.
    counts.sort_unstable();
    let of = |power: i32| {
        counts.iter().map(|&count| count as f64 / n).map(|p| p * (-p.ln()).powi(power)).sum::<f64>()
    };
    let mean = of(1);
    (mean, (of(2) - mean * mean).max(0.0))
}

fn of_symbols(symbols: &[u32], from: &str) -> Vec<Reference> {
    let mut single: HashMap<u32, u64> = HashMap::new();
    let mut before: HashMap<u32, u64> = HashMap::new();
    let mut pairs: HashMap<(u32, u32), u64> = HashMap::new();
    symbols.iter().for_each(|&w| *single.entry(w).or_default() += 1);
    for pair in symbols.windows(2) {
        *before.entry(pair[0]).or_default() += 1;
        *pairs.entry((pair[0], pair[1])).or_default() += 1;
    }
    let n = symbols.len() as f64;
    let of_one = |w: &u32| -(single[w] as f64 / n).ln();
    let of_pair = |pair: &[u32]| -(pairs[&(pair[0], pair[1])] as f64 / before[&pair[0]] as f64).ln();
    let unigram = by_parts(&symbols.iter().map(of_one).collect::<Vec<_>>());
    let (bigram, error) = by_parts(&symbols.windows(2).map(of_pair).collect::<Vec<_>>());
    let shortfall = (pairs.len() as f64 - before.len() as f64) / (2.0 * (n - 1.0));
    let reference = |kind, value, error: f64| Reference { kind, value, error, from: from.into() };
    vec![
        Reference::uniform(single.len() as u64),
        reference(Kind::Unigram, unigram.0, unigram.1),
        reference(Kind::Bigram, bigram + shortfall, error),
    ]
}

/// Mean, and its error from the means of consecutive parts.
fn by_parts(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let parts: Vec<f64> = values
        .chunks(values.len().div_ceil(PARTS))
        .map(|part| part.iter().sum::<f64>() / part.len() as f64)
        .collect();
    let k = parts.len() as f64;
    let spread = parts.iter().map(|part| (part - mean).powi(2)).sum::<f64>() / (k - 1.0).max(1.0);
    (mean, (spread / k).sqrt())
}

fn start_of(path: &Path) -> Result<Vec<u8>, LogError> {
    let failed = |error| LogError::File { path: path.into(), error };
    let mut bytes = Vec::new();
    BufReader::new(File::open(path).map_err(failed)?)
        .take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    /// A chain of four symbols that keeps its symbol with probability 0.7: entropies in closed form.
    #[test]
    fn entropies_of_a_known_chain_are_found_within_their_errors() {
        let h = -(0.7f64 * 0.7f64.ln() + 0.3 * 0.1f64.ln());
        let (mut worst, mut sum) = (0.0f64, 0.0);
        for seed in 0..20 {
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let mut symbol = 0u32;
            let mut step = || {
                if random.random::<f64>() < 0.3 {
                    symbol = (symbol + 1 + random.random_range(0..3)) % 4;
                }
                symbol
            };
            let text: Vec<u32> = (0..20_000).map(|_| step()).collect();
            let found = of_symbols(&text, "text");
            assert_eq!(found[0].value, 4f64.ln());
            // The plug-in entropy of nearly even frequencies lies below ln 4 by a term of second order.
            assert!((found[1].value - 4f64.ln()).abs() < 0.01, "{found:?}");
            let z = (found[2].value - h) / found[2].error;
            worst = worst.max(z.abs());
            sum += z * z;
        }
        assert!(worst < 4.0 && sum < 45.3, "χ² {sum} of 20, worst {worst}");
    }

    #[test]
    fn labels_and_texts_that_say_nothing_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let labels = of_labels(&write(
            "labels",
            "a\n"
                .repeat(90)
                .as_bytes()
                .iter()
                .chain("b\n".repeat(10).as_bytes())
                .copied()
                .collect::<Vec<u8>>()
                .as_slice(),
        ))
        .unwrap();
        assert!((labels[1].value - (-(0.9f64 * 0.9f64.ln() + 0.1 * 0.1f64.ln()))).abs() < 1e-12);
        assert!((labels[1].error - 0.3 * 9f64.ln() / 10.0).abs() < 1e-9, "{labels:?}");
        assert!(matches!(of_labels(&write("one", b"a\na\n")), Err(LogError::NoReference { .. })));
        assert!(matches!(of_text(&write("short", b"abc"), Symbol::Byte), Err(LogError::NoReference { .. })));
        let binary = write("binary", &[0xff; 5000]);
        assert!(matches!(of_text(&binary, Symbol::Character), Err(LogError::NoReference { .. })));
        assert!(of_text(&binary, Symbol::Byte).is_ok());
        assert!(matches!(of_text(Path::new("nowhere"), Symbol::Byte), Err(LogError::File { .. })));
    }
}
