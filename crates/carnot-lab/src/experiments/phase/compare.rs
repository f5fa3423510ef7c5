//! Rank correlation over cells, with an interval.

use carnot_math::random::Stream;
use carnot_math::stats::spearman;
use serde::Serialize;

/// A rank correlation with a 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rank {
    /// Spearman's ρ, −1 to 1.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Pairs.
    pub n: usize,
}

/// Pairs below which a rank correlation says nothing.
const FEWEST: usize = 8;

/// Resamplings behind an interval.
const RESAMPLED: u64 = 2000;

/// Spearman's ρ of some pairs, ties at their mean rank; the interval is that of 2000 resamplings of the pairs. Cells of one diagram
/// share data and are no independent draws, so it says how much hangs on single cells, and not more.
///
/// `None` for fewer than eight pairs, or when one side is constant.
pub fn rank(pairs: &[(f64, f64)], seed: u64) -> Option<Rank> {
    if pairs.len() < FEWEST {
        return None;
    }
    let value = spearman(pairs)?;
    let again = |at: u64| {
        let mut stream = Stream::new(seed, "resampled cells", &[at]);
        let drawn: Vec<(f64, f64)> = pairs.iter().map(|_| pairs[stream.below(pairs.len())]).collect();
        spearman(&drawn)
    };
    let mut all: Vec<f64> = (0..RESAMPLED).filter_map(again).collect();
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
    (!all.is_empty()).then(|| Rank { value, low: at(0.025), high: at(0.975), n: pairs.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_compared_and_not_sizes() {
        let grown: Vec<(f64, f64)> = (0..20).map(|x| (f64::from(x), f64::from(x).exp())).collect();
        assert!((rank(&grown, 1).unwrap().value - 1.0).abs() < 1e-12);
        // By hand: ranks 0 1.5 1.5 3 against 0 1 2 3 give 4.5/√(4.5·5).
        let tied = [(1.0, 1.0), (2.0, 2.0), (2.0, 3.0), (5.0, 9.0)];
        assert!((spearman(&tied).unwrap() - 4.5 / (4.5f64 * 5.0).sqrt()).abs() < 1e-12);
        assert_eq!(rank(&[(1.0, 1.0); 9], 1), None);
        assert_eq!(rank(&grown[..7], 1), None);
    }

    #[test]
    fn an_interval_holds_the_truth_as_often_as_it_says() {
        // ρ_S = (6/π) asin(r/2) of two normal numbers with correlation r = 0.7.
        let truth = 6.0 / std::f64::consts::PI * (0.35f64).asin();
        let held = (0..200).filter(|&seed| {
            let mut stream = Stream::new(seed, "pairs", &[]);
            let pairs: Vec<(f64, f64)> = (0..60)
                .map(|_| {
                    let (a, b): (f64, f64) = (stream.normal(), stream.normal());
                    (a, 0.7 * a + 0.51f64.sqrt() * b)
                })
                .collect();
            let rank = rank(&pairs, seed).unwrap();
            rank.low <= truth && truth <= rank.high
        });
        // 190 of 200 expected, ± 3.1; the bootstrap of 60 pairs is a little narrow.
        let held = held.count();
        assert!((180..=200).contains(&held), "{held}");
    }
}
