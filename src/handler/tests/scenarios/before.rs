//! What has to be there before anything can be drained: credentials, the node's name.

use crate::handler::tests::scenarios::prelude::*;

/// A handler that has to ask for its node.
fn nameless() -> Script {
    a_node().but(|it| it.config.node = None)
}

#[test]
fn missing_credentials_are_reported_once_and_looked_for_again() {
    let run = a_node().but(|it| it.credentials = secs(20)).sigterm(&[60]).run();
    run.shows(["0.0 * credentials missing", "20.0 * credentials found", "60.0 * SIGTERM, ends"]);
    let checks = run.lines().iter().filter(|line| line.contains("check")).count();
    assert!((4..=8).contains(&checks), "{checks:?}");
}

#[test]
fn a_notice_hurries_what_is_missing() {
    interrupted_node([pod("a")]).but(|it| it.credentials = secs(10)).sigterm(&[60]).shows([
        "0.0 check credentials",
        "0.8 check credentials",
        "2.4 check credentials",
        "4.8 check credentials",
        "10.0 check credentials",
        "10.0 read node-1",
        "10.0 * drain of node-1 begins",
        "10.0 follow pods of node-1",
        "10.2 evict a 30",
    ]);
}

#[test]
fn the_name_of_the_node_is_asked_for_at_the_start_and_no_connection_is_kept() {
    nameless().sigterm(&[60]).shows([
        "0.0 check credentials",
        "0.0 find node",
        "0.1 * node found: node-1",
        "0.1 read node-1",
        "0.2 disconnect",
    ]);
}

#[test]
fn a_name_that_is_not_known_yet_is_asked_for_again_and_reported_once() {
    let run = nameless().but(|it| it.name = secs(20)).sigterm(&[100]).run();
    run.shows(["0.1 * node unknown", "20.6 * node found: node-1"]);
}

#[test]
fn the_deadline_counts_from_the_notice_not_from_the_name() {
    let script = nameless().interrupted().pods([pod("a").grace(600)]).but(|it| it.name = secs(12));
    script.sigterm(&[60]).shows([
        "0.1 * node unknown",
        "10.0 * notice: terminate, 120 s left",
        "12.6 * node found: node-1",
        "12.7 evict a 115",
    ]);
}

#[test]
fn a_node_that_never_gets_a_name_has_a_verdict_all_the_same() {
    nameless().interrupted().but(|it| it.name = secs(140)).shows([
        "0.1 * node unknown",
        "10.0 * notice: terminate, 120 s left",
        "130.0 * deadline: [] and perhaps more",
        "147.1 * node found: node-1",
        "147.2 patch node-1: cordon, ours",
    ]);
}

#[test]
fn a_name_on_its_way_when_a_drain_ends_is_asked_for_again() {
    let script = nameless()
        .says([(10, At(Terminate, 20)), (30, Nothing), (60, At(Terminate, 90))])
        .trouble(0..25, With::FindNode, What::Hangs)
        .pods([pod("a")]);
    script.sigterm(&[100]).since(20).shows([
        "20.0 * deadline: [] and perhaps more",
        "28.7 * node found: node-1",
        "32.0 * notice withdrawn",
        "60.0 * notice: terminate, 30 s left",
        "60.1 evict a 28",
        "61.1 * empty: [a evicted]",
    ]);
}

#[test]
fn a_name_is_asked_for_while_no_pod_can_be_asked() {
    let busy = secs(0)..secs(5);
    nameless().but(|it| it.busy.push(busy)).sigterm(&[60]).shows(["0.1 * node found: node-1"]);
}
