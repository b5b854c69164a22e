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
    item(pod.to_string().as_bytes(), context()).map(|(pod, _)| pod).map_err(|unread| unread.why)
}

fn event(kind: &str, object: &Value) -> String {
    json!({"type": kind, "object": object}).to_string()
}

fn read(line: &str) -> Result<WatchEvent, String> {
    WatchEvent::read(line.as_bytes(), context())
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
    let pod = Ok(parse_pod(&whole()).unwrap());
    for (kind, added) in [("ADDED", true), ("MODIFIED", false)] {
        let seen = WatchEvent::Seen { pod: pod.clone(), added, version: Some("71".into()) };
        assert_eq!(read(&event(kind, &whole())), Ok(seen));
    }
    let gone = WatchEvent::Gone { uid: Ok("u-1".into()), version: Some("71".into()) };
    assert_eq!(read(&event("DELETED", &whole())), Ok(gone));
    let bookmark = |annotations: Value| {
        json!({"kind": "Pod", "apiVersion": "v1", "spec": {"containers": null}, "status": {},
            "metadata": {"resourceVersion": "72", "annotations": annotations}})
    };
    let read_bookmark = |annotations| read(&event("BOOKMARK", &bookmark(annotations)));
    let is = |ends_set| Ok(WatchEvent::Bookmark { version: "72".into(), ends_set });
    assert_eq!(read_bookmark(json!(null)), is(false));
    assert_eq!(read_bookmark(json!({"k8s.io/initial-events-end": "true"})), is(true));
    assert_eq!(read_bookmark(json!({"k8s.io/initial-events-end": "false"})), is(false));
}

#[test]
fn an_event_with_an_unreadable_pod_still_says_where_the_watch_stands() {
    let mut pod = whole();
    pod["metadata"]["uid"] = json!(null);
    let seen = read(&event("MODIFIED", &pod)).unwrap();
    let WatchEvent::Seen { pod: Err(unread), version, .. } = seen else { panic!("{seen:?}") };
    let why = "the pod shop/web-7d4b has no UID".to_owned();
    assert_eq!(unread, Unread { pod: Some("shop/web-7d4b".to_owned()), why });
    assert_eq!(version.as_deref(), Some("71"));
    let gone = read(&event("DELETED", &pod)).unwrap();
    assert!(matches!(gone, WatchEvent::Gone { uid: Err(_), version: Some(_) }));
}

#[test]
fn an_error_is_read_even_if_half_of_it_is_missing() {
    let error = |object: Value| read(&event("ERROR", &object)).unwrap();
    let is = |expired, why: &str| WatchEvent::Error { expired, why: why.into() };
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
        (b"{\"type\":\"ADDED\",\"object\":[]}", "a line of 28 bytes is not an event in JSON"),
    ];
    for (line, said) in cases {
        assert_eq!(WatchEvent::read(line, context()).unwrap_err(), said);
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
        assert!(WatchEvent::read(&line.as_bytes()[..end], context()).is_err(), "{end}");
    }
}

#[test]
fn an_item_of_a_list_is_a_pod_with_its_version() {
    let (pod, version) = item(whole().to_string().as_bytes(), context()).unwrap();
    assert_eq!((pod.reference.name.as_str(), version.as_deref()), ("web-7d4b", Some("71")));
    let mut other = whole();
    other["spec"]["nodeName"] = json!("m");
    let unread = item(other.to_string().as_bytes(), context()).unwrap_err();
    assert_eq!(unread.pod.as_deref(), Some("u-1"));
    let whole = whole().to_string();
    for end in 0..whole.len() {
        let unread = item(&whole.as_bytes()[..end], context()).unwrap_err();
        let why = format!("an item of {end} bytes is not a pod in JSON");
        assert_eq!(unread, Unread { pod: None, why });
    }
}

#[test]
fn only_a_whole_list_of_pods_has_a_version() {
    let frame =
        r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"71"},"items":[0,0]}"#;
    assert_eq!(list_version(frame.as_bytes()).as_deref(), Some("71"));
    for end in 0..frame.len() {
        assert_eq!(list_version(&frame.as_bytes()[..end]), None, "{end}");
    }
    let others = [
        frame.replace("PodList", "NodeList"),
        frame.replace("\"71\"}", "\"\"}"),
        frame.replace("\"71\"}", "\"0\"}"),
        frame.replace("\"71\"}", "\"71\",\"continue\":\"t\"}"),
        frame.replace("[0,0]", "[0,,0]"),
        r#"{"kind":"Status","status":"Success"}"#.to_owned(),
        "<html></html>".to_owned(),
    ];
    for other in others {
        assert_eq!(list_version(other.as_bytes()), None, "{other}");
    }
    let whole = frame.replace("\"71\"}", "\"71\",\"continue\":\"\"}").replace("[0,0]", "null");
    assert_eq!(list_version(whole.as_bytes()).as_deref(), Some("71"));
}

#[test]
fn what_a_pod_begins_with_tells_its_uid() {
    let line = r#"{"type":"DELETED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"d","uid":"u-1","annotations":{"x":"\"uid\":\"u-2\""#;
    assert_eq!(uid_at(line.as_bytes()).as_deref(), Some("u-1"));
    assert_eq!(uid_of_deleted(line.as_bytes()).as_deref(), Some("u-1"));
    assert_eq!(uid_of_deleted(line.replace("DELETED", "ADDED").as_bytes()), None);
    let cut = line.split_once("u-1\"").unwrap().0;
    for end in 0..cut.len() {
        assert_eq!(uid_at(&line.as_bytes()[..end]), None);
    }
    assert_eq!(uid_at(b"\xff{\"metadata\":{\"uid\":\"a b\"}"), None);
}

