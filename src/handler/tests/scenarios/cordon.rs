//! The cordon, and what waits for it.

use crate::handler::tests::scenarios::prelude::*;

/// A drain whose cordon is of interest.
fn cordoned(script: Script) -> Run {
    let run = script.interrupted().pods([pod("a")]).sigterm(&[100]).run();
    assert!(run.node.is_otherwise_untouched());
    run
}

#[test]
fn the_node_is_cordoned_before_the_first_eviction() {
    cordoned(a_node()).shows([
        "10.1 patch node-1: cordon, ours",
        "10.2 * cordon: Done",
        "10.2 evict a 30",
    ]);
}

#[test]
fn the_evictions_wait_a_second_for_a_cordon_that_hangs() {
    cordoned(a_node().trouble(10..13, With::PatchNode, What::Hangs)).shows([
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
    cordoned(a_node().trouble(10..13, With::ReadNode, What::Refuses)).shows([
        "10.1 * node failing: Drain, connection refused",
        "11.0 evict a 30",
        "14.1 * node answers, 5 failed",
        "14.1 * cordon: Done",
    ]);
}

#[test]
fn a_cordon_that_fails_is_retried_beside_the_evictions_and_reported_once() {
    cordoned(a_node().trouble(10..16, With::PatchNode, What::Refuses)).shows([
        "10.2 * node failing: Drain, connection refused",
        "11.0 evict a 30",
        "16.6 * node answers, 6 failed",
        "16.6 * cordon: Done",
    ]);
}

#[test]
fn a_cordon_whose_answer_was_lost_is_ours() {
    cordoned(a_node().trouble(10..11, With::PatchNode, What::LosesAnswer)).shows([
        "11.0 evict a 30",
        "45.1 * node failing: Drain, no answer in time",
        "45.4 * node answers, 1 failed",
        "45.4 * cordon: Kept",
    ]);
}

#[test]
fn a_node_that_changed_in_between_is_read_again() {
    cordoned(a_node().edit(10_120, Edit::Touch).edit(10_320, Edit::Touch)).shows([
        "10.1 patch node-1: cordon, ours",
        "10.3 patch node-1: cordon, ours",
        "10.5 patch node-1: cordon, ours",
        "10.6 * cordon: Done",
        "10.6 evict a 30",
    ]);
}

#[test]
fn a_cordon_that_others_set_in_between_is_not_ours() {
    cordoned(a_node().edit(10_120, Edit::Cordon)).shows([
        "10.1 patch node-1: cordon, ours",
        "10.3 patch node-1: not ours",
        "10.4 * cordon: Foreign",
        "10.4 evict a 30",
    ]);
}

#[test]
fn a_cordon_of_others_is_remembered_as_not_ours() {
    cordoned(a_node().but(|it| it.cordoned = true)).shows([
        "10.1 patch node-1: not ours",
        "10.2 * cordon: Foreign",
        "10.2 evict a 30",
    ]);
}

#[test]
fn a_node_that_others_uncordon_in_the_drain_stays_uncordoned() {
    let run = a_node().interrupted().edit(50_000, Edit::Uncordon).run();
    run.shows(["10.1 patch node-1: cordon, ours", "130.1 patch node-1: ours, drained"]);
    assert!(!run.node.is_cordoned());
}

#[test]
fn a_dry_run_reads_and_writes_nothing() {
    let script = a_node().but(|it| it.config.dry = true);
    let script = script.interrupted().pods([pod("a"), pod("b").covered(), pod("c").late(50)]);
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
fn a_dry_run_on_a_cordoned_node_reports_it() {
    let script = a_node().but(|it| (it.config.dry, it.cordoned) = (true, true));
    cordoned(script).shows(["10.1 * cordon: Foreign", "10.1 evict a 30 dry"]);
}

#[test]
fn a_second_drain_finds_its_own_cordon() {
    a_node()
        .says([(10, At(Terminate, 40)), (60, Nothing), (80, At(Terminate, 110))])
        .since(60)
        .shows([
            "62.1 patch node-1: ours",
            "80.1 * cordon: Kept",
            "110.1 patch node-1: ours, drained",
        ]);
}

#[test]
fn a_notice_that_takes_over_while_the_cordon_is_under_way_waits_for_its_answer() {
    let script = a_node()
        .says([(10, At(Stop, 130))])
        .path_says(NoticeUrl, [(11, At(Terminate, 130))])
        .sigterm(&[40]);
    let read = script.clone().but(|it| it.latency = 600..=600);
    read.shows([
        "10.0 * notice: stop, 120 s left",
        "11.0 * taken over: terminate",
        "11.2 patch node-1: cordon, ours",
    ]);
    let patched = script.but(|it| it.latency = 350..=350);
    patched.shows([
        "10.0 * notice: stop, 120 s left",
        "10.7 patch node-1: cordon, ours",
        "11.0 * taken over: terminate",
        "12.1 patch node-1: ours",
        "12.8 * cordon: Kept",
    ]);
}
