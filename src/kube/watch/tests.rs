use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::http::address::Address;
use crate::kube::reply::KnownBy;
use crate::kube::server::Server;
use crate::kube::stand_in::{LONG, SHORT, StandIn, deaf_address};
use crate::moment::WallTime;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::mpsc::Receiver;

/// The pause after a first failure, at most.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// A watch, the moment, and what it says of the pods.
struct Play {
    watch: Watch,
    now: Moment,
}

impl Play {
    fn begin() -> Self {
        Self { watch: Watch::new("n", 7), now: Moment::at(Duration::from_secs(1000)) }
    }

    /// A watch that follows from version 50 on; its set was streamed and complete.
    fn following() -> Self {
        let mut play = Self::begin();
        play.observe(Input::Opened);
        play.line(&bookmark("50", true));
        assert_eq!(play.step(), Step::Read(play.now + SILENCE));
        play
    }

    /// A watch that lists, because no stream of sets can be had.
    fn listing() -> Self {
        let mut play = Self::begin();
        play.refused(422, None);
        play
    }

    fn step(&mut self) -> Step {
        self.watch.next(self.now)
    }

    /// The pause that is due, which then is over.
    fn pause(&mut self) -> Duration {
        let Step::Rest(until) = self.step() else { panic!("no pause: {:?}", self.step()) };
        let pause = self.now.until(until);
        self.now = until;
        pause
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    fn at(&self) -> Reading {
        Reading { now: self.now, wall: WallTime::parse("2026-11-23T09:00:00Z").unwrap() }
    }

    fn observe(&mut self, input: Input) -> Vec<String> {
        let news = self.watch.observe(self.at(), input);
        news.iter().map(in_short).collect()
    }

    fn line(&mut self, line: &str) -> Vec<String> {
        self.line_of(Piece::Text(line.as_bytes()))
    }

    fn line_of(&mut self, line: Piece<'_>) -> Vec<String> {
        self.observe(Input::line(line, Context { node: "n", at: self.at() }))
    }

    fn refused(&mut self, status: u16, retry_after: Option<Duration>) -> Vec<String> {
        self.refused_with(status, retry_after, "no")
    }

    fn refused_with(
        &mut self,
        status: u16,
        retry_after: Option<Duration>,
        body: &str,
    ) -> Vec<String> {
        let reply = Reply {
            status,
            retry_after,
            date: None,
            by: KnownBy::Token,
            body: body.as_bytes().to_vec(),
        };
        match self.step() {
            Step::Ask(request) => self.observe(Input::Refused(Box::new((request, reply)))),
            other => panic!("nothing was asked: {other:?}"),
        }
    }

    fn is_listing(&self) -> bool {
        matches!(self.watch.phase, Phase::ReadList { .. })
    }

    /// A list of these pods, as of version 60.
    fn list(&mut self, names: &[&str]) -> Vec<String> {
        assert!(asks_for_list(&self.step()), "no list: {:?}", self.step());
        let mut news = self.observe(Input::Opened);
        for name in names {
            news.extend(self.item(&pod(name, "58")));
        }
        news.extend(self.end_list(names.len()));
        news
    }

    fn item(&mut self, pod: &Value) -> Vec<String> {
        self.item_of(Piece::Text(pod.to_string().as_bytes()))
    }

    fn item_of(&mut self, item: Piece<'_>) -> Vec<String> {
        self.observe(Input::item(item, Context { node: "n", at: self.at() }))
    }

    fn end_list(&mut self, items: usize) -> Vec<String> {
        let metadata = json!({"resourceVersion": "60"});
        let frame = json!({"kind": "PodList", "metadata": metadata, "items": vec![0; items]});
        self.end_list_as(&frame.to_string())
    }

    fn end_list_as(&mut self, frame: &str) -> Vec<String> {
        self.observe(Input::ListEnded(pods::list_version(frame.as_bytes())))
    }

    fn broke(&mut self) -> Vec<String> {
        self.observe(Input::Failed("refused".into()))
    }
}

fn in_short(news: &PodNews) -> String {
    match news {
        PodNews::SetBegins => "set begins".into(),
        PodNews::SetComplete => "set complete".into(),
        PodNews::Seen(pod) => format!("seen {}", pod.reference.name),
        PodNews::Gone { uid } => format!("gone {uid}"),
        PodNews::Unread { pod, why } => {
            format!("unread: {}{why}", pod.as_ref().map(|it| format!("{it}: ")).unwrap_or_default())
        }
        PodNews::Lost { why } => format!("lost: {why}"),
    }
}

fn pod(name: &str, version: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "d", "uid": format!("u-{name}"),
            "resourceVersion": version},
        "spec": {"nodeName": "n"},
    })
}

fn event(kind: &str, name: &str, version: &str) -> String {
    json!({"type": kind, "object": pod(name, version)}).to_string()
}

