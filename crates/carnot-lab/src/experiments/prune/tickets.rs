//! Which trainings there are, what each gave, and which come next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PruneSpec;
use crate::error::LabError;
use crate::experiments::{Job, Point};

/// Which weights are left, and with which values they start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Those left by the rounds, from where they started.
    Ticket,
    /// The same weights, from fresh values.
    Fresh,
    /// As many weights elsewhere in each layer, from where they started.
    Elsewhere,
    /// As many weights, taken at once after the first training, from where they started.
    AtOnce,
}

impl Way {
    /// Beside the ticket.
    pub const CONTROLS: [Way; 3] = [Way::Fresh, Way::Elsewhere, Way::AtOnce];

    /// In a report.
    pub fn words(self) -> &'static str {
        match self {
            Way::Ticket => "ticket",
            Way::Fresh => "fresh weights",
            Way::Elsewhere => "elsewhere",
            Way::AtOnce => "at once",
        }
    }
}

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct At {
    /// The network.
    pub member: u64,
    /// Rounds of pruning behind it.
    pub round: usize,
    /// What it starts with.
    pub way: Way,
    /// Its mask, one bit a weight; none in the first round.
    pub mask: Option<String>,
}

/// What a training gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// The network.
    pub member: u64,
    /// Rounds of pruning behind it.
    pub round: usize,
    /// What it started with.
    pub way: Way,
    /// Share of the weights that were left.
    pub share: f64,
    /// Weights left of each tensor.
    pub left: Vec<usize>,
    /// Step of the least validation loss.
    pub best_step: u64,
    /// That loss; none where it was never finite.
    pub best_loss: Option<f64>,
    /// Accuracy on the test set at that step, or less the loss where there are no classes.
    pub best_score: Option<f64>,
    /// The same after the last step.
    pub last_score: Option<f64>,
    /// The mask of the next round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// After the first training: the mask of every later controlled round, taken at once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub at_once: BTreeMap<usize, String>,
}

/// All trainings so far.
pub struct State<'a> {
    spec: &'a PruneSpec,
    done: Vec<Done>,
}

impl<'a> State<'a> {
    /// The state after some points.
    ///
    /// # Errors
    /// When a stored point cannot be read.
    pub fn of(spec: &'a PruneSpec, points: &[Point]) -> Result<State<'a>, LabError> {
        Ok(State { spec, done: points.iter().map(Point::read::<Done>).collect::<Result<_, _>>()? })
    }

    /// Its settings.
    pub fn spec(&self) -> &PruneSpec {
        self.spec
    }

    /// The training of a network, where it is done.
    pub fn find(&self, member: u64, round: usize, way: Way) -> Option<&Done> {
        self.done.iter().find(|done| done.member == member && done.round == round && done.way == way)
    }

    /// All trainings of a round and way.
    pub fn all(&self, round: usize, way: Way) -> Vec<&Done> {
        (0..self.spec.seeds).filter_map(|member| self.find(member, round, way)).collect()
    }

    /// Rounds that are done for every network.
    pub fn rounds(&self) -> usize {
        (0..=self.spec.rounds)
            .take_while(|&round| self.all(round, Way::Ticket).len() as u64 == self.spec.seeds)
            .count()
    }

    /// The jobs of the next round: the tickets, and beside them the controls.
    pub fn next(&self) -> Vec<Job> {
        let round = self.rounds();
        if round > self.spec.rounds {
            return Vec::new();
        }
        let mut jobs = Vec::new();
        for member in 0..self.spec.seeds {
            let mask =
                round.checked_sub(1).and_then(|before| self.find(member, before, Way::Ticket)?.next.clone());
            let controls: &[Way] = if self.spec.is_controlled(round) { &Way::CONTROLS } else { &[] };
            for &way in [Way::Ticket].iter().chain(controls) {
                let mask = match way {
                    Way::AtOnce => {
                        self.find(member, 0, Way::Ticket).and_then(|first| first.at_once.get(&round).cloned())
                    }
                    _ => mask.clone(),
                };
                let id = format!("round {round}, network {}, {}", member + 1, way.words());
                jobs.push(Job::new(id, At { member, round, way, mask }));
            }
        }
        jobs
    }
}
