//! A block of members that train together on one thread.

use super::Training;
use super::data::{Answers, Batches, gather_inputs, redrawn, spread, spread_of_inputs};
use super::evaluate;
use super::history::{History, Point, Score, recorded};
use super::spec::TrainSpec;
use super::steer::Reins;
use crate::initialise::initialise;
use crate::loss::{Total, Wanted};
use crate::optimizer::{Rule, Step};
use crate::prune::masked::Begin;
use crate::rate::Group;
use carnot_math::device::cpu;
use carnot_math::random::Stream;
use carnot_math::scalar::Scalar;
use carnot_net::batch::Batch;
use carnot_net::dataset::Dataset;
use carnot_net::fused::Chain;
use carnot_net::layers::Layer;
use carnot_net::plan::{Plan, Weights};
use carnot_net::tape::{Mode, Tape};
use std::borrow::Cow;
use std::ops::Range;

/// What stands on the way of a training: after so many steps, the members' weights and the network as it is now.
pub(crate) struct Halt<'a, S> {
    /// Steps taken, from 0.
    pub(crate) step: u64,
    /// `[members, parameters]`
    pub(crate) weights: &'a [S],
    /// The network as it is trained at the moment.
    pub(crate) plan: &'a Plan,
    /// Mean of the first member's losses over the last batch, before the update.
    pub(crate) loss: f64,
}

/// How a training goes on after a halt.
pub(crate) enum Then {
    /// As before.
    GoOn,
    /// With other reins.
    Hold(Reins),
    /// No further.
    End,
}

/// Told of the start and of every step; says how to go on.
pub(crate) type Look<'a, S> = dyn FnMut(Halt<S>) -> Then + 'a;

/// A block of members and everything they need for a step.
pub(crate) struct Block<'a, S> {
    training: &'a Training<'a>,
    /// Those of the training until somebody steers.
    plan: Cow<'a, Plan>,
    spec: TrainSpec,
    groups: &'a [Group],
    members: Range<u64>,
    /// `[members, parameters]`, as the next three.
    weights: Vec<S>,
    gradients: Vec<S>,
    first: Vec<S>,
    second: Vec<S>,
    tape: Tape<S>,
    batches: Batches,
    answers: Answers<S>,
    noisy: bool,
    /// Classes of the set, where labels are redrawn; `[members, batch]` of them.
    redrawn: Option<(usize, Vec<u32>)>,
    /// Standard deviation of what is added to inputs.
    shaken: f64,
    totals: Vec<Total>,
    diverged: Vec<Option<u64>>,
    /// Steps taken before the first one here.
    begun: u64,
    /// One for each parameter that may move, zero for others; empty where all may.
    mask: Vec<S>,
}

impl<'a, S: Scalar> Block<'a, S> {
    pub(crate) fn new(training: &'a Training<'a>, groups: &'a [Group], members: Range<u64>) -> Block<'a, S> {
        let (plan, spec) = (training.plan, &training.spec);
        let count = (members.end - members.start) as usize;
        let memories = training.optimizer.memories();
        let zeros = |wanted: bool| vec![S::default(); if wanted { count * plan.parameters } else { 0 }];
        let mut weights = zeros(true);
        for (member, part) in members.clone().zip(weights.chunks_exact_mut(plan.parameters.max(1))) {
            initialise(plan, training.init, spec.seed, member, part);
        }
        Block {
            training,
            plan: Cow::Borrowed(plan),
            spec: *spec,
            groups,
            members,
            weights,
            gradients: zeros(true),
            first: zeros(memories > 0),
            second: zeros(memories > 1),
            tape: Tape::new(Mode::Train),
            batches: Batches::new(spec.seed, training.train.len(), spec.batch),
            answers: Answers::new(),
            noisy: plan.all().iter().any(|site| matches!(site.layer, Layer::Dropout(_))),
            redrawn: redrawing(spec, training.train),
            shaken: shaking(spec, training.train),
            totals: vec![Total::default(); count],
            diverged: vec![None; count],
            begun: 0,
            mask: Vec::new(),
        }
    }

    /// With one member, going on from given weights.
    pub(crate) fn begun(mut self, begin: Begin<S>) -> Block<'a, S> {
        self.weights.copy_from_slice(begin.weights);
        self.begun = begin.step;
        (0..begin.step).for_each(|_| self.batches.advance());
        if let Some(mask) = begin.mask {
            mask.put(&mut self.weights);
            self.mask = mask.alive().iter().map(|&alive| S::from_f64(f64::from(u8::from(alive)))).collect();
        }
        self
    }

    fn count(&self) -> usize {
        self.diverged.len()
    }

