//! One cell: a node with pods, a handler behind relays, a notice, and a fault on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use simulator::{Endpoint, Metadata};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::pace::Pace;
use super::table::{Cell, GUARDED, Step};
use crate::cluster::audit::{Exchange, Follower};
use crate::cluster::{Cluster, GLANCE};
use crate::diary::{Diary, is_cordoned, is_given_back};
use crate::handler::Handler;
use crate::lock;
use crate::manifest;
use crate::metadata::whole_seconds;
use crate::relay::fault::{Lasting, Trouble};
use crate::relay::journal::Entry;
use crate::relay::{Ends, Relay, Rules};
use crate::scene::{SOON, create_namespace, create_node};
use crate::witness::{Sighting, Witness};
use crate::workload::{Shape, budget, typed};

/// What all cells share.
pub struct Ground {
    /// The control plane.
    pub cluster: Cluster,
    /// The handler.
    pub program: PathBuf,
    /// A peer, if one is to be looked at, too.
    pub peer: Option<PathBuf>,
    /// A folder for each.
    pub folder: PathBuf,
    /// Before the API server.
    pub ends: Ends,
    /// How many are set up at a time.
    pub builders: Semaphore,
    /// Of the control plane.
    pub pace: Pace,
    /// What the API server was asked.
    pub audit: AuditLog,
}

/// The API server's log, each line of it read once.
pub struct AuditLog(Mutex<(Follower, BTreeMap<String, Vec<Exchange>>)>);

impl AuditLog {
    /// That in this file.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self(Mutex::new((Follower::of(path), BTreeMap::new())))
    }

    /// What was asked from that node until now; only once.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_node(&self, node: &str) -> Result<Vec<Exchange>> {
        let mut log = lock(&self.0);
        let (follower, by_node) = &mut *log;
        for exchange in follower.more()?.into_iter().filter(|one| !one.refuses_the_node()) {
            by_node.entry(exchange.node.clone()).or_default().push(exchange);
        }
        Ok(by_node.remove(node).unwrap_or_default())
    }
}

/// Who drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The handler.
    Handler,
    /// The peer.
    Peer,
}

/// What has happened.
pub struct Played {
    /// Which cell.
    pub cell: Cell,
    /// Of node, namespace and folder.
    pub name: String,
    /// The announced end.
    pub deadline: Timestamp,
    /// When it was announced.
    pub announced: Timestamp,
    /// The UID of the handler's own pod.
    pub own_uid: String,
    /// The handler's log.
    pub log: String,
    /// What it asked of the API server.
    pub asked: Vec<Entry>,
    /// What became of the pods.
    pub sightings: Vec<Sighting>,
    /// Whether the node was ever cordoned.
    pub cordoned: bool,
    /// Whether nothing of the handler's is left on it.
    pub given_back: bool,
    /// How many requests have met the fault.
    pub met: usize,
    /// Whether the process has lived, and ended well when it was told to.
    pub lived: Result<()>,
    /// Whether the control plane was slow meanwhile.
    pub was_slow: bool,
}

/// Pods that nothing stands in the way of.
const FREE: [&str; 2] = ["web-0", "web-1"];

/// The marks of an interruption stay so long after it was withdrawn.
const LINGERS: Duration = Duration::from_secs(30);

/// The longest until they are taken back after that, where nothing goes wrong.
const AT_ONCE: Duration = Duration::from_secs(6);

/// The same where a patch of the Node hangs, which is given up after 35 seconds.
const AFTER_A_TIMEOUT: Duration = Duration::from_secs(55);

/// What the handler says when it begins to.
const TAKES_BACK: &str = "what was done for it is taken back";

/// For an answer to get from the relay to the handler.
const SETTLED: Duration = Duration::from_millis(300);

impl Played {
    /// The pods of the cell.
    pub fn pods(&self) -> impl Iterator<Item = &Sighting> {
        self.sightings.iter().filter(|pod| pod.namespace() == self.name)
    }
}

