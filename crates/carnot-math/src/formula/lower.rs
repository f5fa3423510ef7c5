//! From the formula as written to the tape that is evaluated.
//!
//! Constants are folded, equal subexpressions are shared, and a few texts are replaced by forms that do not overflow
//! or cancel: `ln(1 + exp(u))` is softplus, `1 + erf(u)` is erfc(−u), `sqrt(u^2)` is abs(u), `e^u` is exp(u).

use std::collections::HashMap;

use super::error::{FormulaError, FormulaErrorKind};
use super::expression::{Expression, Function, Id, Node, Relation};
use super::tape::{Op, Tape, apply, operands};

impl Tape {
    /// Lowers an expression, or says which part is constant without a finite value.
    pub(super) fn new(text: &str, expression: &Expression) -> Result<Tape, FormulaError> {
        let mut builder = Builder { ops: Vec::new(), known: HashMap::new() };
        let mut lowered: Vec<Id> = Vec::with_capacity(expression.nodes.len());
        for (node, place) in expression.nodes.iter().zip(&expression.places) {
            let id = builder.lower(*node, &lowered);
            if matches!(builder.ops[id as usize], Op::Constant(c) if !c.is_finite()) {
                let kind = FormulaErrorKind::NotFinite;
                return Err(FormulaError { text: text.to_owned(), at: place.clone(), kind });
            }
            lowered.push(id);
        }
        let root = lowered[expression.root() as usize];
        Ok(Tape { ops: builder.ops, root }.pruned())
    }
}

/// Bits that identify an instruction.
type Key = (std::mem::Discriminant<Op>, Option<Function>, Option<Relation>, u64, [Id; 4]);

struct Builder {
    ops: Vec<Op>,
    known: HashMap<Key, Id>,
}

impl Builder {
    fn constant(&self, id: Id) -> Option<f64> {
        match self.ops[id as usize] {
            Op::Constant(c) => Some(c),
            _ => None,
        }
    }

    fn is(&self, id: Id, value: f64) -> bool {
        self.constant(id) == Some(value)
    }

    /// The argument, if this instruction is a call of that function.
    fn argument(&self, id: Id, wanted: Function) -> Option<Id> {
        match self.ops[id as usize] {
            Op::Call(function, u) if function == wanted => Some(u),
            _ => None,
        }
    }

    /// Adds an instruction unless it is known or constant.
    fn push(&mut self, op: Op) -> Id {
        let variable = matches!(op, Op::Variable);
        let op = if !variable && operands(op).all(|id| self.constant(id).is_some()) {
            Op::Constant(apply(op, 0.0, |id| self.constant(id).expect("all operands are constant")))
        } else {
            op
        };
        let key = self.key(op);
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        let id = self.ops.len() as Id;
        self.ops.push(op);
        self.known.insert(key, id);
        id
    }

    fn key(&self, op: Op) -> Key {
        let mut ids = [Id::MAX; 4];
        operands(op).enumerate().for_each(|(at, id)| ids[at] = id);
        let (function, relation, bits) = match op {
            Op::Constant(c) | Op::Power(_, c) => (None, None, c.to_bits()),
            Op::Call(f, _) => (Some(f), None, 0),
            Op::Choose { relation, .. } => (None, Some(relation), 0),
            _ => (None, None, 0),
        };
        (std::mem::discriminant(&op), function, relation, bits, ids)
    }

    fn lower(&mut self, node: Node, lowered: &[Id]) -> Id {
        let at = |id: Id| lowered[id as usize];
        match node {
            Node::Number(c) | Node::Parameter(c) => self.push(Op::Constant(c)),
            Node::Pi => self.push(Op::Constant(std::f64::consts::PI)),
            Node::Euler => self.push(Op::Constant(std::f64::consts::E)),
            Node::Variable => self.push(Op::Variable),
            Node::Negate(a) => self.negate(at(a)),
            Node::Add(a, b) => self.add(at(a), at(b)),
            Node::Subtract(a, b) => self.subtract(at(a), at(b)),
            Node::Multiply(a, b) => self.multiply(at(a), at(b)),
            Node::Divide(a, b) => self.divide(at(a), at(b)),
            Node::Power(a, b) => self.power(at(a), at(b)),
            Node::Call(f, a) => self.call(f, at(a)),
            Node::Relu(a) => {
                let zero = self.push(Op::Constant(0.0));
                self.push(Op::Max(at(a), zero))
            }
            Node::Gelu(a) => {
                let share = self.call(Function::NormalCdf, at(a));
                self.multiply(at(a), share)
            }
            Node::Silu(a) => {
                let share = self.call(Function::Sigmoid, at(a));
                self.multiply(at(a), share)
            }
            Node::Max(a, b) => self.push(Op::Max(at(a), at(b))),
            Node::Min(a, b) => self.push(Op::Min(at(a), at(b))),
            Node::Clip(u, low, high) => {
                let raised = self.push(Op::Max(at(u), at(low)));
                self.push(Op::Min(raised, at(high)))
            }
            Node::Choose { relation, left, right, then, otherwise } => self.push(Op::Choose {
                relation,
                left: at(left),
                right: at(right),
                then: at(then),
                otherwise: at(otherwise),
            }),
        }
    }

