//! Classes as regression targets.

use crate::error::{TheoryError, check};

/// Centred one-hot targets: 1 − 1/C for the class of a sample, −1/C for the others, so that each row sums to zero.
///
/// * `labels`: class of each sample, below `classes`
/// * `classes`: C ≥ 2
/// * returns: `[samples, classes]`, row-major
///
/// # Errors
/// [`TheoryError::OutOfRange`] for a label that is no class.
///
/// Source: Lee et al. 2018, arXiv:1711.00165, section 3.1.
pub fn centred_one_hot(labels: &[u32], classes: usize) -> Result<Vec<f64>, TheoryError> {
    check("classes", classes as f64, classes >= 2, "at least 2")?;
    if let Some(&label) = labels.iter().find(|&&label| label as usize >= classes) {
        check("label", f64::from(label), false, "below the number of classes")?;
    }
    let rest = -1.0 / classes as f64;
    let entry = |label: u32, class: usize| if class == label as usize { 1.0 + rest } else { rest };
    Ok(labels.iter().flat_map(|&label| (0..classes).map(move |class| entry(label, class))).collect())
}

/// Class of the largest output of each sample; the first of equal ones.
///
/// * `outputs`: `[samples, classes]`, row-major, classes ≥ 1
pub fn decide(outputs: &[f64], classes: usize) -> Vec<u32> {
    let largest = |row: &[f64]| (1..row.len()).fold(0, |top, at| if row[at] > row[top] { at } else { top });
    outputs.chunks(classes).map(|row| largest(row) as u32).collect()
}
