//! What an activation does to a line of pairs, given what is known of each of the two sides.

use crate::dual::{Lane, PairDual};
use carnot_math::scalar::Scalar;
use carnot_net::error::Unknown;

/// What is known of single numbers of given variances: some arrays, all of one length.
pub(crate) type Fields<S> = Vec<Vec<S>>;

/// An activation ready for lines of pairs.
#[derive(Clone, Debug)]
pub(crate) struct Unary {
    dual: PairDual,
}

impl Unary {
    pub fn new(dual: PairDual) -> Unary {
        Unary { dual }
    }

    /// What is known of each variance.
    pub fn fields<S: Scalar>(&self, variance: &[S]) -> Result<Fields<S>, Unknown> {
        Ok(vec![variance.to_vec()])
    }

    /// Overwrites covariances by ⟨σσ⟩, and Θ (empty where not wanted) by ⟨σ′σ′⟩Θ.
    pub fn pairs<S: Scalar>(
        &self,
        rows: &[Vec<S>],
        columns: &[Vec<S>],
        (row, column): (usize, usize),
        kernel: &mut [S],
        tangent: &mut [S],
    ) -> Result<(), Unknown> {
        let n = kernel.len();
        let of = |fields: &[Vec<S>], first: usize| {
            let variance: Vec<f64> = fields[0][first..first + n].iter().map(|v| v.to_f64()).collect();
            self.dual.points(&variance)
        };
        let (rows, columns) = (of(rows, row)?, of(columns, column)?);
        let tangent = (!tangent.is_empty()).then_some(tangent);
        self.dual.pairs((&rows, Lane::From(0)), (&columns, Lane::From(0)), kernel, tangent)
    }
}
