//! A network as data: an input shape and a list of named layers, read from TOML, JSON or a shorthand.

use crate::error::NetworkError;
use crate::layers::{KEYS, Layer};
use crate::shape::Shape;
use serde::{Deserialize, Deserializer, Serialize};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A network: what enters and the layers it passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Shape of one input sample, features last.
    pub input: Shape,
    /// Layers from input to output.
    pub layers: Vec<Named>,
}

/// A layer and the name a user gave it, if any.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// Name; where absent, layers are called `kind.number`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The layer.
    #[serde(flatten)]
    pub layer: Layer,
}

impl From<Layer> for Named {
    fn from(layer: Layer) -> Named {
        Named { name: None, layer }
    }
}

/// Reads machine-written JSON; people's TOML goes through [`Network::from_toml`], which knows lines.
impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Named, D::Error> {
        use serde::de::Error;
        let mut table = serde_json::Map::deserialize(deserializer)?;
        let name = match table.remove("name") {
            None => None,
            Some(serde_json::Value::String(name)) => Some(name),
            Some(_) => return Err(D::Error::custom("a layer's name is a string")),
        };
        let found: Vec<&&str> = KEYS.iter().filter(|key| table.contains_key(**key)).collect();
        let [key] = found[..] else {
            return Err(D::Error::custom(format!(
                "a layer needs exactly one of the keys {}",
                KEYS.join(", ")
            )));
        };
        let layer = Layer::read(key, serde_json::Value::Object(table)).map_err(D::Error::custom)?;
        Ok(Named { name, layer })
    }
}

impl Network {
    /// Reads a network from TOML: `input = [784]` and `layers = [ … ]`, at top level or under `[network]`.
    ///
    /// # Errors
    /// [`NetworkError`] with the place in the text.
    pub fn from_toml(text: &str) -> Result<Network, NetworkError> {
        let table = DeTable::parse(text).map_err(|error| syntax(&error))?;
        let whole = table.span();
        let mut table = table.into_inner();
        if table.contains_key("network") && !table.contains_key("layers") {
            let network = table.remove("network").expect("just seen");
            return Network::from_value(network, "[network]");
        }
        Network::from_value(Spanned::new(whole, DeValue::Table(table)), "the network")
    }

    /// Reads a network from a parsed TOML value: a table, or a string holding a shorthand.
    ///
    /// # Errors
    /// [`NetworkError`] with the place in the text.
    pub fn from_value(value: Spanned<DeValue<'_>>, place: &str) -> Result<Network, NetworkError> {
        let at = value.span();
        let DeValue::Table(mut table) = value.into_inner() else {
            let message = format!("{place} must be a table with the keys input and layers");
            return Err(NetworkError::Toml { message, at });
        };
        refuse_unknown(&table, &["input", "layers"], place)?;
        let missing = |key| NetworkError::MissingKey { key, table: place.to_string(), at: at.clone() };
        let input = table.remove("input").ok_or_else(|| missing("input"))?;
        let layers = table.remove("layers").ok_or_else(|| missing("layers"))?;
        let input_at = input.span();
        let sizes: Vec<usize> = read(input)?;
        let input = Shape::from_sizes(&sizes).ok_or(NetworkError::Toml {
            message: format!(
                "input = {sizes:?} is not a shape: one to three sizes of at least 1, below 2^30 in all"
            ),
            at: input_at,
        })?;
        Ok(Network { input, layers: block(layers, 0)? })
    }

    /// As a TOML text that [`Network::from_toml`] reads back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a network is plain data")
    }
}

/// Residual and repeat blocks may nest this deep.
const DEEPEST: usize = 32;

fn block(value: Spanned<DeValue<'_>>, depth: usize) -> Result<Vec<Named>, NetworkError> {
    let at = value.span();
    if depth > DEEPEST {
        let message = format!("blocks are nested more than {DEEPEST} deep");
        return Err(NetworkError::Toml { message, at });
    }
    let DeValue::Array(layers) = value.into_inner() else {
        return Err(NetworkError::Toml { message: "layers and blocks are lists of tables".into(), at });
    };
    layers.into_iter().map(|layer| named(layer, depth)).collect()
}

