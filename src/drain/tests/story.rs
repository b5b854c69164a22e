//! A run, told pod by pod: what the machine knew and did, worked out from the trace and from nothing
//! of the machine's own.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::drain::ask::{Answer, Ask};
use crate::drain::limit;
use crate::drain::pod::{Controller, Tier};
use crate::drain::tests::cluster::{Cluster, Life, MARGIN, ms, secs};
use crate::drain::tests::trace::{Did, Run};
use crate::drain::{BudgetOverride, DrainOptions};
use crate::moment::Moment;

/// A run, worked out.
#[derive(Debug)]
pub(super) struct Story<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) run: &'a Run,
    /// By UID; those that were seen only.
    pub(super) pods: BTreeMap<&'a str, Known<'a>>,
    /// When the first set was complete.
    pub(super) listed: Option<Moment>,
    /// When evictions no longer waited for the cordon.
    pub(super) released: Moment,
    /// What limited it, from the beginning on.
    pub(super) limits: Vec<Limit>,
    /// When it was known that what was noticed will not happen.
    pub(super) called_off: Option<Moment>,
    /// From when evictions waited for the load balancers, and until when.
    pub(super) balanced: Option<(Moment, Moment)>,
    /// When which stop was told.
    pub(super) stop: Option<(Moment, Moment)>,
    /// When something could have been sent, and nothing was: from, until.
    pub(super) idle: Vec<(Moment, Moment)>,
}

/// What limits a drain for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) since: Moment,
    pub(super) end: Moment,
    /// D − m, and the time of a graceful node shutdown; at once: when that was known. `NEVER` with a timeout.
    pub(super) end_of_grace: Moment,
    /// D − m, also where a graceful node shutdown lets pods end after D.
    pub(super) last_own_time: Moment,
    pub(super) budget_override: BudgetOverride,
}

/// No moment comes after it.
pub(super) const NEVER: Moment = Moment::at(Duration::MAX);

impl Limit {
    fn of(since: Moment, limit: limit::Limit, options: &DrainOptions) -> Self {
        let last_own_time = match limit {
            limit::Limit::AtOnce { since, .. } => since,
            limit::Limit::Deadline(at) => at - MARGIN,
            limit::Limit::Timeout(_) => NEVER,
        };
        let end_of_grace = match limit {
            limit::Limit::Deadline(_) => last_own_time + options.node_shutdown,
            _ => last_own_time,
        };
        let budget_override = options.budget_override;
        Self { since, end: limit.end(), end_of_grace, last_own_time, budget_override }
    }

    pub(super) fn is_timeout(&self) -> bool {
        self.end_of_grace == NEVER
    }

    /// What holds if this comes after `before`.
    fn after(self, before: Self) -> Self {
        if before.is_timeout() && self.is_timeout() {
            Self { end: self.end.min(before.end), ..self }
        } else if before.is_timeout() {
            self
        } else if self.is_timeout() {
            Self { since: self.since, ..before }
        } else {
            let binding = if self.end_of_grace <= before.end_of_grace { self } else { before };
            Self { since: self.since, end: self.end.min(before.end), ..binding }
        }
    }

    /// D − m − g, later by a graceful node shutdown, but never after D − m.
    fn own_time(&self, grace: Duration) -> Moment {
        if self.is_timeout() { NEVER } else { (self.end_of_grace - grace).min(self.last_own_time) }
    }
}

/// What the machine knew of a pod, and asked it.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) life: &'a Life,
    pub(super) seen: Moment,
    /// First seen after a first set was complete.
    pub(super) late: bool,
    /// When it was first told that it is ending, by whomever.
    pub(super) leaving: Option<Moment>,
    /// When it was told that it is gone.
    pub(super) gone: Option<Moment>,
    /// How often it was reported as ending.
    pub(super) reported_ending: usize,
    /// It was not found once.
    pub(super) not_found: bool,
    /// How many pods of its controller this drain had told to end in a row before it came.
    pub(super) round: u32,
    /// When it was given up what was asked, each time.
    pub(super) given_up: Vec<Moment>,
    /// What was asked and answered, in order. The answer may still be out at the end.
    pub(super) asked: Vec<Exchange>,
    set: u32,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) asked: Moment,
    pub(super) ask: Ask,
    pub(super) answered: Option<(Moment, Answer)>,
}

