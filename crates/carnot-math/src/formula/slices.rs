//! Values and slopes of many elements: one instruction at a time over blocks that stay in the nearest cache.

use super::Formula;
use super::expression::{Function, Relation};
use super::jet;
use super::program::{Program, Register, Shape, Step};
use super::simple::*;
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

    /// The slopes above, below and at zero of a function that is straight on both sides of zero and zero there; none for any other.
    #[must_use]
    pub fn slopes_at_zero(&self) -> Option<[f64; 3]> {
        match self.inner.program.shape {
            Shape::Linear => Some([1.0, 1.0, 1.0]),
            Shape::Relu => Some([1.0, 0.0, 0.0]),
            Shape::TwoSlopes { right, left, at_zero } => Some([right, left, at_zero]),
            _ => None,
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
