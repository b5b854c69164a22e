//! A real node: containerd and a kubelet on this machine, and the containers that they run.
//!
//! Everything of it lies in one folder with a short path, since sockets are in it, and in one control
//! group. It is stopped by process id; what a failure leaves is found by that folder and that group.

mod cgroup;
mod image;
mod kubelet;
mod logs;
mod logind;
mod needs;
mod runtime;
mod sweep;

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, ListParams};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, GLANCE, Process};

pub use cgroup::{Group, Memory};
pub use image::{CONTAINER, Images};
pub use kubelet::Shutdown;
pub use logind::Logind;
pub use logs::{Happened, Logs, PodLog};
pub use needs::missing;
pub use runtime::Runtime;

/// From a start to an answer, on a machine with other work.
const TIMEOUT: Duration = Duration::from_mins(1);

/// See the module.
pub struct RealNode {
    name: String,
    /// Runtime, kubelet, their sockets and mounts.
    folder: PathBuf,
    /// What stays after a failure.
    kept: PathBuf,
    group: Group,
    address: IpAddr,
    images: Images,
    runtime: Runtime,
    kubelet: Option<Process>,
    shutdown: Option<Shutdown>,
    /// What its containers write.
    pub logs: Logs,
}

impl RealNode {
    /// Starts a runtime with these images.
    ///
    /// # Errors
    /// It does not start.
    pub async fn prepare(
        cluster: &Cluster,
        name: &str,
        kept: &Path,
        images: Images,
    ) -> Result<Self> {
        sweep::leftovers()?;
        let folder = sweep::folder();
        fs::create_dir_all(&folder)?;
        let group = Group::create(&sweep::group())?;
        let pods = kept.join("pods");
        fs::create_dir_all(&pods)?;
        let logs = Logs::follow(pods, kept.join("containers"))?;
        let mut node = Self {
            name: name.to_owned(),
            address: own_address()?,
            runtime: Runtime::start(cluster.binaries(), &folder, kept, CONTAINER)
                .await
                .context("starting containerd")?,
            folder,
            kept: kept.to_owned(),
            group,
            images,
            kubelet: None,
            shutdown: None,
            logs,
        };
        node.load().await?;
        Ok(node)
    }

    /// Gives the runtime the images of this run, again where it has lost them.
    ///
    /// # Errors
    /// It does not take one.
    pub async fn load(&mut self) -> Result<()> {
        for archive in self.images.archives() {
            self.runtime.load(archive).await?;
        }
        Ok(())
    }

    /// From the next start the kubelet takes part in the shutdown of its machine.
    pub fn take_part_in_shutdown(&mut self, shutdown: Shutdown) {
        self.shutdown = Some(shutdown);
    }

    /// Starts a logind for it.
    ///
    /// # Errors
    /// It does not start.
    pub async fn logind(&self) -> Result<Logind> {
        Logind::start(&self.folder.join("bus"), &self.kept).await
    }

    /// Starts the kubelet, and waits until its Node is ready.
    ///
    /// # Errors
    /// It is not within a minute.
    pub async fn start_kubelet(&mut self, cluster: &Cluster) -> Result<()> {
        let kubelet = kubelet::Configuration {
            node: &self.name,
            folder: &self.folder,
            pods: &self.kept.join("pods"),
            group: self.group.name(),
            address: self.address,
            runtime: self.runtime.socket(),
            shutdown: self.shutdown.as_ref(),
        };
        let command = kubelet.command(cluster)?;
        self.kubelet = Some(Process::start("kubelet", command, &self.kept)?);
        let started = jiff::Timestamp::now();
        let nodes: Api<Node> = Api::all(cluster.client());
        let waiting = async {
            loop {
                self.check_running()?;
                if nodes.get_opt(&self.name).await?.is_some_and(|node| is_ready(&node, started)) {
                    return anyhow::Ok(());
                }
                sleep(GLANCE).await;
            }
        };
        timeout(TIMEOUT, waiting).await.context("the kubelet's node is not ready")?
    }

    /// Fails if one of its parts has ended by itself.
    ///
    /// # Errors
    /// The message names it and its log.
    pub fn check_running(&mut self) -> Result<()> {
        self.runtime.check_running()?;
        self.kubelet.as_mut().map_or(Ok(()), Process::check_running)
    }

