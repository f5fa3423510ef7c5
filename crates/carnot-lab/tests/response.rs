//! Amplification, gradients by group and the growth of attention logits in random transformers: the mean field of
//! `carnot_theory::tokens::response` and `gradients` against networks.

use carnot_math::random::Stream;
use carnot_math::stats::Moments;
use carnot_net::batch::Batch;
use carnot_net::hyper::{LayerInit, Scheme};
use carnot_net::layers::{Layer, Role};
use carnot_net::plan::{Plan, Site, Weights};
use carnot_net::shorthand::{Style, parse};
use carnot_net::tape::{Mode, Tape, Watch};
use carnot_sim::initialise::initialise;
use carnot_sim::loss::{Loss, Wanted};
use carnot_sim::optimizer::adam::Adam;
use carnot_sim::optimizer::{Optimizer, Rule, Step};
use carnot_theory::tokens::gradients::gradients;
use carnot_theory::tokens::pieces::{Group, of_plan};
use carnot_theory::tokens::response::amplification;
use carnot_theory::tokens::walk::Memory;

const SEED: u64 = 11;
const TOKENS: usize = 24;
const VOCABULARY: usize = 64;

/// A transformer of a shorthand with its own start.
fn transformer(text: &str) -> (Plan, Vec<LayerInit>) {
    let activation = carnot_net::activation::Activation::parse("relu").unwrap();
    let plan = Plan::new(&parse(text, &Style { activation, residual: None, norm: None }).unwrap()).unwrap();
    let init = carnot_theory::initial::initial(&plan, Scheme::Xavier, None, None).unwrap();
    (plan, init.layers)
}

/// A text of tokens drawn evenly.
fn text(member: u64) -> Vec<f64> {
    let mut stream = Stream::new(SEED, "text", &[member]);
    (0..TOKENS).map(|_| stream.below(VOCABULARY) as f64).collect()
}

/// Keeps what leaves one site.
struct Keep {
    index: usize,
    seen: Vec<f64>,
}

impl Watch<f64> for Keep {
    fn forward(&mut self, index: usize, output: &Batch<f64>) {
        if index == self.index {
            self.seen.clone_from(&output.data);
        }
    }

    fn backward(&mut self, _: usize, _: &Batch<f64>) {}
}

fn leaves(plan: &Plan, parameters: &[f64], index: usize, input: &[f64]) -> Vec<f64> {
    let mut tape = Tape::new(Mode::Evaluate);
    tape.record = false;
    let mut keep = Keep { index, seen: Vec::new() };
    let weights = Weights { data: parameters, stride: plan.parameters };
    plan.forward(weights, Batch::repeated(1, 1, &plan.input, input), &mut tape, &mut keep);
    keep.seen
}

/// Matrices of the blocks: neither tables nor the head.
fn block_matrices(plan: &Plan) -> Vec<&Site> {
    let all = plan.sites.iter().filter(|site| site.layer.kind() == "residual");
    all.flat_map(inside).filter(|site| site.weighted.is_some()).collect()
}

fn inside(site: &Site) -> Vec<&Site> {
    site.inside.iter().flat_map(|inner| std::iter::once(inner).chain(inside(inner))).collect()
}

/// Mean-square change of the last stream over ε², ε = 0.01 of each matrix, of one network.
fn amplified(plan: &Plan, init: &[LayerInit], member: u64) -> f64 {
    let mut parameters = vec![0.0; plan.parameters];
    initialise(plan, init, SEED, member, &mut parameters);
    let input = text(member);
    let stream = plan.sites[plan.sites.len() - 2].index;
    let before = leaves(plan, &parameters, stream, &input);
    for site in block_matrices(plan) {
        let weight = site.parameters.iter().find(|parameter| parameter.role == Role::Weight).unwrap();
        let matrix = &mut parameters[site.offset..][..weight.len()];
        let mut change = vec![0.0; matrix.len()];
        Stream::new(SEED, "change", &[member, site.index as u64]).fill_normal(&mut change, 1.0);
        let norm = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
        let factor = 0.01 * norm(matrix) / norm(&change);
        matrix.iter_mut().zip(&change).for_each(|(w, d)| *w += factor * d);
    }
    let after = leaves(plan, &parameters, stream, &input);
    let square: f64 = before.iter().zip(&after).map(|(a, b)| (a - b).powi(2)).sum();
    square / before.len() as f64 / 1e-4
}

