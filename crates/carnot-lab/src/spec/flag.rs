//! The text after a flag as a value of its key.

use serde_json::Value;

use super::keys::{Key, Kind};

/// The values that a text may stand for, the likeliest first; empty when it cannot be a value of this kind.
pub fn candidates(key: &Key, text: &str) -> Vec<Value> {
    // `none` leaves a key without a value, unless it is one of its words, as for --scaling.
    let is_word = matches!(&key.kind, Kind::Text) || key.choices().contains(&"none");
    if key.is_optional && text == "none" && !is_word {
        return vec![Value::Null];
    }
    values(&key.kind, text)
}

fn values(kind: &Kind, text: &str) -> Vec<Value> {
    match kind {
        Kind::Integer(..) => whole(text).into_iter().collect(),
        Kind::Number(..) => number(text).into_iter().collect(),
        Kind::Boolean => boolean(text).into_iter().collect(),
        Kind::Text | Kind::Choice(_) => vec![Value::from(text)],
        Kind::List(inner) => list(inner, text).into_iter().collect(),
        Kind::Any => [Value::from(text)].into_iter().chain(inline(text)).collect(),
    }
}

/// Whole numbers, also as `1e6`.
fn whole(text: &str) -> Option<Value> {
    let exact = text.parse::<u64>().map(Value::from).or_else(|_| text.parse::<i64>().map(Value::from)).ok();
    // Up to 2^53 every whole number is a float, so nothing is lost on the way.
    let float =
        || text.parse::<f64>().ok().filter(|x| x.fract() == 0.0 && x.abs() <= 9_007_199_254_740_992.0);
    exact.or_else(|| float().map(|x| Value::from(x as i64)))
}

fn number(text: &str) -> Option<Value> {
    let number = text.parse::<f64>().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

fn boolean(text: &str) -> Option<Value> {
    match text {
        "true" | "yes" | "on" => Some(Value::Bool(true)),
        "false" | "no" | "off" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn list(inner: &Kind, text: &str) -> Option<Value> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let values: Option<Vec<Value>> = parts.map(|part| values(inner, part).into_iter().next()).collect();
    values.map(Value::Array)
}

/// As in a TOML file: a number, a list, a table in braces.
fn inline(text: &str) -> Option<Value> {
    let value = toml::de::DeValue::parse(text).ok()?;
    super::file::json(value.get_ref()).ok()
}
