//! The machine goes down and its kubelet learns of it (KEP-2000): what becomes of the pods, with a drain
//! before it and without.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{exit_code, polling, shape, stubborn};
use crate::cluster::GLANCE;
use crate::manifest::NAME;
use crate::node::{Logind, Shutdown};
use crate::scene::{SOON, Scene};
use crate::witness::Sighting;
use crate::workload::{Shape, typed};

/// What the kubelet has for all pods, and of that for critical ones alone, in seconds.
const GRACE: u32 = 25;
const CRITICAL: u32 = 10;

/// How far ahead the notice lies where there is a drain.
const AHEAD: u32 = 30;

/// The longest until all that the kubelet knows is at the API server.
const SETTLED: SignedDuration = SignedDuration::from_secs(20);

/// The kubelet's word at the end of its part.
const OVER: &str = "Shutdown manager completed processing shutdown event";

/// One of our own pods: what it is, and how it ends by itself.
struct Kind {
    app: &'static str,
    what: &'static str,
    shape: fn() -> Shape,
}

const KINDS: &[Kind] = &[
    Kind { app: "quick", what: "ends at once", shape },
    Kind { app: "slow", what: "needs 5 s", shape: || after(&["after", "5"]) },
    Kind { app: "stubborn", what: "ignores SIGTERM, grace 60", shape: || stubborn(60) },
    Kind { app: "ending", what: "needs 10 s, deleted before D", shape: || after(&["after", "10"]) },
    Kind { app: "critical", what: "critical, ends at once", shape: critical },
];

/// What became of one pod; seconds count from D.
struct Fate {
    what: String,
    /// When it got SIGTERM.
    term: f64,
    /// When its container ended.
    end: f64,
    /// The container's exit code.
    code: Option<i32>,
    /// The pod's phase at the last, or that it is gone.
    phase: String,
}

/// See the module.
pub async fn graceful(scene: &mut Scene) -> Result<()> {
    let logind = scene.machine()?.logind().await?;
    let shutdown = Shutdown { bus: logind.address().to_owned(), grace: GRACE, critical: CRITICAL };
    scene.machine()?.take_part_in_shutdown(shutdown);
    let played = both(scene, &logind).await;
    logind.stop().await?;
    played
}

async fn both(scene: &mut Scene, logind: &Logind) -> Result<()> {
    begin_anew(scene).await?;
    let (without, took_without) = without(scene, logind).await.context("without a drain")?;
    clear(scene).await?;
    begin_anew(scene).await?;
    let (with, took_with) = with(scene, logind).await.context("with a drain")?;
    print("without a drain", &without, took_without);
    print("with a drain", &with, took_with);

    // Nothing that can end is running at D: the drain has ended it in time.
    for fate in with.iter().filter(|fate| fate.what != AGENT && fate.what != HANDLER) {
        ensure!(fate.end < 0.0, "{} ends {:.1} s after D", fate.what, fate.end);
    }
    ensure!(
        took_with + 3.0 < took_without,
        "the kubelet is done {took_with:.1} s after D with a drain, {took_without:.1} s without"
    );
    Ok(())
}

const HANDLER: &str = "the handler";
const AGENT: &str = "of a DaemonSet, ends at once";

/// Nothing announces the end, as where no handler runs.
async fn without(scene: &mut Scene, logind: &Logind) -> Result<(Vec<Fate>, f64)> {
    fill(scene).await?;
    let pods: Api<Pod> = Api::namespaced(scene.cluster().client(), scene.name());
    pods.delete("ending", &DeleteParams::default()).await?;
    let ending =
        |all: &[Sighting]| all.iter().any(|one| one.name() == "ending" && one.ending.is_some());
    scene.witness.until("one is ending", SOON, ending).await?;
    sleep(Duration::from_secs(2)).await;
    let end = Timestamp::now();
    logind.prepare_for_shutdown().await?;
    let took = over(scene, end).await?;
    let fates = fates(scene, end).await?;

    let of = |what: &str| fates.iter().find(|fate| fate.what == what).context("no such pod");
    let (stubborn, slow) = (of("ignores SIGTERM, grace 60")?, of("needs 5 s")?);
    let regular = f64::from(GRACE - CRITICAL);
    ensure!(slow.code == Some(143) && slow.end < regular, "a pod that needs 5 s has no time");
    ensure!(
        stubborn.code == Some(137) && (regular - 2.0..regular + 4.0).contains(&stubborn.end),
        "a pod that does not end is killed {:.1} s after D, exit code {:?}",
        stubborn.end,
        stubborn.code
    );
    let ending = of("needs 10 s, deleted before D")?;
    ensure!(ending.code == Some(143), "what was ending is cut off: {:?}", ending.code);
    // Critical pods, ours among them, get SIGTERM when the others have had their time.
    let handler = of(HANDLER)?;
    for other in &fates {
        let critical = other.what == HANDLER || other.what.starts_with("critical");
        ensure!(critical || other.end < handler.term + 1.0, "{} ends after us", other.what);
    }
    ensure!(handler.code == Some(0) && handler.end - handler.term < 3.0, "it is in the way");
    Ok((fates, took))
}

/// With a notice, at whose time the machine goes down.
async fn with(scene: &mut Scene, logind: &Logind) -> Result<(Vec<Fate>, f64)> {
    fill(scene).await?;
    scene.budget("stubborn", json!({"minAvailable": 1})).await?;
    scene.open_spare().await?;
    let end = scene.announce(AHEAD).await?;
    let left = Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default();
    sleep(left).await;
    logind.prepare_for_shutdown().await?;
    let took = over(scene, end).await?;
    Ok((fates(scene, end).await?, took))
}

