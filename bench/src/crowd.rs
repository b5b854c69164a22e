//! Many nodes that get the same notice: each with a Deployment of its own, which moves to a second
//! node and with the next notice back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::{Binaries, Cluster, Plan};
use e2e::connections::watch_connections;
use e2e::workload::Shape;
use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, PostParams};
use simulator::Metadata;
use tokio::time::sleep;

use crate::cpu;
use crate::drain::is_cordon;
use crate::fairness::Fairness;
use crate::seat::Seat;
use crate::stage::{NAMESPACE, NEAR, audited_since, control_plane, until};
use crate::tool::{Programs, Running, Start, Tool};

/// See the module.
pub struct Crowd {
    cluster: Cluster,
    programs: Programs,
    folder: PathBuf,
    places: Vec<Place>,
    size: Size,
    drains: usize,
}

/// How many nodes there are, and how many pods on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Nodes with pods; there are as many without.
    pub nodes: usize,
    /// On each.
    pub pods: usize,
}

struct Place {
    /// Of the Deployment.
    app: String,
    /// The first one has the pods.
    seats: [Seat; 2],
}

/// What came of one notice for all.
#[derive(Clone, Copy, Debug)]
pub struct Exodus {
    /// From the first cordon to the answer that accepted the last eviction, in seconds.
    pub evicting: f64,
    /// All requests of all.
    pub requests: usize,
    /// How many of them were told to come later.
    pub put_off: usize,
    /// How many pods were deleted and not evicted.
    pub deleted: usize,
    /// How many pods went without having been told to by their handler.
    pub lost: usize,
    /// How many requests of handlers, and of others like them, had a seat.
    pub seated: f64,
    /// How many the API server refused for want of one.
    pub rejected: f64,
    /// How long the others had waited for it, in milliseconds, the mean.
    pub waited: f64,
    /// The most seats that they had at once, seen once a second, and the most that nodes could have had.
    pub seats: f64,
    /// The same.
    pub limit: f64,
    /// The most connections to the API server that all had together.
    pub connections: u64,
    /// What the API server used from the notice until all nodes were empty, in seconds.
    pub server: f64,
    /// The memory of all together, after that, in KiB: `RssAnon` and `VmHWM`.
    pub anonymous: u64,
    /// The same.
    pub peak: u64,
    /// What their cgroups were charged at most, added up, if they have any.
    pub charged: Option<u64>,
}

impl Size {
    /// The one whose figures are compared with those of earlier states.
    pub const DEFAULT: Self = Self { nodes: 40, pods: 25 };
}

const PLAN: Plan = Plan { name: "bench-crowd", ..NEAR };

/// As EC2 gives it.
const AHEAD: Duration = Duration::from_mins(2);
/// Counting costs processor time, which is short.
const EACH: Duration = Duration::from_millis(100);
/// The same goes for asking the API server.
const GLANCE: Duration = Duration::from_secs(1);

