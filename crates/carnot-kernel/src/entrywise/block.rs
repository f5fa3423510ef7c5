//! A block of entries through all steps while it stays in the cache.

use super::first::{Samples, angles};
use super::lines::{Drop, Join, Norm};
use super::program::{Program, What};
use super::trace::{Known, Trace};
use crate::dual::line::{Line, Side};
use crate::dual::number::Number;
use crate::dual::pairs::{Form, PairDual};
use crate::dual::rule::{Linear, Pass, Weigh};
use crate::dual::series::LINE;
use crate::error::KernelError;
use carnot_math::device::wide::{Loop, widest};
use carnot_math::device::{View, product};
use std::borrow::Cow;
use std::ops::Range;

/// Rows that go through a step together: the step's constants are then read from the cache.
const ROWS: usize = 8;
/// Lines are computed in whole vectors.
const VECTOR: usize = 16;

/// Two sets of samples, or one with itself, and all that is known of single samples.
pub(crate) struct Pairs<'a, S: Number> {
    pub(crate) program: &'a Program,
    pub(crate) rows: (&'a Samples<'a, S>, &'a Trace<S>),
    pub(crate) columns: (&'a Samples<'a, S>, &'a Trace<S>),
    /// True when both sets are the same: then only entries above the diagonal mean anything.
    pub(crate) is_symmetric: bool,
}

/// Lines of some rows, one after the other, `[ROWS, LINE]` each.
struct Lines<S> {
    u: Vec<S>,
    w: Vec<S>,
    tangent: Vec<S>,
}

impl<S: Number> Lines<S> {
    fn new() -> Lines<S> {
        let ones = vec![S::ONE; ROWS * LINE];
        Lines { u: ones.clone(), w: ones.clone(), tangent: ones }
    }

    fn at(&mut self, row: usize, n: usize, tangent: bool) -> (&mut [S], &mut [S], &mut [S]) {
        let range = row * LINE..row * LINE + n;
        let tangent = if tangent { &mut self.tangent[range.clone()] } else { &mut [] };
        (&mut self.u[range.clone()], &mut self.w[range], tangent)
    }
}

/// Memory that blocks use one after the other.
pub(crate) struct Scratch<S> {
    products: Vec<S>,
    lines: Lines<S>,
    kept: Vec<Lines<S>>,
}

impl<S: Number> Scratch<S> {
    pub(crate) fn new() -> Scratch<S> {
        Scratch { products: Vec::new(), lines: Lines::new(), kept: Vec::new() }
    }
}

/// √(K_aa K_bb) cos θ from 1 − cos θ and 1 + cos θ.
struct Covariances<'a, S> {
    deviation: S,
    others: &'a [S],
}

impl<S: Number> Loop<S> for Covariances<'_, S> {
    #[inline(always)]
    fn run<const FMA: bool>(self, kernel: &mut [S], u: &mut [S], w: &mut [S]) {
        for (((k, other), u), w) in kernel.iter_mut().zip(self.others).zip(u.iter()).zip(w.iter()) {
            *k = (self.deviation * *other) * (S::HALF * (*w - *u));
        }
    }
}

