//! Unembedding: a head whose weights are the table of the embedding.

use super::dense::check_width;
use super::{LayerRule, Parameter};
use crate::batch::Batch;
use crate::error::{NetworkError, Unknown};
use crate::kernel::Kernel;
use crate::plan::{Site, Table, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device::{self, View};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// One number for each token: how much the features x `[positions, n]` are like its vector, $z_v = s\,e_v \cdot x$, with the vectors $e_v$ of the
/// embedding before it. Both are one matrix, which follows the sum of both gradients (Press and Wolf, arXiv:1608.05859).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unembedding {
    /// Number of different tokens, that of the embedding.
    #[serde(rename = "unembedding")]
    pub vocabulary: usize,
    /// s, 1/√n when not given: then logits have the size of the features when the table has a variance of 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
}

impl Unembedding {
    /// s.
    #[must_use]
    pub fn scale_of(&self, width: usize) -> f64 {
        self.scale.unwrap_or(1.0 / (width as f64).sqrt())
    }

    /// C_W of the head as a matrix of variance C_W/n: $s^2 n$ times the variance of the table.
    #[must_use]
    pub fn c_w(&self, width: usize, table: f64) -> f64 {
        self.scale_of(width).powi(2) * width as f64 * table
    }

    fn table(site: &Site) -> Table {
        site.table.expect("the plan found the table")
    }
}

impl LayerRule for Unembedding {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        check_width(name, "unembedding", self.vocabulary)?;
        if let Some(value) = self.scale.filter(|scale| !(*scale > 0.0 && *scale <= 1e6)) {
            let layer = name.to_string();
            return Err(NetworkError::Range { layer, key: "scale", value, range: "0 < scale <= 1000000" });
        }
        Ok(input.with_width(self.vocabulary))
    }

    fn parameters(&self, _: &Shape) -> Vec<Parameter> {
        Vec::new()
    }

    fn is_read(&self) -> bool {
        true
    }

    /// Not known: features hold the vector of their own token, whose logit $s\,|e_v|^2$ grows as √n above the others.
    fn propagate(
        &self,
        site: &Site,
        _: Kernel,
        _: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        let what = "logits of a head that is the embedding".into();
        Err(Unknown::NoFormula { what, layer: site.name.clone() })
    }

    /// $E|s E^T\delta|^2 = s^2 n\,C_E\,|\delta|^2$.
    fn backward_gain(
        &self,
        site: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        theory: &Theory,
    ) -> Result<f64, Unknown> {
        Ok(self.c_w(site.input.width(), theory.init[Self::table(site).weighted].c_w))
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let mut output = tape.take(input.members, input.samples, &site.output);
        let (rows, n, kinds) = (output.rows(), site.input.width(), self.vocabulary);
        let scale = S::from_f64(self.scale_of(n));
        for member in 0..output.members {
            let table = weights.of(member, Self::table(site).offset, kinds * n);
            let x = &input.data[member * rows * n..(member + 1) * rows * n];
            let z = &mut output.data[member * rows * kinds..(member + 1) * rows * kinds];
            device::product(z, View::new(x, rows, n), View::new(table, kinds, n).transposed(), false);
        }
        output.data.iter_mut().for_each(|z| *z *= scale);
        tape.save(input);
        output
    }

    /// Writes the gradient of the table as a head; the embedding, which comes later, adds its own.
    fn backward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        mut gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
        need_input: bool,
    ) -> Batch<S> {
        let mut input = tape.recall();
        let (rows, n, kinds) = (gradient.rows(), site.input.width(), self.vocabulary);
        let (offset, scale) = (Self::table(site).offset, S::from_f64(self.scale_of(n)));
        gradient.data.iter_mut().for_each(|z| *z *= scale);
        for member in 0..gradient.members {
            let x = &mut input.data[member * rows * n..(member + 1) * rows * n];
            let dz = &gradient.data[member * rows * kinds..(member + 1) * rows * kinds];
            let dz = View::new(dz, rows, kinds);
            if !gradients.is_empty() {
                let start = member * weights.stride + offset;
                let to = &mut gradients[start..start + kinds * n];
                device::product(to, dz.transposed(), View::new(x, rows, n), false);
            }
            if need_input {
                let table = weights.of(member, offset, kinds * n);
                device::product(x, dz, View::new(table, kinds, n), false);
            }
        }
        tape.give(gradient);
        input
    }
}
