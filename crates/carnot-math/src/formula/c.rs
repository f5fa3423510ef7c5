//! A formula as C source, from the same tape that is evaluated here.

use std::fmt::Write;

use super::Formula;
use super::expression::{Function, Id, Relation};
use super::tape::Op;

impl Formula {
    /// Two C functions, `activation(z)` and `activation_slope(z)`, of the type `real`, which the including source defines.
    ///
    /// One statement for each instruction, so the text grows only linearly with the formula. Needs the names of `math.h`;
    /// valid C99, C++ and CUDA. Slopes at kinks are as in [`Formula::jet`].
    pub fn c_source(&self) -> String {
        let tape = &self.inner.tape;
        let constant = |id: Id| matches!(tape.ops[id as usize], Op::Constant(_));
        let (mut values, mut slopes) = (String::new(), String::new());
        for (at, op) in tape.ops.iter().enumerate() {
            let (v, d) = (value(*op), slope(*op, at, constant));
            writeln!(values, "    const real v{at} = {v};").expect("writing to a string");
            writeln!(slopes, "    const real v{at} = {v}, d{at} = {d};").expect("writing to a string");
        }
        let root = tape.root;
        let first = format!("static inline real activation(real z) {{\n{values}    return v{root};\n}}\n");
        let second =
            format!("static inline real activation_slope(real z) {{\n{slopes}    return d{root};\n}}\n");
        first + &second
    }
}

/// A number as C text that reads back to the same bits.
fn literal(value: f64) -> String {
    format!("(real){}", if value < 0.0 { format!("({value:?})") } else { format!("{value:?}") })
}

fn value(op: Op) -> String {
    match op {
        Op::Constant(c) => literal(c),
        Op::Variable => "z".to_owned(),
        Op::Negate(a) => format!("-v{a}"),
        Op::Add(a, b) => format!("v{a} + v{b}"),
        Op::Subtract(a, b) => format!("v{a} - v{b}"),
        Op::Multiply(a, b) => format!("v{a} * v{b}"),
        Op::Divide(a, b) => format!("v{a} / v{b}"),
        Op::Power(a, p) => power(a, p),
        Op::Call(function, a) => call(function, &format!("v{a}")),
        Op::Max(a, b) => format!("v{a} > v{b} ? v{a} : v{b}"),
        Op::Min(a, b) => format!("v{a} < v{b} ? v{a} : v{b}"),
        Op::Choose { relation, left, right, then, otherwise } => {
            format!("v{left} {} v{right} ? v{then} : v{otherwise}", sign(relation))
        }
    }
}

fn power(a: Id, p: f64) -> String {
    match p {
        0.0 => literal(1.0),
        1.0 => format!("v{a}"),
        2.0 => format!("v{a} * v{a}"),
        3.0 => format!("v{a} * v{a} * v{a}"),
        _ => format!("pow(v{a}, {})", literal(p)),
    }
}

fn slope(op: Op, at: usize, constant: impl Fn(Id) -> bool) -> String {
    match op {
        Op::Constant(_) => "0".to_owned(),
        Op::Variable => "1".to_owned(),
        Op::Negate(a) => format!("-d{a}"),
        Op::Add(a, b) => format!("d{a} + d{b}"),
        Op::Subtract(a, b) => format!("d{a} - d{b}"),
        Op::Multiply(a, b) => format!("v{a} * d{b} + d{a} * v{b}"),
        Op::Divide(a, b) => format!("(d{a} - v{at} * d{b}) / v{b}"),
        Op::Power(a, p) => format!("{} * ({}) * d{a}", literal(p), power(a, p - 1.0)),
        Op::Call(function, a) => {
            format!("({}) * d{a}", derivative(function, &format!("v{a}"), &format!("v{at}")))
        }
        Op::Max(a, b) => tie(a, b, ">", "<=", constant),
        Op::Min(a, b) => tie(a, b, "<", ">=", constant),
        Op::Choose { relation, left, right, then, otherwise } => {
            format!("v{left} {} v{right} ? d{then} : d{otherwise}", sign(relation))
        }
    }
}

