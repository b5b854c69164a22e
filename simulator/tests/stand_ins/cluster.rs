//! The stand-in API server, as a client sees it.

use std::thread;
use std::time::Duration;

use crate::client::{Client, Patience, Result};
use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};
use simulator::{
    ApiServer, Budget, Class, Disturbance, Fault, Framing, Happening, Node, Pod, WatchList,
};

const LONG: Duration = Duration::from_secs(30);
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const FROM_THE_START: &str = "/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Dn1\
    &resourceVersion=0&sendInitialEvents=true&allowWatchBookmarks=true\
    &resourceVersionMatch=NotOlderThan";

fn start() -> Result<(ApiServer, Client)> {
    let cluster = ApiServer::start(Node::named("n1"))?;
    let client = Client::of(&cluster)?;
    Ok((cluster, client))
}

/// A watch from the start that ends soon after its first lines.
fn brief() -> String {
    format!("{FROM_THE_START}&timeoutSeconds=1")
}

/// Types and names of a watch's lines.
fn lines(body: &[u8]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    String::from_utf8_lossy(body)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_default())
        .map(|event| (text(&event["type"]), text(&event["object"]["metadata"]["name"])))
        .collect()
}

#[test]
fn the_objects_are_what_kubernetes_would_show() -> Result<()> {
    let (cluster, client) = start()?;
    cluster.add_pod(Pod::handler().empty_dir().terminating(LONG).size(15_000));
    cluster.add_pod(Pod::named("default/done").job("j").failed());
    cluster.add_pod(Pod::named("default/static").mirror());

    let list = client.get("/api/v1/pods")?;
    assert!(list.body.len() > 15_000 + 2 * 4_000, "{}", list.body.len());
    let list: k8s_openapi::List<core::Pod> = serde_json::from_slice(&list.body)?;
    let handler = list
        .items
        .iter()
        .find(|pod| pod.metadata.name.as_deref() == Some("k8s-spot-handler-x7x2p"));
    let spec = handler.and_then(|pod| pod.spec.as_ref()).ok_or("no handler")?;
    assert_eq!(spec.termination_grace_period_seconds, Some(150));

    let node: core::Node = serde_json::from_slice(&client.get("/api/v1/nodes/n1")?.body)?;
    assert!(node.metadata.resource_version.is_some());
    Ok(())
}

#[test]
fn a_watch_shows_who_is_there_and_who_goes() -> Result<()> {
    let (cluster, client) = start()?;
    cluster.add_pod(Pod::named("default/a").stops_in(Duration::from_millis(50)));
    cluster.add_pod(Pod::named("default/b"));
    cluster.add_pod(Pod::named("default/far").on_node("n2"));

    let watch = thread::scope(|scope| -> Result<_> {
        let watch = scope.spawn(|| client.get(FROM_THE_START).map_err(|error| error.to_string()));
        assert!(cluster.journal().wait_until(LONG, |all| all.iter().any(|it| it.code.is_some())));
        assert_eq!(client.evict("default", "a", "{}")?.code, 201);
        assert!(cluster.wait_until(LONG, |it| it.pod("default/a").is_none()));
        cluster.disturb_watches(Disturbance::Ended);
        Ok(watch.join().map_err(|_| "the watch panicked")??)
    })?;
    let pairs = lines(&watch.body);
    let pairs: Vec<_> = pairs.iter().map(|(kind, name)| (kind.as_str(), name.as_str())).collect();
    assert_eq!(
        pairs,
        [("ADDED", "a"), ("ADDED", "b"), ("BOOKMARK", ""), ("MODIFIED", "a"), ("DELETED", "a")]
    );
    assert!(watch.complete);
    Ok(())
}

#[test]
fn a_server_without_watch_list_refuses_or_ignores_it() -> Result<()> {
    let (cluster, client) = start()?;
    cluster.add_pod(Pod::named("default/a"));
    cluster.watch_list(WatchList::Refused);
    assert_eq!(client.get(&brief())?.code, 422);
    cluster.watch_list(WatchList::Unknown);
    assert_eq!(lines(&client.get(&brief())?.body), [("ADDED".into(), "a".into())]);
    Ok(())
}

