//! A data set in memory and how it is cut: split, subset, probe, batch.

use carnot_math::random::Stream;

use super::error::{At, DataError};

pub use carnot_math::device::cpu::IGNORED;

/// Samples with or without targets, all in memory, in single precision; in double too where the source has more digits.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Name in the table, or the file's name.
    pub name: String,
    /// Shape of one sample: `[64]`, or channel last, `[8, 8, 1]`.
    pub shape: Vec<usize>,
    /// `[samples, shape..]`, row major, finite.
    pub inputs: Vec<f32>,
    /// What is to be learned.
    pub targets: Targets,
    /// What single precision cannot hold.
    pub exact: Exact,
    /// Where it comes from, under which licence, and what was decided when reading it.
    pub source: String,
}

/// The same numbers in double precision, kept only where a source has digits that single precision loses: training never
/// asks for them, kernels do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exact {
    /// `[samples, shape..]`
    pub inputs: Option<Vec<f64>>,
    /// `[samples, width]` of [`Targets::Values`].
    pub values: Option<Vec<f64>>,
}

/// What is to be learned.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Nothing: inputs only.
    None,
    /// One class a sample.
    Classes {
        /// `[samples]`, each below `classes`.
        labels: Vec<u32>,
        /// Number of classes, ≥ 1; one more than the largest label.
        classes: usize,
    },
    /// One class at each position of a sample: the next token, or the masked one.
    Positions {
        /// `[samples, positions]`, each below `classes`, or [`IGNORED`] where nothing is asked.
        labels: Vec<u32>,
        /// Number of classes, ≥ 1.
        classes: usize,
        /// Positions P of a sample, ≥ 1.
        positions: usize,
    },
    /// A vector of real numbers a sample.
    Values {
        /// `[samples, width]`, finite.
        values: Vec<f32>,
        /// Numbers a sample, ≥ 1.
        width: usize,
    },
}

impl Targets {
    /// Number of outputs that a network needs for these targets: the classes (at each position), or the width; 0 for none.
    pub fn outputs(&self) -> usize {
        match self {
            Targets::None => 0,
            Targets::Classes { classes, .. } => *classes,
            Targets::Positions { classes, positions, .. } => classes * positions,
            Targets::Values { width, .. } => *width,
        }
    }

    /// Number of classes, 0 when the targets are none.
    pub fn classes(&self) -> usize {
        match self {
            Targets::Classes { classes, .. } | Targets::Positions { classes, .. } => *classes,
            _ => 0,
        }
    }

    /// All labels that are asked for, of samples or of positions; `None` when the targets are no classes.
    pub fn asked(&self) -> Option<(Vec<u32>, usize)> {
        match self {
            Targets::Classes { labels, classes } => Some((labels.clone(), *classes)),
            Targets::Positions { labels, classes, .. } => {
                Some((labels.iter().copied().filter(|&label| label != IGNORED).collect(), *classes))
            }
            _ => None,
        }
    }

    fn pick(&self, indices: &[usize]) -> Targets {
        match self {
            Targets::None => Targets::None,
            Targets::Classes { labels, classes } => Targets::Classes {
                labels: indices.iter().map(|&index| labels[index]).collect(),
                classes: *classes,
            },
            Targets::Positions { labels, classes, positions } => Targets::Positions {
                labels: pick_rows(labels, *positions, indices),
                classes: *classes,
                positions: *positions,
            },
            Targets::Values { values, width } => {
                Targets::Values { values: pick_rows(values, *width, indices), width: *width }
            }
        }
    }
}

