//! The scene whose node is a real one: the handler is the pod of its DaemonSet.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;

use super::{Ground, Scene};
use crate::cluster::Cluster;
use crate::manifest::{self, NAME, NAMESPACE};
use crate::node::{Images, PodLog, RealNode};

/// A node, once the DaemonSet knows where the services are that a node in EC2 finds by itself.
pub(super) async fn start(
    ground: &Ground,
    images: &Images,
    name: &str,
    folder: &Path,
    metadata: &str,
) -> Result<RealNode> {
    let (start, cluster) = (Instant::now(), &ground.cluster);
    // The node before took it along.
    manifest::apply(cluster, &ground.deploy).await?;
    let set = format!("daemonset/{NAME}");
    let variables = [
        "KUBERNETES_SERVICE_HOST=127.0.0.1".to_owned(),
        format!("KUBERNETES_SERVICE_PORT={}", cluster.port()),
        format!("INSTANCE_METADATA_URL={metadata}"),
    ];
    let mut words = vec!["--namespace", NAMESPACE, "set", "env", &set];
    words.extend(variables.iter().map(String::as_str));
    cluster.run_kubectl(&words).await?;
    let mut node = RealNode::prepare(cluster, name, folder, images.clone()).await?;
    node.start_kubelet(cluster).await?;
    println!("{name}: the node is ready after {:.1} s", start.elapsed().as_secs_f64());
    Ok(node)
}

impl Scene {
    /// Its node.
    ///
    /// # Errors
    /// It is played.
    pub fn machine(&mut self) -> Result<&mut RealNode> {
        self.machine.as_mut().context("the node is no real one")
    }

    /// The node, and the cluster that it is of.
    ///
    /// # Errors
    /// It is played.
    pub fn machine_and_cluster(&mut self) -> Result<(&mut RealNode, &Cluster)> {
        let machine = self.machine.as_mut().context("the node is no real one")?;
        Ok((machine, &self.ground.cluster))
    }

    /// The log of the `start`th start (the first is 0) of the handler's container in its pod of now.
    ///
    /// # Errors
    /// The node is played.
    pub fn handler_log(&self, start: u32) -> Result<PodLog> {
        let machine = self.machine.as_ref().context("the node is no real one")?;
        let uid = self.handler_pod.metadata.uid.clone().unwrap_or_default();
        Ok(machine.logs.of(&uid, NAME, start))
    }

    /// Looks anew which pod is the handler's.
    ///
    /// # Errors
    /// There is none within a minute.
    pub async fn find_handler_pod(&mut self) -> Result<Pod> {
        self.handler_pod = manifest::handler_pod(self.cluster(), &self.name).await?;
        Ok(self.handler_pod.clone())
    }

    /// Ends the node, if it is a real one.
    ///
    /// # Errors
    /// Something is left of it.
    pub async fn close(&mut self) -> Result<()> {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        let (start, cluster) = (Instant::now(), &self.ground.cluster);
        machine.stop(cluster).await.context("stopping the node")?;
        // What was installed on it goes with it: the next node begins anew.
        let mut helm = cluster.helm();
        helm.args(["uninstall", NAME, "--namespace", NAMESPACE, "--ignore-not-found"]);
        let output = helm.output().await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "helm uninstall: {stderr}");
        let took = start.elapsed().as_secs_f64();
        println!("{}: the node is cleared away after {took:.1} s", self.name);
        Ok(())
    }
}
