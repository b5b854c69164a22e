//! Which facts are Events, and of which object. What was written before is counted, not written again:
//! an Event that comes again and again would fill the API server.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::PodRef;
use crate::drain::progress::DrainProgress;
use crate::drain::verdict::{Obstacle, Verdict};
use crate::moment::{Moment, WallTime};
use crate::node::marks::{Change, Cordon};
use crate::notice::Kind;
use crate::report::envelope::{DrainContext, Envelope};
use crate::report::fact::{Fact, Level, Occasion, Purpose};
use crate::report::words::drain::{Deleted, Summary};
use crate::report::words::{Announced, Headline};

/// An Event that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventRecord {
    /// The object it is about.
    pub(super) regarding: Regarding,
    /// Its `type` is `Warning`.
    pub(super) is_warning: bool,
    /// One word, for machines. Those about the Node are the ones of aws-node-termination-handler.
    pub(super) reason: &'static str,
    /// What happened, for people.
    pub(super) message: String,
}

/// The object of an Event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Regarding {
    /// The handler's own Node.
    Node,
    /// A pod on it.
    Pod(Arc<PodRef>),
}

/// The Event for a fact, if there is one.
pub(super) fn record(envelope: &Envelope) -> Option<EventRecord> {
    let fact = &envelope.fact;
    let (reason, message) = match fact {
        Fact::NoticeSeen { notice, .. }
        | Fact::TakenOver { notice, .. }
        | Fact::NoticeScheduled { notice, .. }
        | Fact::NoticeMarks { notice, .. }
        | Fact::NoticeBeside { notice, .. } => (of_kind(notice.id.kind()), fact.to_string()),
        Fact::Marks { change, dry: false, .. } => match **change {
            Change::Cordon(Cordon::Done) => ("Cordon", fact.to_string()),
            Change::Uncordoned => ("Uncordon", fact.to_string()),
            _ => return None,
        },
        Fact::NodeFailing(purpose, _) | Fact::NodeMissing { purpose, .. } => match purpose {
            Purpose::Drain | Purpose::Mark => ("CordonError", fact.to_string()),
            Purpose::TakeBack => ("UncordonError", fact.to_string()),
            Purpose::Recall => return None,
        },
        Fact::DrainBegins(_) => ("PreDrain", fact.to_string()),
        // Without the table, which has a row for each pod.
        Fact::Verdict(occasion, verdict) => {
            let message = format!("{}: {}", Headline(*occasion, verdict), Summary(verdict));
            (of_verdict(*occasion, verdict), message)
        }
        Fact::Drain(DrainProgress::Deleted { pod, obstacle, grace }) => {
            let drain = envelope.drain.as_deref();
            return Some(EventRecord {
                regarding: Regarding::Pod(Arc::clone(pod)),
                is_warning: true,
                reason: match obstacle {
                    Obstacle::Budget(_) => "DeletedAgainstBudget",
                    Obstacle::Failed(_) => "DeletedWithoutEviction",
                },
                message: to_owner(&Deleted(*grace, obstacle), drain),
            });
        }
        _ => return None,
    };
    let is_warning = fact.level() >= Level::Warn;
    Some(EventRecord { regarding: Regarding::Node, is_warning, reason, message })
}

/// For the owner of a pod, who may not know about this node.
fn to_owner(deleted: &Deleted<'_>, drain: Option<&DrainContext>) -> String {
    let why = drain.map_or_else(
        || "its instance goes".to_owned(),
        |drain| Announced(&drain.notice, drain.basis).to_string(),
    );
    format!("{deleted}. Its node is drained: {why}")
}

fn of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::SpotItn => "SpotInterruption",
        Kind::ScheduledEvent => "ScheduledEvent",
        Kind::RebalanceRecommendation => "RebalanceRecommendation",
        Kind::AsgLifecycle => "ASGLifecycle",
    }
}

fn of_verdict(occasion: Occasion, verdict: &Verdict) -> &'static str {
    match occasion {
        Occasion::CalledOff => "DrainCalledOff",
        _ if occasion.is_success(verdict) => "CordonAndDrain",
        _ => "CordonAndDrainError",
    }
}

/// An Event that was last written longer ago is created again.
const MEMORY: Duration = Duration::from_mins(10);
/// At most this many Events of one reason and object; from then on the last one is updated.
const DIFFERENT: usize = 10;
/// The most that are remembered.
const MOST: usize = 64;

