//! A model on a probe → a recording of one step: chunk by chunk, every layer read.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use carnot_probe::call::{Call, Role, WeightStats};
use carnot_probe::digest::Digest;
use carnot_probe::recording::{Header, Module, Probe, Recording};
use carnot_probe::session::{Digests, Session, Settings};

use crate::batch::{Batch, Inputs, Numbers};
use crate::engine::{Engine, Feed, Parsed, parse};
use crate::error::OnnxError;
use crate::file::Source;
use crate::graph::Graph;
use crate::layers::{Layer, Layers, find};
use crate::layout::Layout;

/// Samples that the runtime takes at once, unless the model says otherwise or its values are large.
const CHUNK: usize = 8;
/// Bytes of the largest value of a chunk, beyond which chunks become smaller: values that outgrow the cache are slow.
const CACHED: u64 = 8 << 20;
/// Bytes of stack of a thread in which the runtime works.
const STACK: usize = 64 << 20;
/// Numbers of one call that are read: beyond it positions are left out, evenly, as from PyTorch.
const NUMBERS: usize = 1 << 21;

/// Samples of a probe that is made, unless asked for otherwise.
pub const SAMPLES: usize = 200;

/// What is asked of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// What it is fed; without it, a probe is made from what it declares of its inputs.
    pub batch: Option<Batch>,
    /// Samples that are read at most: all of a batch, [`SAMPLES`] of a probe that is made.
    pub samples: Option<usize>,
    /// Seed of that probe, and of the readings.
    pub seed: u64,
    /// Bytes that may be used.
    pub memory: u64,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// The readings, as of a recording with one step.
    pub recording: Recording,
    /// What was made up of the inputs, in words.
    pub made: Vec<String>,
    /// Nodes that flow from layers and belong to none: operation and how many.
    pub aside: Vec<(String, usize)>,
    /// Nodes of the graph.
    pub nodes: usize,
}

/// Reads a model in a thread of its own: a hostile graph may panic inside of the runtime, and that is an error here.
///
/// # Errors
/// Whatever is wrong with file, graph, batch, or in the runtime.
pub fn read(path: &Path, question: Question) -> Result<Read, OnnxError> {
    let source = Source::open(path)?;
    guarded(move || read_source(&source, question))
}

/// Runs something that may panic.
///
/// # Errors
/// [`OnnxError::Refused`] with what the panic says.
pub fn guarded<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OnnxError> + Send + 'static,
) -> Result<T, OnnxError> {
    let thread = std::thread::Builder::new().name(THREAD.into()).stack_size(STACK).spawn(work);
    let failed = |message: String| OnnxError::Refused { at: None, message };
    let thread = thread.map_err(|error| failed(error.to_string()))?;
    thread.join().unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        Err(failed(format!("it panics: {}", said.unwrap_or_default().lines().next().unwrap_or_default())))
    })
}

/// Runs something for each of a few, the first in this thread, each other in one of its own; a panic in any of them is one here.
fn side_by_side<T: Send>(few: &[usize], work: &(impl Fn(usize) -> T + Sync)) -> Vec<T> {
    std::thread::scope(|scope| {
        let thread = |&at: &usize| {
            let named = std::thread::Builder::new().name(THREAD.into()).stack_size(STACK);
            named.spawn_scoped(scope, move || work(at)).map_err(|_| at)
        };
        let others: Vec<_> = few.iter().skip(1).map(thread).collect();
        let first = few.first().map(|&at| work(at));
        // Where the system gives no thread, the work is done here.
        let finish = |other: Result<std::thread::ScopedJoinHandle<'_, T>, usize>| match other {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(at) => work(at),
        };
        first.into_iter().chain(others.into_iter().map(finish)).collect()
    })
}

/// Name of the thread in which the runtime works: a panic there is told as an error and not printed.
pub const THREAD: &str = "onnx";

/// As [`read`], of a model in memory, in this thread.
///
/// # Errors
/// As [`read`].
pub fn read_source(source: &Source, question: Question) -> Result<Read, OnnxError> {
    Prepared::new(source, question)?.read()
}