/// Of twelve networks each, random tokens: four standard errors and a tenth.
#[test]
fn the_output_moves_as_far_as_the_mean_field_says() {
    for (design, depth, width) in [
        ("post", 2, 64),
        ("post", 12, 64),
        ("post", 24, 64),
        ("post", 6, 128),
        ("pre", 2, 64),
        ("pre", 12, 64),
        ("pre", 24, 64),
        ("pre", 6, 128),
        ("deepnorm", 2, 64),
        ("deepnorm", 12, 64),
        ("deepnorm", 24, 64),
        ("deepnorm", 6, 128),
    ] {
        let name = format!("{design}:{depth}x{width},heads=4");
        let (plan, init) = transformer(&name);
        let pieces = of_plan(&plan, &init, 1.0 / VOCABULARY as f64).unwrap();
        let theory = amplification(&pieces, &mut Memory::default()).unwrap();
        let theory = theory[theory.len() - 2];
        let seen: Vec<f64> = (0..12).map(|member| amplified(&plan, &init, member)).collect();
        let moments = Moments::of(&seen);
        let said = format!("{name}: {} ± {}, theory {theory}, seed {SEED}", moments.mean(), moments.error());
        println!("{said}");
        assert!((moments.mean() - theory).abs() < 4.0 * moments.error() + 0.1 * theory, "{said}");
        assert!(moments.error() < 0.25 * theory, "{said}: would see nothing");
    }
}

/// Everything that leaves, by index.
#[derive(Default)]
struct All {
    seen: std::collections::HashMap<usize, Vec<f64>>,
}

impl Watch<f64> for All {
    fn forward(&mut self, index: usize, output: &Batch<f64>) {
        self.seen.insert(index, output.data.clone());
    }

    fn backward(&mut self, _: usize, _: &Batch<f64>) {}
}

/// Parameters, gradients of the mean cross-entropy of random targets, and all values of one network.
fn learned(plan: &Plan, init: &[LayerInit], member: u64) -> (Vec<f64>, Vec<f64>, All) {
    let mut parameters = vec![0.0; plan.parameters];
    initialise(plan, init, SEED, member, &mut parameters);
    let weights = Weights { data: &parameters, stride: plan.parameters };
    let mut tape = Tape::new(Mode::Evaluate);
    let mut all = All::default();
    let mut output =
        plan.forward(weights, Batch::repeated(1, 1, &plan.input, &text(member)), &mut tape, &mut all);
    let labels: Vec<u32> = text(member + 1_000_000).iter().map(|token| *token as u32).collect();
    let mut slope = vec![0.0; output.data.len()];
    Loss::CrossEntropy.of(&output.data, 1, Wanted::Classes(&labels), &mut slope);
    output.data = slope;
    let mut gradients = vec![0.0; plan.parameters];
    plan.backward(weights, output, &mut gradients, &mut tape, &mut Nobody);
    (parameters, gradients, all)
}

struct Nobody;

impl Watch<f64> for Nobody {
    fn forward(&mut self, _: usize, _: &Batch<f64>) {}

    fn backward(&mut self, _: usize, _: &Batch<f64>) {}
}

/// Square of the gradient of a layer's weights.
fn square(site: &Site, gradients: &[f64]) -> f64 {
    let weight = site.parameters.iter().find(|parameter| parameter.role == Role::Weight).unwrap();
    gradients[site.offset..][..weight.len()].iter().map(|g| g * g).sum()
}

/// Sum of the magnitudes of the gradient of a layer's weights.
fn magnitude(site: &Site, gradients: &[f64]) -> f64 {
    let weight = site.parameters.iter().find(|parameter| parameter.role == Role::Weight).unwrap();
    gradients[site.offset..][..weight.len()].iter().map(|g| g.abs()).sum()
}

