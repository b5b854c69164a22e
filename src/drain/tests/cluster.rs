//! What happens around a drain, described before it runs: pods, budgets, faults, the watch.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::{Budget, Grace, PodRef};
use crate::drain::limit::Limit;
use crate::drain::pod::{Controller, OwnPod, Pod, Rules, Tier};
use crate::drain::{BudgetOverride, DrainOptions};
use crate::moment::Moment;

/// A node with its pods and an API server, and what will befall them.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) options: DrainOptions,
    pub(crate) pods: Vec<Life>,
    pub(crate) budgets: Vec<Allowance>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) watch: Watch,
    /// When the cordon is settled; `None`: never.
    pub(crate) cordoned: Option<Duration>,
    /// Milliseconds from the handler to the API server, and as much again back.
    pub(crate) latency: RangeInclusive<u64>,
    /// How many requests can be under way at once.
    pub(crate) free: usize,
    /// The deadline is pulled in: when, and to when.
    pub(crate) pulled_in: Vec<(Duration, Duration)>,
    /// Other notices take over: when, and with what limit.
    pub(crate) taken_over: Vec<(Duration, Limit)>,
    /// What was noticed will not happen: when that is known.
    pub(crate) called_off: Option<Duration>,
    /// The node is taken out of load balancers: when, and until when evictions wait for that.
    pub(crate) balanced: Option<(Duration, Duration)>,
    /// The process is told to end: when, and by when.
    pub(crate) stopped: Option<(Duration, Duration)>,
    /// Seed of everything random in the model.
    pub(crate) seed: u64,
}

/// One pod's life.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) pod: Pod,
    pub(crate) arrival: Arrival,
    /// Index of the budget that covers it.
    pub(crate) budget: Option<usize>,
    /// How long it needs to end; it never gets longer than its grace.
    pub(crate) takes: Duration,
    /// Somebody else deletes it: when, and with what grace.
    pub(crate) deleted_by_others: Option<(Duration, u32)>,
}

/// When a pod is bound to the node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    At(Duration),
    /// So long after the pod with that index is gone.
    After(usize, Duration),
}

/// A disruption budget.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    pub(crate) budget: Budget,
    /// How many pods it lets go before a replacement is ready.
    pub(crate) at_once: u32,
    /// How long after the end of a pod its replacement is ready; `None`: never.
    pub(crate) replaced_after: Option<Duration>,
    /// How long the API server takes to write the budget's status for one eviction that it lets go. It
    /// writes one after the other, and a request that is given up meanwhile has spent its share.
    pub(crate) update: Duration,
}

/// Something goes wrong with requests for a while.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    /// Index of the pod it is about; `None`: all.
    pub(crate) pod: Option<usize>,
    /// What is asked; `None`: anything.
    pub(crate) verb: Option<Verb>,
    /// Of a hundred requests, so many are hit.
    pub(crate) percent: u8,
    pub(crate) what: Wrong,
}

/// What is asked of a pod, without its grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Evict,
    Mark,
    Delete,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Wrong {
    Busy(Option<Duration>),
    /// The server itself fails, or a webhook before it.
    Failed,
    Unauthorized,
    Forbidden,
    NamespaceTerminating,
    /// It is carried out after a while, if it is still waited for then: an admission webhook takes its
    /// time.
    Slow(Duration),
    /// The connection breaks, after or before the request was carried out.
    CutOff {
        carried_out: bool,
    },
    /// No answer ever comes.
    Silent {
        carried_out: bool,
    },
}

/// How the pods are reported.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    /// When the first set begins.
    pub(crate) opens: Duration,
    /// Between two pods of a set.
    pub(crate) pace: Duration,
    /// From what happens to its report.
    pub(crate) delay: Duration,
    /// The API server's clock is so much ahead of ours, in milliseconds.
    pub(crate) skew: i32,
    /// In order, and not overlapping.
    pub(crate) breaks: Vec<Break>,
}

/// A time without watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Break {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    /// A whole new set follows, without what happened meanwhile; otherwise all of that follows.
    pub(crate) new_set: bool,
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) const fn at(since_start: Duration) -> Moment {
    Moment::at(since_start)
}

/// The margin of every drain here.
pub(crate) const MARGIN: Duration = secs(2);

impl Cluster {
    /// A node in good order: 120 s, answers after 100 ms, everything reported at once.
    pub(crate) fn with(pods: impl IntoIterator<Item = Life>) -> Self {
        let own = OwnPod {
            namespace: Some("kube-system".to_owned()),
            name: Some("handler".to_owned()),
            uid: None,
        };
        Self {
            options: DrainOptions {
                limit: Limit::Deadline(at(secs(120))),
                margin: MARGIN,
                node_shutdown: Duration::ZERO,
                rules: Rules {
                    own,
                    ignore_daemon_sets: true,
                    delete_local_data: true,
                    drain_unmanaged: true,
                },
                longest_grace: None,
                budget_override: BudgetOverride::AtDeadline,
                load_balancer_hold: None,
                dry: false,
                seed: 1,
            },
            pods: pods.into_iter().collect(),
            budgets: Vec::new(),
            faults: Vec::new(),
            watch: Watch {
                opens: Duration::ZERO,
                pace: Duration::ZERO,
                delay: Duration::ZERO,
                skew: 0,
                breaks: Vec::new(),
            },
            cordoned: Some(Duration::ZERO),
            latency: 50..=50,
            free: 32,
            pulled_in: Vec::new(),
            taken_over: Vec::new(),
            called_off: None,
            balanced: None,
            stopped: None,
            seed: 1,
        }
    }

