//! The metadata service, good, bad and hostile.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use simulator::{Class, Endpoint, Fault, Pod, Version};

use crate::stage::{
    FAR, Stage, at_once, has_only_read_the_node, names, quick_pods, time_ago, time_in,
};

const ACTION: &str = "/latest/meta-data/spot/instance-action";
const TERMINATION_TIME: &str = "/latest/meta-data/spot/termination-time";

#[test]
fn one_token_serves_many_polls_and_a_refused_one_is_renewed() {
    let stage = Stage::with(quick_pods(2));
    let handler = stage.start();
    stage.polled_on(0, 4);
    stage.polled(Endpoint::Scheduled, 1);
    let tokens = || stage.cloud.journal().count(Endpoint::Token);
    // One for the path whose seconds count, and one for all others.
    assert_eq!(tokens(), 2);
    stage.cloud.expire_tokens();
    stage.polled_on(stage.polls(), 4);
    stage.polled(Endpoint::Scheduled, 3);
    assert_eq!(tokens(), 4);
    assert_eq!(handler.said("cannot be polled"), 0, "that is the usual course of things");
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
}

#[test]
fn where_no_tokens_are_offered_it_goes_on_without_and_says_so_once() {
    at_once(&[("404", 404), ("405", 405)], |code| {
        let stage = Stage::with(quick_pods(2));
        stage.cloud.speak(Version::V1Only(*code));
        let handler = stage.start();
        let line = handler.says("the metadata service offers no IMDSv2");
        assert!(line.contains(&code.to_string()) && line.contains("IMDSv1 is used"), "{line}");
        stage.polled_on(0, 4);
        assert_eq!(handler.said("IMDSv1"), 1);
        stage.polled(Endpoint::Scheduled, 1);
        // One for the path whose seconds count, and one for all others.
        assert_eq!(stage.cloud.journal().count(Endpoint::Token), 2);
        stage.cloud.announce_in(FAR);
        handler.table().all_evicted(&names(2));
    });
}

#[test]
fn where_no_tokens_are_offered_and_the_operator_insists_it_asks_nothing_without() {
    let stage = Stage::with([]);
    stage.cloud.speak(Version::V1Only(404));
    let handler = stage.handler().with("IMDS_V1_FALLBACK", "false").start();
    let line = handler.says("spot/instance-action cannot be polled");
    assert!(line.contains("IMDS_V1_FALLBACK=false forbids") && line.contains("404"), "{line}");
    // One for each path, and one of them again.
    stage.polled(Endpoint::Token, 4);
    assert_eq!(stage.cloud.journal().len(), stage.cloud.journal().count(Endpoint::Token));
    assert_eq!(handler.said("spot/instance-action cannot be polled"), 1);
}

#[test]
fn a_bad_answer_is_told_once_with_its_status_and_length_and_the_next_good_one_drains() {
    at_once(
        &[
            ("500", (Fault::Code(500), "status 500, ")),
            ("503", (Fault::Code(503), "status 503, ")),
            ("403", (Fault::Code(403), "--http-endpoint enabled")),
            ("throttled", (Fault::Throttled(None), "status 429, ")),
            ("HTML", (Fault::Html(200), "status 200, 59 bytes: HTML")),
            ("cut short", (Fault::CutInBody, "with status 200 was cut short after ")),
            ("not UTF-8", (Fault::NotUtf8, "bytes: not UTF-8")),
            ("endless body", (Fault::EndlessBody, "with status 200 is longer than 16384 bytes")),
            (
                "endless head",
                (
                    Fault::EndlessHead,
                    "the head of the answer of the server is longer than 8190 bytes",
                ),
            ),
            ("cut before", (Fault::CutBeforeAnswer, "it has no status line")),
            ("hangs", (Fault::Hang, "no complete answer of the server within 1.0s")),
        ],
        |(fault, words)| {
            let stage = Stage::with(quick_pods(2));
            stage.cloud.fail(Endpoint::InstanceAction).times(2).with(fault.clone());
            stage.cloud.announce_in(FAR);
            let handler = stage.handler().start();
            let line = handler.says("cannot be polled");
            assert!(line.contains(words), "{line}");
            let asked = format!("GET {}{ACTION}: ", stage.cloud.url());
            assert!(line.contains(&asked), "{line}");
            handler.says("answers again, after 2 failed polls");
            assert_eq!(handler.said("cannot be polled"), 1);
            handler.table().all_evicted(&names(2));
        },
    );
}

