//! The cordon and the note on the Node, and who else writes there.

use std::time::Duration;

use serde_json::json;
use simulator::{Class, Fault, Happening, Node, Pod};

use crate::stage::{FAR, NODE, NOTE, Stage, names, quick, quick_pods};

#[test]
fn the_node_is_cordoned_by_one_get_and_one_patch_before_the_first_eviction() {
    let stage = Stage::with(quick_pods(3));
    let handler = stage.start();
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(3));
    let line = handler.says("the node is cordoned");
    assert!(line.contains("INFO") && line.contains("leaves no trace"), "{line}");
    let cordoned = stage.when(|what| *what == Happening::Cordoned);
    assert!(cordoned < stage.when(|what| matches!(what, Happening::Evicted { .. })));
    // One of the two at the start: an earlier process may have left something.
    assert_eq!((stage.asked(Class::NodeGet).len(), stage.asked(Class::NodePatch).len()), (2, 1));
    assert_eq!(stage.note().unwrap()["cordoned"], true);
}

#[test]
fn what_somebody_else_changes_meanwhile_survives() {
    let stage = Stage::with(quick_pods(2));
    stage.cluster.before_next_node_patch(|node| {
        node["metadata"]["labels"]["team"] = json!("theirs");
        node["spec"]["taints"] = json!([{ "key": "theirs", "effect": "NoSchedule" }]);
    });
    let handler = stage.start();
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
    handler.says("the node is cordoned");
    let patches: Vec<_> = stage.asked(Class::NodePatch).iter().map(|patch| patch.code).collect();
    assert_eq!(patches, [Some(409), Some(200)]);
    assert_eq!(stage.asked(Class::NodeGet).len(), 3, "at the start, for the patch, and again");
    let node = stage.cluster.node();
    assert_eq!(node["metadata"]["labels"]["team"], "theirs");
    assert!(node["spec"]["taints"].as_array().unwrap().iter().any(|one| one["key"] == "theirs"));
    assert_eq!(handler.said("not cordoned"), 0, "that is the usual course of things");
}

#[test]
fn a_cordon_that_fails_does_not_hold_up_evictions_and_is_set_later() {
    let stage = Stage::with(quick_pods(3));
    stage.cluster.fail(Class::NodePatch).times(6).with(Fault::Code(500));
    let handler = stage.drain(FAR);
    let line = handler.says("the node is not marked");
    assert!(line.contains(&format!("PATCH /api/v1/nodes/{NODE}: 500: ")), "{line}");
    handler.says("the node is cordoned");
    handler.table().all_evicted(&names(3));
    let evicted = stage.when(|what| matches!(what, Happening::Evicted { .. }));
    assert!(evicted < stage.when(|what| *what == Happening::Cordoned));
    assert_eq!(handler.said("the node is not marked"), 1);
}

#[test]
fn a_node_that_cannot_be_read_does_not_hold_up_evictions() {
    let stage = Stage::with(quick_pods(3));
    // It has looked at the Node once.
    let handler = stage.start();
    stage.cluster.fail(Class::NodeGet).with(Fault::Hang);
    stage.cloud.announce_in(FAR);
    stage.left(&[]);
    assert!(!stage.cluster.is_cordoned());
    handler.says("the node is not marked");
    handler.says("the node is cordoned");
    handler.table().all_evicted(&names(3));
}

#[test]
fn a_right_to_patch_nodes_that_is_missing_is_named_and_pods_go_all_the_same() {
    let stage = Stage::with(quick_pods(3));
    stage.cluster.forbid(Class::NodePatch);
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(3));
    let line = handler.says("the node is not marked");
    assert!(line.contains("403") && line.contains("`patch` on `nodes` must be granted"), "{line}");
}

#[test]
fn a_node_name_that_does_not_exist_is_named() {
    let stage = Stage::with([]);
    let handler = stage.handler().with("NODE_NAME", "nobody").start();
    stage.cloud.announce_in(FAR);
    handler.says("there is no node named nobody");
}

#[test]
fn a_node_that_somebody_else_has_cordoned_is_drained_and_remembered_as_not_ours() {
    let stage = Stage::on(Node::named(NODE).cordoned(), quick_pods(2));
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(2));
    handler.says("the node was cordoned already, by somebody else");
    assert_eq!(stage.note().unwrap()["cordoned"], false);
}

#[test]
fn a_foreign_text_in_the_annotation_is_no_trouble() {
    let stage =
        Stage::on(Node::named(NODE).annotated(NOTE, "{\"version\": 99, \"x\": 1}"), quick_pods(2));
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(2));
    assert_eq!(stage.note().unwrap()["cordoned"], true);
}

#[test]
fn a_handler_that_is_killed_in_the_middle_goes_on_after_its_restart() {
    let stage = Stage::with((0..4).map(|number| quick(&format!("default/web-{number}")).grace(30)));
    stage.cluster.fail(Class::Evict).pod("default/web-3").with(Fault::Hang);
    let first = stage.drain(FAR);
    stage.left(&["default/web-3"]);
    first.kill();
    let second = stage.handler().start();
    second.says("the node was cordoned already, by this handler");
    second.table().all_evicted(&["default/web-3"]);
    assert_eq!(stage.note().unwrap()["cordoned"], true);
}

#[test]
fn a_node_that_takes_no_patch_is_asked_calmly_and_pods_go_all_the_same() {
    let stage = Stage::with(quick_pods(3));
    stage.cluster.add_pod(Pod::named("default/stuck").stuck().grace(1));
    stage.cluster.fail(Class::NodePatch).always().with(Fault::Code(409));
    let handler = stage.drain(Duration::from_secs(10));
    let table = handler.table();
    let patches = stage.asked(Class::NodePatch).len();
    assert!((4..40).contains(&patches), "{patches} patches");
    let line = handler.says("the node is not marked");
    assert!(line.contains("409"), "{line}");
    assert_eq!(handler.said("the node is not marked"), 1);
    for pod in names(3) {
        table.says(&pod, "evicted", "");
    }
}
