//! What a model is fed: arrays of a batch, or a probe made from what the model declares of its inputs.

use std::collections::BTreeMap;

use carnot_math::random::Stream;

use crate::arrays::Stored;
use crate::error::OnnxError;
use crate::flow::is_real;
use crate::graph::Graph;
use crate::model::{Axis, Declared};
use crate::operations::weights;

/// Positions of a sequence where neither batch nor model says how many.
const POSITIONS: usize = 32;
/// Side of an image where the model leaves it free.
const SIDE: usize = 64;
/// Tokens that are drawn where no table says how many there are.
const TOKENS: usize = 100;

/// Numbers of one input.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Real.
    Real(Vec<f32>),
    /// Whole, also truth as 0 and 1.
    Whole(Vec<i64>),
}

/// An array for one input of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The input.
    pub name: String,
    /// Shape with samples in front.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    numbers: Held,
}

/// Numbers of an array.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    /// In memory.
    Here(Numbers),
    /// In a file.
    There(Stored),
}

impl Array {
    /// An array in memory.
    #[must_use]
    pub fn new(name: &str, shape: Vec<usize>, numbers: Numbers) -> Array {
        Array { name: name.into(), shape, numbers: Held::Here(numbers) }
    }

    /// An array in a file.
    #[must_use]
    pub fn stored(name: &str, shape: Vec<usize>, stored: Stored) -> Array {
        Array { name: name.into(), shape, numbers: Held::There(stored) }
    }
}

/// A batch as a person gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// By the names of inputs; a single array may have any name.
    pub arrays: Vec<Array>,
    /// Class of each sample.
    pub labels: Option<Vec<u32>>,
}

/// How the numbers of one input come about.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    Held(Held),
    /// Standard normal numbers.
    Normal,
    /// Whole numbers below this one.
    Tokens(usize),
    /// The number of the position.
    Positions,
    Constant(i64),
}

/// One input, ready to be fed.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Type of its numbers, as ONNX counts them.
    pub element: i64,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// The axis along which samples lie; `None` where they share the input.
    pub axis: Option<usize>,
    source: Source,
}

/// All inputs of a model, for so many samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// In the order of the model.
    pub all: Vec<Input>,
    /// Samples.
    pub samples: usize,
    /// Samples that the model takes at once, where it takes one number only.
    pub fixed: Option<usize>,
    /// Class of each sample.
    pub labels: Option<Vec<u32>>,
    /// What was made up, in words: nothing where a batch was given.
    pub made: Vec<String>,
    seed: u64,
}

impl Inputs {
    /// The inputs of a model from a batch, at most `most` samples of it. What follows from other inputs, as a mask does, may be
    /// missing from it.
    ///
    /// # Errors
    /// [`OnnxError::MissingInput`], [`OnnxError::InputShape`], [`OnnxError::Batch`].
    pub fn of_batch(
        graph: &Graph,
        mut batch: Batch,
        most: Option<usize>,
        seed: u64,
    ) -> Result<Inputs, OnnxError> {
        let needed: Vec<&Declared> = graph.inputs.iter().collect();
        let found: Vec<String> = batch.arrays.iter().map(|array| array.name.clone()).collect();
        if let ([input], [array]) = (needed.as_slice(), batch.arrays.as_mut_slice()) {
            array.name = input.name.clone();
        }
        let samples = batch.arrays.iter().find_map(|array| array.shape.first().copied()).unwrap_or(0);
        if samples == 0 {
            return Err(OnnxError::Batch { why: "the batch holds no sample".into() });
        }
        if let Some(labels) = batch.labels.as_ref().filter(|labels| labels.len() != samples) {
            let why = format!("{samples} samples and {} labels", labels.len());
            return Err(OnnxError::Batch { why });
        }
        let taken = samples.min(most.unwrap_or(samples)).max(1);
        if let Some(labels) = &mut batch.labels {
            labels.truncate(taken);
        }
        let labels = batch.labels;
        let mut inputs =
            Inputs { all: Vec::new(), samples: taken, fixed: None, labels, made: Vec::new(), seed };
        let mut arrays: BTreeMap<String, Array> =
            batch.arrays.into_iter().map(|array| (array.name.clone(), array)).collect();
        let sequence =
            arrays.values().filter(|array| array.shape.len() == 2).map(|array| array.shape[1]).next();
        for declared in needed {
            let axis = batch_axis(declared);
            inputs.note_fixed(declared, axis);
            let input = match arrays.remove(&declared.name) {
                Some(array) => held(declared, array, samples, axis)?,
                None => inputs.fill_in(graph, declared, sequence).ok_or_else(|| OnnxError::MissingInput {
                    input: declared.name.clone(),
                    found: found.clone(),
                })?,
            };
            inputs.all.push(input);
        }
        if let Some(name) = arrays.keys().next() {
            let inputs: Vec<&str> = graph.inputs.iter().map(|input| input.name.as_str()).collect();
            let why = format!("the batch holds `{name}`, and the model takes {}", inputs.join(", "));
            return Err(OnnxError::Batch { why });
        }
        Ok(inputs)
    }

