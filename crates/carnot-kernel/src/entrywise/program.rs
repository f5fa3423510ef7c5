//! A plan as a list of steps on angles.

use crate::dual::PairDual;
use crate::dual::number::Number;
use crate::engine::{Options, Precision};
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::layers::norm::Kind;
use carnot_net::layers::{Layer, LayerRule};
use carnot_net::plan::{Plan, Site};
use carnot_net::tape::Mode;

/// One step and the layer it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) layer: String,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// σ without its wrapping.
    Activate(PairDual),
    /// The wrapping α g(βz) + γ.
    Wrap { outer: f64, inner: f64, shift: f64 },
    /// K′ = C_b + C_W K, Θ′ = λ_b + λ_W K + C_W Θ.
    Weigh { c_w: f64, c_b: f64, lambda_w: f64, lambda_b: f64 },
    /// z/√(K + ε), after the mean over features has been taken off where `centres`.
    Norm { centres: bool, epsilon: f64 },
    /// Independent masks for every sample: only the diagonal grows, by 1/keep.
    Drop { keep: f64 },
    /// Keeps the state for the skip path.
    Fork,
    /// K′ = β² K + γ² K_kept, and Θ alike.
    Join { branch: f64, skip: f64 },
}

/// A network of one position, as steps.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    pub(crate) tangent: bool,
}

impl Program {
    /// `None` when the network is not of this kind (several positions, other layers, a layer without an answer): another
    /// route then has the answer or the reason.
    pub(crate) fn compile(
        plan: &Plan,
        (init, rate): (&[LayerInit], &[LayerRate]),
        options: &Options,
    ) -> Option<Program> {
        let Options { tangent, mode, .. } = *options;
        let tolerance = match options.precision {
            Precision::F64 => options.tolerance.max(f64::FINEST),
            Precision::F32 => options.tolerance.max(f32::FINEST),
        };
        if tangent && rate.len() < plan.weighted || init.len() < plan.weighted {
            return None;
        }
        let mut compiler = Compiler { init, rate, tangent, tolerance, mode, steps: Vec::new() };
        // A flatten in front makes one position of many before anything else has happened.
        let is_first = plan.sites.first().is_some_and(|site| matches!(site.layer, Layer::Flatten(_)));
        let sites = if is_first { &plan.sites[1..] } else { &plan.sites[..] };
        let all_flat = sites.iter().all(|site| site.input.positions() == 1);
        let mut gaussian = false;
        (all_flat && compiler.sites(sites, &mut gaussian).is_some())
            .then_some(Program { steps: compiler.steps, tangent })
    }
}

struct Compiler<'a> {
    init: &'a [LayerInit],
    rate: &'a [LayerRate],
    tangent: bool,
    tolerance: f64,
    mode: Mode,
    steps: Vec<Step>,
}

impl Compiler<'_> {
    fn push(&mut self, site: &Site, what: What) {
        self.steps.push(Step { layer: site.name.clone(), what });
    }

    fn sites(&mut self, sites: &[Site], gaussian: &mut bool) -> Option<()> {
        sites.iter().try_for_each(|site| self.site(site, gaussian))
    }

    fn site(&mut self, site: &Site, gaussian: &mut bool) -> Option<()> {
        match &site.layer {
            Layer::Dense(dense) => {
                let at = site.weighted?;
                let (init, bias) = (self.init[at], f64::from(dense.bias));
                let (lambda_w, lambda_b) = match self.tangent {
                    true => (self.rate[at].lambda_w, bias * self.rate[at].lambda_b),
                    false => (0.0, 0.0),
                };
                let (c_w, c_b) = (init.c_w, bias * init.c_b);
                self.push(site, What::Weigh { c_w, c_b, lambda_w, lambda_b });
                *gaussian = true;
            }
            Layer::Activate(activate) => {
                if !*gaussian {
                    return None;
                }
                *gaussian = false;
                let dual = PairDual::new(&activate.activation, self.tolerance);
                let wrapped = dual.wrapped;
                self.push(site, What::Activate(dual));
                if !wrapped.is_plain() {
                    let (outer, inner, shift) = (wrapped.outer, wrapped.inner, wrapped.shift);
                    self.push(site, What::Wrap { outer, inner, shift });
                }
            }
            Layer::Norm(norm) => {
                let centres = norm.kind == Kind::Layer;
                self.push(site, What::Norm { centres, epsilon: norm.epsilon });
            }
            Layer::Dropout(dropout) => {
                if self.mode == Mode::Train && dropout.probability > 0.0 {
                    self.push(site, What::Drop { keep: 1.0 - dropout.probability });
                    *gaussian = false;
                }
            }
            Layer::Flatten(_) if site.input.positions() == 1 => {}
            Layer::Residual(residual) => {
                // Branch and skip are independent only when fresh weights come last in the branch.
                let inside = |inner: &&Site| !matches!(inner.layer, Layer::Dropout(_));
                if !site.inside.iter().rev().find(inside)?.layer.has_weights() {
                    return None;
                }
                let before = *gaussian;
                self.push(site, What::Fork);
                self.sites(&site.inside, gaussian)?;
                *gaussian &= before;
                self.push(site, What::Join { branch: residual.branch, skip: residual.skip });
            }
            _ => return None,
        }
        Some(())
    }
}
