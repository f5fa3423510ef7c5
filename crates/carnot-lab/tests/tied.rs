//! A transformer whose head is its embedding: what it says before the first step, against theory, and that it learns.

use carnot_math::random::Stream;
use carnot_math::stats::Moments;
use carnot_net::batch::Batch;
use carnot_net::hyper::{LayerInit, Scheme};
use carnot_net::plan::{Plan, Weights};
use carnot_net::shorthand::{Style, parse};
use carnot_net::tape::{Mode, Tape, Unwatched};
use carnot_sim::initialise::initialise;
use carnot_theory::tokens::pieces::of_plan;
use carnot_theory::tokens::tied::Own;
use carnot_theory::tokens::walk::Memory;

const SEED: u64 = 5;
const TOKENS: usize = 24;
const VOCABULARY: usize = 64;
const NETWORKS: u64 = 24;

fn transformer(text: &str) -> (Plan, Vec<LayerInit>) {
    let activation = carnot_net::activation::Activation::parse("relu").unwrap();
    let plan = Plan::new(&parse(text, &Style { activation, residual: None, norm: None }).unwrap()).unwrap();
    let init = carnot_theory::initial::initial(&plan, Scheme::Xavier, None, None).unwrap();
    (plan, init.layers)
}

/// Of one network: mean logit of a position's own token, mean square of the others', and mean loss of answers that are another token.
fn said(plan: &Plan, init: &[LayerInit], member: u64) -> (f64, f64, f64) {
    let mut parameters = vec![0.0; plan.parameters];
    initialise(plan, init, SEED, member, &mut parameters);
    let mut stream = Stream::new(SEED, "text", &[member]);
    let tokens: Vec<f64> = (0..TOKENS).map(|_| stream.below(VOCABULARY) as f64).collect();
    let mut tape = Tape::new(Mode::Evaluate);
    let weights = Weights { data: &parameters, stride: plan.parameters };
    let logits =
        plan.forward(weights, Batch::repeated(1, 1, &plan.input, &tokens), &mut tape, &mut Unwatched).data;
    let (mut own, mut others, mut loss) = (Moments::default(), Moments::default(), Moments::default());
    for (row, &token) in logits.chunks_exact(VOCABULARY).zip(&tokens) {
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        for (kind, &z) in row.iter().enumerate() {
            if kind == token as usize {
                own.push(z);
            } else {
                others.push(z * z);
                loss.push(sum.ln() - z);
            }
        }
    }
    (own.mean(), others.mean(), loss.mean())
}

#[test]
fn each_token_predicts_itself_as_much_as_the_mean_field_says() {
    // Depth, and how far the mean field may be off: widths are finite and logits not quite Gaussian.
    for (text, slack) in [
        ("pre:1x64,tied=1", 0.03),
        ("pre:6x64,tied=1", 0.03),
        ("post:2x64,tied=1", 0.03),
        ("sandwich:3x64,tied=1", 0.05),
    ] {
        let (plan, init) = transformer(text);
        let pieces = of_plan(&plan, &init, 1.0 / VOCABULARY as f64).unwrap();
        let theory = Own::of(&pieces, &mut Memory::default()).unwrap().expect("a head");
        let [mut own, mut others, mut loss] = [Moments::default(), Moments::default(), Moments::default()];
        for member in 0..NETWORKS {
            let (a, v, l) = said(&plan, &init, member);
            own.push(a);
            others.push(v);
            loss.push(l);
        }
        for (what, seen, wanted) in [
            ("own logit", &own, theory.logit),
            ("variance", &others, theory.variance),
            ("loss", &loss, theory.loss(VOCABULARY, 0.0)),
        ] {
            println!("{text}, {what}: {:.3} ± {:.3}, theory {wanted:.3}", seen.mean(), seen.error());
            let off = (seen.mean() - wanted).abs();
            assert!(
                off < 4.0 * seen.error() + slack * wanted,
                "{text}, {what}: {:.3} ± {:.3}, theory {wanted:.3}",
                seen.mean(),
                seen.error()
            );
        }
    }
}
