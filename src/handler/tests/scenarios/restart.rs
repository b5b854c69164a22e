//! A process that finds a notice which stood there before it.

use crate::drain::tests::cluster::{pod, secs};
use crate::handler::tests::model::run;
use crate::handler::tests::scenarios::are;
use crate::handler::tests::script::{BOOT, Edit, End, Says, Script, What, With, planned, script};
use crate::node::RebalanceMark;
use crate::notice::Action::{Stop, Terminate};
use crate::notice::Code::InstanceRetirement;
use crate::notice::NoticePath::{Lifecycle, Maintenance, Rebalance};

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
         0.1 * marks found: spot-interruption/terminate
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
         0.1 * marks found: spot-interruption/terminate
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
         0.1 * marks found: spot-interruption/terminate
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
         0.1 * marks found of an earlier boot: spot-interruption/terminate
         0.1 patch node-1: ours
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
         0.1 * marks found: spot-interruption/terminate
         0.1 patch node-1: ours, drained spot-interruption/terminate
         0.1 * drain of node-1 begins
         0.1 follow pods of node-1
         0.2 * cordon: Kept
         0.2 * empty: []
         2.0 read node-1
         2.1 patch node-1: ours
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
         0.0 read node-1
         0.1 * marks found: spot-interruption/terminate
         0.1 disconnect
         1.0 * notice: terminate, 39 s left
         1.0 read node-1
         1.0 * drain of node-1 begins
         1.0 follow pods of node-1
         1.1 patch node-1: ours
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
         0.1 * marks unreadable
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
         0.1 * marks found: spot-interruption/terminate
         0.1 * drained before
         0.1 disconnect
         22.0 * notice withdrawn
         22.0 read node-1
         22.1 patch node-1: ours
         22.2 disconnect
         30.0 * notice: terminate, 30 s left
         30.0 read node-1
         30.0 * drain of node-1 begins
         30.0 follow pods of node-1
         30.1 * cordon: Kept
         30.1 * empty: []
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
         0.1 * marks found: spot-interruption/terminate
         0.1 * drained before
         0.1 disconnect
         100.0 * SIGTERM, ends",
    );
}

#[test]
fn the_end_that_was_taken_for_granted_is_not_put_off() {
    let script = script()
        .path_says(Lifecycle, 10, Says::Leaves(Terminate))
        .ends(2000, End::Killed)
        .ends(2500, End::Killed)
        .sigterm(&[4000]);
    are(
        &run(&script.pods([pod("a"), pod("b").covered()])).lines(),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: asg-lifecycle/terminate some time, 3300 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         10.2 evict a 30
         10.2 evict b 30
         2000.0 - another process begins
         2002.0 check credentials
         2002.0 * notice: asg-lifecycle/terminate some time, 3300 s left
         2002.0 read node-1
         2002.1 * marks found: asg-lifecycle/terminate
         2002.1 * deadline moved as before, 1307.9 s left
         2002.1 * cordon: Kept
         2002.1 * drain of node-1 begins
         2002.1 follow pods of node-1
         2002.2 evict b 30
         2500.0 - another process begins
         2502.0 check credentials
         2502.0 * notice: asg-lifecycle/terminate some time, 3300 s left
         2502.0 read node-1
         2502.1 * marks found: asg-lifecycle/terminate
         2502.1 * deadline moved as before, 807.9 s left
         2502.1 * cordon: Kept
         2502.1 * drain of node-1 begins
         2502.1 follow pods of node-1
         2502.2 evict b 30
         3277.0 mark b
         3278.1 delete b 30
         3279.1 * empty: [b deleted]
         3310.0 * deadline, nothing has changed
         3310.0 disconnect
         3310.0 read node-1
         3310.1 patch node-1: ours, drained
         3310.2 disconnect
         4000.0 * SIGTERM, ends",
    );
}

#[test]
fn patience_is_not_begun_anew() {
    let script = script().recommended(60, 200).ends(40, End::Killed).ends(80, End::Killed);
    are(
        &run(&script.pods([pod("a"), pod("b").covered()])).lines(),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: rebalance-recommendation without a deadline, 60 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         10.2 * marks last 199.8 s
         10.2 evict a 30
         10.2 evict b 30
         40.0 - another process begins
         42.0 check credentials
         42.0 * notice: rebalance-recommendation without a deadline, 60 s left
         42.0 read node-1
         42.1 * marks found: rebalance-recommendation
         42.1 * deadline moved without a deadline, 27.9 s left
         42.1 * cordon: Kept
         42.1 * marks last 167.9 s
         42.1 * drain of node-1 begins
         42.1 follow pods of node-1
         42.2 evict b 30
         70.0 * patience: [b still there]
         70.0 disconnect
         70.0 read node-1
         70.1 patch node-1: ours, drained
         70.2 disconnect
         80.0 - another process begins
         82.0 check credentials
         82.0 * notice: rebalance-recommendation without a deadline, 60 s left
         82.0 read node-1
         82.1 * marks found: rebalance-recommendation
         82.1 * drained before
         82.1 * marks last 127.9 s
         82.1 disconnect
         210.0 * marks expired: rebalance-recommendation
         210.0 read node-1
         210.1 patch node-1: uncordon, remember, over rebalance-recommendation
         210.2 * the node is uncordoned
         210.2 disconnect
         300.0 * SIGTERM, ends",
    );
}

