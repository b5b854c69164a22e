//! Two nodes and a Deployment that moves from one to the other: each drain
//! leaves behind what the next one needs.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::audit::{self, Exchange};
use e2e::cluster::{Binaries, Cluster, Plan, Release};
use e2e::connections::watch_connections;
use e2e::manifest;
use e2e::workload::{Shape, budget};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;
use simulator::{Endpoint, Metadata};
use tokio::time::{sleep, timeout};

use crate::drain::Drain;
use crate::evictor::Victim;
use crate::memory::Memory;
use crate::seat::Seat;
use crate::tool::{Programs, Running, Start, Tool};

/// See the module.
pub struct Stage {
    cluster: Cluster,
    programs: Programs,
    folder: PathBuf,
    /// The first one has the pods.
    seats: [Seat; 2],
    pods: usize,
    /// Whether a budget lies over them.
    budget: bool,
    drains: usize,
}

/// How a drain goes, beside who does it.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// From the notice to the announced end.
    pub ahead: Duration,
    /// Whether to stay and look at the memory until after that end.
    pub stay: bool,
}

impl Default for Course {
    fn default() -> Self {
        Self { ahead: Duration::from_mins(1), stay: false }
    }
}

/// The memory of a handler whose drain is over.
#[derive(Clone, Copy, Debug)]
pub struct Afterwards {
    /// Twelve seconds after the last pod went: what the evictions needed is gone,
    /// the watch is still open.
    pub emptied: Memory,
    /// Ten seconds after the announced end.
    pub ended: Memory,
}

/// The control plane of nearly everything.
pub const NEAR: Plan = Plan {
    name: "bench",
    release: Release::V1_37,
    flags: &[],
    etcd_distance: Duration::ZERO,
    controllers: true,
    kubelets: false,
};

/// The same with etcd 20 ms away, there and back.
pub const FAR: Plan = Plan { name: "bench-far", etcd_distance: Duration::from_millis(10), ..NEAR };

/// Of the Deployment, and the label of its pods.
const APP: &str = "web";
/// Where all pods are.
pub const NAMESPACE: &str = "default";

const PATIENCE: Duration = Duration::from_mins(3);
const GLANCE: Duration = Duration::from_millis(200);
/// How often connections are counted.
const EACH: Duration = Duration::from_millis(20);
/// After which nothing is kept for evictions.
const IDLE_ONES_GONE: Duration = Duration::from_secs(12);
/// After which a drain is over.
const OVER: Duration = Duration::from_secs(10);

impl Stage {
    /// Starts the control plane and makes the nodes.
    ///
    /// # Errors
    /// A part does not come up.
    pub async fn open(
        plan: Plan,
        binaries: &Binaries,
        programs: Programs,
        folder: &Path,
    ) -> Result<Self> {
        let folder = &folder.join(plan.name);
        let cluster = control_plane(plan, binaries, folder).await?;
        let seats = [
            Seat::take(&cluster, "bench", "bench-a", folder).await?,
            Seat::take(&cluster, "bench", "bench-b", folder).await?,
        ];
        Ok(Self {
            cluster,
            programs,
            folder: folder.to_owned(),
            seats,
            pods: 0,
            budget: false,
            drains: 0,
        })
    }

    /// Ends the control plane.
    ///
    /// # Errors
    /// A process could not be ended, or had ended by itself.
    pub async fn close(self) -> Result<()> {
        let by_itself = self.cluster.check_running().await;
        self.cluster.stop().await?;
        by_itself
    }

