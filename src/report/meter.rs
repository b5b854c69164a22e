//! What facts mean for metrics and probes.

use std::sync::Arc;

use crate::drain::progress::DrainProgress;
use crate::kube::request::Verb;
use crate::moment::WallTime;
use crate::notice::{Notice, NoticeId, When};
use crate::plan::kinds::Basis;
use crate::report::envelope::Envelope;
use crate::report::fact::{Channel, Fact, Withdrawal};
use crate::report::metrics::{EventOutcome, FaultyPart, MessageOutcome, Metrics};
use crate::report::server::endpoints::Shown;

/// Updates metrics and probes.
#[derive(Debug)]
pub(super) struct Meter {
    shown: Shown,
    dry: bool,
    /// Notices that were counted and are not withdrawn. Recommendations differ by when they were made.
    known: Vec<(NoticeId, Option<When>)>,
    /// Pods that are to go in the drain under way, once they are known, and those that have gone.
    to_go: Option<u32>,
    gone: u32,
}

impl Meter {
    /// Before the first fact.
    pub(super) fn new(shown: Shown) -> Self {
        Self { shown, dry: false, known: Vec::new(), to_go: None, gone: 0 }
    }

    /// A fact.
    pub(super) fn tell(&mut self, envelope: &Envelope) {
        match &envelope.fact {
            Fact::Polled { path, good, .. } => {
                self.shown.health().polled(*path, envelope.at.now, *good);
            }
            Fact::NodeMissing { name, .. } => {
                self.shown.health().node_missing(Some(Arc::clone(name)));
            }
            Fact::NodeThere(_) => self.shown.health().node_missing(None),
            _ => {}
        }
        if let Some(metrics) = self.shown.metrics.clone() {
            self.count(&metrics, envelope);
        }
    }

    fn count(&mut self, metrics: &Metrics, envelope: &Envelope) {
        let now = envelope.at.wall;
        let end_for = |id: &NoticeId| {
            if envelope.drain.as_ref().is_some_and(|drain| drain.notice.id == *id) {
                metrics.drain_ended();
            }
        };
        match &envelope.fact {
            Fact::Started(start) => self.dry = start.dry,
            Fact::Polled { path, status, good } => metrics.polled(*path, *status, *good, now),
            Fact::NoticeScheduled { notice, .. } => {
                self.notice(metrics, notice);
                // It has moved away, and its drain is called off.
                end_for(&notice.id);
            }
            Fact::NoticeMarks { notice, .. } | Fact::NoticeBeside { notice, .. } => {
                self.notice(metrics, notice);
            }
            Fact::NoticeSeen { notice, basis, left } => {
                self.notice(metrics, notice);
                (self.to_go, self.gone) = (None, 0);
                metrics.drain_began(deadline(*basis, now + *left));
            }
            Fact::TakenOver { notice, basis, left } => {
                self.notice(metrics, notice);
                metrics.drain_deadline(deadline(*basis, now + *left));
            }
            Fact::DeadlineMoved { basis, left } => {
                metrics.drain_deadline(deadline(*basis, now + *left));
            }
            Fact::NoticeWithdrawn(id, withdrawal) => {
                self.known.retain(|(known, _)| known != id);
                if *withdrawal == Withdrawal::DrainCalledOff {
                    metrics.drain_ended();
                }
            }
            Fact::Drain(progress) => self.progress(metrics, progress),
            Fact::Verdict(occasion, verdict) => metrics.verdict(*occasion, verdict, self.dry),
            Fact::DeadlineReached | Fact::EndsDrained => metrics.drain_ended(),
            Fact::DrainedBefore(id) => end_for(id),
            _ => {}
        }
    }

    /// A notice that is first scheduled and later drained for is counted once.
    fn notice(&mut self, metrics: &Metrics, notice: &Notice) {
        let made = (notice.id == NoticeId::Rebalance).then_some(notice.when);
        let known = (notice.id.clone(), made);
        if !self.known.contains(&known) {
            metrics.notice(&notice.id);
            self.known.push(known);
        }
    }

