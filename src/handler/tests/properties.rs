//! Random worlds: whatever the metadata service says, whoever changes the Node, whatever fails and
//! whenever SIGTERM comes, the [laws](super::laws) hold.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::drain::tests::cluster::{Life, ms, pod, secs};
use crate::drain::tests::properties::config;
use crate::handler::tests::laws::{Finding, LAWS, as_others_want_it};
use crate::handler::tests::model::run;
use crate::handler::tests::script::{
    BOOT, Edit, End, Planned, Says, Script, Trouble, What, With, a_node, annotation,
};
use crate::handler::tests::timeline::Run;
use crate::node::{RebalanceMark, TaintEffect};
use crate::notice::Action::{Hibernate, Stop, Terminate};
use crate::notice::Code;
use crate::notice::NoticePath::{
    self, InstanceAction, Lifecycle, Maintenance, NoticeUrl, Rebalance as Recommendations,
    TerminationTime,
};
use crate::plan::kinds::Rebalance;

/// The last seconds at which something new happens.
const LONGEST: u64 = 250;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_laws_hold_when_nothing_fails(script in calm()) {
        holds(&script)?;
    }

    #[test]
    fn the_laws_hold_whatever_fails(script in troubled()) {
        holds(&script)?;
    }

    #[test]
    fn the_laws_hold_for_every_notice(script in every_notice(troubled())) {
        holds(&script)?;
    }

    #[test]
    fn the_laws_hold_through_the_ends_of_processes(script in interrupted(every_notice(troubled()))) {
        holds(&script)?;
    }

    #[test]
    fn any_order_ends_with_what_others_set(
        script in calmed(interrupted(every_notice(troubled()))),
    ) {
        let run = run(&script);
        check(&run, "what others set stands in the end", as_others_want_it(&script, &run))?;
    }
}

fn holds(script: &Script) -> Result<(), TestCaseError> {
    let run = run(script);
    LAWS.iter().try_for_each(|(name, law)| check(&run, name, law(script, &run)))
}

pub(super) fn check(run: &Run, name: &str, finding: Finding) -> Result<(), TestCaseError> {
    finding.map_err(|found| {
        let lines = run.lines().join("\n  ");
        TestCaseError::fail(format!("{name}: {found}\n  {lines}"))
    })
}

/// Notices of every kind, and all that is set about them.
pub(super) fn every_notice(
    scripts: impl Strategy<Value = Script>,
) -> impl Strategy<Value = Script> {
    let others = (
        option::weighted(0.6, vec(events(), 0..6)),
        option::weighted(0.6, vec(recommends(), 0..4)),
        option::weighted(0.6, vec(leaves(), 0..4)),
        option::weighted(0.3, vec(says(), 0..3)),
    );
    let rebalance = prop_oneof![
        Just(Rebalance::Mark),
        (10..150_u64).prop_map(|patience| Rebalance::Drain { timeout: secs(patience) }),
    ];
    let policy = (prop::bool::weighted(0.1), rebalance, 10..200_u64, vec(5..200_u64, 5));
    let effects = [TaintEffect::NoSchedule, TaintEffect::PreferNoSchedule, TaintEffect::NoExecute];
    let marks = (option::of(select(effects.to_vec())), any::<bool>(), any::<bool>(), 0..20_u64);
    let edited = vec((span(LONGEST * 1000), edits_of_marks()), 0..6);
    (scripts, others, policy, marks, edited).prop_map(
        |(mut script, others, policy, (taint, exclude, soft, hold), edited)| {
            script = add(script, Maintenance, others.0);
            script = add(script, Recommendations, others.1);
            script = add(script, Lifecycle, others.2);
            script = add(script, TerminationTime, others.3);
            let (marks_only, rebalance, lasts, leads) = policy;
            let it = &mut script.config.policy;
            (it.marks_only, it.rebalance) = (marks_only, rebalance);
            it.rebalance_marks = secs(lasts);
            it.lead_times.instance_reboot = secs(leads[0]);
            it.lead_times.system_reboot = secs(leads[1]);
            it.lead_times.system_maintenance = secs(leads[2]);
            it.lead_times.instance_retirement = secs(leads[3]);
            it.lead_times.instance_stop = secs(leads[4]);
            let marks = &mut script.config.marks;
            (marks.taint, marks.exclude_from_load_balancers) = (taint, exclude);
            if soft {
                marks.rebalance_mark = RebalanceMark::SoftTaint;
            }
            script.config.load_balancer_hold = secs(hold);
            script.edits.extend(edited);
            script
        },
    )
}

