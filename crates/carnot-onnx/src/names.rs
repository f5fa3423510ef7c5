//! Names of layers: those of the modules that the exporter wrote into weights and nodes.

use std::collections::HashSet;

use crate::model::Node;

/// Ends of the names of weights that say which parameter of a module it is.
const PARAMETERS: &[&str] =
    &["weight", "bias", "kernel", "gamma", "beta", "scale", "embedding", "weight_quantized"];

/// The name of the layer that a node is.
#[must_use]
pub fn of_node(node: &Node, weight: Option<&str>, bias: Option<&str>) -> String {
    let of_parameters = [weight, bias].into_iter().flatten().find_map(module_of);
    of_parameters.unwrap_or_else(|| of_path(&node.title(), &node.operation))
}

/// `encoder.layer.0.output.dense` of `encoder.layer.0.output.dense.weight`; `None` of a number that an exporter made up.
fn module_of(parameter: &str) -> Option<String> {
    if parameter.contains("::") || parameter.contains(':') {
        return None;
    }
    let (module, end) = parameter.rsplit_once('.')?;
    (PARAMETERS.contains(&end) && !module.is_empty()).then(|| dotted(module))
}

/// The path of a node without its operation: `/encoder/layer.0/attention/MatMul` → `encoder.layer.0.attention`.
fn of_path(path: &str, operation: &str) -> String {
    let path = path.split(':').next().unwrap_or(path);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let inner = match parts.as_slice() {
        [] => return operation.to_lowercase(),
        [only] => return dotted(only.strip_suffix("_output_0").unwrap_or(only)),
        [inner @ .., _] => inner,
    };
    let mut kept: Vec<&str> = Vec::new();
    for part in inner {
        // Exporters repeat the module whose forward calls it: `model/model.0`.
        if kept
            .last()
            .is_some_and(|before| part.strip_prefix(before).is_some_and(|rest| rest.starts_with('.')))
        {
            kept.pop();
        }
        kept.push(part);
    }
    dotted(&kept.join("."))
}

fn dotted(path: &str) -> String {
    path.replace('/', ".").trim_matches('.').to_string()
}

/// Takes off what all names begin with: a wrapper around the model tells no layer from another.
pub fn shorten(mut names: Vec<&mut String>) {
    loop {
        let first = |name: &String| name.split_once('.').map(|(first, _)| first.to_string());
        let paths: Vec<Option<String>> =
            names.iter().filter(|name| !is_plain(name)).map(|name| first(name)).collect();
        let Some(Some(prefix)) = paths.first().cloned() else { return };
        if paths.len() < 3 || paths.iter().any(|path| path.as_ref() != Some(&prefix)) {
            return;
        }
        let shorter: Vec<String> = names
            .iter()
            .map(|name| match is_plain(name) {
                true => (*name).clone(),
                false => name[prefix.len() + 1..].to_string(),
            })
            .collect();
        let distinct: HashSet<&String> = shorter.iter().collect();
        let before: HashSet<String> = names.iter().map(|name| (*name).clone()).collect();
        // A number alone says nothing: `layer.0.query` stays.
        let is_bare = shorter.iter().any(|name| name.starts_with(|c: char| c.is_ascii_digit()));
        if distinct.len() < before.len() || is_bare {
            return;
        }
        for (name, shorter) in names.iter_mut().zip(shorter) {
            **name = shorter;
        }
    }
}

/// Names of inputs and outputs, which no module gave.
fn is_plain(name: &str) -> bool {
    !name.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_modules() {
        let node = |name: &str, operation: &str| Node {
            name: name.into(),
            operation: operation.into(),
            outputs: vec!["out:0".into()],
            ..Node::default()
        };
        let rows = [
            ("/a/MatMul", None, Some("encoder.0.dense.bias"), "encoder.0.dense"),
            ("/encoder/encoder.0/dense/MatMul", Some("onnx::MatMul_470"), None, "encoder.0.dense"),
            ("jax/Net/Dense_1/MatMul", Some("jax/Const_24:0"), None, "jax.Net.Dense_1"),
            ("MatMul_3", None, None, "MatMul_3"),
            ("", None, None, "out"),
        ];
        for (name, weight, bias, expect) in rows {
            assert_eq!(of_node(&node(name, "MatMul"), weight, bias), expect, "{name}");
        }
    }

    #[test]
    fn what_all_names_share_is_taken_off_and_nothing_else() {
        let mut names: Vec<String> = ["m.e.0.q", "m.e.0.k", "m.e.1.q", "input"].map(String::from).into();
        shorten(names.iter_mut().collect());
        assert_eq!(names, ["e.0.q", "e.0.k", "e.1.q", "input"]);
        let mut names: Vec<String> = ["a.q", "b.q", "a.k"].map(String::from).into();
        shorten(names.iter_mut().collect());
        assert_eq!(names, ["a.q", "b.q", "a.k"]);
    }
}
