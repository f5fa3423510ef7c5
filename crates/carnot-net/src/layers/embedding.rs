//! Embedding: a row of a table for each token.

use super::dense::check_width;
use super::{Chosen, LayerRule, Parameter, Role};
use crate::batch::Batch;
use crate::error::{NetworkError, ShapeFault, Unknown};
use crate::kernel::{Gram, Kernel};
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Vectors for tokens, which enter as whole numbers 0 … vocabulary − 1, one at each position: `[tokens, 1]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// Number of features n of each vector.
    #[serde(rename = "embedding")]
    pub width: usize,
    /// Number of different tokens.
    pub vocabulary: usize,
    /// C_W: variance of the entries, 1 when not given, whatever the initialisation scheme says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_w: Option<f64>,
}

impl Embedding {
    /// The row of a token; `None` for what is no token.
    fn row<S: Scalar>(&self, token: S) -> Option<usize> {
        let token = token.to_f64();
        let known = token >= 0.0 && token < self.vocabulary as f64 && token.fract() == 0.0;
        known.then_some(token as usize)
    }
}

impl LayerRule for Embedding {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        check_width(name, "embedding", self.width)?;
        check_width(name, "vocabulary", self.vocabulary)?;
        if input.width() == 1 {
            return Ok(input.with_width(self.width));
        }
        let layer = name.to_string();
        Err(NetworkError::Shape { layer, input: input.clone(), why: ShapeFault::Tokens(input.width()) })
    }

    fn parameters(&self, _: &Shape) -> Vec<Parameter> {
        let shape = vec![self.vocabulary, self.width];
        vec![Parameter { name: "weight", shape, fan_in: 1, role: Role::Weight }]
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn chosen(&self) -> Chosen {
        Chosen { c_w: Some(self.c_w.unwrap_or(1.0)), c_b: Some(0.0) }
    }

    /// $K' = C_W\,\delta$ and $\Theta' = \lambda_W\,\delta$, δ being one for equal tokens: two tokens are equal when their
    /// distance is zero.
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        theory: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        let at = site.weighted.expect("embeddings are weighted");
        let table = |size: f64| -> Gram {
            kernel.forward.map(|_, _| size, |_, _, d| if d == 0.0 { 0.0 } else { 2.0 * size })
        };
        let tangent = kernel.tangent.as_ref().map(|_| table(theory.rate[at].lambda_w));
        let forward = table(theory.init[at].c_w);
        Ok(Kernel { mean: vec![0.0; forward.sites()], forward, gaussian: true, tangent })
    }

    /// Tokens have no gradient.
    fn backward_gain(
        &self,
        site: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        _: &Theory,
    ) -> Result<f64, Unknown> {
        Err(Unknown::NoFormula { what: "gradient with respect to tokens".into(), layer: site.name.clone() })
    }

    /// What is no token becomes a vector of NaN, which no later layer can hide.
    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let mut output = tape.take(input.members, input.samples, &site.output);
        let per_member = input.rows();
        for (i, (token, out)) in input.data.iter().zip(output.data.chunks_exact_mut(self.width)).enumerate() {
            let (offset, n) = (site.offset, self.width);
            match self.row(*token) {
                Some(row) => out.copy_from_slice(weights.of(i / per_member, offset + row * n, n)),
                None => out.fill(S::from_f64(f64::NAN)),
            }
        }
        tape.save(input);
        output
    }

    fn backward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
        _: bool,
    ) -> Batch<S> {
        let mut tokens = tape.recall();
        let (n, size) = (self.width, self.width * self.vocabulary);
        let wanted = if gradients.is_empty() { 0 } else { gradient.members };
        // An unembedding has written its part of a shared table already.
        for member in 0..if site.table.is_some() { 0 } else { wanted } {
            let start = member * weights.stride + site.offset;
            gradients[start..start + size].fill(S::default());
        }
        let per_member = tokens.rows();
        for (i, (token, delta)) in tokens.data.iter().zip(gradient.data.chunks_exact(n)).enumerate() {
            if let Some(row) = self.row(*token).filter(|_| wanted > 0) {
                let start = (i / per_member) * weights.stride + site.offset + row * n;
                device::cpu::add_assign(&mut gradients[start..start + n], delta);
            }
        }
        tape.give(gradient);
        tokens.data.fill(S::default());
        tokens
    }
}
