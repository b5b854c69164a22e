//! What is shown.

use std::sync::{Arc, Mutex, PoisonError};

use crate::moment::Moment;
use crate::report::health::Health;
use crate::report::metrics::{Format, Metrics};

/// What the listener shows. Asked on its thread, for each request anew; must not block.
pub trait Pages {
    /// The metrics.
    fn metrics(&self, format: Format) -> String;
    /// Whether this process is alive; else why it is not, in one line.
    fn live(&self, now: Moment) -> Result<(), String>;
    /// Whether it is ready, and what there is to know all the same; else why it is not: one line.
    fn ready(&self) -> Result<Option<String>, String>;
}

/// What this process knows of itself, shared with those who tell it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What is counted; `None` where no metrics are wanted, and the page is empty.
    pub metrics: Option<Arc<Metrics>>,
    /// What the probes are told.
    pub health: Arc<Mutex<Health>>,
}

impl Pages for Shown {
    fn metrics(&self, format: Format) -> String {
        self.metrics.as_ref().map(|metrics| metrics.encode(format)).unwrap_or_default()
    }

    fn live(&self, now: Moment) -> Result<(), String> {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.live(now).map_err(|stuck| stuck.to_string())
    }

    fn ready(&self) -> Result<Option<String>, String> {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.ready().map_err(|why| why.to_string())?;
        Ok(health.missing_pages())
    }
}
