//! How alike tokens become, and what is left of each, in random transformers: the recursion of `carnot_theory::tokens` against networks.

use carnot_math::formula::Formula;
use carnot_math::stats::Moments;
use carnot_net::batch::Batch;
use carnot_net::hyper::LayerInit;
use carnot_net::network::Network;
use carnot_net::plan::{Plan, Weights};
use carnot_net::shorthand::{Style, parse};
use carnot_net::tape::{Mode, Tape, Watch};
use carnot_sim::initialise::initialise;
use carnot_theory::tokens::walk::{Memory, walk};
use carnot_theory::tokens::{Blocks, Mlp, Norms, Start, deep_norm, through};

const TOKENS: usize = 16;
const BLOCKS: usize = 6;

/// Cosine of different tokens of the first text, and half the squared distance of the last tokens of both, behind the sites that end a block.
struct Eye {
    ends: Vec<usize>,
    seen: Vec<[f64; 2]>,
}

impl Watch<f64> for Eye {
    fn forward(&mut self, index: usize, output: &Batch<f64>) {
        if !self.ends.contains(&index) {
            return;
        }
        let n = output.shape.width();
        let row = |text: usize, token: usize| &output.data[(text * TOKENS + token) * n..][..n];
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        let pairs = (0..TOKENS).flat_map(|s| (0..s).map(move |t| (s, t)));
        let between =
            Moments::of(&pairs.map(|(s, t)| cosine(row(0, s), row(0, t))).collect::<Vec<_>>()).mean();
        let own = 1.0 - cosine(row(0, TOKENS - 1), row(1, TOKENS - 1));
        self.seen.push([between, own]);
    }

    fn backward(&mut self, _: usize, _: &Batch<f64>) {}
}

/// A transformer whose blocks are those of `blocks`, and the sites that end them.
fn network(norms: Norms, skip: f64, width: usize, activation: &str) -> (Plan, Vec<usize>) {
    let norm = "{ norm = \"layer\" }";
    let attention = format!("{{ attention = {width}, heads = {}, bias = false }}", width / 16);
    let mlp = format!(
        "{{ dense = {}, bias = false }}, {{ act = \"{activation}\" }}, {{ dense = {width}, bias = false }}",
        2 * width
    );
    let half = |inside: &str| match norms {
        Norms::Post => format!("{{ residual = {skip}, block = [{inside}] }}, {norm},"),
        Norms::Pre => format!("{{ residual = 1.0, block = [{norm}, {inside}] }},"),
    };
    let block = half(&attention) + &half(&mlp);
    let layers = format!("{{ embedding = {width}, vocabulary = 64 }}, {}", block.repeat(BLOCKS));
    let network = Network::from_toml(&format!("input = [{TOKENS}, 1]\nlayers = [{layers}]")).unwrap();
    let plan = Plan::new(&network).unwrap();
    let each = if norms == Norms::Post { 4 } else { 2 };
    let ends = (1..=BLOCKS).map(|block| plan.sites[block * each].index).collect();
    (plan, ends)
}

/// Behind each end, cosine and what is left in each of so many networks.
fn measured(plan: &Plan, ends: &[usize], init: &[LayerInit], members: u64) -> Vec<Vec<[f64; 2]>> {
    let mut parameters = vec![0.0; plan.parameters];
    let one = |member| {
        initialise(plan, init, 5, member, &mut parameters);
        // Different tokens everywhere; the second text differs in the last.
        let mut inputs: Vec<f64> = (0..2 * TOKENS).map(|at| (at % TOKENS) as f64).collect();
        inputs[2 * TOKENS - 1] = 40.0;
        let input = Batch::repeated(1, 2, &plan.input, &inputs);
        let mut tape = Tape::new(Mode::Evaluate);
        tape.record = false;
        let mut eye = Eye { ends: ends.to_vec(), seen: Vec::new() };
        let weights = Weights { data: &parameters, stride: plan.parameters };
        plan.forward(weights, input, &mut tape, &mut eye);
        eye.seen
    };
    (0..members).map(one).collect()
}

/// Behind each block, mean over networks less theory with its error: of the cosine, and of what is left.
fn far(norms: Norms, skip: f64, activation: &str, width: usize, members: u64) -> Vec<[[f64; 2]; 2]> {
    let (plan, ends) = network(norms, skip, width, activation);
    let init = vec![LayerInit::normal(1.0, 0.0); plan.weighted];
    let seen = measured(&plan, &ends, &init, members);
    let blocks = Blocks {
        norms,
        skip,
        attention: 1.0,
        logits: 1.0,
        mlp: Mlp { activation: Formula::parse(activation).unwrap(), c_in: 1.0, c_out: 1.0, is_gated: false },
        tokens: TOKENS,
        is_causal: false,
    };
    let theory = through(&blocks, Start { similarity: 0.0, information: 1.0, size: 1.0 }, BLOCKS).unwrap();
    let column = |block: usize, which: usize| {
        let values: Vec<f64> = seen.iter().map(|member| member[block][which]).collect();
        let expect = [theory[block + 1].similarity, theory[block + 1].information][which];
        let moments = Moments::of(&values);
        [moments.mean() - expect, moments.error()]
    };
    (0..BLOCKS).map(|block| [column(block, 0), column(block, 1)]).collect()
}

