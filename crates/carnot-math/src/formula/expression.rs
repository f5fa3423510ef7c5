//! The formula as it was written: a list of nodes, children before parents, each with its place in the text.

use std::ops::Range;

/// Index of a node in its list.
pub(super) type Id = u32;

/// Functions of one argument that know their own derivatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Function {
    Exp,
    Expm1,
    Ln,
    Log1p,
    Sqrt,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Erf,
    Erfc,
    NormalCdf,
    NormalPdf,
    Sigmoid,
    Softplus,
    Abs,
    Sign,
    Step,
}

/// How two numbers are compared in `if(left < right, …)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    /// Whether the relation holds for numbers whose difference left − right has this sign.
    pub(super) fn holds(self, sign: i8) -> bool {
        match self {
            Relation::Less => sign < 0,
            Relation::LessOrEqual => sign <= 0,
            Relation::Greater => sign > 0,
            Relation::GreaterOrEqual => sign >= 0,
        }
    }
}

/// One node of a formula as written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Node {
    Number(f64),
    Pi,
    Euler,
    Parameter(f64),
    Variable,
    Negate(Id),
    Add(Id, Id),
    Subtract(Id, Id),
    Multiply(Id, Id),
    Divide(Id, Id),
    Power(Id, Id),
    Call(Function, Id),
    Relu(Id),
    Gelu(Id),
    Silu(Id),
    Max(Id, Id),
    Min(Id, Id),
    Clip(Id, Id, Id),
    Choose { relation: Relation, left: Id, right: Id, then: Id, otherwise: Id },
}

/// A whole formula as written; the last node is its value.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    pub(super) nodes: Vec<Node>,
    pub(super) places: Vec<Range<usize>>,
}

impl Expression {
    pub(super) fn root(&self) -> Id {
        self.nodes.len() as Id - 1
    }
}

/// What a name followed by `(` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builtin {
    Call(Function),
    Relu,
    Gelu,
    Silu,
    Power,
    Max,
    Min,
    Clip,
    Choose,
}

impl Builtin {
    pub(super) fn arguments(self) -> usize {
        match self {
            Builtin::Call(_) | Builtin::Relu | Builtin::Gelu | Builtin::Silu => 1,
            Builtin::Power | Builtin::Max | Builtin::Min => 2,
            Builtin::Clip | Builtin::Choose => 3,
        }
    }
}

/// Every name that may be called; the first name of a function is the one shown in the book.
pub(super) const BUILTINS: &[(&[&str], Builtin)] = &[
    (&["exp"], Builtin::Call(Function::Exp)),
    (&["expm1"], Builtin::Call(Function::Expm1)),
    (&["ln", "log"], Builtin::Call(Function::Ln)),
    (&["log1p"], Builtin::Call(Function::Log1p)),
    (&["sqrt"], Builtin::Call(Function::Sqrt)),
    (&["sin"], Builtin::Call(Function::Sin)),
    (&["cos"], Builtin::Call(Function::Cos)),
    (&["tan"], Builtin::Call(Function::Tan)),
    (&["asin", "arcsin"], Builtin::Call(Function::Asin)),
    (&["acos", "arccos"], Builtin::Call(Function::Acos)),
    (&["atan", "arctan"], Builtin::Call(Function::Atan)),
    (&["sinh"], Builtin::Call(Function::Sinh)),
    (&["cosh"], Builtin::Call(Function::Cosh)),
    (&["tanh"], Builtin::Call(Function::Tanh)),
    (&["asinh", "arcsinh"], Builtin::Call(Function::Asinh)),
    (&["erf"], Builtin::Call(Function::Erf)),
    (&["erfc"], Builtin::Call(Function::Erfc)),
    (&["normal_cdf", "Phi"], Builtin::Call(Function::NormalCdf)),
    (&["normal_pdf", "phi"], Builtin::Call(Function::NormalPdf)),
    (&["sigmoid", "logistic"], Builtin::Call(Function::Sigmoid)),
    (&["softplus"], Builtin::Call(Function::Softplus)),
    (&["abs"], Builtin::Call(Function::Abs)),
    (&["sign"], Builtin::Call(Function::Sign)),
    (&["step", "heaviside"], Builtin::Call(Function::Step)),
    (&["relu"], Builtin::Relu),
    (&["gelu"], Builtin::Gelu),
    (&["silu", "swish"], Builtin::Silu),
    (&["pow"], Builtin::Power),
    (&["max"], Builtin::Max),
    (&["min"], Builtin::Min),
    (&["clip", "clamp"], Builtin::Clip),
    (&["if", "where"], Builtin::Choose),
];

/// The builtin of that name.
pub(super) fn builtin(name: &str) -> Option<Builtin> {
    BUILTINS.iter().find(|(names, _)| names.contains(&name)).map(|(_, builtin)| *builtin)
}