fn bookmark(version: &str, ends_set: bool) -> String {
    let annotations =
        if ends_set { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
    let metadata = json!({"resourceVersion": version, "annotations": annotations});
    json!({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": metadata}}).to_string()
}

fn error(code: u16, message: &str) -> String {
    let status = json!({"kind": "Status", "code": code, "message": message});
    json!({"type": "ERROR", "object": status}).to_string()
}

fn asks(since: Since<'_>) -> Step {
    Step::Ask(watch_pods("n", since))
}

fn lists(since: Since<'_>) -> Step {
    Step::Ask(list_pods("n", since))
}

fn asks_for_list(step: &Step) -> bool {
    matches!(step, Step::Ask(request) if request.verb() == Verb::List)
}

const NOTHING: [&str; 0] = [];

#[test]
fn pods_are_told_as_they_are_read_and_the_bookmark_completes_the_set() {
    let mut play = Play::begin();
    assert_eq!(play.step(), asks(Since::Cached));
    assert_eq!(play.observe(Input::Opened), ["set begins"]);
    assert_eq!(play.line(&event("ADDED", "a", "40")), ["seen a"]);
    assert_eq!(play.line(&event("ADDED", "b", "30")), ["seen b"]);
    assert_eq!(play.line(&bookmark("50", true)), ["set complete"]);
    assert_eq!(play.line(&event("MODIFIED", "a", "51")), ["seen a"]);
    assert_eq!(play.line(&event("DELETED", "a", "52")), ["gone u-a"]);
    assert_eq!(play.line(&bookmark("53", false)), NOTHING);
    assert_eq!(play.step(), Step::Read(play.now + SILENCE));
}

#[test]
fn where_no_set_is_streamed_it_is_listed_from_the_cache_at_once() {
    for status in [400, 403, 422] {
        let mut play = Play::begin();
        assert_eq!(play.refused(status, None), NOTHING);
        assert_eq!(play.step(), lists(Since::Cached));
        assert_eq!(play.observe(Input::Opened), ["set begins"]);
        for name in ["a", "b"] {
            play.pass(4);
            assert_eq!(play.step(), Step::Read(play.now + Duration::from_secs(1)));
            assert_eq!(play.item(&pod(name, "58")), [format!("seen {name}")]);
        }
        assert_eq!(play.end_list(2), ["set complete"]);
        assert_eq!(play.step(), asks(Since::Version("60")));
        assert_eq!(play.observe(Input::Opened), NOTHING);
        assert_eq!(play.line(&event("DELETED", "b", "61")), ["gone u-b"]);
    }
}

#[test]
fn an_old_server_that_says_nothing_after_the_pods_is_listed() {
    let mut play = Play::begin();
    play.observe(Input::Opened);
    play.pass(1);
    play.line(&event("ADDED", "a", "40"));
    assert_eq!(play.step(), Step::Read(play.now + Duration::from_secs(2)));
    play.pass(1);
    // It tells what changes, but that does not put the bookmark off.
    assert_eq!(play.line(&event("MODIFIED", "a", "41")), ["seen a"]);
    assert_eq!(play.step(), Step::Read(play.now + Duration::from_secs(1)));
    play.pass(1);
    assert_eq!(play.observe(Input::TimedOut), NOTHING);
    // Pods were told: what is listed must not be older.
    assert_eq!(play.step(), lists(Since::NotOlderThan("41")));
    assert_eq!(play.list(&["a"]), ["set begins", "seen a", "set complete"]);
}

#[test]
fn a_node_without_pods_on_an_old_server_has_a_complete_set_too() {
    let mut play = Play::begin();
    play.observe(Input::Opened);
    assert_eq!(play.step(), Step::Read(play.now + Duration::from_secs(2)));
    play.pass(2);
    assert_eq!(play.observe(Input::TimedOut), NOTHING);
    assert_eq!(play.list(&[]), ["set begins", "set complete"]);
}

#[test]
fn a_long_set_is_waited_for_but_not_for_ever() {
    let mut play = Play::begin();
    play.observe(Input::Opened);
    let opened = play.now;
    for _ in 0..9 {
        play.pass(1);
        play.line(&event("ADDED", "a", "40"));
    }
    assert_eq!(play.step(), Step::Read(opened + SET_TIMEOUT));
}

#[test]
fn a_list_that_breaks_is_listed_anew_and_not_older_than_what_was_told() {
    let mut play = Play::listing();
    assert_eq!(play.broke(), ["lost: refused"]);
    play.pause();
    assert_eq!(play.step(), lists(Since::Cached), "nothing was told yet");
    play.observe(Input::Opened);
    for version in ["9", "58", "31"] {
        play.item(&pod("a", version));
    }
    assert_eq!(play.observe(Input::Failed("cut short".into())), ["lost: cut short"]);
    play.pause();
    assert_eq!(play.step(), lists(Since::NotOlderThan("58")));
    play.observe(Input::Opened);
    play.pass(5);
    assert_eq!(play.observe(Input::TimedOut), ["lost: the list of pods was silent for 5 s"]);
    play.pause();
    assert_eq!(play.step(), lists(Since::NotOlderThan("58")));
    assert_eq!(play.list(&["a"]), ["set begins", "seen a", "set complete"]);
}

#[test]
fn a_list_of_what_was_forgotten_is_of_the_newest_state() {
    let mut play = Play::listing();
    play.list(&["a"]);
    let news = play.refused(410, None);
    assert_eq!(
        news,
        ["lost: GET /api/v1/pods: 410, with 2 bytes that say no reason; the pods are read anew"]
    );
    play.pause();
    assert_eq!(play.step(), lists(Since::Newest));
    // What came of a list that broke says how new its pods are, not how new it was.
    play.observe(Input::Opened);
    play.item(&pod("a", "7"));
    play.broke();
    play.pause();
    assert_eq!(play.step(), lists(Since::Newest));
    // A server whose versions count anew, after its etcd was restored.
    let mut play = Play::listing();
    play.list(&["a"]);
    play.refused(403, None);
    play.pause();
    assert_eq!(play.step(), lists(Since::NotOlderThan("60")));
    let status = json!({"kind": "Status", "message": "Timeout: Too large resource version: 60, current: 7",
        "details": {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}});
    play.refused_with(504, None, &status.to_string());
    play.pause();
    assert_eq!(play.step(), lists(Since::Newest));
    // Any other 504 says nothing about the version.
    let mut play = Play::listing();
    play.list(&["a"]);
    play.refused(403, None);
    play.pause();
    play.refused(504, None);
    play.pause();
    assert_eq!(play.step(), lists(Since::NotOlderThan("60")));
}

#[test]
fn what_is_no_complete_list_of_pods_completes_no_set() {
    let frames = [
        "",
        "<html>",
        r#"{"kind":"PodList","metadata":{"resourceVersion":"60"},"items":["#,
        r#"{"kind":"PodList","metadata":{"resourceVersion":"60","continue":"t"},"items":[]}"#,
        r#"{"kind":"NodeList","metadata":{"resourceVersion":"60"},"items":[]}"#,
        r#"{"kind":"PodList","metadata":{"resourceVersion":"0"},"items":[]}"#,
    ];
    let mut play = Play::listing();
    for (round, frame) in frames.iter().enumerate() {
        assert_eq!(play.observe(Input::Opened), ["set begins"]);
        let news = play.end_list_as(frame);
        let said = ["lost: what came is no complete list of pods".to_owned()];
        assert_eq!(news, if round == 0 { said.to_vec() } else { Vec::new() }, "{frame}");
        play.pause();
        assert_eq!(play.step(), lists(Since::Newest));
    }
}

#[test]
fn after_a_break_the_watch_goes_on_where_it_stood() {
    let mut play = Play::following();
    play.line(&event("MODIFIED", "a", "51"));
    play.line(&bookmark("55", false));
    assert_eq!(play.broke(), ["lost: refused"]);
    play.pause();
    assert_eq!(play.step(), asks(Since::Version("55")));
    // Each break is said once.
    assert_eq!(play.broke(), NOTHING);
    play.pause();
    assert_eq!(play.observe(Input::Failed("timed out".into())), ["lost: timed out"]);
    play.pause();
    assert_eq!(play.step(), asks(Since::Version("55")));
    assert_eq!(play.observe(Input::Opened), NOTHING);
    assert_eq!(play.line(&event("DELETED", "a", "56")), ["gone u-a"]);
    assert_eq!(play.observe(Input::Failed("timed out".into())), ["lost: timed out"]);
    play.pause();
    assert_eq!(play.step(), asks(Since::Version("56")));
}

#[test]
fn what_was_forgotten_is_told_as_a_new_set_and_not_from_the_cache() {
    let mut by_status = Play::following();
    for _ in 0..9 {
        by_status.broke();
        by_status.pause();
    }
    let news = by_status.refused(410, None);
    assert!(news.concat().ends_with("; the pods are read anew"), "{news:?}");
    let mut by_event = Play::following();
    let news = by_event.line(&error(410, "too old resource version: 50 (99)"));
    assert_eq!(
        news,
        ["lost: the API server ended the watch of pods: 410: too old resource \
                      version: 50 (99); the pods are read anew"]
    );
    for mut play in [by_status, by_event] {
        // However long it was away: it is back.
        assert!(play.pause() <= LEAST_PAUSE);
        assert_eq!(play.step(), asks(Since::Newest));
        assert_eq!(play.observe(Input::Opened), ["set begins"]);
        assert_eq!(play.line(&event("ADDED", "b", "99")), ["seen b"]);
        assert_eq!(play.line(&bookmark("100", true)), ["set complete"]);
    }
}

#[test]
fn a_version_that_the_server_takes_for_invalid_is_dropped() {
    for status in [400, 422] {
        let mut play = Play::following();
        play.broke();
        play.pause();
        play.refused(status, None);
        play.pause();
        assert_eq!(play.step(), asks(Since::Newest));
    }
}

#[test]
fn a_break_within_the_first_set_begins_a_new_one() {
    let breaks: [fn(&mut Play) -> Vec<String>; 3] =
        [Play::broke, |play| play.observe(Input::Ended), |play| play.line(&error(500, "etcd"))];
    for broken in breaks {
        let mut play = Play::begin();
        play.observe(Input::Opened);
        play.line(&event("ADDED", "a", "40"));
        let news = broken(&mut play);
        assert!(news.len() == 1 && news.concat().starts_with("lost: "), "{news:?}");
        play.pause();
        assert_eq!(play.step(), asks(Since::NotOlderThan("40")));
        assert_eq!(play.observe(Input::Opened), ["set begins"]);
    }
}

#[test]
fn until_something_was_told_the_cache_is_good_enough() {
    let mut play = Play::begin();
    assert_eq!(play.broke(), ["lost: refused"]);
    play.pause();
    assert_eq!(play.refused(503, None).len(), 1);
    play.pause();
    assert_eq!(play.step(), asks(Since::Cached));
}

#[test]
fn an_error_that_is_no_410_goes_on_where_it_stood() {
    let mut play = Play::following();
    let news = play.line(&error(500, "etcdserver: leader changed"));
    assert_eq!(
        news,
        ["lost: the API server ended the watch of pods: 500: etcdserver: leader changed"]
    );
    play.pause();
    assert_eq!(play.step(), asks(Since::Version("50")));
}

#[test]
fn a_watch_that_ends_after_a_while_is_no_news() {
    let mut talking = Play::following();
    talking.line(&event("MODIFIED", "a", "51"));
    assert_eq!(talking.observe(Input::Ended), NOTHING);
    talking.pause();
    assert_eq!(talking.step(), asks(Since::Version("51")));
    let mut quiet = Play::following();
    quiet.pass(1800);
    assert_eq!(quiet.observe(Input::Ended), NOTHING);
    quiet.pause();
    assert_eq!(quiet.step(), asks(Since::Version("50")));
    // One that ends as soon as it is open is, and it is not asked for again and again at once.
    quiet.observe(Input::Opened);
    let said = ["lost: the API server ended the watch of pods as soon as it was open"];
    assert_eq!(quiet.observe(Input::Ended), said);
    assert!(quiet.pause() >= LEAST_PAUSE);
}

#[test]
fn a_silent_watch_is_opened_again() {
    let mut play = Play::following();
    play.pass(75);
    assert_eq!(play.observe(Input::TimedOut), ["lost: the watch of pods was silent for 75 s"]);
    play.pause();
    assert_eq!(play.step(), asks(Since::Version("50")));
}

/// How the API server begins to write a pod.
const LONG_ADDED: &str = r#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"d","uid":"u-1","annotations":{"x":"#;
const LONG_DELETED: &str = r#"{"type":"DELETED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"d","uid":"u-1","#;

#[test]
fn what_cannot_be_read_is_said_and_the_watch_goes_on() {
    let mut play = Play::following();
    assert_eq!(
        play.line("{\"type\":\"ADD"),
        ["unread: a line of 12 bytes is not an event in JSON"]
    );
    assert_eq!(play.line_of(Piece::Text(b"\xff")), ["unread: a line of 1 bytes is not UTF-8"]);
    let too_long = |beginning: &'static str| Piece::TooLong {
        length: 5_000_000,
        beginning: beginning.as_bytes(),
    };
    for (beginning, said) in [
        ("{\"type\":", "unread: a line of 5000000 bytes in the watch of pods was skipped"),
        (LONG_ADDED, "unread: u-1: a line of 5000000 bytes in the watch of pods was skipped"),
        (LONG_DELETED, "gone u-1"),
    ] {
        assert_eq!(play.line_of(too_long(beginning)), [said]);
    }
    let elsewhere = event("ADDED", "a", "51").replace("\"n\"", "\"m\"");
    assert_eq!(play.line(&elsewhere), ["unread: u-a: the pod d/a is on the node \"m\", not on n"]);
    assert_eq!(play.step(), Step::Read(play.now + SILENCE));
    play.broke();
    play.pause();
    assert_eq!(play.step(), asks(Since::Version("51")));
}

#[test]
fn a_web_page_in_place_of_a_watch_is_said_once_and_none_of_its_lines_is_a_pod() {
    let mut play = Play::begin();
    for round in 0..3 {
        play.observe(Input::Opened);
        let said = play.line("<html>");
        assert_eq!(said.len(), usize::from(round == 0), "{said:?}");
        assert!(said.iter().all(|line| line.starts_with("lost: what came is no watch of pods")));
        play.pause();
        assert_eq!(play.step(), asks(Since::Newest));
    }
    play.observe(Input::Opened);
    play.line(&event("ADDED", "a", "1"));
    assert!(play.line("<html>")[0].starts_with("unread"), "in the middle it may be a pod");
}

#[test]
fn one_pod_that_cannot_be_read_does_not_cost_the_list() {
    let mut play = Play::listing();
    // The list may only have been garbled on its way.
    for round in 0..3 {
        play.observe(Input::Opened);
        let news = play.item_of(Piece::Text(b"{\"a\":"));
        let said = ["lost: an item of 5 bytes is not a pod in JSON".to_owned()];
        assert_eq!(news, if round == 0 { said.to_vec() } else { Vec::new() });
        play.pause();
    }
    play.observe(Input::Opened);
    let bare = json!({"metadata": {"name": "a", "namespace": "d"}});
    assert_eq!(play.item(&bare), ["unread: d/a: the pod d/a has no UID"]);
    assert_eq!(
        play.item_of(Piece::Text(b"{\"a\":")),
        ["unread: an item of 5 bytes is not a pod in JSON"]
    );
    let too_long = Piece::TooLong { length: 5_000_000, beginning: b"{" };
    assert_eq!(
        play.item_of(too_long),
        ["unread: an item of 5000000 bytes in the list of pods was skipped"]
    );
    assert_eq!(play.item(&pod("b", "1")), ["seen b"]);
    assert_eq!(play.end_list(4), ["set complete"]);
}

#[test]
fn a_stale_token_is_tried_again_with_what_the_file_then_holds() {
    let mut play = Play::following();
    play.broke();
    play.pause();
    let said = "lost: GET /api/v1/pods: 401, the API server does not accept the token";
    assert_eq!(play.refused(401, None), [said]);
    play.pause();
    assert_eq!(play.step(), asks(Since::Version("50")));
}

#[test]
fn where_watching_is_forbidden_pods_are_listed_again_and_again() {
    let mut play = Play::begin();
    assert_eq!(play.refused(403, None), NOTHING);
    assert_eq!(play.list(&["a"]), ["set begins", "seen a", "set complete"]);
    let said = "lost: GET /api/v1/pods: 403, with 2 bytes that say no reason; `watch` on `pods` \
                must be granted, until then they are listed";
    assert_eq!(play.refused(403, None), [said]);
    for _ in 0..20 {
        assert!(play.pause() <= LONGEST_OBEYED);
        assert_eq!(play.list(&[]), ["set begins", "set complete"]);
        assert_eq!(play.refused(403, None), NOTHING);
    }
    // Whoever grants it is rewarded.
    play.pause();
    play.list(&[]);
    play.observe(Input::Opened);
    assert_eq!(play.line(&event("ADDED", "b", "61")), ["seen b"]);
}

#[test]
fn where_nothing_may_be_read_it_is_said_once_and_tried_on() {
    let mut play = Play::begin();
    assert_eq!(play.refused(403, None), NOTHING);
    let said = "lost: GET /api/v1/pods: 403, with 2 bytes that say no reason; `list` and `watch` \
                on `pods` must be granted";
    assert_eq!(play.refused(403, None), [said]);
    let mut pauses = Vec::new();
    for _ in 0..20 {
        pauses.push(play.pause());
        assert_eq!(play.refused(403, None), NOTHING);
    }
    assert!(pauses.iter().all(|pause| *pause <= LONGEST_OBEYED), "{pauses:?}");
    assert!(pauses.iter().any(|pause| *pause > LONGEST_PAUSE), "{pauses:?}");
}

#[test]
fn pauses_double_up_to_two_seconds_and_differ() {
    let pauses = |seed| {
        let mut play = Play::following();
        play.watch.jitter = fastrand::Rng::with_seed(seed);
        let pause = |_| {
            play.broke();
            play.pause()
        };
        (0..10).map(pause).collect::<Vec<_>>()
    };
    let mut most = LEAST_PAUSE;
    for pause in pauses(1) {
        assert!(pause >= most / 2 && pause <= most, "{pause:?} {most:?}");
        most = (most * 2).min(LONGEST_PAUSE);
    }
    assert_ne!(pauses(1), pauses(2));
}

#[test]
fn what_the_server_asks_for_is_obeyed_up_to_a_limit() {
    let mut play = Play::begin();
    play.refused(429, Some(Duration::from_secs(3)));
    assert_eq!(play.pause(), Duration::from_secs(3));
    play.refused(503, Some(Duration::from_hours(1)));
    assert_eq!(play.pause(), LONGEST_OBEYED);
}

/// What may come, whether or not it fits.
#[derive(Clone, Debug)]
enum Chance {
    Opened,
    Line(String),
    Reply(u16),
    Item(u8),
    ListEnded(bool),
    TooLong,
    Silence,
    Ended,
    Broke,
}

fn chances() -> impl Strategy<Value = Chance> {
    let line = prop_oneof![
        Just(event("ADDED", "a", "41")),
        Just(event("MODIFIED", "a", "42")),
        Just(event("DELETED", "a", "43")),
        Just(bookmark("44", false)),
        Just(bookmark("45", true)),
        Just(bookmark("0", true)),
        Just(error(410, "too old")),
        Just(error(500, "etcd")),
        Just("{".to_owned()),
    ];
    let status = prop_oneof![
        Just(400),
        Just(401),
        Just(403),
        Just(404),
        Just(410),
        Just(422),
        Just(429),
        Just(500)
    ];
    prop_oneof![
        4 => Just(Chance::Opened),
        6 => line.prop_map(Chance::Line),
        1 => status.prop_map(Chance::Reply),
        3 => (1_u8..100).prop_map(Chance::Item),
        3 => any::<bool>().prop_map(Chance::ListEnded),
        1 => Just(Chance::TooLong),
        1 => Just(Chance::Silence),
        1 => Just(Chance::Ended),
        1 => Just(Chance::Broke),
    ]
}

proptest! {
    #[test]
    fn whatever_comes(chances in prop::collection::vec(chances(), 0..60), seed: u64) {
        let mut play = Play::begin();
        play.watch = Watch::new("n", seed);
        let (mut told, mut in_set, mut newest) = (false, false, 0);
        for chance in chances {
            if let Step::Rest(until) = play.step() {
                prop_assert!(play.now.until(until) <= LONGEST_OBEYED);
                play.now = until;
            }
            let step = play.step();
            if let Step::Ask(request) = &step {
                let from_cache = request.path.ends_with("&resourceVersion=0")
                    || request.path.contains("&resourceVersion=0&");
                prop_assert!(!(told && from_cache), "the cache is asked after {told}");
                prop_assert!(!request.path.contains("&limit="), "{}", request.path);
                if asks_for_list(&step)
                    && let Some((_, version)) = request.path.split_once("&resourceVersion=")
                    && let Some((version, _)) = version.split_once("&resourceVersionMatch=NotOlderThan")
                {
                    let version: u8 = version.parse().unwrap();
                    prop_assert!(version >= newest, "{} after {newest} was told", request.path);
                }
            }
            let failed = matches!(chance, Chance::Broke | Chance::Reply(_));
            let news = match (chance, &step) {
                (Chance::Opened, Step::Ask(_)) => play.observe(Input::Opened),
                (Chance::Reply(status), Step::Ask(_)) => play.refused(status, None),
                (Chance::Item(version), Step::Read(_)) if play.is_listing() => {
                    newest = newest.max(version);
                    play.item(&pod("a", &version.to_string()))
                }
                (Chance::ListEnded(true), Step::Read(_)) if play.is_listing() => play.end_list(1),
                (Chance::ListEnded(false), Step::Read(_)) if play.is_listing() => {
                    play.end_list_as("<html>")
                }
                (Chance::Line(line), Step::Read(_)) if !play.is_listing() => play.line(&line),
                (Chance::TooLong, Step::Read(_)) => {
                    let too_long = Piece::TooLong { length: 5_000_000, beginning: b"{" };
                    if play.is_listing() { play.item_of(too_long) } else { play.line_of(too_long) }
                }
                (Chance::Silence, Step::Read(_)) => play.observe(Input::TimedOut),
                (Chance::Ended, Step::Read(_)) if !play.is_listing() => play.observe(Input::Ended),
                (Chance::Broke, _) => play.broke(),
                _ => continue,
            };
            for news in &news {
                match news.as_str() {
                    "set begins" => (told, in_set) = (true, true),
                    "set complete" => {
                        // After it a list is as new as this set, which may count anew.
                        newest = 0;
                        prop_assert!(in_set, "a set is complete that never began");
                        in_set = false;
                    }
                    _ => {}
                }
            }
            // After a failure the same is never asked again at once.
            if failed {
                prop_assert!(play.step() != step);
            }
        }
    }
}

/// A follower of the pods of `n`, and a server that gives these answers one after the other.
struct Following {
    follower: Follower,
    clock: Clock,
    heard: Receiver<StreamInput>,
    /// The targets of the requests.
    asked: Receiver<String>,
    /// Each connection that was closed.
    closed: Receiver<()>,
    _server: StandIn,
}

impl Following {
    fn new<const N: usize>(answers: [String; N]) -> Self {
        let answers = Mutex::new(VecDeque::from(answers));
        let ((ask, asked), (close, closed)) = (mpsc::channel(), mpsc::channel());
        let server = StandIn::start(move |_, mut peer| {
            while let Some(request) = peer.hears() {
                let _ = ask.send(request.split(' ').nth(1).unwrap().to_owned());
                let answer = answers.lock().unwrap().pop_front();
                peer.says(answer.unwrap_or_default().as_bytes());
            }
            let _ = close.send(());
        });
        let (follower, heard) = follower_of(server.client());
        let clock = follower.client.clock();
        Self { follower, clock, heard, asked, closed, _server: server }
    }

    /// Does what is due so long from now.
    fn drive(&mut self, later: Duration) -> (Vec<String>, Option<Moment>) {
        self.drive_at(self.clock.now() + later)
    }

    fn drive_at(&mut self, now: Moment) -> (Vec<String>, Option<Moment>) {
        let (news, due) = self.follower.drive(Reading { now, ..self.clock.read() });
        (news.iter().map(in_short).collect(), due)
    }

    /// Takes in what comes, until something of that is news that begins so.
    fn hear(&mut self, last: &str) -> Vec<String> {
        let mut news = Vec::new();
        while !news.last().is_some_and(|news: &String| news.starts_with(last)) {
            let heard = self.heard.recv_timeout(LONG).unwrap();
            news.extend(self.follower.observe(heard).iter().map(in_short));
        }
        news
    }

    /// Takes in what else comes in a moment, as one who was busy does.
    fn hear_more(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        while let Ok(heard) = self.heard.recv_timeout(SHORT * 2) {
            news.extend(self.follower.observe(heard).iter().map(in_short));
        }
        news
    }

    /// Does what is due and takes in what comes, until something of that is news that begins so.
    fn follow(&mut self, last: &str) -> Vec<String> {
        let (until, mut news) = (self.clock.now() + LONG, Vec::new());
        while !news.last().is_some_and(|news: &String| news.starts_with(last)) {
            assert!(self.clock.now() < until, "{news:?}");
            news.extend(self.drive(NOW).0);
            let heard = self.heard.recv_timeout(SHORT);
            let heard = heard.map(|heard| self.follower.observe(heard)).unwrap_or_default();
            news.extend(heard.iter().map(in_short));
        }
        news
    }

    /// What was asked since this was last called.
    fn asked(&self) -> Vec<String> {
        self.asked.try_iter().collect()
    }
}

fn follower_of(client: Client) -> (Follower, Receiver<StreamInput>) {
    let (send, heard) = mpsc::channel();
    let send = Mutex::new(send);
    let follower = Follower::new(client, &Arc::from("n"), 7, move |came| {
        let _ = send.lock().unwrap().send(came);
    });
    (follower, heard)
}

/// A stream of these lines, which goes on.
fn open(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| format!("{:x}\r\n{line}\n\r\n", line.len() + 1));
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", lines.collect::<String>())
}

/// The same, and its end.
fn ended(lines: &[String]) -> String {
    format!("{}0\r\n\r\n", open(lines))
}

fn whole(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A list of this pod, as of version 60.
fn list_of(name: &str) -> String {
    let metadata = json!({"resourceVersion": "60"});
    let list = json!({"kind": "PodList", "metadata": metadata, "items": [pod(name, "58")]});
    whole(200, &list.to_string())
}

fn set_of(name: &str) -> [String; 2] {
    [event("ADDED", name, "40"), bookmark("50", true)]
}

fn target(request: &Request) -> String {
    request.path.clone()
}

const NOW: Duration = Duration::ZERO;

#[test]
fn a_follower_has_one_request_at_a_time() {
    let mut following = Following::new([open(&set_of("a"))]);
    for _ in 0..3 {
        // Whoever was asked says when it fails.
        assert_eq!(following.drive(NOW), (vec![], None));
    }
    assert_eq!(following.hear("set complete"), ["set begins", "seen a", "set complete"]);
    let (news, due) = following.drive(NOW);
    assert_eq!(news, NOTHING);
    let left = following.clock.now().until(due.unwrap());
    assert!(left > SILENCE / 2 && left <= SILENCE, "{left:?}");
    assert_eq!(following.asked(), [target(&watch_pods("n", Since::Cached))]);
    assert!(following.closed.try_recv().is_err());
}

#[test]
fn what_is_silent_for_too_long_is_closed_and_asked_for_anew_after_a_rest() {
    let mut following = Following::new([open(&set_of("a")), open(&[event("DELETED", "a", "51")])]);
    following.drive(NOW);
    following.hear("set complete");
    assert_eq!(following.drive(SILENCE / 2).0, NOTHING);
    let later = following.clock.now() + SILENCE;
    let (news, due) = following.drive_at(later);
    assert_eq!(news, ["lost: the watch of pods was silent for 75 s"]);
    assert_eq!(following.closed.recv_timeout(LONG), Ok(()));
    following.asked();
    // Until then nothing is done.
    let rest = due.unwrap();
    assert!(rest > later && rest <= later + LEAST_PAUSE, "{rest:?} {later:?}");
    assert_eq!(following.drive_at(later), (vec![], due));
    assert_eq!(following.hear_more(), NOTHING, "what was closed says nothing any more");
    assert_eq!(following.asked(), NOTHING);
    assert_eq!(following.drive_at(rest), (vec![], None));
    assert_eq!(following.hear("gone"), ["gone u-a"]);
    assert_eq!(following.asked(), [target(&watch_pods("n", Since::Version("50")))]);
}

#[test]
fn what_comes_of_an_earlier_stream_is_dropped() {
    let mut following = Following::new([String::new(), open(&set_of("b"))]);
    following.drive(NOW);
    following.asked.recv_timeout(LONG).unwrap();
    let (number, at) = (following.follower.number, following.clock.read());
    let earlier = |input| StreamInput { number, at, input };
    let news = following.follower.observe(earlier(Input::Failed("cut".to_owned())));
    assert_eq!(news.iter().map(in_short).collect::<Vec<_>>(), ["lost: cut"]);
    following.drive(NOW);
    assert_eq!(following.drive(LEAST_PAUSE), (vec![], None));
    let late = Input::Item(Err(Unread { pod: None, why: "late".to_owned() }));
    for input in [Input::Opened, late, Input::Ended, Input::Failed("again".to_owned())] {
        assert_eq!(following.follower.observe(earlier(input)), []);
        assert_eq!(following.drive(LEAST_PAUSE), (vec![], None), "it is not what was asked for");
    }
    assert_eq!(following.hear("set complete"), ["set begins", "seen b", "set complete"]);
    assert_eq!(following.asked().len(), 1);
}

#[test]
fn a_list_that_ends_is_followed_by_the_watch_at_once() {
    let mut following =
        Following::new([whole(422, "{}"), list_of("a"), open(&[event("DELETED", "a", "61")])]);
    following.drive(NOW);
    let refused = following.heard.recv_timeout(LONG).unwrap();
    assert_eq!(following.follower.observe(refused), []);
    assert_eq!(following.drive(NOW), (vec![], None));
    // The list, and the end of its stream.
    assert_eq!(following.hear("set complete"), ["set begins", "seen a", "set complete"]);
    assert_eq!(following.hear_more(), NOTHING);
    assert_eq!(following.drive(NOW), (vec![], None));
    assert_eq!(following.hear("gone"), ["gone u-a"]);
    let targets = [
        target(&watch_pods("n", Since::Cached)),
        target(&list_pods("n", Since::Cached)),
        target(&watch_pods("n", Since::Version("60"))),
    ];
    assert_eq!(following.asked(), targets);
}

#[test]
fn what_follows_an_error_in_the_same_stream_says_nothing() {
    let [pod, complete] = set_of("a");
    let lines = [pod, complete, error(500, "etcd"), event("DELETED", "a", "51")];
    let mut following = Following::new([ended(&lines), open(&[event("MODIFIED", "a", "52")])]);
    following.drive(NOW);
    let said = "lost: the API server ended the watch of pods: 500: etcd";
    assert_eq!(following.hear(said), ["set begins", "seen a", "set complete", said]);
    assert_eq!(following.hear_more(), NOTHING);
    following.drive(LEAST_PAUSE);
    assert_eq!(following.hear("seen"), ["seen a"]);
    let since = target(&watch_pods("n", Since::Version("50")));
    assert_eq!(following.asked().last(), Some(&since), "what was deleted is told again");
}

#[test]
fn a_watch_that_ends_is_asked_for_again() {
    let [pod, complete] = set_of("a");
    let lines = [pod, complete, event("MODIFIED", "a", "51")];
    let mut following = Following::new([ended(&lines), open(&[event("DELETED", "a", "52")])]);
    let news = ["set begins", "seen a", "set complete", "seen a", "gone u-a"];
    assert_eq!(following.follow("gone"), news);
    assert_eq!(following.asked().last(), Some(&target(&watch_pods("n", Since::Version("51")))));
}

#[test]
fn a_server_that_is_not_there_is_said_and_tried_again() {
    let files = StandIn::answering(b"");
    let address = Address::parse("127.0.0.1", deaf_address().port()).unwrap();
    let (token, ca) = (files.files().token(), files.files().authority());
    let server = Arc::new(Server::new(address.clone(), token, ca));
    let (mut follower, heard) = follower_of(Client::new(server, Clock::start()));
    let clock = follower.client.clock();
    let mut said = Vec::new();
    for _ in 0..2 {
        let Reading { now, wall } = clock.read();
        assert_eq!(follower.drive(Reading { now: now + LONG, wall }), (vec![], None));
        let news = follower.observe(heard.recv_timeout(LONG).unwrap());
        said.extend(news.iter().map(in_short));
        assert!(follower.drive(clock.read()).1.is_some());
    }
    let why = "cannot be reached: Connection refused (os error 111)";
    assert_eq!(said, [format!("lost: the API server at {address} {why}")]);
}

#[test]
fn whoever_is_dropped_follows_nothing_any_more() {
    let mut following = Following::new([open(&set_of("a"))]);
    following.drive(NOW);
    following.hear("set complete");
    let Following { follower, closed, .. } = following;
    drop(follower);
    assert_eq!(closed.recv_timeout(LONG), Ok(()));
}

/// What a list by itself tells, and how it ends.
fn listed(answer: String) -> (Vec<String>, Result<(), String>) {
    let server = StandIn::answering(answer.leak().as_bytes());
    let mut told = Vec::new();
    let end = list(&server.client(), "n", |item| {
        told.push(match item {
            Ok(pod) => in_short(&PodNews::Seen(pod)),
            Err(unread) => in_short(&unread.into()),
        });
    });
    (told, end)
}

#[test]
fn a_list_by_itself_tells_its_pods_or_why_it_is_none() {
    assert_eq!(listed(list_of("a")), (vec!["seen a".to_owned()], Ok(())));
    let failed = |answer| {
        let (told, end) = listed(answer);
        assert_eq!(told, NOTHING);
        end.unwrap_err()
    };
    let no_list =
        "GET /api/v1/pods: 200, but not what was asked for: what came is no complete list of pods";
    assert_eq!(failed(whole(200, "<html>")), no_list);
    assert_eq!(
        failed(whole(403, "no")),
        "GET /api/v1/pods: 403, with 2 bytes that say no reason; `list` on `pods` must be granted"
    );
    assert_eq!(failed(whole(500, "no")), "GET /api/v1/pods: 500, with 2 bytes that say no reason");
    assert!(failed("<html>\r\n\r\n".to_owned()).starts_with("GET /api/v1/pods: "));
    let bare = json!({"metadata": {"name": "a", "namespace": "d"}});
    let list = json!({"kind": "PodList", "metadata": {"resourceVersion": "60"}, "items": [bare]});
    let (told, end) = listed(whole(200, &list.to_string()));
    assert_eq!((told, end), (vec!["unread: d/a: the pod d/a has no UID".to_owned()], Ok(())));
}

#[test]
fn a_list_that_breaks_off_is_none() {
    let (whole, server) = (list_of("a"), |cut: &'static [u8]| {
        StandIn::start(move |_, mut peer| {
            peer.hears();
            peer.says(cut);
            peer.leaves();
        })
    });
    let cut = &whole.leak().as_bytes();
    let server = server(&cut[..cut.len() - 2]);
    let mut told = 0;
    let end = list(&server.client(), "n", |_| told += 1);
    assert_eq!(told, 1, "what was there is told");
    let why = end.unwrap_err();
    assert!(why.contains("was cut short after"), "{why}");
}