    /// Inputs that follow from others: a mask of ones, one kind of segment, numbers of positions.
    fn fill_in(&mut self, graph: &Graph, declared: &Declared, sequence: Option<usize>) -> Option<Input> {
        let (source, words) = usual(declared)?;
        self.made.push(format!("{}: {words}", declared.name));
        Some(self.make(graph, declared, source, sequence.unwrap_or(POSITIONS)))
    }

    /// A probe made from what the model declares of its inputs.
    ///
    /// # Errors
    /// [`OnnxError::Batch`] for a model without inputs.
    pub fn made_up(graph: &Graph, samples: usize, seed: u64) -> Result<Inputs, OnnxError> {
        let mut inputs =
            Inputs { all: Vec::new(), samples, fixed: None, labels: None, made: Vec::new(), seed };
        for declared in &graph.inputs {
            let (source, words) = usual(declared).unwrap_or_else(|| match is_real(declared.element) {
                true => (Source::Normal, "normal numbers".into()),
                false => {
                    let tokens = tokens(graph, &declared.name);
                    (Source::Tokens(tokens), format!("random numbers below {tokens}"))
                }
            });
            inputs.note_fixed(declared, batch_axis(declared));
            let input = inputs.make(graph, declared, source, POSITIONS);
            inputs.made.push(format!("{} {:?}: {words}", input.name, input.shape));
            inputs.all.push(input);
        }
        if inputs.all.is_empty() {
            return Err(OnnxError::Batch { why: "the model takes no input".into() });
        }
        Ok(inputs)
    }

    fn note_fixed(&mut self, declared: &Declared, axis: Option<usize>) {
        let axes = declared.axes.as_deref().unwrap_or_default();
        if let Some(Axis::Size(size)) = axis.and_then(|axis| axes.get(axis)) {
            self.fixed = Some(*size as usize);
        }
    }

    fn make(&self, graph: &Graph, declared: &Declared, source: Source, sequence: usize) -> Input {
        let axis = batch_axis(declared);
        let axes = declared.axes.clone().unwrap_or_else(|| vec![Axis::Free, Axis::Free]);
        let is_image = axes.len() == 4;
        let own = axes.iter().enumerate().filter(|(at, _)| Some(*at) != axis);
        let shape = own.map(|(_, size)| match size {
            Axis::Size(size) => *size as usize,
            Axis::Named(name) if !is_image => said(graph, name).unwrap_or(sequence),
            _ if is_image => SIDE,
            _ => sequence,
        });
        let element = declared.element.unwrap_or(1);
        Input { name: declared.name.clone(), element, shape: shape.collect(), axis, source }
    }

    /// The numbers of an input for samples from `first` on; beyond the last sample, the last one again.
    ///
    /// # Errors
    /// [`OnnxError::Batch`] when a file cannot be read any more, or holds NaN, or numbers that are not whole where they must be.
    pub fn chunk(&self, input: &Input, first: usize, count: usize) -> Result<Numbers, OnnxError> {
        let per = input.shape.iter().product::<usize>();
        let Some(axis) = input.axis else { return input.samples(self.seed, 0, 1, per) };
        let known = count.min(self.samples - first);
        let mut all = input.samples(self.seed, first, known, per)?;
        for _ in known..count {
            let last = all.part(all.len() - per..all.len());
            all.extend(&last, 0..per);
        }
        // Where samples do not come first: what stands before their axis is outermost.
        let outer: usize = input.shape[..axis].iter().product();
        if outer <= 1 {
            return Ok(all);
        }
        let inner = per / outer;
        let mut turned = all.part(0..0);
        for part in 0..outer {
            for sample in 0..count {
                let start = sample * per + part * inner;
                turned.extend(&all, start..start + inner);
            }
        }
        Ok(turned)
    }
}

