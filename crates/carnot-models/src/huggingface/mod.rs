//! What a model is, from the folder of Hugging Face's libraries or the metadata of a GGUF file.
//!
//! | module | one job |
//! |---|---|
//! | [`architecture`] | depth, width, heads, norms …, as plain data and as one line |
//! | [`config`] | `config.json` → architecture; unknown families and keys by name |
//! | [`metadata`] | GGUF metadata → architecture |
//! | [`roles`] | names of tensors → layer and role; which of them are matrices, and why others are not |

pub mod architecture;
pub mod config;
pub mod metadata;
pub mod roles;
