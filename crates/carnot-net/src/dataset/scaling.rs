//! The scale of the inputs. Theory starts from the kernel of the input layer, x·x/n₀, so it must be known.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::set::Dataset;

/// How inputs are shifted and scaled when a data set is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// As they come.
    None,
    /// From the least to the greatest of all inputs onto [0, 1]: /16 for digits, /255 for grey images.
    Unit,
    /// Minus the mean of all inputs, over the standard deviation of all inputs, so that the mean of x² is 1.
    Standard,
    /// Each input (column) for itself to mean 0 and variance 1; a column that never changes becomes 0. For tables
    /// whose columns have different units.
    Columns,
    /// Each sample x to |x|²/n₀ = 1, not centred: every sample starts with the same kernel.
    Sphere,
}

impl Dataset {
    /// Scales the inputs in place. Sums run in f64, in the order of the samples.
    ///
    /// # Errors
    /// [`DataError::Constant`] for [`Scaling::Unit`], [`Scaling::Standard`] and [`Scaling::Columns`] when all inputs are
    /// equal, [`DataError::ZeroSample`] for [`Scaling::Sphere`] when a sample is zero.
    pub fn standardize(&mut self, scaling: Scaling) -> Result<(), DataError> {
        if self.inputs.is_empty() {
            return Ok(());
        }
        match scaling {
            Scaling::None => Ok(()),
            Scaling::Unit => self.scale_to_unit(),
            Scaling::Standard => self.scale_to_standard(),
            Scaling::Columns => self.scale_columns(),
            Scaling::Sphere => self.scale_to_sphere(),
        }
    }

    fn scale_to_unit(&mut self) -> Result<(), DataError> {
        let (low, high) = match &self.exact.inputs {
            Some(inputs) => extremes(inputs.iter().copied()),
            None => extremes(self.inputs.iter().map(|&x| f64::from(x))),
        };
        self.shift_and_divide(low, high - low)
    }

    fn scale_to_standard(&mut self) -> Result<(), DataError> {
        let (mean, deviation) = match &self.exact.inputs {
            Some(inputs) => moments(inputs.iter().copied()),
            None => moments(self.inputs.iter().map(|&x| f64::from(x))),
        };
        self.shift_and_divide(mean, deviation)
    }

    fn scale_columns(&mut self) -> Result<(), DataError> {
        let (width, constant) = (self.width(), self.constant());
        let mut changes = false;
        for column in 0..width {
            let (mean, deviation) = match &self.exact.inputs {
                Some(inputs) => moments(inputs.iter().skip(column).step_by(width).copied()),
                None => moments(self.inputs.iter().skip(column).step_by(width).map(|&x| f64::from(x))),
            };
            let factor = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
            changes |= deviation > 0.0;
            self.change(column..usize::MAX, width, |x| (x - mean) * factor);
        }
        if changes { Ok(()) } else { Err(constant) }
    }

    fn scale_to_sphere(&mut self) -> Result<(), DataError> {
        let (name, width) = (self.name.clone(), self.width());
        for sample in 0..self.len() {
            let places = sample * width..(sample + 1) * width;
            let sum: f64 = match &self.exact.inputs {
                Some(inputs) => inputs[places.clone()].iter().map(|x| x * x).sum(),
                None => self.inputs[places.clone()].iter().map(|&x| f64::from(x) * f64::from(x)).sum(),
            };
            if sum == 0.0 {
                return Err(DataError::ZeroSample { name, sample: sample + 1 });
            }
            let norm = (sum / width as f64).sqrt();
            self.change(places, 1, |x| x / norm);
        }
        Ok(())
    }

    fn shift_and_divide(&mut self, shift: f64, divisor: f64) -> Result<(), DataError> {
        if divisor <= 0.0 {
            return Err(self.constant());
        }
        self.change(0..usize::MAX, 1, |x| (x - shift) / divisor);
        Ok(())
    }

