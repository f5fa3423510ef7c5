//! What can run along an axis of the border, and between which values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BorderSpec;
use super::shape;
use crate::error::LabError;
use crate::settings::within;

/// A setting along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// Learning rate.
    Rate,
    /// Hidden layers, or blocks.
    Depth,
    /// Units of the hidden layers.
    Width,
    /// Weight variance times fan-in of every layer.
    CW,
    /// Bias variance of every layer.
    CB,
    /// Samples of a batch.
    Batch,
    /// Steps of warm-up.
    WarmUp,
}

/// A place on the axes that the border is given for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Across {
    /// Value on the second axis.
    pub y: f64,
    /// Value on the third axis, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub z: Option<f64>,
}

impl From<f64> for Across {
    fn from(y: f64) -> Across {
        Across { y, z: None }
    }
}

impl Across {
    /// Every place of a second and a third axis, by the third, then the second.
    pub fn all(ys: &[f64], zs: Option<&[f64]>) -> Vec<Across> {
        let Some(zs) = zs else { return ys.iter().map(|&y| y.into()).collect() };
        zs.iter().flat_map(|&z| ys.iter().map(move |&y| Across { y, z: Some(z) })).collect()
    }
}

impl Setting {
    /// As an axis is called.
    pub fn label(self) -> &'static str {
        match self {
            Setting::Rate => "learning rate",
            Setting::Depth => "depth",
            Setting::Width => "width",
            Setting::CW => "C_W",
            Setting::CB => "C_b",
            Setting::Batch => "batch",
            Setting::WarmUp => "steps of warm-up",
        }
    }

    /// Whether only whole numbers make sense.
    pub fn is_whole(self) -> bool {
        !matches!(self, Setting::Rate | Setting::CW | Setting::CB)
    }

    /// Whether the axis is read in decades.
    pub fn is_log(self) -> bool {
        self != Setting::WarmUp
    }

    /// Ends where none are given; of the rate they follow from theory.
    pub fn usual(self) -> (f64, f64) {
        match self {
            Setting::Rate => (1e-4, 1.0),
            Setting::Depth => (2.0, 16.0),
            Setting::Width => (16.0, 128.0),
            Setting::CW => (0.3, 6.0),
            Setting::CB => (0.001, 1.0),
            Setting::Batch => (8.0, 256.0),
            Setting::WarmUp => (0.0, 100.0),
        }
    }

    /// What a value may be; `None` where it is one.
    fn refuses(self, value: f64) -> Option<&'static str> {
        let (is_good, range) = match self {
            Setting::Rate => ((1e-12..=1e12).contains(&value), "1e-12 to 1e12"),
            Setting::CW | Setting::CB => ((1e-6..=1e6).contains(&value), "1e-6 to 1000000"),
            Setting::Depth => ((1.0..=1000.0).contains(&value), "a whole number, 1 to 1000"),
            Setting::Width => ((1.0..=10_000.0).contains(&value), "a whole number, 1 to 10000"),
            Setting::Batch => ((1.0..=1e6).contains(&value), "a whole number, 1 to 1000000"),
            Setting::WarmUp => ((0.0..=1e6).contains(&value), "a whole number, 0 to 1000000"),
        };
        (!is_good || self.is_whole() && value.fract() != 0.0).then_some(range)
    }

    /// Checks the ends of an axis.
    ///
    /// # Errors
    /// [`LabError::OutOfRange`] with the key.
    pub fn check(self, keys: [&'static str; 2], ends: (f64, f64)) -> Result<(), LabError> {
        for (key, value) in [(keys[0], ends.0), (keys[1], ends.1)] {
            if let Some(range) = self.refuses(value) {
                within(key, value, false, range)?;
            }
        }
        let range = format!("above {}, the lower end {}", ends.0, keys[0]);
        within(keys[1], ends.1, ends.1 > ends.0, &range)
    }

    /// The height on the axis: decades, or the value itself.
    pub fn height(self, value: f64) -> f64 {
        if self.is_log() { value.log10() } else { value }
    }

    /// The value at a height.
    pub fn value(self, height: f64) -> f64 {
        if self.is_log() { 10f64.powf(height) } else { height }
    }

    /// A value in words: whole ones as they are.
    pub fn shown(self, value: f64) -> String {
        if self.is_whole() { format!("{value:.0}") } else { carnot_report::number::significant(value, 3) }
    }

    /// Values between two ends: at most so many, evenly by height; whole where only whole numbers make sense.
    pub fn values(self, (low, high): (f64, f64), most: usize) -> Vec<f64> {
        let (a, b) = (self.height(low), self.height(high));
        let at = |i: usize| self.value(a + (b - a) * i as f64 / (most - 1) as f64);
        let mut all: Vec<f64> = (0..most).map(at).collect();
        (all[0], all[most - 1]) = (low, high);
        if self.is_whole() {
            all.iter_mut().for_each(|value| *value = value.round());
            all.dedup();
        }
        all
    }

    /// Gives a cell this value.
    ///
    /// # Errors
    /// When the network cannot have that shape.
    pub fn set(self, cell: &mut BorderSpec, value: f64) -> Result<(), LabError> {
        match self {
            Setting::Rate => cell.rate = Some(value),
            Setting::CW => cell.init.c_w = Some(value),
            Setting::CB => cell.init.c_b = Some(value),
            Setting::Batch => cell.batch = value as usize,
            Setting::WarmUp => cell.warm_up = value as u64,
            Setting::Depth => shape::deepen(&mut cell.network, value as usize)?,
            Setting::Width => shape::widen(&mut cell.network, value as usize)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_axes_have_whole_values_without_repeats_and_keep_their_ends() {
        let depths = Setting::Depth.values((2.0, 16.0), 12);
        assert_eq!((depths[0], depths[depths.len() - 1]), (2.0, 16.0));
        assert!(depths.windows(2).all(|pair| pair[0] < pair[1] && pair[1].fract() == 0.0), "{depths:?}");
        let rates = Setting::Rate.values((1e-3, 1.0), 4);
        assert!((rates[1] - 0.01).abs() < 1e-12 && rates.len() == 4, "{rates:?}");
    }

    #[test]
    fn reversed_empty_and_missing_numbers_are_refused() {
        let check = |setting: Setting, low, high| setting.check(["x_from", "x_to"], (low, high)).is_ok();
        assert!(check(Setting::Rate, 1e-3, 1.0));
        for (low, high) in
            [(1.0, 1e-3), (1.0, 1.0), (f64::NAN, 1.0), (1e-3, f64::NAN), (0.0, 1.0), (1.0, f64::INFINITY)]
        {
            assert!(!check(Setting::Rate, low, high), "{low} {high}");
        }
        assert!(!check(Setting::Depth, 2.5, 8.0));
    }
}
