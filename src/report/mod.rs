//! What happened, as typed facts, and who says it. Nothing here can hold up or end a drain.

pub mod fact;
mod fields;
pub mod log;
mod queue;
mod words;
