//! Everything that one weight matrix says by itself.

use serde::{Deserialize, Serialize};

use super::Answer;
use super::eigenvalues::{Gram, Ranks};
use super::entries::{Entries, Law};
use super::marchenko_pastur::{Random, random};
use super::power_law::{Fit, fit};
use super::units::{Dead, Duplicated, dead, duplicated};

/// What one weight matrix says by itself. What cannot be computed says why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Outputs.
    pub rows: usize,
    /// Inputs that one output adds up.
    pub columns: usize,
    /// Of these, from one channel: positions of the window of a convolution, otherwise 1.
    pub window: usize,
    /// Moments of the entries.
    pub entries: Answer<Entries>,
    /// The law from which the entries look drawn.
    pub law: Option<Law>,
    /// $C_W = \langle w^2 \rangle \cdot$ fan-in.
    pub c_w: Option<f64>,
    /// Its standard error.
    pub c_w_error: Option<f64>,
    /// Ranks and spectral norm.
    pub ranks: Answer<Ranks>,
    /// The tail of the spectrum.
    pub tail: Answer<Fit>,
    /// The random-matrix null.
    pub random: Answer<Random>,
    /// Dead units.
    pub dead: Answer<Dead>,
    /// Duplicated units.
    pub duplicated: Answer<Duplicated>,
}

/// How a tensor is laid out as a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Outputs.
    pub rows: usize,
    /// Inputs that one output adds up.
    pub columns: usize,
    /// Of $C_W$: the columns, but 1 for an embedding.
    pub fan_in: usize,
    /// Inputs that come from one channel: positions of the window of a convolution, otherwise 1.
    pub window: usize,
}

/// Analyses one matrix on the calling thread.
///
/// * `values`: `[rows, columns]`, row-major; rows are outputs
/// * `seed`, `at`: address of the random numbers of the goodness of fit, so that the bits do not depend on who asks when
#[must_use]
pub fn analyse(values: &[f32], shape: Shape, seed: u64, at: u64) -> Analysis {
    let Shape { rows, columns, fan_in, window } = shape;
    let entries = Entries::of(values);
    let mut analysis = Analysis {
        rows,
        columns,
        window,
        law: entries.as_ref().ok().map(Entries::law),
        c_w: None,
        c_w_error: None,
        ranks: blank(&entries),
        tail: blank(&entries),
        random: blank(&entries),
        dead: blank(&entries),
        duplicated: blank(&entries),
        entries,
    };
    let Ok(entries) = analysis.entries.clone() else { return analysis };
    let c_w = (entries.std * entries.std + entries.mean * entries.mean) * fan_in as f64;
    (analysis.c_w, analysis.c_w_error) = (Some(c_w), Some(c_w * entries.variance_error));
    analysis.dead = Ok(dead(values, rows, columns, window));
    let (gram, eigenvalues) = match Gram::with_eigenvalues(values, rows, columns) {
        Ok(both) => both,
        Err(why) => {
            analysis.ranks = Err(why.clone());
            analysis.tail = Err(why.clone());
            analysis.random = Err(why.clone());
            analysis.duplicated = Err(why);
            return analysis;
        }
    };
    analysis.duplicated = duplicated(values, rows, columns, &gram);
    drop(gram);
    let of = |eigenvalues: &Answer<Vec<f64>>| eigenvalues.clone();
    analysis.ranks = of(&eigenvalues).and_then(|values| Ranks::of(&values));
    analysis.tail = of(&eigenvalues).and_then(|values| fit(&values, seed, at));
    analysis.random = of(&eigenvalues).and_then(|values| random(&values, rows.max(columns)));
    analysis
}

/// The reason why there are no entries, for everything that needs them.
fn blank<T>(entries: &Answer<Entries>) -> Answer<T> {
    match entries {
        Err(why) => Err(why.clone()),
        // Filled in by the caller.
        Ok(_) => Err(super::Unknown::TooFew { found: 0, needed: 1 }),
    }
}