    fn progress(&mut self, metrics: &Metrics, progress: &DrainProgress) {
        match progress {
            DrainProgress::Listed { to_go, .. } => self.to_go = u32::try_from(to_go.len()).ok(),
            DrainProgress::Late(_) => self.to_go = self.to_go.map(|to_go| to_go + 1),
            DrainProgress::Gone { .. }
            | DrainProgress::WouldEvict(_)
            | DrainProgress::WouldBlock(..) => {
                self.gone += 1;
            }
            _ => return,
        }
        metrics.drain_pods_left(self.to_go.map(|to_go| to_go.saturating_sub(self.gone)));
    }
}

fn deadline(basis: Basis, end: WallTime) -> Option<WallTime> {
    (basis != Basis::NoDeadline).then_some(end)
}

impl Shown {
    /// A request to the API server was answered, or failed.
    pub fn exchanged(&self, verb: Verb, status: Option<u16>) {
        if let Some(metrics) = &self.metrics {
            metrics.api_answered(verb, status);
        }
        if status.is_some() {
            self.health().api_answered();
        }
    }
}

/// The outcome of a report, and what reports lack.
pub(super) fn count_report(shown: Option<&Shown>, fact: &Fact) {
    let Some(shown) = shown else { return };
    let fault = match fact {
        Fact::SettingUnusable(_) => Some((FaultyPart::Setting, 1)),
        Fact::NotListening { pages, .. } => {
            shown.health().not_served(pages);
            Some((FaultyPart::Port, 1))
        }
        Fact::ListensAgain { pages, .. } => {
            shown.health().served(pages);
            Some((FaultyPart::Port, -1))
        }
        Fact::ReportUnready { again: false, .. } => Some((FaultyPart::Webhook, 1)),
        Fact::ReportReady(_) => Some((FaultyPart::Webhook, -1)),
        Fact::ThreadMissing(..) => Some((FaultyPart::Thread, 1)),
        Fact::ThreadStarted(_) => Some((FaultyPart::Thread, -1)),
        _ => None,
    };
    let Some(metrics) = &shown.metrics else { return };
    if let Some((part, more)) = fault {
        return metrics.fault(part, more);
    }
    let (channel, delivery, written) = match fact {
        Fact::ReportSent(channel) | Fact::ReportRecovered(channel, _) => {
            (channel, MessageOutcome::Delivered, Some(EventOutcome::Written))
        }
        Fact::ReportFailing(channel, _) | Fact::ReportRetried(channel) => {
            (channel, MessageOutcome::Retried, None)
        }
        Fact::ReportRefused { channel, .. } => {
            (channel, MessageOutcome::Refused, Some(EventOutcome::Failed))
        }
        Fact::ReportLost { channel, .. } => {
            (channel, MessageOutcome::Lost, Some(EventOutcome::Lost))
        }
        _ => return,
    };
    let count = if let Fact::ReportLost { count, .. } = fact { *count } else { 1 };
    match (channel, written) {
        (Channel::Webhook(_), _) => metrics.webhook(delivery, count),
        (Channel::KubernetesEvents, Some(outcome)) => metrics.kubernetes_event(outcome, count),
        (Channel::KubernetesEvents, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::drain::verdict::Verdict;
    use crate::notice::NoticePath;
    use crate::report::fact::Occasion;
    use crate::report::health::ProcessHealth;
    use crate::report::metrics::Format;
    use crate::report::samples::{self, TERMINATE, in_envelopes, notice, pod};

    fn seen() -> Fact {
        samples::seen(TERMINATE)
    }

    /// The value of this metric after these facts.
    fn scraped(name: &str, facts: &[Fact]) -> String {
        let metrics = Arc::new(Metrics::new("0", &[NoticePath::InstanceAction]));
        let health = Arc::new(Mutex::new(ProcessHealth::new([])));
        let mut meter = Meter::new(Shown { metrics: Some(Arc::clone(&metrics)), health });
        for envelope in in_envelopes(facts) {
            meter.tell(&envelope);
        }
        let page = metrics.encode(Format::Classic);
        let beginning = format!("k8s_spot_handler_{name}");
        let line = page.lines().find(|line| line.starts_with(&beginning));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    }

    fn in_progress(facts: &[Fact]) -> String {
        scraped("drain_in_progress", facts)
    }

    #[test]
    fn pods_are_left_as_soon_as_they_are_known_until_they_are_gone() {
        let listed = DrainProgress::Listed { to_go: vec![pod("a"), pod("b")], left_alone: 1 };
        let gone =
            |name| Fact::Drain(DrainProgress::Gone { pod: pod(name), after: Duration::ZERO });
        let late = Fact::Drain(DrainProgress::Late(pod("c")));
        let facts =
            [seen(), gone("a"), Fact::Drain(listed), late, gone("b"), Fact::DeadlineReached];
        let left = (0..=facts.len()).map(|end| scraped("drain_pods_left", &facts[..end]));
        let numbers: Vec<String> = left.collect();
        assert_eq!(numbers, ["0.0", "NaN", "NaN", "1.0", "2.0", "1.0", "0.0"]);
    }

    #[test]
    fn a_notice_counts_once_however_often_it_is_spoken_of() {
        let basis = Basis::NoDeadline;
        let (ahead, moved) = (Duration::ZERO, false);
        let scheduled =
            Fact::NoticeScheduled { notice: Box::new(notice(TERMINATE)), basis, ahead, moved };
        let gone = Fact::NoticeWithdrawn(TERMINATE, Withdrawal::Quiet);
        let facts = [scheduled.clone(), seen(), gone, seen()];
        let name = "notices_total{kind=\"spot_interruption\"}";
        let counts: Vec<String> =
            (1..=facts.len()).map(|end| scraped(name, &facts[..end])).collect();
        assert_eq!(counts, ["1", "1", "1", "2"]);
    }

    #[test]
    fn a_recommendation_that_was_made_later_is_another_one() {
        let marks = |time: &str| {
            let when = WallTime::parse(time).map_or(When::Unstated, When::At);
            let notice = Box::new(Notice { when, ..notice(NoticeId::Rebalance) });
            Fact::NoticeMarks { notice, basis: Basis::NoDeadline }
        };
        let first = "2026-11-23T09:00:00Z";
        let facts = [marks(first), marks(first), marks("2026-11-23T11:00:00Z")];
        assert_eq!(scraped("notices_total{kind=\"rebalance_recommendation\"}", &facts), "2");
    }

    #[test]
    fn a_notice_that_was_dealt_with_before_ends_no_other_drain() {
        assert_eq!(in_progress(&[seen(), Fact::DrainedBefore(TERMINATE)]), "0");
        assert_eq!(in_progress(&[seen(), Fact::DrainedBefore(NoticeId::Rebalance)]), "1");
    }

    /// Maintenance is moved far ahead after the node was emptied for it.
    #[test]
    fn a_drain_whose_notice_moves_away_after_its_table_is_under_way_no_more() {
        let rows = Vec::new();
        let verdict = Verdict {
            rows,
            listed: true,
            unread: 0,
            took: Duration::ZERO,
            end: None,
            node_shutdown: Duration::ZERO,
        };
        let emptied = Fact::Verdict(Occasion::Empty, Box::new(verdict));
        let ahead = Duration::from_hours(2);
        let basis = Basis::NoDeadline;
        let moved = Fact::NoticeScheduled {
            notice: Box::new(notice(TERMINATE)),
            basis,
            ahead,
            moved: true,
        };
        assert_eq!(in_progress(&[seen(), emptied, moved]), "0");
    }
}
