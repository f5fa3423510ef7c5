//! Products of single-precision matrices that are narrow, as in training small networks: without packing.
//!
//! A general product copies both factors into panels before it multiplies, and rounds every edge up to its tile. For a few thousand rows
//! of 100 numbers both cost a third of the time. Here the factors are read where they lie: rows of the right factor are vectors, the
//! left factor's numbers are broadcast, and the last few columns are computed in a register of their own width.
//!
//! Every entry is one chain of fused multiply-adds over [`DEPTH`] terms at a time, in order, whatever the other sizes: so a product done
//! in blocks of rows has the bits of the whole.

use super::product::{Start, View};

/// Terms that are added up in registers before they go to memory: with [`PANEL`] columns, 24 KiB of the right factor, which stay in
/// the first-level cache.
const DEPTH: usize = 128;

/// `dst = start + a b`, where this processor and these shapes are what this module is for; false, and nothing done, otherwise.
///
/// * `dst`: `[m, n]`; `a`: `[m, k]`, `b`: `[k, n]`, each optionally transposed
/// * `ahead`: what is needed next; comes nearer meanwhile
pub(super) fn multiply(
    dst: &mut [f32],
    a: View<f32>,
    b: View<f32>,
    start: Start<f32>,
    ahead: &[&[f32]],
) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let ([m, k], [_, n]) = (a.shape(), b.shape());
        if !suits([m, k, n], b.is_transposed()) || super::elementary::level() < 2 {
            return false;
        }
        if b.is_transposed() {
            return TRANSPOSED.with_borrow_mut(|room| {
                room.resize(k * n, 0.0);
                super::cpu::transpose(room, b.data(), k);
                // SAFETY: AVX-512 was detected.
                unsafe { wide::multiply(dst, a, room, n, start, ahead) };
                true
            });
        }
        // SAFETY: AVX-512 was detected.
        unsafe { wide::multiply(dst, a, b.data(), n, start, ahead) };
        true
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (dst, a, b, start, ahead);
        false
    }
}

/// Where a general product is slower (measured on an AMD EPYC of the fourth generation; `benches/product.rs`): the right factor is read
/// again for every block of rows, so it or the number of rows must be small; and transposing it must be little beside the product.
#[cfg(target_arch = "x86_64")]
fn suits([m, k, n]: [usize; 3], is_transposed: bool) -> bool {
    let is_narrow = (4..=128).contains(&n) && m >= 4 && k >= 4;
    let is_near = m <= 2 * wide::ROWS || k * n <= 1 << 16;
    is_narrow && is_near && (!is_transposed || m >= 512)
}

