//! Report → one self-contained file.

pub mod escape;
