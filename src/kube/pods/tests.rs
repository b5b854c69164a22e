use k8s_openapi::api::core::v1::Pod as OfficialPod;
use serde_json::{Value, json};

use super::*;

fn context() -> Context<'static> {
    let wall = WallTime::parse("2026-11-23T09:00:00Z").unwrap();
    Context { node: "n", at: Reading { now: moment(100), wall } }
}

fn moment(seconds: u64) -> Moment {
    Moment::at(Duration::from_secs(seconds))
}

/// A pod with all that is read of it, as the official types write it.
fn whole() -> Value {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web-7d4b", "namespace": "shop", "uid": "u-1", "resourceVersion": "71",
            "creationTimestamp": "2026-11-23T08:00:00Z",
            "deletionTimestamp": "2026-11-23T09:00:40Z", "deletionGracePeriodSeconds": 60,
            "annotations": {"kubernetes.io/config.mirror": "hash", "other": "x"},
            "finalizers": ["example.com/first", "example.com/second"],
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u-2"},
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u-3",
                 "controller": true, "blockOwnerDeletion": true},
            ],
        },
        "spec": {
            "nodeName": "n", "terminationGracePeriodSeconds": 60,
            "priorityClassName": "system-node-critical", "priority": 2_000_001_000,
            "containers": [{"name": "c", "image": "i", "resources": {}}],
            "volumes": [
                {"name": "token", "projected": {"sources": []}},
                {"name": "scratch", "emptyDir": {"medium": "Memory"}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-web"}},
            ],
        },
        "status": {"phase": "Failed", "podIP": "10.0.0.1"},
    });
    let official: OfficialPod = serde_json::from_value(pod.clone()).unwrap();
    assert_eq!(serde_json::to_value(official).unwrap(), pod);
    pod
}

fn plain() -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "d", "uid": "u"},
        "spec": {"nodeName": "n", "containers": []},
    })
}

fn parse_pod(pod: &Value) -> Result<Pod, String> {
    let raw: RawPod = super::parse(&pod.to_string()).expect("a RawPod");
    raw.parse(context())
}

fn event(kind: &str, object: &Value) -> String {
    json!({"type": kind, "object": object}).to_string()
}

fn read(line: &str) -> Result<Event, String> {
    Event::read(line.as_bytes(), context())
}

#[test]
fn every_field_of_a_pod_is_read() {
    let pod = parse_pod(&whole()).unwrap();
    let reference = PodRef { namespace: "shop".into(), name: "web-7d4b".into(), uid: "u-1".into() };
    assert_eq!(
        pod,
        Pod {
            reference: Arc::new(reference),
            grace: 60,
            tier: Tier::NodeCritical,
            controller: Some(Controller::Other("u-3".into())),
            mirror: true,
            finished: true,
            empty_dir: true,
            volume_claim: true,
            finalizer: Some("example.com/first".into()),
            terminating: Some(Terminating { grace: 60, ends: moment(140) }),
        }
    );
}

#[test]
fn a_pod_with_nothing_special_has_the_defaults() {
    let pod = parse_pod(&plain()).unwrap();
    assert_eq!((pod.grace, pod.tier), (30, Tier::Ordinary));
    assert_eq!((pod.controller, pod.finalizer, pod.terminating), (None, None, None));
    assert_eq!([pod.mirror, pod.finished, pod.empty_dir, pod.volume_claim], [false; 4]);
    // What the server writes as null or empty is nothing, too.
    let mut empty = plain();
    empty["metadata"]["annotations"] = json!(null);
    empty["metadata"]["finalizers"] = json!([]);
    empty["metadata"]["ownerReferences"] = json!([]);
    empty["spec"]["volumes"] = json!([{"name": "a", "emptyDir": null}]);
    empty["status"] = json!({"phase": "Running"});
    assert_eq!(parse_pod(&empty), parse_pod(&plain()));
}

#[test]
fn an_empty_dir_without_settings_is_one() {
    let mut pod = plain();
    pod["spec"]["volumes"] = json!([{"name": "a", "emptyDir": {}}]);
    assert!(parse_pod(&pod).unwrap().empty_dir);
}

#[test]
fn an_owner_that_is_no_controller_is_none() {
    let mut pod = plain();
    pod["metadata"]["ownerReferences"] = json!([{"kind": "DaemonSet", "name": "d"}, {"kind": "X", "name": "x", "controller": false}]);
    assert_eq!(parse_pod(&pod).unwrap().controller, None);
}

#[test]
fn graces_of_every_size() {
    let cases =
        [(0, 0), (1, 1), (-1, 1), (i64::MIN, 1), (i64::MAX, u32::MAX), (4_294_967_295, u32::MAX)];
    for (given, read) in cases {
        let mut pod = plain();
        pod["spec"]["terminationGracePeriodSeconds"] = json!(given);
        assert_eq!(parse_pod(&pod).unwrap().grace, read, "{given}");
    }
}

