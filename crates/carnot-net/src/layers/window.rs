//! Where windows lie along the position axes: sizes, strides and what is beyond the border.

use crate::error::{NetworkError, ShapeFault};
use crate::shape::Shape;
use carnot_math::device;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Largest window and step along an axis.
const LARGEST: usize = 1000;

/// What lies beyond the border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// Zeros, so that stride 1 keeps the number of positions; an odd one out is added behind.
    #[default]
    Same,
    /// Nothing: the window stays inside.
    Valid,
    /// The other end of the axis, so that stride 1 keeps the number of positions.
    Circular,
}

/// A number for every position axis: `3`, or `[3, 5]` for height and width.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a size such as 3, or one for each position axis such as [3, 5]")]
pub enum PerAxis {
    /// The same along each axis.
    All(usize),
    /// One for each axis.
    Each(Vec<usize>),
}

impl PerAxis {
    /// The number along an axis; the shape must have been checked.
    #[must_use]
    pub fn along(&self, axis: usize) -> usize {
        match self {
            PerAxis::All(size) => *size,
            PerAxis::Each(sizes) => sizes[axis],
        }
    }

    /// Checks that there is one number of 1 … 1000 for each position axis of `input`.
    pub(super) fn check(&self, name: &str, key: &'static str, input: &Shape) -> Result<(), NetworkError> {
        let found = match self {
            PerAxis::All(_) => input.axes().len(),
            PerAxis::Each(sizes) => sizes.len(),
        };
        if input.axes().is_empty() || found != input.axes().len() {
            let why = ShapeFault::Axes { wanted: found.max(1), got: input.axes().len() };
            return Err(NetworkError::Shape { layer: name.to_string(), input: input.clone(), why });
        }
        let outside = (0..found).map(|axis| self.along(axis)).find(|size| !(1..=LARGEST).contains(size));
        outside.map_or(Ok(()), |value| {
            let (layer, value) = (name.to_string(), value as f64);
            Err(NetworkError::Range { layer, key, value, range: "1 … 1000" })
        })
    }
}

/// How a window moves along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slide {
    /// Positions of the axis, n.
    pub size: usize,
    /// Positions in the window, k.
    pub window: usize,
    /// Positions from one window to the next, s.
    pub stride: usize,
    /// What is beyond the border.
    pub padding: Padding,
    /// Whether it is the transpose: s − 1 empty positions stand between two of the input, and the window moves by one.
    pub is_transposed: bool,
}

impl Slide {
    /// Number of windows. `same` and `circular`: ⌈n/s⌉, transposed n s. `valid`: ⌊(n−k)/s⌋ + 1, transposed n s + max(k−s, 0).
    #[must_use]
    pub fn after(&self) -> usize {
        let Slide { size, window, stride, .. } = *self;
        match (self.padding, self.is_transposed) {
            (Padding::Valid, false) => (size - window) / stride + 1,
            (Padding::Valid, true) => size * stride + window.saturating_sub(stride),
            (_, false) => size.div_ceil(stride),
            (_, true) => size * stride,
        }
    }

    /// Positions by which the first window begins before the axis.
    #[must_use]
    pub fn before(&self) -> usize {
        let Slide { size, window, stride, .. } = *self;
        match (self.padding, self.is_transposed) {
            (Padding::Valid, false) => 0,
            (Padding::Valid, true) => window - 1,
            (_, false) => ((self.after() - 1) * stride + window).saturating_sub(size) / 2,
            (_, true) => (window - 1).min((window + stride - 2).div_ceil(2)),
        }
    }

    /// Position of the input under one tap of window `p`; `None` in the padding and between the positions of a transpose.
    #[must_use]
    pub fn at(&self, p: usize, tap: usize) -> Option<usize> {
        let (step, spread) = if self.is_transposed { (1, self.stride) } else { (self.stride, 1) };
        let length = (self.size * spread) as isize;
        let place = (p * step + tap) as isize - self.before() as isize;
        let place = if self.padding == Padding::Circular { place.rem_euclid(length) } else { place };
        let is_inside = (0..length).contains(&place) && place % spread as isize == 0;
        is_inside.then_some(place as usize / spread)
    }
}

/// The windows over all positions of a shape.
#[derive(Clone, Debug)]
pub struct Windows {
    /// For each output position, the input position of each tap.
    pub taps: Vec<Vec<Option<usize>>>,
}

