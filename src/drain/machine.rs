//! The state machine of a drain: what to do next. It is told what happened and when (see
//! [`news`](super::news)); it answers with the next request, the moment to wake, or the verdict.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::{Ask, Job, PodRef};
use crate::drain::budgets::Budgets;
use crate::drain::owners::{Owners, Turn};
use crate::drain::pod::{Exempt, OwnPod, Tier};
use crate::drain::progress::Progress;
use crate::drain::record::{FailureKind, Record, Sent, State};
use crate::drain::timing::{LONG_WAIT, Timing};
use crate::drain::verdict::{End, EndedBy, Row, Verdict};
use crate::drain::{BudgetOverride, Plan};
use crate::moment::Moment;

/// A drain under way.
#[derive(Debug)]
pub struct Drain {
    pub(super) plan: Plan,
    pub(super) began: Moment,
    /// Evictions wait for the cordon until then, and no longer.
    hold: Moment,
    /// Evictions wait for the load balancers until then, but no pod beyond its own time.
    balancer_hold: Moment,
    /// When this process must end, if it must.
    stop: Option<Moment>,
    /// By UID.
    pub(super) records: BTreeMap<String, Box<Record>>,
    pub(super) budgets: Budgets,
    pub(super) owners: Owners,
    pub(super) sets: Sets,
    pub(super) own_grace: Option<Duration>,
    pub(super) failed_requests: u32,
    /// The kinds of failures that were said since the last recovery.
    pub(super) failures_said: Vec<FailureKind>,
    pub(super) forbidden_said: bool,
    pub(super) unmarked_said: bool,
    emptied: bool,
    /// The last words, once it is called off: nothing that happens later changes them.
    called_off: Option<LastWords>,
    pub(super) jitter: fastrand::Rng,
    pub(super) told: VecDeque<Progress>,
}

/// What a drain that is called off still has to say.
#[derive(Debug)]
struct LastWords {
    told: VecDeque<Progress>,
    /// But for how long it took.
    verdict: Verdict,
}

/// How much of the node's pods has been read.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// Number of the set that is being read, or was read last.
    pub(super) current: u32,
    /// Whether a first set was read to its end.
    pub(super) listed: bool,
    /// Pods that could not be read, as far as no later set has shown them.
    pub(super) unread: Unread,
    /// Those of them since the current set began.
    pub(super) current_unread: Unread,
}

impl Sets {
    /// This pod was read, or is gone.
    pub(super) fn read(&mut self, uid: &str) {
        self.unread.known.remove(uid);
        self.current_unread.known.remove(uid);
    }
}

/// Pods that could not be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread {
    /// Those of which it is known which they are.
    known: BTreeSet<String>,
    /// How often it was not.
    others: u32,
}

impl Unread {
    /// Adds one; whether it was not among them.
    pub(super) fn add(&mut self, pod: Option<String>) -> bool {
        if let Some(pod) = pod {
            self.known.insert(pod)
        } else {
            self.others += 1;
            true
        }
    }

