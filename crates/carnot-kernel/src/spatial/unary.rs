//! What an activation does to a line of pairs, given what is known of each of the two sides.

use crate::dual::closed::{Bent, Erf, Gelu, SquaredRelu};
use crate::dual::rule::Rule;
use crate::dual::{Lane, PairDual};
use carnot_math::device::wide::{Loop, Real, widest};
use carnot_net::activation::Activation;
use carnot_net::activation::closed::ClosedForm;
use carnot_net::error::Unknown;

/// What is known of single numbers of given variances: some arrays, all of one length.
pub(crate) type Fields<S> = Vec<Vec<S>>;

/// Most fields that any activation has.
const MOST: usize = 7;

/// Fields that every closed form has: 1/√K (0 for K = 0), and √⟨σ²⟩.
const COMMON: usize = 2;

/// Fields where they are.
#[derive(Clone, Copy)]
pub(crate) struct Borrowed<'a, S> {
    fields: [&'a [S]; MOST],
}

impl<'a, S> Borrowed<'a, S> {
    pub fn of(fields: &'a [impl AsRef<[S]>]) -> Borrowed<'a, S> {
        Borrowed { fields: std::array::from_fn(|at| fields.get(at).map_or(&[][..], |field| field.as_ref())) }
    }

    pub fn field(&self, at: usize) -> &'a [S] {
        self.fields[at]
    }
}

/// An activation ready for lines of pairs.
#[derive(Clone, Debug)]
pub(crate) struct Unary {
    dual: PairDual,
    form: Option<ClosedForm>,
}

impl Unary {
    pub fn new(activation: &Activation, tolerance: f64) -> Unary {
        let form = activation.closed.filter(has_rule);
        Unary { dual: PairDual::new(activation, tolerance), form }
    }

    /// Whether pairs are averaged in vector loops.
    pub fn is_fast(activation: &Activation) -> bool {
        activation.closed.as_ref().is_some_and(has_rule)
    }

    /// What is known of each variance.
    pub fn fields<S: Real>(&self, variance: &[S]) -> Fields<S> {
        match self.form {
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
            _ => vec![variance.to_vec()],
        }
    }

    /// Number of fields.
    pub fn count(&self) -> usize {
        match self.form {
            Some(ClosedForm::ScaleInvariant { .. }) => COMMON,
            Some(ClosedForm::SquaredRelu) => COMMON + 1,
            Some(ClosedForm::Erf) => COMMON + 4,
            Some(ClosedForm::Gelu) => COMMON + 5,
            _ => 1,
        }
    }

    /// Overwrites covariances by ⟨σσ⟩, and Θ (empty where not wanted) by ⟨σ′σ′⟩Θ.
    ///
    /// * `rows`, `columns`: [`Unary::fields`] of both sides, and the place of the first pair in each
    pub fn pairs<S: Real>(
        &self,
        rows: (&Borrowed<S>, usize),
        columns: (&Borrowed<S>, usize),
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
                run::<S, _, 0>(rule, rows, columns, kernel, tangent);
            }
            Some(ClosedForm::SquaredRelu) => run::<S, _, 1>(SquaredRelu, rows, columns, kernel, tangent),
            Some(ClosedForm::Erf) => run::<S, _, 4>(Erf, rows, columns, kernel, tangent),
            Some(ClosedForm::Gelu) => run::<S, _, 5>(Gelu, rows, columns, kernel, tangent),
            _ => return self.slowly(rows, columns, kernel, tangent),
        }
        Ok(())
    }

    fn slowly<S: Real>(
        &self,
        (rows, row): (&Borrowed<S>, usize),
        (columns, column): (&Borrowed<S>, usize),
        kernel: &mut [S],
        tangent: &mut [S],
    ) -> Result<(), Unknown> {
        let n = kernel.len();
        let of = |fields: &Borrowed<S>, first: usize| {
            let variance: Vec<f64> = fields.field(0)[first..first + n].iter().map(|v| v.to_f64()).collect();
            self.dual.points(&variance)
        };
        let (rows, columns) = (of(rows, row)?, of(columns, column)?);
        let tangent = (!tangent.is_empty()).then_some(tangent);
        self.dual.pairs((&rows, Lane::From(0)), (&columns, Lane::From(0)), kernel, tangent)
    }
}

fn has_rule(form: &ClosedForm) -> bool {
    use ClosedForm::{Erf, Gelu, ScaleInvariant, SquaredRelu};
    matches!(form, ScaleInvariant { .. } | SquaredRelu | Erf | Gelu)
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
    fn new((fields, first): (&Borrowed<'a, S>, usize), n: usize) -> Side<'a, S, C> {
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
    rows: (&Borrowed<S>, usize),
    columns: (&Borrowed<S>, usize),
    kernel: &mut [S],
    tangent: &mut [S],
) {
    let n = kernel.len();
    let (rows, columns) = (Side::new(rows, n), Side::new(columns, n));
    // Two square roots, two products and a difference: four times the unit roundoff at most.
    let unit = if S::NAME == "float32" { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let least = S::from_f64(4.0 * unit);
    if tangent.is_empty() {
        widest(Pairs::<S, R, C, false> { rule, rows, columns, least }, kernel, tangent, &mut []);
    } else {
        widest(Pairs::<S, R, C, true> { rule, rows, columns, least }, kernel, tangent, &mut []);
    }
}