impl Windows {
    /// Windows that slide along one or two axes, in row-major order.
    #[must_use]
    pub fn of(slides: &[Slide]) -> Windows {
        let one = Slide { size: 1, window: 1, stride: 1, padding: Padding::Valid, is_transposed: false };
        let (rows, columns) = match *slides {
            [columns] => (one, columns),
            [rows, columns] => (rows, columns),
            _ => unreachable!("shapes have one or two position axes where windows slide"),
        };
        let window = |p: usize, q: usize| {
            let taps = (0..rows.window).flat_map(|i| (0..columns.window).map(move |j| (i, j)));
            taps.map(|(i, j)| rows.at(p, i).zip(columns.at(q, j)).map(|(y, x)| y * columns.size + x))
                .collect()
        };
        let places = (0..rows.after()).flat_map(|p| (0..columns.after()).map(move |q| (p, q)));
        Windows { taps: places.map(|(p, q)| window(p, q)).collect() }
    }

    /// Number of taps of one window.
    #[must_use]
    pub fn size(&self) -> usize {
        self.taps[0].len()
    }

    /// Share of the taps that do not fall into the padding.
    #[must_use]
    pub fn share_inside(&self) -> f64 {
        let inside = self.taps.iter().flatten().flatten().count() as f64;
        inside / (self.taps.len() * self.size()) as f64
    }

    /// Copies the window of every output position into a row; zeros in the padding.
    pub(super) fn gather<S: Scalar>(
        &self,
        values: &[S],
        columns: &mut [S],
        positions: usize,
        channels: usize,
    ) {
        let row = self.size() * channels;
        let per_sample = columns.chunks_exact_mut(self.taps.len() * row);
        for (columns, values) in per_sample.zip(values.chunks_exact(positions * channels)) {
            for (column, window) in columns.chunks_exact_mut(row).zip(&self.taps) {
                for (to, from) in column.chunks_exact_mut(channels).zip(window) {
                    match from {
                        Some(p) => to.copy_from_slice(&values[p * channels..(p + 1) * channels]),
                        None => to.fill(S::default()),
                    }
                }
            }
        }
    }

    /// The transpose of [`Windows::gather`].
    pub(super) fn scatter<S: Scalar>(
        &self,
        columns: &[S],
        values: &mut [S],
        positions: usize,
        channels: usize,
    ) {
        values.fill(S::default());
        let row = self.size() * channels;
        let per_sample = columns.chunks_exact(self.taps.len() * row);
        for (columns, values) in per_sample.zip(values.chunks_exact_mut(positions * channels)) {
            for (column, window) in columns.chunks_exact(row).zip(&self.taps) {
                for (from, to) in column.chunks_exact(channels).zip(window) {
                    if let Some(p) = to {
                        device::cpu::add_assign(&mut values[p * channels..(p + 1) * channels], from);
                    }
                }
            }
        }
    }
}

/// Refuses a window that must stay inside and is larger than an axis.
pub(super) fn check_fit(name: &str, input: &Shape, slides: &[Slide]) -> Result<(), NetworkError> {
    let misfit =
        |slide: &&Slide| slide.padding == Padding::Valid && !slide.is_transposed && slide.window > slide.size;
    slides.iter().find(misfit).map_or(Ok(()), |slide| {
        let why = ShapeFault::Window { window: slide.window, size: slide.size };
        Err(NetworkError::Shape { layer: name.to_string(), input: input.clone(), why })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(
        size: usize,
        window: usize,
        stride: usize,
        padding: Padding,
        is_transposed: bool,
    ) -> Vec<Vec<i32>> {
        let slide = Slide { size, window, stride, padding, is_transposed };
        let windows = Windows::of(&[slide]).taps;
        windows.iter().map(|w| w.iter().map(|p| p.map_or(-1, |p| p as i32)).collect()).collect()
    }

    #[test]
    fn even_windows_reach_further_behind_than_before() {
        assert_eq!(taps(3, 2, 1, Padding::Same, false), [[0, 1], [1, 2], [2, -1]]);
        assert_eq!(taps(4, 4, 1, Padding::Same, false)[0], [-1, 0, 1, 2]);
    }

    #[test]
    fn strides_share_the_padding_of_the_last_window() {
        assert_eq!(taps(6, 3, 2, Padding::Same, false), [[0, 1, 2], [2, 3, 4], [4, 5, -1]]);
        assert_eq!(taps(5, 3, 2, Padding::Same, false), [[-1, 0, 1], [1, 2, 3], [3, 4, -1]]);
        assert_eq!(taps(6, 3, 2, Padding::Valid, false), [[0, 1, 2], [2, 3, 4]]);
        assert_eq!(taps(5, 3, 2, Padding::Circular, false), [[4, 0, 1], [1, 2, 3], [3, 4, 0]]);
    }

    #[test]
    fn a_transpose_meets_every_input_position_at_steps() {
        assert_eq!(taps(2, 3, 2, Padding::Same, true), [[-1, -1, 0], [-1, 0, -1], [0, -1, 1], [-1, 1, -1]]);
        assert_eq!(taps(2, 3, 2, Padding::Valid, true).len(), 5);
        assert_eq!(taps(2, 3, 1, Padding::Circular, true), [[1, 0, 1], [0, 1, 0]]);
    }
}
