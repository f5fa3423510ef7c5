//! From covariances to covariances: one activation on a block of pairs.

use super::line::{Line, Side};
use super::number::Number;
use super::series::{FIRST, LINE, Parity};
use super::table::{Table, constants};
use carnot_math::gauss::pieces::Pieces;
use carnot_math::scalar::Scalar;
use carnot_net::activation::Activation;
use carnot_net::activation::closed::ClosedForm;
use carnot_net::activation::piecewise;
use carnot_net::activation::recognise::Wrapped;
use carnot_net::dual::Dual;
use carnot_net::error::Unknown;
use std::f64::consts::FRAC_2_PI;
use std::sync::{Arc, OnceLock};

/// Which points a block of pairs takes on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The same point for every pair.
    One(usize),
    /// Consecutive points from this one on, one per pair.
    From(usize),
}

/// What is known of single Gaussian numbers z ~ N(0, K), each by itself.
#[derive(Clone, Debug, Default)]
pub struct Points {
    /// K ≥ 0, as given.
    pub variance: Vec<f64>,
    /// ⟨σ⟩.
    pub mean: Vec<f64>,
    /// ⟨σ²⟩, the variance after the activation.
    pub square: Vec<f64>,
    /// ⟨σ′²⟩.
    pub slope_square: Vec<f64>,
    /// Largest error of what was tabulated, relative to ⟨σ²⟩ and ⟨σ′²⟩; 0 for closed forms.
    pub error: f64,
    /// Largest |correlation| at which a tabulated average has that error; pairs beyond are averaged one by one. 1 for
    /// functions without kinks.
    pub reach: f64,
    /// `[terms]`: largest share of each term in ⟨σ²⟩ and in ⟨σ′²⟩.
    pub(crate) shares: Vec<f64>,
    /// Points without variance, ascending.
    zeros: Vec<usize>,
    /// Variance of the argument of the closed form, and its ⟨σ²⟩.
    pub(crate) inner: [Vec<f64>; 2],
    /// Constants of the rule, each `[points]` and a few more, so that lines may be read beyond their end.
    pub(crate) double: Vec<Vec<f64>>,
    single: OnceLock<Vec<Vec<f32>>>,
}

/// Lines are read in whole vectors: this many numbers beyond the last point.
pub(crate) const BEYOND: usize = 16;

impl Points {
    /// True when a point has no variance.
    pub(crate) fn is_zero(&self, point: usize) -> bool {
        self.variance[point] == 0.0
    }

    /// True when one of `n` points from `first` on has no variance.
    pub(crate) fn has_zero(&self, first: usize, n: usize) -> bool {
        let at = self.zeros.partition_point(|zero| *zero < first);
        self.zeros.get(at).is_some_and(|zero| *zero < first + n)
    }

    pub(crate) fn single(&self) -> &[Vec<f32>] {
        let narrow = |column: &Vec<f64>| column.iter().map(|x| *x as f32).collect();
        self.single.get_or_init(|| self.double.iter().map(narrow).collect())
    }
}

/// How an activation is averaged over pairs.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// m z + h |z|.
    Bent {
        straight: f64,
        bent: f64,
    },
    Step,
    Sign,
    SquaredRelu,
    Erf,
    Gelu,
    Series(Arc<Table>),
    /// Lines, parabolas and exponentials between kinks.
    Pieces(Arc<Pieces>),
    /// Each pair by itself: closed form or quadrature.
    Each,
}

/// An activation, ready to average over pairs.
#[derive(Clone, Debug)]
pub struct PairDual {
    pub(crate) activation: Activation,
    pub(crate) wrapped: Wrapped,
    pub(crate) form: Form,
    pub(crate) kinks: Vec<f64>,
}

impl PairDual {
    /// Prepares an activation.
    ///
    /// * `tolerance`: largest error of a tabulated ⟨σσ⟩ relative to √(⟨σ²⟩ₐ⟨σ²⟩_b), > 0; closed forms do not use it
    #[must_use]
    pub fn new(activation: &Activation, tolerance: f64) -> PairDual {
        let kinks = activation.formula.kinks().iter().map(|kink| kink.at).collect();
        let table = || Form::Series(Arc::new(Table::new(activation, tolerance)));
        let whole = Wrapped::plain(ClosedForm::Exp);
        let (wrapped, form) = match activation.wrapped() {
            Some(wrapped) => match wrapped.form {
                ClosedForm::ScaleInvariant { a_plus, a_minus } => {
                    let (straight, bent) = (0.5 * (a_plus + a_minus), 0.5 * (a_plus - a_minus));
                    (wrapped, Form::Bent { straight, bent })
                }
                ClosedForm::Step => (wrapped, Form::Step),
                ClosedForm::Sign => (wrapped, Form::Sign),
                ClosedForm::SquaredRelu => (wrapped, Form::SquaredRelu),
                ClosedForm::Erf => (wrapped, Form::Erf),
                ClosedForm::Gelu => (wrapped, Form::Gelu),
                _ => (whole, table()),
            },
            None => match piecewise::pieces(&activation.formula) {
                Some(pieces) => (whole, Form::Pieces(Arc::new(pieces))),
                None => (whole, table()),
            },
        };
        PairDual { activation: activation.clone(), wrapped, form, kinks }
    }

