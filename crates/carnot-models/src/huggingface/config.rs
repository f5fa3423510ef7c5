//! `config.json` → architecture. Each family is one row: where its numbers stand, and what its code does that the file does not say.

use std::path::Path;

use carnot_net::layers::norm::Kind;
use serde_json::{Map, Value};

use super::architecture::{Architecture, Enters, Place, Positions};
use crate::error::ModelError;
use crate::files::source::Source;

/// Longest file read. Chosen: configs have a few KiB; those with a thousand label names, 100.
const LONGEST: u64 = 1 << 20;

/// Largest size of anything.
const LARGEST: u64 = 1 << 24;

/// What `config.json` says.
#[derive(Clone, Debug, PartialEq)]
pub enum Config {
    /// A family that is known.
    Known(Box<Architecture>),
    /// One that is not, by the name the file gives.
    UnknownFamily(String),
}

/// One family: keys of its sizes, and what its code fixes.
struct Family {
    names: &'static [&'static str],
    /// Width, depth, heads, feed-forward width, activation, context.
    keys: [&'static str; 6],
    place: Place,
    norm: Kind,
    is_gated: bool,
    positions: Positions,
    /// Tied unless the file says otherwise.
    is_tied: bool,
    is_scaled_by_depth: bool,
    has_bias: bool,
    is_transposed: bool,
    sees: bool,
}

const BERT_KEYS: [&str; 6] = [
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
];

const BERT: Family = Family {
    names: &["bert", "roberta", "xlm-roberta", "camembert"],
    keys: BERT_KEYS,
    place: Place::Post,
    norm: Kind::Layer,
    is_gated: false,
    positions: Positions::Learned,
    is_tied: true,
    is_scaled_by_depth: false,
    has_bias: true,
    is_transposed: false,
    sees: false,
};

/// Families that are known.
const FAMILIES: &[Family] = &[
    BERT,
    Family {
        names: &["distilbert"],
        keys: ["dim", "n_layers", "n_heads", "hidden_dim", "activation", "max_position_embeddings"],
        ..BERT
    },
    Family {
        names: &["gpt2"],
        keys: ["n_embd", "n_layer", "n_head", "n_inner", "activation_function", "n_positions"],
        place: Place::Pre,
        is_scaled_by_depth: true,
        is_transposed: true,
        ..BERT
    },
    Family {
        names: &["llama", "mistral", "qwen2"],
        place: Place::Pre,
        norm: Kind::Rms,
        is_gated: true,
        positions: Positions::Rotary,
        is_tied: false,
        has_bias: false,
        ..BERT
    },
    Family { names: &["vit"], place: Place::Pre, is_tied: false, sees: true, ..BERT },
];

/// Keys that say nothing of the architecture: tokens, dropout, labels, numbers of caches and versions.
const HARMLESS: &[&str] = &[
    "_",
    "architectures",
    "model_type",
    "torch_dtype",
    "dtype",
    "transformers_version",
    "use_cache",
    "vocab_size",
    "initializer_range",
    "tie_word_embeddings",
    "classifier_dropout",
    "gradient_checkpointing",
    "type_vocab_size",
    "id2label",
    "label2id",
    "finetuning_task",
    "problem_type",
    "output_past",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "rms_norm_eps",
    "attention_dropout",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "seq_classif_dropout",
    "qa_dropout",
    "attn_pdrop",
    "embd_pdrop",
    "resid_pdrop",
    "n_ctx",
    "num_key_value_heads",
    "head_dim",
    "rope_theta",
    "pretraining_tp",
    "image_size",
    "patch_size",
    "num_channels",
    "encoder_stride",
    "qkv_bias",
    "summary_",
    "task_specific_params",
    "is_decoder",
    "directionality",
    "pooler_",
    "max_window_layers",
    "attention_bias",
    "mlp_bias",
    "sinusoidal_pos_embds",
    "position_embedding_type",
    "rope_scaling",
    "sliding_window",
    "use_sliding_window",
    "rope_interleaved",
    "is_llama_config",
    "quantization_config",
    "hidden_dropout",
    "tie_weights_",
    "adapters",
    "name_or_path",
];

/// Values that the network would need and the layer set has not, unless they are these.
const EXPECTED: &[(&str, &[&str])] = &[
    ("position_embedding_type", &["\"absolute\""]),
    ("rope_scaling", &["null"]),
    ("sliding_window", &["null"]),
    ("quantization_config", &["null"]),
    ("is_decoder", &["false"]),
    ("add_cross_attention", &["false"]),
    ("scale_attn_weights", &["true"]),
    ("scale_attn_by_inverse_layer_idx", &["false"]),
    ("reorder_and_upcast_attn", &["false"]),
    ("mlp_bias", &["false"]),
    ("use_sliding_window", &["false"]),
];

