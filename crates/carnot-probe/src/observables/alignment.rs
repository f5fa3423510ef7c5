//! How alike two sets of rows are: linear CKA, unbiased.

use super::{Missing, Observable, estimate};
use crate::align::{Sums, alignment};

/// CKA of a call's rows with those of the call before. Range: about 0 (unrelated) to 1 (the same up to rotation and scale).
///
/// Source: see [`crate::align::alignment`].
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
        gram.varies()?;
        let (k, l) = ((&gram.centred[..], &gram.sums), (&before.centred[..], &before.sums));
        let (value, error) = alignment(k, l, gram.n).ok_or(Missing::Constant)?;
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
        let (gram, n) = (seen.gram()?, places.len());
        gram.varies()?;
        let part;
        let gram = if n == gram.n {
            gram
        } else {
            part = gram.part(&places);
            &part
        };
        let same = |a: u32| labels.iter().map(move |&b| f64::from(u8::from(a == b)));
        let kernel: Vec<f64> = labels.iter().flat_map(|&a| same(a)).collect();
        let sums = Sums::of(&kernel, n);
        let answer = alignment((&gram.centred, &gram.sums), (&kernel, &sums), n);
        let (value, error) = answer.ok_or(Missing::OneClass)?;
        Ok(estimate(value, error, n))
    },
};
