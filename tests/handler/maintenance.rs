//! Scheduled events: waited for, moved, cancelled, several at once.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use simulator::{Class, Endpoint, Metadata, Pod};

use crate::child::{Handler, Launch};
use crate::stage::{Stage, has_only_read_the_node, names, quick, quick_pods};

/// A stop of the instance, so far ahead.
pub(crate) fn stop(id: &str, ahead: Duration) -> Value {
    Metadata::event("instance-stop", id, SystemTime::now() + ahead)
}

/// The same event as EC2's history has it.
pub(crate) fn past(event: &Value, state: &str) -> Value {
    let mut past = event.clone();
    let description = event["Description"].as_str().unwrap();
    past["Description"] =
        format!("[{}{}] {description}", state[..1].to_uppercase(), &state[1..]).into();
    past["State"] = state.into();
    past
}

pub(crate) const ID: &str = "instance-event-0d59937288b749b32";
const HOURS: Duration = Duration::from_hours(3);
const MINUTES: Duration = Duration::from_mins(5);

/// Drains begin ten minutes ahead.
pub(crate) fn launch(stage: &Stage) -> Launch<'_> {
    stage.handler().with("MAINTENANCE_LEAD_TIMES", "instance-stop=10m")
}

/// One pod that goes and one that does not: the drain lasts.
fn lasting() -> [Pod; 2] {
    [quick("default/web-0"), Pod::named("default/stuck").stuck().grace(1)]
}

/// Has drained for it as far as it goes.
fn is_draining(handler: &Handler<'_>, stage: &Stage) {
    handler.says("scheduled maintenance: instance-stop");
    handler.says("default/web-0: gone after");
    handler.says("default/stuck: eviction accepted");
    stage.cordons();
}

#[test]
fn an_event_far_ahead_is_waited_for_and_drained_for_when_it_is_moved_nearer() {
    let stage = Stage::with(quick_pods(2));
    stage.cloud.schedule(&[stop(ID, HOURS)]);
    let handler = launch(&stage).start();
    let line = handler.says(&format!("scheduled maintenance: instance-stop ({ID}) at "));
    // Three hours less ten minutes, and less what EC2 leaves out of a second.
    assert!(line.contains("this node is dealt with in 10"), "{line}");
    stage.polled(Endpoint::Scheduled, 2);
    has_only_read_the_node(&stage.cluster);
    stage.cloud.schedule(&[stop(ID, MINUTES)]);
    handler.says_times("scheduled maintenance: instance-stop", 2);
    handler.table().all_evicted(&names(2));
    let note = stage.note().unwrap();
    assert_eq!(note["notice"], format!("scheduled-maintenance/instance-stop/{ID}"), "{note}");
}

#[test]
fn an_event_that_is_moved_nearer_in_its_drain_moves_the_deadline() {
    let stage = Stage::with(lasting());
    stage.cloud.schedule(&[stop(ID, MINUTES)]);
    let handler = launch(&stage).start();
    is_draining(&handler, &stage);
    stage.cloud.schedule(&[stop(ID, Duration::from_secs(12))]);
    handler.says("the instance goes earlier: at ");
    let table = handler.table();
    assert!(table.occasion.contains("the deadline is reached"), "{table:?}");
    table.says("default/stuck", "still there", "evicted, has not ended");
    assert_eq!(handler.said("called off"), 0);
    assert!(stage.cluster.is_cordoned());
}

#[test]
fn an_event_that_is_moved_away_before_its_drain_is_not_drained_for_at_its_first_time() {
    let stage = Stage::with(quick_pods(2));
    stage.cloud.schedule(&[stop(ID, Duration::from_secs(607))]);
    let handler = launch(&stage).start();
    handler.says("this node is dealt with in ");
    stage.cloud.schedule(&[stop(ID, HOURS)]);
    let line = handler.says("moved to another time: scheduled maintenance: instance-stop");
    assert!(line.contains("this node is dealt with in 10"), "{line}");
    // The first time would have come by then.
    stage.polled_more(Endpoint::Scheduled, 2);
    has_only_read_the_node(&stage.cluster);
}

#[test]
fn an_event_that_is_moved_away_in_its_drain_gives_the_node_back_and_is_drained_for_again() {
    let stage = Stage::with(lasting());
    let before = stage.cluster.node();
    stage.cloud.schedule(&[stop(ID, MINUTES)]);
    let handler = launch(&stage).start();
    is_draining(&handler, &stage);
    stage.cloud.schedule(&[stop(ID, HOURS)]);
    handler.says("moved to another time: scheduled maintenance: instance-stop");
    let table = handler.table();
    assert!(table.occasion.contains("the drain is called off"), "{table:?}");
    table.says("default/web-0", "evicted", "");
    handler.says("the node is uncordoned");
    stage.gives_back(&before);

    stage.cluster.add_pod(quick("default/web-1"));
    stage.cloud.schedule(&[stop(ID, MINUTES)]);
    handler.says("default/web-1: gone after");
    stage.cordons();
    assert_eq!(handler.said("the node is cordoned"), 2);
    assert_eq!(handler.said("the drain of "), 2);
}