#[test]
fn a_pod_that_terminates_has_its_end() {
    let ends = |time: &str, grace: Value| {
        let mut pod = plain();
        pod["metadata"]["deletionTimestamp"] = json!(time);
        pod["metadata"]["deletionGracePeriodSeconds"] = grace;
        parse_pod(&pod).unwrap().terminating.unwrap()
    };
    let terminating = |grace, ends| Terminating { grace, ends };
    assert_eq!(ends("2026-11-23T09:00:05Z", json!(7)), terminating(7, moment(105)));
    // Over: the kubelet has not finished.
    assert_eq!(ends("2026-11-23T08:59:59Z", json!(0)), terminating(0, Moment::START));
    // Not given, not a time: as if it had just begun.
    assert_eq!(ends("soon", json!(null)), terminating(30, moment(130)));
    assert_eq!(ends("2026-11-23T09:00:05Z", json!(-3)), terminating(0, moment(105)));
}

#[test]
fn a_pod_that_lacks_what_identifies_it_is_named_as_far_as_possible() {
    for (field, said) in [
        ("name", "a pod has no name"),
        ("namespace", "the pod p has no namespace"),
        ("uid", "the pod d/p has no UID"),
    ] {
        let mut pod = plain();
        pod["metadata"][field] = json!(null);
        assert_eq!(parse_pod(&pod).unwrap_err(), said);
    }
    let mut pod = plain();
    pod["metadata"]["uid"] = json!("");
    assert_eq!(parse_pod(&pod).unwrap_err(), "the pod d/p has no UID");
    assert_eq!(parse_pod(&json!({})).unwrap_err(), "a pod has no metadata");
    let mut pod = plain();
    pod["spec"] = json!(null);
    assert_eq!(parse_pod(&pod).unwrap_err(), "the pod d/p has no spec");
}

#[test]
fn a_pod_of_another_node_is_never_ours() {
    for node in [json!("m"), json!(""), json!(null), json!("N")] {
        let mut pod = plain();
        pod["spec"]["nodeName"] = node.clone();
        let why = parse_pod(&pod).unwrap_err();
        assert!(why.starts_with("the pod d/p is on the node \""), "{why}");
        assert!(why.ends_with("\", not on n"), "{why}");
    }
}

#[test]
fn a_name_that_would_leave_its_place_in_a_path_is_refused() {
    for name in ["..", ".", "", "a/b", "a?b", "A", "-a", "a-", "a\n", "é", &"a".repeat(254)] {
        for field in ["name", "namespace"] {
            let mut pod = plain();
            pod["metadata"][field] = json!(name);
            assert!(parse_pod(&pod).is_err(), "{field} {name}");
        }
    }
    let mut pod = plain();
    pod["metadata"]["name"] = json!("a.b-c.9");
    assert!(parse_pod(&pod).is_ok());
}

#[test]
fn another_kind_of_object_is_no_pod() {
    let mut other = plain();
    other["kind"] = json!("Secret");
    assert_eq!(parse_pod(&other).unwrap_err(), "d/p is not a pod");
}

#[test]
fn every_kind_of_event_is_read() {
    let pod = parse_pod(&whole());
    for (kind, added) in [("ADDED", true), ("MODIFIED", false)] {
        let seen = Event::Seen { pod: pod.clone(), added, version: Some("71".into()) };
        assert_eq!(read(&event(kind, &whole())), Ok(seen));
    }
    let gone = Event::Gone { uid: Ok("u-1".into()), version: Some("71".into()) };
    assert_eq!(read(&event("DELETED", &whole())), Ok(gone));
    let bookmark = |annotations: Value| {
        json!({"kind": "Pod", "apiVersion": "v1", "spec": {"containers": null}, "status": {},
            "metadata": {"resourceVersion": "72", "annotations": annotations}})
    };
    let read_bookmark = |annotations| read(&event("BOOKMARK", &bookmark(annotations)));
    let is = |ends_set| Ok(Event::Bookmark { version: "72".into(), ends_set });
    assert_eq!(read_bookmark(json!(null)), is(false));
    assert_eq!(read_bookmark(json!({"k8s.io/initial-events-end": "true"})), is(true));
    assert_eq!(read_bookmark(json!({"k8s.io/initial-events-end": "false"})), is(false));
}

