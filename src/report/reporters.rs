//! Everybody who reports: each gets the same facts, and none waits for another.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::moment::Reading;
use crate::report::Teller;
use crate::report::events::Events;
use crate::report::fact::Fact;
use crate::report::log::Log;
use crate::report::meter::{Meter, count_report};
use crate::report::metrics::Metrics;
use crate::report::server::pages::Shown;
use crate::report::webhook::Webhooks;

/// The log, and whoever else is to be told.
pub struct Reporters {
    log: Log,
    meter: Option<Meter>,
    events: Option<Events>,
    webhooks: Option<Webhooks>,
}

/// How long the log may take for its last lines.
const LOG_FLUSH: Duration = Duration::from_millis(500);
/// How long the others may take for their last reports. Together with the log less than the time that
/// a drain leaves between its last word and SIGKILL.
const LAST_REPORTS: Duration = Duration::from_millis(1200);

impl Reporters {
    /// The log, and where metrics or probes are wanted, what they show.
    pub fn new(log: Log, shown: Option<Shown>) -> Self {
        Self { log, meter: shown.map(Meter::new), events: None, webhooks: None }
    }

    /// Events are written, too.
    #[must_use]
    pub fn with_events(self, events: Events) -> Self {
        Self { events: Some(events), ..self }
    }

    /// Messages are sent, too.
    #[must_use]
    pub fn with_webhooks(self, webhooks: Webhooks) -> Self {
        Self { webhooks: Some(webhooks), ..self }
    }

    /// For those who report and have something to say of it.
    pub fn teller(&self, clock: Clock) -> Teller {
        let (log, metrics) = (self.log.clone(), self.metrics());
        Arc::new(move |fact| {
            count_report(metrics.as_ref(), &fact);
            tell_log(&log, metrics.as_ref(), clock.read(), fact);
        })
    }

    /// What metrics and probes show, where they are wanted.
    pub fn shown(&self) -> Option<&Shown> {
        self.meter.as_ref().map(Meter::shown)
    }

    /// What is counted, where that is wanted.
    pub fn metrics(&self) -> Option<Arc<Metrics>> {
        self.shown().and_then(|shown| shown.metrics.clone())
    }

    /// Passes a fact on to everybody. Never waits.
    pub fn tell(&mut self, reading: Reading, fact: Fact) {
        if let Some(meter) = &mut self.meter {
            meter.tell(reading, &fact);
        }
        if let Some(events) = &mut self.events {
            events.tell(reading, &fact);
        }
        if let Some(webhooks) = &mut self.webhooks {
            webhooks.tell(reading, &fact);
        }
        tell_log(&self.log, self.metrics().as_ref(), reading, fact);
    }

    /// Gives everybody a moment for what they still have to say.
    pub fn finish(mut self, clock: Clock) {
        let until = clock.now() + LAST_REPORTS;
        if let Some(webhooks) = &self.webhooks {
            webhooks.close();
        }
        if let Some(events) = &mut self.events {
            events.close();
            events.finish(clock.now().until(until));
        }
        if let Some(webhooks) = &mut self.webhooks {
            webhooks.finish(|| clock.now().until(until));
        }
        self.log.finish(LOG_FLUSH);
    }
}

fn tell_log(log: &Log, metrics: Option<&Arc<Metrics>>, reading: Reading, fact: Fact) {
    if !log.tell(reading.wall, fact)
        && let Some(metrics) = metrics
    {
        metrics.log_message_lost();
    }
}
