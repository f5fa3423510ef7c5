//! What attention does to numbers, forward and backward.

use super::average::weighed;
use super::{Attention, Weighting};
use crate::batch::Batch;
use crate::layers::LayerRule;
use crate::plan::{Site, Weights, forward_all};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device::{self, View};
use carnot_math::scalar::Scalar;
use std::ops::Range;

impl Attention {
    /// The whole layer forward. The tape holds, in this order: inputs of query, key and value, then the queries (none
    /// with linear scaling), keys, values and logits, then the input of the output layer.
    pub(super) fn values_forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let parts = self.parts(site);
        let mut through = |part: &Site, from: &Batch<S>, tape: &mut Tape<S>| {
            let copy = copied(from, tape);
            forward_all(std::slice::from_ref(part), weights, copy, tape, watch)
        };
        let placed = match parts.position {
            Some(position) => through(position, &input, tape),
            None => copied(&input, tape),
        };
        let query = parts.query.map(|query| through(query, &placed, tape));
        let key = through(parts.key, &placed, tape);
        let value = through(parts.value, if self.values_placed() { &placed } else { &input }, tape);
        tape.give(placed);
        tape.give(input);
        let tokens = site.input.positions();
        let shape = Shape::new(&[self.heads, tokens], tokens);
        let mut logits = tape.take(key.members, key.samples, &shape);
        let mut mixed = tape.take(key.members, key.samples, &parts.out.input);
        let mut room = Room::new(self, tokens, tape);
        self.each_head(tokens, key.members * key.samples, |head| {
            let (q, k) = (query.as_ref().unwrap_or(&key), &key);
            room.load(self, q, k, &value, head);
            let block = &mut logits.data[head.block()];
            device::product(block, room.queries(), room.keys().transposed(), false);
            device::cpu::scale(block, S::from_f64(self.scale()));
            self.weigh(block, &mut room.omega, tokens);
            device::product(
                &mut room.mixed,
                View::new(&room.omega, tokens, tokens),
                View::new(&room.value, tokens, head.value),
                false,
            );
            head.put(&room.mixed, head.value, &mut mixed.data, false);
        });
        room.give(tape);
        query.into_iter().chain([key, value, logits]).for_each(|batch| tape.save(batch));
        forward_all(std::slice::from_ref(parts.out), weights, mixed, tape, watch)
    }

    pub(super) fn values_backward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let parts = self.parts(site);
        let mut back = |part: &Site, gradient: Batch<S>, tape: &mut Tape<S>| {
            watch.backward(part.index, &gradient);
            part.layer.backward(part, weights, gradient, gradients, tape, watch, true)
        };
        let to_mixed = back(parts.out, gradient, tape);
        let (logits, value, key) = (tape.recall(), tape.recall(), tape.recall());
        let query = parts.query.map(|_| tape.recall());
        let mut to_value = zeros_like(&value, tape);
        let mut to_key = zeros_like(&key, tape);
        let mut to_query = query.as_ref().map(|query| zeros_like(query, tape));
        let tokens = site.input.positions();
        let mut room = Room::new(self, tokens, tape);
        self.each_head(tokens, key.members * key.samples, |head| {
            let q = query.as_ref().unwrap_or(&key);
            room.load(self, q, &key, &value, head);
            let block = &logits.data[head.block()];
            self.weigh(block, &mut room.omega, tokens);
            head.get(&to_mixed.data, head.value, &mut room.mixed);
            let (delta, omega) =
                (View::new(&room.mixed, tokens, head.value), View::new(&room.omega, tokens, tokens));
            device::product(&mut room.value_slope, omega.transposed(), delta, false);
            head.put(&room.value_slope, head.value, &mut to_value.data, true);
            device::product(
                &mut room.slope,
                delta,
                View::new(&room.value, tokens, head.value).transposed(),
                false,
            );
            self.slopes(block, &room.omega, &mut room.slope, tokens);
            let slope = View::new(&room.slope, tokens, tokens);
            device::product(&mut room.query_slope, slope, View::new(&room.key, tokens, head.key), false);
            device::product(
                &mut room.key_slope,
                slope.transposed(),
                View::new(&room.query, tokens, head.key),
                false,
            );
            if self.qk_norm {
                room.unnormalise(head);
            }
            head.put(&room.key_slope, head.key, &mut to_key.data, true);
            let to = to_query.as_mut().unwrap_or(&mut to_key);
            head.put(&room.query_slope, head.key, &mut to.data, true);
        });
        room.give(tape);
        [logits, value, key, to_mixed].into_iter().chain(query).for_each(|batch| tape.give(batch));
        let from_value = back(parts.value, to_value, tape);
        let mut total = back(parts.key, to_key, tape);
        if let (Some(part), Some(to_query)) = (parts.query, to_query) {
            let from_query = back(part, to_query, tape);
            device::cpu::add_assign(&mut total.data, &from_query.data);
            tape.give(from_query);
        }
        if self.values_placed() {
            device::cpu::add_assign(&mut total.data, &from_value.data);
        }
        if let Some(position) = parts.position {
            total = back(position, total, tape);
        }
        if !self.values_placed() {
            device::cpu::add_assign(&mut total.data, &from_value.data);
        }
        tape.give(from_value);
        total
    }

    /// Whether values see what the positional embedding added; without one all see the same.
    pub(super) fn values_placed(&self) -> bool {
        self.positions.as_ref().is_none_or(|positions| positions.values)
    }

    /// Logits of one head become weights; what a position must not see has none.
    fn weigh<S: Scalar>(&self, logits: &[S], omega: &mut [S], tokens: usize) {
        let mut numbers = vec![0.0; tokens];
        for (t, (row, out)) in logits.chunks_exact(tokens).zip(omega.chunks_exact_mut(tokens)).enumerate() {
            let seen = if self.causal { t + 1 } else { tokens };
            numbers.clear();
            numbers.extend(row[..seen].iter().map(|g| g.to_f64()));
            weighed(self.weighting, &mut numbers);
            out[..seen].iter_mut().zip(&numbers).for_each(|(out, w)| *out = S::from_f64(*w));
            out[seen..].fill(S::default());
        }
    }

    /// Gradients of the weights of one head become those of q·k, in place.
    fn slopes<S: Scalar>(&self, logits: &[S], omega: &[S], slopes: &mut [S], tokens: usize) {
        let scale = self.scale();
        let rows =
            slopes.chunks_exact_mut(tokens).zip(omega.chunks_exact(tokens)).zip(logits.chunks_exact(tokens));
        for (t, ((slopes, omega), logits)) in rows.enumerate() {
            let seen = if self.causal { t + 1 } else { tokens };
            let inner = device::cpu::dot(&slopes[..seen], &omega[..seen]);
            for s in 0..seen {
                let (along, logit) = (slopes[s].to_f64(), logits[s].to_f64());
                let slope = match self.weighting {
                    Weighting::Softmax => omega[s].to_f64() * (along - inner),
                    Weighting::Identity => along,
                    Weighting::Relu => {
                        if logit > 0.0 {
                            along
                        } else {
                            0.0
                        }
                    }
                    Weighting::Abs => {
                        if logit > 0.0 {
                            along
                        } else {
                            -along
                        }
                    }
                };
                slopes[s] = S::from_f64(slope * scale);
            }
            slopes[seen..].fill(S::default());
        }
    }

    /// Calls `work` for every head of every sample of every member.
    fn each_head(&self, tokens: usize, samples: usize, mut work: impl FnMut(Head)) {
        for sample in 0..samples {
            for head in 0..self.heads {
                work(Head {
                    sample,
                    head,
                    heads: self.heads,
                    tokens,
                    key: self.key_width(),
                    value: self.value_width(),
                });
            }
        }
    }
}

