//! What is said of whom.

use std::sync::Arc;

use crate::drain::ask::{Grace, PodRef};
use crate::drain::progress::Progress;
use crate::drain::verdict::{Obstacle, Verdict};
use crate::intent::Basis;
use crate::node::marks::{Change, Cordon};
use crate::notice::{Kind, Notice};
use crate::report::fact::{Fact, Level, Occasion, Purpose};
use crate::report::words::drain::{Deleted, Summary};
use crate::report::words::{Announced, Ended};

/// An Event that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Of whom it tells.
    pub(super) regarding: Regarding,
    /// Something is not as it should be (`type`).
    pub(super) is_warning: bool,
    /// Why it is written: one word, for machines. Those about the Node are the ones that
    /// aws-node-termination-handler has.
    pub(super) reason: &'static str,
    /// What happened, for people.
    pub(super) message: String,
}

/// Of whom an Event tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Regarding {
    /// The handler's own Node.
    Node,
    /// A pod on it.
    Pod(Arc<PodRef>),
}

/// Turns facts into Events.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// The notice that is drained for, and where its end comes from.
    drained: Option<(Box<Notice>, Basis)>,
}

impl Recorder {
    /// What is to be said of a fact; `None`: nothing.
    pub(super) fn event(&mut self, fact: &Fact) -> Option<Event> {
        match (fact, &mut self.drained) {
            (
                Fact::NoticeSeen { notice, basis, .. } | Fact::TakenOver { notice, basis, .. },
                drained,
            ) => *drained = Some((notice.clone(), *basis)),
            (Fact::DeadlineMoved { basis: moved, .. }, Some((_, basis))) => *basis = *moved,
            _ => {}
        }
        let reason = match fact {
            Fact::NoticeSeen { notice, .. }
            | Fact::TakenOver { notice, .. }
            | Fact::NoticeScheduled { notice, .. }
            | Fact::NoticeMarks { notice, .. }
            | Fact::NoticeBeside { notice, .. } => of_kind(notice.id.kind()),
            Fact::Marks { change, dry: false, .. } => match **change {
                Change::Cordon(Cordon::Done) => "Cordon",
                Change::Uncordoned => "Uncordon",
                _ => return None,
            },
            Fact::NodeFailing(purpose, _) | Fact::NodeMissing { purpose, .. } => match purpose {
                Purpose::Drain | Purpose::Mark => "CordonError",
                Purpose::TakeBack => "UncordonError",
                Purpose::Recall => return None,
            },
            Fact::DrainBegins(_) => "PreDrain",
            Fact::Verdict(occasion, verdict) => return Some(of_verdict(*occasion, verdict, fact)),
            Fact::Drain(Progress::Deleted { pod, obstacle, grace }) => {
                return Some(self.of_deleted(pod, *grace, obstacle));
            }
            _ => return None,
        };
        Some(Event { reason, ..about_node(fact) })
    }

    /// For its owner, who may know nothing of this node.
    fn of_deleted(&self, pod: &Arc<PodRef>, grace: Option<Grace>, obstacle: &Obstacle) -> Event {
        let words = Deleted(grace, obstacle);
        let why = self.drained.as_ref().map_or_else(
            || "its instance goes".to_owned(),
            |(notice, basis)| Announced(notice, *basis).to_string(),
        );
        Event {
            regarding: Regarding::Pod(Arc::clone(pod)),
            is_warning: true,
            reason: match obstacle {
                Obstacle::Budget(_) => "DeletedAgainstBudget",
                Obstacle::Failed(_) => "DeletedWithoutEviction",
            },
            message: format!("{words}. Its node is drained: {why}"),
        }
    }
}

fn about_node(fact: &Fact) -> Event {
    Event {
        regarding: Regarding::Node,
        is_warning: fact.level() >= Level::Warn,
        reason: "",
        message: fact.to_string(),
    }
}

