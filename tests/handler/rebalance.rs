//! Rebalance recommendations: a mark that ends by itself, or a drain in which nobody dies.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Budget, Class, Endpoint, Node, Pod};

use crate::restart::{boot_id, known, state};
use crate::stage::{FAR, NODE, NOTE, Stage, names, quick, quick_pods, time_ago, time_in};

const KEY: &str = "aws-node-termination-handler/rebalance-recommendation";
const NOTICE: &str = "rebalance-recommendation";

fn recommend(stage: &Stage) {
    stage.cloud.recommend_rebalance(&time_ago(Duration::from_secs(3)));
}

#[test]
fn a_soft_taint_is_set_in_one_patch_and_read_back_after_a_restart() {
    let stage = Stage::on(Node::named(NODE).tainted("theirs", "yes", "NoSchedule"), quick_pods(2));
    recommend(&stage);
    let launch = || {
        let launch = stage.handler().with("ENABLE_REBALANCE_MONITORING", "true");
        launch.with("REBALANCE_MARK", "soft-taint")
    };
    let first = launch().start();
    let line = first.says("rebalance recommendation: ");
    assert!(line.contains("it asks for marks on the node only"), "{line}");
    first.says("these marks end by themselves in 3600 s");
    first.says(&format!("the node is tainted: {KEY}=rebalance-recommendation:PreferNoSchedule"));
    let patches = stage.asked(Class::NodePatch);
    let body = patches[0].json();
    let taints = json!([
        { "key": "theirs", "value": "yes", "effect": "NoSchedule" },
        { "key": KEY, "value": "rebalance-recommendation", "effect": "PreferNoSchedule" },
    ]);
    assert_eq!((patches.len(), &body["spec"]), (1, &json!({ "taints": taints })));
    let note = stage.note().unwrap();
    assert_eq!((&note["notice"], &note["cordoned"]), (&NOTICE.into(), &false.into()));
    assert_eq!(note["taint"]["key"], KEY);
    let until = &note["notices"][0]["marksUntil"];
    assert!(until.is_string(), "{note}");
    let mut open = known(NOTICE, "open");
    open["marksUntil"] = until.clone();
    open["noticeTime"] = note["notices"][0]["noticeTime"].clone();
    assert!(open["noticeTime"].is_string(), "{note}");
    assert_eq!(note["notices"], json!([open]), "{note}");
    first.kill();

    let second = stage.started(launch());
    second.says("an earlier process of this handler marked the node for notice rebalance");
    stage.polled_more(Endpoint::Rebalance, 2);
    assert_eq!((stage.asked(Class::NodePatch).len(), stage.note()), (1, Some(note)));
    assert!(!stage.cluster.is_cordoned());
    let about_pods =
        [Class::Watch, Class::List, Class::Evict].map(|class| stage.asked(class).len());
    assert_eq!((about_pods, stage.cluster.pods().len()), ([0; 3], 2));
}

#[test]
fn marks_end_at_the_time_that_an_earlier_process_has_noted() {
    let taint = json!({ "key": KEY, "value": "rebalance-recommendation", "effect": "PreferNoSchedule", "timeAdded": null });
    let mut left = state(&boot_id(), Some(NOTICE));
    left["taint"] = taint;
    let mut recommended = known(NOTICE, "open");
    recommended["marksUntil"] = time_in(Duration::from_secs(4)).into();
    left["notices"] = json!([recommended]);
    let node = Node::named(NODE).tainted(KEY, "rebalance-recommendation", "PreferNoSchedule");
    let stage = Stage::on(node.annotated(NOTE, &left.to_string()), quick_pods(1));
    recommend(&stage);
    let launch = stage.handler().with("ENABLE_REBALANCE_MONITORING", "true");
    let handler = launch.with("REBALANCE_MARK", "soft-taint").start();
    handler.says("marks for notice rebalance-recommendation have stood for their time and end");
    handler
        .says(&format!("the taint {KEY}=rebalance-recommendation:PreferNoSchedule is taken off"));
    // The recommendation still stands, and is done with: that stays noted, with its time.
    let noted = |cluster: &simulator::ApiServer| cluster.node()["spec"]["taints"].is_null();
    assert!(stage.cluster.wait_until(crate::child::PATIENCE, noted));
    left = stage.note().unwrap();
    recommended["progress"] = "over".into();
    recommended["noticeTime"] = left["notices"][0]["noticeTime"].clone();
    assert!(recommended["noticeTime"].is_string(), "{left}");
    assert_eq!((&left["notices"], &left["notice"]), (&json!([recommended]), &Value::Null));
    stage.polled_more(Endpoint::Rebalance, 2);
    assert!(!stage.cluster.is_cordoned());
}

#[test]
fn a_drain_whose_budget_never_allows_deletes_nobody_until_an_interruption_takes_over() {
    // With a deadline its last moment would be five seconds after the beginning.
    let db = Pod::named("default/db-0").stateful_set("db").grace(53);
    let stage =
        Stage::with([db.stops_in(Duration::from_secs(1)), quick("default/web-0").grace(600)]);
    stage.cluster.add_budget(Budget::named("db").max_unavailable(0));
    recommend(&stage);
    let launch = stage.handler().with("ENABLE_REBALANCE_DRAINING", "true");
    let handler = launch.with("REBALANCE_PATIENCE", "1m").start();
    let line = handler.says("rebalance recommendation: ");
    assert!(line.contains("drained for 60 s at most, and no budget is overridden"), "{line}");
    handler.says("default/web-0: eviction accepted, 600 s to end");
    handler.says("default/db-0: eviction refused by disruption budget default/db");
    stage.polled_more(Endpoint::InstanceAction, 8);
    assert_eq!(stage.asked(Class::Delete).len() + stage.asked(Class::Status).len(), 0);
    assert!(stage.asked(Class::Evict).len() > 4, "it is tried on");

    stage.cloud.announce_in(Duration::from_secs(9));
    let line = handler.says("another notice takes over the drain: spot interruption: ");
    assert!(line.contains("s left"), "{line}");
    let table = handler.table();
    table.says("default/db-0", "deleted", "against disruption budget default/db");
    table.says("default/web-0", "evicted", "");
    assert_eq!(stage.asked(Class::Delete).len(), 1);
    assert_eq!(stage.note().unwrap()["notice"], "spot-interruption/terminate");
    assert_eq!(handler.said("the drain of "), 1, "one drain all the way");
}

#[test]
fn an_interruption_after_a_mark_drains() {
    let stage = Stage::with(quick_pods(2));
    recommend(&stage);
    let handler = stage.handler().with("ENABLE_REBALANCE_MONITORING", "true").start();
    handler.says("it asks for marks on the node only");
    stage.cordons();
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
    handler.says("the node was cordoned already, by this handler");
    assert_eq!(stage.note().unwrap()["notice"], "spot-interruption/terminate");
}

#[test]
fn a_recommendation_that_is_made_later_marks_the_node_anew() {
    let stage = Stage::with(quick_pods(1));
    recommend(&stage);
    let launch = stage.handler().with("ENABLE_REBALANCE_MONITORING", "true");
    let handler = launch.with("POLL_INTERVAL", "1s").start();
    handler.says("the node is cordoned");
    stage.cluster.change_node(|node| node["spec"]["unschedulable"] = json!(false));
    stage.polled_more(Endpoint::Rebalance, 3);
    assert!(!stage.cluster.is_cordoned(), "the same one is no news");
    stage.cloud.recommend_rebalance(&time_in(Duration::ZERO));
    handler.says_times("the node is cordoned", 2);
    assert_eq!(handler.said("it asks for marks on the node only"), 2);
}
