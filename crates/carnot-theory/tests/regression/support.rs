//! Kernels and helpers that several tests share.

use carnot_math::random::Stream;

/// Standard normal numbers.
pub fn normals(count: usize, seed: u64) -> Vec<f64> {
    let mut out = vec![0.0; count];
    Stream::new(seed, "regression test", &[]).fill_normal(&mut out, 1.0);
    out
}

/// exp(−|x − x'|² / 2 length²) between two sets of points in `dimension` dimensions: `[first, second]`.
pub fn bells(first: &[f64], second: &[f64], dimension: usize, length: f64) -> Vec<f64> {
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>();
    first
        .chunks(dimension)
        .flat_map(|a| second.chunks(dimension).map(move |b| (-0.5 * distance(a, b) / length.powi(2)).exp()))
        .collect()
}

/// Largest difference between two slices.
pub fn furthest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

pub fn assert_close(what: &str, got: &[f64], expect: &[f64], tolerance: f64) {
    let off = furthest(got, expect);
    assert!(off <= tolerance, "{what}: off by {off:.2e}, allowed {tolerance:.1e}");
}

/// Rows and columns of a matrix with `width` columns.
pub fn block(a: &[f64], width: usize, rows: &[usize], columns: &[usize]) -> Vec<f64> {
    rows.iter().flat_map(|&i| columns.iter().map(move |&j| a[i * width + j])).collect()
}

/// Training and test points in three dimensions with the kernel between all of them.
pub struct Toy {
    pub train: usize,
    pub test: usize,
    /// K_AA, K_BA, K_BB.
    pub inner: Vec<f64>,
    pub cross: Vec<f64>,
    pub outer: Vec<f64>,
}

pub fn toy(train: usize, test: usize, length: f64, seed: u64) -> Toy {
    let (a, b) = (normals(3 * train, seed), normals(3 * test, seed + 1000));
    Toy {
        train,
        test,
        inner: bells(&a, &a, 3, length),
        cross: bells(&b, &a, 3, length),
        outer: bells(&b, &b, 3, length),
    }
}

impl Toy {
    /// Kernel over training, then test points.
    pub fn joint(&self) -> Vec<f64> {
        let (n, d) = (self.train, self.train + self.test);
        let entry = |i: usize, j: usize| match (i < n, j < n) {
            (true, true) => self.inner[i * n + j],
            (false, true) => self.cross[(i - n) * n + j],
            (true, false) => self.cross[(j - n) * n + i],
            (false, false) => self.outer[(i - n) * self.test + j - n],
        };
        (0..d * d).map(|at| entry(at / d, at % d)).collect()
    }
}
