//! Everybody who reports: each gets the same facts, and none waits for another.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::moment::Reading;
use crate::report::Teller;
use crate::report::events::Events;
use crate::report::fact::Fact;
use crate::report::log::Log;

/// The log, and whoever else is to be told.
pub struct Reporters {
    log: Log,
    events: Option<Events>,
}

/// How long the log may take for its last lines.
const LOG_FLUSH: Duration = Duration::from_millis(500);
/// How long the others may take for their last reports. Together with the log less than the time that
/// a drain leaves between its last word and SIGKILL.
const LAST_REPORTS: Duration = Duration::from_millis(1200);

impl Reporters {
    /// The log alone, until others join.
    pub fn new(log: Log) -> Self {
        Self { log, events: None }
    }

    /// For those who report and have something to say of it.
    pub fn teller(&self, clock: Clock) -> Teller {
        let log = self.log.clone();
        Arc::new(move |fact| log.tell(clock.read().wall, fact))
    }

    /// Events are written, too.
    pub fn with_events(self, events: Events) -> Self {
        Self { events: Some(events), ..self }
    }

    /// Passes a fact on to everybody. Never waits.
    pub fn tell(&mut self, reading: Reading, fact: Fact) {
        if let Some(events) = &mut self.events {
            events.tell(reading, &fact);
        }
        self.log.tell(reading.wall, fact);
    }

    /// Gives everybody a moment for what they still have to say.
    pub fn finish(self) {
        if let Some(events) = &self.events {
            events.finish(LAST_REPORTS);
        }
        self.log.finish(LOG_FLUSH);
    }
}
