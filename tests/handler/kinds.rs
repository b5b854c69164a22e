//! Who goes and who stays, by kubectl's rules and the operator's settings.

use std::time::Duration;

use simulator::{HANDLER_POD, Happening, Pod};

use crate::stage::{FAR, Stage, quick};

fn one_of_each() -> Stage {
    let short = Duration::from_millis(50);
    Stage::with([
        quick("default/web-0"),
        Pod::named("default/job").job("j").stops_in(short),
        Pod::named("default/done").job("j").succeeded(),
        Pod::named("default/failed").job("j").failed(),
        Pod::named("default/daemon-done").daemon_set("d").failed(),
        Pod::named("default/bare").stops_in(short),
        Pod::named("default/merely-owned").mere_owner("DaemonSet", "d").stops_in(short),
        Pod::named("default/scratch").replica_set("s").empty_dir().stops_in(short),
        Pod::named("default/waiting").replica_set("w").pending().stops_in(short),
        Pod::named("kube-system/daemon").daemon_set("fluent-bit").stops_in(short),
        Pod::named("kube-system/static").mirror().stops_in(short),
        Pod::handler(),
    ])
}

const GO: [&str; 9] = [
    "default/web-0",
    "default/job",
    "default/done",
    "default/failed",
    "default/daemon-done",
    "default/bare",
    "default/merely-owned",
    "default/scratch",
    "default/waiting",
];

#[test]
fn unmanaged_and_empty_dir_pods_go_daemons_static_pods_and_the_handler_stay() {
    let stage = one_of_each();
    let handler = stage.drain(FAR);
    let table = handler.table();
    for pod in GO {
        table.says(pod, "evicted", "");
    }
    table.says("kube-system/daemon", "left alone", "DaemonSet fluent-bit");
    table.says("kube-system/static", "left alone", "static pod");
    table.says(HANDLER_POD, "left alone", "own pod");
    assert_eq!(table.rows.len(), 12);
    assert_eq!(table.sum.split(" in ").next(), Some("3 left alone, 9 evicted"));
    table.is_clean();
    for pod in ["kube-system/daemon", "kube-system/static", HANDLER_POD] {
        assert!(stage.cluster.journal().of_pod(pod).is_empty(), "{pod}");
    }
}

#[test]
fn the_operator_may_let_unmanaged_and_empty_dir_pods_stay() {
    let stage = one_of_each();
    let launch = stage.handler().with("DRAIN_UNMANAGED", "false");
    let handler = launch.with("DELETE_LOCAL_DATA", "false").start();
    stage.cloud.announce_in(FAR);
    let table = handler.table();
    table.says("default/bare", "left alone", "no controller");
    table.says("default/merely-owned", "left alone", "no controller");
    table.says("default/scratch", "left alone", "emptyDir");
    assert_eq!(table.sum.split(" in ").next(), Some("6 left alone, 6 evicted"));
}

#[test]
fn the_operator_may_let_daemons_go() {
    let stage = one_of_each();
    let handler = stage.handler().with("IGNORE_DAEMON_SETS", "false").start();
    stage.cloud.announce_in(FAR);
    let table = handler.table();
    table.says("kube-system/daemon", "evicted", "");
    table.says("kube-system/static", "left alone", "static pod");
    table.says(HANDLER_POD, "left alone", "own pod");
}

#[test]
fn critical_pods_go_when_the_others_are_gone() {
    let critical = |name: &str, class: &str| {
        Pod::named(name).replica_set("c").priority_class(class).stops_in(Duration::from_millis(50))
    };
    let stage = Stage::with([
        critical("default/a-node", "system-node-critical"),
        critical("default/b-cluster", "system-cluster-critical"),
        quick("default/c-ordinary").stops_in(Duration::from_secs(1)),
    ]);
    let handler = stage.drain(FAR);
    let order = ["default/c-ordinary", "default/b-cluster", "default/a-node"];
    handler.table().all_evicted(&order);
    let told = |name: &str| {
        stage.when(|what| matches!(what, Happening::Evicted { pod, .. } if pod == name))
    };
    let gone =
        |name: &str| stage.when(|what| matches!(what, Happening::Gone { pod, .. } if pod == name));
    assert!(gone(order[0]) <= told(order[1]) && gone(order[1]) <= told(order[2]));
}
