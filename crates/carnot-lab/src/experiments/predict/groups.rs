//! What a report says of the groups of parameters of a transformer: how they start, what they learn from, which rates they want.

use carnot_net::error::Unknown;
use carnot_report::number::{percent, significant};
use carnot_report::report::Line;
use carnot_report::section::{Cell, Heading, Row, Table};
use carnot_theory::tokens::Norms;
use carnot_theory::tokens::advice::{by_depth, by_width, deviation};
use carnot_theory::tokens::gradients::{Gradients, Logits, Slope, gradients};
use carnot_theory::tokens::pieces::{Group, Piece};
use carnot_theory::tokens::response::amplification;
use carnot_theory::tokens::tied::Own;
use carnot_theory::tokens::walk::Memory;
use carnot_theory::transfer::Skips;
use serde_json::{Value, json};

use crate::error::LabError;

/// Rate at which steps are shown.
const RATE: f64 = 0.001;

/// Rows of the tables, and the groups that each stands for.
const ROWS: &[(&str, &[Group])] = &[
    ("word embedding", &[Group::Word]),
    ("positions", &[Group::Position]),
    ("queries, keys", &[Group::Query, Group::Key]),
    ("values", &[Group::Value]),
    ("attention out", &[Group::Output]),
    ("MLP in", &[Group::MlpIn]),
    ("MLP out", &[Group::MlpOut]),
    ("head", &[Group::Head]),
];

/// A transformer's matrices at the start.
pub struct Groups {
    norms: Norms,
    depth: usize,
    tokens: usize,
    skips: Skips,
    is_tied: bool,
    found: Gradients,
    /// Mean-square change of the last stream over ε².
    pub amplification: f64,
    /// Logits of a head that is the embedding, and its tokens.
    own: Option<(Own, usize)>,
}

/// What is known of a network beside its pieces.
pub struct Known {
    pub norms: Norms,
    pub depth: usize,
    pub tokens: usize,
    pub skips: Skips,
    /// Are word embedding and head one matrix?
    pub is_tied: bool,
    /// Does the head read the stream itself? Some models put a dense layer before it.
    pub reads_stream: bool,
    pub matches: f64,
}

/// Mean-square change of the last stream for a relative change of every matrix of the blocks, over its square.
pub fn amplified(pieces: &[Piece], memory: &mut Memory) -> Result<f64, Unknown> {
    let all = amplification(pieces, memory)?;
    // The head moves nothing by itself.
    Ok(all[all.len().saturating_sub(2)])
}

impl Groups {
    /// Not known where a layer has no formula.
    pub fn of(pieces: &[Piece], known: &Known, memory: &mut Memory) -> Result<Groups, Unknown> {
        let found = gradients(pieces, known.matches, memory)?;
        let amplification = amplified(pieces, memory)?;
        let Known { norms, depth, tokens, skips, is_tied, reads_stream, .. } = *known;
        let kinds = match pieces.last() {
            Some(Piece::Linear(head)) => head.fan_out,
            _ => 0,
        };
        let own = if is_tied && reads_stream { Own::of(pieces, memory)? } else { None };
        let own = own.map(|own| (own, kinds));
        Ok(Groups { norms, depth, tokens, skips, is_tied, found, amplification, own })
    }