#[test]
fn what_is_no_document_is_told_with_its_length_and_the_next_good_one_drains() {
    at_once(
        &[
            ("empty", ("", "status 200, 0 bytes: an empty answer")),
            ("half a document", ("{\"action\": \"term", "status 200, 16 bytes: not JSON")),
            ("another document", ("{\"error\": \"x\"}", "neither an action nor a time")),
        ],
        |(body, words)| {
            let stage = Stage::with(quick_pods(2));
            stage.cloud.set("spot/instance-action", *body);
            let handler = stage.start();
            let line = handler.says("cannot be polled");
            assert!(line.contains(words), "{line}");
            stage.polled_on(stage.polls(), 3);
            assert_eq!(handler.said("cannot be polled"), 1);
            has_only_read_the_node(&stage.cluster);
            stage.cloud.announce_in(FAR);
            handler.table().all_evicted(&names(2));
        },
    );
}

#[test]
fn answers_without_end_fill_no_memory() {
    let stage = Stage::with([]);
    let usual = stage.start();
    let before = usual.peak_memory();
    drop(usual);
    for endpoint in [Endpoint::Token, Endpoint::InstanceAction] {
        stage.cloud.fail(endpoint).with(Fault::EndlessBody);
        stage.cloud.fail(endpoint).with(Fault::EndlessHead);
    }
    let handler = stage.handler().start();
    // Then none is left of those answers, whoever got them.
    handler.says("spot/instance-action answers again, after ");
    let after = handler.peak_memory();
    assert!(after < before + 4 * 1024, "{before} KiB, then {after} KiB");
}

#[test]
fn a_redirect_is_not_followed_and_nobody_else_gets_the_token() {
    let stage = Stage::with([]);
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let target = format!("http://{}{ACTION}", elsewhere.local_addr().unwrap());
    for endpoint in [Endpoint::InstanceAction, Endpoint::Token] {
        stage.cloud.fail(endpoint).with(Fault::Redirect(target.clone()));
    }
    let handler = stage.handler().start();
    let line = handler.says("cannot be polled");
    assert!(line.contains("status 302, a redirect. It is not followed"), "{line}");
    // Then none is left of those answers, whoever got them.
    handler.says("spot/instance-action answers again, after ");
    let nobody = elsewhere.accept().map(|(_, address)| address);
    assert!(
        nobody.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "{nobody:?}"
    );
}

#[test]
fn a_black_hole_does_not_pile_up_threads_or_lines() {
    let stage = Stage::with(quick_pods(2));
    let notice_url = format!("{}{TERMINATION_TIME}", stage.cloud.url());
    let handler = stage.handler().with("NOTICE_URL", notice_url).start();
    stage.polled_on(0, 1);
    stage.cloud.become_silent();
    handler.says_times("cannot be polled", 3);
    let mut most = 0;
    for _ in 0..50 {
        most = most.max(handler.threads());
        thread::sleep(Duration::from_millis(100));
    }
    // Main, the log, a poller for each of two paths whose seconds count and one for the maintenance,
    // and two at most that ask for each.
    assert!(most <= 11, "{most} threads");
    assert!(stage.cloud.open_connections() <= 6, "{}", stage.cloud.open_connections());
    assert_eq!(handler.said("cannot be polled"), 3, "once for each path");
    stage.cloud.heal();
    handler.says_times("answers again", 3);
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
}

