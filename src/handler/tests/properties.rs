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
use crate::handler::tests::laws::LAWS;
use crate::handler::tests::model::run;
use crate::handler::tests::script::{
    BOOT, Edit, Says, Script, Trouble, What, With, annotation, script,
};
use crate::notice::Action::{Hibernate, Stop, Terminate};
use crate::notice::NoticePath::{InstanceAction, NoticeUrl};

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
}

fn holds(script: &Script) -> Result<(), TestCaseError> {
    let run = run(script);
    for (name, law) in LAWS {
        if let Err(found) = law(script, &run) {
            let lines = run.lines().join("\n  ");
            return Err(TestCaseError::fail(format!("{name}: {found}\n  {lines}")));
        }
    }
    Ok(())
}

/// Notices, pods, others at the Node, an earlier process, SIGTERM.
fn calm() -> impl Strategy<Value = Script> {
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
            let mut script = script();
            script.paths.insert(InstanceAction, in_order(notices.0));
            if let Some(notices) = notices.1 {
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
            let (latency, oversleep, workers, seed) = around;
            script.latency = 0..=latency;
            script.oversleep = oversleep;
            script.workers = workers;
            script.seed = seed;
            script.config.seed = seed;
            script.sigterm = sigterm;
            script
        },
    )
}

/// Anything.
fn troubled() -> impl Strategy<Value = Script> {
    let missing = (span(60_000), span(100_000), 0..4_u32);
    let clock = option::weighted(0.2, (span(LONGEST * 1000), -5000..5000_i64));
    (calm(), vec(troubles(), 0..5), vec(times(), 0..2), missing, clock).prop_map(
        |(mut script, troubles, busy, (credentials, name, no_thread), clock_set)| {
            script.troubles = troubles;
            script.busy = busy;
            script.credentials = credentials;
            script.name = name;
            script.no_thread = no_thread;
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