    /// The instance goes so many seconds after the start.
    pub(crate) fn deadline(mut self, seconds: u64) -> Self {
        self.options.limit = Limit::Deadline(at(secs(seconds)));
        self
    }

    /// Nothing happens to the instance; the drain has so many seconds.
    pub(crate) fn timeout(mut self, seconds: u64) -> Self {
        self.options.limit = Limit::Timeout(at(secs(seconds)));
        self
    }

    /// The instance is going already; requests may go on for so many seconds.
    pub(crate) fn at_once(mut self, seconds: u64) -> Self {
        self.options.limit = Limit::AtOnce { since: Moment::START, until: at(secs(seconds)) };
        self
    }

    /// Another notice takes over after so many seconds.
    pub(crate) fn taken_over(mut self, seconds: u64, limit: Limit) -> Self {
        self.taken_over.push((secs(seconds), limit));
        self
    }

    /// The label is set after so many seconds of the range, and evictions wait until its end.
    pub(crate) fn balanced(mut self, seconds: RangeInclusive<u64>) -> Self {
        self.balanced = Some((secs(*seconds.start()), secs(*seconds.end())));
        self
    }

    /// One more budget; pods name it by its index. It lets so many go at once.
    pub(crate) fn budget(
        mut self,
        name: &str,
        at_once: u32,
        replaced_after: Option<Duration>,
    ) -> Self {
        let budget = Budget { namespace: "shop".to_owned(), name: name.to_owned() };
        let update = Duration::ZERO;
        self.budgets.push(Allowance { budget, at_once, replaced_after, update });
        self
    }

    /// From then until then, requests go wrong like this.
    pub(crate) fn fault(mut self, seconds: RangeInclusive<u64>, what: Wrong) -> Self {
        let (from, until) = (secs(*seconds.start()), secs(*seconds.end()));
        self.faults.push(Fault { from, until, pod: None, verb: None, percent: 100, what });
        self
    }

    /// The last fault concerns only this.
    pub(crate) fn only(mut self, pod: Option<usize>, verb: Option<Verb>) -> Self {
        if let Some(fault) = self.faults.last_mut() {
            (fault.pod, fault.verb) = (pod, verb);
        }
        self
    }

    /// No watch from then until then, and a new set after it.
    pub(crate) fn watch_breaks(mut self, seconds: RangeInclusive<u64>) -> Self {
        let (from, until) = (secs(*seconds.start()), secs(*seconds.end()));
        self.watch.breaks.push(Break { from, until, new_set: true });
        self
    }

    /// Anything else.
    pub(crate) fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// An ordinary pod of a ReplicaSet, there from the start, with a grace of 30 s of which it needs
/// one. Its UID is its name.
pub(crate) fn pod(name: &str) -> Life {
    let reference =
        PodRef { namespace: "shop".to_owned(), name: name.to_owned(), uid: name.to_owned() };
    Life {
        pod: Pod {
            reference: Arc::new(reference),
            grace: 30,
            tier: Tier::Ordinary,
            controller: Some(Controller::Other(name.into())),
            mirror: false,
            finished: false,
            empty_dir: false,
            volume_claim: false,
            finalizer: None,
            terminating: None,
        },
        arrival: Arrival::At(Duration::ZERO),
        budget: None,
        takes: secs(1),
        deleted_by_others: None,
    }
}

impl Life {
    pub(crate) fn grace(mut self, seconds: u32) -> Self {
        self.pod.grace = seconds;
        self
    }

    /// It needs all the grace that it gets.
    pub(crate) fn slow(mut self) -> Self {
        self.takes = Duration::MAX;
        self
    }

    pub(crate) fn tier(mut self, tier: Tier) -> Self {
        self.pod.tier = tier;
        self
    }

    /// Its controller, by UID. Otherwise each pod has one of its own.
    pub(crate) fn of(mut self, controller: &str) -> Self {
        self.pod.controller = Some(Controller::Other(controller.into()));
        self
    }

    /// It comes back so many seconds after the pod with that index is gone.
    pub(crate) fn after(mut self, before: usize, seconds: u64) -> Self {
        self.arrival = Arrival::After(before, secs(seconds));
        self
    }

    /// Covered by the first budget.
    pub(crate) fn covered(mut self) -> Self {
        self.budget = Some(0);
        self
    }

    pub(crate) fn late(mut self, seconds: u64) -> Self {
        self.arrival = Arrival::At(secs(seconds));
        self
    }

    /// Somebody else deletes it then, with that grace.
    pub(crate) fn deleted(mut self, seconds: u64, grace: u32) -> Self {
        self.deleted_by_others = Some((secs(seconds), grace));
        self
    }

    pub(crate) fn of_daemon_set(mut self) -> Self {
        self.pod.controller = Some(Controller::DaemonSet("logs".into()));
        self
    }

    pub(crate) fn but(mut self, change: impl FnOnce(&mut Pod)) -> Self {
        change(&mut self.pod);
        self
    }
}

/// A grace of so many seconds.
pub(crate) fn grace(seconds: u32) -> Grace {
    Grace::new(seconds).unwrap()
}
