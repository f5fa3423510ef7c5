//! Values and slopes of many elements: one instruction at a time over blocks that stay in the nearest cache.

use super::Formula;
use super::expression::{Function, Relation};
use super::jet::{self, Jet};
use super::program::{Program, Register, Shape, Step};
use crate::device::elementary::{self as vector, Binary, Compare, Unary};
use crate::scalar::Scalar;

/// Elements of a block: 4 KiB of f32 values and slopes a register.
const BLOCK: usize = 512;

impl Formula {
    /// f at every element, in the precision of `S`. Equal arguments give equal bits wherever they stand.
    ///
    /// Single precision: error about 4 units in the last place of each elementary function. Panics if the lengths differ.
    pub fn values<S: Scalar>(&self, z: &[S], out: &mut [S]) {
        assert_eq!(z.len(), out.len(), "one value for each argument");
        if let (Some(z), Some(out)) = (vector::same::<S, f32>(z), vector::same_mut::<S, f32>(out)) {
            run(&self.inner.program, z, out, None);
        } else if let (Some(z), Some(out)) = (vector::same::<S, f64>(z), vector::same_mut::<S, f64>(out)) {
            run(&self.inner.program, z, out, None);
        }
    }

    /// f and f' at every element; at a kink f' is as in [`Formula::jet`]. Panics if the lengths differ.
    pub fn values_and_slopes<S: Scalar>(&self, z: &[S], value: &mut [S], slope: &mut [S]) {
        assert!(
            z.len() == value.len() && z.len() == slope.len(),
            "one value and one slope for each argument"
        );
        if let (Some(z), Some(v), Some(s)) =
            (vector::same::<S, f32>(z), vector::same_mut::<S, f32>(value), vector::same_mut::<S, f32>(slope))
        {
            run(&self.inner.program, z, v, Some(s));
        } else if let (Some(z), Some(v), Some(s)) =
            (vector::same::<S, f64>(z), vector::same_mut::<S, f64>(value), vector::same_mut::<S, f64>(slope))
        {
            run(&self.inner.program, z, v, Some(s));
        }
    }
}

/// A number type with its own elementary functions.
trait Number: Scalar {
    /// value = f(x) and, if asked for, slope = f'(x).
    fn call(function: Function, x: &[Self], value: &mut [Self], slope: Option<&mut [Self]>);
    fn gelu(x: &[Self], value: &mut [Self], slope: Option<&mut [Self]>);
    fn silu(x: &[Self], value: &mut [Self], slope: Option<&mut [Self]>);
}

fn unary<U: Unary<S>, S: Scalar>(g: U, x: &[S], value: &mut [S], slope: Option<&mut [S]>) {
    match slope {
        Some(slope) => vector::pairs(g, x, value, slope),
        None => vector::values(g, x, value),
    }
}

/// A function evaluated element by element in double precision.
#[derive(Clone, Copy)]
struct Slow(Function);

impl<S: Scalar> Unary<S> for Slow {
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        let x = x.to_f64();
        (S::from_f64(jet::value(self.0, x)), S::from_f64(jet::slope(self.0, x)))
    }
}

impl Number for f32 {
    fn call(function: Function, x: &[f32], value: &mut [f32], slope: Option<&mut [f32]>) {
        match function {
            Function::Exp => unary(vector::Exp, x, value, slope),
            Function::Expm1 => unary(vector::Expm1, x, value, slope),
            Function::Ln => unary(vector::Ln, x, value, slope),
            Function::Log1p => unary(vector::Log1p, x, value, slope),
            Function::Sin => unary(vector::Sine, x, value, slope),
            Function::Cos => unary(vector::Cosine, x, value, slope),
            Function::Atan => unary(vector::Arctangent, x, value, slope),
            Function::Tanh => unary(vector::Tanh, x, value, slope),
            Function::Erf => unary(vector::Erf, x, value, slope),
            Function::Erfc => unary(vector::Erfc, x, value, slope),
            Function::NormalCdf => unary(vector::NormalCdf, x, value, slope),
            Function::NormalPdf => unary(vector::NormalPdf, x, value, slope),
            Function::Sigmoid => unary(vector::Sigmoid, x, value, slope),
            Function::Softplus => unary(vector::Softplus, x, value, slope),
            Function::Sqrt => unary(Root, x, value, slope),
            Function::Abs => unary(Absolute, x, value, slope),
            Function::Sign => unary(Sign, x, value, slope),
            Function::Step => unary(Heaviside, x, value, slope),
            Function::Tan
            | Function::Asin
            | Function::Acos
            | Function::Sinh
            | Function::Cosh
            | Function::Asinh => {
                unary(Slow(function), x, value, slope);
            }
        }
    }
    fn gelu(x: &[f32], value: &mut [f32], slope: Option<&mut [f32]>) {
        unary(vector::Gelu, x, value, slope);
    }
    fn silu(x: &[f32], value: &mut [f32], slope: Option<&mut [f32]>) {
        unary(vector::Silu, x, value, slope);
    }
}

