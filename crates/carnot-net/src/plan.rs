//! A network made ready: repeats unrolled, every layer with its shapes, its name and the place of its parameters.

use crate::batch::Batch;
use crate::error::{NetworkError, ShapeFault, Unknown};
use crate::hyper::{LayerInit, LayerRate};
use crate::kernel::{Kernel, Positions};
use crate::layers::{Layer, LayerRule, Parameter};
use crate::network::Network;
use crate::shape::Shape;
use crate::tape::{Mode, Tape, Watch};
use carnot_math::scalar::Scalar;

/// Most layers, and most parameters, that a plan accepts.
pub const MOST_LAYERS: usize = 100_000;
/// Most parameters of one network, beyond which no machine could simulate it.
pub const MOST_PARAMETERS: f64 = 1e11;

/// One layer in its place.
#[derive(Clone, Debug)]
pub struct Site {
    /// Index in preorder over the whole network.
    pub index: usize,
    /// Name shown to people: given by the user or `kind.number`, numbered from 1.
    pub name: String,
    /// The layer.
    pub layer: Layer,
    /// Shape that enters.
    pub input: Shape,
    /// Shape that leaves.
    pub output: Shape,
    /// Parameters, in the order in which they lie in memory.
    pub parameters: Vec<Parameter>,
    /// First parameter's place in a member's parameter vector.
    pub offset: usize,
    /// Number of this layer among the layers with initialised weights; index into `&[LayerInit]`.
    pub weighted: Option<usize>,
    /// The table that this layer shares with another: an embedding and its unembedding.
    pub table: Option<Table>,
    /// Layers inside, arm after arm.
    pub inside: Vec<Site>,
    /// Number of sites of `inside` that each arm holds; empty for a layer with nothing inside.
    pub arms: Vec<usize>,
}

/// A table of vectors of tokens, which an embedding owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// First entry's place in a member's parameter vector.
    pub offset: usize,
    /// Number of the embedding among the layers with weights.
    pub weighted: usize,
    /// Tokens.
    pub vocabulary: usize,
    /// Features of each.
    pub width: usize,
}

impl Site {
    /// The sites of each arm.
    #[must_use]
    pub fn arm_sites(&self) -> Vec<&[Site]> {
        let mut rest = &self.inside[..];
        let mut all = Vec::new();
        for &len in &self.arms {
            let (arm, after) = rest.split_at(len);
            all.push(arm);
            rest = after;
        }
        all
    }

    /// Fan-in of the weights, 0 for a layer without.
    #[must_use]
    pub fn fan_in(&self) -> usize {
        self.parameters.first().map_or(0, |p| p.fan_in)
    }
}

/// A resolved network.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Shape of one input sample.
    pub input: Shape,
    /// Top-level layers, repeats unrolled.
    pub sites: Vec<Site>,
    /// Number of parameters of one member.
    pub parameters: usize,
    /// Number of layers with weights.
    pub weighted: usize,
}

/// What theory needs to know beside the network: initialisation and relative rates of each weighted layer.
#[derive(Clone, Copy, Debug)]
pub struct Theory<'a> {
    /// One per weighted layer.
    pub init: &'a [LayerInit],
    /// One per weighted layer; empty when no tangent kernel is wanted.
    pub rate: &'a [LayerRate],
    /// Whether dropout acts: it does in the network as trained, not in the network as used.
    pub mode: Mode,
}

impl<'a> Theory<'a> {
    /// Theory of the network as used, with dropout off.
    #[must_use]
    pub fn new(init: &'a [LayerInit], rate: &'a [LayerRate]) -> Theory<'a> {
        Theory { init, rate, mode: Mode::Evaluate }
    }
}

/// Parameters (or gradients) of a block of members, `[members, parameters]`.
#[derive(Clone, Copy)]
pub struct Weights<'a, S> {
    /// The values.
    pub data: &'a [S],
    /// Number of parameters of one member.
    pub stride: usize,
}

impl<'a, S> Weights<'a, S> {
    /// `len` values of one member from `offset` on.
    #[must_use]
    pub fn of(&self, member: usize, offset: usize, len: usize) -> &'a [S] {
        let start = member * self.stride + offset;
        &self.data[start..start + len]
    }
}

