//! What `deploy/` has besides its default: the chart, overlays, the plain manifest.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::AHEAD;
use super::shipped::node;
use super::watching::get;
use crate::cluster::{Cluster, GLANCE, port};
use crate::diary::is_cordoned;
use crate::manifest::{self, NAME, NAMESPACE};
use crate::rendering::{self, MATRIX, deploy};
use crate::scene::{SOON, Scene, create_node};
use crate::workload::Shape;

/// With `spotNodesOnly` every node has a handler that is a spot instance by one of its labels, and no other.
pub async fn on_spot_nodes(scene: &mut Scene) -> Result<()> {
    let cluster = scene.cluster();
    let arguments =
        ["install", "spot-only", "CHART", "--set", "spotNodesOnly=true,rbac.create=false"];
    helm(cluster, scene.name(), &arguments).await?;
    let labels = [
        ("eks", "eks.amazonaws.com/capacityType", "SPOT", true),
        ("eks-on-demand", "eks.amazonaws.com/capacityType", "ON_DEMAND", false),
        ("karpenter", "karpenter.sh/capacity-type", "spot", true),
        ("karpenter-on-demand", "karpenter.sh/capacity-type", "on-demand", false),
        ("kops", "node-role.kubernetes.io/spot-worker", "true", true),
    ];
    let mut wanted = BTreeSet::new();
    for (kind, label, value, is_spot) in labels {
        let name = format!("{}-{kind}", scene.name());
        let mut node = node(&name, "linux", "amd64", &json!([]))?;
        node.metadata.labels.get_or_insert_default().insert(label.to_owned(), value.to_owned());
        create_node(cluster, &node).await?;
        // The other handler comes everywhere: what decides about nodes has then seen this one.
        manifest::handler_pod(cluster, &name).await?;
        if is_spot {
            wanted.insert(name);
        }
    }
    let pods: Api<Pod> = Api::namespaced(cluster.client(), scene.name());
    let of_release = ListParams::default().labels("app.kubernetes.io/instance=spot-only");
    let waiting = async {
        loop {
            let found = pods.list(&of_release).await?.items;
            let nodes = found.into_iter().filter_map(|pod| pod.spec?.node_name);
            let nodes: BTreeSet<_> = nodes.collect();
            if nodes.len() >= wanted.len() {
                return anyhow::Ok(nodes);
            }
            sleep(GLANCE).await;
        }
    };
    let nodes = timeout(SOON, waiting).await.context("no pods of the chart within a minute")??;
    ensure!(nodes == wanted, "on {nodes:?}, not on {wanted:?}");
    helm(scene.cluster(), scene.name(), &["uninstall", "spot-only"]).await?;
    Ok(())
}

/// Everything that the chart and the overlays may become is taken by the API server, field by field.
pub async fn every_manifest(scene: &mut Scene) -> Result<()> {
    let cluster = scene.cluster();
    know_the_operator(cluster).await?;
    let namespace = scene.name();
    let warn = "pod-security.kubernetes.io/warn=restricted";
    cluster.run_kubectl(&["label", "namespace", namespace, warn]).await?;

    for rendering in MATRIX {
        let chart = deploy()?.join("chart");
        let release = rendering.name.replace('.', "-");
        let arguments = rendering.arguments();
        let binaries = cluster.binaries();
        let manifest = rendering::helm_template(binaries, &chart, &release, namespace, &arguments)?;
        let told = try_to_apply(scene, rendering.name, &manifest).await?;
        // Beyond the host's network nothing is asked for that the strictest level forbids.
        let wanted = match rendering.name {
            "pod-network" => "",
            // The probes must name the address at which alone the handler listens.
            "two-ports" => {
                "host namespaces (hostNetwork=true), probe or lifecycle host (container \
                 \"k8s-spot-handler\" uses probe or lifecycle host \"127.0.0.1\")"
            }
            _ => "host namespaces (hostNetwork=true)",
        };
        let said = told.split_once("\"restricted:latest\": ").map_or("", |(_, said)| said);
        ensure!(said.trim() == wanted, "{}: {told}", rendering.name);
    }

    for entry in fs::read_dir(deploy()?.join("overlays"))? {
        let entry = entry?;
        let manifest = rendering::kustomize(cluster.binaries(), &entry.path())?;
        try_to_apply(scene, &entry.file_name().to_string_lossy(), &manifest).await?;
    }
    let plain = fs::read_to_string(deploy()?.join("k8s-spot-handler.yaml"))?;
    try_to_apply(scene, "k8s-spot-handler", &plain).await?;
    // It is strict: a field with a typing error is refused.
    let wrong = plain.replace("hostNetwork:", "hostnetwork:");
    ensure!(
        try_to_apply(scene, "wrong", &wrong).await.is_err(),
        "a field that does not exist is taken"
    );
    Ok(())
}

