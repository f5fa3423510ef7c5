//! Carnot in Python. Pure Python (`python/carnot`) knows hooks and tensors; every number is made here or below.
//!
//! | module | one job |
//! |---|---|
//! | [`ask`] | the experiments of the lab, with keywords instead of flags |
//! | [`data`] | data sets as arrays |
//! | [`logged`] | what happened to a training, from its log |
//! | [`report`] | the one report: text, page, data |
//! | [`session`] | readings of a model while it trains, and recordings |
//! | [`theory`] | what initialisation and rates a layer wants |
//! | [`failure`] | every error as `carnot.Error` with code, problem, cause and remedy |

mod ask;
mod data;
mod failure;
mod logged;
mod report;
mod session;
mod theory;

use pyo3::prelude::*;

/// The native half of the package `carnot`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::ask::{ask, keys};
    #[pymodule_export]
    use crate::data::data;
    #[pymodule_export]
    use crate::logged::{curvature, diagnose};
    #[pymodule_export]
    use crate::report::Report;
    #[pymodule_export]
    use crate::session::{Session, recording_report};
    #[pymodule_export]
    use crate::theory::{critical, predict_model, rate_factor};

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
