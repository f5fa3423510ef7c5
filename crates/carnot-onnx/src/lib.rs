//! ONNX models on a probe batch: every layer read, as from PyTorch.
//!
//! The file is read by this crate's own reader, which copies no weight and believes no number before it has been held against
//! the bytes that are there. From the graph it finds layers: what has weights, what an exporter took apart, what is a residual
//! block. The runtime, [tract](https://crates.io/crates/tract-onnx) (feature `tract`), then answers with the values of these
//! layers, chunk by chunk, and a [`carnot_probe::session::Session`] turns them into readings.
//!
//! | module | one job |
//! |---|---|
//! | [`wire`] | protocol buffers as they lie in the file |
//! | [`model`] | the messages of a model, bounded |
//! | [`tensor`] | constants, their numbers left where they are |
//! | [`graph`] | nodes in order; who makes and who uses a value |
//! | [`operations`] | what the operations of ONNX are to a reader of layers |
//! | [`flow`] | features: which values come from layers, and through which of them everything has to pass |
//! | [`layers`] | nodes → layers with names, kinds, places |
//! | [`names`] | names of layers |
//! | [`file`] | a model on disk, and numbers about its weights |
//! | [`batch`] | what a model is fed |
//! | [`arrays`] | batches as NumPy writes them |
//! | [`layout`] | a tensor → samples, positions, units |
//! | [`error`] | everything that can go wrong here |
//! | `engine` | the runtime (feature `tract`) |
//! | `reading` | a model on a probe → a recording (feature `tract`) |

pub mod arrays;
pub mod batch;
#[cfg(feature = "tract")]
pub mod engine;
pub mod error;
pub mod file;
pub mod flow;
pub mod graph;
pub mod layers;
pub mod layout;
pub mod model;
pub mod names;
pub mod operations;
#[cfg(feature = "tract")]
pub mod reading;
pub mod tensor;
pub mod wire;
