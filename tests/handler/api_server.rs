//! An API server that fails in the middle of a drain, in every way it can. The drain ends with every
//! pod gone all the same, or says of each why not.

use std::time::Duration;

use simulator::{Budget, Class, Disturbance, Fault, Framing, Happening};

use crate::stage::{FAR, Stage, at_once, names, quick, quick_pods};

const POD: &str = "default/web-0";

#[test]
fn whatever_evictions_are_answered_for_a_while_every_pod_goes() {
    at_once(
        &[
            ("500", (Fault::Code(500), "500: the stand-in was told to fail")),
            ("503", (Fault::Code(503), "503: ")),
            ("408", (Fault::Code(408), "408: ")),
            ("504", (Fault::Code(504), "504: ")),
            ("429 for a second", (Fault::Throttled(Some(1)), "429: too many requests")),
            ("429 without a cause", (Fault::Throttled(None), "429: too many requests")),
            ("leader changed", (Fault::LeaderChanged, "500: etcdserver: leader changed")),
            ("closed before", (Fault::CutBeforeAnswer, "the API server did not answer")),
            ("HTML", (Fault::Html(200), "200, but its 59 bytes are not what was asked for")),
            ("HTML 502", (Fault::Html(502), "502, with 59 bytes that say no reason")),
            ("no code", (Fault::StatusWithoutCode(500), "500, with 68 bytes that say no reason")),
            ("a redirect", (Fault::Redirect("https://elsewhere/".to_owned()), "302, with 9 bytes")),
            ("endless head", (Fault::EndlessHead, "what the API server answers is not HTTP")),
            (
                "endless body",
                (
                    Fault::EndlessBody,
                    "the body of the answer of the API server with status 200 is longer than",
                ),
            ),
        ],
        |(fault, words)| {
            let stage = Stage::with(quick_pods(6));
            stage.cluster.fail(Class::Evict).times(9).with(fault.clone());
            let handler = stage.drain(FAR);
            let line = handler.says("; retried for ");
            assert!(line.contains(words), "{line}");
            assert!(line.contains("POST /api/v1/namespaces/default/pods/web-"), "{line}");
            handler.table().all_evicted(&names(6));
            handler.says("the API server answers again, after ");
            assert_eq!(handler.said("; retried for "), 1);
            assert_eq!(stage.asked(Class::Evict).len(), 6 + 9);
        },
    );
}

#[test]
fn an_eviction_whose_answer_is_lost_counts_as_ours_and_is_noted_as_such() {
    at_once(
        &[
            ("lost", (Fault::AnswerLost, Framing::Length)),
            ("cut in the body", (Fault::CutInBody, Framing::Length)),
            ("cut in a chunk", (Fault::CutInBody, Framing::Chunked)),
        ],
        |(fault, framing)| {
            let stage = Stage::with(quick_pods(6));
            stage.cluster.framing(*framing);
            // Twice: over a connection that was kept, the request is sent again at once.
            stage.cluster.fail(Class::Evict).pod(POD).times(2).with(fault.clone());
            let handler = stage.drain(FAR);
            let table = handler.table();
            table.all_evicted(&names(6));
            table.says(POD, "evicted", "the answer was lost");
            assert_eq!(table.rows.iter().filter(|row| !row.note.is_empty()).count(), 1);
        },
    );
}

#[test]
fn retry_after_is_obeyed() {
    let stage = Stage::with([quick(POD)]);
    stage.cluster.fail(Class::Evict).with(Fault::Throttled(Some(2)));
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(1));
    let asked = stage.asked(Class::Evict);
    assert!(asked[1].at >= asked[0].at + Duration::from_secs(2), "{asked:#?}");
}

#[test]
fn a_pod_whose_eviction_hangs_holds_up_no_other_and_is_deleted_in_time() {
    let stage = Stage::with(quick_pods(6));
    stage.cluster.fail(Class::Evict).always().pod(POD).with(Fault::Hang);
    let handler = stage.drain(Duration::from_secs(8));
    stage.left(&[POD]);
    assert_eq!(stage.cluster.journal().of_pod(POD).len(), 1, "the others went meanwhile");
    let line = handler.says("; its time is up: it is deleted next");
    assert!(line.contains("no answer of the API server within "), "{line}");
    assert!(line.contains("s; given up"), "{line}");
    let table = handler.table();
    table.says(POD, "deleted", "no answer of the API server within ");
    table.is_clean();
    assert_eq!(
        stage.cluster.journal().of_pod(POD).len(),
        3,
        "an eviction, the condition, the deletion"
    );
}

