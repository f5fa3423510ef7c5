//! Attention over the positions of a sample: $z'_t = b + U\,\big[\sum_s \Omega^h_{ts} V^h x_s\big]_{h}$, h counting heads.

mod average;
mod numbers;

use super::dense::{Dense, check_width, is_yes, yes};
use super::positional::Positional;
use super::{Arm, Chosen, Layer, LayerRule};
use crate::batch::Batch;
use crate::error::{NetworkError, ShapeFault, Unknown};
use crate::kernel::{Kernel, Positions};
use crate::network::Named;
use crate::plan::{Site, Theory, Weights, propagate_site};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// How logits become weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// $\Omega_{ts} = e^{g_{ts}}/\sum_u e^{g_{tu}}$.
    #[default]
    Softmax,
    /// $\Omega = g$.
    Identity,
    /// $\Omega = \max(g, 0)$.
    Relu,
    /// $\Omega = |g|$.
    Abs,
}

/// How logits are made from queries and keys of width $n_k$.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scaling {
    /// $g_{ts} = q_t\cdot k_s/\sqrt{n_k}$: random at any width.
    #[default]
    Sqrt,
    /// $g_{ts} = k_t\cdot k_s/n_k$, queries being keys: certain in the limit of infinite width.
    Linear,
}

/// Positional embedding inside attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionPositions {
    /// s in $R_{pq} = e^{-|p - q|^2/s}$; independent vectors when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay: Option<f64>,
    /// C_W: variance of the entries, 1 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_w: Option<f64>,
    /// Whether values see the positions too, not only queries and keys.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub values: bool,
}

/// Multi-head attention of every position to all positions of its sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    /// Number of output features n.
    #[serde(rename = "attention")]
    pub width: usize,
    /// Number of heads.
    #[serde(default = "one")]
    pub heads: usize,
    /// Width $n_k$ of queries and keys of one head; n divided by the number of heads when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<usize>,
    /// Width of the values of one head; as `key` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<usize>,
    /// `"softmax"`, `"identity"`, `"relu"` or `"abs"`.
    #[serde(default)]
    pub weighting: Weighting,
    /// `"sqrt"` or `"linear"`.
    #[serde(default)]
    pub scaling: Scaling,
    /// Whether a position sees only those before it and itself.
    #[serde(default, skip_serializing_if = "is_no")]
    pub causal: bool,
    /// Whether the queries and keys of each head are divided by their root mean square (QK-norm), so that logits cannot grow with the
    /// weights: $|g_{ts}| \le \sqrt{n_k}$.
    #[serde(default, skip_serializing_if = "is_no")]
    pub qk_norm: bool,
    /// Whether a bias is added at the end.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub bias: bool,
    /// A positional embedding before queries and keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<AttentionPositions>,
    /// C_W of all four matrices that do not say their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_w: Option<f64>,
    /// C_Q of the queries; not with linear scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_query: Option<f64>,
    /// C_K of the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_key: Option<f64>,
    /// C_V of the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_value: Option<f64>,
    /// C_U of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_out: Option<f64>,
    /// C_b of the bias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_b: Option<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_no(value: &bool) -> bool {
    !*value
}

fn one() -> usize {
    1
}

/// The layers inside, in their places.
struct Parts<'a> {
    position: Option<&'a Site>,
    query: Option<&'a Site>,
    key: &'a Site,
    value: &'a Site,
    out: &'a Site,
}

impl Attention {
    fn key_width(&self) -> usize {
        self.key.unwrap_or((self.width / self.heads.max(1)).max(1))
    }

    fn value_width(&self) -> usize {
        self.value.unwrap_or(self.key_width())
    }

    /// Factor of $q\cdot k$.
    fn scale(&self) -> f64 {
        let n = self.key_width() as f64;
        if self.scaling == Scaling::Linear { 1.0 / n } else { 1.0 / n.sqrt() }
    }

    fn parts<'a>(&self, site: &'a Site) -> Parts<'a> {
        let mut inside = site.inside.iter();
        let mut next = || inside.next().expect("arms() made this site");
        Parts {
            position: self.positions.is_some().then(&mut next),
            query: (self.scaling == Scaling::Sqrt).then(&mut next),
            key: next(),
            value: next(),
            out: next(),
        }
    }
}