/// A model that is ready to be run on its inputs.
pub struct Prepared<'a> {
    source: &'a Source,
    graph: Graph<'a>,
    layers: Layers,
    inputs: Inputs,
    parsed: Parsed,
    plan: Plan,
    seed: u64,
}

impl<'a> Prepared<'a> {
    /// Finds layers, takes the batch in, and makes the runtime ready.
    ///
    /// # Errors
    /// As [`read`].
    pub fn new(source: &'a Source, question: Question) -> Result<Prepared<'a>, OnnxError> {
        let graph = source.graph()?;
        let layers = find(&graph);
        if !layers.read.iter().any(|layer| layer.weight.is_some()) {
            let closed = graph.nodes.iter().find(|node| node.has_graphs);
            let why = match closed {
                Some(node) => {
                    format!("they lie inside of `{}` ({}), which is not opened", node.title(), node.operation)
                }
                None => format!("{} nodes, none of which multiplies by a constant matrix", graph.nodes.len()),
            };
            return Err(OnnxError::NoLayers { why });
        }
        let inputs = match question.batch {
            Some(batch) => Inputs::of_batch(&graph, batch, question.samples, question.seed)?,
            None => Inputs::made_up(&graph, question.samples.unwrap_or(SAMPLES), question.seed)?,
        };
        let parsed = parse(&source.bytes, source.folder())?;
        let plan = Plan::new(&graph, &layers, &inputs, &parsed, question.memory)?;
        Ok(Prepared { source, graph, layers, inputs, parsed, plan, seed: question.seed })
    }

    /// Runs all inputs and reads every layer.
    ///
    /// # Errors
    /// [`OnnxError::Refused`], [`OnnxError::Probe`].
    pub fn read(&self) -> Result<Read, OnnxError> {
        let settings = Settings { seed: self.seed, ..Settings::default() };
        let session = Session::new(self.inputs.labels.clone(), self.inputs.samples, settings)?;
        let recording = self.plan.run(self.source, &self.graph, &self.layers, &self.inputs, session)?;
        let (made, aside) = (self.inputs.made.clone(), self.layers.aside.clone());
        Ok(Read { recording, made, aside, nodes: self.graph.nodes.len() })
    }

    /// Runs all inputs, every layer seen, and reads nothing.
    ///
    /// # Errors
    /// [`OnnxError::Refused`].
    pub fn tapped(&self) -> Result<(), OnnxError> {
        let plan = &self.plan;
        for first in (0..self.inputs.samples).step_by(plan.chunk) {
            let fed = plan.engine.fed(&self.inputs, first, plan.chunk)?;
            plan.engine.watch(&fed, |_, answer| {
                std::hint::black_box(answer);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The same model as a user would run it: optimised, its own outputs alone, so many samples at once.
    ///
    /// # Errors
    /// [`OnnxError::Refused`].
    pub fn plain(&self, chunk: usize) -> Result<Plain<'_>, OnnxError> {
        let outputs: Vec<String> = self.graph.outputs.iter().map(|output| output.name.clone()).collect();
        let engine = self.parsed.engine(&feeds(&self.inputs, chunk), &outputs)?;
        Ok(Plain { engine, chunk, inputs: &self.inputs })
    }

    /// Chunks that are run side by side: as many as there are threads, and room for.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.plan.workers
    }

    /// Samples that are run at once.
    #[must_use]
    pub fn chunk(&self) -> usize {
        self.plan.chunk
    }
}

/// A model without anything read.
pub struct Plain<'a> {
    engine: Engine,
    chunk: usize,
    inputs: &'a Inputs,
}

impl Plain<'_> {
    /// Runs all inputs.
    ///
    /// # Errors
    /// [`OnnxError::Refused`].
    pub fn run(&self) -> Result<(), OnnxError> {
        self.engine.run_all(self.inputs, self.chunk)
    }
}

/// What is known of a layer's weights.
struct Weighed {
    weights: Option<WeightStats>,
    classifier: Option<Vec<f32>>,
}

/// How a graph is run and what is read of it.
struct Plan {
    engine: Engine,
    chunk: usize,
    /// Chunks that are run side by side.
    workers: usize,
    /// Values that the engine answers with, in order.
    values: Vec<String>,
    /// Layout of each value, of inputs too, or why it is not read.
    layouts: HashMap<String, Result<Layout, String>>,
    /// Layers that a value is read for.
    readers: HashMap<String, Vec<usize>>,
    /// Values that skips carry.
    skips: HashSet<String>,
    /// Inputs that are fed, in order.
    fed_names: Vec<String>,
}

fn feeds(inputs: &Inputs, chunk: usize) -> Vec<Feed> {
    let feed = |input: &crate::batch::Input| Feed {
        name: input.name.clone(),
        element: input.element,
        shape: input.with(chunk),
    };
    inputs.all.iter().map(feed).collect()
}

impl Plan {
    fn new(
        graph: &Graph,
        layers: &Layers,
        inputs: &Inputs,
        parsed: &Parsed,
        memory: u64,
    ) -> Result<Plan, OnnxError> {
        let is_input = |value: &String| graph.inputs.iter().any(|input| input.name == *value);
        let mut values: Vec<String> = Vec::new();
        for layer in &layers.read {
            let wanted = std::iter::once(&layer.value).chain(&layer.skip);
            for value in wanted.filter(|value| !is_input(value)) {
                if !values.contains(value) {
                    values.push(value.clone());
                }
            }
        }
        let mut chunk = inputs.fixed.unwrap_or_else(|| CHUNK.min(inputs.samples.max(2)));
        for feed in feeds(inputs, chunk) {
            let count = feed.shape.iter().try_fold(8u64, |product, &side| product.checked_mul(side as u64));
            let needed = count.unwrap_or(u64::MAX);
            if needed > memory {
                let what = format!("the input `{}` {:?}", feed.name, feed.shape);
                return Err(OnnxError::TooLarge { what, needed, available: memory });
            }
        }
        let mut sizes = parsed.sizes(&feeds(inputs, chunk), &values)?;
        while inputs.fixed.is_none() && chunk > 1 && (sizes.bytes > memory / 4 || sizes.largest > CACHED) {
            chunk /= 2;
            sizes = parsed.sizes(&feeds(inputs, chunk), &values)?;
        }
        if sizes.bytes > memory {
            let what = format!("one chunk of {chunk} inputs, `{}` most of it,", sizes.at);
            return Err(OnnxError::TooLarge { what, needed: sizes.bytes, available: memory });
        }
        let other = match inputs.fixed {
            Some(_) => None,
            None => Some(parsed.sizes(&feeds(inputs, chunk + 1), &values)?),
        };
        let mut layouts = HashMap::new();
        let engine = parsed.watcher(&feeds(inputs, chunk), &values)?;
        let is_first = |value: &String| {
            layers
                .read
                .iter()
                .find(|layer| layer.value == *value)
                .is_some_and(|layer| layer.is_channels_first)
        };
        let is_table = |value: &String| {
            layers.read.iter().any(|layer| layer.value == *value && layer.role == Role::Table)
        };
        for (at, value) in values.iter().enumerate() {
            let unknown = || "its shape depends on the numbers".to_string();
            let shape = sizes.shapes[at]
                .clone()
                .or_else(|| Some(engine.shapes[at].clone()).filter(|s| !s.is_empty()));
            let other = other.as_ref().map(|other| other.shapes[at].clone());
            let layout = match (shape, other) {
                (Some(shape), None) => Layout::of(&shape, None, chunk, is_first(value)),
                (Some(shape), Some(Some(other))) => {
                    Layout::of(&shape, Some((&other, chunk + 1)), chunk, is_first(value))
                }
                _ => Err(unknown()),
            };
            // A table may have a row for every sample, all of them the same, or one for all.
            let layout = match (layout, &sizes.shapes[at]) {
                (Err(_), Some(shape)) if is_table(value) => Layout::table(shape),
                (layout, _) => layout,
            };
            layouts.insert(value.clone(), layout);
        }
        for input in &inputs.all {
            let layout = match input.axis {
                None => Err("the same for every sample".into()),
                Some(_) => Layout::of(
                    &input.with(chunk),
                    Some((&input.with(chunk + 1), chunk + 1)),
                    chunk,
                    is_first(&input.name),
                ),
            };
            layouts.insert(input.name.clone(), layout);
        }
        for layout in layouts.values_mut().flatten() {
            layout.thin(NUMBERS / (inputs.samples * layout.width).max(1));
        }
        let mut readers: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, layer) in layers.read.iter().enumerate() {
            readers.entry(layer.value.clone()).or_default().push(at);
        }
        let skips = layers.read.iter().filter_map(|layer| layer.skip.clone()).collect();
        let fed_names = engine.inputs().map(|feed| feed.name.clone()).collect();
        let room = (memory / 2 / sizes.bytes.max(1)).max(1);
        let workers = rayon::current_num_threads().min(usize::try_from(room).unwrap_or(usize::MAX));
        Ok(Plan { engine, chunk, workers, values, layouts, readers, skips, fed_names })
    }

