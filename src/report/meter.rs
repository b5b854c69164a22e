//! What the facts are for metrics and probes.

use std::sync::{Arc, PoisonError};

use crate::drain::progress::Progress;
use crate::intent::Basis;
use crate::kube::request::Verb;
use crate::moment::{Reading, WallTime};
use crate::notice::NoticeId;
use crate::report::fact::{Channel, Fact, Withdrawal};
use crate::report::metrics::{Delivery, EventOutcome, Metrics};
use crate::report::server::pages::Shown;

/// Counts what it is told.
#[derive(Debug)]
pub(super) struct Meter {
    shown: Shown,
    dry: bool,
    /// Notices that were counted and stand.
    known: Vec<NoticeId>,
    /// Pods that are to go in the drain under way, and those of them that have gone.
    to_go: usize,
    gone: usize,
}

impl Meter {
    /// Nothing was told yet.
    pub(super) fn new(shown: Shown) -> Self {
        Self { shown, dry: false, known: Vec::new(), to_go: 0, gone: 0 }
    }

    /// For those who count something themselves.
    pub(super) fn shown(&self) -> &Shown {
        &self.shown
    }

    /// A fact.
    pub(super) fn tell(&mut self, reading: Reading, fact: &Fact) {
        if let Fact::Polled { path, good, .. } = fact {
            let mut health = self.shown.health.lock().unwrap_or_else(PoisonError::into_inner);
            health.polled(*path, reading.now, *good);
        }
        if let Some(metrics) = self.shown.metrics.clone() {
            self.count(&metrics, reading.wall, fact);
        }
    }

    fn count(&mut self, metrics: &Metrics, now: WallTime, fact: &Fact) {
        match fact {
            Fact::Started(start) => self.dry = start.dry,
            Fact::Polled { path, status, good } => metrics.polled(*path, *status, *good, now),
            Fact::NoticeScheduled { notice, .. }
            | Fact::NoticeMarks { notice, .. }
            | Fact::NoticeBeside { notice, .. } => self.notice(metrics, &notice.id),
            Fact::NoticeSeen { notice, basis, left } => {
                self.notice(metrics, &notice.id);
                (self.to_go, self.gone) = (0, 0);
                metrics.drain_pods_left(0);
                metrics.drain_began(deadline(*basis, now + *left));
            }
            Fact::TakenOver { notice, basis, left } => {
                self.notice(metrics, &notice.id);
                metrics.drain_deadline(deadline(*basis, now + *left));
            }
            Fact::DeadlineMoved { basis, left } => {
                metrics.drain_deadline(deadline(*basis, now + *left));
            }
            Fact::NoticeWithdrawn(id, withdrawal) => {
                self.known.retain(|known| known != id);
                if *withdrawal == Withdrawal::DrainCalledOff {
                    metrics.drain_ended();
                }
            }
            Fact::Drain(progress) => self.progress(metrics, progress),
            Fact::Verdict(occasion, verdict) => metrics.verdict(*occasion, verdict, self.dry),
            Fact::DeadlineReached | Fact::EndsDrained | Fact::DrainedBefore(_) => {
                metrics.drain_ended();
            }
            _ => {}
        }
    }

    /// A notice that is scheduled first and drained for later is one.
    fn notice(&mut self, metrics: &Metrics, id: &NoticeId) {
        if !self.known.contains(id) {
            self.known.push(id.clone());
            metrics.notice(id);
        }
    }

    fn progress(&mut self, metrics: &Metrics, progress: &Progress) {
        match progress {
            Progress::Listed { to_go, .. } => self.to_go = to_go.len(),
            Progress::Late(_) => self.to_go += 1,
            Progress::Gone { .. } | Progress::WouldEvict(_) | Progress::WouldBlock(..) => {
                self.gone += 1;
            }
            _ => return,
        }
        metrics.drain_pods_left(self.to_go.saturating_sub(self.gone));
    }
}

fn deadline(basis: Basis, end: WallTime) -> Option<WallTime> {
    (basis != Basis::NoDeadline).then_some(end)
}

impl Shown {
    /// The API server answered a request, or did not.
    pub fn exchanged(&self, verb: Verb, status: Option<u16>) {
        if let Some(metrics) = &self.metrics {
            metrics.api_answered(verb, status);
        }
        if status.is_some() {
            self.health.lock().unwrap_or_else(PoisonError::into_inner).api_answered();
        }
    }
}

/// How a report fares.
pub(super) fn count_report(metrics: Option<&Arc<Metrics>>, fact: &Fact) {
    let Some(metrics) = metrics else { return };
    let (channel, delivery, written) = match fact {
        Fact::ReportSent(channel) | Fact::ReportRecovered(channel, _) => {
            (channel, Delivery::Delivered, Some(EventOutcome::Written))
        }
        Fact::ReportFailing(channel, _) | Fact::ReportRetried(channel) => {
            (channel, Delivery::Retried, None)
        }
        Fact::ReportRefused { channel, .. } => {
            (channel, Delivery::Refused, Some(EventOutcome::Failed))
        }
        Fact::ReportLost(channel, _) => (channel, Delivery::Lost, Some(EventOutcome::Lost)),
        _ => return,
    };
    match (channel, written) {
        (Channel::Webhook(_), _) => metrics.webhook(delivery),
        (Channel::KubernetesEvents, Some(outcome)) => metrics.kubernetes_event(outcome),
        (Channel::KubernetesEvents, None) => {}
    }
}
