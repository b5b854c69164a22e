//! Taints and the label for load balancers: how they are written, and what becomes of them when
//! others write there, too.

use std::slice::from_ref;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Class, Happening, Node, Pod};

use crate::child::Launch;
use crate::maintenance::{ID, past, stop};
use crate::stage::{FAR, NODE, Stage, names, quick, quick_pods};

const KEY: &str = "aws-node-termination-handler/spot-itn";
const PLANNED: &str = "aws-node-termination-handler/scheduled-maintenance";
const LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// With every mark there is.
fn launch(stage: &Stage) -> Launch<'_> {
    stage.handler().with("TAINT_NODE", "true").with("EXCLUDE_FROM_LOAD_BALANCERS", "true")
}

fn taints(stage: &Stage) -> Vec<Value> {
    stage.cluster.node()["spec"]["taints"].as_array().cloned().unwrap_or_default()
}

fn has_taint(stage: &Stage, key: &str) -> bool {
    taints(stage).iter().any(|taint| taint["key"] == key)
}

#[test]
fn taints_are_sent_whole_with_cordon_label_and_what_was_read_in_one_patch() {
    let stage = Stage::on(Node::named(NODE).tainted("theirs", "yes", "NoSchedule"), quick_pods(2));
    let theirs = json!({ "key": "theirs", "value": "yes", "effect": "NoSchedule",
        "timeAdded": "2026-11-25T10:00:00Z" });
    stage.cluster.change_node(|node| node["spec"]["taints"] = json!([theirs]));
    let read = stage.cluster.node();
    stage.cloud.announce_in(FAR);
    let handler = launch(&stage).start();
    handler.table().all_evicted(&names(2));
    handler.says("the node is cordoned");
    handler.says(&format!("the node is tainted: {KEY}=terminate:NoSchedule"));
    handler.says(&format!("the node is excluded from load balancers: label {LABEL}"));
    let patches = stage.asked(Class::NodePatch);
    let [patch] = &patches[..] else { panic!("{patches:#?}") };
    assert_eq!(patch.path, format!("/api/v1/nodes/{NODE}"));
    assert_eq!(patch.parameter("fieldManager"), Some("k8s-spot-handler"));
    assert_eq!(patch.content_type.as_deref(), Some("application/merge-patch+json"));
    let body = patch.json();
    let ours = json!({ "key": KEY, "value": "terminate", "effect": "NoSchedule" });
    assert_eq!(body["spec"], json!({ "unschedulable": true, "taints": [theirs, ours] }));
    assert_eq!(body["metadata"]["labels"], json!({ LABEL: "k8s-spot-handler" }));
    assert_eq!(body["metadata"]["resourceVersion"], read["metadata"]["resourceVersion"]);
    // Beside ours the node has the control plane's own, for the cordon.
    assert_eq!(taints(&stage).len(), 3);
    let note = stage.note().unwrap();
    assert_eq!((&note["cordoned"], &note["excluded"]), (&true.into(), &true.into()));
    assert_eq!(note["taint"]["key"], KEY);
}

#[test]
fn a_taint_that_comes_between_reading_and_writing_survives_both_ways() {
    let stage = Stage::with(quick_pods(2));
    let before = stage.cluster.node();
    let arrives = |key: &'static str| {
        stage.cluster.before_next_node_patch(move |node| {
            let mut taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
            taints.push(json!({ "key": key, "effect": "NoSchedule" }));
            node["spec"]["taints"] = taints.into();
        });
    };
    arrives("early");
    let event = stop(ID, Duration::from_mins(5));
    stage.cloud.schedule(from_ref(&event));
    let handler = launch(&stage).start();
    handler.table().all_evicted(&names(2));
    handler.says("the node is tainted: ");
    assert!(has_taint(&stage, "early") && has_taint(&stage, PLANNED), "{:?}", taints(&stage));
    arrives("late");
    stage.cloud.schedule(&[]);
    stage.cloud.history(&[past(&event, "canceled")]);
    handler.says("the taint aws-node-termination-handler/scheduled-maintenance=");
    assert!(has_taint(&stage, "early") && has_taint(&stage, "late"), "{:?}", taints(&stage));
    assert!(!has_taint(&stage, PLANNED) && !stage.cluster.is_cordoned());
    let codes: Vec<_> = stage.asked(Class::NodePatch).iter().map(|patch| patch.code).collect();
    assert_eq!(codes, [Some(409), Some(200), Some(409), Some(200)]);
    stage.cluster.change_node(|node| {
        node["spec"].as_object_mut().unwrap().remove("taints");
    });
    stage.gives_back(&before);
}