fn of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::SpotItn => "SpotInterruption",
        Kind::ScheduledEvent => "ScheduledEvent",
        Kind::RebalanceRecommendation => "RebalanceRecommendation",
        Kind::AsgLifecycle => "ASGLifecycle",
    }
}

/// Without the table: that has a row for each pod.
fn of_verdict(occasion: Occasion, verdict: &Verdict, fact: &Fact) -> Event {
    let reason = match occasion {
        Occasion::CalledOff => "DrainCalledOff",
        _ if occasion.is_success(verdict) => "CordonAndDrain",
        _ => "CordonAndDrainError",
    };
    let message = format!("{}: {}", Ended(occasion, verdict), Summary(verdict));
    Event { reason, message, ..about_node(fact) }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::drain::ask::Budget;
    use crate::drain::verdict::{Outcome, Reason, Row};
    use crate::moment::WallTime;
    use crate::node::Hand;
    use crate::notice::{Action, NoticeId, When};

    fn pod() -> Arc<PodRef> {
        let (namespace, name, uid) = ("shop".into(), "web-1".into(), "u".into());
        Arc::new(PodRef { namespace, name, uid })
    }

    fn seen(id: NoticeId) -> Fact {
        let window = Duration::from_mins(2);
        let notice =
            Notice { id, when: When::Unstated, until: None, window, wording: "{}".to_owned() };
        let basis = Basis::Unstated(window);
        Fact::NoticeSeen { notice: Box::new(notice), basis, left: window }
    }

    fn verdict(outcome: Outcome) -> Fact {
        let row = Row { pod: pod(), outcome, gone_after: None };
        let took = Duration::from_secs(7);
        let verdict = Verdict { rows: vec![row], listed: true, unread: 0, took, end: None };
        Fact::Verdict(Occasion::Deadline, Box::new(verdict))
    }

    fn event(fact: &Fact) -> Option<Event> {
        Recorder::default().event(fact)
    }

    #[test]
    fn a_notice_has_the_reason_of_its_kind() {
        for (id, reason) in [
            (NoticeId::Interruption(Action::Terminate), "SpotInterruption"),
            (NoticeId::Rebalance, "RebalanceRecommendation"),
            (NoticeId::Lifecycle(Action::Terminate), "ASGLifecycle"),
        ] {
            let event = event(&seen(id)).unwrap();
            assert_eq!((event.regarding, event.reason), (Regarding::Node, reason));
        }
    }

    #[test]
    fn the_end_of_a_drain_has_the_count_of_each_outcome_and_says_whether_all_is_well() {
        let good = event(&verdict(Outcome::EndedByOthers)).unwrap();
        assert_eq!((good.reason, good.is_warning), ("CordonAndDrain", false));
        assert!(good.message.ends_with(": 1 ended by others in 7.0 s"), "{}", good.message);
        let bad = event(&verdict(Outcome::StillThere(Reason::NotAsked))).unwrap();
        assert_eq!((bad.reason, bad.is_warning), ("CordonAndDrainError", true));
        assert!(bad.message.ends_with(": 1 still there in 7.0 s"), "{}", bad.message);
    }

    #[test]
    fn a_drain_that_found_no_node_is_an_error() {
        let (rows, took) = (Vec::new(), Duration::from_secs(7));
        let verdict = Verdict { rows, listed: true, unread: 0, took, end: None };
        for occasion in [Occasion::NoNode, Occasion::NodeUnknown] {
            let event = event(&Fact::Verdict(occasion, Box::new(verdict.clone()))).unwrap();
            assert_eq!((event.reason, event.is_warning), ("CordonAndDrainError", true));
            assert!(event.message.starts_with("nothing was drained: "), "{}", event.message);
        }
        let fact = |purpose| {
            let (name, why) = (Arc::from("n"), "there is no node named n".to_owned());
            Fact::NodeMissing { name, purpose, why }
        };
        let marks = event(&fact(Purpose::Mark)).unwrap();
        assert_eq!((marks.reason, marks.is_warning), ("CordonError", true));
        assert_eq!(event(&fact(Purpose::Recall)), None);
    }

    #[test]
    fn the_owner_of_a_pod_learns_of_budget_and_notice() {
        let mut recorder = Recorder::default();
        recorder.event(&seen(NoticeId::Interruption(Action::Terminate)));
        let budget = Arc::new(Budget { namespace: "shop".into(), name: "web".into() });
        let grace = NonZeroU32::new(9);
        let obstacle = Obstacle::Budget(budget);
        let deleted = Fact::Drain(Progress::Deleted { pod: pod(), grace, obstacle });
        let event = recorder.event(&deleted).unwrap();
        assert_eq!(event.regarding, Regarding::Pod(pod()));
        assert_eq!(
            event.message,
            "deleted, 9 s to end: its time was up and disruption budget shop/web had not let it go. \
             Its node is drained: spot interruption: the instance will terminate at a time that it does \
             not tell: taken as 120 s from now"
        );
    }

    #[test]
    fn the_owner_of_a_pod_learns_of_the_deadline_that_holds_now() {
        let mut recorder = Recorder::default();
        let deleted = || {
            let budget = Arc::new(Budget { namespace: "shop".into(), name: "web".into() });
            let obstacle = Obstacle::Budget(budget);
            Fact::Drain(Progress::Deleted { pod: pod(), grace: None, obstacle })
        };
        let moved = |basis| Fact::DeadlineMoved { basis, left: Duration::ZERO };
        let time = |text| Basis::Stated(WallTime::parse(text).unwrap());
        recorder.event(&seen(NoticeId::Interruption(Action::Terminate)));
        recorder.event(&moved(time("2026-11-23T09:10:00Z")));
        recorder.event(&moved(time("2026-11-23T09:02:00Z")));
        let event = recorder.event(&deleted()).unwrap();
        assert!(event.message.ends_with(" terminate at 2026-11-23T09:02:00Z"), "{}", event.message);
        let Fact::NoticeSeen { notice, left, .. } = seen(NoticeId::Interruption(Action::Stop))
        else {
            panic!();
        };
        let basis = time("2026-11-23T09:01:00Z");
        recorder.event(&Fact::TakenOver { notice, basis, left });
        let event = recorder.event(&deleted()).unwrap();
        assert!(event.message.ends_with(" will stop at 2026-11-23T09:01:00Z"), "{}", event.message);
        recorder.event(&moved(Basis::Remembered));
        let event = recorder.event(&deleted()).unwrap();
        assert!(event.message.contains("an earlier process"), "{}", event.message);
    }

    #[test]
    fn a_dry_run_and_what_is_of_no_interest_make_none() {
        let change = Box::new(Change::Cordon(Cordon::Done));
        let marks = |dry| Fact::Marks { change: change.clone(), dry, by: Hand::Handler };
        assert_eq!(event(&marks(true)), None);
        assert_eq!(event(&marks(false)).unwrap().reason, "Cordon");
        assert_eq!(event(&Fact::NodeFailing(Purpose::Recall, String::new())), None);
        assert_eq!(event(&Fact::DeadlineReached), None);
    }

    #[test]
    fn the_page_of_reports_explains_every_reason() {
        let page = include_str!("../../../docs/reports.md");
        let own = include_str!("event.rs").split("#[cfg(test)]").next().unwrap();
        let quoted = own.split('"').skip(1).step_by(2);
        let is_reason = |word: &&str| word.starts_with(char::is_uppercase) && !word.contains(' ');
        let reasons: Vec<_> = quoted.filter(is_reason).collect();
        assert!(reasons.len() >= 11, "{reasons:?}");
        for reason in reasons {
            assert!(page.contains(&format!("`{reason}`")), "{reason}");
        }
    }
}