    /// Ends the kubelet; the containers stay.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop_kubelet(&mut self) -> Result<()> {
        let Some(mut kubelet) = self.kubelet.take() else { return Ok(()) };
        kubelet.signal_term()?;
        kubelet.wait(TIMEOUT).await?;
        Ok(())
    }

    /// What the kubelet wrote.
    ///
    /// # Errors
    /// It does not run.
    pub fn kubelet_log(&self) -> Result<String> {
        self.kubelet.as_ref().context("the kubelet does not run")?.said()
    }

    /// Its containers' runtime.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// What a pod is charged.
    ///
    /// # Errors
    /// It has no control group.
    pub fn memory(&self, pod: &Pod) -> Result<Memory> {
        self.group.of_pod(pod.metadata.uid.as_deref().unwrap_or_default())
    }

    /// What the container of a pod is charged in which that program runs.
    ///
    /// # Errors
    /// There is none.
    pub fn container_memory(&self, pod: &Pod, program: &str) -> Result<Memory> {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let process = self.process(pod, program)?;
        let id = process.file_name().and_then(|name| name.to_str()?.parse().ok());
        self.group.of_container(uid, id.context("no process id")?)
    }

    /// Ends that program in a pod with SIGKILL.
    ///
    /// # Errors
    /// There is none.
    pub fn kill(&self, pod: &Pod, program: &str) -> Result<()> {
        let process = self.process(pod, program)?;
        let id = process.file_name().and_then(|name| name.to_str()?.parse().ok());
        let id = id.and_then(Pid::from_raw).context("no process id")?;
        kill_process(id, Signal::KILL).context("SIGKILL")
    }

    /// See [`Group::reset_peak`].
    ///
    /// # Errors
    /// The pod has no control group.
    pub fn reset_peak(&self, pod: &Pod) -> Result<()> {
        self.group.reset_peak(pod.metadata.uid.as_deref().unwrap_or_default())
    }

    /// The process of that name in a pod, as `/proc` has it.
    ///
    /// # Errors
    /// There is none.
    pub fn process(&self, pod: &Pod, name: &str) -> Result<PathBuf> {
        let all = self.group.processes_of(pod.metadata.uid.as_deref().unwrap_or_default())?;
        let folders = all.into_iter().map(|id| Path::new("/proc").join(id.to_string()));
        let is_it = |folder: &PathBuf| {
            let program = fs::read_link(folder.join("exe"));
            program.is_ok_and(|path| path.ends_with(name))
        };
        folders.into_iter().find(is_it).with_context(|| format!("no process {name} in the pod"))
    }

    /// What the kubelet gives to a pod: its volumes.
    #[must_use]
    pub fn volumes(&self, pod: &Pod) -> PathBuf {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        self.folder.join("kubelet/pods").join(uid).join("volumes")
    }

    /// The file of the token that the kubelet gives to a pod.
    ///
    /// # Errors
    /// The pod has none.
    pub fn token(&self, pod: &Pod) -> Result<PathBuf> {
        let projected = self.volumes(pod).join("kubernetes.io~projected");
        for volume in fs::read_dir(&projected).context("no projected volumes")? {
            let token = volume?.path().join("token");
            if token.exists() {
                return Ok(token);
            }
        }
        anyhow::bail!("no token below {}", projected.display())
    }

    /// Ends all of it: the pods, the kubelet, the runtime.
    ///
    /// # Errors
    /// Something is left.
    pub async fn stop(&mut self, cluster: &Cluster) -> Result<()> {
        let pods = self.end_pods(cluster).await;
        self.stop_kubelet().await?;
        self.runtime.stop().await?;
        pods?;
        let left = self.group.processes()?;
        ensure!(left.is_empty(), "processes are left in the node's control group: {left:?}");
        sweep::remove(&self.folder, &self.group)
    }

    /// Deletes the pods of the node, and before them the sets that would bring others.
    async fn end_pods(&mut self, cluster: &Cluster) -> Result<()> {
        cluster.run_kubectl(&["delete", "daemonsets", "--all", "--all-namespaces"]).await?;
        let pods: Api<Pod> = Api::all(cluster.client());
        let here = ListParams::default().fields(&format!("spec.nodeName={}", self.name));
        let waiting = async {
            loop {
                self.check_running()?;
                let left = pods.list(&here).await?.items;
                if left.is_empty() && self.group.processes()?.is_empty() {
                    return anyhow::Ok(());
                }
                for pod in left {
                    let metadata = pod.metadata;
                    let at_once =
                        metadata.deletion_grace_period_seconds.is_some_and(|left| left <= 1);
                    if at_once && metadata.deletion_timestamp.is_some() {
                        continue;
                    }
                    let namespace = metadata.namespace.unwrap_or_default();
                    let api: Api<Pod> = Api::namespaced(cluster.client(), &namespace);
                    let soon = DeleteParams::default().grace_period(1);
                    // One that is gone already is none that is left.
                    drop(api.delete(&metadata.name.unwrap_or_default(), &soon).await);
                }
                sleep(GLANCE).await;
            }
        };
        timeout(TIMEOUT, waiting).await.context("the node's pods do not end")?
    }
}

impl Drop for RealNode {
    /// After a failure: what `stop` has not done.
    fn drop(&mut self) {
        drop(self.kubelet.take());
        self.runtime.end_now();
        if let Err(error) = sweep::force(&self.folder, &self.group) {
            eprintln!("the node is not cleared away: {error:#}");
        }
    }
}

fn is_ready(node: &Node, since: jiff::Timestamp) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|all| {
        all.iter().any(|one| {
            let fresh = one
                .last_heartbeat_time
                .as_ref()
                .is_some_and(|time| time.0.as_second() >= since.as_second());
            one.type_ == "Ready" && one.status == "True" && fresh
        })
    });
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let tainted =
        taints.is_some_and(|all| all.iter().any(|one| one.key == "node.kubernetes.io/not-ready"));
    ready && !tainted
}

/// An address of this machine's own that is not loopback: the kubelet takes no other. Nothing is sent.
fn own_address() -> Result<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.254:9").context("this machine has no route to anywhere")?;
    Ok(socket.local_addr()?.ip())
}
