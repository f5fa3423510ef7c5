//! gauss
