//! What an activation does to a line of pairs, given what is known of each of the two sides.

use crate::dual::closed::{Bent, Erf, Gelu, SquaredRelu};
use crate::dual::number::Number;
use crate::dual::rule::Rule;
use crate::dual::{Lane, PairDual, Points};
use carnot_math::device::cpu::places::LANES;
use carnot_math::device::wide::{Loop, Real, widest};
use carnot_net::activation::Activation;
use carnot_net::activation::closed::ClosedForm;
use carnot_net::error::Unknown;

/// Most fields that any activation has.
const MOST: usize = 7;

/// Fields that every closed form has: 1/√K (0 for K = 0), and √⟨σ²⟩.
const COMMON: usize = 2;

/// What is known of single numbers of given variances.
#[derive(Clone, Debug)]
pub(crate) enum Facts<S> {
    /// Nothing is asked.
    Nothing,
    /// Some arrays, all of one length.
    Fields(Vec<Vec<S>>),
    /// What functions without a fast closed form need.
    Points(Box<Points>),
}

/// The facts of one side of a group where they are.
#[derive(Clone, Copy)]
pub(crate) enum View<'a, S> {
    /// Nothing is asked.
    Nothing,
    /// The arrays, with empty ones behind.
    Fields([&'a [S]; MOST]),
    /// Points of a tile: each lane its own, or one lane for all.
    Points(&'a Points, Option<usize>),
}

impl<'a, S> View<'a, S> {
    pub fn of(facts: &'a Facts<S>) -> View<'a, S> {
        match facts {
            Facts::Nothing => View::Nothing,
            Facts::Fields(fields) => View::of_fields(fields),
            Facts::Points(points) => View::Points(points, None),
        }
    }

    pub fn of_fields(fields: &'a [impl AsRef<[S]>]) -> View<'a, S> {
        View::Fields(std::array::from_fn(|at| fields.get(at).map_or(&[][..], |field| field.as_ref())))
    }

    pub fn field(&self, at: usize) -> &'a [S] {
        match self {
            View::Fields(fields) => fields[at],
            _ => &[],
        }
    }
}

/// An activation ready for lines of pairs.
#[derive(Clone, Debug)]
pub(crate) struct Unary {
    dual: PairDual,
    form: Option<ClosedForm>,
    /// Below this 1 − cos θ is error, and equal points are taken as equal.
    least: f64,
}

impl Unary {
    /// * `tolerance`: of tables
    /// * `is_exact`: whether there are no tables in the network, whose error would be taken for an angle
    pub fn new(activation: &Activation, tolerance: f64, is_exact: bool) -> Unary {
        let form = closed(activation);
        let least = if is_exact { 0.0 } else { 10.0 * tolerance };
        Unary { dual: PairDual::new(activation, tolerance), form, least }
    }

    /// What is known of each variance.
    pub fn facts<S: Number>(&self, variance: &[S]) -> Result<Facts<S>, Unknown> {
        let fields = match self.form {
            Some(ClosedForm::ScaleInvariant { a_plus, a_minus }) => {
                let size = S::from_f64((0.5 * (a_plus * a_plus + a_minus * a_minus)).sqrt());
                let after = make(variance, S::root).into_iter().map(|deviation| size * deviation).collect();
                vec![make(variance, inverse_root), after]
            }
            Some(ClosedForm::SquaredRelu) => {
                let after = |k: S| S::from_f64(1.5f64.sqrt()) * k;
                vec![make(variance, inverse_root), make(variance, after), make(variance, S::root)]
            }
            Some(ClosedForm::Erf) => vec![
                make(variance, inverse_root),
                make(variance, |k| (S::TWO_OVER_PI * erf_angle(k)).root()),
                make(variance, |k| (S::TWO * k * erf_share(k)).root()),
                make(variance, |k| inverse_root(erf_angle(k))),
                make(variance, erf_share),
                make(variance, |k| erf_share(k).root()),
            ],
            Some(ClosedForm::Gelu) => vec![
                make(variance, inverse_root),
                make(variance, |k| gelu_square(k).root()),
                make(variance, S::root),
                make(variance, |k| k),
                make(variance, gelu_share),
                make(variance, |k| (k * gelu_share(k)).root()),
                make(variance, |k| inverse_root(gelu_square(k))),
            ],
            _ => {
                let variance: Vec<f64> = variance.iter().map(|k| k.to_f64().max(0.0)).collect();
                return Ok(Facts::Points(Box::new(self.dual.points(&variance)?)));
            }
        };
        Ok(Facts::Fields(fields))
    }

    /// As [`Unary::pairs`] for numbers paired with themselves.
    pub fn equal<S: Number>(
        &self,
        facts: &Facts<S>,
        kernel: &mut [S],
        tangent: &mut [S],
    ) -> Result<(), Unknown> {
        let Facts::Points(points) = facts else {
            return self.pairs((&View::of(facts), 0), (&View::of(facts), 0), kernel, tangent);
        };
        kernel.iter_mut().zip(&points.square).for_each(|(k, square)| *k = S::from_f64(*square));
        for (t, slope) in tangent.iter_mut().zip(&points.slope_square) {
            *t *= S::from_f64(*slope);
        }
        Ok(())
    }

    /// Whether pairs are averaged by a table, one side of which must be a single lane to be fast.
    pub fn is_table(&self) -> bool {
        self.form.is_none()
    }

    /// Number of fields.
    pub fn count(&self) -> usize {
        match self.form {
            Some(ClosedForm::ScaleInvariant { .. }) => COMMON,
            Some(ClosedForm::SquaredRelu) => COMMON + 1,
            Some(ClosedForm::Erf) => COMMON + 4,
            Some(ClosedForm::Gelu) => COMMON + 5,
            // Eighty terms in double precision and, where that is wanted, as many in single.
            _ => 100,
        }
    }

    /// Overwrites covariances by ⟨σσ⟩, and Θ (empty where not wanted) by ⟨σ′σ′⟩Θ.
    ///
    /// * `rows`, `columns`: [`Unary::facts`] of both sides, and the place of the first pair in each
    pub fn pairs<S: Number>(
        &self,
        rows: (&View<S>, usize),
        columns: (&View<S>, usize),
        kernel: &mut [S],
        tangent: &mut [S],
    ) -> Result<(), Unknown> {
        match self.form {
            Some(ClosedForm::ScaleInvariant { a_plus, a_minus }) => {
                let (m, h) = (0.5 * (a_plus + a_minus), 0.5 * (a_plus - a_minus));
                let (m, h) = (m * m, h * h);
                let unit = if m + h > 0.0 { 1.0 / (m + h) } else { 0.0 };
                let number = S::from_f64;
                let (straight, bent) = (number(m * unit), number(h * unit));
                let rule = Bent { straight, bent, straight_square: number(m), bent_square: number(h) };
                run::<S, _, 0>(rule, self.least, rows, columns, kernel, tangent);
            }
            Some(ClosedForm::SquaredRelu) => {
                run::<S, _, 1>(SquaredRelu, self.least, rows, columns, kernel, tangent)
            }
            Some(ClosedForm::Erf) => run::<S, _, 4>(Erf, self.least, rows, columns, kernel, tangent),
            Some(ClosedForm::Gelu) => run::<S, _, 5>(Gelu, self.least, rows, columns, kernel, tangent),
            _ => return self.by_table(rows, columns, kernel, tangent),
        }
        Ok(())
    }

    /// Place by place: at each of them one side is mostly the same for all lanes.
    fn by_table<S: Number>(
        &self,
        (rows, row): (&View<S>, usize),
        (columns, column): (&View<S>, usize),
        kernel: &mut [S],
        tangent: &mut [S],
    ) -> Result<(), Unknown> {
        let (View::Points(a, a_lane), View::Points(b, b_lane)) = (rows, columns) else {
            unreachable!("functions without a fast closed form have points");
        };
        let lane = |lane: Option<usize>, first: usize| match lane {
            None => Lane::From(first),
            Some(lane) => Lane::One(first + lane),
        };
        for start in (0..kernel.len()).step_by(LANES) {
            let range = start..start + LANES;
            let tangent = (!tangent.is_empty()).then(|| &mut tangent[range.clone()]);
            let (a, b) = ((*a, lane(*a_lane, row + start)), (*b, lane(*b_lane, column + start)));
            self.dual.pairs(a, b, &mut kernel[range], tangent)?;
        }
        Ok(())
    }
}

/// The closed form of an activation, where there is a loop for it.
pub(crate) fn closed(activation: &Activation) -> Option<ClosedForm> {
    use ClosedForm::{Erf, Gelu, ScaleInvariant, SquaredRelu};
    let has_loop = |form: &ClosedForm| matches!(form, ScaleInvariant { .. } | SquaredRelu | Erf | Gelu);
    activation.closed.filter(has_loop)
}

#[inline(always)]
fn inverse_root<S: Real>(k: S) -> S {
    if k > S::ZERO { S::ONE / k.root() } else { S::ZERO }
}

/// 1/(1 + 2K).
#[inline(always)]
fn erf_share<S: Real>(k: S) -> S {
    S::ONE / (S::ONE + S::TWO * k)
}

/// arcsin(2K/(1 + 2K)) = (π/2) ⟨erf²⟩.
#[inline(always)]
fn erf_angle<S: Real>(k: S) -> S {
    S::arcsine::<false>(S::TWO * k * erf_share(k))
}

/// 1/(1 + K).
#[inline(always)]
fn gelu_share<S: Real>(k: S) -> S {
    S::ONE / (S::ONE + k)
}

/// ⟨(z Φ(z))²⟩.
#[inline(always)]
fn gelu_square<S: Real>(k: S) -> S {
    let turn = S::HALF * S::HALF * S::TWO_OVER_PI;
    let both = S::HALF * S::HALF + turn * S::arcsine::<false>(k * gelu_share(k));
    let density = turn / (S::ONE + S::TWO * k).root();
    k * (both + S::TWO * density * k * gelu_share(k))
}

/// One field of every variance.
struct Each<'a, S, F> {
    variance: &'a [S],
    field: F,
}

impl<S: Real, F: Fn(S) -> S> Loop<S> for Each<'_, S, F> {
    #[inline(always)]
    fn run<const FMA: bool>(self, out: &mut [S], _: &mut [S], _: &mut [S]) {
        for (out, k) in out.iter_mut().zip(self.variance) {
            *out = (self.field)(k.greatest(S::ZERO));
        }
    }
}

fn make<S: Real>(variance: &[S], field: impl Fn(S) -> S) -> Vec<S> {
    let mut out = vec![S::ZERO; variance.len()];
    widest(Each { variance, field }, &mut out, &mut [], &mut []);
    out
}

/// A line of pairs whose two points differ from pair to pair.
struct Pairs<'a, S, R, const C: usize, const TANGENT: bool> {
    rule: R,
    rows: Side<'a, S, C>,
    columns: Side<'a, S, C>,
    /// Below this 1 − cos θ is rounding, and equal points are taken as equal.
    least: S,
}

