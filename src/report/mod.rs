//! What happened, as typed facts, and who says it. Nothing here can hold up or end a drain.

pub mod fact;
pub mod log;
pub mod webhook;
mod words;
