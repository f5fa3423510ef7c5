//! Trained models as they lie on disk: names, shapes and numbers of their tensors, and what the weights alone
//! say.
//!
//! | module | one job |
//! |---|---|
//! | [`checkpoint`] | the tensors of a file or folder: names, shapes, types; numbers one tensor at a time |
//! | [`element`] | number types, quantised blocks too, to single precision |
//! | [`files`] | one reader a format: safetensors (sharded too), GGUF, PyTorch (zip and legacy), NPZ |
//! | [`huggingface`] | `config.json` or metadata → architecture and, as far as the layer set goes, a network; names → roles |
//! | [`spectrum`] | one matrix: scale, spectrum, power law with its goodness of fit, random-matrix null, units |
//! | [`error`] | why a model cannot be read |
//!
//! A reader believes nothing that a file says of itself: every length is held against the length of the file before memory is taken for
//! it, and a pickle is walked, never executed.

pub mod checkpoint;
pub mod element;
pub mod error;
pub mod files;
pub mod huggingface;
pub mod spectrum;
