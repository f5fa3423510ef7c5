//! What is varied: the kinds of noise, the nonlinearity, and the order in which cells are visited.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LEAKY, PhaseSpec};

/// What can run along an axis: five kinds of noise, the nonlinearity, the shape, the length of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// Probability with which every unit is dropped.
    #[default]
    Dropout,
    /// Share of labels that each batch redraws, and noise of that many standard deviations at the inputs.
    Data,
    /// Learning rate.
    Rate,
    /// Samples in a batch: few of them are noisy.
    Batch,
    /// Temperature of the parameters.
    Temperature,
    /// Parameter of the activation: of the leaky ReLU its slope below zero.
    Slope,
    /// Hidden layers.
    Depth,
    /// Units of each hidden layer.
    Width,
    /// Passes over the training set.
    Epochs,
}

impl Setting {
    /// As the axis is called.
    pub fn label(self, spec: &PhaseSpec) -> String {
        let word = match self {
            Setting::Dropout => "dropout p",
            Setting::Data => "data noise q",
            Setting::Rate => "learning rate",
            Setting::Batch => "batch size",
            Setting::Temperature => "temperature T",
            Setting::Slope if spec.family == LEAKY => "slope below zero (0: ReLU, 1: linear)",
            Setting::Slope => return format!("a in {}", spec.family),
            Setting::Depth => "hidden layers",
            Setting::Width => "width",
            Setting::Epochs => "epochs",
        };
        word.into()
    }

    /// The same in a heading.
    pub fn word(self, spec: &PhaseSpec) -> String {
        match self {
            Setting::Slope if spec.family == LEAKY => "slope".into(),
            Setting::Slope => "a".into(),
            Setting::Depth => "depth".into(),
            _ => self.label(spec),
        }
    }

    /// Values of the published diagrams (Shi, Pan, Dokmanić, arXiv:2407.19353); of what they do not vary our own choice.
    pub fn usual(self) -> Vec<f64> {
        match self {
            Setting::Dropout => (0..8).map(|at| 0.04 * f64::from(at)).map(rounded).collect(),
            Setting::Data => (0..8).map(|at| 0.1 * f64::from(at)).map(rounded).collect(),
            Setting::Rate => vec![1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.2],
            Setting::Batch => vec![10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0],
            Setting::Temperature => vec![0.0, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4],
            Setting::Slope => vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            Setting::Depth => vec![3.0, 5.0, 7.0, 10.0, 14.0, 20.0],
            Setting::Width => vec![10.0, 20.0, 50.0, 100.0, 200.0],
            Setting::Epochs => vec![10.0, 20.0, 50.0, 100.0, 200.0],
        }
    }

