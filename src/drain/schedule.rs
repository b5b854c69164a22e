//! Which request a drain sends next, and which it gives up for another.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::{Ask, Job, PodRef};
use crate::drain::machine::Drain;
use crate::drain::owners::Turn;
use crate::drain::pod::Tier;
use crate::drain::record::{PodState, Record, Sent};
use crate::drain::timing::LONG_WAIT;
use crate::drain::verdict::EndedBy;
use crate::moment::Moment;

/// The condition is set so long before the deletion that it costs the pod nothing of its grace.
const MARK_AHEAD: Duration = Duration::from_secs(1);

/// An eviction of a pod that has time left gives way after so long, in place of [`LONG_WAIT`], to a pod whose
/// own time is up.
const SHORT_WAIT: Duration = Duration::from_secs(2);

/// How long to wait for an answer about a pod that is gone.
const LATE_ANSWER: Duration = Duration::from_secs(2);

/// A namespace in which a request has gone unanswered for so long is slow: those of others go first.
const SLOW: Duration = Duration::from_secs(1);

/// So many evictions of one namespace are sent side by side before any of them is answered. Measured behind
/// one budget, with etcd 20 ms away: of 32 none is given up by the API server, of 100 every third.
const SIDE_BY_SIDE: usize = 32;

/// Whose answer came within this time did not wait for others, and so many more are sent for each.
const QUICK: Duration = Duration::from_millis(600);
const FOR_EACH_QUICK: usize = 8;

/// Which pod is to be asked, and when.
pub(super) enum Due {
    Now {
        uid: String,
        ask: Ask,
        /// Whether others are to make room for it.
        pressing: Option<Pressing>,
        /// When another pod will be due, or others will have to make room.
        later: Option<Moment>,
    },
    At(Moment),
    Never,
}

/// Why others make room for a pod.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressing {
    OwnTimeIsUp,
    NeverAsked,
}

/// What is sent first: deletions of pods whose own time is up, then first evictions; among equals, pods with
/// the longest grace, then those that have waited longest. A pod that was asked before only waits for its
/// turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Deletion,
    DisruptionTarget,
    FirstEviction,
    /// In a namespace that is slow to answer.
    SlowFirstEviction,
    AnotherEviction,
}

/// What is known of all pods together.
struct Survey<'a> {
    /// The tier whose turn it is: the lowest that still has pods to go. While the first set is not
    /// complete, it is not known that a tier is gone.
    tier: Tier,
    namespaces: BTreeMap<&'a str, Namespace>,
}

/// The requests about the pods of a namespace.
#[derive(Clone, Copy, Default)]
struct Namespace {
    /// One of them has gone unanswered for long.
    is_slow: bool,
    /// How many are under way.
    open: usize,
    /// How many were answered quickly of late.
    quick: usize,
}

impl Namespace {
    /// Whether one more eviction would get in the way of those that are under way: the API server counts
    /// those of one budget one after the other, and gives up what has lost twenty times. Where answers come
    /// quickly, more are sent.
    fn is_crowded(self) -> bool {
        self.open >= SIDE_BY_SIDE + FOR_EACH_QUICK * self.quick
    }
}

impl Drain {
    /// The request that is to be sent first.
    pub(super) fn most_urgent(&self, now: Moment) -> Due {
        let survey = self.survey(now);
        let timing = self.options.timing();
        let mut first = None;
        let mut later: Option<Moment> = None;
        for (uid, record) in &self.records {
            let Some((due, ask)) = self.next_ask(now, record, survey.tier) else { continue };
            let due = due.max(self.cordon_hold).max(record.not_before(&timing, ask));
            if due > now {
                later = Some(later.map_or(due, |later| later.min(due)));
                continue;
            }
            let own_time = timing.own_time(record.grace);
            let steps = own_time.into_iter().flat_map(|it| [it - MARK_AHEAD, it]);
            later = later.into_iter().chain(steps.filter(|it| *it > now)).min();
            let namespace = record.reference().namespace.as_str();
            let namespace = survey.namespaces.get(namespace).copied().unwrap_or_default();
            let rank = rank(record, ask, namespace);
            let is_up = own_time.is_some_and(|it| it <= now);
            let is_first = matches!(rank, Rank::FirstEviction | Rank::SlowFirstEviction);
            if is_first && !is_up && namespace.is_crowded() {
                continue;
            }
            let longest_first = (rank != Rank::AnotherEviction).then_some(Reverse(record.grace));
            let key = (rank, longest_first, record.last_asked, uid);
            if first.as_ref().is_none_or(|(best, _, _)| key < *best) {
                first = Some((key, ask, pressing(is_up, rank)));
            }
        }
        match (first, later) {
            (Some(((.., uid), ask, pressing)), later) => {
                Due::Now { uid: uid.clone(), ask, pressing, later }
            }
            (None, Some(moment)) => Due::At(moment),
            (None, None) => Due::Never,
        }
    }

