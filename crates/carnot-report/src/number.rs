//! A number with its error, as text: error to one digit, value to the same digit, powers of ten below 10⁻³.

use unicode_width::UnicodeWidthStr;

/// Below this, numbers are written as powers of ten.
const SMALL: f64 = 1e-3;
/// From this on, numbers without an error are written as powers of ten.
const LARGE: f64 = 1e6;
/// More decimals than this say nothing beside numbers of order one; a value near 10⁻³ keeps two digits.
const MOST_DECIMALS: usize = 4;
/// An error smaller than this is rounding, not measurement.
const FINEST: usize = 12;

/// A number to that many significant digits: `0.0724`, `1230`, `5.2e-13`.
///
/// What is not finite is a dash; it has no digits.
pub fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    if value == 0.0 {
        return "0".into();
    }
    let digits = digits.max(1);
    let exponent = exponent(value, digits);
    if value.abs() < SMALL || value.abs() >= LARGE {
        return scientific(value, digits);
    }
    let decimals = digits as i32 - 1 - exponent;
    fixed(value, decimals.min(MOST_DECIMALS as i32))
}

/// A number with its standard error: `0.0522 ± 0.0004`, `(5.2 ± 0.3)e-13`.
///
/// Without a positive, finite error it is [`significant`] to three digits.
pub fn estimate(value: f64, error: f64) -> String {
    if !value.is_finite() || !error.is_finite() || error <= 0.0 {
        return significant(value, 3);
    }
    let largest = value.abs().max(error);
    if !(SMALL..LARGE).contains(&largest) {
        return estimate_scaled(value, error, exponent(largest, 3));
    }
    let decimals = decimals_for(error);
    format!("{} ± {}", fixed(value, decimals), fixed(error, decimals))
}

/// A number with that many decimals.
pub fn decimals(value: f64, decimals: usize) -> String {
    if value.is_finite() { fixed(value, decimals as i32) } else { "–".into() }
}

/// A position on an axis: whole numbers, such as layers and widths, as they are; others to three digits.
pub fn position(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < LARGE { format!("{value:.0}") } else { significant(value, 3) }
}

/// A share as percent with at most two significant digits below ten: `51 %`, `6.4 %`.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value.abs() >= 10.0 {
        format!("{} %", fixed(value, 0))
    } else {
        format!("{} %", significant(value, 2))
    }
}

/// The numbers of one column, as `(value, error)`, written with one common number of decimals.
///
/// The smallest error decides, as long as no other error gets more than two digits by it; otherwise each number is
/// written by itself. Missing values are empty.
pub fn column(numbers: &[(Option<f64>, Option<f64>)]) -> Vec<String> {
    let common = common_decimals(numbers);
    let write = |&(value, error): &(Option<f64>, Option<f64>)| match (value, error, common) {
        (None, _, _) => String::new(),
        (Some(value), Some(error), Some(common)) if has_size(error) => {
            format!("{} ± {}", fixed(value, common), fixed(error, common))
        }
        (Some(value), Some(error), None) if has_size(error) => estimate(value, error),
        (Some(value), _, _) => significant(value, 3),
    };
    numbers.iter().map(write).collect()
}

/// Pads numbers on both sides so that their points stand under each other.
pub fn align_points(numbers: &[String]) -> Vec<String> {
    let before = numbers.iter().map(|number| whole_width(number)).max().unwrap_or(0);
    let shifted: Vec<String> = numbers
        .iter()
        .map(|number| {
            let pad = if number.is_empty() { 0 } else { before - whole_width(number) };
            format!("{}{number}", " ".repeat(pad))
        })
        .collect();
    let width = shifted.iter().map(|number| number.width()).max().unwrap_or(0);
    shifted.into_iter().map(|number| format!("{number}{}", " ".repeat(width - number.width()))).collect()
}

fn has_size(error: f64) -> bool {
    error.is_finite() && error > 0.0
}

fn common_decimals(numbers: &[(Option<f64>, Option<f64>)]) -> Option<i32> {
    let measured = || {
        numbers.iter().filter_map(|&(value, error)| match (value, error) {
            (Some(value), Some(error)) if has_size(error) && value.is_finite() => Some((value, error)),
            _ => None,
        })
    };
    if measured().any(|(value, error)| value.abs().max(error) < SMALL || value.abs().max(error) >= LARGE) {
        return None;
    }
    let wanted = measured().map(|(_, error)| decimals_for(error));
    let (finest, coarsest) = (wanted.clone().max()?, wanted.min()?);
    (finest - coarsest <= 1).then_some(finest)
}

