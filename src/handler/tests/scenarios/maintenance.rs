//! Planned maintenance: from when, by when, and what if it is moved or called off.

use crate::handler::tests::scenarios::prelude::*;

/// A reboot a day ahead is known at 10 s, and moved to that second at 20 s.
fn moved_to(second: i64) -> Script {
    let script = a_node().maintenance(10, [planned(InstanceReboot, 86_400)]);
    script.maintenance(20, [planned(InstanceReboot, second)])
}

#[test]
fn a_reboot_is_drained_for_ten_minutes_before_it() {
    let script = a_node().maintenance(10, [planned(InstanceReboot, 1000)]).pods([pod("a")]);
    script.sigterm(&[1100]).transcript_is([
        "0.0 check credentials",
        "0.0 read node-1",
        "0.1 disconnect",
        "10.0 * scheduled: scheduled-maintenance/instance-reboot/event in 390 s",
        "400.0 * notice: scheduled-maintenance/instance-reboot/event, 600 s left",
        "400.0 read node-1",
        "400.0 * drain of node-1 begins",
        "400.0 follow pods of node-1",
        "400.1 patch node-1: cordon, ours",
        "400.2 * cordon: Done",
        "400.2 evict a 30",
        "401.2 * empty: [a evicted]",
        "1000.0 * deadline, nothing has changed",
        "1000.0 disconnect",
        "1000.0 read node-1",
        "1000.1 patch node-1: ours, drained",
        "1000.2 disconnect",
        "1100.0 * SIGTERM, ends",
    ]);
}

#[test]
fn each_code_has_its_own_lead_time() {
    for (code, lead_time) in [(SystemMaintenance, 600), (InstanceRetirement, 3600)] {
        let script = a_node().maintenance(10, [planned(code, 86_400)]);
        let ahead = 86_400 - lead_time - 10;
        let run = script.sigterm(&[20]).run();
        let event = format!("scheduled-maintenance/{code}/event");
        run.shows([&format!("10.0 * scheduled: {event} in {ahead} s")]);
    }
}

#[test]
fn budgets_are_overridden_in_time_before_it() {
    a_node().maintenance(10, [reboot(200)]).pods([pod("a").covered()]).shows([
        "10.0 * notice: scheduled-maintenance/system-reboot/event, 190 s left",
        "10.2 evict a 30",
        "168.0 delete a 30",
    ]);
}

#[test]
fn of_several_the_earliest_counts() {
    let first = Planned { name: "first", ..reboot(800) };
    let second = Planned { name: "second", ..planned(InstanceReboot, 900) };
    a_node().maintenance(10, [second, first]).pods([pod("a")]).sigterm(&[1100]).shows([
        "10.0 * scheduled: scheduled-maintenance/instance-reboot/second in 290 s",
        "10.0 * scheduled: scheduled-maintenance/system-reboot/first in 190 s",
        "200.0 * notice: scheduled-maintenance/system-reboot/first, 600 s left",
        "300.0 * beside: scheduled-maintenance/instance-reboot/second",
        "800.0 * notice: scheduled-maintenance/instance-reboot/second, 100 s left",
    ]);
}

#[test]
fn two_events_of_one_name_are_two() {
    let second = Planned { nth: 1, ..reboot(900) };
    a_node().maintenance(10, [reboot(300), second]).sigterm(&[1000]).shows([
        "10.0 * scheduled: scheduled-maintenance/system-reboot/event/1 in 290 s",
        "10.0 * notice: scheduled-maintenance/system-reboot/event, 290 s left",
        "300.0 * beside: scheduled-maintenance/system-reboot/event/1",
        "300.0 * notice: scheduled-maintenance/system-reboot/event/1, 600 s left",
    ]);
}

#[test]
fn a_time_that_moves_is_followed() {
    moved_to(1000).shows([
        "10.0 * scheduled: scheduled-maintenance/instance-reboot/event in 85790 s",
        "20.0 * scheduled: scheduled-maintenance/instance-reboot/event in 380 s, moved",
    ]);
    moved_to(200).shows([
        "10.0 * scheduled: scheduled-maintenance/instance-reboot/event in 85790 s",
        "20.0 * notice: scheduled-maintenance/instance-reboot/event, 180 s left",
    ]);
}

