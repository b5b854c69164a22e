//! Random drains: whatever the pods, their graces and budgets, the faults and the order of answers,
//! the [laws](super::laws) hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};

use crate::drain::BudgetOverride;
use crate::drain::ask::Ask;
use crate::drain::limit;
use crate::drain::pod::{Controller, Tier};
use crate::drain::tests::cluster::{
    Allowance, Arrival, Break, Cluster, Fault, Life, Verb, Watch, Wrong, at, grace, ms, pod, secs,
};
use crate::drain::tests::laws::LAWS;
use crate::drain::tests::model::run;
use crate::drain::tests::story::Story;
use crate::moment::Moment;

/// A drain is at most this long.
const LONGEST: u64 = 100;

/// The same drains at every run, and no file beside the code. For others, and more of them, there
/// are `PROPTEST_RNG_SEED` and `PROPTEST_CASES`.
pub(crate) fn config() -> ProptestConfig {
    let given = ProptestConfig::default();
    let rng_seed = match given.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    ProptestConfig { cases: given.cases.max(600), rng_seed, failure_persistence: None, ..given }
}

fn holds(cluster: &Cluster) -> Result<(), TestCaseError> {
    let run = run(cluster);
    let story = Story::of(cluster, &run);
    for (name, law) in LAWS {
        if let Err(found) = law(&story) {
            let requests = run.requests().join("\n  ");
            return Err(TestCaseError::fail(format!("{name}: {found}\n  {requests}")));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_laws_hold_when_nothing_fails(cluster in calm_clusters()) {
        holds(&cluster)?;
    }

    #[test]
    fn the_laws_hold_whatever_fails(cluster in clusters()) {
        holds(&cluster)?;
    }

    #[test]
    fn the_laws_hold_for_who_comes_back(cluster in returning_clusters()) {
        holds(&cluster)?;
    }
}

/// Drains with chains of pods that come back, few requests at once, and limits that move.
fn returning_clusters() -> impl Strategy<Value = Cluster> {
    let graces = select(vec![1, 5, 20, 30, 60, 119, 300]);
    let chain = (1..4_usize, 1..8_usize, graces, span(5000), option::weighted(0.3, 0..2_usize));
    let chains = vec((chain, 0..8_u64), 1..3);
    let limit = (
        60..400_u64,
        option::weighted(0.4, (span(200_000), limits())),
        option::weighted(0.2, (span(200_000), span(200_000))),
    );
    let around = (select(vec![1, 2, 3, 8]), option::weighted(0.3, span(3000)));
    (prop_oneof![calm_clusters().boxed(), clusters().boxed()], chains, limit, around).prop_map(
        |(mut cluster, chains, (end, taken_over, pulled_in), (free, update))| {
            cluster.free = free;
            for budget in &mut cluster.budgets {
                budget.update = update.unwrap_or_default();
            }
            cluster.options.limit = if cluster.options.limit.instance_goes() {
                limit::Limit::Deadline(at(secs(end)))
            } else {
                limit::Limit::Timeout(at(secs(end)))
            };
            let taken_over = taken_over.into_iter();
            cluster.taken_over =
                taken_over.map(|(when, limit)| (when, limit.from(at(when)))).collect();
            cluster.pulled_in =
                pulled_in.into_iter().map(|(when, left)| (when, when + left)).collect();
            for (number, (chain, takes)) in chains.into_iter().enumerate() {
                let (replicas, rounds, grace, pause, budget) = chain;
                let first = cluster.pods.len();
                let budget = budget.filter(|budget| *budget < cluster.budgets.len());
                for index in 0..replicas * (rounds + 1) {
                    let name = format!("chain-{number}-{index}");
                    let mut life = pod(&name).of(&format!("owner-{number}")).grace(grace);
                    (life.budget, life.takes) = (budget, secs(takes));
                    if let Some(before) = index.checked_sub(replicas) {
                        life.arrival = Arrival::After(first + before, pause);
                    }
                    cluster.pods.push(life);
                }
            }
            cluster
        },
    )
}

/// Laws are worth what the drains are on which they are tried.
#[test]
fn random_drains_come_to_every_outcome_and_need_every_request() {
    let mut runner = TestRunner::new(config());
    let mut met: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..config().cases {
        let run = run(&clusters().new_tree(&mut runner).unwrap().current());
        let outcomes = run.verdict.rows.iter().map(|row| row.outcome.name());
        let requests = run.asked().map(|(_, job)| match job.ask {
            Ask::Evict { dry: false, .. } => "an eviction",
            Ask::Evict { dry: true, .. } => "a dry eviction",
            Ask::MarkDisrupted => "a condition",
            Ask::Delete { .. } => "a deletion",
        });
        for name in outcomes.chain(requests) {
            *met.entry(name).or_default() += 1;
        }
    }
    let rare: Vec<_> = met.iter().filter(|(_, times)| **times < 10).collect();
    assert!(met.len() == 12 + 4 && rare.is_empty(), "{met:#?}");
}

/// Anything.
fn clusters() -> impl Strategy<Value = Cluster> {
    let trouble =
        (vec(faults(), 0..4), vec((span(40_000), span(30_000), any::<bool>()), 0..3), latencies());
    (calm_clusters(), trouble).prop_map(|(mut cluster, (faults, breaks, latency))| {
        cluster.faults = faults;
        cluster.latency = latency;
        let mut now = Duration::ZERO;
        for (pause, length, new_set) in breaks {
            let from = now + pause + ms(1);
            now = from + length + ms(1);
            cluster.watch.breaks.push(Break { from, until: now, new_set });
        }
        cluster
    })
}

/// No faults, a watch that holds, answers within half a second.
pub(super) fn calm_clusters() -> impl Strategy<Value = Cluster> {
    let taken_over = vec((span(LONGEST * 1000), limits()), 0..3);
    let end = (limits(), vec((span(LONGEST * 1000), span(LONGEST * 1000)), 0..2), taken_over);
    let stop = (
        option::weighted(0.2, (span(100_000), span(60_000))),
        option::weighted(0.1, span(30_000)),
        option::weighted(0.3, (span(3_000), span(60_000))),
    );
    let budgets = vec((select(vec![0, 0, 1, 2]), option::of(span(10_000))), 0..3);
    let watch = (span(3_000), span(300), span(1_000), -1500..1500_i32);
    let options = (
        prop::bool::weighted(0.15),
        option::weighted(0.2, 1..100_u32),
        overrides(),
        any::<[bool; 3]>(),
        option::weighted(0.3, span(300_000)),
    );
    let around =
        (option::weighted(0.9, span(2_000)), 1..250_u64, select(vec![1, 2, 5, 32]), any::<u64>());
    (vec(lives(), 0..10), budgets, end, stop, watch, options, around).prop_map(
        |(
            lives,
            budgets,
            (limit, pulled_in, taken_over),
            (stop, called_off, balanced),
            watch,
            options,
            (cordoned, latency, free, seed),
        )| {
            let mut cluster = Cluster::with([]);
            for (number, (at_once, replaced_after)) in budgets.into_iter().enumerate() {
                cluster = cluster.budget(&format!("budget-{number}"), at_once, replaced_after);
            }
            cluster.pods = named(lives, &cluster.budgets);
            cluster.options.limit = limit.from(Moment::START);
            cluster.options.dry = options.0;
            cluster.options.longest_grace = options.1.map(grace);
            cluster.options.budget_override = options.2;
            let rules = &mut cluster.options.rules;
            [rules.ignore_daemon_sets, rules.delete_local_data, rules.drain_unmanaged] = options.3;
            cluster.options.node_shutdown = options.4.unwrap_or_default();
            cluster.options.seed = seed;
            cluster.seed = seed;
            cluster.cordoned = cordoned;
            cluster.latency = 1..=latency;
            cluster.free = free;
            cluster.pulled_in = pulled_in;
            cluster.taken_over =
                taken_over.into_iter().map(|(when, limit)| (when, limit.from(at(when)))).collect();
            cluster.called_off = called_off;
            cluster.balanced = balanced.map(|(when, more)| (when, when + more));
            cluster.stopped = stop.map(|(when, more)| (when, when + more));
            let (opens, pace, delay, skew) = watch;
            cluster.watch = Watch { opens, pace, delay, skew, breaks: Vec::new() };
            cluster
        },
    )
}

/// What limits a drain, counted from when it is told.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Deadline(Duration),
    AtOnce(Duration),
    Timeout(Duration),
}

impl Limit {
    fn from(self, now: Moment) -> limit::Limit {
        match self {
            Self::Deadline(left) => limit::Limit::Deadline(now + left),
            Self::AtOnce(left) => limit::Limit::AtOnce { since: now, until: now + left },
            Self::Timeout(left) => limit::Limit::Timeout(now + left),
        }
    }
}

/// Mostly such as leave no time for long pauses, which make for long tests.
fn limits() -> impl Strategy<Value = Limit> {
    let left = (3..LONGEST).prop_map(secs);
    prop_oneof![
        12 => left.clone().prop_map(Limit::Deadline),
        3 => left.clone().prop_map(Limit::AtOnce),
        4 => left.prop_map(Limit::Timeout),
        1 => (LONGEST..500).prop_map(|left| Limit::Deadline(secs(left))),
        1 => (LONGEST..500).prop_map(|left| Limit::Timeout(secs(left))),
    ]
}

fn overrides() -> impl Strategy<Value = BudgetOverride> {
    prop_oneof![7 => Just(BudgetOverride::AtDeadline), 3 => Just(BudgetOverride::Never)]
}

/// Names and UIDs; a pod that follows another has its name.
fn named(lives: Vec<(Life, bool)>, budgets: &[Allowance]) -> Vec<Life> {
    let mut pods: Vec<Life> = Vec::new();
    for (number, (mut life, follows)) in lives.into_iter().enumerate() {
        let mut reference = (*life.pod.reference).clone();
        reference.uid = format!("uid-{number}");
        if reference.namespace == "shop" {
            reference.name = format!("pod-{number}");
        }
        if let (true, Some(before)) = (follows, pods.last()) {
            reference.namespace.clone_from(&before.pod.reference.namespace);
            reference.name.clone_from(&before.pod.reference.name);
            let pause = if let Arrival::At(when) = life.arrival { when } else { Duration::ZERO };
            life.arrival = Arrival::After(number - 1, pause);
        } else if pods.iter().any(|other| other.pod.reference.name == reference.name) {
            continue;
        }
        if let Some(Controller::Other(owner)) = &mut life.pod.controller {
            // Who follows another is started by the same controller.
            let before = pods.last().filter(|_| follows).and_then(|it| it.pod.controller.clone());
            *owner = match before {
                Some(Controller::Other(before)) => before,
                _ => reference.uid.as_str().into(),
            };
        }
        life.pod.reference = Arc::new(reference);
        life.budget = life.budget.filter(|budget| *budget < budgets.len());
        pods.push(life);
    }
    pods
}

/// A pod without a name, and whether it follows the one before it.
fn lives() -> impl Strategy<Value = (Life, bool)> {
    let graces = select(vec![30, 0, 1, 2, 5, 60, 119, 300]);
    let tiers = prop_oneof![
        4 => Just(Tier::Ordinary), 1 => Just(Tier::DaemonSet),
        1 => Just(Tier::ClusterCritical), 1 => Just(Tier::NodeCritical)
    ];
    let by_others_at = prop_oneof![1 => span(2_000), 1 => span(LONGEST * 1000)];
    let others = option::weighted(0.3, (by_others_at, select(vec![1, 30, 600])));
    let arrival = prop_oneof![3 => Just(Duration::ZERO), 1 => span(LONGEST * 1000)];
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::bool::weighted(0.15));
    let takes = prop_oneof![2 => span(40_000), 1 => Just(Duration::MAX)];
    let stuck = prop::bool::weighted(0.05);
    let times = (arrival, takes, others, stuck, prop::bool::weighted(0.15));
    (graces, tiers, owners(), flags, option::weighted(0.5, 0..2_usize), times).prop_map(
        |(
            grace,
            tier,
            owner,
            (mirror, finished, empty_dir),
            budget,
            (arrival, takes, others, stuck, follows),
        )| {
            let mut life = pod("").grace(grace).tier(tier).but(|it| {
                (it.mirror, it.finished, it.empty_dir) = (mirror, finished, empty_dir);
                it.finalizer = stuck.then(|| "example.org/wait".to_owned());
                it.controller = match owner {
                    Owner::None => None,
                    Owner::DaemonSet | Owner::Own => Some(Controller::DaemonSet("owner".into())),
                    Owner::ReplicaSet => Some(Controller::Other("".into())),
                };
                if owner == Owner::Own {
                    let mut own = (*it.reference).clone();
                    (own.namespace, own.name) = ("kube-system".to_owned(), "handler".to_owned());
                    it.reference = Arc::new(own);
                }
            });
            life.arrival = Arrival::At(arrival);
            life.budget = budget;
            life.takes = takes;
            life.deleted_by_others = others;
            (life, follows)
        },
    )
}

