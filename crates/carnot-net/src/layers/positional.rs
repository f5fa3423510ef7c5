//! Positional embedding: a learned vector for each position, added to what is there.

use super::{Chosen, LayerRule, Parameter, Role};
use crate::batch::Batch;
use crate::error::{NetworkError, ShapeFault, Unknown};
use crate::kernel::{Gram, Kernel};
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device::{self, View};
use carnot_math::linalg;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// $z'_p = z_p + \sum_q L_{pq} e_q$ with trained vectors $e_q$ of variance $C_W$ and $L L^T = R$, the covariance of positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Positional {
    /// Written `positional = true`.
    #[serde(rename = "positional", serialize_with = "write_true", deserialize_with = "read_true")]
    pub positional: (),
    /// s in $R_{pq} = e^{-|p - q|^2/s}$, > 0; independent vectors (R = 1) when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay: Option<f64>,
    /// C_W: variance of the entries, 1 when not given, whatever the initialisation scheme says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_w: Option<f64>,
}

fn write_true<S: Serializer>(_: &(), serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(true)
}

fn read_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    if bool::deserialize(deserializer)? {
        return Ok(());
    }
    Err(serde::de::Error::custom("positional = false has no meaning; leave the layer out"))
}

impl Positional {
    /// R of two positions.
    fn covariance(&self, input: &Shape, p: usize, q: usize) -> f64 {
        let Some(decay) = self.decay else {
            return if p == q { 1.0 } else { 0.0 };
        };
        let (mut p, mut q, mut apart) = (p, q, 0.0);
        for &size in input.axes().iter().rev() {
            apart += ((p % size) as f64 - (q % size) as f64).powi(2);
            (p, q) = (p / size, q / size);
        }
        (-apart / decay).exp()
    }

    /// The symmetric root L of R, `[P, P]`; `None` for the identity. Slow decay makes R nearly singular, where a
    /// Cholesky factor would fail and the root does not.
    fn root(&self, input: &Shape) -> Option<Vec<f64>> {
        self.decay?;
        let p = input.positions();
        let covariance: Vec<f64> = (0..p * p).map(|i| self.covariance(input, i / p, i % p)).collect();
        let eigen = linalg::symmetric_eigen(&covariance, p).expect("a covariance of positions is finite");
        let roots: Vec<f64> = eigen.values.iter().map(|value| value.max(0.0).sqrt()).collect();
        let entry = |i: usize| {
            let (a, b) = (i / p, i % p);
            (0..p).map(|k| eigen.vectors[k * p + a] * roots[k] * eigen.vectors[k * p + b]).sum()
        };
        Some((0..p * p).map(entry).collect())
    }
}

impl LayerRule for Positional {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        let layer = name.to_string();
        if input.axes().is_empty() {
            let why = ShapeFault::Axes { wanted: 1, got: 0 };
            return Err(NetworkError::Shape { layer, input: input.clone(), why });
        }
        match self.decay {
            Some(value) if !(value > 0.0 && value <= 1e9) => {
                Err(NetworkError::Range { layer, key: "decay", value, range: "0 < decay <= 1e9" })
            }
            _ => Ok(input.clone()),
        }
    }

    fn parameters(&self, input: &Shape) -> Vec<Parameter> {
        let shape = vec![input.positions(), input.width()];
        vec![Parameter { name: "weight", shape, fan_in: 1, role: Role::Weight }]
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn renews(&self, _: &Site) -> bool {
        false
    }

    fn chosen(&self) -> Chosen {
        Chosen { c_w: Some(self.c_w.unwrap_or(1.0)), c_b: Some(0.0) }
    }

    /// $K'_{ap,bq} = K_{ap,bq} + C_W R_{pq}$ and $\Theta'_{ap,bq} = \Theta_{ap,bq} + \lambda_W R_{pq}$.
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        theory: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        let at = site.weighted.expect("positional embeddings are weighted");
        let positions = kernel.forward.positions;
        let with = |gram: &Gram, size: f64| {
            gram.map(
                |_, v| v + size,
                |a, b, d| {
                    let lost = 1.0 - self.covariance(&site.input, a % positions, b % positions);
                    d + 2.0 * size * lost
                },
            )
        };
        let tangent = kernel.tangent.as_ref().map(|tangent| with(tangent, theory.rate[at].lambda_w));
        let forward = with(&kernel.forward, theory.init[at].c_w);
        Ok(Kernel { forward, mean: kernel.mean, gaussian: kernel.gaussian, tangent })
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
        weights: Weights<S>,
        mut input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let (p, n, size) = (site.input.positions(), site.input.width(), site.input.len());
        let root = self.root(&site.input).map(|root| scalars::<S>(&root));
        let mut added = tape.take_values(size);
        let per_member = input.samples * size;
        for (member, values) in input.data.chunks_exact_mut(per_member).enumerate() {
            let vectors = weights.of(member, site.offset, size);
            match &root {
                Some(root) => {
                    device::product(&mut added, View::new(root, p, p), View::new(vectors, p, n), false);
                }
                None => added.copy_from_slice(vectors),
            }
            values.chunks_exact_mut(size).for_each(|sample| device::cpu::add_assign(sample, &added));
        }
        tape.give_values(added);
        input
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
        let (p, n, size) = (site.input.positions(), site.input.width(), site.input.len());
        let root = self.root(&site.input).map(|root| scalars::<S>(&root));
        if gradients.is_empty() {
            return gradient;
        }
        let mut sum = tape.take_values(size);
        for (member, deltas) in gradient.data.chunks_exact(gradient.samples * size).enumerate() {
            sum.fill(S::default());
            deltas.chunks_exact(size).for_each(|delta| device::cpu::add_assign(&mut sum, delta));
            let start = member * weights.stride + site.offset;
            let out = &mut gradients[start..start + size];
            match &root {
                // The root is symmetric, so its transpose is itself.
                Some(root) => device::product(out, View::new(root, p, p), View::new(&sum, p, n), false),
                None => out.copy_from_slice(&sum),
            }
        }
        tape.give_values(sum);
        gradient
    }
}

fn scalars<S: Scalar>(values: &[f64]) -> Vec<S> {
    values.iter().map(|x| S::from_f64(*x)).collect()
}
