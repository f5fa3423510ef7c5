//! A line of pairs: the integral over the angle, sixteen pairs at a time.

use super::super::legendre;
use super::special::{exp, mad, mills, second_remainder};
use super::{COLUMNS, MOST_KINKS, Meeting, Pieces};
use crate::device::wide::{Loop, widest};
use std::f64::consts::TAU;

/// Pairs that go through the integral together.
pub(super) const LANES: usize = 16;
/// Below this 1 − |cos θ| a pair is reached from its end.
const NEAR: f64 = 5e-7;
/// Above this α²c the integral from no correlation loses digits, e^{α²c} of them; that from the end gains some.
const GROWN: f64 = 4.0;
/// 1/√(2π)
const UNIT: f64 = 0.398_942_280_401_432_7;

pub(super) type Lanes = [f64; LANES];

/// A row of a line: the constants of its point.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) deviation: f64,
    pub(super) inverse: f64,
    pub(super) means: [f64; 3],
    pub(super) places: [f64; MOST_KINKS],
    pub(super) weights: [f64; MOST_KINKS],
}

impl Row {
    pub(super) fn new(constants: &[f64], n_kinks: usize) -> Row {
        let mut row = Row {
            deviation: constants[0],
            inverse: constants[1],
            means: [constants[2], constants[3], constants[4]],
            places: [0.0; MOST_KINKS],
            weights: [0.0; MOST_KINKS],
        };
        for kink in 0..n_kinks {
            row.places[kink] = constants[COLUMNS + 2 * kink];
            row.weights[kink] = constants[COLUMNS + 2 * kink + 1];
        }
        row
    }
}

/// Sixteen columns, mirrored where the pair is nearer to opposite than to parallel.
pub(super) struct Chunk {
    /// sign of cos θ
    pub(super) sign: Lanes,
    /// 1 − |cos θ|
    pub(super) small: Lanes,
    /// ln tan(θ/2) ≤ 0, θ the angle between the lines: where the integral ends and, from there to `start`, how far it goes.
    pub(super) start: Lanes,
    pub(super) length: Lanes,
    pub(super) deviation: Lanes,
    /// Places times sign.
    pub(super) places: [Lanes; MOST_KINKS],
    pub(super) weights: [Lanes; MOST_KINKS],
}

/// The parts of the integral over the angle.
pub(super) struct Sums {
    /// ∫ r₀ + (c − c′) r₁ + K₂ r₂
    pub(super) value: Lanes,
    /// ∫ r₁ + K₁ r₂
    pub(super) slope: Lanes,
}

/// What does not change over a line.
#[derive(Clone, Copy)]
pub(super) struct Integrand<'a> {
    pub(super) pieces: &'a Pieces,
    pub(super) row: &'a Row,
}

/// One node of the integral in every lane.
struct Node {
    /// 1 − |ρ| and the sine of the angle, and its inverse.
    versed: Lanes,
    sine: Lanes,
    inverse: Lanes,
    /// dt, the step in the angle between the lines.
    step: Lanes,
    /// Kernels of r₁ and r₂ in ⟨σσ⟩, and of r₂ in ⟨ss⟩.
    lag: Lanes,
    second: Lanes,
    first: Lanes,
}

/// One number at a kink, the other free.
struct Side<'a> {
    place: &'a Lanes,
    weight: &'a Lanes,
    /// Of the free number.
    deviation: &'a Lanes,
    /// Kinks of the free number.
    others: &'a [Lanes; MOST_KINKS],
    /// By which the correlation and the distances of places are to be multiplied.
    sign: &'a Lanes,
}

const ZERO: Lanes = [0.0; LANES];

