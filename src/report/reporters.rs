//! Everybody who reports: each gets the same facts, and none waits for another.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::moment::{Moment, Reading};
use crate::report::events::Events;
use crate::report::fact::Fact;
use crate::report::log::Log;
use crate::report::meter::{Meter, count_report};
use crate::report::metrics::Metrics;
use crate::report::server::endpoints::Shown;
use crate::report::webhook::Webhooks;
use crate::report::{Starter, Teller};

/// The log, and whoever else is to be told.
pub struct Reporters {
    log: Log,
    meter: Option<Meter>,
    events: Option<Events>,
    webhooks: Option<Webhooks>,
    /// For whose threads the system had no room, by their names.
    waiting: Vec<(&'static str, Starter)>,
    /// When they are tried again.
    next_try: Moment,
}

/// How soon a thread that the system did not give is asked for again.
const THREAD_PAUSE: Duration = Duration::from_mins(1);

/// How long the log may take for its last lines.
const LOG_FLUSH: Duration = Duration::from_millis(500);
/// How long the others may take for their last reports. Together with the log less than the time that
/// a drain leaves between its last word and SIGKILL.
const LAST_REPORTS: Duration = Duration::from_millis(1200);

impl Reporters {
    /// The log, and where metrics or probes are wanted, what they show.
    pub fn new(log: Log, shown: Option<Shown>) -> Self {
        Self {
            log,
            meter: shown.map(Meter::new),
            events: None,
            webhooks: None,
            waiting: Vec::new(),
            next_try: Moment::START,
        }
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

    /// Starts the thread of one who reports. Where the system gives none, that is said, and it is asked
    /// again a minute later, while facts are told.
    pub fn start(&mut self, reading: Reading, who: &'static str, start: Starter) {
        if let Err(error) = start() {
            self.next_try = reading.now + THREAD_PAUSE;
            self.waiting.push((who, start));
            self.say(reading, Fact::ThreadMissing(who, error.to_string()));
        }
    }

    fn start_again(&mut self, reading: Reading) {
        if self.waiting.is_empty() || reading.now < self.next_try {
            return;
        }
        self.next_try = reading.now + THREAD_PAUSE;
        for (who, start) in std::mem::take(&mut self.waiting) {
            match start() {
                Ok(()) => self.say(reading, Fact::ThreadStarted(who)),
                Err(_) => self.waiting.push((who, start)),
            }
        }
    }

    fn say(&self, reading: Reading, fact: Fact) {
        count_report(self.shown(), &fact);
        tell_log(&self.log, self.metrics().as_ref(), reading, fact);
    }

    /// For those who report and have something to say of it.
    pub fn teller(&self, clock: Clock) -> Teller {
        let (log, shown) = (self.log.clone(), self.shown().cloned());
        Arc::new(move |fact| {
            count_report(shown.as_ref(), &fact);
            let metrics = shown.as_ref().and_then(|shown| shown.metrics.as_ref());
            tell_log(&log, metrics, clock.read(), fact);
        })
    }

    /// What metrics and probes show, where they are wanted.
    fn shown(&self) -> Option<&Shown> {
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
        self.start_again(reading);
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::moment::WallTime;
    use crate::report::fact::Level;
    use crate::report::health::Health;
    use crate::report::metrics::Format;
    use crate::settings::Remark;

    #[test]
    fn a_thread_that_the_system_does_not_give_is_asked_for_each_minute_and_ends_nothing() {
        let wall = WallTime::parse("2026-11-23T12:00:00Z").unwrap();
        let at = |seconds| Reading { now: Moment::START + Duration::from_secs(seconds), wall };
        let metrics = Arc::new(Metrics::new("0", &[]));
        let health = Arc::new(Mutex::new(Health::new([])));
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
            reporters.tell(at(second), Fact::Remark(Remark::new("a second is over")));
            assert_eq!(asked.load(Ordering::Relaxed), times, "after {second} s");
            assert_eq!(missing(), left, "after {second} s");
        }
    }
}
