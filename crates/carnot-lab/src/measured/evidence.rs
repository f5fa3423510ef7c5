//! The calls of a recording as stages: a layer with its norm and activation, or a residual block.

use carnot_probe::call::Role;
use carnot_probe::reading::{LayerReading, Number, StepReading};
use carnot_probe::recording::Recording;

/// Layers that only scale and shift: they belong to the layer before them.
fn is_norm(kind: &str) -> bool {
    kind.contains("norm")
}

/// A layer with weights and what follows it up to the next one, or a residual block.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Path of its first call.
    pub name: String,
    /// First and last call, as places in a step.
    pub first: usize,
    /// See above.
    pub last: usize,
    /// Units behind it.
    pub width: usize,
}

/// What is known of a measured model when it is judged.
pub struct ModelEvidence<'a> {
    /// All of it.
    pub run: &'a Recording,
    /// The recording of a healthy run of the same architecture.
    pub reference: Option<Box<ModelEvidence<'a>>>,
    /// Hidden stages of the chain, input to output; the head is left out.
    pub stages: Vec<Stage>,
    /// Calls with weights that are no norms, in order, the head included.
    pub weighted: Vec<usize>,
    /// Are the stages residual blocks?
    pub has_blocks: bool,
    steps: Vec<&'a StepReading>,
}