    /// Puts that many running pods of that shape on the first node, in the
    /// place of those that were there.
    ///
    /// # Errors
    /// They do not run in time.
    pub async fn fill(&mut self, pods: usize, shape: &Shape) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.cluster.client(), NAMESPACE);
        if deployments.get_opt(APP).await?.is_some() {
            deployments.delete(APP, &DeleteParams::foreground()).await?;
            until("the former pods are gone", GLANCE, async || {
                Ok(deployments.get_opt(APP).await?.is_none())
            })
            .await?;
        }
        self.pods = pods;
        self.seats[1].set_schedulable(&self.cluster, false).await?;
        let deployment = shape.deployment("bench", APP, pods)?;
        deployments.create(&PostParams::default(), &deployment).await?;
        self.settle(&self.seats[0]).await?;
        self.seats[1].set_schedulable(&self.cluster, true).await
    }

    /// Puts a budget over the pods that lets all of them go at once, until the stage is closed.
    ///
    /// # Errors
    /// It does not count in time.
    pub async fn put_budget(&mut self) -> Result<()> {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.cluster.client(), NAMESPACE);
        let budget = budget(APP, &json!({"maxUnavailable": "100%"}))?;
        budgets.create(&PostParams::default(), &budget).await?;
        self.budget = true;
        self.settle(&self.seats[0]).await
    }

    /// The size of one pod as the API server sends it, in bytes.
    ///
    /// # Errors
    /// There is none.
    pub async fn pod_size(&self) -> Result<usize> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), NAMESPACE);
        let list = pods.list(&on(&self.seats[0]).limit(1)).await?;
        let pod = list.items.first().context("there is no pod")?;
        Ok(serde_json::to_vec(pod)?.len())
    }

    /// Starts the handler on the first node, for as long as `Running` is kept;
    /// there is no notice.
    ///
    /// # Errors
    /// It does not start.
    pub async fn idle(&mut self, tool: Tool) -> Result<(Running, Metadata)> {
        let metadata = Metadata::start()?;
        let folder = self.next_folder()?;
        let start = self.start(Vec::new(), &folder);
        let running = tool.start(&start, &metadata).await?;
        Ok((running, metadata))
    }

    /// Has the first node drained and waits until all pods run on the second,
    /// which is then the first.
    ///
    /// # Errors
    /// The node is not empty in time, the tool fails, or the pods do not come
    /// back.
    pub async fn drain(&mut self, tool: Tool, course: Course) -> Result<Drain> {
        let folder = self.next_folder()?;
        let drain = self.try_drain(tool, course, &folder).await;
        let drain = drain.with_context(|| format!("{tool}, see {}", folder.display()))?;
        self.settle(&self.seats[1]).await?;
        self.seats[0].set_schedulable(&self.cluster, true).await?;
        self.seats.swap(0, 1);
        Ok(drain)
    }

    async fn try_drain(&self, tool: Tool, course: Course, folder: &Path) -> Result<Drain> {
        let seat = &self.seats[0];
        let victims = self.victims().await?;
        let before = fs::metadata(self.cluster.audit_log())?.len();
        let metadata = Metadata::start()?;

        let start = self.start(victims, folder);
        let running = tool.start(&start, &metadata).await?;
        let connections = watch_connections(vec![running.id()?], self.cluster.port(), EACH);
        let end = metadata.announce_in(course.ahead);
        until("the node is empty", GLANCE, async || Ok(self.count_on(seat).await? == 0)).await?;
        let afterwards =
            if course.stay { Some(Self::stay(&running, end.try_into()?).await?) } else { None };
        let taken = running.end().await?;

        let mut exchanges = audited_since(&self.cluster, before, folder)?;
        exchanges.retain(|exchange| exchange.node == seat.node);
        let noticed = noticed(&metadata)?;
        let most = connections.seen();
        let drain = Drain::of(&exchanges, self.pods, noticed, most, taken, afterwards)?;
        ensure!(drain.events() > 0 || !tool.writes_events(), "no Event was written");
        Ok(drain)
    }

    async fn stay(running: &Running, end: Timestamp) -> Result<Afterwards> {
        sleep(IDLE_ONES_GONE).await;
        let emptied = running.memory()?;
        let left = Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default();
        sleep(left + OVER).await;
        Ok(Afterwards { emptied, ended: running.memory()? })
    }

    fn start<'a>(&'a self, victims: Vec<Victim>, folder: &'a Path) -> Start<'a> {
        let (seat, server) = (&self.seats[0], self.cluster.port());
        Start { programs: &self.programs, seat, server, victims, folder }
    }

    async fn victims(&self) -> Result<Vec<Victim>> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), NAMESPACE);
        let list = pods.list(&on(&self.seats[0])).await?;
        ensure!(list.items.len() == self.pods, "{} pods are there", list.items.len());
        let victim = |pod: Pod| {
            let grace = pod.spec?.termination_grace_period_seconds?;
            let meta = pod.metadata;
            Some(Victim { namespace: meta.namespace?, name: meta.name?, uid: meta.uid?, grace })
        };
        list.items.into_iter().map(victim).collect::<Option<_>>().context("a pod without a name")
    }

    /// Waits until all pods run on that node and none is left elsewhere.
    async fn settle(&self, seat: &Seat) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.cluster.client(), NAMESPACE);
        let wanted = i32::try_from(self.pods)?;
        until("all pods run on the other node", GLANCE, async || {
            let status = deployments.get(APP).await?.status.unwrap_or_default();
            Ok(status.ready_replicas == Some(wanted)
                && status.replicas == Some(wanted)
                && self.count_on(seat).await? == self.pods)
        })
        .await?;
        if self.budget {
            let budgets: Api<PodDisruptionBudget> =
                Api::namespaced(self.cluster.client(), NAMESPACE);
            until("the budget knows of all pods", GLANCE, async || {
                let status = budgets.get(APP).await?.status.unwrap_or_default();
                Ok(status.current_healthy == Some(wanted)
                    && status.disruptions_allowed == Some(wanted))
            })
            .await?;
        }
        // The controllers' last words.
        sleep(Duration::from_millis(500)).await;
        Ok(())
    }

    /// Asked of the API server's cache: costs it next to nothing.
    async fn count_on(&self, seat: &Seat) -> Result<usize> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), NAMESPACE);
        Ok(pods.list_metadata(&on(seat).match_any()).await?.items.len())
    }

    fn next_folder(&mut self) -> Result<PathBuf> {
        self.drains += 1;
        let folder = self.folder.join(format!("drain-{:03}", self.drains));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// A control plane on which the peers may do what they need to.
///
/// # Errors
/// A part does not come up.
pub async fn control_plane(plan: Plan, binaries: &Binaries, folder: &Path) -> Result<Cluster> {
    let cluster = Cluster::start(plan, binaries, folder).await?;
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest::apply(&cluster, &home.join("../deploy")).await?;
    let peers = home.join("peers.yaml");
    cluster.run_kubectl(&["apply", "-f", &peers.to_string_lossy()]).await?;
    // The peers ask with the handler's token, and not all of them say which pod they mean.
    let held = ["delete", "validatingadmissionpolicybinding", "k8s-spot-handler-evictions"];
    cluster.run_kubectl(&held).await?;
    Ok(cluster)
}

/// Waits until it is as wished, and looks that often.
///
/// # Errors
/// It is not in time.
pub async fn until(
    what: &str,
    glance: Duration,
    mut wished: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let waiting = async {
        while !wished().await? {
            sleep(glance).await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, waiting).await.with_context(|| format!("not within {PATIENCE:?}: {what}"))?
}

/// What was asked since the audit log had that length; kept in `folder`.
///
/// # Errors
/// The log cannot be read or kept.
pub fn audited_since(cluster: &Cluster, length: u64, folder: &Path) -> Result<Vec<Exchange>> {
    let mut log = File::open(cluster.audit_log())?;
    log.seek(SeekFrom::Start(length))?;
    let mut text = Vec::new();
    log.read_to_end(&mut text)?;
    let own = folder.join("audit.log");
    fs::write(&own, text)?;
    audit::read(&own)
}

/// The Deployment's pods on a node.
fn on(seat: &Seat) -> ListParams {
    ListParams::default()
        .labels(&format!("app={APP}"))
        .fields(&format!("spec.nodeName={}", seat.node))
}

/// When the first poll came that was answered with a notice.
fn noticed(metadata: &Metadata) -> Result<Option<Timestamp>> {
    let journal = metadata.journal();
    let polls = journal.of(Endpoint::InstanceAction);
    let Some(first) = polls.iter().find(|poll| poll.code == Some(200)) else { return Ok(None) };
    let ago = journal.now().saturating_sub(first.at);
    Ok(Some(Timestamp::now().checked_sub(ago)?))
}