/// Reads `config.json` in a folder; `None` when there is none.
///
/// # Errors
/// [`ModelError::Damaged`] for what is no JSON object, [`ModelError::Config`] for keys that are missing or of another kind,
/// [`ModelError::TooMuch`].
pub fn read(folder: &Path) -> Result<Option<Config>, ModelError> {
    let source = match Source::open(&folder.join("config.json")) {
        Err(ModelError::Missing { .. }) => return Ok(None),
        other => other?,
    };
    if source.length > LONGEST {
        return Err(source.too_much("the length of the config", source.length, LONGEST));
    }
    let bytes = source.bytes(0, source.length)?;
    parse(&bytes, &source.path).map(Some)
}

/// Reads a config from its text; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &[u8], path: &Path) -> Result<Config, ModelError> {
    let damaged = |what: String| ModelError::Damaged { path: path.into(), what };
    let value: Value =
        serde_json::from_slice(text).map_err(|error| damaged(format!("the config is not JSON: {error}")))?;
    let Value::Object(map) = value else {
        return Err(damaged("the config is no JSON object".into()));
    };
    let keys = Keys { map: &map, path };
    let Some(model) = map.get("model_type") else {
        return Ok(Config::UnknownFamily("a model without model_type".into()));
    };
    let name = model.as_str().ok_or_else(|| keys.wrong("model_type", "a text"))?;
    let Some(family) = FAMILIES.iter().find(|family| family.names.contains(&name)) else {
        return Ok(Config::UnknownFamily(name.chars().take(60).collect()));
    };
    architecture(&keys, family, name).map(|found| Config::Known(Box::new(found)))
}

/// Families that are known, for messages.
#[must_use]
pub fn families() -> Vec<&'static str> {
    FAMILIES.iter().flat_map(|family| family.names.iter().copied()).collect()
}

fn architecture(keys: &Keys, family: &Family, name: &str) -> Result<Architecture, ModelError> {
    let [width, depth, heads, ffn, activation, context] = family.keys;
    let (width, depth, heads) = (keys.size(width)?, keys.size(depth)?, keys.size(heads)?);
    let ffn = keys
        .optional_size(ffn)?
        .or((name == "gpt2").then_some(4 * width))
        .map_or_else(|| keys.size(ffn), Ok)?;
    let head_width = keys.optional_size("head_dim")?.unwrap_or((width / heads).max(1));
    let enters = match family.sees {
        false => Enters::Tokens(keys.size("vocab_size")?),
        true => {
            let patch = keys.size("patch_size")?;
            Enters::Patches(patch * patch * keys.optional_size("num_channels")?.unwrap_or(3))
        }
    };
    let context = match (family.sees, enters) {
        (true, _) => (keys.size("image_size")? / keys.size("patch_size")?).pow(2) + 1,
        (false, _) => keys.optional_size(context)?.unwrap_or(512),
    };
    let is_sinusoidal = keys.boolean("sinusoidal_pos_embds")?.unwrap_or(false);
    Ok(Architecture {
        family: name.into(),
        depth,
        width,
        heads,
        kv_heads: keys.optional_size("num_key_value_heads")?.unwrap_or(heads),
        head_width,
        ffn,
        is_gated: family.is_gated,
        norm: family.norm,
        place: family.place,
        activation: keys.text(activation)?.unwrap_or(if family.is_gated { "silu" } else { "gelu" }).into(),
        positions: if is_sinusoidal { Positions::Sinusoidal } else { family.positions },
        context,
        is_tied: Some(keys.boolean("tie_word_embeddings")?.unwrap_or(family.is_tied)),
        enters,
        initial_std: Some(keys.number("initializer_range")?.unwrap_or(0.02)),
        is_scaled_by_depth: family.is_scaled_by_depth,
        has_bias: family.has_bias,
        is_transposed: family.is_transposed,
        unknown: unknown(keys, family),
    })
}

/// Keys that are not understood, and known ones with a value that the layer set cannot follow.
fn unknown(keys: &Keys, family: &Family) -> Vec<String> {
    let is_harmless = |key: &str| {
        family.keys.contains(&key)
            || key.ends_with("_token_id")
            || HARMLESS.iter().any(|known| key == *known || (known.ends_with('_') && key.starts_with(known)))
    };
    let is_expected = |key: &str, value: &Value| match EXPECTED.iter().find(|(known, _)| *known == key) {
        Some((_, values)) => values.contains(&value.to_string().as_str()),
        None => is_harmless(key),
    };
    let found = keys.map.iter().filter(|(key, value)| !is_expected(key, value));
    found.map(|(key, value)| format!("{key} = {}", short(value))).collect()
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 40 { text } else { text.chars().take(40).chain(['…']).collect() }
}

