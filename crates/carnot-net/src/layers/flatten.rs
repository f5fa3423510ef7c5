//! Flatten: positions become features.

use super::LayerRule;
use crate::batch::Batch;
use crate::error::{NetworkError, Unknown};
use crate::kernel::{Kernel, Positions};
use crate::plan::{Site, Theory, Weights};
use crate::reading::merge_positions;
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `[positions.., features]` becomes one vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flatten {
    /// Written `flatten = true`.
    #[serde(rename = "flatten", serialize_with = "write_true", deserialize_with = "read_true")]
    pub flatten: (),
}

fn write_true<S: Serializer>(_: &(), serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(true)
}

fn read_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    if bool::deserialize(deserializer)? {
        return Ok(());
    }
    Err(serde::de::Error::custom("flatten = false has no meaning; leave the layer out"))
}

impl LayerRule for Flatten {
    fn shape(&self, _: &str, input: &Shape) -> Result<Shape, NetworkError> {
        Ok(Shape::features(input.len()))
    }

    fn positions(&self, _: &Site, _: Positions) -> Positions {
        Positions::Diagonal
    }

    /// $K'_{ab} = \frac1P\sum_p K_{ap,bp}$: only equal positions meet.
    fn propagate(
        &self,
        _: &Site,
        kernel: Kernel,
        _: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        let positions = kernel.forward.positions;
        let mean = kernel.mean.chunks(positions).map(|m| m.iter().sum::<f64>() / positions as f64).collect();
        let tangent = kernel.tangent.as_ref().map(merge_positions);
        // Features from several positions have several variances, so they are one Gaussian only when P = 1.
        let gaussian = kernel.gaussian && positions == 1;
        Ok(Kernel { forward: merge_positions(&kernel.forward), mean, gaussian, tangent })
    }

    fn backward_gain(
        &self,
        _: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        _: &Theory,
    ) -> Result<f64, Unknown> {
        Ok(1.0)
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        _: Weights<S>,
        mut input: Batch<S>,
        _: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        input.shape = site.output.clone();
        input
    }

    fn backward<S: Scalar>(
        &self,
        site: &Site,
        _: Weights<S>,
        mut gradient: Batch<S>,
        _: &mut [S],
        _: &mut Tape<S>,
        _: &mut dyn Watch<S>,
        _: bool,
    ) -> Batch<S> {
        gradient.shape = site.input.clone();
        gradient
    }
}