#[test]
fn an_event_that_is_cancelled_gives_the_node_back_and_is_drained_for_again_when_it_is_announced_again()
 {
    let stage = Stage::with(lasting());
    let before = stage.cluster.node();
    let event = stop(ID, MINUTES);
    stage.cloud.schedule(std::slice::from_ref(&event));
    let handler = launch(&stage).start();
    is_draining(&handler, &stage);
    stage.cloud.schedule(&[]);
    stage.cloud.history(&[past(&event, "canceled")]);
    handler.says(&format!("{ID} was withdrawn; the drain is called off"));
    assert!(handler.table().occasion.contains("the drain is called off"));
    stage.gives_back(&before);

    stage.cluster.add_pod(quick("default/web-1"));
    let again = stop(ID, MINUTES + MINUTES / 2);
    stage.cloud.schedule(std::slice::from_ref(&again));
    handler.says("default/web-1: gone after");
    stage.cordons();
    assert_eq!(handler.said("scheduled maintenance: instance-stop"), 2);
}

#[test]
fn an_event_that_is_cancelled_after_its_drain_gives_the_node_back() {
    let stage = Stage::with(quick_pods(2));
    let before = stage.cluster.node();
    let event = stop(ID, Duration::from_secs(8));
    stage.cloud.schedule(std::slice::from_ref(&event));
    let handler = launch(&stage).start();
    handler.table().all_evicted(&names(2));
    handler.says("the deadline is reached and nothing has changed since the table");
    stage.answers(Class::NodePatch, 2);
    stage.polled_more(Endpoint::Scheduled, 2);
    assert!(stage.cluster.is_cordoned(), "it is late, and stands");
    stage.cloud.schedule(&[]);
    stage.cloud.history(&[past(&event, "completed")]);
    handler.says(&format!("{ID} was withdrawn; a new one would be dealt with again"));
    handler.says("the node is uncordoned");
    stage.gives_back(&before);
}

#[test]
fn an_event_that_is_moved_after_its_drain_is_another_occasion() {
    let stage = Stage::with(quick_pods(2));
    let before = stage.cluster.node();
    stage.cloud.schedule(&[stop(ID, Duration::from_secs(8))]);
    let handler = launch(&stage).start();
    handler.table().all_evicted(&names(2));
    handler.says("the deadline is reached and nothing has changed since the table");
    stage.answers(Class::NodePatch, 2);
    stage.cloud.schedule(&[stop(ID, HOURS)]);
    handler.says("moved to another time: scheduled maintenance: instance-stop");
    handler.says("the node is uncordoned");
    stage.gives_back(&before);
    stage.cluster.add_pod(quick("default/web-2"));
    stage.cloud.schedule(&[stop(ID, MINUTES)]);
    handler.nth_table(2).all_evicted(&["default/web-2"]);
    assert!(stage.cluster.is_cordoned());
}

#[test]
fn an_event_that_is_merely_gone_from_the_list_is_believed_gone_at_the_third_poll() {
    let stage = Stage::with(lasting());
    let before = stage.cluster.node();
    stage.cloud.schedule(&[stop(ID, MINUTES)]);
    let handler = launch(&stage).start();
    is_draining(&handler, &stage);
    let polls = stage.cloud.journal().count(Endpoint::Scheduled);
    stage.cloud.schedule(&[]);
    handler.says(&format!("{ID} was withdrawn; the drain is called off"));
    assert!(stage.cloud.journal().count(Endpoint::Scheduled) >= polls + 3);
    stage.gives_back(&before);
}

#[test]
fn of_several_events_the_earliest_counts_and_the_next_is_drained_for_after_it() {
    let stage = Stage::with(lasting());
    stage.cloud.schedule(&[
        stop("instance-event-later", MINUTES),
        stop("instance-event-first", Duration::from_secs(7)),
        stop("instance-event-far", HOURS),
    ]);
    let handler = launch(&stage).start();
    is_draining(&handler, &stage);
    let line = handler.says("instance-stop (instance-event-first)");
    assert!(line.contains(" s left"), "{line}");
    handler.says("instance-stop (instance-event-far)");
    let table = handler.table();
    assert!(table.occasion.contains("the deadline is reached"), "{table:?}");
    let later = "instance-stop (instance-event-later)";
    let line = handler.says(later);
    assert!(line.contains("the drain that is under way comes first"), "{line}");
    let line = handler.says_times(later, 2);
    assert!(line.contains(" s left"), "{line}");
    handler.says_times("the drain of ", 2);
    assert_eq!(handler.said("uncordoned"), 0);
    assert_eq!(stage.asked(Class::NodePatch)[0].json()["spec"]["unschedulable"], true);
}

#[test]
fn two_events_with_one_id_are_two() {
    let stage = Stage::with(lasting());
    let before = stage.cluster.node();
    let (first, second) = (stop(ID, MINUTES), stop(ID, HOURS));
    stage.cloud.schedule(&[second.clone(), first.clone()]);
    let handler = launch(&stage).start();
    is_draining(&handler, &stage);
    let line = handler.says("this node is dealt with in 10");
    assert!(line.contains(ID), "{line}");
    // The one is done; the other is hours ahead.
    stage.cloud.schedule(&[second]);
    stage.cloud.history(&[past(&first, "completed")]);
    let table = handler.table();
    assert!(table.occasion.contains("the drain is called off"), "{table:?}");
    stage.gives_back(&before);
    stage.polled_more(Endpoint::Scheduled, 3);
    assert_eq!(handler.said("the drain of "), 1);
    assert!(!stage.cluster.is_cordoned());
}
