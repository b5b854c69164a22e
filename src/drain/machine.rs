//! The state machine of a drain. It takes in what happens (see [`news`](super::news)) and answers with the
//! next request (see [`schedule`](super::schedule)), the moment to wake, or the verdict.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::drain::DrainOptions;
use crate::drain::ask::{Job, PodRef};
use crate::drain::budgets::Budgets;
use crate::drain::limit::Limit;
use crate::drain::owners::{Owners, Turn};
use crate::drain::pod::{Exempt, OwnPod};
use crate::drain::progress::DrainProgress;
use crate::drain::record::{FailureKind, PodState, Record};
use crate::drain::schedule::Due;
use crate::drain::verdict::{End, EndedBy, Occasion, Row, Verdict};
use crate::moment::Moment;

/// A drain under way.
#[derive(Debug)]
pub struct Drain {
    pub(super) options: DrainOptions,
    pub(super) began: Moment,
    /// Evictions wait for the cordon until then at the latest.
    pub(super) cordon_hold: Moment,
    /// Evictions wait for the load balancers until then, but no pod beyond its own time.
    pub(super) balancer_hold: Moment,
    /// Whether the node bears the marks for this drain.
    marked: bool,
    /// Whether there is a Node of this name.
    presence: Presence,
    /// When SIGTERM came, if it did.
    terminated: Option<Moment>,
    /// When the drain stops before its limit, if it does.
    stop: Option<Moment>,
    /// By UID.
    pub(super) records: BTreeMap<String, Box<Record>>,
    pub(super) budgets: Budgets,
    pub(super) owners: Owners,
    pub(super) sets: Sets,
    pub(super) own_grace: Option<Duration>,
    pub(super) failed_requests: u32,
    /// The kinds of failures reported since the last recovery.
    pub(super) failures_said: Vec<FailureKind>,
    pub(super) forbidden_said: bool,
    pub(super) disruption_target_failure_said: bool,
    emptied: Emptied,
    pub(super) jitter: fastrand::Rng,
    pub(super) progress: VecDeque<DrainProgress>,
}

/// Whether there is a Node of the name by which pods are listed. Where there is none, an empty list of pods
/// means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The Node could not be read yet.
    Unknown,
    /// It was read.
    Present,
    /// The API server says that there is none.
    Absent,
}

/// Whether the label that takes the node out of load balancers is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadBalancers {
    /// It was set just now.
    LeftNow,
    /// It was set before these marks were wanted.
    LeftBefore,
    /// It is not set.
    Stay,
}

/// The part of a verdict that may change once nothing is left: rows, pods that could not be read, and
/// whether the node is there.
type Table = (usize, u32, Presence);

/// Whether nothing that was to go was left at some time, and whether that was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emptied {
    /// Not yet.
    No,
    /// Nothing is left. The report waits until it is known whether there is a Node of this name.
    Unreported,
    /// It was reported with this table.
    Reported(Table),
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
    /// Report this.
    Tell(DrainProgress),
    /// Send this request. It is under way until [`Drain::answered`] is called for its pod.
    Ask(Job),
    /// Wait no longer for the answer to the request about this pod, and cancel it at the API server.
    /// [`Drain::answered`] is still to be called for it, and soon.
    GiveUp(Arc<PodRef>),
    /// Nothing before that moment, unless something happens.
    Wait(Moment),
    /// Nothing that was to go is left. Reported once. A drain with a deadline goes on for pods that come
    /// late.
    Verdict(Occasion, Verdict),
    /// The drain is over.
    Done(LastWord),
}

/// What is to be reported at the end of a drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastWord {
    /// What became of every pod.
    Verdict(Occasion, Verdict),
    /// The deadline has come, and nothing has changed since the last verdict.
    DeadlineReached,
    /// The last verdict says it all.
    Nothing,
}

/// The longest that evictions wait for the cordon.
const CORDON_WAIT: Duration = Duration::from_secs(1);

/// Between the verdict of a drain that SIGTERM stops and the kubelet's SIGKILL.
const TIME_TO_REPORT: Duration = Duration::from_secs(2);

impl Drain {
    /// A drain begins.
    pub fn begin(now: Moment, options: DrainOptions) -> Self {
        Self {
            began: now,
            cordon_hold: now + CORDON_WAIT,
            // Until it is known whether the node leaves them.
            balancer_hold: options.load_balancer_hold.map_or(Moment::START, |hold| now + hold),
            marked: false,
            presence: Presence::Unknown,
            terminated: None,
            stop: None,
            records: BTreeMap::new(),
            budgets: Budgets::default(),
            owners: Owners::default(),
            sets: Sets::default(),
            own_grace: None,
            failed_requests: 0,
            failures_said: Vec::new(),
            forbidden_said: false,
            disruption_target_failure_said: false,
            emptied: Emptied::No,
            jitter: fastrand::Rng::with_seed(options.seed),
            progress: VecDeque::new(),
            options,
        }
    }

