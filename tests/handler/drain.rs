//! A drain from the notice to the table: budgets, graces, late arrivals, second notices.

use std::time::Duration;

use simulator::{Budget, Class, Endpoint, Fault, Happening, Pod};

use crate::stage::{FAR, Stage, at_once, names, quick, quick_pods};

#[test]
fn a_full_node_is_emptied_with_hardly_more_requests_than_pods() {
    let stage = Stage::with(quick_pods(110));
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(110));
    let journal = stage.cluster.journal();
    assert!(journal.len() <= 110 + 6, "{journal}");
    assert!(stage.cluster.most_connections() <= 33, "{}", stage.cluster.most_connections());
    assert_eq!(handler.said("eviction accepted"), 110);
    assert_eq!(handler.said(": gone after"), 110);
}

#[test]
fn a_budget_that_lets_one_go_at_a_time_is_obeyed() {
    let stage = Stage::with(quick_pods(5));
    stage.cluster.add_budget(
        Budget::named("web").max_unavailable(1).replaced_after(Duration::from_millis(200)),
    );
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(5));
    handler.says("eviction refused by disruption budget default/web; retried for");
    assert_eq!(stage.asked(Class::Delete).len() + stage.asked(Class::Status).len(), 0);
}

#[test]
fn a_budget_that_lets_nothing_go_is_overridden_in_time_for_the_pods_own_grace() {
    let db = Pod::named("default/db-0").stateful_set("db").grace(3);
    let stage = Stage::with([db.stops_in(Duration::from_millis(1500)), quick("default/web-0")]);
    stage.cluster.add_budget(Budget::named("db").max_unavailable(0));
    let handler = stage.drain(Duration::from_secs(10));
    let table = handler.table();
    table.says("default/db-0", "deleted", "against disruption budget default/db");
    table.says("default/web-0", "evicted", "");
    let fate = stage.cluster.happened_to("default/db-0");
    let pod = "default/db-0".to_owned();
    let reason = "DeletionByNodeTermination".to_owned();
    let steps = [
        Happening::Refused { pod: pod.clone(), budget: "default/db".to_owned() },
        Happening::Marked { pod: pod.clone(), reason },
        Happening::Deleted { pod: pod.clone(), grace: 3 },
        Happening::Gone { pod, by_itself: true },
    ];
    let when = steps.map(|step| fate.iter().position(|what| *what == step));
    assert!(when[0].is_some() && when.is_sorted(), "{fate:#?}");
    let line = handler.says("default/db-0: deleted, 3 s to end");
    assert!(line.contains("disruption budget default/db had not let it go"), "{line}");
}

#[test]
fn a_budget_is_not_overridden_where_the_operator_forbids_it() {
    let stage = Stage::with(quick_pods(2));
    stage.cluster.add_budget(Budget::named("web").max_unavailable(0));
    let handler = stage.handler().with("BUDGET_OVERRIDE", "never").start();
    stage.cloud.announce_in(Duration::from_secs(5));
    let table = handler.table();
    for pod in names(2) {
        table.says(&pod, "still there", "refused by disruption budget default/web");
    }
    assert!(table.occasion.contains("the deadline is reached"));
    assert_eq!(stage.asked(Class::Delete).len() + stage.asked(Class::Status).len(), 0);
}

#[test]
fn whatever_the_condition_is_answered_the_deletion_follows_in_time() {
    at_once(
        &[
            ("403", Fault::Code(403)),
            ("500", Fault::Code(500)),
            ("429", Fault::Throttled(Some(60))),
            ("hangs", Fault::Hang),
            ("HTML", Fault::Html(200)),
            ("lost", Fault::AnswerLost),
        ],
        |fault| {
            let db = Pod::named("default/db-0").stateful_set("db").grace(3);
            let stage = Stage::with([db.stops_in(Duration::from_secs(1))]);
            stage.cluster.add_budget(Budget::named("db").max_unavailable(0));
            stage.cluster.fail(Class::Status).always().with(fault.clone());
            let handler = stage.drain(Duration::from_secs(8));
            handler.table().says("default/db-0", "deleted", "against disruption budget default/db");
            stage.happens(|what| matches!(what, Happening::Gone { by_itself: true, .. }));
        },
    );
}

#[test]
fn a_deletion_that_fails_is_asked_again() {
    at_once(
        &[
            ("503", Fault::Code(503)),
            ("cut", Fault::CutBeforeAnswer),
            ("HTML", Fault::Html(200)),
            ("lost", Fault::AnswerLost),
        ],
        |fault| {
            let db = Pod::named("default/db-0").stateful_set("db").grace(4);
            let stage = Stage::with([db.stops_in(Duration::from_millis(500))]);
            stage.cluster.add_budget(Budget::named("db").max_unavailable(0));
            stage.cluster.fail(Class::Delete).times(2).with(fault.clone());
            let handler = stage.drain(Duration::from_secs(9));
            handler.table().says("default/db-0", "deleted", "against disruption budget default/db");
            stage.happens(|what| matches!(what, Happening::Gone { by_itself: true, .. }));
        },
    );
}

