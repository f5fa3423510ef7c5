//! The runtime, tract: a graph for one size of batch, optimised with every value that is read kept as an output.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::plan::eval;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::{Onnx, pb};

use crate::batch::{Inputs, Numbers};
use crate::error::OnnxError;

/// An input for the runtime: its name, its type as ONNX counts them, its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// Name of the input.
    pub name: String,
    /// Type of its numbers.
    pub element: i64,
    /// With the samples of one chunk.
    pub shape: Vec<usize>,
}

/// A model as the runtime holds it before shapes are known.
pub struct Parsed {
    model: InferenceModel,
    outlets: HashMap<String, OutletId>,
}

/// A graph that can be run.
pub struct Engine {
    plan: Arc<TypedRunnableModel>,
    feeds: Vec<Feed>,
    /// Shape of each value that is read.
    pub shapes: Vec<Vec<usize>>,
    /// By node: which of its outputs is which value.
    watched: HashMap<usize, Vec<(usize, usize)>>,
    /// Values that no input changes: the runtime made them when it was made ready.
    constants: Vec<(usize, Answer)>,
}

/// What a graph needs for one chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes {
    /// Shape of each value asked for; `None` where it is not known before it is run.
    pub shapes: Vec<Option<Vec<usize>>>,
    /// Bytes of all values together.
    pub bytes: u64,
    /// Bytes of the largest.
    pub largest: u64,
    /// The node that makes the largest.
    pub at: String,
}

fn refused(error: &TractError) -> OnnxError {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    let at = chain.iter().rev().find_map(|part| {
        let start = part.find('"')? + 1;
        let end = start + part[start..].find('"')?;
        Some(part[start..end].to_string()).filter(|name| !name.is_empty() && name.len() < 200)
    });
    let message: String = chain.last().cloned().unwrap_or_default().chars().take(300).collect();
    OnnxError::Refused { at, message: message.lines().next().unwrap_or_default().into() }
}

/// Hands a model to the runtime. `folder` is where external data lie.
///
/// # Errors
/// [`OnnxError::Operations`] with every operation that it does not know; [`OnnxError::Refused`].
pub fn parse(bytes: &[u8], folder: &Path) -> Result<Parsed, OnnxError> {
    let onnx = tract_onnx::onnx().with_ignore_value_info(true);
    let proto = onnx.proto_model_for_read(&mut &*bytes).map_err(|error| refused(&error))?;
    let unknown = unknown(&onnx, &proto);
    if !unknown.is_empty() {
        return Err(OnnxError::Operations { operations: unknown });
    }
    let parsed = onnx.parse(&proto, folder.to_str()).map_err(|error| refused(&error))?;
    if let Some(value) = parsed.unresolved_inputs.first() {
        return Err(OnnxError::Unknown { node: "the graph".into(), value: value.clone() });
    }
    Ok(Parsed { model: parsed.model, outlets: parsed.outlets_by_name })
}