#[test]
fn a_list_is_as_new_as_it_is_asked_for() -> Result<()> {
    let (cluster, client) = start()?;
    cluster.add_pods((0..5).map(|number| Pod::named(&format!("default/p{number}"))));
    let newest = client.get("/api/v1/pods")?.json();
    assert_eq!(newest["items"].as_array().map(Vec::len), Some(5));
    let version = newest["metadata"]["resourceVersion"].as_str().ok_or("no version")?.to_owned();
    let not_older = |version: &str| {
        format!("/api/v1/pods?resourceVersion={version}&resourceVersionMatch=NotOlderThan")
    };
    for path in ["/api/v1/pods?resourceVersion=0", &not_older(&version), &not_older("1")] {
        assert_eq!(client.get(path)?.json(), newest, "{path}");
    }
    let too_new = client.get(&not_older("99999"))?;
    let cause = too_new.json()["details"]["causes"][0]["reason"].clone();
    assert_eq!((too_new.code, cause), (504, json!("ResourceVersionTooLarge")));
    for (path, code) in [
        ("/api/v1/pods?resourceVersionMatch=NotOlderThan", 422),
        ("/api/v1/pods?resourceVersion=1&resourceVersionMatch=Exact", 422),
        ("/api/v1/pods?limit=2", 400),
        ("/api/v1/pods?continue=t", 400),
    ] {
        assert_eq!(client.get(path)?.code, code, "{path}");
    }
    cluster.compact();
    let old = client.get("/api/v1/pods?watch=1&resourceVersion=1001")?;
    let error: Value = serde_json::from_slice(&old.body)?;
    assert_eq!(
        (old.code, &error["type"], &error["object"]["code"]),
        (200, &json!("ERROR"), &json!(410))
    );
    Ok(())
}

