//! Memory for results that are large.

use crate::scalar::Scalar;

/// From this many bytes on, memory is asked for in large pages.
#[cfg(target_os = "linux")]
const LARGE: usize = 1 << 22;

/// `n` zeros whose pages the system hands out only when they are first written: in large pages (2 MiB) for long vectors
/// where it has them, which saves most of the time that first writing costs.
///
/// ```
/// use carnot_math::device::zeros;
/// assert_eq!(zeros::<f64>(3), [0.0; 3]);
/// assert!(zeros::<f32>(3 << 20).iter().all(|x| *x == 0.0));
/// ```
pub fn zeros<S: Scalar>(n: usize) -> Vec<S> {
    let values = vec![S::default(); n];
    #[cfg(target_os = "linux")]
    if size_of_val(&values[..]) >= LARGE {
        large_pages(&values);
    }
    values
}

/// Asks for large pages wherever whole ones fit; the system may decline, and nothing else changes.
#[cfg(target_os = "linux")]
fn large_pages<S>(values: &[S]) {
    use std::ffi::{c_int, c_void};
    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    /// `MADV_HUGEPAGE`.
    const LARGE_PAGES: c_int = 14;
    const PAGE: usize = 1 << 21;
    let start = values.as_ptr().cast::<u8>();
    let before = start.addr().next_multiple_of(PAGE) - start.addr();
    let length = (size_of_val(values) - before) / PAGE * PAGE;
    // SAFETY: the range lies within memory that is ours, and this advice changes no contents.
    unsafe { madvise(start.add(before).cast_mut().cast(), length, LARGE_PAGES) };
}
