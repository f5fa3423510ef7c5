//! Images whose every place holds [`LANES`] numbers side by side: sums over windows of places, for many images at once.

use super::multiversion;
use crate::scalar::Scalar;

/// Numbers side by side at one place: one AVX-512 register of single precision.
pub const LANES: usize = 16;

/// Which places of a line each place of another line adds up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taps {
    /// `[places + 1]`: where the taps of each place begin in `from`.
    pub starts: Vec<u32>,
    /// The places that are added up.
    pub from: Vec<u32>,
}

impl Taps {
    /// Places that are added up.
    #[must_use]
    pub fn of(&self, place: usize) -> &[u32] {
        &self.from[self.starts[place] as usize..self.starts[place + 1] as usize]
    }
}

/// What weights and a bias make of sums: K' = `shift` + `factor` ΣK and Θ' = `rate_shift` + `rate` ΣK + `factor` ΣΘ.
#[derive(Clone, Copy, Debug)]
pub struct Affine<S> {
    /// C_b.
    pub shift: S,
    /// C_W over the size of the window.
    pub factor: S,
    /// λ_b.
    pub rate_shift: S,
    /// λ_W over the size of the window.
    pub rate: S,
}

multiversion! {
    /// `dst` = sum of the rows of `src` with these numbers; a row is as long as `dst`.
    pub fn sum_rows<S: Scalar>(dst: &mut [S], src: &[S], rows: &[u32]) {
        let n = dst.len();
        let row = |at: u32| &src[at as usize * n..(at as usize + 1) * n];
        match *rows {
            [] => dst.fill(S::default()),
            [a] => dst.copy_from_slice(row(a)),
            [a, b, c] => {
                for (((d, x), y), z) in dst.iter_mut().zip(row(a)).zip(row(b)).zip(row(c)) {
                    *d = *x + *y + *z;
                }
            }
            [a, b, ref rest @ ..] => {
                for ((d, x), y) in dst.iter_mut().zip(row(a)).zip(row(b)) {
                    *d = *x + *y;
                }
                for &c in rest {
                    for (d, x) in dst.iter_mut().zip(row(c)) {
                        *d += *x;
                    }
                }
            }
        }
    }

    /// One line after weights: sums over windows of `sums` and `tangent_sums` (empty where Θ is not wanted), then [`Affine`].
    ///
    /// * `kernel`, `tangent`: `[places, LANES]`, overwritten
    pub fn weigh_windows<S: Scalar>(
        kernel: &mut [S],
        tangent: &mut [S],
        sums: &[S],
        tangent_sums: &[S],
        taps: &Taps,
        affine: Affine<S>,
    ) {
        let Affine { shift, factor, rate_shift, rate } = affine;
        if tangent.is_empty() {
            for (place, k) in kernel.chunks_exact_mut(LANES).enumerate() {
                let mut a = [S::default(); LANES];
                for &from in taps.of(place) {
                    let x = &sums[from as usize * LANES..(from as usize + 1) * LANES];
                    for l in 0..LANES {
                        a[l] += x[l];
                    }
                }
                for l in 0..LANES {
                    k[l] = shift + factor * a[l];
                }
            }
            return;
        }
        let both = kernel.chunks_exact_mut(LANES).zip(tangent.chunks_exact_mut(LANES));
        for (place, (k, t)) in both.enumerate() {
            let (mut a, mut b) = ([S::default(); LANES], [S::default(); LANES]);
            for &from in taps.of(place) {
                let range = from as usize * LANES..(from as usize + 1) * LANES;
                let (x, y) = (&sums[range.clone()], &tangent_sums[range]);
                for l in 0..LANES {
                    a[l] += x[l];
                    b[l] += y[l];
                }
            }
            for l in 0..LANES {
                k[l] = shift + factor * a[l];
                t[l] = rate_shift + rate * a[l] + factor * b[l];
            }
        }
    }

    /// Weights at every place by itself: [`Affine`] of each number.
    pub fn weigh_places<S: Scalar>(kernel: &mut [S], tangent: &mut [S], affine: Affine<S>) {
        let Affine { shift, factor, rate_shift, rate } = affine;
        for (t, k) in tangent.iter_mut().zip(kernel.iter()) {
            *t = rate_shift + rate * *k + factor * *t;
        }
        for k in kernel {
            *k = shift + factor * *k;
        }
    }

    /// `dst[place]` += Σ `share` · `src[from]` over the taps of each place, with one share per tap.
    pub fn add_windows<S: Scalar>(dst: &mut [S], src: &[S], taps: &Taps, shares: &[S]) {
        for (place, d) in dst.chunks_exact_mut(LANES).enumerate() {
            let mut a = [S::default(); LANES];
            for at in taps.starts[place] as usize..taps.starts[place + 1] as usize {
                let (from, share) = (taps.from[at] as usize, shares[at]);
                let x = &src[from * LANES..(from + 1) * LANES];
                for l in 0..LANES {
                    a[l] += share * x[l];
                }
            }
            for l in 0..LANES {
                d[l] += a[l];
            }
        }
    }

    /// `dst` = `factor` times the inner product over the channels of every place.
    ///
    /// * `a`, `b`: `[places, channels, LANES]`; `dst`: `[places, LANES]`
    pub fn dot_channels<S: Scalar>(dst: &mut [S], a: &[S], b: &[S], channels: usize, factor: S) {
        let row = channels * LANES;
        let sides = a.chunks_exact(row).zip(b.chunks_exact(row));
        for (d, (a, b)) in dst.chunks_exact_mut(LANES).zip(sides) {
            let mut sum = [S::default(); LANES];
            for (x, y) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
                for l in 0..LANES {
                    sum[l] += x[l] * y[l];
                }
            }
            for l in 0..LANES {
                d[l] = factor * sum[l];
            }
        }
    }

    /// `dst *= a b`, element by element.
    pub fn multiply_sides<S: Scalar>(dst: &mut [S], a: &[S], b: &[S]) {
        for ((d, x), y) in dst.iter_mut().zip(a).zip(b) {
            *d *= *x * *y;
        }
    }

    /// `dst = own · dst + other · src`.
    pub fn blend<S: Scalar>(dst: &mut [S], own: S, src: &[S], other: S) {
        for (d, s) in dst.iter_mut().zip(src) {
            *d = own * *d + other * *s;
        }
    }

    /// Sum over all places, lane by lane.
    pub fn sum_places<S: Scalar>(src: &[S]) -> [S; LANES] {
        let mut sum = [S::default(); LANES];
        for x in src.chunks_exact(LANES) {
            for l in 0..LANES {
                sum[l] += x[l];
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(values: &[f64]) -> Vec<f64> {
        values.iter().flat_map(|x| (0..LANES).map(move |l| x + l as f64)).collect()
    }

    #[test]
    fn windows_add_up_what_their_taps_say() {
        let taps = Taps { starts: vec![0, 2, 2, 5], from: vec![0, 1, 0, 1, 2] };
        let src = lanes(&[1.0, 10.0, 100.0]);
        let affine = Affine { shift: 0.5, factor: 2.0, rate_shift: 0.25, rate: 3.0 };
        let (mut kernel, mut tangent) = (vec![0.0; 3 * LANES], vec![0.0; 3 * LANES]);
        weigh_windows(&mut kernel, &mut tangent, &src, &src, &taps, affine);
        assert_eq!([kernel[0], kernel[LANES], kernel[2 * LANES + 1]], [22.5, 0.5, 228.5]);
        assert_eq!([tangent[0], tangent[LANES], tangent[2 * LANES + 1]], [55.25, 0.25, 570.25]);
        let mut alone = vec![0.0; 3 * LANES];
        weigh_windows(&mut alone, &mut [], &src, &[], &taps, affine);
        assert_eq!(alone, kernel);
        add_windows(&mut alone, &src, &taps, &[1.0, 0.5, 1.0, 1.0, 1.0]);
        assert_eq!([alone[0], alone[LANES]], [28.5, 0.5]);
    }

    #[test]
    fn rows_are_added_however_many_there_are() {
        let src: Vec<f64> = (0..12).map(f64::from).collect();
        for rows in [&[][..], &[1], &[0, 2], &[0, 1, 2], &[3, 2, 1, 0]] {
            let mut dst = [9.0; 3];
            sum_rows(&mut dst, &src, rows);
            let expect: f64 = rows.iter().map(|row| f64::from(3 * row + 1)).sum();
            assert_eq!(dst[1], expect);
        }
    }

    #[test]
    fn channels_are_multiplied_lane_by_lane() {
        let (a, b) = (lanes(&[1.0, 2.0]), lanes(&[3.0, 4.0]));
        let mut dst = vec![0.0; LANES];
        dot_channels(&mut dst, &a, &b, 2, 0.5);
        assert_eq!(dst[1], 0.5 * (2.0 * 4.0 + 3.0 * 5.0));
        assert_eq!(sum_places(&a)[2], 3.0 + 4.0);
        multiply_sides(&mut dst, &a[..LANES], &b[..LANES]);
        assert_eq!(dst[0], 0.5 * 11.0 * 3.0);
        blend(&mut dst, 2.0, &a[..LANES], 1.0);
        assert_eq!(dst[0], 34.0);
        weigh_places(&mut dst, &mut [], Affine { shift: 1.0, factor: 2.0, rate_shift: 0.0, rate: 0.0 });
        assert_eq!(dst[0], 69.0);
    }
}
