//! The watch that lists and follows the pods, disturbed in every way.

use std::time::Duration;

use simulator::{Class, Disturbance, Fault, Happening, Pod, WatchList};

use crate::stage::{FAR, Stage, at_once, names, quick, quick_pods};

/// A pod that is slow to stop, so that the watch is still wanted.
fn slow(name: &str) -> Pod {
    Pod::named(name).replica_set("slow").stops_in(Duration::from_secs(3))
}

#[test]
fn a_server_that_streams_no_first_set_is_asked_for_one_list_from_its_cache() {
    at_once(&[("refused", WatchList::Refused), ("ignored", WatchList::Unknown)], |watch_list| {
        let stage = Stage::with(quick_pods(60));
        stage.cluster.watch_list(*watch_list);
        let handler = stage.drain(FAR);
        handler.table().all_evicted(&names(60));
        let lists = stage.asked(Class::List);
        assert_eq!(lists.len(), 1, "{lists:#?}");
        let version = lists[0].parameter("resourceVersion");
        // An ignorant server has told pods before: what it lists must not be older.
        if *watch_list == WatchList::Refused {
            assert_eq!(version, Some("0"), "{lists:#?}");
        } else {
            assert!(version.is_some_and(|version| version != "0"), "{lists:#?}");
            assert_eq!(lists[0].parameter("resourceVersionMatch"), Some("NotOlderThan"));
        }
        assert_eq!(lists[0].parameter("limit"), None, "{lists:#?}");
        assert_eq!(stage.asked(Class::Evict).len(), 60, "nobody is asked twice");
        assert_eq!(handler.said("was lost"), 0, "that is the usual course of things");
    });
}

#[test]
fn evictions_do_not_wait_for_the_end_of_a_list() {
    let stage = Stage::with(quick_pods(60));
    stage.cluster.watch_list(WatchList::Refused);
    stage.cluster.fail(Class::List).with(Fault::CutInBody);
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(60));
    let lists = stage.asked(Class::List);
    assert_eq!(lists.len(), 2, "{lists:#?}");
    let before = stage.asked(Class::Evict).iter().filter(|entry| entry.at < lists[1].at).count();
    assert!(before > 0, "all evictions waited for the end of the list");
    assert_eq!(stage.asked(Class::Evict).len(), 60, "nobody is asked twice");
    // The half of it that came says how new the rest has to be.
    assert_eq!(lists[1].parameter("resourceVersionMatch"), Some("NotOlderThan"), "{lists:#?}");
}

#[test]
fn a_web_page_in_place_of_the_watch_is_one_line_and_no_pod() {
    let stage = Stage::with(quick_pods(5));
    stage.cluster.fail(Class::Watch).times(2).with(Fault::Html(200));
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(5));
    handler.says("what came is no watch of pods: a line of 15 bytes is not an event in JSON");
    assert_eq!(handler.said("no watch of pods"), 1);
    assert_eq!(handler.said("could not be read"), 0);
}

#[test]
fn what_could_not_be_read_once_and_was_read_later_is_counted_no_more() {
    let stage = Stage::with([slow("default/slow-0")]);
    let garbage = Disturbance::Bytes(b"{\"half\n".to_vec());
    stage.cluster.fail(Class::Watch).with(Fault::Watch(1, garbage));
    let handler = stage.drain(FAR);
    handler.says("a pod could not be read and is not in the table");
    stage.cluster.disturb_watches(Disturbance::Expired);
    handler.table().all_evicted(&["default/slow-0"]);
}

#[test]
fn a_list_that_fails_is_asked_again_and_no_pod_is_lost() {
    at_once(
        &[
            ("410", Fault::Code(410)),
            ("500", Fault::Code(500)),
            ("throttled", Fault::Throttled(Some(1))),
            ("HTML", Fault::Html(200)),
            ("cut before", Fault::CutBeforeAnswer),
            ("cut in the body", Fault::CutInBody),
            ("not UTF-8", Fault::NotUtf8),
            ("endless", Fault::EndlessBody),
            ("hangs", Fault::Hang),
        ],
        |fault| {
            let stage = Stage::with(quick_pods(60));
            stage.cluster.watch_list(WatchList::Refused);
            stage.cluster.fail(Class::List).times(2).with(fault.clone());
            let handler = stage.drain(FAR);
            handler.table().all_evicted(&names(60));
            assert_eq!(stage.asked(Class::Evict).len(), 60, "nobody is asked twice");
        },
    );
}