impl Plan {
    /// Resolves a network.
    ///
    /// # Errors
    /// [`NetworkError`] when a layer cannot take what comes in, or the network is empty or absurdly large.
    pub fn new(network: &Network) -> Result<Plan, NetworkError> {
        let mut builder = Builder::default();
        let (mut sites, _) = builder.sites(&network.layers, &network.input)?;
        share(&mut sites, &builder.shared);
        if sites.is_empty() {
            return Err(NetworkError::Empty);
        }
        if builder.parameters > MOST_PARAMETERS {
            let what = "parameters";
            return Err(NetworkError::TooLarge { count: builder.parameters, what, limit: MOST_PARAMETERS });
        }
        let parameters = builder.parameters as usize;
        Ok(Plan { input: network.input.clone(), sites, parameters, weighted: builder.weighted })
    }

    /// Shape that leaves the network.
    #[must_use]
    pub fn output(&self) -> &Shape {
        &self.sites.last().expect("a plan has at least one site").output
    }

    /// Every site in preorder, those inside residual blocks too.
    #[must_use]
    pub fn all(&self) -> Vec<&Site> {
        fn walk<'a>(sites: &'a [Site], out: &mut Vec<&'a Site>) {
            for site in sites {
                out.push(site);
                walk(&site.inside, out);
            }
        }
        let mut out = Vec::new();
        walk(&self.sites, &mut out);
        out
    }

    /// Sites with weights, in the order of `&[LayerInit]`.
    #[must_use]
    pub fn weighted_sites(&self) -> Vec<&Site> {
        self.all().into_iter().filter(|site| site.weighted.is_some()).collect()
    }

    /// Sites whose output is read: top-level layers with weights, and residual blocks as a whole.
    #[must_use]
    pub fn read_sites(&self) -> Vec<&Site> {
        self.sites.iter().filter(|site| site.layer.is_read()).collect()
    }

    /// Which position pairs must be kept at the input, decided backwards from the output.
    #[must_use]
    pub fn positions(&self) -> Positions {
        positions_through(&self.sites, Positions::Diagonal)
    }

    /// Kernel of every site's output, in preorder, in the limit of infinite width.
    ///
    /// A site without an answer carries the reason; the sites after it say where it was lost.
    #[must_use]
    pub fn propagate(&self, inputs: Kernel, theory: &Theory) -> Vec<Result<Kernel, Unknown>> {
        let mut kernels = Vec::new();
        let mut state = Ok(inputs);
        for site in &self.sites {
            state = match state {
                Ok(kernel) => propagate_site(site, kernel, theory, &mut kernels),
                Err(lost) => Err(skip_site(site, lost, &mut kernels)),
            };
        }
        kernels
    }

    /// Values through the whole network; what is needed backwards stays on the tape.
    pub fn forward<S: Scalar>(
        &self,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
    ) -> Batch<S> {
        forward_all(&self.sites, weights, input, tape, watch)
    }

    /// Gradients of everything, given the gradient of the loss with respect to the output.
    ///
    /// `gradients` has the layout of the parameters and is overwritten; where only the gradients of values are wanted (seen by
    /// `watch`), it may be empty.
    pub fn backward<S: Scalar>(
        &self,
        weights: Weights<S>,
        output_gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
    ) {
        let mut gradient = output_gradient;
        for (at, site) in self.sites.iter().enumerate().rev() {
            watch.backward(site.index, &gradient);
            // The gradient with respect to the data is never used.
            gradient = site.layer.backward(site, weights, gradient, gradients, tape, watch, at > 0);
        }
        tape.give(gradient);
    }
}

/// Values through consecutive sites.
pub fn forward_all<S: Scalar>(
    sites: &[Site],
    weights: Weights<S>,
    input: Batch<S>,
    tape: &mut Tape<S>,
    watch: &mut dyn Watch<S>,
) -> Batch<S> {
    let mut values = input;
    for site in sites {
        values = site.layer.forward(site, weights, values, tape, watch);
        watch.forward(site.index, &values);
    }
    values
}