    /// Runs all chunks and reads every layer: a few chunks side by side, with the memory of those few. What is read is taken in in
    /// the order of the samples, so that it has the same bits on any number of threads.
    fn run(
        &self,
        source: &Source,
        graph: &Graph,
        layers: &Layers,
        inputs: &Inputs,
        mut session: Session,
    ) -> Result<Recording, OnnxError> {
        let told = self.told(source, graph, layers)?;
        let mut stream = session.stream(0, None);
        let mut order: Vec<usize> = Vec::new();
        let starts: Vec<usize> = (0..inputs.samples).step_by(self.chunk).collect();
        for group in starts.chunks(self.workers) {
            let chunk = |first: usize| self.digest(first, layers, inputs, &told, stream.digests());
            for (&first, digests) in group.iter().zip(side_by_side(group, &chunk)) {
                stream.begin(first, self.chunk.min(inputs.samples - first))?;
                order.clear();
                for (at, digest) in digests? {
                    order.push(at);
                    stream.absorb(&digest)?;
                }
            }
        }
        let mut reading = stream.end()?;
        // The runtime has an order of its own; the report has that of the model.
        let mut placed: Vec<_> = order.into_iter().zip(reading.layers).collect();
        placed.sort_by_key(|(at, _)| *at);
        reading.layers = placed.into_iter().map(|(_, layer)| layer).collect();
        let header = self.header(source, layers, inputs, &told);
        Ok(Recording { header, steps: vec![reading], thinned: 1, is_torn: false })
    }

