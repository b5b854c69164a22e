use std::num::NonZeroU32;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node as OfficialNode;
use serde_json::{Value, json};

use super::*;
use crate::drain::ask::Grace;
use crate::kube::request::{find_pod, for_job, patch_node, read_node, read_version, review};
use crate::moment::WallTime;
use crate::node::EXCLUSION_LABEL;
use crate::node::marks::Patch;
use crate::node::state::Remembered;
use crate::node::state::STATE_ANNOTATION;
use crate::node::{FieldManager, MOST_TAINTS, Node, Setter, Taint};

const GRACE: Grace = NonZeroU32::MIN;
const EVICT: Ask = Ask::Evict { grace: GRACE, dry: false };
const DELETE: Ask = Ask::Delete { grace: GRACE };

fn job(ask: Ask) -> Job {
    let pod = PodRef { namespace: "shop".into(), name: "web".into(), uid: "u-1".into() };
    Job { pod: Arc::new(pod), ask, timeout: Duration::from_secs(5) }
}

fn reply(status: u16, body: impl AsRef<[u8]>) -> Reply {
    Reply {
        status,
        retry_after: None,
        date: None,
        by: KnownBy::Token,
        body: body.as_ref().to_vec(),
    }
}

fn answer_to(ask: Ask, reply: &Reply) -> Answer {
    let job = job(ask);
    let request = for_job(&job, WallTime::parse("2026-11-23T09:00:00Z").unwrap());
    answer(&job, &request, reply)
}

/// A Status as kube-apiserver 1.37 words it.
fn failure(code: u16, reason: &str, message: &str, details: &Value) -> String {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code,
    })
    .to_string()
}

fn refused(ask: Ask, code: u16, reason: &str, message: &str, details: &Value) -> Answer {
    answer_to(ask, &reply(code, failure(code, reason, message, details)))
}

fn blocked(name: &str) -> Answer {
    Answer::Blocked(Budget { namespace: "shop".into(), name: name.into() })
}

fn busy(retry_after: Option<u64>, answer: &Answer) -> bool {
    matches!(answer, Answer::Busy { retry_after: given, .. }
        if *given == retry_after.map(Duration::from_secs))
}

const SUCCESS: &str =
    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}"#;
const POD: &str =
    r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web"},"status":{"phase":"Running"}}"#;

#[test]
fn done_is_what_status_and_body_say_together() {
    for status in [200, 201, 202] {
        assert_eq!(answer_to(EVICT, &reply(status, SUCCESS)), Answer::Accepted);
        assert_eq!(answer_to(DELETE, &reply(status, POD)), Answer::Accepted);
    }
    assert_eq!(answer_to(Ask::MarkDisrupted, &reply(200, POD)), Answer::Accepted);
    let no_confirmation =
        ["", "ok", "{}", "<html>Welcome</html>", "[1]", "\u{feff}{}", r#"{"kind":"PodList"}"#];
    for body in no_confirmation {
        let answer = answer_to(EVICT, &reply(201, body));
        let Answer::Broken(why) = answer else { panic!("{body}: {answer:?}") };
        assert!(why.starts_with("POST /api/v1/namespaces/shop/pods/web/eviction: 201, "), "{why}");
        assert!(why.contains(&format!("{} bytes", body.len())), "{why}");
    }
    let contradiction = failure(201, "Forbidden", "no", &json!({}));
    assert!(matches!(answer_to(EVICT, &reply(201, contradiction)), Answer::Broken(_)));
    assert!(matches!(answer_to(EVICT, &reply(200, b"\xff\xfe")), Answer::Broken(_)));
}

#[test]
fn a_budget_is_named_in_every_way_that_the_server_words_it() {
    let details = |said: &str| json!({"causes": [{"reason": "DisruptionBudget", "message": said}]});
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let wordings = [
        "The disruption budget web-pdb needs 20 healthy pods and has 20 currently",
        "The disruption budget web-pdb is still being processed by the server.",
        "The disruption budget web-pdb does not allow evicting pods currently",
        "The disruption budget web-pdb does not allow evicting pods currently because it failed sync: x",
    ];
    for wording in wordings {
        let answer = refused(EVICT, 429, "TooManyRequests", message, &details(wording));
        assert_eq!(answer, blocked("web-pdb"));
    }
    // A budget with numbers that are off answers 403.
    let negative = "The disruption budget web-pdb does not allow evicting pods currently: pdb \
                    disruptions allowed is negative";
    assert_eq!(refused(EVICT, 403, "Forbidden", "x", &details(negative)), blocked("web-pdb"));
    // A wording of the future is passed on as it is.
    let answer = refused(EVICT, 429, "TooManyRequests", message, &details("Budget says no."));
    assert_eq!(answer, blocked("Budget says no."));
    let silent = json!({"causes": [{"reason": "DisruptionBudget"}]});
    assert_eq!(refused(EVICT, 429, "TooManyRequests", message, &silent), blocked(message));
}

#[test]
fn several_budgets_over_one_pod_block_it() {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 500,
        "message": "This pod has more than one PodDisruptionBudget, which the eviction \
                    subresource does not support.",
    });
    let answer = answer_to(EVICT, &reply(500, body.to_string()));
    assert_eq!(answer, blocked("(more than one)"));
}

