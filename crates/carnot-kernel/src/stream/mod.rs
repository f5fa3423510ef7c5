//! Kernels on disk: written in tiles, read back in rows, never half there.
//!
//! A file is written under a temporary name beside its own and renamed when all of it is on disk.

mod format;
pub mod read;
pub mod write;

pub use read::KernelFile;