fn named(value: Spanned<DeValue<'_>>, depth: usize) -> Result<Named, NetworkError> {
    let at = value.span();
    let DeValue::Table(mut table) = value.into_inner() else {
        let message = "a layer is a table such as { dense = 128 }".into();
        return Err(NetworkError::Toml { message, at });
    };
    let name = table.remove("name").map(read::<String>).transpose()?;
    let found: Vec<&'static str> = KEYS.iter().filter(|key| table.contains_key(**key)).copied().collect();
    let [key] = found[..] else {
        return Err(layer_kind(&table, &found, at));
    };
    if key == "act" {
        check_activation(&table)?;
    }
    let held = held_by(key);
    let inner = match held.and_then(|held| table.remove(held)) {
        Some(inner) if key == "branches" => chains(inner, depth + 1)?,
        Some(inner) => vec![block(inner, depth + 1)?],
        None => Vec::new(),
    };
    let is_there = !inner.is_empty();
    let keys: Vec<(String, Range<usize>)> =
        table.keys().map(|key| (key.get_ref().to_string(), key.span())).collect();
    if let Some(held) = held {
        if !is_there {
            return Err(NetworkError::MissingKey { key: held, table: format!("{{ {key} = … }}"), at });
        }
        // An empty list stands in while serde reads the other keys; the real one replaces it below.
        let nothing = Spanned::new(at.clone(), DeValue::Array(empty()));
        table.insert(Spanned::new(at.clone(), held.into()), nothing);
    }
    table.iter().try_for_each(|(key, value)| check_finite(key.get_ref(), value))?;
    let value = Spanned::new(at.clone(), DeValue::Table(table));
    let mut layer = Layer::read(key, toml::de::ValueDeserializer::from(value))
        .map_err(|error| layer_error(&error, key, &keys, at))?;
    let one = |inner: Vec<Vec<Named>>| inner.into_iter().next().expect("one block, just read");
    match &mut layer {
        Layer::Residual(residual) => residual.block = one(inner),
        Layer::Repeat(repeat) => repeat.block = one(inner),
        Layer::Branches(branches) => branches.of = inner,
        _ => {}
    }
    Ok(Named { name, layer })
}

/// The key under which a kind of layer holds others.
fn held_by(kind: &str) -> Option<&'static str> {
    match kind {
        "residual" | "repeat" => Some("block"),
        "branches" => Some("of"),
        _ => None,
    }
}

fn chains(value: Spanned<DeValue<'_>>, depth: usize) -> Result<Vec<Vec<Named>>, NetworkError> {
    let at = value.span();
    let DeValue::Array(chains) = value.into_inner() else {
        return Err(NetworkError::Toml { message: "of is a list of lists of layers".into(), at });
    };
    chains.into_iter().map(|chain| block(chain, depth)).collect()
}

fn empty<'a>() -> toml::de::DeArray<'a> {
    toml::de::DeArray::new()
}

/// Refuses NaN and infinities, which no number of a layer may be: kept as JSON they would be as if not given.
fn check_finite(key: &str, value: &Spanned<DeValue<'_>>) -> Result<(), NetworkError> {
    match value.get_ref() {
        DeValue::Float(float) => {
            let text = float.as_str();
            if text.replace('_', "").parse().is_ok_and(f64::is_finite) {
                return Ok(());
            }
            let message = format!("{key} = {text} must be a finite number");
            Err(NetworkError::Toml { message, at: value.span() })
        }
        DeValue::Array(values) => values.iter().try_for_each(|value| check_finite(key, value)),
        DeValue::Table(table) => table.iter().try_for_each(|(key, value)| check_finite(key.get_ref(), value)),
        _ => Ok(()),
    }
}