#[test]
fn an_overloaded_server_says_when_to_come_back() {
    let mut overloaded = reply(429, "Too many requests, please try again later.\n");
    overloaded.retry_after = Some(Duration::from_secs(1));
    assert!(busy(Some(1), &answer_to(EVICT, &overloaded)));
    let details = json!({"retryAfterSeconds": 10});
    let conflict = "couldn't update PodDisruptionBudget \"web\" due to conflicts";
    assert!(busy(Some(10), &refused(EVICT, 504, "Timeout", conflict, &details)));
    for code in [408, 409, 429, 500, 502, 503, 504, 599] {
        assert!(busy(None, &answer_to(EVICT, &reply(code, "<html>bad gateway</html>"))), "{code}");
    }
    let later = json!({"retryAfterSeconds": 2});
    assert!(busy(Some(2), &refused(EVICT, 500, "ServerTimeout", "later", &later)));
    let Answer::Busy { why, .. } =
        refused(EVICT, 500, "InternalError", "etcdserver: leader changed", &json!({}))
    else {
        panic!("not busy")
    };
    assert!(why.ends_with("/eviction: 500: etcdserver: leader changed"), "{why}");
}

#[test]
fn retry_after_is_whole_seconds_or_nothing() {
    assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
    assert_eq!(retry_after("0"), Some(Duration::ZERO));
    for other in ["", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "99999999999"] {
        assert_eq!(retry_after(other), None, "{other}");
    }
}

#[test]
fn a_pod_is_gone_only_if_the_server_says_so_of_this_pod() {
    let gone = |details: &Value| refused(EVICT, 404, "NotFound", "pods \"web\" not found", details);
    assert_eq!(gone(&json!({"name": "web", "kind": "pods"})), Answer::Gone);
    let others = [
        json!({}),
        json!({"name": "web", "kind": "namespaces"}),
        json!({"name": "shop", "kind": "namespaces"}),
        json!({"name": "other", "kind": "pods"}),
        json!({"name": "web", "kind": "pods", "group": "metrics.k8s.io"}),
    ];
    for details in others {
        assert!(matches!(gone(&details), Answer::Broken(_)), "{details}");
    }
    let wrong_path = "the server could not find the requested resource";
    let answer = refused(EVICT, 404, "NotFound", wrong_path, &json!({}));
    assert!(matches!(answer, Answer::Broken(why) if why.ends_with(wrong_path)));
    for body in ["404 page not found\n", "<html>404</html>", "", "{}"] {
        assert!(matches!(answer_to(DELETE, &reply(404, body)), Answer::Broken(_)), "{body}");
    }
}

#[test]
fn a_conflict_is_another_pod_only_if_it_is_about_our_uid() {
    let details = json!({"name": "web", "kind": "Pod"});
    let eviction = "Operation cannot be fulfilled on Pod \"web\": the UID in the precondition (u-1) \
                    does not match the UID in record (u-2). The object might have been deleted and \
                    then recreated";
    let storage = "Operation cannot be fulfilled on pods \"web\": StorageError: invalid object, \
                   Code: 4, Key: /pods/shop/web, ResourceVersion: 0, AdditionalErrorMsg: \
                   Precondition failed: UID in precondition: u-1, UID in object meta: u-2";
    for message in [eviction, storage] {
        assert_eq!(refused(EVICT, 409, "Conflict", message, &details), Answer::Replaced);
        assert_eq!(refused(DELETE, 409, "Conflict", message, &details), Answer::Replaced);
        let about_another = message.replace("u-1", "u-9");
        assert!(busy(None, &refused(EVICT, 409, "Conflict", &about_another, &details)));
    }
    let version = "Operation cannot be fulfilled on pods \"web\": the object has been modified; \
                   please apply your changes to the latest version and try again";
    assert!(busy(None, &refused(DELETE, 409, "Conflict", version, &details)));
    let immutable = json!({"causes": [{"reason": "FieldValueInvalid", "field": "metadata.uid"}]});
    let message =
        "Pod \"web\" is invalid: metadata.uid: Invalid value: \"u-1\": field is immutable";
    let answer = refused(Ask::MarkDisrupted, 422, "Invalid", message, &immutable);
    assert_eq!(answer, Answer::Replaced);
    assert!(matches!(refused(DELETE, 422, "Invalid", message, &immutable), Answer::Failed(_)));
}

