//! `spot/termination-time`, the older path of an interruption: alone, beside the newer one, and with
//! times that are over.

use std::time::Duration;

use simulator::{Class, Endpoint};

use crate::child::Launch;
use crate::stage::{
    FAR, Stage, at_once, has_only_read_the_node, names, quick, quick_pods, time_ago, time_in,
};

const PATH: &str = "spot/termination-time";

/// How the path may come to be polled: by itself, or at the operator's address.
const WAYS: [(&str, bool); 2] = [("by itself", false), ("as NOTICE_URL", true)];

fn launch(stage: &Stage, by_address: bool) -> Launch<'_> {
    let launch = stage.handler();
    if !by_address {
        return launch;
    }
    launch.with("NOTICE_URL", format!("{}/latest/meta-data/{PATH}", stage.cloud.url()))
}

#[test]
fn a_time_to_come_drains_once_though_the_newer_path_says_nothing() {
    at_once(&WAYS, |by_address| {
        let stage = Stage::with(quick_pods(2));
        let handler = stage.started(launch(&stage, *by_address));
        stage.polled(Endpoint::TerminationTime, 1);
        let time = time_in(FAR);
        stage.cloud.set(PATH, time.clone());
        let line = handler.says("spot interruption: ");
        assert!(line.contains(&format!("terminate at {time}; ")), "{line}");
        handler.table().all_evicted(&names(2));
        stage.polled_more(Endpoint::TerminationTime, 2);
        assert_eq!(handler.said("spot interruption: "), 1);
        assert_eq!(stage.asked(Class::Evict).len(), 2);
    });
}

#[test]
fn both_paths_with_one_time_are_one_notice() {
    at_once(&WAYS, |by_address| {
        let stage = Stage::with(quick_pods(2));
        stage.cloud.announce_in(FAR);
        let handler = launch(&stage, *by_address).start();
        handler.table().all_evicted(&names(2));
        stage.polled_more(Endpoint::TerminationTime, 2);
        stage.polled_more(Endpoint::InstanceAction, 2);
        assert_eq!(handler.said("spot interruption: "), 1);
        for words in ["takes over", "comes first", "earlier"] {
            assert_eq!(handler.said(words), 0, "{words}");
        }
        assert_eq!((stage.asked(Class::Evict).len(), stage.asked(Class::NodePatch).len()), (2, 1));
    });
}

#[test]
fn a_time_that_is_over_says_nothing_there() {
    at_once(&WAYS, |by_address| {
        let stage = Stage::with(quick_pods(2));
        stage.cloud.set(PATH, time_ago(Duration::from_secs(90)));
        let handler = stage.started(launch(&stage, *by_address));
        stage.polled(Endpoint::TerminationTime, 3);
        has_only_read_the_node(&stage.cluster);
        assert_eq!(handler.said("spot interruption: ") + handler.said("cannot be polled"), 0);
        // It is no obstacle to what comes after it.
        stage.cloud.announce_in(FAR);
        handler.table().all_evicted(&names(2));
    });
}

#[test]
fn an_interruption_whose_time_stays_in_the_past_is_drained_for_once() {
    let stage = Stage::with(quick_pods(2));
    let time = time_ago(Duration::from_secs(20));
    stage.cloud.announce("terminate", &time);
    let launch = || stage.handler().with("NODE_TERMINATION_GRACE_PERIOD", "4");
    let handler = launch().start();
    let line = handler.says("spot interruption: ");
    let words = format!("at {time}, which is over: taken as 4 s from now; 4 s left");
    assert!(line.contains(&words), "{line}");
    handler.table().all_evicted(&names(2));
    handler.says("the deadline is reached and nothing has changed since the table");
    // The Node remembers that.
    stage.answers(Class::NodePatch, 2);
    stage.cluster.add_pod(quick("default/later"));
    stage.polled_more(Endpoint::InstanceAction, 4);
    assert_eq!(handler.said("spot interruption: "), 1);
    drop(handler);
    let second = stage.started(launch());
    second.says("notice spot-interruption/terminate was dealt with before");
    stage.polled_more(Endpoint::InstanceAction, 3);
    assert_eq!(stage.cluster.pods(), ["default/later"]);
    assert!(stage.cluster.is_cordoned(), "the notice stands");
}
