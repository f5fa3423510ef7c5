//! The JSON is the contract: its shape follows the schema, it round-trips, and no number in it is broken.

use carnot_report::profile::{Column, Profile};
use carnot_report::{example, json, report::Report};
use serde_json::{Value, json};

fn examples() -> Vec<(&'static str, Report)> {
    vec![
        ("check", example::check()),
        ("healthy", example::healthy()),
        ("hostile", example::hostile()),
        ("watched", example::watched()),
        ("predict", example::predict()),
        ("ensemble", example::ensemble()),
        ("load", example::load()),
        ("border", example::border()),
        ("empty", Report::new("check", "")),
    ]
}

#[test]
fn every_report_round_trips() {
    for (name, report) in examples() {
        let back =
            json::from_str(&json::to_string(&report)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(back, report, "{name}");
    }
}

#[test]
fn every_report_follows_the_schema() {
    let schema = json::schema();
    for (name, report) in examples() {
        let value: Value = serde_json::from_str(&json::to_string(&report)).expect("JSON");
        if let Err(why) = follows(&value, &schema, &schema) {
            panic!("{name}: {why}");
        }
    }
}

#[test]
fn the_schema_changes_only_on_purpose() {
    insta::assert_json_snapshot!("schema", json::schema());
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let schema = json::schema();
    let good: Value = serde_json::from_str(&json::to_string(&example::check())).expect("JSON");
    let spoilt = |pointer: &str, with: Value| {
        let mut value = good.clone();
        *value.pointer_mut(pointer).expect("the place exists") = with;
        follows(&value, &schema, &schema)
    };
    assert!(follows(&good, &schema, &schema).is_ok());
    assert!(spoilt("/schema", json!("carnot.report/2")).is_err());
    assert!(spoilt("/verdict/word", json!("maybe")).is_err());
    assert!(spoilt("/findings/0/level", json!(3)).is_err());
    assert!(spoilt("/profiles/0/columns/kernel/value", json!(["NaN"])).is_err());
    assert!(spoilt("/coverage", json!({ "read": 1 })).is_err());
}

#[test]
fn the_shape_is_the_promised_one() {
    let value: Value = serde_json::from_str(&json::to_string(&example::check())).expect("JSON");
    let promised = [
        ("/schema", json!("carnot.report/1")),
        ("/id", json!("3f9c2a")),
        ("/command", json!("check")),
        ("/verdict/word", json!("will-not-learn")),
        ("/findings/1/code", json!("S101")),
        ("/findings/1/level", json!("blocks")),
        ("/findings/1/at", json!("fc.9")),
        ("/findings/1/remedy/action", json!({ "init": { "c_w": 1.0, "c_b": 0.0 } })),
        ("/findings/1/remedy/safety", json!("safe")),
        ("/profiles/0/source", json!("theory")),
        ("/profiles/0/step", json!(0)),
        ("/profiles/0/layers/0", json!("fc.0")),
        ("/profiles/0/columns/kernel/symbol", json!("K")),
        ("/profiles/0/columns/kernel/value/0", json!(0.334)),
        ("/profiles/0/columns/kernel/error/0", json!(0.0)),
        ("/profiles/0/columns/kernel/missing", json!([])),
        ("/coverage/read", json!(51)),
        ("/coverage/skipped", json!([])),
        ("/provenance/seed", json!(7)),
        ("/provenance/device", json!("cpu")),
    ];
    for (pointer, expect) in promised {
        assert_eq!(value.pointer(pointer), Some(&expect), "{pointer}");
    }
}

#[test]
fn what_only_one_command_says_is_at_the_top_level() {
    let value: Value = serde_json::from_str(&json::to_string(&example::predict())).expect("JSON");
    assert_eq!(value["criticality"]["c_w"], json!(1.0));
    assert_eq!(value["verdict"], Value::Null);
    assert!(value.get("extra").is_none());
}

#[test]
fn a_number_that_is_not_finite_becomes_null_with_a_reason() {
    let mut report = Report::new("check", "");
    let mut profile = Profile::new("measured", 0, vec!["a".into(), "b".into()]);
    profile.insert("kernel", Column::measured("K", &[f64::NAN, f64::NEG_INFINITY], &[f64::INFINITY, 0.1]));
    report.profiles.push(profile);
    let value: Value = serde_json::from_str(&json::to_string(&report)).expect("JSON");
    let column = &value["profiles"][0]["columns"]["kernel"];
    assert_eq!(column["value"], json!([null, null]));
    assert_eq!(column["error"], json!([null, 0.1]));
    assert_eq!(column["missing"].as_array().map(Vec::len), Some(2));
}

#[test]
fn another_version_is_refused() {
    let text = json::to_string(&example::check()).replace("carnot.report/1", "carnot.report/9");
    assert!(json::from_str(&text).is_err());
}

/// The part of JSON Schema that our own schema uses; an unknown keyword is a failure, not a pass.
fn follows(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    let Some(rules) = schema.as_object() else {
        return if schema == &Value::Bool(true) { Ok(()) } else { Err(format!("{value} is not allowed")) };
    };
    for (keyword, rule) in rules {
        check(keyword, rule, rules, value, root)?;
    }
    Ok(())
}

fn check(
    keyword: &str,
    rule: &Value,
    rules: &serde_json::Map<String, Value>,
    value: &Value,
    root: &Value,
) -> Result<(), String> {
    let list = || rule.as_array().expect("a list of schemas").iter();
    let fail = |why: &str| {
        Err(format!("{keyword}: {why}: {}", value.to_string().chars().take(200).collect::<String>()))
    };
    match keyword {
        "$schema" | "$defs" | "title" | "description" | "default" | "format" => Ok(()),
        "$ref" => {
            let pointer = rule.as_str().expect("a pointer").trim_start_matches('#');
            follows(value, root.pointer(pointer).expect("the reference leads somewhere"), root)
        }
        "type" => {
            let names: Vec<&str> = match rule {
                Value::String(name) => vec![name],
                other => other.as_array().expect("types").iter().filter_map(Value::as_str).collect(),
            };
            if names.iter().any(|name| is_of(value, name)) { Ok(()) } else { fail(&format!("not {names:?}")) }
        }
        "const" => {
            if value == rule {
                Ok(())
            } else {
                fail("another constant")
            }
        }
        "enum" => {
            if list().any(|one| one == value) {
                Ok(())
            } else {
                fail("not in the list")
            }
        }
        "minimum" => {
            let low = rule.as_f64().expect("a number");
            if value.as_f64().is_none_or(|number| number >= low) { Ok(()) } else { fail("too small") }
        }
        "oneOf" => match list().filter(|one| follows(value, one, root).is_ok()).count() {
            1 => Ok(()),
            n => fail(&format!("{n} alternatives hold")),
        },
        "anyOf" => {
            if list().any(|one| follows(value, one, root).is_ok()) {
                Ok(())
            } else {
                fail("no alternative")
            }
        }
        "allOf" => list().try_for_each(|one| follows(value, one, root)),
        "required" => {
            let Some(object) = value.as_object() else { return Ok(()) };
            match list().filter_map(Value::as_str).find(|key| !object.contains_key(*key)) {
                Some(key) => fail(&format!("no {key}")),
                None => Ok(()),
            }
        }
        "properties" => {
            let known = rule.as_object().expect("properties");
            let Some(object) = value.as_object() else { return Ok(()) };
            object.iter().try_for_each(|(key, inner)| match known.get(key) {
                Some(schema) => follows(inner, schema, root).map_err(|why| format!("{key}/{why}")),
                None => Ok(()),
            })
        }
        "additionalProperties" => {
            let known = rules.get("properties").and_then(Value::as_object);
            let Some(object) = value.as_object() else { return Ok(()) };
            let others = object.iter().filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key)));
            others.map(|(_, inner)| inner).try_for_each(|inner| follows(inner, rule, root))
        }
        "items" => {
            let Some(items) = value.as_array() else { return Ok(()) };
            items.iter().try_for_each(|item| follows(item, rule, root))
        }
        other => panic!("teach this test the keyword {other}"),
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    }
}
