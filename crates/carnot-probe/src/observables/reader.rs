//! What a linear reader finds in a layer: ridge regression of one-hot labels, two halves that read each other.

use super::{Missing, Observable, estimate};
use crate::seen::error;

/// $1 - R^2 = \sum_i |y_i - \hat y_i|^2/\sum_i |y_i - \bar y|^2$ on rows that the reader has not seen. Range: 0 (everything is
/// readable) to about 1 (nothing is).
///
/// Source: Alain, Bengio, arXiv:1610.01644.
pub const UNEXPLAINED: Observable = Observable {
    name: "unexplained",
    symbol: "1−R²",
    title: "unexplained share",
    meaning: "What a linear reader of the layer cannot tell about the labels, on samples that it has not seen.",
    of: |seen| {
        let reader = seen.reader()?;
        let (value, influence) = reader.unexplained();
        Ok(estimate(value, value * error(&influence, influence.len()), influence.len()))
    },
};

/// Share of rows whose class the same reader names. Range: 0 to 1.
pub const ACCURACY: Observable = Observable {
    name: "reader_accuracy",
    symbol: "acc_R",
    title: "accuracy of a reader",
    meaning: "Share of samples whose class a linear reader of the layer names, on samples that it has not seen.",
    of: |seen| {
        let correct = &seen.reader()?.correct;
        if correct.is_empty() {
            return Err(Missing::Few { needed: 8 });
        }
        Ok(crate::session::share(correct.iter().filter(|&&is| is).count(), correct.len()))
    },
};

/// A reader prefers another class by half a label or more.
const SURE: f64 = 0.5;

/// Share of rows for which the reader, which has not seen their labels, is sure of another class: its output for that class
/// exceeds the one for the label by 1/2. Range: 0 to 1. Hard samples make a reader unsure, wrong labels make it sure of another
/// class.
///
/// Source: Northcutt, Jiang, Chuang, arXiv:1911.00068 (confident learning), with a linear reader.
pub const CONFLICT: Observable = Observable {
    name: "conflict",
    symbol: "conflict",
    title: "labels in conflict",
    meaning: "Share of samples whose label a linear reader contradicts with certainty.",
    of: |seen| {
        let margin = &seen.reader()?.margin;
        if margin.is_empty() {
            return Err(Missing::Few { needed: 8 });
        }
        Ok(crate::session::share(margin.iter().filter(|&&margin| margin > SURE).count(), margin.len()))
    },
};
