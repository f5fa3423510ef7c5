//! The formula as it is evaluated: a simplified list of instructions without repetitions, run on numbers or on jets.

use super::expression::{Function, Id, Relation};
use super::jet::{self, Jet};

/// One instruction; operands are earlier instructions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Op {
    Constant(f64),
    Variable,
    Negate(Id),
    Add(Id, Id),
    Subtract(Id, Id),
    Multiply(Id, Id),
    Divide(Id, Id),
    Power(Id, f64),
    Call(Function, Id),
    Max(Id, Id),
    Min(Id, Id),
    Choose { relation: Relation, left: Id, right: Id, then: Id, otherwise: Id },
}

/// Instructions in order; the last one that matters is `root`.
#[derive(Debug, Clone)]
pub(super) struct Tape {
    pub(super) ops: Vec<Op>,
    pub(super) root: Id,
}

/// On which side of a switching point a jet is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    At,
    Right,
}

/// Longest tape evaluated on the stack.
const SMALL: usize = 32;

impl Tape {
    /// Only what the root needs, in the same order.
    pub(super) fn pruned(self) -> Tape {
        let mut needed = vec![false; self.ops.len()];
        needed[self.root as usize] = true;
        for at in (0..self.ops.len()).rev() {
            if needed[at] {
                operands(self.ops[at]).for_each(|id| needed[id as usize] = true);
            }
        }
        let mut renamed = vec![0; self.ops.len()];
        let mut ops = Vec::new();
        for (at, op) in self.ops.iter().enumerate().filter(|(at, _)| needed[*at]) {
            renamed[at] = ops.len() as Id;
            ops.push(with_operands(*op, |id| renamed[id as usize]));
        }
        Tape { root: renamed[self.root as usize], ops }
    }

    /// The value at z.
    pub(super) fn value(&self, z: f64) -> f64 {
        if self.ops.len() <= SMALL {
            let mut slots = [0.0; SMALL];
            self.values_into(z, &mut slots);
            slots[self.root as usize]
        } else {
            let mut slots = vec![0.0; self.ops.len()];
            self.values_into(z, &mut slots);
            slots[self.root as usize]
        }
    }

    /// The value of every instruction at z.
    pub(super) fn values_into(&self, z: f64, slots: &mut [f64]) {
        for (at, op) in self.ops.iter().enumerate() {
            slots[at] = apply(*op, z, |id| slots[id as usize]);
        }
    }

    /// The jet at z, seen from one side.
    pub(super) fn jet(&self, z: f64, side: Side) -> Jet {
        if self.ops.len() <= SMALL {
            let mut slots = [Jet::ZERO; SMALL];
            self.jets_into(z, side, &mut slots);
            slots[self.root as usize]
        } else {
            let mut slots = vec![Jet::ZERO; self.ops.len()];
            self.jets_into(z, side, &mut slots);
            slots[self.root as usize]
        }
    }

    fn jets_into(&self, z: f64, side: Side, slots: &mut [Jet]) {
        for (at, op) in self.ops.iter().enumerate() {
            let constant = |id: Id| matches!(self.ops[id as usize], Op::Constant(_));
            slots[at] = apply_jet(*op, z, side, |id| slots[id as usize], constant);
        }
    }