impl Integrand<'_> {
    /// Adds the integral over `start` … `start + length`.
    ///
    /// `CURVED`: some g jumps or is not zero; `RATE`: α ≠ 0; `STEPS`: σ jumps. Wrong flags give wrong answers.
    #[inline(always)]
    pub(super) fn add<const FMA: bool, const CURVED: bool, const RATE: bool, const STEPS: bool>(
        &self,
        chunk: &Chunk,
        order: usize,
        sums: &mut Sums,
    ) {
        for &(x, weight) in legendre::table(order) {
            let node = self.node::<FMA, CURVED, RATE>(chunk, 0.5 * (1.0 + x), 0.5 * weight);
            if CURVED || STEPS {
                self.crossings::<FMA, CURVED, RATE, STEPS>(chunk, &node, sums);
            }
            for meeting in &self.pieces.meetings {
                self.meet::<FMA, CURVED, STEPS>(chunk, &node, meeting, sums);
            }
        }
    }

    #[inline(always)]
    fn node<const FMA: bool, const CURVED: bool, const RATE: bool>(
        &self,
        chunk: &Chunk,
        part: f64,
        weight: f64,
    ) -> Node {
        let mut node = Node {
            versed: ZERO,
            sine: ZERO,
            inverse: ZERO,
            step: ZERO,
            lag: ZERO,
            second: ZERO,
            first: ZERO,
        };
        let square = self.pieces.rate * self.pieces.rate;
        for l in 0..LANES {
            // tan(t/2)
            let q = exp::<FMA>(mad::<FMA>(part, chunk.length[l], chunk.start[l]));
            let up = mad::<FMA>(q, q, 1.0);
            let sine = 2.0 * q / up;
            let versed = q * sine;
            node.inverse[l] = 0.5 * up / q;
            node.sine[l] = sine;
            node.versed[l] = versed;
            node.step[l] = weight * chunk.length[l] * sine;
            let scale = self.row.deviation * chunk.deviation[l];
            let lag = chunk.sign[l] * scale * (versed - chunk.small[l]);
            node.lag[l] = lag;
            if CURVED {
                let remainder = if RATE { second_remainder::<FMA>(square * lag) } else { 0.5 };
                node.second[l] = lag * lag * remainder;
                node.first[l] = if RATE { lag * mad::<FMA>(square * lag, remainder, 1.0) } else { lag };
            }
        }
        node
    }

    /// φ(k_i, k_j) times the jumps there.
    #[inline(always)]
    fn meet<const FMA: bool, const CURVED: bool, const STEPS: bool>(
        &self,
        chunk: &Chunk,
        node: &Node,
        meeting: &Meeting,
        sums: &mut Sums,
    ) {
        let x = self.row.places[meeting.row];
        let places = &chunk.places[meeting.column];
        let [steps, bends, curves] = meeting.products.map(|product| product / TAU);
        for l in 0..LANES {
            let apart = mad::<FMA>(x, node.versed[l], places[l] - x) * node.inverse[l];
            let density = exp::<FMA>(-0.5 * mad::<FMA>(apart, apart, x * x));
            let part = chunk.sign[l] * density * node.step[l];
            let mut value = bends * node.lag[l];
            let mut slope = bends;
            if CURVED {
                value = mad::<FMA>(curves, node.second[l], value);
                slope = mad::<FMA>(curves, node.first[l], slope);
            }
            if STEPS {
                value += steps;
            }
            sums.value[l] = mad::<FMA>(part, value, sums.value[l]);
            sums.slope[l] = mad::<FMA>(part, slope, sums.slope[l]);
        }
    }

    /// One number at a kink, the mean of the other.
    #[inline(always)]
    fn crossings<const FMA: bool, const CURVED: bool, const RATE: bool, const STEPS: bool>(
        &self,
        chunk: &Chunk,
        node: &Node,
        sums: &mut Sums,
    ) {
        let rate = self.pieces.rate;
        for at in 0..self.pieces.kinks.len() {
            let jump = self.pieces.jumps[at];
            let (place, weight) = ([self.row.places[at]; LANES], [self.row.weights[at]; LANES]);
            let (row, column) = ([self.row.deviation; LANES], chunk.deviation);
            let mut own = [ZERO; MOST_KINKS];
            for other in 0..self.pieces.kinks.len() {
                own[other] = [self.row.places[other]; LANES];
            }
            // The row at its kink, the mean over the column, then the other way round.
            let there = Side {
                place: &place,
                weight: &weight,
                deviation: &column,
                others: &chunk.places,
                sign: &chunk.sign,
            };
            let back = Side {
                place: &chunk.places[at],
                weight: &chunk.weights[at],
                deviation: &row,
                others: &own,
                sign: &[1.0; LANES],
            };
            for side in [there, back] {
                let (mut mean_curve, mut mean_slope) = (ZERO, ZERO);
                self.means::<FMA, RATE, STEPS>(node, &side, [&mut mean_curve, &mut mean_slope]);
                for l in 0..LANES {
                    let part = chunk.sign[l] * UNIT * side.deviation[l] * node.sine[l] * node.step[l];
                    let curve = part * mean_curve[l];
                    let (mut value, mut slope) = (jump[1] * node.lag[l], jump[1]);
                    if RATE {
                        value = mad::<FMA>(rate * jump[2], node.second[l], value);
                        slope = mad::<FMA>(rate * jump[2], node.first[l], slope);
                    }
                    sums.value[l] = mad::<FMA>(curve, value, sums.value[l]);
                    sums.slope[l] = mad::<FMA>(curve, slope, sums.slope[l]);
                    if STEPS {
                        sums.value[l] = mad::<FMA>(part * mean_slope[l], jump[0], sums.value[l]);
                    }
                }
            }
        }
    }

    /// e^{−x²/2} times the means of g and s of one number, the other at its kink x.
    #[inline(always)]
    fn means<const FMA: bool, const RATE: bool, const STEPS: bool>(
        &self,
        node: &Node,
        side: &Side,
        [curve, slope]: [&mut Lanes; 2],
    ) {
        let Pieces { base, rate, jumps, pieces, .. } = self.pieces;
        let piece = pieces[*base];
        for l in 0..LANES {
            let cosine = side.sign[l] * (1.0 - node.versed[l]);
            let mean = cosine * side.deviation[l] * side.place[l];
            let spread = side.deviation[l] * node.sine[l];
            let whole =
                if RATE { exp::<FMA>(rate * mad::<FMA>(0.5 * rate * spread, spread, mean)) } else { 1.0 };
            curve[l] = side.weight[l] * piece.curve * whole;
            if STEPS {
                slope[l] = side.weight[l] * mad::<FMA>(piece.curve, mean, piece.slope);
            }
        }
        for (other, jump) in jumps.iter().enumerate() {
            // A kink on the left of the base counts as a jump to the left.
            let turn = if other < *base { -1.0 } else { 1.0 };
            let places = &side.others[other];
            for l in 0..LANES {
                let x = side.place[l];
                let spread = side.deviation[l] * node.sine[l];
                let apart = mad::<FMA>(x, node.versed[l], places[l] - x) * node.inverse[l] * side.sign[l];
                let tilted = turn * if RATE { mad::<FMA>(-*rate, spread, apart) } else { apart };
                let density = exp::<FMA>(-0.5 * mad::<FMA>(apart, apart, x * x));
                let tail = density * mills::<FMA>(tilted.abs());
                let all = if RATE {
                    exp::<FMA>(mad::<FMA>(
                        -0.5 * x,
                        x,
                        *rate * spread * mad::<FMA>(0.5 * *rate, spread, -apart),
                    ))
                } else {
                    side.weight[l]
                };
                let beyond = if tilted < 0.0 { all - tail } else { tail };
                curve[l] = mad::<FMA>(turn * jump[2], beyond, curve[l]);
                if STEPS {
                    let ramp = spread * mad::<FMA>(UNIT, density, -(turn * apart) * beyond);
                    slope[l] += mad::<FMA>(turn * jump[1], beyond, jump[2] * ramp);
                }
            }
        }
    }
}