    /// The node bears the marks for this drain, or will not: evictions no longer wait for the cordon.
    pub fn marked(&mut self, now: Moment, load_balancers: LoadBalancers) {
        self.marked = true;
        self.release(now);
        match load_balancers {
            LoadBalancers::LeftNow => {
                self.hold_evictions_until(
                    now + self.options.load_balancer_hold.unwrap_or_default(),
                );
            }
            // They have had the time since the drain began, or longer.
            LoadBalancers::LeftBefore => {}
            LoadBalancers::Stay => self.hold_evictions_until(now),
        }
    }

    /// Evictions no longer wait for the cordon.
    pub(super) fn release(&mut self, now: Moment) {
        self.cordon_hold = self.cordon_hold.min(now);
    }

    /// Evictions wait until `moment`, while traffic leaves the node. No pod waits beyond its own time, and
    /// a dry run does not wait.
    pub(super) fn hold_evictions_until(&mut self, moment: Moment) {
        self.balancer_hold = moment;
    }

    /// Whether a pod was asked to go.
    pub fn has_asked(&self) -> bool {
        self.records.values().any(|record| record.last_asked.is_some())
    }

    /// Whether the node bears the marks for this drain.
    pub fn is_marked(&self) -> bool {
        self.marked
    }

    /// Whether there is a Node of this name was found out.
    pub fn node_is(&mut self, presence: Presence) {
        self.presence = presence;
    }

    /// Another limit holds from now on. Pods that are not gone are judged by it anew.
    pub fn retarget(&mut self, limit: Limit) {
        let before = std::mem::replace(&mut self.options.limit, limit);
        if before.instance_goes() || !limit.instance_goes() {
            return;
        }
        // Pods that were left on a node that was to stay go now as any other pod.
        for record in self.records.values_mut() {
            if matches!(record.state, PodState::Exempt(Exempt::Returning(_))) {
                record.turn = Turn::AtOnce;
                record.ended_by = record.pod.terminating.map(|_| EndedBy::Others);
                record.state = record
                    .pod
                    .terminating
                    .map_or(PodState::Pending, |it| PodState::Ending(it.ends));
            }
        }
    }

    /// The drain is called off. Its last verdict, after which the drain is to be dropped: what is
    /// terminating cannot be taken back.
    pub fn call_off(&self, now: Moment) -> Verdict {
        self.judge(now, Some(End::CalledOff))
    }

    /// What is still to be reported of a drain that is called off.
    pub fn take_progress(&mut self) -> impl Iterator<Item = DrainProgress> {
        std::mem::take(&mut self.progress).into_iter()
    }

    /// SIGTERM came: the process has to end within the grace of its own pod or, until that was seen,
    /// `shutdown_grace`. How long the drain goes on.
    pub fn stop(&mut self, now: Moment, shutdown_grace: Duration) -> Duration {
        self.terminated = Some(now);
        self.stop_within(now, self.own_grace.unwrap_or(shutdown_grace));
        now.until(self.end())
    }

    /// How long the drain goes on, if SIGTERM came.
    pub fn ends_within(&self, now: Moment) -> Option<Duration> {
        self.terminated.map(|_| now.until(self.end()))
    }

    /// The drain stops at `moment`. The deadline stays where it is.
    pub fn stop_at(&mut self, moment: Moment) {
        self.stop = Some(self.stop.map_or(moment, |stop| stop.min(moment)));
    }

    /// The own pod was seen: it may have less time after SIGTERM than was assumed.
    pub(super) fn own_pod_seen(&mut self, grace: Duration) {
        self.own_grace = Some(grace);
        if let Some(terminated) = self.terminated {
            self.stop_within(terminated, grace);
        }
    }

    fn stop_within(&mut self, terminated: Moment, grace: Duration) {
        self.stop_at(terminated + grace.saturating_sub(TIME_TO_REPORT));
    }

    /// More is known of the own pod than at the beginning.
    pub fn own_pod(&mut self, own: OwnPod) {
        self.options.rules.own.complete(own);
        let mut grace = None;
        let own = &self.options.rules.own;
        for record in self.records.values_mut().filter(|record| own.is(record.reference())) {
            grace = Some(record.pod.time_to_end());
            if matches!(record.state, PodState::Pending | PodState::Blocked(_)) {
                record.state = PodState::Exempt(Exempt::Own);
            }
        }
        if let Some(grace) = grace {
            self.own_pod_seen(grace);
        }
    }

    /// When it is over, whatever is left: at its limit, or when it is stopped.
    pub fn end(&self) -> Moment {
        let end = self.options.limit.end();
        self.stop.map_or(end, |stop| stop.min(end))
    }

