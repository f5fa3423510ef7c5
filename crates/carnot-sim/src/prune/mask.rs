//! Which weights are left, and which go.

use carnot_math::random::Stream;
use carnot_math::scalar::Scalar;
use carnot_net::layers::{Layer, Role};
use carnot_net::plan::Plan;
use std::ops::Range;

/// What a tensor of weights is, where rates of pruning differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A matrix between features.
    Dense,
    /// A kernel of a convolution.
    Conv,
    /// The last matrix: what the answer is read with.
    Output,
}

/// A tensor whose weights may be taken away: matrices and kernels, never biases, gains, running means or tables of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prunable {
    /// Name of its layer.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Place in the parameter vector; weights lie `[fan-out, fan-in]`.
    pub at: Range<usize>,
    /// Weights of one output.
    pub fan_in: usize,
}

/// The tensors of a network that may be pruned, in the order of memory.
#[must_use]
pub fn prunable(plan: &Plan) -> Vec<Prunable> {
    let mut all = Vec::new();
    let mut sites = plan.all();
    sites.sort_by_key(|site| site.offset);
    for site in sites {
        let mut start = site.offset;
        for parameter in &site.parameters {
            let at = start..start + parameter.len();
            start = at.end;
            let kind = match &site.layer {
                Layer::Embedding(_) | Layer::Unembedding(_) | Layer::Positional(_) => continue,
                Layer::Conv(_) => Kind::Conv,
                _ => Kind::Dense,
            };
            if parameter.role == Role::Weight {
                all.push(Prunable { name: site.name.clone(), kind, at, fan_in: parameter.fan_in.max(1) });
            }
        }
    }
    // The head, where a network ends in a matrix.
    let head = plan.all().into_iter().rfind(|site| site.weighted.is_some() || site.table.is_some());
    if let (Some(head), Some(last)) =
        (head.filter(|head| matches!(head.layer, Layer::Dense(_))), all.last_mut())
        && last.at.start == head.offset
    {
        last.kind = Kind::Output;
    }
    all
}

/// Weights that are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    tensors: Vec<Prunable>,
    /// `[plan.parameters]`; true where nothing may be pruned.
    alive: Vec<bool>,
}

impl Mask {
    /// With every weight alive.
    #[must_use]
    pub fn whole(plan: &Plan) -> Mask {
        Mask { tensors: prunable(plan), alive: vec![true; plan.parameters] }
    }

    /// The tensors it is over.
    #[must_use]
    pub fn tensors(&self) -> &[Prunable] {
        &self.tensors
    }

    /// `[plan.parameters]`
    #[must_use]
    pub fn alive(&self) -> &[bool] {
        &self.alive
    }

    /// Weights left in a tensor.
    #[must_use]
    pub fn left(&self, tensor: &Prunable) -> usize {
        self.alive[tensor.at.clone()].iter().filter(|alive| **alive).count()
    }

    /// Share of all prunable weights that is left.
    #[must_use]
    pub fn share(&self) -> f64 {
        let left: usize = self.tensors.iter().map(|tensor| self.left(tensor)).sum();
        left as f64 / self.tensors.iter().map(|tensor| tensor.at.len()).sum::<usize>().max(1) as f64
    }

    /// Takes from each tensor the weights of least score: `round(rate · left)` of those left.
    ///
    /// Of equal scores the first in memory goes first. What is gone stays so.
    ///
    /// * `scores`: `[plan.parameters]`; what is not a number counts as nothing
    /// * `rate`: share of what is left that goes, 0 to 1, by the kind of a tensor
    pub fn take_by_tensor(&mut self, scores: &[f64], rate: impl Fn(Kind) -> f64) {
        for tensor in self.tensors.clone() {
            let left: Vec<usize> = tensor.at.clone().filter(|&at| self.alive[at]).collect();
            let count = (rate(tensor.kind) * left.len() as f64).round() as usize;
            self.take_least(left, scores, count);
        }
    }

