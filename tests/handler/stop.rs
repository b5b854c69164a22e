//! SIGTERM: idle, in a drain, and when the time after it is short.

use std::time::Duration;

use serde_json::json;
use simulator::{Class, Disturbance, HANDLER_POD, Pod};

use crate::child::Handler;
use crate::stage::{FAR, Stage, has_only_read_the_node, names, quick, quick_pods, time_in};

#[test]
fn an_idle_handler_ends_at_once_with_0() {
    let stage = Stage::with(quick_pods(1));
    let mut handler = stage.start();
    handler.terminate();
    assert_eq!(handler.ended().code(), Some(0));
    assert_eq!(handler.said("SIGTERM: ends, nothing was under way"), 1);
    has_only_read_the_node(&stage.cluster);
}

#[test]
fn a_drain_goes_on_after_sigterm_to_its_end() {
    let stage = Stage::with([quick("default/web-0").stops_in(Duration::from_secs(3))]);
    let mut handler = stage.drain(FAR);
    handler.says("eviction accepted");
    handler.terminate();
    let line = handler.says("SIGTERM: the drain goes on, for ");
    assert!(line.contains("its deadline stays"), "{line}");
    assert!(handler.is_running());
    assert_eq!(handler.ended().code(), Some(0));
    handler.table().all_evicted(&names(1));
}

#[test]
fn a_handler_whose_own_grace_is_short_hands_over_in_time() {
    let stuck = Pod::named("default/stuck").stuck();
    let stage = Stage::with([Pod::handler().grace(5), quick("default/web-0"), stuck]);
    let mut handler = stage.drain(FAR);
    handler.says("default/web-0: gone after");
    handler.terminate();
    handler.says("SIGTERM: the drain goes on, for 3 s at most");
    assert_eq!(handler.ended().code(), Some(0));
    let table = handler.table();
    assert!(table.occasion.contains("this process has to end"), "{table:?}");
    table.says("default/stuck", "handed over", "evicted, has not ended");
    table.says("default/web-0", "evicted", "");
    table.says(HANDLER_POD, "left alone", "own pod");
    assert!(stage.cluster.is_cordoned(), "the marks stay");
}

#[test]
fn a_handler_after_its_drain_ends_at_once() {
    let stage = Stage::with(quick_pods(2));
    let mut handler = stage.drain(FAR);
    handler.table().all_evicted(&names(2));
    handler.terminate();
    assert_eq!(handler.ended().code(), Some(0));
    assert_eq!(stage.asked(Class::Evict).len(), 2);
}

#[test]
fn sigterm_twice_is_sigterm() {
    let stage = Stage::with([quick("default/web-0").stops_in(Duration::from_secs(2))]);
    let mut handler = stage.drain(FAR);
    handler.says("eviction accepted");
    handler.terminate();
    handler.terminate();
    assert_eq!(handler.ended().code(), Some(0));
    assert_eq!(handler.said("SIGTERM"), 1);
    handler.table().all_evicted(&names(1));
}

/// The watch tells that the own pod was deleted with this grace, in seconds.
fn own_pod_is_deleted(stage: &Stage, grace: u64) {
    let mut pod = stage.cluster.pod(HANDLER_POD).unwrap();
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    pod["metadata"]["deletionTimestamp"] = json!(time_in(Duration::from_secs(grace)));
    let line = format!("{}\n", json!({ "type": "MODIFIED", "object": pod }));
    stage.cluster.disturb_watches(Disturbance::Bytes(line.into_bytes()));
}

/// It has handed over what was open, long before the deadline.
fn has_handed_over(handler: &mut Handler<'_>) {
    assert_eq!(handler.ended().code(), Some(0));
    let table = handler.table();
    assert!(table.occasion.contains("this process has to end"), "{table:?}");
    table.says("default/stuck", "handed over", "evicted, has not ended");
    table.says(HANDLER_POD, "left alone", "own pod");
}

#[test]
fn a_grace_that_the_own_pod_was_deleted_with_counts_and_not_that_of_its_spec() {
    let stage = Stage::with([Pod::handler(), Pod::named("default/stuck").stuck()]);
    let mut handler = stage.drain(FAR);
    handler.says("default/stuck: eviction accepted");
    own_pod_is_deleted(&stage, 8);
    // What comes after it was read after it.
    stage.cluster.add_pod(quick("default/late"));
    handler.says("default/late: gone after");
    handler.terminate();
    handler.says("SIGTERM: the drain goes on, for 6 s at most");
    has_handed_over(&mut handler);
}

#[test]
fn a_deletion_of_the_own_pod_that_is_seen_after_sigterm_counts_too() {
    let stage = Stage::with([Pod::handler(), Pod::named("default/stuck").stuck()]);
    let mut handler = stage.drain(FAR);
    handler.says("default/stuck: eviction accepted");
    handler.terminate();
    handler.says("SIGTERM: the drain goes on, for 1");
    own_pod_is_deleted(&stage, 8);
    has_handed_over(&mut handler);
}
