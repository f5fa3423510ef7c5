//! The graph in an order in which it can be computed: who makes a value, who uses it, what is constant.

use std::collections::HashMap;

use crate::error::OnnxError;
use crate::model::{Attribute, Declared, Model, Node};
use crate::tensor::Tensor;

/// Numbers of a value whose shape is written into the graph: 8 GiB in single precision.
const LARGEST: u64 = 1 << 31;

/// Nodes of a graph: a model of a hundred blocks has some ten thousand.
const NODES: usize = 100_000;

/// What makes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Maker {
    /// An input of the model, by its number.
    Input(usize),
    /// A node, by its place in the order, and which of its outputs.
    Node(usize, usize),
}

/// A graph whose nodes are in order.
#[derive(Clone, Debug, Default)]
pub struct Graph<'a> {
    /// Nodes; each needs only earlier ones.
    pub nodes: Vec<Node<'a>>,
    /// Inputs that have to be fed.
    pub inputs: Vec<Declared>,
    /// Values that are asked for.
    pub outputs: Vec<Declared>,
    /// Weights and other constants that are written in the file, by the name of the value.
    pub constants: HashMap<String, Tensor<'a>>,
    /// Who makes each value that is not constant by itself.
    pub makers: HashMap<String, Maker>,
    /// Nodes that use a node, in order, each once.
    pub users: Vec<Vec<usize>>,
    /// Nodes that depend on no input.
    pub is_constant: Vec<bool>,
    /// Nodes whose numbers depend on the numbers that are fed, not only on how many there are.
    pub is_data: Vec<bool>,
}

