//! `carnot predict CONFIG`: whether the tokens of a transformer stay apart at initialisation, before anything is trained.

use std::path::Path;

use carnot_models::checkpoint::Checkpoint;
use carnot_models::huggingface::architecture::{Architecture, Enters, Place};
use carnot_models::huggingface::config::{self, Config};
use carnot_net::activation::Activation;
use carnot_report::number::significant;
use carnot_report::report::{Line, Provenance, Report, Verdict, Word};
use carnot_report::section::{Cell, Heading, Row, Section, Table, Text};
use carnot_theory::tokens::pieces::{Piece, Sizes, of_blocks};
use carnot_theory::tokens::walk::Memory;
use carnot_theory::tokens::{Blocks, Mlp, Norms, Start, Stream, deep_norm, through};
use carnot_theory::transfer::Skips;
use serde_json::json;

use super::PredictSpec;
use super::groups::{Groups, Known, amplified};
use super::stream::{self, Variant, chart, designs, says, why};
use crate::checks::tokens::{self, word};
use crate::error::LabError;
use crate::experiments::check::weights;
use crate::spec::network::ModelChoice;

/// Deepest model that is followed.
const DEEPEST: usize = 2000;
/// Deepest model that is looked for.
const MOST: usize = 400;

/// The same model, pinned by the checksum of what its config says.
pub fn pinned(choice: &ModelChoice) -> Result<ModelChoice, LabError> {
    let text = serde_json::to_vec(&open(choice)?).expect("plain data");
    let checksum = Some(blake3::hash(&text).to_hex()[..16].to_string());
    Ok(ModelChoice { model: choice.model.clone(), checksum })
}

/// What the config says.
fn open(choice: &ModelChoice) -> Result<Architecture, LabError> {
    let path = Path::new(&choice.model);
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let wrong = |range: String| LabError::OutOfRange { key: "network", value: choice.model.clone(), range };
    let is_config = path.file_name().is_some_and(|name| name == "config.json");
    let found = match path.is_dir() || is_config {
        true => match config::read(folder)? {
            Some(Config::Known(found)) => Ok(*found),
            Some(Config::UnknownFamily(name)) => Err(format!("{name} is not among them")),
            None => Err("no config.json lies there".into()),
        },
        false => weights::architecture(path, &Checkpoint::open(path)?)?,
    };
    let families = || config::families().join(", ");
    let found =
        found.map_err(|why| wrong(format!("a transformer of a known family, {}: {why}", families())))?;
    if found.depth > DEEPEST {
        let depth = found.depth;
        return Err(wrong(format!("a transformer of at most {DEEPEST} blocks: its config says {depth}")));
    }
    match found.enters {
        Enters::Tokens(_) => Ok(found),
        Enters::Patches(_) => {
            Err(wrong("a transformer of tokens: how alike patches are depends on the images".into()))
        }
    }
}

/// A model to be, and what its blocks are.
struct Model<'a> {
    is: &'a Architecture,
    activation: Activation,
    tokens: usize,
    matches: f64,
}