/// Points of the rule for an integral over `length` = |ln tan(θ/2)|.
///
/// Chosen by hand so that the comparison with quadrature in `tests` holds, at the sharpest steps too (kinks of unequal variances,
/// one standard deviation and less apart in the angle).
///
/// * `growth`: α²√(ab), which sharpens e^{α²(c−c′)}
fn order(length: f64, growth: f64) -> usize {
    let steps = [(0.25, 12), (0.5, 16), (1.0, 20), (1.5, 24), (2.5, 32), (3.5, 40), (4.5, 48), (6.0, 64)];
    let least = if growth > 0.0 { 12.0 + 4.0 * growth.sqrt() } else { 0.0 };
    let enough = |(most, order): &&(f64, usize)| length <= *most && least <= *order as f64;
    steps.iter().find(enough).map_or(80, |(_, order)| *order)
}

/// A line of pairs.
struct Pairs<'a> {
    pieces: &'a Pieces,
    row: Row,
    columns: &'a [&'a [f64]],
}

impl<'a> Pairs<'a> {
    /// The columns from `at` on; lanes beyond the last pair repeat it.
    #[inline(always)]
    fn chunk(&self, at: usize, u: &[f64], w: &[f64]) -> Chunk {
        let mut chunk = Chunk {
            sign: [1.0; LANES],
            small: ZERO,
            start: ZERO,
            length: ZERO,
            deviation: ZERO,
            places: [ZERO; MOST_KINKS],
            weights: [ZERO; MOST_KINKS],
        };
        let n = LANES.min(u.len() - at);
        for l in 0..LANES {
            let j = at + l.min(n - 1);
            let (u, w) = (u[j].max(0.0), w[j].max(0.0));
            chunk.sign[l] = if u <= w { 1.0 } else { -1.0 };
            chunk.small[l] = u.min(w);
            // tan²(θ/2) = (1 − cos θ)/(1 + cos θ); pairs at the ends are done elsewhere.
            let length = if chunk.small[l] < NEAR { 0.0 } else { -0.5 * (u.min(w) / u.max(w)).ln() };
            (chunk.start[l], chunk.length[l]) = (-length, length);
            chunk.deviation[l] = self.columns[0][j];
            for kink in 0..self.pieces.kinks.len() {
                chunk.places[kink][l] = chunk.sign[l] * self.columns[COLUMNS + 2 * kink][j];
                chunk.weights[kink][l] = self.columns[COLUMNS + 2 * kink + 1][j];
            }
        }
        chunk
    }

