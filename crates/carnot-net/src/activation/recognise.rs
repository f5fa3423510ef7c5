//! Closed forms inside formulas: what a user writes as `max(z, 0)` or `0.5 * erf(z / 2.4) + 0.5` has the averages of the table.
//!
//! A formula is taken for α g(βz) + γ when its Taylor coefficients at 0 (or its two slopes) fix α, β, γ and it then agrees
//! with that function to rounding at points of all sizes.

use super::closed::ClosedForm;
use carnot_math::formula::Formula;
use std::f64::consts::PI;

/// σ(z) = outer · g(inner · z) + shift, with g of a closed form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wrapped {
    /// g.
    pub form: ClosedForm,
    /// α ≠ 0.
    pub outer: f64,
    /// β > 0.
    pub inner: f64,
    /// γ; 0 unless g is odd.
    pub shift: f64,
}

impl Wrapped {
    /// g itself.
    #[must_use]
    pub fn plain(form: ClosedForm) -> Wrapped {
        Wrapped { form, outer: 1.0, inner: 1.0, shift: 0.0 }
    }

    /// True for g itself.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        (self.outer, self.inner, self.shift) == (1.0, 1.0, 0.0)
    }
}

/// Sizes at which a formula is compared with what it is taken for.
const SIZES: [f64; 10] = [1e-6, 0.003, 0.11, 0.4, 0.9, 1.7, 3.3, 5.9, 12.7, 47.0];

/// The closed form of a formula, if it is one.
#[must_use]
pub fn recognise(formula: &Formula) -> Option<Wrapped> {
    let kinks = formula.kinks();
    if kinks.iter().any(|kink| kink.at != 0.0) {
        return None;
    }
    let candidates = if kinks.is_empty() { smooth(formula) } else { bent(formula) };
    let fits = |candidate: &Candidate| {
        let Candidate { wrapped, text, named } = candidate;
        let finite = named.iter().all(|(_, x)| x.is_finite());
        finite && wrapped.outer != 0.0 && agrees(formula, text, named, wrapped.shift)
    };
    candidates.into_iter().find(fits).map(|candidate| candidate.wrapped)
}

/// What a formula may be, and the text that says so.
struct Candidate {
    wrapped: Wrapped,
    text: &'static str,
    named: Vec<(&'static str, f64)>,
}

impl Candidate {
    fn new(form: ClosedForm, [outer, inner, shift]: [f64; 3], text: &'static str) -> Candidate {
        let named = vec![("outer", outer), ("inner", inner), ("shift", shift)];
        Candidate { wrapped: Wrapped { form, outer, inner, shift }, text, named }
    }

    /// Slopes on the right and on the left.
    fn slopes(a_plus: f64, a_minus: f64) -> Candidate {
        let wrapped = Wrapped::plain(ClosedForm::ScaleInvariant { a_plus, a_minus });
        let named = vec![("a_plus", a_plus), ("a_minus", a_minus)];
        Candidate { wrapped, text: "if(z > 0, a_plus * z, a_minus * z)", named }
    }
}

fn agrees(formula: &Formula, text: &str, named: &[(&str, f64)], shift: f64) -> bool {
    let Ok(other) = Formula::parse_with(text, named) else { return false };
    let close = |z: f64| {
        let (f, g) = (formula.value(z), other.value(z));
        (f - g).abs() <= 2e-14 * (f - shift).abs() + 4e-16 * shift.abs()
    };
    SIZES.iter().all(|&z| close(z) && close(-z))
}

/// Kinks at zero only.
fn bent(formula: &Formula) -> Vec<Candidate> {
    let (right, left) = (formula.value(1.0), formula.value(-1.0));
    vec![
        Candidate::slopes(right, -left),
        Candidate::new(ClosedForm::SquaredRelu, [right, 1.0, 0.0], "outer * max(z, 0)^2"),
        Candidate::new(ClosedForm::Sign, [right, 1.0, 0.0], "outer * sign(z)"),
        Candidate::new(ClosedForm::Step, [right, 1.0, 0.0], "outer * step(z)"),
    ]
}

/// No kinks: three derivatives at zero fix everything.
fn smooth(formula: &Formula) -> Vec<Candidate> {
    let [shift, first, second, third, _] = formula.jet(0.0);
    let by_erf = (-third / (2.0 * first)).sqrt();
    let by_sine = (-third / first).sqrt();
    let gelu = second * (2.0 * PI).sqrt() / (4.0 * first);
    let plain = [1.0, 1.0, 0.0];
    vec![
        Candidate::slopes(first, first),
        Candidate::new(ClosedForm::Erf, plain, "erf(z)"),
        Candidate::new(ClosedForm::Sin, plain, "sin(z)"),
        Candidate::new(ClosedForm::Gelu, plain, "z * normal_cdf(z)"),
        Candidate::new(
            ClosedForm::Erf,
            [first * PI.sqrt() / (2.0 * by_erf), by_erf, shift],
            "outer * erf(inner * z) + shift",
        ),
        Candidate::new(ClosedForm::Sin, [first / by_sine, by_sine, shift], "outer * sin(inner * z) + shift"),
        Candidate::new(
            ClosedForm::Gelu,
            [2.0 * first / gelu, gelu, 0.0],
            "outer * inner * z * normal_cdf(inner * z)",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Option<Wrapped> {
        recognise(&Formula::parse(text).unwrap())
    }

    #[test]
    fn formulas_are_recognised_in_any_dress() {
        let slopes = |a_plus, a_minus| Some(Wrapped::plain(ClosedForm::ScaleInvariant { a_plus, a_minus }));
        assert_eq!(form("max(z, 0)"), slopes(1.0, 0.0));
        assert_eq!(form("2 * abs(z) - z"), slopes(1.0, -3.0));
        assert_eq!(form("z / 4"), slopes(0.25, 0.25));
        let like = form("0.5 * erf(z / 2.4020563531719796) + 0.5").unwrap();
        assert_eq!((like.form, like.shift), (ClosedForm::Erf, 0.5));
        assert!(
            (like.outer - 0.5).abs() < 1e-15 && (like.inner * 2.402_056_353_171_979_6 - 1.0).abs() < 1e-15
        );
        assert_eq!(form("erf(z)").map(|found| found.is_plain()), Some(true));
        assert_eq!(form("3 * sin(2 * z)").map(|found| found.form), Some(ClosedForm::Sin));
        assert_eq!(form("z * (1 + erf(z / sqrt(2))) / 2").map(|found| found.form), Some(ClosedForm::Gelu));
        assert_eq!(form("relu(z)^2 / 3").map(|found| found.form), Some(ClosedForm::SquaredRelu));
    }

    #[test]
    fn likenesses_are_not_taken_for_the_thing() {
        for text in [
            "tanh(z)",
            "z + 1e-9 * z^3",
            "max(z, 0) + 1e-6 * abs(z)^2",
            "sin(z) + 1e-8 * z",
            "z * sigmoid(1.7 * z)",
        ] {
            assert_eq!(form(text), None, "{text}");
        }
    }
}