#[test]
fn evictions_are_bound_to_a_uid_and_to_budgets() -> Result<()> {
    let (cluster, client) = start()?;
    let uid = cluster.add_pod(Pod::named("default/web-1").replica_set("web").stuck());
    cluster.add_pod(Pod::named("default/web-2").replica_set("web"));
    cluster.add_budget(Budget::named("default/web").max_unavailable(1));
    let precondition = |uid: &str| format!(r#"{{"preconditions":{{"uid":"{uid}"}}}}"#);
    assert_eq!(client.evict("default", "none", "{}")?.code, 404);
    assert_eq!(client.evict("default", "web-1", &precondition("other"))?.code, 409);
    assert_eq!(client.evict("default", "web-1", r#"{"dryRun":["All"]}"#)?.code, 201);
    assert!(cluster.happened_to("default/web-1").is_empty(), "only asked");

    let options = format!(r#"{{"gracePeriodSeconds":7,"preconditions":{{"uid":"{uid}"}}}}"#);
    assert_eq!(client.evict("default", "web-1", &options)?.code, 201);
    let pod = cluster.pod("default/web-1").ok_or("gone too early")?;
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 7);
    assert!(pod["status"]["conditions"].to_string().contains("EvictionByEvictionAPI"));

    let refused = client.evict("default", "web-2", "{}")?;
    assert_eq!(refused.code, 429);
    let cause = &refused.json()["details"]["causes"][0];
    assert_eq!(cause["reason"], "DisruptionBudget");
    assert_eq!(
        cause["message"],
        "The disruption budget web needs 1 healthy pods and has 1 currently"
    );
    assert!(!refused.head.contains("Retry-After"));
    assert_eq!(client.evict("default", "web-1", "{}")?.code, 201, "it is going already");

    cluster.finish_replacements();
    let replaced = Happening::Replaced { budget: "default/web".to_owned() };
    assert!(cluster.wait_until(LONG, |it| it.happened().iter().any(|one| one.what == replaced)));
    assert_eq!(client.evict("default", "web-2", "{}")?.code, 201);

    cluster.terminate_namespace("ending");
    cluster.add_pod(Pod::named("ending/p"));
    let forbidden = client.evict("ending", "p", "{}")?;
    assert_eq!(forbidden.code, 403);
    assert_eq!(forbidden.json()["details"]["causes"][0]["reason"], "NamespaceTerminating");
    Ok(())
}

#[test]
fn a_second_deletion_only_ever_shortens_the_grace() -> Result<()> {
    let (cluster, client) = start()?;
    cluster.add_pod(Pod::named("default/slow").stops_in(Duration::from_mins(10)).grace(600));
    let delete = |seconds: u64| {
        let body = format!(r#"{{"gracePeriodSeconds":{seconds}}}"#);
        client.ask("DELETE", "/api/v1/namespaces/default/pods/slow", "application/json", &body)
    };
    let grace = |pod: Value| pod["metadata"]["deletionGracePeriodSeconds"].clone();
    assert_eq!(grace(delete(300)?.json()), 300);
    assert_eq!(grace(delete(400)?.json()), 300);
    assert_eq!(grace(delete(1)?.json()), 1);
    assert!(cluster.wait_until(LONG, |it| it.pods().is_empty()));
    let pod = "default/slow".to_owned();
    assert_eq!(
        cluster.happened_to("default/slow"),
        [
            Happening::Deleted { pod: pod.clone(), grace: 300 },
            Happening::Hurried { pod: pod.clone(), grace: 1 },
            Happening::Gone { pod, by_itself: false },
        ]
    );
    Ok(())
}

#[test]
fn patches_keep_what_they_do_not_name_and_refuse_what_is_stale() -> Result<()> {
    let (cluster, client) = start()?;
    let version = |node: &Value| node["metadata"]["resourceVersion"].clone();
    let cordon = |version: &Value| {
        let patch = json!({ "metadata": { "resourceVersion": version },
            "spec": { "unschedulable": true } });
        client.ask("PATCH", "/api/v1/nodes/n1", MERGE, &patch.to_string())
    };
    cluster.before_next_node_patch(|node| node["metadata"]["labels"]["theirs"] = json!("1"));
    let stale = version(&cluster.node());
    assert_eq!(cordon(&stale)?.code, 409);
    assert!(!cluster.is_cordoned());
    assert_eq!(cordon(&version(&cluster.node()))?.code, 200);
    let node = cluster.node();
    assert_eq!(node["metadata"]["labels"]["theirs"], "1");
    assert_eq!(node["spec"]["taints"][0]["key"], "node.kubernetes.io/unschedulable");

    let uid = cluster.add_pod(Pod::named("default/p"));
    let mark = |uid: &str| {
        let patch = json!({ "metadata": { "uid": uid }, "status": { "conditions": [
            { "type": "DisruptionTarget", "status": "True", "reason": "DeletionByNodeTermination" },
        ] } });
        let target = "/api/v1/namespaces/default/pods/p/status";
        client.ask("PATCH", target, STRATEGIC, &patch.to_string())
    };
    assert_eq!(mark("other")?.code, 409);
    let marked = mark(&uid)?.json();
    let conditions = marked["status"]["conditions"].as_array().map(Vec::len);
    assert_eq!(conditions, Some(6), "five before, and none of them lost");
    Ok(())
}

#[test]
fn who_cordoned_the_node_last_is_kept() -> Result<()> {
    let (cluster, client) = start()?;
    let managers = || {
        let node = cluster.node();
        let managed = node["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let about = managed
            .iter()
            .filter(|entry| entry["fieldsV1"]["f:spec"]["f:unschedulable"].is_object())
            .map(|entry| entry["manager"].as_str().unwrap_or_default().to_owned());
        about.collect::<Vec<_>>()
    };
    let patch = |target: &str, unschedulable: Value| {
        let patch = json!({ "spec": { "unschedulable": unschedulable } });
        client.ask("PATCH", target, MERGE, &patch.to_string())
    };
    assert!(managers().is_empty());
    let node: core::Node =
        serde_json::from_slice(&patch("/api/v1/nodes/n1?fieldManager=a", json!(true))?.body)?;
    assert_eq!(node.metadata.managed_fields.map(|all| all.len()), Some(1));
    assert_eq!(managers(), ["a"]);
    patch("/api/v1/nodes/n1?fieldManager=b", json!(true))?;
    assert_eq!(managers(), ["a"], "what is so already is changed by nobody");
    cluster.change_node(|node| node["metadata"]["labels"]["theirs"] = json!("1"));
    assert_eq!(managers(), ["a"], "that is about another field");
    patch("/api/v1/nodes/n1", json!(null))?;
    assert!(managers().is_empty(), "nobody has removed it");
    patch("/api/v1/nodes/n1", json!(true))?;
    assert_eq!(managers(), ["stand-ins-test"], "by the program's name");
    cluster.change_node(|node| node["spec"]["unschedulable"] = json!(false));
    assert!(managers().is_empty());
    cluster.change_node(|node| node["spec"]["unschedulable"] = json!(true));
    assert_eq!(managers(), ["kubectl-cordon"]);
    Ok(())
}

#[test]
fn what_is_not_heard_is_not_done() -> Result<()> {
    let (cluster, client) = start()?;
    cluster.add_pods([Pod::named("default/a"), Pod::named("default/b")]);
    cluster.hear_only(1);
    assert_eq!(client.evict("default", "a", "{}")?.code, 201);
    assert!(client.evict("default", "b", "{}").is_err());
    assert_eq!(cluster.journal().len(), 1);
    assert!(cluster.happened_to("default/b").is_empty());
    cluster.heal();
    assert_eq!(client.evict("default", "b", "{}")?.code, 201);
    Ok(())
}

#[test]
fn tokens_rotate_and_rights_are_taken() -> Result<()> {
    let (cluster, client) = start()?;
    cluster.rotate_token()?;
    assert_eq!(client.get("/api/v1/pods")?.code, 401);
    let client = Client::of(&cluster)?;
    assert_eq!(client.get("/api/v1/pods")?.code, 200);
    cluster.forbid(Class::Evict);
    let refused = client.evict("default", "p", "{}")?;
    let message = "pods \"p\" is forbidden: User \
        \"system:serviceaccount:kube-system:k8s-spot-handler\" cannot create resource \
        \"pods/eviction\" in API group \"\" in the namespace \"default\"";
    assert_eq!((refused.code, &refused.json()["message"]), (403, &json!(message)));
    Ok(())
}

#[test]
fn faults_of_answers_are_what_they_say() -> Result<()> {
    let (cluster, client) = start()?;
    cluster.add_pod(Pod::named("default/p").stuck());
    let fail = |fault: Fault| {
        cluster.fail(Class::Evict).pod("default/p").with(fault);
        client.evict("default", "p", "{}")
    };
    let throttled = fail(Fault::Throttled(Some(2)))?;
    assert!(throttled.code == 429 && throttled.head.contains("Retry-After: 2"));
    assert!(throttled.json()["details"]["causes"].is_null());
    assert_eq!(fail(Fault::LeaderChanged)?.json()["message"], "etcdserver: leader changed");
    assert!(fail(Fault::StatusWithoutCode(500))?.json()["code"].is_null());
    assert!(fail(Fault::CutBeforeAnswer).is_err());
    assert!(fail(Fault::EndlessHead).is_err());
    assert!(fail(Fault::EndlessBody)?.body.len() > 4 * 1024 * 1024);
    cluster.fail(Class::Evict).with(Fault::Hang);
    let hasty = Client::of(&cluster)?.with_patience(Patience::Little);
    assert!(hasty.evict("default", "p", "{}").is_err());
    assert!(cluster.happened_to("default/p").is_empty(), "none of these was carried out");

    assert!(fail(Fault::AnswerLost).is_err());
    assert_eq!(cluster.happened_to("default/p").len(), 1, "this one was");
    for framing in [Framing::Length, Framing::Chunked] {
        cluster.framing(framing);
        assert!(!fail(Fault::CutInBody)?.complete);
        assert!(String::from_utf8(fail(Fault::NotUtf8)?.body).is_err());
        assert!(client.evict("default", "p", "{}")?.complete, "each fault once");
    }
    Ok(())
}

#[test]
fn watches_are_disturbed() -> Result<()> {
    let (cluster, client) = start()?;
    cluster.add_pods((0..3).map(|number| Pod::named(&format!("default/p{number}"))));
    let disturb = |after, what| {
        cluster.fail(Class::Watch).with(Fault::Watch(after, what));
        client.get(&brief())
    };
    let expired = disturb(2, Disturbance::Expired)?;
    assert_eq!(
        lines(&expired.body).iter().map(|it| it.0.as_str()).collect::<Vec<_>>(),
        ["ADDED", "ADDED", "ERROR"]
    );
    assert!(expired.complete);
    let cut = disturb(1, Disturbance::CutLine)?;
    assert!(!cut.complete && !cut.body.ends_with(b"\n"));
    let long = disturb(3, Disturbance::LongLine(4 * 1024 * 1024 + 1))?;
    let lengths: Vec<_> = long.body.split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
    assert_eq!(lengths.iter().filter(|length| **length == 4 * 1024 * 1024 + 1).count(), 1);
    assert_eq!(
        lines(&long.body).last().map(|it| it.0.as_str()),
        Some("BOOKMARK"),
        "and it goes on"
    );
    Ok(())
}

#[test]
fn it_comes_back_on_the_same_port_with_the_same_pods() -> Result<()> {
    let (cluster, client) = start()?;
    cluster.add_pod(Pod::named("default/p"));
    let watch = thread::scope(|scope| {
        let watch = scope.spawn(|| client.get(FROM_THE_START).map_err(|error| error.to_string()));
        assert!(cluster.journal().wait_until(LONG, |all| all.iter().any(|it| it.code.is_some())));
        cluster.stop();
        watch.join()
    });
    let cut = watch.is_ok_and(|answer| answer.map_or(true, |answer| !answer.complete));
    assert!(cut, "before its head or after");
    assert!(client.get("/api/v1/pods").is_err());
    cluster.start_again()?;
    assert_eq!(client.get("/api/v1/pods")?.json()["items"][0]["metadata"]["name"], "p");
    Ok(())
}