/// The Events that were written recently.
#[derive(Debug, Default)]
pub(super) struct Correlator {
    written: Vec<Recent>,
    /// Makes names differ.
    number: u32,
}

#[derive(Clone, Debug)]
struct Recent {
    event: EventRecord,
    name: String,
    count: u32,
    last: Moment,
}

/// How an Event is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Correlated {
    /// A new one, by this name.
    New(String),
    /// The one of this name, which has happened so many times now.
    Again(String, u32),
}

impl Correlator {
    pub(super) fn correlate(
        &mut self,
        now: Moment,
        wall: WallTime,
        node: &str,
        event: &EventRecord,
    ) -> Correlated {
        self.written.retain(|one| now.since(one.last) < MEMORY);
        let alike = |one: &EventRecord| {
            (&one.regarding, one.reason, one.is_warning)
                == (&event.regarding, event.reason, event.is_warning)
        };
        let same = self.written.iter_mut().rev().filter(|one| alike(&one.event));
        let mut same: Vec<&mut Recent> = same.collect();
        let many = same.len() >= DIFFERENT;
        let known = same.iter().position(|one| one.event.message == event.message);
        if let Some(one) = known.or(many.then_some(0)).and_then(|index| same.get_mut(index)) {
            (one.count, one.last, one.event) = (one.count + 1, now, event.clone());
            return Correlated::Again(one.name.clone(), one.count);
        }
        self.number += 1;
        let name = self.name(wall, node, event);
        if self.written.len() >= MOST {
            self.written.remove(0);
        }
        // A pod is deleted once: its Event does not come again.
        if event.regarding == Regarding::Node {
            let name = name.clone();
            self.written.push(Recent { event: event.clone(), name, count: 1, last: now });
        }
        Correlated::New(name)
    }