/// The points of one side.
struct Side<'a, S, const C: usize> {
    inverse: &'a [S],
    after: &'a [S],
    constants: [&'a [S]; C],
}

impl<'a, S, const C: usize> Side<'a, S, C> {
    fn new((fields, first): (&View<'a, S>, usize), n: usize) -> Side<'a, S, C> {
        let field = |at: usize| &fields.field(at)[first..first + n];
        let constants = std::array::from_fn(|c| field(COMMON + c));
        Side { inverse: field(0), after: field(1), constants }
    }
}

impl<S: Real, R: Rule<S, C>, const C: usize, const TANGENT: bool> Loop<S> for Pairs<'_, S, R, C, TANGENT> {
    #[inline(always)]
    fn run<const FMA: bool>(self, kernel: &mut [S], tangent: &mut [S], _: &mut [S]) {
        let n = kernel.len();
        let (inverse_a, inverse_b) = (&self.rows.inverse[..n], &self.columns.inverse[..n]);
        let (after_a, after_b) = (&self.rows.after[..n], &self.columns.after[..n]);
        let (a, b) = (self.rows.constants.map(|c| &c[..n]), self.columns.constants.map(|c| &c[..n]));
        let tangent = if TANGENT { &mut tangent[..n] } else { tangent };
        let (rule, least) = (self.rule, self.least);
        for j in 0..n {
            let both = inverse_a[j] * inverse_b[j];
            let u = S::ONE - kernel[j] * both;
            let u = if u < least { S::ZERO } else { u };
            // A point of no variance has no angle with any other; it is taken as parallel, as everywhere.
            let u = if both > S::ZERO { u } else { S::ZERO };
            let w = (S::TWO - u).greatest(S::ZERO);
            let (row, column) = (std::array::from_fn(|c| a[c][j]), std::array::from_fn(|c| b[c][j]));
            let (u, w, slope) = rule.at::<FMA, TANGENT>(row, column, u.least(S::TWO), w);
            kernel[j] = (after_a[j] * after_b[j]) * (S::HALF * (w - u));
            if TANGENT {
                tangent[j] = slope * tangent[j];
            }
        }
    }
}

fn run<S: Real, R: Rule<S, C>, const C: usize>(
    rule: R,
    least: f64,
    rows: (&View<S>, usize),
    columns: (&View<S>, usize),
    kernel: &mut [S],
    tangent: &mut [S],
) {
    let n = kernel.len();
    let (rows, columns) = (Side::new(rows, n), Side::new(columns, n));
    // Two square roots, two products and a difference: four times the unit roundoff at most.
    let unit = if S::NAME == "float32" { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let least = S::from_f64(least.max(4.0 * unit));
    if tangent.is_empty() {
        widest(Pairs::<S, R, C, false> { rule, rows, columns, least }, kernel, tangent, &mut []);
    } else {
        widest(Pairs::<S, R, C, true> { rule, rows, columns, least }, kernel, tangent, &mut []);
    }
}