struct Keys<'a> {
    map: &'a Map<String, Value>,
    path: &'a Path,
}

impl<'a> Keys<'a> {
    fn wrong(&self, key: &str, wanted: &'static str) -> ModelError {
        let found = self.map.get(key).map_or(String::new(), short);
        ModelError::Config { path: self.path.into(), key: key.into(), wanted, found }
    }

    fn given(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn size(&self, key: &str) -> Result<usize, ModelError> {
        self.optional_size(key)?.ok_or_else(|| self.wrong(key, SIZE))
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.given(key) else { return Ok(None) };
        let size = value.as_u64().filter(|size| (1..=LARGEST).contains(size));
        size.map(|size| Some(size as usize)).ok_or_else(|| self.wrong(key, SIZE))
    }

    fn number(&self, key: &str) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.given(key) else { return Ok(None) };
        let number = value.as_f64().filter(|number| *number > 0.0 && *number < 1e3);
        number.map(Some).ok_or_else(|| self.wrong(key, "a number above 0"))
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, ModelError> {
        let Some(value) = self.given(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(key, "true or false"))
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>, ModelError> {
        let Some(value) = self.given(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(key, "a text"))
    }
}

const SIZE: &str = "a whole number from 1 to 16777216";

#[cfg(test)]
mod tests {
    use super::*;

    fn known(text: &str) -> Architecture {
        match parse(text.as_bytes(), Path::new("config.json")).unwrap() {
            Config::Known(found) => *found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_family_is_read_by_its_own_keys() {
        let bert = known(
            r#"{"model_type":"bert","hidden_size":384,"num_hidden_layers":6,"num_attention_heads":12,"intermediate_size":1536,
            "hidden_act":"gelu","vocab_size":30522,"max_position_embeddings":512,"layer_norm_eps":1e-12,"pad_token_id":0}"#,
        );
        assert_eq!(
            bert.words(),
            "bert, 6 layers × 384, 12 heads, post-LayerNorm, gelu 1536, learned positions, tied head"
        );
        assert!(bert.unknown.is_empty(), "{:?}", bert.unknown);
        let gpt = known(
            r#"{"model_type":"gpt2","n_embd":768,"n_layer":12,"n_head":12,"activation_function":"gelu_new","vocab_size":50257,"n_positions":1024}"#,
        );
        assert_eq!(
            (gpt.ffn, gpt.place, gpt.is_transposed, gpt.is_scaled_by_depth),
            (3072, Place::Pre, true, true)
        );
        let llama = known(
            r#"{"model_type":"llama","hidden_size":576,"num_hidden_layers":30,"num_attention_heads":9,"num_key_value_heads":3,
            "intermediate_size":1536,"hidden_act":"silu","vocab_size":49152,"tie_word_embeddings":true,"rope_scaling":{"type":"linear"},
            "num_experts":8}"#,
        );
        assert_eq!(
            llama.words(),
            "llama, 30 layers × 576, 9 heads on 3 of keys and values, pre-RMSNorm, gated silu 1536, rotary positions, tied head"
        );
        assert_eq!(llama.unknown, ["num_experts = 8", "rope_scaling = {\"type\":\"linear\"}"]);
        let vit = known(
            r#"{"model_type":"vit","hidden_size":192,"num_hidden_layers":12,"num_attention_heads":3,"intermediate_size":768,"hidden_act":"gelu","image_size":224,"patch_size":16}"#,
        );
        assert_eq!((vit.enters, vit.context), (Enters::Patches(768), 197));
        let distil = known(
            r#"{"model_type":"distilbert","dim":768,"n_layers":6,"n_heads":12,"hidden_dim":3072,"activation":"gelu","vocab_size":30522,"sinusoidal_pos_embds":false}"#,
        );
        assert_eq!((distil.depth, distil.positions), (6, Positions::Learned));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let rows = [
            ("[1]", "no JSON object"),
            ("{", "not JSON"),
            (r#"{"model_type": 3}"#, "model_type must be a text, not 3"),
            (
                r#"{"model_type": "bert"}"#,
                "hidden_size must be a whole number from 1 to 16777216, and is missing",
            ),
            (r#"{"model_type": "bert", "hidden_size": "384"}"#, "not \"384\""),
            (r#"{"model_type": "bert", "hidden_size": -1}"#, "not -1"),
            (r#"{"model_type": "bert", "hidden_size": 1e30}"#, "not 1e+30"),
        ];
        for (text, expect) in rows {
            let error = parse(text.as_bytes(), Path::new("config.json")).unwrap_err().to_string();
            assert!(error.contains(expect), "{text}: {error}");
        }
        let other = parse(br#"{"model_type": "mamba"}"#, Path::new("config.json")).unwrap();
        assert_eq!(other, Config::UnknownFamily("mamba".into()));
    }
}