/// Norms of gradients in the first and the last block, as ratios to theory in the geometric mean over twelve networks: four standard errors
/// and, for finite width, a tenth at 2 blocks and a quarter at 8. Where norms behind have merged the tokens (cosine 0.97), what differs is
/// another number in every network: a factor of 2.5 for queries and keys. The share that a group has in the gain of Adam's first step is right
/// to 0.06: the head's gradient has few large entries, and gains less than Gaussian ones would.
#[test]
fn gradients_are_as_large_as_the_mean_field_says() {
    for (design, depth, width) in [
        ("post", 2, 64),
        ("post", 8, 64),
        ("post", 8, 128),
        ("pre", 2, 64),
        ("pre", 8, 64),
        ("pre", 8, 128),
        ("deepnorm", 2, 64),
        ("deepnorm", 8, 64),
        ("deepnorm", 8, 128),
    ] {
        let name = format!("{design}:{depth}x{width},heads=4");
        let (plan, init) = transformer(&name);
        let chance = 1.0 / VOCABULARY as f64;
        let pieces = of_plan(&plan, &init, chance).unwrap();
        let theory = gradients(&pieces, chance, &mut Memory::default()).unwrap();
        let sites = plan.weighted_sites();
        assert_eq!(sites.len(), theory.matrices.len());
        let seen: Vec<Vec<[f64; 2]>> = (0..12)
            .map(|member| {
                let (_, gradients, _) = learned(&plan, &init, member);
                sites.iter().map(|site| [square(site, &gradients), magnitude(site, &gradients)]).collect()
            })
            .collect();
        let whole: f64 = seen.iter().flatten().map(|[_, magnitude]| magnitude).sum();
        let expected: f64 = theory.matrices.iter().map(|slope| slope.first_step(TOKENS)).sum();
        println!("{name}: first step {:.3} of {expected:.1}", whole / 12.0 / expected);
        for (at, slope) in theory.matrices.iter().enumerate() {
            let share = seen.iter().map(|all| all[at][1]).sum::<f64>() / whole;
            let apart = share - slope.first_step(TOKENS) / expected;
            let (group, block) = (slope.matrix.group, slope.matrix.block);
            assert!(apart.abs() < 0.06, "{name} {group:?} {block}: share {share}, {apart} from theory");
            if block > 1 && block < depth {
                continue;
            }
            let logs: Vec<f64> = seen.iter().map(|all| (all[at][0] / slope.square).ln() / 2.0).collect();
            let moments = Moments::of(&logs);
            let is_merged = design == "post" && depth == 8 && matches!(group, Group::Query | Group::Key);
            let width_takes = match (depth, is_merged) {
                (2, _) => 0.1,
                (_, false) => 0.25,
                (_, true) => 2.5f64.ln(),
            };
            let said = format!(
                "{name} {group:?} {block}: {:.3} ± {:.3} of {:.3e}",
                moments.mean().exp(),
                moments.error(),
                slope.square.sqrt()
            );
            println!("  {said}");
            assert!(moments.mean().abs() < 4.0 * moments.error() + width_takes, "{said}, seed {SEED}");
        }
    }
}

/// With norms behind, the last gradient of the MLP hardly grows from 2 to 24 blocks: in the geometric mean over sixteen networks, four standard
/// errors and a tenth.
#[test]
fn the_last_gradient_of_norms_behind_hardly_grows() {
    let of = |depth: usize| {
        let (plan, init) = transformer(&format!("post:{depth}x64,heads=4"));
        let chance = 1.0 / VOCABULARY as f64;
        let pieces = of_plan(&plan, &init, chance).unwrap();
        let theory = gradients(&pieces, chance, &mut Memory::default()).unwrap();
        let sites = plan.weighted_sites();
        let last = sites[sites.len() - 2];
        let logs: Vec<f64> =
            (0..16).map(|member| square(last, &learned(&plan, &init, member).1).ln() / 2.0).collect();
        (Moments::of(&logs), theory.of(Group::MlpOut, depth).unwrap().square.ln() / 2.0)
    };
    let ((few, expect_few), (many, expect_many)) = (of(2), of(24));
    let (grown, expect) = (many.mean() - few.mean(), expect_many - expect_few);
    let error = few.error().hypot(many.error());
    let said = format!(
        "exponent {:.3} ± {:.3}, theory {:.3}",
        grown / 12f64.ln(),
        error / 12f64.ln(),
        expect / 12f64.ln()
    );
    println!("{said}");
    assert!((grown - expect).abs() < 4.0 * error + 0.1, "{said}, seed {SEED}");
    assert!(error < 0.15, "{said}: would see nothing");
}

