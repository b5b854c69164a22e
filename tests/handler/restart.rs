//! A handler that is killed at any moment, and what the next one makes of what is left on the Node.

use std::fs;
use std::slice::from_ref;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use simulator::{ApiServer, Budget, Class, Endpoint, Metadata, Node};

use crate::child::{Launch, PATIENCE};
use crate::maintenance::{ID, past, stop};
use crate::stage::{FAR, NODE, NOTE, Stage, at_once, names, quick, quick_pods, time_ago, time_in};

const OURS: &str = "k8s-spot-handler";

/// The boot of this machine, which is the handler's, too.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}

/// What an earlier process may have left, without marks.
pub(crate) fn state(boot_id: &str, notice: Option<&str>) -> Value {
    json!({
        "version": 1, "bootId": boot_id, "notice": notice,
        "cordoned": false, "taint": null, "excluded": false, "notices": [],
    })
}

/// What an earlier process may have left about a notice that stood.
pub(crate) fn known(notice: &str, progress: &str) -> Value {
    json!({ "notice": notice, "progress": progress, "end": null, "marksUntil": null, "noticeTime": null })
}

/// What an earlier process has left that cordoned the node.
fn cordoned(boot_id: &str, notice: &str, notices: &[Value]) -> Node {
    let mut state = state(boot_id, Some(notice));
    state["cordoned"] = true.into();
    state["notices"] = json!(notices);
    Node::named(NODE).cordoned_by(OURS).annotated(NOTE, &state.to_string())
}

/// With every mark there is.
fn launch(stage: &Stage) -> Launch<'_> {
    stage.handler().with("TAINT_NODE", "true").with("EXCLUDE_FROM_LOAD_BALANCERS", "true")
}

/// The node is marked and empty.
fn is_drained(cluster: &ApiServer) -> bool {
    let node = cluster.node();
    let taints = node["spec"]["taints"].as_array().map_or(0, Vec::len);
    // Somebody else's, ours, and the control plane's for the cordon.
    cluster.pods().is_empty() && cluster.is_cordoned() && taints == 3
}

/// A node with somebody's taint, pods that go one after the other, and maintenance in a minute.
fn planned() -> (Stage, Value) {
    let stage = Stage::on(Node::named(NODE).tainted("theirs", "yes", "NoSchedule"), quick_pods(3));
    let replaced_after = Duration::from_millis(300);
    stage
        .cluster
        .add_budget(Budget::named("web").max_unavailable(2).replaced_after(replaced_after));
    let event = stop(ID, Duration::from_mins(5));
    stage.cloud.schedule(from_ref(&event));
    (stage, event)
}

fn cancel(stage: &Stage, event: &Value) {
    stage.cloud.schedule(&[]);
    stage.cloud.history(&[past(event, "canceled")]);
}

/// Waits until so many requests have come, or this is so; whether they have come.
fn come(stage: &Stage, requests: usize, otherwise: impl Fn(&ApiServer) -> bool) -> bool {
    let journal = stage.cluster.journal();
    let came = |cluster: &ApiServer| journal.len() >= requests || otherwise(cluster);
    assert!(stage.cluster.wait_until(PATIENCE, came), "{journal}");
    journal.len() >= requests
}

/// More requests than the drain below and its taking back have, whatever is asked again.
const STEPS: usize = 16;

fn steps() -> Vec<(String, usize)> {
    (1..=STEPS).map(|step| (format!("after request {step}"), step)).collect()
}

fn named(steps: &[(String, usize)]) -> Vec<(&str, usize)> {
    steps.iter().map(|(name, step)| (name.as_str(), *step)).collect()
}

#[test]
fn killed_after_any_request_the_next_one_drains_and_takes_back_what_the_first_began() {
    at_once(&named(&steps()), |step| {
        let (stage, event) = planned();
        let before = stage.cluster.node();
        stage.cluster.hear_only(*step);
        let first = launch(&stage).start();
        let is_back =
            |cluster: &ApiServer| cluster.node()["metadata"]["annotations"][NOTE].is_null();
        let is_cancelled = !come(&stage, *step, is_drained);
        if is_cancelled {
            cancel(&stage, &event);
            come(&stage, *step, is_back);
        }
        first.kill();
        stage.cluster.heal();

        let second = launch(&stage).start();
        if !is_cancelled {
            assert!(stage.cluster.wait_until(PATIENCE, is_drained), "{:#}", stage.cluster.node());
            cancel(&stage, &event);
        }
        stage.gives_back(&before);
        assert!(stage.cluster.pods().is_empty());
        drop(second);
    });
}

