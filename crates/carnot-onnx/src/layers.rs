//! Nodes → layers: which values are read, what they are called, and where they stand.
//!
//! A normalisation or an activation that an exporter took apart is one layer again: a group of light operations with one way in
//! and one way out. A sum whose two ways part at one vertex is the end of a residual block when a layer with weights lies
//! between; what lies between is inside. What everything on the way to the output has to pass is the chain.

use std::collections::{HashMap, HashSet};

use carnot_probe::call::Role;

use crate::flow::Flow;
use crate::graph::{Graph, Maker};
use crate::model::Node;
use crate::names;
use crate::operations::{Nature, group, is_shape_only, moves_units, nature, norm_kind};

/// One value that is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its path: `encoder.layer.0.output.dense`.
    pub name: String,
    /// `linear`, `layernorm`, `gelu`, `residual`, …
    pub kind: String,
    /// Which use of the same weight, from 0.
    pub call: u32,
    /// The value that is read.
    pub value: String,
    /// Where it stands.
    pub role: Role,
    /// For a block: the value that its skip carries.
    pub skip: Option<String>,
    /// The value that holds its weight.
    pub weight: Option<String>,
    /// Inputs of one unit.
    pub fan_in: Option<u64>,
    /// Are its units along the second axis?
    pub is_channels_first: bool,
    vertex: usize,
    tail: usize,
}

/// What is read of a graph, and what is not.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// In the order of computation.
    pub read: Vec<Layer>,
    /// Nodes that flow from layers and belong to no layer that is read: nature and how many.
    pub aside: Vec<(String, usize)>,
}

/// Finds the layers of a graph.
#[must_use]
pub fn find(graph: &Graph) -> Layers {
    let flow = Flow::of(graph);
    let mut finder = Finder::new(graph, &flow);
    finder.groups();
    finder.centred();
    finder.input();
    for at in 0..graph.nodes.len() {
        finder.visit(at);
    }
    finder.output();
    finder.post_norm();
    finder.names();
    Layers { aside: finder.aside(), read: finder.layers }
}

struct Finder<'a, 'g> {
    graph: &'a Graph<'g>,
    flow: &'a Flow,
    layers: Vec<Layer>,
    /// Groups by their last vertex: the vertex before, and what lies between.
    groups: HashMap<usize, (usize, Vec<usize>)>,
    absorbed: HashSet<usize>,
    is_main: Vec<bool>,
    main: Option<usize>,
    is_first: Vec<bool>,
    /// The layer whose tail a vertex is.
    layer_at: HashMap<usize, usize>,
}

impl<'a, 'g> Finder<'a, 'g> {
    fn new(graph: &'a Graph<'g>, flow: &'a Flow) -> Finder<'a, 'g> {
        let n = flow.is_featured.len();
        let mut is_main = vec![false; n];
        let main = main_output(graph, flow);
        if let Some(end) = main {
            flow.line(end).into_iter().for_each(|vertex| is_main[vertex] = true);
        }
        Finder {
            graph,
            flow,
            layers: Vec::new(),
            groups: HashMap::new(),
            absorbed: HashSet::new(),
            is_main,
            main,
            is_first: vec![false; n],
            layer_at: HashMap::new(),
        }
    }

    fn node(&self, vertex: usize) -> Option<&'a Node<'g>> {
        self.graph.nodes.get(vertex.checked_sub(self.flow.inputs)?)
    }

    fn nature(&self, vertex: usize) -> Nature {
        match self.node(vertex) {
            None => Nature::Other,
            Some(_) if self.flow.weights_at(vertex).is_some() => Nature::Weighted,
            Some(node) => nature(node),
        }
    }

    /// The first output of a vertex.
    fn value(&self, vertex: usize) -> String {
        match self.node(vertex) {
            Some(node) => node.outputs.iter().find(|output| !output.is_empty()).cloned().unwrap_or_default(),
            None => self.graph.inputs[vertex].name.clone(),
        }
    }