#[test]
fn a_time_that_moves_earlier_in_the_drain_moves_the_deadline() {
    let script = a_node().maintenance(10, [reboot(500)]);
    script.maintenance(60, [reboot(200)]).pods([pod("a").covered()]).since(60).shows([
        "60.0 * deadline moved, 140 s left",
        "168.0 delete a 30",
        "200.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn a_time_that_moves_a_little_later_in_the_drain_does_not() {
    let script = a_node().maintenance(10, [reboot(200)]);
    script.maintenance(60, [reboot(260)]).pods([pod("a").covered()]).shows([
        "10.2 evict a 30",
        "168.0 delete a 30",
        "200.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn a_time_that_moves_far_away_in_the_drain_calls_it_off_until_then() {
    let script = a_node().maintenance(10, [reboot(200)]).maintenance(60, [reboot(1000)]);
    script.pods([pod("a"), pod("b").covered()]).sigterm(&[1100]).since(60).shows([
        "60.0 * scheduled: scheduled-maintenance/system-reboot/event in 340 s, moved",
        "60.1 patch node-1: uncordon, forget",
        "400.0 * notice: scheduled-maintenance/system-reboot/event, 600 s left",
        "400.1 patch node-1: cordon, ours",
        "400.2 evict b 30",
        "968.0 delete b 30",
        "1000.1 patch node-1: ours, drained",
    ]);
}

#[test]
fn a_time_that_moves_when_it_is_over_is_another_occasion() {
    let script = a_node().maintenance(10, [reboot(200)]);
    script.maintenance(250, [reboot(1000)]).pods([pod("a")]).sigterm(&[1100]).since(250).shows([
        "250.0 * scheduled: scheduled-maintenance/system-reboot/event in 150 s, moved",
        "250.1 patch node-1: uncordon, forget",
        "400.0 * notice: scheduled-maintenance/system-reboot/event, 600 s left",
        "400.1 patch node-1: cordon, ours",
        "1000.1 patch node-1: ours, drained",
    ]);
}

#[test]
fn what_is_cancelled_before_its_drain_leaves_no_trace() {
    let over = reboot(1000).over();
    a_node().maintenance(10, [reboot(1000)]).maintenance(60, [over]).sigterm(&[900]).transcript_is(
        [
            "0.0 check credentials",
            "0.0 read node-1",
            "0.1 disconnect",
            "10.0 * scheduled: scheduled-maintenance/system-reboot/event in 390 s",
            "60.0 * notice withdrawn",
            "900.0 * SIGTERM, ends",
        ],
    );
}

#[test]
fn what_is_cancelled_in_its_drain_calls_it_off_and_gives_the_node_back() {
    let over = reboot(200).over();
    let script = a_node().maintenance(10, [reboot(200)]);
    let run = script.maintenance(60, [over]).pods([pod("a"), pod("b").covered()]).since(60);
    run.shows([
        "60.0 * notice withdrawn, drain called off",
        "60.0 * called off: [a evicted, b called off]",
        "60.1 patch node-1: uncordon, forget",
    ]);
    assert!(run.is_restored());
}

#[test]
fn what_is_completed_gives_the_node_back() {
    let over = planned(SystemMaintenance, 200).over();
    let script = a_node().maintenance(10, [planned(SystemMaintenance, 200)]);
    let run = script.maintenance(230, [over]).pods([pod("a")]).since(230);
    run.shows(["230.0 * notice withdrawn", "230.1 patch node-1: uncordon, forget"]);
    assert!(run.is_restored());
}

#[test]
fn what_is_only_gone_is_waited_for_three_answers() {
    let script = a_node().maintenance(10, [planned(SystemMaintenance, 200)]);
    script.maintenance(230, []).pods([pod("a")]).since(200).shows(["232.0 * notice withdrawn"]);
}

#[test]
fn what_is_cancelled_and_announced_again_is_another() {
    let over = reboot(200).over();
    let script = a_node().maintenance(10, [reboot(200)]);
    let script = script.maintenance(60, [over]).maintenance(100, [reboot(200)]);
    script.pods([pod("b").covered()]).since(60).shows([
        "60.0 * notice withdrawn, drain called off",
        "100.0 * notice: scheduled-maintenance/system-reboot/event, 100 s left",
        "100.2 evict b 30",
        "168.0 delete b 30",
    ]);
}

#[test]
fn a_time_that_is_over_starts_the_usual_window() {
    a_node().maintenance(10, [planned(InstanceRetirement, -3600)]).pods([pod("a")]).shows([
        "10.0 * notice: scheduled-maintenance/instance-retirement/event in the past, 120 s left",
        "10.2 evict a 30",
    ]);
}

#[test]
fn a_reboot_from_before_this_boot_is_done() {
    let script = a_node().maintenance(0, [reboot(-100)]).pods([pod("a")]);
    script.but(|it| it.config.boot.began = Some(calendar(-50_000))).transcript_is([
        "0.0 check credentials",
        "0.0 * drained before",
        "0.0 read node-1",
        "0.1 disconnect",
        "300.0 * SIGTERM, ends",
    ]);
}

#[test]
fn a_retirement_is_not_done_by_a_reboot() {
    let script = a_node().maintenance(0, [planned(InstanceRetirement, -100)]).pods([pod("a")]);
    script.but(|it| it.config.boot.began = Some(calendar(-50_000))).shows([
        "0.0 * notice: scheduled-maintenance/instance-retirement/event in the past, 120 s left",
        "0.2 evict a 30",
    ]);
}

#[test]
fn an_interruption_takes_over() {
    let script = a_node().maintenance(10, [reboot(500)]).says([(60, At(Terminate, 180))]);
    script.pods([pod("a"), pod("b").covered()]).since(60).shows([
        "60.0 * taken over: terminate",
        "60.0 * deadline moved, 120 s left",
        "60.1 patch node-1: ours",
        "148.0 delete b 30",
        "180.0 * deadline, nothing has changed",
        "180.0 * notice: scheduled-maintenance/system-reboot/event, 320 s left",
        "180.1 patch node-1: ours, drained",
    ]);
}

#[test]
fn maintenance_beside_an_interruption_waits_for_its_end() {
    a_node().maintenance(20, [reboot(280)]).interrupted().pods([pod("a")]).shows([
        "10.0 * notice: terminate, 120 s left",
        "20.0 * beside: scheduled-maintenance/system-reboot/event",
        "130.0 * notice: scheduled-maintenance/system-reboot/event, 150 s left",
    ]);
}

#[test]
fn a_calendar_that_was_wrong_is_read_again_before_the_drain() {
    let script = a_node().maintenance(10, [reboot(2000)]);
    script.but(|it| it.clock_set = Some((secs(100), 1300))).sigterm(&[1200]).shows([
        "10.0 * scheduled: scheduled-maintenance/system-reboot/event in 1390 s",
        "100.0 * notice: scheduled-maintenance/system-reboot/event, 600 s left",
        "700.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn a_cordon_that_others_lift_after_the_drain_stays_lifted() {
    let run = a_node().maintenance(10, [reboot(100)]).edit(150_000, Edit::Uncordon).run();
    assert!(!run.node.is_cordoned());
}