/// Where the numbers of one head lie.
#[derive(Clone, Copy)]
struct Head {
    sample: usize,
    head: usize,
    heads: usize,
    tokens: usize,
    key: usize,
    value: usize,
}

impl Head {
    /// Logits of all its tokens, `[T, T]`.
    fn block(&self) -> Range<usize> {
        let start = (self.sample * self.heads + self.head) * self.tokens * self.tokens;
        start..start + self.tokens * self.tokens
    }

    /// Its part, `width` features of each token, of all heads' features.
    fn at(&self, token: usize, width: usize) -> Range<usize> {
        let start = ((self.sample * self.tokens + token) * self.heads + self.head) * width;
        start..start + width
    }

    /// Copies its part to `own`, `[T, width]`.
    fn get<S: Scalar>(&self, all: &[S], width: usize, own: &mut [S]) {
        for (token, row) in own.chunks_exact_mut(width).enumerate() {
            row.copy_from_slice(&all[self.at(token, width)]);
        }
    }

    /// Copies (or adds) `own`, `[T, width]`, to its part.
    fn put<S: Scalar>(&self, own: &[S], width: usize, all: &mut [S], is_added: bool) {
        for (token, row) in own.chunks_exact(width).enumerate() {
            let to = &mut all[self.at(token, width)];
            if is_added { device::cpu::add_assign(to, row) } else { to.copy_from_slice(row) }
        }
    }
}

