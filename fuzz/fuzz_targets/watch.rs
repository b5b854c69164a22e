//! The watch of the node's pods, line by line. A line that begins with `!` is no part of the stream: it says what the
//! connection does.
#![no_main]

use std::time::Duration;

use fuzz::{is_one_line, now, pieces, status};
use k8s_spot_handler::drain::pod::{Controller, Pod, PodNews};
use k8s_spot_handler::kube::reply::{KnownBy, Reply, retry_after};
use k8s_spot_handler::kube::request::{is_label, is_subdomain};
use k8s_spot_handler::kube::watch::fuzzing::{Came, Due, FedWatch};
use k8s_spot_handler::moment::{Moment, Reading};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (mode, stream) = fuzz::mode(input);
    let whole = fuzz::within(input, 100, 64 * 1024, || follow(stream, 0));
    assert_eq!(follow(stream, mode), whole, "in pieces of {mode}");
});

/// All that is told of the pods, if lines come in pieces of this length.
fn follow(stream: &[u8], length: u8) -> Vec<PodNews> {
    let mut watch = FedWatch::new("n");
    let mut at = now();
    let mut told = Vec::new();
    let mut has_begun = false;
    for line in stream.split_inclusive(|byte| *byte == b'\n') {
        let mut observe = |watch: &mut FedWatch, came: Came<'_>| {
            for news in watch.observe(at, came) {
                check(&news, at);
                has_begun |= news == PodNews::SetBegins;
                assert!(news != PodNews::SetComplete || has_begun, "complete before it began");
                told.push(news);
            }
        };
        match line.strip_prefix(b"!").map(<[u8]>::trim_ascii_end) {
            None => pieces(line, length).for_each(|piece| observe(&mut watch, Came::Piece(piece))),
            Some(b"end") => observe(&mut watch, Came::Ended),
            Some(b"fail") => observe(&mut watch, Came::Failed),
            Some(b"nothing") => observe(&mut watch, Came::Nothing),
            Some(b"open") => observe(&mut watch, Came::Opened),
            Some(b"later") => at = Reading { now: at.now + Duration::from_secs(1), ..at },
            Some(refused) => observe(&mut watch, Came::Refused(&refusal(refused))),
        }
        is_due(&mut watch, at.now);
    }
    told
}

fn refusal(text: &[u8]) -> Reply {
    let (status, body) = status(text);
    let retry_after = std::str::from_utf8(body).ok().and_then(retry_after);
    Reply { status, retry_after, date: None, by: KnownBy::Token, body: body.to_vec() }
}

/// It always goes on, before long, from where it can.
fn is_due(watch: &mut FedWatch, now: Moment) {
    match watch.due(now) {
        Due::Rest(until) => assert!(now.until(until) <= Duration::from_secs(5), "{until:?}"),
        Due::Read(until) => assert!(now.until(until) <= Duration::from_secs(75), "{until:?}"),
        Due::Ask(request) => {
            let asked = request.to_string();
            is_one_line(&asked);
            assert!(asked.is_ascii() && asked.split(' ').count() == 2, "{asked:?}");
        }
    }
}

fn check(news: &PodNews, at: Reading) {
    match news {
        PodNews::SetBegins | PodNews::SetComplete => {}
        PodNews::Seen(pod) => check_pod(pod, at),
        PodNews::Gone { uid } => is_uid(uid),
        PodNews::Unread { pod, why } => {
            fuzz::are_lines(pod.iter().chain([why]).map(String::as_str));
        }
        PodNews::Lost { why } => is_one_line(why),
    }
}

/// Nothing of it can lead a request elsewhere.
fn check_pod(pod: &Pod, at: Reading) {
    let of = &pod.reference;
    assert!(is_label(&of.namespace) && is_subdomain(&of.name), "{of:?}");
    is_uid(&of.uid);
    if let Some(Controller::DaemonSet(name)) = &pod.controller {
        is_one_line(name);
    }
    pod.finalizer.iter().for_each(|text| is_one_line(text));
    if let Some(terminating) = pod.terminating {
        // As far as the calendar goes.
        assert!(at.now.until(terminating.ends) < Duration::from_hours(24 * 366 * 10_000));
    }
}

fn is_uid(text: &str) {
    assert!(
        (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()),
        "{text:?}"
    );
}
