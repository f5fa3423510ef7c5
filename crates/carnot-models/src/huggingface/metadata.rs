//! GGUF metadata → architecture, for the families that llama.cpp stores like Llama.

use std::collections::BTreeMap;

use carnot_net::layers::norm::Kind;

use super::architecture::{Architecture, Enters, Place, Positions};

/// Families whose blocks are those of Llama.
const LIKE_LLAMA: &[&str] = &["llama", "mistral", "qwen2"];

/// The architecture that the metadata state, or what is unknown about it.
///
/// * `vocabulary`: rows of the token embedding, which the metadata leave out
///
/// # Errors
/// The sentence that says what is unknown.
pub fn architecture(
    metadata: &BTreeMap<String, String>,
    vocabulary: Option<usize>,
    is_tied: bool,
) -> Result<Architecture, String> {
    let family = metadata.get("general.architecture").ok_or("the metadata name no architecture")?;
    if !LIKE_LLAMA.contains(&family.as_str()) {
        return Err(format!("the family {family} is not known, only {}", LIKE_LLAMA.join(", ")));
    }
    let size = |key: &str| {
        let value = metadata.get(&format!("{family}.{key}")).and_then(|text| text.parse::<usize>().ok());
        value
            .filter(|size| (1..=1 << 24).contains(size))
            .ok_or_else(|| format!("the metadata do not state {family}.{key}"))
    };
    let (width, heads) = (size("embedding_length")?, size("attention.head_count")?);
    Ok(Architecture {
        family: family.clone(),
        depth: size("block_count")?,
        width,
        heads,
        kv_heads: size("attention.head_count_kv").unwrap_or(heads),
        head_width: size("attention.key_length").unwrap_or((width / heads).max(1)),
        ffn: size("feed_forward_length")?,
        is_gated: true,
        norm: Kind::Rms,
        place: Place::Pre,
        activation: "silu".into(),
        positions: Positions::Rotary,
        context: size("context_length").unwrap_or(2048),
        is_tied: Some(is_tied),
        enters: Enters::Tokens(vocabulary.ok_or("there is no token embedding")?),
        // The file does not keep how the weights were drawn.
        initial_std: None,
        is_scaled_by_depth: false,
        has_bias: false,
        is_transposed: false,
        unknown: Vec::new(),
    })
}
