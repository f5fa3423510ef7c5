//! How alike two Gram matrices of the same rows are, with what leaving out a tenth of the rows does to it.

/// Groups that are left out in turns.
const GROUPS: usize = 10;

/// Off-diagonal sums of one Gram matrix, kept so that it can be compared with several others.
#[derive(Clone, Debug)]
pub struct Sums {
    /// Σ_j k_ij over j ≠ i in each group, `[n]`.
    rows: Vec<[f64; GROUPS]>,
    /// Σ k_ij² over i in one group and j ≠ i in another.
    squares: [[f64; GROUPS]; GROUPS],
}

impl Sums {
    /// Of a matrix `[n, n]`.
    #[must_use]
    pub fn of(matrix: &[f64], n: usize) -> Sums {
        let row = |(i, row): (usize, &[f64])| {
            let mut sums = [0.0; GROUPS];
            let (whole, rest) = row.as_chunks::<GROUPS>();
            whole.iter().for_each(|part| (0..GROUPS).for_each(|g| sums[g] += part[g]));
            rest.iter().enumerate().for_each(|(g, x)| sums[g] += x);
            sums[i % GROUPS] -= row[i];
            sums
        };
        let rows = matrix.chunks_exact(n).enumerate().map(row).collect();
        Sums { rows, squares: products(matrix, matrix, n) }
    }
}

/// Σ k_ij l_ij over i in one group and j ≠ i in another.
fn products(k: &[f64], l: &[f64], n: usize) -> [[f64; GROUPS]; GROUPS] {
    let mut sums = [[0.0; GROUPS]; GROUPS];
    for (i, (k, l)) in k.chunks_exact(n).zip(l.chunks_exact(n)).enumerate() {
        let mut own = [0.0; GROUPS];
        let ((wk, rk), (wl, rl)) = (k.as_chunks::<GROUPS>(), l.as_chunks::<GROUPS>());
        wk.iter().zip(wl).for_each(|(k, l)| (0..GROUPS).for_each(|g| own[g] += k[g] * l[g]));
        rk.iter().zip(rl).enumerate().for_each(|(g, (k, l))| own[g] += k * l);
        own[i % GROUPS] -= k[i] * l[i];
        (0..GROUPS).for_each(|g| sums[i % GROUPS][g] += own[g]);
    }
    sums
}

/// Linear CKA of two Gram matrices of the same rows, from the unbiased estimates of their dependence, and its standard error.
///
/// $$ \mathrm{HSIC} = \frac{1}{n(n-3)}\Big[\mathrm{tr}(\tilde K\tilde L) + \frac{1^\top\tilde K 1\,1^\top\tilde L 1}{(n-1)(n-2)}
/// - \frac{2}{n-2}1^\top\tilde K\tilde L 1\Big] $$
///
/// with the diagonals of K and L set to zero; CKA = HSIC(K, L)/√(HSIC(K, K) HSIC(L, L)). The plain estimate tends to 1 for any
/// two layers that are wider than there are samples. The error is that of a jackknife over ten groups of rows,
///
/// $$ \hat s^2 = \frac{g-1}{g}\sum_j (\theta_{(j)} - \bar\theta)^2 $$
///
/// * `k`, `l`: `[n, n]`, symmetric, with their [`Sums`]
/// * returns: between about 0 and 1, with an error that is NaN below 20 rows; `None` below four rows, or where one of the two has no
///   structure
///
/// Source: Song et al., JMLR 13 (2012), eq. 5; Kornblith et al., arXiv:1905.00414; Nguyen et al., arXiv:2010.15327; Efron,
/// Tibshirani, *An Introduction to the Bootstrap*, ch. 11.
#[must_use]
pub fn alignment(k: (&[f64], &Sums), l: (&[f64], &Sums), n: usize) -> Option<(f64, f64)> {
    let both = products(k.0, l.0, n);
    let of = |left_out: Option<usize>| {
        let kl = dependence(&both, (k.1, l.1), n, left_out)?;
        let kk = dependence(&k.1.squares, (k.1, k.1), n, left_out)?;
        let ll = dependence(&l.1.squares, (l.1, l.1), n, left_out)?;
        (kk > 0.0 && ll > 0.0).then(|| kl / (kk * ll).sqrt())
    };
    let parts: Option<Vec<f64>> = (0..GROUPS).map(|group| of(Some(group))).collect();
    let error = match parts {
        Some(parts) if n >= 2 * GROUPS => {
            let mean = parts.iter().sum::<f64>() / GROUPS as f64;
            let squares: f64 = parts.iter().map(|part| (part - mean).powi(2)).sum();
            ((GROUPS - 1) as f64 / GROUPS as f64 * squares).sqrt()
        }
        _ => f64::NAN,
    };
    Some((of(None)?, error))
}

