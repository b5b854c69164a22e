//! What happened, as typed facts, and who says it: the log, metrics, probes. Nothing here can hold up
//! or end a drain.

pub mod fact;
pub mod health;
pub mod log;
pub mod metrics;
pub mod server;
mod words;
