//! Formulas made of pieces: straight lines and parabolas, or straight lines and exponentials of one rate, between kinks.
//!
//! Told from derivatives at points inside each piece, so that `clip(z, -1, 1)`, `elu` and what a user writes with `max`, `min`
//! and `if` have the pair averages of [`carnot_math::gauss::pieces`].

use carnot_math::formula::Formula;
use carnot_math::gauss::pieces::{Piece, Pieces};

/// Error relative to the function that a description may have.
const CLOSE: f64 = 1e-13;
/// Where a piece between kinks is looked at, in parts of its length.
const INSIDE: [f64; 7] = [0.02, 0.11, 0.27, 0.5, 0.68, 0.87, 0.97];
/// Where a piece without end is looked at, in distances from its kink.
const OUTSIDE: [f64; 9] = [0.01, 0.1, 0.4, 0.9, 1.7, 3.1, 6.3, 14.0, 200.0];

/// The pieces of a formula with kinks, if it is made of such pieces.
#[must_use]
pub fn pieces(formula: &Formula) -> Option<Pieces> {
    let kinks: Vec<f64> = formula.kinks().iter().map(|kink| kink.at).collect();
    let (first, last) = (*kinks.first()?, *kinks.last()?);
    let mut points: Vec<Vec<f64>> = vec![OUTSIDE.iter().map(|x| first - x).collect()];
    let between = |ends: &[f64]| INSIDE.iter().map(|x| ends[0] + x * (ends[1] - ends[0])).collect();
    points.extend(kinks.windows(2).map(between));
    points.push(OUTSIDE.iter().map(|x| last + x).collect());
    let mut rate = None;
    for points in &points {
        match (rate_on(formula, points)?, rate) {
            (Rate::Straight, _) => {}
            (Rate::Of(found), None) => rate = Some(found),
            (Rate::Of(found), Some(known)) => {
                if (found - known).abs() > 1e-12 * known.abs() {
                    return None;
                }
            }
        }
    }
    let rate = rate.unwrap_or(0.0);
    let all: Vec<Piece> = points.iter().map(|points| piece(formula, points, rate)).collect();
    let pieces = Pieces::new(&kinks, &all, rate)?;
    points.iter().all(|points| agrees(formula, &pieces, points)).then_some(pieces)
}

/// How the curvature of a piece changes.
enum Rate {
    /// There is none.
    Straight,
    /// f‴ = α f″.
    Of(f64),
}

fn rate_on(formula: &Formula, points: &[f64]) -> Option<Rate> {
    let jets: Vec<[f64; 5]> = points.iter().map(|z| formula.jet(*z)).collect();
    let largest = |k: usize| jets.iter().fold(0.0f64, |most, jet| most.max(jet[k].abs()));
    if jets.iter().flatten().any(|x| !x.is_finite()) {
        return None;
    }
    if largest(2) <= CLOSE * (largest(1) + f64::MIN_POSITIVE) && largest(3) <= CLOSE * largest(1) {
        return Some(Rate::Straight);
    }
    let bent = jets.iter().max_by(|a, b| a[2].abs().total_cmp(&b[2].abs())).expect("points are given");
    let rate = bent[3] / bent[2];
    Some(Rate::Of(if rate.abs() < CLOSE { 0.0 } else { rate }))
}

/// The piece with the values and derivatives of the formula at one point of it.
fn piece(formula: &Formula, points: &[f64], rate: f64) -> Piece {
    let jets = points.iter().map(|z| (*z, formula.jet(*z)));
    let (z, jet) = jets.max_by(|a, b| a.1[2].abs().total_cmp(&b.1[2].abs())).expect("points are given");
    let scale = points.iter().fold(0.0f64, |most, z| most.max(formula.jet(*z)[1].abs()));
    let curve = if jet[2].abs() <= CLOSE * scale { 0.0 } else { jet[2] * (-rate * z).exp() };
    let alone = Pieces::new(&[0.0], &[Piece { constant: 0.0, slope: 0.0, curve }; 2], rate);
    let [value, slope, _] = alone.map_or([0.0; 3], |alone| alone.at(z));
    let slope = clean(jet[1] - slope, jet[1]);
    Piece { constant: clean(jet[0] - value - slope * z, jet[0].abs() + (slope * z).abs()), slope, curve }
}

/// Rounding is taken for nothing.
fn clean(x: f64, scale: f64) -> f64 {
    if x.abs() <= 1e-15 * scale.abs() { 0.0 } else { x }
}

/// Whether a piece is the formula: its value everywhere to its own digits, its derivatives to those of the largest.
fn agrees(formula: &Formula, pieces: &Pieces, points: &[f64]) -> bool {
    let jets: Vec<[f64; 5]> = points.iter().map(|z| formula.jet(*z)).collect();
    let largest = |k: usize| jets.iter().fold(0.0f64, |most, jet| most.max(jet[k].abs()));
    let (slope, curve) = (largest(1), largest(1).max(largest(2)));
    points.iter().zip(&jets).all(|(z, jet)| {
        let at = pieces.at(*z);
        let scales = [jet[0].abs().max((z * slope).abs()), slope, curve];
        (0..3).all(|k| (jet[k] - at[k]).abs() <= CLOSE * scales[k])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<Pieces> {
        pieces(&Formula::parse(text).unwrap())
    }

    #[test]
    fn functions_made_of_pieces_are_found_and_are_the_function() {
        for (text, rate) in [
            ("clip(z, -1, 1)", 0.0),
            ("clip(z + 3, 0, 6) / 6", 0.0),
            ("z * clip(z + 3, 0, 6) / 6", 0.0),
            ("min(max(z, 0), 6)", 0.0),
            ("if(z > 0, z, expm1(z))", 1.0),
            ("1.0507009873554805 * if(z > 0, z, 1.6732632423543772 * expm1(z))", 1.0),
            ("if(z > 0, z, 2 * expm1(z / 2))", 0.5),
            ("if(z > 0.5, z - 0.5, if(z < -0.5, z + 0.5, 0))", 0.0),
            ("if(z > 0.5, z, if(z < -0.5, z, 0))", 0.0),
            ("if(z > 1, z, 0.3)", 0.0),
            ("max(z - 1, 0)^2 + z", 0.0),
            ("if(abs(z) < 1, z^2 / 2, abs(z) - 0.5)", 0.0),
        ] {
            let pieces = found(text).unwrap_or_else(|| panic!("{text} is made of pieces"));
            assert!((pieces.rate() - rate).abs() < 1e-14, "{text}: {}", pieces.rate());
            let formula = Formula::parse(text).unwrap();
            for i in -400..400 {
                let z = f64::from(i) / 50.0 + 0.003;
                let (f, g) = (formula.value(z), pieces.at(z)[0]);
                assert!((f - g).abs() <= 1e-14 * (1.0 + f.abs()), "{text} at {z}: {f} and {g}");
            }
        }
    }

    #[test]
    fn what_is_not_made_of_pieces_is_not_taken_for_it() {
        for text in [
            "tanh(z)",
            "max(tanh(z), 0)",
            "z / (1 + abs(z))",
            "clip(z, -1, 1) + 1e-9 * sin(z)",
            "max(z, 0)^3",
            "if(z > 0, z^2, expm1(z))",
            "if(z > 0, exp(-z), exp(2 * z))",
            "max(z, 0) + 1e-7 * z^4",
        ] {
            assert!(found(text).is_none(), "{text}");
        }
    }
}