impl Crowd {
    /// Starts the control plane, makes the nodes and fills half of them.
    ///
    /// # Errors
    /// A part does not come up.
    pub async fn open(
        size: Size,
        binaries: &Binaries,
        programs: Programs,
        folder: &Path,
    ) -> Result<Self> {
        let folder = &folder.join(PLAN.name);
        let cluster = control_plane(PLAN, binaries, folder).await?;
        let places =
            try_join_all((0..size.nodes).map(|n| Place::take(&cluster, n, folder))).await?;
        let folder = folder.to_owned();
        let crowd = Self { cluster, programs, folder, places, size, drains: 0 };
        crowd.schedulable(1, false).await?;
        let deployments: Api<Deployment> = Api::namespaced(crowd.cluster.client(), NAMESPACE);
        for place in &crowd.places {
            let deployment = Shape::default().deployment(&place.app, &place.app, size.pods)?;
            deployments.create(&PostParams::default(), &deployment).await?;
        }
        crowd.settle(0).await?;
        crowd.schedulable(1, true).await?;
        Ok(crowd)
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

    /// Gives all nodes with pods the notice at once, each with that tool, and waits until all pods run
    /// on the others.
    ///
    /// # Errors
    /// A node is not empty in time, a tool fails, or the pods do not come back.
    pub async fn drain(&mut self, tool: Tool) -> Result<Exodus> {
        self.drains += 1;
        let folder = self.folder.join(format!("drain-{:03}", self.drains));
        let exodus = self.try_drain(tool, &folder).await;
        let exodus = exodus.with_context(|| format!("{tool}, see {}", folder.display()))?;
        self.settle(1).await?;
        self.schedulable(0, true).await?;
        self.places.iter_mut().for_each(|place| place.seats.swap(0, 1));
        Ok(exodus)
    }

    async fn try_drain(&self, tool: Tool, folder: &Path) -> Result<Exodus> {
        let before = fs::metadata(self.cluster.audit_log())?.len();
        let leaving = self.pods().await?;
        let all = self.start(tool, folder).await?;
        let ids = all.iter().map(|(running, _)| running.id()).collect::<Result<Vec<_>>>()?;
        let connections = watch_connections(ids, self.cluster.port(), EACH);
        let server = self.cluster.api_server().await.id().context("the API server has ended")?;

        let client = self.cluster.client();
        let fair = Fairness::now(&client).await?;
        let (mut seats, mut limit) = (0.0_f64, 0.0_f64);
        let used = cpu::used(server)?;
        for (_, metadata) in &all {
            metadata.announce_in(AHEAD);
        }
        until("all nodes are empty", GLANCE, async || {
            let fair = Fairness::now(&client).await?;
            (seats, limit) = (seats.max(fair.seats), limit.max(fair.limit));
            let now = self.pods().await?;
            Ok(!leaving.iter().any(|pod| now.contains(pod)))
        })
        .await?;
        let used = cpu::used(server)? - used;
        let fair_after = Fairness::now(&client).await?;

        let (mut anonymous, mut peak) = (0, 0);
        for (running, _) in &all {
            let memory = running.memory()?;
            anonymous += memory.anonymous;
            peak += memory.peak;
        }
        let taken = try_join_all(all.into_iter().map(|(running, _)| running.end())).await?;

        let mut exchanges = audited_since(&self.cluster, before, folder)?;
        exchanges.retain(|one| self.places.iter().any(|place| place.seats[0].node == one.node));
        let first = exchanges.iter().filter(|one| is_cordon(one)).map(|one| one.answered).min();
        let accepted = exchanges.iter().filter(|one| one.is_eviction() && one.accepted());
        let accepted: BTreeMap<&str, Timestamp> =
            accepted.map(|one| (one.name.as_str(), one.answered)).collect();
        let deletions = exchanges.iter().filter(|one| one.is_deletion() && one.accepted());
        let deleted: BTreeSet<&str> = deletions.map(|one| one.name.as_str()).collect();
        let deleted = deleted.iter().filter(|name| !accepted.contains_key(*name)).count();
        let last = accepted.values().max().context("no evictions")?;
        Ok(Exodus {
            deleted,
            lost: leaving.len().saturating_sub(accepted.len() + deleted),
            seated: fair_after.requests - fair.requests,
            rejected: fair_after.rejected - fair.rejected,
            waited: fair_after.mean_wait_since(&fair),
            seats,
            limit,
            evicting: last.duration_since(first.context("no cordon")?).as_secs_f64(),
            requests: exchanges.len(),
            put_off: exchanges.iter().filter(|one| one.code == 429).count(),
            connections: connections.seen(),
            server: used as f64 / 1000.0,
            anonymous,
            peak,
            charged: taken.iter().map(|taken| taken.charged).sum(),
        })
    }

    /// One on each node with pods; all poll when this returns.
    async fn start(&self, tool: Tool, folder: &Path) -> Result<Vec<(Running, Metadata)>> {
        let mut all = Vec::new();
        for place in &self.places {
            let folder = folder.join(&place.app);
            fs::create_dir_all(&folder)?;
            let metadata = Metadata::start()?;
            let start = Start {
                programs: &self.programs,
                seat: &place.seats[0],
                server: self.cluster.port(),
                victims: Vec::new(),
                folder: &folder,
            };
            all.push((tool.start(&start, &metadata).await?, metadata));
        }
        Ok(all)
    }

    /// The UIDs of the Deployments' pods. Asked of the API server's cache.
    async fn pods(&self) -> Result<Vec<String>> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), NAMESPACE);
        let all = pods.list_metadata(&ListParams::default().match_any()).await?;
        Ok(all.items.into_iter().filter_map(|pod| pod.metadata.uid).collect())
    }

    /// Waits until all pods run, each on that seat of its place, and none is left elsewhere.
    async fn settle(&self, seat: usize) -> Result<()> {
        let client = self.cluster.client();
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
        let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
        let wanted = i32::try_from(self.size.pods)?;
        until("all pods run on the other nodes", GLANCE, async || {
            let ready = deployments.list(&ListParams::default()).await?.items.iter().all(|one| {
                one.status.as_ref().is_some_and(|status| status.ready_replicas == Some(wanted))
            });
            Ok(ready && self.pods().await?.len() == self.size.nodes * self.size.pods)
        })
        .await?;
        for place in &self.places {
            let node = &place.seats[seat].node;
            let there = ListParams::default().match_any().fields(&format!("spec.nodeName={node}"));
            let count = pods.list_metadata(&there).await?.items.len();
            ensure!(count == self.size.pods, "{count} pods on {node}");
        }
        // The controllers' last words.
        sleep(GLANCE).await;
        Ok(())
    }

    async fn schedulable(&self, seat: usize, schedulable: bool) -> Result<()> {
        let seats = self.places.iter().map(|place| &place.seats[seat]);
        try_join_all(seats.map(|seat| seat.set_schedulable(&self.cluster, schedulable))).await?;
        Ok(())
    }
}

impl Place {
    async fn take(cluster: &Cluster, number: usize, folder: &Path) -> Result<Self> {
        let app = format!("crowd-{number:03}");
        let [a, b] = ["a", "b"].map(|seat| format!("{app}-{seat}"));
        let seats = [
            Seat::take(cluster, &app, &a, folder).await?,
            Seat::take(cluster, &app, &b, folder).await?,
        ];
        Ok(Self { app, seats })
    }
}