#[test]
fn what_was_cancelled_while_nobody_looked_is_taken_back_by_the_next_one() {
    at_once(&named(&steps()[..8]), |step| {
        let (stage, event) = planned();
        let before = stage.cluster.node();
        stage.cluster.hear_only(*step);
        let first = launch(&stage).start();
        come(&stage, *step, is_drained);
        first.kill();
        stage.cluster.heal();
        cancel(&stage, &event);
        let second = stage.started(launch(&stage));
        stage.polled_more(Endpoint::Scheduled, 1);
        stage.gives_back(&before);
        assert_eq!(second.said("the drain of "), 0);
    });
}

#[test]
fn what_was_moved_while_nobody_looked_is_dealt_with_at_its_new_time() {
    // Away: the node is given back, and waited for.
    let (stage, _) = planned();
    let before = stage.cluster.node();
    let first = launch(&stage).start();
    assert!(stage.cluster.wait_until(PATIENCE, is_drained));
    first.kill();
    stage.cloud.schedule(&[stop(ID, Duration::from_hours(3))]);
    let second = launch(&stage).start();
    second.says("this node is dealt with in ");
    stage.gives_back(&before);
    drop(second);
    // Nearer, when the drain for the first time is done with: another drain.
    let stage = Stage::with(quick_pods(2));
    stage.cloud.schedule(&[stop(ID, Duration::from_secs(6))]);
    let first = stage.handler().start();
    first.says("the deadline is reached and nothing has changed since the table");
    stage.answers(Class::NodePatch, 2);
    first.kill();
    stage.cluster.add_pod(quick("default/web-2"));
    stage.cloud.schedule(&[stop(ID, Duration::from_mins(5))]);
    let second = stage.handler().start();
    second.table().all_evicted(&["default/web-2"]);
    second.says("the node was cordoned already, by this handler");
}

#[test]
fn killed_after_any_request_the_next_one_ends_the_drain_for_an_interruption() {
    at_once(&named(&steps()[..10]), |step| {
        let stage = Stage::with(quick_pods(3));
        stage.cloud.announce_in(Duration::from_secs(100));
        stage.cluster.hear_only(*step);
        let first = stage.handler().start();
        let is_done = |cluster: &ApiServer| cluster.pods().is_empty() && cluster.is_cordoned();
        come(&stage, *step, is_done);
        first.kill();
        stage.cluster.heal();
        let second = stage.handler().start();
        assert!(stage.cluster.wait_until(PATIENCE, is_done));
        let table = second.table();
        table.is_clean();
        let note = stage.note().unwrap();
        assert_eq!(
            (&note["cordoned"], &note["notice"]),
            (&true.into(), &"spot-interruption/terminate".into())
        );
    });
}

#[test]
fn an_annotation_that_is_not_ours_to_read_hides_no_notice_and_is_replaced() {
    let of_old = json!({ "version": 1, "cordoned": true, "identity": "terminate" }).to_string();
    let mut left = state(&boot_id(), None);
    left["notices"] = json!([known("spot-interruption/terminate", "drained")]);
    let drained = left.to_string();
    left["version"] = 2.into();
    let other_version = left.to_string();
    let half = drained[..drained.len() - 1].to_owned();
    for text in [String::new(), "{".to_owned(), "null".to_owned(), "[1]".to_owned(), half]
        .into_iter()
        .chain([other_version, of_old])
    {
        let stage = Stage::on(Node::named(NODE).annotated(NOTE, &text), quick_pods(2));
        stage.cloud.announce_in(FAR);
        let handler = stage.handler().start();
        handler.table().all_evicted(&names(2));
        assert_eq!(stage.note().unwrap()["notice"], "spot-interruption/terminate", "{text}");
    }
    let stage = Stage::on(Node::named(NODE).annotated(NOTE, &drained), quick_pods(2));
    stage.cloud.announce_in(FAR);
    let handler = stage.handler().start();
    handler.says("was dealt with before: nothing to do");
    assert_eq!(stage.cluster.pods().len(), 2, "what it can read it believes");
}

#[test]
fn an_annotation_that_cannot_be_read_is_left_alone_while_nothing_happens() {
    let stage = Stage::on(Node::named(NODE).cordoned().annotated(NOTE, "{"), quick_pods(2));
    let before = stage.cluster.node();
    let handler = stage.start();
    stage.polled_on(stage.polls(), 3);
    let journal = stage.cluster.journal();
    assert!(journal.len() == 1 && journal.count(Class::NodeGet) == 1, "{journal}");
    stage.gives_back(&before);
    assert_eq!(handler.said("earlier"), 0);
}

