//! What an Auto Scaling group wants of its instance.

use simulator::{Class, Endpoint, Pod};

use crate::child::Launch;
use crate::stage::{Stage, at_once, has_only_read_the_node, names, quick, quick_pods};

fn launch(stage: &Stage) -> Launch<'_> {
    stage.handler().with("ENABLE_ASG_LIFECYCLE_DRAINING", "true")
}

#[test]
fn an_instance_that_is_to_end_is_drained_and_given_back_when_it_is_in_service_again() {
    at_once(&[("usual", "Terminated"), ("warm pool", "Warmed:Terminated")], |state| {
        let stage = Stage::with([quick("default/web-0"), Pod::named("default/stuck").stuck()]);
        let before = stage.cluster.node();
        stage.cloud.target_lifecycle_state("InService");
        let handler = stage.started(launch(&stage));
        handler.says("ASG_LIFECYCLE_WINDOW is not set: ");
        stage.polled(Endpoint::LifecycleState, 1);
        has_only_read_the_node(&stage.cluster);
        stage.cloud.target_lifecycle_state(state);
        let line = handler.says("the Auto Scaling group will terminate the instance");
        let words = "at a time that it does not tell: taken as 300 s from now; 300 s left";
        assert!(line.contains(words), "{line}");
        assert!(line.ends_with(&format!("The notice: {state}")), "{line}");
        handler.says("default/web-0: gone after");
        stage.cordons();
        let polls = stage.cloud.journal().count(Endpoint::LifecycleState);
        stage.cloud.target_lifecycle_state("InService");
        handler.says("notice asg-lifecycle/terminate was withdrawn; the drain is called off");
        let later = stage.cloud.journal().count(Endpoint::LifecycleState);
        assert!(later >= polls + 3, "one answer may be a mistake");
        let table = handler.table();
        assert!(table.occasion.contains("the drain is called off"), "{table:?}");
        table.says("default/web-0", "evicted", "");
        table.says("default/stuck", "told to end", "evicted, has not ended");
        handler.says("the node is uncordoned");
        stage.gives_back(&before);
    });
}

#[test]
fn the_drain_ends_with_the_window_that_the_operator_has_set() {
    let stage = Stage::with([quick("default/web-0"), Pod::named("default/stuck").stuck().grace(1)]);
    stage.cloud.target_lifecycle_state("Terminated");
    let handler = launch(&stage).with("ASG_LIFECYCLE_WINDOW", "5s").start();
    handler.says("taken as 5 s from now; 5 s left");
    let table = handler.table();
    assert!(table.occasion.contains("the deadline is reached"), "{table:?}");
    table.says("default/stuck", "still there", "evicted, has not ended");
    stage.polled_more(Endpoint::LifecycleState, 2);
    assert_eq!(handler.said("the Auto Scaling group will terminate"), 1, "once for each notice");
    assert!(stage.cluster.is_cordoned());
}

#[test]
fn a_state_that_nobody_knows_is_said_and_drains_nobody() {
    let stage = Stage::with(quick_pods(2));
    stage.cloud.target_lifecycle_state("Retired");
    let handler = stage.started(launch(&stage));
    handler.says("autoscaling/target-lifecycle-state cannot be polled: ");
    stage.polled(Endpoint::LifecycleState, 2);
    has_only_read_the_node(&stage.cluster);
    stage.cloud.target_lifecycle_state("Terminated");
    handler.table().all_evicted(&names(2));
    assert_eq!(stage.asked(Class::Evict).len(), 2);
}