    /// Joins of light operations, the outermost first.
    fn groups(&mut self) {
        for at in (0..self.graph.nodes.len()).rev() {
            let end = self.flow.inputs + at;
            let is_candidate = self.flow.before[end].len() > 1 && !self.absorbed.contains(&end);
            if !is_candidate || !self.is_light(end) {
                continue;
            }
            let Some(start) = self.flow.dominator[end] else { continue };
            let Some(between) = self.flow.between(start, end) else { continue };
            if between.iter().all(|&vertex| self.is_light(vertex)) {
                self.absorbed.extend(&between);
                self.groups.insert(end, (start, between));
            }
        }
    }

    /// A normalisation that takes the mean off first has two groups, one after the other: they become one.
    fn centred(&mut self) {
        let ends: Vec<usize> = self.groups.keys().copied().collect();
        for end in ends {
            let Some((start, between)) = self.groups.get(&end).cloned() else { continue };
            let Some((first, inner)) = self.groups.get(&start).cloned() else { continue };
            let is_norm = group(&self.operations(end, &between)).is_some_and(|kind| kind.ends_with("norm"));
            let inner_operations = self.operations(start, &inner);
            let is_centring = inner_operations.contains(&"Sub") && group(&inner_operations).is_none();
            if is_norm && is_centring {
                let between = [inner, vec![start], between].concat();
                self.absorbed.insert(start);
                self.groups.remove(&start);
                self.groups.insert(end, (first, between));
            }
        }
    }

