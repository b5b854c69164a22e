//! The pod as it ships becomes ready, and has what it asks for.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::{exit_code, polling, print_memory, shape};
use crate::cluster::port;
use crate::manifest::{NAME, NAMESPACE};
use crate::observers::check_metrics;
use crate::scenarios::installed::helm;
use crate::scenarios::watching::{body, get};
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// User and group of the pod.
const USER: u32 = 65_532;

/// Its limit.
const LIMIT: u64 = 16 << 20;

/// By `kubectl apply -k deploy/`, then by the chart with probes and metrics.
pub async fn ready(scene: &mut Scene) -> Result<()> {
    polling(scene).await?;
    scene.witness.until("the handler's pod is ready", SOON, is_ready).await?;
    confined(scene)?;
    limited(scene).await?;
    commands(scene).await?;
    idle(scene).await?;
    by_the_chart(scene).await
}

fn is_ready(all: &[crate::witness::Sighting]) -> bool {
    all.iter().any(|pod| pod.namespace() == NAMESPACE && pod.is_ready())
}

/// What the kernel says of its process, and the kubelet's file for it.
fn confined(scene: &mut Scene) -> Result<()> {
    let pod = scene.handler_pod().clone();
    let machine = scene.machine()?;
    let process = machine.process(&pod, NAME)?;
    let status = fs::read_to_string(process.join("status"))?;
    let says = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.with_context(|| format!("no {name} in the process' status"))
    };
    let user = USER.to_string();
    for (name, wanted) in [
        ("Uid", [user.as_str(); 4].join("\t")),
        ("Gid", [user.as_str(); 4].join("\t")),
        ("CapEff", "0000000000000000".to_owned()),
        ("CapBnd", "0000000000000000".to_owned()),
        ("NoNewPrivs", "1".to_owned()),
        // A filter: that of the runtime.
        ("Seccomp", "2".to_owned()),
    ] {
        ensure!(says(name)? == wanted, "{name} is {}, not {wanted}", says(name)?);
    }
    let mounts = fs::read_to_string(process.join("mountinfo"))?;
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/"));
    let options = root.and_then(|line| line.split(' ').nth(5)).context("it has no root")?;
    ensure!(options.split(',').any(|option| option == "ro"), "its root is mounted {options}");
    let network = |process: &Path| fs::read_link(process.join("ns/net"));
    let own = network(Path::new("/proc/self"))?;
    ensure!(network(&process)? == own, "it is not on the host's network");

    // Its own, and no other user's.
    let token = fs::metadata(machine.token(&pod)?)?;
    let (user, group, mode) = (token.uid(), token.gid(), token.mode() & 0o777);
    ensure!((user, group, mode) == (USER, USER, 0o640), "the token is of {user}:{group}, {mode:o}");
    Ok(())
}

/// The limit is the pod's, and this machine's kernel enforces it: who fills as much is killed.
async fn limited(scene: &mut Scene) -> Result<()> {
    let pod = scene.handler_pod().clone();
    let memory = scene.machine()?.memory(&pod)?;
    ensure!(memory.limit == LIMIT, "its limit is {} bytes", memory.limit);
    let hoard = Shape { arguments: &["hoard", "20000000"], ..shape() };
    let mut pod = hoard.pod(scene.name(), "hoard", scene.name())?;
    let spec = pod.spec.get_or_insert_default();
    spec.restart_policy = Some("Never".to_owned());
    let container = spec.containers.first_mut().context("a pod without containers")?;
    container.resources =
        serde_json::from_value(serde_json::json!({"limits": {"memory": "16Mi"}}))?;
    scene.create(&pod).await?;
    let killed = |pod: &crate::witness::Sighting| exit_code(&pod.pod, "main") == Some(137);
    let seen =
        scene.witness.until("the hoarder is killed", SOON, |all| all.iter().any(killed)).await?;
    let hoarder = seen.iter().find(|pod| killed(pod)).context("it is gone")?;
    let state = super::status(&hoarder.pod, "main")?.state.clone().unwrap_or_default();
    let reason = state.terminated.and_then(|state| state.reason);
    ensure!(reason.as_deref() == Some("OOMKilled"), "killed for {reason:?}");
    scene.kubectl("delete pod hoard --namespace node-ready --grace-period=1").await
}

/// An operator's commands, in the container.
async fn commands(scene: &mut Scene) -> Result<()> {
    scene.expect_check();
    let pod = scene.handler_pod().metadata.name.clone().unwrap_or_default();
    let exec = format!("exec --namespace {NAMESPACE} {pod} -- /{NAME}");
    let output = scene.kubectl_says(&format!("{exec} check")).await.context("check")?;
    ensure!(output.contains(" checks: 0 failed"), "{output}");
    let output = scene.kubectl_says(&format!("{exec} plan")).await.context("plan")?;
    ensure!(output.contains("node-ready"), "{output}");
    Ok(())
}

/// What it is charged when it has done nothing but poll for a while.
async fn idle(scene: &mut Scene) -> Result<()> {
    let pod = scene.handler_pod().clone();
    scene.machine()?.reset_peak(&pod)?;
    sleep(Duration::from_secs(3)).await;
    print_memory(scene, "idle")
}

/// The chart takes the place of the kustomization. The kubelet asks the probes, and a scraper is answered.
async fn by_the_chart(scene: &mut Scene) -> Result<()> {
    let folder = scene.deploy().to_str().context("a path that is not UTF-8")?.to_owned();
    scene.kubectl(&format!("delete -k {folder}")).await?;
    let port = port::free()?;
    let set = format!(
        "listenAddress=127.0.0.1,enableProbesServer=true,probes.httpGet.port={port},\
         probes.periodSeconds=1,probes.initialDelaySeconds=0,readinessProbe.periodSeconds=1,\
         enablePrometheusServer=true,prometheusServerPort={port},\
         instanceMetadataURL={},kubernetesServiceHost=127.0.0.1,kubernetesServicePort={}",
        scene.metadata.url(),
        scene.cluster().port()
    );
    // It waits until every pod is ready, by what the probe answered to the kubelet.
    let install = ["install", NAME, "CHART", "--wait", "--timeout=60s", "--set", &set];
    helm(scene.cluster(), NAMESPACE, &install).await?;
    scene.find_handler_pod().await?;
    polling(scene).await?;
    let page = get(port, "/metrics").await?;
    check_metrics(body(&page)).await.context("promtool on the page")?;
    ensure!(page.contains("k8s_spot_handler_build_info"), "{page}");
    let before = super::status(scene.handler_pod(), NAME)?.restart_count;
    sleep(Duration::from_secs(5)).await;
    let pod = scene.find_handler_pod().await?;
    let after = super::status(&pod, NAME)?;
    ensure!(after.ready && after.restart_count == before, "the probes are not content: {after:?}");
    print_memory(scene, "idle, with metrics and probes")?;
    helm(scene.cluster(), NAMESPACE, &["uninstall", NAME, "--wait"]).await?;
    Ok(())
}
