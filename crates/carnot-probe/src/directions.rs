//! Rows against the means of their classes: what lies within a class, along the directions that separate the classes, and which
//! mean is nearest. Nothing of size width × width is made, and rows are worked on some columns at a time.

use carnot_math::device::{View, product, product_into};
use carnot_math::linalg;

use crate::lanes;
use crate::observables::Missing;
use crate::scatter::Classes;

/// Singular values below this share of the largest are noise, not directions.
const SMALLEST: f64 = 1e-10;
/// Columns worked on at a time; bounds the memory of wide rows.
const BLOCK: usize = 1024;

/// Means of classes and the arms m_c − m from the mean of everything to them.
pub struct Arms {
    /// Units.
    pub width: usize,
    /// m_c, `[classes, width]`.
    pub means: Vec<f64>,
    /// m_c − m, `[classes, width]`.
    pub arms: Vec<f64>,
    /// Samples of each class.
    pub counts: Vec<u64>,
}

impl Arms {
    /// Of classes, in the order of their labels.
    #[must_use]
    pub fn of(classes: &Classes) -> Arms {
        let (centre, width) = (classes.mean(), classes.width);
        let means: Vec<f64> =
            classes.by_label.values().flat_map(|class| class.mean.iter().copied()).collect();
        let arm = |mean: &[f64]| mean.iter().zip(&centre).map(|(m, c)| m - c).collect::<Vec<f64>>();
        let arms = means.chunks_exact(width).flat_map(arm).collect();
        Arms { width, means, arms, counts: classes.by_label.values().map(|class| class.count).collect() }
    }

    fn classes(&self) -> usize {
        self.counts.len()
    }

    /// Products of the arms with each other, `[classes, classes]`.
    fn products(&self) -> Vec<f64> {
        let mut products = vec![0.0; self.classes() * self.classes()];
        let arms = View::new(&self.arms, self.classes(), self.width);
        product(&mut products, arms, arms.transposed(), false);
        products
    }

    /// Do all classes have as many samples?
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.counts.windows(2).all(|pair| pair[0] == pair[1])
    }
}

/// Orthonormal directions u_j that span the class means, with the standard deviation σ_j of the means along them.
pub struct Directions {
    /// `[rank, width]`.
    pub vectors: Vec<f64>,
    /// σ_j, descending.
    pub sigma: Vec<f64>,
}

impl Directions {
    /// Thin singular value decomposition of the matrix with columns √(w_c) (m_c − m), where w_c is the share of a class
    /// (`balanced`: 1/K each) and m the mean of all samples.
    ///
    /// # Errors
    /// [`Missing::Merged`] when all class means are the same vector.
    pub fn of(arms: &Arms, balanced: bool) -> Result<Directions, Missing> {
        let (n, k, width) = (arms.counts.iter().sum::<u64>() as f64, arms.classes(), arms.width);
        let mut matrix = Vec::with_capacity(k * width);
        for (arm, &count) in arms.arms.chunks_exact(width).zip(&arms.counts) {
            let root = if balanced { 1.0 / k as f64 } else { count as f64 / n }.sqrt();
            matrix.extend(arm.iter().map(|arm| root * arm));
        }
        let svd = linalg::thin_svd(&matrix, k, width).map_err(|_| Missing::Range)?;
        let largest = svd.sigma.first().copied().unwrap_or(0.0);
        let centre = arms.means.iter().zip(&arms.arms).take(width).map(|(mean, arm)| mean - arm);
        let size = centre.map(|m| m * m).sum::<f64>().sqrt();
        if largest <= size * 1e-12 {
            return Err(Missing::Merged);
        }
        let rank = svd.sigma.iter().take_while(|&&s| s > SMALLEST * largest).count();
        Ok(Directions { vectors: svd.right[..rank * width].to_vec(), sigma: svd.sigma[..rank].to_vec() })
    }

    /// Number of directions.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.sigma.len()
    }
}

/// Rows with the place of the class of each.
pub struct Placed<'a> {
    /// `[width]` each.
    pub rows: Vec<&'a [f32]>,
    /// Place among the classes.
    pub class: Vec<usize>,
}

/// Rows compared with the means of the classes.
pub struct Compared {
    /// |h − m_c|².
    pub within: Vec<f64>,
    /// (h − m_c)·(m_c − m).
    pub mixed: Vec<f64>,
    /// The class whose mean is nearest.
    pub nearest: Vec<usize>,
    /// u_j·(h − m_c), `[rows, directions]`.
    pub along: Vec<f64>,
}