    /// Takes the weights of least score over all tensors whose kind `admits` until the share that is left of them is `keep`.
    pub fn take_together(&mut self, scores: &[f64], keep: f64, admits: impl Fn(Kind) -> bool) {
        let admitted: Vec<Range<usize>> = self
            .tensors
            .iter()
            .filter(|tensor| admits(tensor.kind))
            .map(|tensor| tensor.at.clone())
            .collect();
        let all: usize = admitted.iter().map(Range::len).sum();
        let left: Vec<usize> = admitted.into_iter().flatten().filter(|&at| self.alive[at]).collect();
        let wanted = (keep.clamp(0.0, 1.0) * all as f64).round() as usize;
        let count = left.len().saturating_sub(wanted);
        self.take_least(left, scores, count);
    }

    fn take_least(&mut self, mut left: Vec<usize>, scores: &[f64], count: usize) {
        let score = |at: usize| if scores[at].is_nan() { f64::NEG_INFINITY } else { scores[at] };
        if count == 0 {
            return;
        }
        let count = count.min(left.len());
        let by = |a: &usize, b: &usize| score(*a).total_cmp(&score(*b)).then(a.cmp(b));
        if count < left.len() {
            left.select_nth_unstable_by(count - 1, by);
        }
        left[..count].iter().for_each(|&at| self.alive[at] = false);
    }

    /// The same number of weights in each tensor, elsewhere: a random order of its mask.
    #[must_use]
    pub fn shuffled(&self, seed: u64, member: u64) -> Mask {
        let mut mask = self.clone();
        for (place, tensor) in self.tensors.iter().enumerate() {
            let mut stream = Stream::new(seed, "shuffled mask", &[member, place as u64]);
            stream.shuffle(&mut mask.alive[tensor.at.clone()]);
        }
        mask
    }

    /// The same number of weights in all, anywhere: a random order over all tensors.
    #[must_use]
    pub fn scattered(&self, seed: u64, member: u64) -> Mask {
        let mut mask = self.clone();
        let places: Vec<usize> = self.tensors.iter().flat_map(|tensor| tensor.at.clone()).collect();
        let mut alive: Vec<bool> = places.iter().map(|&at| self.alive[at]).collect();
        Stream::new(seed, "scattered mask", &[member]).shuffle(&mut alive);
        places.iter().zip(alive).for_each(|(&at, alive)| mask.alive[at] = alive);
        mask
    }

    /// Sets what is gone to zero.
    ///
    /// * `parameters`: `[plan.parameters]`
    pub fn put<S: Scalar>(&self, parameters: &mut [S]) {
        for tensor in &self.tensors {
            let own = parameters[tensor.at.clone()].iter_mut().zip(&self.alive[tensor.at.clone()]);
            own.filter(|(_, alive)| !**alive).for_each(|(weight, _)| *weight = S::default());
        }
    }

    /// One bit for each prunable weight, eight to a byte, the first lowest.
    #[must_use]
    pub fn bits(&self) -> Vec<u8> {
        let all: Vec<bool> =
            self.tensors.iter().flat_map(|tensor| self.alive[tensor.at.clone()].iter().copied()).collect();
        let byte =
            |part: &[bool]| part.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at);
        all.chunks(8).map(byte).collect()
    }

    /// The mask of some bits; `None` where they are too few or too many.
    #[must_use]
    pub fn of_bits(plan: &Plan, bits: &[u8]) -> Option<Mask> {
        let mut mask = Mask::whole(plan);
        let places: Vec<usize> = mask.tensors.iter().flat_map(|tensor| tensor.at.clone()).collect();
        if bits.len() != places.len().div_ceil(8) {
            return None;
        }
        for (order, &at) in places.iter().enumerate() {
            mask.alive[at] = bits[order / 8] >> (order % 8) & 1 == 1;
        }
        Some(mask)
    }
}