fn unknown(onnx: &Onnx, proto: &pb::ModelProto) -> Vec<String> {
    let nodes = proto.graph.iter().flat_map(|graph| &graph.node);
    let mut names: Vec<String> = nodes
        .filter(|node| !onnx.op_register.0.contains_key(&node.op_type))
        .map(|node| node.op_type.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn datum(element: i64) -> Option<DatumType> {
    Some(match element {
        1 => DatumType::F32,
        2 => DatumType::U8,
        3 => DatumType::I8,
        4 => DatumType::U16,
        5 => DatumType::I16,
        6 => DatumType::I32,
        7 => DatumType::I64,
        9 => DatumType::Bool,
        10 => DatumType::F16,
        11 => DatumType::F64,
        12 => DatumType::U32,
        13 => DatumType::U64,
        _ => return None,
    })
}

impl Parsed {
    /// The graph for these inputs with these values as outputs.
    fn typed(&self, feeds: &[Feed], values: &[String]) -> Result<TypedModel, OnnxError> {
        let mut model = self.model.clone();
        let inputs = model.input_outlets().map_err(|error| refused(&error))?.to_vec();
        for (at, outlet) in inputs.iter().enumerate() {
            let name = model.node(outlet.node).name.clone();
            let Some(feed) = feeds.iter().find(|feed| feed.name == name) else { continue };
            let kind = datum(feed.element).ok_or_else(|| OnnxError::Refused {
                at: Some(name.clone()),
                message: format!("inputs of type {} are not fed", feed.element),
            })?;
            let fact = InferenceFact::dt_shape(kind, feed.shape.clone());
            model.set_input_fact(at, fact).map_err(|error| refused(&error))?;
        }
        let outlets: Vec<OutletId> =
            values.iter().filter_map(|value| self.outlets.get(value).copied()).collect();
        if outlets.len() < values.len() {
            let lost = values.iter().find(|value| !self.outlets.contains_key(*value)).cloned();
            let message = "the value was lost when the model was read".into();
            return Err(OnnxError::Refused { at: lost, message });
        }
        // What is declared of outputs is not believed: shapes follow from inputs.
        for &outlet in &outlets {
            let kind = model.outlet_fact(outlet).ok().and_then(|fact| fact.datum_type.concretize());
            let fact = kind.map_or_else(InferenceFact::default, InferenceFact::dt);
            model.set_outlet_fact(outlet, fact).map_err(|error| refused(&error))?;
        }
        model.select_output_outlets(&outlets).map_err(|error| refused(&error))?;
        model.into_typed().map_err(|error| refused(&error))
    }

    /// What the graph needs for these inputs, nothing run.
    ///
    /// # Errors
    /// [`OnnxError::Refused`].
    pub fn sizes(&self, feeds: &[Feed], values: &[String]) -> Result<Sizes, OnnxError> {
        let model = self.typed(feeds, values)?;
        let mut sizes = Sizes { shapes: Vec::new(), bytes: 0, largest: 0, at: String::new() };
        // Constants are there already, whatever the chunk.
        for node in model.nodes().iter().filter(|node| !node.inputs.is_empty()) {
            for output in &node.outputs {
                let Some(shape) = output.fact.shape.as_concrete() else { continue };
                let count = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size as u64));
                let bytes = count.unwrap_or(u64::MAX).saturating_mul(output.fact.datum_type.size_of() as u64);
                sizes.bytes = sizes.bytes.saturating_add(bytes);
                if bytes > sizes.largest {
                    (sizes.largest, sizes.at) = (bytes, node.name.clone());
                }
            }
        }
        for outlet in model.output_outlets().map_err(|error| refused(&error))? {
            let fact = model.outlet_fact(*outlet).map_err(|error| refused(&error))?;
            sizes.shapes.push(fact.shape.as_concrete().map(<[usize]>::to_vec));
        }
        Ok(sizes)
    }

    /// Makes the graph ready to be run.
    ///
    /// # Errors
    /// [`OnnxError::Refused`].
    pub fn engine(&self, feeds: &[Feed], values: &[String]) -> Result<Engine, OnnxError> {
        let model = self.typed(feeds, values)?.into_optimized().map_err(|error| refused(&error))?;
        let outlets = model.output_outlets().map_err(|error| refused(&error))?.to_vec();
        let shape = |outlet: &OutletId| {
            let fact = model.outlet_fact(*outlet).map_err(|error| refused(&error))?;
            Ok(fact.shape.as_concrete().map(<[usize]>::to_vec).unwrap_or_default())
        };
        let shapes = outlets.iter().map(shape).collect::<Result<_, OnnxError>>()?;
        // The runtime keeps inputs in its own order, and drops those that nothing asked for needs.
        let mut own = Vec::new();
        for outlet in model.input_outlets().map_err(|error| refused(&error))? {
            let name = &model.node(outlet.node).name;
            own.extend(feeds.iter().find(|feed| feed.name == *name).cloned());
        }
        let mut watched: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
        for (at, outlet) in outlets.iter().enumerate() {
            watched.entry(outlet.node).or_default().push((outlet.slot, at));
        }
        let constant = |(at, outlet): (usize, &OutletId)| {
            let is_constant = model.node(outlet.node).op_is::<Const>();
            let fact = model.outlet_fact(*outlet).ok().filter(|_| is_constant)?;
            Some((at, Answer(fact.konst.clone()?.into_tvalue())))
        };
        let constants = outlets.iter().enumerate().filter_map(constant).collect();
        let plan = model.into_runnable().map_err(|error| refused(&error))?;
        Ok(Engine { plan, feeds: own, shapes, watched, constants })
    }

    /// As [`Parsed::engine`], for [`Engine::watch`]: values are seen when they are made and let go when nobody needs them, since
    /// holding all of them to the end of a chunk costs a tenth of the time.
    ///
    /// # Errors
    /// [`OnnxError::Refused`].
    pub fn watcher(&self, feeds: &[Feed], values: &[String]) -> Result<Engine, OnnxError> {
        let engine = self.engine(feeds, values)?;
        // Values that nothing follows stay outputs: everything else lies on the way to one of them.
        let mut model = engine.plan.model().clone();
        let outlets = model.output_outlets().map_err(|error| refused(&error))?.to_vec();
        let is_last = |outlet: &&OutletId| {
            !model.node(outlet.node).op_is::<Const>()
                && model.node(outlet.node).outputs.iter().all(|output| output.successors.is_empty())
        };
        let last: Vec<OutletId> = outlets.iter().filter(is_last).copied().collect();
        model.select_output_outlets(&last).map_err(|error| refused(&error))?;
        let plan = model.into_runnable().map_err(|error| refused(&error))?;
        Ok(Engine { plan, ..engine })
    }
}