fn dependence(
    products: &[[f64; GROUPS]; GROUPS],
    (k, l): (&Sums, &Sums),
    all: usize,
    left_out: Option<usize>,
) -> Option<f64> {
    let is_in = |group: usize| Some(group) != left_out;
    let n = (0..all).filter(|i| is_in(i % GROUPS)).count() as f64;
    if n < 4.0 {
        return None;
    }
    let groups = || (0..GROUPS).filter(|&group| is_in(group));
    let trace: f64 = groups().map(|a| groups().map(|b| products[a][b]).sum::<f64>()).sum();
    let (mut of_k, mut of_l, mut mixed) = (0.0, 0.0, 0.0);
    for i in (0..all).filter(|i| is_in(i % GROUPS)) {
        let sum = |sums: &Sums| match left_out {
            None => sums.rows[i].iter().sum::<f64>(),
            Some(group) => sums.rows[i].iter().sum::<f64>() - sums.rows[i][group],
        };
        let (row_k, row_l) = (sum(k), sum(l));
        of_k += row_k;
        of_l += row_l;
        mixed += row_k * row_l;
    }
    let totals = of_k * of_l / ((n - 1.0) * (n - 2.0));
    Some((trace + totals - 2.0 / (n - 2.0) * mixed) / (n * (n - 3.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::random::Stream;

    /// As the formula is written.
    fn plain(k: &[f64], l: &[f64], keep: &[usize], all: usize) -> f64 {
        let n = keep.len() as f64;
        let at = |m: &[f64], i: usize, j: usize| if i == j { 0.0 } else { m[i * all + j] };
        let hsic = |k: &[f64], l: &[f64]| {
            let sum = |m: &[f64], i: usize| keep.iter().map(|&j| at(m, i, j)).sum::<f64>();
            let trace: f64 =
                keep.iter().flat_map(|&i| keep.iter().map(move |&j| at(k, i, j) * at(l, i, j))).sum();
            let (a, b): (f64, f64) =
                (keep.iter().map(|&i| sum(k, i)).sum(), keep.iter().map(|&i| sum(l, i)).sum());
            let mixed: f64 = keep.iter().map(|&i| sum(k, i) * sum(l, i)).sum();
            (trace + a * b / ((n - 1.0) * (n - 2.0)) - 2.0 / (n - 2.0) * mixed) / (n * (n - 3.0))
        };
        hsic(k, l) / (hsic(k, k) * hsic(l, l)).sqrt()
    }

    #[test]
    fn the_fast_alignment_is_the_formula_and_its_error_the_jackknife() {
        for n in [4, 19, 20, 47] {
            let gram = |at: u64| {
                let mut x = vec![0.0; n * 7];
                Stream::new(3, "align test", &[at]).fill_normal(&mut x, 1.0);
                let dot = |i: usize, j: usize| (0..7).map(|u| x[i * 7 + u] * x[j * 7 + u]).sum::<f64>();
                (0..n * n).map(|at| dot(at / n, at % n)).collect::<Vec<f64>>()
            };
            let (k, mut l) = (gram(0), gram(1));
            l.iter_mut().zip(&k).for_each(|(l, k)| *l += 2.0 * k);
            let (value, error) = alignment((&k, &Sums::of(&k, n)), (&l, &Sums::of(&l, n)), n).unwrap();
            let all: Vec<usize> = (0..n).collect();
            let expect = plain(&k, &l, &all, n);
            assert!((value - expect).abs() < 1e-12, "{n}: {value} {expect}");
            assert_eq!(error.is_nan(), n < 20);
            if n >= 20 {
                let part = |g: usize| -> Vec<usize> { all.iter().copied().filter(|i| i % 10 != g).collect() };
                let parts: Vec<f64> = (0..10).map(|g| plain(&k, &l, &part(g), n)).collect();
                let mean = parts.iter().sum::<f64>() / 10.0;
                let expect = (0.9 * parts.iter().map(|x| (x - mean).powi(2)).sum::<f64>()).sqrt();
                assert!((error - expect).abs() < 1e-10, "{n}: {error} {expect}");
            }
        }
    }
}
