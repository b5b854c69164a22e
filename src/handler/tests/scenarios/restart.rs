//! A process that finds a notice which stood there before it.

use crate::handler::tests::scenarios::prelude::*;

/// Restarted at 0 s, in the middle or after the end of a drain; the instance goes at 40 s.
fn restarted(script: Script) -> Run {
    script.says([(0, At(Terminate, 40))]).pods([pod("a")]).sigterm(&[100]).run()
}

#[test]
fn in_the_middle_of_a_drain_it_is_gone_on_with() {
    restarted(a_node().remembers(BOOT, true, false)).transcript_is([
        "0.0 check credentials",
        "0.0 * notice: terminate, 40 s left",
        "0.0 read node-1",
        "0.1 * marks found: spot-interruption/terminate",
        "0.1 * cordon: Kept",
        "0.1 * drain of node-1 begins",
        "0.1 follow pods of node-1",
        "0.2 evict a 30",
        "1.2 * empty: [a evicted]",
        "40.0 * deadline, nothing has changed",
        "40.0 disconnect",
        "40.0 read node-1",
        "40.1 patch node-1: ours, drained",
        "40.2 disconnect",
        "100.0 * SIGTERM, ends",
    ]);
}

#[test]
fn in_the_middle_with_a_foreign_cordon_it_stays_foreign() {
    restarted(a_node().remembers(BOOT, false, false)).shows([
        "0.1 * marks found: spot-interruption/terminate",
        "0.1 * cordon: Foreign",
        "0.2 evict a 30",
        "40.1 patch node-1: not ours, drained",
    ]);
}

#[test]
fn after_the_end_nothing_is_done() {
    restarted(a_node().remembers(BOOT, true, true)).transcript_is([
        "0.0 check credentials",
        "0.0 * notice: terminate, 40 s left",
        "0.0 read node-1",
        "0.1 * marks found: spot-interruption/terminate",
        "0.1 * drained before",
        "0.1 disconnect",
        "100.0 * SIGTERM, ends",
    ]);
}

#[test]
fn after_the_end_a_node_that_was_uncordoned_since_is_in_use_and_drained() {
    let uncordoned = a_node().remembers(BOOT, true, true).but(|script| script.cordoned = false);
    restarted(uncordoned).shows(["0.2 evict a 30"]);
}

#[test]
fn after_the_end_in_another_boot_it_is_drained() {
    restarted(a_node().remembers("boot-0", true, true)).shows([
        "0.1 * marks found of an earlier boot: spot-interruption/terminate",
        "0.2 * cordon: Kept",
        "0.2 evict a 30",
    ]);
}

#[test]
fn after_the_end_of_another_notice_it_is_drained() {
    a_node().remembers(BOOT, true, true).says([(0, At(Stop, 40))]).sigterm(&[100]).shows([
        "0.0 * notice: stop, 40 s left",
        "0.1 * marks found: spot-interruption/terminate",
        "0.1 patch node-1: ours, drained spot-interruption/terminate",
        "0.2 * cordon: Kept",
        "2.1 patch node-1: ours",
        "40.1 patch node-1: ours, drained",
    ]);
}

#[test]
fn the_same_notice_once_more_after_it_was_absent_is_drained() {
    a_node().remembers(BOOT, true, true).says([(1, At(Terminate, 40))]).sigterm(&[100]).shows([
        "0.1 * marks found: spot-interruption/terminate",
        "1.0 * notice: terminate, 39 s left",
        "1.1 patch node-1: ours",
        "1.2 * cordon: Kept",
        "40.1 patch node-1: ours, drained",
    ]);
}

#[test]
fn an_annotation_that_cannot_be_read_is_none() {
    let script = a_node().but(|it| it.annotation = Some("{}".to_owned()));
    restarted(script).shows([
        "0.1 * marks unreadable",
        "0.1 patch node-1: cordon, ours",
        "0.2 * cordon: Done",
        "0.2 evict a 30",
        "40.1 patch node-1: ours, drained",
    ]);
}

#[test]
fn what_was_drained_before_may_be_noticed_anew() {
    let script = a_node().remembers(BOOT, true, true).says([
        (0, At(Terminate, -5)),
        (20, Nothing),
        (30, At(Terminate, 60)),
    ]);
    script.sigterm(&[100]).since(20).shows([
        "22.0 * notice withdrawn",
        "22.1 patch node-1: ours",
        "30.0 * notice: terminate, 30 s left",
        "30.1 * cordon: Kept",
        "60.1 patch node-1: ours, drained",
    ]);
}

#[test]
fn a_drain_that_has_begun_before_the_node_could_be_read_goes_on() {
    let script = a_node().remembers(BOOT, true, true).trouble(0..4, With::ReadNode, What::Refuses);
    script.says([(0, At(Terminate, 40))]).pods([pod("a")]).sigterm(&[100]).shows([
        "0.1 * node failing: Drain, connection refused",
        "1.1 evict a 30",
        "5.7 * marks found: spot-interruption/terminate",
        "5.8 * node answers, 6 failed",
        "5.8 * cordon: Kept",
    ]);
}

#[test]
fn after_the_end_in_a_dry_run_nothing_is_done() {
    let script = a_node().remembers(BOOT, true, true).but(|it| it.config.dry = true);
    restarted(script).shows([
        "0.0 * notice: terminate, 40 s left",
        "0.1 * marks found: spot-interruption/terminate",
        "0.1 * drained before",
    ]);
}

