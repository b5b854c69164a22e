//! A process that finds a notice which stood there before it.

use crate::drain::tests::cluster::pod;
use crate::handler::tests::model::run;
use crate::handler::tests::scenarios::are;
use crate::handler::tests::script::{BOOT, Says, Script, What, With, script};
use crate::notice::Action::{Stop, Terminate};

/// Restarted at 0 s, in the middle or after the end of a drain; the instance goes at 40 s.
fn restarted(script: Script) -> Vec<String> {
    let run = run(&script.says(0, Says::At(Terminate, 40)).pods([pod("a")]).sigterm(&[100]));
    run.lines()
}

#[test]
fn in_the_middle_of_a_drain_it_is_gone_on_with() {
    are(
        &restarted(script().remembers(BOOT, true, false)),
        "0.0 check credentials
         0.0 * notice: terminate, 40 s left
         0.0 read node-1
         0.1 * cordon: Kept
         0.1 * drain of node-1 begins
         0.1 follow pods of node-1
         0.2 evict a 30
         1.2 * empty: [a evicted]
         40.0 * deadline, nothing has changed
         40.0 disconnect
         40.0 read node-1
         40.1 patch node-1: ours, drained
         40.2 disconnect
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn in_the_middle_with_a_foreign_cordon_it_stays_foreign() {
    are(
        &restarted(script().remembers(BOOT, false, false)),
        "0.0 check credentials
         0.0 * notice: terminate, 40 s left
         0.0 read node-1
         0.1 * cordon: Foreign
         0.1 * drain of node-1 begins
         0.1 follow pods of node-1
         0.2 evict a 30
         1.2 * empty: [a evicted]
         40.0 * deadline, nothing has changed
         40.0 disconnect
         40.0 read node-1
         40.1 patch node-1: not ours, drained
         40.2 disconnect
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn after_the_end_nothing_is_done() {
    are(
        &restarted(script().remembers(BOOT, true, true)),
        "0.0 check credentials
         0.0 * notice: terminate, 40 s left
         0.0 read node-1
         0.1 * drained before
         0.1 disconnect
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn after_the_end_a_node_that_was_uncordoned_since_is_in_use_and_drained() {
    let uncordoned = script().remembers(BOOT, true, true).but(|script| script.cordoned = false);
    let lines = restarted(uncordoned);
    assert!(lines.contains(&"0.2 evict a 30".to_owned()), "{lines:#?}");
}

#[test]
fn after_the_end_in_another_boot_it_is_drained() {
    are(
        &restarted(script().remembers("boot-0", true, true)),
        "0.0 check credentials
         0.0 * notice: terminate, 40 s left
         0.0 read node-1
         0.1 patch node-1: cordon, ours
         0.1 * drain of node-1 begins
         0.1 follow pods of node-1
         0.2 * cordon: Kept
         0.2 evict a 30
         1.2 * empty: [a evicted]
         40.0 * deadline, nothing has changed
         40.0 disconnect
         40.0 read node-1
         40.1 patch node-1: ours, drained
         40.2 disconnect
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn after_the_end_of_another_notice_it_is_drained() {
    let script = script().remembers(BOOT, true, true).says(0, Says::At(Stop, 40)).sigterm(&[100]);
    are(
        &run(&script).lines(),
        "0.0 check credentials
         0.0 * notice: stop, 40 s left
         0.0 read node-1
         0.1 patch node-1: cordon, ours
         0.1 * drain of node-1 begins
         0.1 follow pods of node-1
         0.2 * cordon: Kept
         0.2 * empty: []
         40.0 * deadline, nothing has changed
         40.0 disconnect
         40.0 read node-1
         40.1 patch node-1: ours, drained
         40.2 disconnect
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn the_same_notice_once_more_after_it_was_absent_is_drained() {
    let script = script().remembers(BOOT, true, true).says(1, Says::At(Terminate, 40));
    are(
        &run(&script.sigterm(&[100])).lines(),
        "0.0 check credentials
         1.0 * notice: terminate, 39 s left
         1.0 read node-1
         1.0 * drain of node-1 begins
         1.0 follow pods of node-1
         1.1 patch node-1: cordon, ours
         1.1 * empty: []
         1.2 * cordon: Kept
         40.0 * deadline, nothing has changed
         40.0 disconnect
         40.0 read node-1
         40.1 patch node-1: ours, drained
         40.2 disconnect
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn an_annotation_that_cannot_be_read_is_none() {
    let script = script().but(|it| it.annotation = Some("{}".to_owned()));
    are(
        &restarted(script),
        "0.0 check credentials
         0.0 * notice: terminate, 40 s left
         0.0 read node-1
         0.1 patch node-1: cordon, ours
         0.1 * drain of node-1 begins
         0.1 follow pods of node-1
         0.2 * cordon: Done
         0.2 evict a 30
         1.2 * empty: [a evicted]
         40.0 * deadline, nothing has changed
         40.0 disconnect
         40.0 read node-1
         40.1 patch node-1: ours, drained
         40.2 disconnect
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn what_was_drained_before_may_be_noticed_anew() {
    let script = script()
        .remembers(BOOT, true, true)
        .says(0, Says::At(Terminate, -5))
        .says(20, Says::Nothing)
        .says(30, Says::At(Terminate, 60));
    are(
        &run(&script.sigterm(&[100])).lines(),
        "0.0 check credentials
         0.0 * notice: terminate in the past, 120 s left
         0.0 read node-1
         0.1 * drained before
         0.1 disconnect
         22.0 * notice withdrawn
         30.0 disconnect
         30.0 * notice: terminate, 30 s left
         30.0 read node-1
         30.0 * drain of node-1 begins
         30.0 follow pods of node-1
         30.1 patch node-1: cordon, ours
         30.1 * empty: []
         30.2 * cordon: Kept
         60.0 * deadline, nothing has changed
         60.0 disconnect
         60.0 read node-1
         60.1 patch node-1: ours, drained
         60.2 disconnect
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn a_drain_that_has_begun_before_the_node_could_be_read_goes_on() {
    let script = script().remembers(BOOT, true, true).trouble(0..4, With::ReadNode, What::Refuses);
    let script = script.says(0, Says::At(Terminate, 40)).pods([pod("a")]).sigterm(&[100]);
    are(
        &run(&script).lines_with(&["drain", "evict", "empty", "deadline"]),
        "1.0 * drain of node-1 begins
         1.1 evict a 30
         2.1 * empty: [a evicted]
         40.0 * deadline, nothing has changed
         40.1 patch node-1: ours, drained",
    );
}

#[test]
fn after_the_end_in_a_dry_run_nothing_is_done() {
    let script = script().remembers(BOOT, true, true).but(|it| it.config.dry = true);
    are(
        &restarted(script),
        "0.0 check credentials
         0.0 * notice: terminate, 40 s left
         0.0 read node-1
         0.1 * drained before
         0.1 disconnect
         100.0 * SIGTERM, ends",
    );
}
