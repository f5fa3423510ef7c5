//! The keystone: second moments of a layer's vectors over a batch, stored as variances and squared distances.
//!
//! A covariance matrix loses exactly what Carnot comes to see. When inputs merge (correlation 0.99999999), the
//! covariance `K_ab` and the variances agree to all digits and their difference is noise; the squared distance
//! keeps its relative accuracy. So a [`Gram`] stores
//!
//! $$ v_a = |z_a|^2/n, \qquad d_{ab} = |z_a - z_b|^2/n, $$
//!
//! and the covariance is derived, $K_{ab} = (v_a + v_b - d_{ab})/2$.

use serde::{Deserialize, Serialize};

/// Which pairs of positions (pixels, tokens) are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Positions {
    /// Only equal positions of two samples: enough for convolution followed by flatten.
    Diagonal,
    /// Every pair: needed by average pooling and attention.
    Full,
}

/// Variances and squared distances of vectors at `samples` × `positions` sites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gram {
    /// Number of samples N.
    pub samples: usize,
    /// Number of positions P of each sample; 1 for plain vectors.
    pub positions: usize,
    /// Which pairs of positions `distance` holds. With P = 1 both layouts are the same.
    pub keep: Positions,
    /// `[N, P]`: squared norm of each vector over its width.
    pub variance: Vec<f64>,
    /// Squared distance over width. `Full`: `[N, P, N, P]`; `Diagonal`: `[N, N, P]`.
    pub distance: Vec<f64>,
}

impl Gram {
    /// All zeros.
    #[must_use]
    pub fn zeros(samples: usize, positions: usize, keep: Positions) -> Gram {
        let pairs = match keep {
            Positions::Full => samples * positions * samples * positions,
            Positions::Diagonal => samples * samples * positions,
        };
        Gram {
            samples,
            positions,
            keep,
            variance: vec![0.0; samples * positions],
            distance: vec![0.0; pairs],
        }
    }

    /// Gram of plain vectors, rows of `data` `[samples, positions, width]`.
    ///
    /// Distances are taken from the vectors themselves, in `f64`, never from inner products.
    #[must_use]
    pub fn of_vectors(data: &[f64], samples: usize, positions: usize, keep: Positions) -> Gram {
        let mut gram = Gram::zeros(samples, positions, keep);
        let width = data.len() / (samples * positions).max(1);
        let row = |site: usize| &data[site * width..(site + 1) * width];
        let n = width as f64;
        for site in 0..samples * positions {
            gram.variance[site] = row(site).iter().map(|x| x * x).sum::<f64>() / n;
        }
        gram.fill_pairs(|a, b| row(a).iter().zip(row(b)).map(|(x, y)| (x - y) * (x - y)).sum::<f64>() / n);
        gram
    }

    /// From a covariance matrix `[N, N]` of plain vectors; exact only when no two inputs are close.
    #[must_use]
    pub fn of_covariance(covariance: &[f64], samples: usize) -> Gram {
        let mut gram = Gram::zeros(samples, 1, Positions::Full);
        for a in 0..samples {
            gram.variance[a] = covariance[a * samples + a];
        }
        gram.fill_pairs(|a, b| {
            covariance[a * samples + a] + covariance[b * samples + b] - 2.0 * covariance[a * samples + b]
        });
        gram
    }

    /// Number of sites N P.
    #[must_use]
    pub fn sites(&self) -> usize {
        self.samples * self.positions
    }

    /// Index into `distance` of two sites (`sample * P + position`); `None` when that pair is not kept.
    #[must_use]
    pub fn index(&self, a: usize, b: usize) -> Option<usize> {
        match self.keep {
            Positions::Full => Some(a * self.sites() + b),
            Positions::Diagonal => {
                let (sample_a, p) = (a / self.positions, a % self.positions);
                let (sample_b, q) = (b / self.positions, b % self.positions);
                (p == q).then(|| (sample_a * self.samples + sample_b) * self.positions + p)
            }
        }
    }

    /// Squared distance of two sites; `None` when the pair is not kept.
    #[must_use]
    pub fn distance_of(&self, a: usize, b: usize) -> Option<f64> {
        self.index(a, b).map(|i| self.distance[i])
    }

    /// Covariance of two sites, `(v_a + v_b - d_ab)/2`; `None` when the pair is not kept.
    #[must_use]
    pub fn covariance(&self, a: usize, b: usize) -> Option<f64> {
        self.distance_of(a, b).map(|d| (self.variance[a] + self.variance[b] - d) / 2.0)
    }

