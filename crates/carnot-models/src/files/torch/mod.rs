//! PyTorch's `.pt` and `.pth`: a pickle that describes tensors, and their numbers beside it.
//!
//! The pickle is walked by [`pickle`], which knows the opcodes that tensors need and calls nothing. What asks for anything else is refused
//! by name.

pub mod legacy;
pub mod pickle;
mod state;
pub mod zip;
