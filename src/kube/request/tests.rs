use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::node::FieldManager;

fn job(ask: Ask) -> Job {
    let pod = PodRef { namespace: "shop".into(), name: "web-7d4b".into(), uid: "u-1".into() };
    Job { pod: Arc::new(pod), ask, timeout: Duration::from_secs(5) }
}

fn grace(seconds: u32) -> Grace {
    NonZeroU32::new(seconds).unwrap()
}

fn at_nine(ask: Ask) -> Request {
    for_job(&job(ask), WallTime::parse("2026-11-23T09:00:00Z").unwrap())
}

fn sent(request: &Request) -> Value {
    serde_json::from_str(&request.body.as_ref().unwrap().text).unwrap()
}

/// What an official type makes of a body, and how it writes that again: a field that it does not
/// know is lost on the way.
macro_rules! understood {
    ($official:ty, $request:expr) => {{
        let parsed: $official =
            serde_json::from_str(&$request.body.as_ref().unwrap().text).unwrap();
        let again = serde_json::to_value(&parsed).unwrap();
        (parsed, again)
    }};
}

#[test]
fn an_eviction_carries_uid_and_grace_and_nothing_unknown() {
    let request = at_nine(Ask::Evict { grace: grace(25), dry: false });
    assert_eq!(request.to_string(), "POST /api/v1/namespaces/shop/pods/web-7d4b/eviction");
    assert_eq!(request.path, "/api/v1/namespaces/shop/pods/web-7d4b/eviction");
    let (eviction, again) = understood!(Eviction, request);
    assert_eq!(again, sent(&request));
    assert_eq!(sent(&request)["apiVersion"], "policy/v1");
    assert_eq!(sent(&request)["kind"], "Eviction");
    assert_eq!(eviction.metadata.name.as_deref(), Some("web-7d4b"));
    assert_eq!(eviction.metadata.namespace.as_deref(), Some("shop"));
    let options = eviction.delete_options.unwrap();
    assert_eq!(options.grace_period_seconds, Some(25));
    assert_eq!(options.preconditions.unwrap().uid.as_deref(), Some("u-1"));
    assert_eq!(options.dry_run.unwrap_or_default(), Vec::<String>::new());
}

#[test]
fn a_review_asks_for_one_right_and_has_nothing_unknown() {
    let asked = |prefix, verb, resource| {
        let request = review(prefix, verb, resource, "n\"1");
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        assert_eq!((&request.method, request.path.as_str()), (&Method::POST, path));
        // In the ServiceAccount's name: the node's would be told "yes" for other nodes, too.
        assert_eq!(request.caller, Caller::ServiceAccount);
        let (_, again) = understood!(SelfSubjectAccessReview, request);
        let attributes = sent(&request)["spec"]["resourceAttributes"].clone();
        assert_eq!(again["apiVersion"], sent(&request)["apiVersion"]);
        (attributes, again["spec"]["resourceAttributes"].clone())
    };
    let (eviction, again) = asked("impersonate-on:associated-node:", "create", "pods/eviction");
    assert_eq!(eviction, again);
    let verb = "impersonate-on:associated-node:create";
    let expected = json!({"verb": verb, "resource": "pods", "subresource": "eviction", "name": ""});
    assert_eq!(eviction, expected);
    let (patch, again) = asked("", "patch", "nodes");
    assert_eq!(patch, again);
    assert_eq!(patch["name"], "n\"1");
    for verb in ["list", "watch"] {
        let (list, _) = asked("", verb, "pods");
        assert_eq!((&list["verb"], &list["name"]), (&json!(verb), &json!("")));
        let only = json!({"key": "spec.nodeName", "operator": "In", "values": ["n\"1"]});
        assert_eq!(list["fieldSelector"], json!({"requirements": [only]}));
    }
}

#[test]
fn a_dry_eviction_says_so_to_the_deletion_and_to_the_webhooks() {
    let request = at_nine(Ask::Evict { grace: grace(25), dry: true });
    assert!(request.path.ends_with("/eviction?dryRun=All"), "{}", request.path);
    let (eviction, again) = understood!(Eviction, request);
    assert_eq!(again, sent(&request));
    assert_eq!(eviction.delete_options.unwrap().dry_run, Some(vec!["All".to_owned()]));
}