/// Whose a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    ReplicaSet,
    DaemonSet,
    None,
    Own,
}

fn owners() -> impl Strategy<Value = Owner> {
    prop_oneof![
        12 => Just(Owner::ReplicaSet), 3 => Just(Owner::DaemonSet), 2 => Just(Owner::None), 1 => Just(Owner::Own)
    ]
}

fn faults() -> impl Strategy<Value = Fault> {
    let what = prop_oneof![
        option::of(span(60_000)).prop_map(Wrong::Busy),
        Just(Wrong::Unauthorized),
        Just(Wrong::Failed),
        Just(Wrong::Forbidden),
        span(20_000).prop_map(Wrong::Slow),
        Just(Wrong::NamespaceTerminating),
        any::<bool>().prop_map(|carried_out| Wrong::CutOff { carried_out }),
        any::<bool>().prop_map(|carried_out| Wrong::Silent { carried_out }),
    ];
    let verb = option::weighted(0.4, select(vec![Verb::Evict, Verb::Mark, Verb::Delete]));
    let pod = option::weighted(0.3, 0..10_usize);
    (span(LONGEST * 1000), span(60_000), pod, verb, 10..=100_u8, what).prop_map(
        |(from, length, pod, verb, percent, what)| Fault {
            from,
            until: from + length,
            pod,
            verb,
            percent,
            what,
        },
    )
}

/// Milliseconds each way: mostly quick, sometimes beyond any timeout.
fn latencies() -> impl Strategy<Value = std::ops::RangeInclusive<u64>> {
    prop_oneof![3 => 1..250_u64, 1 => 1..6000_u64].prop_map(|most| 1..=most)
}

fn span(most_milliseconds: u64) -> impl Strategy<Value = Duration> {
    (0..=most_milliseconds).prop_map(ms)
}
