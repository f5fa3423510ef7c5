//! Where numbers are crunched: the only module that may contain `unsafe`.
//!
//! * [`product()`], [`product_into`], [`product_from`], [`gram_into`]: products of row-major matrices, on one thread
//! * [`zeros`], [`keep_freed`]: memory for large results, and memory used again
//! * [`cpu`]: loops over numbers, compiled for several instruction sets
//! * [`wide`]: loops of other crates, compiled the same way
//!
//! Nothing outside asks which instructions are used. A second device would stand beside `cpu` here.
#![allow(unsafe_code)]

pub mod cpu;
pub mod elementary;
mod memory;
mod narrow;
mod product;
pub(crate) mod symmetric;
pub mod wide;

pub use memory::{keep_freed, zeros};
pub use product::{Start, View, gram, gram_into, mirror, product, product_from, product_into};