    /// How it has ended by now; `None`: it goes on.
    fn ended(&self, now: Moment) -> Option<End> {
        let limit = self.options.limit;
        if !limit.instance_goes() && self.emptied != Emptied::No && self.is_empty() {
            Some(End::Empty)
        } else if limit.end() <= now {
            Some(if limit.instance_goes() { End::Deadline } else { End::TimedOut })
        } else {
            self.stop.filter(|stop| *stop <= now).map(|_| End::Stopped)
        }
    }

    /// Whether it has come to its end.
    pub fn is_over(&self, now: Moment) -> bool {
        match self.ended(now) {
            Some(End::Empty)
                if self.emptied == Emptied::Unreported && self.terminated.is_none() =>
            {
                self.options.limit.end() <= now
            }
            end => end.is_some(),
        }
    }

    /// Whether nothing that was to go is left.
    pub(super) fn is_empty(&self) -> bool {
        self.sets.listed && self.records.values().all(|record| record.is_done())
    }

    /// Whether nothing that was to go is left, and the verdict of that still holds.
    pub fn is_emptied(&self) -> bool {
        self.emptied == Emptied::Reported(self.table()) && self.is_empty()
    }

    /// Whether the node's pods are known.
    pub fn has_listed(&self) -> bool {
        self.sets.listed && self.presence() == Presence::Present
    }

    /// Whether all pods that were to go are gone by now.
    pub fn is_clean(&self, now: Moment) -> bool {
        self.verdict(now).is_clean() && self.has_listed()
    }

    /// A pod that is bound to the node shows that there is such a node, too.
    fn presence(&self) -> Presence {
        let has_pods = !self.records.is_empty() || self.sets.unread.count() > 0;
        if has_pods { Presence::Present } else { self.presence }
    }

    fn table(&self) -> Table {
        (self.records.len(), self.sets.unread.count(), self.presence())
    }

    /// What to do next; `free`: how many requests could be sent at once.
    pub fn next(&mut self, now: Moment, free: usize) -> Step {
        if self.emptied == Emptied::Unreported {
            if self.presence() != Presence::Unknown {
                self.emptied = Emptied::No;
            } else if self.ended(now) == Some(End::Empty) && !self.is_over(now) {
                return Step::Wait(self.options.limit.end());
            }
        }
        if let Some(progress) = self.progress.pop_front() {
            return Step::Tell(progress);
        }
        if self.ended(now).is_some() {
            return Step::Done(self.last_word(now));
        }
        if self.emptied == Emptied::No && self.is_empty() {
            if self.presence() != Presence::Unknown {
                return self.report_empty(now);
            }
            self.emptied = Emptied::Unreported;
            return self.next(now, free);
        }
        if self.terminated.is_some() && self.is_empty() {
            return Step::Done(if self.is_emptied() {
                LastWord::Nothing
            } else {
                self.last_verdict(Occasion::Stopped, self.verdict(now))
            });
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
                self.send(now, &uid, ask).map_or(Step::Wait(end), Step::Ask)
            }
            Due::Now { later: Some(moment), .. } | Due::At(moment) => Step::Wait(moment.min(end)),
            Due::Now { .. } | Due::Never => Step::Wait(end),
        }
    }

    /// Nothing that was to go is left.
    fn report_empty(&mut self, now: Moment) -> Step {
        self.emptied = Emptied::Reported(self.table());
        let occasion = if self.options.dry { Occasion::Rehearsed } else { Occasion::Empty };
        let verdict = self.verdict(now);
        Step::Verdict(self.occasion(occasion, &verdict), verdict)
    }

    /// What is to be reported at the end.
    fn last_word(&self, now: Moment) -> LastWord {
        let verdict = self.verdict(now);
        let is_reported = self.is_emptied();
        let occasion = match verdict.end {
            Some(End::Stopped) => Occasion::Stopped,
            Some(End::Empty) if is_reported => return LastWord::Nothing,
            Some(End::Deadline) if is_reported => return LastWord::DeadlineReached,
            Some(End::TimedOut | End::Empty) => Occasion::TimedOut,
            Some(End::Deadline | End::CalledOff) | None => Occasion::Deadline,
        };
        self.last_verdict(occasion, verdict)
    }

    fn last_verdict(&self, occasion: Occasion, verdict: Verdict) -> LastWord {
        LastWord::Verdict(self.occasion(occasion, &verdict), verdict)
    }

    /// What a verdict on this occasion is of a node that was not seen.
    fn occasion(&self, occasion: Occasion, verdict: &Verdict) -> Occasion {
        match self.presence() {
            Presence::Present => occasion,
            Presence::Absent => Occasion::NoNode,
            // The verdict itself says that nothing is known.
            Presence::Unknown if !verdict.listed => occasion,
            Presence::Unknown => Occasion::NodeUnknown,
        }
    }

    /// What became of every pod so far.
    pub fn verdict(&self, now: Moment) -> Verdict {
        self.judge(now, self.ended(now))
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
            node_shutdown: self.options.node_shutdown,
        }
    }
}
