//! The shape of one sample: positions (none, a line, a plane) and features at each position.

use serde::{Deserialize, Serialize};

/// Shape of one sample, features last: `[64]`, `[length, features]` or `[height, width, features]`.
///
/// Everything in front of the last number is a position (pixel, token); the last number is the width n that
/// theory takes to infinity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape(Vec<usize>);

/// Largest number of values in one sample that is accepted; beyond it a typing error is likelier than a wish.
pub const LARGEST: usize = 1 << 30;

impl Shape {
    /// A plain vector of n features.
    #[must_use]
    pub fn features(n: usize) -> Shape {
        Shape(vec![n])
    }

    /// Positions and features.
    #[must_use]
    pub fn new(positions: &[usize], features: usize) -> Shape {
        let mut all = positions.to_vec();
        all.push(features);
        Shape(all)
    }

    /// From plain numbers; `None` when there are none or more than three, or one is zero, or the product
    /// exceeds [`LARGEST`].
    #[must_use]
    pub fn from_sizes(sizes: &[usize]) -> Option<Shape> {
        let product = sizes.iter().try_fold(1usize, |a, &b| a.checked_mul(b))?;
        ((1..=3).contains(&sizes.len()) && product > 0 && product <= LARGEST).then(|| Shape(sizes.to_vec()))
    }

    /// All sizes, positions first.
    #[must_use]
    pub fn sizes(&self) -> &[usize] {
        &self.0
    }

    /// Sizes of the position axes; empty for a plain vector.
    #[must_use]
    pub fn axes(&self) -> &[usize] {
        &self.0[..self.0.len() - 1]
    }

    /// Number of positions P, 1 for a plain vector.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.axes().iter().product()
    }

    /// Number of features n at each position.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0[self.0.len() - 1]
    }

    /// Number of values in one sample, P n.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().product()
    }

    /// Never true: a shape has at least one value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same positions with another number of features.
    #[must_use]
    pub fn with_width(&self, width: usize) -> Shape {
        Shape::new(self.axes(), width)
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&text.join("×"))
    }
}