fn add(mut script: Script, path: NoticePath, says: Option<Vec<(Duration, Says)>>) -> Script {
    if let Some(says) = says {
        script.polls(path);
        script.paths.insert(path, in_order(says));
    }
    script
}

/// Processes that end before their time, and machines.
fn interrupted(scripts: impl Strategy<Value = Script>) -> impl Strategy<Value = Script> {
    let ends =
        vec((span(LONGEST * 1000), select(vec![End::Killed, End::Killed, End::Rebooted])), 0..4);
    (scripts, ends, option::weighted(0.5, 1..60_u32)).prop_map(|(mut script, ends, orders)| {
        script.ends = ends;
        script.killed_after = orders;
        script
    })
}

/// In the end nothing stands, nobody changes anything, and the API server answers for long enough.
fn calmed(scripts: impl Strategy<Value = Script>) -> impl Strategy<Value = Script> {
    scripts.prop_map(|mut script| {
        for says in script.paths.values_mut() {
            says.push((secs(LONGEST), Says::Nothing));
        }
        script.clock_set = None;
        // The last interruption announced, the longest of drains, what lingers, and retries.
        script.sigterm = vec![secs(LONGEST + 60 + 310 + 120 + 30 + 60)];
        script
    })
}

fn events() -> impl Strategy<Value = (Duration, Says)> {
    let planned =
        (select(Code::ALL.to_vec()), 0..2_u8, 0..2_u8, -20..400_i64, prop::bool::weighted(0.2));
    let planned = planned.prop_map(|(code, name, nth, at, over)| Planned {
        code,
        name: if name == 0 { "event-0" } else { "event-1" },
        nth,
        at,
        over,
    });
    let says = prop_oneof![
        1 => Just(Says::Nothing),
        1 => Just(Says::Fails),
        4 => vec(planned, 1..4).prop_map(|planned| Says::Planned(consistent(planned))),
    ];
    (span(LONGEST * 1000), says)
}

/// As the parser gives them: each identity once, and nothing of what stands is over.
fn consistent(planned: Vec<Planned>) -> Vec<Planned> {
    let mut kept: Vec<Planned> = Vec::new();
    for one in planned {
        let clashes = kept.iter().any(|other| {
            other.name == one.name && (other.nth == one.nth || other.over != one.over)
        });
        if !clashes {
            kept.push(one);
        }
    }
    kept
}

fn recommends() -> impl Strategy<Value = (Duration, Says)> {
    let says = select(vec![
        Says::Nothing,
        Says::Recommended,
        Says::Recommended,
        Says::RecommendedNow,
        Says::Fails,
    ]);
    (span(LONGEST * 1000), says)
}

fn leaves() -> impl Strategy<Value = (Duration, Says)> {
    let says = select(vec![
        Says::Nothing,
        Says::Leaves(Terminate),
        Says::Leaves(Terminate),
        Says::Leaves(Stop),
        Says::Fails,
    ]);
    (span(LONGEST * 1000), says)
}

fn edits_of_marks() -> impl Strategy<Value = Edit> {
    const SPOT: &str = "aws-node-termination-handler/spot-itn";
    const PLANNED: &str = "aws-node-termination-handler/scheduled-maintenance";
    select(vec![
        Edit::Cordon,
        Edit::Uncordon,
        Edit::Taint("dedicated", "gpu", "NoSchedule"),
        Edit::Untaint("dedicated"),
        Edit::Taint(SPOT, "mine", "NoSchedule"),
        Edit::Untaint(SPOT),
        Edit::Taint(PLANNED, "mine", "NoExecute"),
        Edit::Untaint(PLANNED),
        Edit::Label(Some("true")),
        Edit::Label(None),
    ])
}

