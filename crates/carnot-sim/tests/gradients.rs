//! Every kind of layer: gradients against central differences, in double precision, for two members at once.

use carnot_math::random::Stream;
use carnot_net::batch::Batch;
use carnot_net::hyper::LayerInit;
use carnot_net::layers::KEYS;
use carnot_net::network::Network;
use carnot_net::plan::{Plan, Weights};
use carnot_net::tape::{Mode, Tape, Unwatched};
use carnot_sim::initialise::initialise;

/// Networks that between them hold every kind of layer, also inside each other; each starts with weights, so that
/// a wrong gradient with respect to a layer's input shows too.
const CASES: &[(&str, &str)] = &[
    ("dense", "input = [5]\nlayers = [{ dense = 4 }, { dense = 3, bias = false }]"),
    ("dense", "input = [3, 2]\nlayers = [{ dense = 4 }, { dense = 2 }]"),
    ("act", "input = [5]\nlayers = [{ dense = 4 }, { act = 'tanh' }, { dense = 3 }, { act = 'z*sin(z)' }]"),
    ("norm", "input = [5]\nlayers = [{ dense = 6 }, { norm = 'layer' }, { dense = 3 }]"),
    ("norm", "input = [5]\nlayers = [{ dense = 6 }, { norm = 'rms', epsilon = 0.01 }, { dense = 3 }]"),
    ("norm", "input = [3, 2]\nlayers = [{ dense = 6 }, { norm = 'layer', affine = false }, { dense = 3 }]"),
    ("dropout", "input = [5]\nlayers = [{ dense = 8 }, { dropout = 0.4 }, { dense = 3 }]"),
    (
        "conv",
        "input = [6, 2]\nlayers = [{ conv = 3, kernel = 3 }, { act = 'tanh' }, { conv = 2, kernel = 2, stride = 2 }]",
    ),
    (
        "conv",
        "input = [4, 5, 2]\nlayers = [{ conv = 3, kernel = 3, padding = 'valid' }, { act = 'sin' }, { conv = 2, kernel = 3 }]",
    ),
    (
        "conv",
        "input = [4, 5, 2]\nlayers = [{ conv = 3, kernel = [2, 3], stride = [1, 2], padding = 'circular' }, { act = 'sin' }, { conv = 2, kernel = [4, 1] }]",
    ),
    (
        "conv_transposed",
        "input = [3, 2, 2]\nlayers = [{ conv = 2, kernel = 1 }, { conv_transposed = 3, kernel = [3, 2], stride = [2, 1] }, { act = 'tanh' }, { conv_transposed = 2, kernel = 4, stride = 3, padding = 'circular' }]",
    ),
    (
        "conv_transposed",
        "input = [4, 2]\nlayers = [{ conv_transposed = 3, kernel = 3, stride = 2, padding = 'valid' }, { act = 'tanh' }, { conv_transposed = 2, kernel = 1, stride = 2 }]",
    ),
    (
        "conv_local",
        "input = [4, 3, 2]\nlayers = [{ conv_local = 3, kernel = [2, 3], stride = [2, 1] }, { act = 'tanh' }, { conv_local = 2, kernel = 2, padding = 'circular', bias = false }]",
    ),
    (
        "pool",
        "input = [4, 5, 1]\nlayers = [{ conv = 3, kernel = 3 }, { pool = [2, 3], stride = 1, padding = 'same', normalize_edges = true }, { act = 'tanh' }, { pool = 2, stride = 1, padding = 'circular', reduce = 'sum' }, { conv = 2, kernel = 1 }]",
    ),
    (
        "pool",
        "input = [4, 4, 1]\nlayers = [{ conv = 3, kernel = 3 }, { pool = 2 }, { act = 'tanh' }, { conv = 2, kernel = 1 }]",
    ),
    ("pool", "input = [4, 4, 1]\nlayers = [{ conv = 3, kernel = 3 }, { pool = 'global' }, { dense = 2 }]"),
    ("flatten", "input = [4, 3]\nlayers = [{ conv = 2, kernel = 3 }, { flatten = true }, { dense = 3 }]"),
    (
        "residual",
        "input = [5]\nlayers = [{ dense = 4 }, { residual = 0.7, branch = 0.5, block = [{ norm = 'layer' }, { dense = 6 }, { act = 'tanh' }, { residual = 1.0, block = [{ dropout = 0.2 }, { dense = 6 }] }, { dense = 4 }] }, { dense = 2 }]",
    ),
    (
        "repeat",
        "input = [5]\nlayers = [{ repeat = 3, block = [{ dense = 4 }, { act = 'tanh' }] }, { dense = 2 }]",
    ),
    (
        "norm",
        "input = [2, 3, 2]\nlayers = [{ conv = 3 }, { norm = 'layer', axes = [1] }, { act = 'tanh' }, { norm = 'rms', axes = [0, 1] }, { dense = 2 }]",
    ),
    (
        "branches",
        "input = [5]\nlayers = [{ dense = 4 }, { branches = 'sum', of = [[], [{ act = 'tanh' }, { dense = 4 }]] }, { branches = 'concat', of = [[{ dense = 3 }, { act = 'tanh' }], [{ dense = 2 }], []] }, { dense = 2 }]",
    ),
    (
        "branches",
        "input = [3, 2]\nlayers = [{ branches = 'product', of = [[{ dense = 4 }], [{ dense = 4 }, { act = 'sigmoid' }], [{ dense = 4 }, { dropout = 0.3 }]] }, { dense = 2 }]",
    ),
    (
        "attention",
        "input = [3, 2]\nlayers = [{ dense = 3 }, { attention = 4, heads = 2, key = 3, positions = { decay = 2.0 } }, { act = 'tanh' }, { dense = 2 }]",
    ),
    (
        "attention",
        "input = [2, 2, 2]\nlayers = [{ dense = 3 }, { attention = 4, heads = 3, key = 2, value = 5, scaling = 'linear', bias = false, positions = { values = false } }, { dense = 2 }]",
    ),
    (
        "attention",
        "input = [3, 2]\nlayers = [{ dense = 3 }, { attention = 4, key = 3, weighting = 'relu', scaling = 'linear' }, { attention = 4, heads = 2, weighting = 'abs' }, { attention = 4, heads = 2, weighting = 'identity' }, { dense = 2 }]",
    ),
    (
        "attention",
        "input = [4, 2]\nlayers = [{ dense = 3 }, { attention = 4, heads = 2, causal = true }, { act = 'tanh' }, { attention = 4, causal = true, weighting = 'relu', key = 3 }, { dense = 2 }]",
    ),
    (
        "attention",
        "input = [3, 2]\nlayers = [{ dense = 3 }, { attention = 4, heads = 2, causal = true, qk_norm = true }, { act = 'tanh' }, { attention = 4, key = 3, qk_norm = true, scaling = 'linear' }, { dense = 2 }]",
    ),
    (
        "embedding",
        "input = [4, 1]\nlayers = [{ embedding = 3, vocabulary = 5 }, { act = 'tanh' }, { dense = 2 }]",
    ),
    (
        "unembedding",
        "input = [4, 1]\nlayers = [{ embedding = 3, vocabulary = 5 }, { dense = 4 }, { act = 'tanh' }, { dense = 3 }, { unembedding = 5, scale = 0.7 }]",
    ),
    ("unembedding", "input = [2, 1]\nlayers = [{ embedding = 3, vocabulary = 5 }, { unembedding = 5 }]"),
    (
        "positional",
        "input = [2, 2, 2]\nlayers = [{ dense = 3 }, { positional = true, decay = 3.0 }, { act = 'tanh' }, { positional = true }, { dense = 2 }]",
    ),
    (
        "batch_norm",
        "input = [3, 2]\nlayers = [{ batch_norm = 0.1, affine = false }, { conv = 3 }, { batch_norm = 0.3 }, { act = 'tanh' }, { dense = 2 }]",
    ),
    (
        "exp_normalized",
        "input = [5]\nlayers = [{ dense = 4 }, { exp_normalized = 1.3, shift = -0.5 }, { dense = 3 }]",
    ),
];

