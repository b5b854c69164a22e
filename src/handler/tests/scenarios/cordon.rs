//! The cordon, and what waits for it.

use crate::drain::tests::cluster::pod;
use crate::handler::tests::model::run;
use crate::handler::tests::scenarios::are;
use crate::handler::tests::script::{Edit, Says, Script, What, With, script};
use crate::notice::Action::{Stop, Terminate};
use crate::notice::NoticePath::NoticeUrl;

/// A drain whose cordon is of interest.
fn cordoned(script: Script) -> Vec<String> {
    let run = run(&script.noticed().pods([pod("a")]).sigterm(&[100]));
    assert!(run.node.is_otherwise_untouched());
    run.lines()
}

#[test]
fn the_node_is_cordoned_before_the_first_eviction() {
    are(
        &cordoned(script()),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         10.2 evict a 30
         11.2 * empty: [a evicted]
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn the_evictions_wait_a_second_for_a_cordon_that_hangs() {
    are(
        &cordoned(script().trouble(10..13, With::PatchNode, What::Hangs)),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         11.0 evict a 30
         12.1 * empty: [a evicted]
         45.1 * node failing: Drain, no answer in time
         45.3 read node-1
         45.4 patch node-1: cordon, ours
         45.5 * node answers, 1 failed
         45.5 * cordon: Done
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn the_evictions_wait_a_second_for_a_node_that_cannot_be_read() {
    are(
        &cordoned(script().trouble(10..13, With::ReadNode, What::Refuses)),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 * node failing: Drain, connection refused
         10.3 read node-1
         10.7 read node-1
         11.0 evict a 30
         11.3 read node-1
         12.1 * empty: [a evicted]
         12.8 read node-1
         13.9 read node-1
         14.0 patch node-1: cordon, ours
         14.1 * node answers, 5 failed
         14.1 * cordon: Done
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn a_cordon_that_is_refused_is_tried_beside_the_evictions_and_said_once() {
    are(
        &cordoned(script().trouble(10..16, With::PatchNode, What::Refuses)),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 * node failing: Drain, connection refused
         10.4 read node-1
         10.5 patch node-1: cordon, ours
         10.9 read node-1
         11.0 patch node-1: cordon, ours
         11.0 evict a 30
         11.6 read node-1
         11.7 patch node-1: cordon, ours
         12.1 * empty: [a evicted]
         13.2 read node-1
         13.3 patch node-1: cordon, ours
         14.4 read node-1
         14.5 patch node-1: cordon, ours
         16.4 read node-1
         16.5 patch node-1: cordon, ours
         16.6 * node answers, 6 failed
         16.6 * cordon: Done
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn a_cordon_whose_answer_was_lost_is_ours() {
    are(
        &cordoned(script().trouble(10..11, With::PatchNode, What::LosesAnswer)),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         11.0 evict a 30
         12.1 * empty: [a evicted]
         45.1 * node failing: Drain, no answer in time
         45.3 read node-1
         45.4 * node answers, 1 failed
         45.4 * cordon: Kept
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn a_node_that_somebody_changed_in_between_is_read_again() {
    are(
        &cordoned(script().edit(10_120, Edit::Touch).edit(10_320, Edit::Touch)),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 read node-1
         10.3 patch node-1: cordon, ours
         10.4 read node-1
         10.5 patch node-1: cordon, ours
         10.6 * cordon: Done
         10.6 evict a 30
         11.7 * empty: [a evicted]
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn a_node_that_somebody_cordoned_in_between_is_not_our_cordon() {
    are(
        &cordoned(script().edit(10_120, Edit::Cordon)),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 read node-1
         10.3 patch node-1: not ours
         10.4 * cordon: Foreign
         10.4 evict a 30
         11.4 * empty: [a evicted]
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn a_cordon_of_somebody_else_is_remembered_as_not_ours() {
    are(
        &cordoned(script().but(|it| it.cordoned = true)),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: not ours
         10.2 * cordon: Foreign
         10.2 evict a 30
         11.2 * empty: [a evicted]
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn a_cordon_that_somebody_lifts_in_the_drain_stays_lifted() {
    let script = script().noticed().edit(50_000, Edit::Uncordon);
    let run = run(&script);
    are(
        &run.lines_with(&["node-1", "cordon"]),
        "0.0 read node-1
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         130.0 read node-1
         130.1 patch node-1: ours, drained",
    );
    assert!(!run.node.is_cordoned());
}

#[test]
fn a_dry_run_reads_and_writes_nothing() {
    let script = script().but(|it| it.config.dry = true);
    let script = script.noticed().pods([pod("a"), pod("b").covered(), pod("c").late(50)]);
    let run = run(&script.but(|it| it.latency = 10..=10));
    are(
        &run.lines(),
        "0.0 check credentials
         0.0 read node-1
         0.0 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.0 * cordon: Would
         10.0 evict a 30 dry
         10.0 evict b 30 dry
         10.0 * rehearsed: [a would be evicted, b would be refused]
         50.0 evict c 30 dry
         130.0 * deadline: [a would be evicted, b would be refused, c would be evicted]
         130.0 disconnect
         300.0 * SIGTERM, ends",
    );
    assert!(!run.node.is_cordoned() && run.node.annotation().is_none());
}

#[test]
fn a_dry_run_on_a_cordoned_node_says_so() {
    let script = script().but(|it| (it.config.dry, it.cordoned) = (true, true));
    are(
        &cordoned(script),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: terminate, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 * cordon: Foreign
         10.1 evict a 30 dry
         10.2 * rehearsed: [a would be evicted]
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn a_second_drain_finds_its_own_cordon() {
    let script = script()
        .says(10, Says::At(Terminate, 40))
        .says(60, Says::Nothing)
        .says(80, Says::At(Terminate, 110));
    are(
        &run(&script).lines_with(&["node-1", "cordon"]),
        "0.0 read node-1
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         40.0 read node-1
         40.1 patch node-1: ours, drained
         62.0 read node-1
         62.1 patch node-1: ours
         80.0 read node-1
         80.0 * drain of node-1 begins
         80.0 follow pods of node-1
         80.1 * cordon: Kept
         110.0 read node-1
         110.1 patch node-1: ours, drained",
    );
}

#[test]
fn a_notice_that_takes_over_while_the_cordon_is_under_way_waits_for_its_answer() {
    let script = script()
        .says(10, Says::At(Stop, 130))
        .path_says(NoticeUrl, 11, Says::At(Terminate, 130))
        .sigterm(&[40]);
    let read = script.clone().but(|it| it.latency = 600..=600);
    are(
        &run(&read).lines(),
        "0.0 check credentials
         0.0 read node-1
         1.2 disconnect
         10.0 * notice: stop, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         11.0 * taken over: terminate
         11.2 patch node-1: cordon, ours
         11.2 * empty: []
         12.4 * cordon: Done
         40.0 * SIGTERM, ends",
    );
    let patched = script.but(|it| it.latency = 350..=350);
    are(
        &run(&patched).lines(),
        "0.0 check credentials
         0.0 read node-1
         0.7 disconnect
         10.0 * notice: stop, 120 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.7 patch node-1: cordon, ours
         10.7 * empty: []
         11.0 * taken over: terminate
         11.4 read node-1
         12.1 patch node-1: ours
         12.8 * cordon: Kept
         40.0 * SIGTERM, ends",
    );
}