impl Placed<'_> {
    /// h − m_c for some columns, `[rows, columns]`, with |h − m_c|² and its product with the `arm` of its class over them.
    fn block<'b>(
        &self,
        (arms, start): (&Arms, usize),
        out: &mut [f64],
        arm: impl Fn(usize) -> &'b [f64],
        mut told: impl FnMut(usize, [f64; 2]),
    ) {
        let columns = out.len() / self.rows.len();
        for (at, out) in out.chunks_exact_mut(columns).enumerate() {
            let (row, class) = (self.rows[at], self.class[at]);
            let mean = &arms.means[class * arms.width + start..][..columns];
            told(at, lanes::centred(&row[start..][..columns], mean, arm(class), out));
        }
    }

    /// Compares the rows with the means of the classes, and takes their coordinates along directions `[directions, width]`.
    #[must_use]
    pub fn compare(&self, arms: &Arms, directions: &[f64]) -> Compared {
        let (n, k, width) = (self.rows.len(), arms.classes(), arms.width);
        let (mut within, mut mixed) = (vec![0.0; n], vec![0.0; n]);
        let lines: Vec<&[f64]> =
            arms.arms.chunks_exact(width).chain(directions.chunks_exact(width)).collect();
        let mut products = vec![0.0; n * lines.len()];
        for start in (0..width).step_by(BLOCK) {
            let columns = BLOCK.min(width - start);
            let mut block = vec![0.0; n * columns];
            let arm = |class: usize| &arms.arms[class * width + start..][..columns];
            self.block((arms, start), &mut block, arm, |at, [square, product]| {
                within[at] += square;
                mixed[at] += product;
            });
            let part: Vec<f64> =
                lines.iter().flat_map(|line| line[start..][..columns].iter().copied()).collect();
            let part = View::new(&part, lines.len(), columns).transposed();
            product_into(&mut products, View::new(&block, n, columns), part, 1.0, true);
        }
        let between = arms.products();
        let nearest = |(row, &own): (&[f64], &usize)| {
            // |h − m_c|² without what all classes share; h − m = (h − m_own) + (m_own − m).
            let distance = |c: usize| between[c * k + c] - 2.0 * (row[c] + between[own * k + c]);
            (0..k).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
        };
        let rows = || products.chunks_exact(lines.len());
        let nearest = rows().zip(&self.class).map(nearest).collect();
        Compared { within, mixed, nearest, along: rows().flat_map(|row| row[k..].iter().copied()).collect() }
    }

    /// For each row (h − m_c)·t_c with t_c = Σ_j weight_cj (S_W u_j less its part along the directions): how the directions turn.
    ///
    /// * `along`: `[rows, rank]`; `inside`: u_j·S_W u_k, `[rank, rank]`; `weights`: `[classes, rank]`
    #[must_use]
    pub fn turning(
        &self,
        arms: &Arms,
        u: &Directions,
        along: &[f64],
        inside: &[f64],
        weights: &[f64],
    ) -> Vec<f64> {
        let (n, k, width, rank) = (self.rows.len(), arms.classes(), arms.width, u.rank());
        let mut turning = vec![0.0; n];
        for start in (0..width).step_by(BLOCK) {
            let columns = BLOCK.min(width - start);
            let mut block = vec![0.0; n * columns];
            let arm = |class: usize| &arms.arms[class * width + start..][..columns];
            self.block((arms, start), &mut block, arm, |_, _| {});
            let part: Vec<f64> =
                u.vectors.chunks_exact(width).flat_map(|u| u[start..][..columns].iter().copied()).collect();
            let mut turned = vec![0.0; rank * columns];
            let along = View::new(along, n, rank).transposed();
            product_into(&mut turned, along, View::new(&block, n, columns), 1.0 / n as f64, false);
            let (inside, part) = (View::new(inside, rank, rank), View::new(&part, rank, columns));
            product_into(&mut turned, inside, part, -1.0, true);
            let mut of_class = vec![0.0; k * columns];
            product(&mut of_class, View::new(weights, k, rank), View::new(&turned, rank, columns), false);
            let turn = |class: usize| &of_class[class * columns..][..columns];
            self.block((arms, start), &mut block, turn, |at, [_, product]| turning[at] += product);
        }
        turning
    }
}