const MEMBERS: usize = 2;
const SAMPLES: usize = 3;

struct Case {
    plan: Plan,
    parameters: Vec<f64>,
    inputs: Vec<f64>,
    direction: Vec<f64>,
    mode: Mode,
}

impl Case {
    fn new(text: &str, mode: Mode) -> Case {
        let plan = Plan::new(&Network::from_toml(text).unwrap_or_else(|e| panic!("{text}: {e}"))).unwrap();
        let init = vec![LayerInit::normal(1.3, 0.2); plan.weighted];
        let mut parameters = vec![0.0; MEMBERS * plan.parameters];
        for (member, part) in parameters.chunks_exact_mut(plan.parameters).enumerate() {
            initialise(&plan, &init, 9, member as u64, part);
        }
        // Gains of one and shifts of zero would hide mistakes.
        let mut stream = Stream::new(9, "gradient test", &[]);
        parameters.iter_mut().for_each(|p| *p += 0.1 * stream.normal::<f64>());
        let mut inputs = vec![0.0; MEMBERS * SAMPLES * plan.input.len()];
        stream.fill_normal(&mut inputs, 1.0);
        if text.contains("embedding") {
            inputs.iter_mut().for_each(|token: &mut f64| *token = (token.abs() * 2.0).floor().min(4.0));
        }
        let mut direction = vec![0.0; MEMBERS * SAMPLES * plan.output().len()];
        stream.fill_normal(&mut direction, 1.0);
        Case { plan, parameters, inputs, direction, mode }
    }

