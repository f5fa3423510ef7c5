//! A file of settings with every key explained: what `carnot new` prints.

use serde_json::Value;

use super::keys::{Key, first_paragraph, keys};
use crate::experiments::question::Verb;

/// The network that the file starts with: small, and as wide at its ends as the embedded digits.
pub const NETWORK: &str = "64-128x10-10";

/// Columns of a comment.
const WIDTH: usize = 100;

/// The file. It can be read back as it is; a key without a default stands there as a comment.
pub fn toml(verb: &dyn Verb) -> String {
    let about = verb.schema()["description"].as_str().map(first_paragraph).unwrap_or_default();
    let name = verb.verb();
    let mut text =
        format!("# carnot {name}: {about}\n#\n#     carnot {name} FILE\n\nexperiment = \"{name}\"\n");
    for key in keys(verb) {
        text += &entry(&key);
    }
    text
}

fn entry(key: &Key) -> String {
    let mut text = String::from("\n");
    for paragraph in key.doc.split("\n\n") {
        text += &comment(&paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    if !key.is_positional() {
        text += &comment(&format!("Takes {}.", key.accepts()));
    }
    let value =
        if key.is_positional() { Some(Value::from(NETWORK).to_string()) } else { inline(&key.default) };
    match value {
        Some(value) => text += &format!("{} = {value}\n", key.name),
        None => text += &format!("# {} =\n", key.name),
    }
    text
}

fn comment(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a last line");
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line != "#" {
            lines.push(format!("# {word}"));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A JSON value as TOML on one line; `None` for null, which TOML does not have.
pub fn inline(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        // Whatever JSON escapes in a text, TOML escapes in the same way.
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value.to_string()),
        Value::Array(values) => {
            let values: Option<Vec<String>> = values.iter().map(inline).collect();
            values.map(|values| format!("[{}]", values.join(", ")))
        }
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                inline(value).map(|value| format!("{} = {value}", quoted(key)))
            };
            let entries: Vec<String> = map.iter().filter_map(entry).collect();
            Some(format!("{{ {} }}", entries.join(", ")))
        }
    }
}

fn quoted(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { key.into() } else { Value::from(key).to_string() }
}
