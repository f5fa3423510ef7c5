//! What a block of the kernel costs, before it is computed.

use super::program::{Op, Stage};
use super::{LANES, Spatial};
use crate::engine::Precision;

/// Nanoseconds for one pair of positions, layer and core, K and Θ together: measured with relu on an AVX-512 core at 2.6 GHz;
/// erf takes 1.3 times, gelu 1.7 times as long, functions from a table ten times.
const NANOSECONDS: [(Precision, f64); 2] = [(Precision::F32, 1.8), (Precision::F64, 3.9)];

/// Memory and time of a block `[rows, columns]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// Bytes of the results, of the samples, of what is known of each, and of what is in flight.
    pub bytes: f64,
    /// Seconds on this many threads, of one AVX-512 core each.
    pub seconds: f64,
    /// Pairs of positions that each pair of samples carries, summed over activations.
    pub entries: f64,
}

impl Spatial {
    /// The cost of a block of `rows` samples with `columns` others, or (`None`) with themselves.
    ///
    /// Only one group of [`LANES`] pairs per thread is in flight: P² numbers for none but pools with overlapping windows.
    pub fn cost(&self, precision: Precision, rows: usize, columns: Option<usize>, threads: usize) -> Cost {
        let size = if precision == Precision::F32 { 4.0 } else { 8.0 };
        let matrices = if self.tangent { 2.0 } else { 1.0 };
        let samples = rows + columns.unwrap_or(0);
        let padded = samples.next_multiple_of(LANES) as f64;
        let results = (rows * columns.unwrap_or(rows)) as f64 * matrices;
        let of_sample: f64 = self.stages.iter().map(|stage| self.known(stage)).sum();
        let data = (self.positions * self.channels) as f64;
        let largest = self.stages.iter().map(Stage::largest).max().unwrap_or(1) as f64;
        let spread = |stage: &Stage| (stage.extent[0] * stage.extent[1]) as f64 * matrices;
        let stored: f64 = self.stages.iter().skip(1).map(spread).sum();
        let lanes = LANES as f64 * threads as f64;
        let in_flight = lanes * (5.0 * largest * matrices + 2.0 * (stored + of_sample + data));
        let entries: f64 = self.stages.iter().map(Stage::entries).sum();
        let lanes_used = (self.groups(rows, columns).len() * LANES) as f64;
        let each = NANOSECONDS.iter().find(|(known, _)| *known == precision).map_or(4.0, |(_, each)| *each);
        let cheap = if self.tangent { 1.0 } else { 0.7 };
        Cost {
            bytes: size * (results + padded * (of_sample + data) + in_flight),
            seconds: entries * lanes_used * each * cheap * 1e-9 / threads as f64,
            entries,
        }
    }

    /// Numbers that are kept of one sample in a stage.
    fn known(&self, stage: &Stage) -> f64 {
        let of = |(at, op): (usize, &Op)| {
            let places = (stage.axes[at + 1][0].size * stage.axes[at + 1][1].size) as f64;
            match op {
                Op::Activate(number) => places * self.unaries[*number].count() as f64,
                Op::Norm(_) => places,
                _ => 0.0,
            }
        };
        stage.ops.iter().enumerate().map(of).sum()
    }
}

impl Stage {
    /// Pairs of positions on all diagonals, summed over the activations of the stage.
    fn entries(&self) -> f64 {
        let along = |axis: usize, op: usize| -> f64 {
            let pairs = |offset: Option<isize>| offset.map_or(0, |d| self.axes[op + 1][axis].pairs(d));
            self.chains[axis].iter().map(|chain| pairs(chain.steps[op].offset) as f64).sum()
        };
        let acts = self.ops.iter().enumerate().filter(|(_, op)| matches!(op, Op::Activate(_)));
        acts.map(|(at, _)| along(0, at) * along(1, at)).sum()
    }
}