impl Numbers {
    fn extend(&mut self, other: &Numbers, range: std::ops::Range<usize>) {
        match (self, other) {
            (Numbers::Real(own), Numbers::Real(other)) => own.extend_from_slice(&other[range]),
            (Numbers::Whole(own), Numbers::Whole(other)) => own.extend_from_slice(&other[range]),
            _ => unreachable!("all samples of an input are of one kind"),
        }
    }

    fn part(&self, range: std::ops::Range<usize>) -> Numbers {
        match self {
            Numbers::Real(values) => Numbers::Real(values[range].to_vec()),
            Numbers::Whole(values) => Numbers::Whole(values[range].to_vec()),
        }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Numbers::Real(values) => values.len(),
            Numbers::Whole(values) => values.len(),
        }
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Input {
    fn is_real(&self) -> bool {
        is_real(Some(self.element))
    }

    /// Shape with so many samples.
    #[must_use]
    pub fn with(&self, samples: usize) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if let Some(axis) = self.axis {
            shape.insert(axis, samples);
        }
        shape
    }

    /// Refuses what is not a number; masks may hold infinities.
    fn known(&self, numbers: Numbers, first: usize, per: usize) -> Result<Numbers, OnnxError> {
        let Numbers::Real(values) = &numbers else { return Ok(numbers) };
        match values.iter().position(|x| x.is_nan()) {
            None => Ok(numbers),
            Some(at) => Err(OnnxError::Batch {
                why: format!("`{}` is NaN at sample {}, number {}", self.name, first + at / per, at % per),
            }),
        }
    }

    fn samples(&self, seed: u64, first: usize, count: usize, per: usize) -> Result<Numbers, OnnxError> {
        let wanted = |numbers: Numbers| match (numbers, self.is_real()) {
            (Numbers::Whole(values), true) => {
                Ok(Numbers::Real(values.into_iter().map(|x| x as f32).collect()))
            }
            (Numbers::Real(values), false) => {
                let whole: Option<Vec<i64>> =
                    values.iter().map(|&x| (x.fract() == 0.0).then_some(x as i64)).collect();
                let why = format!("`{}` takes whole numbers, and the batch holds others", self.name);
                whole.map(Numbers::Whole).ok_or(OnnxError::Batch { why })
            }
            (numbers, _) => Ok(numbers),
        };
        let stream = |sample: usize| {
            Stream::new(seed, "probe of an ONNX model", &[name_hash(&self.name), sample as u64])
        };
        Ok(match &self.source {
            Source::Held(Held::Here(numbers)) => {
                self.known(wanted(numbers.part(first * per..(first + count) * per))?, first, per)?
            }
            Source::Held(Held::There(stored)) => {
                self.known(wanted(stored.numbers(first * per, count * per)?)?, first, per)?
            }
            Source::Normal => {
                let mut values = vec![0.0f32; count * per];
                for (at, sample) in values.chunks_exact_mut(per.max(1)).enumerate() {
                    stream(first + at).fill_normal(sample, 1.0);
                }
                Numbers::Real(values)
            }
            Source::Tokens(below) => {
                let mut values = Vec::with_capacity(count * per);
                for at in 0..count {
                    let mut stream = stream(first + at);
                    values.extend((0..per).map(|_| stream.below(*below) as i64));
                }
                Numbers::Whole(values)
            }
            Source::Positions => {
                Numbers::Whole((0..(count * per) as i64).map(|at| at % per as i64).collect())
            }
            Source::Constant(value) if self.is_real() => Numbers::Real(vec![*value as f32; count * per]),
            Source::Constant(value) => Numbers::Whole(vec![*value; count * per]),
        })
    }
}

/// A number from a name, so that two inputs do not get the same numbers.
fn name_hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The axis along which samples lie: the one that is named so, else the first.
fn batch_axis(declared: &Declared) -> Option<usize> {
    let axes = declared.axes.as_deref().unwrap_or(&[Axis::Free]);
    let is_named = |axis: &Axis| matches!(axis, Axis::Named(name) if name.to_lowercase().contains("batch"));
    match axes.iter().position(is_named) {
        Some(at) => Some(at),
        None if axes.is_empty() => None,
        None => Some(0),
    }
}