#[test]
fn with_hardly_any_file_descriptors_every_pod_goes_all_the_same() {
    at_once(&[("11", 11), ("12", 12), ("14", 14), ("20", 20), ("24", 24)], |descriptors| {
        let stage = Stage::with(quick_pods(40));
        stage.cloud.announce_in(FAR);
        let handler = stage.handler().descriptors(*descriptors).start();
        handler.table().all_evicted(&names(40));
    });
}

#[test]
fn a_pod_that_is_ending_too_late_is_hurried() {
    let stage = Stage::with([Pod::named("default/web-0")
        .replica_set("web")
        .grace(600)
        .stops_in(Duration::from_millis(500))
        .terminating(Duration::from_secs(500))]);
    let handler = stage.drain(Duration::from_secs(20));
    handler.says("default/web-0: was already ending, with more time than is left");
    handler.table().says("default/web-0", "shortened", "was already ending");
}

#[test]
fn a_grace_is_cut_to_what_is_left_and_the_log_says_so() {
    let stage = Stage::with([quick("default/web-0").grace(300)]);
    let handler = stage.drain(Duration::from_secs(20));
    handler.table().all_evicted(&names(1));
    let line = handler.says("instead of 300 s: no more time is left");
    let grace = stage.asked(Class::Evict)[0].json()["deleteOptions"]["gracePeriodSeconds"].clone();
    assert!((2..=19).contains(&grace.as_u64().unwrap()), "{grace}");
    assert!(line.contains(&format!("{grace} s to end")), "{line}");
}

#[test]
fn an_operators_grace_only_shortens() {
    let stage = Stage::with([quick("default/web-0").grace(30), quick("default/web-1").grace(3)]);
    let handler = stage.handler().with("POD_TERMINATION_GRACE_PERIOD", "10").start();
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
    handler.says("default/web-0: eviction accepted, 10 s to end");
    handler.says("default/web-1: eviction accepted, 3 s to end");
}

#[test]
fn a_pod_that_does_not_end_is_named_at_the_deadline() {
    let stage = Stage::with([quick("default/web-0"), Pod::named("default/stuck").stuck().grace(1)]);
    let handler = stage.drain(Duration::from_secs(5));
    let table = handler.table();
    assert!(table.occasion.contains("the deadline is reached"), "{table:?}");
    table.says("default/stuck", "still there", "evicted, has not ended");
    table.says("default/web-0", "evicted", "");
    assert_eq!(handler.said("nothing is left"), 0);
}

#[test]
fn a_pod_that_arrives_late_goes_too_and_the_table_comes_again() {
    let stage = Stage::with(quick_pods(2));
    let handler = stage.drain(Duration::from_secs(12));
    handler.table().all_evicted(&names(2));
    stage.cluster.add_pod(quick("default/late"));
    handler.says("default/late: arrived late, goes too");
    handler.says("default/late: gone after");
    let table = handler.nth_table(2);
    table.says("default/late", "evicted", "");
    assert_eq!(table.rows.len(), 3);
}