    fn negate(&mut self, a: Id) -> Id {
        match self.ops[a as usize] {
            Op::Negate(inner) => inner,
            _ => self.push(Op::Negate(a)),
        }
    }

    fn add(&mut self, a: Id, b: Id) -> Id {
        for (one, other) in [(a, b), (b, a)] {
            if self.is(one, 0.0) {
                return other;
            }
            if self.is(one, 1.0)
                && let Some(u) = self.argument(other, Function::Erf)
            {
                let minus = self.negate(u);
                return self.push(Op::Call(Function::Erfc, minus));
            }
        }
        if let Op::Negate(u) = self.ops[b as usize] {
            return self.subtract(a, u);
        }
        self.push(Op::Add(a, b))
    }

    fn subtract(&mut self, a: Id, b: Id) -> Id {
        if self.is(b, 0.0) {
            return a;
        }
        if self.is(a, 1.0)
            && let Some(u) = self.argument(b, Function::Erf)
        {
            return self.push(Op::Call(Function::Erfc, u));
        }
        if self.is(b, 1.0)
            && let Some(u) = self.argument(a, Function::Exp)
        {
            return self.push(Op::Call(Function::Expm1, u));
        }
        self.push(Op::Subtract(a, b))
    }

    fn multiply(&mut self, a: Id, b: Id) -> Id {
        match () {
            () if self.is(a, 1.0) => b,
            () if self.is(b, 1.0) => a,
            () if self.is(a, -1.0) => self.negate(b),
            () if self.is(b, -1.0) => self.negate(a),
            () => self.push(Op::Multiply(a, b)),
        }
    }

    /// `one` if the instruction is 1 + exp(one).
    fn one_plus_exp(&self, id: Id) -> Option<Id> {
        match self.ops[id as usize] {
            Op::Add(a, b) if self.is(a, 1.0) => self.argument(b, Function::Exp),
            Op::Add(a, b) if self.is(b, 1.0) => self.argument(a, Function::Exp),
            _ => None,
        }
    }

    fn divide(&mut self, a: Id, b: Id) -> Id {
        if self.is(b, 1.0) {
            return a;
        }
        if let Some(u) = self.one_plus_exp(b) {
            if self.is(a, 1.0) {
                let minus = self.negate(u);
                return self.push(Op::Call(Function::Sigmoid, minus));
            }
            if self.argument(a, Function::Exp) == Some(u) {
                return self.push(Op::Call(Function::Sigmoid, u));
            }
        }
        match (self.argument(a, Function::Sinh), self.argument(b, Function::Cosh)) {
            (Some(u), Some(v)) if u == v => self.push(Op::Call(Function::Tanh, u)),
            _ => self.push(Op::Divide(a, b)),
        }
    }

    fn power(&mut self, base: Id, exponent: Id) -> Id {
        match (self.constant(base), self.constant(exponent)) {
            (_, Some(1.0)) => base,
            (None, Some(0.5)) => self.call(Function::Sqrt, base),
            (_, Some(p)) => self.push(Op::Power(base, p)),
            (Some(std::f64::consts::E), None) => self.push(Op::Call(Function::Exp, exponent)),
            _ => {
                let logarithm = self.call(Function::Ln, base);
                let product = self.multiply(exponent, logarithm);
                self.push(Op::Call(Function::Exp, product))
            }
        }
    }

    fn call(&mut self, function: Function, u: Id) -> Id {
        match (function, self.ops[u as usize]) {
            (Function::Sqrt, Op::Power(v, 2.0)) => self.push(Op::Call(Function::Abs, v)),
            (Function::Sqrt, Op::Multiply(v, w)) if v == w => self.push(Op::Call(Function::Abs, v)),
            (Function::Log1p, Op::Call(Function::Exp, v)) => self.push(Op::Call(Function::Softplus, v)),
            (Function::Ln, _) => match self.one_plus_exp(u) {
                Some(v) => self.push(Op::Call(Function::Softplus, v)),
                None => self.push(Op::Call(Function::Ln, u)),
            },
            _ => self.push(Op::Call(function, u)),
        }
    }
}
