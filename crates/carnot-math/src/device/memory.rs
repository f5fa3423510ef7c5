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

/// Tells the allocator of a program to keep up to 64 MiB that it has freed for the next time, and to cut vectors of up to 16 MiB from it.
///
/// By default glibc hands such vectors back to the system and asks again, and the system fills every page with zeros each time: an eighth
/// of the time that `carnot check` takes over the weights of a small model. For programs of our own, at their start; a library must not
/// decide this for others.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        /// `M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD`.
        const SETTINGS: [(c_int, c_int); 2] = [(-1, 64 << 20), (-3, 16 << 20)];
        for (parameter, value) in SETTINGS {
            // SAFETY: the function only sets a number that the allocator looks at, under its own lock.
            unsafe { mallopt(parameter, value) };
        }
    }
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
