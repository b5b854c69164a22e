//! The kubelet's configuration and command line.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::process::Command;

use crate::cluster::{Cluster, port};

/// How the kubelet learns that its machine goes down, and what pods get then (KEP-2000).
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// The system bus on which logind is.
    pub bus: String,
    /// For all pods together, in seconds.
    pub grace: u32,
    /// Of these, for critical pods alone, at the end.
    pub critical: u32,
}

pub(super) struct Configuration<'a> {
    pub node: &'a str,
    pub folder: &'a Path,
    pub pods: &'a Path,
    pub group: &'a str,
    pub address: IpAddr,
    pub runtime: &'a Path,
    pub shutdown: Option<&'a Shutdown>,
}

impl Configuration<'_> {
    pub fn command(&self, cluster: &Cluster) -> Result<Command> {
        let user = format!("system:node:{}", self.node);
        let kubeconfig = cluster.identity(&user, Some("system:nodes"))?;
        let address = self.address.to_string();
        let serving = cluster.server_identity_at(&format!("kubelet-{}", self.node), &[&address])?;
        let mut configuration = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": address,
            "port": port::free()?,
            "healthzPort": 0,
            "readOnlyPort": 0,
            "tlsCertFile": serving.certificate,
            "tlsPrivateKeyFile": serving.key,
            "authentication": {
                "anonymous": {"enabled": false},
                "x509": {"clientCAFile": cluster.authority()},
            },
            "containerRuntimeEndpoint": format!("unix://{}", self.runtime.display()),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", self.group),
            "failCgroupV1": false,
            "failSwapOn": false,
            "makeIPTablesUtilChains": false,
            "podLogsDir": self.pods,
            "volumePluginDir": self.folder.join("plugins"),
            "resolvConf": "",
            // Of a disk that is shared with everything else.
            "evictionHard": {"memory.available": "1Mi"},
            "imageGCHighThresholdPercent": 100,
            "maxPods": 200,
            "shutdownGracePeriod": "0s",
            "shutdownGracePeriodCriticalPods": "0s",
        });
        let root = self.folder.join("kubelet");
        let mut command = Command::new(cluster.binaries().kubelet());
        if let Some(shutdown) = self.shutdown {
            configuration["shutdownGracePeriod"] = format!("{}s", shutdown.grace).into();
            configuration["shutdownGracePeriodCriticalPods"] =
                format!("{}s", shutdown.critical).into();
            command.env("DBUS_SYSTEM_BUS_ADDRESS", &shutdown.bus);
        } else {
            // That of the machine is none of its business.
            command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere");
        }
        let file = self.folder.join("kubelet.json");
        fs::write(&file, serde_json::to_vec_pretty(&configuration)?)
            .context("writing the kubelet's configuration")?;
        command
            .arg("--config")
            .arg(&file)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--root-dir")
            .arg(&root)
            .arg("--cert-dir")
            .arg(root.join("pki"))
            .arg(format!("--hostname-override={}", self.node))
            .arg(format!("--node-ip={address}"))
            .arg(format!("--node-labels=e2e/scene={}", self.node))
            .arg("--v=2");
        Ok(command)
    }
}