/// Which position pairs must enter consecutive sites for `wanted` to leave.
#[must_use]
pub fn positions_through(sites: &[Site], wanted: Positions) -> Positions {
    sites.iter().rev().fold(wanted, |wanted, site| site.layer.positions(site, wanted))
}

/// True when features that leave consecutive sites are, given their kernel, independent of those that entered.
#[must_use]
pub fn renewed(sites: &[Site]) -> bool {
    sites.iter().any(|site| site.layer.renews(site))
}

/// Kernel through one site; pushes the kernels of the site and of everything inside it in preorder.
///
/// # Errors
/// [`Unknown`] when the rule has no answer.
pub fn propagate_site(
    site: &Site,
    kernel: Kernel,
    theory: &Theory,
    kernels: &mut Vec<Result<Kernel, Unknown>>,
) -> Result<Kernel, Unknown> {
    let place = kernels.len();
    kernels.push(Err(Unknown::Upstream(site.name.clone())));
    let result = site.layer.propagate(site, kernel, theory, kernels).and_then(|kernel| {
        let last = kernel.forward.mean_variance();
        if kernel.forward.is_finite() { Ok(kernel) } else { Err(Unknown::Overflow(last)) }
    });
    // A rule that failed half-way leaves its inner sites unanswered.
    let inside = count(&site.inside);
    while kernels.len() < place + 1 + inside {
        kernels.push(Err(Unknown::Upstream(site.name.clone())));
    }
    kernels[place] = result.clone();
    result.map_err(|_| Unknown::Upstream(site.name.clone()))
}

fn skip_site(site: &Site, lost: Unknown, kernels: &mut Vec<Result<Kernel, Unknown>>) -> Unknown {
    for _ in 0..=count(&site.inside) {
        kernels.push(Err(lost.clone()));
    }
    lost
}

/// Sites in preorder, those inside counted too.
pub(crate) fn count(sites: &[Site]) -> usize {
    sites.iter().map(|site| 1 + count(&site.inside)).sum()
}

/// Tells embeddings that an unembedding uses their table too.
fn share(sites: &mut [Site], shared: &[Table]) {
    for site in sites {
        let is_owner = matches!(site.layer, Layer::Embedding(_));
        let own = shared.iter().find(|table| is_owner && table.offset == site.offset);
        site.table = own.copied().or(site.table);
        share(&mut site.inside, shared);
    }
}

#[derive(Default)]
struct Builder {
    index: usize,
    /// Whether the numbers of the data have gone through a layer.
    changed: bool,
    weighted: usize,
    parameters: f64,
    /// Table of the last embedding, until an unembedding takes it.
    table: Option<Table>,
    /// Tables that were taken.
    shared: Vec<Table>,
    numbers: std::collections::BTreeMap<&'static str, usize>,
    names: std::collections::BTreeMap<String, usize>,
}

impl Builder {
    fn sites(
        &mut self,
        layers: &[crate::network::Named],
        input: &Shape,
    ) -> Result<(Vec<Site>, Shape), NetworkError> {
        let mut sites = Vec::new();
        let mut shape = input.clone();
        for named in layers {
            if let Layer::Repeat(repeat) = &named.layer {
                for _ in 0..repeat.times {
                    let (inner, after) = self.sites(&repeat.block, &shape)?;
                    sites.extend(inner);
                    shape = after;
                }
                continue;
            }
            let site = self.site(named, &shape)?;
            shape = site.output.clone();
            sites.push(site);
        }
        Ok((sites, shape))
    }

