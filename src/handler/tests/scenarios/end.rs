//! What is said at the end of a drain, and what remains.

use crate::drain::tests::cluster::{pod, secs};
use crate::handler::tests::model::run;
use crate::handler::tests::scenarios::are;
use crate::handler::tests::script::{Edit, What, With, script};

/// The ends of things.
const ENDS: [&str; 7] = ["empty", "deadline", "late", "noted", "disconnect", "drained", "SIGTERM"];

#[test]
fn nothing_left_is_said_once_and_the_deadline_adds_nothing() {
    let run = run(&script().noticed().pods([pod("a")]));
    are(
        &run.lines_with(&ENDS),
        "0.1 disconnect
         11.2 * empty: [a evicted]
         130.0 * deadline, nothing has changed
         130.0 disconnect
         130.1 patch node-1: ours, drained
         130.2 disconnect
         300.0 * SIGTERM, ends",
    );
}

#[test]
fn a_late_pod_is_in_the_table_at_the_deadline() {
    let run = run(&script().noticed().pods([pod("a"), pod("late").late(50)]));
    are(
        &run.lines_with(&ENDS),
        "0.1 disconnect
         11.2 * empty: [a evicted]
         50.0 evict late 30
         130.0 * deadline: [a evicted, late evicted]
         130.0 disconnect
         130.1 patch node-1: ours, drained
         130.2 disconnect
         300.0 * SIGTERM, ends",
    );
}

#[test]
fn an_empty_node_is_empty() {
    let run = run(&script().noticed());
    are(
        &run.lines_with(&ENDS),
        "0.1 disconnect
         10.1 * empty: []
         130.0 * deadline, nothing has changed
         130.0 disconnect
         130.1 patch node-1: ours, drained
         130.2 disconnect
         300.0 * SIGTERM, ends",
    );
}

#[test]
fn what_is_still_there_at_the_deadline_is_in_the_table() {
    let run = run(&script()
        .noticed()
        .pods([pod("a"), pod("b").grace(600).but(|pod| pod.finalizer = Some("x".to_owned()))])
        .trouble(10..131, With::Pods, What::Refuses));
    are(
        &run.lines_with(&ENDS),
        "0.1 disconnect
         130.0 * deadline: [] and perhaps more
         130.0 disconnect
         300.0 * SIGTERM, ends",
    );
}

#[test]
fn pods_that_were_never_seen_are_not_called_drained() {
    let run =
        run(&script().noticed().pods([pod("a")]).trouble(10..131, With::Everything, What::Refuses));
    are(
        &run.lines_with(&["deadline", "patch", "disconnect", "SIGTERM"]),
        "0.1 disconnect
         130.0 * deadline: [] and perhaps more
         130.0 disconnect
         131.2 patch node-1: cordon, ours
         131.3 disconnect
         300.0 * SIGTERM, ends",
    );
}

#[test]
fn the_end_is_noted_on_the_node_and_nothing_else_is_changed() {
    let run = run(&script().noticed().edit(60_000, Edit::Uncordon).edit(130_070, Edit::Touch));
    are(
        &run.lines_with(&["node-1", "disconnect"]),
        "0.0 read node-1
         0.1 disconnect
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         130.0 disconnect
         130.0 read node-1
         130.1 patch node-1: ours, drained
         130.2 read node-1
         130.3 patch node-1: ours, drained
         130.4 disconnect",
    );
    assert!(!run.node.is_cordoned());
    assert!(run.node.is_otherwise_untouched());
    assert!(run.node.annotation().unwrap().contains(r#""progress":"drained""#));
}

#[test]
fn an_end_that_cannot_be_noted_at_once_is_noted_later() {
    let run = run(&script().noticed().trouble(130..140, With::PatchNode, What::Refuses));
    are(
        &run.lines_with(&["note", "drained", "disconnect"]),
        "0.1 disconnect
         130.0 disconnect
         130.1 patch node-1: ours, drained
         130.5 patch node-1: ours, drained
         131.0 patch node-1: ours, drained
         131.7 patch node-1: ours, drained
         133.3 patch node-1: ours, drained
         135.1 patch node-1: ours, drained
         141.0 patch node-1: ours, drained
         141.1 disconnect",
    );
}

#[test]
fn an_end_that_cannot_be_noted_is_said_once_and_noted_when_it_can_be() {
    let run = run(&script().noticed().trouble(130..200, With::Everything, What::Hangs));
    are(
        &run.lines_with(&["failing", "answers", "drained", "disconnect"]),
        "0.1 disconnect
         130.0 disconnect
         135.0 * node failing: Mark, no answer in time
         214.8 patch node-1: ours, drained
         214.9 * node answers, 8 failed
         214.9 disconnect",
    );
}

#[test]
fn while_no_pod_can_be_asked_the_node_is() {
    let busy = secs(10)..secs(13);
    let run = run(&script().noticed().pods([pod("a")]).but(|it| it.busy.push(busy)));
    are(
        &run.lines(),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         13.0 evict a 30
         14.1 * empty: [a evicted]
         130.0 * deadline, nothing has changed
         130.0 disconnect
         130.0 read node-1
         130.1 patch node-1: ours, drained
         130.2 disconnect
         300.0 * SIGTERM, ends",
    );
}

#[test]
fn the_end_is_noted_while_no_pod_can_be_asked() {
    let busy = secs(130)..secs(132);
    let run = run(&script().noticed().but(|it| it.busy.push(busy)));
    are(
        &run.lines_with(&ENDS),
        "0.1 disconnect
         10.1 * empty: []
         130.0 * deadline, nothing has changed
         130.0 disconnect
         130.1 patch node-1: ours, drained
         130.2 disconnect
         300.0 * SIGTERM, ends",
    );
}