#[test]
fn a_deletion_carries_uid_and_grace_and_nothing_unknown() {
    let request = at_nine(Ask::Delete { grace: grace(1) });
    assert_eq!(request.to_string(), "DELETE /api/v1/namespaces/shop/pods/web-7d4b");
    assert_eq!(request.body.as_ref().unwrap().content_type, "application/json");
    let (options, again) = understood!(DeleteOptions, request);
    assert_eq!(again, sent(&request));
    assert_eq!(options.kind.as_deref(), Some("DeleteOptions"));
    assert_eq!(options.api_version.as_deref(), Some("v1"));
    assert_eq!(options.grace_period_seconds, Some(1));
    assert_eq!(options.preconditions.unwrap().uid.as_deref(), Some("u-1"));
    assert_eq!(options.propagation_policy, None);
    assert_eq!(options.orphan_dependents, None);
}

#[test]
fn the_condition_is_one_that_a_pod_can_have_and_bound_to_the_uid() {
    let request = at_nine(Ask::MarkDisrupted);
    assert_eq!(request.to_string(), "PATCH /api/v1/namespaces/shop/pods/web-7d4b/status");
    let body = request.body.as_ref().unwrap();
    assert_eq!(body.content_type, "application/strategic-merge-patch+json");
    // What a Pod always says of itself, and a patch need not.
    let mut whole = sent(&request);
    whole["apiVersion"] = json!("v1");
    whole["kind"] = json!("Pod");
    let pod: Pod = serde_json::from_value(whole.clone()).unwrap();
    assert_eq!(serde_json::to_value(&pod).unwrap(), whole);
    assert_eq!(pod.metadata.uid.as_deref(), Some("u-1"));
    let conditions = pod.status.unwrap().conditions.unwrap();
    let [condition] = conditions.as_slice() else { panic!("{conditions:?}") };
    assert_eq!(condition.type_, "DisruptionTarget");
    assert_eq!(condition.status, "True");
    // The API server's rule for a condition's reason in CamelCase.
    assert!(condition.reason.as_ref().unwrap().chars().all(char::is_alphanumeric));
    assert_eq!(
        sent(&request)["status"]["conditions"][0]["lastTransitionTime"],
        "2026-11-23T09:00:00Z"
    );
}

#[test]
fn the_node_is_read_and_patched_where_it_is() {
    let read = read_node("ip-10-0-0-1.ec2.internal");
    assert_eq!((read.method, read.body.clone()), (Method::GET, None));
    assert_eq!(read.path, "/api/v1/nodes/ip-10-0-0-1.ec2.internal");
    let patch = Patch {
        text: r#"{"spec":{"unschedulable":true}}"#.into(),
        taints: false,
        manager: FieldManager::Handler,
    };
    let request = patch_node("n", &patch);
    assert_eq!(request.to_string(), "PATCH /api/v1/nodes/n");
    let body = request.body.unwrap();
    assert_eq!((body.content_type, body.text), ("application/merge-patch+json", patch.text));
    assert_eq!(find_pod("a", "b").path, "/api/v1/namespaces/a/pods/b");
}

#[test]
fn every_way_to_list_and_to_watch() {
    let pods = "/api/v1/pods?fieldSelector=spec.nodeName%3Dn";
    let watch = format!("{pods}&watch=1&allowWatchBookmarks=true");
    let set = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let cases = [
        (list_pods("n", Since::Cached), format!("{pods}&resourceVersion=0")),
        (list_pods("n", Since::Newest), pods.to_owned()),
        (
            list_pods("n", Since::NotOlderThan("71")),
            format!("{pods}&resourceVersion=71&resourceVersionMatch=NotOlderThan"),
        ),
        (
            watch_pods("n", Since::NotOlderThan("71")),
            format!(
                "{watch}&resourceVersion=71&resourceVersionMatch=NotOlderThan&sendInitialEvents=true"
            ),
        ),
        (watch_pods("n", Since::Cached), format!("{watch}&resourceVersion=0{set}")),
        (watch_pods("n", Since::Newest), format!("{watch}{set}")),
        (watch_pods("n", Since::Version("71")), format!("{watch}&resourceVersion=71")),
    ];
    for (request, path) in cases {
        assert_eq!(request.path, path);
        assert_eq!(request.to_string(), "GET /api/v1/pods");
        assert_eq!((request.method, request.body), (Method::GET, None));
    }
}

