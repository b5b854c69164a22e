//! All kinds of reports. Each gets the same facts, and none waits for another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::moment::{Moment, Reading};
use crate::report::envelope::{Envelope, Envelopes};
use crate::report::events::Events;
use crate::report::fact::Fact;
use crate::report::log::Log;
use crate::report::meter::{Meter, count_report};
use crate::report::metrics::Metrics;
use crate::report::server::endpoints::Shown;
use crate::report::webhook::Webhooks;
use crate::report::{FactSink, Starter};

/// The log, and every other way to report that is switched on.
pub struct Reporters {
    own: LogSink,
    meter: Option<Meter>,
    events: Option<Events>,
    webhooks: Option<Webhooks>,
    /// Threads that could not be started.
    waiting: Vec<(&'static str, Starter)>,
    /// When they are tried again.
    next_try: Moment,
}

/// The log, and the counters of reports. Facts about reports themselves go only here.
#[derive(Clone)]
struct LogSink {
    log: Log,
    /// What metrics and probes show, if they are enabled.
    shown: Option<Shown>,
    envelopes: Arc<Mutex<Envelopes>>,
}

impl LogSink {
    fn put(&self, at: Reading, fact: Fact) -> Envelope {
        self.envelopes.lock().unwrap_or_else(PoisonError::into_inner).put(at, fact)
    }

    /// A fact about reports.
    fn say(&self, at: Reading, fact: Fact) {
        count_report(self.shown.as_ref(), &fact);
        self.log(self.put(at, fact));
    }

    fn log(&self, envelope: Envelope) {
        if !self.log.tell(envelope)
            && let Some(Shown { metrics: Some(metrics), .. }) = &self.shown
        {
            metrics.log_message_lost();
        }
    }
}

/// From one attempt to start a thread to the next.
const THREAD_PAUSE: Duration = Duration::from_mins(1);

/// How long the log may take for its last lines.
const LOG_FLUSH: Duration = Duration::from_millis(500);
/// How long other reports may take at the end. Together with the log, less than what a drain leaves
/// between its last fact and SIGKILL.
const LAST_REPORTS: Duration = Duration::from_millis(1200);

impl Reporters {
    /// The log only, and `shown`, where there are metrics or probes.
    pub fn new(log: Log, shown: Option<Shown>) -> Self {
        Self {
            meter: shown.clone().map(Meter::new),
            own: LogSink { log, shown, envelopes: Arc::default() },
            events: None,
            webhooks: None,
            waiting: Vec::new(),
            next_try: Moment::START,
        }
    }

    /// With Kubernetes Events.
    #[must_use]
    pub fn with_events(self, events: Events) -> Self {
        Self { events: Some(events), ..self }
    }

    /// With webhooks.
    #[must_use]
    pub fn with_webhooks(self, webhooks: Webhooks) -> Self {
        Self { webhooks: Some(webhooks), ..self }
    }

    /// Starts a thread. If the system has none to spare, that is logged, and it is tried again each
    /// minute, as facts come.
    pub fn start(&mut self, reading: Reading, who: &'static str, start: Starter) {
        if let Err(error) = start() {
            self.next_try = reading.now + THREAD_PAUSE;
            self.waiting.push((who, start));
            self.own.say(reading, Fact::ThreadMissing(who, error.to_string()));
        }
    }

    fn start_again(&mut self, reading: Reading) {
        if self.waiting.is_empty() || reading.now < self.next_try {
            return;
        }
        self.next_try = reading.now + THREAD_PAUSE;
        for (who, start) in std::mem::take(&mut self.waiting) {
            match start() {
                Ok(()) => self.own.say(reading, Fact::ThreadStarted(who)),
                Err(_) => self.waiting.push((who, start)),
            }
        }
    }

    /// Where the threads report what happens to their reports.
    pub fn sink(&self, clock: Clock) -> FactSink {
        let own = self.own.clone();
        Arc::new(move |fact| own.say(clock.read(), fact))
    }

    /// The metrics, if they are enabled.
    pub fn metrics(&self) -> Option<Arc<Metrics>> {
        self.own.shown.as_ref().and_then(|shown| shown.metrics.clone())
    }

    /// Passes a fact on to all. Never blocks.
    pub fn tell(&mut self, reading: Reading, fact: Fact) {
        let envelope = self.own.put(reading, fact);
        if let Some(meter) = &mut self.meter {
            meter.tell(&envelope);
        }
        if let Some(events) = &mut self.events {
            events.tell(&envelope);
        }
        if let Some(webhooks) = &mut self.webhooks {
            webhooks.tell(&envelope);
        }
        self.own.log(envelope);
        self.start_again(reading);
    }

    /// Waits a moment for the last reports.
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
        self.own.log.finish(LOG_FLUSH);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::moment::WallTime;
    use crate::report::fact::Level;
    use crate::report::health::ProcessHealth;
    use crate::report::log::Style;
    use crate::report::metrics::Format;
    use crate::report::samples::{noon, start};

    #[test]
    fn a_thread_that_the_system_does_not_give_is_asked_for_each_minute_and_ends_nothing() {
        let wall = WallTime::parse("2026-11-23T12:00:00Z").unwrap();
        let at = |seconds| Reading { now: Moment::START + Duration::from_secs(seconds), wall };
        let metrics = Arc::new(Metrics::new("0", &[]));
        let health = Arc::new(Mutex::new(ProcessHealth::new([])));
        let shown = Shown { metrics: Some(Arc::clone(&metrics)), health };
        let mut reporters = Reporters::new(Log::new(Level::Info), Some(shown));
        let missing = || {
            let page = metrics.encode(Format::Classic);
            let line = page.lines().find(|line| line.contains("report_faults{part=\"thread\"}"));
            line.unwrap().rsplit(' ').next().unwrap().to_owned()
        };

        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let start = move || match count.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        };
        reporters.start(at(0), "a webhook", Box::new(start));
        assert_eq!(missing(), "1");
        for (second, times, left) in
            [(1, 1, "1"), (59, 1, "1"), (60, 2, "1"), (119, 2, "1"), (120, 3, "0"), (300, 3, "0")]
        {
            reporters.tell(at(second), Fact::Remark("a second is over".to_owned()));
            assert_eq!(asked.load(Ordering::Relaxed), times, "after {second} s");
            assert_eq!(missing(), left, "after {second} s");
        }
    }
    #[test]
    fn json_names_the_node_also_where_the_start_is_not_logged() {
        let (reader, writer) = io::pipe().unwrap();
        let log = Log::start(writer, Style::Json, Level::Warn).unwrap();
        let mut reporters = Reporters::new(log, None);
        reporters.tell(noon(), Fact::Started(Box::new(start(Some("node-1")))));
        reporters.tell(noon(), Fact::Remark("kept".to_owned()));
        reporters.sink(Clock::start())(Fact::SettingUnusable("kept".to_owned()));
        reporters.finish(Clock::start());
        let text = io::read_to_string(reader).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines.iter().all(|line| line.contains(r#""node":"node-1""#)), "{text}");
    }
}
