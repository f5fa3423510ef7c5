//! The messages of an ONNX file, as far as a reader of layers needs them. Weights stay where they are: nothing is copied.

use std::collections::BTreeMap;

use crate::error::OnnxError;
use crate::tensor::Tensor;
use crate::wire::{Field, Fields};

/// Messages of one file, subgraphs included: a model of a thousand layers has about a hundred thousand.
const MESSAGES: u64 = 2_000_000;
/// How deep graphs and types lie in each other.
const DEPTH: u32 = 24;

/// A model.
#[derive(Clone, Debug, Default)]
pub struct Model<'a> {
    /// What wrote it: `pytorch`.
    pub producer: String,
    /// Version of the operations.
    pub operations: i64,
    /// Its graph.
    pub graph: Proto<'a>,
}

/// A graph as it is written.
#[derive(Clone, Debug, Default)]
pub struct Proto<'a> {
    /// Operations in the order of the file.
    pub nodes: Vec<Node<'a>>,
    /// Weights and other constants.
    pub initializers: Vec<Tensor<'a>>,
    /// What is fed; may name initializers too.
    pub inputs: Vec<Declared>,
    /// What is asked for.
    pub outputs: Vec<Declared>,
}

/// One operation.
#[derive(Clone, Debug, Default)]
pub struct Node<'a> {
    /// Its name; may be empty.
    pub name: String,
    /// `MatMul`.
    pub operation: String,
    /// Empty for the operations of ONNX itself.
    pub domain: String,
    /// Values it needs; empty where an optional one is left out.
    pub inputs: Vec<String>,
    /// Values it makes.
    pub outputs: Vec<String>,
    /// Numbers, lists of numbers and the tensors among its attributes.
    pub attributes: BTreeMap<String, Attribute<'a>>,
    /// Does it hold graphs of its own?
    pub has_graphs: bool,
}

/// An attribute of a node.
#[derive(Clone, Debug)]
pub enum Attribute<'a> {
    /// A whole number.
    Whole(i64),
    /// Whole numbers.
    Wholes(Vec<i64>),
    /// A real number.
    Real(f32),
    /// Text.
    Text(String),
    /// A tensor.
    Tensor(Tensor<'a>),
    /// Anything else.
    Other,
}

/// An input or output with its type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Type of its numbers, as ONNX counts them; `None` for what is no tensor.
    pub element: Option<i64>,
    /// Its axes; `None` when even their number is not said.
    pub axes: Option<Vec<Axis>>,
}

/// The size of an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Axis {
    /// Known.
    Size(i64),
    /// Named: `batch_size`.
    Named(String),
    /// Not said.
    Free,
}

impl<'a> Node<'a> {
    /// A whole number among the attributes.
    #[must_use]
    pub fn whole(&self, name: &str) -> Option<i64> {
        match self.attributes.get(name) {
            Some(Attribute::Whole(value)) => Some(*value),
            _ => None,
        }
    }

    /// As messages call it: its name, or that of what it makes.
    #[must_use]
    pub fn title(&self) -> String {
        let made = self.outputs.iter().find(|output| !output.is_empty());
        match (self.name.is_empty(), made) {
            (false, _) => self.name.clone(),
            (true, Some(made)) => made.clone(),
            (true, None) => self.operation.clone(),
        }
    }
}

/// Reads a model.
///
/// # Errors
/// [`OnnxError::Truncated`], [`OnnxError::Damaged`], [`OnnxError::TooMuch`], [`OnnxError::Tensor`].
pub fn read(bytes: &[u8]) -> Result<Model<'_>, OnnxError> {
    let mut model = Model::default();
    let mut has_graph = false;
    count(bytes, Kind::Model, DEPTH, &mut 0)?;
    for field in Fields::of(bytes, "the model") {
        match field? {
            (2, field) => model.producer = field.text(),
            (7, field) => {
                has_graph = true;
                model.graph = graph(field.bytes())?;
            }
            (8, field) => {
                let (mut domain, mut version) = (String::new(), 0);
                for field in Fields::of(field.bytes(), "a set of operations") {
                    match field? {
                        (1, field) => domain = field.text(),
                        (2, field) => version = field.signed(),
                        _ => {}
                    }
                }
                if domain.is_empty() || domain == "ai.onnx" {
                    model.operations = version;
                }
            }
            _ => {}
        }
    }
    if !has_graph {
        return Err(OnnxError::Damaged { what: "the file holds no graph".into() });
    }
    Ok(model)
}

fn graph(bytes: &[u8]) -> Result<Proto<'_>, OnnxError> {
    let mut graph = Proto::default();
    for field in Fields::of(bytes, "the graph") {
        match field? {
            (1, field) => graph.nodes.push(node(field.bytes())?),
            (5, field) => graph.initializers.push(Tensor::read(field.bytes())?),
            (11, field) => graph.inputs.push(declared(field.bytes())?),
            (12, field) => graph.outputs.push(declared(field.bytes())?),
            _ => {}
        }
    }
    Ok(graph)
}

fn node(bytes: &[u8]) -> Result<Node<'_>, OnnxError> {
    let mut node = Node::default();
    for field in Fields::of(bytes, "a node") {
        match field? {
            (1, field) => node.inputs.push(field.text()),
            (2, field) => node.outputs.push(field.text()),
            (3, field) => node.name = field.text(),
            (4, field) => node.operation = field.text(),
            (5, field) => {
                let (name, attribute, has_graphs) = attribute(field.bytes())?;
                node.has_graphs |= has_graphs;
                node.attributes.insert(name, attribute);
            }
            (7, field) => node.domain = field.text(),
            _ => {}
        }
    }
    Ok(node)
}

