//! The two number types of simulations: `f64` where theory is tested, `f32` where speed is sold.

/// A real number type a network can be simulated in. Sealed: `f32` and `f64`.
pub trait Scalar:
    sealed::Sealed
    + Copy
    + Send
    + Sync
    + PartialOrd
    + Default
    + std::fmt::Debug
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::SubAssign
    + std::ops::MulAssign
    + std::iter::Sum
    + 'static
{
    /// Name as written in configuration files and reports.
    const NAME: &'static str;
    /// Gradients and their running means smaller than this are taken as zero in training: far below what any update
    /// can feel, and just above the subnormal numbers, on which processors are up to a hundred times slower.
    const NEGLIGIBLE: Self;
    /// Zero when the size is below [`Scalar::NEGLIGIBLE`]; NaN stays NaN.
    #[inline(always)]
    fn flushed(self) -> Self {
        if self < Self::NEGLIGIBLE && self > -Self::NEGLIGIBLE { Self::default() } else { self }
    }
    /// Nearest representable value.
    fn from_f64(value: f64) -> Self;
    /// Exact for both types.
    fn to_f64(self) -> f64;
    /// Square root.
    fn root(self) -> Self;
    /// False for NaN and infinities.
    fn is_finite(self) -> bool;
}

mod sealed {
    /// Keeps the set of number types closed.
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! scalar {
    ($t:ty, $name:literal, $negligible:literal) => {
        impl Scalar for $t {
            const NAME: &'static str = $name;
            const NEGLIGIBLE: Self = $negligible;
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                <$t>::is_finite(self)
            }
        }
    };
}
scalar!(f32, "float32", 1e-30);
scalar!(f64, "float64", 1e-290);