#[test]
fn a_node_that_was_drained_and_uncordoned_since_stays_uncordoned() {
    let script = script().recommended(60, 200).edit(60_000, Edit::Uncordon).ends(80, End::Killed);
    let lines = ["node-1", "notice", "before", "cordon"];
    are(
        &run(&script.pods([pod("a")])).lines_with(&lines),
        "0.0 read node-1
         10.0 * notice: rebalance-recommendation without a deadline, 60 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         11.2 read node-1
         11.3 patch node-1: ours, drained
         82.0 * notice: rebalance-recommendation without a deadline, 60 s left
         82.0 read node-1
         82.1 * drained before
         210.0 read node-1
         210.1 patch node-1: remember, over rebalance-recommendation
         210.2 * the node is cordoned no longer: somebody else has uncordoned it",
    );
}

#[test]
fn the_end_that_was_assumed_holds_though_the_drain_began_before_it_could_be_read() {
    let script = script()
        .path_says(Lifecycle, 10, Says::Leaves(Terminate))
        .ends(2000, End::Killed)
        .trouble(2000..2010, With::ReadNode, What::Refuses)
        .sigterm(&[4000]);
    let lines = ["another", "notice", "moved", "found", "mark b", "delete", "deadline"];
    are(
        &run(&script.pods([pod("a"), pod("b").covered()])).lines_with(&lines),
        "10.0 * notice: asg-lifecycle/terminate some time, 3300 s left
         2000.0 - another process begins
         2002.0 * notice: asg-lifecycle/terminate some time, 3300 s left
         2011.5 * marks found: asg-lifecycle/terminate
         2011.5 * deadline moved as before, 1298.469 s left
         3277.1 mark b
         3278.0 delete b 30
         3279.1 * empty: [b deleted]
         3310.0 * deadline, nothing has changed",
    );
}

#[test]
fn what_is_less_certain_does_not_take_the_marks_of_what_was_not_heard_of_yet() {
    let event = Says::Planned(vec![planned(InstanceRetirement, 40)]);
    let script = script()
        .path_says(Maintenance, 10, event.clone())
        .path_says(Maintenance, 60, Says::Fails)
        .path_says(Maintenance, 100, event)
        .path_says(Rebalance, 50, Says::Recommended)
        .ends(70, End::Killed);
    let script = script.but(|it| {
        it.config.policy.rebalance_marks = secs(1000);
        it.config.marks.rebalance_mark = RebalanceMark::SoftTaint;
    });
    let run = run(&script.pods([pod("a")]));
    are(
        &run.lines_with(&["another", "marks", "before", "patch", "cordon"]),
        "10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         40.1 patch node-1: ours, drained
         50.0 * marks: rebalance-recommendation
         50.1 patch node-1: ours, drained
         70.0 - another process begins
         72.0 * marks: rebalance-recommendation
         72.1 * marks found: scheduled-maintenance/instance-retirement/event
         100.0 * drained before
         100.1 patch node-1: ours, drained",
    );
    assert!(run.node.is_cordoned());
}

#[test]
fn an_interruption_that_had_come_with_the_boot_is_drained_for_when_it_is_announced_anew() {
    let script = script()
        .says(10, Says::At(Stop, 40))
        .ends(44, End::Rebooted)
        .says(100, Says::At(Stop, 160))
        .ends(99, End::Killed)
        .pods([pod("a"), pod("b").late(50)]);
    let run = run(&script);
    are(
        &run.lines_with(&["another", "notice", "before", "evict", "cordon"]),
        "10.0 * notice: stop, 30 s left
         10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         10.2 evict a 28
         11.2 * empty: [a evicted]
         44.0 - another process begins
         46.0 * notice: stop in the past, 120 s left
         46.1 * drained before
         46.1 patch node-1: uncordon, remember, over spot-interruption/stop
         46.2 * the node is uncordoned
         99.0 - another process begins
         101.0 * notice: stop, 59 s left
         101.1 patch node-1: cordon, ours
         101.2 * cordon: Done
         101.2 evict b 30
         102.2 * empty: [b evicted]",
    );
}

#[test]
fn what_an_earlier_boot_had_drained_for_is_not_passed_on_as_drained_in_this_one() {
    let script = script()
        .remembers("boot-0", true, true)
        .says(0, Says::Fails)
        .path_says(Maintenance, 2, Says::Planned(vec![planned(InstanceRetirement, 200)]))
        .ends(10, End::Killed)
        .says(11, Says::At(Terminate, 60))
        .pods([pod("a").late(11)]);
    are(
        &run(&script).lines_with(&["another", "notice", "found", "before", "evict", "patch"]),
        "0.1 * marks found of an earlier boot: spot-interruption/terminate
         2.0 * notice: scheduled-maintenance/instance-retirement/event, 198 s left
         2.1 patch node-1: ours
         10.0 - another process begins
         12.0 * notice: terminate, 48 s left
         12.1 * marks found: scheduled-maintenance/instance-retirement/event
         12.1 patch node-1: ours
         12.2 evict a 30
         13.2 * empty: [a evicted]
         60.0 * notice: scheduled-maintenance/instance-retirement/event, 140 s left
         60.1 patch node-1: ours, drained
         200.1 patch node-1: ours, drained, drained scheduled-maintenance/instance-retirement/event",
    );
}