/// The change of the logits of every attention layer in Adam's first step of its queries and keys, its input as it was: root mean square
/// over pairs that see each other, over the rate.
fn grown(plan: &Plan, init: &[LayerInit], member: u64) -> Vec<f64> {
    let (parameters, gradients, all) = learned(plan, init, member);
    let rate = 1e-6;
    let mut moved = parameters.clone();
    let adam = Optimizer::Adam(Adam { epsilon: 1e-30, ..Adam::default() });
    let (mut first, mut second) = (vec![0.0; moved.len()], vec![0.0; moved.len()]);
    adam.step(Step {
        weights: &mut moved,
        gradient: &gradients,
        first: &mut first,
        second: &mut second,
        rate,
        step: 1,
    });
    let mut found = Vec::new();
    for (place, block) in plan.sites.iter().enumerate() {
        let Some(at) = block.inside.iter().position(|site| site.layer.kind() == "attention") else {
            continue;
        };
        let Layer::Attention(attention) = &block.inside[at].layer else { unreachable!() };
        let before = if at > 0 { block.inside[at - 1].index } else { plan.sites[place - 1].index };
        let x = &all.seen[&before];
        let [query, key, ..] = &block.inside[at].inside[..] else { unreachable!() };
        let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        let logits = |parameters: &[f64], is_old: bool| {
            let through = |site: &Site| -> Vec<f64> {
                let (n, m) = (site.fan_in(), site.output.width());
                let w = &parameters[site.offset..][..n * m];
                (0..TOKENS * m).map(|i| (0..n).map(|j| w[i % m * n + j] * x[i / m * n + j]).sum()).collect()
            };
            let (q, k) = (through(query), through(key));
            assert!(!is_old || same(&q, &all.seen[&query.index]) && same(&k, &all.seen[&key.index]));
            let m = query.output.width();
            let head = m / attention.heads;
            let mut all = Vec::new();
            for h in 0..attention.heads {
                for t in 0..TOKENS {
                    for s in 0..=t {
                        let dot: f64 = (h * head..(h + 1) * head).map(|i| q[t * m + i] * k[s * m + i]).sum();
                        all.push(dot / (head as f64).sqrt());
                    }
                }
            }
            all
        };
        let (old, new) = (logits(&parameters, true), logits(&moved, false));
        let square: f64 = old.iter().zip(&new).map(|(a, b)| (a - b).powi(2)).sum();
        found.push((square / old.len() as f64).sqrt() / rate);
    }
    found
}

/// Six networks each: within four standard errors and 40 %, since signs of a gradient with few large parts do not average; and faster than
/// the width by the root of that of the heads, less what chance gives to narrow ones.
#[test]
fn logits_grow_as_fast_as_signs_that_add_up() {
    for design in ["post", "pre", "deepnorm"] {
        let mut first = Vec::new();
        for width in [64, 128, 256] {
            let name = format!("{design}:4x{width},heads=4");
            let (plan, init) = transformer(&name);
            let chance = 1.0 / VOCABULARY as f64;
            let pieces = of_plan(&plan, &init, chance).unwrap();
            let theory = gradients(&pieces, chance, &mut Memory::default()).unwrap();
            let seen: Vec<Vec<f64>> = (0..6).map(|member| grown(&plan, &init, member)).collect();
            for (at, logits) in theory.logits.iter().enumerate() {
                let moments = Moments::of(&seen.iter().map(|all| all[at]).collect::<Vec<_>>());
                let (ratio, error) = (moments.mean() / logits.growth, moments.error() / logits.growth);
                let said = format!(
                    "{name}, block {}: {ratio:.2} ± {error:.2} of {:.1}",
                    logits.block, logits.growth
                );
                println!("{said}");
                assert!((ratio - 1.0).abs() < 4.0 * error + 0.4, "{said}, seed {SEED}");
                assert!(error < 0.15, "{said}: would see nothing");
            }
            first.push((moments_of(&seen), theory.logits[0].growth));
        }
        let exponent = |of: &dyn Fn(usize) -> f64| (of(2) / of(0)).log2() / 2.0;
        let (measured, theory) = (exponent(&|at| first[at].0), exponent(&|at| first[at].1));
        println!("{design}: exponent of the width {measured:.3}, theory {theory:.3}");
        assert!((measured - theory).abs() < 0.1 && measured > 1.2, "{design}: {measured} and {theory}");
    }
}

/// Mean of the first attention layer.
fn moments_of(seen: &[Vec<f64>]) -> f64 {
    seen.iter().map(|all| all[0]).sum::<f64>() / seen.len() as f64
}