    /// The same activation by expansion, where it is now by pieces: for exponentials steeper than those hold.
    pub(crate) fn by_table(&self, tolerance: f64) -> Option<PairDual> {
        let is_pieces = matches!(self.form, Form::Pieces(_));
        let table = || Form::Series(Arc::new(Table::new(&self.activation, tolerance)));
        is_pieces.then(|| PairDual { form: table(), ..self.clone() })
    }

    /// The same activation with each pair averaged by itself: slow, and right wherever an average exists.
    pub(crate) fn one_by_one(&self) -> PairDual {
        PairDual { form: Form::Each, wrapped: Wrapped::plain(ClosedForm::Exp), ..self.clone() }
    }

    /// Averages over single numbers of these variances, in their order; needed before [`PairDual::pairs`].
    ///
    /// # Errors
    /// [`Unknown::Average`] when one does not converge.
    pub fn points(&self, variances: &[f64]) -> Result<Points, Unknown> {
        match &self.form {
            Form::Series(table) => table_points(table, variances),
            Form::Pieces(pieces) => self.pieces_points(pieces, variances),
            Form::Each => {
                let all = Dual::of(&self.activation).single_averages(variances)?;
                Ok(gather(variances, &all, [variances.to_vec(), all.iter().map(|s| s[1]).collect()], vec![]))
            }
            _ => self.closed_points(variances),
        }
    }

    fn closed_points(&self, variances: &[f64]) -> Result<Points, Unknown> {
        let Wrapped { form, outer, inner, shift } = self.wrapped;
        let inside: Vec<f64> = variances.iter().map(|variance| inner * inner * variance).collect();
        let mut all = Vec::new();
        let mut squares = Vec::new();
        for (k, variance) in inside.iter().zip(variances) {
            let unknown =
                || Unknown::Average { activation: self.activation.name.clone(), variance: *variance };
            if *variance == 0.0 {
                // At a kink the slope is the network's own, not an average over a vanishing variance.
                let slope = self.activation.formula.jet(0.0)[1];
                squares.push(0.0);
                all.push([shift, shift * shift, slope * slope]);
                continue;
            }
            let single = form.single(*k).ok_or_else(unknown)?;
            squares.push(single.ss);
            let slope = outer * inner;
            let square = outer * outer * single.ss + shift * (2.0 * outer * single.mean + shift);
            all.push([outer * single.mean + shift, square, slope * slope * single.pp]);
        }
        let constants: Vec<Vec<f64>> =
            inside.iter().zip(&squares).map(|(k, s)| self.constants(*k, *s)).collect();
        Ok(gather(variances, &all, [inside, squares], constants))
    }

    /// Where an exponential is too steep for its pieces, points say so by an error that no tolerance allows.
    fn pieces_points(&self, pieces: &Pieces, variances: &[f64]) -> Result<Points, Unknown> {
        let own = self.activation.formula.jet(0.0)[1];
        let mut all = Vec::new();
        let mut rows = Vec::new();
        let mut error = 0.0;
        for variance in variances {
            let single = pieces.single(*variance, own);
            if !(single.square.is_finite() && single.slope_square.is_finite()) {
                let (activation, variance) = (self.activation.name.clone(), *variance);
                return Err(Unknown::Average { activation, variance });
            }
            if !pieces.holds_at(*variance) {
                error = f64::INFINITY;
            }
            rows.push(pieces.constants(*variance, &single));
            all.push([single.mean, single.square, single.slope_square]);
        }
        let squares = all.iter().map(|s: &[f64; 3]| s[1]).collect();
        Ok(Points { error, ..gather(variances, &all, [variances.to_vec(), squares], rows) })
    }

    /// Constants of one point, in the order that the rule documents.
    fn constants(&self, k: f64, square: f64) -> Vec<f64> {
        let inverse = |x: f64| if x > 0.0 { 1.0 / x } else { 0.0 };
        match self.form {
            Form::SquaredRelu => vec![k.sqrt()],
            Form::Erf => {
                let x = 1.0 / (1.0 + 2.0 * k);
                vec![(2.0 * k * x).sqrt(), inverse((square / FRAC_2_PI).sqrt()), x, x.sqrt()]
            }
            Form::Gelu => {
                let x = 1.0 / (1.0 + k);
                vec![k.sqrt(), k, x, (k * x).sqrt(), inverse(square.sqrt())]
            }
            _ => Vec::new(),
        }
    }