/// Slope of max or min: at a tie a constant wins, else the operand valid on the left.
fn tie(a: Id, b: Id, better: &str, left: &str, constant: impl Fn(Id) -> bool) -> String {
    let at_tie = match (constant(a), constant(b)) {
        (true, _) | (_, true) => "0".to_owned(),
        _ => format!("(d{a} {left} d{b} ? d{a} : d{b})"),
    };
    format!("v{a} {better} v{b} ? d{a} : v{a} == v{b} ? {at_tie} : d{b}")
}

fn sign(relation: Relation) -> &'static str {
    match relation {
        Relation::Less => "<",
        Relation::LessOrEqual => "<=",
        Relation::Greater => ">",
        Relation::GreaterOrEqual => ">=",
    }
}

const ROOT_HALF: &str = "(real)0.7071067811865476";
const ROOT_TAU: &str = "(real)2.5066282746310002";
const TWO_OVER_ROOT_PI: &str = "(real)1.1283791670955126";

fn call(function: Function, u: &str) -> String {
    match function {
        Function::NormalCdf => format!("(real)0.5 * erfc(-{u} * {ROOT_HALF})"),
        Function::NormalPdf => format!("exp((real)-0.5 * {u} * {u}) / {ROOT_TAU}"),
        Function::Sigmoid => format!("1 / (1 + exp(-{u}))"),
        Function::Softplus => format!("({u} > 0 ? {u} : 0) + log1p(exp(-fabs({u})))"),
        Function::Sign => format!("(real)(({u} > 0) - ({u} < 0))"),
        Function::Step => format!("(real)({u} > 0)"),
        _ => format!("{}({u})", name(function)),
    }
}

fn name(function: Function) -> &'static str {
    match function {
        Function::Exp => "exp",
        Function::Expm1 => "expm1",
        Function::Ln => "log",
        Function::Log1p => "log1p",
        Function::Sqrt => "sqrt",
        Function::Sin => "sin",
        Function::Cos => "cos",
        Function::Tan => "tan",
        Function::Asin => "asin",
        Function::Acos => "acos",
        Function::Atan => "atan",
        Function::Sinh => "sinh",
        Function::Cosh => "cosh",
        Function::Tanh => "tanh",
        Function::Asinh => "asinh",
        Function::Erf => "erf",
        Function::Erfc => "erfc",
        Function::Abs => "fabs",
        Function::NormalCdf | Function::NormalPdf | Function::Sigmoid | Function::Softplus => "",
        Function::Sign | Function::Step => "",
    }
}

/// The derivative at u, where v is the value there.
fn derivative(function: Function, u: &str, v: &str) -> String {
    match function {
        Function::Exp => v.to_owned(),
        Function::Expm1 => format!("exp({u})"),
        Function::Ln => format!("1 / {u}"),
        Function::Log1p => format!("1 / (1 + {u})"),
        Function::Sqrt => format!("1 / (2 * {v})"),
        Function::Sin => format!("cos({u})"),
        Function::Cos => format!("-sin({u})"),
        Function::Tan => format!("1 + {v} * {v}"),
        Function::Asin => format!("1 / sqrt((1 - {u}) * (1 + {u}))"),
        Function::Acos => format!("-1 / sqrt((1 - {u}) * (1 + {u}))"),
        Function::Atan => format!("1 / (1 + {u} * {u})"),
        Function::Sinh => format!("cosh({u})"),
        Function::Cosh => format!("sinh({u})"),
        Function::Tanh => format!("1 - {v} * {v}"),
        Function::Asinh => format!("1 / sqrt(1 + {u} * {u})"),
        Function::Erf => format!("{TWO_OVER_ROOT_PI} * exp(-{u} * {u})"),
        Function::Erfc => format!("-{TWO_OVER_ROOT_PI} * exp(-{u} * {u})"),
        Function::NormalCdf => format!("exp((real)-0.5 * {u} * {u}) / {ROOT_TAU}"),
        Function::NormalPdf => format!("-{u} * {v}"),
        Function::Sigmoid => format!("{v} * (1 - {v})"),
        Function::Softplus => format!("1 / (1 + exp(-{u}))"),
        Function::Abs => format!("({u} > 0) - ({u} < 0)"),
        Function::Sign | Function::Step => "0".to_owned(),
    }
}