    /// Operations of a group, its last one too.
    fn operations(&self, end: usize, between: &[usize]) -> Vec<&'a str> {
        let vertices = between.iter().chain(std::iter::once(&end));
        vertices.filter_map(|&vertex| Some(self.node(vertex)?.operation.as_str())).collect()
    }

    fn is_light(&self, vertex: usize) -> bool {
        matches!(self.nature(vertex), Nature::Light | Nature::Activation(_))
    }

    fn input(&mut self) {
        for vertex in (0..self.flow.inputs).filter(|&vertex| self.flow.is_featured[vertex]) {
            let axes = self.graph.inputs[vertex].axes.as_ref().map_or(0, Vec::len);
            self.is_first[vertex] = axes > 2 && self.feeds_convolution(vertex);
            self.push(vertex, "input", None);
        }
    }

    /// Do images come with their channels first? So they do where the next layer with weights takes them so.
    fn feeds_convolution(&self, vertex: usize) -> bool {
        let mut at = vertex;
        for _ in 0..8 {
            let Some(&next) = self.flow.after[at].first() else { return false };
            if let Some(weights) = self.flow.weights_at(next) {
                return weights.is_channels_first;
            }
            if self.node(next).is_some_and(|node| moves_units(node).is_some()) {
                return false;
            }
            at = next;
        }
        false
    }

    fn visit(&mut self, at: usize) {
        let vertex = self.flow.inputs + at;
        let node = &self.graph.nodes[at];
        if let Some(weights) = &self.flow.weights[at]
            && !self.graph.is_data[at]
        {
            self.push(vertex, &weights.kind.clone(), None);
            return;
        }
        if !self.flow.is_featured[vertex] {
            return;
        }
        self.units(vertex, node);
        if self.absorbed.contains(&vertex) {
            return;
        }
        match self.nature(vertex) {
            Nature::Weighted => {
                let weights = self.flow.weights_at(vertex).expect("it is weighted");
                self.push(vertex, &weights.kind.clone(), None);
            }
            Nature::Norm => self.push(vertex, norm_kind(&node.operation), None),
            Nature::Activation(kind) => {
                self.push(vertex, self.groups.get(&vertex).map_or(kind, |_| kind), None)
            }
            Nature::Pool => self.push(vertex, "pool", None),
            Nature::Light => self.light(vertex, node),
            Nature::Product if self.is_attention(vertex) => self.push(vertex, "attention", None),
            Nature::Other if node.operation == "Concat" => self.push(vertex, "concat", None),
            Nature::Product | Nature::Other => {}
        }
    }

    fn units(&mut self, vertex: usize, node: &Node) {
        let before = self.flow.before[vertex].iter().any(|&before| self.is_first[before]);
        self.is_first[vertex] = match self.nature(vertex) {
            Nature::Weighted => self.flow.weights_at(vertex).is_some_and(|weights| weights.is_channels_first),
            Nature::Norm if norm_kind(&node.operation) == "layernorm" => false,
            Nature::Pool => true,
            _ => moves_units(node).unwrap_or(before),
        };
    }

    fn light(&mut self, vertex: usize, node: &Node) {
        if let Some((_, between)) = self.groups.get(&vertex) {
            let operations = self.operations(vertex, between);
            if let Some(kind) = group(&operations) {
                self.push(vertex, kind, None);
            }
            return;
        }
        let is_join = self.flow.before[vertex].len() > 1;
        match node.operation.as_str() {
            "Add" | "Sum" if is_join => match self.skip(vertex, node) {
                Some(skip) => self.push(vertex, "residual", Some(skip)),
                None => self.push(vertex, "add", None),
            },
            "Mul" if is_join => self.push(vertex, "gate", None),
            "ReduceMean" | "ReduceMax" | "ReduceSum" if !is_join => self.push(vertex, "pool", None),
            _ => {}
        }
    }

    /// The value that a skip carries to this sum; `None` when it is not the end of a block.
    fn skip(&self, vertex: usize, node: &Node) -> Option<String> {
        let start = self.flow.dominator[vertex]?;
        let between = self.flow.between(start, vertex)?;
        if !between.iter().any(|&inner| self.flow.weights_at(inner).is_some()) {
            return None;
        }
        let ways: Vec<&String> = node.inputs.iter().filter(|input| !self.graph.is_constant(input)).collect();
        let weighted = |value: &String| {
            let Some(end) = self.flow.vertex(self.graph, value) else { return usize::MAX };
            if end == start {
                return 0;
            }
            let mut inner = self.flow.between(start, end).unwrap_or_default();
            inner.push(end);
            inner.iter().filter(|&&inner| self.flow.weights_at(inner).is_some()).count()
        };
        ways.into_iter().min_by_key(|value| weighted(value)).cloned()
    }

    /// Does a softmax weigh what is summed here?
    fn is_attention(&self, vertex: usize) -> bool {
        self.flow.before[vertex].iter().any(|&before| {
            let mut at = before;
            for _ in 0..6 {
                if self.nature(at) == Nature::Activation("softmax") {
                    return true;
                }
                if let Some((_, between)) = self.groups.get(&at) {
                    return between
                        .iter()
                        .any(|&inner| self.node(inner).is_some_and(|n| n.operation == "Exp"));
                }
                match self.flow.before[at].as_slice() {
                    [only] if self.is_light(at) => at = *only,
                    _ => return false,
                }
            }
            false
        })
    }

    /// The vertex at which a layer ends: behind its bias, or behind the scale and shift of a normalisation.
    fn tail(&self, vertex: usize, kind: &str) -> usize {
        let (mut end, mut at) = (vertex, vertex);
        let is_weighted = self.flow.weights_at(vertex).is_some();
        let takes_factors =
            !is_weighted && !matches!(kind, "residual" | "add" | "input" | "concat" | "pool" | "gate");
        for _ in 0..6 {
            let [next] = self.flow.after[at].as_slice() else { break };
            let Some(node) = self.node(*next) else { break };
            if self.flow.before[*next].len() != 1
                || self.absorbed.contains(next)
                || self.flow.weights_at(*next).is_some()
            {
                break;
            }
            let is_affine = match node.operation.as_str() {
                "Add" | "Sub" => is_weighted || takes_factors,
                "Mul" | "Div" => takes_factors,
                _ => false,
            };
            let is_with_constant = node.inputs.iter().any(|input| self.graph.is_constant(input));
            if is_affine && is_with_constant {
                end = *next;
            } else if !(is_shape_only(&node.operation)) {
                break;
            } else if kind == "attention" {
                end = *next;
            }
            at = *next;
        }
        end
    }

    fn push(&mut self, vertex: usize, kind: &str, skip: Option<String>) {
        // Attention weights have no units: a probability for each pair of positions.
        if kind == "softmax" && !self.is_main[vertex] {
            return;
        }
        let tail = self.tail(vertex, kind);
        let weights = self.flow.weights_at(vertex);
        let (node, own) = (self.node(vertex), self.node(tail));
        let weight = match weights {
            Some(weights) => Some(weights.weight.clone()),
            None => self.scale(vertex, tail, kind),
        };
        let bias = weights.and_then(|weights| weights.bias.clone()).or_else(|| self.constant_of(own?));
        let name = match (node, kind) {
            (None, _) => self.value(vertex),
            (Some(node), _) => names::of_node(node, weight.as_deref(), bias.as_deref()),
        };
        let is_data = vertex.checked_sub(self.flow.inputs).is_none_or(|at| self.graph.is_data[at]);
        let role = match (kind, self.is_main[tail] || self.is_main[vertex]) {
            _ if !is_data => Role::Table,
            (_, false) => Role::Inside,
            ("residual", true) => Role::Block,
            (_, true) => Role::Chain,
        };
        self.layer_at.insert(tail, self.layers.len());
        let is_first = self.is_first_at(tail);
        self.layers.push(Layer {
            name,
            kind: kind.into(),
            call: 0,
            value: self.value(tail),
            role,
            skip,
            weight,
            fan_in: weights.and_then(|weights| weights.fan_in),
            is_channels_first: is_first,
            vertex,
            tail,
        });
    }

    /// Where units are at a tail, which may not have been visited yet.
    fn is_first_at(&self, tail: usize) -> bool {
        let mut at = tail;
        let mut turned = None;
        for _ in 0..8 {
            if self.is_first[at] {
                return turned.unwrap_or(true);
            }
            let Some(node) = self.node(at) else { break };
            if self.flow.weights_at(at).is_some() || nature(node) == Nature::Norm {
                break;
            }
            turned = turned.or(moves_units(node));
            match self.flow.before[at].as_slice() {
                [only] => at = *only,
                _ => break,
            }
        }
        turned.unwrap_or(false) && turned == Some(true)
    }

    /// The scale of a normalisation.
    fn scale(&self, vertex: usize, tail: usize, kind: &str) -> Option<String> {
        if !kind.contains("norm") {
            return None;
        }
        let node = self.node(vertex)?;
        if let (Nature::Norm, Some(scale)) = (nature(node), node.inputs.get(1)) {
            return Some(scale.clone()).filter(|scale| self.graph.is_constant(scale));
        }
        // Taken apart: the first product with a constant vector, inside the group or behind it.
        let mut inner: Vec<usize> =
            self.groups.get(&vertex).map(|(_, between)| between.clone()).unwrap_or_default();
        inner.push(vertex);
        let mut at = vertex;
        while at != tail {
            at = *self.flow.after[at].first()?;
            inner.push(at);
        }
        inner.into_iter().rev().find_map(|inner| {
            let node = self.node(inner).filter(|node| node.operation == "Mul")?;
            let constant = self.constant_of(node)?;
            (self.graph.weight(&constant)?.count() > 1).then_some(constant)
        })
    }

    fn constant_of(&self, node: &Node) -> Option<String> {
        node.inputs.iter().find(|input| !input.is_empty() && self.graph.is_constant(input)).cloned()
    }

    /// What the model says, where no layer ends there.
    fn output(&mut self) {
        let Some(end) = self.main else { return };
        if self.layer_at.contains_key(&end) {
            return;
        }
        let mut at = end;
        for _ in 0..6 {
            let Some(node) = self.node(at).filter(|node| is_shape_only(&node.operation)) else { break };
            let Some(&before) = self.flow.before[at].first() else { break };
            if self.layer_at.contains_key(&before) && node.operation != "Slice" {
                return;
            }
            at = before;
        }
        if self.layers.iter().any(|layer| layer.vertex == end) {
            return;
        }
        self.push(end, "output", None);
        if let Some(layer) = self.layers.last_mut() {
            layer.name = "output".into();
        }
    }

    /// With post-norm the stream is what the norm behind a sum says: the next skip carries that.
    fn post_norm(&mut self) {
        let blocks: HashMap<usize, usize> = self
            .layers
            .iter()
            .enumerate()
            .filter(|(_, layer)| layer.role == Role::Block)
            .map(|(at, layer)| (layer.tail, at))
            .collect();
        let fed = |layer: &Layer| {
            let start = match self.groups.get(&layer.vertex) {
                Some((start, _)) => *start,
                None => *self.flow.before[layer.vertex].first()?,
            };
            blocks.get(&start).copied()
        };
        let norms: Vec<(usize, usize)> = self
            .layers
            .iter()
            .enumerate()
            .filter(|(_, layer)| layer.kind.contains("norm"))
            .filter_map(|(at, layer)| Some((fed(layer)?, at)))
            .collect();
        let skips: HashSet<&String> = self.layers.iter().filter_map(|layer| layer.skip.as_ref()).collect();
        let is_origin = |norm: usize| skips.contains(&self.layers[norm].value);
        if !norms.iter().any(|&(_, norm)| is_origin(norm)) {
            return;
        }
        let last = self.layers.iter().rposition(|layer| layer.role == Role::Block);
        let moved: Vec<(usize, usize)> =
            norms.iter().copied().filter(|&(block, norm)| is_origin(norm) || Some(block) == last).collect();
        for (block, norm) in moved {
            self.layers[norm].role = Role::Block;
            self.layers[norm].skip = self.layers[block].skip.take();
            self.layers[block].role = Role::Inside;
        }
    }

    /// Names are told apart; the same weight used again is another call of the same layer.
    fn names(&mut self) {
        let mut used: HashMap<String, (Option<String>, u32)> = HashMap::new();
        for layer in &mut self.layers {
            let mut name = layer.name.clone();
            for suffix in 2u32.. {
                match used.get_mut(&name) {
                    None => break,
                    Some((weight, calls)) if weight.is_some() && *weight == layer.weight => {
                        *calls += 1;
                        layer.call = *calls;
                        break;
                    }
                    Some(_) if suffix == 2 => name = format!("{}.{}", layer.name, layer.kind),
                    Some(_) => name = format!("{}.{}_{}", layer.name, layer.kind, suffix - 1),
                }
            }
            used.entry(name.clone()).or_insert((layer.weight.clone(), 0));
            layer.name = name;
        }
        names::shorten(self.layers.iter_mut().map(|layer| &mut layer.name).collect());
    }

    fn aside(&self) -> Vec<(String, usize)> {
        let mut inner: HashSet<usize> = self.absorbed.clone();
        for layer in &self.layers {
            let mut at = layer.vertex;
            inner.insert(at);
            while at != layer.tail {
                let Some(&next) = self.flow.after[at].first() else { break };
                at = next;
                inner.insert(at);
            }
        }
        let mut counts: std::collections::BTreeMap<String, usize> = Default::default();
        for at in 0..self.graph.nodes.len() {
            let vertex = self.flow.inputs + at;
            if self.flow.is_featured[vertex] && !inner.contains(&vertex) {
                *counts.entry(self.graph.nodes[at].operation.clone()).or_default() += 1;
            }
        }
        counts.into_iter().collect()
    }
}

/// The output that most layers with weights lead to; the first of them.
fn main_output(graph: &Graph, flow: &Flow) -> Option<usize> {
    let mut best: Option<(usize, usize)> = None;
    for output in &graph.outputs {
        let Some(Maker::Node(at, _)) = graph.makers.get(&output.name) else { continue };
        let vertex = flow.inputs + at;
        if !flow.is_featured[vertex] {
            continue;
        }
        let mut seen = HashSet::new();
        let mut stack = vec![vertex];
        let mut weighted = 0;
        while let Some(at) = stack.pop() {
            if seen.insert(at) {
                weighted += usize::from(flow.weights_at(at).is_some());
                stack.extend(&flow.before[at]);
            }
        }
        if best.is_none_or(|(most, _)| weighted > most) {
            best = Some((weighted, vertex));
        }
    }
    best.map(|(_, vertex)| vertex)
}
