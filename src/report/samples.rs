//! What the tests of those who report have in common.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::PodRef;
use crate::moment::{Moment, Reading, WallTime};
use crate::notice::{Action, Notice, NoticeId, When};
use crate::plan::kinds::Basis;
use crate::report::envelope::{Envelope, Envelopes};
use crate::report::fact::{Fact, Start};

pub(super) const TERMINATE: NoticeId = NoticeId::Interruption(Action::Terminate);
pub(super) const STOP: NoticeId = NoticeId::Interruption(Action::Stop);

pub(super) fn noon() -> Reading {
    Reading { now: Moment::START, wall: WallTime::parse("2026-11-23T12:00:00.5Z").unwrap() }
}

pub(super) fn start(node: Option<&str>) -> Start {
    Start {
        version: "0",
        node: node.map(str::to_owned),
        polled: Vec::new(),
        interruptions: true,
        marks_only: false,
        dry: false,
        given: Vec::new(),
    }
}

pub(super) fn pod(name: &str) -> Arc<PodRef> {
    Arc::new(PodRef { namespace: "shop".into(), name: name.into(), uid: name.into() })
}

pub(super) fn notice(id: NoticeId) -> Notice {
    let window = Duration::from_mins(2);
    Notice { id, when: When::Unstated, until: None, window, wording: "{}".to_owned() }
}

pub(super) fn seen(id: NoticeId) -> Fact {
    let left = Duration::from_mins(2);
    Fact::NoticeSeen { notice: Box::new(notice(id)), basis: Basis::Unstated(left), left }
}

pub(super) fn taken_over(id: NoticeId, basis: Basis) -> Fact {
    Fact::TakenOver { notice: Box::new(notice(id)), basis, left: Duration::ZERO }
}

pub(super) fn moved(basis: Basis) -> Fact {
    Fact::DeadlineMoved { basis, left: Duration::ZERO }
}

pub(super) fn begins() -> Fact {
    Fact::DrainBegins(Arc::from("node-1"))
}

/// One that no fact before it says anything of.
pub(super) fn alone(fact: Fact) -> Envelope {
    Envelopes::default().put(noon(), fact)
}

/// These facts on node-1, all at noon.
pub(super) fn in_envelopes(facts: &[Fact]) -> Vec<Envelope> {
    let mut envelopes = Envelopes::default();
    envelopes.put(noon(), Fact::NodeFound("node-1".to_owned()));
    facts.iter().map(|fact| envelopes.put(noon(), fact.clone())).collect()
}

/// The last of these.
pub(super) fn last_of(facts: &[Fact]) -> Envelope {
    in_envelopes(facts).pop().unwrap()
}
