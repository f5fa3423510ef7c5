//! From defaults, a file and flags to one specification.
//!
//! Everything is made from the JSON schema of the specification and its default value: which keys there are, what they
//! mean, what they accept. So a new field of a specification is a flag, a TOML key and a line of `carnot new` at once.
//! Whether a value is right is decided by the type that will hold it, key by key, so that an error knows its key.

use std::path::Path;

use carnot_net::shorthand;
use serde_json::Value;

use crate::error::{LabError, Origin};
use crate::experiments::question::{Question, Verb};

pub mod canonical;
pub mod describe;
mod file;
mod flag;
pub mod keys;
pub mod network;
pub mod template;

use keys::{Key, Kind, POSITIONAL};

/// What a person gave to a command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// The argument without a flag: a shorthand or a file.
    pub network: Option<String>,
    /// Keys and their texts, as typed after the flags.
    pub flags: Vec<(String, String)>,
}

/// One setting and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub key: String,
    pub value: Value,
    pub origin: Origin,
}

/// The question that defaults < file < flags ask, resolved.
///
/// # Errors
/// Whatever is wrong with the first wrong setting, with its place.
pub fn ask(verb: &dyn Verb, given: &Given) -> Result<Box<dyn Question>, LabError> {
    let keys = keys::keys(verb);
    let settings = collect(verb, given, &keys)?;
    let mut merged = verb.defaults();
    for setting in &settings {
        check(verb, &keys, setting)?;
        merged[&setting.key] = setting.value.clone();
    }
    if keys.iter().any(Key::is_positional) && !settings.iter().any(|setting| setting.key == POSITIONAL) {
        return Err(LabError::MissingKey { key: "network", verb: verb.verb() });
    }
    verb.ask(merged).map_err(|error| placed(error, &keys, &settings))
}

/// The settings of the file, then those of the command line.
fn collect(verb: &dyn Verb, given: &Given, keys: &[Key]) -> Result<Vec<Setting>, LabError> {
    let mut settings = match &given.network {
        Some(text) => network(text, verb, keys)?,
        None => Vec::new(),
    };
    for (name, text) in &given.flags {
        let known: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        let origin = Origin::Flag(format!("--{}", name.replace('_', "-")));
        let key = keys.iter().find(|key| key.name == *name).ok_or_else(|| LabError::UnknownKey {
            key: name.clone(),
            verb: verb.verb(),
            nearest: nearest(name, &known),
            origin: origin.clone(),
        })?;
        settings.push(Setting { key: name.clone(), value: typed(verb, key, text, &origin)?, origin });
    }
    Ok(settings)
}

/// What the argument without a flag gives: a shorthand, or everything that its file says.
fn network(text: &str, verb: &dyn Verb, keys: &[Key]) -> Result<Vec<Setting>, LabError> {
    let as_shorthand = || {
        let origin = Origin::Flag("NETWORK".into());
        Ok(vec![Setting { key: POSITIONAL.into(), value: Value::from(text), origin }])
    };
    if shorthand::looks_like(text) {
        return as_shorthand();
    }
    let reads = match verb.verb() {
        "check" => network::looks_like_model(text),
        "predict" => network::looks_like_config(text),
        _ => false,
    };
    if Path::new(text).exists() && reads {
        let origin = Origin::Flag("NETWORK".into());
        let value = serde_json::json!({ "model": text });
        return Ok(vec![Setting { key: POSITIONAL.into(), value, origin }]);
    }
    if Path::new(text).exists() {
        return file::settings(&file::source(text)?, verb, keys);
    }
    // A slip inside a shorthand is better explained by its own reader, which points at it.
    let starts_like_one = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if starts_like_one && text.contains('-') && !text.ends_with(".toml") {
        return as_shorthand();
    }
    Err(LabError::NoNetwork { text: text.into(), nearest: nearest_file(text) })
}

