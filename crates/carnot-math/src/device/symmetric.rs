//! A symmetric matrix in tiles, and the one pass over it of which Householder's reduction to three diagonals consists.
//!
//! Four rows of eight columns lie together, row by row; only tiles that touch the lower triangle are used, and those on the diagonal are
//! whole, both halves alike.
#![allow(unsafe_code)]

use super::wide::{Loop, Real, widest};

/// Rows of a tile.
const ROWS: usize = 4;

/// Columns of a tile: numbers in a vector of the widest instructions.
pub(crate) const WIDTH: usize = 8;

/// Numbers in a tile.
const TILE: usize = ROWS * WIDTH;

/// Where a number lies among the tiles of a matrix of `side` rows, a multiple of eight.
#[inline(always)]
pub(crate) fn place(side: usize, row: usize, column: usize) -> usize {
    row / ROWS * ROWS * side + column / WIDTH * TILE + row % ROWS * WIDTH + column % WIDTH
}

/// Vectors of a pass, `[side]` each.
#[derive(Clone, Copy)]
pub(crate) struct Vectors<'a> {
    /// With `v`: what is taken from the matrix.
    pub(crate) u: &'a [f64],
    /// As `u`.
    pub(crate) v: &'a [f64],
    /// What it is multiplied by.
    pub(crate) x: &'a [f64],
}

/// Applies A ← A − u vᵀ − v uᵀ to the leading m rows and sets y = A x: 4 multiplications and additions for each number of the triangle,
/// which is read and written once.
///
/// * `tiles`: A, `[side, side]`; `y`: `[side]`. Where the leading rows end, the vectors are zero and y has no meaning.
///
/// # Panics
/// When the lengths do not fit each other.
pub(crate) fn update_and_multiply(tiles: &mut [f64], m: usize, vectors: Vectors<'_>, y: &mut [f64]) {
    let side = y.len();
    assert!(side.is_multiple_of(WIDTH) && m <= side && tiles.len() == side * side, "tiles of {side} rows");
    let Vectors { u, v, x } = vectors;
    assert!([u, v, x].iter().all(|vector| vector.len() == side), "vectors of {side} numbers");
    #[cfg(target_arch = "x86_64")]
    if super::elementary::level() == 2 {
        // SAFETY: the features were detected on this processor; the lengths are those asked for.
        return unsafe { wide::update_and_multiply(tiles, m, vectors, y) };
    }
    widest(Pass { m, vectors }, tiles, y, &mut []);
}

/// The pass for processors without AVX-512.
struct Pass<'a> {
    m: usize,
    vectors: Vectors<'a>,
}

impl Loop<f64> for Pass<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, tiles: &mut [f64], y: &mut [f64], _: &mut [f64]) {
        let Vectors { u, v, x } = self.vectors;
        let side = y.len();
        y.fill(0.0);
        for first in (0..self.m).step_by(ROWS) {
            let width = first / WIDTH * WIDTH;
            let strip = &mut tiles[first * side..][..ROWS * (width + WIDTH)];
            let mut sums = [0.0; TILE];
            for (at, tile) in strip.chunks_exact_mut(TILE).enumerate() {
                let columns = WIDTH * at..WIDTH * (at + 1);
                let (u_here, v_here, x_here) =
                    (&u[columns.clone()], &v[columns.clone()], &x[columns.clone()]);
                let y = &mut y[columns];
                for row in 0..ROWS {
                    // The tile on the diagonal has both halves: what it adds to other rows comes from them.
                    let (u, v) = (u[first + row], v[first + row]);
                    let own = if WIDTH * at < width { x[first + row] } else { 0.0 };
                    for lane in 0..WIDTH {
                        let place = WIDTH * row + lane;
                        let update = f64::mad::<FMA>(-v, u_here[lane], tile[place]);
                        tile[place] = f64::mad::<FMA>(-u, v_here[lane], update);
                        y[lane] = f64::mad::<FMA>(tile[place], own, y[lane]);
                        sums[place] = f64::mad::<FMA>(tile[place], x_here[lane], sums[place]);
                    }
                }
            }
            for row in 0..ROWS {
                y[first + row] += sums[WIDTH * row..][..WIDTH].iter().sum::<f64>();
            }
        }
    }
}

