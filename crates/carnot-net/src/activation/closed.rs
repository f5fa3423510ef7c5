//! Gaussian averages of activations that have a closed form.

/// A Gaussian average in closed form; parameters included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClosedForm {
    /// a_plus z for z ≥ 0, a_minus z for z < 0: linear, relu, leaky relu, abs.
    ScaleInvariant {
        /// Slope for z > 0.
        a_plus: f64,
        /// Slope for z < 0.
        a_minus: f64,
    },
    /// max(z, 0)².
    SquaredRelu,
    /// erf(z).
    Erf,
    /// sin(z).
    Sin,
    /// cos(z).
    Cos,
    /// z Φ(z).
    Gelu,
    /// sign(z).
    Sign,
    /// 1 for z > 0, else 0.
    Step,
    /// e^z.
    Exp,
    /// z^p for a whole p.
    Power {
        /// Exponent, 1 … 64.
        p: u32,
    },
}
