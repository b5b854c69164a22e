//! The handler is ended, killed, given another token and has its image taken away, by the kubelet and the
//! runtime themselves.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{exit_code, polling, shape, status};
use crate::cluster::GLANCE;
use crate::cluster::audit::Exchange;
use crate::manifest::{NAME, NAMESPACE};
use crate::scene::{SOON, Scene};
use crate::witness::Sighting;
use crate::workload::Shape;

/// How far ahead the notice lies.
const AHEAD: u32 = 50;

/// An idle handler ends within a second; what the kubelet takes comes on top of it.
const AT_ONCE: Duration = Duration::from_secs(10);

/// See the module.
pub async fn replaced(scene: &mut Scene) -> Result<()> {
    polling(scene).await?;
    ended_idle(scene).await?;
    let before = given_another_token(scene).await?;

    let slow = Shape { arguments: &["after", "5"], ..shape() };
    scene.deployment("web", 4, &slow).await?;
    scene.deployment("held", 2, &Shape { grace: 20, ..slow }).await?;
    scene.budget("held", json!({"minAvailable": "100%"})).await?;
    scene.open_spare().await?;
    scene.announce(AHEAD).await?;
    scene.asked("an eviction is accepted", an_eviction).await?;
    killed(scene).await?;
    forgotten(scene).await?;
    ended_draining(scene).await?;
    with_the_new_token(scene, &before)?;
    followed(scene).await
}

/// SIGTERM while nothing is under way.
async fn ended_idle(scene: &mut Scene) -> Result<()> {
    let log = scene.handler_log(0)?;
    let start = Timestamp::now();
    let pod = delete(scene).await?;
    let gone = gone(scene, &pod, SOON).await?;
    let took = gone.duration_since(start);
    ensure!(took.as_secs() < AT_ONCE.as_secs().try_into()?, "it is gone after {took}");
    log.says(&["SIGTERM: ends, nothing was under way"], SOON).await?;
    println!("idle: the handler's pod is gone {:.1} s after it is deleted", took.as_secs_f64());
    scene.find_handler_pod().await?;
    polling(scene).await
}

/// A kubelet that begins anew asks for a new token, and writes it over the other. The ids of those that
/// were used before.
async fn given_another_token(scene: &mut Scene) -> Result<BTreeSet<String>> {
    let pod = scene.handler_pod().clone();
    let before = used(scene)?;
    ensure!(!before.is_empty(), "no request was seen");
    let (machine, cluster) = scene.machine_and_cluster()?;
    let read =
        |machine: &crate::node::RealNode| fs::read(machine.token(&pod)?).context("the token");
    let old = read(machine)?;
    machine.stop_kubelet().await?;
    machine.start_kubelet(cluster).await?;
    let waiting = async {
        while read(machine)? == old {
            sleep(GLANCE).await;
        }
        anyhow::Ok(())
    };
    timeout(SOON, waiting).await.context("the kubelet writes no new token")??;
    let pod = scene.find_handler_pod().await?;
    let count = status(&pod, NAME)?.restart_count;
    ensure!(count == 0, "the handler was restarted with the kubelet");
    Ok(before)
}

/// The ids of the tokens that the handlers of this node have used.
fn used(scene: &Scene) -> Result<BTreeSet<String>> {
    Ok(scene.exchanges()?.into_iter().map(|one| one.credential).collect())
}

/// After SIGKILL the kubelet starts the container anew, and that one goes on.
async fn killed(scene: &mut Scene) -> Result<()> {
    let pod = scene.handler_pod().clone();
    let start = Timestamp::now();
    scene.machine()?.kill(&pod, NAME)?;
    scene.handler_log(1)?.says(&["Polling"], SOON).await?;
    let took = Timestamp::now().duration_since(start);
    println!("killed: the next one polls after {:.1} s", took.as_secs_f64());
    let same = scene.find_handler_pod().await?.metadata.uid == pod.metadata.uid;
    ensure!(same, "the pod was replaced, not its container");
    Ok(())
}