    fn survey(&self, now: Moment) -> Survey<'_> {
        let mut tier = Tier::NodeCritical;
        let mut namespaces: BTreeMap<&str, Namespace> = BTreeMap::new();
        for record in self.records.values() {
            if !record.is_done() {
                tier = tier.min(record.pod.tier);
            }
            let namespace = namespaces.entry(record.reference().namespace.as_str()).or_default();
            namespace.is_slow |= record.is_unanswered(now, SLOW);
            if record.in_flight.is_some() {
                namespace.open += 1;
            } else if record.last_asked.is_some_and(|asked| now.since(asked) < QUICK) {
                namespace.quick += 1;
            }
        }
        Survey { tier: if self.sets.listed { tier } else { Tier::Ordinary }, namespaces }
    }

    /// What is wanted of a pod, and from when.
    fn next_ask(&self, now: Moment, record: &Record, open: Tier) -> Option<(Moment, Ask)> {
        if record.in_flight.is_some() {
            return None;
        }
        let timing = self.options.timing();
        let grace = timing.cut(now, record.grace);
        let evict = Ask::Evict { grace, dry: self.options.dry };
        match &record.state {
            PodState::Pending | PodState::Blocked(_) => {
                let next = self.next_eviction(now, record, open);
                // Whatever keeps it: when its own time is up it is deleted, if it was asked before.
                let deletes = record.last_asked.is_some() && !self.options.dry;
                let deletes_at = self.options.deletes_at(record.grace).filter(|_| deletes);
                let Some(time_is_up) = deletes_at else { return Some((next?, evict)) };
                let (due, instead) = if record.disruption_target_asked {
                    (time_is_up, Ask::Delete { grace })
                } else {
                    (time_is_up - MARK_AHEAD, Ask::MarkDisrupted)
                };
                let next = next.map(|next| next.max(record.not_before(&timing, evict)));
                let next = next.filter(|next| now < due && *next < due);
                Some(next.map_or((due, instead), |next| (next, evict)))
            }
            PodState::Ending(_) if record.ends_too_late(now, &timing) && !self.options.dry => {
                Some((Moment::START, Ask::Delete { grace }))
            }
            PodState::Ending(_) | PodState::Exempt(_) | PodState::Gone(_) | PodState::Tried(_) => {
                None
            }
        }
    }

    /// When a pod that is to go is to be evicted next; `None`: not as things stand.
    fn next_eviction(&self, now: Moment, record: &Record, open: Tier) -> Option<Moment> {
        let timing = self.options.timing();
        let held = self.held_until(record);
        if let PodState::Blocked(budget) = &record.state {
            let longest = timing.budget_pause(now, record.grace);
            return Some(self.budgets.next_try(budget, longest).max(held));
        }
        let own_time = timing.own_time(record.grace);
        // Who was asked before has had its turn.
        let turn = if record.last_asked.is_some() { Turn::AtOnce } else { record.turn };
        let due = turn.due(own_time)?.max(held);
        if record.pod.tier <= open { Some(due) } else { own_time.map(|own_time| own_time.max(due)) }
    }

    /// How long the load balancers hold up the eviction of this pod.
    fn held_until(&self, record: &Record) -> Moment {
        if self.options.dry {
            return Moment::START;
        }
        let own_time = self.options.timing().own_time(record.grace);
        own_time.map_or(self.balancer_hold, |own_time| self.balancer_hold.min(own_time))
    }

    /// Notes that this request is sent now.
    pub(super) fn send(&mut self, now: Moment, uid: &str, ask: Ask) -> Option<Job> {
        let record = self.records.get_mut(uid)?;
        let blocked_by = match &record.state {
            PodState::Blocked(budget) => Some(budget.clone()),
            _ => None,
        };
        let ends = match (ask, &blocked_by, &record.ended_by) {
            (Ask::MarkDisrupted | Ask::Evict { dry: true, .. }, ..) => None,
            (Ask::Evict { dry: false, .. }, ..) => Some(EndedBy::Eviction),
            (Ask::Delete { .. }, ..) if !record.is_leaving() => {
                Some(EndedBy::Deletion(record.obstacle()))
            }
            (Ask::Delete { .. }, _, None | Some(EndedBy::Others | EndedBy::Earlier)) => {
                Some(EndedBy::Shortening)
            }
            (Ask::Delete { .. }, _, Some(by)) => Some(by.clone()),
        };
        let timeout = self.options.timing().time_to_answer(now, ask);
        let tries = blocked_by.filter(|_| matches!(ask, Ask::Evict { .. }));
        if let Some(budget) = &tries {
            self.budgets.trying(now, budget);
        }
        record.in_flight = Some(Sent { ask, ends, tries, given_up: false });
        record.last_asked = Some(now);
        Some(Job { pod: record.reference().clone(), ask, timeout })
    }

    /// Whether a request was given up, and room will be there at once.
    pub(super) fn gives_way(&self) -> bool {
        let mut in_flight = self.records.values().filter_map(|record| record.in_flight.as_ref());
        in_flight.any(|sent| sent.given_up)
    }

    /// A request that is waited for no longer, or when there will be one: an eviction whose pod has
    /// no more time for it, and, where another pod is kept waiting, what has had long enough. Each pod
    /// gives way once.
    pub(super) fn give_up(
        &mut self,
        now: Moment,
        kept_waiting: Option<Pressing>,
    ) -> Result<Arc<PodRef>, Option<Moment>> {
        let options = &self.options;
        let timing = options.timing();
        let until = |record: &Record| {
            let sent = record.in_flight.as_ref().filter(|sent| !sent.given_up)?;
            let since = record.last_asked?;
            let deletes = options.deletes_at(record.grace).is_some();
            let own_time = match sent.ask {
                Ask::Evict { dry: false, .. } if deletes => timing.last_answer(since, record.grace),
                _ => None,
            };
            let has_time = matches!(sent.ask, Ask::Evict { .. })
                && timing.own_time(record.grace).is_none_or(|own_time| now < own_time);
            let crowded = match kept_waiting {
                Some(Pressing::OwnTimeIsUp) if has_time => Some(since + SHORT_WAIT),
                Some(_) if !record.gave_way => Some(since + LONG_WAIT),
                Some(_) | None => None,
            };
            let gone = record.gone_at().map(|gone| gone + LATE_ANSWER);
            own_time.into_iter().chain(crowded).chain(gone).min()
        };
        let in_flight = self.records.iter().filter_map(|(uid, it)| Some((until(it)?, uid)));
        let Some((until, uid)) = in_flight.min() else { return Err(None) };
        if until > now {
            return Err(Some(until));
        }
        let uid = uid.clone();
        let Some(record) = self.records.get_mut(&uid) else { return Err(None) };
        record.gave_way = true;
        if let Some(sent) = &mut record.in_flight {
            sent.given_up = true;
        }
        Ok(record.reference().clone())
    }
}

fn rank(record: &Record, ask: Ask, namespace: Namespace) -> Rank {
    match ask {
        Ask::Evict { .. } if record.last_asked.is_none() && namespace.is_slow => {
            Rank::SlowFirstEviction
        }
        Ask::Evict { .. } if record.last_asked.is_none() => Rank::FirstEviction,
        Ask::Evict { .. } => Rank::AnotherEviction,
        Ask::MarkDisrupted => Rank::DisruptionTarget,
        Ask::Delete { .. } => Rank::Deletion,
    }
}

/// To change one request that hangs for another of the same namespace gains nothing.
fn pressing(own_time_is_up: bool, rank: Rank) -> Option<Pressing> {
    match rank {
        Rank::AnotherEviction => None,
        _ if own_time_is_up => Some(Pressing::OwnTimeIsUp),
        Rank::Deletion | Rank::DisruptionTarget | Rank::FirstEviction => Some(Pressing::NeverAsked),
        Rank::SlowFirstEviction => None,
    }
}