#[test]
fn what_others_have_changed_since_is_left_as_it_is_and_said() {
    let stage = Stage::with(quick_pods(2));
    let event = stop(ID, Duration::from_mins(5));
    stage.cloud.schedule(from_ref(&event));
    let handler = launch(&stage).start();
    handler.table().all_evicted(&names(2));
    handler.says("the node is excluded from load balancers");
    // Somebody makes each mark their own.
    stage.cluster.change_node(|node| node["spec"]["unschedulable"] = json!(false));
    stage.cluster.change_node(|node| node["spec"]["unschedulable"] = json!(true));
    stage.cluster.change_node(|node| {
        node["metadata"]["labels"][LABEL] = json!("theirs");
        for taint in node["spec"]["taints"].as_array_mut().unwrap() {
            if taint["key"] == PLANNED {
                taint["value"] = json!("theirs");
            }
        }
    });
    stage.cloud.schedule(&[]);
    stage.cloud.history(&[past(&event, "canceled")]);
    for words in [
        "the node stays cordoned: somebody else has cordoned it since".to_owned(),
        format!("was changed to {PLANNED}=theirs:NoSchedule by somebody else"),
        format!("the label {LABEL} was changed to \"theirs\" by somebody else"),
    ] {
        let line = handler.says(&words);
        assert!(line.contains(" WARN "), "{line}");
    }
    let node = stage.cluster.node();
    assert_eq!(
        (&node["metadata"]["labels"][LABEL], &node["spec"]["unschedulable"]),
        (&"theirs".into(), &true.into())
    );
    assert!(has_taint(&stage, PLANNED));
    assert_eq!(stage.note(), None, "nothing of it is the handler's any more");
}

#[test]
fn what_others_have_taken_off_in_a_drain_stays_off_and_is_not_theirs_to_find_again() {
    let stage = Stage::with(quick_pods(2));
    let before = stage.cluster.node();
    let event = stop(ID, Duration::from_mins(5));
    stage.cloud.schedule(from_ref(&event));
    let handler = launch(&stage).start();
    handler.table().all_evicted(&names(2));
    handler.says("the node is excluded from load balancers");
    stage.cluster.change_node(|node| {
        let own = |taint: &Value| taint["key"] == PLANNED;
        node["spec"]["unschedulable"] = json!(false);
        node["spec"]["taints"].as_array_mut().unwrap().retain(|taint| !own(taint));
        node["metadata"]["labels"].as_object_mut().unwrap().remove(LABEL);
    });
    stage.cloud.schedule(&[]);
    stage.cloud.history(&[past(&event, "canceled")]);
    handler.says("the node is cordoned no longer: somebody else has uncordoned it");
    let empty = |cluster: &simulator::ApiServer| {
        cluster.node()["metadata"]["annotations"][crate::stage::NOTE].is_null()
    };
    assert!(stage.cluster.wait_until(crate::child::PATIENCE, empty));
    stage.gives_back(&before);
}

#[test]
fn marks_that_stand_already_are_nobodys_to_take_back() {
    let node = Node::named(NODE).cordoned().labelled(LABEL, "");
    let stage = Stage::on(node.tainted(PLANNED, "by hand", "NoSchedule"), quick_pods(2));
    let before = stage.cluster.node();
    let event = stop(ID, Duration::from_mins(5));
    stage.cloud.schedule(from_ref(&event));
    let handler = launch(&stage).with("LOAD_BALANCER_HOLD", "100s").start();
    // It is out of the load balancers: there is nothing to hold evictions for.
    handler.table().all_evicted(&names(2));
    handler.says("the node was cordoned already, by somebody else");
    handler.says("by hand:NoSchedule stands there already, set by somebody else");
    handler.says(&format!("the label {LABEL}= stands there already, set by somebody else"));
    stage.cloud.schedule(&[]);
    stage.cloud.history(&[past(&event, "canceled")]);
    handler.says("was withdrawn");
    stage.gives_back(&before);
    assert!(stage.cluster.is_cordoned());
}

#[test]
fn the_first_eviction_waits_for_load_balancers_after_the_label_and_not_longer_than_it_may() {
    let hold = Duration::from_secs(3);
    let stage = Stage::with(quick_pods(2));
    stage.cloud.announce_in(FAR);
    let handler = launch(&stage).with("LOAD_BALANCER_HOLD", "3s").start();
    handler.table().all_evicted(&names(2));
    let labelled = stage.asked(Class::NodePatch)[0].answered.unwrap();
    let evicted = stage.asked(Class::Evict)[0].at;
    assert!(evicted >= labelled + hold, "{labelled:?}, then {evicted:?}");

    // The deadline leaves no such time to a pod with a long grace.
    let stage = Stage::with([Pod::named("default/db-0").replica_set("db").grace(8)]);
    stage.cloud.announce_in(Duration::from_secs(13));
    let handler = launch(&stage).with("LOAD_BALANCER_HOLD", "100s").start();
    handler.table().all_evicted(&["default/db-0"]);
    let evicted = stage.cluster.happened_to("default/db-0");
    let whole = Happening::Evicted { pod: "default/db-0".to_owned(), grace: 8 };
    assert!(evicted.contains(&whole), "its whole grace: {evicted:?}");
}

#[test]
fn without_the_label_nothing_is_held() {
    let stage = Stage::with([quick("default/web-0")]);
    stage.cloud.announce_in(FAR);
    let handler = stage.handler().with("LOAD_BALANCER_HOLD", "100s").start();
    handler.table().all_evicted(&["default/web-0"]);
}
