//! What depends on more than the current answers: on the drain under way, an earlier process, an operator.

use crate::handler::tests::scenarios::prelude::*;

#[test]
fn a_hibernation_that_is_over_ends_no_pod_for_the_notice_that_stands_beside_it() {
    let script = a_node()
        .path_says(Lifecycle, [(10, Leaves(Terminate))])
        .says([(20, At(Hibernate, 130)), (60, Nothing)])
        .pods([pod("a").covered().late(30), pod("b").late(70), pod("c").covered().late(70)]);
    script.shows([
        "10.0 * notice: asg-lifecycle/terminate some time, 3300 s left",
        "20.0 * taken over: hibernate",
        "30.0 evict a 1",
        "30.2 delete a 1",
        "62.0 * notice withdrawn, drain called off",
        "62.0 * notice: asg-lifecycle/terminate some time, 3248 s left",
        "70.0 evict b 30",
        "70.0 evict c 30",
    ]);
}

#[test]
fn of_two_planned_events_the_later_is_drained_for_by_its_own_deadline_when_the_other_is_cancelled()
{
    let (first, second) = (reboot(200), planned(InstanceReboot, 600));
    let second = Planned { name: "second", ..second };
    let cancelled = first.clone().over();
    let script = a_node().maintenance(10, [first, second.clone()]);
    script.maintenance(60, [cancelled, second]).pods([pod("a").covered()]).since(60).shows([
        "60.0 * notice withdrawn, drain called off",
        "60.0 * notice: scheduled-maintenance/instance-reboot/second, 540 s left",
        "60.2 evict a 30",
    ]);
}

#[test]
fn an_interruption_that_came_with_a_boot_is_drained_for_by_the_next_process_if_its_time_is_ahead() {
    let script = a_node()
        .says([(10, At(Stop, 40))])
        .ends(44, End::Rebooted)
        .ends(60, End::Killed)
        .says([(61, At(Stop, 160))])
        .pods([pod("a").late(50)]);
    script.since(44).shows([
        "46.0 * notice: stop in the past, 120 s left",
        "46.1 * drained before",
        "62.0 * notice: stop, 98 s left",
        "62.2 evict a 30",
    ]);
}

#[test]
fn an_event_that_was_moved_while_no_process_ran_is_drained_for_by_its_new_time() {
    let script = a_node().maintenance(10, [reboot(100)]).ends(110, End::Killed);
    script
        .maintenance(111, [reboot(900)])
        .pods([pod("a").late(105)])
        .sigterm(&[400])
        .since(110)
        .shows([
            "112.0 * scheduled: scheduled-maintenance/system-reboot/event in 188 s",
            "300.0 * notice: scheduled-maintenance/system-reboot/event, 600 s left",
            "300.2 evict a 30",
        ]);
}

#[test]
fn an_operator_who_uncordons_after_the_drain_is_not_undone_until_the_notice_appears_anew() {
    let script = a_node()
        .says([(10, At(Terminate, 40))])
        .edit(50_000, Edit::Uncordon)
        .says([(90, Nothing), (100, At(Terminate, 160))])
        .pods([pod("a").late(60)]);
    script.since(50).shows([
        "92.0 * notice withdrawn",
        "100.0 * notice: terminate, 60 s left",
        "100.2 * cordon: Done",
    ]);
}

#[test]
fn of_what_one_answer_says_each_thing_is_reported() {
    let late = Planned { name: "late", ..planned(InstanceReboot, 2000) };
    let near = Planned { name: "near", ..planned(InstanceReboot, 400) };
    let script = a_node().maintenance(10, [reboot(300)]);
    let moved = [reboot(200), near, late];
    script.maintenance(20, moved).shows([
        "10.0 * notice: scheduled-maintenance/system-reboot/event, 290 s left",
        "20.0 * scheduled: scheduled-maintenance/instance-reboot/late in 1380 s",
        "20.0 * deadline moved, 180 s left",
        "20.0 * beside: scheduled-maintenance/instance-reboot/near",
        "200.0 * deadline, nothing has changed",
        "200.0 * notice: scheduled-maintenance/instance-reboot/near, 200 s left",
    ]);
}

#[test]
fn a_node_that_cannot_be_read_for_three_seconds_delays_a_drain_by_one() {
    let script =
        a_node().says([(0, At(Terminate, 100))]).trouble(0..3, With::ReadNode, What::Refuses);
    script.pods([pod("a")]).shows(["1.1 evict a 30", "3.9 * cordon: Done"]);
}

#[test]
fn a_clock_that_is_set_moves_no_deadline_though_two_paths_state_different_times() {
    let script = a_node()
        .says([(10, At(Terminate, 130))])
        .path_says(TerminationTime, [(10, At(Terminate, 131))])
        .but(|it| it.clock_set = Some((secs(30), 60)));
    script.pods([pod("a").covered()]).shows([
        "10.2 evict a 30",
        "98.0 delete a 30",
        "130.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn a_recommendation_that_is_made_anew_beside_a_drain_is_reported_and_renews_no_marks_later() {
    let script = a_node()
        .path_says(Rebalance, [(5, RecommendedAt(1))])
        .says([(20, At(Terminate, 60))])
        .path_says(Rebalance, [(30, RecommendedAt(28)), (80, RecommendedAt(78))])
        .says([(100, Nothing)])
        .edit(90_000, Edit::Uncordon)
        .but(|it| it.config.policy.rebalance_marks = secs(1000));
    script.since(20).shows([
        "20.0 * notice: terminate, 40 s left",
        "20.2 * cordon: Kept",
        "32.0 * marks: rebalance-recommendation",
        "82.0 * marks: rebalance-recommendation",
        "102.0 * notice withdrawn",
        "132.0 * stays withdrawn: terminate",
    ]);
}
