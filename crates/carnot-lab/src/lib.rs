//! Experiments, checks, store and jobs: plan → run → report, written once for every question Carnot can answer.
//!
//! An experiment is one file: its specification, the pure functions `plan`, `run` and `report`. Merging settings,
//! identity, resuming, caching, progress and partial reports are written here once, for all of them.
//!
//! | module | one job |
//! |---|---|
//! | [`experiments`] | the [`experiments::Experiment`] trait and the table of experiments |
//! | [`spec`] | defaults < file < flags → one resolved specification, errors at line and column |
//! | [`store`] | `runs/`: identity, points as they land, reports by atomic renames |
//! | [`drive`] | plan → skip what is there → run → report; the same bits for any number of threads |
//! | [`jobs`] | who runs a job: threads of this process, or `carnot work` somewhere else |
//! | [`measured`] | a recording of a real model → report: which layer is the problem? |
//! | [`logged`] | a log of a training → report: what happened to it, and what is it stuck at? |
//! | [`checks`] | one file per check: evidence → finding |
//! | [`diagnose`] | every error of every crate below → problem, cause, remedy |
//! | [`settings`] | settings that experiments share: initialisation, data |
//! | [`present`] | forecasts and measurements → the report's columns and charts |
//! | [`remedy`] | what can be done: a changed network, rates, code |
//! | [`explain`] | what a code, a symbol or a command means |
//! | [`error`] | everything that can go wrong here |
//!
//! This crate never knows terminals, HTTP or Python, and prints nothing. Only [`store`] and [`spec`] touch files.

pub mod checks;
pub mod diagnose;
pub mod drive;
pub mod error;
pub mod experiments;
pub mod explain;
pub mod jobs;
pub mod logged;
pub mod measured;
pub mod memory;
pub mod present;
pub mod remedy;
pub mod settings;
pub mod spec;
pub mod store;