    /// Overwrites a block: `kernel` from covariances K_ab to ⟨σ(z_a)σ(z_b)⟩, `tangent` from Θ_ab to ⟨σ′(z_a)σ′(z_b)⟩ Θ_ab.
    ///
    /// $$ \begin{pmatrix} z_a \\ z_b \end{pmatrix} \sim \mathcal N\left(0, \begin{pmatrix} K_{aa} & K_{ab} \\ K_{ab} & K_{bb} \end{pmatrix}\right) $$
    ///
    /// * `rows`, `columns`: [`Points`] of the two sides, made by this activation; with `row` and `column` they say
    ///   which two points each pair joins. One lane at least must be [`Lane::From`] for speed.
    /// * `kernel`: `[pairs]`, |K_ab| ≤ √(K_aa K_bb) up to rounding (beyond that it is cut)
    /// * `tangent`: `[pairs]`, where wanted
    ///
    /// # Errors
    /// [`Unknown::Average`] when an average does not converge.
    ///
    /// # Panics
    /// When the slices differ in length or a lane leaves its points.
    pub fn pairs<S: Scalar>(
        &self,
        (rows, row): (&Points, Lane),
        (columns, column): (&Points, Lane),
        kernel: &mut [S],
        tangent: Option<&mut [S]>,
    ) -> Result<(), Unknown> {
        let (n, mut none) = (kernel.len(), []);
        let tangent = tangent.unwrap_or(&mut none);
        assert!(tangent.is_empty() || tangent.len() == n, "one tangent per pair");
        let step = |lane: Lane, at: usize| match lane {
            Lane::One(point) => (point, Lane::One(point)),
            Lane::From(first) => (first + at, Lane::From(first + at)),
        };
        let length = match (row, column) {
            (Lane::From(_), Lane::From(_)) => 1,
            _ => LINE,
        };
        let (mut k, mut t) = ([0.0; LINE], [0.0; LINE]);
        for start in (0..n).step_by(length) {
            let end = n.min(start + length);
            let ((a, row), (b, column)) = (step(row, start), step(column, start));
            let kernel = &mut kernel[start..end];
            let tangent = if tangent.is_empty() { &mut [] } else { &mut tangent[start..end] };
            k.iter_mut().zip(&*kernel).for_each(|(k, from)| *k = from.to_f64());
            t.iter_mut().zip(&*tangent).for_each(|(t, from)| *t = from.to_f64());
            let line = (&mut k[..kernel.len()], &mut t[..tangent.len()]);
            if matches!(row, Lane::From(_)) && matches!(column, Lane::One(_)) {
                self.some_pairs((columns, b), (rows, a), line.0, line.1)?;
            } else {
                self.some_pairs((rows, a), (columns, b), line.0, line.1)?;
            }
            kernel.iter_mut().zip(&k).for_each(|(to, k)| *to = S::from_f64(*k));
            tangent.iter_mut().zip(&t).for_each(|(to, t)| *to = S::from_f64(*t));
        }
        Ok(())
    }

    /// One row with consecutive columns, at most a line of them.
    fn some_pairs(
        &self,
        (rows, row): (&Points, usize),
        (columns, column): (&Points, usize),
        kernel: &mut [f64],
        tangent: &mut [f64],
    ) -> Result<(), Unknown> {
        let n = kernel.len();
        let (mut u, mut w) = ([1.0; LINE], [1.0; LINE]);
        let a = rows.variance[row];
        for (j, k) in kernel.iter().enumerate() {
            let b = columns.variance[column + j];
            if a == 0.0 || b == 0.0 {
                (u[j], w[j]) = (0.0, 2.0);
                continue;
            }
            let root = if a == b { a } else { a.sqrt() * b.sqrt() };
            let c = *k / root;
            (u[j], w[j]) = ((1.0 - c).max(0.0), (1.0 + c).max(0.0));
        }
        let line = Line { row, first: column, weigh: None };
        let sides = (Side::new(rows), Side::new(columns));
        line.activate(self, (&sides.0, &sides.1), &mut u[..n], &mut w[..n], tangent)?;
        let Wrapped { outer, inner, shift, .. } = self.wrapped;
        let slope = (outer * inner).powi(2);
        tangent.iter_mut().for_each(|tangent| *tangent *= slope);
        let after = rows.inner[1][row].sqrt();
        for (j, k) in kernel.iter_mut().enumerate() {
            let root = after * columns.inner[1][column + j].sqrt();
            *k = outer * outer * root * 0.5 * (w[j] - u[j]) + shift * shift;
        }
        Ok(())
    }
}

