//! Numbers of a mean that are no means themselves.

use crate::stats::{Estimate, Moments};

/// A number of the mean of some rows, its error by the jackknife: each row is left out once. The error of a single row is NaN.
///
/// A ratio, such as a convexity, is to be taken of the mean and not averaged: where the denominator of one row comes near zero, the mean
/// of ratios is about that row alone.
///
/// * `rows`: at least one, of equal length
///
/// $$ \mathrm{error}^2 = \frac{n-1}{n} \sum_i (f_{(i)} - \bar f_{(\cdot)})^2 $$
///
/// # Errors
/// Those of `number`.
///
/// # Panics
/// Without rows.
///
/// Source: Efron, Stein 1981, *The jackknife estimate of variance*.
pub fn of_mean<E>(rows: &[Vec<f64>], number: &dyn Fn(&[f64]) -> Result<f64, E>) -> Result<Estimate, E> {
    let (n, length) = (rows.len(), rows[0].len());
    let sum: Vec<f64> = (0..length).map(|at| rows.iter().map(|row| row[at]).sum()).collect();
    let value = number(&sum.iter().map(|sum| sum / n as f64).collect::<Vec<_>>())?;
    if n == 1 {
        return Ok(Estimate { value, error: f64::NAN, spread: f64::NAN, n: 1 });
    }
    let without = |row: &Vec<f64>| {
        let rest: Vec<f64> = sum.iter().zip(row).map(|(sum, own)| (sum - own) / (n - 1) as f64).collect();
        number(&rest)
    };
    let left_out = Moments::of(&rows.iter().map(without).collect::<Result<Vec<_>, E>>()?);
    let spread = (n - 1) as f64 * left_out.variance().sqrt();
    Ok(Estimate { value, error: spread / (n as f64).sqrt(), spread, n: n as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Of a mean it is the mean with its usual error; of a ratio of means the error is that between independent sets of rows.
    #[test]
    fn the_error_is_that_of_repeated_measurements() {
        let set = |at: u64| -> Vec<Vec<f64>> {
            let mut stream = Stream::new(2, "jackknife test", &[at]);
            (0..12).map(|_| vec![3.0 + stream.normal::<f64>(), 5.0 + stream.normal::<f64>()]).collect()
        };
        let rows = set(0);
        let mean = of_mean::<()>(&rows, &|row| Ok(row[0])).unwrap();
        let plain = Moments::of(&rows.iter().map(|row| row[0]).collect::<Vec<_>>()).estimate();
        assert!((mean.value - plain.value).abs() < 1e-12 && (mean.error - plain.error).abs() < 1e-12);
        let ratios: Vec<Estimate> =
            (0..400).map(|at| of_mean::<()>(&set(at), &|row| Ok(row[0] / row[1])).unwrap()).collect();
        let spread = Moments::of(&ratios.iter().map(|ratio| ratio.value).collect::<Vec<_>>());
        let said = Moments::of(&ratios.iter().map(|ratio| ratio.error.powi(2)).collect::<Vec<_>>());
        let far = (spread.variance() - said.mean()) / (spread.variance_error().hypot(said.error()));
        assert!(far.abs() < 4.0, "{} and {}, {far} errors apart", spread.variance(), said.mean());
        assert!(of_mean(&rows, &|_| Err::<f64, _>("no")).is_err());
        assert!(of_mean::<()>(&rows[..1], &|row| Ok(row[0])).unwrap().error.is_nan());
    }
}