fn check_activation(table: &DeTable<'_>) -> Result<(), NetworkError> {
    let value = table.get("act").expect("the caller looked");
    let Some(spec) = value.get_ref().as_str() else {
        return Ok(());
    };
    let wrong = |why| NetworkError::Activation { spec: spec.to_string(), why, at: value.span() };
    crate::activation::Activation::parse(spec).map(|_| ()).map_err(wrong)
}

fn layer_kind(table: &DeTable<'_>, found: &[&str], at: Range<usize>) -> NetworkError {
    let first = table.keys().next();
    if let (true, Some(key)) = (found.is_empty(), first) {
        let (key, at) = (key.get_ref().to_string(), key.span());
        let nearest = nearest(&key, KEYS);
        return NetworkError::UnknownKey { key, table: "a layer".into(), nearest, at };
    }
    let found = if found.is_empty() { "none".to_string() } else { found.join(" and ") };
    NetworkError::LayerKind { known: KEYS.join(", "), found, at }
}

/// Turns serde's "unknown field" into our error, with the nearest key and the place of the key.
fn layer_error(
    error: &toml::de::Error,
    kind: &str,
    keys: &[(String, Range<usize>)],
    at: Range<usize>,
) -> NetworkError {
    let message = error.message();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if message.starts_with("unknown field") && !quoted.is_empty() {
        let place = keys.iter().find(|(key, _)| key == quoted[0]);
        let known: Vec<&str> = quoted[1..].iter().copied().chain(["name"]).collect();
        return NetworkError::UnknownKey {
            key: quoted[0].to_string(),
            table: format!("the layer {{ {kind} = … }}"),
            nearest: nearest(quoted[0], &known),
            at: place.map_or(at, |(_, span)| span.clone()),
        };
    }
    NetworkError::Toml { message: message.to_string(), at: error.span().unwrap_or(at) }
}

fn refuse_unknown(table: &DeTable<'_>, known: &[&str], place: &str) -> Result<(), NetworkError> {
    match table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
        None => Ok(()),
        Some(key) => Err(NetworkError::UnknownKey {
            key: key.get_ref().to_string(),
            table: place.to_string(),
            nearest: nearest(key.get_ref(), known),
            at: key.span(),
        }),
    }
}

fn read<T: for<'de> Deserialize<'de>>(value: Spanned<DeValue<'_>>) -> Result<T, NetworkError> {
    let at = value.span();
    T::deserialize(toml::de::ValueDeserializer::from(value))
        .map_err(|error| NetworkError::Toml { message: error.message().to_string(), at })
}

fn syntax(error: &toml::de::Error) -> NetworkError {
    NetworkError::Toml { message: error.message().to_string(), at: error.span().unwrap_or(0..0) }
}

/// The known word nearest to `word`, if any is near.
#[must_use]
pub fn nearest(word: &str, known: &[&str]) -> Option<String> {
    let scored = known.iter().map(|k| (strsim::damerau_levenshtein(word, k), *k));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= 2.max(word.chars().count() / 3)).then(|| best.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_layers_are_finite_or_refused_where_they_stand() {
        for layer in [
            "{ dense = 4, c_w = nan }",
            "{ dense = 4, c_b = -inf }",
            "{ dense = 4, c_w = 1e999 }",
            "{ unembedding = 5, scale = nan }",
            "{ attention = 4, positions = { decay = inf } }",
            "{ residual = 1.0, block = [{ dense = 4, c_w = nan }] }",
        ] {
            let text = format!("input = [4]\nlayers = [{layer}]");
            let Err(NetworkError::Toml { message, at }) = Network::from_toml(&text) else {
                panic!("{layer}")
            };
            assert!(message.contains("finite"), "{layer}: {message}");
            assert!(message.contains(&text[at]), "{layer}: {message}");
        }
        let plain = "input = [4]\nlayers = [{ dense = 4, c_w = 1_0.5, c_b = 1e-3 }]";
        assert!(Network::from_toml(plain).is_ok());
    }
}