#[test]
fn whatever_code_a_policy_or_a_webhook_refuses_with_it_is_an_answer() {
    let webhook = "failed calling webhook \"keep\": context deadline exceeded";
    for code in [400, 402, 413, 418, 422, 451, 500] {
        let answer = refused(EVICT, code, "Invalid", webhook, &json!({}));
        assert!(matches!(&answer, Answer::Failed(why) if why.ends_with(webhook)), "{answer:?}");
    }
}

#[test]
fn what_is_forbidden_and_why() {
    let terminating = json!({"causes": [{"reason": "NamespaceTerminating", "message": "namespace \
        shop is being terminated", "field": "metadata.namespace"}]});
    let answer = refused(EVICT, 403, "Forbidden", "unable to create new content", &terminating);
    assert_eq!(answer, Answer::NamespaceTerminating);
    let message = "pods \"web\" is forbidden: User \"u\" cannot create resource \"pods/eviction\"";
    let answer = refused(EVICT, 403, "Forbidden", message, &json!({"name": "web", "kind": "pods"}));
    assert!(matches!(answer, Answer::Forbidden(why) if why.ends_with(message)));
    assert!(matches!(answer_to(EVICT, &reply(403, "<html>")), Answer::Forbidden(_)));
    assert_eq!(answer_to(EVICT, &reply(401, "Unauthorized")), Answer::Unauthorized("the token"));
}

#[test]
fn everything_else_is_broken_and_says_status_and_length_but_no_body() {
    for code in [100, 301, 302, 307, 400, 405, 410, 413, 415, 418, 422, 600, 999] {
        let answer = answer_to(EVICT, &reply(code, "<html>secret</html>"));
        let Answer::Broken(why) = answer else { panic!("{code}: {answer:?}") };
        assert!(why.contains(&format!("eviction: {code}, with 19 bytes")), "{why}");
        assert!(!why.contains("secret"), "{why}");
    }
    let bad = "name in URL does not match name in Eviction object";
    let answer = refused(EVICT, 400, "BadRequest", bad, &json!({}));
    assert!(matches!(answer, Answer::Failed(why) if why.ends_with(bad)));
}

#[test]
fn no_prefix_of_a_refusal_is_more_than_busy() {
    let cause = json!({"causes": [{"reason": "DisruptionBudget",
        "message": "The disruption budget b needs 1 healthy pods and has 1 currently"}]});
    let whole = failure(429, "TooManyRequests", "Cannot evict pod", &cause);
    for end in 0..whole.len() {
        assert!(busy(None, &answer_to(EVICT, &reply(429, &whole[..end]))), "{end}");
    }
    let details = json!({"name": "web", "kind": "pods"});
    let whole = failure(404, "NotFound", "pods \"web\" not found", &details);
    for end in 0..whole.len() {
        let answer = answer_to(EVICT, &reply(404, &whole[..end]));
        assert!(matches!(answer, Answer::Broken(_)), "{end}");
    }
    for whole in [SUCCESS, POD] {
        for end in 0..whole.len() {
            let answer = answer_to(EVICT, &reply(201, &whole[..end]));
            assert!(matches!(answer, Answer::Broken(_)), "{end}");
        }
    }
}

fn official_node() -> Value {
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": "n", "resourceVersion": "71", "uid": "u",
            "annotations": {"other/one": "x"}, "labels": {"a": "b"},
        },
        "spec": {"providerID": "aws:///a/i", "taints": [{"effect": "NoSchedule", "key": "k"}]},
        "status": {"capacity": {"cpu": "2"}},
    });
    let official: OfficialNode = serde_json::from_value(node.clone()).unwrap();
    assert_eq!(serde_json::to_value(official).unwrap(), node);
    node
}

fn read_as_n(status: u16, body: impl AsRef<[u8]>) -> NodeAnswer {
    node("n", &read_node("n"), &reply(status, body))
}