    fn forward(&self, parameters: &[f64], tape: &mut Tape<f64>) -> Batch<f64> {
        tape.noise = (0..MEMBERS as u64).map(|m| Stream::new(9, "noise", &[m])).collect();
        let shape = self.plan.input.clone();
        let input = Batch { members: MEMBERS, samples: SAMPLES, shape, data: self.inputs.clone() };
        let weights = Weights { data: parameters, stride: self.plan.parameters };
        self.plan.forward(weights, input, tape, &mut Unwatched)
    }

    /// Output along the direction, of both members together.
    fn value(&self, parameters: &[f64]) -> f64 {
        let output = self.forward(parameters, &mut Tape::new(self.mode));
        output.data.iter().zip(&self.direction).map(|(z, r)| z * r).sum()
    }

    /// Is it a running mean, which has no gradient?
    fn follows(&self, at: usize) -> bool {
        self.plan.all().iter().any(|site| {
            let mut start = site.offset;
            site.parameters.iter().any(|parameter| {
                start += parameter.len();
                parameter.role.follows() && (start - parameter.len()..start).contains(&at)
            })
        })
    }

    fn gradient(&self) -> Vec<f64> {
        let mut tape = Tape::new(self.mode);
        let mut output = self.forward(&self.parameters, &mut tape);
        output.data.copy_from_slice(&self.direction);
        let mut gradient = vec![f64::NAN; self.parameters.len()];
        let weights = Weights { data: &self.parameters, stride: self.plan.parameters };
        self.plan.backward(weights, output, &mut gradient, &mut tape, &mut Unwatched);
        assert_eq!(tape.depth(), 0, "something was saved and not recalled");
        gradient
    }
}

#[test]
fn gradients_of_every_layer_are_the_limits_of_differences() {
    for key in KEYS {
        assert!(CASES.iter().any(|(kind, _)| kind == key), "no network tests the gradient of `{key}`");
    }
    for (key, text) in CASES {
        for mode in [Mode::Evaluate, Mode::Train] {
            let case = Case::new(text, mode);
            let gradient = case.gradient();
            let scale = gradient.iter().fold(0.0, |a: f64, g| a.max(g.abs()));
            for (i, g) in gradient.iter().enumerate().filter(|(i, _)| !case.follows(i % case.plan.parameters))
            {
                let at = |shift: f64| {
                    let mut moved = case.parameters.clone();
                    moved[i] += shift;
                    case.value(&moved)
                };
                // Fourth-order difference: error of order h⁴ = 1e-12.
                let h = 1e-3;
                let difference = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
                assert!(
                    (g - difference).abs() < 1e-8 * scale.max(1.0),
                    "{key} ({mode:?}), parameter {i} of {text}: {g}, difference {difference}"
                );
            }
        }
    }
}

#[test]
fn dropout_changes_the_output_while_training_only() {
    let text = CASES.iter().find(|(key, _)| *key == "dropout").unwrap().1;
    let value = |mode| {
        let case = Case::new(text, mode);
        case.value(&case.parameters)
    };
    assert_ne!(value(Mode::Train), value(Mode::Evaluate));
    assert_eq!(value(Mode::Train), value(Mode::Train));
}