impl Dataset {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.inputs.len().checked_div(self.width()).unwrap_or(0)
    }

    /// Number of answers asked for: samples, or positions with a label.
    pub fn rows(&self) -> usize {
        match &self.targets {
            Targets::Positions { labels, .. } => labels.iter().filter(|&&label| label != IGNORED).count(),
            _ => self.len(),
        }
    }

    /// True when there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers in one sample, n₀: the product of the shape.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// All inputs in double precision, with every digit that the source had.
    pub fn exact_inputs(&self) -> Vec<f64> {
        match &self.exact.inputs {
            Some(inputs) => inputs.clone(),
            None => self.inputs.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// Targets that are values, in double precision, with every digit that the source had; `None` for other targets.
    pub fn exact_values(&self) -> Option<Vec<f64>> {
        let Targets::Values { values, .. } = &self.targets else { return None };
        Some(self.exact.values.clone().unwrap_or_else(|| values.iter().map(|&y| f64::from(y)).collect()))
    }

    /// One sample, `[width]`.
    ///
    /// # Panics
    /// When `index` is not below [`Dataset::len`], as a slice does.
    pub fn sample(&self, index: usize) -> &[f32] {
        &self.inputs[index * self.width()..][..self.width()]
    }

    /// Samples (positions) in each class, `[classes]`; empty when the targets are no classes.
    pub fn class_counts(&self) -> Vec<usize> {
        let Some((labels, classes)) = self.targets.asked() else { return Vec::new() };
        let mut counts = vec![0; classes];
        labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    /// Mean of x² over all samples and inputs (accumulated in f64, in order): the kernel of the input layer.
    pub fn mean_square(&self) -> f64 {
        let sum: f64 = self.inputs.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        sum / self.inputs.len().max(1) as f64
    }

    /// The same samples under another shape of equal size: `[64]` as `[8, 8, 1]` for a convolution.
    ///
    /// # Errors
    /// [`DataError::Shape`] when the sizes differ.
    pub fn reshaped(mut self, shape: &[usize]) -> Result<Dataset, DataError> {
        let size = shape.iter().try_fold(1_usize, |size, &side| size.checked_mul(side));
        if size != Some(self.width()) {
            let (expected, found) = (shape.to_vec(), self.shape);
            return Err(DataError::Shape { path: self.name.into(), expected, found });
        }
        self.shape = shape.to_vec();
        Ok(self)
    }

    /// The samples named by `indices`, in that order; an index may come more than once.
    ///
    /// # Errors
    /// [`DataError::Index`] for an index that is not below [`Dataset::len`].
    pub fn subset(&self, indices: &[usize]) -> Result<Dataset, DataError> {
        self.check(indices)?;
        Ok(self.pick(indices))
    }

    /// Two disjoint parts in random order: `(train, test)`.
    ///
    /// * `fraction`: share of the first part, in [0, 1]; its size is rounded to the nearest whole
    /// * `seed`: same seed, same parts
    ///
    /// # Errors
    /// [`DataError::Parameter`] for a fraction outside [0, 1].
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Dataset, Dataset), DataError> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(DataError::Parameter { name: "fraction", value: fraction, range: "from 0 to 1" });
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        Stream::new(seed, "dataset/split", &[]).shuffle(&mut order);
        let cut = (fraction * self.len() as f64).round() as usize;
        let (train, test) = order.split_at(cut.min(order.len()));
        Ok((self.pick(train), self.pick(test)))
    }

    /// A small random batch to look at a network with: at most `n` samples, the classes taken in turn, so that
    /// any prefix of it is balanced too. Classes that run out leave their turns to the others.
    pub fn probe(&self, n: usize, seed: u64) -> Dataset {
        let mut order: Vec<usize> = (0..self.len()).collect();
        Stream::new(seed, "dataset/probe", &[]).shuffle(&mut order);
        if let Targets::Classes { labels, classes } = &self.targets {
            let mut turns = vec![0_usize; *classes];
            let mut keyed: Vec<(usize, u32, usize)> = order
                .iter()
                .map(|&index| {
                    let turn = &mut turns[labels[index] as usize];
                    *turn += 1;
                    (*turn, labels[index], index)
                })
                .collect();
            keyed.sort_unstable();
            order = keyed.into_iter().map(|(_, _, index)| index).collect();
        }
        order.truncate(n);
        self.pick(&order)
    }

    /// Copies the samples named by `indices` into `inputs`, `[indices, width]`.
    ///
    /// # Errors
    /// [`DataError::Index`] for an index out of range, [`DataError::Shape`] when `inputs` has another length.
    pub fn gather(&self, indices: &[usize], inputs: &mut [f32]) -> Result<(), DataError> {
        self.check(indices)?;
        self.check_room(indices.len() * self.width(), inputs.len())?;
        for (row, &index) in inputs.chunks_exact_mut(self.width().max(1)).zip(indices) {
            row.copy_from_slice(self.sample(index));
        }
        Ok(())
    }

    /// Copies the labels of the samples named by `indices` into `labels`, `[indices]`.
    ///
    /// # Errors
    /// As [`Dataset::gather`]; [`DataError::Nothing`] when the targets are no classes.
    pub fn gather_labels(&self, indices: &[usize], labels: &mut [u32]) -> Result<(), DataError> {
        let Targets::Classes { labels: all, .. } = &self.targets else {
            return Err(self.lacks("class labels"));
        };
        self.check(indices)?;
        self.check_room(indices.len(), labels.len())?;
        labels.iter_mut().zip(indices).for_each(|(label, &index)| *label = all[index]);
        Ok(())
    }

    /// Copies the target values of the samples named by `indices` into `values`, `[indices, width]`.
    ///
    /// # Errors
    /// As [`Dataset::gather`]; [`DataError::Nothing`] when the targets are no values.
    pub fn gather_values(&self, indices: &[usize], values: &mut [f32]) -> Result<(), DataError> {
        let Targets::Values { values: all, width } = &self.targets else {
            return Err(self.lacks("target values"));
        };
        self.check(indices)?;
        self.check_room(indices.len() * width, values.len())?;
        for (row, &index) in values.chunks_exact_mut(*width).zip(indices) {
            row.copy_from_slice(&all[index * width..][..*width]);
        }
        Ok(())
    }

    /// Hash of shape, inputs and targets (FNV-1a, 64 bits, over the bits of every number): the name and the
    /// source do not enter. Not a defence against forgery; it tells whether two runs saw the same numbers.
    pub fn checksum(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |word: u64| hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        self.shape.iter().for_each(|&side| add(side as u64));
        self.inputs.iter().for_each(|x| add(u64::from(x.to_bits())));
        [&self.exact.inputs, &self.exact.values]
            .into_iter()
            .flatten()
            .flatten()
            .for_each(|x| add(x.to_bits()));
        match &self.targets {
            Targets::None => add(0),
            Targets::Classes { labels, classes } => {
                add(*classes as u64);
                labels.iter().for_each(|&label| add(u64::from(label)));
            }
            Targets::Positions { labels, classes, positions } => {
                add(*classes as u64);
                add(*positions as u64);
                labels.iter().for_each(|&label| add(u64::from(label)));
            }
            Targets::Values { values, width } => {
                add(*width as u64);
                values.iter().for_each(|value| add(u64::from(value.to_bits())));
            }
        }
        hash
    }

    fn pick(&self, indices: &[usize]) -> Dataset {
        Dataset {
            name: self.name.clone(),
            shape: self.shape.clone(),
            inputs: pick_rows(&self.inputs, self.width(), indices),
            targets: self.targets.pick(indices),
            exact: Exact {
                inputs: self.exact.inputs.as_ref().map(|all| pick_rows(all, self.width(), indices)),
                values: self.exact.values.as_ref().map(|all| pick_rows(all, self.targets.outputs(), indices)),
            },
            source: self.source.clone(),
        }
    }

    fn check(&self, indices: &[usize]) -> Result<(), DataError> {
        let samples = self.len();
        match indices.iter().find(|&&index| index >= samples) {
            Some(&index) => Err(DataError::Index { name: self.name.clone(), index, samples }),
            None => Ok(()),
        }
    }

    fn check_room(&self, needed: usize, room: usize) -> Result<(), DataError> {
        if needed == room {
            return Ok(());
        }
        Err(DataError::Shape { path: self.name.clone().into(), expected: vec![needed], found: vec![room] })
    }

    fn lacks(&self, what: &'static str) -> DataError {
        DataError::Nothing { path: self.name.clone().into(), at: At::Whole, what }
    }
}

fn pick_rows<T: Copy>(values: &[T], width: usize, indices: &[usize]) -> Vec<T> {
    let mut rows = Vec::with_capacity(indices.len() * width);
    indices.iter().for_each(|&index| rows.extend_from_slice(&values[index * width..][..width]));
    rows
}