impl Model<'_> {
    fn norms(&self) -> Norms {
        if self.is.place == Place::Pre { Norms::Pre } else { Norms::Post }
    }

    /// Blocks of that width and depth, at the config's standard deviation.
    fn blocks(&self, width: usize, depth: usize) -> Blocks {
        let wider = width as f64 / self.is.width as f64;
        let variance = self.is.initial_std.unwrap_or(0.02).powi(2);
        let c = width as f64 * variance;
        let last = if self.is.is_scaled_by_depth { 1.0 / (2.0 * depth as f64) } else { 1.0 };
        Blocks {
            norms: self.norms(),
            skip: 1.0,
            attention: c * wider * (self.is.heads * self.is.head_width) as f64 * variance * last,
            logits: c * c,
            mlp: Mlp {
                activation: self.activation.formula.clone(),
                c_in: c,
                c_out: wider * self.is.ffn as f64 * variance * last,
                is_gated: self.is.is_gated,
            },
            tokens: self.tokens,
            is_causal: self.is.is_causal(),
        }
    }

    /// The sum of embeddings of equal variance: of the token, mostly of its position, in some families of the segment, which all share.
    fn start(&self) -> Start {
        let shared = usize::from(self.is.has_segments());
        let all = (1 + usize::from(self.is.has_position_vectors()) + shared) as f64;
        let variance = self.is.initial_std.unwrap_or(0.02).powi(2);
        let size = if self.is.place == Place::Post { 1.0 } else { all * variance };
        Start { similarity: (shared as f64 + self.matches) / all, information: 1.0 / all, size }
    }

    /// Its matrices, and those of the same sizes with other blocks: C of values is that of queries but for DeepNorm.
    fn pieces(&self, blocks: &Blocks, start: Start) -> Vec<Piece> {
        let is = self.is;
        let variance = is.initial_std.unwrap_or(0.02).powi(2);
        let c = is.width as f64 * variance;
        let is_deep_norm = blocks.skip != 1.0;
        let sizes = Sizes {
            width: is.width,
            heads_width: is.heads * is.head_width,
            heads: is.heads,
            ffn: is.ffn,
            embedding: variance,
            vocabulary: if let Enters::Tokens(vocabulary) = is.enters { vocabulary } else { 1 },
            c_head: c,
            c_query: if is_deep_norm { 1.0 } else { c },
            c_value: if is_deep_norm { blocks.attention.sqrt() } else { c },
        };
        of_blocks(blocks, start, is.depth, sizes)
    }

    /// The same blocks as DeepNorm has them.
    fn deep_norm(&self) -> Blocks {
        let (skip, beta) = deep_norm(self.is.depth);
        let (d, f) = (self.is.width as f64, self.is.ffn as f64);
        let square = beta * beta;
        let mut blocks = self.blocks(self.is.width, self.is.depth);
        (blocks.norms, blocks.skip, blocks.attention, blocks.logits) =
            (Norms::Post, skip, square * square, 1.0);
        (blocks.mlp.c_in, blocks.mlp.c_out) = (square * 2.0 * d / (d + f), square * 2.0 * f / (d + f));
        blocks
    }
}

/// Deepest model that keeps its tokens; `None` where the deepest looked at does.
fn deepest(norms: Norms, start: Start, streams: &[Stream]) -> Option<usize> {
    let lost = streams.iter().position(|stream| word(norms, start, stream) != Word::Learns)?;
    Some(lost.saturating_sub(1))
}

