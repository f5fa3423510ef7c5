//! Prediction from kernel matrices: against a peer's public values, against brute force and against samples.

mod classification;
mod descent;
mod faults;
mod iterative;
mod leave_one_out;
mod peers;
mod posterior;
mod spectrum;
mod support;