#[test]
fn a_watch_that_is_disturbed_is_opened_again_and_every_end_is_seen() {
    at_once(
        &[
            ("410", (Disturbance::Expired, "410")),
            ("no code", (Disturbance::ErrorWithoutCode, "the API server ended the watch of pods")),
            ("cut", (Disturbance::CutLine, "cut short")),
        ],
        |(disturbance, words)| {
            let stage = Stage::with([slow("default/slow-0"), slow("default/slow-1")]);
            let handler = stage.drain(FAR);
            handler.says_times("eviction accepted", 2);
            stage.cluster.disturb_watches(disturbance.clone());
            let line = handler.says("the watch of this node's pods was lost and is opened again");
            assert!(line.contains(words), "{line}");
            handler.table().all_evicted(&["default/slow-0", "default/slow-1"]);
            assert_eq!(handler.said("was lost and is opened again"), 1);
            assert!(stage.asked(Class::Watch).len() > 1);
        },
    );
}

#[test]
fn a_watch_that_ends_as_it_should_is_no_news_and_goes_on() {
    let stage = Stage::with([slow("default/slow-0")]);
    let handler = stage.drain(FAR);
    handler.says("eviction accepted");
    stage.cluster.disturb_watches(Disturbance::Ended);
    handler.table().all_evicted(&["default/slow-0"]);
    assert_eq!(handler.said("was lost"), 0);
    assert_eq!(stage.asked(Class::Watch).len(), 2);
}

#[test]
fn a_first_set_that_is_cut_in_the_middle_is_told_anew() {
    let stage = Stage::with(quick_pods(10));
    stage.cluster.fail(Class::Watch).with(Fault::Watch(4, Disturbance::CutLine));
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(10));
    assert_eq!(stage.asked(Class::Evict).len(), 10, "nobody is asked twice");
}

#[test]
fn a_watch_that_is_not_had_at_first_is_asked_for_again() {
    at_once(
        &[
            ("500", Fault::Code(500)),
            ("throttled", Fault::Throttled(Some(1))),
            ("HTML", Fault::Html(200)),
            ("HTML 503", Fault::Html(503)),
            ("no code", Fault::StatusWithoutCode(500)),
            ("cut", Fault::CutBeforeAnswer),
            ("not UTF-8", Fault::NotUtf8),
            ("endless head", Fault::EndlessHead),
            ("hang", Fault::Hang),
        ],
        |fault| {
            let stage = Stage::with(quick_pods(5));
            stage.cluster.fail(Class::Watch).times(2).with(fault.clone());
            let handler = stage.drain(FAR);
            let table = handler.table();
            for pod in names(5) {
                table.says(&pod, "evicted", "");
            }
            stage.left(&[]);
        },
    );
}

#[test]
fn pods_that_vanish_while_nobody_watches_are_noticed() {
    let stage = Stage::with([slow("default/slow-0"), Pod::named("default/stuck").stuck()]);
    let handler = stage.drain(FAR);
    handler.says_times("eviction accepted", 2);
    stage.cluster.fail(Class::Watch).times(3).with(Fault::Code(503));
    stage.cluster.disturb_watches(Disturbance::CutLine);
    stage.asks(Class::Watch, 2);
    stage.cluster.remove_pod("default/stuck");
    stage.cluster.compact();
    let table = handler.table();
    table.says("default/slow-0", "evicted", "");
    table.says("default/stuck", "evicted", "");
    handler.says("default/stuck: gone after");
}

#[test]
fn a_pod_of_more_than_a_megabyte_goes_like_any_other() {
    at_once(&[("streamed", WatchList::Offered), ("listed", WatchList::Refused)], |watch_list| {
        let stage = Stage::with(quick_pods(3));
        stage.cluster.add_pod(quick("default/web-3").size(1_400_000));
        stage.cluster.watch_list(*watch_list);
        let handler = stage.drain(FAR);
        handler.table().all_evicted(&names(4));
    });
}

