//! Nodes and namespaces, as a cluster without kubelets has them.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, Node, ServiceAccount};
use kube::api::{Api, PostParams};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::SOON;
use crate::cluster::{Cluster, GLANCE, PLAYED};
use crate::workload::typed;

/// A Linux node on which the scene's pods may run.
pub(super) fn node(name: &str, scene: &str) -> Result<Node> {
    typed(json!({
        "metadata": {
            "name": name,
            "labels": {
                "e2e/scene": scene, "kubernetes.io/os": "linux", "kubernetes.io/hostname": name,
            },
            "annotations": {PLAYED.0: PLAYED.1},
        },
    }))
}

/// Creates a node and waits until it is ready and free of the control
/// plane's first taints.
///
/// # Errors
/// It is not ready within a minute.
pub async fn create_node(cluster: &Cluster, node: &Node) -> Result<()> {
    let nodes: Api<Node> = Api::all(cluster.client());
    let name = nodes.create(&PostParams::default(), node).await?.metadata.name.unwrap_or_default();
    let waiting = async {
        // Without controllers nobody takes the taint away, nor heeds it.
        while !is_ready(&nodes.get(&name).await?, cluster.plan().controllers) {
            sleep(GLANCE).await;
        }
        anyhow::Ok(())
    };
    timeout(SOON, waiting).await.with_context(|| format!("node {name} is not ready"))?
}

fn is_ready(node: &Node, untainted: bool) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions
        .is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"));
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let not_ready =
        taints.is_some_and(|all| all.iter().any(|one| one.key == "node.kubernetes.io/not-ready"));
    ready && !(untainted && not_ready)
}

/// A namespace in which pods can be created.
///
/// # Errors
/// They cannot within a minute.
pub async fn create_namespace(cluster: &Cluster, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    namespaces.create(&PostParams::default(), &typed(json!({"metadata": {"name": name}}))?).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), name);
    if !cluster.plan().controllers {
        let account = typed(json!({"metadata": {"name": "default"}}))?;
        accounts.create(&PostParams::default(), &account).await?;
        return Ok(());
    }
    let waiting = async {
        while accounts.get_opt("default").await?.is_none() {
            sleep(GLANCE).await;
        }
        anyhow::Ok(())
    };
    timeout(SOON, waiting).await.with_context(|| format!("no ServiceAccount in {name}"))?
}