    /// Changes every `step`-th input of `places`, in double precision where it is kept.
    fn change(&mut self, places: Range<usize>, step: usize, to: impl Fn(f64) -> f64) {
        let count = places.end.saturating_sub(places.start);
        let inputs = self.inputs[places.start..].iter_mut().take(count).step_by(step);
        match &mut self.exact.inputs {
            None => inputs.for_each(|x| *x = to(f64::from(*x)) as f32),
            Some(exact) => {
                let exact = exact[places.start..].iter_mut().take(count).step_by(step);
                for (x, exact) in inputs.zip(exact) {
                    *exact = to(*exact);
                    *x = *exact as f32;
                }
            }
        }
    }

    fn constant(&self) -> DataError {
        DataError::Constant { name: self.name.clone(), value: self.inputs[0] }
    }
}

fn extremes(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

/// Mean and standard deviation (dividing by the count), in two passes so that a large mean costs no digits.
///
/// Values that are all equal give a deviation of exactly zero, whatever the mean rounds to.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let first = values.clone().next().unwrap_or(0.0);
    if values.clone().all(|x| x == first) {
        return (first, 0.0);
    }
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::dataset::{Exact, Targets};

    fn set(inputs: &[f32], width: usize) -> Dataset {
        Dataset {
            name: "test".into(),
            shape: vec![width],
            inputs: inputs.to_vec(),
            targets: Targets::None,
            exact: Exact::default(),
            source: String::new(),
        }
    }

    #[test]
    fn each_scaling_does_what_its_name_says() {
        let inputs = [1.0, 2.0, 3.0, 10.0, 5.0, 6.0];
        let scaled = |scaling| {
            let mut data = set(&inputs, 2);
            data.standardize(scaling).unwrap();
            data
        };
        assert_eq!(scaled(Scaling::None).inputs, inputs);
        let unit = scaled(Scaling::Unit);
        assert_eq!((unit.inputs[0], unit.inputs[3]), (0.0, 1.0));
        let standard = scaled(Scaling::Standard);
        assert!((standard.mean_square() - 1.0).abs() < 1e-6);
        assert!(standard.inputs.iter().sum::<f32>().abs() < 1e-5);
        let columns = scaled(Scaling::Columns);
        assert!((columns.mean_square() - 1.0).abs() < 1e-6);
        assert!(columns.inputs.iter().step_by(2).sum::<f32>().abs() < 1e-6);
        let sphere = scaled(Scaling::Sphere);
        for index in 0..3 {
            assert!((sphere.sample(index).iter().map(|x| x * x).sum::<f32>() / 2.0 - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn digits_beyond_single_precision_survive_every_scaling() {
        let exact = [1.0 / 3.0, -0.1, 2.0 / 7.0, 0.7];
        for scaling in [Scaling::None, Scaling::Unit, Scaling::Standard, Scaling::Columns, Scaling::Sphere] {
            let mut data = set(&exact.map(|x| x as f32), 2);
            data.exact.inputs = Some(exact.to_vec());
            data.standardize(scaling).unwrap();
            let exact = data.exact_inputs();
            assert!(exact.iter().zip(&data.inputs).all(|(e, x)| *e as f32 == *x), "{scaling:?}");
            assert!(exact.iter().zip(&data.inputs).any(|(e, x)| *e != f64::from(*x)), "{scaling:?}");
        }
    }

    #[test]
    fn what_cannot_be_scaled_is_an_error() {
        for scaling in [Scaling::Unit, Scaling::Standard, Scaling::Columns] {
            let error = set(&[0.1; 6], 2).standardize(scaling).unwrap_err();
            assert!(matches!(error, DataError::Constant { value: 0.1, .. }), "{error}");
        }
        let error = set(&[1.0, 0.0, 0.0, 0.0], 2).standardize(Scaling::Sphere).unwrap_err();
        assert!(matches!(error, DataError::ZeroSample { sample: 2, .. }), "{error}");
    }

    #[test]
    fn the_largest_numbers_scale_to_finite_ones() {
        for scaling in [Scaling::Unit, Scaling::Standard, Scaling::Columns, Scaling::Sphere] {
            let mut data = set(&[f32::MAX, -f32::MAX, f32::MIN_POSITIVE, 1.0], 2);
            data.standardize(scaling).unwrap();
            assert!(data.inputs.iter().all(|x| x.is_finite()), "{scaling:?}: {:?}", data.inputs);
        }
    }
}
