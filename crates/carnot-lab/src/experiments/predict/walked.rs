//! `carnot predict post:16x64`: the tokens of a transformer that is written out, layer by layer.

use carnot_net::error::Unknown;
use carnot_net::layers::Layer;
use carnot_net::layers::repeat::Repeat;
use carnot_net::network::Network;
use carnot_net::plan::{Plan, Site};
use carnot_net::shorthand::{Style, parse};
use carnot_net::transformer;
use carnot_report::report::{Line, Provenance, Report, Verdict, Word};
use carnot_report::section::{Cell, Heading, Row, Section, Table, Text};
use carnot_theory::tokens::pieces::{Piece, of_plan};
use carnot_theory::tokens::walk::{Behind, Memory, walk};
use carnot_theory::tokens::{Norms, Start, Stream};
use carnot_theory::transfer::skips;
use serde_json::json;

use super::PredictSpec;
use super::groups::{Groups, Known, amplified};
use super::stream::{self, Variant, chart, designs, says, why};
use crate::checks::tokens::{judge, word};
use crate::error::LabError;
use crate::settings::InitSettings;
use crate::spec::describe::network;

/// Deepest model of a design that is looked for.
const MOST: usize = 128;

/// Is it a network of tokens that attend to each other, too many for the exact kernel?
pub fn is_one(plan: &Plan) -> bool {
    let has = |kind: &str| plan.all().iter().any(|site| site.layer.kind() == kind);
    has("embedding") && has("attention") && plan.input.positions() > 3
}

/// A network of tokens and how its stream goes.
struct Walked {
    norms: Norms,
    start: Start,
    /// At the start and behind each block.
    streams: Vec<Stream>,
    behind: Vec<Behind>,
    pieces: Vec<Piece>,
}