/// The kubelet takes part from its start on.
async fn begin_anew(scene: &mut Scene) -> Result<()> {
    let (machine, cluster) = scene.machine_and_cluster()?;
    machine.stop_kubelet().await?;
    machine.start_kubelet(cluster).await?;
    scene.find_handler_pod().await?;
    polling(scene).await
}

async fn fill(scene: &Scene) -> Result<()> {
    let name = scene.name();
    for kind in KINDS {
        let mut pod = (kind.shape)().pod(name, kind.app, name)?;
        pod.spec.get_or_insert_default().restart_policy = Some("Never".to_owned());
        scene.create(&pod).await?;
    }
    let mut template = Shape { tolerant: true, ..shape() }.template(name, "agent");
    template["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": name});
    let agent: DaemonSet = typed(json!({
        "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": template},
    }))?;
    scene.create(&agent).await?;
    for kind in KINDS {
        scene.ready(kind.app, 1).await?;
    }
    scene.ready("agent", 1).await
}

/// Takes away what the first shutdown has left.
async fn clear(scene: &mut Scene) -> Result<()> {
    let name = scene.name();
    scene.kubectl(&format!("delete daemonset agent --namespace {name}")).await?;
    scene.kubectl(&format!("delete pods --all --namespace {name} --grace-period=1")).await?;
    let handler = scene.handler_pod().metadata.name.clone().unwrap_or_default();
    scene
        .kubectl(&format!(
            "delete pod {handler} --namespace kube-system --grace-period=1 --ignore-not-found"
        ))
        .await
}

/// Waits until the kubelet lets the machine go down, and says how long after D that is.
async fn over(scene: &mut Scene, end: Timestamp) -> Result<f64> {
    let waiting = async {
        loop {
            let log = scene.machine()?.kubelet_log()?;
            // The log goes on where the one of the kubelet before ended.
            let begun = log.rfind("Effective KubeletConfiguration").unwrap_or_default();
            if log.get(begun..).is_some_and(|log| log.contains(OVER)) {
                return anyhow::Ok(Timestamp::now());
            }
            sleep(GLANCE).await;
        }
    };
    let at = timeout(SOON, waiting).await.context("the kubelet does not let it go down")??;
    Ok(at.duration_since(end).as_secs_f64())
}

/// What became of each. Of the last containers the kubelet writes a little later.
async fn fates(scene: &mut Scene, end: Timestamp) -> Result<Vec<Fate>> {
    let start = Timestamp::now();
    loop {
        let fates = known_fates(scene, end);
        if fates.is_ok() || Timestamp::now().duration_since(start) > SETTLED {
            return fates;
        }
        sleep(GLANCE).await;
    }
}

fn known_fates(scene: &mut Scene, end: Timestamp) -> Result<Vec<Fate>> {
    let mut fates = Vec::new();
    let since = |at: Timestamp| at.duration_since(end).as_secs_f64();
    let agent = Kind { app: "agent", what: AGENT, shape };
    for kind in KINDS.iter().chain([&agent]) {
        // A DaemonSet sends others, which a kubelet that goes down does not start: they have no record.
        let mut pods = scene.of(kind.app);
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.seen));
        let logs = &scene.machine()?.logs;
        let found = pods.iter().find_map(|pod| {
            let record = logs.of(&pod.uid(), "main", 0).happened().ok()?;
            let at = |what: &str| record.iter().find(|one| one.what == what).map(|one| one.at);
            Some((pod, at("SIGTERM")?, at("ends")))
        });
        let (pod, term, end) = found.with_context(|| format!("{} got no SIGTERM", kind.app))?;
        fates.push(fate(kind.what, &pod.pod, pod.gone.is_some(), "main", since(term), end, since)?);
    }
    let uid = scene.handler_pod().metadata.uid.clone().unwrap_or_default();
    let handler = scene.witness.pods().into_iter().find(|pod| pod.uid() == uid);
    let handler = handler.context("the handler's pod was never seen")?;
    let log = scene.handler_log(0)?.read()?;
    let line = log.lines().find(|line| line.contains("SIGTERM")).context("it got no SIGTERM")?;
    let term = line.split(' ').next().unwrap_or_default().parse()?;
    fates.push(fate(
        HANDLER,
        &handler.pod,
        handler.gone.is_some(),
        NAME,
        since(term),
        None,
        since,
    )?);
    Ok(fates)
}

fn fate(
    what: &str,
    pod: &Pod,
    gone: bool,
    container: &str,
    term: f64,
    end: Option<Timestamp>,
    since: impl Fn(Timestamp) -> f64,
) -> Result<Fate> {
    let phase = pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let terminated =
        super::status(pod, container)?.state.clone().and_then(|state| state.terminated);
    let terminated = terminated.with_context(|| format!("{what}: its end is not known"))?;
    // Its own record is finer; one that is killed writes none.
    let end = end.or(terminated.finished_at.map(|time| time.0)).context("no time of its end")?;
    Ok(Fate {
        what: what.to_owned(),
        term,
        end: since(end),
        code: exit_code(pod, container),
        phase: if gone { "gone".to_owned() } else { phase },
    })
}

fn print(title: &str, fates: &[Fate], took: f64) {
    println!("graceful shutdown {title}: the kubelet is done {took:.1} s after D");
    for Fate { what, term, end, code, phase } in fates {
        let code = code.map_or("-".to_owned(), |code| code.to_string());
        println!("  {what:<34} SIGTERM {term:+6.1} s  end {end:+6.1} s  exit {code:>3}  {phase}");
    }
}

fn after(arguments: &'static [&'static str]) -> Shape {
    Shape { arguments, ..shape() }
}

fn critical() -> Shape {
    Shape { priority_class: Some("system-cluster-critical"), ..shape() }
}
