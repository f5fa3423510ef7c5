//! A tensor of one chunk → `[samples, positions, width]`, at most so many positions of a sample.

use std::borrow::Cow;

/// Positions of a sample that are read at most: as from PyTorch.
const POSITIONS: usize = 64;

/// How a value is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Shape for one chunk.
    shape: Vec<usize>,
    /// The axis of the samples.
    axis: usize,
    /// Positions of a sample that are folded into that axis.
    folded: usize,
    /// The axis of the units, where it is not the last.
    units: Option<usize>,
    /// Positions of a sample.
    all: usize,
    /// Every so many-th position is read.
    stride: usize,
    /// The same for every sample: the value holds it once.
    is_table: bool,
    /// Units.
    pub width: usize,
}

impl Layout {
    /// * `shape`, `other`: of the value for chunks of `chunk` and of `other_chunk` samples: the axis that changes is that of
    ///   the samples; where the model takes one size of batch only they are the same, and the first axis of that size is
    /// * `is_channels_first`: do units lie along the second axis?
    ///
    /// # Errors
    /// Why it is not read.
    pub fn of(
        shape: &[usize],
        other: Option<(&[usize], usize)>,
        chunk: usize,
        is_channels_first: bool,
    ) -> Result<Layout, String> {
        if shape.is_empty() || shape.contains(&0) {
            return Err("no vectors: a single number, or none".into());
        }
        let (axis, folded) = match other {
            Some((other, n)) if other.len() == shape.len() => {
                let changes: Vec<usize> = (0..shape.len()).filter(|&at| shape[at] != other[at]).collect();
                match changes.as_slice() {
                    [at] if shape[*at].is_multiple_of(chunk) && shape[*at] / chunk * n == other[*at] => {
                        (*at, shape[*at] / chunk)
                    }
                    [] => return Err("the same for every sample".into()),
                    _ => return Err(format!("no vectors per sample: {shape:?} for {chunk} samples")),
                }
            }
            _ => match shape.iter().position(|&size| size == chunk) {
                Some(at) => (at, 1),
                None => return Err(format!("no vectors per sample: {shape:?} for {chunk} samples")),
            },
        };
        let rest: usize = shape.iter().product::<usize>() / shape[axis];
        let units = (is_channels_first && shape.len() > axis + 2 && folded == 1).then_some(axis + 1);
        let last = if axis + 1 == shape.len() { shape[..axis].last() } else { shape.last() };
        let width = units.map_or(last.copied().unwrap_or(1), |at| shape[at]);
        let positions = rest * folded / width;
        let stride = positions.div_ceil(POSITIONS);
        Ok(Layout {
            shape: shape.to_vec(),
            axis,
            folded,
            units,
            all: positions,
            stride,
            is_table: false,
            width,
        })
    }

    /// Of a value that is the same for every sample, `[…, units]`.
    ///
    /// # Errors
    /// Why it is not read.
    pub fn table(shape: &[usize]) -> Result<Layout, String> {
        if shape.contains(&0) {
            return Err("no vectors: it is empty".into());
        }
        let width = shape.last().copied().unwrap_or(1);
        let all = shape.iter().product::<usize>() / width;
        let stride = all.div_ceil(POSITIONS);
        Ok(Layout {
            shape: shape.to_vec(),
            axis: 0,
            folded: 1,
            units: None,
            all,
            stride,
            is_table: true,
            width,
        })
    }

    /// Leaves out positions until at most `most` of a sample are left, one always.
    pub fn thin(&mut self, most: usize) {
        self.stride = self.stride.max(self.all.div_ceil(most.max(1)));
    }

