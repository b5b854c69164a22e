//! There is no Node of the handler's name, or it cannot be read.

use crate::handler::tests::scenarios::prelude::*;

/// The usual notice, on a node that the API server answers so for when it is read or patched.
fn asked(from: u64, to: u64, what: What) -> Script {
    a_node().interrupted().trouble(from..to, With::ReadNode, what).trouble(
        from..to,
        With::PatchNode,
        what,
    )
}

#[test]
fn a_drain_of_no_node_is_none() {
    asked(0, 1000, What::HasNoNode).sigterm(&[200]).shows([
        "0.1 * no such node: Recall",
        "10.0 * notice: terminate, 120 s left",
        "10.1 * no such node: Drain",
        "10.1 * no node: []",
        "130.0 * deadline, nothing has changed",
        "131.0 * no such node: Mark",
        "200.0 * SIGTERM, ends with unsettled marks",
    ]);
}

#[test]
fn a_node_that_comes_before_the_deadline_is_drained_after_all() {
    asked(0, 60, What::HasNoNode).pods([pod("a").late(70)]).since(60).shows([
        "61.0 * there is node-1",
        "61.0 patch node-1: cordon, ours",
        "61.1 * node answers, 42 failed",
        "70.0 evict a 30",
        "130.0 * deadline: [a evicted]",
        "130.1 patch node-1: ours, drained",
    ]);
}

#[test]
fn a_node_without_pods_that_comes_before_the_deadline_is_empty() {
    asked(0, 60, What::HasNoNode).since(60).shows([
        "61.0 patch node-1: cordon, ours",
        "130.0 * deadline: []",
        "130.1 patch node-1: ours, drained",
    ]);
}

#[test]
fn a_drain_without_a_deadline_is_over_and_not_noted() {
    let script = a_node()
        .recommended(60, 100)
        .trouble(0..50, With::ReadNode, What::HasNoNode)
        .ends(40, End::Killed);
    script.sigterm(&[100]).pods([pod("a").late(45)]).shows([
        "0.1 * no such node: Recall",
        "10.1 * no such node: Drain",
        "10.1 * no node: []",
        "10.4 * no such node: Mark",
        "42.1 * no such node: Drain",
        "43.1 * no node: []",
        "43.2 * no such node: Recall",
        "54.4 * there is node-1",
        "54.4 patch node-1: cordon, ours",
        "54.5 * node answers, 9 failed",
    ]);
}

#[test]
fn no_pods_on_a_node_that_could_not_be_read_are_not_a_drained_node() {
    asked(0, 1000, What::Refuses).sigterm(&[200]).shows([
        "0.1 * node failing: Recall, connection refused",
        "10.1 * node failing: Drain, connection refused",
        "130.0 * unknown: []",
        "131.0 * node failing: Mark, connection refused",
        "200.0 * SIGTERM, ends with unsettled marks",
    ]);
}

#[test]
fn a_node_is_not_reported_as_empty_before_it_was_read() {
    a_node().trouble(0..22, With::ReadNode, What::Hangs).sigterm(&[150]).interrupted().shows([
        "5.0 * node failing: Recall, no answer in time",
        "10.2 * node failing: Drain, no answer in time",
        "27.2 * empty: []",
        "27.3 * node answers, 5 failed",
        "27.3 * cordon: Done",
    ]);
}

#[test]
fn a_node_is_not_reported_as_empty_before_it_was_read_in_a_drain_without_a_deadline() {
    let script = a_node().trouble(0..22, With::ReadNode, What::Hangs).sigterm(&[150]);
    script.recommended(60, 100).shows([
        "5.0 * node failing: Recall, no answer in time",
        "10.2 * node failing: Drain, no answer in time",
        "27.2 * empty: []",
        "27.4 * node answers, 5 failed",
    ]);
}

#[test]
fn pods_that_are_bound_to_a_node_show_that_its_name_is_right() {
    asked(0, 1000, What::Refuses).pods([pod("a")]).sigterm(&[200]).shows([
        "0.1 * node failing: Recall, connection refused",
        "10.1 * node failing: Drain, connection refused",
        "11.0 evict a 30",
        "12.1 * empty: [a evicted]",
        "130.0 * deadline, nothing has changed",
        "130.1 * node failing: Mark, connection refused",
    ]);
}

#[test]
fn a_node_that_is_deleted_in_the_middle_of_its_drain_was_drained_of_the_pods_that_it_had() {
    asked(30, 1000, What::HasNoNode).pods([pod("a")]).sigterm(&[200]).shows([
        "11.2 * empty: [a evicted]",
        "130.0 * deadline, nothing has changed",
        "130.1 * no such node: Mark",
        "200.0 * SIGTERM, ends with unsettled marks",
    ]);
}

#[test]
fn a_process_that_ends_in_a_drain_of_no_node_has_not_drained_it() {
    let run = asked(0, 1000, What::HasNoNode).sigterm(&[50]).run();
    run.shows(["10.1 * no node: []", "50.0 * SIGTERM, ends with unsettled marks"]);
}