/// x · share(x) in double precision.
#[derive(Clone, Copy)]
struct Gated(Function);

impl Unary<f64> for Gated {
    fn at<const FMA: bool>(self, x: f64) -> (f64, f64) {
        let share = jet::value(self.0, x);
        (x * share, share + jet::times(x, jet::slope(self.0, x)))
    }
}

impl Number for f64 {
    fn call(function: Function, x: &[f64], value: &mut [f64], slope: Option<&mut [f64]>) {
        match function {
            Function::Sqrt => unary(Root, x, value, slope),
            Function::Abs => unary(Absolute, x, value, slope),
            Function::Sign => unary(Sign, x, value, slope),
            Function::Step => unary(Heaviside, x, value, slope),
            _ => unary(Slow(function), x, value, slope),
        }
    }
    fn gelu(x: &[f64], value: &mut [f64], slope: Option<&mut [f64]>) {
        unary(Gated(Function::NormalCdf), x, value, slope);
    }
    fn silu(x: &[f64], value: &mut [f64], slope: Option<&mut [f64]>) {
        unary(Gated(Function::Sigmoid), x, value, slope);
    }
}

/// Simple functions that are the same in both precisions.
macro_rules! simple {
    ($name:ident |$x:ident, $zero:ident, $one:ident| $body:expr) => {
        #[derive(Clone, Copy)]
        struct $name;
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
struct Bent<S>(S, S, S);

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
struct Scaled<S>(S);

impl<S: Scalar> Unary<S> for Scaled<S> {
    #[inline(always)]
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        (self.0 * x, self.0)
    }
}

/// x + k
#[derive(Clone, Copy)]
struct Shifted<S>(S);

impl<S: Scalar> Unary<S> for Shifted<S> {
    #[inline(always)]
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        (x + self.0, S::from_f64(1.0))
    }
}

/// max(x, k)
#[derive(Clone, Copy)]
struct AtLeast<S>(S);

impl<S: Scalar> Unary<S> for AtLeast<S> {
    #[inline(always)]
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        if x <= self.0 { (self.0, S::default()) } else { (x, S::from_f64(1.0)) }
    }
}

/// min(x, k)
#[derive(Clone, Copy)]
struct AtMost<S>(S);

impl<S: Scalar> Unary<S> for AtMost<S> {
    #[inline(always)]
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        if x >= self.0 { (self.0, S::default()) } else { (x, S::from_f64(1.0)) }
    }
}

/// x^p for whole p from 3 to 64, by repeated squaring.
#[derive(Clone, Copy)]
struct Whole(u32);

impl<S: Scalar> Unary<S> for Whole {
    #[inline(always)]
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        let (mut below, mut square, mut left) = (S::from_f64(1.0), x, self.0 - 1);
        while left > 0 {
            if left & 1 == 1 {
                below = below * square;
            }
            square = square * square;
            left >>= 1;
        }
        (below * x, S::from_f64(f64::from(self.0)) * below)
    }
}

/// x^p in double precision.
#[derive(Clone, Copy)]
struct Real(f64);

impl<S: Scalar> Unary<S> for Real {
    fn at<const FMA: bool>(self, x: S) -> (S, S) {
        let [value, slope, ..] = Jet::variable(x.to_f64()).power(self.0).0;
        (S::from_f64(value), S::from_f64(slope))
    }
}

