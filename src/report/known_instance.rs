//! What the metadata service knows of the instance, read when somebody first wants to report it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::instance::Instance;
use crate::source::InstanceSource;

/// Reads it once, and again only as long as it is not known which instance this is.
#[derive(Debug)]
pub struct KnownInstance {
    source: InstanceSource,
    clock: Clock,
    known: Mutex<Arc<Instance>>,
}

impl KnownInstance {
    /// Does nothing yet.
    pub fn new(source: InstanceSource, clock: Clock) -> Self {
        Self { source, clock, known: Mutex::default() }
    }

    /// What is known of it. May take seconds: for threads that only report.
    pub fn instance(&self) -> Arc<Instance> {
        // Whoever else wants it waits for the same answers.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.instance_id.is_none() {
            *known = Arc::new(self.source.read(self.clock));
        }
        Arc::clone(&known)
    }
}
