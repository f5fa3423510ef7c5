//! Ways to spend trainings, held against each other seed by seed.

use carnot_math::curve::shape;
use carnot_math::stats::{Estimate, Moments, student_quantile};
use serde::Serialize;

use super::network::Answer;
use super::{At, TuneSpec};

/// The trainings of one seed that are there.
#[derive(Clone, Debug)]
pub struct Seed {
    /// By value: untouched.
    pub untouched: Vec<Option<Answer>>,
    /// By value: tuned from it.
    pub tuned: Vec<Option<Answer>>,
    /// Untouched from the start, with other initialisations.
    pub again: Vec<Option<Answer>>,
}

/// Everything known so far.
pub struct Trainings {
    /// By seed.
    pub seeds: Vec<Seed>,
    /// Place of the start among the values.
    pub start: usize,
    /// Trainings that are there.
    pub done: usize,
    target: f64,
    least: f64,
}

impl Trainings {
    /// Nothing yet.
    pub fn empty(spec: &TuneSpec) -> Trainings {
        let n = spec.values.len();
        let seed = Seed { untouched: vec![None; n], tuned: vec![None; n], again: vec![None; n - 1] };
        Trainings {
            seeds: vec![seed; spec.seeds as usize],
            start: spec.values.iter().position(|&value| value == spec.start_value()).unwrap_or(0),
            done: 0,
            target: spec.target,
            least: spec.least,
        }
    }

    /// Puts an answer in its place.
    pub(super) fn push(&mut self, at: At, answer: Answer) {
        let seed = &mut self.seeds[at.seed as usize];
        let place = match at {
            At { again: 1.., .. } => &mut seed.again[at.again as usize - 1],
            At { tuned: true, .. } => &mut seed.tuned[at.value],
            At { tuned: false, .. } => &mut seed.untouched[at.value],
        };
        *place = Some(answer);
        self.done += 1;
    }

    /// Convexity of a training's last curve, where its total load is large enough to judge.
    pub fn convexity(&self, answer: &Answer) -> Option<f64> {
        convexity(&answer.curve()?, self.least)
    }

    /// Total load below which a curve is not judged.
    pub fn least(&self) -> f64 {
        self.least
    }

    /// Accuracies by seed of every way to spend the trainings, cheapest first.
    pub fn ways(&self) -> Vec<Way> {
        let n = self.seeds.first().map_or(0, |seed| seed.tuned.len());
        let of = |kind: Kind, of: &dyn Fn(&Seed) -> Option<Chosen>| Way {
            kind,
            runs: if matches!(kind, Kind::Control | Kind::Tuned) { 1 } else { n },
            chosen: self.seeds.iter().map(of).collect(),
        };
        let one = |answer: &Option<Answer>| {
            let answer = answer.as_ref()?;
            Some(Chosen { test: answer.test?, convexity: self.convexity(answer) })
        };
        vec![
            of(Kind::Control, &|seed| one(&seed.untouched[self.start])),
            of(Kind::Tuned, &|seed| one(&seed.tuned[self.start])),
            of(Kind::ControlBest, &|seed| {
                let first = std::iter::once(&seed.untouched[self.start]);
                self.best(first.chain(&seed.again), &|answer| answer.held)
            }),
            of(Kind::SweepBest, &|seed| self.best(seed.untouched.iter(), &|answer| answer.held)),
            of(Kind::TunedBest, &|seed| self.best(seed.tuned.iter(), &|answer| answer.held)),
            of(Kind::SweepEvenest, &|seed| {
                self.best(seed.untouched.iter(), &|answer| {
                    Some(-(self.convexity(answer)? - self.target).abs())
                })
            }),
            of(Kind::Limit, &|seed| self.best(seed.untouched.iter(), &|answer| answer.test)),
        ]
    }

    /// The answer with the highest score; of equal ones the mean, which is what a choice by lot would give. `None` until all are there,
    /// and when none has a score.
    fn best<'a>(
        &self,
        answers: impl Iterator<Item = &'a Option<Answer>>,
        score: &dyn Fn(&Answer) -> Option<f64>,
    ) -> Option<Chosen> {
        let all: Vec<&Answer> = answers.map(Option::as_ref).collect::<Option<_>>()?;
        let scored: Vec<(f64, &Answer)> =
            all.into_iter().filter_map(|answer| Some((score(answer)?, answer))).collect();
        let most = scored.iter().map(|(score, _)| *score).max_by(f64::total_cmp)?;
        let best: Vec<&Answer> = scored.iter().filter(|(score, _)| *score == most).map(|(_, a)| *a).collect();
        let tests: Vec<f64> = best.iter().filter_map(|answer| answer.test).collect();
        let bent: Vec<f64> = best.iter().filter_map(|answer| self.convexity(answer)).collect();
        let mean = |values: &[f64]| (!values.is_empty()).then(|| Moments::of(values).mean());
        Some(Chosen { test: mean(&tests)?, convexity: mean(&bent) })
    }
}