#[test]
fn an_interruption_of_an_earlier_boot_is_over_if_its_time_is_and_else_is_drained_for() {
    const NOTICE: &str = "spot-interruption/stop";
    let left = || cordoned("an-earlier-boot", NOTICE, &[known(NOTICE, "drained")]);
    let stage = Stage::on(left(), quick_pods(2));
    stage.cloud.announce("stop", &time_ago(Duration::from_mins(10)));
    let handler = stage.handler().start();
    handler.says("the machine was started anew since the node was marked for notice spot-interr");
    handler.says("notice spot-interruption/stop was dealt with before: nothing to do");
    handler.says("the node is uncordoned");
    assert!(stage.cluster.wait_until(PATIENCE, |cluster| !cluster.is_cordoned()));
    assert_eq!(stage.cluster.pods().len(), 2);

    let stage = Stage::on(left(), quick_pods(2));
    stage.cloud.announce("stop", &time_in(FAR));
    let handler = stage.handler().start();
    handler.table().all_evicted(&names(2));
    handler.says("the node was cordoned already, by this handler");
    assert_eq!(stage.note().unwrap()["bootId"], boot_id().as_str());
}

#[test]
fn a_reboot_that_was_planned_is_over_after_it() {
    let time = SystemTime::now() - Duration::from_mins(10);
    let event = Metadata::event("system-reboot", ID, time);
    let at = time_ago(Duration::from_mins(10));
    let notice = format!("scheduled-maintenance/system-reboot/{ID}");
    let drained = known(&format!("{notice}@{at}"), "drained");
    let stage = Stage::on(cordoned("an-earlier-boot", &notice, &[drained]), quick_pods(2));
    // The metadata service has not noticed yet.
    stage.cloud.schedule(&[event]);
    let handler = stage.handler().start();
    handler.says("the machine was started anew since the node was marked");
    handler.says("was dealt with before: nothing to do");
    handler.says("the node is uncordoned");
    assert!(stage.cluster.wait_until(PATIENCE, |cluster| !cluster.is_cordoned()));
    stage.polled_more(Endpoint::Scheduled, 2);
    assert_eq!(stage.cluster.pods().len(), 2);
}

#[test]
fn after_another_boot_one_answer_without_the_notice_gives_the_node_back() {
    let node = cordoned("an-earlier-boot", "spot-interruption/terminate", &[]);
    let stage = Stage::on(node, quick_pods(2));
    let handler = stage.handler().start();
    handler.says("the node is uncordoned");
    assert!(stage.cluster.wait_until(PATIENCE, |cluster| !cluster.is_cordoned()));
    let empty = |cluster: &ApiServer| cluster.node()["metadata"]["annotations"][NOTE].is_null();
    assert!(stage.cluster.wait_until(PATIENCE, empty));
    assert_eq!(stage.cluster.pods().len(), 2);
}

#[test]
fn what_is_left_on_the_node_is_found_also_if_the_api_server_is_away_at_the_start() {
    let stage = Stage::on(cordoned("an-earlier-boot", "rebalance-recommendation", &[]), []);
    stage.cluster.stop();
    let launch = stage.handler().with("ENABLE_REBALANCE_MONITORING", "true");
    let handler = launch.start();
    let line = handler.says("whether an earlier process has marked this node is not known");
    assert!(line.contains("cannot be reached"), "{line}");
    stage.polled(Endpoint::InstanceAction, 3);
    stage.cluster.start_again().unwrap();
    handler.says("the machine was started anew since the node was marked for notice rebalance");
    handler.says("the node is uncordoned");
    assert!(stage.cluster.wait_until(PATIENCE, |cluster| !cluster.is_cordoned()));
    assert_eq!(handler.said("is not known"), 1);
}

#[test]
fn in_the_same_boot_three_answers_without_the_notice_give_the_node_back() {
    const NOTICE: &str = "spot-interruption/hibernate";
    let node = cordoned(&boot_id(), NOTICE, &[known(NOTICE, "drained")]);
    let stage = Stage::on(node, quick_pods(2));
    let handler = stage.handler().start();
    handler.says("an earlier process of this handler marked the node for notice spot-interruption");
    handler.says("the node is uncordoned");
    assert!(stage.polls() >= 3);
    assert!(stage.cluster.wait_until(PATIENCE, |cluster| !cluster.is_cordoned()));
}

#[test]
fn in_the_same_boot_a_termination_that_is_not_said_leaves_the_node_closed_for_a_while() {
    const NOTICE: &str = "spot-interruption/terminate";
    let node = cordoned(&boot_id(), NOTICE, &[known(NOTICE, "drained")]);
    let stage = Stage::on(node, quick_pods(2));
    let handler = stage.handler().start();
    handler.says("notice spot-interruption/terminate was withdrawn");
    assert!(stage.polls() >= 3);
    assert!(stage.cloud.journal().count(Endpoint::TerminationTime) >= 3, "either path may say it");
    stage.polled_more(Endpoint::InstanceAction, 4);
    assert_eq!(handler.said("the node is uncordoned"), 0);
    assert!(stage.cluster.is_cordoned());
}
