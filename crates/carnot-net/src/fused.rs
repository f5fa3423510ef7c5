//! A training step's way through a network that nobody watches: what lies between two linear maps is done block by block of rows, while
//! the rows are in the cache.
//!
//! Layer by layer, every number of a hidden layer is written and read again a dozen times, each time from far away. Here a batch norm, an
//! activation that is straight on both sides of zero, dropout and the dense layer behind them are one [`Group`]: a block of rows is
//! normalised, bent, dropped and multiplied before the next one is looked at, and so it is on the way back, where it is bent once more:
//! only what linear maps put out is kept. The gradient of a group leaves it before the means that a norm takes off are known; the group
//! before takes them off, block by block. Every other layer goes its own way. The draws of dropout are those of the layers; sums and
//! products differ by rounding only.

use crate::batch::Batch;
use crate::layers::batch_norm::BatchNorm;
use crate::layers::dense::Dense;
use crate::layers::{Layer, LayerRule as _};
use crate::plan::{Plan, Site, Weights};
use crate::tape::{Mode, Tape, Unwatched};
use carnot_math::device::cpu::{self, Bend};
use carnot_math::device::{Start, View, product_from};
use carnot_math::scalar::Scalar;

/// Rows of a block: with 100 columns, three matrices of them share a second-level cache with the weights.
const ROWS: usize = 128;

/// A plan's top-level sites, those that can go together in groups. Made once, used at every step.
pub struct Chain<'a> {
    links: Vec<Link<'a>>,
}

enum Link<'a> {
    Alone(&'a Site),
    Together(Group<'a>),
}

/// Batch norm, activation and dropout (either may be missing), dense.
struct Group<'a> {
    norm: (&'a BatchNorm, &'a Site),
    dense: (&'a Dense, &'a Site),
    /// Slopes above, below and at zero.
    slopes: [f64; 3],
    /// Of 65536 values, how many are dropped.
    dropped: u32,
}

impl<'a> Chain<'a> {
    /// Finds the groups of a plan.
    #[must_use]
    pub fn new(plan: &'a Plan) -> Chain<'a> {
        let mut links = Vec::new();
        let mut rest = &plan.sites[..];
        while let Some(first) = rest.first() {
            let (link, len) = match Group::at(rest) {
                Some((group, len)) => (Link::Together(group), len),
                None => (Link::Alone(first), 1),
            };
            links.push(link);
            rest = &rest[len..];
        }
        Chain { links }
    }

    /// As [`Plan::forward`] in [`Mode::Train`] with nobody watching; only [`Chain::backward`] understands what it leaves on the tape.
    pub fn forward<S: Scalar>(&self, weights: Weights<S>, input: Batch<S>, tape: &mut Tape<S>) -> Batch<S> {
        debug_assert!(tape.mode == Mode::Train && tape.record, "a chain is for training");
        // What a norm needs to know of its columns is added up while the group before it writes them.
        let (mut values, mut sums) = (input, None);
        for (at, link) in self.links.iter().enumerate() {
            let is_normed = matches!(self.links.get(at + 1), Some(Link::Together(_)));
            (values, sums) = match link {
                Link::Alone(site) => (site.layer.forward(site, weights, values, tape, &mut Unwatched), None),
                Link::Together(group) => group.forward(weights, (values, sums), is_normed, tape),
            };
        }
        values
    }

    /// As [`Plan::backward`], behind [`Chain::forward`].
    pub fn backward<S: Scalar>(
        &self,
        weights: Weights<S>,
        output_gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
    ) {
        let (mut gradient, mut centring) = (output_gradient, None);
        for (at, link) in self.links.iter().enumerate().rev() {
            (gradient, centring) = match link {
                Link::Alone(site) => {
                    let whole = Centring::finish(centring, gradient, tape);
                    (site.layer.backward(site, weights, whole, gradients, tape, &mut Unwatched, at > 0), None)
                }
                Link::Together(group) => {
                    group.backward(weights, (gradient, centring), gradients, tape, at > 0)
                }
            };
        }
        tape.give(gradient);
    }
}

/// What is still to be done to the gradient of a group's input: a norm takes off what moves all rows alike, which is known only when all
/// rows have been seen.
struct Centring<S> {
    /// What entered the norm.
    input: Batch<S>,
    /// The numbers of [`cpu::centre_columns_back`], `[members, 4, n]`.
    by: Vec<S>,
}

impl<S: Scalar> Centring<S> {
    /// Rows of one member that entered the norm, and its numbers.
    fn member(&self, member: usize) -> (&[S], [&[S]; 4]) {
        let n = self.input.shape.width();
        (self.input.member(member), rows_of(&self.by[4 * member * n..], n))
    }

