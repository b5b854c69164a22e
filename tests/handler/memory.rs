//! What others write into objects costs no memory: a container has 16 MiB.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use simulator::{Happening, Node, Pod, WatchList};

use crate::child::{Launch, PATIENCE};
use crate::stage::{FAR, NODE, Stage, at_once, quick};

/// What the container has (`deploy/base/daemonset.yaml`).
const LIMIT: usize = 16 << 20;

/// What etcd takes for one object, and some room for the rest of it.
const LARGEST: usize = (3 << 19) - 16_000;

/// Every list in a pod of which anything is read, and some of which nothing is.
fn lists() -> Vec<(&'static str, Value)> {
    vec![
        ("/metadata/finalizers", json!("a/b")),
        ("/metadata/ownerReferences", json!({"kind": "K", "name": "o", "uid": "u"})),
        (
            "/metadata/ownerReferences",
            json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "o", "controller": true}),
        ),
        ("/metadata/managedFields", json!({"manager": "m", "fieldsV1": {"f:spec": {}}})),
        ("/spec/volumes", json!({"emptyDir": {}})),
        ("/spec/volumes", json!({"persistentVolumeClaim": {"claimName": "c"}})),
        ("/spec/tolerations", json!({})),
        ("/status/conditions", json!({})),
    ]
}

/// So many of it that they fill an object.
fn filled(element: &Value) -> Value {
    let count = LARGEST / (element.to_string().len() + 1);
    Value::Array(vec![element.clone(); count])
}

/// One pod for each list, full of it; one with a name of an owner that fills it, and one with a map.
fn pods() -> Vec<Pod> {
    let lists = lists().into_iter().map(|(place, element)| (place, filled(&element)));
    let controller = |name: &str| json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": name, "controller": true}]);
    let others = [
        // Each word of it is one more to be cleaned.
        ("/metadata/ownerReferences", controller(&"a ".repeat(LARGEST / 2))),
        ("/metadata/finalizers", json!(["\u{1}".repeat(LARGEST / 6)])),
        (
            "/metadata/annotations",
            (0..LARGEST / 16).map(|n| (format!("a{n:06}"), json!(""))).collect(),
        ),
        ("/metadata/labels", (0..LARGEST / 16).map(|n| (format!("a{n:06}"), json!(""))).collect()),
    ];
    let all = lists.chain(others).enumerate();
    all.map(|(number, (place, value))| quick(&format!("default/web-{number}")).with(place, value))
        .collect()
}

const WAYS: [(&str, WatchList); 2] =
    [("streamed", WatchList::Offered), ("listed", WatchList::Refused)];

/// Drains such a node, whose pods are read in this way. One at a time: the stand-in has much to write.
fn drains(way: WatchList, bounded: impl for<'a> Fn(Launch<'a>) -> Launch<'a>) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = Stage::with(pods());
    stage.cluster.watch_list(way);
    stage.cloud.announce_in(FAR);
    let mut handler = bounded(stage.handler()).start();
    let table = handler.table();
    let daemon = format!("default/web-{}", lists().len());
    assert_eq!(stage.cluster.pods(), [daemon], "all others go: {table:?}");
    let evicted = stage.cluster.happened();
    let evicted = evicted.iter().filter(|it| matches!(it.what, Happening::Evicted { .. }));
    assert_eq!(evicted.count(), pods().len() - 1, "{table:?}");
    assert!(handler.is_running());
}

#[test]
fn a_pod_may_be_one_long_list_and_the_node_is_drained_with_16_mib() {
    for (_, way) in WAYS {
        drains(way, |launch| launch.memory(LIMIT / 1024));
    }
}

#[test]
fn a_pod_may_be_one_long_list_and_the_node_is_drained_in_a_container_of_16_mib() {
    // What there is to be had depends on the machine, and on who runs the test.
    let Some(group) = Group::with(LIMIT) else {
        assert!(std::env::var_os("CI").is_none(), "no control group for memory can be made here");
        eprintln!("SKIPPED: no control group for memory can be made here (this takes root)");
        return;
    };
    // One after the other: each has it for itself.
    for (name, way) in WAYS {
        drains(way, |launch| launch.after(group.joined()));
        assert_eq!(group.kills(), 0, "{name}: the kernel has ended a handler for its memory");
    }
}

#[test]
fn a_node_may_have_any_number_of_taints_and_managed_fields_and_is_cordoned_with_16_mib() {
    let taint = |number| json!({"key": format!("k{number}"), "effect": "NoSchedule"});
    at_once(
        &[
            ("/spec/taints", (0..10_000).map(taint).collect::<Value>()),
            ("/spec/taints", (0..30_000).map(taint).collect()),
            (
                "/metadata/managedFields",
                filled(&json!({"manager": "m", "fieldsV1": {"f:status": {}}})),
            ),
            ("/status/images", filled(&json!({"names": []}))),
            ("/status/conditions", filled(&json!({}))),
        ]
        .map(|(place, value)| (place, (place, value))),
        |(place, value)| {
            let stage = Stage::on(Node::named(NODE), [quick("default/web-0")]);
            stage.cluster.change_node(|node| {
                let (parent, name) = place.rsplit_once('/').unwrap();
                node.pointer_mut(parent).unwrap()[name] = value.clone();
            });
            let taints = |stage: &Stage| {
                stage.cluster.node()["spec"]["taints"].as_array().map_or(0, Vec::len)
            };
            let before = taints(&stage);
            stage.cloud.announce_in(FAR);
            let handler = stage.handler().with("TAINT_NODE", "true").memory(LIMIT / 1024).start();
            handler.table().all_evicted(&["default/web-0"]);
            assert!(stage.cluster.wait_until(PATIENCE, simulator::ApiServer::is_cordoned));
            if *place == "/spec/taints" {
                handler.says("the node has more than 256 taints");
                // The control plane adds one of its own.
                assert!(taints(&stage) >= before, "some are lost");
            }
        },
    );
}

/// A control group of Linux that limits memory, of either version. Dropped, it is removed.
struct Group(PathBuf);

impl Group {
    fn with(limit: usize) -> Option<Self> {
        let name = format!("k8s-spot-handler-test-{}", process::id());
        [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
            .into_iter()
            .filter(|(root, _)| Path::new(root).is_dir())
            .find_map(|(root, file)| {
                let group = Self(Path::new(root).join(&name));
                fs::create_dir(&group.0).ok()?;
                // A file that is not there is one of the other version: nothing is created here.
                let limited = group.0.join(file).exists()
                    && fs::write(group.0.join(file), limit.to_string()).is_ok();
                limited.then_some(group)
            })
    }

    /// What a shell does to become part of it, and all that it starts.
    fn joined(&self) -> String {
        format!("echo $$ >'{}/cgroup.procs'", self.0.display())
    }

    /// How often the kernel has ended a process of it.
    fn kills(&self) -> u64 {
        let count = ["memory.oom_control", "memory.events"].iter().find_map(|file| {
            let text = fs::read_to_string(self.0.join(file)).ok()?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
        });
        count.unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its last process may still be ending.
        let _ = fs::remove_dir(&self.0);
    }
}
