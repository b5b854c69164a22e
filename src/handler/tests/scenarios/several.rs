//! Several notices at once, and one after the other.

use crate::handler::tests::scenarios::prelude::*;

#[test]
fn sigterm_does_not_keep_an_interruption_from_taking_over() {
    let script = a_node().recommended(800, 1000).says([(30, At(Terminate, 60))]).sigterm(&[20]);
    script.pods([pod("a"), pod("b").covered()]).since(20).shows([
        "20.0 * SIGTERM, ends within 148 s",
        "30.0 * taken over: terminate",
        "30.0 * SIGTERM, ends within 30 s",
        "30.1 delete b 28",
    ]);
}

#[test]
fn the_drain_of_an_instance_that_is_going_is_not_taken_over_by_a_deadline() {
    let script = a_node().says([(10, At(Hibernate, 130))]);
    let script = script.path_says(Lifecycle, [(20, Leaves(Terminate))]);
    script.pods([pod("a"), pod("b").covered()]).since(20).shows([
        "20.0 * beside: asg-lifecycle/terminate",
        "130.0 * notice: asg-lifecycle/terminate some time, 3190 s left",
    ]);
}

#[test]
fn the_machine_is_back_when_no_path_says_hibernation_any_more() {
    let run = a_node().says([(10, At(Hibernate, 130)), (60, Nothing)]).pods([pod("a")]).run();
    run.transcript_is([
        "0.0 check credentials",
        "0.0 read node-1",
        "0.1 disconnect",
        "10.0 * notice: hibernate at once, 120 s left",
        "10.0 read node-1",
        "10.0 * drain of node-1 begins",
        "10.0 follow pods of node-1",
        "10.1 patch node-1: cordon, ours",
        "10.2 * cordon: Done",
        "10.2 evict a 1",
        "11.2 * empty: [a evicted]",
        "62.0 * notice withdrawn, drain called off",
        "62.0 disconnect",
        "62.0 read node-1",
        "62.1 patch node-1: uncordon, forget",
        "62.2 * the node is uncordoned",
        "62.2 disconnect",
        "300.0 * SIGTERM, ends",
    ]);
    assert!(run.is_restored());
}

#[test]
fn a_drain_without_a_deadline_taints_with_no_schedule_until_there_is_one() {
    let script = a_node()
        .recommended(800, 1000)
        .says([(30, At(Terminate, 60))])
        .but(|it| it.config.marks.taint = Some(TaintEffect::NoExecute));
    script.shows([
            "10.1 patch node-1: cordon, taints [aws-node-termination-handler/rebalance-recommendation], ours",
            "10.2 patch node-1: ours, drained",
            "10.3 * cordon: Kept",
            "10.3 * marks last 999.7 s",
            "30.1 patch node-1: taints [aws-node-termination-handler/spot-itn], ours, drained rebalance-recommendation",
            "30.2 * cordon: Kept",
            "30.2 * the taint aws-node-termination-handler/rebalance-recommendation=rebalance-recommendation:NoSchedule is taken off",
            "30.2 * the node is tainted: aws-node-termination-handler/spot-itn=terminate:NoExecute",
            "60.1 patch node-1: ours, drained rebalance-recommendation, drained",
        ]);
}

#[test]
fn a_drain_with_a_deadline_is_one_for_a_recommendation_too() {
    let script = a_node().recommended(800, 1000).says([(20, At(Terminate, 60)), (70, Nothing)]);
    script.pods([pod("a")]).since(20).shows([
        "20.0 * notice: terminate, 40 s left",
        "20.1 patch node-1: ours, drained rebalance-recommendation",
        "60.1 patch node-1: ours, drained rebalance-recommendation, drained",
        "72.0 * notice withdrawn",
        "72.1 patch node-1: ours, drained rebalance-recommendation",
        "102.0 * stays withdrawn: terminate",
        "102.1 patch node-1: ours, drained",
    ]);
}

#[test]
fn what_was_drained_for_keeps_its_marks_when_another_is_cancelled() {
    let one = Planned { name: "one", ..reboot(100) };
    let two = Planned { name: "two", ..planned(InstanceRetirement, 100) };
    let over = one.clone().over();
    let script = a_node()
        .maintenance(10, [one, two.clone()])
        .maintenance(200, [over, two])
        .ends(150, End::Killed);
    let run = script.pods([pod("a")]).since(150);
    run.shows([
        "152.0 * notice: scheduled-maintenance/system-reboot/one in the past, 120 s left",
        "152.0 * beside: scheduled-maintenance/instance-retirement/two",
        "152.1 * drained before",
        "152.1 * drained before",
        "200.0 * notice withdrawn",
        "200.1 patch node-1: ours, drained",
    ]);
    assert!(run.node.is_cordoned());
}

#[test]
fn a_node_that_others_uncordon_after_the_drain_stays_uncordoned_for_what_is_left() {
    let script = a_node()
        .maintenance(10, [reboot(40)])
        .says([(10, At(Terminate, 40))])
        .edit(60_000, Edit::Uncordon)
        .says([(80, Nothing)]);
    let run = script.since(60);
    run.shows([
        "82.0 * notice withdrawn",
        "82.1 patch node-1: ours, drained scheduled-maintenance/system-reboot/event",
        "112.0 * stays withdrawn: terminate",
        "112.1 patch node-1: ours, drained",
    ]);
    assert!(!run.node.is_cordoned());
}

#[test]
fn a_time_that_moves_by_seconds_does_not_call_the_drain_off() {
    let script = a_node().maintenance(10, [reboot(620)]).maintenance(22, [reboot(630)]);
    script.pods([pod("a"), pod("b").covered()]).sigterm(&[700]).shows([
        "10.0 * scheduled: scheduled-maintenance/system-reboot/event in 10 s",
        "20.0 * notice: scheduled-maintenance/system-reboot/event, 600 s left",
        "589.0 * empty: [a evicted, b deleted]",
    ]);
}
