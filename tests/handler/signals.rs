//! SIGTERM, SIGKILL and SIGSTOP at each step of a drain: no pod is lost for it, and the table is true.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use simulator::{ApiServer, Budget, Class, Disturbance, Fault, Happening};

use crate::child::{Handler, PATIENCE};
use crate::stage::{Stage, at_once, names, quick, quick_pods};
use crate::table::Table;

/// Where a drain is.
#[derive(Clone, Debug)]
enum Step {
    /// Such a request has come, after so many others like it, and this becomes of it.
    At(Class, u32, Fault),
    /// Everything but the pod that its budget keeps is gone.
    DeletionDue,
    /// The table is printed.
    Verdict,
}

/// The request is not carried out, and sent again.
const BEFORE: Fault = Fault::Code(503);

/// The request is carried out; its answer is on the way when the signal comes.
const AFTER: Fault = Fault::Slow(Duration::from_millis(700));

fn steps() -> Vec<(&'static str, Step)> {
    vec![
        ("before the Node is read", Step::At(Class::NodeGet, 0, BEFORE)),
        ("after the Node is read", Step::At(Class::NodeGet, 0, AFTER)),
        ("before the cordon", Step::At(Class::NodePatch, 0, BEFORE)),
        ("after the cordon", Step::At(Class::NodePatch, 0, AFTER)),
        ("before the watch", Step::At(Class::Watch, 0, BEFORE)),
        ("the watch begins", Step::At(Class::Watch, 0, AFTER)),
        ("in the watch", Step::At(Class::Watch, 0, Fault::Watch(2, Disturbance::CutLine))),
        ("before an eviction", Step::At(Class::Evict, 2, BEFORE)),
        ("after an eviction", Step::At(Class::Evict, 2, AFTER)),
        ("a deletion is due", Step::DeletionDue),
        ("before the condition", Step::At(Class::Status, 0, BEFORE)),
        ("after the condition", Step::At(Class::Status, 0, AFTER)),
        ("before the deletion", Step::At(Class::Delete, 0, BEFORE)),
        ("after the deletion", Step::At(Class::Delete, 0, AFTER)),
        ("the verdict", Step::Verdict),
    ]
}

/// The pod that its budget keeps until it is deleted.
const GUARDED: &str = "default/guarded";

/// How far ahead the instance ends: everything is done in a few seconds but the deletion, which is due 3 s before it.
const AHEAD: Duration = Duration::from_secs(14);

fn stage() -> Stage {
    let stage = Stage::with(quick_pods(4).into_iter().map(|pod| pod.grace(1)));
    stage.cluster.add_pod(quick(GUARDED).replica_set("guarded").grace(1));
    stage.cluster.add_budget(Budget::named("guarded").max_unavailable(0));
    stage
}

impl Step {
    /// A handler in its drain at this step.
    fn reach<'a>(&self, stage: &'a Stage, ahead: Duration) -> Handler<'a> {
        let handler = stage.start();
        stage.cluster.journal().clear();
        if let Self::At(class, others, fault) = self {
            stage.cluster.fail(*class).after(*others).with(fault.clone());
        }
        stage.cloud.announce_in(ahead);
        match self {
            Self::At(class, others, _) => stage.asks(*class, usize::try_from(*others).unwrap() + 1),
            Self::DeletionDue => stage.left(&[GUARDED]),
            Self::Verdict => drop(handler.table()),
        }
        handler
    }

    /// Waits until the request that is under way is answered: not the process, but what it has asked for lives on.
    fn answered(&self, stage: &Stage) {
        if let Self::At(class, others, _) = self {
            stage.answers(*class, usize::try_from(*others).unwrap() + 1);
        }
    }

    /// Whether it comes just before the deadline, or is tested with one that is near.
    fn is_late(&self) -> bool {
        matches!(
            self,
            Self::At(Class::Status | Class::Delete, ..) | Self::DeletionDue | Self::Verdict
        )
    }
}

/// Everything is gone, and the Node is cordoned.
fn is_drained(stage: &Stage) {
    stage.left(&[]);
    assert!(stage.cluster.wait_until(PATIENCE, ApiServer::is_cordoned), "{}", stage.cluster.node());
    let deleted =
        |what: &Happening| matches!(what, Happening::Deleted { pod, .. } if pod == GUARDED);
    stage.happens(deleted);
}

/// No pod that is there is said to be gone.
fn calls_none_gone_that_is_there(table: &Table, stage: &Stage) {
    let there = stage.cluster.pods();
    for row in &table.rows {
        let is_gone = row.seconds.parse::<f64>().is_ok();
        assert!(!is_gone || !there.contains(&row.pod), "{table:#?}");
    }
}

/// Of every pod that the table has, it says that it is gone, and so it is.
fn calls_all_gone(table: &Table) {
    let is_gone = |seconds: &str| seconds.parse::<f64>().is_ok();
    assert!(table.rows.iter().all(|row| is_gone(&row.seconds)), "{table:#?}");
}

#[test]
fn a_drain_goes_on_after_sigterm_whatever_its_step() {
    at_once(&steps(), |step| {
        let stage = stage();
        let mut handler = step.reach(&stage, AHEAD);
        handler.terminate();
        assert_eq!(handler.ended().code(), Some(0));
        is_drained(&stage);
        let table = handler.table();
        for pod in names(4) {
            table.says(&pod, "evicted", "");
        }
        table.says(GUARDED, "deleted", "");
    });
}

#[test]
fn the_next_process_goes_on_after_sigkill_whatever_the_step() {
    at_once(&steps(), |step| {
        let stage = stage();
        step.reach(&stage, AHEAD).kill();
        step.answered(&stage);
        let next = stage.handler().start();
        is_drained(&stage);
        calls_all_gone(&next.table());
    });
}

/// How long a process stands still.
const STILL: Duration = Duration::from_secs(30);

#[test]
fn a_process_that_stood_still_for_half_a_minute_goes_on_where_there_is_time_and_says_what_became_of_the_pods()
 {
    at_once(&steps(), |step| {
        let stage = stage();
        // It stands still beyond the deadline where that is near, and long before it elsewhere.
        let handler = step.reach(&stage, if step.is_late() { AHEAD } else { STILL + AHEAD });
        handler.signal(Signal::STOP);
        thread::sleep(STILL);
        let late = stage.cluster.journal().entries().len();
        handler.signal(Signal::CONT);
        let table = handler.table();
        calls_none_gone_that_is_there(&table, &stage);
        if step.is_late() {
            assert!(stage.cluster.is_cordoned());
            let after = stage.cluster.journal();
            let about_pods = after.entries()[late..].iter().filter(|it| it.pod.is_some()).count();
            assert_eq!(about_pods, 0, "after the deadline no pod is asked for: {after}");
        } else {
            is_drained(&stage);
            calls_all_gone(&table);
        }
    });
}
