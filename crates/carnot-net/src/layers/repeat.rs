//! Repeat: a block written once and built several times, each copy with its own parameters.

use super::LayerRule;
use crate::batch::Batch;
use crate::error::{NetworkError, Unknown};
use crate::kernel::Kernel;
use crate::network::Named;
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// `times` copies of `block`, one after another. A plan unrolls it, so a site is never a repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// Number of copies.
    #[serde(rename = "repeat")]
    pub times: usize,
    /// The layers of one copy.
    pub block: Vec<Named>,
}

const UNROLLED: &str = "a plan unrolls repeats";

impl LayerRule for Repeat {
    fn shape(&self, _: &str, _: &Shape) -> Result<Shape, NetworkError> {
        unreachable!("{UNROLLED}")
    }

    fn propagate(
        &self,
        _: &Site,
        _: Kernel,
        _: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        unreachable!("{UNROLLED}")
    }

    fn backward_gain(
        &self,
        _: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        _: &Theory,
    ) -> Result<f64, Unknown> {
        unreachable!("{UNROLLED}")
    }

    fn forward<S: Scalar>(
        &self,
        _: &Site,
        _: Weights<S>,
        _: Batch<S>,
        _: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        unreachable!("{UNROLLED}")
    }

    fn backward<S: Scalar>(
        &self,
        _: &Site,
        _: Weights<S>,
        _: Batch<S>,
        _: &mut [S],
        _: &mut Tape<S>,
        _: &mut dyn Watch<S>,
        _: bool,
    ) -> Batch<S> {
        unreachable!("{UNROLLED}")
    }
}