    /// The most useful of it.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line::new(
            "weights",
            format!("1 % of every matrix moves the last stream by {}", moved(self.amplification)),
        )];
        if let (Some(first), Some(last)) = (self.found.logits.first(), self.found.logits.last()) {
            let step = |logits: &Logits| significant(RATE * logits.growth, 2);
            lines.push(Line::new(
                "logits",
                format!(
                    "of attention: deviation {} in block 1, {} in block {}; Adam's first step at {RATE} moves them by {} and {}, wider models \
                     by more",
                    significant(first.deviation, 2),
                    significant(last.deviation, 2),
                    last.block,
                    step(first),
                    step(last)
                ),
            ));
        }
        if let Some((own, kinds)) = self.own {
            lines.push(Line::new(
                "tied head",
                format!(
                    "at the start each token predicts itself: its logit is {} over the others', the loss {} where ln {kinds} is {}",
                    significant(own.logit, 2),
                    significant(own.loss(kinds, 0.0), 3),
                    significant((kinds as f64).ln(), 3)
                ),
            ));
        }
        if self.norms == Norms::Post {
            lines.push(Line::new("warm-up", WARM_UP));
        }
        lines
    }

    /// Both tables.
    pub fn tables(&self) -> Result<[Table; 2], LabError> {
        Ok([self.starts(), self.rates()?])
    }

    fn slopes(&self, groups: &[Group]) -> Vec<&Slope> {
        self.found.matrices.iter().filter(|slope| groups.contains(&slope.matrix.group)).collect()
    }

    fn starts(&self) -> Table {
        let norm = |slopes: &[&Slope]| slopes.iter().map(|slope| slope.square).sum::<f64>().sqrt();
        let head = norm(&self.slopes(&[Group::Head]));
        let step = |slopes: &[&Slope]| slopes.iter().map(|slope| slope.first_step(self.tokens)).sum::<f64>();
        let whole = step(&self.found.matrices.iter().collect::<Vec<_>>());
        let row = |(name, groups): &(&str, &[Group])| {
            let all = self.slopes(groups);
            let first = all.first()?;
            let at = |block: usize| -> f64 {
                let of: Vec<&Slope> =
                    all.iter().filter(|slope| slope.matrix.block == block).copied().collect();
                norm(&of) / head / (of.len() as f64).sqrt()
            };
            let last = all[all.len() - 1].matrix.block;
            Some(Row::new(vec![
                Cell::text(*name),
                Cell::significant(first.matrix.deviation(), 2),
                Cell::significant(deviation(&first.matrix, self.norms, self.depth), 2),
                Cell::significant(at(first.matrix.block), 2),
                if last > 0 { Cell::significant(at(last), 2) } else { Cell::text("") },
                Cell::text(percent(step(&all) / whole)),
            ]))
        };
        let tied = if self.is_tied {
            " Head and word embedding are one matrix: with the embedding's deviation and logits divided by the width it is advised as both. \
             Gradients are those of a head of its own."
        } else {
            ""
        };
        let advice = match self.norms {
            Norms::Pre => "last matrices of the branches by 1/√(2L)",
            Norms::Post => "DeepNorm's, with its skip",
        };
        Table {
            title: "Groups at the start".into(),
            caption: format!(
                "Standard deviations, as drawn and as advised ({advice}); norms of gradients, over the head's; and what Adam's first step gains \
                 through each.{tied}"
            ),
            columns: vec![
                Heading::words("group"),
                Heading::number("σ"),
                Heading::number("advised"),
                Heading::number("gradient, block 1"),
                Heading::number(&format!("block {}", self.depth)),
                Heading::number("first step"),
            ],
            rows: ROWS.iter().filter_map(row).collect(),
            ..Table::default()
        }
    }

    fn rates(&self) -> Result<Table, LabError> {
        let mut rows = Vec::new();
        for (name, groups) in ROWS {
            let Some(first) = self.slopes(groups).first().copied() else { continue };
            let group = first.matrix.group;
            let width = by_width(Some(group), 2.0).map_err(LabError::Theory)?;
            let depth = by_depth(group, self.skips, 2.0).map_err(LabError::Theory)?;
            let step = RATE / first.matrix.deviation();
            let cells = [width.maximal_update, width.neural_tangent, depth];
            let numbers = cells.into_iter().map(|factor| Cell::significant(factor, 2));
            rows.push(Row::new(
                [Cell::text(*name), Cell::text(percent(step))].into_iter().chain(numbers).collect(),
            ));
        }
        let vectors = by_width(None, 2.0).map_err(LabError::Theory)?;
        let deep = by_depth(Group::MlpIn, self.skips, 2.0).map_err(LabError::Theory)?;
        let numbers = [vectors.maximal_update, vectors.neural_tangent, deep];
        let numbers = numbers.into_iter().map(|factor| Cell::significant(factor, 2));
        rows.push(Row::new(
            [Cell::text("norms, biases"), Cell::text(percent(RATE))].into_iter().chain(numbers).collect(),
        ));
        Ok(Table {
            title: "Rates by group".into(),
            caption: format!(
                "Adam's step at {RATE} over the standard deviation; factors of the rate at twice the width, by the maximal-update and the \
                 neural-tangent rule, and at twice the depth{}.",
                if self.skips == Skips::Plain { ", branches then times 0.71" } else { "" }
            ),
            columns: vec![
                Heading::words("group"),
                Heading::number("step"),
                Heading::number("width × 2"),
                Heading::number("neural-tangent"),
                Heading::number("depth × 2"),
            ],
            rows,
            ..Table::default()
        })
    }

    /// As data.
    pub fn extra(&self) -> Value {
        let matrix = |slope: &Slope| {
            json!({
                "group": slope.matrix.group, "block": slope.matrix.block, "deviation": slope.matrix.deviation(),
                "advised": deviation(&slope.matrix, self.norms, self.depth), "gradient": slope.square.sqrt(),
                "first_step": slope.first_step(self.tokens),
            })
        };
        let matrices: Vec<Value> = self.found.matrices.iter().map(matrix).collect();
        let own = self.own.map(|(own, kinds)| {
            json!({ "logit": own.logit, "variance": own.variance, "loss": own.loss(kinds, 0.0) })
        });
        json!({ "amplification": self.amplification, "matrices": matrices, "logits": self.found.logits, "tied_head": own })
    }
}

/// How far a change of one percent of every matrix moves the last stream, of its own size.
pub fn moved(amplification: f64) -> String {
    percent(0.01 * amplification.sqrt())
}

/// What is known of warm-up.
const WARM_UP: &str = "how many steps is not known, because it has to outlast the plateau at rates that learn, and no formula gives that length \
     (6 blocks at 0.003: 30 steps did not help, 80 did; 16 blocks, whose tokens had merged: 80 did not)";
