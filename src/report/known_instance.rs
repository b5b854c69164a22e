//! What the metadata service knows of the instance, read when somebody first wants to report it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::instance::Instance;
use crate::moment::Moment;
use crate::source::InstanceSource;

/// Reads it once, and again only as long as it is not known which instance this is.
#[derive(Debug)]
pub struct KnownInstance {
    source: InstanceSource,
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Debug)]
enum Known {
    /// Nobody has asked for it yet, or not in vain.
    Nothing {
        /// When it is worth another try.
        again: Moment,
    },
    Instance(Arc<Instance>),
}

/// A try in vain may take seconds, which somebody's reports wait for.
const PAUSE: Duration = Duration::from_secs(30);

impl KnownInstance {
    /// Does nothing yet.
    pub fn new(source: InstanceSource, clock: Clock) -> Self {
        let known = Mutex::new(Known::Nothing { again: Moment::START });
        Self { source, clock, known }
    }

    /// What is known of it. May take seconds: for threads that only report.
    pub fn instance(&self) -> Arc<Instance> {
        // Whoever else wants it waits for the same answers.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Known::Instance(instance) => Arc::clone(instance),
            Known::Nothing { again } if self.clock.now() < *again => Arc::default(),
            Known::Nothing { .. } => {
                let instance = Arc::new(self.source.read(self.clock));
                *known = match instance.instance_id {
                    Some(_) => Known::Instance(Arc::clone(&instance)),
                    None => Known::Nothing { again: self.clock.now() + PAUSE },
                };
                instance
            }
        }
    }
}
