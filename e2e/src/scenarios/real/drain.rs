//! Sixty real containers are drained; what each of them recorded is compared with what the handler asked
//! and says.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{exit_code, polling, pre_stop, print_memory, shape, stubborn};
use crate::cluster::GLANCE;
use crate::node::Happened;
use crate::scene::{SOON, Scene};
use crate::verdicts::Verdicts;
use crate::witness::Sighting;
use crate::workload::{Shape, deployment, typed};

/// How far ahead the notice lies.
const AHEAD: u32 = 60;

/// How many pods there are of each kind, and how they end.
const KINDS: &[Kind] = &[
    Kind { app: "quick", pods: 18, exit: 0, took: 0 },
    Kind { app: "slow", pods: 10, exit: 143, took: 5 },
    Kind { app: "stubborn", pods: 5, exit: 137, took: 8 },
    Kind { app: "hooked", pods: 6, exit: 0, took: 0 },
    Kind { app: "sidecar", pods: 5, exit: 143, took: 2 },
    Kind { app: "by-one", pods: 4, exit: 0, took: 0 },
    Kind { app: "pair", pods: 2, exit: 0, took: 0 },
    Kind { app: "held", pods: 3, exit: 143, took: 5 },
    Kind { app: "work", pods: 2, exit: 143, took: 5 },
    Kind { app: "set", pods: 3, exit: 0, took: 0 },
    Kind { app: "scratch", pods: 2, exit: 0, took: 0 },
];

struct Kind {
    app: &'static str,
    pods: usize,
    /// The exit code of its container.
    exit: i32,
    /// Whole seconds from SIGTERM to the container's end.
    took: u32,
}

/// What the kubelet takes to see that a container has ended, with sixty at once on a busy machine.
const NOTICING: i64 = 5;

/// Seconds of the preStop hook.
const HOOK: u32 = 3;

/// See the module.
pub async fn sixty(scene: &mut Scene) -> Result<()> {
    let start = Timestamp::now();
    polling(scene).await?;
    fill(scene).await?;
    scene.open_spare().await?;
    println!("{} pods run after {:.1} s", count(), seconds_since(start));

    let handler = scene.handler_pod().clone();
    print_memory(scene, "before the drain")?;
    scene.machine()?.reset_peak(&handler)?;
    let start = Timestamp::now();
    scene.announce(AHEAD).await?;
    let gone = scene.emptied().await?;
    println!("{} pods are gone after {:.1} s", gone.len(), seconds_since(start));
    print_memory(scene, "in the drain")?;
    let table = scene.handler_log(0)?.verdicts(1, SOON).await?;
    sleep(Duration::from_secs(2)).await;
    scene.machine()?.reset_peak(&handler)?;
    print_memory(scene, "after the drain")?;

    let mut ways = Vec::new();
    for kind in KINDS {
        let pods = scene.of(kind.app);
        ensure!(pods.len() == kind.pods, "{} pods of {}", pods.len(), kind.app);
        for pod in &pods {
            let way = ended_as_asked(scene, kind, pod, &table)
                .with_context(|| format!("{} {}", pod.name(), pod.uid()))?;
            ways.push(way.as_secs_f64());
        }
    }
    ways.sort_by(f64::total_cmp);
    let (median, last) = (ways.get(ways.len() / 2), ways.last());
    let (median, last) = (median.context("no pods")?, last.context("no pods")?);
    println!("from a request to SIGTERM: {median:.1} s in the middle, {last:.1} s at most");
    elsewhere(scene).await?;
    not_counted(scene).await
}

async fn fill(scene: &Scene) -> Result<()> {
    let name = scene.name();
    let slow = Shape { arguments: &["after", "5"], ..shape() };
    let mut hooked = shape().template(name, "hooked");
    hooked["spec"]["containers"][0]["lifecycle"] = pre_stop(HOOK);
    let mut sidecar = Shape { arguments: &["after", "2"], ..shape() }.template(name, "sidecar");
    sidecar["spec"]["initContainers"] = json!([{
        "name": "beside", "image": crate::node::CONTAINER, "restartPolicy": "Always",
    }]);
    let scratch = Shape { empty_dir: true, arguments: &["keep", "/scratch/file"], ..shape() };
    let mut scratch = scratch.template(name, "scratch");
    scratch["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "scratch", "mountPath": "/scratch"}]);
    scratch["spec"]["securityContext"] = json!({"fsGroup": 65532});
    let held = Shape { grace: 20, ..slow.clone() };
    let shapes = [
        ("quick", &shape()),
        ("slow", &slow),
        ("stubborn", &stubborn(8)),
        ("by-one", &shape()),
        ("pair", &shape()),
        ("held", &held),
    ];
    for (app, shape) in shapes {
        scene.create(&shape.deployment(name, app, pods_of(app))?).await?;
    }
    for (app, template) in [("hooked", hooked), ("sidecar", sidecar), ("scratch", scratch)] {
        scene.create(&deployment(app, pods_of(app), &template)?).await?;
    }
    scene.create(&job(&slow.template(name, "work"))?).await?;
    scene.create(&set(&shape().template(name, "set"))?).await?;
    for kind in KINDS {
        scene.ready(kind.app, kind.pods).await?;
    }
    scene.budget("by-one", json!({"maxUnavailable": 1})).await?;
    scene.budget("pair", json!({"minAvailable": 1})).await?;
    scene.budget("quick", json!({"maxUnavailable": "50%"})).await?;
    scene.budget("held", json!({"minAvailable": "100%"})).await
}

/// Pods that are disrupted are no failures of it.
fn job(template: &Value) -> Result<Job> {
    let mut template = template.clone();
    template["spec"]["restartPolicy"] = "Never".into();
    let pods = pods_of("work");
    typed(json!({
        "metadata": {"name": "work"},
        "spec": {
            "backoffLimit": 0,
            "parallelism": pods,
            "completions": pods,
            "podFailurePolicy": {"rules": [{
                "action": "Ignore",
                "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
            }]},
            "template": template,
        },
    }))
}

fn set(template: &Value) -> Result<StatefulSet> {
    typed(json!({
        "metadata": {"name": "set"},
        "spec": {
            "replicas": pods_of("set"),
            "serviceName": "set",
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "set"}},
            "template": template,
        },
    }))
}