/// Plays it.
///
/// # Errors
/// It could not be set up.
pub async fn play(ground: &Ground, who: Who, cell: Cell, name: String) -> Result<Played> {
    let builder = ground.builders.acquire().await?;
    ground.pace.quick().await;
    let stage = Stage::open(ground, who, cell, name).await.context("setting it up")?;
    drop(builder);

    let (announced, since) = (Timestamp::now(), Instant::now());
    stage.trouble.arm();
    if cell.step == Step::ImdsToken {
        stage.metadata.expire_tokens();
    }
    let end = announced.checked_add(Duration::from_millis(500) + cell.ahead())?;
    let deadline = Timestamp::from_second(end.as_second())?;
    stage.metadata.announce("stop", &whole_seconds(deadline));
    sleep(left(deadline, Duration::from_secs(1))).await;
    stage.metadata.clear();
    let late = if cell.lasting == Lasting::ForEver { AT_ONCE } else { AFTER_A_TIMEOUT };
    let given_back = match who {
        Who::Handler => {
            sleep(left(deadline, LINGERS)).await;
            stage.given_back(late).await?
        }
        Who::Peer => false,
    };

    stage.witness.catch_up(SOON).await?;
    let played = Played {
        cell,
        name: stage.name.clone(),
        deadline,
        announced,
        own_uid: stage.handler_pod.metadata.uid.clone().unwrap_or_default(),
        log: stage.handler.log()?,
        asked: stage.relay.journal().entries(),
        sightings: stage.witness.pods(),
        cordoned: stage.diary.versions().iter().any(is_cordoned),
        given_back,
        met: stage.trouble.met(),
        lived: Ok(()),
        was_slow: ground.pace.was_slow(since),
    };
    stage.trouble.end();
    let lived = stage.close(ground, who).await;
    Ok(Played { lived, ..played })
}

/// From now to so long after that.
fn left(time: Timestamp, after: Duration) -> Duration {
    let until = time.checked_add(after).unwrap_or(time);
    Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default()
}

struct Stage {
    name: String,
    metadata: Metadata,
    trouble: Arc<Trouble>,
    relay: Relay,
    /// Before the metadata service.
    _metadata_relay: Relay,
    witness: Witness,
    diary: Diary,
    handler_pod: Pod,
    handler: Handler,
}

/// Nothing goes wrong.
struct AllIsWell;

impl Rules for AllIsWell {
    fn course(&self, _: &crate::relay::Passing) -> crate::relay::Course {
        crate::relay::Course::Pass
    }
}

impl Stage {
    async fn open(ground: &Ground, who: Who, cell: Cell, name: String) -> Result<Self> {
        let cluster = &ground.cluster;
        let folder = ground.folder.join(&name);
        fs::create_dir_all(&folder)?;
        create_namespace(cluster, &name).await?;
        create_node(cluster, &node(&name)?).await?;
        let client = cluster.client();
        let (witness, diary) = (Witness::start(client.clone(), &name), Diary::start(client, &name));
        let handler_pod = manifest::handler_pod(cluster, &name).await?;
        let token = folder.join("token");
        fs::write(&token, manifest::token(cluster.client(), &handler_pod).await?)?;
        workload(cluster, &name, cell).await?;
        let ready = |pod: &&Sighting| pod.namespace() == name && pod.is_ready();
        let all = |pods: &[Sighting]| pods.iter().filter(ready).count() == FREE.len() + 1;
        witness.until("the pods run", SOON, all).await?;

        let metadata = Metadata::start()?;
        let trouble = Arc::new(Trouble::new(cell.fault, cell.lasting, move |it| cell.step.is(it)));
        let rules = Arc::clone(&trouble) as Arc<dyn Rules>;
        let well = Arc::new(AllIsWell) as Arc<dyn Rules>;
        let [for_server, for_metadata] =
            if cell.step.is_at_metadata() { [well, rules] } else { [rules, well] };
        let relay = Relay::open(ground.ends.clone(), for_server).await?;
        let port = metadata.url().rsplit(':').next().context("no port")?.parse()?;
        let metadata_relay = Relay::open(Ends::plain(port), for_metadata).await?;

        let mut environment = manifest::environment(&handler_pod)?;
        for (key, value) in [
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1".to_owned()),
            ("KUBERNETES_SERVICE_PORT", relay.port().to_string()),
            ("TOKEN_FILE", token.display().to_string()),
            ("CA_FILE", cluster.authority().display().to_string()),
            ("INSTANCE_METADATA_URL", format!("http://127.0.0.1:{}", metadata_relay.port())),
            ("EMIT_KUBERNETES_EVENTS", "true".to_owned()),
        ] {
            environment.retain(|(known, _)| known != key);
            environment.push((key.to_owned(), value));
        }
        let handler = match (who, &ground.peer) {
            (Who::Peer, Some(peer)) => {
                let credentials = [token.as_path(), &cluster.authority()];
                Handler::start_peer(peer, &environment, credentials, &folder)?
            }
            _ => Handler::start(&ground.program, &environment, None, &folder, "handler")?,
        };
        let mut stage = Self {
            name,
            metadata,
            trouble,
            relay,
            _metadata_relay: metadata_relay,
            witness,
            diary,
            handler_pod,
            handler,
        };
        stage.started(who).await?;
        Ok(stage)
    }