    /// How many they are.
    pub(super) fn count(&self) -> u32 {
        let known = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.others.saturating_add(known)
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Say this.
    Tell(Progress),
    /// Send this request. It is under way until [`Drain::answered`] is called for its pod.
    Ask(Job),
    /// Wait no longer for the answer to the request about this pod, and see to it that the API server
    /// need not answer any more. [`Drain::answered`] is still to be called for it, and soon.
    GiveUp(Arc<PodRef>),
    /// Nothing before that moment, unless something happens.
    Wait(Moment),
    /// Nothing that was to go is left. Said once; the drain goes on for pods that come late, or with
    /// nothing but patience is over.
    Empty(Verdict),
    /// The drain is over. How, the verdict says.
    Done(Verdict),
}

/// The condition is set so long before the deletion that it costs the pod nothing of its grace.
const MARK_AHEAD: Duration = Duration::from_secs(1);

/// The same, of an eviction of a pod that has time left, for a pod whose own time is up.
const SHORT_WAIT: Duration = Duration::from_secs(2);

/// How long an answer about a pod is still waited for that is gone.
const LATE_ANSWER: Duration = Duration::from_secs(2);

/// A namespace in which a request has gone unanswered for so long is slow: those of others go first.
const SLOW: Duration = Duration::from_secs(1);

/// So many evictions of one namespace are sent side by side before any of them is answered. Measured behind
/// one budget, with etcd 20 ms away: of 32 none is given up by the API server, of 100 every third.
const SIDE_BY_SIDE: usize = 32;

/// Whose answer came within this time did not wait for others, and so many more are sent for each.
const QUICK: Duration = Duration::from_millis(600);
const FOR_EACH_QUICK: usize = 2;

/// The longest that evictions wait for the cordon.
const CORDON_WAIT: Duration = Duration::from_secs(1);

impl Drain {
    /// A drain begins.
    pub fn begin(now: Moment, plan: Plan) -> Self {
        Self {
            began: now,
            hold: now + CORDON_WAIT,
            balancer_hold: Moment::START,
            stop: None,
            records: BTreeMap::new(),
            budgets: Budgets::default(),
            owners: Owners::default(),
            sets: Sets::default(),
            own_grace: None,
            failed_requests: 0,
            failures_said: Vec::new(),
            forbidden_said: false,
            unmarked_said: false,
            emptied: false,
            called_off: None,
            jitter: fastrand::Rng::with_seed(plan.seed),
            told: VecDeque::new(),
            plan,
        }
    }

    /// The node is cordoned, or will not be: evictions wait for it no longer.
    pub fn release(&mut self, now: Moment) {
        self.hold = self.hold.min(now);
    }

    /// The label was set that takes the node out of load balancers: evictions wait until `moment`,
    /// in which traffic finds other ways. It takes only what the deadline leaves: no pod waits
    /// beyond its own time. A later call replaces an earlier one; a dry run does not wait.
    pub fn hold_evictions_until(&mut self, moment: Moment) {
        self.balancer_hold = moment;
    }

    /// The instance goes earlier than was said; true if that is news. It never goes later.
    pub fn pull_in(&mut self, deadline: Moment) -> bool {
        self.called_off.is_none() && self.plan.timing.pull_in(deadline)
    }

    /// Another notice takes over, with a limit of its own; see [`Timing::taken_over`] for which one
    /// holds. Whoever is not gone is judged by it anew. `budget_override` comes with the limit: it
    /// replaces what held before only where that limit ends the graces. True if the end moved
    /// earlier by a second or more. A drain that was called off stays so.
    pub fn retime(&mut self, timing: Timing, budget_override: BudgetOverride) -> bool {
        if self.called_off.is_some() {
            return false;
        }
        let before = self.plan.timing;
        let after = before.taken_over(timing);
        if after.end_of_grace() == timing.end_of_grace() {
            self.plan.budget_override = budget_override;
        }
        self.plan.timing = after;
        if before.is_patience() && !after.is_patience() {
            // Who was to run on because nothing happened to the instance goes now as any other pod.
            for record in self.records.values_mut() {
                if matches!(record.state, State::Exempt(Exempt::Returning(_))) {
                    record.turn = Turn::AtOnce;
                    record.ended_by = record.pod.terminating.map(|_| EndedBy::Others);
                    record.state =
                        record.pod.terminating.map_or(State::Pending, |it| State::Ending(it.ends));
                }
            }
        }
        after.is_earlier_than(&before)
    }

    /// What was noticed will not happen: no further request, and the next verdict is the last
    /// word. What was told to end cannot be taken back.
    pub fn call_off(&mut self) {
        if self.called_off.is_none() {
            let verdict = self.judge(self.began, Some(End::CalledOff));
            let told = std::mem::take(&mut self.told);
            self.called_off = Some(LastWords { told, verdict });
        }
    }