    #[inline(always)]
    fn go<const FMA: bool, const CURVED: bool, const RATE: bool, const STEPS: bool>(
        &self,
        u: &mut [f64],
        w: &mut [f64],
        slope: &mut [f64],
    ) {
        let integrand = Integrand { pieces: self.pieces, row: &self.row };
        let square = self.pieces.rate * self.pieces.rate;
        for at in (0..u.len()).step_by(LANES) {
            let chunk = self.chunk(at, u, w);
            let longest = chunk.length.iter().fold(0.0f64, |most, length| most.max(*length));
            let mut sums = Sums { value: ZERO, slope: ZERO };
            if longest > 0.0 {
                let scale = chunk.deviation.iter().fold(0.0f64, |most, deviation| most.max(*deviation));
                let order = order(longest, square * self.row.deviation * scale);
                integrand.add::<FMA, CURVED, RATE, STEPS>(&chunk, order, &mut sums);
            }
            for l in 0..LANES.min(u.len() - at) {
                let j = at + l;
                if chunk.small[l] < NEAR {
                    continue;
                }
                let [f, s, g]: [f64; 3] = std::array::from_fn(|k| self.row.means[k] * self.columns[2 + k][j]);
                let c = chunk.sign[l] * self.row.deviation * chunk.deviation[l] * (1.0 - chunk.small[l]);
                let remainder = if RATE { second_remainder::<FMA>(square * c) } else { 0.5 };
                let second = c * c * remainder;
                let first = if RATE { c * mad::<FMA>(square * c, remainder, 1.0) } else { c };
                let value = f + c * s + second * g + sums.value[l];
                let cosine = value * (self.row.inverse * self.columns[1][j]);
                (u[j], w[j]) = ((1.0 - cosine).max(0.0), (1.0 + cosine).max(0.0));
                slope[j] = s + first * g + sums.slope[l];
            }
        }
    }
}

impl Loop<f64> for Pairs<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, u: &mut [f64], w: &mut [f64], slope: &mut [f64]) {
        let has_steps = self.pieces.jumps.iter().any(|jump| jump[0] != 0.0);
        let is_curved = self.pieces.pieces.iter().any(|piece| piece.curve != 0.0);
        match (is_curved, self.pieces.rate != 0.0, has_steps) {
            (false, _, false) => self.go::<FMA, false, false, false>(u, w, slope),
            (true, true, _) => self.go::<FMA, true, true, false>(u, w, slope),
            (true, false, false) => self.go::<FMA, true, false, false>(u, w, slope),
            (_, _, true) => self.go::<FMA, true, false, true>(u, w, slope),
        }
    }
}

impl Pieces {
    /// A line of pairs, one row with many columns: from the angles of the numbers to those of their functions.
    ///
    /// * `row`: [`Pieces::constants`] of one point; `columns`: those of the others, one slice per constant, each at least as
    ///   long as the line
    /// * `u`, `w`: 1 − cos θ and 1 + cos θ, each ≥ 0 with its own relative accuracy; overwritten by those of
    ///   cos θ′ = ⟨σσ⟩/√(⟨σ²⟩⟨σ²⟩), and by (0, 2) where that is 0/0
    /// * `slope`: `[pairs]`, receives ⟨ss⟩: ⟨σ′σ′⟩ with σ′ = 0 at jumps of σ
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn line(&self, row: &[f64], columns: &[&[f64]], u: &mut [f64], w: &mut [f64], slope: &mut [f64]) {
        let n = u.len();
        assert!(w.len() == n && slope.len() == n, "one angle and one slope per pair");
        assert!(columns.len() == row.len() && columns.iter().all(|c| c.len() >= n), "one constant per pair");
        let row_of = Row::new(row, self.kinks.len());
        let near: Vec<(usize, f64, f64)> = (0..n)
            .filter(|j| {
                let (u, w) = (u[*j], w[*j]);
                let growth = self.rate * self.rate * row_of.deviation * columns[0][*j] * 0.5 * (w - u);
                let has_none = row_of.inverse == 0.0 || columns[1][*j] == 0.0;
                u < NEAR || w < NEAR || has_none || growth > GROWN
            })
            .map(|j| (j, u[j], w[j]))
            .collect();
        widest(Pairs { pieces: self, row: row_of, columns }, u, w, slope);
        for (j, before_u, before_w) in near {
            let column: Vec<f64> = columns.iter().map(|column| column[j]).collect();
            (u[j], w[j], slope[j]) = self.pair([row, &column], before_u, before_w);
        }
    }
}
