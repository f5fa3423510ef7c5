//! A line of pairs, one row with consecutive columns, through one activation.

use super::closed::{Bent, Erf, Gelu, Sign, SquaredRelu, Step};
use super::number::Number;
use super::pairs::{Form, PairDual, Points};
use super::rule::{Pass, Rule, Weigh};
use super::series::{LINE, SeriesLine, terms_needed};
use super::table::Table;
use carnot_math::device::wide::widest;
use carnot_math::gauss;
use carnot_math::gauss::pieces::Pieces;
use carnot_net::activation::closed::ClosedForm;
use carnot_net::error::Unknown;

/// One side of the pairs in the precision of the line.
pub(crate) struct Side<'a, S> {
    pub(crate) points: &'a Points,
    pub(crate) columns: &'a [Vec<S>],
}

impl<'a, S: Number> Side<'a, S> {
    pub(crate) fn new(points: &'a Points) -> Side<'a, S> {
        Side { points, columns: S::columns(points) }
    }
}

/// A line of pairs: `row` with the columns from `first` on, and the weights after the activation if there are any.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a, S> {
    pub(crate) row: usize,
    pub(crate) first: usize,
    pub(crate) weigh: Option<Weigh<'a, S>>,
}

/// A pair to be done again with care: its place and its state before.
type Near<S> = (usize, S, S, S);

