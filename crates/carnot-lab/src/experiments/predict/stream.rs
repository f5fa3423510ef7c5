//! What a report says of the stream of a transformer: the verdict's words, the chart, the table of designs.

use carnot_report::chart::{Axis, Chart, Series};
use carnot_report::number::significant;
use carnot_report::report::{Line, Word};
use carnot_report::section::{Cell, Heading, Row, Table};
use carnot_theory::tokens::{Norms, Start, Stream};

use super::groups::moved;
use crate::checks::tokens::word;

/// What the verdict rests on.
pub const LIMITS: &str = "Mean field: width, heads and tokens are large, all pairs of tokens alike, weights as they are drawn, no dropout. The \
    limits of the verdict (cosine 0.9; a tenth, a thousandth of a token left) are those at which small post-norm models of real text began \
    to stand on the plateau of frequencies, and never left it; for norms in front they are not known. Rates, data and optimisers can fail \
    a model that keeps its tokens.";

/// The loss of a model that knows nothing.
pub fn loss(vocabulary: usize) -> Line {
    let uniform = significant((vocabulary as f64).ln(), 3);
    let text = format!(
        "{uniform} nats when nothing is learned (ln {vocabulary}); a plateau below it is the entropy of your tokens' frequencies"
    );
    Line::new("loss", text)
}

/// How the stream grows where no norm holds it.
pub fn growth(start: Start, last: &Stream) -> Line {
    let grown = (last.size / start.size).sqrt();
    Line::new("stream", format!("grows {} times over the blocks", significant(grown, 2)))
}

pub fn says(word: Word) -> &'static str {
    match word {
        Word::Learns => "tokens stay apart",
        Word::LearnsAtACost => "long plateau",
        Word::WillNotLearn => "learns frequencies only",
        Word::CannotTell => "not known how little will do",
    }
}

pub fn why(word: Word, depth: usize, start: Start, last: &Stream) -> String {
    let cosine = significant(last.similarity, 3);
    let left = significant(last.information / start.information, 2);
    let then = match word {
        Word::Learns => "the head can tell them apart.",
        Word::LearnsAtACost => {
            "the head sees little but how frequent tokens are, and the loss will stand at the entropy of their frequencies for long."
        }
        Word::WillNotLearn => {
            "the head sees the same vector for every token, and the loss will stay at the entropy of their frequencies, whatever the rate."
        }
        Word::CannotTell => {
            "with norms in front of the blocks nobody has measured how little will do; models that start with so little have been trained."
        }
    };
    format!("Behind {depth} blocks two tokens have a cosine of {cosine} and {left} of each is left: {then}")
}

/// A design.
pub struct Variant<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Where norms stand.
    pub norms: Norms,
    /// The stream at its start and behind each block.
    pub streams: &'a [Stream],
    /// Mean-square change of the last stream for a relative change of every matrix, over its square; `None` where it is not known.
    pub amplification: Option<f64>,
}

pub fn chart(variants: &[Variant]) -> Chart {
    let mut chart = Chart::new(
        "What is left of a token",
        "Share of a token's own part of the stream that its vector still has behind each block.",
        Axis::linear("block"),
        Axis::log("left of a token"),
    );
    for Variant { name, streams, .. } in variants {
        let x: Vec<f64> = (0..streams.len()).map(|block| block as f64).collect();
        let y: Vec<f64> = streams.iter().map(|stream| stream.information / streams[0].information).collect();
        chart = chart.with(Series::line(name, &x, &y));
    }
    chart
}

pub fn designs(variants: &[Variant]) -> Table {
    let row = |variant: &Variant| {
        let (first, last) = (variant.streams[0], variant.streams[variant.streams.len() - 1]);
        let start = Start { similarity: first.similarity, information: first.information, size: first.size };
        Row::new(vec![
            Cell::text(variant.name),
            Cell::significant(last.similarity, 3),
            Cell::significant(last.information / start.information, 2),
            Cell::text(variant.amplification.map_or(String::new(), moved)),
            Cell::text(says(word(variant.norms, start, &last))),
        ])
    };
    Table {
        title: "Designs".into(),
        caption: "The same sizes with other norms, each drawn as it usually is; DeepNorm is arXiv:2203.00555. How far the last stream moves when every \
                  matrix of the blocks changes by 1 %."
            .into(),
        columns: vec![
            Heading::words("blocks"),
            Heading::number("cosine of tokens"),
            Heading::number("left of a token"),
            Heading::number("moves"),
            Heading::words("says"),
        ],
        rows: variants.iter().map(row).collect(),
        ..Table::default()
    }
}