/// Cosine and what is left, behind each of six blocks, of twelve networks each. At width 64 the difference is that of finite width: up to 0.14
/// of what is left with tanh, 0.06 with the ReLU; at 256 none is seen.
#[test]
fn tokens_merge_as_the_recursion_says() {
    for (norms, skip, activation) in [
        (Norms::Post, 1.0, "max(z, 0)"),
        (Norms::Post, 2.0, "max(z, 0)"),
        (Norms::Pre, 1.0, "max(z, 0)"),
        (Norms::Post, 1.0, "tanh(z)"),
    ] {
        for (block, both) in far(norms, skip, activation, 256, 12).iter().enumerate() {
            for (what, [apart, error]) in ["cosine", "left"].iter().zip(both) {
                let said = format!("{norms:?} {skip} {activation}, block {}: {what}", block + 1);
                assert!(apart.abs() < 4.0 * error, "{said} is {apart} ± {error} from theory");
                assert!(*error < 0.035, "{said}: ± {error} would see nothing");
            }
        }
    }
}

/// The sites behind which a block of a shorthand's transformer ends.
fn transformer(text: &str) -> (Plan, Vec<LayerInit>, Vec<usize>) {
    let activation = carnot_net::activation::Activation::parse("relu").unwrap();
    let plan = Plan::new(&parse(text, &Style { activation, residual: None, norm: None }).unwrap()).unwrap();
    let init = carnot_theory::initial::initial(&plan, carnot_net::hyper::Scheme::Xavier, None, None).unwrap();
    let each = if plan.sites[3].layer.kind() == "norm" { 4 } else { 2 };
    let ends = (0..plan.sites.len() - 2).step_by(each).map(|at| at + 1).skip(1).collect();
    (plan, init.layers, ends)
}

/// Layer by layer, or block by block: the same.
#[test]
fn a_walk_over_layers_is_the_recursion_of_blocks() {
    for (design, norms) in [("post", Norms::Post), ("pre", Norms::Pre), ("deepnorm", Norms::Post)] {
        for causal in [0, 1] {
            let (plan, init, ends) = transformer(&format!("{design}:5x64,tokens=24,causal={causal}"));
            let states = walk(&plan, &init, 0.046, &mut Memory::default()).unwrap();
            let (skip, beta) = if design == "deepnorm" { deep_norm(5) } else { (1.0, 1.0) };
            let activation = Formula::parse("max(z, 0)").unwrap();
            let square = beta * beta;
            let blocks = Blocks {
                norms,
                skip,
                attention: square * square,
                logits: 1.0,
                mlp: Mlp { activation, c_in: 0.4 * square, c_out: 1.6 * square, is_gated: false },
                tokens: 24,
                is_causal: causal == 1,
            };
            // A post-norm block takes what enters as of size 1; the embedding and its positions are a little more.
            let first = states[1].stream;
            let size = if norms == Norms::Pre { first.size } else { 1.0 };
            let start = Start { similarity: first.similarity, information: first.information, size };
            let expect = through(&blocks, start, 5).unwrap();
            for (block, &end) in ends.iter().enumerate() {
                let (found, expect) = (states[end].stream, expect[block + 1]);
                let apart = (found.similarity - expect.similarity).abs();
                // 0.01 of the positions' variance: their share of a start that is not normalised.
                assert!(apart < 0.003, "{design} {causal}, block {block}: {found:?} and {expect:?}");
                assert!(
                    (found.information / expect.information - 1.0).abs() < 0.02,
                    "{design} {causal}, block {block}"
                );
            }
        }
    }
}

/// Causal attention, positions, QK-norm and sandwiched norms, of twelve networks of width 256 each.
#[test]
fn a_walk_sees_what_networks_have() {
    let designs =
        ["post", "pre", "sandwich", "deepnorm"].map(|design| format!("{design}:4x256,tokens=16,causal=1"));
    for text in designs.into_iter().chain(["post:4x256,tokens=16,causal=0,qk-norm=1".to_string()]) {
        let (plan, init, ends) = transformer(&text);
        let indices: Vec<usize> = ends.iter().map(|&end| plan.sites[end].index).collect();
        let states = walk(&plan, &init, 0.0, &mut Memory::default()).unwrap();
        let seen = measured(&plan, &indices, &init, 12);
        for (block, &end) in ends.iter().enumerate() {
            let expect = [states[end].stream.similarity, states[end].stream.information];
            for which in 0..2 {
                let of: Vec<f64> = seen.iter().map(|member| member[block][which]).collect();
                let moments = Moments::of(&of);
                let apart = moments.mean() - expect[which];
                // Finite width: a hundredth.
                assert!(
                    apart.abs() < 4.0 * moments.error() + 0.01,
                    "{text}, block {}: {which} is {apart} ± {} from {}",
                    block + 1,
                    moments.error(),
                    expect[which]
                );
                assert!(moments.error() < 0.035, "{text}: ± {} would see nothing", moments.error());
            }
        }
    }
}
