//! What the operations of ONNX are to a reader of layers.

use crate::graph::{Graph, Maker};
use crate::model::{Attribute, Node};

/// What an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// A layer with weights.
    Weighted,
    /// A normalisation in one operation.
    Norm,
    /// A function of each number by itself that is no straight line.
    Activation(&'static str),
    /// Sums, products, means, shapes: what activations and normalisations are made of when they are taken apart.
    Light,
    /// Positions become fewer.
    Pool,
    /// Two values meet in a product of matrices.
    Product,
    /// Anything else.
    Other,
}

/// A layer with weights, as its node shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// `linear`, `conv2d`, `embedding`, …
    pub kind: String,
    /// Place among the node's inputs of what flows through.
    pub data: usize,
    /// The value that holds the weight.
    pub weight: String,
    /// The value that holds the bias, where the node has one.
    pub bias: Option<String>,
    /// Inputs of one unit.
    pub fan_in: Option<u64>,
    /// Are its units along the second axis?
    pub is_channels_first: bool,
}

/// Reads a node as a layer with weights.
#[must_use]
pub fn weights(graph: &Graph, node: &Node) -> Option<Weights> {
    let is_constant =
        |at: usize| node.inputs.get(at).is_some_and(|value| !value.is_empty() && graph.is_constant(value));
    let shape = |at: usize| {
        let tensor = graph.weight(node.inputs.get(at)?)?;
        Some(tensor.shape.clone())
    };
    let make = |kind: &str, data, weight: usize, bias: Option<usize>, fan_in, is_channels_first| Weights {
        kind: kind.into(),
        data,
        weight: node.inputs[weight].clone(),
        bias: bias.and_then(|at| node.inputs.get(at)).filter(|value| !value.is_empty()).cloned(),
        fan_in,
        is_channels_first,
    };
    let of_convolution = |weight: usize, per: usize| {
        let shape = shape(weight)?;
        let kernel: u64 = shape.get(2..)?.iter().product();
        Some(shape.get(per)? * kernel)
    };
    let dimensions = |weight: usize| shape(weight).map_or(2, |shape| shape.len().saturating_sub(2));
    Some(match node.operation.as_str() {
        "MatMul" | "MatMulInteger" | "FusedMatMul" | "MatMulNBits" if is_constant(1) && !is_constant(0) => {
            let shape = shape(1).unwrap_or_default();
            if shape.len() == 1 {
                return None;
            }
            // Its numbers are (in, out), unless something turned them on the way.
            let fan_in =
                shape.len().checked_sub(2).map(|at| shape[at]).filter(|_| !is_turned(graph, &node.inputs[1]));
            let turned = || shape.last().copied();
            make("linear", 0, 1, None, fan_in.or_else(turned), false)
        }
        "MatMul" | "MatMulInteger" if is_constant(0) && !is_constant(1) => {
            let shape = shape(0)?;
            if shape.len() < 2 {
                return None;
            }
            make("linear", 1, 0, None, shape.last().copied(), false)
        }
        "QLinearMatMul" if is_constant(3) => make("linear", 0, 3, None, None, false),
        "Gemm" if is_constant(1) && !is_constant(0) => {
            let shape = shape(1);
            let is_out_first = (node.whole("transB") == Some(1)) != is_turned(graph, &node.inputs[1]);
            let fan_in = shape.and_then(|shape| shape.get(usize::from(is_out_first)).copied());
            make("linear", 0, 1, Some(2), fan_in, false)
        }
        "Conv" | "ConvInteger" if is_constant(1) => {
            let kind = format!("conv{}d", dimensions(1).clamp(1, 3));
            make(&kind, 0, 1, Some(2), of_convolution(1, 1), true)
        }
        "QLinearConv" if is_constant(3) => {
            let kind = format!("conv{}d", dimensions(3).clamp(1, 3));
            make(&kind, 0, 3, Some(8), of_convolution(3, 1), true)
        }
        "ConvTranspose" if is_constant(1) => {
            let kind = format!("convtranspose{}d", dimensions(1).clamp(1, 3));
            make(&kind, 0, 1, Some(2), of_convolution(1, 0), true)
        }
        "Gather" if is_constant(0) && !is_constant(1) && node.whole("axis").unwrap_or(0) == 0 => {
            let tensor = graph.weight(&node.inputs[0])?;
            let is_table = tensor.shape.len() == 2 && (tensor.is_real() || matches!(tensor.element, 2 | 3));
            if !is_table {
                return None;
            }
            make("embedding", 1, 0, None, None, false)
        }
        "LSTM" | "GRU" | "RNN" if is_constant(1) => {
            let fan_in = shape(1).and_then(|shape| shape.get(2).copied());
            make(&node.operation.to_lowercase(), 0, 1, Some(3), fan_in, false)
        }
        "Einsum" if is_constant(1) && !is_constant(0) => make("einsum", 0, 1, None, None, false),
        "Einsum" if is_constant(0) && !is_constant(1) => make("einsum", 1, 0, None, None, false),
        "LinearClassifier" | "LinearRegressor" => return None,
        _ => return None,
    })
}

