//! Texts that others wrote, each in every place where the API server passes it on: what is told of it is
//! one plain line.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::drain::ask::{Answer, Ask, Job, PodRef};
use crate::drain::pod::Controller;
use crate::excerpt::is_hidden;
use crate::kube::kubeconfig;
use crate::kube::pods::{Context, WatchEvent, item, list_version};
use crate::kube::reply::{self, KnownBy, Reply};
use crate::kube::request::{Request, find_pod, for_job, read_node, review};
use crate::kube::token::{BearerToken, Claims};
use crate::moment::{Moment, Reading, WallTime};
use crate::node::NodeAnswer;
use crate::node::marks::{Change, Marks};
use crate::node::{FieldManager, Node};

/// What would be a line of its own in the log, what steers a terminal, what turns the direction.
const TEXTS: [&str; 5] = [
    "x\n2026-11-23T09:00:00Z     ERROR the deadline is reached: nothing was drained",
    "x\r\n2026-11-23T09:00:00Z     ERROR fake",
    "x\u{1b}[2J\u{1b}[31m\u{7}\u{0}\u{9b}31m",
    "x\u{202e}\u{2066}\u{200f}\u{200b}\u{feff}",
    "x\u{2028}y\u{2029}z\u{85}",
];

fn at() -> Reading {
    let wall = WallTime::parse("2026-11-23T09:00:00Z").unwrap();
    Reading { now: Moment::START, wall }
}

fn context() -> Context<'static> {
    Context { node: "n", at: at() }
}

/// A pod with this value in this place.
fn pod(place: &str, value: &Value) -> Value {
    let mut pod = json!({
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "d", "uid": "u", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": true}
        ]},
        "spec": {"nodeName": "n"}, "status": {},
    });
    let (parent, name) = place.rsplit_once('/').unwrap();
    match pod.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value.clone(),
        parent => parent[name] = value.clone(),
    }
    pod
}

/// All that is told of a pod.
fn told_of_pod(pod: &Value) -> Vec<String> {
    let from_list = item(pod.to_string().as_bytes(), context()).map(|(pod, _)| pod);
    let line = json!({"type": "ADDED", "object": pod}).to_string();
    let from_watch = match WatchEvent::read(line.as_bytes(), context()) {
        Ok(WatchEvent::Seen { pod, .. }) => pod,
        other => panic!("{other:?}"),
    };
    assert_eq!(from_list, from_watch);
    match from_list {
        Ok(pod) => {
            let owner = match pod.controller {
                Some(Controller::DaemonSet(name)) => Some(name.to_string()),
                _ => None,
            };
            let names = [pod.reference.to_string(), pod.reference.uid.clone()];
            names.into_iter().chain(pod.finalizer).chain(owner).collect()
        }
        Err(unread) => unread.pod.into_iter().chain([unread.why]).collect(),
    }
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply {
        status,
        retry_after: None,
        date: None,
        by: KnownBy::Token,
        body: body.to_string().into_bytes(),
    }
}

fn evict() -> (Job, Request) {
    let pod = PodRef { namespace: "d".into(), name: "p".into(), uid: "u".into() };
    let ask = Ask::Evict { grace: NonZeroU32::MIN, dry: false };
    let job = Job { pod: Arc::new(pod), ask, timeout: Duration::from_secs(5) };
    let request = for_job(&job, at().wall);
    (job, request)
}

/// What an eviction comes to.
fn answer(status: u16, body: &Value) -> Vec<String> {
    let (job, request) = evict();
    match reply::answer(&job, &request, &reply(status, body)) {
        Answer::Blocked(budget) => vec![budget.to_string()],
        Answer::Forbidden(why)
        | Answer::Failed(why)
        | Answer::Broken(why)
        | Answer::Busy { why, .. } => vec![why],
        Answer::Accepted
        | Answer::Gone
        | Answer::Replaced
        | Answer::NamespaceTerminating
        | Answer::Unauthorized(_) => Vec::new(),
    }
}

/// What is told of a Node, and of what is done to it.
fn told_of_node(status: u16, body: &Value) -> Vec<String> {
    match reply::node("n", &read_node("n"), &reply(status, body)) {
        NodeAnswer::Is(node) => changes(&node),
        NodeAnswer::Conflict => Vec::new(),
        NodeAnswer::Forbidden(why) | NodeAnswer::Failed(why) | NodeAnswer::Missing(why) => {
            vec![why]
        }
    }
}

fn changes(node: &Node) -> Vec<String> {
    let marks = Marks {
        manager: FieldManager::Handler,
        reason: None,
        boot_id: "b".into(),
        notices: Vec::new(),
    };
    let made = marks.draft(node, true).changes;
    let foreign = node.taints.iter().cloned().map(Change::TaintForeign);
    let label = node.exclusion.iter().cloned().map(Change::ExclusionForeign);
    made.into_iter().chain(foreign).chain(label).map(|change| change.to_string()).collect()
}

fn claims(payload: &Value) -> Vec<String> {
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload.to_string()));
    let claims = Claims::of(&BearerToken::parse(token.as_bytes()).unwrap());
    let Claims { namespace, pod, node, audience, subject, .. } = claims;
    [namespace, pod, node, audience, subject].into_iter().flatten().collect()
}

