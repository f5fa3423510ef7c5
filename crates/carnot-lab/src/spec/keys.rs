//! The keys of a specification, read from its JSON schema and its default value.

use serde_json::{Map, Value};

use crate::experiments::question::Verb;

/// One key: flag, TOML key and line of `carnot new`.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// As in TOML: `c_w`.
    pub name: String,
    /// What it means; the first paragraph stands alone.
    pub doc: String,
    /// What it takes.
    pub kind: Kind,
    /// May it be left without a value?
    pub is_optional: bool,
    /// Its value when nothing is given.
    pub default: Value,
}

/// What a key takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Whole numbers, within the bounds.
    Integer(Option<f64>, Option<f64>),
    /// Numbers, within the bounds.
    Number(Option<f64>, Option<f64>),
    /// Yes or no.
    Boolean,
    /// Any text.
    Text,
    /// One of these words, each with its meaning.
    Choice(Vec<(String, String)>),
    /// Several of one kind.
    List(Box<Kind>),
    /// Something else: text, number or table; its reader decides.
    Any,
}

/// The key that is given without a flag.
pub const POSITIONAL: &str = "network";

impl Key {
    /// The flag: `--c-w`, or `NETWORK`.
    pub fn flag(&self) -> String {
        if self.is_positional() { "NETWORK".into() } else { format!("--{}", self.name.replace('_', "-")) }
    }

    /// Is it given without a flag?
    pub fn is_positional(&self) -> bool {
        self.name == POSITIONAL
    }

    /// What it takes, in words.
    pub fn accepts(&self) -> String {
        if self.is_positional() {
            return "a shorthand such as 784-128x50-10, a TOML file, or a table with input and layers".into();
        }
        let none = if self.is_optional { ", or none" } else { "" };
        format!("{}{none}", words(&self.kind))
    }

    /// The choices, when there are only so many.
    pub fn choices(&self) -> Vec<&str> {
        match &self.kind {
            Kind::Choice(choices) => choices.iter().map(|(word, _)| word.as_str()).collect(),
            _ => Vec::new(),
        }
    }
}

fn words(kind: &Kind) -> String {
    match kind {
        Kind::Integer(low, high) => format!("a whole number{}", range(*low, *high)),
        Kind::Number(low, high) => format!("a number{}", range(*low, *high)),
        Kind::Boolean => "true or false".into(),
        Kind::Text => "text".into(),
        Kind::Choice(choices) => {
            let words: Vec<&str> = choices.iter().map(|(word, _)| word.as_str()).collect();
            format!("one of {}", words.join(", "))
        }
        Kind::List(inner) => format!("a list, each {}", words(inner)),
        Kind::Any => "text, a number or a table".into(),
    }
}

fn range(low: Option<f64>, high: Option<f64>) -> String {
    // The limits of the machine's integers say nothing to a person.
    let high = high.filter(|high| *high < 1e15);
    match (low, high) {
        (Some(low), Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None) => format!(" of at least {low}"),
        (None, Some(high)) => format!(" of at most {high}"),
        (None, None) => String::new(),
    }
}

/// The keys of an experiment, in the order of its fields; the positional one first.
pub fn keys(verb: &dyn Verb) -> Vec<Key> {
    let schema = verb.schema();
    let defaults = verb.defaults();
    let none = Map::new();
    let definitions = schema["$defs"].as_object().unwrap_or(&none);
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let one = |(name, property): (&String, &Value)| {
        let (kind, is_optional) = kind(property, definitions);
        let doc = described(property, definitions);
        Key { name: name.clone(), doc, kind, is_optional, default: defaults[name].clone() }
    };
    let mut keys: Vec<Key> = properties.iter().map(one).collect();
    let order = verb.order();
    let place = |key: &Key| order.iter().position(|name| *name == key.name).unwrap_or(order.len());
    keys.sort_by_key(|key| (!key.is_positional(), place(key)));
    keys
}

/// First paragraph of a doc comment, on one line.
pub fn first_paragraph(doc: &str) -> String {
    let paragraph = doc.split("\n\n").next().unwrap_or("");
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn described(property: &Value, definitions: &Map<String, Value>) -> String {
    let text = |value: &Value| value["description"].as_str().map(str::to_string);
    let own = text(property);
    own.or_else(|| target(property, definitions).and_then(text)).unwrap_or_default()
}

fn target<'a>(schema: &Value, definitions: &'a Map<String, Value>) -> Option<&'a Value> {
    let name = schema["$ref"].as_str()?.strip_prefix("#/$defs/")?;
    definitions.get(name)
}

/// What a schema takes, and whether it also takes nothing.
fn kind(schema: &Value, definitions: &Map<String, Value>) -> (Kind, bool) {
    if let Some(target) = target(schema, definitions) {
        return kind(target, definitions);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(variants) = schema[key].as_array() {
            return union(variants, definitions);
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let is_optional = words.iter().any(Value::is_null);
        let words = words.iter().filter_map(|word| Some((word.as_str()?.to_string(), String::new())));
        return (Kind::Choice(words.collect()), is_optional);
    }
    typed(schema, definitions)
}

fn union(variants: &[Value], definitions: &Map<String, Value>) -> (Kind, bool) {
    let is_null = |variant: &&Value| variant["type"] == "null";
    let is_optional = variants.iter().any(|variant| is_null(&variant));
    let rest: Vec<&Value> = variants.iter().filter(|variant| !is_null(variant)).collect();
    if let [only] = rest[..] {
        let (kind, also) = kind(only, definitions);
        return (kind, is_optional || also);
    }
    let mut choices = Vec::new();
    for variant in rest {
        let doc = first_paragraph(variant["description"].as_str().unwrap_or(""));
        match (variant["const"].as_str(), variant["enum"].as_array()) {
            (Some(word), _) => choices.push((word.to_string(), doc)),
            (None, Some(words)) => choices
                .extend(words.iter().filter_map(|word| Some((word.as_str()?.to_string(), doc.clone())))),
            (None, None) => return (Kind::Any, is_optional),
        }
    }
    (Kind::Choice(choices), is_optional)
}

fn typed(schema: &Value, definitions: &Map<String, Value>) -> (Kind, bool) {
    let names: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_optional = names.contains(&"null");
    let names: Vec<&str> = names.into_iter().filter(|name| *name != "null").collect();
    let (low, high) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let kind = match names[..] {
        ["integer"] => Kind::Integer(low, high),
        ["number"] => Kind::Number(low, high),
        ["boolean"] => Kind::Boolean,
        ["string"] => Kind::Text,
        ["array"] => Kind::List(Box::new(kind(&schema["items"], definitions).0)),
        _ => Kind::Any,
    };
    (kind, is_optional)
}
