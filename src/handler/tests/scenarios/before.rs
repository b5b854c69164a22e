//! What has to be there before anything can be drained: credentials, the node's name.

use crate::drain::tests::cluster::{pod, secs};
use crate::handler::tests::model::run;
use crate::handler::tests::scenarios::are;
use crate::handler::tests::script::{Says, Script, What, With, script};
use crate::notice::Action::Terminate;

/// A handler that has to ask for its node.
fn nameless() -> Script {
    script().but(|it| it.config.node = None)
}

#[test]
fn missing_credentials_are_said_once_and_looked_for_again() {
    let run = run(&script().but(|it| it.credentials = secs(20)).sigterm(&[60]));
    are(
        &run.lines_with(&["*"]),
        "0.0 * credentials missing
         20.0 * credentials found
         60.0 * SIGTERM, ends",
    );
    let checks = run.lines_with(&["check"]);
    assert!((4..=8).contains(&checks.len()), "{checks:?}");
}

#[test]
fn a_notice_hurries_what_is_missing() {
    let script = script().noticed().pods([pod("a")]).but(|it| it.credentials = secs(10));
    are(
        &run(&script.sigterm(&[60])).lines(),
        "0.0 check credentials
         0.0 * credentials missing
         0.8 check credentials
         2.4 check credentials
         4.8 check credentials
         10.0 * notice: terminate, 120 s left
         10.0 check credentials
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.0 * credentials found
         10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         10.2 evict a 30
         11.2 * empty: [a evicted]
         60.0 * SIGTERM, ends",
    );
}

#[test]
fn the_name_of_the_node_is_asked_for_at_the_start_and_no_connection_is_kept() {
    are(
        &run(&nameless().sigterm(&[60])).lines(),
        "0.0 check credentials
         0.0 find node
         0.1 * node found: node-1
         0.1 read node-1
         0.2 disconnect
         60.0 * SIGTERM, ends",
    );
}

#[test]
fn a_name_that_is_not_known_yet_is_asked_for_again_and_that_is_said_once() {
    let run = run(&nameless().but(|it| it.name = secs(20)).sigterm(&[100]));
    are(
        &run.lines_with(&["*", "disconnect"]),
        "0.1 * node unknown
         0.1 disconnect
         1.0 disconnect
         2.7 disconnect
         5.2 disconnect
         12.5 disconnect
         20.6 * node found: node-1
         20.7 disconnect
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn the_deadline_counts_from_the_notice_not_from_the_name() {
    let script = nameless().noticed().pods([pod("a").grace(600)]).but(|it| it.name = secs(12));
    are(
        &run(&script.sigterm(&[60])).lines(),
        "0.0 check credentials
         0.0 find node
         0.1 * node unknown
         0.1 disconnect
         0.9 find node
         1.0 disconnect
         2.6 find node
         2.7 disconnect
         5.1 find node
         5.2 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 find node
         10.6 find node
         12.5 find node
         12.6 * node found: node-1
         12.6 read node-1
         12.6 * drain of node-1 begins
         12.6 follow pods of node-1
         12.7 patch node-1: cordon, ours
         12.7 evict a 115
         12.8 * cordon: Done
         13.7 * empty: [a evicted]
         60.0 * SIGTERM, ends",
    );
}

#[test]
fn a_node_that_never_gets_a_name_has_a_verdict_all_the_same() {
    let script = nameless().noticed().but(|it| it.name = secs(140));
    are(
        &run(&script).lines_with(&["*", "node-1", "disconnect"]),
        "0.1 * node unknown
         0.1 disconnect
         1.0 disconnect
         2.7 disconnect
         5.2 disconnect
         10.0 * notice: terminate, 120 s left
         130.0 * deadline: [] and perhaps more
         130.0 disconnect
         130.2 disconnect
         147.1 * node found: node-1
         147.1 read node-1
         147.2 patch node-1: cordon, ours
         147.3 * cordon: Done
         147.3 disconnect
         300.0 * SIGTERM, ends",
    );
}

#[test]
fn a_name_on_its_way_when_a_drain_ends_is_asked_for_again() {
    let script = nameless()
        .says(10, Says::At(Terminate, 20))
        .says(30, Says::Nothing)
        .says(60, Says::At(Terminate, 90))
        .trouble(0..25, With::FindNode, What::Hangs)
        .pods([pod("a")]);
    are(
        &run(&script.sigterm(&[100])).lines(),
        "0.0 check credentials
         0.0 find node
         5.0 * node unknown
         5.0 disconnect
         5.8 find node
         10.0 * notice: terminate, 10 s left
         11.6 find node
         17.8 find node
         20.0 * deadline: [] and perhaps more
         20.0 disconnect
         20.0 find node
         25.0 disconnect
         28.6 find node
         28.7 * node found: node-1
         28.7 read node-1
         28.8 patch node-1: cordon, ours
         28.9 * cordon: Done
         28.9 disconnect
         32.0 * notice withdrawn
         60.0 * notice: terminate, 30 s left
         60.0 read node-1
         60.0 * drain of node-1 begins
         60.0 follow pods of node-1
         60.1 * cordon: Kept
         60.1 evict a 28
         61.1 * empty: [a evicted]
         90.0 * deadline, nothing has changed
         90.0 disconnect
         90.0 read node-1
         90.1 patch node-1: ours, drained
         90.2 disconnect
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn a_name_is_asked_for_while_no_pod_can_be_asked() {
    let busy = secs(0)..secs(5);
    are(
        &run(&nameless().but(|it| it.busy.push(busy)).sigterm(&[60])).lines(),
        "0.0 check credentials
         0.0 find node
         0.1 * node found: node-1
         0.1 read node-1
         0.2 disconnect
         60.0 * SIGTERM, ends",
    );
}
