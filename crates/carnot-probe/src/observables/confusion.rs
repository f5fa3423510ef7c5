//! How wrong answers are spread over the classes.

use std::collections::BTreeMap;

use carnot_math::stats::Estimate;

use super::{Missing, Summary, estimate};

/// See [`evenness`].
pub const SUMMARY: Summary = Summary {
    name: "confusion",
    symbol: "χ²/ν",
    title: "pattern of wrong answers",
    meaning: "How far wrong answers are from an even spread over the other classes: 1 is even, as redrawn labels give; classes that resemble each other give more.",
};

/// Wrong answers that are needed, and degrees of freedom.
const WRONG: usize = 30;
const FREEDOM: usize = 20;

/// Of what the last call answers to the chosen rows: $\chi^2/\nu$ of the labels behind its wrong answers against labels drawn by
/// the frequency of the other classes.
///
/// With O(c, a) rows of class c that are answered with a ≠ c, and w(c) the share of class c among the chosen rows,
/// $E(c, a) = \sum_{c'} O(c', a)\, w(c)/(1 - w(a))$ and $\chi^2 = \sum_{c \ne a} (O - E)^2/E$; a class with k others that it could
/// be takes k − 1 of ν. Labels that were redrawn give 1 ± √(2/ν), whatever their share, and up to a tenth less where many were,
/// since w is then made of the same rows; look-alikes give more. Range: ≥ 0.
///
/// # Errors
/// Without labels or answers, with fewer than 30 wrong answers, or with too few classes.
///
/// Source: the χ² test of Pearson 1900, on the off-diagonal part of a confusion matrix.
pub fn evenness(labels: &[u32], answers: &[u32]) -> Result<Estimate, Missing> {
    let (value, freedom) = spread(labels, answers)?;
    Ok(estimate(value, (2.0 / freedom as f64).sqrt(), labels.len()))
}

/// χ²/ν and ν.
fn spread(labels: &[u32], answers: &[u32]) -> Result<(f64, usize), Missing> {
    let mut shares: BTreeMap<u32, f64> = BTreeMap::new();
    for &label in labels {
        *shares.entry(label).or_default() += 1.0 / labels.len() as f64;
    }
    let mut wrong: BTreeMap<u32, BTreeMap<u32, f64>> = BTreeMap::new();
    let pairs = labels.iter().zip(answers).filter(|(label, answer)| label != answer);
    let mut count = 0;
    for (&label, &answer) in pairs {
        *wrong.entry(answer).or_default().entry(label).or_default() += 1.0;
        count += 1;
    }
    if count < WRONG {
        return Err(Missing::Few { needed: labels.len() * WRONG / count.max(1) });
    }
    let (mut chi, mut freedom) = (0.0, 0);
    for (answer, behind) in &wrong {
        let all: f64 = behind.values().sum();
        let rest = 1.0 - shares.get(answer).copied().unwrap_or(0.0);
        let others = shares.iter().filter(|(label, _)| *label != answer);
        let mut cells = 0usize;
        for (label, share) in others {
            let expected = all * share / rest;
            chi += (behind.get(label).copied().unwrap_or(0.0) - expected).powi(2) / expected;
            cells += 1;
        }
        freedom += cells.saturating_sub(1);
    }
    if freedom < FREEDOM {
        return Err(Missing::Kind("probes with six classes or more"));
    }
    Ok((chi / freedom as f64, freedom))
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::random::Stream;
    use carnot_math::stats::Moments;

    /// Labels of which a share was redrawn, answered by one who knows the true ones; or true ones, answered by one who takes
    /// every class for its neighbour so often.
    fn drawn(seed: u64, share: f64, is_redrawn: bool) -> f64 {
        let mut stream = Stream::new(seed, "confusion", &[]);
        let truth: Vec<u32> = (0..256).map(|_| stream.below(10) as u32).collect();
        let other: Vec<u32> = truth
            .iter()
            .map(|&class| match stream.uniform() < share {
                true if is_redrawn => stream.below(10) as u32,
                true => class ^ 1,
                false => class,
            })
            .collect();
        let (labels, answers) = if is_redrawn { (other, truth) } else { (truth, other) };
        spread(&labels, &answers).unwrap().0
    }

    #[test]
    fn redrawn_labels_give_one_whatever_their_share_and_look_alikes_give_more() {
        for share in [0.3, 0.5, 0.8] {
            let all: Vec<f64> = (0..400).map(|seed| drawn(seed, share, true)).collect();
            let moments = Moments::of(&all);
            // The nine shares of the classes are made of the same rows: at most 9 of 80 are taken off.
            let (mean, error) = (moments.mean(), 4.0 * moments.error());
            assert!(mean < 1.0 + error && mean > 1.0 - 9.0 / 80.0 - error, "{share}: {mean}");
            let told = 2.0 / 80.0;
            assert!((moments.variance() / told - 1.0).abs() < 0.35, "{share}: {}", moments.variance() / told);
        }
        assert!((0..20).all(|seed| drawn(seed, 0.3, false) > 4.0));
    }

    #[test]
    fn a_handmade_confusion_has_the_number_of_its_formula() {
        // Seven classes of ten rows each; class 0 is taken for 1 five times, and each class for the next but one five times.
        let labels: Vec<u32> = (0..70).map(|at| at / 10).collect();
        let answers: Vec<u32> =
            labels.iter().enumerate().map(|(at, &c)| if at % 10 < 5 { (c + 2) % 7 } else { c }).collect();
        // Each answer has five wrong ones behind it, all of one class: E = 5/6, χ² = (25/6)²/(5/6) + 5·5/6 = 25; ν = 5.
        let (value, freedom) = spread(&labels, &answers).unwrap();
        assert!((value - 5.0).abs() < 1e-12 && freedom == 35, "{value} {freedom}");
        assert_eq!(spread(&labels, &labels), Err(Missing::Few { needed: 2100 }));
    }
}
