//! `plan`: what it prints, how it ends, and that it changes nothing.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulator::{Budget, Class, Fault, Pod};

use crate::stage::{Folder, NODE, Stage, at_once, quick, quick_pods};

/// Pods of every kind, of which some would be lost.
fn people() -> Stage {
    let stage = Stage::with([
        Pod::handler(),
        quick("web-0"),
        quick("shop/guarded-0").replica_set("guarded"),
        Pod::named("slow").replica_set("slow").grace(300),
        Pod::named("db-0").stateful_set("db").grace(115).volume_claim(),
        Pod::named("cache").replica_set("cache").empty_dir(),
        Pod::named("bare"),
        Pod::named("kube-system/dns").replica_set("dns").priority_class("system-cluster-critical"),
        Pod::named("kube-system/proxy").mirror(),
        Pod::named("kube-system/logs").daemon_set("logs"),
        Pod::named("leaving").replica_set("old").terminating(Duration::from_secs(20)),
        Pod::named("lingering").replica_set("old").grace(600).terminating(Duration::from_mins(10)),
        Pod::named("elsewhere").replica_set("web").on_node("another"),
    ]);
    stage.cluster.add_budget(Budget::named("shop/guarded"));
    stage
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Nothing was asked but to read, and by dry evictions.
fn only_asks(stage: &Stage) {
    for entry in stage.cluster.journal().entries() {
        let dry = || entry.json()["deleteOptions"]["dryRun"] == json!(["All"]);
        let reads = matches!(entry.kind, Class::NodeGet | Class::List);
        assert!(reads || entry.kind == Class::Evict && dry(), "{entry}");
    }
    assert!(stage.cluster.happened().is_empty(), "{:?}", stage.cluster.happened());
}

fn ended(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

#[test]
fn every_pod_has_its_fate_and_nothing_is_changed() {
    let stage = people();
    let output = stage.handler().run(&["plan"]);
    ended(&output, 1);
    assert_eq!(text(&output.stderr), "");
    let expected = "\
If ip-10-0-1-17 got its notice now, 120s before its end, with a safety margin of 2s:

POD                                 TURN             GRACE         BUDGET        FATE            NOTE
kube-system/logs                    -                -             -             left alone      DaemonSet logs
kube-system/proxy                   -                -             -             left alone      static pod of the kubelet
kube-system/k8s-spot-handler-x7x2p  -                -             -             left alone      this handler's own pod
default/leaving                     -                30 s          -             ending already  was told to end before
default/bare                        first, at once   30 s          -             evicted         no controller, nothing starts it elsewhere
default/cache                       first, at once   30 s          -             evicted         the data in its emptyDir volume ends with it
default/db-0                        first, at once   115 s         -             evicted         its volume may still be attached when the node goes, 5 s after its grace
default/web-0                       first, at once   30 s          -             evicted
kube-system/dns                     second, by 88 s  30 s          -             evicted
default/lingering                   first, at once   118 of 600 s  -             cut short       is ending already, with more time than is left
default/slow                        first, at once   118 of 300 s  -             cut short       no more time is left
shop/guarded-0                      first, at once   30 s          shop/guarded  deleted         in 88 s, if it is refused until then

Each was asked about alone: a budget that lets one go now may refuse the next.
Pods: 12, left alone: 3, ending already: 1, evicted: 5, cut short: 2, deleted: 1. Lost would be 3: not evicted, or without the whole grace.
";
    assert_eq!(text(&output.stdout), expected);
    only_asks(&stage);
    // Each that would be asked was asked, once, with the grace it would get.
    let mut asked: Vec<(String, u64)> = stage
        .asked(Class::Evict)
        .iter()
        .map(|entry| {
            let grace = entry.json()["deleteOptions"]["gracePeriodSeconds"].as_u64();
            (entry.pod.clone().unwrap(), grace.unwrap())
        })
        .collect();
    asked.sort();
    let wanted = [
        ("default/bare", 30),
        ("default/cache", 30),
        ("default/db-0", 115),
        ("default/slow", 118),
        ("default/web-0", 30),
        ("kube-system/dns", 30),
        ("shop/guarded-0", 30),
    ];
    assert_eq!(asked, wanted.map(|(pod, grace)| (pod.to_owned(), grace)));
}

#[test]
fn for_programs_it_is_one_object() {
    let stage = people();
    let output = stage.handler().run(&["plan", NODE, "--deadline=1m", "--output", "json"]);
    ended(&output, 1);
    let found: Value = serde_json::from_str(text(&output.stdout)).unwrap();
    assert_eq!(text(&output.stdout).lines().count(), 1);
    assert_eq!(
        (&found["node"], &found["deadline_seconds"], &found["safety_margin_seconds"]),
        (&json!(NODE), &json!(60.0), &json!(2.0))
    );
    let pods = found["pods"].as_array().unwrap();
    let of = |name: &str| pods.iter().find(|pod| pod["pod"] == name).unwrap();
    assert_eq!(
        *of("guarded-0"),
        json!({
            "namespace": "shop", "pod": "guarded-0", "turn": "first", "fate": "deleted", "lost": true,
            "asked_from_seconds": 0.0, "asked_by_seconds": 0.0, "deleted_after_seconds": 28.0,
            "grace_seconds": 30, "whole_grace_seconds": 30, "budget": "shop/guarded",
            "note": "in 28 s, if it is refused until then",
        })
    );
    assert_eq!(
        *of("logs"),
        json!({
            "namespace": "kube-system", "pod": "logs", "turn": "first", "fate": "left alone",
            "lost": false, "note": "DaemonSet logs",
        })
    );
    assert_eq!(
        (&of("db-0")["fate"], &of("db-0")["grace_seconds"]),
        (&json!("cut short"), &json!(58))
    );
    assert_eq!((&found["lost"], &found["unclear"], pods.len()), (&json!(4), &json!(0), 12));
    only_asks(&stage);
}

#[test]
fn where_nothing_would_be_lost_it_ends_with_0() {
    let stage = Stage::with(quick_pods(120));
    let output = stage.handler().run(&["plan"]);
    ended(&output, 0);
    let said = text(&output.stdout);
    assert!(said.ends_with("\nPods: 120, evicted: 120. None would be lost.\n"), "{said}");
    let lists = stage.asked(Class::List);
    assert_eq!(lists.len(), 1, "{lists:#?}");
    assert_eq!(lists[0].parameter("resourceVersion"), Some("0"), "from the cache: {lists:#?}");
    only_asks(&stage);
    let bare = Stage::with([]);
    let output = bare.handler().run(&["plan", "--output=json"]);
    ended(&output, 0);
    assert!(text(&output.stdout).contains("\"pods\":[]"));
}

#[test]
fn settings_count_as_in_a_drain() {
    let stage = people();
    let cautious = [
        "plan",
        "--budget-override=never",
        "--drain-unmanaged=false",
        "--delete-local-data=false",
        "--pod-termination-grace-period=10",
        "--exclude-from-load-balancers",
        "--load-balancer-hold=5s",
    ];
    let output = stage.handler().run(&cautious);
    ended(&output, 1);
    let said = text(&output.stdout);
    let line = |pod: &str| {
        let line = said.lines().find(|line| line.starts_with(pod)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for wanted in [
        "default/web-0 first, in 5 s 10 s - evicted its own grace of 30 s is more than the setting allows",
        "shop/guarded-0 first, in 5 s - shop/guarded dies with the node refused, and budgets are not overridden",
        "default/bare - - - dies with the node no controller, and such pods are to stay",
        "default/cache - - - dies with the node emptyDir volume, and such pods are to stay",
    ] {
        assert_eq!(line(wanted.split(' ').next().unwrap()), wanted);
    }
    only_asks(&stage);
}

#[test]
fn what_cannot_be_asked_is_said_and_ends_with_69() {
    type Case = (fn(&Stage), &'static [&'static str], &'static str);
    let cases: [(&str, Case); 6] = [
        ("away", (|stage| stage.cluster.stop(), &[], "cannot be reached: Connection refused")),
        ("no node", (|_| {}, &["nosuch"], "there is no node named nosuch")),
        ("no nodes", (|stage| stage.cluster.forbid(Class::NodeGet), &[], "`get` on `nodes` must")),
        ("no list", (|stage| stage.cluster.forbid(Class::List), &[], "`list` on `pods` must be")),
        ("no token", (|stage| stage.cluster.revoke_tokens(), &[], "401")),
        (
            "garbage",
            (|stage| stage.cluster.fail(Class::List).with(Fault::Html(200)), &[], "not what was"),
        ),
    ];
    at_once(&cases, |(breaks, more, words)| {
        let stage = Stage::with(quick_pods(1));
        breaks(&stage);
        let mut arguments = vec!["plan"];
        arguments.extend(*more);
        let output = stage.handler().run(&arguments);
        ended(&output, 69);
        assert_eq!(text(&output.stdout), "");
        let said = text(&output.stderr);
        assert!(said.starts_with("k8s-spot-handler: ") && said.contains(words), "{said}");
    });
}

#[test]
fn pods_whose_answer_does_not_come_are_unclear_and_it_ends_all_the_same() {
    let stage = Stage::with(quick_pods(3));
    stage.cluster.fail(Class::Evict).always().pod("default/web-1").with(Fault::Code(503));
    let began = Instant::now();
    let output = stage.handler().run(&["plan"]);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    ended(&output, 69);
    let said = text(&output.stdout);
    assert!(said.contains("unclear") && said.contains("503"), "{said}");
    assert!(
        said.ends_with("evicted: 2, unclear: 1. Whether any would be lost is not known.\n"),
        "{said}"
    );
    only_asks(&stage);
    // What is known to be lost outweighs what is not known.
    stage.cluster.forbid(Class::Evict);
    stage.cluster.add_pod(Pod::named("slow").terminating(Duration::from_mins(10)));
    let output = stage.handler().run(&["plan"]);
    ended(&output, 1);
    assert!(text(&output.stdout).contains("cannot create resource"), "{}", text(&output.stdout));
}

#[test]
fn a_failure_that_passes_changes_nothing() {
    let stage = Stage::with(quick_pods(3));
    stage.cluster.fail(Class::Evict).times(2).with(Fault::Throttled(None));
    stage.cluster.fail(Class::Evict).with(Fault::CutBeforeAnswer);
    ended(&stage.handler().run(&["plan"]), 0);
    assert_eq!(stage.asked(Class::Evict).len(), 6);
}

#[test]
fn its_node_is_that_of_its_token_or_has_to_be_named() {
    let stage = Stage::with(quick_pods(1));
    let unnamed =
        || stage.handler().without("NODE_NAME").with("POD_NAME", "k8s-spot-handler-x7x2p");
    let output = unnamed().run(&["plan"]);
    ended(&output, 0);
    assert!(text(&output.stdout).contains(NODE));

    let folder = Folder::new();
    // A token of no pod: {"sub":"someone"}.
    let token = folder.put("token", "e30.eyJzdWIiOiJzb21lb25lIn0.c2ln");
    let output = unnamed().with("TOKEN_FILE", token).run(&["plan"]);
    ended(&output, 64);
    let said = text(&output.stderr);
    assert!(said.contains("name it after the command"), "{said}");
}

#[test]
fn from_outside_the_cluster_a_server_is_named() {
    let stage = Stage::with(quick_pods(1));
    let outside = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "NODE_NAME"];
    let launch = outside.iter().fold(stage.handler(), |launch, name| launch.without(name));
    let server = format!("--server=https://{}", stage.cluster.address());
    let output = launch.run(&["plan", NODE, &server]);
    ended(&output, 0);
    only_asks(&stage);
}

#[test]
fn two_budgets_over_a_pod_are_a_refusal_without_a_name() {
    let stage = Stage::with([quick("web-0")]);
    stage.cluster.add_budget(Budget::named("one").selecting("app", "web").max_unavailable(1));
    stage.cluster.add_budget(Budget::named("two").selecting("app", "web").max_unavailable(1));
    let output = stage.handler().run(&["plan"]);
    ended(&output, 1);
    let said = text(&output.stdout);
    let line = said.lines().find(|line| line.starts_with("default/web-0")).unwrap();
    assert!(line.contains("deleted") && line.contains("default/(more than one)"), "{line}");
}