/// What one head works on, each matrix by itself.
struct Room<S> {
    tokens: usize,
    width: usize,
    /// `[T, key]`, normalised where that is asked for, as `key`.
    query: Vec<S>,
    key: Vec<S>,
    /// `[T, value]`
    value: Vec<S>,
    /// `[T, T]`
    omega: Vec<S>,
    /// `[T, value]`
    mixed: Vec<S>,
    /// Root mean squares of queries and keys, `[T]`.
    sizes: [Vec<f64>; 2],
    slope: Vec<S>,
    value_slope: Vec<S>,
    query_slope: Vec<S>,
    key_slope: Vec<S>,
}

/// Added to the mean square of queries and keys.
const EPSILON: f64 = 1e-6;

impl<S: Scalar> Room<S> {
    fn new(layer: &Attention, tokens: usize, tape: &mut Tape<S>) -> Room<S> {
        let (keys, values) = (tokens * layer.key_width(), tokens * layer.value_width());
        let mut take = |len: usize| tape.take_values(len);
        Room {
            tokens,
            width: layer.key_width(),
            query: take(keys),
            key: take(keys),
            value: take(values),
            omega: take(tokens * tokens),
            mixed: take(values),
            sizes: [Vec::new(), Vec::new()],
            slope: take(tokens * tokens),
            value_slope: take(values),
            query_slope: take(keys),
            key_slope: take(keys),
        }
    }

    fn load(&mut self, layer: &Attention, query: &Batch<S>, key: &Batch<S>, value: &Batch<S>, head: Head) {
        head.get(&query.data, head.key, &mut self.query);
        head.get(&key.data, head.key, &mut self.key);
        head.get(&value.data, head.value, &mut self.value);
        if layer.qk_norm {
            let width = self.width;
            for (values, sizes) in [&mut self.query, &mut self.key].into_iter().zip(&mut self.sizes) {
                sizes.clear();
                for row in values.chunks_exact_mut(width) {
                    let size = (device::cpu::sum_of_squares(row) / width as f64 + EPSILON).sqrt();
                    device::cpu::scale(row, S::from_f64(1.0 / size));
                    sizes.push(size);
                }
            }
        }
    }

    fn queries(&self) -> View<'_, S> {
        View::new(&self.query, self.tokens, self.width)
    }

    fn keys(&self) -> View<'_, S> {
        View::new(&self.key, self.tokens, self.width)
    }

    /// Gradients of normalised queries and keys become those of the ones before: $(\delta - \hat x\,\overline{\delta\hat x})/r$.
    fn unnormalise(&mut self, head: Head) {
        let sides = [(&mut self.query_slope, &self.query), (&mut self.key_slope, &self.key)];
        for ((slopes, values), sizes) in sides.into_iter().zip(&self.sizes) {
            let rows = slopes.chunks_exact_mut(head.key).zip(values.chunks_exact(head.key)).zip(sizes);
            for ((slope, value), size) in rows {
                let along = device::cpu::dot(slope, value) / head.key as f64;
                device::cpu::axpy(slope, S::from_f64(-along), value);
                device::cpu::scale(slope, S::from_f64(1.0 / size));
            }
        }
    }

    fn give(self, tape: &mut Tape<S>) {
        let all = [
            self.query,
            self.key,
            self.value,
            self.omega,
            self.mixed,
            self.slope,
            self.value_slope,
            self.query_slope,
            self.key_slope,
        ];
        all.into_iter().for_each(|values| tape.give_values(values));
    }
}

fn copied<S: Scalar>(batch: &Batch<S>, tape: &mut Tape<S>) -> Batch<S> {
    let mut copy = tape.take(batch.members, batch.samples, &batch.shape);
    copy.data.copy_from_slice(&batch.data);
    copy
}

fn zeros_like<S: Scalar>(batch: &Batch<S>, tape: &mut Tape<S>) -> Batch<S> {
    let mut zeros = tape.take(batch.members, batch.samples, &batch.shape);
    zeros.data.fill(S::default());
    zeros
}
