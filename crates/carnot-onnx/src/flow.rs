//! How features flow: which values come from layers, and through which of them everything has to pass.

use std::collections::HashSet;

use crate::graph::{Graph, Maker};
use crate::model::Axis;
use crate::operations::{Nature, Weights, nature, weights};

/// Vertices that are looked at between two others.
const BETWEEN: usize = 5_000;

/// Features of a graph. Vertices are its inputs, then its nodes.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// Number of inputs: the vertex of node `at` is `inputs + at`.
    pub inputs: usize,
    /// Nodes that are layers with weights.
    pub weights: Vec<Option<Weights>>,
    /// Does a vertex carry features: is it made by a layer with weights, or from what such a layer made?
    pub is_featured: Vec<bool>,
    /// Featured vertices that a featured vertex needs, each once.
    pub before: Vec<Vec<usize>>,
    /// Featured vertices that need it.
    pub after: Vec<Vec<usize>>,
    /// The last vertex that everything on the way to this one has to pass; `None` where there is none.
    pub dominator: Vec<Option<usize>>,
    depth: Vec<u32>,
}

/// Is the type one of real numbers?
#[must_use]
pub fn is_real(element: Option<i64>) -> bool {
    matches!(element, Some(1 | 10 | 11 | 16))
}

impl Flow {
    /// Of a graph in order.
    #[must_use]
    pub fn of(graph: &Graph) -> Flow {
        let m = graph.inputs.len();
        let n = m + graph.nodes.len();
        let found: Vec<Option<Weights>> = graph.nodes.iter().map(|node| weights(graph, node)).collect();
        let mut flow = Flow {
            inputs: m,
            weights: found,
            is_featured: vec![false; n],
            before: vec![Vec::new(); n],
            after: vec![Vec::new(); n],
            dominator: vec![None; n],
            depth: vec![0; n],
        };
        flow.roots(graph);
        for at in 0..graph.nodes.len() {
            flow.visit(graph, at);
        }
        flow
    }

    /// The vertex that makes a value.
    #[must_use]
    pub fn vertex(&self, graph: &Graph, value: &str) -> Option<usize> {
        graph.makers.get(value).map(|maker| match *maker {
            Maker::Input(at) => at,
            Maker::Node(at, _) => self.inputs + at,
        })
    }

    /// Inputs of real vectors that a layer with weights takes, directly or behind light operations.
    fn roots(&mut self, graph: &Graph) {
        for (at, found) in self.weights.iter().enumerate() {
            let Some(found) = found else { continue };
            let mut value = &graph.nodes[at].inputs[found.data];
            for _ in 0..16 {
                match graph.makers.get(value) {
                    Some(&Maker::Input(input)) => {
                        let declared = &graph.inputs[input];
                        let has_vectors = declared.axes.as_ref().is_none_or(|axes| axes.len() > 1);
                        let is_scalar = matches!(declared.axes.as_deref(), Some([Axis::Size(1)]));
                        if is_real(declared.element) && has_vectors && !is_scalar {
                            self.is_featured[input] = true;
                        }
                        break;
                    }
                    Some(&Maker::Node(before, _)) if nature(&graph.nodes[before]) == Nature::Light => {
                        let node = &graph.nodes[before];
                        let Some(next) = node.inputs.iter().find(|input| !graph.is_constant(input)) else {
                            break;
                        };
                        value = next;
                    }
                    _ => break,
                }
            }
        }
    }

    fn visit(&mut self, graph: &Graph, at: usize) {
        let vertex = self.inputs + at;
        if !graph.is_data[at] {
            return;
        }
        let mut before: Vec<usize> = graph.nodes[at]
            .inputs
            .iter()
            .filter_map(|input| self.vertex(graph, input))
            .filter(|&vertex| self.is_featured[vertex])
            .collect();
        before.sort_unstable();
        before.dedup();
        self.is_featured[vertex] = self.weights[at].is_some() || !before.is_empty();
        if !self.is_featured[vertex] {
            return;
        }
        let mut common = before.first().copied();
        for &other in before.iter().skip(1) {
            common = common.and_then(|found| self.common(found, other));
        }
        self.dominator[vertex] = common;
        self.depth[vertex] = common.map_or(0, |found| self.depth[found] + 1);
        for &earlier in &before {
            self.after[earlier].push(vertex);
        }
        self.before[vertex] = before;
    }

    /// The last vertex that the ways to both have to pass.
    fn common(&self, a: usize, b: usize) -> Option<usize> {
        let (mut a, mut b) = (a, b);
        while a != b {
            if self.depth[a] < self.depth[b] || (self.depth[a] == self.depth[b] && a < b) {
                std::mem::swap(&mut a, &mut b);
            }
            a = self.dominator[a]?;
        }
        Some(a)
    }

    /// Vertices on the ways from `start` to `end`, both left out; `None` when they are too many.
    #[must_use]
    pub fn between(&self, start: usize, end: usize) -> Option<Vec<usize>> {
        let mut seen = HashSet::from([start]);
        let (mut stack, mut found) = (self.before[end].clone(), Vec::new());
        while let Some(vertex) = stack.pop() {
            if !seen.insert(vertex) {
                continue;
            }
            found.push(vertex);
            if found.len() > BETWEEN {
                return None;
            }
            stack.extend(&self.before[vertex]);
        }
        found.sort_unstable();
        Some(found)
    }

    /// Vertices that everything on the way to `end` has to pass, `end` included.
    #[must_use]
    pub fn line(&self, end: usize) -> Vec<usize> {
        let mut line = vec![end];
        while let Some(before) = self.dominator[line[line.len() - 1]] {
            line.push(before);
        }
        line.reverse();
        line
    }

    /// The layer with weights at a vertex.
    #[must_use]
    pub fn weights_at(&self, vertex: usize) -> Option<&Weights> {
        self.weights.get(vertex.checked_sub(self.inputs)?)?.as_ref()
    }
}
