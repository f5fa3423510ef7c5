//! How alike two sets of rows are: linear CKA, unbiased.

use super::{Missing, Observable, estimate};
use crate::gram::{Gram, alignment, jackknife};

/// CKA of a call's rows with those of the call before. Range: about 0 (unrelated) to 1 (the same up to rotation and scale).
///
/// Source: see [`crate::gram::alignment`].
pub const BEFORE: Observable = Observable {
    name: "cka",
    symbol: "CKA",
    title: "likeness to the call before",
    meaning: "Likeness of a layer's samples to those of the layer before, up to rotation and scale.",
    of: |seen| {
        let (gram, before) = (seen.gram()?, seen.gram_before()?);
        if gram.n != before.n {
            return Err(Missing::Positions);
        }
        seen.spectrum()?;
        let value = alignment(&gram.centred, &before.centred, gram.n).ok_or(Missing::Constant)?;
        let error = jackknife(gram.n, |keep| alignment(&gram.part(keep), &before.part(keep), keep.len()));
        Ok(estimate(value, error, gram.n))
    },
};

/// CKA of a call's rows with one-hot labels. Range: about 0 to 1.
pub const LABELS: Observable = Observable {
    name: "cka_labels",
    symbol: "CKA_y",
    title: "likeness to the labels",
    meaning: "Likeness of a layer's samples to their labels.",
    of: |seen| {
        let (places, labels) = seen.chosen_labels()?;
        seen.spectrum()?;
        let (gram, n) = (seen.gram()?, places.len());
        let kernel = |keep: &[usize]| -> Vec<f64> {
            let same = |a: &usize, b: &usize| f64::from(u8::from(labels[*a] == labels[*b]));
            keep.iter().flat_map(|a| keep.iter().map(move |b| same(a, b))).collect()
        };
        let of = |keep: &[usize]| {
            let rows: Vec<usize> = keep.iter().map(|&at| places[at]).collect();
            alignment(&part(gram, &rows), &kernel(keep), keep.len())
        };
        let all: Vec<usize> = (0..n).collect();
        Ok(estimate(of(&all).ok_or(Missing::OneClass)?, jackknife(n, of), n))
    },
};

fn part(gram: &Gram, rows: &[usize]) -> Vec<f64> {
    if rows.len() == gram.n { gram.centred.clone() } else { gram.part(rows) }
}