#[test]
fn a_restart_does_not_put_off_an_assumed_deadline() {
    let script = a_node()
        .path_says(Lifecycle, [(10, Leaves(Terminate))])
        .ends(2000, End::Killed)
        .ends(2500, End::Killed)
        .sigterm(&[4000]);
    script.pods([pod("a"), pod("b").covered()]).since(2000).shows([
        "2002.0 * notice: asg-lifecycle/terminate some time, 3300 s left",
        "2002.1 * deadline moved as before, 1307.9 s left",
        "2002.2 evict b 30",
        "2502.0 * notice: asg-lifecycle/terminate some time, 3300 s left",
        "2502.1 * deadline moved as before, 807.9 s left",
        "2502.2 evict b 30",
        "3278.1 delete b 30",
        "3310.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn a_restart_does_not_begin_the_timeout_anew() {
    let script = a_node().recommended(60, 200).ends(40, End::Killed).ends(80, End::Killed);
    script.pods([pod("a"), pod("b").covered()]).since(40).shows([
        "42.0 * notice: rebalance-recommendation without a deadline, 60 s left",
        "42.1 * deadline moved without a deadline, 27.9 s left",
        "70.0 * timed out: [b still there]",
        "82.0 * notice: rebalance-recommendation without a deadline, 60 s left",
        "82.1 * drained before",
        "210.0 * marks expired: rebalance-recommendation",
    ]);
}

#[test]
fn a_node_that_was_drained_and_uncordoned_since_stays_uncordoned() {
    let script = a_node().recommended(60, 200).edit(60_000, Edit::Uncordon).ends(80, End::Killed);
    script.pods([pod("a")]).since(80).shows([
        "82.0 * notice: rebalance-recommendation without a deadline, 60 s left",
        "82.1 * marks found: rebalance-recommendation",
        "82.1 * drained before",
        "82.1 * marks last 127.9 s",
        "210.0 * marks expired: rebalance-recommendation",
        "210.1 patch node-1: remember, over rebalance-recommendation",
        "210.2 * the node is cordoned no longer: somebody else has uncordoned it",
    ]);
}

#[test]
fn an_assumed_deadline_holds_though_the_drain_began_before_it_could_be_read() {
    let script = a_node()
        .path_says(Lifecycle, [(10, Leaves(Terminate))])
        .ends(2000, End::Killed)
        .trouble(2000..2010, With::ReadNode, What::Refuses)
        .sigterm(&[4000]);
    script.pods([pod("a"), pod("b").covered()]).since(2000).shows([
        "2002.0 * notice: asg-lifecycle/terminate some time, 3300 s left",
        "2003.1 evict b 30",
        "2011.5 * deadline moved as before, 1298.469 s left",
        "3278.0 delete b 30",
        "3310.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn a_recommendation_does_not_take_the_marks_of_a_notice_that_was_not_polled_yet() {
    let event = Says::Planned(vec![planned(InstanceRetirement, 40)]);
    let script = a_node()
        .path_says(Maintenance, [(10, event.clone()), (60, Fails), (100, event)])
        .path_says(Rebalance, [(50, Recommended)])
        .ends(70, End::Killed);
    let script = script.but(|it| {
        it.config.policy.rebalance_marks = secs(1000);
        it.config.marks.rebalance_mark = RebalanceMark::SoftTaint;
    });
    let run = script.pods([pod("a")]).since(50);
    run.shows([
        "50.0 * marks: rebalance-recommendation",
        "50.1 patch node-1: ours, drained",
        "72.0 * marks: rebalance-recommendation",
        "100.0 * drained before",
        "100.1 patch node-1: ours, drained",
    ]);
    assert!(run.node.is_cordoned());
}

#[test]
fn an_interruption_that_had_come_with_the_boot_is_drained_for_when_it_is_announced_anew() {
    let script = a_node()
        .says([(10, At(Stop, 40))])
        .ends(44, End::Rebooted)
        .says([(100, At(Stop, 160))])
        .ends(99, End::Killed)
        .pods([pod("a"), pod("b").late(50)]);
    script.since(44).shows([
        "46.0 * notice: stop in the past, 120 s left",
        "46.1 * drained before",
        "101.0 * notice: stop, 59 s left",
        "101.2 evict b 30",
    ]);
}

#[test]
fn what_an_earlier_boot_had_drained_for_is_not_passed_on_as_drained_in_this_one() {
    let script = a_node()
        .remembers("boot-0", true, true)
        .says([(0, Fails)])
        .maintenance(2, [planned(InstanceRetirement, 200)])
        .ends(10, End::Killed)
        .says([(11, At(Terminate, 60))])
        .pods([pod("a").late(11)]);
    script.since(10).shows([
            "12.0 * notice: terminate, 48 s left",
            "12.0 * beside: scheduled-maintenance/instance-retirement/event",
            "12.1 patch node-1: ours",
            "12.2 evict a 30",
            "60.0 * notice: scheduled-maintenance/instance-retirement/event, 140 s left",
            "60.1 patch node-1: ours, drained",
            "200.1 patch node-1: ours, drained, drained scheduled-maintenance/instance-retirement/event",
        ]);
}