/// Notices, pods, others at the Node, an earlier process, SIGTERM.
pub(super) fn calm() -> impl Strategy<Value = Script> {
    let notices = (vec(says(), 0..6), option::of(vec(says(), 0..5)));
    let node = (
        any::<bool>(),
        option::weighted(0.4, (any::<bool>(), any::<bool>(), any::<bool>())),
        vec((span(LONGEST * 1000), edits()), 0..6),
    );
    let settings = (prop::bool::weighted(0.15), prop::bool::weighted(0.3), 1..60_u64);
    let around = (0..600_u64, 0..40_u64, select(vec![1, 2, 32]), any::<u64>());
    let sigterm = vec(span(2 * LONGEST * 1000), 1..3);
    (notices, vec(lives(), 0..6), node, settings, around, sigterm).prop_map(
        |(notices, lives, node, (dry, nameless, grace), around, sigterm)| {
            let mut script = a_node();
            script.paths.insert(InstanceAction, in_order(notices.0));
            if let Some(notices) = notices.1 {
                script.polls(NoticeUrl);
                script.paths.insert(NoticeUrl, in_order(notices));
            }
            script.pods = named(lives);
            script.cordoned = node.0;
            script.annotation = node.1.map(|(same_boot, cordoned, drained)| {
                annotation(if same_boot { BOOT } else { "boot-0" }, cordoned, drained)
            });
            script.edits = node.2;
            script.config.dry = dry;
            script.config.shutdown_grace = secs(grace);
            if nameless {
                script.config.node = None;
            }
            let (latency, oversleep, free, seed) = around;
            script.latency = 0..=latency;
            script.oversleep = oversleep;
            script.free = free;
            script.seed = seed;
            script.config.seed = seed;
            script.sigterm = sigterm;
            script
        },
    )
}

/// Anything.
fn troubled() -> impl Strategy<Value = Script> {
    let missing = (span(60_000), span(100_000));
    let clock = option::weighted(0.2, (span(LONGEST * 1000), -5000..5000_i64));
    (calm(), vec(troubles(), 0..5), vec(times(), 0..2), missing, clock).prop_map(
        |(mut script, troubles, busy, (credentials, name), clock_set)| {
            script.troubles = troubles;
            script.busy = busy;
            script.credentials = credentials;
            script.name = name;
            script.clock_set = clock_set;
            script
        },
    )
}

fn says() -> impl Strategy<Value = (Duration, Says)> {
    let action = select(vec![Terminate, Terminate, Stop, Hibernate]);
    let says = prop_oneof![
        3 => Just(Says::Nothing),
        3 => (action.clone(), -20..300_i64).prop_map(|(action, at)| Says::At(action, at)),
        1 => (action.clone(), -5..150_i64).prop_map(|(action, ahead)| Says::In(action, ahead)),
        1 => action.prop_map(Says::Soon),
        1 => Just(Says::Fails),
    ];
    (span(LONGEST * 1000), says)
}

fn in_order(mut says: Vec<(Duration, Says)>) -> Vec<(Duration, Says)> {
    says.sort_by_key(|(from, _)| *from);
    says
}

/// Among them, sometimes, the handler's own.
fn lives() -> impl Strategy<Value = (Life, bool)> {
    let when = prop_oneof![Just(0), 0..LONGEST];
    (1..200_u32, any::<bool>(), any::<bool>(), when, prop::bool::weighted(0.15)).prop_map(
        |(grace, covered, slow, when, own)| {
            let mut life = pod("some").grace(grace).late(when);
            if covered {
                life = life.covered();
            }
            if slow {
                life = life.slow();
            }
            (life, own)
        },
    )
}

/// Each pod with a name of its own.
fn named(lives: Vec<(Life, bool)>) -> Vec<Life> {
    let named = lives.into_iter().enumerate().map(|(number, (life, own))| {
        life.but(|pod| {
            let mut reference = (*pod.reference).clone();
            reference.uid = format!("uid-{number}");
            reference.name = format!("pod-{number}");
            if own && number == 0 {
                reference.namespace = "kube-system".to_owned();
                reference.name = "handler".to_owned();
                reference.uid = "handler".to_owned();
            }
            pod.reference = Arc::new(reference);
        })
    });
    named.collect()
}

fn edits() -> impl Strategy<Value = Edit> {
    select(vec![Edit::Touch, Edit::Touch, Edit::Cordon, Edit::Uncordon])
}

fn troubles() -> impl Strategy<Value = Trouble> {
    let with =
        select(vec![With::Everything, With::ReadNode, With::PatchNode, With::FindNode, With::Pods]);
    let what = select(vec![What::Refuses, What::Hangs, What::LosesAnswer]);
    (times(), with, what).prop_map(|(when, with, what)| Trouble { when, with, what })
}

fn times() -> impl Strategy<Value = Range<Duration>> {
    (span(LONGEST * 1000), span(60_000)).prop_map(|(from, length)| from..from + length)
}

/// Up to so many milliseconds.
fn span(most: u64) -> impl Strategy<Value = Duration> {
    (0..most).prop_map(ms)
}
