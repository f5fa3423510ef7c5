//! The same two numbers through any network of tokens, layer by layer: whatever the order of its norms and skips.

use std::collections::HashMap;

use carnot_net::activation::Activation;
use carnot_net::error::Unknown;
use carnot_net::hyper::LayerInit;
use carnot_net::layers::Layer;
use carnot_net::layers::attention::{Attention, Scaling, Weighting};
use carnot_net::layers::positional::Positional;
use carnot_net::plan::{Plan, Site};

use super::squeeze::Squeeze;
use super::state::State;
use super::{Mlp, Stream};

/// The stream behind a layer of the top level.
#[derive(Clone, Debug, PartialEq)]
pub struct Behind {
    /// Place in [`Plan::sites`].
    pub site: usize,
    /// Attention layers so far, those inside residual blocks too.
    pub attentions: usize,
    /// The stream; information is I, not divided by that of the start.
    pub stream: Stream,
}

/// What activations do to distances, kept from one walk to the next: it takes longer than a walk.
#[derive(Default)]
pub struct Memory {
    /// By formula and variance.
    squeezes: HashMap<(String, u64), Squeeze>,
}

/// Follows two tokens of a text, and one token of two texts, from the embedding to the output, at initialisation.
///
/// With q the mean square of a number, $q(1-\rho)$ and $q\,\delta$ are half the squared distances, and each layer does to both what it does
/// to the kernel: a dense layer $q' = C_W q + C_b$, $q'(1-\rho') = C_W q(1-\rho)$; an activation
/// $\langle(\sigma(x)-\sigma(y))^2\rangle/2$; positions add their own; a norm divides by q; a residual block adds
/// $\gamma^2$ of the skip to $\beta^2$ of the branch; attention as [`super::through`] has it, QK-norm with logits of variance 1.
///
/// * `init`: one per layer with weights
/// * `matches`: chance that two tokens of a text are the same one, 0 ≤ p < 1
/// * returns: one state for each layer of the top level from the embedding on
///
/// # Errors
/// [`Unknown`]: without an embedding, for layers that are not listed, and for activations that cannot be averaged.
///
/// Checked against [`super::through`], and against networks in `carnot-lab/tests/tokens.rs`.
pub fn walk(
    plan: &Plan,
    init: &[LayerInit],
    matches: f64,
    memory: &mut Memory,
) -> Result<Vec<Behind>, Unknown> {
    let mut walker = Walker { init, matches, memory, attentions: 0 };
    let mut state = None;
    let mut all = Vec::new();
    for (place, site) in plan.sites.iter().enumerate() {
        let next = walker.site(site, state)?;
        all.push(Behind { site: place, attentions: walker.attentions, stream: next.stream() });
        state = Some(next);
    }
    Ok(all)
}

struct Walker<'a> {
    init: &'a [LayerInit],
    matches: f64,
    memory: &'a mut Memory,
    attentions: usize,
}

impl Walker<'_> {
    fn of(&self, site: &Site) -> LayerInit {
        self.init[site.weighted.expect("a layer with weights")]
    }

    fn site(&mut self, site: &Site, state: Option<State>) -> Result<State, Unknown> {
        let no = |what: &str| Unknown::NoFormula { what: what.into(), layer: site.name.clone() };
        if let Layer::Embedding(_) = site.layer {
            let size = self.of(site).c_w;
            return Ok(State { size, apart: size * (1.0 - self.matches), last: size, own: size });
        }
        let state = state.ok_or_else(|| no("cosine of tokens in front of an embedding"))?;
        match &site.layer {
            Layer::Positional(positional) => Ok(self.placed(site, positional, state)),
            Layer::Dense(_) => {
                let init = self.of(site);
                Ok(state.times(init.c_w).shifted(init.c_b))
            }
            Layer::Activate(activate) => self.bent(&activate.activation, site, state),
            Layer::Norm(norm) if norm.axes.is_empty() && state.size > 0.0 => Ok(state.normalised()),
            Layer::Dropout(_) => Ok(state),
            Layer::Residual(residual) => {
                let mut branch = state;
                for inner in &site.inside {
                    branch = self.site(inner, Some(branch))?;
                }
                Ok(state.times(residual.skip.powi(2)).plus(branch.times(residual.branch.powi(2))))
            }
            Layer::Attention(attention) => self.attended(site, attention, state),
            _ => Err(no("cosine of tokens")),
        }
    }

    /// Vectors of different positions differ; a text with another token has the same positions.
    fn placed(&self, site: &Site, positional: &Positional, state: State) -> State {
        let c = self.of(site).c_w;
        let t = site.input.positions();
        // Mean over pairs of e^{−|p − q|²/s}.
        let alike = match positional.decay {
            None => 0.0,
            Some(decay) => {
                let sum: f64 =
                    (1..t).map(|gap| 2.0 * (t - gap) as f64 * (-(gap as f64).powi(2) / decay).exp()).sum();
                sum / ((t * t.saturating_sub(1)).max(1)) as f64
            }
        };
        State { apart: state.apart + c * (1.0 - alike), ..state.shifted(c) }
    }

    fn bent(&mut self, activation: &Activation, site: &Site, state: State) -> Result<State, Unknown> {
        let key = (activation.name.clone(), state.size.to_bits());
        if !self.memory.squeezes.contains_key(&key) {
            let mlp =
                Mlp { activation: activation.formula.clone(), c_in: state.size, c_out: 1.0, is_gated: false };
            let lost = |_| Unknown::Average { activation: site.name.clone(), variance: state.size };
            self.memory.squeezes.insert(key.clone(), Squeeze::new(&mlp).map_err(lost)?);
        }
        Ok(state.bent(&self.memory.squeezes[&key]))
    }

    fn attended(&mut self, site: &Site, attention: &Attention, state: State) -> Result<State, Unknown> {
        let no = |what: &str| Unknown::NoFormula { what: what.into(), layer: site.name.clone() };
        let plain = attention.weighting == Weighting::Softmax && attention.scaling == Scaling::Sqrt;
        let [query, key, value, out] = &site.inside[..] else {
            return Err(no("cosine of tokens behind attention of its own positions"));
        };
        if !plain || attention.positions.is_some() {
            return Err(no("cosine of tokens behind such attention"));
        }
        self.attentions += 1;
        if state.size <= 0.0 {
            return Ok(state);
        }
        let logits = match attention.qk_norm {
            true => 1.0,
            false => self.of(query).c_w * self.of(key).c_w * state.size.powi(2),
        };
        let gain = self.of(value).c_w * self.of(out).c_w;
        let mixed = state.attended(logits, site.input.positions(), attention.causal);
        Ok(mixed.times(gain).shifted(self.of(out).c_b))
    }
}