/// Decimals that show one digit of the error; negative when it is ten or more.
fn decimals_for(error: f64) -> i32 {
    (-exponent(error, 1)).min(FINEST as i32)
}

/// Power of ten of the first digit, after rounding to that many digits.
fn exponent(value: f64, digits: usize) -> i32 {
    let text = format!("{:.*e}", digits.saturating_sub(1), value);
    text.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0)
}

fn scientific(value: f64, digits: usize) -> String {
    format!("{:.*e}", digits - 1, value)
}

fn estimate_scaled(value: f64, error: f64, power: i32) -> String {
    let unit = 10f64.powi(power);
    let decimals = decimals_for(error / unit).max(0);
    format!("({} ± {})e{power}", fixed(value / unit, decimals), fixed(error / unit, decimals))
}

/// Rounds to decimals, or to tens and hundreds when negative; never writes `-0`.
fn fixed(value: f64, decimals: i32) -> String {
    let text = if decimals >= 0 {
        format!("{:.*}", decimals as usize, value)
    } else {
        let unit = 10f64.powi(-decimals);
        format!("{:.0}", (value / unit).round() * unit)
    };
    let is_zero = text.starts_with('-') && !text.contains(|c: char| ('1'..='9').contains(&c));
    if is_zero { text[1..].to_string() } else { text }
}

fn whole_width(number: &str) -> usize {
    let starts_as_number = number.starts_with(|c: char| c.is_ascii_digit() || "-+(".contains(c));
    if !starts_as_number {
        return 0;
    }
    number.find(['.', 'e', ' ']).unwrap_or(number.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: String, expect: &str) {
        assert_eq!(written, expect);
    }

    #[test]
    fn significant_digits_are_kept_and_small_numbers_are_powers_of_ten() {
        check(significant(0.33, 3), "0.330");
        check(significant(0.07241, 3), "0.0724");
        check(significant(0.0061, 3), "0.0061");
        check(significant(5.2e-13, 2), "5.2e-13");
        check(significant(9.999e-4, 2), "1.0e-3");
        check(significant(1234.0, 3), "1230");
        check(significant(0.9999, 3), "1.00");
        check(significant(-2.5e9, 2), "-2.5e9");
        check(significant(0.0, 3), "0");
        check(significant(f64::NAN, 3), "–");
    }

    #[test]
    fn the_error_has_one_digit_and_the_value_as_many_decimals() {
        check(estimate(0.052_17, 0.000_41), "0.0522 ± 0.0004");
        check(estimate(1.0039, 0.0039), "1.004 ± 0.004");
        check(estimate(12.0, 0.096), "12.0 ± 0.1");
        check(estimate(1234.0, 57.0), "1230 ± 60");
        check(estimate(5.21e-13, 3.1e-14), "(5.2 ± 0.3)e-13");
        check(estimate(0.0, 0.02), "0.00 ± 0.02");
        check(estimate(-0.001, 0.02), "0.00 ± 0.02");
        check(estimate(0.5, 0.0), "0.500");
        check(estimate(0.5, f64::INFINITY), "0.500");
        check(estimate(f64::INFINITY, 1.0), "–");
        check(estimate(1e-5, 3.0), "0 ± 3");
    }

    #[test]
    fn a_column_has_one_number_of_decimals_when_errors_are_alike() {
        let alike = [(Some(1.0039), Some(0.0039)), (Some(0.1276), Some(0.0008)), (None, None)];
        assert_eq!(column(&alike), ["1.0039 ± 0.0039", "0.1276 ± 0.0008", ""]);
        let apart = [(Some(10.4), Some(2.0)), (Some(0.1276), Some(0.0008))];
        assert_eq!(column(&apart), ["10 ± 2", "0.1276 ± 0.0008"]);
    }

    #[test]
    fn points_stand_under_each_other() {
        let numbers = ["0.58".to_string(), "-12.5".into(), "1".into(), String::new()];
        assert_eq!(align_points(&numbers), ["  0.58", "-12.5 ", "  1   ", "      "]);
    }

    #[test]
    fn shares_are_percent() {
        check(percent(0.51), "51 %");
        check(percent(0.0643), "6.4 %");
    }
}