impl<S: Number> Line<'_, S> {
    /// (u, w) of K to (u, w) of ⟨σσ⟩, and Θ to ⟨σ′σ′⟩Θ, for σ without its wrapping; an empty `tangent` is not wanted.
    ///
    /// # Errors
    /// [`Unknown::Average`] when an average of a pair does not converge.
    pub(crate) fn activate(
        &self,
        dual: &PairDual,
        sides: (&Side<S>, &Side<S>),
        u: &mut [S],
        w: &mut [S],
        tangent: &mut [S],
    ) -> Result<(), Unknown> {
        if tangent.is_empty() {
            self.pass::<false>(dual, sides, u, w, tangent)
        } else {
            self.pass::<true>(dual, sides, u, w, tangent)
        }
    }

    fn pass<const TANGENT: bool>(
        &self,
        dual: &PairDual,
        sides: (&Side<S>, &Side<S>),
        u: &mut [S],
        w: &mut [S],
        tangent: &mut [S],
    ) -> Result<(), Unknown> {
        match &dual.form {
            Form::Bent { straight, bent } => {
                let (m, h) = (straight * straight, bent * bent);
                let unit = if m + h > 0.0 { 1.0 / (m + h) } else { 0.0 };
                let rule = Bent {
                    straight: S::from_f64(m * unit),
                    bent: S::from_f64(h * unit),
                    straight_square: S::from_f64(m),
                    bent_square: S::from_f64(h),
                };
                let [rows, columns] = [sides.0.points, sides.1.points];
                if TANGENT && (rows.is_zero(self.row) || columns.has_zero(self.first, u.len())) {
                    self.without_variance(dual, sides, (*straight, m + h), (u, w, tangent));
                }
                self.rule::<_, 0, TANGENT>(rule, sides, u, w, tangent);
            }
            Form::Step => self.rule::<_, 0, TANGENT>(Step, sides, u, w, tangent),
            Form::Sign => self.rule::<_, 0, TANGENT>(Sign, sides, u, w, tangent),
            Form::SquaredRelu => self.rule::<_, 1, TANGENT>(SquaredRelu, sides, u, w, tangent),
            Form::Erf => self.careful::<_, 4, TANGENT>(Erf, ClosedForm::Erf, sides, u, w, tangent),
            Form::Gelu => self.careful::<_, 5, TANGENT>(Gelu, ClosedForm::Gelu, sides, u, w, tangent),
            Form::Series(table) => return self.series::<TANGENT>(dual, table, sides, u, w, tangent),
            Form::Pieces(pieces) => return self.pieces(dual, pieces, sides, u, w, tangent),
            Form::Each => return self.each(dual, sides, u, w, tangent),
        }
        Ok(())
    }

    /// Where one number has no variance, its slope is σ′(0) itself, which the rule for angles cannot know.
    fn without_variance(
        &self,
        dual: &PairDual,
        (rows, columns): (&Side<S>, &Side<S>),
        (mean_slope, square_slope): (f64, f64),
        (u, w, tangent): (&mut [S], &mut [S], &mut [S]),
    ) {
        let own = dual.activation.formula.jet(0.0)[1];
        let row_is_zero = rows.points.is_zero(self.row);
        let of = |is_zero: bool| if is_zero { own } else { mean_slope };
        for j in 0..tangent.len().min(columns.points.variance.len() - self.first) {
            let column_is_zero = columns.points.is_zero(self.first + j);
            if row_is_zero || column_is_zero {
                // The rule will multiply by ⟨σ′²⟩, which is its slope at no angle.
                let slope = of(row_is_zero) * of(column_is_zero) / square_slope;
                (u[j], w[j], tangent[j]) = (S::ZERO, S::TWO, S::from_f64(slope) * tangent[j]);
            }
        }
    }

    fn rule<R: Rule<S, C>, const C: usize, const TANGENT: bool>(
        &self,
        rule: R,
        (rows, columns): (&Side<S>, &Side<S>),
        u: &mut [S],
        w: &mut [S],
        tangent: &mut [S],
    ) {
        let row = std::array::from_fn(|c| rows.columns[c][self.row]);
        let columns = std::array::from_fn(|c| &columns.columns[c][self.first..]);
        widest(Pass::<S, R, C, TANGENT> { rule, row, columns, weigh: self.weigh }, u, w, tangent);
    }

    /// As `rule`; near pairs are done again by distances, which do not cancel.
    fn careful<R: Rule<S, C>, const C: usize, const TANGENT: bool>(
        &self,
        rule: R,
        form: ClosedForm,
        sides: (&Side<S>, &Side<S>),
        u: &mut [S],
        w: &mut [S],
        tangent: &mut [S],
    ) {
        let near = near(u, w, tangent);
        self.rule::<R, C, TANGENT>(rule, sides, u, w, tangent);
        for (j, before_u, before_w, before) in near {
            let alone = Line { first: self.first + j, weigh: None, ..*self };
            let (mut one_u, mut one_w, mut slope) = ([before_u], [before_w], [S::ONE]);
            alone.rule::<R, C, TANGENT>(rule, sides, &mut one_u, &mut one_w, &mut slope);
            let is_far = before_w < before_u;
            let small = if is_far { before_w } else { before_u };
            let known = |side: &Side<S>, at: usize| [side.points.inner[0][at], side.points.inner[1][at]];
            let points = [known(sides.0, self.row), known(sides.1, self.first + j)];
            // Only odd functions keep opposite pairs opposite.
            if let Some(deficit) =
                deficit(form, points, small.to_f64()).filter(|_| !is_far || form == ClosedForm::Erf)
            {
                let deficit = S::from_f64(deficit);
                (one_u[0], one_w[0]) =
                    if is_far { (S::TWO - deficit, deficit) } else { (deficit, S::TWO - deficit) };
            }
            if TANGENT {
                tangent[j] = before;
            }
            self.enter(j, (one_u[0], one_w[0], slope[0]), u, w, tangent);
        }
    }

    fn series<const TANGENT: bool>(
        &self,
        dual: &PairDual,
        table: &Table,
        sides: (&Side<S>, &Side<S>),
        u: &mut [S],
        w: &mut [S],
        tangent: &mut [S],
    ) -> Result<(), Unknown> {
        let (rows, columns) = sides;
        let row: Vec<S> = rows.columns.iter().map(|column| column[self.row]).collect();
        let smallest = u.iter().zip(w.iter()).fold(S::TWO, |least, (u, w)| least.least(u.least(*w)));
        let reach = rows.points.reach.min(columns.points.reach);
        let beyond = if 1.0 - smallest.to_f64() > reach { beyond(u, w, tangent, reach) } else { Vec::new() };
        let shares = [&rows.points.shares[..], &columns.points.shares[..]];
        let (parity, row) = (table.parity, &row[..]);
        let cosine = (1.0 - smallest.to_f64()).min(reach);
        // One part in a hundred: the tail is summed over orders whose errors may add up.
        let terms = terms_needed(shares, parity, cosine, 0.01 * table.tolerance.max(S::FINEST));
        let (columns, first, weigh) = (columns.columns, self.first, self.weigh);
        if smallest < S::NEAR && reach == 1.0 {
            widest(
                SeriesLine::<S, TANGENT, true> { parity, row, columns, first, terms, weigh },
                u,
                w,
                tangent,
            );
        } else {
            widest(
                SeriesLine::<S, TANGENT, false> { parity, row, columns, first, terms, weigh },
                u,
                w,
                tangent,
            );
        }
        for (j, before_u, before_w, before) in beyond {
            if sides.1.points.variance.len() <= self.first + j {
                continue;
            }
            let alone = Line { first: self.first + j, weigh: self.weigh.map(|weigh| weigh.from(j)), ..*self };
            let (mut one_u, mut one_w, mut one) = ([before_u], [before_w], [before]);
            alone.each(dual, sides, &mut one_u, &mut one_w, if TANGENT { &mut one } else { &mut [] })?;
            (u[j], w[j]) = (one_u[0], one_w[0]);
            if TANGENT {
                tangent[j] = one[0];
            }
        }
        Ok(())
    }

    /// Puts (u, w, slope) after the activation in the place of pair `j`, through the weights where there are any.
    fn enter(
        &self,
        j: usize,
        (after_u, after_w, slope): (S, S, S),
        u: &mut [S],
        w: &mut [S],
        tangent: &mut [S],
    ) {
        let before = tangent.get(j).copied().unwrap_or(S::ZERO);
        let after = match &self.weigh {
            None => (after_u, after_w, slope * before),
            Some(weigh) => weigh.at::<false, true>(j, after_u, after_w, slope, before),
        };
        (u[j], w[j]) = (after.0, after.1);
        if let Some(tangent) = tangent.get_mut(j) {
            *tangent = after.2;
        }
    }

    /// In double precision whatever that of the line is: the angle of near points needs it.
    fn pieces(
        &self,
        dual: &PairDual,
        pieces: &Pieces,
        sides: (&Side<S>, &Side<S>),
        u: &mut [S],
        w: &mut [S],
        tangent: &mut [S],
    ) -> Result<(), Unknown> {
        let (rows, columns) = sides;
        let n = u.len().min(columns.points.variance.len() - self.first);
        let row: Vec<f64> = rows.points.double.iter().map(|column| column[self.row]).collect();
        let constants: Vec<&[f64]> =
            columns.points.double.iter().map(|column| &column[self.first..self.first + n]).collect();
        let (mut wide_u, mut wide_w, mut slope) = ([0.0; LINE], [0.0; LINE], [0.0; LINE]);
        for j in 0..n {
            (wide_u[j], wide_w[j]) = (u[j].to_f64(), w[j].to_f64());
        }
        pieces.line(&row, &constants, &mut wide_u[..n], &mut wide_w[..n], &mut slope[..n]);
        let holds = |points: &Points, at: usize| pieces.holds_at(points.variance[at]);
        for j in 0..n {
            if !(holds(rows.points, self.row) && holds(columns.points, self.first + j)) {
                let (ends, one) = (j..j + 1, if tangent.is_empty() { 0..0 } else { j..j + 1 });
                let alone =
                    Line { first: self.first + j, weigh: self.weigh.map(|weigh| weigh.from(j)), ..*self };
                alone.each(dual, sides, &mut u[ends.clone()], &mut w[ends], &mut tangent[one])?;
                continue;
            }
            let after = [wide_u[j], wide_w[j], slope[j]].map(S::from_f64);
            self.enter(j, after.into(), u, w, tangent);
        }
        Ok(())
    }

    /// Each pair by its closed form or by quadrature.
    fn each(
        &self,
        dual: &PairDual,
        (rows, columns): (&Side<S>, &Side<S>),
        u: &mut [S],
        w: &mut [S],
        tangent: &mut [S],
    ) -> Result<(), Unknown> {
        for j in 0..u.len() {
            let (a, b) = (rows.points.variance[self.row], columns.points.variance[self.first + j]);
            let squares = [rows.points.square[self.row], columns.points.square[self.first + j]];
            let [after, slope] = pair(dual, [a, b], u[j].to_f64().min(2.0), squares)?;
            let after = [after, 2.0 - after, slope].map(S::from_f64);
            self.enter(j, after.into(), u, w, tangent);
        }
        Ok(())
    }
}

