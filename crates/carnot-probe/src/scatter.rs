//! Means and spreads of classes, one sample at a time, mergeable across batches and processes.

use std::collections::BTreeMap;

use crate::lanes;
use crate::observables::Missing;

/// One class: count, mean and summed squared distance to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Class {
    /// Samples n.
    pub count: u64,
    /// Mean m, `[width]`.
    pub mean: Vec<f64>,
    /// q = Σ |h − m|².
    pub spread: f64,
}

/// Classes of vectors of one width.
///
/// A sample is taken in by Welford's update, n += 1, δ = h − m, m += δ/n, q += δ·(h − m); two parts are merged by
/// m = m_a + δ n_b/n, q = q_a + q_b + |δ|² n_a n_b/n with δ = m_b − m_a. Exact up to rounding in any order, and a large
/// common offset costs no digits.
///
/// Source: Welford 1962; Chan, Golub, LeVeque 1983.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classes {
    /// By label.
    pub by_label: BTreeMap<u32, Class>,
    /// Width of the vectors.
    pub width: usize,
}

/// Traces of the scatter matrices, divided by N.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traces {
    /// Samples N.
    pub samples: f64,
    /// Classes K.
    pub classes: f64,
    /// Tr S_W.
    pub within: f64,
    /// Tr S_B.
    pub between: f64,
}

impl Traces {
    /// $D = \ln(\mathrm{Tr}\,S_W/\mathrm{Tr}\,S_B)$.
    #[must_use]
    pub fn separation(&self) -> f64 {
        (self.within / self.between).ln()
    }
}

impl Classes {
    /// No samples yet.
    #[must_use]
    pub fn new(width: usize) -> Classes {
        Classes { by_label: BTreeMap::new(), width }
    }

    /// Takes in one sample.
    pub fn push<T: Copy + Into<f64>>(&mut self, label: u32, vector: &[T]) {
        let width = self.width;
        let class = self
            .by_label
            .entry(label)
            .or_insert_with(|| Class { mean: vec![0.0; width], ..Class::default() });
        class.count += 1;
        let n = class.count as f64;
        let mut grown = 0.0;
        for (mean, &value) in class.mean.iter_mut().zip(vector) {
            let value: f64 = value.into();
            let before = value - *mean;
            *mean += before / n;
            grown += before * (value - *mean);
        }
        class.spread += grown;
    }

    /// Takes in what another part has seen.
    pub fn merge(&mut self, other: &Classes) {
        for (label, b) in &other.by_label {
            let Some(a) = self.by_label.get_mut(label).filter(|a| a.count > 0) else {
                self.by_label.insert(*label, b.clone());
                continue;
            };
            let (n_a, n_b) = (a.count as f64, b.count as f64);
            let mut apart = 0.0;
            for (mean, other) in a.mean.iter_mut().zip(&b.mean) {
                let difference = other - *mean;
                *mean += difference * n_b / (n_a + n_b);
                apart += difference * difference;
            }
            a.spread += b.spread + apart * n_a * n_b / (n_a + n_b);
            a.count += b.count;
        }
    }

    /// Samples of all classes.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.by_label.values().map(|class| class.count).sum()
    }

    /// Mean of everything, m = Σ n_c m_c / N.
    #[must_use]
    pub fn mean(&self) -> Vec<f64> {
        let n = self.samples() as f64;
        let mut mean = vec![0.0; self.width];
        for class in self.by_label.values() {
            let share = class.count as f64 / n;
            mean.iter_mut().zip(&class.mean).for_each(|(mean, &of)| *mean += share * of);
        }
        mean
    }

    /// Tr S_W = Σ q_c / N and Tr S_B = Σ n_c |m_c − m|² / N.
    ///
    /// # Errors
    /// [`Missing::OneClass`], [`Missing::Singles`] and [`Missing::Constant`], where a ratio of the two means nothing.
    pub fn traces(&self) -> Result<Traces, Missing> {
        if self.by_label.len() < 2 {
            return Err(Missing::OneClass);
        }
        if self.by_label.values().all(|class| class.count < 2) {
            return Err(Missing::Singles);
        }
        let (n, mean) = (self.samples() as f64, self.mean());
        let within = self.by_label.values().map(|class| class.spread).sum::<f64>() / n;
        let of = |class: &Class| class.count as f64 * squared_distance(&class.mean, &mean);
        let between = self.by_label.values().map(of).sum::<f64>() / n;
        // A constant layer leaves only the rounding of its own size.
        let size = mean.iter().map(|m| m * m).sum::<f64>();
        if within + between <= size * 1e-20 {
            return Err(Missing::Constant);
        }
        Ok(Traces { samples: n, classes: self.by_label.len() as f64, within, between })
    }
}

/// Sums of rows by class while they come in, each class about its first row: no digits are lost to what all its rows share, and a
/// sum over rows does not depend on how they are cut into chunks.
#[derive(Clone, Debug)]
pub struct Tally {
    width: usize,
    classes: Vec<Sums>,
}

#[derive(Clone, Debug, Default)]
struct Sums {
    count: u64,
    /// The first row.
    first: Vec<f32>,
    /// Σ (h − first).
    sum: Vec<f64>,
    /// Σ |h − first|².
    squares: f64,
}

impl Tally {
    /// No rows yet.
    #[must_use]
    pub fn new(classes: usize, width: usize) -> Tally {
        Tally { width, classes: vec![Sums::default(); classes] }
    }

    /// Takes in one row.
    ///
    /// # Panics
    /// When there are fewer classes.
    pub fn push(&mut self, class: usize, row: &[f32]) {
        let sums = &mut self.classes[class];
        if sums.count == 0 {
            sums.first = row.to_vec();
            sums.sum = vec![0.0; self.width];
        }
        sums.count += 1;
        sums.squares += lanes::about(row, &sums.first, &mut sums.sum);
    }

    /// Means and spreads, m = f + Σ(h − f)/n and q = Σ|h − f|² − |Σ(h − f)|²/n.
    #[must_use]
    pub fn classes(&self, names: &[u32]) -> Classes {
        let mut classes = Classes::new(self.width);
        for (sums, name) in self.classes.iter().zip(names).filter(|(sums, _)| sums.count > 0) {
            let n = sums.count as f64;
            let mean = sums.first.iter().zip(&sums.sum).map(|(&f, sum)| f64::from(f) + sum / n).collect();
            let moved = sums.sum.iter().map(|sum| sum * sum).sum::<f64>() / n;
            let spread = (sums.squares - moved).max(0.0);
            classes.by_label.insert(*name, Class { count: sums.count, mean, spread });
        }
        classes
    }
}

/// |a − b|².
#[must_use]
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
