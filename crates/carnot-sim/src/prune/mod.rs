//! Networks with weights taken away: which are left, which go next, and how what is left trains.
//!
//! | module | question |
//! |---|---|
//! | [`mask`] | which weights are left, and which go by a score, layer by layer or all together? |
//! | [`scores`] | what is a weight worth, at the start or after training? |
//! | [`masked`] | how does a network learn from given weights, with some of them held at zero? |
//! | [`barrier`] | how high does the error rise between two trained networks? |

pub mod barrier;
pub mod mask;
pub mod masked;
pub mod scores;
