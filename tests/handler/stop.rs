//! SIGTERM: idle, in a drain, and when the time after it is short.

use std::time::Duration;

use simulator::{Class, HANDLER_POD, Pod};

use crate::stage::{FAR, Stage, names, quick, quick_pods};

#[test]
fn an_idle_handler_ends_at_once_with_0() {
    let stage = Stage::with(quick_pods(1));
    let mut handler = stage.start();
    handler.terminate();
    assert_eq!(handler.ended().code(), Some(0));
    assert_eq!(handler.said("SIGTERM: ends, nothing was under way"), 1);
    assert!(stage.cluster.journal().is_empty());
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
