//! What a forecast costs: per layer and activation, for two inputs and for a probe of sixty.
#![allow(missing_docs)] // criterion's macros make public items

use carnot_math::random::Stream;
use carnot_net::activation::Activation;
use carnot_net::hyper::LayerInit;
use carnot_net::kernel::Kernel;
use carnot_net::plan::{Plan, Theory};
use carnot_net::shorthand::{Style, parse};
use carnot_theory::forecast::forecast;
use carnot_theory::recommend::recommended_init;
use criterion::{Criterion, criterion_group, criterion_main};

fn forecasts(criterion: &mut Criterion) {
    for name in ["relu", "gelu", "tanh", "silu", "selu", "z*tanh(softplus(z))"] {
        let activation = Activation::parse(name).expect("a known activation");
        let style = Style { activation: activation.clone(), residual: None, norm: None };
        let plan = Plan::new(&parse("64-128x20-10", &style).expect("a shorthand")).expect("a plan");
        let best = recommended_init(&activation.formula).expect("theory answers");
        let init = vec![LayerInit::normal(best.c_w.unwrap_or(1.0), best.c_b.unwrap_or(0.0)); plan.weighted];
        for samples in [2usize, 60] {
            let mut inputs = vec![0.0; samples * 64];
            Stream::new(1, "bench", &[]).fill_normal(&mut inputs, 1.0);
            let kernel = Kernel::of_inputs(&inputs, samples, 1, plan.positions(), false);
            let theory = Theory::new(&init, &[]);
            let label = format!("20 layers of {name}, {samples} inputs");
            criterion.bench_function(&label, |b| b.iter(|| forecast(&plan, &theory, &kernel)));
        }
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = forecasts }
criterion_main!(benches);