#[test]
fn a_token_that_is_not_accepted_any_more_is_read_again() {
    let stage = Stage::with(quick_pods(6));
    stage.cluster.add_budget(
        Budget::named("web").max_unavailable(1).replaced_after(Duration::from_millis(300)),
    );
    let handler = stage.drain(FAR);
    stage.happens(|what| matches!(what, Happening::Gone { .. }));
    stage.cluster.revoke_tokens();
    handler.says("the API server does not accept the token (401); retried for ");
    stage.cluster.rotate_token().unwrap();
    handler.table().all_evicted(&names(6));
    assert_eq!(handler.said("does not accept the token (401)"), 1);
}

#[test]
fn forbidden_evictions_are_said_once_loudly_and_the_table_names_each() {
    let stage = Stage::with(quick_pods(3));
    stage.cluster.forbid(Class::Evict);
    let handler = stage.drain(Duration::from_secs(7));
    let line = handler.says("the API server forbids it");
    assert!(line.contains(" ERROR "), "{line}");
    assert!(line.contains("cannot create resource \"pods/eviction\""), "{line}");
    let table = handler.table();
    table.is_clean();
    for pod in names(3) {
        table.says(&pod, "deleted", "cannot create resource \"pods/eviction\"");
    }
    assert_eq!(handler.said("the API server forbids it"), 1);
    assert_eq!(stage.asked(Class::Delete).len(), 3, "their own time was up");
}

#[test]
fn a_right_that_is_granted_in_the_middle_is_used() {
    let stage = Stage::with(quick_pods(3));
    stage.cluster.forbid(Class::Evict);
    let handler = stage.drain(FAR);
    handler.says("the API server forbids it");
    stage.cluster.allow(Class::Evict);
    handler.table().all_evicted(&names(3));
}

#[test]
fn what_is_forbidden_for_some_pods_holds_up_no_other() {
    let refusal = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden",
        "message":"admission webhook \"keep\" denied the request: not this one","code":403}"#;
    let forbidden = Fault::Answer {
        code: 403,
        content_type: "application/json".to_owned(),
        body: refusal.as_bytes().to_vec(),
    };
    let stage = Stage::with(quick_pods(6));
    stage.cluster.fail(Class::Evict).pod(POD).always().with(forbidden);
    let handler = stage.drain(Duration::from_secs(6));
    let line = handler.says("the API server forbids it");
    assert!(line.contains(POD) && line.contains("not this one"), "{line}");
    let table = handler.table();
    table.is_clean();
    table.says(POD, "deleted", "as evictions failed: ");
    table.says(POD, "deleted", "not this one");
    table.says("default/web-1", "evicted", "");
    assert_eq!(table.rows.len(), 6);
}

#[test]
fn pods_of_a_namespace_that_is_being_deleted_are_waited_for() {
    let stage = Stage::with(quick_pods(2));
    stage.cluster.add_pod(quick("leaving/web-9"));
    stage.cluster.terminate_namespace("leaving");
    let handler = stage.drain(FAR);
    handler
        .says("leaving/web-9: its namespace is being deleted, and the pod with it; retried for ");
    stage.left(&["leaving/web-9"]);
    stage.cluster.remove_pod("leaving/web-9");
    let table = handler.table();
    table.says("default/web-0", "evicted", "");
    table.says("leaving/web-9", "ended by others", "");
}

#[test]
fn a_server_that_was_away_in_the_middle_finds_the_drain_where_it_was() {
    let stage = Stage::with(quick_pods(6));
    stage.cluster.add_budget(
        Budget::named("web").max_unavailable(1).replaced_after(Duration::from_millis(300)),
    );
    let handler = stage.drain(FAR);
    stage.happens(|what| matches!(what, Happening::Gone { .. }));
    stage.cluster.stop();
    let line = handler.says("cannot be reached");
    assert!(line.contains(&stage.cluster.address().to_string()), "{line}");
    std::thread::sleep(Duration::from_secs(2));
    stage.cluster.start_again().unwrap();
    handler.table().all_evicted(&names(6));
}