/// Pairs whose |correlation| is larger than that, with their state.
fn beyond<S: Number>(u: &[S], w: &[S], tangent: &[S], reach: f64) -> Vec<Near<S>> {
    let limit = S::from_f64(1.0 - reach);
    let all = u.iter().zip(w).enumerate().filter(|(_, (u, w))| u.least(**w) < limit);
    all.map(|(j, (u, w))| (j, *u, *w, tangent.get(j).copied().unwrap_or(S::ZERO))).collect()
}

fn near<S: Number>(u: &[S], w: &[S], tangent: &[S]) -> Vec<Near<S>> {
    if !u.iter().zip(w).any(|(u, w)| u.least(*w) < S::NEAR) {
        return Vec::new();
    }
    let all = u.iter().zip(w).enumerate().filter(|(_, (u, w))| u.least(**w) < S::NEAR);
    all.map(|(j, (u, w))| (j, *u, *w, tangent.get(j).copied().unwrap_or(S::ZERO))).collect()
}

/// u after the activation from u before, by squared distances. `points`: variance and ⟨σ²⟩ of both.
fn deficit(form: ClosedForm, [[a, sa], [b, sb]]: [[f64; 2]; 2], u: f64) -> Option<f64> {
    if u == 0.0 && a == b {
        return Some(0.0);
    }
    if !(sa > 0.0 && sb > 0.0) {
        return None;
    }
    let gap = |x: f64, y: f64| ((x - y) / (x.sqrt() + y.sqrt())).powi(2);
    let after = form.distance(a, b, gap(a, b) + 2.0 * (a * b).sqrt() * u)?;
    Some(((after - gap(sa, sb)) / (2.0 * (sa * sb).sqrt())).max(0.0))
}

