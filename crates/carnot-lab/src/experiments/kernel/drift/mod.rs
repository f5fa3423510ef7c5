//! How far the kernels of real networks move while they learn, and towards what: representation learning as a number.
//!
//! | module | question |
//! |---|---|
//! | [`measure`] | what were the kernels of one network at these steps? |
//! | [`write`] | what do all networks say together? |

pub mod measure;
pub mod write;
