//! Roots and fixed points of functions of one real number.

/// Why there is no solution to return.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SolveError {
    /// The function has the same sign at both ends.
    #[error("no change of sign between {low} (value {at_low}) and {high} (value {at_high})")]
    NoBracket {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
        /// Value at the lower end.
        at_low: f64,
        /// Value at the upper end.
        at_high: f64,
    },
    /// The function is NaN or infinite where it was needed.
    #[error("the function is {value} at {x}")]
    NotFinite {
        /// Where.
        x: f64,
        /// What it gave.
        value: f64,
    },
    /// The allowed number of steps was not enough.
    #[error("after {steps} steps at {x}, still moving by {change}")]
    NotConverged {
        /// Last position.
        x: f64,
        /// Last change of position.
        change: f64,
        /// Steps taken.
        steps: usize,
    },
}

/// Steps [`root`] may take; bisection alone needs 64 to exhaust the digits of a bracket around 1, 1100 in the worst case.
const MAX_STEPS: usize = 1200;

/// Root of a continuous function between two points where its signs differ, by Brent's method.
///
/// * `low`, `high`: ends of the bracket
/// * `tolerance`: absolute accuracy of x, ≥ 0; the rounding of x is always allowed
/// * returns: x with f(x) = 0 or a change of sign within the tolerance
///
/// # Errors
/// [`SolveError::NoBracket`], [`SolveError::NotFinite`].
///
/// Source: Brent 1973, *Algorithms for Minimization without Derivatives*, ch. 4.
pub fn root(mut f: impl FnMut(f64) -> f64, low: f64, high: f64, tolerance: f64) -> Result<f64, SolveError> {
    let mut f = |x: f64| {
        let value = f(x);
        if value.is_finite() { Ok(value) } else { Err(SolveError::NotFinite { x, value }) }
    };
    let (mut a, mut b) = (low, high);
    let (mut fa, mut fb) = (f(a)?, f(b)?);
    // Signs, not the product of the values, which may underflow.
    if fa != 0.0 && fb != 0.0 && fa.signum() == fb.signum() {
        return Err(SolveError::NoBracket { low, high, at_low: fa, at_high: fb });
    }
    // b is the best point, the root lies between b and c, a is the previous b.
    let (mut c, mut fc) = (a, fa);
    let (mut step, mut before) = (b - a, b - a);
    for _ in 0..MAX_STEPS {
        if fc.abs() < fb.abs() {
            (a, b, c) = (b, c, b);
            (fa, fb, fc) = (fb, fc, fb);
        }
        let allowed = 2.0 * f64::EPSILON * b.abs() + 0.5 * tolerance;
        let middle = 0.5 * (c - b);
        if middle.abs() <= allowed || fb == 0.0 {
            return Ok(b);
        }
        match interpolated(a, b, c, fa, fb, fc) {
            Some(jump)
                if before.abs() >= allowed
                    && fa.abs() > fb.abs()
                    && jump * middle > 0.0
                    && jump.abs() < 1.5 * middle.abs()
                    && jump.abs() < 0.5 * before.abs() =>
            {
                before = step;
                step = jump;
            }
            _ => {
                step = middle;
                before = middle;
            }
        }
        (a, fa) = (b, fb);
        b += if step.abs() > allowed { step } else { allowed.copysign(middle) };
        fb = f(b)?;
        if fb.signum() == fc.signum() {
            (c, fc) = (a, fa);
            step = b - a;
            before = step;
        }
    }
    Err(SolveError::NotConverged { x: b, change: c - b, steps: MAX_STEPS })
}

/// Step from b by the secant (two points) or inverse quadratic interpolation (three).
fn interpolated(a: f64, b: f64, c: f64, fa: f64, fb: f64, fc: f64) -> Option<f64> {
    let s = fb / fa;
    let (p, q) = if a == c {
        ((c - b) * s, 1.0 - s)
    } else {
        let (q, r) = (fa / fc, fb / fc);
        (s * ((c - b) * q * (q - r) - (b - a) * (r - 1.0)), (q - 1.0) * (r - 1.0) * (s - 1.0))
    };
    let step = -p / q;
    step.is_finite().then_some(step)
}

/// All roots that show as a change of sign between neighbouring points of a grid.
///
/// * `grid`: ascending points; two roots between neighbours cancel and stay unseen
/// * `tolerance`: absolute accuracy of each root
/// * returns: roots in ascending order; intervals with an end that is not finite are skipped. A jump or pole that
///   changes sign is returned like a root: check the value there when the function may have one.
pub fn roots_by_scan(mut f: impl FnMut(f64) -> f64, grid: &[f64], tolerance: f64) -> Vec<f64> {
    let values: Vec<f64> = grid.iter().map(|&x| f(x)).collect();
    let mut roots = Vec::new();
    for i in 0..grid.len() {
        if values[i] == 0.0 {
            roots.push(grid[i]);
        } else if i + 1 < grid.len() && values[i + 1] != 0.0 && values[i] * values[i + 1].signum() < 0.0 {
            roots.extend(root(&mut f, grid[i], grid[i + 1], tolerance));
        }
    }
    roots
}

/// A fixed point with what is known about how it was reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedPoint {
    /// Where x = f(x).
    pub x: f64,
    /// Ratio of the last two changes, about f'(x): below 1 in size where iteration converges; NaN below two steps.
    pub rate: f64,
    /// Steps taken.
    pub steps: usize,
}