    /// As client-go names them: the object, then something unique.
    fn name(&self, wall: WallTime, node: &str, event: &EventRecord) -> String {
        let of = match &event.regarding {
            Regarding::Node => node,
            Regarding::Pod(pod) => &pod.name,
        };
        let of: String = of.chars().take(200).collect();
        let milliseconds = wall.unix_milliseconds();
        format!("{}.{milliseconds:x}{:04x}", of.trim_end_matches(['.', '-']), self.number & 0xffff)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::drain::ask::Budget;
    use crate::drain::verdict::{Outcome, Reason, Row};
    use crate::node::FieldManager;
    use crate::notice::{Action, NoticeId};
    use crate::plan::kinds::Basis;
    use crate::report::samples::{STOP, TERMINATE, last_of, moved, pod, seen, taken_over};

    fn verdict(outcome: Outcome) -> Fact {
        let row = Row { pod: pod("web-1"), outcome, gone_after: None };
        let took = Duration::from_secs(7);
        let verdict = Verdict {
            rows: vec![row],
            listed: true,
            unread: 0,
            took,
            end: None,
            node_shutdown: Duration::ZERO,
        };
        Fact::Verdict(Occasion::Deadline, Box::new(verdict))
    }

    fn record_of(facts: &[Fact]) -> Option<EventRecord> {
        let record = record(&last_of(facts))?;
        assert!(REASONS.contains(&record.reason), "{record:?}");
        Some(record)
    }

    fn event(fact: &Fact) -> Option<EventRecord> {
        record_of(std::slice::from_ref(fact))
    }

    #[test]
    fn a_notice_has_the_reason_of_its_kind() {
        for (id, reason) in [
            (TERMINATE, "SpotInterruption"),
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
        let verdict = Verdict {
            rows,
            listed: true,
            unread: 0,
            took,
            end: None,
            node_shutdown: Duration::ZERO,
        };
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

    fn deleted(grace: Option<NonZeroU32>) -> Fact {
        let budget = Arc::new(Budget { namespace: "shop".into(), name: "web".into() });
        let obstacle = Obstacle::Budget(budget);
        Fact::Drain(DrainProgress::Deleted { pod: pod("web-1"), grace, obstacle })
    }

    #[test]
    fn the_owner_of_a_pod_learns_of_budget_and_notice() {
        let event = record_of(&[seen(TERMINATE), deleted(NonZeroU32::new(9))]).unwrap();
        assert_eq!(event.regarding, Regarding::Pod(pod("web-1")));
        assert_eq!(
            event.message,
            "deleted, 9 s to end: its time was up and disruption budget shop/web had not let it go. \
             Its node is drained: spot interruption: the instance will terminate at a time that it does \
             not tell: taken as 120 s from now"
        );
    }

    #[test]
    fn the_owner_of_a_pod_learns_of_the_deadline_that_holds_now() {
        let time = |text| Basis::Stated(WallTime::parse(text).unwrap());
        let mut facts = vec![
            seen(TERMINATE),
            moved(time("2026-11-23T09:10:00Z")),
            moved(time("2026-11-23T09:02:00Z")),
            deleted(None),
        ];
        let event = record_of(&facts).unwrap();
        assert!(event.message.ends_with(" terminate at 2026-11-23T09:02:00Z"), "{}", event.message);
        facts.extend([taken_over(STOP, time("2026-11-23T09:01:00Z")), deleted(None)]);
        let event = record_of(&facts).unwrap();
        assert!(event.message.ends_with(" will stop at 2026-11-23T09:01:00Z"), "{}", event.message);
        facts.extend([moved(Basis::Remembered), deleted(None)]);
        let event = record_of(&facts).unwrap();
        assert!(event.message.contains("an earlier process"), "{}", event.message);
    }

    #[test]
    fn a_dry_run_and_what_is_of_no_interest_make_none() {
        let change = Box::new(Change::Cordon(Cordon::Done));
        let marks = |dry| Fact::Marks { change: change.clone(), dry, by: FieldManager::Handler };
        assert_eq!(event(&marks(true)), None);
        assert_eq!(event(&marks(false)).unwrap().reason, "Cordon");
        assert_eq!(event(&Fact::NodeFailing(Purpose::Recall, String::new())), None);
        assert_eq!(event(&Fact::DeadlineReached), None);
    }

    const REASONS: [&str; 14] = [
        "ASGLifecycle",
        "Cordon",
        "CordonAndDrain",
        "CordonAndDrainError",
        "CordonError",
        "DeletedAgainstBudget",
        "DeletedWithoutEviction",
        "DrainCalledOff",
        "PreDrain",
        "RebalanceRecommendation",
        "ScheduledEvent",
        "SpotInterruption",
        "Uncordon",
        "UncordonError",
    ];

    #[test]
    fn the_page_of_reports_explains_every_reason() {
        let page = include_str!("../../../docs/reports.md");
        for reason in REASONS {
            assert!(page.contains(&format!("`{reason}`")), "{reason}");
        }
    }

    fn said(message: &str) -> EventRecord {
        EventRecord {
            regarding: Regarding::Node,
            is_warning: false,
            reason: "ScheduledEvent",
            message: message.to_owned(),
        }
    }

    fn correlated(correlator: &mut Correlator, second: u64, event: &EventRecord) -> Correlated {
        let wall = WallTime::parse("2026-11-23T12:00:00Z").unwrap();
        correlator.correlate(Moment::at(Duration::from_secs(second)), wall, "node-1", event)
    }

    fn name(entry: &Correlated) -> &str {
        match entry {
            Correlated::New(name) | Correlated::Again(name, _) => name,
        }
    }

    #[test]
    fn what_is_said_again_is_counted() {
        let mut correlator = Correlator::default();
        let first = correlated(&mut correlator, 0, &said("a"));
        assert_eq!(first, Correlated::New("node-1.1a20846fe000001".to_owned()));
        let other = correlated(&mut correlator, 1, &said("b"));
        assert!(matches!(&other, Correlated::New(other) if other != name(&first)));
        let again = Correlated::Again(name(&first).to_owned(), 2);
        assert_eq!(correlated(&mut correlator, 2, &said("a")), again);
        let warning = EventRecord { is_warning: true, ..said("a") };
        assert!(matches!(correlated(&mut correlator, 3, &warning), Correlated::New(_)));
        assert!(
            matches!(correlated(&mut correlator, 700, &said("a")), Correlated::New(_)),
            "long after"
        );
    }

    #[test]
    fn what_differs_all_the_time_changes_one_event_from_the_tenth_on() {
        let mut correlator = Correlator::default();
        let correlated: Vec<_> =
            (0..30).map(|n| correlated(&mut correlator, n, &said(&n.to_string()))).collect();
        let new = correlated.iter().filter(|entry| matches!(entry, Correlated::New(_))).count();
        assert_eq!(new, DIFFERENT);
        assert_eq!(correlated[29], Correlated::Again(name(&correlated[9]).to_owned(), 21));
    }
}