    /// This process must end at `moment`. The deadline stays where it is.
    pub fn stop_at(&mut self, moment: Moment) {
        self.stop = Some(self.stop.map_or(moment, |stop| stop.min(moment)));
    }

    /// More is known of the own pod than at the beginning.
    pub fn own_pod(&mut self, own: OwnPod) {
        self.plan.rules.own.complete(own);
        let own = &self.plan.rules.own;
        for record in self.records.values_mut().filter(|record| own.is(record.reference())) {
            self.own_grace = Some(record.pod.time_to_end());
            if matches!(record.state, State::Pending | State::Blocked(_)) {
                record.state = State::Exempt(Exempt::Own);
            }
        }
    }

    /// Whether a first set of pods was read to its end.
    pub fn has_listed(&self) -> bool {
        self.sets.listed
    }

    /// Whether this process must end.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// The limit that holds.
    pub fn timing(&self) -> Timing {
        self.plan.timing
    }

    /// When it is over, come what may: at its deadline or the end of its patience, or when this
    /// process must end.
    pub fn end(&self) -> Moment {
        let end = self.plan.timing.end();
        self.stop.map_or(end, |stop| stop.min(end))
    }

    /// How it has ended by now; `None`: it goes on.
    pub fn ended(&self, now: Moment) -> Option<End> {
        let timing = &self.plan.timing;
        if self.called_off.is_some() {
            Some(End::CalledOff)
        } else if timing.is_patience() && self.emptied && self.is_empty() {
            Some(End::Empty)
        } else if timing.end() <= now {
            Some(if timing.is_patience() { End::Patience } else { End::Deadline })
        } else {
            self.stop.filter(|stop| *stop <= now).map(|_| End::Stopped)
        }
    }

    /// How long the own pod has after SIGTERM (`terminationGracePeriodSeconds`), once it was seen.
    pub fn own_grace(&self) -> Option<Duration> {
        self.own_grace
    }

    /// Whether nothing that was to go is left.
    pub fn is_empty(&self) -> bool {
        self.sets.listed && self.records.values().all(|record| record.is_done())
    }

    /// What to do next; `free`: how many requests could be sent at once.
    pub fn next(&mut self, now: Moment, free: usize) -> Step {
        let told = self.called_off.as_mut().map_or(&mut self.told, |last| &mut last.told);
        if let Some(progress) = told.pop_front() {
            return Step::Tell(progress);
        }
        if self.ended(now).is_some() {
            return Step::Done(self.verdict(now));
        }
        if self.is_empty() && !self.emptied {
            self.emptied = true;
            return Step::Empty(self.verdict(now));
        }
        let end = self.end();
        let due = self.most_urgent(now);
        let kept_waiting = match &due {
            Due::Now { pressing, .. } if free == 0 && !self.gives_way() => *pressing,
            _ => None,
        };
        let end = match self.give_up(now, kept_waiting) {
            Ok(pod) => return Step::GiveUp(pod),
            Err(later) => later.map_or(end, |later| later.min(end)),
        };
        match due {
            Due::Now { uid, ask, .. } if free > 0 => {
                self.send(now, &uid, ask).unwrap_or(Step::Wait(end))
            }
            Due::Now { later: Some(moment), .. } | Due::At(moment) => Step::Wait(moment.min(end)),
            Due::Now { .. } | Due::Never => Step::Wait(end),
        }
    }

    /// Whether a request was given up, and room will be there at once.
    fn gives_way(&self) -> bool {
        let mut in_flight = self.records.values().filter_map(|record| record.in_flight.as_ref());
        in_flight.any(|sent| sent.given_up)
    }