    /// Runs one chunk: which layer, and what it says of these samples.
    fn digest<'p>(
        &'p self,
        first: usize,
        layers: &Layers,
        inputs: &Inputs,
        told: &[Weighed],
        digests: Digests,
    ) -> Result<Vec<(usize, Digest<'static>)>, OnnxError> {
        let count = self.chunk.min(inputs.samples - first);
        let fed = self.engine.fed(inputs, first, self.chunk)?;
        let mut made = Vec::with_capacity(layers.read.len());
        // What skips carry is kept until the chunk is done; everything else is read while it is hot.
        let mut kept: HashMap<&str, Vec<f32>> = HashMap::new();
        let mut see = |value: &'p str, numbers: Cow<[f32]>| -> Result<(), OnnxError> {
            let Some(Ok(layout)) = self.layouts.get(value) else { return Ok(()) };
            let features = layout.read(numbers, count);
            for &at in self.readers.get(value).into_iter().flatten() {
                let (layer, told) = (&layers.read[at], &told[at]);
                let input = layer.skip.as_ref().and_then(|skip| kept.get(skip.as_str()));
                let call = Call {
                    name: &layer.name,
                    kind: &layer.kind,
                    index: layer.call,
                    role: layer.role,
                    positions: layout.positions(),
                    width: layout.width,
                    features: &features,
                    input: input.filter(|input| input.len() == features.len()).map(Vec::as_slice),
                    gradient: None,
                    weights: told.weights,
                    classifier: told.classifier.as_deref(),
                    told: &[],
                };
                made.push((at, digests.digest(&call, first, count)?.into_owned()));
            }
            if self.skips.contains(value) {
                kept.insert(value, features.into_owned());
            }
            Ok(())
        };
        for (name, numbers) in self.fed_names.iter().zip(&fed) {
            if let Numbers::Real(numbers) = numbers {
                see(name, Cow::Borrowed(numbers))?;
            }
        }
        self.engine.watch(&fed, |at, answer| match answer.numbers() {
            Some(numbers) => see(&self.values[at], numbers),
            None => Ok(()),
        })?;
        Ok(made)
    }

    /// What is known of each layer's weights, once for all chunks.
    fn told(&self, source: &Source, graph: &Graph, layers: &Layers) -> Result<Vec<Weighed>, OnnxError> {
        let head = layers.read.iter().rposition(|layer| layer.weight.is_some());
        let told = |(at, layer): (usize, &Layer)| {
            let tensor = layer.weight.as_ref().and_then(|weight| graph.weight(weight));
            let weights = tensor.map(|tensor| source.stats(tensor, layer.fan_in)).transpose()?;
            let classifier = match &self.layouts[&layer.value] {
                Ok(layout) if Some(at) == head => self.classifier(source, graph, layer, layout)?,
                _ => None,
            };
            Ok(Weighed { weights, classifier })
        };
        layers.read.iter().enumerate().map(told).collect()
    }

    fn header(&self, source: &Source, layers: &Layers, inputs: &Inputs, told: &[Weighed]) -> Header {
        let name = source.path.file_name().map_or("model".into(), |name| name.to_string_lossy().into_owned());
        let classes: std::collections::BTreeSet<u32> = inputs.labels.iter().flatten().copied().collect();
        let probe =
            Probe { samples: inputs.samples, classes: classes.len(), has_labels: inputs.labels.is_some() };
        let mut header = Header::new(&name, probe);
        header.is_snapshot = true;
        for (layer, told) in layers.read.iter().zip(told).filter(|(layer, _)| layer.call == 0) {
            header.modules.push(Module {
                name: layer.name.clone(),
                kind: layer.kind.clone(),
                parameters: told.weights.map_or(0, |stats| stats.parameters),
                skipped: self.layouts[&layer.value].as_ref().err().cloned(),
                ..Module::default()
            });
        }
        header
    }

    /// Weight of the head `[classes, width]`, where the last layer with weights is one.
    fn classifier(
        &self,
        source: &Source,
        graph: &Graph,
        layer: &Layer,
        layout: &Layout,
    ) -> Result<Option<Vec<f32>>, OnnxError> {
        let is_head = layer.kind == "linear" && layer.role == Role::Chain && layout.positions() == 1;
        let tensor = layer.weight.as_ref().filter(|_| is_head).and_then(|weight| graph.weight(weight));
        let Some(tensor) = tensor.filter(|tensor| tensor.shape.len() == 2) else { return Ok(None) };
        let Some(values) = source.reals(tensor)? else { return Ok(None) };
        let (rows, columns) = (tensor.shape[0] as usize, tensor.shape[1] as usize);
        let single = |x: &f64| *x as f32;
        Ok(match (layer.fan_in == Some(columns as u64) && rows == layout.width, columns == layout.width) {
            (true, _) => Some(values.iter().map(single).collect()),
            (false, true) => Some(
                (0..columns)
                    .flat_map(|unit| (0..rows).map(move |at| at * columns + unit))
                    .map(|at| values[at] as f32)
                    .collect(),
            ),
            _ => None,
        })
    }
}
