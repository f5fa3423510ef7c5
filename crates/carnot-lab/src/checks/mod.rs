//! One file per check: evidence → finding.

use crate::explain::CheckPage;

/// What `carnot explain` says about each check.
pub const PAGES: &[&CheckPage] = &[];
