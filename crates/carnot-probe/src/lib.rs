//! Readings of real models, wherever they ran: PyTorch, ONNX, a simulation.
//!
//! Somebody runs the model on one probe batch and hands over each module's output as a [`call::Call`]. A
//! [`session::Session`] turns it into numbers at once, one per row of [`observables::TABLE`], and keeps no features: its
//! memory does not grow with the depth of the model or the length of the training. A [`recording::Recording`] keeps these
//! numbers in a file that survives being killed and holds neither weights nor data.
//!
//! | module | one job |
//! |---|---|
//! | [`call`] | what a caller hands over: one output of one module, and what it knows of the weights |
//! | [`session`] | calls of one step → numbers, in the order of the calls |
//! | [`gather`] | sums over the samples of one call, which may come in chunks |
//! | [`lanes`] | loops over its numbers, one pass each |
//! | [`labels`] | classes of the rows |
//! | [`seen`] | one call with what several observables need: rows, Gram, classes, the call before |
//! | [`scatter`] | means and spreads of classes, one sample at a time, mergeable |
//! | [`directions`] | rows against class means, and along the directions that separate the classes |
//! | [`gram`] | inner products of a fixed choice of rows, spectrum |
//! | [`align`] | how alike two Gram matrices are |
//! | [`ridge`] | how well a linear reader finds the labels in rows that it has not seen |
//! | [`observables`] | the table: one file and one row each |
//! | [`stress`] | how far the load of each call lies from a fair share |
//! | [`reading`] | what is kept: numbers with errors, or reasons |
//! | [`recording`] | readings ↔ file |
//! | [`error`] | everything that can go wrong here |
//!
//! ```
//! use carnot_probe::{call::Call, session::{Session, Settings}};
//! let mut session = Session::new(Some(vec![0, 0, 1, 1]), 4, Settings::default())?;
//! let mut step = session.step(0, Some(0.69));
//! step.add(&Call::vectors("input", "input", &[0.0, 1.0, 0.1, 1.0, 2.0, 0.0, 2.1, 0.3], 2))?;
//! step.add(&Call::vectors("fc", "linear", &[0.0, 0.1, 2.0, 2.1], 1))?;
//! let reading = step.end();
//! assert!(reading.layers[1].value("load").is_some_and(|load| load.value > 0.0));
//! # Ok::<(), carnot_probe::error::ProbeError>(())
//! ```

pub mod align;
pub mod call;
pub mod digest;
pub mod directions;
pub mod error;
pub mod gather;
pub mod gram;
pub mod labels;
pub mod lanes;
pub mod observables;
pub mod reading;
pub mod recording;
pub mod ridge;
pub mod scatter;
pub mod seen;
pub mod session;
pub mod stress;
