//! A tape made ready for blocks of elements: each instruction knows the registers it reads and writes.

use super::expression::{Function, Id, Relation};
use super::tape::{Op, Tape, operands};

/// Index of a block of elements.
pub(super) type Register = usize;

/// One instruction over blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    Negate(Register),
    Add(Register, Register),
    Subtract(Register, Register),
    Multiply(Register, Register),
    Divide(Register, Register),
    /// Times a constant.
    Scale(Register, f64),
    /// Plus a constant.
    Shift(Register, f64),
    Power(Register, f64),
    Call(Function, Register),
    Max(Register, Register),
    Min(Register, Register),
    /// The larger of a block and a constant; at a tie the slope is 0.
    AtLeast(Register, f64),
    /// The smaller of a block and a constant; at a tie the slope is 0.
    AtMost(Register, f64),
    Choose {
        relation: Relation,
        left: Register,
        right: Register,
        then: Register,
        otherwise: Register,
    },
}

/// Register 0 holds z, registers 1 … hold the constants, then come the steps' own.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) constants: Vec<f64>,
    pub(super) steps: Vec<(Step, Register)>,
    pub(super) registers: usize,
    pub(super) result: Register,
    pub(super) shape: Shape,
}

/// Whole formulas that one pass without registers computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    Linear,
    Relu,
    /// Slopes right and left of 0, and at 0.
    TwoSlopes {
        right: f64,
        left: f64,
        at_zero: f64,
    },
    Call(Function),
    Gelu,
    Silu,
    Other,
}

impl Program {
    pub(super) fn new(tape: &Tape) -> Program {
        let shape = shape(tape);
        let constants = constants(tape);
        let mut register_of: Vec<Register> = vec![0; tape.ops.len()];
        for (at, op) in tape.ops.iter().enumerate() {
            if let Op::Constant(c) = op {
                register_of[at] =
                    constants.iter().position(|k| k.to_bits() == c.to_bits()).map_or(0, |k| k + 1);
            }
        }
        let own = constants.len() + 1;
        let last_use = last_uses(tape);
        let mut free: Vec<Register> = Vec::new();
        let mut registers = own;
        let mut steps = Vec::new();
        for (at, op) in tape.ops.iter().enumerate() {
            let Some(step) = step(tape, *op, &register_of) else { continue };
            let target = free.pop().unwrap_or_else(|| {
                registers += 1;
                registers - 1
            });
            // Operands are given back only now, so that no step writes what it reads.
            let mut ended: Vec<Register> = operands(*op)
                .filter(|id| last_use[*id as usize] == at)
                .map(|id| register_of[id as usize])
                .collect();
            ended.retain(|register| *register >= own);
            ended.sort_unstable();
            ended.dedup();
            free.extend(ended);
            register_of[at] = target;
            steps.push((step, target));
        }
        Program { constants, steps, registers, result: register_of[tape.root as usize], shape }
    }
}

fn constants(tape: &Tape) -> Vec<f64> {
    let mut bits: Vec<u64> = tape
        .ops
        .iter()
        .filter_map(|op| if let Op::Constant(c) = op { Some(c.to_bits()) } else { None })
        .collect();
    bits.sort_unstable();
    bits.dedup();
    bits.into_iter().map(f64::from_bits).collect()
}

fn last_uses(tape: &Tape) -> Vec<usize> {
    let mut last: Vec<usize> = (0..tape.ops.len()).collect();
    for (at, op) in tape.ops.iter().enumerate() {
        operands(*op).for_each(|id| last[id as usize] = at);
    }
    last[tape.root as usize] = usize::MAX;
    last
}

fn constant(tape: &Tape, id: Id) -> Option<f64> {
    match tape.ops[id as usize] {
        Op::Constant(c) => Some(c),
        _ => None,
    }
}

/// u where the product is u · share(u).
fn gated(tape: &Tape, a: Id, b: Id, share: Function) -> bool {
    matches!(tape.ops[b as usize], Op::Call(function, u) if function == share && u == a)
}

