//! One text for one value: the basis of a run's identity.

use serde_json::Value;

/// Version of the meaning of specifications. Changing a default or the meaning of a key changes it, so that old results
/// are never shown under a new meaning.
pub const VERSION: &str = "carnot.spec/1";

/// JSON with sorted keys and without blanks. Equal values have equal texts, and a text holds every bit of its numbers.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            // Sorted here and not by the map, which keeps insertion order when any crate asks serde_json for that.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, value)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(value, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string())
        }
    }
}

/// 64 hexadecimal digits that name a resolved specification.
pub fn identity(verb: &str, spec: &Value) -> String {
    blake3::hash(format!("{VERSION}\n{verb}\n{}", text(spec)).as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_and_blanks_do_not_count() {
        let a: Value = serde_json::from_str(r#"{"b": [1, 2.50], "a": {"y": null, "x": "é\n"}}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"a":{"x":"é\n","y":null},"b":[1,2.5]}"#).unwrap();
        assert_eq!(text(&a), r#"{"a":{"x":"é\n","y":null},"b":[1,2.5]}"#);
        assert_eq!(identity("predict", &a), identity("predict", &b));
    }

    #[test]
    fn the_last_bit_of_a_number_counts() {
        let next = f64::from_bits(0.1f64.to_bits() + 1);
        assert_ne!(identity("predict", &json!({"a": 0.1})), identity("predict", &json!({"a": next})));
        assert_ne!(identity("predict", &json!({})), identity("check", &json!({})));
    }

    /// A changed hash means that every run on every disk would be lost and done again: change `VERSION` then.
    #[test]
    fn the_identity_of_a_known_specification_never_changes() {
        let spec = json!({"network": {"input": [4], "layers": [{"dense": 2}]}, "seed": 7, "c_w": 1.0});
        assert_eq!(
            identity("predict", &spec),
            "303e46916d74dcfd4fffcd78e5d3d3a5489b9453e9c7a81f573af45fe579cef2"
        );
    }
}
