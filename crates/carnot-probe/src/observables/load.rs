//! What a layer contributes: the fall of the separation, or of the unexplained share, across it.

use super::{Missing, Observable, separation};
use crate::seen::Kept;

/// $d_\ell = D_{\ell-1} - D_\ell$, against the call before in the chain. Any real number: positive separates the classes, negative
/// undoes separation. Its error is that of the difference on the same samples.
///
/// Source: Shi, Pan, Dokmanić, arXiv:2407.19353 (elongation).
pub const ROW: Observable = Observable {
    name: "load",
    symbol: "load",
    title: "load",
    meaning: "Fall of the separation across a layer: what the layer contributes.",
    of: |seen| {
        separation::judged(seen)?;
        seen.fall(Kept::separation, &seen.separation()?)
    },
};

/// $\ln(1-R^2)_{\ell-1} - \ln(1-R^2)_\ell$ of a linear reader on rows that it has not seen. Any real number. For tokens as
/// classes this is the load; for samples as classes it is the second opinion.
///
/// Source: He, Su, arXiv:2408.13442 (law of next-token prediction), held out.
pub const UNEXPLAINED: Observable = Observable {
    name: "load_reader",
    symbol: "load_R",
    title: "load for a reader",
    meaning: "Fall of ln(1 − R²) of a linear reader across a layer.",
    of: |seen| {
        let unexplained = seen.unexplained()?;
        if unexplained.value == f64::NEG_INFINITY {
            return Err(Missing::Range);
        }
        seen.fall(Kept::unexplained, &unexplained)
    },
};