/// Iterates x → f(x) until it stops moving.
///
/// * `start`: first x
/// * `tolerance`: relative to |x|, or absolute below 1e-300; the remaining distance is estimated from the rate of convergence,
///   so that slow convergence is not mistaken for arrival
/// * `max_steps`: before giving up
///
/// # Errors
/// [`SolveError::NotConverged`] with the last change; [`SolveError::NotFinite`] when the iteration escapes.
pub fn fixed_point(
    mut f: impl FnMut(f64) -> f64,
    start: f64,
    tolerance: f64,
    max_steps: usize,
) -> Result<FixedPoint, SolveError> {
    let (mut x, mut change) = (start, f64::NAN);
    for step in 1..=max_steps {
        let next = f(x);
        if !next.is_finite() {
            return Err(SolveError::NotFinite { x, value: next });
        }
        let rate = (next - x) / change;
        change = next - x;
        x = next;
        let allowed = (tolerance * x.abs()).max(1e-300);
        // The geometric series of the changes still to come. At the level of rounding the rate is noise, and the point is found.
        let remaining = if rate.abs() < 1.0 { (change * rate / (1.0 - rate)).abs() } else { f64::INFINITY };
        if change == 0.0
            || change.abs() <= 2.0 * f64::EPSILON * x.abs()
            || remaining.max(change.abs()) <= allowed
        {
            return Ok(FixedPoint { x, rate, steps: step });
        }
    }
    Err(SolveError::NotConverged { x, change, steps: max_steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_found_to_rounding() {
        type Case = (&'static str, fn(f64) -> f64, f64, f64, f64);
        let cases: [Case; 7] = [
            ("sqrt 2", |x| x * x - 2.0, 0.0, 2.0, 2f64.sqrt()),
            ("cos", f64::cos, 0.0, 3.0, std::f64::consts::FRAC_PI_2),
            ("reversed bracket", |x| x - 0.25, 1.0, 0.0, 0.25),
            ("flat", |x| (x - 0.3).powi(9), 0.0, 1.0, 0.3),
            ("steep", |x| (50.0 * (x - 0.7)).tanh() + 1e-3, 0.0, 1.0, 0.7 - (1e-3f64).atanh() / 50.0),
            ("at an end", |x| x, 0.0, 1.0, 0.0),
            ("a jump", |x| if x < 0.6 { -1.0 } else { 1.0 }, 0.0, 1.0, 0.6),
        ];
        for (name, f, low, high, expect) in cases {
            let x = root(f, low, high, 0.0).expect(name);
            assert!((x - expect).abs() < 1e-14, "{name}: {x}, expected {expect}");
        }
    }

    #[test]
    fn smooth_roots_take_few_evaluations() {
        let mut count = 0;
        let f = |x: f64| {
            count += 1;
            x.exp() - 2.0
        };
        root(f, -5.0, 5.0, 1e-14).unwrap();
        assert!(count <= 15, "{count} evaluations");
    }

    #[test]
    fn a_bracket_without_a_change_of_sign_is_refused_with_its_numbers() {
        let refused = root(|x| x * x + 1.0, -1.0, 2.0, 1e-9).unwrap_err();
        assert_eq!(refused, SolveError::NoBracket { low: -1.0, high: 2.0, at_low: 2.0, at_high: 5.0 });
        assert!(matches!(root(|_| f64::NAN, 0.0, 1.0, 1e-9), Err(SolveError::NotFinite { .. })));
        // Values too small to multiply still have signs.
        assert!(matches!(root(|_| 1e-300, 0.0, 1.0, 0.0), Err(SolveError::NoBracket { .. })));
    }

    #[test]
    fn a_scan_finds_every_root_once() {
        let grid: Vec<f64> = (0..=70).map(|i| 0.1 * f64::from(i)).collect();
        let roots = roots_by_scan(|x: f64| x.sin(), &grid, 1e-14);
        assert_eq!(roots.len(), 3, "{roots:?}");
        for (k, x) in roots.iter().enumerate() {
            assert!((x - std::f64::consts::PI * k as f64).abs() < 1e-13);
        }
        let with_hole = roots_by_scan(|x| if x < 0.5 { f64::NAN } else { x - 2.05 }, &grid, 1e-14);
        assert_eq!(with_hole.len(), 1);
    }

    #[test]
    fn iteration_reports_the_point_and_its_rate() {
        let FixedPoint { x, rate, .. } = fixed_point(f64::cos, 1.0, 1e-13, 1000).unwrap();
        assert!((x - 0.739_085_133_215_160_6).abs() < 1e-12, "{x}");
        assert!((rate + x.sin()).abs() < 1e-2, "{rate}");
    }

    #[test]
    fn slow_convergence_is_not_mistaken_for_arrival() {
        let FixedPoint { x, .. } = fixed_point(|x| 0.999 * x + 0.001, 0.0, 1e-6, 100_000).unwrap();
        assert!((x - 1.0).abs() < 2e-6, "{x}");
        let refused = fixed_point(|x| x + 1.0, 0.0, 1e-6, 50).unwrap_err();
        assert_eq!(refused, SolveError::NotConverged { x: 50.0, change: 1.0, steps: 50 });
        assert!(matches!(fixed_point(|x| x * x, 2.0, 1e-6, 50), Err(SolveError::NotFinite { .. })));
    }
}