fn pods_of(app: &str) -> usize {
    KINDS.iter().find(|kind| kind.app == app).map_or(0, |kind| kind.pods)
}

fn count() -> usize {
    KINDS.iter().map(|kind| kind.pods).sum()
}

fn seconds_since(start: Timestamp) -> f64 {
    Timestamp::now().duration_since(start).as_secs_f64()
}

/// What a container recorded is what was asked for, and what the table says. How long it took from the
/// request to SIGTERM.
fn ended_as_asked(
    scene: &mut Scene,
    kind: &Kind,
    pod: &Sighting,
    table: &Verdicts,
) -> Result<SignedDuration> {
    let uid = pod.uid();
    let held = kind.app == "held";
    let row = table.of(&pod.namespace(), &pod.name())?;
    let wanted = if held { "deleted" } else { "evicted" };
    ensure!(row.outcome == wanted, "stands as {:?}", row.outcome);

    let exchanges = scene.exchanges()?;
    let asked = exchanges.iter().filter(|one| one.uid_precondition() == Some(&uid));
    let accepted = asked
        .filter(|one| one.accepted() && !one.dry_run())
        .find(|one| if held { one.is_deletion() } else { one.is_eviction() });
    let asked = accepted.context("no request for it was accepted")?.received;

    let record = scene.machine()?.logs.of(&uid, "main", 0).happened()?;
    let signals: Vec<&Happened> = record.iter().filter(|one| one.what.starts_with("SIG")).collect();
    ensure!(
        matches!(signals.as_slice(), [one] if one.what == "SIGTERM"),
        "its signals: {signals:?}"
    );
    let term = signals.first().context("no signal")?.at;
    let hook = Duration::from_secs(if kind.app == "hooked" { HOOK.into() } else { 0 });
    // How long it takes is the kubelet's.
    let way = term.duration_since(asked + hook);
    ensure!(way.is_positive(), "asked at {asked}, SIGTERM at {term}");
    if kind.app == "hooked" {
        let whats: Vec<&str> = record.iter().map(|one| one.what.as_str()).collect();
        ensure!(whats == ["started", "hook", "hook ends", "SIGTERM", "ends"], "{whats:?}");
    }
    let ended = ended(&pod.pod).context("its end is not known")?;
    let took = ended.duration_since(term);
    // Whole seconds in the kubelet's words.
    let (least, most) = (i64::from(kind.took) - 1, i64::from(kind.took) + NOTICING);
    ensure!((least..=most).contains(&took.as_secs()), "it took {took} from SIGTERM to its end");
    let code = exit_code(&pod.pod, "main");
    ensure!(code == Some(kind.exit), "exit code {code:?}");
    ensure!(
        record.iter().any(|one| one.what == "ends") == (kind.exit != 137),
        "it ended and it was killed: {record:?}"
    );
    if kind.app == "sidecar" {
        let beside = scene.machine()?.logs.of(&uid, "beside", 0).happened()?;
        let beside =
            beside.iter().find(|one| one.what == "SIGTERM").context("no SIGTERM beside")?;
        let end = record.iter().find(|one| one.what == "ends").context("no end")?;
        ensure!(beside.at >= end.at, "the sidecar was ended at {}, before {}", beside.at, end.at);
    }
    let gone = pod.gone.context("it is not gone")?;
    ensure!(gone >= term, "gone at {gone}, before its SIGTERM at {term}");
    Ok(way)
}

/// When the kubelet says that its container ended.
fn ended(pod: &Pod) -> Option<Timestamp> {
    let state = super::status(pod, "main").ok()?.state.as_ref()?;
    Some(state.terminated.as_ref()?.finished_at.as_ref()?.0)
}

/// Pods of the StatefulSet have the same names again, on the other node.
async fn elsewhere(scene: &Scene) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(scene.cluster().client(), scene.name());
    for number in 0..pods_of("set") {
        let name = format!("set-{number}");
        let waiting = async {
            loop {
                let pod = pods.get_opt(&name).await?;
                let node = pod.and_then(|pod| pod.spec?.node_name);
                if node.is_some_and(|node| node.ends_with("-spare")) {
                    return anyhow::Ok(());
                }
                sleep(GLANCE).await;
            }
        };
        timeout(SOON, waiting).await.with_context(|| format!("{name} is not elsewhere"))??;
    }
    Ok(())
}

/// The Job goes on elsewhere, and no pod counts as failed.
async fn not_counted(scene: &Scene) -> Result<()> {
    let jobs: Api<Job> = Api::namespaced(scene.cluster().client(), scene.name());
    let wanted = i32::try_from(pods_of("work"))?;
    let again = async {
        loop {
            let status = jobs.get("work").await?.status.unwrap_or_default();
            ensure!(status.failed.unwrap_or(0) == 0, "the Job counts a pod as failed");
            if status.ready == Some(wanted) {
                return Ok(());
            }
            sleep(GLANCE).await;
        }
    };
    timeout(SOON, again).await.context("the Job's pods have no successors")?
}