/// Convexity of a curve whose total load is at least `least`.
pub fn convexity(curve: &[f64], least: f64) -> Option<f64> {
    let shape = shape(curve).ok().filter(|shape| shape.total >= least)?;
    Some(shape.relative.ok()?.convexity)
}

/// A way to spend trainings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One, untouched.
    Control,
    /// One, tuned.
    Tuned,
    /// The best of several untouched ones that differ in their initialisation.
    ControlBest,
    /// The best of the sweep.
    SweepBest,
    /// The best of the tuned ones.
    TunedBest,
    /// The one of the sweep whose curve is nearest the target.
    SweepEvenest,
    /// The one of the sweep with the highest test accuracy, which nobody may choose by.
    Limit,
}

/// What a way ends with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Chosen {
    /// Test accuracy.
    pub test: f64,
    /// Convexity of the curve, where it can be judged.
    pub convexity: Option<f64>,
}

/// One way, over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Way {
    /// Which.
    pub kind: Kind,
    /// Trainings that it costs.
    pub runs: usize,
    /// By seed.
    pub chosen: Vec<Option<Chosen>>,
}

impl Way {
    /// A number over seeds.
    pub fn of(&self, number: &dyn Fn(&Chosen) -> Option<f64>) -> Option<Estimate> {
        let all: Vec<f64> = self.chosen.iter().flatten().filter_map(number).collect();
        (!all.is_empty()).then(|| Moments::of(&all).estimate())
    }

    /// Test accuracy of this less that of another, by seed.
    pub fn less(&self, other: &Way) -> Option<Difference> {
        let pair = |(a, b): (&Option<Chosen>, &Option<Chosen>)| Some(a.as_ref()?.test - b.as_ref()?.test);
        Difference::of(&self.chosen.iter().zip(&other.chosen).filter_map(pair).collect::<Vec<_>>())
    }
}

/// A mean of differences by seed, with the interval of Student.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Mean.
    pub value: f64,
    /// Standard error; `None` for one seed.
    pub error: Option<f64>,
    /// Lower end at 95 %.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Seeds.
    pub n: u64,
}

/// What a difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// Its interval lies above 0.
    Better,
    /// Below 0.
    Worse,
    /// The interval holds 0.
    NotApart,
    /// There is no interval.
    Unknown,
}

impl Difference {
    /// From one difference a seed; `None` of none.
    pub fn of(differences: &[f64]) -> Option<Difference> {
        let moments = Moments::of(differences);
        let (n, value) = (moments.count(), moments.mean());
        let error = (n > 1).then(|| moments.error());
        let reach = error.map(|error| error * student_quantile(0.975, (n - 1) as f64));
        let (low, high) = (reach.map(|reach| value - reach), reach.map(|reach| value + reach));
        (n > 0).then_some(Difference { value, error, low, high, n })
    }

    /// Which side of 0 it is on.
    pub fn says(&self) -> Says {
        match (self.low, self.high) {
            (Some(low), _) if low > 0.0 => Says::Better,
            (_, Some(high)) if high < 0.0 => Says::Worse,
            (Some(_), Some(_)) => Says::NotApart,
            _ => Says::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ways_are_not_apart_and_one_seed_says_nothing() {
        assert_eq!(Difference::of(&[0.0; 10]).unwrap().says(), Says::NotApart);
        assert_eq!(Difference::of(&[0.01, -0.01, 0.02, -0.02]).unwrap().says(), Says::NotApart);
        assert_eq!(Difference::of(&[0.02, 0.03, 0.025]).unwrap().says(), Says::Better);
        assert_eq!(Difference::of(&[-0.02, -0.03, -0.025]).unwrap().says(), Says::Worse);
        assert_eq!(Difference::of(&[0.5]).unwrap().says(), Says::Unknown);
        assert_eq!(Difference::of(&[]), None);
        // Three numbers 1, 2, 3: error 1/√3, t = 4.303.
        let of_three = Difference::of(&[1.0, 2.0, 3.0]).unwrap();
        assert!((of_three.high.unwrap() - 2.0 - 4.302_652_73 / 3f64.sqrt()).abs() < 1e-6, "{of_three:?}");
    }
}
