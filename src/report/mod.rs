//! What happened, as typed facts, and where it is reported: the log, Kubernetes Events, webhooks, metrics
//! and probes. Nothing here can delay or end a drain.

use std::io;
use std::sync::Arc;

use crate::report::fact::Fact;

pub mod channel;
pub mod envelope;
pub mod events;
pub mod fact;
pub mod health;
pub mod log;
mod meter;
pub mod metrics;
mod queue;
pub mod rehearsal;
pub mod reporters;
#[cfg(test)]
mod samples;
pub mod server;
pub mod status;
pub mod webhook;
mod words;

/// Takes facts about reports themselves.
pub type FactSink = Arc<dyn Fn(Fact) + Send + Sync>;

/// Starts a thread that reports. It is called again if that failed.
pub type Starter = Box<dyn Fn() -> io::Result<()>>;