/// The pass with vectors of eight numbers, spelled out: left to itself, the compiler takes the sums apart and puts them together again for
/// every tile.
#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{ROWS, TILE, Vectors, WIDTH};
    use std::arch::x86_64::{
        __m512d, _mm512_fmadd_pd, _mm512_fnmadd_pd, _mm512_loadu_pd, _mm512_reduce_add_pd, _mm512_set1_pd,
        _mm512_setzero_pd, _mm512_storeu_pd,
    };

    /// SAFETY: the features must be there; `tiles` holds `[side, side]` numbers and every vector `side`, at least m and a multiple of eight.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    pub(super) unsafe fn update_and_multiply(
        tiles: &mut [f64],
        m: usize,
        vectors: Vectors<'_>,
        y: &mut [f64],
    ) {
        let side = y.len();
        y.fill(0.0);
        for first in (0..m).step_by(ROWS) {
            let width = first / WIDTH * WIDTH;
            let strip = &mut tiles[first * side..][..ROWS * (width + WIDTH)];
            // SAFETY: the strip ends with the tile on the diagonal, at column `width`, which is below `side`.
            let sums = unsafe { strip_of(strip, first, vectors, y) };
            (0..ROWS).for_each(|row| y[first + row] += sums[row]);
        }
    }

    /// SAFETY: the features must be there; `strip` holds whole tiles, of columns that the vectors and y have.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    unsafe fn strip_of(strip: &mut [f64], first: usize, vectors: Vectors<'_>, y: &mut [f64]) -> [f64; ROWS] {
        let of = |vector: &[f64], row: usize| _mm512_set1_pd(vector[first + row]);
        let all = |vector: &[f64]| -> [__m512d; ROWS] {
            [of(vector, 0), of(vector, 1), of(vector, 2), of(vector, 3)]
        };
        let (of_u, of_v, of_x) = (all(vectors.u), all(vectors.v), all(vectors.x));
        let mut sums = [_mm512_setzero_pd(); ROWS];
        let last = strip.len() / TILE - 1;
        for at in 0..=last {
            let column = WIDTH * at;
            // SAFETY: the tile and eight numbers of each vector are there, says the caller.
            unsafe {
                let load = |vector: &[f64]| _mm512_loadu_pd(vector.as_ptr().add(column));
                let (u, v, x) = (load(vectors.u), load(vectors.v), load(vectors.x));
                let mut added = load(y);
                let tile = strip.as_mut_ptr().add(TILE * at);
                for row in 0..ROWS {
                    let place = tile.add(WIDTH * row);
                    let update = _mm512_fnmadd_pd(of_v[row], u, _mm512_loadu_pd(place));
                    let entry = _mm512_fnmadd_pd(of_u[row], v, update);
                    _mm512_storeu_pd(place, entry);
                    sums[row] = _mm512_fmadd_pd(entry, x, sums[row]);
                    added = _mm512_fmadd_pd(entry, of_x[row], added);
                }
                // The tile on the diagonal has both halves: what it adds to other rows comes from them.
                if at < last {
                    _mm512_storeu_pd(y.as_mut_ptr().add(column), added);
                }
            }
        }
        [
            _mm512_reduce_add_pd(sums[0]),
            _mm512_reduce_add_pd(sums[1]),
            _mm512_reduce_add_pd(sums[2]),
            _mm512_reduce_add_pd(sums[3]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn both_ways_of_a_pass_are_the_formula() {
        for (side, m) in [(8, 3), (8, 8), (16, 9), (40, 37), (64, 64)] {
            let mut draws = vec![0.0; side * side + 3 * side];
            Stream::new(1, "pass", &[m as u64]).fill_normal(&mut draws, 1.0);
            let (entries, vectors) = draws.split_at_mut(side * side);
            vectors.chunks_mut(side).for_each(|vector| vector[m..].fill(0.0));
            let [u, v, x] = [0, 1, 2].map(|number| &vectors[number * side..][..side]);
            let entry = |i: usize, j: usize| entries[i.max(j) * side + i.min(j)];
            let mut tiles = vec![0.0; side * side];
            (0..side * side)
                .for_each(|at| tiles[place(side, at / side, at % side)] = entry(at / side, at % side));
            let updated = |i: usize, j: usize| entry(i, j) - u[i] * v[j] - v[i] * u[j];
            let (mut plain, mut of_plain) = (tiles.clone(), vec![0.0; side]);
            Pass { m, vectors: Vectors { u, v, x } }.run::<false>(&mut plain, &mut of_plain, &mut []);
            let mut y = vec![0.0; side];
            update_and_multiply(&mut tiles, m, Vectors { u, v, x }, &mut y);
            for i in 0..m {
                let expect: f64 = (0..m).map(|j| updated(i, j) * x[j]).sum();
                assert!(
                    (y[i] - expect).abs() < 1e-12 && (of_plain[i] - expect).abs() < 1e-12,
                    "row {i} of {m}"
                );
                for j in 0..=i {
                    let at = place(side, i, j);
                    assert!((tiles[at] - updated(i, j)).abs() < 1e-14 * 50.0, "{i}, {j} of {m}");
                    assert!((plain[at] - updated(i, j)).abs() < 1e-14 * 50.0, "{i}, {j} of {m}");
                }
            }
        }
    }
}