#[test]
fn nothing_from_outside_leaves_its_place_in_the_path() {
    let hostile = "a/../b?c=d&e#f %00\r\nX: é";
    let encoded = "a%2F..%2Fb%3Fc%3Dd%26e%23f%20%2500%0D%0AX%3A%20%C3%A9";
    assert_eq!(read_node(hostile).path, format!("/api/v1/nodes/{encoded}"));
    assert_eq!(
        find_pod(hostile, hostile).path,
        format!("/api/v1/namespaces/{encoded}/pods/{encoded}")
    );
    let list = list_pods("n", Since::NotOlderThan(hostile)).path;
    assert!(list.ends_with(&format!("={encoded}&resourceVersionMatch=NotOlderThan")), "{list}");
    let watch = watch_pods("n,metadata.name=x", Since::Version("1&watch=0")).path;
    assert!(watch.contains("=spec.nodeName%3Dn%2Cmetadata.name%3Dx&"), "{watch}");
    assert!(watch.ends_with("&resourceVersion=1%26watch%3D0"), "{watch}");
}

#[test]
fn a_body_escapes_what_it_holds() {
    let mut job = job(Ask::Delete { grace: grace(1) });
    let pod = PodRef { namespace: "a".into(), name: "b".into(), uid: "\"},\"x\":{\"".into() };
    job.pod = Arc::new(pod);
    let request = for_job(&job, WallTime::parse("2026-11-23T09:00:00Z").unwrap());
    let (options, _) = understood!(DeleteOptions, request);
    assert_eq!(options.preconditions.unwrap().uid.as_deref(), Some("\"},\"x\":{\""));
}

#[test]
fn what_is_best_effort_is_not_needed_whatever_names_are_in_it() {
    assert!(!create_event("status", String::new()).is_needed());
    assert!(!patch_event("pods", "pods", String::new()).is_needed());
    assert!(read_node("status").is_needed() && read_node("events").is_needed());
    assert!(list_pods("events", Since::Cached).is_needed());
    for (ask, is_needed) in [
        (Ask::Evict { grace: Grace::MIN, dry: false }, true),
        (Ask::MarkDisrupted, false),
        (Ask::Delete { grace: Grace::MIN }, true),
    ] {
        for name in ["web", "status", "events", "eviction", "pods"] {
            let pod = PodRef { namespace: "events".into(), name: name.into(), uid: "u".into() };
            let job = Job { pod: Arc::new(pod), ask, timeout: std::time::Duration::ZERO };
            let now = WallTime::parse("2026-11-23T12:00:00Z").unwrap();
            assert_eq!(for_job(&job, now).is_needed(), is_needed, "{ask:?} {name}");
        }
    }
}

#[test]
fn a_request_is_known_by_its_verb() {
    assert_eq!(create_event("default", String::new()).verb(), Verb::Create);
    assert_eq!(patch_event("default", "n", String::new()).verb(), Verb::Patch);
    assert_eq!(read_node("pods").verb(), Verb::Get);
    assert_eq!(list_pods("n", Since::Cached).verb(), Verb::List);
    for since in [Since::Cached, Since::Newest, Since::Version("1")] {
        assert_eq!(watch_pods("n", since).verb(), Verb::Watch);
    }
    for (ask, verb) in [
        (Ask::Evict { grace: Grace::MIN, dry: true }, Verb::Evict),
        (Ask::Evict { grace: Grace::MIN, dry: false }, Verb::Evict),
        (Ask::MarkDisrupted, Verb::Patch),
        (Ask::Delete { grace: Grace::MIN }, Verb::Delete),
    ] {
        let (namespace, name, uid) = ("a".into(), "eviction".into(), "u".into());
        let pod = std::sync::Arc::new(PodRef { namespace, name, uid });
        let job = Job { pod, ask, timeout: std::time::Duration::ZERO };
        let now = WallTime::parse("2026-11-23T12:00:00Z").unwrap();
        assert_eq!(for_job(&job, now).verb(), verb);
    }
}

#[test]
fn names_are_safe_in_paths_and_selectors() {
    for text in ["n", "ip-10-0-0-1.eu-west-1.compute.internal", "0", &"a".repeat(253)] {
        assert!(is_subdomain(text), "{text}");
    }
    let long = "a".repeat(254);
    for text in
        ["", "Node", "a/b", "a b", "a,b", "a=b", ".a", "a.", "a..b", "..", "-a", "a-", "é", &long]
    {
        assert!(!is_subdomain(text), "{text}");
    }
    assert!(is_label("kube-system"));
    assert!(!is_label("a.b"));
    assert!(!is_label(&"a".repeat(64)));
}