    /// Trains from beginning to end; `look` is told of the start (step 0) and of every step taken.
    pub(crate) fn run(mut self, progress: &(dyn Fn(u64) + Sync), look: &mut Look<S>) -> Vec<History> {
        let steps = self.spec.steps;
        let mut goes_on = self.halt(self.begun, look);
        let before = self.evaluate(self.training.train);
        let mut points = vec![Vec::new(); self.count()];
        let begun = self.begun;
        let mut done = begun;
        for stop in recorded(steps).into_iter().filter(|stop| *stop > begun) {
            let (mut sums, mut rows) = (vec![0.0; self.count()], 0);
            let told = (steps / 100).max(1);
            for step in done + 1..=stop {
                if !goes_on {
                    break;
                }
                self.step(step);
                goes_on = self.halt(step, look);
                self.totals.iter().zip(&mut sums).for_each(|(total, sum)| *sum += total.loss);
                rows += self.totals[0].rows;
                if step % told == 0 {
                    progress(told * self.count() as u64);
                }
            }
            if !goes_on {
                break;
            }
            // Every member sees the same samples, and so as many rows.
            let share = 1.0 / (rows as f64);
            for (points, sum) in points.iter_mut().zip(&sums) {
                if sum.is_finite() {
                    points.push(Point { step: stop, loss: sum * share });
                }
            }
            done = stop;
        }
        let train = self.evaluate(self.training.train);
        let test = self.training.test.map(|test| self.evaluate(test));
        let history = |(place, points): (usize, Vec<Point>)| History {
            member: self.members.start + place as u64,
            before: before[place],
            points,
            train: train[place],
            test: test.as_ref().map(|test| test[place]),
            diverged: self.diverged[place].or_else(|| train[place].loss.is_none().then_some(steps + 1)),
        };
        points.into_iter().enumerate().map(history).collect()
    }

    /// Whether the training goes on.
    fn halt(&mut self, step: u64, look: &mut Look<S>) -> bool {
        let (weights, plan) = (&self.weights[..], &*self.plan);
        let loss = self.totals[0].loss / self.totals[0].rows.max(1) as f64;
        match look(Halt { step, weights, plan, loss }) {
            Then::GoOn => true,
            Then::End => false,
            Then::Hold(reins) => {
                reins.hold(self.plan.to_mut(), &mut self.spec);
                self.redrawn = redrawing(&self.spec, self.training.train);
                self.shaken = shaking(&self.spec, self.training.train);
                true
            }
        }
    }

    /// One step of every member; leaves the losses before the update in `totals`.
    fn step(&mut self, step: u64) {
        if self.diverged.iter().all(Option::is_some) {
            let rows = self.totals[0].rows;
            self.totals.fill(Total { loss: f64::NAN, correct: 0, rows });
            return;
        }
        self.batches.advance();
        let (train, spec, plan) = (self.training.train, self.spec, &*self.plan);
        self.answers.gather(train, &self.batches.current);
        let batch = self.batches.current.len();
        let mut input = self.tape.take(self.count(), batch, &plan.input);
        let (one, others) = input.data.split_at_mut(batch * plan.input.len());
        gather_inputs(train, &self.batches.current, one);
        others.chunks_exact_mut(one.len()).for_each(|other| other.copy_from_slice(one));
        if self.shaken > 0.0 {
            for (member, own) in
                self.members.clone().zip(input.data.chunks_exact_mut(batch * plan.input.len()))
            {
                let mut stream = Stream::new(spec.seed, "input noise", &[member, step]);
                own.iter_mut().for_each(|x| *x += S::from_f64(self.shaken * stream.normal::<f64>()));
            }
        }
        if let (Some((classes, labels)), Wanted::Classes(clean)) = (&mut self.redrawn, self.answers.wanted())
        {
            labels.resize(self.diverged.len() * clean.len(), 0);
            for (member, own) in self.members.clone().zip(labels.chunks_exact_mut(clean.len())) {
                let mut stream = Stream::new(spec.seed, "label noise", &[member, step]);
                redrawn(clean, spec.label_noise, *classes, &mut stream, own);
            }
        }
        if self.noisy {
            let stream = |member| Stream::new(spec.seed, "dropout", &[member, step]);
            self.tape.noise.clear();
            self.tape.noise.extend(self.members.clone().map(stream));
        }
        let weights = Weights { data: &self.weights, stride: plan.parameters };
        // Made anew for every step, since the plan may be steered: a look at each site.
        let outputs = Chain::new(plan).forward(weights, input, &mut self.tape);
        let gradient = self.loss(outputs, batch);
        let plan = &*self.plan;
        let weights = Weights { data: &self.weights, stride: plan.parameters };
        Chain::new(plan).backward(weights, gradient, &mut self.gradients, &mut self.tape);
        self.update(step);
    }

