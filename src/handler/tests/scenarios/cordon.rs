//! The cordon, and what waits for it.

use crate::drain::tests::cluster::pod;
use crate::handler::tests::journal::Run;
use crate::handler::tests::script::{Edit, Says, Script, What, With, script};
use crate::notice::Action::{Stop, Terminate};
use crate::notice::NoticePath::NoticeUrl;

/// A drain whose cordon is of interest.
fn cordoned(script: Script) -> Run {
    let run = script.noticed().pods([pod("a")]).sigterm(&[100]).run();
    assert!(run.node.is_otherwise_untouched());
    run
}

#[test]
fn the_node_is_cordoned_before_the_first_eviction() {
    cordoned(script()).shows([
        "10.1 patch node-1: cordon, ours",
        "10.2 * cordon: Done",
        "10.2 evict a 30",
    ]);
}

#[test]
fn the_evictions_wait_a_second_for_a_cordon_that_hangs() {
    cordoned(script().trouble(10..13, With::PatchNode, What::Hangs)).shows([
        "10.1 patch node-1: cordon, ours",
        "11.0 evict a 30",
        "45.1 * node failing: Drain, no answer in time",
        "45.4 patch node-1: cordon, ours",
        "45.5 * node answers, 1 failed",
        "45.5 * cordon: Done",
    ]);
}

#[test]
fn the_evictions_wait_a_second_for_a_node_that_cannot_be_read() {
    cordoned(script().trouble(10..13, With::ReadNode, What::Refuses)).shows([
        "10.1 * node failing: Drain, connection refused",
        "11.0 evict a 30",
        "14.1 * node answers, 5 failed",
        "14.1 * cordon: Done",
    ]);
}

#[test]
fn a_cordon_that_is_refused_is_tried_beside_the_evictions_and_said_once() {
    cordoned(script().trouble(10..16, With::PatchNode, What::Refuses)).shows([
        "10.2 * node failing: Drain, connection refused",
        "11.0 evict a 30",
        "16.6 * node answers, 6 failed",
        "16.6 * cordon: Done",
    ]);
}

#[test]
fn a_cordon_whose_answer_was_lost_is_ours() {
    cordoned(script().trouble(10..11, With::PatchNode, What::LosesAnswer)).shows([
        "11.0 evict a 30",
        "45.1 * node failing: Drain, no answer in time",
        "45.4 * node answers, 1 failed",
        "45.4 * cordon: Kept",
    ]);
}

#[test]
fn a_node_that_somebody_changed_in_between_is_read_again() {
    cordoned(script().edit(10_120, Edit::Touch).edit(10_320, Edit::Touch)).shows([
        "10.1 patch node-1: cordon, ours",
        "10.3 patch node-1: cordon, ours",
        "10.5 patch node-1: cordon, ours",
        "10.6 * cordon: Done",
        "10.6 evict a 30",
    ]);
}

#[test]
fn a_node_that_somebody_cordoned_in_between_is_not_our_cordon() {
    cordoned(script().edit(10_120, Edit::Cordon)).shows([
        "10.1 patch node-1: cordon, ours",
        "10.3 patch node-1: not ours",
        "10.4 * cordon: Foreign",
        "10.4 evict a 30",
    ]);
}

#[test]
fn a_cordon_of_somebody_else_is_remembered_as_not_ours() {
    cordoned(script().but(|it| it.cordoned = true)).shows([
        "10.1 patch node-1: not ours",
        "10.2 * cordon: Foreign",
        "10.2 evict a 30",
    ]);
}

#[test]
fn a_cordon_that_somebody_lifts_in_the_drain_stays_lifted() {
    let script = script().noticed().edit(50_000, Edit::Uncordon);
    let run = script.run();
    run.shows(["10.1 patch node-1: cordon, ours", "130.1 patch node-1: ours, drained"]);
    assert!(!run.node.is_cordoned());
}

#[test]
fn a_dry_run_reads_and_writes_nothing() {
    let script = script().but(|it| it.config.dry = true);
    let script = script.noticed().pods([pod("a"), pod("b").covered(), pod("c").late(50)]);
    let run = script.but(|it| it.latency = 10..=10).run();
    run.transcript_is([
        "0.0 check credentials",
        "0.0 read node-1",
        "0.0 disconnect",
        "10.0 * notice: terminate, 120 s left",
        "10.0 read node-1",
        "10.0 * drain of node-1 begins",
        "10.0 follow pods of node-1",
        "10.0 * cordon: Would",
        "10.0 evict a 30 dry",
        "10.0 evict b 30 dry",
        "10.0 * rehearsed: [a would be evicted, b would be refused]",
        "50.0 evict c 30 dry",
        "130.0 * deadline: [a would be evicted, b would be refused, c would be evicted]",
        "130.0 disconnect",
        "300.0 * SIGTERM, ends",
    ]);
    assert!(!run.node.is_cordoned() && run.node.annotation().is_none());
}

#[test]
fn a_dry_run_on_a_cordoned_node_says_so() {
    let script = script().but(|it| (it.config.dry, it.cordoned) = (true, true));
    cordoned(script).shows(["10.1 * cordon: Foreign", "10.1 evict a 30 dry"]);
}

#[test]
fn a_second_drain_finds_its_own_cordon() {
    let script = script()
        .says(10, Says::At(Terminate, 40))
        .says(60, Says::Nothing)
        .says(80, Says::At(Terminate, 110));
    script.run().shows([
        "10.1 patch node-1: cordon, ours",
        "10.2 * cordon: Done",
        "40.1 patch node-1: ours, drained",
        "62.1 patch node-1: ours",
        "80.1 * cordon: Kept",
        "110.1 patch node-1: ours, drained",
    ]);
}

#[test]
fn a_notice_that_takes_over_while_the_cordon_is_under_way_waits_for_its_answer() {
    let script = script()
        .says(10, Says::At(Stop, 130))
        .path_says(NoticeUrl, 11, Says::At(Terminate, 130))
        .sigterm(&[40]);
    let read = script.clone().but(|it| it.latency = 600..=600);
    read.run().shows([
        "10.0 * notice: stop, 120 s left",
        "11.0 * taken over: terminate",
        "11.2 patch node-1: cordon, ours",
    ]);
    let patched = script.but(|it| it.latency = 350..=350);
    patched.run().shows([
        "10.0 * notice: stop, 120 s left",
        "10.7 patch node-1: cordon, ours",
        "11.0 * taken over: terminate",
        "12.1 patch node-1: ours",
        "12.8 * cordon: Kept",
    ]);
}