impl<S: Number> Pairs<'_, S> {
    /// Entries of `rows` and `columns` of the two sets, into `kernel` and (where wanted) `tangent`, both `[rows, stride]`.
    ///
    /// In a symmetric pair of sets, most of what lies below the diagonal is left as it is.
    ///
    /// # Errors
    /// [`KernelError::NotKnown`] when the average of a pair does not converge.
    pub(crate) fn fill(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        (kernel, tangent): (&mut [S], &mut [S]),
        stride: usize,
        scratch: &mut Scratch<S>,
    ) -> Result<(), KernelError> {
        let Scratch { products, lines, kept } = scratch;
        self.products(rows.clone(), columns.clone(), products);
        for line in columns.clone().step_by(LINE) {
            let line_end = columns.end.min(line + LINE);
            for start in rows.clone().step_by(ROWS) {
                let end = rows.end.min(start + ROWS);
                // Above the diagonal, in whole vectors; where that begins depends on the row alone.
                let above = if self.is_symmetric { start / VECTOR * VECTOR } else { 0 };
                let first = line.max(above);
                if first >= line_end {
                    continue;
                }
                let n = line_end - first;
                for row in start..end {
                    let at = (row - rows.start) * columns.len() + (first - columns.start);
                    self.begin(row, first, &products[at..at + n], lines, row - start);
                }
                self.steps(start..end, first, n, lines, kept)?;
                for row in start..end {
                    let at = (row - rows.start) * stride + (first - columns.start);
                    let tangent = if self.program.tangent { &mut tangent[at..at + n] } else { &mut [] };
                    self.end(row, first, lines, row - start, &mut kernel[at..at + n], tangent);
                }
            }
        }
        Ok(())
    }

    /// Inner products of the samples, `[rows, columns]`.
    fn products(&self, rows: Range<usize>, columns: Range<usize>, products: &mut Vec<S>) {
        let (a, b) = (self.rows.0, self.columns.0);
        products.resize(rows.len() * columns.len(), S::ZERO);
        let left = View::new(&a.data[rows.start * a.width..rows.end * a.width], rows.len(), a.width);
        let right =
            View::new(&b.data[columns.start * b.width..columns.end * b.width], columns.len(), b.width);
        product(products, left, right.transposed(), false);
    }

    fn begin(&self, row: usize, first: usize, products: &[S], lines: &mut Lines<S>, at: usize) {
        let n = products.len();
        let (u, w, _) = lines.at(at, n, false);
        angles((self.rows.0, row), (self.columns.0, first), products, u, w);
        if self.is_symmetric && (first..first + n).contains(&row) {
            // The diagonal is known from the single samples; here it must only not be a rare case.
            (u[row - first], w[row - first]) = (S::ONE, S::ONE);
        }
        let padded = n.next_multiple_of(VECTOR);
        let (u, w, tangent) = lines.at(at, padded, true);
        u[n..].fill(S::ONE);
        w[n..].fill(S::ONE);
        tangent.fill(S::ZERO);
    }

    fn end(
        &self,
        row: usize,
        first: usize,
        lines: &mut Lines<S>,
        at: usize,
        kernel: &mut [S],
        tangent: &mut [S],
    ) {
        let n = kernel.len();
        let deviation = self.rows.1.deviation[row];
        let (u, w, t) = lines.at(at, n, true);
        let others = &self.columns.1.deviation[first..first + n];
        widest(Covariances { deviation, others }, kernel, u, w);
        if !tangent.is_empty() {
            tangent.copy_from_slice(t);
        }
        if self.is_symmetric && (first..first + n).contains(&row) {
            kernel[row - first] = S::from_f64(self.rows.1.variance[row]);
            if let Some(tangent) = tangent.get_mut(row - first) {
                *tangent = S::from_f64(self.rows.1.tangent[row]);
            }
        }
    }

    fn steps(
        &self,
        rows: Range<usize>,
        first: usize,
        n: usize,
        lines: &mut Lines<S>,
        kept: &mut Vec<Lines<S>>,
    ) -> Result<(), KernelError> {
        let steps = &self.program.steps;
        let tangent = self.program.tangent;
        let padded = n.next_multiple_of(VECTOR);
        let (of_rows, of_columns) = (&self.rows.1.known, &self.columns.1.known);
        let mut at = 0;
        let mut depth = 0;
        while at < steps.len() {
            let weigh = self.weigh(at);
            match (&steps[at].what, &of_rows[at], &of_columns[at]) {
                (What::Activate(_), Known::Activate(a), Known::Activate(b)) => {
                    let next = self.weigh(at + 1);
                    let sides = (&Side::new(&a.1), &Side::new(&b.1));
                    let dual = common(&a.0, &b.0);
                    for row in rows.clone() {
                        let weigh = next.as_ref().map(|next| next.of(row, first));
                        let line = Line { row, first, weigh };
                        let n = if matches!(dual.form, Form::Each) { n } else { padded };
                        let (u, w, t) = lines.at(row - rows.start, n, tangent);
                        let done = line.activate(&dual, sides, u, w, t);
                        done.map_err(|why| KernelError::NotKnown { layer: steps[at].layer.clone(), why })?;
                    }
                    at += usize::from(next.is_some());
                }
                (What::Weigh { .. } | What::Wrap { .. }, ..) => {
                    for row in rows.clone() {
                        let weigh = weigh.as_ref().map(|weigh| weigh.of(row, first));
                        let (u, w, t) = lines.at(row - rows.start, padded, tangent);
                        if tangent {
                            widest(
                                Pass::<S, _, 0, true> { rule: Linear, row: [], columns: [], weigh },
                                u,
                                w,
                                t,
                            );
                        } else {
                            widest(
                                Pass::<S, _, 0, false> { rule: Linear, row: [], columns: [], weigh },
                                u,
                                w,
                                t,
                            );
                        }
                    }
                }
                (What::Norm { .. }, Known::Norm(a), Known::Norm(b)) => {
                    for row in rows.clone() {
                        let columns = std::array::from_fn(|c| &b[c][first..]);
                        let norm = Norm { row: std::array::from_fn(|c| a[c][row]), columns, tangent };
                        let (u, w, t) = lines.at(row - rows.start, padded, tangent);
                        widest(norm, u, w, t);
                    }
                }
                (What::Drop { keep }, ..) => {
                    for row in rows.clone() {
                        let (u, w, t) = lines.at(row - rows.start, padded, tangent);
                        widest(Drop { keep: S::from_f64(*keep) }, u, w, t);
                    }
                }
                (What::Fork, ..) => {
                    if kept.len() == depth {
                        kept.push(Lines::new());
                    }
                    kept[depth].u.copy_from_slice(&lines.u);
                    kept[depth].w.copy_from_slice(&lines.w);
                    kept[depth].tangent.copy_from_slice(&lines.tangent);
                    depth += 1;
                }
                (What::Join { branch, skip }, Known::Join(a), Known::Join(b)) => {
                    depth -= 1;
                    for row in rows.clone() {
                        let (u, w, t) = kept[depth].at(row - rows.start, padded, true);
                        let join = Join {
                            row: std::array::from_fn(|c| a[c][row]),
                            columns: std::array::from_fn(|c| &b[c][first..]),
                            kept: [u, w, t],
                            squares: [S::from_f64(branch * branch), S::from_f64(skip * skip)],
                        };
                        let (u, w, t) = lines.at(row - rows.start, padded, tangent);
                        widest(join, u, w, t);
                    }
                }
                _ => unreachable!("both traces were made by this program"),
            }
            at += 1;
        }
        Ok(())
    }

    /// The weights at a step, if it has any.
    fn weigh(&self, at: usize) -> Option<Weights<'_, S>> {
        let (c_w, lambda_w, lambda_b) = match self.program.steps.get(at)?.what {
            What::Weigh { c_w, lambda_w, lambda_b, .. } => (c_w, lambda_w, lambda_b),
            What::Wrap { outer, inner, .. } => ((outer * inner).powi(2), 0.0, 0.0),
            _ => return None,
        };
        let (Known::Weigh(rows), Known::Weigh(columns)) = (&self.rows.1.known[at], &self.columns.1.known[at])
        else {
            unreachable!("both traces were made by this program")
        };
        let factors = [c_w, lambda_w, lambda_b].map(S::from_f64);
        Some(Weights { factors, rows, columns })
    }
}

/// Weights of one step, before a line is chosen.
struct Weights<'a, S> {
    factors: [S; 3],
    rows: &'a [Vec<S>; 3],
    columns: &'a [Vec<S>; 3],
}

impl<'a, S: Number> Weights<'a, S> {
    fn of(&self, row: usize, first: usize) -> Weigh<'a, S> {
        let [c_w, lambda_w, lambda_b] = self.factors;
        let columns = self.columns;
        Weigh {
            c_w,
            lambda_w,
            lambda_b,
            row: std::array::from_fn(|c| self.rows[c][row]),
            columns: std::array::from_fn(|c| &columns[c][first..]),
        }
    }
}

/// The way that serves both sides: one by one as soon as one side needs it, or both go different ways.
fn common<'a>(a: &'a PairDual, b: &'a PairDual) -> Cow<'a, PairDual> {
    let differ = matches!(a.form, Form::Pieces(_)) != matches!(b.form, Form::Pieces(_));
    match (&a.form, &b.form) {
        (Form::Each, _) => Cow::Borrowed(a),
        (_, Form::Each) => Cow::Borrowed(b),
        _ if differ => Cow::Owned(a.one_by_one()),
        _ => Cow::Borrowed(b),
    }
}
