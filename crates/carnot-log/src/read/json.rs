//! One JSON value → numbers by name. NaN and Infinity, which Python writes and JSON forbids, are numbers here.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::number;

/// Objects inside objects that are looked into.
const DEEPEST: usize = 8;

/// A JSON value; bare `NaN`, `Infinity`, `nan`, `inf` and the negative ones become texts.
///
/// # Errors
/// The reader's own.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&quoted(text))
}

/// The same text with bare words that are no JSON between quotes.
fn quoted(text: &str) -> Cow<'_, str> {
    const BARE: [&str; 6] = ["-Infinity", "Infinity", "-inf", "inf", "NaN", "nan"];
    if !BARE.iter().any(|bare| text.contains(bare)) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest, mut is_text) = (String::with_capacity(text.len() + 16), text, false);
    while let Some(c) = rest.chars().next() {
        let bare = BARE.into_iter().find(|bare| !is_text && rest.starts_with(bare));
        if let Some(bare) = bare {
            out.extend(["\"", bare, "\""]);
            rest = &rest[bare.len()..];
            continue;
        }
        let taken = if is_text && c == '\\' {
            1 + rest[1..].chars().next().map_or(0, char::len_utf8)
        } else {
            c.len_utf8()
        };
        is_text ^= c == '"';
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    Cow::Owned(out)
}

/// Every number of an object, names of nested ones joined by points. Lists and other texts are left out.
pub fn numbers(object: &Map<String, Value>, take: &mut dyn FnMut(&str, f64)) {
    inside(object, "", 0, take);
}

fn inside(object: &Map<String, Value>, before: &str, depth: usize, take: &mut dyn FnMut(&str, f64)) {
    for (key, value) in object {
        let name = format!("{before}{key}");
        match value {
            Value::Object(inner) if depth < DEEPEST => inside(inner, &format!("{name}."), depth + 1, take),
            other => {
                if let Some(value) = one(other) {
                    take(&name, value);
                }
            }
        }
    }
}

/// The number that a value is: flags count 0 and 1, texts that read as numbers are numbers.
#[must_use]
pub fn one(value: &Value) -> Option<f64> {
    match value {
        Value::Number(value) => value.as_f64(),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::String(text) => number(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_no_json_are_numbers_outside_texts() {
        let value = parse(r#"{"a NaN \" NaN": NaN, "b": {"c": -Infinity, "d": true, "e": "1e-3"}, "f": [1], "g": Infinity}"#).unwrap();
        let mut found = Vec::new();
        numbers(value.as_object().unwrap(), &mut |name, value| found.push((name.to_string(), value)));
        assert_eq!(found.len(), 5);
        assert!(found[0].0 == "a NaN \" NaN" && found[0].1.is_nan());
        assert_eq!(found[1], ("b.c".into(), f64::NEG_INFINITY));
        assert_eq!(found[2..4], [("b.d".into(), 1.0), ("b.e".into(), 1e-3)]);
        assert!(parse("{\"a\": Nan}").is_err() && parse("{\"é\\").is_err());
    }
}
