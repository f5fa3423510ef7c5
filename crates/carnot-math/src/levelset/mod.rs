//! Where a function of two settings changes its sign, from few and costly values of it.
//!
//! [`process`] is the Gaussian process that reads values, [`choose`] says where to look next, [`border`] reads the curve off.
//! Coordinates are plain numbers; the caller decides what a unit of each axis is (a decade, a doubling, a share of the box).

pub mod border;
pub mod choose;
pub mod process;