macro_rules! binary {
    ($name:ident |$a:ident, $da:ident, $b:ident, $db:ident| $body:expr) => {
        #[derive(Clone, Copy)]
        struct $name;
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
binary!(Larger | a, da, b, db | if a > b || (a == b && da <= db) || a != a { (a, da) } else { (b, db) });
binary!(Smaller | a, da, b, db | if a < b || (a == b && da >= db) || a != a { (a, da) } else { (b, db) });

macro_rules! compare {
    ($name:ident $operator:tt) => {
        #[derive(Clone, Copy)]
        struct $name;
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

fn run<S: Number>(program: &Program, z: &[S], value: &mut [S], slope: Option<&mut [S]>) {
    match program.shape {
        Shape::Linear => unary(Identity, z, value, slope),
        Shape::Relu => unary(Relu, z, value, slope),
        Shape::TwoSlopes { right, left, at_zero } => {
            unary(Bent(S::from_f64(right), S::from_f64(left), S::from_f64(at_zero)), z, value, slope);
        }
        Shape::Call(function) => S::call(function, z, value, slope),
        Shape::Gelu => S::gelu(z, value, slope),
        Shape::Silu => S::silu(z, value, slope),
        Shape::Other => Blocks::new(program, slope.is_some()).run(z, value, slope),
    }
}

/// The registers of a running program.
struct Blocks<'p, S> {
    program: &'p Program,
    values: Vec<Vec<S>>,
    /// Empty when no slopes are asked for.
    slopes: Vec<Vec<S>>,
}

impl<'p, S: Number> Blocks<'p, S> {
    fn new(program: &'p Program, with_slopes: bool) -> Self {
        let zero = S::default();
        let mut values = vec![vec![zero; BLOCK]; program.registers];
        for (register, constant) in values[1..].iter_mut().zip(&program.constants) {
            register.fill(S::from_f64(*constant));
        }
        let mut slopes = if with_slopes { vec![vec![zero; BLOCK]; program.registers] } else { Vec::new() };
        if let Some(first) = slopes.first_mut() {
            first.fill(S::from_f64(1.0));
        }
        Blocks { program, values, slopes }
    }

    fn run(mut self, z: &[S], value: &mut [S], mut slope: Option<&mut [S]>) {
        for (number, z) in z.chunks(BLOCK).enumerate() {
            let place = number * BLOCK..number * BLOCK + z.len();
            // The rest of the last block holds old arguments: computed, never copied out.
            self.values[0][..z.len()].copy_from_slice(z);
            for at in 0..self.program.steps.len() {
                let (step, target) = self.program.steps[at];
                self.step(step, target);
            }
            let result = self.program.result;
            value[place.clone()].copy_from_slice(&self.values[result][..z.len()]);
            if let Some(slope) = slope.as_deref_mut() {
                slope[place].copy_from_slice(&self.slopes[result][..z.len()]);
            }
        }
    }

    fn step(&mut self, step: Step, target: Register) {
        match step {
            Step::Negate(a) => self.unary(Negation, a, target),
            Step::Scale(a, k) => self.unary(Scaled(S::from_f64(k)), a, target),
            Step::Shift(a, k) => self.unary(Shifted(S::from_f64(k)), a, target),
            Step::AtLeast(a, k) => self.unary(AtLeast(S::from_f64(k)), a, target),
            Step::AtMost(a, k) => self.unary(AtMost(S::from_f64(k)), a, target),
            Step::Power(a, 2.0) => self.unary(Square, a, target),
            Step::Power(a, p) if p.fract() == 0.0 && (3.0..=64.0).contains(&p) => {
                self.unary(Whole(p as u32), a, target);
            }
            Step::Power(a, p) => self.unary(Real(p), a, target),
            Step::Call(function, a) => self.with(a, target, |x, v, s| S::call(function, x, v, s)),
            Step::Add(a, b) => self.binary(Sum, a, b, target),
            Step::Subtract(a, b) => self.binary(Difference, a, b, target),
            Step::Multiply(a, b) => self.binary(Product, a, b, target),
            Step::Divide(a, b) => self.binary(Quotient, a, b, target),
            Step::Max(a, b) => self.binary(Larger, a, b, target),
            Step::Min(a, b) => self.binary(Smaller, a, b, target),
            Step::Choose { relation, left, right, then, otherwise } => {
                let operands = [left, right, then, otherwise];
                match relation {
                    Relation::Less => self.choose(Less, operands, target),
                    Relation::LessOrEqual => self.choose(LessOrEqual, operands, target),
                    Relation::Greater => self.choose(Greater, operands, target),
                    Relation::GreaterOrEqual => self.choose(GreaterOrEqual, operands, target),
                }
            }
        }
    }

    fn unary<U: Unary<S>>(&mut self, g: U, a: Register, target: Register) {
        self.with(a, target, |x, value, slope| unary(g, x, value, slope));
    }

    /// Calls `f(x, value, slope)`, then multiplies the slope by that of x.
    fn with(&mut self, a: Register, target: Register, f: impl FnOnce(&[S], &mut [S], Option<&mut [S]>)) {
        let mut value = std::mem::take(&mut self.values[target]);
        if self.slopes.is_empty() {
            f(&self.values[a], &mut value, None);
        } else {
            let mut slope = std::mem::take(&mut self.slopes[target]);
            f(&self.values[a], &mut value, Some(&mut slope));
            // Register 0 is z, whose slope is 1.
            if a != 0 {
                vector::chain(&self.slopes[a], &mut slope);
            }
            self.slopes[target] = slope;
        }
        self.values[target] = value;
    }

    fn binary<B: Binary<S>>(&mut self, g: B, a: Register, b: Register, target: Register) {
        let mut value = std::mem::take(&mut self.values[target]);
        if self.slopes.is_empty() {
            vector::binary_values(g, &self.values[a], &self.values[b], &mut value);
        } else {
            let mut slope = std::mem::take(&mut self.slopes[target]);
            let (v, s) = (&self.values, &self.slopes);
            vector::binary_pairs(g, &v[a], &s[a], &v[b], &s[b], &mut value, &mut slope);
            self.slopes[target] = slope;
        }
        self.values[target] = value;
    }

    fn choose<C: Compare<S>>(&mut self, relation: C, operands: [Register; 4], target: Register) {
        let [left, right, then, otherwise] = operands;
        let mut value = std::mem::take(&mut self.values[target]);
        let v = &self.values;
        vector::choose(relation, &v[left], &v[right], &v[then], &v[otherwise], &mut value);
        if !self.slopes.is_empty() {
            let mut slope = std::mem::take(&mut self.slopes[target]);
            let s = &self.slopes;
            vector::choose(relation, &v[left], &v[right], &s[then], &s[otherwise], &mut slope);
            self.slopes[target] = slope;
        }
        self.values[target] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arguments from tiny to large, dense around 0.
    fn arguments(limit: f32) -> Vec<f32> {
        let mut z: Vec<f32> = (-40_000..=40_000).map(|k| k as f32 / 40_000.0 * limit).collect();
        z.extend((0..2000).flat_map(|k| {
            let small = 10f32.powf(-8.0 * k as f32 / 2000.0);
            [small, -small]
        }));
        z
    }

    /// Largest error in units of `ulp · max(|exact|, floor)`, for values and slopes.
    fn errors(text: &str, limit: f32, floor: f64) -> (f64, f64) {
        let formula = Formula::parse(text).unwrap();
        let z = arguments(limit);
        let (mut value, mut slope, mut again) = (vec![0.0; z.len()], vec![0.0; z.len()], vec![0.0; z.len()]);
        formula.values_and_slopes(&z, &mut value, &mut slope);
        formula.values(&z, &mut again);
        let mut worst = (0.0f64, 0.0f64);
        for k in 0..z.len() {
            let same = value[k].to_bits() == again[k].to_bits() || (value[k].is_nan() && again[k].is_nan());
            assert!(same, "{text} at {}: {} {}", z[k], value[k], again[k]);
            let exact = formula.jet(f64::from(z[k]));
            let error = |got: f32, exact: f64| {
                if (exact.is_nan() && got.is_nan()) || f64::from(got) == exact || (exact as f32) == got {
                    return 0.0;
                }
                (f64::from(got) - exact).abs() / (f64::from(f32::EPSILON) * exact.abs().max(floor))
            };
            let pair = (error(value[k], exact[0]), error(slope[k], exact[1]));
            worst = (worst.0.max(pair.0), worst.1.max(pair.1));
        }
        worst
    }

    #[test]
    fn elementary_functions_in_single_precision_keep_their_last_places() {
        // Text, range, units in the last place of the value and of the slope.
        for (text, limit, value, slope) in [
            ("exp(z)", 100.0, 2.0, 2.0),
            ("ln(z)", 100.0, 2.0, 1.0),
            ("log1p(z)", 100.0, 2.0, 2.0),
            ("sigmoid(z)", 85.0, 2.0, 4.0),
            ("softplus(z)", 80.0, 2.0, 2.0),
            ("normal_cdf(z)", 9.0, 4.0, 2.0),
            ("normal_pdf(z)", 12.0, 2.0, 2.0),
            ("erfc(z)", 8.0, 4.0, 4.0),
            ("erf(z)", 8.0, 2.0, 4.0),
            ("atan(z)", 100.0, 2.0, 2.0),
            ("sqrt(z)", 10.0, 1.0, 1.0),
            ("z^3", 10.0, 2.0, 2.0),
            ("asinh(z)", 10.0, 1.0, 1.0),
            ("if(z > 0, z, expm1(z))", 50.0, 2.0, 2.0),
            ("clip(z + 3, 0, 6) * z / 6", 10.0, 2.0, 2.0),
            ("max(z, 0)^2", 10.0, 1.0, 1.0),
        ] {
            let (v, s) = errors(text, limit, 1e-37);
            assert!(v <= value && s <= slope, "{text}: {v:.2} and {s:.2} units in the last place");
        }
        // Where a slope or value passes through 0 or dies out, what counts is the error against 1.
        for (text, limit, value, slope) in [
            ("tanh(z)", 20.0, 3.0, 6.0),
            ("expm1(z)", 50.0, 2.0, 2.0),
            ("sin(z)", 1e7, 2.0, 2.0),
            ("cos(z)", 1e5, 2.0, 2.0),
            ("z * sigmoid(z)", 80.0, 2.0, 2.0),
            ("z * normal_cdf(z)", 9.0, 2.0, 2.0),
            ("z * tanh(softplus(z))", 40.0, 4.0, 60.0),
            ("z + sin(z)^2", 50.0, 3.0, 3.0),
            ("z / (1 + abs(z))", 50.0, 2.0, 2.0),
        ] {
            let (v, s) = errors(text, limit, 1.0);
            assert!(v <= value && s <= slope, "{text}: {v:.2} and {s:.2} rounding errors of 1");
        }
    }

    #[test]
    fn the_place_of_an_element_does_not_change_its_bits() {
        for text in [
            "tanh(z)",
            "z*normal_cdf(z)",
            "sin(z)",
            "z*tanh(softplus(z))",
            "if(z>0,z,0.1*z)",
            "z^3+exp(-z)/(1+z^2)",
        ] {
            let formula = Formula::parse(text).unwrap();
            let z: Vec<f32> = (0..1300).map(|k| (k * 7919 % 1301) as f32 / 200.0 - 3.0).collect();
            let (mut value, mut slope) = (vec![0.0; z.len()], vec![0.0; z.len()]);
            formula.values_and_slopes(&z, &mut value, &mut slope);
            for start in [0, 1, 3, 511, 512, 700, 1299] {
                for length in [1usize, 7, 64, 601] {
                    let end = (start + length).min(z.len());
                    let (mut v, mut s) = (vec![0.0; end - start], vec![0.0; end - start]);
                    formula.values_and_slopes(&z[start..end], &mut v, &mut s);
                    assert!(v == value[start..end] && s == slope[start..end], "{text} from {start} to {end}");
                }
            }
        }
    }

    #[test]
    fn not_a_number_stays_so_and_infinities_have_their_limits() {
        for text in [
            "max(z,0)",
            "tanh(z)",
            "z*sigmoid(z)",
            "gelu(z)",
            "clip(z,-1,1)",
            "max(z,sin(z))",
            "abs(z)",
            "sign(z)",
            "step(z)",
        ] {
            let mut value = [0f32; 2];
            Formula::parse(text).unwrap().values(&[f32::NAN, 1.0], &mut value);
            assert!(value[0].is_nan() && value[1].is_finite(), "{text}");
        }
        for (text, left, right) in [
            ("tanh(z)", -1.0, 1.0),
            ("gelu(z)", 0.0, f32::INFINITY),
            ("erf(z)", -1.0, 1.0),
            ("exp(z)", 0.0, f32::INFINITY),
        ] {
            let mut value = [0f32; 2];
            Formula::parse(text).unwrap().values(&[f32::NEG_INFINITY, f32::INFINITY], &mut value);
            assert_eq!(value, [left, right], "{text}");
        }
    }

    #[test]
    fn slices_in_double_precision_are_the_scalar_evaluation() {
        for text in [
            "tanh(z)",
            "gelu(z)",
            "silu(z)",
            "softplus(z)*sin(z)",
            "if(z>0,z,0.1*z)",
            "max(z,0)^2",
            "clip(z,-1,1)",
            "z^2.5",
            "2^z",
            "erf(z)/3",
            "max(z, 0.1*z)",
            "sqrt(abs(z))",
        ] {
            let formula = Formula::parse(text).unwrap();
            let z: Vec<f64> = (-600..=600).map(|k| f64::from(k) / 100.0).collect();
            let (mut value, mut slope) = (vec![0.0; z.len()], vec![0.0; z.len()]);
            formula.values_and_slopes(&z, &mut value, &mut slope);
            for (k, z) in z.iter().enumerate() {
                let jet = formula.jet(*z);
                let close = |a: f64, b: f64| {
                    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-14 * (1e-3 + b.abs())
                };
                assert!(
                    close(value[k], jet[0]) && close(slope[k], jet[1]),
                    "{text} at {z}: {} {} {jet:?}",
                    value[k],
                    slope[k]
                );
            }
        }
    }
}