impl<'a> Graph<'a> {
    /// Puts a graph in order.
    ///
    /// # Errors
    /// [`OnnxError::Cycle`], [`OnnxError::Unknown`], [`OnnxError::Damaged`] for a value that two nodes make.
    pub fn of(model: Model<'a>) -> Result<Graph<'a>, OnnxError> {
        let proto = model.graph;
        let mut graph = Graph { outputs: proto.outputs, ..Graph::default() };
        for tensor in proto.initializers {
            graph.constants.insert(tensor.name.clone(), tensor);
        }
        let is_fed = |declared: &Declared| !graph.constants.contains_key(&declared.name);
        graph.inputs = proto.inputs.into_iter().filter(is_fed).collect();
        let inputs: Vec<String> = graph.inputs.iter().map(|input| input.name.clone()).collect();
        for (at, name) in inputs.into_iter().enumerate() {
            graph.make(name, Maker::Input(at))?;
        }
        let mut nodes = Vec::with_capacity(proto.nodes.len());
        for mut node in proto.nodes {
            match constant(&mut node) {
                Some(tensor) => {
                    let name = node.outputs.first().cloned().unwrap_or_default();
                    graph.constants.insert(name, tensor);
                }
                None => nodes.push(node),
            }
        }
        if nodes.len() > NODES {
            let (what, found) = ("nodes of the graph".into(), nodes.len() as u64);
            return Err(OnnxError::TooMuch { what, found, most: NODES as u64 });
        }
        graph.order(nodes)?;
        graph.follow();
        graph.check_outputs()?;
        graph.check_sizes()?;
        Ok(graph)
    }

    fn make(&mut self, value: String, maker: Maker) -> Result<(), OnnxError> {
        if value.is_empty() {
            return Ok(());
        }
        if self.constants.contains_key(&value) || self.makers.contains_key(&value) {
            return Err(OnnxError::Damaged { what: format!("`{value}` is made twice") });
        }
        self.makers.insert(value, maker);
        Ok(())
    }

    fn order(&mut self, nodes: Vec<Node<'a>>) -> Result<(), OnnxError> {
        let mut made_by = HashMap::new();
        for (at, node) in nodes.iter().enumerate() {
            for output in node.outputs.iter().filter(|output| !output.is_empty()) {
                if made_by.insert(output.clone(), at).is_some() {
                    return Err(OnnxError::Damaged { what: format!("`{output}` is made twice") });
                }
            }
        }
        let mut waiting = vec![0usize; nodes.len()];
        let mut users = vec![Vec::new(); nodes.len()];
        for (at, node) in nodes.iter().enumerate() {
            for input in node.inputs.iter().filter(|input| !input.is_empty()) {
                if let Some(&maker) = made_by.get(input) {
                    waiting[at] += 1;
                    users[maker].push(at);
                } else if !self.constants.contains_key(input) && !self.makers.contains_key(input) {
                    return Err(OnnxError::Unknown { node: node.title(), value: input.clone() });
                }
            }
        }
        // The order of the file where it is one: readers know their model in that order.
        let mut ready: std::collections::BTreeSet<usize> =
            (0..nodes.len()).filter(|&at| waiting[at] == 0).collect();
        let mut order = Vec::with_capacity(nodes.len());
        while let Some(at) = ready.pop_first() {
            order.push(at);
            for &user in &users[at] {
                waiting[user] -= 1;
                if waiting[user] == 0 {
                    ready.insert(user);
                }
            }
        }
        if order.len() < nodes.len() {
            let at = (0..nodes.len()).find(|&at| waiting[at] > 0).expect("a node was left");
            return Err(OnnxError::Cycle { node: nodes[at].title() });
        }
        let mut place: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
        self.nodes = order.into_iter().map(|at| place[at].take().expect("each once")).collect();
        for at in 0..self.nodes.len() {
            for (slot, output) in self.nodes[at].outputs.clone().into_iter().enumerate() {
                self.make(output, Maker::Node(at, slot))?;
            }
        }
        Ok(())
    }

    fn follow(&mut self) {
        let n = self.nodes.len();
        let (mut users, mut is_constant, mut is_data) = (vec![Vec::new(); n], vec![true; n], vec![false; n]);
        for (at, node) in self.nodes.iter().enumerate() {
            let is_size = matches!(node.operation.as_str(), "Shape" | "Size");
            is_constant[at] = !node.has_graphs && !node.operation.starts_with("Random");
            for maker in node.inputs.iter().filter_map(|input| self.makers.get(input)) {
                match *maker {
                    Maker::Input(_) => {
                        is_constant[at] = false;
                        is_data[at] |= !is_size;
                    }
                    Maker::Node(before, _) => {
                        is_constant[at] &= is_constant[before];
                        is_data[at] |= is_data[before] && !is_size;
                        if users[before].last() != Some(&at) {
                            users[before].push(at);
                        }
                    }
                }
            }
        }
        (self.users, self.is_constant, self.is_data) = (users, is_constant, is_data);
    }

    fn check_outputs(&self) -> Result<(), OnnxError> {
        if self.outputs.is_empty() {
            return Err(OnnxError::Damaged { what: "the graph has no output".into() });
        }
        let is_known = |name: &str| self.makers.contains_key(name) || self.constants.contains_key(name);
        match self.outputs.iter().find(|output| !is_known(&output.name)) {
            Some(output) => Err(OnnxError::Unknown { node: "the graph".into(), value: output.name.clone() }),
            None => Ok(()),
        }
    }

    /// Shapes that are written into the graph: the runtime fills constants before anybody can ask how large they are.
    fn check_sizes(&self) -> Result<(), OnnxError> {
        for node in &self.nodes {
            let at = match node.operation.as_str() {
                "ConstantOfShape" => 0,
                "Expand" | "Tile" | "Reshape" => 1,
                _ => continue,
            };
            let shape =
                node.inputs.get(at).and_then(|value| self.constants.get(value)).and_then(Tensor::wholes);
            let sizes = shape.into_iter().flatten().filter(|&size| size > 0);
            let count = sizes.fold(1u64, |product, size| product.saturating_mul(size as u64));
            if count > LARGEST {
                let what = format!("numbers that `{}` makes", node.title());
                return Err(OnnxError::TooMuch { what, found: count, most: LARGEST });
            }
        }
        Ok(())
    }

    /// Is this value the same whatever is fed?
    #[must_use]
    pub fn is_constant(&self, value: &str) -> bool {
        match self.makers.get(value) {
            None => true,
            Some(Maker::Input(_)) => false,
            Some(Maker::Node(at, _)) => self.is_constant[*at],
        }
    }

    /// The constant that a value is, seen through nodes that change neither its numbers nor how many there are.
    #[must_use]
    pub fn weight(&self, value: &str) -> Option<&Tensor<'a>> {
        let mut value = value;
        for _ in 0..8 {
            if let Some(tensor) = self.constants.get(value) {
                return Some(tensor);
            }
            let Some(Maker::Node(at, _)) = self.makers.get(value) else { return None };
            let node = &self.nodes[*at];
            let is_seen_through = matches!(
                node.operation.as_str(),
                "Transpose" | "Cast" | "Identity" | "DequantizeLinear" | "Reshape" | "Squeeze" | "Unsqueeze"
            );
            if !is_seen_through {
                return None;
            }
            value = node.inputs.first()?;
        }
        None
    }
}

/// The tensor of a node that only holds one.
fn constant<'a>(node: &mut Node<'a>) -> Option<Tensor<'a>> {
    if node.operation != "Constant" {
        return None;
    }
    match node.attributes.remove("value") {
        Some(Attribute::Tensor(tensor)) => Some(tensor),
        // Numbers in other attributes: their values are not needed here.
        _ => Some(Tensor::default()),
    }
}
