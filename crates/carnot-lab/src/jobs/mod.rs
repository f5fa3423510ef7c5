//! Who runs a job: threads of this process ([`local`]), or `carnot work` somewhere else ([`worker`]).

pub mod local;
pub mod worker;
