//! Networks: shorthands, TOML, shapes, sizes.

use std::ops::Range;

use carnot_net::error::{NetworkError, ShapeFault, ShorthandFault};
use carnot_report::diagnostic::{Diagnostic, Place};

use super::{Explain, at, flag, in_file, meant, told};
use crate::error::Source;

const SHORTHAND: &str = "a shorthand is input-width x layers-output, as in 784-128x50-10";
const NEW: &str = "carnot new predict   prints a file with every key explained";

impl Explain for NetworkError {
    fn explain(&self) -> Diagnostic {
        explain(self, None)
    }
}

/// The error, with its place in `source` when it was read from there.
pub fn explain(error: &NetworkError, source: Option<&Source>) -> Diagnostic {
    let span = span(error);
    let diagnostic = words(error);
    match (source, span) {
        _ if diagnostic.place.is_some() => diagnostic,
        (Some(source), Some(span)) => at(in_file(source, &span), diagnostic),
        (Some(source), None) => at(in_file(source, &(0..0)), diagnostic),
        (None, _) => diagnostic,
    }
}

fn span(error: &NetworkError) -> Option<Range<usize>> {
    match error {
        NetworkError::Toml { at, .. }
        | NetworkError::UnknownKey { at, .. }
        | NetworkError::MissingKey { at, .. }
        | NetworkError::LayerKind { at, .. }
        | NetworkError::Activation { at, .. } => Some(at.clone()),
        NetworkError::Shorthand { .. }
        | NetworkError::Shape { .. }
        | NetworkError::Range { .. }
        | NetworkError::Empty
        | NetworkError::TooLarge { .. }
        | NetworkError::File { .. } => None,
    }
}

fn words(error: &NetworkError) -> Diagnostic {
    let problem = error.to_string();
    match error {
        NetworkError::Shorthand { text, at: span, why } => shorthand(text, span, why),
        NetworkError::Toml { .. } => {
            told("network/toml", problem, "the file does not follow TOML, or a value has another type", NEW)
        }
        NetworkError::UnknownKey { nearest, .. } => told(
            "network/unknown-key",
            problem,
            meant(nearest.as_deref(), "no key has a similar name"),
            match nearest {
                Some(nearest) => format!("write {nearest}"),
                None => NEW.into(),
            },
        ),
        NetworkError::MissingKey { key, .. } => told(
            "network/missing-key",
            problem,
            format!("there is no {key} = …"),
            "input = [64]; layers = [{ dense = 10 }]",
        ),
        NetworkError::LayerKind { known, .. } => told(
            "network/layer-kind",
            problem,
            "a layer is one table, and one key says of which kind it is",
            format!("one of {known}, as in {{ dense = 128 }}"),
        ),
        NetworkError::Activation { why, .. } => why.explain(),
        NetworkError::Shape { layer, why, .. } => {
            let (cause, remedy) = shape(why);
            at(Place::Layer { layer: layer.clone() }, told("network/shape", problem, cause, remedy))
        }
        NetworkError::Range { layer, key, range, .. } => at(
            Place::Layer { layer: layer.clone() },
            told(
                "network/range",
                problem,
                "the number means nothing there",
                format!("{key} must be {range}"),
            ),
        ),
        NetworkError::Empty => told(
            "network/empty",
            problem,
            "layers is an empty list",
            "layers = [{ dense = 128 }, { act = \"tanh\" }, { dense = 10 }]",
        ),
        NetworkError::TooLarge { what, limit, .. } => told(
            "network/too-large",
            problem,
            "a width or a count has too many digits, or the network does not fit into one machine",
            format!(
                "at most {limit:.0e} {what}: theory depends on width only through depth over width, so a smaller one tells the same"
            ),
        ),
        NetworkError::File { path, .. } => told(
            "network/file",
            problem,
            "the file is not there, or may not be read",
            format!("ls -l {path}"),
        ),
    }
}

fn shorthand(text: &str, span: &Range<usize>, why: &ShorthandFault) -> Diagnostic {
    let cause = match why {
        ShorthandFault::TooFewParts => "one width alone says neither what enters nor what leaves",
        ShorthandFault::NotAWidth(_) => "widths are whole numbers, with x and a count for layers alike",
        ShorthandFault::Zero => "a layer of width zero passes nothing on",
        ShorthandFault::TooLarge(_) => "no machine holds a layer of that size",
        ShorthandFault::UnknownKey { .. } | ShorthandFault::NotASwitch(_) => {
            "a transformer is DESIGN:LxD and then heads=, ffn=, tokens=, vocabulary=, causal=, qk-norm=, tied="
        }
        ShorthandFault::Heads { .. } => "every head has an equal part of the stream's features",
        ShorthandFault::RepeatedEnd => "only hidden layers can be repeated",
    };
    let text: String = text.chars().take(200).collect();
    let column = text.char_indices().take_while(|(at, _)| *at < span.start).count() + 1;
    let place = Place::File {
        file: "NETWORK".into(),
        line: 1,
        column,
        length: span.end.saturating_sub(span.start),
        source: text,
    };
    at(place, told("network/shorthand", format!("the shorthand cannot be read: {why}"), cause, SHORTHAND))
}

fn shape(why: &ShapeFault) -> (&'static str, &'static str) {
    match why {
        ShapeFault::Axes { .. } => (
            "convolutions and pooling need positions, dense layers need none",
            "give input its positions, as in input = [28, 28, 1], or put { flatten = true } before a dense layer",
        ),
        ShapeFault::Window { .. } => (
            "the layers before it left fewer positions than its window is wide",
            "a smaller kernel, or less stride and pooling before it",
        ),
        ShapeFault::Skip { .. } => {
            ("a skip adds what enters to what leaves", "end the block with the width it begins with")
        }
        ShapeFault::Branches { .. } => (
            "a sum or a product joins features one by one, a concatenation joins positions one by one",
            "end every branch with the same width and the same positions, or say branches = \"concat\" for other widths",
        ),
        ShapeFault::Tokens(_) => (
            "tokens are whole numbers, one at each position",
            "give the input one feature, as in input = [12, 1]",
        ),
        ShapeFault::TokensFirst => {
            ("other layers make numbers that are no tokens", "put the embedding in front of all other layers")
        }
        ShapeFault::NoTable | ShapeFault::Table { .. } => (
            "an unembedding asks how much features are like the vector of each token",
            "put one embedding before it, of as many tokens, and features of its width, or { dense = … } in its place",
        ),
        ShapeFault::TooLarge(_) => ("a width has too many digits", "a width below 16777216"),
    }
}

/// The flag of a setting.
pub fn setting(key: &str) -> Place {
    flag(format!("--{}", key.replace('_', "-")))
}