#[test]
fn a_server_that_was_away_from_the_start_is_waited_for() {
    let stage = Stage::with(quick_pods(6));
    let handler = stage.start();
    stage.cluster.stop();
    stage.cloud.announce_in(FAR);
    handler.says("the node is not marked");
    handler.says("the watch of this node's pods was lost");
    std::thread::sleep(Duration::from_secs(2));
    stage.cluster.start_again().unwrap();
    handler.table().all_evicted(&names(6));
    handler.says("the node is cordoned");
    assert_eq!(handler.said("the node is not marked"), 1);
}

#[test]
fn a_server_that_never_answers_is_never_taken_for_an_empty_node() {
    let stage = Stage::with(quick_pods(2));
    stage.cluster.become_silent();
    let handler = stage.drain(Duration::from_secs(7));
    let table = handler.table();
    assert!(table.occasion.contains("the deadline is reached"), "{table:?}");
    assert!(table.sum.contains("was not read to its end, there may be more"), "{table:?}");
    assert_eq!(handler.said("nothing is left"), 0);
    assert!(handler.threads() < 12, "{}", handler.threads());
}

#[test]
fn a_server_that_closes_each_connection_is_no_trouble() {
    let stage = Stage::with(quick_pods(20));
    stage.cluster.close_after_each_answer(true);
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(20));
    assert_eq!(handler.said("tried again"), 0, "that is the usual course of things");
}

#[test]
fn answers_without_end_fill_no_memory() {
    let peak = |fault: Option<Fault>| {
        let stage = Stage::with(quick_pods(3));
        let handler = stage.start();
        if let Some(fault) = fault {
            for class in [Class::NodeGet, Class::NodePatch, Class::Watch, Class::Evict] {
                stage.cluster.fail(class).with(fault.clone());
            }
        }
        stage.cloud.announce_in(FAR);
        handler.says("the node is cordoned");
        handler.table().all_evicted(&names(3));
        handler.peak_memory()
    };
    let usual = peak(None);
    for fault in [Fault::EndlessBody, Fault::EndlessHead] {
        let after = peak(Some(fault.clone()));
        // The longest line of a watch has 4 MiB, and grows by doubling.
        assert!(after < usual + 16 * 1024, "{fault:?}: {usual} KiB, then {after} KiB");
    }
}

#[test]
fn everything_at_once_and_still_every_pod_goes() {
    let stage = Stage::with(quick_pods(30));
    stage.cluster.add_budget(
        Budget::named("web").max_unavailable(3).replaced_after(Duration::from_millis(100)),
    );
    stage.cluster.latency(Duration::from_millis(20));
    for class in [Class::NodeGet, Class::NodePatch] {
        stage.cluster.fail(class).times(2).with(Fault::CutBeforeAnswer);
        stage.cluster.fail(class).times(2).with(Fault::Code(503));
    }
    stage.cluster.fail(Class::Watch).with(Fault::Html(200));
    stage.cluster.fail(Class::Watch).with(Fault::Watch(7, Disturbance::CutLine));
    stage.cluster.fail(Class::Watch).with(Fault::Throttled(Some(1)));
    stage.cluster.fail(Class::Watch).with(Fault::Watch(12, Disturbance::Expired));
    for fault in [Fault::AnswerLost, Fault::CutInBody, Fault::LeaderChanged] {
        stage.cluster.fail(Class::Evict).after(5).times(4).with(fault);
    }
    let handler = stage.drain(FAR);
    stage.happens(|what| matches!(what, Happening::Gone { .. }));
    stage.cluster.cut_connections();
    stage.cluster.rotate_token().unwrap();
    let table = handler.table();
    for pod in names(30) {
        table.says(&pod, "evicted", "");
    }
    table.is_clean();
    handler.says("the node is cordoned");
}

#[test]
fn each_kind_of_failure_is_said_when_it_first_happens() {
    let stage = Stage::with(quick_pods(2));
    let fail = |pod, fault| stage.cluster.fail(Class::Evict).always().pod(pod).with(fault);
    fail("default/web-0", Fault::Throttled(None));
    fail("default/web-1", Fault::Html(200));
    let handler = stage.drain(FAR);
    let said = "; retried for ";
    handler.says_times(said, 2);
    let first = handler.says("default/web-0: ");
    assert!(first.contains("429: too many requests") && first.contains(said), "{first}");
    let second = handler.says("default/web-1: ");
    assert!(second.contains("59 bytes are not what was asked for") && second.contains(said));
    stage.asks(Class::Evict, 12);
    assert_eq!(handler.said(said), 2, "once each");
    stage.cluster.heal();
    handler.table().all_evicted(&names(2));
}
