//! One file per check: evidence → finding.
