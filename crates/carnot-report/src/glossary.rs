//! Symbol, name and one line of meaning: the single list from which headings, tooltips and links are made.

/// One line of the glossary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Name in code and JSON: `chi_perpendicular`.
    pub name: &'static str,
    /// As printed: `χ⊥`.
    pub symbol: &'static str,
    /// In words.
    pub title: &'static str,
    /// One sentence.
    pub meaning: &'static str,
    /// True when the symbol may be recognised inside prose (single letters may not).
    pub stands_alone: bool,
}

const fn entry(
    name: &'static str,
    symbol: &'static str,
    title: &'static str,
    meaning: &'static str,
    stands_alone: bool,
) -> Entry {
    Entry { name, symbol, title, meaning, stands_alone }
}

/// All lines, in the order in which columns are shown.
pub const ENTRIES: &[Entry] = &[
    entry(
        "kernel",
        "K",
        "signal",
        "Mean square of a layer's preactivations: how strong the signal is.",
        false,
    ),
    entry(
        "correlation",
        "corr",
        "sameness",
        "Mean correlation of two different inputs; 1 means that the layer cannot tell them apart.",
        false,
    ),
    entry(
        "gradient",
        "∇",
        "gradient",
        "Size of the gradient that reaches a layer, relative to the output.",
        false,
    ),
    entry(
        "chi_parallel",
        "χ∥",
        "parallel susceptibility",
        "How a change of the signal's size grows through one layer; 1 is critical.",
        true,
    ),
    entry(
        "chi_perpendicular",
        "χ⊥",
        "perpendicular susceptibility",
        "How the distance of two nearby inputs grows through one layer; below 1 they merge, above 1 they scatter.",
        true,
    ),
    entry(
        "correlation_depth",
        "ξ",
        "correlation depth",
        "Number of layers over which an input is still seen: −1/ln χ⊥.",
        true,
    ),
    entry(
        "vertex",
        "V",
        "four-point vertex",
        "Fluctuation between networks of the same kind: the variance of K is V/n.",
        false,
    ),
    entry("tangent", "Θ", "tangent kernel", "How fast an output moves under gradient descent.", true),
    entry(
        "separation",
        "D",
        "separation",
        "ln(within-class / between-class scatter): low when classes are apart.",
        false,
    ),
    entry(
        "load",
        "load",
        "load",
        "Fall of the separation across a layer: what the layer contributes.",
        false,
    ),
    entry("c_w", "C_W", "weight variance", "Variance of the initial weights × fan-in.", true),
    entry("c_b", "C_b", "bias variance", "Variance of the initial biases.", true),
    entry(
        "aspect_ratio",
        "L/n",
        "depth over width",
        "The expansion parameter: fluctuations between seeds grow with it.",
        true,
    ),
    entry("rate", "η", "learning rate", "Global step size.", true),
    entry(
        "standard_error",
        "±",
        "standard error",
        "Every measured number carries its standard error; a theory's is 0.",
        false,
    ),
    entry(
        "stress",
        "stress",
        "stress",
        "Distance of a reading from theory or from the healthy range, in standard errors; the sign says on which side.",
        false,
    ),
];

/// The line of a code name.
pub fn by_name(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// The line of a printed symbol.
pub fn by_symbol(symbol: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.symbol == symbol)
}

/// Place of a column among others: by the list above, unknown ones last.
pub fn rank(name: &str) -> usize {
    ENTRIES.iter().position(|entry| entry.name == name).unwrap_or(ENTRIES.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_symbols_are_unique() {
        for (at, entry) in ENTRIES.iter().enumerate() {
            assert!(
                ENTRIES[at + 1..]
                    .iter()
                    .all(|other| other.name != entry.name && other.symbol != entry.symbol)
            );
        }
    }

    #[test]
    fn every_meaning_is_one_sentence() {
        assert!(ENTRIES.iter().all(|entry| entry.meaning.ends_with('.')));
    }
}