impl<'a> ModelEvidence<'a> {
    /// Of a recording; `None` when it has no step.
    #[must_use]
    pub fn of(run: &'a Recording, reference: Option<&'a Recording>) -> Option<ModelEvidence<'a>> {
        let last = run.steps.last()?;
        // Steps with the same calls as the last one: a model whose calls changed cannot be followed.
        let is_same = |step: &&StepReading| {
            step.layers.len() == last.layers.len()
                && step.layers.iter().zip(&last.layers).all(|(a, b)| a.name == b.name && a.call == b.call)
        };
        let steps: Vec<&StepReading> = run.steps.iter().filter(is_same).collect();
        let has_blocks = last.layers.iter().any(|layer| layer.role == Role::Block);
        let (stages, head) = if has_blocks { blocks(last) } else { chain(last) };
        let is_weighted = |layer: &LayerReading| layer.weights.is_some() && !is_norm(&layer.kind);
        let weighted = (0..last.layers.len()).filter(|&at| is_weighted(&last.layers[at])).collect();
        let reference = reference.and_then(|other| ModelEvidence::of(other, None));
        let mut evidence = ModelEvidence { run, reference: None, stages, weighted, has_blocks, steps };
        if let Some(at) = head {
            evidence.stages.retain(|stage| stage.first != at);
        }
        // Only a model of the same stages can be a reference.
        let same = |other: &ModelEvidence| other.stages.len() == evidence.stages.len();
        evidence.reference = reference.filter(same).map(Box::new);
        Some(evidence)
    }

    /// The latest step.
    #[must_use]
    pub fn now(&self) -> &'a StepReading {
        self.steps[self.steps.len() - 1]
    }

    /// The untrained network, where it was recorded.
    #[must_use]
    pub fn start(&self) -> Option<&'a StepReading> {
        self.steps.first().copied().filter(|step| self.run.header.starts_untrained && !self.has_learned(step))
    }

    /// Steps that can be compared with the latest one, in order.
    #[must_use]
    pub fn steps(&self) -> &[&'a StepReading] {
        &self.steps
    }

    /// Is the latest step that of a network that was trained, here or before?
    #[must_use]
    pub fn is_trained(&self) -> bool {
        self.now().step > 0 || !self.run.header.starts_untrained || self.has_learned(self.now())
    }

    /// Does a reading show that something was learned? Nobody's untrained network beats chance by so much.
    fn has_learned(&self, step: &StepReading) -> bool {
        let chance = self.chance();
        let is_low = step.loss.zip(chance).is_some_and(|(loss, chance)| loss < 0.6 * chance);
        let accuracy = step.layers.last().and_then(|layer| layer.value("accuracy"));
        is_low && accuracy.is_some_and(|accuracy| accuracy.value > 0.6)
    }

    /// Batch norms that have seen no data normalise nothing in eval mode, in which models are read.
    ///
    /// # Errors
    /// The reason, for an untrained network with batch norms.
    pub fn normalises(&self) -> Result<(), String> {
        let has_batch_norm = self.now().layers.iter().any(|layer| layer.kind.contains("batchnorm"));
        match !self.is_trained() && has_batch_norm {
            true => Err("batch norms have seen no data yet: read in eval mode they do not normalise".into()),
            false => Ok(()),
        }
    }

    /// Do the model's own outputs tell classes apart: is its loss clearly below that of equal probabilities?
    #[must_use]
    pub fn reads_well(&self) -> bool {
        self.now().loss.zip(self.chance()).is_some_and(|(loss, chance)| loss < 0.8 * chance)
    }

    /// Cross-entropy of equal probabilities, ln K, where there are classes.
    #[must_use]
    pub fn chance(&self) -> Option<f64> {
        let probe = &self.run.header.probe;
        (probe.has_labels && probe.classes > 1).then(|| (probe.classes as f64).ln())
    }

    /// A call of the latest step.
    #[must_use]
    pub fn layer(&self, at: usize) -> &'a LayerReading {
        &self.now().layers[at]
    }

    /// An observable behind each stage at the latest step.
    #[must_use]
    pub fn behind(&self, observable: &str) -> Vec<Option<f64>> {
        self.behind_at(self.now(), observable)
    }

    /// An observable behind each stage at a step.
    #[must_use]
    pub fn behind_at(&self, step: &StepReading, observable: &str) -> Vec<Option<f64>> {
        self.stages.iter().map(|stage| step.layers[stage.last].value(observable).map(|n| n.value)).collect()
    }

    /// Fall of the separation across each stage at the latest step. Errors of the calls of a stage are added: an upper limit,
    /// since they are of the same samples.
    #[must_use]
    pub fn loads(&self) -> Vec<Option<Number>> {
        self.stages.iter().map(|stage| self.load(stage)).collect()
    }

    fn load(&self, stage: &Stage) -> Option<Number> {
        let (mut value, mut error) = (0.0, Some(0.0));
        let first = if self.has_blocks { stage.last } else { stage.first };
        for at in first..=stage.last {
            let load = self.layer(at).value("load")?;
            value += load.value;
            error = error.zip(load.error).map(|(sum, error)| sum + error);
        }
        Some(Number { value, error })
    }

    /// Loads that may be judged: all known, at least four, and the last separation below that of shuffled labels by more than four
    /// times what one order of the labels moves it.
    ///
    /// # Errors
    /// Why they may not.
    pub fn judged_loads(&self) -> Result<Vec<Number>, String> {
        if !self.run.header.probe.has_labels {
            return Err("needs labels".into());
        }
        if !self.is_trained() {
            return Err("needs a step of training: at the start every layer undoes separation".into());
        }
        let loads: Option<Vec<Number>> = self.loads().into_iter().collect();
        let loads = loads.ok_or("some layer has no load")?;
        if loads.len() < 4 {
            return Err(format!("needs at least four hidden layers, there are {}", loads.len()));
        }
        let last = self.layer(self.stages[self.stages.len() - 1].last);
        match self.separates(last) {
            Some(true) => Ok(loads),
            Some(false) => {
                Err("cannot tell: classes are hardly further apart than with shuffled labels".into())
            }
            None => Err("the last hidden layer has no separation".into()),
        }
    }

    /// Is the separation of a layer below that of shuffled labels by more than four times what one order moves it?
    #[must_use]
    pub fn separates(&self, layer: &LayerReading) -> Option<bool> {
        let (own, shuffled) = (layer.value("separation")?, layer.value("separation_shuffled")?);
        Some(own.value < shuffled.value - 4.0 * shuffled.error.unwrap_or(0.0).hypot(own.error.unwrap_or(0.0)))
    }

    /// ln |ΔW|/|W| of each weighted call, each recorded step after the start; `None` where it is not known or exactly 0.
    #[must_use]
    pub fn update_logs(&self) -> Vec<Vec<f64>> {
        let of = |step: &&&StepReading| -> Option<Vec<f64>> {
            let one =
                |at: &usize| step.layers[*at].value("update_ratio").map(|ratio| ratio.value.max(1e-30).ln());
            self.weighted.iter().map(one).collect()
        };
        self.steps.iter().filter(|step| step.step > 0).filter_map(|step| of(&step)).collect()
    }

    /// `layer 3 of 8`.
    #[must_use]
    pub fn position(&self, stage: usize) -> String {
        let word = if self.has_blocks { "block" } else { "hidden layer" };
        format!("{word} {} of {}", stage + 1, self.stages.len())
    }
}

