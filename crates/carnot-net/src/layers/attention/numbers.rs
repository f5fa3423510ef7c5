//! What attention does to numbers, forward and backward.

use super::average::weighed;
use super::{Attention, Weighting};
use crate::batch::Batch;
use crate::layers::LayerRule;
use crate::plan::{Site, Weights, forward_all};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device;
use carnot_math::scalar::Scalar;

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
        self.each_head(tokens, key.members * key.samples, |head| {
            let (q, k) = (query.as_ref().unwrap_or(&key), &key);
            for t in 0..tokens {
                let row = &mut logits.data[head.row(t)];
                for (s, logit) in row.iter_mut().enumerate() {
                    *logit = S::from_f64(dot(&q.data[head.key(t)], &k.data[head.key(s)]) * self.scale());
                }
                let omega = self.omega(row);
                let out = &mut mixed.data[head.value(t)];
                out.fill(S::default());
                for (s, w) in omega.iter().enumerate() {
                    device::cpu::axpy(out, S::from_f64(*w), &value.data[head.value(s)]);
                }
            }
        });
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
        self.each_head(tokens, key.members * key.samples, |head| {
            let q = query.as_ref().unwrap_or(&key);
            for t in 0..tokens {
                let row = &logits.data[head.row(t)];
                let omega = self.omega(row);
                let delta = &to_mixed.data[head.value(t)];
                let along: Vec<f64> = (0..tokens).map(|s| dot(delta, &value.data[head.value(s)])).collect();
                let inner: f64 = along.iter().zip(&omega).map(|(d, w)| d * w).sum();
                for s in 0..tokens {
                    device::cpu::axpy(&mut to_value.data[head.value(s)], S::from_f64(omega[s]), delta);
                    let logit = row[s].to_f64();
                    let slope = match self.weighting {
                        Weighting::Softmax => omega[s] * (along[s] - inner),
                        Weighting::Identity => along[s],
                        Weighting::Relu => {
                            if logit > 0.0 {
                                along[s]
                            } else {
                                0.0
                            }
                        }
                        Weighting::Abs => along[s] * if logit > 0.0 { 1.0 } else { -1.0 },
                    };
                    let g = S::from_f64(slope * self.scale());
                    device::cpu::axpy(&mut to_key.data[head.key(s)], g, &q.data[head.key(t)]);
                    let to = to_query.as_mut().unwrap_or(&mut to_key);
                    device::cpu::axpy(&mut to.data[head.key(t)], g, &key.data[head.key(s)]);
                }
            }
        });
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

    fn omega<S: Scalar>(&self, logits: &[S]) -> Vec<f64> {
        let mut row: Vec<f64> = logits.iter().map(|g| g.to_f64()).collect();
        weighed(self.weighting, &mut row);
        row
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
    /// Query or key of a token.
    fn key(&self, token: usize) -> std::ops::Range<usize> {
        let start = ((self.sample * self.tokens + token) * self.heads + self.head) * self.key;
        start..start + self.key
    }

    /// Value of a token.
    fn value(&self, token: usize) -> std::ops::Range<usize> {
        let start = ((self.sample * self.tokens + token) * self.heads + self.head) * self.value;
        start..start + self.value
    }

    /// Logits of a token as query.
    fn row(&self, token: usize) -> std::ops::Range<usize> {
        let start = ((self.sample * self.heads + self.head) * self.tokens + token) * self.tokens;
        start..start + self.tokens
    }
}

fn dot<S: Scalar>(a: &[S], b: &[S]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
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
