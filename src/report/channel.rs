//! What Events and webhooks have in common.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::instance::Instance;
use crate::moment::Moment;
use crate::report::FactSink;
use crate::report::fact::{Channel, Fact};
use crate::source::InstanceSource;

/// Reports failures of one channel: the first at level warn, others at level debug, then the recovery.
pub(super) struct ChannelStatus {
    channel: Channel,
    tell: FactSink,
    /// Failed attempts since the last delivery.
    failed: u32,
    /// The kind of the last refusal.
    refused: Option<String>,
    /// One was lost, and none was delivered since.
    losing: bool,
}

impl ChannelStatus {
    /// Nothing was tried yet.
    pub(super) fn new(channel: Channel, tell: &FactSink) -> Self {
        Self { channel, tell: Arc::clone(tell), failed: 0, refused: None, losing: false }
    }

    /// A report was delivered.
    pub(super) fn delivered(&mut self) {
        let failed = std::mem::take(&mut self.failed);
        (self.refused, self.losing) = (None, false);
        self.say(|channel| match failed {
            0 => Fact::ReportSent(channel),
            failed => Fact::ReportRecovered(channel, failed),
        });
    }

    /// An attempt has failed, and there will be another.
    pub(super) fn failed(&mut self, why: String) {
        self.failed += 1;
        let times = self.failed;
        self.say(|channel| match times {
            1 => Fact::ReportFailing(channel, why),
            _ => Fact::ReportRetried(channel),
        });
    }

    /// A report was refused, and would be again. `kind`: what refusals of one cause have in common.
    pub(super) fn refused(&mut self, kind: &str, why: String) {
        let again = self.refused.as_deref() == Some(kind);
        self.refused = Some(kind.to_owned());
        self.say(|channel| Fact::ReportRefused { channel, why, again });
    }

    /// This many reports are dropped.
    pub(super) fn lost(&mut self, count: usize, why: String) {
        let again = std::mem::replace(&mut self.losing, true);
        self.say(|channel| Fact::ReportLost { channel, count, why, again });
    }

    fn say(&self, fact: impl FnOnce(Channel) -> Fact) {
        (self.tell)(fact(self.channel.clone()));
    }
}

/// The instance, read from the metadata service when it is first needed, and again only while its id is
/// not known.
#[derive(Debug)]
pub struct KnownInstance {
    source: InstanceSource,
    clock: Clock,
    /// Once its id is known; and when to try again until then.
    known: Mutex<(Option<Arc<Instance>>, Moment)>,
}

/// A failed attempt may take seconds, during which reports wait.
const PAUSE: Duration = Duration::from_secs(30);

impl KnownInstance {
    /// Reads nothing yet.
    pub fn new(source: InstanceSource, clock: Clock) -> Self {
        Self { source, clock, known: Mutex::new((None, Moment::START)) }
    }

    /// What is known of it. May block for seconds: only for threads that do nothing but report.
    pub fn instance(&self) -> Arc<Instance> {
        // Other threads wait for the same answers.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (instance, again) = &mut *known;
        match instance {
            Some(instance) => Arc::clone(instance),
            None if self.clock.now() < *again => Arc::default(),
            None => {
                let read = Arc::new(self.source.read(self.clock));
                *instance = read.instance_id.is_some().then(|| Arc::clone(&read));
                *again = self.clock.now() + PAUSE;
                read
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_said_once_and_when_it_is_over() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink: FactSink = {
            let told = Arc::clone(&told);
            Arc::new(move |fact: Fact| {
                told.lock().unwrap().push(format!("{:?} {}", fact.level(), fact.name()));
            })
        };
        let mut status = ChannelStatus::new(Channel::KubernetesEvents, &sink);
        status.failed(String::new());
        status.failed(String::new());
        status.lost(1, String::new());
        status.lost(2, String::new());
        status.delivered();
        status.refused("403", String::new());
        status.refused("403", String::new());
        status.refused("422", String::new());
        assert_eq!(
            told.lock().unwrap()[..],
            [
                "Warn report_failing",
                "Debug report_retried",
                "Warn report_lost",
                "Debug report_lost",
                "Info report_recovered",
                "Warn report_refused",
                "Debug report_refused",
                "Warn report_refused",
            ]
        );
    }
}
