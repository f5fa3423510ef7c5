//! One reader a format. Each makes a table of tensors from headers alone; numbers are read when they are asked for.

pub mod gguf;
pub mod npz;
pub mod safetensors;
pub mod sharded;
pub mod source;
pub mod torch;
