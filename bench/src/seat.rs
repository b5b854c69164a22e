//! A node that can be drained, and the credentials for it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use e2e::cluster::Cluster;
use e2e::workload::typed;
use e2e::{manifest, scene};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

/// See the module.
#[derive(Debug)]
pub struct Seat {
    /// The node's name.
    pub node: String,
    /// The environment of the handler's pod on it, and where the API server is.
    pub environment: Vec<(String, String)>,
    /// A token that is bound to that pod.
    pub token_file: PathBuf,
    /// The same for kubectl.
    pub kubeconfig: PathBuf,
    /// The certificate of the API server's authority.
    pub authority: PathBuf,
}

impl Seat {
    /// Makes the node, for the pods of that scene, and waits for the handler's pod on it.
    ///
    /// # Errors
    /// The control plane does not do its part.
    pub async fn take(cluster: &Cluster, scene: &str, node: &str, folder: &Path) -> Result<Self> {
        let object = typed(json!({
            "metadata": {"name": node, "labels": {
                "e2e/scene": scene, "kubernetes.io/os": "linux", "kubernetes.io/hostname": node,
            }},
        }))?;
        scene::create_node(cluster, &object).await?;
        let pod = manifest::handler_pod(cluster, node).await?;
        let token_file = folder.join(format!("{node}.token"));
        fs::write(&token_file, manifest::token(cluster.client(), &pod).await?)?;

        let mut environment = manifest::environment(&pod)?;
        environment.push(("KUBERNETES_SERVICE_HOST".to_owned(), "127.0.0.1".to_owned()));
        environment.push(("KUBERNETES_SERVICE_PORT".to_owned(), cluster.port().to_string()));
        let kubeconfig = folder.join(format!("{node}.kubeconfig"));
        let authority = cluster.authority();
        fs::write(
            &kubeconfig,
            kubeconfig_with(&token_file, &authority, cluster.port()).to_string(),
        )?;
        Ok(Self { node: node.to_owned(), environment, token_file, kubeconfig, authority })
    }

    /// Whether pods may come.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn set_schedulable(&self, cluster: &Cluster, schedulable: bool) -> Result<()> {
        // With the handler's note gone, the next notice is a new one.
        let patch = json!({
            "metadata": {"annotations": {"k8s-spot-handler/state": null}},
            "spec": {"unschedulable": if schedulable { Value::Null } else { true.into() }},
        });
        let nodes: Api<Node> = Api::all(cluster.client());
        nodes
            .patch(&self.node, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .with_context(|| format!("patching {}", self.node))?;
        Ok(())
    }
}

fn kubeconfig_with(token_file: &Path, authority: &Path, port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "clusters": [{"name": "bench", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": authority,
        }}],
        "users": [{"name": "bench", "user": {"tokenFile": token_file}}],
    })
}
