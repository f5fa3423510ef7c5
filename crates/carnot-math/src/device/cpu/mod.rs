//! Loops over numbers, each compiled three times (baseline, AVX2, AVX-512) and chosen when called.
//!
//! No loop uses fused multiply-add, and sums run in fixed lanes, so the three versions give the same bits: a result does not
//! depend on the machine, on alignment or on how many threads run beside it. All run on the calling thread.

mod columns;
mod elementwise;
mod loss;
mod optimizer;
pub mod places;
mod reduction;

pub use columns::{column_moments, column_products, normalise_columns, normalise_columns_back};
pub use elementwise::{add_assign, axpy, bias_rows, multiply_assign, scale};
pub use loss::{Loss, softmax_cross_entropy, squared_error};
pub use optimizer::{AdamStep, MomentumStep, adam_step, momentum_step};
pub use reduction::{column_sums, dot, sum_of_squares};

/// Compiles each function for the instruction sets worth having and picks one at run time.
///
/// The body must be plain safe Rust that the compiler can turn into vector instructions.
macro_rules! multiversion {
    ($($(#[$meta:meta])* pub fn $name:ident<S: Scalar>($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block)*) => { $(
        $(#[$meta])*
        pub fn $name<S: Scalar>($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn plain<S: Scalar>($($arg: $type),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512<S: Scalar>($($arg: $type),*) $(-> $out)? { plain($($arg),*) }
                #[target_feature(enable = "avx2")]
                fn avx2<S: Scalar>($($arg: $type),*) $(-> $out)? { plain($($arg),*) }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                {
                    // SAFETY: the features were just detected.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the feature was just detected.
                    return unsafe { avx2($($arg),*) };
                }
            }
            plain($($arg),*)
        }
    )* };
}
use multiversion;