#[test]
fn a_line_of_more_than_four_megabytes_is_skipped_said_and_never_counted_as_gone() {
    let stage = Stage::with(quick_pods(3));
    // After the first set: while that is read, a line that takes its time is taken for an old
    // server's silence, and the pods are listed instead.
    stage.cluster.fail(Class::Watch).with(Fault::Watch(4, Disturbance::LongLine(5 * 1024 * 1024)));
    let handler = stage.drain(FAR);
    let line = handler.says("a pod could not be read and is not in the table");
    assert!(line.contains("a line of 5242880 bytes"), "{line}");
    stage.left(&[]);
    let table = handler.table();
    assert!(table.sum.contains("1 more could not be read and are not in this table"), "{table:?}");
    assert_eq!(handler.said("nothing is left that was to go"), 0, "nobody knows that");
}

#[test]
fn lines_that_are_no_events_are_said_and_skipped() {
    at_once(
        &[
            ("not UTF-8", (&b"\xff\xfe\n"[..], "a line of 2 bytes is not UTF-8")),
            ("HTML", (b"<html>\n", "a line of 6 bytes is not an event in JSON")),
            ("no pod", (b"{\"type\":\"ADDED\",\"object\":{}}\n", "a pod has no metadata")),
            ("unknown", (b"{\"type\":\"MOVED\",\"object\":{}}\n", "no event of type MOVED")),
        ],
        |(bytes, words)| {
            let stage = Stage::with(quick_pods(3));
            let disturbance = Disturbance::Bytes(bytes.to_vec());
            stage.cluster.fail(Class::Watch).with(Fault::Watch(1, disturbance));
            let handler = stage.drain(FAR);
            let line = handler.says("a pod could not be read and is not in the table");
            assert!(line.contains(words), "{line}");
            stage.left(&[]);
            for pod in names(3) {
                handler.table().says(&pod, "evicted", "");
            }
        },
    );
}

#[test]
fn a_pod_of_another_node_is_never_touched() {
    let stage = Stage::with(quick_pods(2));
    stage.cluster.add_pod(quick("default/far").on_node("another"));
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(2));
    stage.left(&["default/far"]);
    assert!(stage.cluster.journal().of_pod("default/far").is_empty());
}

#[test]
fn where_watching_is_forbidden_pods_are_listed_again_and_again() {
    let stage = Stage::with([slow("default/slow-0")]);
    stage.cluster.forbid(Class::Watch);
    let handler = stage.drain(FAR);
    let line = handler.says("`watch` on `pods` must be granted");
    assert!(line.contains("403"), "{line}");
    handler.table().all_evicted(&["default/slow-0"]);
    stage.happens(|what| matches!(what, Happening::Gone { by_itself: true, .. }));
}

#[test]
fn a_watch_that_tells_nothing_any_more_is_opened_anew_from_where_it_was() {
    let stage = Stage::with([slow("default/slow-0"), slow("default/slow-1")]);
    // Its first set is told: two pods and the bookmark.
    stage.cluster.fail(Class::Watch).with(Fault::Watch(3, Disturbance::Silence));
    let handler = stage.drain(FAR);
    handler.says_times("eviction accepted", 2);
    stage.cluster.add_pod(quick("default/late"));
    // The server's bookmarks keep a watch from being silent for longer than a minute.
    let opened_anew = stage.cluster.journal().wait_until(Duration::from_secs(90), |entries| {
        entries.iter().filter(|entry| entry.kind == Class::Watch).count() == 2
    });
    assert!(opened_anew, "{}", stage.cluster.journal());
    handler.says("default/late: arrived late, goes too");
    handler.table().all_evicted(&["default/slow-0", "default/slow-1", "default/late"]);
    let watches = stage.asked(Class::Watch);
    assert_eq!(watches.len(), 2);
    assert!(watches[1].parameter("sendInitialEvents").is_none(), "all is told anew: {watches:?}");
    assert_eq!(stage.asked(Class::List).len(), 0);
}