    /// Covariance matrix `[N, N]` of plain vectors (P = 1).
    #[must_use]
    pub fn covariance_matrix(&self) -> Vec<f64> {
        let n = self.sites();
        (0..n * n).map(|i| self.covariance(i / n, i % n).unwrap_or(f64::NAN)).collect()
    }

    /// The pairs that are kept, each once, as sites `(a, b)` with `a < b`.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let sites = self.sites();
        let diagonal = self.keep == Positions::Diagonal;
        let step = if diagonal { self.positions } else { 1 };
        (0..sites).flat_map(move |a| {
            let first = if diagonal { a + step } else { a + 1 };
            (first..sites).step_by(step).map(move |b| (a, b))
        })
    }

    /// Sets every kept distance from a function of the pair; the diagonal becomes zero, both orders are equal.
    pub fn fill_pairs(&mut self, mut distance: impl FnMut(usize, usize) -> f64) {
        let pairs: Vec<(usize, usize)> = self.pairs().collect();
        for (a, b) in pairs {
            let value = distance(a, b).max(0.0);
            let (i, j) = (self.index(a, b), self.index(b, a));
            self.distance[i.expect("pairs() yields kept pairs")] = value;
            self.distance[j.expect("pairs() yields kept pairs")] = value;
        }
    }

    /// The same pairs with other numbers: `variance(site, v)` and `distance(a, b, d)`.
    #[must_use]
    pub fn map(
        &self,
        variance: impl Fn(usize, f64) -> f64,
        distance: impl Fn(usize, usize, f64) -> f64,
    ) -> Gram {
        let mut out = Gram::zeros(self.samples, self.positions, self.keep);
        for site in 0..self.sites() {
            out.variance[site] = variance(site, self.variance[site]);
        }
        out.fill_pairs(|a, b| distance(a, b, self.distance_of(a, b).expect("same pairs")));
        out
    }

    /// Mean of the variance over sites: the signal K of the layer.
    #[must_use]
    pub fn mean_variance(&self) -> f64 {
        self.variance.iter().sum::<f64>() / self.variance.len().max(1) as f64
    }

    /// Mean squared distance of two different samples at equal positions; 0 for one sample.
    #[must_use]
    pub fn mean_distance(&self) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for a in 0..self.samples {
            for b in a + 1..self.samples {
                for p in 0..self.positions {
                    let at = self.index(a * self.positions + p, b * self.positions + p);
                    sum += self.distance[at.expect("equal positions are always kept")];
                    count += 1.0;
                }
            }
        }
        if count > 0.0 { sum / count } else { 0.0 }
    }

    /// True when every number is finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.variance.iter().chain(&self.distance).all(|x| x.is_finite())
    }
}

/// What theory carries from layer to layer in the limit of infinite width.
///
/// Beside the forward Gram it holds two things the first experiments showed to be needed: the mean over
/// features (an activation leaves a mean, which a following LayerNorm subtracts), and whether the vectors are
/// still Gaussian (true after weights, false after an activation), without which an average over a Gaussian
/// would be a guess.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// Kernel K (NNGP) of preactivations, or of features after an activation.
    pub forward: Gram,
    /// `[N, P]`: mean over the features of each site; 0 after a layer with weights.
    pub mean: Vec<f64>,
    /// True when the features are independent Gaussians given their kernel.
    pub gaussian: bool,
    /// Neural tangent kernel Θ of everything up to here, where asked for.
    pub tangent: Option<Gram>,
}

impl Kernel {
    /// The kernel of the data itself: not Gaussian, with the mean of its features, no tangent yet.
    #[must_use]
    pub fn of_inputs(
        data: &[f64],
        samples: usize,
        positions: usize,
        keep: Positions,
        tangent: bool,
    ) -> Kernel {
        let forward = Gram::of_vectors(data, samples, positions, keep);
        let width = data.len() / (samples * positions).max(1);
        let mean = data.chunks(width.max(1)).map(|row| row.iter().sum::<f64>() / width as f64).collect();
        Kernel {
            tangent: tangent.then(|| Gram::zeros(samples, positions, keep)),
            forward,
            mean,
            gaussian: false,
        }
    }

    /// From a Gram of inputs whose feature means are zero (or do not matter because weights follow).
    #[must_use]
    pub fn of_gram(forward: Gram, tangent: bool) -> Kernel {
        let zeros = Gram::zeros(forward.samples, forward.positions, forward.keep);
        Kernel {
            mean: vec![0.0; forward.sites()],
            tangent: tangent.then_some(zeros),
            forward,
            gaussian: false,
        }
    }
}