    /// A request that is waited for no longer, or when there will be one: an eviction whose pod has
    /// no more time for it, and, where another pod is kept waiting, what has had long enough. Each pod
    /// gives way once.
    fn give_up(
        &mut self,
        now: Moment,
        kept_waiting: Option<Pressing>,
    ) -> Result<Arc<PodRef>, Option<Moment>> {
        let plan = &self.plan;
        let until = |record: &Record| {
            let sent = record.in_flight.as_ref().filter(|sent| !sent.given_up)?;
            let since = record.last_asked?;
            let deletes = plan.deletes_at(record.grace).is_some();
            let own_time = match sent.ask {
                Ask::Evict { dry: false, .. } if deletes => {
                    plan.timing.last_answer(since, record.grace)
                }
                _ => None,
            };
            let has_time = matches!(sent.ask, Ask::Evict { .. })
                && plan.timing.own_time(record.grace).is_none_or(|own_time| now < own_time);
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

    /// What became of every pod so far.
    pub fn verdict(&self, now: Moment) -> Verdict {
        match &self.called_off {
            Some(last) => Verdict { took: now.since(self.began), ..last.verdict.clone() },
            None => self.judge(now, self.ended(now)),
        }
    }

    fn judge(&self, now: Moment, end: Option<End>) -> Verdict {
        let rows = self.records.values().map(|record| Row {
            pod: record.reference().clone(),
            outcome: record.outcome(end),
            gone_after: record.gone_at().map(|at| at.since(self.began)),
        });
        Verdict {
            rows: rows.collect(),
            listed: self.sets.listed,
            unread: self.sets.unread.count(),
            took: now.since(self.began),
            end,
        }
    }
}

/// Who is to be asked, and when.
enum Due {
    Now {
        uid: String,
        ask: Ask,
        /// Whether others are to make room for it.
        pressing: Option<Pressing>,
        /// When somebody else will be due, or others will have to make room.
        later: Option<Moment>,
    },
    At(Moment),
    Never,
}

/// Why others make room for a pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pressing {
    OwnTimeIsUp,
    NeverAsked,
}

/// What stands first in line. Whose own time is up before all, then fresh pods; among equals, those
/// whose grace needs the most time, then those who have waited longest. Who was asked before only
/// waits for its turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Deletion,
    DisruptionTarget,
    FirstEviction,
    /// In a namespace that is slow to answer.
    SlowFirstEviction,
    AnotherEviction,
}

impl Drain {
    fn most_urgent(&self, now: Moment) -> Due {
        let tier = self.open_tier();
        let slow: BTreeSet<&str> = self
            .records
            .values()
            .filter(|record| record.is_unanswered(now, SLOW))
            .map(|it| it.reference().namespace.as_str())
            .collect();
        let crowded = self.crowded(now);
        let mut first = None;
        let mut later: Option<Moment> = None;
        for (uid, record) in &self.records {
            let Some((due, ask)) = self.wish(now, record, tier) else { continue };
            let due = due.max(self.hold).max(record.not_before(&self.plan.timing, ask));
            if due > now {
                later = Some(later.map_or(due, |later| later.min(due)));
                continue;
            }
            let own_time = self.plan.timing.own_time(record.grace);
            let steps = own_time.into_iter().flat_map(|it| [it - MARK_AHEAD, it]);
            later = later.into_iter().chain(steps.filter(|it| *it > now)).min();
            let rank = rank(record, ask, &slow);
            let is_up = own_time.is_some_and(|it| it <= now);
            let is_first = matches!(rank, Rank::FirstEviction | Rank::SlowFirstEviction);
            if is_first && !is_up && crowded.contains(record.reference().namespace.as_str()) {
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

    /// The namespaces of which so many evictions are unanswered that one more would get in their way: the API
    /// server counts those of one budget one after the other, and gives up what has lost twenty times. Where
    /// answers come quickly, there are more.
    fn crowded(&self, now: Moment) -> BTreeSet<&str> {
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for record in self.records.values() {
            let (open, quick) = counts.entry(record.reference().namespace.as_str()).or_default();
            if record.in_flight.is_some() {
                *open += 1;
            } else if record.last_asked.is_some_and(|asked| now.since(asked) < QUICK) {
                *quick += 1;
            }
        }
        let is_crowded =
            |(open, quick): &(usize, usize)| *open >= SIDE_BY_SIDE + FOR_EACH_QUICK * *quick;
        counts.iter().filter(|(_, it)| is_crowded(it)).map(|(namespace, _)| *namespace).collect()
    }

    /// The tier whose turn it is: the lowest that still has somebody to go. While the first set is
    /// not complete, nobody knows that a tier is gone.
    fn open_tier(&self) -> Tier {
        if !self.sets.listed {
            return Tier::Ordinary;
        }
        let left = self.records.values().filter(|record| !record.is_done());
        left.map(|record| record.pod.tier).min().unwrap_or(Tier::NodeCritical)
    }

    /// What is wanted of a pod, and from when.
    fn wish(&self, now: Moment, record: &Record, open: Tier) -> Option<(Moment, Ask)> {
        if record.in_flight.is_some() {
            return None;
        }
        let timing = &self.plan.timing;
        let grace = timing.cut(now, record.grace);
        let evict = Ask::Evict { grace, dry: self.plan.dry };
        match &record.state {
            State::Pending | State::Blocked(_) => {
                let next = self.next_eviction(now, record, open);
                // Whatever keeps it: when its own time is up it is deleted, if it was asked before.
                let deletes = record.last_asked.is_some() && !self.plan.dry;
                let deletes_at = self.plan.deletes_at(record.grace).filter(|_| deletes);
                let Some(time_is_up) = deletes_at else { return Some((next?, evict)) };
                let (due, instead) = if record.marked {
                    (time_is_up, Ask::Delete { grace })
                } else {
                    (time_is_up - MARK_AHEAD, Ask::MarkDisrupted)
                };
                let next = next.map(|next| next.max(record.not_before(timing, evict)));
                let next = next.filter(|next| now < due && *next < due);
                Some(next.map_or((due, instead), |next| (next, evict)))
            }
            State::Ending(_) if record.ends_too_late(now, timing) && !self.plan.dry => {
                Some((Moment::START, Ask::Delete { grace }))
            }
            State::Ending(_) | State::Exempt(_) | State::Gone(_) | State::Tried(_) => None,
        }
    }

    /// When a pod that is to go is to be evicted next; `None`: not as things stand.
    fn next_eviction(&self, now: Moment, record: &Record, open: Tier) -> Option<Moment> {
        let timing = &self.plan.timing;
        let held = self.held_until(record);
        if let State::Blocked(budget) = &record.state {
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
        if self.plan.dry {
            return Moment::START;
        }
        let own_time = self.plan.timing.own_time(record.grace);
        own_time.map_or(self.balancer_hold, |own_time| self.balancer_hold.min(own_time))
    }

    fn send(&mut self, now: Moment, uid: &str, ask: Ask) -> Option<Step> {
        let record = self.records.get_mut(uid)?;
        let blocked_by = match &record.state {
            State::Blocked(budget) => Some(budget.clone()),
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
        let patience = self.plan.timing.time_to_answer(now, ask);
        let tries = blocked_by.filter(|_| matches!(ask, Ask::Evict { .. }));
        if let Some(budget) = &tries {
            self.budgets.trying(now, budget);
        }
        record.in_flight = Some(Sent { ask, ends, tries, given_up: false });
        record.last_asked = Some(now);
        Some(Step::Ask(Job { pod: record.reference().clone(), ask, patience }))
    }
}

fn rank(record: &Record, ask: Ask, slow: &BTreeSet<&str>) -> Rank {
    match ask {
        Ask::Evict { .. } if record.last_asked.is_none() => {
            if slow.contains(record.reference().namespace.as_str()) {
                Rank::SlowFirstEviction
            } else {
                Rank::FirstEviction
            }
        }
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
