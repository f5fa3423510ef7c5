//! One number in, one number out.

use super::multiversion;
use crate::scalar::Scalar;

multiversion! {
    /// `dst += src`, element by element.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn add_assign<S: Scalar>(dst: &mut [S], src: &[S]) {
        assert_eq!(dst.len(), src.len(), "adding {} numbers to {}", src.len(), dst.len());
        for (d, s) in dst.iter_mut().zip(src) {
            *d += *s;
        }
    }

    /// `dst *= factor`.
    pub fn scale<S: Scalar>(dst: &mut [S], factor: S) {
        for d in dst {
            *d *= factor;
        }
    }

    /// `dst *= src`, element by element: a gradient times the slope of the activation. Products below
    /// [`Scalar::NEGLIGIBLE`] become zero.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn multiply_assign<S: Scalar>(dst: &mut [S], src: &[S]) {
        assert_eq!(dst.len(), src.len(), "multiplying {} numbers by {}", dst.len(), src.len());
        for (d, s) in dst.iter_mut().zip(src) {
            *d = (*d * *s).flushed();
        }
    }

    /// `dst += alpha src`.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn axpy<S: Scalar>(dst: &mut [S], alpha: S, src: &[S]) {
        assert_eq!(dst.len(), src.len(), "adding {} numbers to {}", src.len(), dst.len());
        for (d, s) in dst.iter_mut().zip(src) {
            *d += alpha * *s;
        }
    }

    /// Adds the bias to every row.
    ///
    /// * `dst`: `[rows, n]`, row-major
    /// * `bias`: `[n]`
    ///
    /// # Panics
    /// When the length of `dst` is not a multiple of that of the bias.
    pub fn bias_rows<S: Scalar>(dst: &mut [S], bias: &[S]) {
        assert!(dst.is_empty() || (!bias.is_empty() && dst.len().is_multiple_of(bias.len())),
            "a bias of {} numbers for {}", bias.len(), dst.len());
        for row in dst.chunks_exact_mut(bias.len().max(1)) {
            for (d, b) in row.iter_mut().zip(bias) {
                *d += *b;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn random<S: Scalar>(n: usize, at: u64) -> Vec<S> {
        let mut out = vec![S::default(); n];
        Stream::new(4, "elementwise test", &[at]).fill_normal(&mut out, 1.0);
        out
    }

    /// Runs a kernel from every offset, so that a dependence on alignment would show, against the plain formula.
    fn check<S: Scalar>(name: &str, kernel: fn(&mut [S], &[S]), plain: fn(S, S) -> S) {
        let (dst, src) = (random::<S>(300, 0), random::<S>(300, 1));
        for (start, n) in [(0, 0), (0, 1), (1, 7), (3, 64), (5, 100), (0, 257)] {
            let mut got = dst.clone();
            kernel(&mut got[start..start + n], &src[start..start + n]);
            for i in 0..300 {
                let inside = (start..start + n).contains(&i);
                let expect = if inside { plain(dst[i], src[i]) } else { dst[i] };
                assert_eq!(got[i], expect, "{name} {} at {i} of [{start}, {n}]", S::NAME);
            }
        }
    }

    fn check_all<S: Scalar>() {
        check::<S>("add", add_assign, |d, s| d + s);
        check::<S>("multiply", multiply_assign, |d, s| d * s);
        check::<S>("axpy", |d, s| axpy(d, S::from_f64(0.3), s), |d, s| d + S::from_f64(0.3) * s);
        check::<S>("scale", |d, _| scale(d, S::from_f64(-1.7)), |d, _| d * S::from_f64(-1.7));
    }

    #[test]
    fn kernels_give_the_bits_of_plain_loops() {
        check_all::<f32>();
        check_all::<f64>();
    }

    #[test]
    fn every_row_gets_the_bias() {
        let (mut dst, bias) = (random::<f32>(7 * 33, 0), random::<f32>(33, 1));
        let before = dst.clone();
        bias_rows(&mut dst, &bias);
        for i in 0..dst.len() {
            assert_eq!(dst[i], before[i] + bias[i % 33]);
        }
        bias_rows::<f32>(&mut [], &[]);
    }

    #[test]
    #[should_panic(expected = "adding 2 numbers to 3")]
    fn lengths_that_differ_are_named() {
        add_assign(&mut [0f32; 3], &[0.0; 2]);
    }
}