impl LayerRule for Attention {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        let layer = name.to_string();
        if input.axes().is_empty() {
            let why = ShapeFault::Axes { wanted: 1, got: 0 };
            return Err(NetworkError::Shape { layer, input: input.clone(), why });
        }
        check_width(name, "attention", self.width)?;
        check_width(name, "heads", self.heads)?;
        check_width(name, "key", self.heads.saturating_mul(self.key_width()))?;
        check_width(name, "value", self.heads.saturating_mul(self.value_width()))?;
        if let (Scaling::Linear, Some(value)) = (self.scaling, self.c_query) {
            let range = "what linear scaling knows: its queries are its keys, so give c_key alone";
            return Err(NetworkError::Range { layer, key: "c_query", value, range });
        }
        Ok(input.with_width(self.width))
    }

    fn is_read(&self) -> bool {
        true
    }

    fn renews(&self, _: &Site) -> bool {
        true
    }

    fn chosen(&self) -> Chosen {
        Chosen { c_w: self.c_w, c_b: self.c_b }
    }

    /// `[position] [query] key value out`: a positional embedding and plain dense layers.
    fn arms(&self, name: &str, input: &Shape) -> Vec<Arm> {
        let dense = |part: &str, width: usize, c_w: Option<f64>| {
            let layer = Dense { bias: false, c_w: c_w.or(self.c_w), ..Dense::of_width(width) };
            Named { name: Some(format!("{name}.{part}")), layer: Layer::Dense(layer) }
        };
        let keys = self.heads.saturating_mul(self.key_width());
        let values = self.heads.saturating_mul(self.value_width());
        let mut parts = Vec::new();
        if let Some(positions) = &self.positions {
            let layer = Positional { positional: (), decay: positions.decay, c_w: positions.c_w };
            let name = Some(format!("{name}.position"));
            parts.push((Named { name, layer: Layer::Positional(layer) }, input.clone()));
        }
        if self.scaling == Scaling::Sqrt {
            parts.push((dense("query", keys, self.c_query), input.clone()));
        }
        parts.push((dense("key", keys, self.c_key), input.clone()));
        parts.push((dense("value", values, self.c_value), input.clone()));
        let mut out = dense("out", self.width, self.c_out);
        if let Layer::Dense(dense) = &mut out.layer {
            (dense.bias, dense.c_b) = (self.bias, self.c_b);
        }
        parts.push((out, input.with_width(values)));
        parts.into_iter().map(|(layer, input)| Arm { layers: vec![layer], input }).collect()
    }

    fn positions(&self, _: &Site, _: Positions) -> Positions {
        Positions::Full
    }

    /// $K'_{at,bt'} = C_b + C_U C_V \sum_{ss'} \langle\Omega_{at,s}\Omega_{bt',s'}\rangle F_{as,bs'}$, heads and widths infinite.
    ///
    /// Linear scaling: Ω is a function of $g_{ts} = C_K F_{at,as}$, which is certain; Θ mixes as K does. Square-root
    /// scaling: g is Gaussian with covariance $C_Q F_{at,bt'}\,C_K F_{as,bs'}$ and independent between heads, and Θ has
    /// the path through the logits besides; in closed form for identity, by quadrature for a softmax over up to three
    /// tokens, not known otherwise (Hron et al. 2020, arXiv:2006.10540; arXiv:2304.02034 eq. 1.65).
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        theory: &Theory,
        inside: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        if self.causal || self.qk_norm {
            let what = if self.causal {
                "the kernel of causal attention"
            } else {
                "the kernel of attention with QK-norm"
            };
            return Err(Unknown::NoFormula { what: what.into(), layer: site.name.clone() });
        }
        if kernel.forward.positions > 1 && kernel.forward.keep != Positions::Full {
            return Err(Unknown::Positions(site.name.clone()));
        }
        let parts = self.parts(site);
        let mut through = |site: &Site, kernel: &Kernel| propagate_site(site, kernel.clone(), theory, inside);
        let placed = match parts.position {
            Some(position) => through(position, &kernel)?,
            None => kernel.clone(),
        };
        let query = match parts.query {
            Some(query) => Some(through(query, &placed)?),
            None => None,
        };
        let key = through(parts.key, &placed)?;
        let value = through(parts.value, if self.values_placed() { &placed } else { &kernel })?;
        let (forward, tangent) = match query {
            None => average::certain(self.weighting, &key, &value),
            Some(query) => average::random(self.weighting, &query, &key, &value, &site.name)?,
        };
        let mean = vec![0.0; forward.sites()];
        // Sums with random weights are mixtures of Gaussians; the output's own weights make them Gaussian again.
        through(parts.out, &Kernel { forward, mean, gaussian: false, tangent })
    }

    /// $C_U C_V \frac1P\sum_{ts}\Omega_{ts}^2$ for linear scaling: gradients of different positions are uncorrelated.
    fn backward_gain(
        &self,
        site: &Site,
        _: &Kernel,
        inside: &[Result<Kernel, Unknown>],
        theory: &Theory,
    ) -> Result<f64, Unknown> {
        let parts = self.parts(site);
        if parts.query.is_some() {
            let what = "gradient gain through logits that stay random".into();
            return Err(Unknown::NoFormula { what, layer: site.name.clone() });
        }
        let place = parts.key.index - site.index - 1;
        let key = inside[place].as_ref().map_err(Clone::clone)?;
        let c_w = |site: &Site| theory.init[site.weighted.expect("dense layers are weighted")].c_w;
        let squares: f64 = average::weights(self.weighting, key).iter().map(|w| w * w).sum();
        Ok(c_w(parts.value) * c_w(parts.out) * squares / key.forward.sites() as f64)
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
    ) -> Batch<S> {
        self.values_forward(site, weights, input, tape, watch)
    }

    fn backward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
        _: bool,
    ) -> Batch<S> {
        self.values_backward(site, weights, gradient, gradients, tape, watch)
    }
}