    /// What a value may be, in words; `None` where it is one.
    pub fn refuses(self, spec: &PhaseSpec, value: f64) -> Option<&'static str> {
        let whole = |least: f64, most: f64| (least..=most).contains(&value) && value.fract() == 0.0;
        let (is_good, range) = match self {
            Setting::Dropout => ((0.0..1.0).contains(&value), "0 ≤ p < 1"),
            Setting::Data => ((0.0..=1.0).contains(&value), "0 to 1"),
            Setting::Rate => (value > 0.0 && value <= 100.0, "above 0, at most 100"),
            Setting::Batch => (whole(1.0, 1e7), "a whole number ≥ 1"),
            Setting::Temperature => ((0.0..=100.0).contains(&value), "0 to 100"),
            Setting::Slope if spec.family == LEAKY => ((0.0..=1.0).contains(&value), "0 to 1"),
            Setting::Slope => ((-1e3..=1e3).contains(&value), "-1000 to 1000"),
            Setting::Depth => (whole(3.0, 200.0), "a whole number, 3 to 200"),
            Setting::Width => (whole(2.0, 10_000.0), "a whole number, 2 to 10000"),
            Setting::Epochs => (whole(1.0, 1e6), "a whole number, 1 to 1000000"),
        };
        (!is_good).then_some(range)
    }

    /// Gives the setting this value.
    pub fn set(self, spec: &mut PhaseSpec, value: f64) {
        match self {
            Setting::Dropout => spec.dropout = value,
            Setting::Data => spec.data_noise = value,
            Setting::Rate => spec.rate = value,
            Setting::Batch => spec.batch = value as usize,
            Setting::Temperature => spec.temperature = value,
            Setting::Slope => spec.slope = value,
            Setting::Depth => spec.depth = value as usize,
            Setting::Width => spec.width = value as usize,
            Setting::Epochs => spec.epochs = value as u64,
        }
    }

    /// Is the axis read on a logarithmic scale?
    pub fn is_log(self) -> bool {
        matches!(self, Setting::Rate | Setting::Batch | Setting::Width | Setting::Epochs)
    }

    /// Does it shake the training?
    pub fn is_noise(self) -> bool {
        !matches!(self, Setting::Slope | Setting::Depth | Setting::Width | Setting::Epochs)
    }

    /// Does the noise grow with the value? A small batch is noisy.
    pub fn grows(self) -> bool {
        self != Setting::Batch
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Places 0 … n − 1 so that any first part of them covers the whole evenly: both ends, then the middle, then the middles between.
pub fn spread(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = [0, n.saturating_sub(1)].into_iter().take(n).collect();
    order.dedup();
    while order.len() < n {
        let mut known = order.clone();
        known.sort_unstable();
        let gaps = known.windows(2).filter(|gap| gap[1] > gap[0] + 1);
        order.extend(gaps.map(|gap| (gap[0] + gap[1]) / 2).collect::<Vec<_>>());
    }
    order
}

/// Cells `(row, column)` so that any first part covers the plane: the four corners first.
pub fn visits(rows: usize, columns: usize) -> Vec<(usize, usize)> {
    let rank = |order: Vec<usize>| {
        let mut rank = vec![0; order.len()];
        order.into_iter().enumerate().for_each(|(at, place)| rank[place] = at);
        rank
    };
    let (by_row, by_column) = (rank(spread(rows)), rank(spread(columns)));
    let mut cells: Vec<(usize, usize)> =
        (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).collect();
    cells.sort_by_key(|&(row, column)| {
        let (a, b) = (by_row[row], by_column[column]);
        (a.max(b), a + b, a)
    });
    cells
}

/// Numbers from `low` to `high`, evenly or in equal ratios.
pub fn between(low: f64, high: f64, n: usize, is_log: bool) -> Vec<f64> {
    let share = |at: usize| at as f64 / (n.max(2) - 1) as f64;
    let of =
        |at: usize| if is_log { low * (high / low).powf(share(at)) } else { low + (high - low) * share(at) };
    (0..n).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_visited_once_and_corners_first() {
        for (rows, columns) in [(1, 1), (1, 5), (2, 2), (6, 8), (7, 3)] {
            let order = visits(rows, columns);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!((order.len(), sorted.len()), (rows * columns, rows * columns));
        }
        let mut corners = visits(6, 8)[..4].to_vec();
        corners.sort_unstable();
        assert_eq!(corners, [(0, 0), (0, 7), (5, 0), (5, 7)]);
        assert_eq!(spread(5), [0, 4, 2, 1, 3]);
    }

    #[test]
    fn usual_values_are_allowed() {
        let noises = [Setting::Dropout, Setting::Data, Setting::Rate, Setting::Batch, Setting::Temperature];
        let others = [Setting::Slope, Setting::Depth, Setting::Width, Setting::Epochs];
        let spec = PhaseSpec::default();
        for setting in noises.into_iter().chain(others) {
            assert_eq!(setting.is_noise(), noises.contains(&setting));
            assert!(
                setting.usual().iter().all(|&value| setting.refuses(&spec, value).is_none()),
                "{setting:?}"
            );
            assert!(setting.refuses(&spec, -1.0).is_some() && setting.refuses(&spec, f64::NAN).is_some());
        }
        assert_eq!(
            between(1.0, 100.0, 3, true).iter().map(|x| x.round()).collect::<Vec<_>>(),
            [1.0, 10.0, 100.0]
        );
    }
}