/// The image is taken off the node: who runs goes on.
async fn forgotten(scene: &mut Scene) -> Result<()> {
    let runtime = scene.machine()?.runtime();
    let images = runtime.images().await?;
    let of_handler = images.lines().filter(|name| name.contains(NAME));
    for image in of_handler {
        runtime.forget(image).await?;
    }
    let left = runtime.images().await?;
    ensure!(!left.contains(NAME), "left: {left}");
    Ok(())
}

/// SIGTERM in the drain: it goes on with the pod's own grace, and ends when the work is done.
async fn ended_draining(scene: &mut Scene) -> Result<()> {
    let log = scene.handler_log(1)?;
    let pod = delete(scene).await?;
    log.says(&["SIGTERM"], SOON).await?;
    ensure!(scene.of("held").iter().all(|pod| pod.gone.is_none()), "nothing was left to do");
    scene.emptied().await?;
    let table = log.verdicts(1, SOON).await?;
    let deleted = table.count(scene.name(), "deleted");
    ensure!(deleted == 2, "{deleted} of 2 deleted; {}", table.summary);
    let last = gone(scene, &pod, SOON).await?;
    let seen = sighting(scene, &pod)?;
    ensure!(seen.graces == [150], "its grace was {:?}", seen.graces);
    let code = exit_code(&seen.pod, NAME);
    ensure!(code == Some(0), "it ended with {code:?}");
    let count = status(&seen.pod, NAME)?.restart_count;
    ensure!(count == 1, "{count} restarts");
    for pod in scene.sightings() {
        ensure!(pod.gone.is_some_and(|at| at < last), "{pod} was there longer");
    }
    Ok(())
}

fn with_the_new_token(scene: &Scene, before: &BTreeSet<String>) -> Result<()> {
    let exchanges = scene.exchanges()?;
    let mut evictions = exchanges.iter().filter(|one| one.is_eviction());
    match evictions.find(|one| before.contains(&one.credential)) {
        Some(old) => bail!("asked with the token of before: {old}"),
        None => Ok(()),
    }
}

/// The DaemonSet's next pod cannot start without an image; with it, it finds nothing left to do.
async fn followed(scene: &mut Scene) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(scene.cluster().client(), NAMESPACE);
    let name = scene.name().to_owned();
    let waits = |pod: &Sighting| {
        let waiting =
            status(&pod.pod, NAME).ok().and_then(|one| one.state.clone()?.waiting?.reason);
        waiting.is_some_and(|reason| reason.contains("ImagePull"))
    };
    let all = scene.witness.until("an image is missing", SOON, |all| all.iter().any(waits)).await?;
    let stuck = all.iter().find(|pod| waits(pod)).context("none waits")?.name();
    scene.machine()?.load().await?;
    // The kubelet waits before it tries again: longer than the tests.
    pods.delete(&stuck, &DeleteParams::default().grace_period(1)).await?;
    scene.find_handler_pod().await?;
    let log = scene.handler_log(0)?;
    log.says(&["Polling"], SOON).await?;
    let table = log.verdicts(1, SOON).await?;
    let asked = table.rows_in(&name).count();
    ensure!(asked == 0, "it has asked about pods: {}", table.summary);
    Ok(())
}

fn an_eviction(all: &[Exchange]) -> bool {
    all.iter().any(|one| one.is_eviction() && one.accepted())
}

/// Deletes the handler's pod of now, as a rolling update does.
async fn delete(scene: &Scene) -> Result<Pod> {
    let pod = scene.handler_pod().clone();
    let pods: Api<Pod> = Api::namespaced(scene.cluster().client(), NAMESPACE);
    let name = pod.metadata.name.clone().unwrap_or_default();
    pods.delete(&name, &DeleteParams::default()).await?;
    Ok(pod)
}

async fn gone(scene: &Scene, pod: &Pod, limit: Duration) -> Result<Timestamp> {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let is_gone = |all: &[Sighting]| all.iter().any(|one| one.uid() == uid && one.gone.is_some());
    scene.witness.until("the handler's pod is gone", limit, is_gone).await?;
    sighting(scene, pod)?.gone.context("it is not gone")
}

fn sighting(scene: &Scene, pod: &Pod) -> Result<Sighting> {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let found = scene.witness.pods().into_iter().find(|one| one.uid() == uid);
    found.context("the handler's pod was never seen")
}