/// What an input is usually fed, by its name.
fn usual(declared: &Declared) -> Option<(Source, String)> {
    let name = declared.name.to_lowercase();
    let has = |word: &str| name.contains(word);
    Some(match () {
        () if has("mask") => (Source::Constant(1), "ones".into()),
        () if has("token_type") || has("segment") => (Source::Constant(0), "zeros".into()),
        () if has("position") && !is_real(declared.element) => {
            (Source::Positions, "numbers of positions".into())
        }
        () if name == "sr" || has("sample_rate") => (Source::Constant(16_000), "16000".into()),
        () if name == "state" || name == "h" || name == "c" => (Source::Constant(0), "zeros".into()),
        () => return None,
    })
}

/// A named axis that another input fixes is not known here; only names that are numbers are.
fn said(_: &Graph, name: &str) -> Option<usize> {
    name.parse().ok().filter(|&size| size > 0)
}

/// Rows of the table that an input looks up, directly or behind nodes that keep its numbers.
fn tokens(graph: &Graph, input: &str) -> usize {
    let mut names = vec![input.to_string()];
    for node in &graph.nodes {
        let is_kept =
            matches!(node.operation.as_str(), "Cast" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze");
        if is_kept && node.inputs.first().is_some_and(|value| names.contains(value)) {
            names.extend(node.outputs.first().cloned());
        }
        let found = weights(graph, node).filter(|found| found.kind == "embedding");
        if let Some(found) = found.filter(|found| names.contains(&node.inputs[found.data])) {
            let rows = graph.weight(&found.weight).and_then(|tensor| tensor.shape.first().copied());
            return rows.map_or(TOKENS, |rows| rows.max(1) as usize);
        }
    }
    TOKENS
}

/// An array for an input, its shape held against what the model declares.
fn held(declared: &Declared, array: Array, samples: usize, axis: Option<usize>) -> Result<Input, OnnxError> {
    let wrong = |found: String| OnnxError::InputShape {
        input: declared.name.clone(),
        wanted: wanted(declared),
        found,
    };
    let shape = array.shape.get(1..).unwrap_or_default().to_vec();
    let is_whole = match &array.numbers {
        Held::Here(numbers) => numbers.len() == array.shape.iter().product::<usize>(),
        Held::There(_) => true,
    };
    if array.shape.first() != Some(&samples) || !is_whole {
        return Err(wrong(format!("{:?} beside {samples} samples", array.shape)));
    }
    let mut shape = shape;
    if let Some(axes) = &declared.axes {
        let own: Vec<&Axis> =
            axes.iter().enumerate().filter(|(at, _)| Some(*at) != axis).map(|(_, size)| size).collect();
        let fits = |shape: &[usize]| {
            shape.len() == own.len()
                && own
                    .iter()
                    .zip(shape)
                    .all(|(axis, &size)| !matches!(axis, Axis::Size(wanted) if *wanted as usize != size))
        };
        if !fits(&shape) {
            // The same numbers in another shape: flat images for a model that takes them as images.
            let fixed: Option<Vec<usize>> = own
                .iter()
                .map(|axis| match axis {
                    Axis::Size(size) => Some(*size as usize),
                    _ => None,
                })
                .collect();
            let same =
                |fixed: &Vec<usize>| fixed.iter().product::<usize>() == shape.iter().product::<usize>();
            shape = fixed.filter(same).ok_or_else(|| wrong(format!("{:?}", array.shape)))?;
        }
    }
    let element = declared.element.unwrap_or(1);
    Ok(Input { name: declared.name.clone(), element, shape, axis, source: Source::Held(array.numbers) })
}

/// An input's type and shape in words.
#[must_use]
pub fn wanted(declared: &Declared) -> String {
    let kind = if is_real(declared.element) { "real numbers" } else { "whole numbers" };
    let Some(axes) = &declared.axes else { return format!("{kind} of any shape") };
    let word = |axis: &Axis| match axis {
        Axis::Size(size) => size.to_string(),
        Axis::Named(name) => name.clone(),
        Axis::Free => "any".into(),
    };
    format!("{kind} [{}]", axes.iter().map(word).collect::<Vec<_>>().join(", "))
}
