//! Where numbers are crunched: the only module that may contain `unsafe`.
//!
//! * [`product()`], [`product_into`]: products of row-major matrices, on one thread
//!
//! Nothing outside asks which instructions are used. A second device would stand beside `cpu` here.
#![allow(unsafe_code)]

mod product;

pub use product::{View, product, product_into};