    /// Pairs of instructions (left, right) at whose crossing the formula switches; right is absent for zero.
    pub(super) fn switches(&self) -> Vec<(Id, Option<Id>)> {
        let switch = |op: &Op| match *op {
            Op::Call(Function::Abs | Function::Sign | Function::Step | Function::Sqrt, u) => Some((u, None)),
            Op::Power(u, p) if p.fract() != 0.0 => Some((u, None)),
            Op::Max(a, b) | Op::Min(a, b) => Some((a, Some(b))),
            Op::Choose { left, right, .. } => Some((left, Some(right))),
            _ => None,
        };
        let mut found: Vec<_> = self.ops.iter().filter_map(switch).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The operands of an instruction.
pub(super) fn operands(op: Op) -> impl Iterator<Item = Id> {
    let none = Id::MAX;
    let list = match op {
        Op::Constant(_) | Op::Variable => [none; 4],
        Op::Negate(a) | Op::Power(a, _) | Op::Call(_, a) => [a, none, none, none],
        Op::Add(a, b)
        | Op::Subtract(a, b)
        | Op::Multiply(a, b)
        | Op::Divide(a, b)
        | Op::Max(a, b)
        | Op::Min(a, b) => [a, b, none, none],
        Op::Choose { left, right, then, otherwise, .. } => [left, right, then, otherwise],
    };
    list.into_iter().filter(move |id| *id != none)
}

fn with_operands(op: Op, rename: impl Fn(Id) -> Id) -> Op {
    match op {
        Op::Constant(_) | Op::Variable => op,
        Op::Negate(a) => Op::Negate(rename(a)),
        Op::Power(a, p) => Op::Power(rename(a), p),
        Op::Call(f, a) => Op::Call(f, rename(a)),
        Op::Add(a, b) => Op::Add(rename(a), rename(b)),
        Op::Subtract(a, b) => Op::Subtract(rename(a), rename(b)),
        Op::Multiply(a, b) => Op::Multiply(rename(a), rename(b)),
        Op::Divide(a, b) => Op::Divide(rename(a), rename(b)),
        Op::Max(a, b) => Op::Max(rename(a), rename(b)),
        Op::Min(a, b) => Op::Min(rename(a), rename(b)),
        Op::Choose { relation, left, right, then, otherwise } => Op::Choose {
            relation,
            left: rename(left),
            right: rename(right),
            then: rename(then),
            otherwise: rename(otherwise),
        },
    }
}

pub(super) fn apply(op: Op, z: f64, slot: impl Fn(Id) -> f64) -> f64 {
    match op {
        Op::Constant(c) => c,
        Op::Variable => z,
        Op::Negate(a) => -slot(a),
        Op::Add(a, b) => slot(a) + slot(b),
        Op::Subtract(a, b) => slot(a) - slot(b),
        Op::Multiply(a, b) => slot(a) * slot(b),
        Op::Divide(a, b) => slot(a) / slot(b),
        Op::Power(a, p) => jet::power(slot(a), p),
        Op::Call(f, a) => jet::value(f, slot(a)),
        Op::Max(a, b) => larger(slot(a), slot(b)),
        Op::Min(a, b) => -larger(-slot(a), -slot(b)),
        Op::Choose { relation, left, right, then, otherwise } => match slot(left).partial_cmp(&slot(right)) {
            Some(order) => slot(if relation.holds(order as i8) { then } else { otherwise }),
            None => f64::NAN,
        },
    }
}

/// The larger of two numbers; NaN if either is.
fn larger(a: f64, b: f64) -> f64 {
    if a > b || a.is_nan() { a } else { b }
}

fn apply_jet(op: Op, z: f64, side: Side, slot: impl Fn(Id) -> Jet, constant: impl Fn(Id) -> bool) -> Jet {
    match op {
        Op::Constant(c) => Jet::constant(c),
        Op::Variable => Jet::variable(z),
        Op::Negate(a) => slot(a).negate(),
        Op::Add(a, b) => slot(a).add(slot(b)),
        Op::Subtract(a, b) => slot(a).subtract(slot(b)),
        Op::Multiply(a, b) => slot(a).multiply(slot(b)),
        Op::Divide(a, b) => slot(a).divide(slot(b)),
        Op::Power(a, p) => slot(a).power(p),
        Op::Call(Function::Abs, a) => absolute(slot(a), z, side),
        Op::Call(Function::Sign, a) => {
            Jet::constant(if slot(a).0[0].is_nan() { f64::NAN } else { f64::from(sign_of(slot(a), z, side)) })
        }
        Op::Call(Function::Step, a) => Jet::constant(if slot(a).0[0].is_nan() {
            f64::NAN
        } else {
            f64::from(u8::from(sign_of(slot(a), z, side) > 0))
        }),
        Op::Call(f, a) => slot(a).call(f),
        Op::Max(a, b) => choose_larger(slot(a), slot(b), z, side, constant(a), constant(b), 1),
        Op::Min(a, b) => choose_larger(slot(a), slot(b), z, side, constant(a), constant(b), -1),
        Op::Choose { relation, left, right, then, otherwise } => {
            let difference = slot(left).subtract(slot(right));
            if difference.0[0].is_nan() && slot(left).0[0] != slot(right).0[0] {
                return Jet([f64::NAN; 5]);
            }
            slot(if relation.holds(sign_of(difference, z, side)) { then } else { otherwise })
        }
    }
}

/// Sign of a switching expression just beside z, or at z itself.
///
/// Beside z, a value within a few rounding errors of z from a root counts as the root, since most roots
/// have no exact binary form.
fn sign_of(difference: Jet, z: f64, side: Side) -> i8 {
    let c = difference.0;
    let plain = |v: f64| i8::from(v > 0.0) - i8::from(v < 0.0);
    if side == Side::At {
        return plain(c[0]);
    }
    let at_root = c[0].abs() <= 8.0 * f64::EPSILON * (z * c[1]).abs();
    if c[0] != 0.0 && !at_root {
        return plain(c[0]);
    }
    let direction = if side == Side::Left { -1.0 } else { 1.0 };
    let mut power = 1.0;
    for coefficient in &c[1..] {
        power *= direction;
        if *coefficient != 0.0 {
            return plain(coefficient * power);
        }
    }
    0
}

/// |u|; at a kink its derivatives are the mean of both sides, as in every framework.
fn absolute(u: Jet, z: f64, side: Side) -> Jet {
    let signed = |sign: i8| if sign < 0 { u.negate() } else { u };
    if side != Side::At || u.0[0] != 0.0 {
        return signed(sign_of(u, z, side));
    }
    let (left, right) = (sign_of(u, z, Side::Left), sign_of(u, z, Side::Right));
    if left == right { signed(left) } else { Jet::ZERO }
}

/// The larger (direction 1) or smaller (−1) of two jets. At a tie both sides are looked at: where they differ, a
/// constant operand wins (relu'(0) = 0, clip' = 0 at its ends, as in PyTorch), else the operand valid on the left.
fn choose_larger(
    a: Jet,
    b: Jet,
    z: f64,
    side: Side,
    a_constant: bool,
    b_constant: bool,
    direction: i8,
) -> Jet {
    let difference = a.subtract(b);
    if difference.0[0].is_nan() && a.0[0] != b.0[0] {
        return Jet([f64::NAN; 5]);
    }
    let pick = |sign: i8| if sign * direction >= 0 { a } else { b };
    if side != Side::At || a.0[0] != b.0[0] {
        return pick(sign_of(difference, z, side));
    }
    let (left, right) = (sign_of(difference, z, Side::Left), sign_of(difference, z, Side::Right));
    match (left == right, a_constant, b_constant) {
        (false, true, _) => a,
        (false, _, true) => b,
        _ => pick(left),
    }
}