fn attribute(bytes: &[u8]) -> Result<(String, Attribute<'_>, bool), OnnxError> {
    let (mut name, mut found, mut has_graphs) = (String::new(), Attribute::Other, false);
    let mut wholes = Vec::new();
    for field in Fields::of(bytes, "an attribute") {
        match field? {
            (1, field) => name = field.text(),
            (2, Field::Four(bytes)) => found = Attribute::Real(f32::from_le_bytes(bytes)),
            (3, field) => found = Attribute::Whole(field.signed()),
            (4, field) => found = Attribute::Text(field.text()),
            (5, field) => found = Attribute::Tensor(Tensor::read(field.bytes())?),
            (6 | 11, _) => has_graphs = true,
            (8, field) => field.push_signed(&mut wholes)?,
            _ => {}
        }
    }
    if !wholes.is_empty() {
        found = Attribute::Wholes(wholes);
    }
    Ok((name, found, has_graphs))
}

fn declared(bytes: &[u8]) -> Result<Declared, OnnxError> {
    let mut declared = Declared::default();
    for field in Fields::of(bytes, "an input") {
        match field? {
            (1, field) => declared.name = field.text(),
            (2, field) => {
                for field in Fields::of(field.bytes(), "a type") {
                    if let (1, field) = field? {
                        tensor_type(field.bytes(), &mut declared)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(declared)
}

fn tensor_type(bytes: &[u8], declared: &mut Declared) -> Result<(), OnnxError> {
    for field in Fields::of(bytes, "a tensor type") {
        match field? {
            (1, field) => declared.element = Some(field.signed()),
            (2, field) => {
                let mut axes = Vec::new();
                for field in Fields::of(field.bytes(), "a shape") {
                    if let (1, field) = field? {
                        axes.push(axis(field.bytes())?);
                    }
                }
                declared.axes = Some(axes);
            }
            _ => {}
        }
    }
    Ok(())
}

fn axis(bytes: &[u8]) -> Result<Axis, OnnxError> {
    let mut axis = Axis::Free;
    for field in Fields::of(bytes, "an axis") {
        match field? {
            (1, field) if field.signed() > 0 => axis = Axis::Size(field.signed()),
            (2, field) if !field.bytes().is_empty() => axis = Axis::Named(field.text()),
            _ => {}
        }
    }
    Ok(axis)
}

/// Kinds of messages that hold messages.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Value,
    Type,
    TensorType,
    Shape,
    Function,
    Tensor,
    Sparse,
    Training,
    Leaf,
}

impl Kind {
    /// What a field of this message is, where it is a message.
    fn inner(self, field: u32) -> Option<Kind> {
        Some(match (self, field) {
            (Kind::Model, 7) | (Kind::Attribute, 6 | 11) | (Kind::Training, 1 | 2) => Kind::Graph,
            (Kind::Model, 20) => Kind::Training,
            (Kind::Model, 25) => Kind::Function,
            (Kind::Graph, 1) | (Kind::Function, 7) => Kind::Node,
            (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) | (Kind::Sparse, 1 | 2) => Kind::Tensor,
            (Kind::Graph, 15) | (Kind::Attribute, 22 | 23) => Kind::Sparse,
            (Kind::Graph, 11..=13) | (Kind::Function, 12) => Kind::Value,
            (Kind::Node, 5) | (Kind::Function, 11) => Kind::Attribute,
            (Kind::Attribute, 14 | 15) | (Kind::Value, 2) => Kind::Type,
            // Sequences, maps and optional values hold types in messages of their own.
            (Kind::Type, 1 | 8) => Kind::TensorType,
            (Kind::Type, 4 | 5 | 9) => Kind::Type,
            (Kind::TensorType, 2) => Kind::Shape,
            (Kind::Shape, 1) | (Kind::Model, 8 | 14) | (Kind::Graph, 14 | 16) => Kind::Leaf,
            (Kind::Tensor, 3 | 13 | 16) | (Kind::Node, 9) | (Kind::Function, 9 | 14) => Kind::Leaf,
            // Texts take as much room as small messages.
            (Kind::Node, 1 | 2) | (Kind::Attribute, 9) | (Kind::Tensor, 6) | (Kind::Function, 4..=6) => {
                Kind::Leaf
            }
            _ => return None,
        })
    }
}

/// Counts all messages, graphs inside of nodes included: whoever unpacks them needs some hundred bytes for each, however
/// short it is in the file.
fn count(bytes: &[u8], kind: Kind, depth: u32, messages: &mut u64) -> Result<(), OnnxError> {
    *messages += 1;
    if *messages > MESSAGES {
        let what = "parts of the model".into();
        return Err(OnnxError::TooMuch { what, found: *messages, most: MESSAGES });
    }
    if matches!(kind, Kind::Leaf) {
        return Ok(());
    }
    let Some(deeper) = depth.checked_sub(1) else {
        let what = "graphs inside of graphs".into();
        return Err(OnnxError::TooMuch { what, found: u64::from(DEPTH) + 1, most: u64::from(DEPTH) });
    };
    for field in Fields::of(bytes, "the model") {
        let (id, field) = field?;
        if let (Some(inner), Field::Bytes(bytes)) = (kind.inner(id), field) {
            count(bytes, inner, deeper, messages)?;
        }
    }
    Ok(())
}