impl<'a> Story<'a> {
    pub(super) fn of(cluster: &'a Cluster, run: &'a Run) -> Self {
        let mut story = Self {
            cluster,
            run,
            pods: BTreeMap::new(),
            listed: None,
            released: Moment::at(secs(1)),
            limits: vec![Limit::of(Moment::START, cluster.options.limit, &cluster.options)],
            called_off: None,
            balanced: None,
            stop: None,
            idle: Vec::new(),
        };
        let mut set = 0;
        for (when, did) in &run.trace {
            story.goes_on(*when, did, &mut set);
        }
        story
    }

    fn goes_on(&mut self, when: Moment, did: &'a Did, set: &mut u32) {
        match did {
            Did::SetBegins => *set += 1,
            Did::SetComplete => {
                self.listed.get_or_insert(when);
                for known in self.pods.values_mut().filter(|known| known.set < *set) {
                    known.gone.get_or_insert(when);
                }
            }
            Did::Saw { uid, terminating } => self.saw(when, uid, terminating.is_some(), *set),
            Did::SawGone(uid) => {
                if let Some(known) = self.pods.get_mut(uid.as_str()) {
                    known.gone.get_or_insert(when);
                }
            }
            Did::Asked(job) => {
                if let Some(known) = self.pods.get_mut(job.pod.uid.as_str()) {
                    known.asked.push(Exchange { asked: when, ask: job.ask, answered: None });
                }
            }
            Did::Answered { uid, answer, .. } => {
                let Some(known) = self.pods.get_mut(uid.as_str()) else { return };
                let Some(last) = known.asked.last_mut() else { return };
                last.answered = Some((when, answer.clone()));
                let refused = known
                    .asked
                    .iter()
                    .any(|one| matches!(one.answered, Some((_, Answer::Blocked(_)))));
                let is_ending = known.leaving.is_some() || known.reported_ending > 0;
                if *answer == Answer::Gone && !refused && !is_ending && !known.not_found {
                    // Once is no proof.
                    known.not_found = true;
                    return;
                }
                let Some(last) = known.asked.last() else { return };
                match (last.ask, answer) {
                    (_, Answer::Gone | Answer::Replaced) => _ = known.gone.get_or_insert(when),
                    (Ask::Evict { dry: false, .. } | Ask::Delete { .. }, Answer::Accepted) => {
                        known.leaving.get_or_insert(when);
                    }
                    _ => {}
                }
            }
            Did::Released => self.released = self.released.min(when),
            Did::PulledIn(deadline) => {
                let before = self.limit(when);
                let end = before.end.min(*deadline);
                let earlier = |moment: Moment| {
                    if before.is_timeout() { NEVER } else { moment - before.end.since(end) }
                };
                let end_of_grace = earlier(before.end_of_grace);
                let last_own_time = earlier(before.last_own_time);
                self.limits.push(Limit { since: when, end, end_of_grace, last_own_time, ..before });
            }
            Did::TakenOver(limit, _) => {
                let next = Limit::of(when, *limit, &self.cluster.options);
                self.limits.push(next.after(self.limit(when)));
            }
            Did::CalledOff => self.called_off = Some(when),
            Did::Balanced(until) => {
                self.balanced = Some((when, *until)).filter(|_| !self.cluster.options.dry);
            }
            Did::StopAt(moment) => self.stop = Some((when, *moment)),
            Did::Idle { until } => self.idle.push((when, *until)),
            Did::GaveUp(uid) => {
                if let Some(known) = self.pods.get_mut(uid.as_str()) {
                    known.given_up.push(when);
                }
            }
            Did::Told(_) | Did::Empty(_) => {}
        }
    }

