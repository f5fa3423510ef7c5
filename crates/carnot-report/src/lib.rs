//! What can be said: a [`report::Report`] as plain data, and its renderings.
//!
//! This crate knows words, numbers and pictures. It depends on no other Carnot crate, so whatever it shows has been
//! turned into plain data first, and the terminal, the HTML file, the JSON and Python can only say the same thing.
//!
//! | module | one job |
//! |---|---|
//! | [`report`] | the whole answer: verdict, summary, coverage, provenance |
//! | [`finding`] | something is wrong: saw, because, do |
//! | [`section`] | tables, bars, maps, sparklines and prose between verdict and findings |
//! | [`profile`] | numbers per layer, with errors and reasons for the gaps |
//! | [`chart`] | a picture as data: theory line, measured dots, band |
//! | [`diagnostic`] | what was asked could not be done: problem, cause, remedy |
//! | [`number`] | a number with its error, as text |
//! | [`glossary`] | symbol, name and one line of meaning for every column |
//! | [`stress`] | how far a reading is from where it should be, in standard errors |
//! | [`terminal`] | report and diagnostic → text of 80 to 120 columns |
//! | [`svg`] | chart → SVG that follows dark and light |
//! | [`html`] | report → one self-contained file |
//! | `png` | report → one picture (feature `png`) |
//! | [`json`] | report ↔ JSON, and its schema |

pub mod chart;
pub mod diagnostic;
#[doc(hidden)]
pub mod example;
pub mod finding;
pub mod glossary;
pub mod html;
pub mod json;
pub mod number;
#[cfg(feature = "png")]
pub mod png;
pub mod profile;
pub mod report;
pub mod section;
pub mod stress;
pub mod svg;
pub mod terminal;