impl Engine {
    /// Names of the inputs that are fed, in order.
    pub fn inputs(&self) -> impl Iterator<Item = &Feed> {
        self.feeds.iter()
    }

    /// The numbers of one chunk, for each of [`Engine::inputs`].
    ///
    /// # Errors
    /// As [`Inputs::chunk`].
    pub fn fed(&self, inputs: &Inputs, first: usize, chunk: usize) -> Result<Vec<Numbers>, OnnxError> {
        let input = |feed: &Feed| inputs.all.iter().find(|input| input.name == feed.name);
        self.feeds.iter().filter_map(input).map(|input| inputs.chunk(input, first, chunk)).collect()
    }

    /// Runs all chunks and drops the answers.
    ///
    /// # Errors
    /// [`OnnxError::Refused`].
    pub fn run_all(&self, inputs: &Inputs, chunk: usize) -> Result<(), OnnxError> {
        for first in (0..inputs.samples).step_by(chunk) {
            std::hint::black_box(self.run(&self.fed(inputs, first, chunk)?)?);
        }
        Ok(())
    }

    /// Runs one chunk: `numbers` of each of [`Engine::inputs`].
    ///
    /// # Errors
    /// [`OnnxError::Refused`].
    pub fn run(&self, numbers: &[Numbers]) -> Result<Vec<Answer>, OnnxError> {
        let inputs = self.feeds.iter().zip(numbers).map(|(feed, numbers)| tensor(feed, numbers));
        let inputs = inputs.collect::<TractResult<TVec<TValue>>>().map_err(|error| refused(&error))?;
        let answers = self.plan.run(inputs).map_err(|error| refused(&error))?;
        Ok(answers.into_iter().map(Answer).collect())
    }

    /// Runs one chunk and shows each value, constants first, the others as they are made, in the same order every time: its place, and its numbers.
    ///
    /// # Errors
    /// [`OnnxError::Refused`], and whatever `see` says.
    pub fn watch(
        &self,
        numbers: &[Numbers],
        mut see: impl FnMut(usize, &Answer) -> Result<(), OnnxError>,
    ) -> Result<(), OnnxError> {
        let inputs = self.feeds.iter().zip(numbers).map(|(feed, numbers)| tensor(feed, numbers));
        let inputs = inputs.collect::<TractResult<TVec<TValue>>>().map_err(|error| refused(&error))?;
        let mut state = self.plan.spawn().map_err(|error| refused(&error))?;
        for (at, answer) in &self.constants {
            see(*at, answer)?;
        }
        let mut failed = None;
        let ran = state.run_plan_with_eval(inputs, |context, state, node, inputs| {
            let made = eval(context, state, node, inputs)?;
            for &(slot, at) in self.watched.get(&node.id).into_iter().flatten() {
                let seen = see(at, &Answer(made[slot].clone()));
                if let Err(error) = seen {
                    failed = Some(error);
                    return Err(TractError::msg("stopped"));
                }
            }
            TractResult::Ok(made)
        });
        match (failed, ran) {
            (Some(error), _) => Err(error),
            (None, ran) => ran.map(|_| ()).map_err(|error| refused(&error)),
        }
    }
}

fn tensor(feed: &Feed, numbers: &Numbers) -> TractResult<TValue> {
    let own = match numbers {
        Numbers::Real(values) => Tensor::from_shape(&feed.shape, values)?,
        Numbers::Whole(values) => Tensor::from_shape(&feed.shape, values)?,
    };
    let kind = datum(feed.element).unwrap_or(own.datum_type());
    Ok(own.cast_to_dt(kind)?.into_owned().into_tvalue())
}

/// A value that was read.
pub struct Answer(TValue);

impl Answer {
    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// Its numbers in single precision; `None` when it is not of numbers.
    #[must_use]
    pub fn numbers(&self) -> Option<Cow<'_, [f32]>> {
        if let Some(plain) = self.0.as_plain_ram()
            && let Ok(values) = plain.as_slice::<f32>()
        {
            return Some(Cow::Borrowed(values));
        }
        let cast = self.0.cast_to::<f32>().ok()?.into_owned();
        Some(Cow::Owned(cast.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?.to_vec()))
    }
}
