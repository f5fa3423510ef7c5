//! The settings by which every experiment names a network. A specification takes them in with `#[serde(flatten)]`.

use std::borrow::Cow;

use carnot_net::activation::Activation;
use carnot_net::layers::norm::Kind;
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use carnot_net::shorthand::{self, Style};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::LabError;

/// Activation of a shorthand when none is asked for.
pub const ACTIVATION: &str = "relu";

/// A network, as a person gives it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NetworkSettings {
    /// The network: a shorthand such as 784-128x50-10 (input, 50 hidden layers of 128, output) or
    /// post:12x768 (a transformer), or a TOML file.
    ///
    /// In a TOML file it may also be a table with `input` (sizes of one sample) and `layers`.
    pub network: NetworkChoice,
    /// Activation of a shorthand's hidden layers: a name such as tanh, relu or gelu, or a formula in z. Default: relu.
    pub activation: Option<String>,
    /// Strength of a skip around each hidden layer of a shorthand, z' = W σ(z) + b + strength z. Default: no skips.
    pub residual: Option<f64>,
    /// Normalisation in front of each activation of a shorthand. Default: none.
    pub norm: Option<NormChoice>,
}

/// Normalisation of a layer's preactivations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NormChoice {
    /// Mean and variance over a layer's units.
    Layer,
    /// Mean square over a layer's units.
    Rms,
}

/// A shorthand, or the network written out. Resolving turns the first into the second.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum NetworkChoice {
    /// `784-128x50-10`.
    Shorthand(String),
    /// Input and layers.
    Network(Network),
    /// A trained model on disk.
    Model(ModelChoice),
}

/// A trained model on disk: a file of weights, or the folder that holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelChoice {
    /// Its path.
    pub model: String,
    /// Checksum of everything in its files, so that a changed model is another question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// Endings of files with weights.
const WEIGHTS: &[&str] = &["safetensors", "gguf", "pt", "pth", "ckpt", "bin", "pkl", "npz"];

/// Does this name a trained model rather than a description? A folder does, and a file with the ending of weights.
pub fn looks_like_model(text: &str) -> bool {
    let path = std::path::Path::new(text);
    let is_weights = path.extension().is_some_and(|found| WEIGHTS.iter().any(|known| found == *known));
    path.is_dir() || is_weights || text.ends_with(".safetensors.index.json")
}

/// Does this name a model of which a config tells the architecture: `config.json`, a folder with one, or a file of weights?
pub fn looks_like_config(text: &str) -> bool {
    let path = std::path::Path::new(text);
    let is_config = path.file_name().is_some_and(|name| name == "config.json");
    is_config || path.join("config.json").exists() || looks_like_model(text) && !path.is_dir()
}

impl Default for NetworkChoice {
    fn default() -> NetworkChoice {
        NetworkChoice::Shorthand(String::new())
    }
}

impl<'de> Deserialize<'de> for NetworkChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NetworkChoice, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(NetworkChoice::Shorthand(text)),
            table if table.get("model").is_some() => {
                serde_json::from_value(table).map(NetworkChoice::Model).map_err(serde::de::Error::custom)
            }
            table => {
                serde_json::from_value(table).map(NetworkChoice::Network).map_err(serde::de::Error::custom)
            }
        }
    }
}

impl JsonSchema for NetworkChoice {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "description": "A shorthand such as 784-128x50-10." },
                {
                    "type": "object",
                    "description": "The network written out.",
                    "required": ["input", "layers"],
                    "properties": {
                        "input": { "type": "array", "items": { "type": "integer", "minimum": 1 } },
                        "layers": { "type": "array", "items": { "type": "object" } }
                    }
                }
            ]
        })
    }
}

impl NetworkSettings {
    /// The same network written out, checked from input to output; the settings of shorthands are used up.
    ///
    /// # Errors
    /// A shorthand or an activation that cannot be read, shapes that do not fit, sizes that no machine holds, and
    /// settings of shorthands beside a network that is written out.
    pub fn resolve(self) -> Result<NetworkSettings, LabError> {
        let network = match &self.network {
            NetworkChoice::Shorthand(text) => {
                if carnot_net::transformer::looks_like(text) {
                    self.refuse_perceptron_settings()?;
                }
                shorthand::parse(text, &self.style()?)?
            }
            NetworkChoice::Network(network) => {
                self.refuse_shorthand_settings()?;
                network.clone()
            }
            NetworkChoice::Model(choice) => {
                let range = "a network written out; carnot check reads the weights of a model".into();
                return Err(LabError::OutOfRange { key: "network", value: choice.model.clone(), range });
            }
        };
        Plan::new(&network)?;
        Ok(NetworkSettings { network: NetworkChoice::Network(network), ..NetworkSettings::default() })
    }

    /// The network of resolved settings.
    pub fn network(&self) -> &Network {
        match &self.network {
            NetworkChoice::Network(network) => network,
            NetworkChoice::Shorthand(_) | NetworkChoice::Model(_) => {
                unreachable!("settings are resolved before an experiment sees them")
            }
        }
    }

    /// The trained model, when that is what is asked about.
    pub fn model(&self) -> Option<&ModelChoice> {
        match &self.network {
            NetworkChoice::Model(model) => Some(model),
            _ => None,
        }
    }

    fn style(&self) -> Result<Style, LabError> {
        if let Some(strength) = self.residual.filter(|strength| !strength.is_finite()) {
            let range = "a finite number".into();
            return Err(LabError::OutOfRange { key: "residual", value: strength.to_string(), range });
        }
        let norm = self.norm.map(|norm| match norm {
            NormChoice::Layer => Kind::Layer,
            NormChoice::Rms => Kind::Rms,
        });
        let activation = Activation::parse(self.activation.as_deref().unwrap_or(ACTIVATION))?;
        Ok(Style { activation, residual: self.residual, norm })
    }

    /// A transformer says itself where its skips and norms are.
    fn refuse_perceptron_settings(&self) -> Result<(), LabError> {
        let given = [("residual", self.residual.is_some()), ("norm", self.norm.is_some())];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((key, _)) => {
                let range = "left out: post:, pre:, deepnorm: and sandwich: say where skips and norms are";
                Err(LabError::OutOfRange { key, value: "given".into(), range: range.into() })
            }
            None => Ok(()),
        }
    }

    fn refuse_shorthand_settings(&self) -> Result<(), LabError> {
        let given = [
            ("activation", self.activation.is_some()),
            ("residual", self.residual.is_some()),
            ("norm", self.norm.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((key, _)) => Err(LabError::ShorthandOnly { key }),
            None => Ok(()),
        }
    }
}