    /// Waits until it polls, and has read its Node.
    async fn started(&mut self, who: Who) -> Result<()> {
        let (polls, asked) = (self.metadata.journal(), self.relay.journal());
        let read = |entry: &Entry| Step::ReadNode.is(&entry.request) && entry.status == Some(200);
        let waiting = async {
            while polls.count(Endpoint::InstanceAction) == 0
                || who == Who::Handler && !asked.entries().iter().any(read)
            {
                self.handler.check_running()?;
                sleep(GLANCE).await;
            }
            anyhow::Ok(())
        };
        timeout(SOON, waiting).await.context("it does not poll, or not read its Node")??;
        // And has the answer.
        sleep(SETTLED).await;
        Ok(())
    }

    /// Whether nothing of the handler's is left on the node within that time after it began to take it back.
    async fn given_back(&self, time: Duration) -> Result<bool> {
        let is_given_back = || self.diary.versions().last().is_some_and(is_given_back);
        let begun = async {
            while !is_given_back() && !self.handler.log()?.contains(TAKES_BACK) {
                sleep(GLANCE).await;
            }
            anyhow::Ok(())
        };
        timeout(SOON, begun)
            .await
            .context("the handler does not see that the notice is over")??;
        let waiting = async {
            while !is_given_back() {
                sleep(GLANCE).await;
            }
        };
        Ok(timeout(time, waiting).await.is_ok())
    }

    /// Ends the handler, and takes the node away: kwok has enough of them.
    async fn close(mut self, ground: &Ground, who: Who) -> Result<()> {
        let ended = match who {
            Who::Handler => self.handler.stop(Duration::from_secs(20)).await,
            Who::Peer => {
                let lives = self.handler.check_running();
                self.handler.kill().await?;
                lives
            }
        };
        let client = ground.cluster.client();
        let nodes: Api<Node> = Api::all(client.clone());
        nodes.delete(&self.name, &DeleteParams::default()).await?;
        let pods: Api<Pod> = Api::namespaced(client, manifest::NAMESPACE);
        let own = self.handler_pod.metadata.name.unwrap_or_default();
        pods.delete(&own, &DeleteParams::default().grace_period(0)).await?;
        ended
    }
}

fn node(name: &str) -> Result<Node> {
    typed(json!({"metadata": {"name": name, "labels": {
        "kubernetes.io/os": "linux", "kubernetes.io/hostname": name,
    }}}))
}

/// Two pods that may be evicted, and one whose time is up half-way.
async fn workload(cluster: &Cluster, name: &str, cell: Cell) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), name);
    let free = Shape { grace: 3, exits_after: 1, ..Shape::default() };
    let guarded = Shape { grace: cell.guarded_grace(), ..free.clone() };
    for (pod, shape) in FREE.map(|pod| (pod, &free)).into_iter().chain([(GUARDED, &guarded)]) {
        pods.create(&PostParams::default(), &shape.pod(name, pod, name)?).await?;
    }
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(cluster.client(), name);
    let none = budget(GUARDED, &json!({"maxUnavailable": 0}))?;
    let created = budgets.create(&PostParams::default(), &none).await?;
    // There is no disruption controller.
    let status = json!({"status": {
        "observedGeneration": created.metadata.generation, "disruptionsAllowed": 0,
        "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1,
    }});
    budgets.patch_status(GUARDED, &PatchParams::default(), &Patch::Merge(status)).await?;
    ensure!(!cluster.plan().controllers, "a controller would look after the budget");
    Ok(())
}