fn nearest_file(text: &str) -> Option<String> {
    let folder = Path::new(text).parent().filter(|folder| !folder.as_os_str().is_empty());
    let wanted = Path::new(text).file_name()?.to_str()?;
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    // Enough for a folder of a person; a folder of a million files is not searched for a slip.
    let names = entries.flatten().take(1000).filter_map(|entry| entry.file_name().into_string().ok());
    let names: Vec<String> = names.filter(|name| name.ends_with(".toml")).collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let name = nearest(wanted, &known)?;
    Some(folder.map_or(name.clone(), |folder| folder.join(&name).display().to_string()))
}

/// The text after a flag as the value that its key takes.
fn typed(verb: &dyn Verb, key: &Key, text: &str, origin: &Origin) -> Result<Value, LabError> {
    let mut message = None;
    for value in flag::candidates(key, text) {
        match accepts(verb, &key.name, &value) {
            Ok(()) => return Ok(value),
            Err(wrong) => message = message.or(Some(wrong)),
        }
    }
    Err(wrong(key, text, message.unwrap_or_default(), origin))
}

fn check(verb: &dyn Verb, keys: &[Key], setting: &Setting) -> Result<(), LabError> {
    accepts(verb, &setting.key, &setting.value).map_err(|message| {
        let key = keys.iter().find(|key| key.name == setting.key).expect("every setting was looked up");
        let shown = match &setting.origin {
            Origin::File(source, span) => source.text[span.clone()].to_string(),
            Origin::Flag(_) | Origin::Default => setting.value.to_string(),
        };
        wrong(key, &shown, message, &setting.origin)
    })
}

/// Does this one setting, with defaults for the others, make a specification?
fn accepts(verb: &dyn Verb, key: &str, value: &Value) -> Result<(), String> {
    let mut settings = verb.defaults();
    settings[key] = value.clone();
    verb.accepts(&settings)
}

fn wrong(key: &Key, shown: &str, message: String, origin: &Origin) -> LabError {
    LabError::WrongValue {
        key: key.name.clone(),
        shown: short(shown),
        message: if is_of_readers(&message) { String::new() } else { message },
        accepts: key.accepts(),
        nearest: matches!(key.kind, Kind::Choice(_))
            .then(|| nearest(shown.trim_matches('"'), &key.choices()))
            .flatten(),
        origin: origin.clone(),
    }
}

/// Does serde speak of Rust's types here? What the key takes is said in words anyway.
fn is_of_readers(message: &str) -> bool {
    ["invalid type", "invalid value", "invalid length", "unknown variant", "data did not match"]
        .iter()
        .any(|start| message.starts_with(start))
}

/// A value that `resolve` refuses is refused where it was given.
fn placed(error: LabError, keys: &[Key], settings: &[Setting]) -> LabError {
    let LabError::OutOfRange { key: name, value, range } = error else { return error };
    let given = settings.iter().rev().find(|setting| setting.key == name);
    let known = keys.iter().find(|key| key.name == name);
    match (given, known) {
        (Some(setting), Some(_)) => LabError::WrongValue {
            key: name.into(),
            shown: short(&value),
            message: format!("it must be {range}"),
            accepts: range,
            nearest: None,
            origin: setting.origin.clone(),
        },
        _ => LabError::OutOfRange { key: name, value, range },
    }
}

/// At most 60 characters of one line, so that a hostile value does not flood a terminal.
pub(crate) fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    let mut short: String = line.chars().take(60).collect();
    if short.len() < text.trim_end().len() {
        short.push('…');
    }
    short
}

/// A text file that a person or a program wrote, at most 1 MiB.
///
/// # Errors
/// [`LabError::File`] and [`LabError::NotSettings`].
pub fn read_text(path: &str) -> Result<std::sync::Arc<str>, LabError> {
    file::source(path).map(|source| source.text)
}

/// The known word nearest to `word`, if any is near.
pub fn nearest(word: &str, known: &[&str]) -> Option<String> {
    carnot_net::network::nearest(word, known)
}

/// The command line that asks this, with quotes where a shell needs them.
pub fn command_line(verb: &str, given: &Given) -> String {
    let mut words = vec!["carnot".to_string(), verb.to_string()];
    words.extend(given.network.as_deref().map(quoted));
    for (key, text) in &given.flags {
        words.push(format!("--{}", key.replace('_', "-")));
        words.push(quoted(text));
    }
    words.join(" ")
}

fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+%@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