fn table_points(table: &Table, variances: &[f64]) -> Result<Points, Unknown> {
    let mut all = Vec::new();
    let mut rows = Vec::new();
    let (mut error, mut reach) = (0.0f64, 1.0f64);
    let mut shares = Vec::new();
    for variance in variances {
        let floor = variance.max(f64::LEAST_VARIANCE);
        let (single, quality) = table.single(floor)?;
        (error, reach) = (error.max(quality.error), reach.min(quality.reach));
        let row = constants(table.parity, floor, &single);
        widen(&mut shares, table.parity, &row);
        rows.push(row);
        let square = if *variance > 0.0 { single.square } else { single.mean * single.mean };
        all.push([single.mean, square, single.slope_square]);
    }
    let squares = all.iter().map(|s: &[f64; 3]| s[1]).collect();
    Ok(Points { error, reach, shares, ..gather(variances, &all, [variances.to_vec(), squares], rows) })
}

/// Lets the shares of the terms grow to those of a row: a² and k a²/Σ k a², whichever is larger.
fn widen(shares: &mut Vec<f64>, parity: Parity, row: &[f64]) {
    let terms = &row[FIRST..];
    if shares.len() < terms.len() {
        shares.resize(terms.len(), 0.0);
    }
    let slope = |m: usize| parity.order(m) as f64 * terms[m] * terms[m];
    let slopes: f64 = (0..terms.len()).map(slope).sum();
    for (m, share) in shares.iter_mut().enumerate().take(terms.len()) {
        let of_slope = if slopes > 0.0 { slope(m) / slopes } else { 0.0 };
        *share = share.max(terms[m] * terms[m]).max(of_slope);
    }
}

/// From one list per point to one list per constant; short lists are filled with zeros.
fn gather(variances: &[f64], all: &[[f64; 3]], inner: [Vec<f64>; 2], constants: Vec<Vec<f64>>) -> Points {
    let count = constants.iter().map(Vec::len).max().unwrap_or(0);
    let mut double = vec![vec![0.0; variances.len() + BEYOND]; count];
    for (point, constants) in constants.iter().enumerate() {
        for (column, constant) in double.iter_mut().zip(constants) {
            column[point] = *constant;
        }
    }
    let of = |at: usize| all.iter().map(|single| single[at]).collect();
    let (mean, square, slope_square) = (of(0), of(1), of(2));
    let zeros = (0..variances.len()).filter(|point| variances[*point] == 0.0).collect();
    let (variance, reach) = (variances.to_vec(), 1.0);
    Points { variance, mean, square, slope_square, reach, zeros, inner, double, ..Points::default() }
}
#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::gauss;

    fn check(activation: &str, tolerance: f64) {
        let activation = Activation::parse(activation).unwrap();
        let dual = PairDual::new(&activation, tolerance);
        let points = dual.points(&[0.5, 1.0, 2.0, 1.0]).unwrap();
        let kinks: Vec<f64> = activation.formula.kinks().iter().map(|kink| kink.at).collect();
        let mut kernel = [0.3f64, -0.9, 0.7];
        let mut tangent = [1.0f64, 2.0, 3.0];
        let before = (kernel, tangent);
        dual.pairs((&points, Lane::One(1)), (&points, Lane::From(1)), &mut kernel, Some(&mut tangent))
            .unwrap();
        for pair in 0..3 {
            let (b, c) = (points.variance[1 + pair], before.0[pair]);
            let exact = gauss::pair_average(1.0, b, 1.0 + b - 2.0 * c, &kinks, |x, y| {
                let (x, y) = (activation.formula.jet(x), activation.formula.jet(y));
                [x[0] * y[0], x[1] * y[1]]
            });
            let scale = (points.square[1] * points.square[1 + pair]).sqrt();
            assert!((kernel[pair] - exact[0]).abs() <= tolerance * scale, "{}: {kernel:?}", activation.name);
            let scale = (points.slope_square[1] * points.slope_square[1 + pair]).sqrt() * before.1[pair];
            let slope = exact[1] * before.1[pair];
            assert!((tangent[pair] - slope).abs() <= tolerance * scale, "{}: {tangent:?}", activation.name);
        }
    }

    #[test]
    fn blocks_of_pairs_agree_with_quadrature() {
        for activation in ["relu", "leaky_relu(0.1)", "erf", "gelu", "relu2", "sin", "cube", "exp"] {
            check(activation, 1e-12);
        }
        for activation in
            ["tanh", "silu", "softplus", "arctan", "sigmoid", "mish", "0.5 * erf(z / 2.4) + 0.5"]
        {
            check(activation, 1e-10);
        }
        // Kinks: the expansion does not converge everywhere, and what it cannot hold goes to quadrature.
        for activation in ["hard_tanh", "elu", "selu", "hard_swish"] {
            check(activation, 1e-10);
        }
    }
}
