//! Neural collapse: how far a layer is from one point per class, at equal angles, read by its own means.
//!
//! Source: Papyan, Han, Donoho, arXiv:2008.08186. Every class counts alike; the centre is the mean of all samples.

use carnot_math::stats::Moments;

use super::{Missing, Observable, fact, separation};
use crate::directions::Directions;
use crate::scatter::{Classes, squared_distance};

/// $\mathrm{NC1} = \mathrm{Tr}(S_W S_B^+)/K$ with every class weighted alike. Range: ≥ 0; 0 is collapse. At every layer it is the
/// exponential of a separation.
pub const NC1: Observable = Observable {
    name: "nc1",
    symbol: "NC1",
    title: "collapse within classes",
    meaning: "Within-class scatter in units of what separates the classes: 0 when each class is one point.",
    of: |seen| {
        let separated = separation::judged(seen)?;
        let (arms, placed) = (&separated.arms, seen.placed()?);
        let (balanced, compared);
        // With as many samples in each class the directions are those of the separation.
        let (directions, along) = if arms.is_balanced() {
            (separated.directions.as_ref().map_err(Clone::clone)?, &separated.compared.along)
        } else {
            balanced = Directions::of(arms, true)?;
            compared = placed.compare(arms, &balanced.vectors);
            (&balanced, &compared.along)
        };
        let mut of_class = vec![Moments::default(); arms.counts.len()];
        for (along, &class) in along.chunks_exact(directions.rank()).zip(&placed.class) {
            of_class[class].push(along.iter().zip(&directions.sigma).map(|(a, s)| (a / s).powi(2)).sum());
        }
        let seen: Vec<f64> = of_class.iter().filter(|own| own.count() > 0).map(Moments::mean).collect();
        Ok(fact(seen.iter().sum::<f64>() / seen.len() as f64 / arms.counts.len() as f64))
    },
};

/// Coefficient of variation of the lengths |m_c − m|. Range: ≥ 0; 0 when all classes are equally far out.
pub const NORMS: Observable = Observable {
    name: "nc2_norms",
    symbol: "NC2ₙ",
    title: "unequal lengths of class means",
    meaning: "Relative spread of the distances of the class means from their centre: 0 when they are equal.",
    of: |seen| {
        let lengths: Vec<f64> =
            arms(&separation::judged(seen)?.classes).iter().map(|arm| length(arm)).collect();
        let moments = Moments::of(&lengths);
        if moments.mean() <= 0.0 {
            return Err(Missing::Merged);
        }
        let n = lengths.len() as f64;
        Ok(fact((moments.variance() * (n - 1.0) / n).sqrt() / moments.mean()))
    },
};

/// Mean over pairs of classes of $|\cos(m_c-m, m_{c'}-m) + \frac{1}{K-1}|$. Range: ≥ 0; 0 when all angles are the largest possible.
pub const ANGLES: Observable = Observable {
    name: "nc2_angles",
    symbol: "NC2ₐ",
    title: "unequal angles of class means",
    meaning: "Mean distance of the cosines between class means from −1/(K−1): 0 when all angles are as large as can be.",
    of: |seen| {
        let arms = arms(&separation::judged(seen)?.classes);
        let ideal = 1.0 / (arms.len() as f64 - 1.0);
        let mut moments = Moments::default();
        for (at, a) in arms.iter().enumerate() {
            for b in &arms[..at] {
                let size = length(a) * length(b);
                if size <= 0.0 {
                    return Err(Missing::Merged);
                }
                moments.push((dot(a, b) / size + ideal).abs());
            }
        }
        Ok(fact(moments.mean()))
    },
};

/// $\mathrm{NC3} = |W/|W|_F - M/|M|_F|_F^2$, W the weight of the head and M the centred class means that it reads. Range: 0 to 4.
pub const HEAD: Observable = Observable {
    name: "nc3",
    symbol: "NC3",
    title: "head against class means",
    meaning: "Distance of the head's weight from the class means that it reads, both of length 1: 0 when they are dual.",
    of: |seen| {
        let weight = seen
            .call
            .classifier
            .as_ref()
            .ok_or(Missing::Kind("the head, whose weight was not handed over"))?;
        let before = seen.before.as_ref().ok_or(Missing::First)?.classes.as_ref().ok_or(Missing::Labels)?;
        let means = arms(before);
        if weight.len() != means.len() * before.width {
            return Err(Missing::NotGiven("a head that reads the call before, one row a class"));
        }
        let rows: Vec<f64> = weight.iter().map(|&w| f64::from(w)).collect();
        let flat: Vec<f64> = means.concat();
        let (w, m) = (length(&rows), length(&flat));
        if !(w > 0.0 && m > 0.0 && w.is_finite()) {
            return Err(Missing::Merged);
        }
        Ok(fact(rows.iter().zip(&flat).map(|(a, b)| (a / w - b / m).powi(2)).sum()))
    },
};

/// Mean over pairs of classes of $(v_a+v_b)/(2|m_a-m_b|^2)$, v the variance within a class. Range: ≥ 0. No inverse, so it is good
/// for many classes.
///
/// Source: Galanti, György, Hutter, arXiv:2112.15121.
pub const CDNV: Observable = Observable {
    name: "cdnv",
    symbol: "CDNV",
    title: "class-distance normalised variance",
    meaning: "Variance within two classes over their squared distance, mean over pairs of classes.",
    of: |seen| {
        let classes: Vec<_> = separation::judged(seen)?.classes.by_label.values().collect();
        let mut moments = Moments::default();
        for (at, a) in classes.iter().enumerate() {
            for b in &classes[..at] {
                let (va, vb) = (a.spread / a.count as f64, b.spread / b.count as f64);
                let apart = squared_distance(&a.mean, &b.mean);
                if apart <= 0.0 {
                    return Err(Missing::Merged);
                }
                moments.push((va + vb) / (2.0 * apart));
            }
        }
        Ok(fact(moments.mean()))
    },
};

/// m_c − m for every class.
fn arms(classes: &Classes) -> Vec<Vec<f64>> {
    let centre = classes.mean();
    let arm = |mean: &Vec<f64>| mean.iter().zip(&centre).map(|(m, c)| m - c).collect();
    classes.by_label.values().map(|class| arm(&class.mean)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn length(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}
