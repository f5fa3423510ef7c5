//! A TOML file of settings: either a bare network (`input`, `layers`), or `network = …` with the keys of an experiment.

use std::path::Path;

use carnot_net::network::Network;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Setting;
use super::keys::{Key, POSITIONAL};
use crate::error::{LabError, Origin, Source};
use crate::experiments::question::Verb;

/// Longest file that is read. Chosen: a network written out layer by layer, 10,000 of them, has half of this.
const LONGEST: u64 = 1 << 20;

/// Reads a text file, refusing what cannot be one before reading it.
///
/// # Errors
/// [`LabError::File`] and [`LabError::NotSettings`].
pub fn source(path: &str) -> Result<Source, LabError> {
    let failed = |error| LabError::File { path: path.into(), error };
    let not = |why| LabError::NotSettings { path: path.into(), why };
    let about = std::fs::metadata(path).map_err(failed)?;
    if about.is_dir() {
        return Err(not("it is a directory"));
    }
    // A pipe or a device has no length, and reading one may never end.
    if !about.is_file() {
        return Err(not("it is not a regular file"));
    }
    if about.len() > LONGEST {
        return Err(not("it is longer than 1 MiB"));
    }
    let bytes = std::fs::read(Path::new(path)).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| not("it is not UTF-8 text"))?;
    if text.trim().is_empty() {
        return Err(not("it is empty"));
    }
    Ok(Source { path: path.into(), text: text.into() })
}

/// The settings that a file gives, each checked by itself later.
///
/// # Errors
/// TOML syntax, unknown keys, a file for another experiment, a network that cannot be read; all with their place.
pub fn settings(source: &Source, verb: &dyn Verb, keys: &[Key]) -> Result<Vec<Setting>, LabError> {
    let at = |span| Origin::File(source.clone(), span);
    let parsed = DeTable::parse(&source.text).map_err(|error| LabError::Toml {
        message: first_line(error.message()),
        origin: at(error.span().unwrap_or(0..0)),
    })?;
    let table = parsed.into_inner();
    let in_network = |error| LabError::Network { error, file: Some(source.clone()) };
    if table.contains_key("layers") || (table.contains_key("input") && !table.contains_key(POSITIONAL)) {
        let network = Network::from_toml(&source.text).map_err(in_network)?;
        return Ok(vec![Setting { key: POSITIONAL.into(), value: plain(&network), origin: at(0..0) }]);
    }
    let mut settings = Vec::new();
    for (key, value) in table {
        let (key_at, span) = (key.span(), value.span());
        let name = key.into_inner();
        if name == "experiment" {
            check_experiment(&value, verb, at(span))?;
            continue;
        }
        if !keys.iter().any(|known| known.name == name) {
            return Err(unknown(&name, verb, keys, at(key_at)));
        }
        let value = match value.get_ref() {
            DeValue::Table(_) if name == POSITIONAL => {
                plain(&Network::from_value(value, "[network]").map_err(in_network)?)
            }
            other => json(other).map_err(|message| {
                wrong(&name, &source.text[span.clone()], message, keys, at(span.clone()))
            })?,
        };
        settings.push(Setting { key: name.into_owned(), value, origin: at(span) });
    }
    Ok(settings)
}

fn plain(network: &Network) -> Value {
    serde_json::to_value(network).expect("a network is plain data with text keys")
}

fn check_experiment(value: &Spanned<DeValue>, verb: &dyn Verb, origin: Origin) -> Result<(), LabError> {
    match value.get_ref().as_str() {
        Some(word) if word == verb.verb() => Ok(()),
        Some(word) => Err(LabError::OtherExperiment { found: word.into(), asked: verb.verb(), origin }),
        None => Err(LabError::OtherExperiment { found: "…".into(), asked: verb.verb(), origin }),
    }
}

fn unknown(name: &str, verb: &dyn Verb, keys: &[Key], origin: Origin) -> LabError {
    let known: Vec<&str> = keys.iter().map(|key| key.name.as_str()).chain(["experiment"]).collect();
    // A flag's spelling in a file is the commonest slip, and is not a question of letters.
    let spelled = name.replace('-', "_");
    let nearest = super::nearest(&spelled, &known);
    LabError::UnknownKey { key: name.into(), verb: verb.verb(), nearest, origin }
}

fn wrong(name: &str, shown: &str, message: String, keys: &[Key], origin: Origin) -> LabError {
    let key = keys.iter().find(|key| key.name == name).expect("the caller looked the key up");
    LabError::WrongValue {
        key: name.into(),
        shown: super::short(shown),
        message,
        accepts: key.accepts(),
        nearest: None,
        origin,
    }
}

/// A TOML value as JSON.
///
/// # Errors
/// The sentence that says why there is none: dates, and numbers that are not finite.
pub fn json(value: &DeValue) -> Result<Value, String> {
    match value {
        DeValue::String(text) => Ok(Value::from(text.as_ref())),
        DeValue::Boolean(is_true) => Ok(Value::Bool(*is_true)),
        DeValue::Integer(integer) => {
            let parsed = i64::from_str_radix(integer.as_str(), integer.radix());
            parsed.map(Value::from).map_err(|_| "the number does not fit into 64 bits".to_string())
        }
        DeValue::Float(float) => {
            let parsed = float.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            parsed.map(Value::Number).ok_or_else(|| "the number is not finite".to_string())
        }
        DeValue::Datetime(_) => Err("it is a date".into()),
        DeValue::Array(values) => values.iter().map(|value| json(value.get_ref())).collect(),
        DeValue::Table(table) => {
            let entry =
                |(key, value): (&Spanned<_>, &Spanned<DeValue>)| Ok((text_of(key), json(value.get_ref())?));
            table.iter().map(entry).collect::<Result<Map<String, Value>, String>>().map(Value::Object)
        }
    }
}

fn text_of(key: &Spanned<std::borrow::Cow<str>>) -> String {
    key.get_ref().to_string()
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or("").to_string()
}
