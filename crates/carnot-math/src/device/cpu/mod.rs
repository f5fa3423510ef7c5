//! Loops over numbers, each compiled three times (baseline, AVX2, AVX-512) and chosen when called.
//!
//! No loop uses fused multiply-add, and sums run in fixed lanes, so the three versions give the same bits: a result does not
//! depend on the machine, on alignment or on how many threads run beside it. All run on the calling thread.

mod bend;
mod columns;
mod elementwise;
mod loss;
mod optimizer;
pub mod places;
mod reduction;

pub use bend::{Bend, bend_columns, bend_columns_back, centre_columns_back};
pub use columns::{
    add_moments, column_moments, column_products, moments_of_sums, normalise_columns, normalise_columns_back,
    transpose,
};
pub use elementwise::{add_assign, axpy, bias_rows, multiply_assign, scale};
pub use loss::{IGNORED, Loss, softmax_cross_entropy, squared_error};
pub use optimizer::{AdamStep, MomentumStep, adam_step, momentum_step};
pub use reduction::{column_sums, dot, sum_of_squares};

/// Calls a function for the columns from `at` on, `LANES` of them at a time: 16, and 4 or 1 for the last ones.
macro_rules! over_columns {
    ($n:expr, $at:ident, $lanes:ident, $call:expr) => {{
        let n = $n;
        let mut $at = 0;
        while $at + 16 <= n {
            const $lanes: usize = 16;
            $call;
            $at += 16;
        }
        while $at + 4 <= n {
            const $lanes: usize = 4;
            $call;
            $at += 4;
        }
        while $at < n {
            const $lanes: usize = 1;
            $call;
            $at += 1;
        }
    }};
}

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
use {multiversion, over_columns};