    fn saw(&mut self, when: Moment, uid: &'a str, ending: bool, set: u32) {
        let life = self.cluster.pods.iter().find(|life| life.pod.reference.uid == uid);
        let late = self.listed.is_some();
        let round = if late { self.rounds(life.unwrap()).map_or(0, |round| round + 1) } else { 0 };
        let known = self.pods.entry(uid).or_insert(Known {
            life: life.unwrap(),
            seen: when,
            late,
            leaving: None,
            gone: None,
            reported_ending: 0,
            not_found: false,
            round,
            given_up: Vec::new(),
            asked: Vec::new(),
            set,
        });
        known.set = set;
        if ending {
            known.leaving.get_or_insert(when);
            known.reported_ending += 1;
        } else {
            known.gone = None;
        }
    }

    /// The limit that held then.
    pub(super) fn limit(&self, then: Moment) -> Limit {
        let known = self.limits.iter().take_while(|limit| limit.since <= then);
        *known.last().unwrap()
    }

    /// The end of the drain, as it stood then: by its limit, or the stop.
    pub(super) fn end(&self, then: Moment) -> Moment {
        let stop = self.stop.filter(|(when, _)| *when <= then).map(|(_, stop)| stop);
        stop.map_or(self.limit(then).end, |stop| stop.min(self.limit(then).end))
    }

    /// The grace that a pod is to get at best.
    pub(super) fn grace(&self, known: &Known) -> Duration {
        let own = secs(u64::from(known.life.pod.grace.max(1)));
        self.cluster
            .options
            .longest_grace
            .map_or(own, |longest| own.min(secs(longest.get().into())))
    }

    /// D − m − g of a pod, as it stood then.
    pub(super) fn own_time(&self, known: &Known, then: Moment) -> Moment {
        self.limit(then).own_time(self.grace(known))
    }

    /// The first moment at which D − m − g of a pod was over.
    pub(super) fn own_time_came(&self, known: &Known) -> Moment {
        let grace = self.grace(known);
        self.limits.iter().map(|limit| limit.own_time(grace).max(limit.since)).min().unwrap()
    }

    /// Until when the load balancers hold up the eviction of a pod, as it stood then.
    pub(super) fn held_until(&self, known: &Known, then: Moment) -> Moment {
        let held = self.balanced.filter(|(since, _)| *since <= then);
        held.map_or(Moment::START, |(_, until)| until.min(self.own_time(known, then)))
    }

    /// From when the load balancers surely did not hold it up any more.
    pub(super) fn let_go(&self, known: &Known) -> Moment {
        self.balanced
            .map_or(Moment::START, |(since, until)| since.max(until.min(self.own_time_came(known))))
    }

    /// Whether budgets were to be overridden all the time from then on.
    pub(super) fn overrides_from(&self, then: Moment) -> bool {
        let later = self.limits.iter().filter(|limit| limit.since > then);
        later.chain([&self.limit(then)]).all(|it| it.budget_override == BudgetOverride::AtDeadline)
    }

    /// Whether something could have been sent between these two moments, and nothing was.
    pub(super) fn idled(&self, from: Moment, until: Moment) -> bool {
        self.idle.iter().any(|(since, to)| from.max(*since) < until.min(*to))
    }

    /// Whether the machine is done with this pod then, as far as it knows.
    pub(super) fn is_done(&self, known: &Known, then: Moment) -> bool {
        let tried = self.cluster.options.dry
            && known.asked.iter().any(|exchange| {
                matches!(exchange.answered, Some((when, Answer::Accepted | Answer::Blocked(_)))
                    if when <= then && when < known.let_be())
            });
        known.seen > then
            || self.stays(known, then)
            || tried
            || known.gone.is_some_and(|when| when <= then)
    }

    /// Whether nobody is to ask this pod: a pod whose controller brings it back for ever, and nothing
    /// happens to the instance.
    fn is_let_be(&self, known: &Known, then: Moment) -> bool {
        let since =
            self.limits.iter().filter(|limit| known.seen < limit.since && limit.since <= then);
        known.round > 3
            && self.limit(known.seen).is_timeout()
            && since.clone().all(Limit::is_timeout)
    }

