//! The machine is started anew, the process is killed: whatever the next one finds, it goes on with
//! what is to be done and takes back what is over.

use crate::drain::tests::cluster::pod;
use crate::handler::tests::model::run;
use crate::handler::tests::scenarios::are;
use crate::handler::tests::script::{Edit, End, Planned, Says, Script, planned, script};
use crate::node::TaintEffect;
use crate::notice::Action::{Hibernate, Stop, Terminate};
use crate::notice::Code::{InstanceRetirement, SystemReboot};
use crate::notice::NoticePath::Maintenance;

#[test]
fn stopped_and_started_again_the_node_is_given_back() {
    for action in [Stop, Hibernate] {
        let script = script().says(10, Says::At(action, 40)).says(45, Says::Nothing);
        let run = run(&script.pods([pod("a")]).ends(44, End::Rebooted));
        let told = run.lines_with(&["another", "found", "withdrawn", "uncordoned"]);
        let found = format!("46.1 * marks found of an earlier boot: spot-interruption/{action}");
        assert_eq!(
            told,
            ["44.0 - another process begins", &found, "46.2 * the node is uncordoned"]
        );
        assert!(run.node.is_as_others_want_it() && run.node.annotation().is_none());
    }
}

#[test]
fn started_again_with_a_notice_that_is_over_the_node_is_given_back() {
    let script = script().says(10, Says::At(Stop, 40)).pods([pod("a")]).ends(44, End::Rebooted);
    let run = run(&script);
    are(
        &run.lines(),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: stop, 30 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         10.2 evict a 28
         11.2 * empty: [a evicted]
         40.0 * deadline, nothing has changed
         40.0 disconnect
         40.0 read node-1
         40.1 patch node-1: ours, drained
         40.2 disconnect
         44.0 - another process begins
         46.0 check credentials
         46.0 * notice: stop in the past, 120 s left
         46.0 read node-1
         46.1 * marks found of an earlier boot: spot-interruption/stop
         46.1 * drained before
         46.1 disconnect
         46.1 patch node-1: uncordon, remember, over spot-interruption/stop
         46.2 * the node is uncordoned
         46.2 disconnect
         300.0 * SIGTERM, ends",
    );
    assert!(run.node.is_as_others_want_it());
}

#[test]
fn started_again_with_a_notice_of_a_time_to_come_it_is_drained() {
    let script = script().says(10, Says::In(Stop, 60)).pods([pod("a")]).ends(75, End::Rebooted);
    are(
        &run(&script).lines_with(&["another", "found", "notice", "deadline", "follow"]),
        "10.0 * notice: stop, 60 s left
         10.0 follow pods of node-1
         70.0 * deadline, nothing has changed
         75.0 - another process begins
         77.0 * notice: stop, 60 s left
         77.1 * marks found of an earlier boot: spot-interruption/stop
         77.1 follow pods of node-1
         137.0 * deadline, nothing has changed",
    );
}

#[test]
fn after_its_reboot_maintenance_is_done_while_it_is_still_listed() {
    let over = Planned { over: true, ..planned(SystemReboot, 100) };
    let script = script()
        .path_says(Maintenance, 10, Says::Planned(vec![planned(SystemReboot, 100)]))
        .path_says(Maintenance, 200, Says::Planned(vec![over]))
        .pods([pod("a")])
        .ends(110, End::Rebooted);
    let run = run(&script);
    are(
        &run.lines(),
        "0.0 check credentials
         0.0 read node-1
         0.1 disconnect
         10.0 * notice: scheduled-maintenance/system-reboot/event, 90 s left
         10.0 read node-1
         10.0 * drain of node-1 begins
         10.0 follow pods of node-1
         10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         10.2 evict a 30
         11.2 * empty: [a evicted]
         100.0 * deadline, nothing has changed
         100.0 disconnect
         100.0 read node-1
         100.1 patch node-1: ours, drained
         100.2 disconnect
         110.0 - another process begins
         112.0 check credentials
         112.0 * drained before
         112.0 read node-1
         112.1 * marks found of an earlier boot: scheduled-maintenance/system-reboot/event
         112.1 patch node-1: uncordon, remember, over scheduled-maintenance/system-reboot/event
         112.2 * the node is uncordoned
         112.2 disconnect
         200.0 * notice withdrawn
         200.0 read node-1
         200.1 patch node-1: forget
         200.2 disconnect
         300.0 * SIGTERM, ends",
    );
    assert!(run.node.is_as_others_want_it() && run.node.annotation().is_none());
}

#[test]
fn a_reboot_before_its_time_is_the_one_that_was_wanted() {
    let script = script()
        .path_says(Maintenance, 10, Says::Planned(vec![planned(SystemReboot, 400)]))
        .pods([pod("a")])
        .ends(110, End::Rebooted);
    are(
        &run(&script.sigterm(&[500])).lines_with(&["another", "found", "before", "cordon"]),
        "10.1 patch node-1: cordon, ours
         10.2 * cordon: Done
         110.0 - another process begins
         112.1 * marks found of an earlier boot: scheduled-maintenance/system-reboot/event
         112.1 * drained before
         112.1 patch node-1: uncordon, remember, over scheduled-maintenance/system-reboot/event
         112.2 * the node is uncordoned",
    );
}

#[test]
fn a_reboot_before_a_retirement_is_not_the_retirement() {
    let script = script()
        .path_says(Maintenance, 10, Says::Planned(vec![planned(InstanceRetirement, 400)]))
        .pods([pod("a")])
        .ends(110, End::Rebooted);
    are(
        &run(&script.sigterm(&[500])).lines_with(&["another", "found", "notice", "deadline"]),
        "10.0 * notice: scheduled-maintenance/instance-retirement/event, 390 s left
         110.0 - another process begins
         112.0 * notice: scheduled-maintenance/instance-retirement/event, 288 s left
         112.1 * marks found of an earlier boot: scheduled-maintenance/instance-retirement/event
         400.0 * deadline, nothing has changed",
    );
}

#[test]
fn a_reboot_in_the_middle_of_a_drain_gives_back_or_goes_on_as_the_notice_says() {
    let script = script().says(10, Says::At(Terminate, 130)).pods([pod("a").covered()]);
    are(
        &run(&script.ends(30, End::Rebooted)).lines_with(&["another", "found", "notice", "delete"]),
        "10.0 * notice: terminate, 120 s left
         30.0 - another process begins
         32.0 * notice: terminate, 98 s left
         32.1 * marks found of an earlier boot: spot-interruption/terminate
         98.0 delete a 30
         99.0 * empty: [a deleted]",
    );
}

/// A drain with every mark, which is called off, on a node to which others do things, too.
fn eventful() -> Script {
    let over = Planned { over: true, ..planned(SystemReboot, 60) };
    script()
        .path_says(Maintenance, 10, Says::Planned(vec![planned(SystemReboot, 60)]))
        .path_says(Maintenance, 100, Says::Planned(vec![over]))
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
    let whole = run(&eventful());
    let orders = u32::try_from(whole.orders().count()).unwrap();
    assert!(orders > 12, "{orders}");
    for killed_after in 1..=orders {
        let run = run(&eventful().but(|it| it.killed_after = Some(killed_after)));
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
        let run = run(&eventful().but(|it| it.ends = vec![(killed, End::Killed)]));
        let lines = run.lines().join("\n");
        assert!(run.node.is_as_others_want_it(), "{killed:?}:\n{lines}");
        assert_eq!(run.node.annotation(), None, "{killed:?}:\n{lines}");
        assert_eq!(run.pods_left(), 0, "{killed:?}:\n{lines}");
    }
}
