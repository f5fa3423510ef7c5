//! What is kept of a training run.

use serde::{Deserialize, Serialize};

/// Loss and accuracy on a set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean loss per sample; `None` when it is not finite.
    pub loss: Option<f64>,
    /// Share of samples whose class is found, from 0 to 1; `None` when the targets are no classes.
    pub accuracy: Option<f64>,
}

/// The loss around a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Number of the step, from 1.
    pub step: u64,
    /// Mean of the losses of the batches since the point before, each taken before its update.
    pub loss: f64,
}

/// How one member learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The member.
    pub member: u64,
    /// On the training set, before the first step.
    pub before: Score,
    /// The loss on the way, at steps spread evenly on a logarithmic scale; ends where the run diverged.
    pub points: Vec<Point>,
    /// On the training set, after the last step.
    pub train: Score,
    /// On the test set, after the last step; `None` without one.
    pub test: Option<Score>,
    /// The step at which the loss was first not finite, if it was; `steps + 1` when only the last update broke it.
    pub diverged: Option<u64>,
}

/// Steps at which a point is written: 1, 2, 3, 5, 7, 10, 15, 20, 30, … and the last.
#[must_use]
pub fn recorded(steps: u64) -> Vec<u64> {
    let mut all = Vec::new();
    let mut ten = 1;
    while ten <= steps {
        // 1.5 is no whole number in the first decade.
        all.extend([10, 15, 20, 30, 50, 70].into_iter().filter(|m| m * ten % 10 == 0).map(|m| m * ten / 10));
        ten = ten.saturating_mul(10);
    }
    all.retain(|&step| step < steps);
    all.extend((steps > 0).then_some(steps));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_thin_out_and_end_at_the_last_step() {
        assert!(recorded(0).is_empty());
        assert_eq!(recorded(1), [1]);
        assert_eq!(recorded(25), [1, 2, 3, 5, 7, 10, 15, 20, 25]);
        assert_eq!(recorded(150)[9..], [50, 70, 100, 150]);
    }
}