#[test]
fn an_event_with_an_unreadable_pod_still_says_where_the_watch_stands() {
    let mut pod = whole();
    pod["metadata"]["uid"] = json!(null);
    let seen = read(&event("MODIFIED", &pod)).unwrap();
    let Event::Seen { pod: Err(why), version, .. } = seen else { panic!("{seen:?}") };
    assert_eq!(
        (why.as_str(), version.as_deref()),
        ("the pod shop/web-7d4b has no UID", Some("71"))
    );
    let gone = read(&event("DELETED", &pod)).unwrap();
    assert!(matches!(gone, Event::Gone { uid: Err(_), version: Some(_) }));
}

#[test]
fn an_error_is_read_even_if_half_of_it_is_missing() {
    let error = |object: Value| read(&event("ERROR", &object)).unwrap();
    let is = |expired, why: &str| Event::Error { expired, why: why.into() };
    let status = json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version: 1 (2)"});
    assert_eq!(error(status), is(true, "410: too old resource version: 1 (2)"));
    let status = json!({"kind": "Status", "code": 410});
    assert_eq!(error(status), is(true, "410: no message"));
    let status = json!({"kind": "Status", "reason": "Expired"});
    assert_eq!(error(status), is(true, "no message"));
    let status = json!({"kind": "Status", "message": "too old resource version: 1 (2)"});
    assert_eq!(error(status), is(true, "too old resource version: 1 (2)"));
    let status = json!({"kind": "Status", "code": 500, "message": "etcd\nis gone"});
    assert_eq!(error(status), is(false, "500: etcd is gone"));
}

#[test]
fn a_line_that_is_no_event_says_what_it_is_and_not_what_it_holds() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "a line of 0 bytes is not an event in JSON"),
        (b"<html>secret</html>", "a line of 19 bytes is not an event in JSON"),
        (b"\xff\xfe", "a line of 2 bytes is not UTF-8"),
        (b"{}", "a line of 2 bytes is not an event in JSON"),
        (b"{\"type\":\"ADDED\"}", "a line of 16 bytes is no event of type ADDED"),
        (b"{\"type\":\"PING\",\"object\":{}}", "a line of 27 bytes is no event of type PING"),
        (
            b"{\"type\":\"BOOKMARK\",\"object\":{}}",
            "a line of 31 bytes is no event of type BOOKMARK",
        ),
        (b"{\"type\":\"ADDED\",\"object\":[]}", "a line of 28 bytes is no event of type ADDED"),
    ];
    for (line, said) in cases {
        assert_eq!(Event::read(line, context()).unwrap_err(), said);
    }
    // A watch must never go on from there.
    for version in ["", "0"] {
        let bookmark = json!({"metadata": {"resourceVersion": version}});
        assert!(read(&event("BOOKMARK", &bookmark)).is_err());
    }
}

#[test]
fn no_prefix_of_an_event_is_an_event() {
    for kind in ["ADDED", "DELETED", "BOOKMARK"] {
        let line = event(kind, &whole());
        for end in 0..line.len() {
            assert!(read(&line[..end]).is_err(), "{}", &line[..end]);
        }
    }
    let line = event("ERROR", &json!({"kind": "Status", "code": 410, "message": "é"}));
    for end in 0..line.len() {
        assert!(Event::read(&line.as_bytes()[..end], context()).is_err(), "{end}");
    }
}

fn page(metadata: &Value, items: &Value) -> String {
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items}).to_string()
}

#[test]
fn a_page_has_its_pods_and_what_comes_after() {
    let mut unreadable = plain();
    unreadable["metadata"]["uid"] = json!(null);
    let items = json!([whole(), unreadable, plain()]);
    let body = page(&json!({"resourceVersion": "71", "continue": "t"}), &items);
    let read = Page::read(body.as_bytes(), context()).unwrap();
    assert_eq!(read.then, Then::Page("t".into()));
    assert_eq!(read.pods.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    for items in [json!([]), json!(null)] {
        let body = page(&json!({"resourceVersion": "71", "continue": ""}), &items);
        let read = Page::read(body.as_bytes(), context()).unwrap();
        assert_eq!(read, Page { pods: Vec::new(), then: Then::End("71".into()) });
    }
}

#[test]
fn no_prefix_of_a_page_and_no_other_body_is_a_page() {
    let whole = page(&json!({"resourceVersion": "71"}), &json!([whole()]));
    assert!(Page::read(whole.as_bytes(), context()).is_some());
    for end in 0..whole.len() {
        assert_eq!(Page::read(&whole.as_bytes()[..end], context()), None, "{end}");
    }
    let others = [
        whole.replace("PodList", "NodeList"),
        whole.replace("\"71\"}", "\"\"}"),
        whole.replace("\"71\"}", "\"0\"}"),
        r#"{"kind":"Status","status":"Success"}"#.to_owned(),
        "<html></html>".to_owned(),
    ];
    for other in others {
        let read = Page::read(other.as_bytes(), context());
        assert_eq!(read, None, "{other}");
    }
}