#[test]
fn a_notice_url_with_a_bare_time_and_a_newline_is_a_notice() {
    let stage = Stage::with(quick_pods(2));
    let notice_url = format!("{}{TERMINATION_TIME}", stage.cloud.url());
    let handler = stage.handler().with("NOTICE_URL", &notice_url).start();
    handler.says(&format!("Polling {notice_url} every 1 second(s)"));
    stage.polled_on(0, 1);
    let time = time_in(FAR);
    stage.cloud.set("spot/termination-time", format!("{time}\n"));
    let line = handler.says("spot interruption: ");
    assert!(line.contains(&format!("terminate at {time}; ")), "{line}");
    handler.table().all_evicted(&names(2));
}

#[test]
fn a_termination_time_that_is_no_time_is_no_notice() {
    let stage = Stage::with(quick_pods(2));
    stage.cloud.set("spot/termination-time", "not yet\n");
    let notice_url = format!("{}{TERMINATION_TIME}", stage.cloud.url());
    let handler = stage.handler().with("NOTICE_URL", notice_url).start();
    let asked = |entries: &[simulator::Entry<Endpoint>]| {
        entries.iter().filter(|entry| entry.kind == Endpoint::TerminationTime).count() > 3
    };
    assert!(stage.cloud.journal().wait_until(crate::child::PATIENCE, asked));
    has_only_read_the_node(&stage.cluster);
    assert_eq!(handler.said("cannot be polled") + handler.said("spot interruption: "), 0);
}

#[test]
fn both_paths_with_the_same_notice_make_one_drain() {
    let stage = Stage::with(quick_pods(2));
    let notice_url = format!("{}{TERMINATION_TIME}", stage.cloud.url());
    let handler = stage.handler().with("NOTICE_URL", notice_url).start();
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
    stage.polled_on(stage.polls(), 3);
    assert_eq!((handler.said("spot interruption: "), handler.said("takes over")), (1, 0));
    assert_eq!(stage.asked(Class::Evict).len(), 2);
}

#[test]
fn a_time_that_cannot_be_used_drains_at_once_and_says_so() {
    let (past, far) = (time_ago(Duration::from_secs(90)), time_in(Duration::from_hours(30)));
    at_once(
        &[
            ("garbage", ("soon", "a time that it does not tell: taken as 120 s from now")),
            ("nothing", ("", "a time that it does not tell: taken as 120 s from now")),
            ("over", (past.as_str(), "which is over: taken as 120 s from now")),
            ("far", (far.as_str(), "too far ahead to be true: taken as 120 s from now")),
        ],
        |(time, words)| {
            let stage = Stage::with(quick_pods(2));
            let handler = stage.start();
            stage.cloud.announce("terminate", time);
            let line = handler.says("spot interruption: ");
            assert!(line.contains(words), "{line}");
            handler.table().all_evicted(&names(2));
        },
    );
}

#[test]
fn a_time_too_far_ahead_to_be_true_counts_as_the_usual_window_from_now() {
    let stage = Stage::with([]);
    let handler = stage.drain(Duration::from_mins(7));
    let line = handler.says("which is too far ahead to be true: taken as 120 s from now");
    assert!(line.contains("; 120 s left"), "{line}");
}

#[test]
fn a_time_too_far_ahead_counts_as_the_window_that_the_operator_has_set() {
    let stage = Stage::with([Pod::named("default/stuck").stuck().grace(1)]);
    stage.cloud.announce_in(Duration::from_mins(7));
    let handler = stage.handler().with("NODE_TERMINATION_GRACE_PERIOD", "6").start();
    handler.says("which is too far ahead to be true: taken as 6 s from now");
    let table = handler.table();
    assert!(table.occasion.contains("the deadline is reached"), "{table:?}");
    table.says("default/stuck", "still there", "evicted, has not ended");
}
