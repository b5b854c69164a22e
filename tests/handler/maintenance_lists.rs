//! The two lists of maintenance: where they contradict each other, and where they cannot be read.

use std::time::Duration;

use simulator::{Endpoint, Fault, Pod};

use crate::maintenance::{ID, launch, past, stop};
use crate::stage::{FAR, Stage, at_once, has_only_read_the_node, names, quick, quick_pods};

const SCHEDULED: &str = "events/maintenance/scheduled";
const MINUTES: Duration = Duration::from_mins(5);

#[test]
fn an_event_that_the_history_has_is_over_though_it_is_still_listed() {
    at_once(&[("completed", "completed"), ("canceled", "canceled")], |state| {
        let stage = Stage::with([quick("default/web-0"), Pod::named("default/stuck").stuck()]);
        let before = stage.cluster.node();
        let event = stop(ID, MINUTES);
        stage.cloud.schedule(std::slice::from_ref(&event));
        stage.cloud.history(&[past(&event, state)]);
        let handler = stage.started(launch(&stage));
        stage.polled(Endpoint::History, 2);
        has_only_read_the_node(&stage.cluster);
        assert_eq!(handler.said("scheduled maintenance"), 0);

        // At another time it is another event.
        let again = stop(ID, Duration::from_secs(570));
        stage.cloud.schedule(&[again.clone(), event.clone()]);
        handler.says("default/web-0: gone after");
        stage.cordons();
        stage.cloud.history(&[past(&event, state), past(&again, state)]);
        handler.says(&format!("{ID} was withdrawn; the drain is called off"));
        stage.gives_back(&before);
    });
}

#[test]
fn a_list_of_events_that_cannot_be_read_is_said_once_and_holds_up_nothing_else() {
    at_once(
        &[
            ("500", (Some(Fault::Code(500)), "", "status 500, ")),
            ("HTML", (Some(Fault::Html(200)), "", "HTML")),
            ("cut", (Some(Fault::CutInBody), "", "was cut short after ")),
            ("endless", (Some(Fault::EndlessBody), "", "longer than 16384 bytes")),
            ("hangs", (Some(Fault::Hang), "", "no complete answer of the server within 1.0s")),
            ("garbage", (None, "{\"Code\": \"instance-stop\"", "not JSON")),
            ("no event", (None, "[{\"a\": 1}]", "event")),
        ],
        |(fault, body, words)| {
            let stage = Stage::with(quick_pods(2));
            match fault {
                Some(fault) => stage.cloud.fail(Endpoint::Scheduled).always().with(fault.clone()),
                None => stage.cloud.set(SCHEDULED, *body),
            }
            let handler = stage.started(launch(&stage));
            let line = handler.says(&format!("{SCHEDULED} cannot be polled: "));
            assert!(line.contains(words), "{line}");
            stage.polled(Endpoint::Scheduled, 2);
            assert_eq!(handler.said("cannot be polled"), 1);
            has_only_read_the_node(&stage.cluster);
            stage.cloud.announce_in(FAR);
            handler.table().all_evicted(&names(2));
            assert_eq!(handler.said("cannot be polled"), 1);
        },
    );
}

#[test]
fn a_list_that_cannot_be_read_in_a_drain_calls_nothing_off() {
    let stage = Stage::with([quick("default/web-0"), Pod::named("default/stuck").stuck()]);
    stage.cloud.schedule(&[stop(ID, MINUTES)]);
    let handler = launch(&stage).start();
    handler.says("default/web-0: gone after");
    stage.cloud.fail(Endpoint::Scheduled).times(1).with(Fault::Code(500));
    stage.cloud.fail(Endpoint::Scheduled).times(1).with(Fault::Html(200));
    handler.says("events/maintenance/scheduled answers again, after 2 failed polls");
    stage.cluster.add_pod(quick("default/late"));
    handler.says("default/late: gone after");
    assert_eq!((handler.said("withdrawn"), handler.said("called off")), (0, 0));
    assert!(stage.cluster.is_cordoned());
}

#[test]
fn a_history_that_cannot_be_read_hides_nothing_that_is_planned() {
    at_once(
        &[
            ("500", (Some(Fault::Code(500)), "")),
            ("404", (Some(Fault::Code(404)), "")),
            ("HTML", (Some(Fault::Html(200)), "")),
            ("hangs", (Some(Fault::Hang), "")),
            ("garbage", (None, "[{\"EventId\": ")),
            ("nothing", (None, "")),
        ],
        |(fault, body)| {
            let stage = Stage::with(quick_pods(2));
            match fault {
                Some(fault) => stage.cloud.fail(Endpoint::History).always().with(fault.clone()),
                None => stage.cloud.set("events/maintenance/history", *body),
            }
            stage.cloud.schedule(&[stop(ID, MINUTES)]);
            let handler = launch(&stage).start();
            handler.table().all_evicted(&names(2));
            stage.polled(Endpoint::Scheduled, 3);
            stage.polled(Endpoint::History, 3);
            assert_eq!((handler.said("withdrawn"), handler.said("the drain of ")), (0, 1));
            assert!(stage.cluster.is_cordoned());
        },
    );
}
