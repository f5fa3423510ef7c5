//! Arithmetic, comparisons and powers on elements, the same in both precisions.

use super::jet::Jet;
use crate::device::elementary::{Binary, Compare, Unary};
use crate::scalar::Scalar;

/// Simple functions that are the same in both precisions.
macro_rules! simple {
    ($name:ident |$x:ident, $zero:ident, $one:ident| $body:expr) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name;
        impl<S: Scalar> Unary<S> for $name {
            #[inline(always)]
            fn at<const FMA: bool>(self, $x: S) -> (S, S) {
                let ($zero, $one) = (S::default(), S::from_f64(1.0));
                $body
            }
        }
    };
}

simple!(Identity | x, _zero, one | (x, one));
simple!(Relu | x, zero, one | if x <= zero { (zero, zero) } else { (x, one) });
simple!(
    Absolute | x,
    zero,
    one | if x > zero {
        (x, one)
    } else if x < zero {
        (-x, -one)
    } else {
        (x * x, zero)
    }
);
simple!(
    Sign | x,
    zero,
    one | (
        if x > zero {
            one
        } else if x < zero {
            -one
        } else {
            x * x
        },
        zero
    )
);
simple!(
    Heaviside | x,
    zero,
    one | (
        if x > zero {
            one
        } else if x <= zero {
            zero
        } else {
            x
        },
        zero
    )
);
simple!(Negation | x, _zero, one | (-x, -one));
simple!(Square | x, _zero, _one | (x * x, x + x));
simple!(
    Root | x,
    _zero,
    one | {
        let r = x.root();
        (r, one / (r + r))
    }
);

/// Slopes right and left of 0, and at 0.
#[derive(Clone, Copy)]
pub(super) struct Bent<S>(pub(super) S, pub(super) S, pub(super) S);

impl<S: Scalar> Unary<S> for Bent<S> {
    #[inline(always)]
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        let Bent(right, left, at_zero) = self;
        let zero = S::default();
        let slope = if x > zero {
            right
        } else if x < zero {
            left
        } else {
            at_zero
        };
        (slope * x, slope)
    }
}

/// k x
#[derive(Clone, Copy)]
pub(super) struct Scaled<S>(pub(super) S);

impl<S: Scalar> Unary<S> for Scaled<S> {
    #[inline(always)]
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        (self.0 * x, self.0)
    }
}

/// x + k
#[derive(Clone, Copy)]
pub(super) struct Shifted<S>(pub(super) S);

impl<S: Scalar> Unary<S> for Shifted<S> {
    #[inline(always)]
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        (x + self.0, S::from_f64(1.0))
    }
}

/// max(x, k)
#[derive(Clone, Copy)]
pub(super) struct AtLeast<S>(pub(super) S);

impl<S: Scalar> Unary<S> for AtLeast<S> {
    #[inline(always)]
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        if x <= self.0 { (self.0, S::default()) } else { (x, S::from_f64(1.0)) }
    }
}

/// min(x, k)
#[derive(Clone, Copy)]
pub(super) struct AtMost<S>(pub(super) S);

impl<S: Scalar> Unary<S> for AtMost<S> {
    #[inline(always)]
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        if x >= self.0 { (self.0, S::default()) } else { (x, S::from_f64(1.0)) }
    }
}

/// x^p for whole p from 3 to 64, by repeated squaring.
#[derive(Clone, Copy)]
pub(super) struct Whole(pub(super) u32);

impl<S: Scalar> Unary<S> for Whole {
    #[inline(always)]
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        let (mut below, mut square, mut left) = (S::from_f64(1.0), x, self.0 - 1);
        while left > 0 {
            if left & 1 == 1 {
                below *= square;
            }
            square *= square;
            left >>= 1;
        }
        (below * x, S::from_f64(f64::from(self.0)) * below)
    }
}

/// x^p in double precision.
#[derive(Clone, Copy)]
pub(super) struct Real(pub(super) f64);

impl<S: Scalar> Unary<S> for Real {
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        let [value, slope, ..] = Jet::variable(x.to_f64()).power(self.0).0;
        (S::from_f64(value), S::from_f64(slope))
    }
}

/// Only NaN differs from itself.
#[inline(always)]
#[allow(clippy::eq_op)]
fn is_nan<S: Scalar>(x: S) -> bool {
    x != x
}

macro_rules! binary {
    ($name:ident |$a:ident, $da:ident, $b:ident, $db:ident| $body:expr) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name;
        impl<S: Scalar> Binary<S> for $name {
            #[inline(always)]
            fn at(self, $a: S, $da: S, $b: S, $db: S) -> (S, S) {
                $body
            }
        }
    };
}

binary!(Sum | a, da, b, db | (a + b, da + db));
binary!(Difference | a, da, b, db | (a - b, da - db));
binary!(Product | a, da, b, db | (a * b, a * db + da * b));
binary!(
    Quotient | a,
    da,
    b,
    db | {
        let q = a / b;
        (q, (da - q * db) / b)
    }
);
// At a tie the operand valid on the left, as in the jet.
binary!(Larger | a, da, b, db | if a > b || (a == b && da <= db) || is_nan(a) { (a, da) } else { (b, db) });
binary!(Smaller | a, da, b, db | if a < b || (a == b && da >= db) || is_nan(a) { (a, da) } else { (b, db) });

macro_rules! compare {
    ($name:ident $operator:tt) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name;
        impl<S: Scalar> Compare<S> for $name {
            #[inline(always)]
            fn holds(self, left: S, right: S) -> bool {
                left $operator right
            }
        }
    };
}

compare!(Less <);
compare!(LessOrEqual <=);
compare!(Greater >);
compare!(GreaterOrEqual >=);