/// The chart takes the place of what `kubectl apply -k` had installed; its pod's environment is the one that
/// a drain is done with; then it is upgraded, and taken off without a trace.
pub async fn by_the_chart(scene: &mut Scene, flavour: &str) -> Result<()> {
    let folder = deploy()?;
    let folder = folder.to_str().context("a path that is not UTF-8")?;
    scene.cluster().run_kubectl(&["delete", "-k", folder]).await?;
    let port = port::free()?;
    let set = format!(
        "taintNode=true,emitKubernetesEvents=true,listenAddress=127.0.0.1,enableProbesServer=true,\
         probes.httpGet.port={port},queueURL=left"
    );
    let told = helm(scene.cluster(), NAMESPACE, &["install", NAME, "CHART", "--set", &set]).await?;
    ensure!(told.contains(&format!("Rights: {flavour}")), "{told}");
    ensure!(told.contains("Values without effect here: queueURL."), "{told}");
    scene.replace_handler_pod().await?;
    scene.renew_token().await?;

    scene.pods("web", 10, &Shape::default()).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    // Where the kubelet would ask.
    let sets: Api<DaemonSet> = Api::namespaced(scene.cluster().client(), NAMESPACE);
    let set = serde_json::to_value(sets.get(NAME).await?)?;
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    probed(&container["livenessProbe"]).await?;
    scene.announce(AHEAD).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    ensure!(table.count(scene.name(), "evicted") == 10, "{}", table.summary);
    scene
        .node_is("cordoned and tainted", |node| {
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
            let own = "aws-node-termination-handler/spot-itn";
            is_cordoned(node) && taints.is_some_and(|all| all.iter().any(|taint| taint.key == own))
        })
        .await?;
    probed(&container["readinessProbe"]).await?;
    handler.stop(SOON).await?;
    let left = left_behind(scene.cluster()).await?;
    ensure!(left.lines().any(|name| name == scene.name()), "the page's words find {left:?}");

    let cluster = scene.cluster();
    let by_hand = "k8s-spot-handler/by-hand";
    let note = format!("{by_hand}={{}}");
    cluster.run_kubectl(&["annotate", "node", scene.name(), &note]).await?;
    let left = left_behind(cluster).await?;
    let wanted = format!("{} (by hand)", scene.name());
    ensure!(left.lines().any(|line| line == wanted), "the page's words find {left:?}");
    cluster.run_kubectl(&["annotate", "node", scene.name(), &format!("{by_hand}-")]).await?;

    if flavour == "classic" {
        let unknown = ["install", "other", "CHART", "--dry-run", "--set", "rbac.flavour=confined"];
        let told = helm(cluster, NAMESPACE, &unknown).await?;
        ensure!(told.contains("WARNING: rbac.flavour is confined"), "{told}");
    }
    let upgrade = ["upgrade", NAME, "CHART", "--reset-then-reuse-values", "--set", "dryRun=true"];
    let told = helm(cluster, NAMESPACE, &upgrade).await?;
    ensure!(told.contains("dryRun: nothing is evicted"), "{told}");
    helm(cluster, NAMESPACE, &["uninstall", NAME]).await?;
    let kinds = "daemonsets,serviceaccounts,clusterroles,clusterrolebindings,\
                 validatingadmissionpolicies,validatingadmissionpolicybindings";
    let left = ["get", kinds, "-A", "-l", "app.kubernetes.io/name=k8s-spot-handler", "-o", "name"];
    let left = cluster.run_kubectl(&left).await?;
    ensure!(left.is_empty(), "left: {left}");
    Ok(())
}

/// The nodes that still have marks, as docs/install.md finds them.
async fn left_behind(cluster: &Cluster) -> Result<String> {
    let page = fs::read_to_string(deploy()?.join("../docs/install.md"))?;
    let command = page.lines().find_map(|line| line.trim().strip_prefix("kubectl get nodes -o "));
    let output = command.context("the page does not say how")?.trim_matches('\'');
    cluster.run_kubectl(&["get", "nodes", "-o", &output.replace("='", "=")]).await
}

/// Asks as this probe says.
async fn probed(probe: &Value) -> Result<()> {
    let get_what = &probe["httpGet"];
    let path = get_what["path"].as_str().context("a probe without a path")?;
    let port = get_what["port"].as_u64().context("a probe without a port")?;
    ensure!(get_what["host"] == "127.0.0.1", "{probe}");
    let page = get(port.try_into()?, path).await?;
    ensure!(page.starts_with("HTTP/1.1 200 "), "{path}: {page}");
    Ok(())
}

/// Runs helm on the chart, for which `CHART` stands, and gives what it printed.
pub(super) async fn helm(cluster: &Cluster, namespace: &str, arguments: &[&str]) -> Result<String> {
    let chart = deploy()?.join("chart").display().to_string();
    let arguments: Vec<_> =
        arguments.iter().map(|word| if *word == "CHART" { chart.as_str() } else { word }).collect();
    let output = cluster.helm().args(["--namespace", namespace]).args(&arguments).output().await?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {arguments:?}: {told}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the API server says to a manifest, which it does not keep.
async fn try_to_apply(scene: &Scene, name: &str, manifest: &str) -> Result<String> {
    let file = scene.folder().join(format!("{name}.yaml"));
    fs::write(&file, manifest)?;
    let mut command = scene.cluster().kubectl();
    command.args(["apply", "--server-side", "--validate=strict", "--dry-run=server", "--filename"]);
    let output = command.arg(&file).output().await?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{name}: {told}");
    Ok(told)
}

/// The kinds of the Prometheus Operator, which several scenarios may want.
async fn know_the_operator(cluster: &Cluster) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("controlplane/monitoring.yaml");
    let file = file.to_str().context("a path that is not UTF-8")?;
    cluster.run_kubectl(&["apply", "--server-side", "-f", file]).await?;
    let established = ["wait", "--for=condition=established", "--timeout=60s", "-f", file];
    cluster.run_kubectl(&established).await?;
    Ok(())
}