/// Lists of 1.5 MiB, whoever wrote them: where they stand, and one of their elements.
const LISTS: [(&str, &str); 12] = [
    ("/metadata/finalizers", r#""a/b""#),
    ("/metadata/ownerReferences", r#"{"kind":"K","name":"o"}"#),
    ("/metadata/ownerReferences", r#"{"kind":"K","name":"o","controller":true}"#),
    ("/metadata/managedFields", r#"{"fieldsV1":{"f:spec":{}}}"#),
    ("/spec/volumes", r#"{"emptyDir":{},"persistentVolumeClaim":{}}"#),
    ("/spec/volumes", "{}"),
    ("/spec/tolerations", "{}"),
    ("/spec/containers", "{}"),
    ("/spec/imagePullSecrets", "{}"),
    ("/status/conditions", "{}"),
    ("/status/podIPs", "{}"),
    ("/status/containerStatuses", "{}"),
];

#[test]
fn of_a_list_of_any_length_no_more_is_kept_than_is_needed() {
    for (pointer, element) in LISTS {
        let count = 1_500_000 / (element.len() + 1);
        let mut pod = whole();
        *pod.pointer_mut(pointer).unwrap_or(&mut Value::Null) = json!(null);
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[name] = json!("HERE");
        let list = format!("[{}]", vec![element; count].join(","));
        let text = pod.to_string().replace("\"HERE\"", &list);
        assert!(text.len() > 1_400_000, "{pointer}");
        let object: RawObject = super::parse(&text).unwrap();
        let meta = object.metadata.as_ref().unwrap();
        let kept = [
            meta.finalizers.as_ref().map_or(0, |Folded(First(first))| usize::from(first.is_some())),
            meta.owners.as_ref().map_or(0, |Folded(Owners(owner))| usize::from(owner.is_some())),
        ];
        assert!(kept.iter().all(|kept| *kept <= 1), "{pointer}: {kept:?}");
        let pod = object.parse(context()).unwrap();
        let finalizer = if pointer.ends_with("finalizers") { "a/b" } else { "example.com/first" };
        assert_eq!(pod.finalizer.as_deref(), Some(finalizer), "{pointer}");
        let keeps_volumes = !pointer.ends_with("volumes") || element.len() > 2;
        assert_eq!((pod.empty_dir, pod.volume_claim), (keeps_volumes, keeps_volumes), "{pointer}");
        let keeps_owner = !pointer.ends_with("ownerReferences") || element.contains("controller");
        assert_eq!(pod.controller.is_some(), keeps_owner, "{pointer}");
    }
}

#[test]
fn the_first_controller_is_the_one() {
    let mut pod = plain();
    let owner = |name: &str, controller: bool| json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": name, "uid": "u", "controller": controller});
    pod["metadata"]["ownerReferences"] =
        json!([owner("a", false), owner("b", true), owner("c", true)]);
    assert_eq!(parse_pod(&pod).unwrap().controller, Some(Controller::DaemonSet("b".into())));
}

#[test]
fn a_daemon_set_is_one_of_whatever_group() {
    for (version, kind, is_one) in [
        ("apps/v1", "DaemonSet", true),
        ("apps/v2", "DaemonSet", true),
        ("apps.kruise.io/v1alpha1", "DaemonSet", true),
        ("extensions/v1beta1", "DaemonSet", true),
        ("v1", "DaemonSet", true),
        ("apps", "DaemonSet", true),
        ("", "DaemonSet", true),
        ("apps/v1", "daemonset", false),
        ("apps/v1", "DaemonSet\u{200b}", false),
        ("apps/v1", "ReplicaSet", false),
        ("v1", "Node", false),
    ] {
        let mut pod = plain();
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": version, "kind": kind, "name": "d", "controller": true}]);
        let expected =
            if is_one { Controller::DaemonSet("d".into()) } else { Controller::Other("".into()) };
        assert_eq!(parse_pod(&pod).unwrap().controller, Some(expected), "{version} {kind}");
    }
    let mut pod = plain();
    pod["metadata"]["ownerReferences"] =
        json!([{"kind": "DaemonSet", "name": "d", "controller": true}]);
    assert_eq!(parse_pod(&pod).unwrap().controller, Some(Controller::DaemonSet("d".into())));
}

#[test]
fn the_mirror_annotation_counts_whatever_it_says() {
    for value in ["", "hash", "false"] {
        let mut pod = plain();
        pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": value});
        assert!(parse_pod(&pod).unwrap().mirror, "{value}");
    }
    let mut pod = plain();
    pod["metadata"]["annotations"] = json!({"kubernetes.io/config.source": "file"});
    assert!(!parse_pod(&pod).unwrap().mirror);
}

#[test]
fn finished_is_what_has_succeeded_or_failed() {
    for (phase, finished) in [
        ("Succeeded", true),
        ("Failed", true),
        ("Running", false),
        ("Pending", false),
        ("Unknown", false),
        ("", false),
    ] {
        let mut pod = plain();
        pod["status"] = json!({"phase": phase});
        assert_eq!(parse_pod(&pod).unwrap().finished, finished, "{phase}");
    }
}
