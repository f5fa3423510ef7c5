//! Kernel matrices as they leave the engine.

/// Numbers in the precision that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl Values {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
        }
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers in double precision.
    #[must_use]
    pub fn into_f64(self) -> Vec<f64> {
        match self {
            Values::F32(values) => values.into_iter().map(f64::from).collect(),
            Values::F64(values) => values,
        }
    }
}

/// A block of the kernel of two sets of samples, `[rows, columns]` row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrices {
    /// Samples of the first set.
    pub rows: usize,
    /// Samples of the second set.
    pub columns: usize,
    /// K, the covariance of the outputs over random networks (mean over positions left apart at the output).
    pub kernel: Values,
    /// Θ, where asked for.
    pub tangent: Option<Values>,
}