    /// Positions that are read.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.all.div_ceil(self.stride)
    }

    /// The first `samples` samples of a chunk, `[samples, positions, width]`: in place where they lie in that order.
    #[must_use]
    pub fn read<'a>(&self, numbers: Cow<'a, [f32]>, samples: usize) -> Cow<'a, [f32]> {
        if self.is_table {
            let one: Vec<f32> =
                numbers.chunks_exact(self.width).step_by(self.stride).flatten().copied().collect();
            return Cow::Owned(one.repeat(samples));
        }
        let outer: usize = self.shape[..self.axis].iter().product();
        let inner: usize = self.shape[self.axis + 1..].iter().product();
        let samples = samples.min(self.shape[self.axis] / self.folded);
        let per = self.folded * inner;
        if self.units.is_none() && outer == 1 && self.stride == 1 {
            return match numbers {
                Cow::Borrowed(numbers) => Cow::Borrowed(&numbers[..samples * per]),
                Cow::Owned(mut numbers) => {
                    numbers.truncate(samples * per);
                    Cow::Owned(numbers)
                }
            };
        }
        let mut to = Vec::with_capacity(samples * self.positions() * self.width);
        for sample in 0..samples {
            let start = sample * per;
            match self.units {
                Some(_) => self.push_turned(&numbers[start..][..per], &mut to),
                None if outer == 1 => {
                    let vectors = numbers[start..][..per].chunks_exact(self.width);
                    vectors.step_by(self.stride).for_each(|vector| to.extend_from_slice(vector));
                }
                None => self.push_apart(&numbers, start, (outer, inner), &mut to),
            }
        }
        Cow::Owned(to)
    }

    /// Units along the second axis: every so many-th position of all of them.
    fn push_turned(&self, sample: &[f32], to: &mut Vec<f32>) {
        for position in (0..self.all).step_by(self.stride) {
            to.extend((0..self.width).map(|unit| sample[unit * self.all + position]));
        }
    }

    /// Samples in the middle: what stands before them are positions, or units where nothing stands behind.
    fn push_apart(&self, numbers: &[f32], start: usize, (outer, inner): (usize, usize), to: &mut Vec<f32>) {
        let step = self.shape[self.axis] * inner;
        let all: Vec<f32> = (0..outer)
            .flat_map(|part| numbers[part * step + start..][..self.folded * inner].iter().copied())
            .collect();
        let vectors = all.chunks_exact(self.width);
        vectors.step_by(self.stride).for_each(|vector| to.extend_from_slice(vector));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape: &[usize], other: &[usize], first: bool, expect: (usize, usize), order: &[f32]) {
        let layout = Layout::of(shape, Some((other, 3)), 2, first).unwrap();
        assert_eq!((layout.positions(), layout.width), expect, "{shape:?}");
        let numbers: Vec<f32> = (0..shape.iter().product::<usize>()).map(|x| x as f32).collect();
        assert_eq!(layout.read(Cow::Borrowed(&numbers), 2), order, "{shape:?}");
    }

    #[test]
    fn samples_positions_and_units_are_found_wherever_they_lie() {
        check(&[2, 2, 3], &[3, 2, 3], false, (2, 3), &[0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.]);
        check(&[2, 2, 3], &[3, 2, 3], true, (3, 2), &[0., 3., 1., 4., 2., 5., 6., 9., 7., 10., 8., 11.]);
        check(&[3, 2, 2], &[3, 3, 2], false, (3, 2), &[0., 1., 4., 5., 8., 9., 2., 3., 6., 7., 10., 11.]);
        check(&[4, 2], &[6, 2], false, (2, 2), &[0., 1., 2., 3., 4., 5., 6., 7.]);
        check(&[2], &[3], false, (1, 1), &[0., 1.]);
    }

    #[test]
    fn what_says_nothing_of_samples_is_refused_with_a_reason() {
        assert!(Layout::of(&[4, 4], Some((&[4, 4], 3)), 2, false).unwrap_err().contains("same for every"));
        assert!(Layout::of(&[2, 2], Some((&[3, 3], 3)), 2, false).unwrap_err().contains("no vectors"));
        assert!(Layout::of(&[], None, 2, false).is_err());
    }

    #[test]
    fn a_table_is_read_for_every_sample() {
        let layout = Layout::table(&[1, 2, 3]).unwrap();
        assert_eq!((layout.positions(), layout.width), (2, 3));
        let read = layout.read(Cow::Borrowed(&[0., 1., 2., 3., 4., 5.]), 2);
        assert_eq!(read, [0., 1., 2., 3., 4., 5., 0., 1., 2., 3., 4., 5.].as_slice());
        assert!(Layout::table(&[0, 3]).is_err());
    }

    #[test]
    fn many_positions_are_thinned_evenly() {
        let layout = Layout::of(&[2, 200, 1], Some((&[3, 200, 1], 3)), 2, false).unwrap();
        let read = layout.read((0..400).map(|x| x as f32).collect(), 1);
        assert_eq!((layout.positions(), read.len(), read[1]), (50, 50, 4.0));
    }
}
