//! What a report says of the stream of a transformer: the verdict's words, the chart, the table of designs.

use carnot_report::chart::{Axis, Chart, Series};
use carnot_report::number::significant;
use carnot_report::report::Word;
use carnot_report::section::{Cell, Heading, Row, Table};
use carnot_theory::tokens::{Norms, Start, Stream};

use crate::checks::tokens::word;

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

/// A design: its name, where norms stand, and the stream behind each block.
pub type Variant<'a> = (&'a str, Norms, &'a Vec<Stream>);

pub fn chart(variants: &[Variant], start: Start) -> Chart {
    let mut chart = Chart::new(
        "What is left of a token",
        "Share of a token's own part of the stream that its vector still has behind each block.",
        Axis::linear("block"),
        Axis::log("left of a token"),
    );
    for (name, _, streams) in variants {
        let x: Vec<f64> = (0..streams.len()).map(|block| block as f64).collect();
        let y: Vec<f64> = streams.iter().map(|stream| stream.information / start.information).collect();
        chart = chart.with(Series::line(name, &x, &y));
    }
    chart
}

pub fn designs(variants: &[Variant], start: Start) -> Table {
    let row = |(name, norms, streams): &Variant| {
        let last = streams[streams.len() - 1];
        Row::new(vec![
            Cell::text(*name),
            Cell::significant(last.similarity, 3),
            Cell::significant(last.information / start.information, 2),
            Cell::text(says(word(*norms, start, &last))),
        ])
    };
    Table {
        title: "Designs".into(),
        caption: "The same sizes with other norms; DeepNorm (arXiv:2203.00555) with its own start.".into(),
        columns: vec![
            Heading::words("blocks"),
            Heading::number("cosine of tokens"),
            Heading::number("left of a token"),
            Heading::words("says"),
        ],
        rows: variants.iter().map(row).collect(),
        ..Table::default()
    }
}
