//! How reports to somewhere fare: trouble is said once, then counted, then said to be over.

use std::sync::Arc;

use crate::report::Teller;
use crate::report::fact::{Channel, Fact};

/// That of one channel.
pub(super) struct Standing {
    channel: Channel,
    tell: Teller,
    /// So many tries have failed since one got through.
    failed: u32,
    /// The kind of refusal that was last.
    refused: Option<String>,
    /// One was lost, and none got through since.
    losing: bool,
}

impl Standing {
    /// Nothing was tried yet.
    pub(super) fn new(channel: Channel, tell: &Teller) -> Self {
        Self { channel, tell: Arc::clone(tell), failed: 0, refused: None, losing: false }
    }

    /// A report has arrived.
    pub(super) fn got_through(&mut self) {
        let failed = std::mem::take(&mut self.failed);
        (self.refused, self.losing) = (None, false);
        self.say(|channel| match failed {
            0 => Fact::ReportSent(channel),
            failed => Fact::ReportRecovered(channel, failed),
        });
    }

    /// A try has failed, and there will be another.
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

    /// So many reports are given up.
    pub(super) fn lost(&mut self, count: usize, why: String) {
        let again = std::mem::replace(&mut self.losing, true);
        self.say(|channel| Fact::ReportLost { channel, count, why, again });
    }

    fn say(&self, fact: impl FnOnce(Channel) -> Fact) {
        (self.tell)(fact(self.channel.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_repeats_is_said_once_and_when_it_is_over() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller: Teller = {
            let told = Arc::clone(&told);
            Arc::new(move |fact: Fact| {
                told.lock().unwrap().push(format!("{:?} {}", fact.level(), fact.name()));
            })
        };
        let mut standing = Standing::new(Channel::KubernetesEvents, &teller);
        standing.failed(String::new());
        standing.failed(String::new());
        standing.lost(1, String::new());
        standing.lost(2, String::new());
        standing.got_through();
        standing.refused("403", String::new());
        standing.refused("403", String::new());
        standing.refused("422", String::new());
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