    /// The whole gradient at once, for a layer that goes its own way.
    fn finish(centring: Option<Centring<S>>, gradient: Batch<S>, tape: &mut Tape<S>) -> Batch<S> {
        let Some(centring) = centring else { return gradient };
        let mut whole = tape.take(gradient.members, gradient.samples, &gradient.shape);
        let mut sums = vec![S::default(); gradient.shape.width()];
        let size = gradient.data.len() / gradient.members.max(1);
        for (member, to) in whole.data.chunks_exact_mut(size.max(1)).enumerate() {
            let (z, by) = centring.member(member);
            cpu::centre_columns_back(to, gradient.member(member), z, by, &mut sums);
        }
        [gradient, centring.input].into_iter().for_each(|batch| tape.give(batch));
        tape.give_values(centring.by);
        whole
    }
}

impl<'a> Group<'a> {
    /// The group with which these sites begin, and how many of them it holds.
    fn at(sites: &'a [Site]) -> Option<(Group<'a>, usize)> {
        let (norm, mut rest) = sites.split_first()?;
        let Layer::BatchNorm(rule) = &norm.layer else { return None };
        let mut slopes = [1.0; 3];
        if let Some((Site { layer: Layer::Activate(act), .. }, after)) = rest.split_first() {
            // The sign of a value must tell its slope.
            slopes = act.activation.formula.slopes_at_zero().filter(|s| s[0] > 0.0 && s[1] >= 0.0)?;
            rest = after;
        }
        let mut dropped = 0;
        if let Some((Site { layer: Layer::Dropout(dropout), .. }, after)) = rest.split_first() {
            dropped = (dropout.probability * 65536.0).round() as u32;
            // The layer draws even where it drops next to nothing; and somebody must be kept.
            if dropped == 65536 || dropped == 0 && dropout.probability > 0.0 {
                return None;
            }
            rest = after;
        }
        let Some(dense @ Site { layer: Layer::Dense(map), .. }) = rest.first() else { return None };
        let group = Group { norm: (rule, norm), dense: (map, dense), slopes, dropped };
        Some((group, sites.len() - rest.len() + 1))
    }

    fn bend<S: Scalar>(&self) -> Bend<S> {
        let kept = 1.0 / (1.0 - f64::from(self.dropped) / 65536.0);
        let [right, left, at_zero] = self.slopes.map(|slope| S::from_f64(slope * kept));
        Bend { right, left, at_zero }
    }

    /// Saves what entered, what was dropped, and the numbers of the norm.
    ///
    /// * input and output: the values, and for each member the sums of [`cpu::add_moments`] from its first row, where they are known
    fn forward<S: Scalar>(
        &self,
        weights: Weights<S>,
        (input, sums): (Batch<S>, Option<Vec<f64>>),
        is_normed: bool,
        tape: &mut Tape<S>,
    ) -> (Batch<S>, Option<Vec<f64>>) {
        let (norm, site) = self.norm;
        let (dense, dense_site) = self.dense;
        let (rows, n, width) = (input.rows(), site.input.width(), dense_site.output.width());
        let mut output = tape.take(input.members, input.samples, &dense_site.output);
        let kept = norm.of_batch(site, weights, &input, sums.as_deref(), tape);
        let mut sums = vec![0.0; if is_normed { 2 * input.members * width } else { 0 }];
        let mut work = vec![S::default(); 2 * width];
        let (mut origin, no_shift) = (vec![S::default(); width], vec![S::default(); n]);
        let (mut turned, mut bent) = (tape.take_values(n * width), tape.take_values(ROWS.min(rows) * n));
        let mut dropped = tape.take_marks(if self.dropped > 0 { input.data.len() } else { 0 });
        for member in 0..input.members {
            let weight = weights.of(member, dense_site.offset, width * n);
            cpu::transpose(&mut turned, weight, n);
            let bias = weights.of(member, dense_site.offset + width * n, if dense.bias { width } else { 0 });
            let by = self.by(&weights, &kept, member, &no_shift);
            let marks = dropped.get_mut(member * rows * n..(member + 1) * rows * n).unwrap_or_default();
            let mut marks = marks.chunks_mut(ROWS * n);
            let to = &mut output.data[member * rows * width..(member + 1) * rows * width];
            let mut after = input.member(member).chunks(ROWS * n).skip(1);
            let blocks = input.member(member).chunks(ROWS * n).zip(to.chunks_mut(ROWS * width));
            for (at, (z, to)) in blocks.enumerate() {
                let marks = marks.next().unwrap_or_default();
                if self.dropped > 0 {
                    tape.noise[member].fill_dropped(marks, self.dropped);
                }
                let h = &mut bent[..z.len()];
                cpu::bend_columns(h, z, marks, by, self.bend());
                let (h, map) = (View::new(h, z.len() / n, n), View::new(&turned, n, width));
                let (start, next) =
                    (if dense.bias { Start::Row(bias) } else { Start::Nothing }, after.next());
                product_from(to, h, map, start, &[next.unwrap_or_default()]);
                if is_normed {
                    if at == 0 {
                        origin.copy_from_slice(&to[..width]);
                    }
                    let own = &mut sums[2 * member * width..2 * (member + 1) * width];
                    let (sum, square) = own.split_at_mut(width);
                    cpu::add_moments(sum, square, to, &origin, &mut work);
                }
            }
        }
        [turned, bent].into_iter().for_each(|values| tape.give_values(values));
        tape.save(kept);
        tape.save(input);
        tape.save_marks(dropped);
        (output, is_normed.then_some(sums))
    }

