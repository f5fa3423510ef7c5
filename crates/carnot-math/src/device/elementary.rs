//! Elementary functions over slices, without branches, so that the compiler turns each loop into vector instructions.
//!
//! Every loop is compiled three times (AVX-512, AVX2 with FMA, and the baseline) and chosen at run time. An element's result
//! depends on the element alone, never on its place. Single precision: 2–4 units in the last place over the whole range
//! unless said otherwise, NaN in gives NaN out. Double precision goes through the standard library.
#![allow(unsafe_code)]

mod single;

use crate::scalar::Scalar;
use std::any::TypeId;

pub(crate) use single::{
    Arctangent, Cosine, Erf, Erfc, Exp, Expm1, Gelu, Ln, Log1p, NormalCdf, NormalPdf, Sigmoid, Silu, Sine,
    Softplus, Tanh,
};

/// A function of one number together with its slope.
pub(crate) trait Unary<S>: Copy {
    /// (g(x), g'(x)); with `FMA` the processor multiplies and adds in one instruction.
    fn at<const FMA: bool>(self, x: S) -> (S, S);
    /// Whether `at` holds for this argument; elsewhere [`Unary::beyond`] is asked.
    fn covers(self, _x: S) -> bool {
        true
    }
    /// (g(x), g'(x)) for the rare arguments that `at` does not cover.
    fn beyond(self, x: S) -> (S, S) {
        self.at::<false>(x)
    }
    /// Whether `covers` can ever be false.
    const PARTIAL: bool = false;
}

/// A function of two numbers, each with its slope along z.
pub(crate) trait Binary<S>: Copy {
    /// (g(a, b), dg/dz).
    fn at(self, a: S, da: S, b: S, db: S) -> (S, S);
}

/// A relation between two numbers.
pub(crate) trait Compare<S>: Copy {
    /// Whether it holds.
    fn holds(self, left: S, right: S) -> bool;
}

/// Compiles one loop for each instruction set and picks one when called.
macro_rules! multiversion {
    ($(#[$doc:meta])* $name:ident [$($bound:tt)*] [$($generic:ident),*] ($($arg:ident: $type:ty),*) |$fma:ident| $body:block) => {
        $(#[$doc])*
        pub(crate) fn $name<$($bound)*>($($arg: $type),*) {
            #[inline(always)]
            fn body<$($bound)*, const $fma: bool>($($arg: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
                fn wide<$($bound)*>($($arg: $type),*) {
                    body::<$($generic),*, true>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn middle<$($bound)*>($($arg: $type),*) {
                    body::<$($generic),*, true>($($arg),*)
                }
                match level() {
                    // SAFETY: the features were detected on this processor.
                    2 => return unsafe { wide::<$($generic),*>($($arg),*) },
                    // SAFETY: the features were detected on this processor.
                    1 => return unsafe { middle::<$($generic),*>($($arg),*) },
                    _ => {}
                }
            }
            body::<$($generic),*, false>($($arg),*)
        }
    };
}

/// 2: AVX-512, 1: AVX2 with FMA, 0: what every processor has.
#[cfg(target_arch = "x86_64")]
pub(super) fn level() -> u8 {
    let middle = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl");
    u8::from(middle) + u8::from(middle && wide)
}

multiversion! {
    /// value = g(x)
    values [U: Unary<S>, S: Scalar] [U, S] (g: U, x: &[S], value: &mut [S]) |FMA| {
        for (value, x) in value.iter_mut().zip(x) {
            *value = g.at::<FMA>(*x).0;
        }
        if U::PARTIAL && !x.iter().all(|x| g.covers(*x)) {
            for (value, x) in value.iter_mut().zip(x).filter(|(_, x)| !g.covers(**x)) {
                *value = g.beyond(*x).0;
            }
        }
    }
}

multiversion! {
    /// value = g(x), slope = g'(x)
    pairs [U: Unary<S>, S: Scalar] [U, S] (g: U, x: &[S], value: &mut [S], slope: &mut [S]) |FMA| {
        for ((value, slope), x) in value.iter_mut().zip(slope.iter_mut()).zip(x) {
            (*value, *slope) = g.at::<FMA>(*x);
        }
        if U::PARTIAL && !x.iter().all(|x| g.covers(*x)) {
            for ((value, slope), x) in value.iter_mut().zip(slope).zip(x).filter(|(_, x)| !g.covers(**x)) {
                (*value, *slope) = g.beyond(*x);
            }
        }
    }
}

multiversion! {
    /// slope = slope · dx, where an exact zero wins over an overflow as it does in the jets
    chain [S: Scalar] [S] (dx: &[S], slope: &mut [S]) |_FMA| {
        for (slope, dx) in slope.iter_mut().zip(dx) {
            *slope = if *dx == S::default() { *dx } else { *slope * *dx };
        }
    }
}

multiversion! {
    /// value = g(a, b)
    binary_values [B: Binary<S>, S: Scalar] [B, S] (g: B, a: &[S], b: &[S], value: &mut [S]) |_FMA| {
        let zero = S::default();
        for ((value, a), b) in value.iter_mut().zip(a).zip(b) {
            *value = g.at(*a, zero, *b, zero).0;
        }
    }
}

multiversion! {
    /// value = g(a, b), slope = dg/dz
    binary_pairs [B: Binary<S>, S: Scalar] [B, S]
    (g: B, a: &[S], da: &[S], b: &[S], db: &[S], value: &mut [S], slope: &mut [S]) |_FMA| {
        for (((((value, slope), a), da), b), db) in value.iter_mut().zip(slope).zip(a).zip(da).zip(b).zip(db) {
            (*value, *slope) = g.at(*a, *da, *b, *db);
        }
    }
}

multiversion! {
    /// out = then where the relation holds between left and right, else otherwise
    choose [C: Compare<S>, S: Scalar] [C, S]
    (relation: C, left: &[S], right: &[S], then: &[S], otherwise: &[S], out: &mut [S]) |_FMA| {
        for ((((out, l), r), t), o) in out.iter_mut().zip(left).zip(right).zip(then).zip(otherwise) {
            let (t, o) = (*t, *o);
            *out = if relation.holds(*l, *r) { t } else { o };
        }
    }
}

/// The slice itself, if both types are the same.
pub(crate) fn same<S: 'static, T: 'static>(x: &[S]) -> Option<&[T]> {
    // SAFETY: the types are identical, so pointer, length and lifetime stay valid.
    (TypeId::of::<S>() == TypeId::of::<T>())
        .then(|| unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), x.len()) })
}

/// The slice itself, if both types are the same.
pub(crate) fn same_mut<S: 'static, T: 'static>(x: &mut [S]) -> Option<&mut [T]> {
    // SAFETY: the types are identical, and the exclusive borrow is passed on.
    (TypeId::of::<S>() == TypeId::of::<T>())
        .then(|| unsafe { std::slice::from_raw_parts_mut(x.as_mut_ptr().cast(), x.len()) })
}