/// The report.
///
/// # Errors
/// When the config cannot be read, or names an activation that is not known.
pub fn report(spec: &PredictSpec, choice: &ModelChoice) -> Result<Report, LabError> {
    let is = open(choice)?;
    let activation = Activation::parse(carnot_name(&is.activation))?;
    let tokens = spec.tokens.unwrap_or(128.min(is.context));
    let model = Model { is: &is, activation, tokens, matches: spec.token_match.unwrap_or(0.02) };
    let (start, depth) = (model.start(), is.depth);
    let asked = through(&model.blocks(is.width, depth), start, depth).map_err(LabError::Theory)?;
    let last = asked[depth];
    let deep_start = Start { size: 1.0, ..start };
    let deep = through(&model.deep_norm(), deep_start, depth).map_err(LabError::Theory)?;
    let mut pre = model.blocks(is.width, depth);
    pre.norms = Norms::Pre;
    let in_front = (is.place == Place::Post)
        .then(|| through(&pre, deep_start, depth))
        .transpose()
        .map_err(LabError::Theory)?;
    let mut memory = Memory::default();
    let known = Known {
        norms: model.norms(),
        depth,
        tokens,
        skips: Skips::Plain,
        is_tied: is.is_tied == Some(true),
        // Behind norms at the end of blocks a dense layer leads to the head.
        reads_stream: is.place == Place::Pre,
        matches: model.matches,
    };
    let pieces = model.pieces(&model.blocks(is.width, depth), start);
    let groups = Groups::of(&pieces, &known, &mut memory).ok();
    let mut moves = |blocks: &Blocks| amplified(&model.pieces(blocks, deep_start), &mut memory).ok();

    let mut report = Report::new("predict", &is.words());
    let norms = model.norms();
    let found = word(norms, start, &last);
    report.verdict = Some(Verdict { word: found, why: why(found, depth, start, &last) });
    report.summary = summary(&model, start, &last);
    report.findings = tokens::judge(norms, start, &last, depth).into_iter().collect();
    report.summary.extend(groups.iter().flat_map(Groups::lines));
    let amplification = groups.as_ref().map(|groups| groups.amplification);
    let mut variants = vec![Variant { name: "as it is", norms, streams: &asked, amplification }];
    if let Some(streams) = &in_front {
        let amplification = moves(&pre);
        variants.push(Variant { name: "norms in front", norms: Norms::Pre, streams, amplification });
    }
    let amplification = moves(&model.deep_norm());
    variants.push(Variant { name: "DeepNorm", norms: Norms::Post, streams: &deep, amplification });
    report.sections.push(Section::Chart(chart(&variants)));
    report.sections.push(Section::Table(designs(&variants)));
    report.sections.push(Section::Table(widths(&model, start)?));
    if let Some(groups) = groups {
        report.sections.extend(groups.tables()?.map(Section::Table));
        report.extra.insert("groups".into(), groups.extra());
    }
    report.sections.push(Section::Text(Text {
        title: "Limits".into(),
        text: stream::LIMITS.into(),
        ..Text::default()
    }));
    report.extra.insert("architecture".into(), json!(is));
    report.extra.insert("streams".into(), json!(asked));
    report.provenance = Provenance { device: "theory".into(), ..Provenance::default() };
    Ok(report)
}

/// The name under which Carnot knows an activation of a config.
fn carnot_name(name: &str) -> &str {
    match name {
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_python" => "gelu",
        "quick_gelu" => "z * sigmoid(1.702 * z)",
        "silu" | "swish" => "swish",
        other => other,
    }
}

fn summary(model: &Model, start: Start, last: &Stream) -> Vec<Line> {
    let is = model.is;
    let blocks = model.blocks(is.width, is.depth);
    let mut lines = vec![Line::new(
        "blocks",
        format!(
            "attention of strength {} on tokens that are all the same, {} tokens, logits of variance {}",
            significant(blocks.attention, 2),
            model.tokens,
            significant(blocks.logits, 2)
        ),
    )];
    if let Enters::Tokens(vocabulary) = is.enters {
        lines.push(stream::loss(vocabulary));
    }
    if is.place == Place::Pre {
        lines.push(stream::growth(start, last));
    }
    if !is.unknown.is_empty() {
        lines.push(Line::new("ignored", is.unknown.join(", ")));
    }
    lines
}

/// The trap of "the same recipe, only bigger".
fn widths(model: &Model, start: Start) -> Result<Table, LabError> {
    let mut rows = Vec::new();
    for (up, down) in [(1, 2), (1, 1), (2, 1), (4, 1)] {
        let width = (model.is.width * up / down).max(1);
        let streams = through(&model.blocks(width, model.is.depth), start, MOST).map_err(LabError::Theory)?;
        let deep = deepest(model.norms(), start, &streams)
            .map_or(format!("more than {MOST}"), |depth| depth.to_string());
        let last = streams[model.is.depth.min(MOST)];
        rows.push(Row::new(vec![
            Cell::text(width.to_string()),
            Cell::text(deep),
            Cell::significant(last.similarity, 3),
            Cell::text(says(word(model.norms(), start, &last))),
        ]));
    }
    Ok(Table {
        title: "The same recipe at other widths".into(),
        caption: format!(
            "All widths scaled together, weights drawn with the same standard deviation; the verdict is that of {} blocks.",
            model.is.depth
        ),
        columns: vec![
            Heading::number("width"),
            Heading::number("deepest that keeps its tokens"),
            Heading::number("cosine of tokens"),
            Heading::words("says"),
        ],
        rows,
        ..Table::default()
    })
}