/// u after the activation and ⟨σ′σ′⟩ of one pair.
fn pair(dual: &PairDual, [a, b]: [f64; 2], u: f64, [sa, sb]: [f64; 2]) -> Result<[f64; 2], Unknown> {
    let formula = &dual.activation.formula;
    let gap = if a == b { 0.0 } else { ((a - b) / (a.sqrt() + b.sqrt())).powi(2) };
    let distance = gap + 2.0 * (a * b).sqrt() * u;
    let closed = dual.activation.closed.as_ref();
    let known = closed.and_then(|closed| {
        Some((closed.distance(a, b, distance)?, closed.pair_at_distance(a, b, distance)?.pp))
    });
    let (after, slope) = known.unwrap_or_else(|| {
        let [after, slope] = gauss::pair_average_split(
            a,
            b,
            distance,
            &dual.kinks,
            |x| formula.jet(x),
            |x, y| {
                let y = formula.jet(y);
                [(x[0] - y[0]) * (x[0] - y[0]), x[1] * y[1]]
            },
        );
        (after, slope)
    });
    if !(after.is_finite() && slope.is_finite()) {
        return Err(Unknown::Average { activation: dual.activation.name.clone(), variance: a.max(b) });
    }
    let root = (sa * sb).sqrt();
    let lengths = if sa == sb { 0.0 } else { ((sa - sb) / (sa.sqrt() + sb.sqrt())).powi(2) };
    let u = if root > 0.0 { ((after - lengths) / (2.0 * root)).clamp(0.0, 2.0) } else { 0.0 };
    Ok([u, slope])
}