#[cfg(target_arch = "x86_64")]
thread_local! {
    /// Room for a right factor that comes transposed.
    static TRANSPOSED: std::cell::RefCell<Vec<f32>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{DEPTH, Start, View};
    use std::arch::x86_64::*;

    /// Rows that go over the right factor together: their part of the left factor stays in the second-level cache.
    pub(super) const ROWS: usize = 192;
    /// Most vectors of 16 columns in a panel.
    const VECTORS: usize = 3;
    /// Most rows of a tile: six times three vectors are the accumulators, and one more each where a panel has a tail.
    const TILE: usize = 6;

    /// A tile's place: destination, left factor and right factor, with their strides.
    #[derive(Clone, Copy)]
    struct Place {
        c: *mut f32,
        a: *const f32,
        b: *const f32,
        /// Between rows of `c`, which are those of `b`.
        width: usize,
        /// Between rows and between columns of `a`.
        strides: [usize; 2],
        depth: usize,
        /// Null: the tile starts from zero. `c` itself, or a row with the stride 0.
        from: *const f32,
        from_stride: usize,
        /// Lanes of the tail.
        lanes: u16,
    }

    /// `dst = start + a b`.
    ///
    /// SAFETY: the processor must have AVX-512. Shapes are checked here.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
    pub(super) fn multiply(
        dst: &mut [f32],
        a: View<f32>,
        b: &[f32],
        n: usize,
        start: Start<f32>,
        ahead: &[&[f32]],
    ) {
        let [m, k] = a.shape();
        assert!(dst.len() == m * n && b.len() == k * n && a.data().len() == m * k, "sizes of a product");
        let strides = if a.is_transposed() { [1, m] } else { [k, 1] };
        let tiles = m.div_ceil(TILE) * panels(n).count() * k.div_ceil(DEPTH);
        let mut ahead = Ahead::new(ahead, tiles);
        for row in (0..m).step_by(ROWS) {
            let rows = ROWS.min(m - row);
            for term in (0..k).step_by(DEPTH) {
                for (column, width) in panels(n) {
                    let at = row * n + column;
                    // SAFETY: row < m, column < n, term < k: all three lie inside their slices, and so does all that a tile of these
                    // sizes reaches.
                    let place = unsafe {
                        let c = dst.as_mut_ptr().add(at);
                        let (from, from_stride) = match start {
                            _ if term > 0 => (c.cast_const(), n),
                            Start::Nothing => (std::ptr::null(), 0),
                            Start::Itself => (c.cast_const(), n),
                            Start::Row(own) => (own[column..column + width].as_ptr(), 0),
                        };
                        Place {
                            c,
                            a: a.data().as_ptr().add(row * strides[0] + term * strides[1]),
                            b: b.as_ptr().add(term * n + column),
                            width: n,
                            strides,
                            depth: DEPTH.min(k - term),
                            from,
                            from_stride,
                            lanes: ((1u32 << (width % 16)) - 1) as u16,
                        }
                    };
                    // SAFETY: as above.
                    unsafe { panel(place, rows, width, &mut ahead) };
                }
            }
        }
    }

    /// Numbers that come nearer, so many cache lines with every tile.
    struct Ahead<'a> {
        slices: &'a [&'a [f32]],
        /// The next line of the first slice.
        next: usize,
        /// Lines with every tile.
        at_once: usize,
    }

    /// Numbers of a cache line.
    const LINE: usize = 16;

    impl<'a> Ahead<'a> {
        fn new(slices: &'a [&'a [f32]], tiles: usize) -> Ahead<'a> {
            let lines: usize = slices.iter().map(|slice| slice.len().div_ceil(LINE)).sum();
            Ahead { slices, next: 0, at_once: lines.div_ceil(tiles.max(1)) }
        }

        #[inline]
        fn fetch(&mut self) {
            let mut left = self.at_once;
            while let (Some(slice), true) = (self.slices.first(), left > 0) {
                let to = (self.next + left * LINE).min(slice.len());
                left -= (to - self.next).div_ceil(LINE);
                for at in (self.next..to).step_by(LINE) {
                    // SAFETY: inside the slice; and nothing is read.
                    unsafe { _mm_prefetch::<_MM_HINT_T1>(slice.as_ptr().add(at).cast()) };
                }
                self.next = to;
                if to == slice.len() {
                    (self.slices, self.next) = (&self.slices[1..], 0);
                }
            }
        }
    }

    /// Columns cut into panels of at most [`VECTORS`] vectors, and a tail with the last of them: (first column, columns).
    fn panels(n: usize) -> impl Iterator<Item = (usize, usize)> {
        let vectors = n / 16;
        let count = vectors.div_ceil(VECTORS).max(1);
        (0..count).map(move |i| {
            let from = i * vectors / count * 16;
            let to = if i + 1 == count { n } else { (i + 1) * vectors / count * 16 };
            (from, to - from)
        })
    }

    /// All tiles of a panel.
    ///
    /// SAFETY: `rows` rows and `columns` columns from `place` on must lie inside the matrices.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
    unsafe fn panel(place: Place, rows: usize, columns: usize, ahead: &mut Ahead) {
        let tiles = rows.div_ceil(TILE);
        for i in 0..tiles {
            // As even as can be: 100 rows are fifteen tiles of six and two of five.
            let (from, to) = (i * rows / tiles, (i + 1) * rows / tiles);
            ahead.fetch();
            // SAFETY: from < to ≤ rows.
            unsafe {
                let own = Place {
                    c: place.c.add(from * place.width),
                    a: place.a.add(from * place.strides[0]),
                    from: place.from.wrapping_add(from * place.from_stride),
                    ..place
                };
                match to - from {
                    1 => columns_of::<1>(own, columns),
                    2 => columns_of::<2>(own, columns),
                    3 => columns_of::<3>(own, columns),
                    4 => columns_of::<4>(own, columns),
                    5 => columns_of::<5>(own, columns),
                    _ => columns_of::<6>(own, columns),
                }
            }
        }
    }

    /// SAFETY: as [`panel`], for R rows.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
    unsafe fn columns_of<const R: usize>(place: Place, columns: usize) {
        // SAFETY: handed on.
        unsafe {
            match (columns / 16, columns % 16) {
                (1, 0) => tile::<R, 1, 0>(place),
                (2, 0) => tile::<R, 2, 0>(place),
                (3, 0) => tile::<R, 3, 0>(place),
                (0, 1..=4) => tile::<R, 0, 4>(place),
                (1, 1..=4) => tile::<R, 1, 4>(place),
                (2, 1..=4) => tile::<R, 2, 4>(place),
                (3, 1..=4) => tile::<R, 3, 4>(place),
                (0, _) => tile::<R, 0, 16>(place),
                (1, _) => tile::<R, 1, 16>(place),
                (2, _) => tile::<R, 2, 16>(place),
                _ => tile::<R, 3, 16>(place),
            }
        }
    }

    /// R rows by F vectors, and a tail in a register of T lanes (0: none).
    ///
    /// SAFETY: as [`panel`], for R rows and 16 F columns and those of the tail.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
    unsafe fn tile<const R: usize, const F: usize, const T: usize>(place: Place) {
        let Place { c, a, b, width, strides: [down, along], depth, from, from_stride, lanes } = place;
        let few = lanes as u8;
        let mut sums = [[_mm512_setzero_ps(); F]; R];
        let mut rest = [_mm512_setzero_ps(); R];
        let mut short = [_mm_setzero_ps(); R];
        // SAFETY: see above; masked lanes are never touched.
        unsafe {
            if !from.is_null() {
                for r in 0..R {
                    let row = from.add(r * from_stride);
                    for j in 0..F {
                        sums[r][j] = _mm512_loadu_ps(row.add(16 * j));
                    }
                    match T {
                        0 => {}
                        4 => short[r] = _mm_maskz_loadu_ps(few, row.add(16 * F)),
                        _ => rest[r] = _mm512_maskz_loadu_ps(lanes, row.add(16 * F)),
                    }
                }
            }
            for p in 0..depth {
                let (own, row) = (a.add(p * along), b.add(p * width));
                let vectors: [__m512; F] = std::array::from_fn(|j| _mm512_loadu_ps(row.add(16 * j)));
                let (mut last, mut few_last) = (_mm512_setzero_ps(), _mm_setzero_ps());
                match T {
                    0 => {}
                    4 => few_last = _mm_maskz_loadu_ps(few, row.add(16 * F)),
                    _ => last = _mm512_maskz_loadu_ps(lanes, row.add(16 * F)),
                }
                for r in 0..R {
                    let x = _mm512_set1_ps(*own.add(r * down));
                    for j in 0..F {
                        sums[r][j] = _mm512_fmadd_ps(x, vectors[j], sums[r][j]);
                    }
                    match T {
                        0 => {}
                        4 => short[r] = _mm_fmadd_ps(_mm512_castps512_ps128(x), few_last, short[r]),
                        _ => rest[r] = _mm512_fmadd_ps(x, last, rest[r]),
                    }
                }
            }
            for r in 0..R {
                let row = c.add(r * width);
                for j in 0..F {
                    _mm512_storeu_ps(row.add(16 * j), sums[r][j]);
                }
                match T {
                    0 => {}
                    4 => _mm_mask_storeu_ps(row.add(16 * F), few, short[r]),
                    _ => _mm512_mask_storeu_ps(row.add(16 * F), lanes, rest[r]),
                }
            }
        }
    }
}