    /// Mean, factor and shift of one member's norm.
    fn by<'b, S: Scalar>(
        &self,
        weights: &Weights<'b, S>,
        kept: &'b Batch<S>,
        member: usize,
        no_shift: &'b [S],
    ) -> [&'b [S]; 3] {
        let (norm, site) = self.norm;
        let [mean, _, factor, ..]: [&[S]; 5] = rows_of(kept.member(member), site.input.width());
        let [_, shift, ..] = norm.parts(site, weights, member);
        [mean, factor, if norm.affine { shift } else { no_shift }]
    }

    /// The gradient of the input, and what is still to be done to it.
    fn backward<S: Scalar>(
        &self,
        weights: Weights<S>,
        (gradient, centring): (Batch<S>, Option<Centring<S>>),
        gradients: &mut [S],
        tape: &mut Tape<S>,
        need_input: bool,
    ) -> (Batch<S>, Option<Centring<S>>) {
        let (norm, site) = self.norm;
        let (dense, dense_site) = self.dense;
        let (dropped, input, kept) = (tape.recall_marks(), tape.recall(), tape.recall());
        let (rows, n, width) = (gradient.rows(), site.input.width(), dense_site.output.width());
        let most = ROWS.min(rows);
        let mut back = tape.take(gradient.members, gradient.samples, &site.input);
        let (mut bent, mut whole) = (tape.take_values(most * n), tape.take_values(most * width));
        let mut by = tape.take_values(if need_input { 4 * gradient.members * n } else { 0 });
        let (mut sums, mut work, no_shift) =
            (vec![0.0; 2 * n], vec![S::default(); 2 * n], vec![S::default(); n]);
        let mut to_nothing = vec![S::default(); if dense.bias { 0 } else { width }];
        for member in 0..gradient.members {
            let own_by = self.by(&weights, &kept, member, &no_shift);
            let weight = weights.of(member, dense_site.offset, width * n);
            let start = member * weights.stride;
            let (to_norm, rest) = gradients[start + site.offset..].split_at_mut(norm.slots(n));
            let (to_weight, rest) =
                rest[dense_site.offset - site.offset - norm.slots(n)..].split_at_mut(width * n);
            let to_bias = if dense.bias { &mut rest[..width] } else { &mut to_nothing[..] };
            to_bias.fill(S::default());
            sums.fill(0.0);
            let (of_all, size) = (gradient.member(member), ROWS * width);
            let (beyond, beyond_by) = match &centring {
                Some(centring) => centring.member(member),
                None => (&[][..], [&[][..]; 4]),
            };
            let part = |all, at| <[S]>::chunks(all, size).nth(at).unwrap_or_default();
            let marks = dropped.get(member * rows * n..(member + 1) * rows * n).unwrap_or_default();
            let mut marks = marks.chunks(ROWS * n);
            let to = &mut back.data[member * rows * n..(member + 1) * rows * n];
            let blocks = input.member(member).chunks(ROWS * n).zip(to.chunks_mut(ROWS * n));
            for (at, (z, to)) in blocks.enumerate() {
                let mut dz: &[S] = part(of_all, at);
                if centring.is_some() {
                    let whole = &mut whole[..dz.len()];
                    cpu::centre_columns_back(whole, dz, part(beyond, at), beyond_by, to_bias);
                    dz = whole;
                } else {
                    cpu::column_sums(to_bias, dz, true);
                }
                let (down, h) = (View::new(dz, dz.len() / width, width), &mut bent[..z.len()]);
                product_from(to, down, View::new(weight, width, n), Start::Nothing, &[z]);
                let marks = marks.next().unwrap_or_default();
                cpu::bend_columns_back(to, h, z, marks, own_by, self.bend(), (&mut sums, &mut work));
                let start = if at > 0 { Start::Itself } else { Start::Nothing };
                let ahead = [part(of_all, at + 1), part(beyond, at + 1)];
                product_from(to_weight, down.transposed(), View::new(h, h.len() / n, n), start, &ahead);
            }
            // What was added up lacks the scale that makes z − mean normal.
            let [mean, scale, factor, ..]: [&[S]; 5] = rows_of(kept.member(member), n);
            let (sum, along) = sums.split_at_mut(n);
            along.iter_mut().zip(scale).for_each(|(a, s)| *a *= s.to_f64());
            norm.to_slots(to_norm, sum, along, kept.member(member));
            if let Some(by) = by.get_mut(4 * member * n..4 * (member + 1) * n) {
                let share = 1.0 / rows as f64;
                for i in 0..n {
                    let pull = along[i] * share * factor[i].to_f64() * scale[i].to_f64();
                    let row = [mean[i], factor[i], S::from_f64(sum[i] * share), S::from_f64(pull)];
                    row.into_iter().enumerate().for_each(|(at, value)| by[at * n + i] = value);
                }
            }
        }
        if let Some(Centring { input, by }) = centring {
            tape.give(input);
            tape.give_values(by);
        }
        [gradient, kept].into_iter().for_each(|batch| tape.give(batch));
        [bent, whole].into_iter().for_each(|values| tape.give_values(values));
        tape.give_marks(dropped);
        if need_input {
            return (back, Some(Centring { input, by }));
        }
        tape.give(input);
        tape.give_values(by);
        (back, None)
    }
}