impl Walked {
    /// Not known where a layer has no formula.
    fn of(
        plan: &Plan,
        init: &InitSettings,
        matches: f64,
        memory: &mut Memory,
    ) -> Result<Result<Walked, Unknown>, LabError> {
        let initial = init.initial(plan)?;
        let behind = match walk(plan, &initial.layers, matches, memory) {
            Ok(behind) => behind,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let blocks = behind.iter().map(|state| state.attentions).max().unwrap_or(0);
        // The last state with so many attentions behind it ends their block, but for a norm and the head behind the last.
        let head = plan.sites.len() - 1;
        let tail =
            head - usize::from(norms(plan) == Norms::Pre && plan.sites[head - 1].layer.kind() == "norm");
        let end = |attentions: usize| {
            behind.iter().rfind(|state| state.attentions == attentions && state.site < tail)
        };
        let streams: Vec<Stream> = (0..=blocks).filter_map(end).map(|state| state.stream).collect();
        let first = *streams.first().ok_or_else(|| no_block(plan))?;
        let start = Start { similarity: first.similarity, information: first.information, size: first.size };
        let pieces = match of_plan(plan, &initial.layers, matches) {
            Ok(pieces) => pieces,
            Err(unknown) => return Ok(Err(unknown)),
        };
        Ok(Ok(Walked { norms: norms(plan), start, streams, behind, pieces }))
    }

    fn last(&self) -> &Stream {
        &self.streams[self.streams.len() - 1]
    }
}

fn no_block(plan: &Plan) -> LabError {
    let value = format!("{} layers", plan.sites.len());
    LabError::OutOfRange { key: "network", value, range: "an embedding, blocks and a head".into() }
}

/// Post where more sums are followed by a norm than not.
fn norms(plan: &Plan) -> Norms {
    let is = |site: Option<&Site>, kind: &str| site.is_some_and(|site| site.layer.kind() == kind);
    let sums: Vec<usize> = (0..plan.sites.len()).filter(|&at| is(plan.sites.get(at), "residual")).collect();
    let followed = sums.iter().filter(|&&at| is(plan.sites.get(at + 1), "norm")).count();
    if 2 * followed > sums.len() { Norms::Post } else { Norms::Pre }
}

/// The report.
///
/// # Errors
/// When no formula is known for a layer, or an activation cannot be averaged.
pub fn report(spec: &PredictSpec, plan: &Plan) -> Result<Report, LabError> {
    let matches = spec.token_match.unwrap_or(0.02);
    let described = network(spec.network.network());
    let mut memory = Memory::default();
    let asked = match Walked::of(plan, &spec.init, matches, &mut memory)? {
        Ok(asked) => asked,
        Err(unknown) => {
            let mut report = Report::new("predict", &described);
            let why = format!("How alike its tokens become is not known: {unknown}.");
            report.verdict = Some(Verdict { word: Word::CannotTell, why });
            report.provenance = Provenance { device: "theory".into(), ..Provenance::default() };
            return Ok(report);
        }
    };
    let depth = asked.streams.len() - 1;
    let found = word(asked.norms, asked.start, asked.last());
    let mut report = Report::new("predict", &described);
    report.verdict = Some(Verdict { word: found, why: why(found, depth, asked.start, asked.last()) });
    report.summary = summary(plan, &asked);
    let known = Known {
        norms: asked.norms,
        depth,
        tokens: plan.input.positions(),
        skips: skips(plan),
        is_tied: plan.sites.last().is_some_and(|head| matches!(head.layer, Layer::Unembedding(_))),
        reads_stream: true,
        matches,
    };
    let groups = Groups::of(&asked.pieces, &known, &mut memory).ok();
    report.summary.extend(groups.iter().flat_map(Groups::lines));
    report.findings = judge(asked.norms, asked.start, asked.last(), depth).into_iter().collect();

    let others = others(spec, matches, depth, &mut memory)?;
    let mut variants = vec![Variant {
        name: "as it is",
        norms: asked.norms,
        streams: &asked.streams,
        amplification: groups.as_ref().map(|groups| groups.amplification),
    }];
    for (name, walked) in others.iter().filter(|(.., walked)| walked.streams != asked.streams) {
        let amplification = amplified(&walked.pieces, &mut memory).ok();
        variants.push(Variant { name, norms: walked.norms, streams: &walked.streams, amplification });
    }
    report.sections.push(Section::Chart(chart(&variants)));
    report.sections.push(Section::Table(designs(&variants)));
    if let Some(table) = depths(spec, matches, &mut memory)? {
        report.sections.push(Section::Table(table));
    }
    if let Some(groups) = groups {
        report.sections.extend(groups.tables()?.map(Section::Table));
        report.extra.insert("groups".into(), groups.extra());
    }
    report.sections.push(Section::Text(Text {
        title: "Limits".into(),
        text: stream::LIMITS.into(),
        ..Text::default()
    }));
    report.extra.insert("streams".into(), json!(asked.streams));
    let site = |state: &Behind| json!({ "layer": plan.sites[state.site].name, "stream": state.stream });
    report.extra.insert("layers".into(), asked.behind.iter().map(site).collect());
    report.provenance = Provenance { device: "theory".into(), ..Provenance::default() };
    Ok(report)
}

fn summary(plan: &Plan, asked: &Walked) -> Vec<Line> {
    let mut lines = Vec::new();
    let vocabulary = plan.sites.iter().find_map(|site| match &site.layer {
        Layer::Embedding(embedding) => Some(embedding.vocabulary),
        _ => None,
    });
    if let Some(vocabulary) = vocabulary {
        lines.push(stream::loss(vocabulary));
    }
    if asked.norms == Norms::Pre {
        lines.push(stream::growth(asked.start, asked.last()));
    }
    lines.push(Line::new("parameters", thousands(plan.parameters)));
    lines
}

/// 12,345,678
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// The same sizes in another design: what is shown, and how its stream goes.
type Other = (&'static str, Walked);

fn others(
    spec: &PredictSpec,
    matches: f64,
    depth: usize,
    memory: &mut Memory,
) -> Result<Vec<Other>, LabError> {
    let Some((text, activation)) = transformer::like(spec.network.network()) else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for (name, design) in [("norms behind", "post"), ("norms in front", "pre"), ("DeepNorm", "deepnorm")] {
        let Some(other) = transformer::other(&text, design, depth) else { continue };
        if let Ok(walked) = of_text(spec, &other, &activation, matches, memory)? {
            all.push((name, walked));
        }
    }
    Ok(all)
}

fn of_text(
    spec: &PredictSpec,
    text: &str,
    activation: &str,
    matches: f64,
    memory: &mut Memory,
) -> Result<Result<Walked, Unknown>, LabError> {
    let activation = carnot_net::activation::Activation::parse(activation)?;
    let plan = Plan::new(&parse(text, &Style { activation, residual: None, norm: None })?)?;
    Walked::of(&plan, &spec.init, matches, memory)
}

fn deepest_row(name: &str, deepest: Option<usize>, norms: Norms) -> Row {
    let then = match (deepest, norms) {
        (None, _) => Word::Learns,
        (_, Norms::Post) => Word::LearnsAtACost,
        _ => Word::CannotTell,
    };
    let words = deepest.map_or(format!("more than {MOST}"), |depth| depth.to_string());
    Row::new(vec![Cell::text(name), Cell::text(words), Cell::text(says(then))])
}

/// How deep a network may be whose one block is repeated, drawn as it is.
fn own_depth(
    spec: &PredictSpec,
    network: &Network,
    matches: f64,
    memory: &mut Memory,
) -> Result<Option<Row>, LabError> {
    let mut deep = network.clone();
    let mut repeats: Vec<&mut Repeat> = Vec::new();
    for named in &mut deep.layers {
        if let Layer::Repeat(repeat) = &mut named.layer {
            repeats.push(repeat);
        }
    }
    let [repeat] = &mut repeats[..] else { return Ok(None) };
    repeat.times = MOST;
    let Ok(walked) = Walked::of(&Plan::new(&deep)?, &spec.init, matches, memory)? else { return Ok(None) };
    let keeps = |stream: &Stream| word(walked.norms, walked.start, stream) == Word::Learns;
    let lost = walked.streams.iter().position(|stream| !keeps(stream));
    Ok(Some(deepest_row("as it is", lost.map(|lost| lost.saturating_sub(1)), walked.norms)))
}

/// How deep each design may be, for the sizes of the network, and the network itself where it is drawn as no design is.
fn depths(spec: &PredictSpec, matches: f64, memory: &mut Memory) -> Result<Option<Table>, LabError> {
    let network = spec.network.network();
    let Some((text, activation)) = transformer::like(network) else { return Ok(None) };
    let mut rows = Vec::new();
    if transformer::shorthand_of(network).is_none() {
        rows.extend(own_depth(spec, network, matches, memory)?);
    }
    for design in ["post", "pre", "deepnorm", "sandwich"] {
        let mut at = |depth: usize| -> Result<Option<Walked>, LabError> {
            let Some(other) = transformer::other(&text, design, depth) else { return Ok(None) };
            Ok(of_text(spec, &other, &activation, matches, memory)?.ok())
        };
        let Some(whole) = at(MOST)? else { continue };
        let keeps =
            |walked: &Walked, stream: &Stream| word(walked.norms, walked.start, stream) == Word::Learns;
        let lost = whole.streams.iter().position(|stream| !keeps(&whole, stream));
        let deepest = match lost {
            None => None,
            // The blocks of DeepNorm depend on how many they are; what is lost with depth is not found again.
            Some(_) if design == "deepnorm" => {
                let (mut low, mut high) = (0, MOST);
                while high - low > 1 {
                    let middle = usize::midpoint(low, high);
                    let is_kept = at(middle)?.is_some_and(|walked| keeps(&walked, walked.last()));
                    *(if is_kept { &mut low } else { &mut high }) = middle;
                }
                Some(low)
            }
            Some(lost) => Some(lost.saturating_sub(1)),
        };
        rows.push(deepest_row(design, deepest, whole.norms));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    Ok(Some(Table {
        title: "How deep".into(),
        caption: "Deepest model of these sizes that keeps its tokens apart, and what becomes of deeper ones."
            .into(),
        columns: vec![Heading::words("design"), Heading::number("blocks"), Heading::words("deeper")],
        rows,
        ..Table::default()
    }))
}
