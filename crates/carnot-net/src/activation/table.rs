//! The table of activations: one row is all it takes to add one.

use super::closed::ClosedForm;

/// A named constant of an activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// Name inside the formula.
    pub name: &'static str,
    /// Value when none is given.
    pub default: f64,
    /// Smallest value allowed.
    pub low: f64,
    /// Largest value allowed.
    pub high: f64,
    /// Whether it must be a whole number.
    pub whole: bool,
}

/// Everything that is written down about an activation; the rest follows from its formula.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Name in commands, files and reports.
    pub name: &'static str,
    /// Other names that are understood.
    pub aliases: &'static [&'static str],
    /// σ(z), in the grammar of [`carnot_math::formula`].
    pub formula: &'static str,
    /// Named constants of the formula, in the order in which `name(1, 2)` gives them.
    pub parameters: &'static [Parameter],
    /// Gaussian averages in closed form for these parameters, where they exist.
    pub closed: Option<fn(&[f64]) -> ClosedForm>,
    /// One line for tables and help.
    pub doc: &'static str,
}

const ANY: (f64, f64) = (-1e6, 1e6);
const POSITIVE: (f64, f64) = (1e-6, 1e6);

const fn real(name: &'static str, default: f64, (low, high): (f64, f64)) -> Parameter {
    Parameter { name, default, low, high, whole: false }
}

const fn whole(name: &'static str, default: f64, (low, high): (f64, f64)) -> Parameter {
    Parameter { name, default, low, high, whole: true }
}

/// `"name" ["alias"] (parameters) => "formula", closed: form, "one line";` the closed form may be left out.
macro_rules! activations {
    ($($name:literal [$($alias:literal),*] ($($parameter:expr),*) => $formula:literal, $(closed: $closed:expr,)? $doc:literal;)*) => {
        /// All activations known by name.
        pub const TABLE: &[Row] = &[$(Row {
            name: $name,
            aliases: &[$($alias),*],
            formula: $formula,
            parameters: &[$($parameter),*],
            closed: activations!(@closed $($closed)?),
            doc: $doc,
        }),*];
    };
    (@closed) => { None };
    (@closed $closed:expr) => { Some($closed) };
}

activations! {
    "linear" ["identity", "none"] () => "z",
        closed: |_| ClosedForm::ScaleInvariant { a_plus: 1.0, a_minus: 1.0 }, "no activation: a deep linear network";
    "relu" [] () => "max(z, 0)",
        closed: |_| ClosedForm::ScaleInvariant { a_plus: 1.0, a_minus: 0.0 }, "rectified linear unit";
    "leaky_relu" ["lrelu", "leakyrelu", "leaky"] (real("slope", 0.01, ANY)) => "if(z > 0, z, slope * z)",
        closed: |p| ClosedForm::ScaleInvariant { a_plus: 1.0, a_minus: p[0] }, "relu that keeps a small slope below 0";
    "scale_invariant" ["two_slopes"] (real("a_plus", 1.0, ANY), real("a_minus", 0.0, ANY)) => "if(z > 0, a_plus * z, a_minus * z)",
        closed: |p| ClosedForm::ScaleInvariant { a_plus: p[0], a_minus: p[1] }, "one slope above 0 and another below";
    "abs" ["absolute"] () => "abs(z)",
        closed: |_| ClosedForm::ScaleInvariant { a_plus: 1.0, a_minus: -1.0 }, "absolute value";
    "tanh" [] () => "tanh(z)", "hyperbolic tangent";
    "sin" ["sine"] () => "sin(z)", closed: |_| ClosedForm::Sin, "sine";
    "cos" ["cosine"] () => "cos(z)", closed: |_| ClosedForm::Cos, "cosine";
    "erf" [] () => "erf(z)", closed: |_| ClosedForm::Erf, "error function";
    "arctan" ["atan"] () => "atan(z)", "inverse tangent";
    "sigmoid" ["logistic"] () => "sigmoid(z)", "logistic function, between 0 and 1";
    "softplus" [] () => "softplus(z)", "smooth relu, ln(1 + e^z)";
    "gelu" [] () => "z * normal_cdf(z)", closed: |_| ClosedForm::Gelu, "Gaussian error linear unit, exact";
    "gelu_tanh" ["gelu_new", "gelu_pytorch_tanh"] () => "z / 2 * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 * z^3)))",
        "gelu in its tanh approximation, a different critical point";
    "silu" ["swish"] () => "z * sigmoid(z)", "sigmoid linear unit";
    "elu" [] (real("alpha", 1.0, ANY)) => "if(z > 0, z, alpha * expm1(z))", "exponential linear unit";
    "selu" [] () => "1.0507009873554805 * if(z > 0, z, 1.6732632423543772 * expm1(z))", "self-normalising elu";
    "celu" [] (real("alpha", 1.0, POSITIVE)) => "if(z > 0, z, alpha * expm1(z / alpha))", "elu with a continuous slope";
    "mish" [] () => "z * tanh(softplus(z))", "smooth relu by tanh of softplus";
    "hard_tanh" ["hardtanh"] () => "clip(z, -1, 1)", "tanh by three straight pieces";
    "hard_sigmoid" ["hardsigmoid"] () => "clip(z + 3, 0, 6) / 6", "sigmoid by three straight pieces, as in PyTorch";
    "hard_swish" ["hardswish"] () => "z * clip(z + 3, 0, 6) / 6", "silu with the hard sigmoid";
    "relu2" ["squared_relu", "relu_squared"] () => "max(z, 0)^2", closed: |_| ClosedForm::SquaredRelu, "square of relu";
    "square" ["quadratic"] () => "z^2", closed: |_| ClosedForm::Power { p: 2 }, "second power";
    "cube" ["cubic"] () => "z^3", closed: |_| ClosedForm::Power { p: 3 }, "third power";
    "power" ["monomial"] (whole("p", 2.0, (1.0, 64.0))) => "z^p",
        closed: |p| ClosedForm::Power { p: p[0] as u32 }, "whole power of z";
    "exp" ["exponential"] () => "exp(z)", closed: |_| ClosedForm::Exp, "exponential";
    "snake" [] (real("a", 1.0, POSITIVE)) => "z + sin(a * z)^2 / a", "linear with a ripple, for periodic data";
    "softsign" [] () => "z / (1 + abs(z))", "bounded like tanh, with algebraic tails";
    "sign" ["perceptron"] () => "sign(z)", closed: |_| ClosedForm::Sign, "-1 or 1: no gradient passes";
    "step" ["heaviside"] () => "step(z)", closed: |_| ClosedForm::Step, "0 or 1: no gradient passes";
}