/// The first rows of n numbers each.
fn rows_of<S, const COUNT: usize>(rows: &[S], n: usize) -> [&[S]; COUNT] {
    std::array::from_fn(|row| &rows[row * n..(row + 1) * n])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use carnot_math::random::Stream;

    /// Output and gradients of one training step of two members, layer by layer or in groups.
    fn step<S: Scalar>(plan: &Plan, samples: usize, is_fused: bool) -> (Vec<S>, Vec<S>) {
        let mut parameters = vec![S::default(); 2 * plan.parameters];
        let mut stream = Stream::new(3, "fused test", &[]);
        stream.fill_uniform(&mut parameters, -0.5, 1.0);
        let mut tape = Tape::new(Mode::Train);
        tape.noise = (0..2).map(|member| Stream::new(3, "dropout", &[member])).collect();
        let mut input = tape.take(2, samples, &plan.input);
        stream.fill_normal(&mut input.data, 1.0);
        let mut gradients = vec![S::from_f64(f64::NAN); parameters.len()];
        let weights = Weights { data: &parameters, stride: plan.parameters };
        let chain = Chain::new(plan);
        assert!(chain.links.iter().any(|link| matches!(link, Link::Together(_))), "nothing to test");
        let output = match is_fused {
            true => chain.forward(weights, input, &mut tape),
            false => plan.forward(weights, input, &mut tape, &mut Unwatched),
        };
        let values = output.data.clone();
        match is_fused {
            true => chain.backward(weights, output, &mut gradients, &mut tape),
            false => plan.backward(weights, output, &mut gradients, &mut tape, &mut Unwatched),
        }
        assert_eq!(tape.depth(), 0);
        (values, gradients)
    }

    fn check<S: Scalar>(layers: &str, epsilon: f64) {
        let network = Network::from_toml(&format!("input = [24]\nlayers = [{layers}]")).unwrap();
        let plan = Plan::new(&network).unwrap();
        for samples in [3, 128, 300] {
            let (alone, together) = (step::<S>(&plan, samples, false), step::<S>(&plan, samples, true));
            for (what, a, b) in [("output", &alone.0, &together.0), ("gradient", &alone.1, &together.1)] {
                let size = a.iter().map(|x| x.to_f64().powi(2)).sum::<f64>().sqrt();
                let far: f64 = a.iter().zip(b).map(|(a, b)| (a.to_f64() - b.to_f64()).powi(2)).sum();
                assert!(
                    far.sqrt() <= epsilon * size,
                    "{layers}: {what} of {samples} off by {}",
                    far.sqrt() / size
                );
            }
        }
    }

    #[test]
    fn groups_do_what_their_layers_do() {
        let norm = "{ batch_norm = 0.1 }";
        for act in ["relu", "max(z, 0.2 * z)", "z", "tanh"] {
            for dropout in ["", "{ dropout = 0.28 },"] {
                let hidden = format!("{{ dense = 40 }}, {norm}, {{ act = \"{act}\" }}, {dropout}");
                let layers = format!("{norm}, {hidden} {hidden} {{ dense = 10, bias = false }}");
                check::<f64>(&layers, 1e-12);
                check::<f32>(&layers, 1e-4);
            }
        }
    }
}
