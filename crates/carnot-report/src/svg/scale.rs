//! One axis: from values to a fraction of its length, with its ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged};

use crate::number;

/// Ticks wanted on an axis.
const TICKS: f64 = 5.0;
/// Share of the range left free at each end.
const MARGIN: f64 = 0.05;
/// Values beyond this are not drawn, so that a range never overflows.
const LARGEST: f64 = 1e300;

/// One axis over a range that is never empty.
#[derive(Clone, Debug)]
pub struct Scale {
    log: bool,
    /// Ends, as logarithms to base ten when `log`.
    low: f64,
    high: f64,
    /// Place and label of each tick.
    pub ticks: Vec<(f64, String)>,
    /// Values that a logarithmic axis cannot show.
    pub hidden: usize,
    /// False when there was no value at all.
    pub has_data: bool,
}

impl Scale {
    /// An axis that shows all values it can; `airy` leaves a margin at both ends.
    pub fn over(values: &[f64], log: bool, airy: bool) -> Scale {
        let finite = || values.iter().copied().filter(|value| value.abs() <= LARGEST);
        let shown: Vec<f64> = finite().filter(|&value| !log || value > 0.0).collect();
        let hidden = finite().count() - shown.len();
        let to_axis = |value: f64| if log { value.log10() } else { value };
        let low = shown.iter().copied().map(to_axis).fold(f64::INFINITY, f64::min);
        let high = shown.iter().copied().map(to_axis).fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = widened(low, high, log, airy);
        let ticks = if log { log_ticks(low, high) } else { linear_ticks(low, high) };
        Scale { log, low, high, ticks, hidden, has_data: !shown.is_empty() }
    }

    /// Can this value be drawn?
    pub fn shows(&self, value: f64) -> bool {
        value.abs() <= LARGEST && (!self.log || value > 0.0)
    }

    /// From 0 at the low end to 1 at the high end; what lies outside is put on the end.
    pub fn fraction(&self, value: f64) -> f64 {
        let value = match (self.log, value > 0.0) {
            (true, true) => value.log10(),
            (true, false) => self.low,
            _ => value,
        };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (self.fraction(*value) * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, _: H) -> Vec<f64> {
        self.ticks.iter().map(|tick| tick.0).collect()
    }

    fn range(&self) -> Range<f64> {
        0.0..1.0
    }
}

/// A range with room: a single value gets a neighbourhood, no value at all the unit range.
fn widened(low: f64, high: f64, log: bool, airy: bool) -> (f64, f64) {
    if low > high {
        return (0.0, 1.0);
    }
    let smallest = if log { 0.05 } else { (low.abs().max(high.abs()) * 1e-9).max(f64::MIN_POSITIVE) };
    if high - low <= smallest {
        let around = if log {
            0.5
        } else if low == 0.0 {
            1.0
        } else {
            low.abs() * 0.5
        };
        return (low - around, high + around);
    }
    let margin = if airy { (high - low) * MARGIN } else { 0.0 };
    (low - margin, high + margin)
}

fn linear_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let step = nice_step((high - low) / TICKS);
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let plain = (1e-3..1e5).contains(&low.abs().max(high.abs()));
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last.min(first + 20))
        .map(|at| at as f64 * step)
        .map(|value| {
            (value, if plain { number::decimals(value, decimals) } else { number::significant(value, 2) })
        })
        .collect()
}

/// 1, 2 or 5 times a power of ten, at least `wanted`.
fn nice_step(wanted: f64) -> f64 {
    let power = 10f64.powf(wanted.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= wanted * 0.999).unwrap_or(10.0);
    factor * power
}

/// Whole decades, every few of them over a long range, and 1, 2, 5 over a short one.
fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let (first, last) = (low.ceil() as i32, high.floor() as i32);
    if high - low < 1.7 || last - first < 1 {
        return short_log_ticks(low, high);
    }
    let stride = (f64::from(last - first) / TICKS).ceil().max(1.0) as i32;
    let powers: Vec<i32> = (first..=last).filter(|power| power.rem_euclid(stride) == 0).collect();
    let plain = low > -3.1 && high < 5.1;
    powers
        .into_iter()
        .map(|power| (10f64.powi(power), if plain { decade(power) } else { tenth(power) }))
        .collect()
}

fn short_log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let decades = (low.floor() as i32)..=(high.ceil() as i32);
    let factors: &[f64] =
        if high - low < 0.4 { &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0] } else { &[1.0, 2.0, 5.0] };
    decades
        .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
        .filter(|value| (low..=high).contains(&value.log10()))
        .map(|value| (value, shortest(value)))
        .collect()
}

fn shortest(value: f64) -> String {
    let text = number::significant(value, 2);
    if text.contains('.') && !text.contains('e') {
        return text.trim_end_matches('0').trim_end_matches('.').to_string();
    }
    text
}

fn decade(power: i32) -> String {
    if power >= 0 {
        format!("{:.0}", 10f64.powi(power))
    } else {
        format!("{:.*}", -power as usize, 10f64.powi(power))
    }
}

fn tenth(power: i32) -> String {
    if power == 0 {
        return "1".into();
    }
    let raised = |digit: char| match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(0x2070 + digit.to_digit(10).unwrap_or(0)).unwrap_or(digit),
    };
    format!("10{}", power.to_string().chars().map(raised).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], log: bool) -> Vec<String> {
        Scale::over(values, log, false).ticks.into_iter().map(|tick| tick.1).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&[0.0, 1.0], false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&[1.0, 51.0], false), ["10", "20", "30", "40", "50"]);
        assert_eq!(labels(&[0.01, 100.0], true), ["0.01", "0.1", "1", "10", "100"]);
        assert_eq!(labels(&[1e-12, 1.0], true), ["10⁻¹²", "10⁻⁹", "10⁻⁶", "10⁻³", "1"]);
        assert_eq!(labels(&[1.0, 8.0], true), ["1", "2", "5"]);
    }

    #[test]
    fn any_data_has_an_axis() {
        let extreme = [f64::NAN, f64::INFINITY, -1e308, 0.0, 1e-320, 3.0, 1e299];
        for values in
            [&extreme[..], &[], &[0.0], &[5.0, 5.0], &[f64::NAN], &[-1.0, -2.0], &[1e16, 1e16 + 2.0]]
        {
            for log in [false, true] {
                let scale = Scale::over(values, log, true);
                assert!(scale.low < scale.high && scale.ticks.len() <= 21, "{values:?} {scale:?}");
                for &value in values {
                    assert!(!scale.shows(value) || (0.0..=1.0).contains(&scale.fraction(value)));
                }
            }
        }
    }

    #[test]
    fn what_a_logarithm_cannot_show_is_counted() {
        assert_eq!(Scale::over(&[-1.0, 0.0, 1.0, f64::NAN], true, true).hidden, 2);
    }
}