/// Are rows and columns of a weight exchanged between the file and the node?
fn is_turned(graph: &Graph, value: &str) -> bool {
    let (mut value, mut turned) = (value, false);
    for _ in 0..8 {
        let Some(Maker::Node(at, _)) = graph.makers.get(value) else { break };
        let node = &graph.nodes[*at];
        turned ^= node.operation == "Transpose";
        let Some(before) = node.inputs.first() else { break };
        value = before;
    }
    turned
}

/// What an operation is, when its node is no layer with weights.
#[must_use]
pub fn nature(node: &Node) -> Nature {
    if let Some(name) = activation(node) {
        return Nature::Activation(name);
    }
    match node.operation.as_str() {
        "LayerNormalization"
        | "BatchNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "SimplifiedLayerNormalization"
        | "SkipLayerNormalization"
        | "RMSNormalization"
        | "LpNormalization"
        | "MeanVarianceNormalization"
        | "LRN" => Nature::Norm,
        "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "LpPool" => Nature::Pool,
        "MatMul" | "Einsum" => Nature::Product,
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Sqrt" | "Reciprocal" | "Neg" | "Abs" | "Exp" | "Log"
        | "Erf" | "Max" | "Min" | "Sum" | "Mean" | "Where" | "Cast" | "CastLike" | "Identity" | "Dropout"
        | "Expand" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Transpose" | "Slice" | "Pad"
        | "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL2" | "ReduceL1"
        | "ReduceSumSquare" | "Tile" | "QuantizeLinear" | "DequantizeLinear" => Nature::Light,
        _ => Nature::Other,
    }
}

/// The name of an activation in one operation.
fn activation(node: &Node) -> Option<&'static str> {
    Some(match node.operation.as_str() {
        "Relu" => "relu",
        "Sigmoid" => "sigmoid",
        "Tanh" => "tanh",
        "Clip" => "clip",
        "LeakyRelu" => "leaky_relu",
        "PRelu" => "prelu",
        "Elu" => "elu",
        "Selu" => "selu",
        "Celu" => "celu",
        "Gelu" | "FastGelu" | "BiasGelu" => "gelu",
        "QuickGelu" | "Swish" => "silu",
        "Mish" => "mish",
        "HardSwish" => "hardswish",
        "HardSigmoid" => "hardsigmoid",
        "Softplus" => "softplus",
        "Softsign" => "softsign",
        "ThresholdedRelu" => "threshold",
        "Softmax" | "LogSoftmax" => "softmax",
        "Sin" => "sin",
        "Cos" => "cos",
        _ => return None,
    })
}

/// Changes neither numbers nor their order along units: what a bias may stand behind.
#[must_use]
pub fn is_shape_only(operation: &str) -> bool {
    matches!(
        operation,
        "Reshape"
            | "Squeeze"
            | "Unsqueeze"
            | "Flatten"
            | "Transpose"
            | "Identity"
            | "Dropout"
            | "Cast"
            | "Slice"
    )
}

/// What a group of light operations between one value and another is: its kind, or nothing where it is a straight line.
#[must_use]
pub fn group(operations: &[&str]) -> Option<&'static str> {
    let has = |name: &str| operations.contains(&name);
    let has_mean = operations
        .iter()
        .any(|name| matches!(*name, "ReduceMean" | "ReduceSum" | "ReduceSumSquare" | "ReduceL2"));
    Some(match () {
        () if has("LayerNormalization") => "layernorm",
        () if has_mean && has("Exp") => "softmax",
        () if has_mean && (has("Sqrt") || has("Pow")) && has("Sub") => "layernorm",
        () if has_mean && (has("Sqrt") || has("Reciprocal") || has("ReduceL2") || has("Pow")) => "rmsnorm",
        () if has("Erf") || has("Gelu") => "gelu",
        () if has("Tanh") && has("Softplus") => "mish",
        () if has("Tanh")
            && (has("Pow") || operations.iter().filter(|name| **name == "Mul").count() >= 3) =>
        {
            "gelu"
        }
        () if has("Softmax") => "softmax",
        () if has("HardSigmoid") || has("Clip") => "hardswish",
        () if has("Sigmoid") => "silu",
        () if has("Tanh") => "tanh",
        () if has("Relu") => "relu",
        () if has("Exp") || has("Softplus") => "activation",
        () if has("Max") || has("Min") || has("Abs") || has("Where") => "activation",
        () => return None,
    })
}

/// Class of a normalisation as modules call it.
#[must_use]
pub fn norm_kind(operation: &str) -> &'static str {
    match operation {
        "BatchNormalization" => "batchnorm",
        "InstanceNormalization" => "instancenorm",
        "GroupNormalization" => "groupnorm",
        "RMSNormalization" | "SimplifiedLayerNormalization" => "rmsnorm",
        "LRN" => "localresponsenorm",
        "LpNormalization" => "l2norm",
        _ => "layernorm",
    }
}

/// Where units are after a node, seen from before it: `None` where that is not changed.
#[must_use]
pub fn moves_units(node: &Node) -> Option<bool> {
    let Some(Attribute::Wholes(order)) = node.attributes.get("perm") else { return None };
    let last = order.len() as i64 - 1;
    match (order.last(), order.get(1)) {
        _ if node.operation != "Transpose" || order.len() < 3 => None,
        // The second axis becomes the last, or the other way round.
        (Some(1), _) => Some(false),
        (_, Some(&from)) if from == last => Some(true),
        _ => None,
    }
}
