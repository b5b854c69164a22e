//! What is reported at the end of a drain, and what remains.

use crate::handler::tests::scenarios::prelude::*;

#[test]
fn an_empty_node_is_reported_once_and_the_deadline_adds_nothing() {
    let run = interrupted_node([pod("a")]).run();
    run.shows(["11.2 * empty: [a evicted]", "130.0 * deadline, nothing has changed"]);
}

#[test]
fn a_late_pod_is_in_the_table_at_the_deadline() {
    let run = interrupted_node([pod("a"), pod("late").late(50)]).run();
    run.shows(["11.2 * empty: [a evicted]", "130.0 * deadline: [a evicted, late evicted]"]);
}

#[test]
fn an_empty_node_is_empty() {
    a_node().interrupted().shows(["10.1 * empty: []", "130.0 * deadline, nothing has changed"]);
}

#[test]
fn what_is_still_there_at_the_deadline_is_in_the_table() {
    interrupted_node([
        pod("a"),
        pod("b").grace(600).but(|pod| pod.finalizer = Some("x".to_owned())),
    ])
    .trouble(10..131, With::Pods, What::Refuses)
    .shows(["130.0 * deadline: [] and perhaps more"]);
}

#[test]
fn pods_that_were_never_seen_are_not_called_drained() {
    let run = interrupted_node([pod("a")]).trouble(10..131, With::Everything, What::Refuses).run();
    run.shows(["130.0 * deadline: [] and perhaps more", "131.2 patch node-1: cordon, ours"]);
}

#[test]
fn the_end_is_noted_on_the_node_and_nothing_else_is_changed() {
    let run = a_node().interrupted().edit(60_000, Edit::Uncordon).edit(130_070, Edit::Touch).run();
    run.shows([
        "10.1 patch node-1: cordon, ours",
        "130.1 patch node-1: ours, drained",
        "130.3 patch node-1: ours, drained",
    ]);
    assert!(!run.node.is_cordoned());
    assert!(run.node.is_otherwise_untouched());
    assert!(run.node.annotation().unwrap().contains(r#""progress":"drained""#));
}

#[test]
fn an_end_that_cannot_be_noted_at_once_is_noted_later() {
    let run = a_node().interrupted().trouble(130..140, With::PatchNode, What::Refuses).since(130);
    run.shows(["130.2 * node failing: Mark, connection refused", "141.1 * node answers, 6 failed"]);
}

#[test]
fn an_end_that_cannot_be_noted_is_reported_once_and_noted_when_it_can_be() {
    a_node().interrupted().trouble(130..200, With::Everything, What::Hangs).since(130).shows([
        "135.0 * node failing: Mark, no answer in time",
        "214.8 patch node-1: ours, drained",
        "214.9 * node answers, 8 failed",
    ]);
}

#[test]
fn while_no_pod_can_be_asked_the_node_is() {
    let busy = secs(10)..secs(13);
    let run = interrupted_node([pod("a")]).but(|it| it.busy.push(busy)).run();
    run.shows(["10.2 * cordon: Done", "13.0 evict a 30"]);
}

#[test]
fn the_end_is_noted_while_no_pod_can_be_asked() {
    let busy = secs(130)..secs(132);
    let run = a_node().interrupted().but(|it| it.busy.push(busy)).run();
    run.shows(["10.1 patch node-1: cordon, ours", "130.1 patch node-1: ours, drained"]);
}
