//! Numbers on their way through a network: members × samples × one sample's shape.

use crate::shape::Shape;
use carnot_math::scalar::Scalar;

/// Values of a layer for a block of ensemble members, `[members, samples, positions.., features]`.
///
/// The member axis comes first, so that a block of small networks is one run of memory and each member's
/// matrix product is a slice of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<S> {
    /// Number of networks M in the block.
    pub members: usize,
    /// Number of samples N.
    pub samples: usize,
    /// Shape of one sample.
    pub shape: Shape,
    /// The values, `M * N * shape.len()` of them.
    pub data: Vec<S>,
}

impl<S: Scalar> Batch<S> {
    /// The same inputs for every member.
    #[must_use]
    pub fn repeated(members: usize, samples: usize, shape: &Shape, inputs: &[S]) -> Batch<S> {
        assert_eq!(inputs.len(), samples * shape.len(), "inputs must be [samples, shape]");
        let mut data = Vec::with_capacity(members * inputs.len());
        for _ in 0..members {
            data.extend_from_slice(inputs);
        }
        Batch { members, samples, shape: shape.clone(), data }
    }

    /// Values of one member, `[samples, shape]`.
    #[must_use]
    pub fn member(&self, member: usize) -> &[S] {
        let size = self.samples * self.shape.len();
        &self.data[member * size..(member + 1) * size]
    }

    /// Rows of features in one member: samples × positions.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.samples * self.shape.positions()
    }
}