    fn site(&mut self, named: &crate::network::Named, input: &Shape) -> Result<Site, NetworkError> {
        let index = self.index;
        self.index += 1;
        if self.index > MOST_LAYERS {
            let limit = MOST_LAYERS as f64;
            return Err(NetworkError::TooLarge { count: self.index as f64, what: "layers", limit });
        }
        let name = self.name(named);
        match &named.layer {
            Layer::Embedding(_) if self.changed => {
                let why = ShapeFault::TokensFirst;
                return Err(NetworkError::Shape { layer: name, input: input.clone(), why });
            }
            Layer::Branches(_) | Layer::Residual(_) => {}
            _ => self.changed = true,
        }
        let entering = self.changed;
        let arms = named.layer.arms(&name, input);
        let alone = arms.is_empty();
        let mut output = if alone { named.layer.shape(&name, input)? } else { input.clone() };
        named.layer.chosen().check(&name)?;
        let parameters = named.layer.parameters(input);
        let offset = self.parameters;
        self.parameters += parameters.iter().map(|p| p.len() as f64).sum::<f64>();
        if self.parameters > MOST_PARAMETERS {
            let (count, limit) = (self.parameters, MOST_PARAMETERS);
            return Err(NetworkError::TooLarge { count, what: "parameters", limit });
        }
        let weighted = named.layer.has_weights().then(|| {
            self.weighted += 1;
            self.weighted - 1
        });
        let table = self.table(&named.layer, &name, input, weighted)?;
        let (mut inside, mut lengths, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for arm in arms {
            self.changed = entering;
            let (sites, shape) = self.sites(&arm.layers, &arm.input)?;
            lengths.push(sites.len());
            after.push(shape);
            inside.extend(sites);
        }
        if !alone {
            self.changed = true;
            output = named.layer.joined(&name, input, &after)?;
        }
        let (layer, input, offset) = (named.layer.clone(), input.clone(), offset as usize);
        Ok(Site {
            index,
            name,
            layer,
            input,
            output,
            parameters,
            offset,
            weighted,
            table,
            inside,
            arms: lengths,
        })
    }

    /// Remembers the table of an embedding; the one that an unembedding uses.
    fn table(
        &mut self,
        layer: &Layer,
        name: &str,
        input: &Shape,
        weighted: Option<usize>,
    ) -> Result<Option<Table>, NetworkError> {
        match layer {
            Layer::Embedding(embedding) => {
                let (width, vocabulary) = (embedding.width, embedding.vocabulary);
                let offset = self.parameters as usize - width * vocabulary;
                let weighted = weighted.expect("embeddings are weighted");
                self.table = Some(Table { offset, weighted, vocabulary, width });
                Ok(None)
            }
            Layer::Unembedding(head) => {
                let fault = |why| NetworkError::Shape { layer: name.to_string(), input: input.clone(), why };
                let table = self.table.take().ok_or_else(|| fault(ShapeFault::NoTable))?;
                if (table.vocabulary, table.width) != (head.vocabulary, input.width()) {
                    let (kinds, width) = (table.vocabulary, table.width);
                    return Err(fault(ShapeFault::Table { kinds, width, wanted: head.vocabulary }));
                }
                self.shared.push(table);
                Ok(Some(table))
            }
            _ => Ok(None),
        }
    }

    /// The user's name, made unique by a number when a repeat copies it; else the kind and its number.
    fn name(&mut self, named: &crate::network::Named) -> String {
        match &named.name {
            Some(name) => {
                let seen = self.names.entry(name.clone()).or_insert(0);
                *seen += 1;
                if *seen == 1 { name.clone() } else { format!("{name}.{seen}") }
            }
            None => {
                let number = self.numbers.entry(named.layer.kind()).or_insert(0);
                *number += 1;
                format!("{}.{number}", named.layer.kind())
            }
        }
    }
}

/// Gain of the squared gradient through each of consecutive sites, given the kernel that enters the first and
/// the kernels of all sites in preorder.
#[must_use]
pub fn backward_gains(
    sites: &[Site],
    input: &Kernel,
    kernels: &[Result<Kernel, Unknown>],
    theory: &Theory,
) -> Vec<Result<f64, Unknown>> {
    let mut gains = Vec::new();
    let mut entering = Ok(input);
    let mut place = 0;
    for site in sites {
        let inside = count(&site.inside);
        let gain = match entering {
            Ok(kernel) => {
                site.layer.backward_gain(site, kernel, &kernels[place + 1..place + 1 + inside], theory)
            }
            Err(lost) => Err(lost),
        };
        gains.push(gain);
        entering = kernels[place].as_ref().map_err(Clone::clone);
        place += 1 + inside;
    }
    gains
}
