use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::kube::reply::KnownBy;
use crate::moment::WallTime;

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

    fn observe(&mut self, input: Input<'_>) -> Vec<String> {
        let wall = WallTime::parse("2026-11-23T09:00:00Z").unwrap();
        let news = self.watch.observe(Reading { now: self.now, wall }, input);
        news.iter().map(in_short).collect()
    }

    fn line(&mut self, line: &str) -> Vec<String> {
        self.observe(Input::Line(line.as_bytes()))
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
            Step::List(request) | Step::Open(request) => {
                self.observe(Input::Refused(&request, &reply))
            }
            other => panic!("nothing was asked: {other:?}"),
        }
    }

    fn is_listing(&self) -> bool {
        matches!(self.watch.stage, Stage::ReadList { .. })
    }

    /// A list of these pods, as of version 60.
    fn list(&mut self, names: &[&str]) -> Vec<String> {
        assert!(matches!(self.step(), Step::List(_)), "no list: {:?}", self.step());
        let mut news = self.observe(Input::Opened);
        for name in names {
            news.extend(self.item(&pod(name, "58")));
        }
        news.extend(self.end_list(names.len()));
        news
    }

    fn item(&mut self, pod: &Value) -> Vec<String> {
        self.observe(Input::Item(pod.to_string().as_bytes()))
    }

    fn end_list(&mut self, items: usize) -> Vec<String> {
        let metadata = json!({"resourceVersion": "60"});
        let frame = json!({"kind": "PodList", "metadata": metadata, "items": vec![0; items]});
        self.observe(Input::ListEnded(frame.to_string().as_bytes()))
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
    Step::Open(watch_pods("n", since))
}

fn lists(since: Since<'_>) -> Step {
    Step::List(list_pods("n", since))
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
    assert_eq!(play.step(), Step::Read(opened + SET_PATIENCE));
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
        let news = play.observe(Input::ListEnded(frame.as_bytes()));
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
    assert_eq!(play.observe(Input::Line(b"\xff")), ["unread: a line of 1 bytes is not UTF-8"]);
    let too_long = |beginning: &'static str| {
        let beginning = beginning.as_bytes();
        Input::TooLong { what: What::Line, length: 5_000_000, beginning }
    };
    for (beginning, said) in [
        ("{\"type\":", "unread: a line of 5000000 bytes in the watch of pods was skipped"),
        (LONG_ADDED, "unread: u-1: a line of 5000000 bytes in the watch of pods was skipped"),
        (LONG_DELETED, "gone u-1"),
    ] {
        assert_eq!(play.observe(too_long(beginning)), [said]);
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
        let news = play.observe(Input::Item(b"{\"a\":"));
        let said = ["lost: an item of 5 bytes is not a pod in JSON".to_owned()];
        assert_eq!(news, if round == 0 { said.to_vec() } else { Vec::new() });
        play.pause();
    }
    play.observe(Input::Opened);
    let bare = json!({"metadata": {"name": "a", "namespace": "d"}});
    assert_eq!(play.item(&bare), ["unread: d/a: the pod d/a has no UID"]);
    assert_eq!(
        play.observe(Input::Item(b"{\"a\":")),
        ["unread: an item of 5 bytes is not a pod in JSON"]
    );
    let too_long = Input::TooLong { what: What::Item, length: 5_000_000, beginning: b"{" };
    assert_eq!(
        play.observe(too_long),
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
            if let Step::Open(request) | Step::List(request) = &step {
                let from_cache = request.path.ends_with("&resourceVersion=0")
                    || request.path.contains("&resourceVersion=0&");
                prop_assert!(!(told && from_cache), "the cache is asked after {told}");
                prop_assert!(!request.path.contains("&limit="), "{}", request.path);
                if let Step::List(_) = &step
                    && let Some((_, version)) = request.path.split_once("&resourceVersion=")
                    && let Some((version, _)) = version.split_once("&resourceVersionMatch=NotOlderThan")
                {
                    let version: u8 = version.parse().unwrap();
                    prop_assert!(version >= newest, "{} after {newest} was told", request.path);
                }
            }
            let failed = matches!(chance, Chance::Broke | Chance::Reply(_));
            let news = match (chance, &step) {
                (Chance::Opened, Step::Open(_) | Step::List(_)) => play.observe(Input::Opened),
                (Chance::Reply(status), Step::Open(_) | Step::List(_)) => play.refused(status, None),
                (Chance::Item(version), Step::Read(_)) if play.is_listing() => {
                    newest = newest.max(version);
                    play.item(&pod("a", &version.to_string()))
                }
                (Chance::ListEnded(true), Step::Read(_)) if play.is_listing() => play.end_list(1),
                (Chance::ListEnded(false), Step::Read(_)) if play.is_listing() => {
                    play.observe(Input::ListEnded(b"<html>"))
                }
                (Chance::Line(line), Step::Read(_)) if !play.is_listing() => play.line(&line),
                (Chance::TooLong, Step::Read(_)) => {
                    let what = if play.is_listing() { What::Item } else { What::Line };
                    play.observe(Input::TooLong { what, length: 5_000_000, beginning: b"{" })
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