#[test]
fn another_pod_of_the_same_name_is_another_pod() {
    let stage = Stage::with([quick("default/db-0")]);
    let handler = stage.drain(Duration::from_secs(10));
    handler.table().all_evicted(&["default/db-0"]);
    stage.cluster.add_pod(quick("default/db-0"));
    handler.says("default/db-0: arrived late, goes too");
    stage.left(&[]);
    let uids: Vec<_> = stage
        .asked(Class::Evict)
        .iter()
        .map(|entry| entry.json()["deleteOptions"]["preconditions"]["uid"].clone())
        .collect();
    assert_eq!(uids.len(), 2);
    assert_ne!(uids[0], uids[1]);
    let rows = handler.nth_table(2).rows;
    assert_eq!(rows.iter().filter(|row| row.pod == "default/db-0").count(), 2, "{rows:?}");
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_would_be() {
    let stage = Stage::with(quick_pods(2));
    stage.cluster.add_pods([Pod::named("default/db-0").stateful_set("db")]);
    stage.cluster.add_budget(Budget::named("db").max_unavailable(0));
    let handler = stage.handler().with("DRY_RUN", "true").start();
    handler.says("Dry run: ");
    stage.cloud.announce_in(FAR);
    let table = handler.table();
    table.says("default/web-0", "would be evicted", "");
    table.says("default/db-0", "would be refused", "by disruption budget default/db");
    assert!(table.occasion.contains("dry run"), "{table:?}");
    assert_eq!(handler.said("nothing is left"), 0, "everything is");
    handler.says("dry run: the node would be cordoned");
    stage.polled_on(stage.polls(), 2);
    for entry in stage.cluster.journal().entries() {
        let is_dry = entry.kind == Class::Evict
            && entry.json()["deleteOptions"]["dryRun"] == serde_json::json!(["All"])
            && entry.parameter("dryRun") == Some("All");
        assert!(entry.method == "GET" || is_dry, "{entry}");
    }
    assert!(!stage.cluster.is_cordoned());
    assert!(stage.cluster.happened().is_empty(), "{:?}", stage.cluster.happened());
    assert_eq!(stage.cluster.pods().len(), 3);
}

#[test]
fn the_same_notice_is_not_drained_for_twice() {
    let stage = Stage::with(quick_pods(2));
    let handler = stage.drain(Duration::from_secs(4));
    handler.table().all_evicted(&names(2));
    handler.says("the deadline is reached and nothing has changed since the table");
    stage.cluster.add_pod(quick("default/later"));
    stage.polled_on(stage.polls(), 3);
    assert_eq!(stage.asked(Class::Evict).len(), 2);
    assert_eq!(handler.said("spot interruption: "), 1);
}

#[test]
fn a_notice_that_was_drained_for_is_not_drained_for_again_after_a_restart() {
    let stage = Stage::with(quick_pods(2));
    let handler = stage.drain(Duration::from_secs(4));
    handler.says("the deadline is reached and nothing has changed since the table");
    stage.asks(Class::NodePatch, 2);
    handler.terminate();
    drop(handler);
    stage.cluster.add_pod(quick("default/later"));
    let second = stage.handler().start();
    second.says("was dealt with before: nothing to do");
    stage.polled_on(stage.polls(), 3);
    assert_eq!(stage.asked(Class::Evict).len(), 2);
}

#[test]
fn a_second_different_notice_is_drained_for() {
    let stage = Stage::with(quick_pods(2));
    let handler = stage.drain(Duration::from_secs(4));
    handler.table().all_evicted(&names(2));
    handler.says("the deadline is reached");
    stage.cloud.clear();
    handler.says("was withdrawn");
    stage.cluster.add_pod(quick("default/later"));
    stage.cloud.announce("stop", &crate::stage::time_in(FAR));
    handler.says("spot interruption: the instance will stop");
    handler.nth_table(2).all_evicted(&["default/later"]);
}

#[test]
fn the_same_words_after_they_were_gone_are_a_new_notice() {
    let stage = Stage::with(quick_pods(2));
    let handler = stage.drain(Duration::from_secs(4));
    handler.says("the deadline is reached");
    stage.cloud.clear();
    handler.says("was withdrawn");
    stage.cluster.add_pod(quick("default/later"));
    stage.cloud.announce_in(FAR);
    handler.nth_table(2).all_evicted(&["default/later"]);
    assert_eq!(handler.said("spot interruption: "), 2);
}

#[test]
fn an_interruption_that_did_not_come_gives_the_node_back() {
    let stage = Stage::with(quick_pods(2));
    let before = stage.cluster.node();
    let handler = stage.drain(Duration::from_secs(4));
    handler.table().all_evicted(&names(2));
    handler.says("the deadline is reached");
    stage.cloud.clear();
    handler.says("notice spot-interruption/terminate was withdrawn");
    // The instance may be on its way out all the same: it is not in a hurry with that.
    stage.polled_more(Endpoint::InstanceAction, 20);
    assert!(stage.cluster.is_cordoned());
    handler.says("the node is uncordoned");
    stage.gives_back(&before);
}

#[test]
fn a_later_time_does_not_move_the_deadline() {
    let stage = Stage::with([Pod::named("default/stuck").stuck().grace(1)]);
    let handler = stage.drain(Duration::from_secs(6));
    handler.says("eviction accepted");
    stage.cloud.announce_in(FAR);
    handler.table().says("default/stuck", "still there", "evicted, has not ended");
    assert_eq!(handler.said("earlier"), 0);
}

#[test]
fn an_earlier_time_moves_the_deadline() {
    let stage = Stage::with([Pod::named("default/stuck").stuck().grace(1)]);
    let handler = stage.drain(FAR);
    handler.says("eviction accepted");
    stage.cloud.announce_in(Duration::from_secs(4));
    handler.says("the instance goes earlier");
    handler.table().says("default/stuck", "still there", "evicted, has not ended");
    assert_eq!(handler.said("earlier"), 1);
}

#[test]
fn nobody_is_asked_after_the_deadline() {
    let stage = Stage::with(quick_pods(2));
    stage.cluster.add_budget(Budget::named("web").max_unavailable(0));
    let handler = stage.handler().with("BUDGET_OVERRIDE", "never").start();
    stage.cloud.announce_in(Duration::from_secs(4));
    handler.table();
    let asked = stage.asked(Class::Evict).len();
    stage.polled_on(stage.polls(), 3);
    assert_eq!(stage.asked(Class::Evict).len(), asked);
}

#[test]
fn a_log_that_nobody_takes_holds_up_no_pod() {
    let stage = Stage::with(quick_pods(10));
    let mut handler = stage.handler().with("VERBOSE", "1").unheard().start();
    stage.cloud.announce_in(FAR);
    stage.left(&[]);
    handler.terminate();
    assert_eq!(handler.ended().code(), Some(0));
}
