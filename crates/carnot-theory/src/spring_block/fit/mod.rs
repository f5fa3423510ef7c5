//! Which friction and which noise a measured load curve speaks of, if the chain describes it at all.
//!
//! The curve of the chain's mean field is laid through the points, D_l ≈ B + A (y − x_l), with friction μ_→ and noise s free,
//! and scale A and offset B as nuisance. One curve cannot always tell the two apart: a chain frozen in its parabola has
//! loads that grow by μ_→/k, a relaxed one by (μ_→ − μ_←)/(2k). Where that is so, an interval is open and the answer says
//! which combination is known.
//!
//! | step | module |
//! |---|---|
//! | the measured curve and its errors | [`measured`] |
//! | curves of the model, all at once, and their distance | [`atlas`] |
//! | the nearest of them | `search` |
//! | how far one may go from it | `profile` |
//! | what is said | [`answer`] |

pub mod answer;
pub mod atlas;
pub mod measured;
mod profile;
mod search;
