//! The machine is started anew, the process is killed: whatever the next one finds, it goes on with
//! what is to be done and takes back what is over.

use crate::handler::tests::scenarios::prelude::*;

#[test]
fn stopped_and_started_again_the_node_is_given_back() {
    for action in [Stop, Hibernate] {
        let script = a_node().says([(10, At(action, 40)), (45, Nothing)]);
        let run = script.pods([pod("a")]).ends(44, End::Rebooted).run();
        let found = format!("46.1 * marks found of an earlier boot: spot-interruption/{action}");
        run.shows(["10.2 * cordon: Done", &found, "46.2 * the node is uncordoned"]);
        assert!(run.is_restored());
    }
}

#[test]
fn started_again_with_a_notice_that_is_over_the_node_is_given_back() {
    let run =
        a_node().says([(10, At(Stop, 40))]).pods([pod("a")]).ends(44, End::Rebooted).since(44);
    run.shows([
        "46.0 * notice: stop in the past, 120 s left",
        "46.1 * marks found of an earlier boot: spot-interruption/stop",
        "46.1 * drained before",
        "46.1 patch node-1: uncordon, remember, over spot-interruption/stop",
        "46.2 * the node is uncordoned",
    ]);
    assert!(run.node.is_as_others_want_it());
}

#[test]
fn started_again_with_a_notice_of_a_time_to_come_it_is_drained() {
    let script = a_node().says([(10, In(Stop, 60))]).pods([pod("a")]).ends(75, End::Rebooted);
    script.since(75).shows(["77.0 * notice: stop, 60 s left"]);
}

#[test]
fn after_its_reboot_maintenance_is_done_while_it_is_still_listed() {
    let over = reboot(100).over();
    let script = a_node()
        .maintenance(10, [reboot(100)])
        .maintenance(200, [over])
        .pods([pod("a")])
        .ends(110, End::Rebooted);
    let run = script.since(110);
    run.shows([
        "112.0 * drained before",
        "112.1 * marks found of an earlier boot: scheduled-maintenance/system-reboot/event",
        "112.1 patch node-1: uncordon, remember, over scheduled-maintenance/system-reboot/event",
        "112.2 * the node is uncordoned",
        "200.0 * notice withdrawn",
        "200.1 patch node-1: forget",
    ]);
    assert!(run.is_restored());
}

#[test]
fn a_reboot_before_its_time_is_the_one_that_was_wanted() {
    let script = a_node().maintenance(10, [reboot(400)]).pods([pod("a")]).ends(110, End::Rebooted);
    script.sigterm(&[500]).since(110).shows([
        "112.0 * notice: scheduled-maintenance/system-reboot/event, 288 s left",
        "112.1 * drained before",
        "112.1 patch node-1: uncordon, remember, over scheduled-maintenance/system-reboot/event",
    ]);
}

#[test]
fn a_reboot_before_a_retirement_is_not_the_retirement() {
    let script = a_node()
        .maintenance(10, [planned(InstanceRetirement, 400)])
        .pods([pod("a")])
        .ends(110, End::Rebooted);
    script
        .sigterm(&[500])
        .since(110)
        .shows(["112.0 * notice: scheduled-maintenance/instance-retirement/event, 288 s left"]);
}

#[test]
fn a_reboot_in_the_middle_of_a_drain_gives_back_or_goes_on_as_the_notice_says() {
    let script = a_node().says([(10, At(Terminate, 130))]).pods([pod("a").covered()]);
    script.ends(30, End::Rebooted).since(30).shows([
        "32.0 * notice: terminate, 98 s left",
        "32.2 evict a 30",
        "98.0 delete a 30",
    ]);
}

/// A drain with every mark, which is called off, on a node to which others do things, too.
fn eventful() -> Script {
    let over = reboot(60).over();
    a_node()
        .maintenance(10, [reboot(60)])
        .maintenance(100, [over])
        .but(|it| {
            it.config.marks.taint = Some(TaintEffect::NoSchedule);
            it.config.marks.exclude_from_load_balancers = true;
            it.sigterm = vec![std::time::Duration::from_secs(400)];
        })
        .edit(5000, Edit::Taint("dedicated", "gpu", "NoSchedule"))
        .pods([pod("a"), pod("b").covered(), pod("late").late(50)])
}

#[test]
fn killed_after_any_order_every_pod_goes_and_everything_is_taken_back() {
    let whole = eventful().run();
    let orders = u32::try_from(whole.orders().count()).unwrap();
    assert!(orders > 12, "{orders}");
    for killed_after in 1..=orders {
        let run = eventful().but(|it| it.killed_after = Some(killed_after)).run();
        let lines = run.lines().join("\n");
        assert!(run.node.is_as_others_want_it(), "{killed_after}:\n{lines}");
        assert_eq!(run.node.annotation(), None, "{killed_after}:\n{lines}");
        assert_eq!(run.pods_left(), 0, "{killed_after}:\n{lines}");
    }
}

#[test]
fn killed_at_any_quarter_of_a_second_it_is_the_same() {
    for quarter in 0..480 {
        let killed = std::time::Duration::from_millis(quarter * 250);
        let run = eventful().but(|it| it.ends = vec![(killed, End::Killed)]).run();
        let lines = run.lines().join("\n");
        assert!(run.node.is_as_others_want_it(), "{killed:?}:\n{lines}");
        assert_eq!(run.node.annotation(), None, "{killed:?}:\n{lines}");
        assert_eq!(run.pods_left(), 0, "{killed:?}:\n{lines}");
    }
}