    /// The highest round of the pods of this pod's controller that were told to end.
    fn rounds(&self, life: &Life) -> Option<u32> {
        let Some(Controller::Other(uid)) = &life.pod.controller else { return None };
        let same = self.pods.values().filter(|known| {
            matches!(&known.life.pod.controller, Some(Controller::Other(other)) if other == uid)
        });
        let told = same.filter(|known| {
            let lost = known.asked.iter().any(|it| {
                matches!(it.ask, Ask::Evict { dry: false, .. } | Ask::Delete { .. })
                    && matches!(it.answered, None | Some((_, Answer::Broken(_))))
            });
            known.told_to_end().is_some() || lost && known.let_be() != NEVER
        });
        told.map(|known| known.round).max()
    }

    /// Whether a pod is to be left alone then: kubectl's rules, written once more, and who comes back
    /// for ever.
    pub(super) fn stays(&self, known: &Known, then: Moment) -> bool {
        self.stays_by_rule(known) || self.is_let_be(known, then)
    }

    fn stays_by_rule(&self, known: &Known) -> bool {
        let (pod, rules) = (&known.life.pod, &self.cluster.options.rules);
        let own = pod.reference.namespace == "kube-system" && pod.reference.name == "handler";
        let by_rule = match &pod.controller {
            Some(Controller::DaemonSet(_)) => rules.ignore_daemon_sets || known.late,
            Some(Controller::Other(_)) => false,
            None => !rules.drain_unmanaged,
        };
        let by_rule = by_rule || pod.empty_dir && !rules.delete_local_data;
        own || pod.mirror || !pod.finished && by_rule
    }
}

impl Known<'_> {
    /// When this drain had it told to end, as far as that was answered.
    pub(super) fn told_to_end(&self) -> Option<Moment> {
        self.asked.iter().find_map(|exchange| match (exchange.ask, &exchange.answered) {
            (
                Ask::Evict { dry: false, .. } | Ask::Delete { .. },
                Some((when, Answer::Accepted)),
            ) => Some(*when),
            _ => None,
        })
    }

    /// When it was first asked.
    pub(super) fn first_asked(&self) -> Option<Moment> {
        self.asked.first().map(|exchange| exchange.asked)
    }

    /// From when the machine wanted nothing more of it, if it was not ending too late.
    pub(super) fn let_be(&self) -> Moment {
        self.leaving.unwrap_or(NEVER).min(self.gone.unwrap_or(NEVER))
    }

    /// Whether a request about it is under way then.
    pub(super) fn is_asked(&self, then: Moment) -> bool {
        self.asked.iter().any(|exchange| {
            let open = exchange.answered.as_ref().is_none_or(|(answered, _)| *answered > then);
            exchange.asked <= then && open
        })
    }

    /// Whether it had been asked to go by then, and the answer has come, or was waited for in vain.
    pub(super) fn was_asked(&self, then: Moment) -> bool {
        self.asked.iter().any(|exchange| {
            matches!(exchange.ask, Ask::Evict { dry: false, .. })
                && exchange.answered.as_ref().is_some_and(|(when, _)| *when <= then)
        })
    }

    /// Whether a budget had refused it by then.
    pub(super) fn refused(&self, then: Moment) -> bool {
        self.asked.iter().any(|exchange| {
            matches!(exchange.answered, Some((when, Answer::Blocked(_))) if when <= then)
        })
    }

    pub(super) fn tier(&self) -> Tier {
        self.life.pod.tier
    }
}

/// Whether an answer says that the API server is in trouble.
pub(super) fn fails(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Busy { .. } | Answer::Failed(_) | Answer::Unauthorized(_) | Answer::Broken(_)
    )
}

/// The shortest and the longest pause that an answer may be followed by, without regard to a pod's
/// own time.
pub(super) fn pauses(answer: &Answer) -> Option<(Duration, Duration)> {
    let (shortest, longest) = (ms(50), secs(2));
    match answer {
        Answer::Busy { retry_after: Some(asked), .. } => {
            Some((shortest.max(*asked), longest.max(*asked)))
        }
        Answer::Busy { .. } | Answer::Failed(_) | Answer::Broken(_) | Answer::Unauthorized(_) => {
            Some((shortest, longest))
        }
        Answer::Forbidden(_) => Some((secs(5), secs(5))),
        Answer::NamespaceTerminating => Some((secs(2), secs(2))),
        Answer::Accepted | Answer::Gone | Answer::Replaced | Answer::Blocked(_) => None,
    }
}