fn step(tape: &Tape, op: Op, register_of: &[Register]) -> Option<Step> {
    let r = |id: Id| register_of[id as usize];
    let c = |id: Id| constant(tape, id);
    Some(match op {
        Op::Constant(_) | Op::Variable => return None,
        Op::Negate(a) => Step::Negate(r(a)),
        Op::Add(a, b) => match (c(a), c(b)) {
            (Some(k), _) => Step::Shift(r(b), k),
            (_, Some(k)) => Step::Shift(r(a), k),
            _ => Step::Add(r(a), r(b)),
        },
        Op::Subtract(a, b) => match c(b) {
            Some(k) => Step::Shift(r(a), -k),
            None => Step::Subtract(r(a), r(b)),
        },
        Op::Multiply(a, b) => match (c(a), c(b)) {
            (Some(k), _) => Step::Scale(r(b), k),
            (_, Some(k)) => Step::Scale(r(a), k),
            _ => Step::Multiply(r(a), r(b)),
        },
        Op::Divide(a, b) => match c(b) {
            // A power of two divides exactly by its inverse; others keep the division.
            Some(k) if k.to_bits().trailing_zeros() >= 52 && (1.0 / k).is_normal() => {
                Step::Scale(r(a), 1.0 / k)
            }
            _ => Step::Divide(r(a), r(b)),
        },
        Op::Power(a, p) => Step::Power(r(a), p),
        Op::Call(function, a) => Step::Call(function, r(a)),
        Op::Max(a, b) => match (c(a), c(b)) {
            (Some(k), _) => Step::AtLeast(r(b), k),
            (_, Some(k)) => Step::AtLeast(r(a), k),
            _ => Step::Max(r(a), r(b)),
        },
        Op::Min(a, b) => match (c(a), c(b)) {
            (Some(k), _) => Step::AtMost(r(b), k),
            (_, Some(k)) => Step::AtMost(r(a), k),
            _ => Step::Min(r(a), r(b)),
        },
        Op::Choose { relation, left, right, then, otherwise } => {
            Step::Choose { relation, left: r(left), right: r(right), then: r(then), otherwise: r(otherwise) }
        }
    })
}

fn shape(tape: &Tape) -> Shape {
    let is_z = |id: Id| matches!(tape.ops[id as usize], Op::Variable);
    let is_zero = |id: Id| constant(tape, id) == Some(0.0);
    match tape.ops[tape.root as usize] {
        Op::Variable => Shape::Linear,
        Op::Max(a, b) if (is_z(a) && is_zero(b)) || (is_zero(a) && is_z(b)) => Shape::Relu,
        Op::Max(a, b) => match (proportional(tape, a), proportional(tape, b)) {
            // At zero both are equal, and the smaller slope is that of the left.
            (Some(p), Some(q)) => Shape::TwoSlopes { right: p.max(q), left: p.min(q), at_zero: p.min(q) },
            _ => Shape::Other,
        },
        Op::Call(function, a) if is_z(a) => Shape::Call(function),
        Op::Multiply(a, b) => match () {
            () if is_z(a) && gated(tape, a, b, Function::NormalCdf) => Shape::Gelu,
            () if is_z(b) && gated(tape, b, a, Function::NormalCdf) => Shape::Gelu,
            () if is_z(a) && gated(tape, a, b, Function::Sigmoid) => Shape::Silu,
            () if is_z(b) && gated(tape, b, a, Function::Sigmoid) => Shape::Silu,
            () => Shape::Other,
        },
        Op::Choose { relation, left, right, then, otherwise } if is_z(left) && is_zero(right) => {
            match (proportional(tape, then), proportional(tape, otherwise)) {
                (Some(yes), Some(no)) => {
                    let side = |sign| if relation.holds(sign) { yes } else { no };
                    Shape::TwoSlopes { right: side(1), left: side(-1), at_zero: side(0) }
                }
                _ => Shape::Other,
            }
        }
        _ => Shape::Other,
    }
}

/// k where the instruction is k z.
fn proportional(tape: &Tape, id: Id) -> Option<f64> {
    let is_z = |id: Id| matches!(tape.ops[id as usize], Op::Variable);
    match tape.ops[id as usize] {
        Op::Variable => Some(1.0),
        Op::Constant(0.0) => Some(0.0),
        Op::Negate(a) if is_z(a) => Some(-1.0),
        Op::Multiply(a, b) if is_z(a) => constant(tape, b),
        Op::Multiply(a, b) if is_z(b) => constant(tape, a),
        _ => None,
    }
}