/// Each place, and what is told where this text stands in it.
fn places(text: &str) -> Vec<(&'static str, Vec<String>)> {
    let mut told: Vec<(&'static str, Vec<String>)> = Vec::new();
    for (place, value) in [
        ("/metadata/name", json!(text)),
        ("/metadata/namespace", json!(text)),
        ("/metadata/uid", json!(text)),
        ("/metadata/finalizers", json!([text])),
        ("/metadata/ownerReferences/0/name", json!(text)),
        ("/metadata/ownerReferences/0/kind", json!(text)),
        ("/metadata/ownerReferences/0/apiVersion", json!(text)),
        ("/metadata/deletionTimestamp", json!(text)),
        ("/metadata/resourceVersion", json!(text)),
        ("/kind", json!(text)),
        ("/spec/nodeName", json!(text)),
        ("/spec/priorityClassName", json!(text)),
        ("/status/phase", json!(text)),
    ] {
        told.push((place, told_of_pod(&pod(place, &value))));
    }
    let status = |code: u16, message: &str| json!({"kind": "Status", "code": code, "reason": text, "message": message});
    let line = json!({"type": "ERROR", "object": status(500, text)}).to_string();
    let Ok(WatchEvent::Error { why, .. }) = WatchEvent::read(line.as_bytes(), context()) else {
        panic!()
    };
    told.push(("error of a watch", vec![why]));
    let line = json!({"type": text, "object": {}}).to_string();
    told.push((
        "type of an event",
        vec![WatchEvent::read(line.as_bytes(), context()).unwrap_err()],
    ));
    assert_eq!(list_version(text.as_bytes()), None);

    for code in [400, 401, 403, 404, 409, 422, 429, 500, 503] {
        told.push(("message of a refused eviction", answer(code, &status(code, text))));
        told.push(("message about the Node", told_of_node(code, &status(code, text))));
    }
    told.push(("a body that is no Status", answer(502, &json!(text))));
    let cause = |message: String| json!({"kind": "Status", "code": 429, "details": {"causes": [{"reason": "DisruptionBudget", "message": message}]}});
    let named = format!("The disruption budget {text} needs 1 healthy pods");
    told.push(("name of a budget", answer(429, &cause(named))));
    told.push(("message of a budget", answer(429, &cause(text.to_owned()))));

    let node = |place: &str, value: Value| {
        let mut node = json!({"kind": "Node", "spec": {}, "metadata":
            {"name": "n", "resourceVersion": "1", "labels": {}, "annotations": {}}});
        let (parent, name) = place.rsplit_once(' ').unwrap();
        node.pointer_mut(parent).unwrap()[name] = value;
        node
    };
    let exclusion = "/metadata/labels node.kubernetes.io/exclude-from-external-load-balancers";
    told.push(("label of the Node", told_of_node(200, &node(exclusion, json!(text)))));
    for part in ["key", "value", "effect", "timeAdded"] {
        let mut taint = json!({"key": "k", "value": "v", "effect": "NoSchedule"});
        taint[part] = json!(text);
        told.push(("taint", told_of_node(200, &node("/spec taints", json!([taint])))));
    }
    let remembered = json!({"version": 1, "bootId": text, "notice": text, "cordoned": true, "excluded": true,
        "taint": {"key": text, "effect": text},
        "notices": [{"notice": format!("scheduled-maintenance/instance-stop/{text}/0"), "progress": "open"}]});
    let place = "/metadata/annotations k8s-spot-handler/state";
    let noted = node(place, json!(remembered.to_string()));
    told.push(("annotation of the Node", told_of_node(200, &noted)));
    let mut whole = node("/spec providerID", json!(text));
    whole["metadata"]["labels"] = json!({text: text});
    let profile = reply::profile(&reply(200, &whole)).unwrap();
    let labels = profile.labels.into_iter().flat_map(|(name, value)| [name, value]);
    told.push(("profile of the Node", labels.chain(profile.provider_id).collect()));

    let found = reply(200, &json!({"kind": "Pod", "spec": {"nodeName": text}}));
    let (Ok(found) | Err(found)) = reply::node_of_pod(&find_pod("a", "b"), &found);
    told.push(("node of the own pod", vec![found]));
    let version = reply(200, &json!({"gitVersion": text}));
    told.push(("version", reply::version(&version).into_iter().collect()));
    let request = review("", "get", "pods", "n");
    let why = reply::is_allowed(&request, &reply(403, &status(403, text))).unwrap_err();
    told.push(("review", vec![why]));
    let refused = format!("User \"{text}\" cannot impersonate resource");
    let refused = reply::refused_impersonation(&reply(403, &status(403, &refused)));
    told.push(("impersonation", refused.into_iter().collect()));

    told.push((
        "claims of the token",
        claims(&json!({"sub": text, "aud": [text], "kubernetes.io":
            {"namespace": text, "pod": {"name": text, "uid": text}, "node": {"name": text}}})),
    ));
    for config in [
        json!({"current-context": text}),
        json!({"kind": text}),
        json!({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": text, "user": text}}]}),
        json!({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": text}}], "users": [{"name": "u", "user": {}}]}),
    ] {
        let why = kubeconfig::server(config.to_string().as_bytes(), Path::new("/")).err().unwrap();
        told.push(("kubeconfig", vec![why]));
    }
    told
}

#[test]
fn what_others_wrote_is_one_plain_line_wherever_it_stands() {
    for text in TEXTS {
        for (place, told) in places(text) {
            for line in told {
                let is_plain = !line.contains(|c| is_hidden(c) || c == '\n');
                assert!(is_plain, "{place}: {line:?} of {text:?}");
            }
        }
    }
}
