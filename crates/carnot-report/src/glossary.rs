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
    entry("distance", "d", "distance", "Mean squared distance of two different inputs, per unit.", false),
    entry(
        "separation_pinv",
        "D⁺",
        "separation along the class means",
        "ln Tr(within · between⁺): within-class scatter along the directions that separate the classes.",
        false,
    ),
    entry(
        "separation_corrected",
        "D_u",
        "separation, corrected",
        "Separation without the part that the means of few samples show by chance.",
        false,
    ),
    entry(
        "separation_shuffled",
        "D?",
        "separation of shuffled labels",
        "Separation when the labels are put in a random order: where a layer without any separation stands.",
        false,
    ),
    entry(
        "load_reader",
        "load_R",
        "load for a reader",
        "Fall of ln(1 − R²) of a linear reader across a layer.",
        false,
    ),
    entry(
        "unexplained",
        "1−R²",
        "unexplained share",
        "What a linear reader of the layer cannot tell about the labels, on samples that it has not seen.",
        false,
    ),
    entry(
        "reader_accuracy",
        "acc_R",
        "accuracy of a reader",
        "Share of samples whose class a linear reader of the layer names, on samples that it has not seen.",
        false,
    ),
    entry(
        "conflict",
        "conflict",
        "labels in conflict",
        "Share of samples whose label a linear reader contradicts with certainty.",
        false,
    ),
    entry(
        "effective_rank",
        "erank",
        "effective rank",
        "Number of directions that a layer uses: exponential of the entropy of its spectrum.",
        false,
    ),
    entry(
        "participation_ratio",
        "PR",
        "participation ratio",
        "Number of directions that carry most of a layer: squared sum over sum of squares of its spectrum.",
        false,
    ),
    entry(
        "cka",
        "CKA",
        "likeness to the call before",
        "Likeness of a layer's samples to those of the layer before, up to rotation and scale.",
        false,
    ),
    entry(
        "cka_labels",
        "CKA_y",
        "likeness to the labels",
        "Likeness of a layer's samples to their labels.",
        false,
    ),
    entry(
        "nc1",
        "NC1",
        "collapse within classes",
        "Within-class scatter in units of what separates the classes: 0 when each class is one point.",
        false,
    ),
    entry(
        "nc2_norms",
        "NC2ₙ",
        "unequal lengths of class means",
        "Relative spread of the distances of the class means from their centre: 0 when they are equal.",
        false,
    ),
    entry(
        "nc2_angles",
        "NC2ₐ",
        "unequal angles of class means",
        "Mean distance of the cosines between class means from −1/(K−1): 0 when all angles are as large as can be.",
        false,
    ),
    entry(
        "nc3",
        "NC3",
        "head against class means",
        "Distance of the head's weight from the class means that it reads, both of length 1: 0 when they are dual.",
        false,
    ),
    entry(
        "cdnv",
        "CDNV",
        "class-distance normalised variance",
        "Variance within two classes over their squared distance, mean over pairs of classes.",
        false,
    ),
    entry(
        "block_influence",
        "BI",
        "block influence",
        "1 − cosine between a block's input and output, mean over vectors: 0 when the block does nothing.",
        false,
    ),
    entry(
        "block_influence_max",
        "BI↑",
        "largest block influence",
        "1 − cosine between a block's input and output, the largest over vectors.",
        false,
    ),
    entry(
        "contribution",
        "|Δ|/|h|",
        "residual contribution",
        "Length of what a block adds to the stream, over the length of the stream.",
        false,
    ),
    entry(
        "lens_loss",
        "lens",
        "loss if the stack stopped here",
        "Loss of the model's own head on the stream behind a block, in nats.",
        false,
    ),
    entry(
        "load_lens",
        "load_lens",
        "load in nats",
        "Fall of the loss through the model's own head across a block.",
        false,
    ),
    entry(
        "unexplained_token",
        "1−R²ₜ",
        "unexplained share of the next token",
        "What a linear reader of the stream cannot tell about the next token, on samples that it has not seen.",
        false,
    ),
    entry(
        "load_token",
        "load_t",
        "load for the next token",
        "Fall of ln(1 − R²) of the next token across a block.",
        false,
    ),
    entry(
        "unexplained_current",
        "1−R²₀",
        "unexplained share of the current token",
        "What a linear reader of the stream cannot tell about the token at its own position.",
        false,
    ),
    entry(
        "attention_entropy",
        "H_att",
        "attention entropy",
        "Entropy of the attention weights over that of equal weights: 0 looks at one key, 1 at all alike.",
        false,
    ),
    entry(
        "attention_logit",
        "max qk",
        "largest attention logit",
        "Largest product of a query with a key, as the softmax of attention sees it.",
        false,
    ),
    entry(
        "dead",
        "dead",
        "dead units",
        "Share of units that say the same to every input of the probe.",
        false,
    ),
    entry(
        "saturated",
        "sat",
        "saturated units",
        "Share of outputs at the ends of a bounded activation, where no gradient passes.",
        false,
    ),
    entry(
        "weight_scale",
        "n⟨W²⟩",
        "weight variance × fan-in",
        "Mean square of the weights times fan-in.",
        false,
    ),
    entry(
        "gradient_to_weight",
        "|∇W|/|W|",
        "gradient over weight",
        "Norm of the gradient of a weight over the norm of the weight.",
        false,
    ),
    entry(
        "update_ratio",
        "|ΔW|/|W|",
        "update over weight",
        "Change of a weight in one step over the norm of the weight.",
        false,
    ),
    entry(
        "non_finite",
        "NaN",
        "features that are not finite",
        "Share of outputs that are NaN or infinite.",
        false,
    ),
    entry(
        "gradient_non_finite",
        "NaN∇",
        "gradients that are not finite",
        "Share of the gradient's entries that are NaN or infinite.",
        false,
    ),
    entry(
        "accuracy",
        "acc",
        "accuracy",
        "Share of the probe whose label is the largest output of the last call.",
        false,
    ),
    entry(
        "nc4",
        "NC4",
        "disagreement with the head",
        "Share of samples whose nearest class mean is not what the head says.",
        false,
    ),
    entry(
        "load_stress",
        "d/d̄−1",
        "stress of the load",
        "Load over the mean load, less 1: 0 is a fair share, −1 is idle.",
        false,
    ),
    entry(
        "confusion",
        "χ²/ν",
        "pattern of wrong answers",
        "How far wrong answers are from an even spread over the other classes: 1 is even, as redrawn labels give; classes that resemble each other give more.",
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