/// A stage per weighted call of the chain, up to the next one; the head is the last where it has a unit a class.
fn chain(step: &StepReading) -> (Vec<Stage>, Option<usize>) {
    let mut stages: Vec<Stage> = Vec::new();
    for (at, layer) in step.layers.iter().enumerate() {
        if !layer.role.is_on_line() {
            continue;
        }
        if layer.weights.is_some() && !is_norm(&layer.kind) {
            stages.push(Stage { name: layer.title(), first: at, last: at, width: layer.width });
        } else if let Some(stage) = stages.last_mut() {
            stage.last = at;
            stage.width = layer.width;
        }
    }
    // Outputs are not part of the curve: whether they are logits or values, nothing separates behind them.
    let head = (stages.len() > 1).then(|| stages[stages.len() - 1].first);
    (stages, head)
}

/// A stage per residual block.
fn blocks(step: &StepReading) -> (Vec<Stage>, Option<usize>) {
    let mut stages = Vec::new();
    let mut start = 0;
    for (at, layer) in step.layers.iter().enumerate() {
        if layer.role == Role::Block {
            stages.push(Stage { name: layer.title(), first: start, last: at, width: layer.width });
            start = at + 1;
        }
    }
    (stages, None)
}

/// Median of some numbers; `None` of none.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => None,
        _ if n % 2 == 1 => Some(sorted[n / 2]),
        _ => Some((sorted[n / 2 - 1] + sorted[n / 2]) / 2.0),
    }
}

/// How far each value lies from the mean of its two neighbours; at the ends, from the one neighbour.
#[must_use]
pub fn from_neighbours(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let at = |i: usize| {
        let around: Vec<f64> = [i.checked_sub(1), Some(i + 1).filter(|&j| j < n)]
            .into_iter()
            .flatten()
            .map(|j| values[j])
            .collect();
        values[i] - around.iter().sum::<f64>() / around.len().max(1) as f64
    };
    if n < 2 { vec![0.0; n] } else { (0..n).map(at).collect() }
}

/// The pattern of a path, numbers left out: `blocks.#.attn` of `blocks.3.attn`.
#[must_use]
pub fn pattern(path: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = path.split('.').map(|part| if is_number(part) { "#" } else { part }).collect();
    parts.join(".")
}

/// Places with the same key, in order; only groups of at least `fewest`.
#[must_use]
pub fn groups<K: Ord>(places: &[usize], fewest: usize, key: impl Fn(usize) -> K) -> Vec<Vec<usize>> {
    let mut all = std::collections::BTreeMap::<K, Vec<usize>>::new();
    places.iter().for_each(|&at| all.entry(key(at)).or_default().push(at));
    all.into_values().filter(|group| group.len() >= fewest).collect()
}

/// The one value that stands apart from the others: its place and ln of its distance from their median, where the others lie within
/// a factor `spread` of each other and it is further than a factor `apart` from their median. All values > 0.
#[must_use]
pub fn lone(values: &[f64], spread: f64, apart: f64) -> Option<(usize, f64)> {
    let logs: Vec<f64> = values.iter().map(|value| value.max(1e-30).ln()).collect();
    let middle = median(&logs)?;
    let at =
        (0..logs.len()).max_by(|&a, &b| (logs[a] - middle).abs().total_cmp(&(logs[b] - middle).abs()))?;
    let others: Vec<f64> = (0..logs.len()).filter(|&other| other != at).map(|other| logs[other]).collect();
    let (low, high) =
        others.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
    let distance = logs[at] - median(&others)?;
    (others.len() >= 2 && high - low <= spread.ln() && distance.abs() > apart.ln()).then_some((at, distance))
}