    /// Losses into `totals`; turns the outputs into their gradient.
    fn loss(&mut self, outputs: Batch<S>, samples: usize) -> Batch<S> {
        let mut gradient = self.tape.take(outputs.members, samples, &outputs.shape);
        let size = samples * outputs.shape.len();
        let parts = outputs.data.chunks_exact(size).zip(gradient.data.chunks_exact_mut(size));
        for (member, (total, (output, gradient))) in self.totals.iter_mut().zip(parts).enumerate() {
            let wanted = match &self.redrawn {
                Some((_, labels)) => {
                    let rows = labels.len() / self.diverged.len();
                    Wanted::Classes(&labels[member * rows..(member + 1) * rows])
                }
                None => self.answers.wanted(),
            };
            *total = self.training.loss.of(output, samples, wanted, gradient);
        }
        self.tape.give(outputs);
        gradient
    }

    fn update(&mut self, step: u64) {
        let (plan, optimizer, spec) = (self.training.plan, self.training.optimizer, self.spec);
        let rate = spec.rate_at(step);
        for member in 0..self.diverged.len() {
            if self.diverged[member].is_none() && !self.totals[member].loss.is_finite() {
                self.diverged[member] = Some(step);
            }
            if self.diverged[member].is_some() {
                continue;
            }
            let own = member * plan.parameters..(member + 1) * plan.parameters;
            let gradient = &mut self.gradients[own.clone()];
            // What has no gradient has no memory either, and stays where it is: at zero.
            gradient.iter_mut().zip(&self.mask).for_each(|(gradient, mask)| *gradient *= *mask);
            if let Some(most) = spec.clip {
                let trained =
                    || self.groups.iter().filter(|group| !group.follows).map(|group| group.at.clone());
                let squares: f64 = trained().map(|at| cpu::sum_of_squares(&gradient[at])).sum();
                if squares.sqrt() > most {
                    trained()
                        .for_each(|at| cpu::scale(&mut gradient[at], S::from_f64(most / squares.sqrt())));
                }
            }
            let weights = &mut self.weights[own.clone()];
            let first = self.first.get_mut(own.clone()).unwrap_or_default();
            let second = self.second.get_mut(own).unwrap_or_default();
            let push = (2.0 * rate * spec.temperature).sqrt();
            let key = [self.members.start + member as u64, step];
            let mut shake = (push > 0.0).then(|| Stream::new(spec.seed, "parameter noise", &key));
            for group in self.groups {
                let at = group.at.clone();
                if group.follows {
                    cpu::axpy(&mut weights[at.clone()], S::from_f64(-1.0), &gradient[at]);
                    continue;
                }
                optimizer.step(Step {
                    step: step - self.begun,
                    rate: rate * group.multiplier,
                    weights: &mut weights[at.clone()],
                    gradient: &gradient[at.clone()],
                    first: first.get_mut(at.clone()).unwrap_or_default(),
                    second: second.get_mut(at.clone()).unwrap_or_default(),
                });
                if let Some(stream) = &mut shake {
                    weights[at].iter_mut().for_each(|w| *w += S::from_f64(push * stream.normal::<f64>()));
                }
            }
        }
    }

    /// Loss and accuracy of every member on (a part of) a set, as used: without dropout.
    fn evaluate(&mut self, data: &Dataset) -> Vec<Score> {
        let (plan, spec, loss) = (&*self.plan, self.spec, self.training.loss);
        let samples = spread(data.len(), spec.evaluate);
        let mut sums = vec![Total::default(); self.count()];
        (self.tape.mode, self.tape.record) = (Mode::Evaluate, false);
        for part in samples.chunks(evaluate::AT_ONCE) {
            self.answers.gather(data, part);
            // One member at a time: the largest need no more memory here than in a step.
            for (member, sum) in sums.iter_mut().enumerate() {
                let own = &self.weights[member * plan.parameters..(member + 1) * plan.parameters];
                let total = evaluate::of_part(plan, own, loss, (data, part, &self.answers), &mut self.tape);
                sum.loss += total.loss;
                sum.correct += total.correct;
                sum.rows += total.rows;
            }
        }
        (self.tape.mode, self.tape.record) = (Mode::Train, true);
        sums.iter().map(|total| evaluate::mean(total, data)).collect()
    }
}

/// Classes of the set and room for labels, where labels are redrawn.
fn redrawing(spec: &TrainSpec, data: &Dataset) -> Option<(usize, Vec<u32>)> {
    (spec.label_noise > 0.0).then(|| (data.targets.classes(), Vec::new()))
}

/// Standard deviation of what is added to inputs.
fn shaking(spec: &TrainSpec, data: &Dataset) -> f64 {
    if spec.input_noise > 0.0 { spec.input_noise * spread_of_inputs(data) } else { 0.0 }
}