/// The Node, with a list in this place that has so many of this element.
fn node_with(pointer: &str, element: &str, count: usize) -> Node {
    let mut whole = official_node();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    whole.pointer_mut(parent).unwrap()[name] = json!("HERE");
    let list = format!("[{}]", vec![element; count].join(","));
    match read_as_n(200, whole.to_string().replace("\"HERE\"", &list)) {
        NodeAnswer::Is(node) => *node,
        other => panic!("{pointer}: {other:?}"),
    }
}

#[test]
fn a_node_with_too_many_taints_is_read_without_any() {
    let element = r#"{"key":"k","effect":"NoSchedule"}"#;
    let some = node_with("/spec/taints", element, MOST_TAINTS);
    assert_eq!((some.taints.len(), some.too_many_taints), (MOST_TAINTS, false));
    for count in [MOST_TAINTS + 1, 10_000, 45_000] {
        let many = node_with("/spec/taints", element, count);
        assert_eq!((many.taints.len(), many.too_many_taints), (0, true), "{count}");
    }
}

#[test]
fn a_node_with_long_lists_is_read_as_one_without() {
    let plain = node_with("/spec/taints", "", 0);
    for (pointer, element) in [
        ("/metadata/managedFields", r#"{"manager":"m","fieldsV1":{"f:status":{}}}"#),
        ("/metadata/finalizers", r#""a/b""#),
        ("/metadata/ownerReferences", "{}"),
        ("/spec/podCIDRs", r#""10.0.0.0/24""#),
        ("/status/conditions", "{}"),
        ("/status/images", r#"{"names":["a"]}"#),
        ("/status/volumesInUse", r#""a""#),
    ] {
        let mut long = node_with(pointer, element, 1_500_000 / (element.len() + 1));
        long.taints.clear();
        assert_eq!(long, plain, "{pointer}");
    }
    let ours = r#"{"manager":"k8s-spot-handler","fieldsV1":{"f:spec":{"f:unschedulable":{}}}}"#;
    let long = node_with("/metadata/managedFields", ours, 20_000);
    assert_eq!(long.cordoned_by, Setter::Manager(FieldManager::Handler));
}

#[test]
fn the_cause_is_found_among_any_number_and_before_any_number() {
    let budget = r#"{"reason":"DisruptionBudget","message":"The disruption budget web needs"}"#;
    let others = vec![r#"{"field":"x"}"#; 4_000].join(",");
    for causes in
        [format!("{budget},{others}"), format!("{others},{budget}"), format!("{budget},{budget}")]
    {
        let body = format!(r#"{{"kind":"Status","code":429,"details":{{"causes":[{causes}]}}}}"#);
        assert_eq!(answer_to(EVICT, &reply(429, body)), blocked("web"));
    }
}

#[test]
fn a_node_is_read_with_what_we_need_of_it() {
    let is = |whole: &Value| match read_as_n(200, whole.to_string()) {
        NodeAnswer::Is(node) => *node,
        other => panic!("{other:?}"),
    };
    let mut whole = official_node();
    let plain = Node {
        resource_version: "71".into(),
        unschedulable: false,
        cordoned_by: Setter::Unknown,
        taints: vec![Taint {
            key: "k".into(),
            value: None,
            effect: "NoSchedule".into(),
            time_added: None,
        }],
        too_many_taints: false,
        exclusion: None,
        state: Remembered::Nothing,
        by_hand: Remembered::Nothing,
    };
    assert_eq!(is(&whole), plain);
    whole["spec"]["unschedulable"] = json!(true);
    whole["metadata"]["annotations"] = json!({STATE_ANNOTATION: "{}"});
    whole["metadata"]["labels"] = json!({EXCLUSION_LABEL: "x"});
    let marked = Node {
        unschedulable: true,
        exclusion: Some("x".into()),
        state: Remembered::Unreadable,
        ..plain.clone()
    };
    assert_eq!(is(&whole), marked);
    whole["metadata"]["annotations"] = json!({FieldManager::Operator.annotation(): "{}"});
    let (state, by_hand) = (Remembered::Nothing, Remembered::Unreadable);
    assert_eq!(is(&whole), Node { state, by_hand, ..marked });
    whole["spec"] = json!({});
    whole["metadata"]["annotations"] = json!(null);
    whole["metadata"]["labels"] = json!(null);
    assert_eq!(is(&whole), Node { taints: vec![], ..plain });
}

#[test]
fn who_cordoned_a_node_is_read_from_its_managed_fields() {
    let by = |managers: &[(&str, &str)]| {
        let mut whole = official_node();
        let fields = managers.iter().map(|(manager, field)| {
            json!({
                "manager": manager, "operation": "Update", "apiVersion": "v1",
                "time": "2026-11-25T10:00:00Z", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {*field: {}}},
            })
        });
        whole["metadata"]["managedFields"] = fields.collect();
        let official: OfficialNode = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(serde_json::to_value(official).unwrap(), whole);
        match read_as_n(200, whole.to_string()) {
            NodeAnswer::Is(node) => node.cordoned_by,
            other => panic!("{other:?}"),
        }
    };
    let (ours, theirs) = (
        (FieldManager::Handler.field_manager(), "f:unschedulable"),
        ("kubectl", "f:unschedulable"),
    );
    assert_eq!(by(&[]), Setter::Unknown);
    assert_eq!(
        by(&[(FieldManager::Handler.field_manager(), "f:taints"), ("kubelet", "f:providerID")]),
        Setter::Unknown
    );
    assert_eq!(by(&[("kubelet", "f:providerID"), ours]), Setter::Manager(FieldManager::Handler));
    let operators = (FieldManager::Operator.field_manager(), "f:unschedulable");
    assert_eq!(by(&[operators]), Setter::Manager(FieldManager::Operator));
    assert_eq!(by(&[ours, operators]), Setter::Others);
    assert_eq!(by(&[theirs]), Setter::Others);
    assert_eq!(by(&[ours, theirs]), Setter::Others);
    assert_eq!(by(&[theirs, ours]), Setter::Others);
}

#[test]
fn no_prefix_of_a_node_and_no_other_object_is_our_node() {
    let whole = official_node().to_string();
    for end in 0..whole.len() {
        assert!(matches!(read_as_n(200, &whole[..end]), NodeAnswer::Failed(_)), "{end}");
    }
    for (field, value) in [("name", json!("m")), ("resourceVersion", json!("")), ("name", json!(3))]
    {
        let mut other = official_node();
        other["metadata"][field] = value;
        assert!(matches!(read_as_n(200, other.to_string()), NodeAnswer::Failed(_)), "{field}");
    }
    let mut other = official_node();
    other["kind"] = json!("Pod");
    assert!(matches!(read_as_n(200, other.to_string()), NodeAnswer::Failed(_)));
}

#[test]
fn a_node_that_cannot_be_had_says_what_is_missing() {
    let failed = |answer: NodeAnswer| match answer {
        NodeAnswer::Failed(why) | NodeAnswer::Forbidden(why) | NodeAnswer::Missing(why) => why,
        other => panic!("{other:?}"),
    };
    let details = json!({"name": "n", "kind": "nodes"});
    let missing = failure(404, "NotFound", "nodes \"n\" not found", &details);
    assert_eq!(
        failed(read_as_n(404, missing)),
        "there is no node named n (GET /api/v1/nodes/n: 404)"
    );
    assert_eq!(
        failed(read_as_n(404, "<html>")),
        "GET /api/v1/nodes/n: 404, with 6 bytes that say no reason"
    );
    let message = "nodes \"n\" is forbidden: User \"u\" cannot get resource \"nodes\"";
    let forbidden = failure(403, "Forbidden", message, &details);
    let why = failed(read_as_n(403, &forbidden));
    assert_eq!(
        why,
        format!("GET /api/v1/nodes/n: 403: {message}; `get` on `nodes` must be granted")
    );
    let patch = patch_node(
        "n",
        &Patch { text: "{}".into(), taints: false, manager: FieldManager::Handler },
    );
    let why = failed(node("n", &patch, &reply(403, forbidden)));
    assert!(why.ends_with("; `patch` on `nodes` must be granted"), "{why}");
    assert_eq!(node("n", &patch, &reply(409, "")), NodeAnswer::Conflict);
    let why = failed(read_as_n(401, ""));
    assert_eq!(why, "GET /api/v1/nodes/n: 401, the API server does not accept the token");
    let by_certificate = Reply { by: KnownBy::Certificate, ..reply(401, "") };
    let why = failed(node("n", &read_node("n"), &by_certificate));
    assert_eq!(
        why,
        "GET /api/v1/nodes/n: 401, the API server does not accept the client certificate"
    );
    assert_eq!(answer_to(EVICT, &by_certificate), Answer::Unauthorized("the client certificate"));
    assert!(failed(read_as_n(503, "")).contains("503"));
}

/// As kube-apiserver 1.34 to 1.37 writes them.
#[test]
fn a_missing_right_is_told_from_what_no_right_mends() {
    let says = |status: u16, message: &str| {
        lacks_right(&reply(status, failure(status, "Forbidden", message, &json!({}))))
    };
    for lacks in [
        r#"nodes "n" is forbidden: User "system:serviceaccount:a:b" cannot get resource "nodes" in API group "" at the cluster scope"#,
        r#"pods "web" is forbidden: User "system:serviceaccount:a:b" cannot create resource "pods/eviction" in API group "" in the namespace "shop""#,
        r#"forbidden: User "system:serviceaccount:a:b" cannot get path "/version""#,
    ] {
        assert!(says(403, lacks), "{lacks}");
        assert!(!says(404, lacks));
    }
    for other in [
        r#"pods "web" is forbidden: unable to create new content in namespace shop because it is being terminated"#,
        r#"admission webhook "w.example" denied the request: User may not"#,
        r#"pods "web" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: the User cannot"#,
        r#"pods "web" is forbidden: node "n" can only evict pods with spec.nodeName set to itself"#,
        "pdb is corrupt",
        "",
        "User \"",
    ] {
        assert!(!says(403, other), "{other}");
    }
    assert!(!lacks_right(&reply(403, "<html> User \"a\" cannot")));
}

#[test]
fn the_node_of_the_own_pod_is_found_or_the_way_to_it_named() {
    let request = find_pod("kube-system", "me");
    let ask = |status: u16, body: &str| node_of_pod(&request, &reply(status, body));
    let whole = r#"{"kind":"Pod","spec":{"nodeName":"n"}}"#;
    assert_eq!(ask(200, whole), Ok("n".into()));
    for end in 0..whole.len() {
        assert!(ask(200, &whole[..end]).is_err(), "{end}");
    }
    assert!(ask(200, r#"{"kind":"Pod","spec":{"nodeName":""}}"#).is_err());
    assert!(ask(200, r#"{"kind":"Pod","spec":{}}"#).is_err());
    let forbidden = ask(403, "").unwrap_err();
    assert!(forbidden.ends_with("; set NODE_NAME, or grant `get` on `pods`"), "{forbidden}");
    let missing = ask(404, "").unwrap_err();
    assert!(missing.contains("POD_NAME"), "{missing}");
}

#[test]
fn of_a_large_pod_the_beginning_is_enough() {
    let kept = for_job(&job(DELETE), WallTime::parse("2026-11-23T09:00:00Z").unwrap()).answer_kept;
    let large = |beginning: &str| {
        let mut body = beginning.as_bytes().to_vec();
        body.resize(kept, b'x');
        body
    };
    let pod = large(r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"#);
    assert_eq!(answer_to(DELETE, &reply(200, &pod)), Answer::Accepted);
    let others = [large(r#"{"kind":"Node","apiVersion":"v1""#), large("<html>"), pod[1..].to_vec()];
    for other in others {
        assert!(matches!(answer_to(DELETE, &reply(200, &other)), Answer::Broken(_)));
    }
}

#[test]
fn a_review_is_believed_only_if_it_says_what_is_allowed() {
    let request = review("", "get", "nodes", "n");
    let told = |status: u16, body: &str| is_allowed(&request, &reply(status, body));
    let review =
        |status: &str| format!(r#"{{"kind":"SelfSubjectAccessReview","status":{status}}}"#);
    assert_eq!(told(201, &review(r#"{"allowed":true,"reason":"RBAC"}"#)), Ok(true));
    assert_eq!(told(201, &review(r#"{"allowed":false}"#)), Ok(false));
    let why = "selfsubjectaccessreviews.authorization.k8s.io is forbidden: no";
    let refused = failure(403, "Forbidden", why, &json!({}));
    assert!(told(403, &refused).unwrap_err().contains("403: selfsubjectaccessreviews"));
    for body in ["", "{}", "<html>", &review("{}"), &review(r#"{"allowed":"true"}"#)] {
        assert!(told(201, body).is_err(), "{body}");
    }
}

#[test]
fn a_version_is_told_if_the_server_tells_one() {
    assert_eq!(read_version().to_string(), "GET /version");
    let told = |body: &str| version(&reply(200, body));
    assert_eq!(told(r#"{"major":"1","gitVersion":"v1.37.2"}"#).as_deref(), Some("v1.37.2"));
    for body in ["", "{}", "[]", r#"{"gitVersion":7}"#] {
        assert_eq!(told(body), None, "{body}");
    }
}
