//! The place of one scenario: a node that is going to die, a spare one, a
//! namespace, a metadata service, and somebody who watches.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::cluster::audit::{self, Exchange};
use crate::cluster::{Binaries, Cluster, GLANCE};
use crate::handler::Handler;
use crate::manifest;
use crate::metadata::MetadataMock;
use crate::witness::{Sighting, Witness};
use crate::workload::{Shape, budget, typed};

/// For what should happen at once, on a busy machine.
pub const SOON: Duration = Duration::from_mins(1);

/// What a scene stands on.
#[derive(Clone)]
pub struct Ground {
    /// The control plane.
    pub cluster: Arc<Cluster>,
    /// The programs, the metadata mock among them.
    pub binaries: Binaries,
    /// The program under test.
    pub handler: PathBuf,
    /// Where the scenes' folders go.
    pub folder: PathBuf,
}

/// See the module.
pub struct Scene {
    name: String,
    ground: Ground,
    folder: PathBuf,
    handlers: usize,
    token_file: PathBuf,
    tokens: Mutex<Vec<String>>,
    handler_pod: Pod,
    deadline: Option<Timestamp>,
    /// The metadata service.
    pub metadata: MetadataMock,
    /// What really happens on the node.
    pub witness: Witness,
}

impl Scene {
    /// Makes node, namespace and the handler's pod with its token.
    ///
    /// # Errors
    /// A part does not come up.
    pub async fn open(ground: &Ground, name: &str) -> Result<Self> {
        let folder = ground.folder.join(name);
        fs::create_dir_all(&folder)?;
        let client = ground.cluster.client();
        create_namespace(&ground.cluster, name).await?;
        create_node(&ground.cluster, &node(name, name)?).await?;
        let witness = Witness::start(client.clone(), name);
        let handler_pod = manifest::handler_pod(&ground.cluster, name).await?;
        let scene = Self {
            name: name.to_owned(),
            ground: ground.clone(),
            handlers: 0,
            token_file: folder.join("token"),
            tokens: Mutex::default(),
            handler_pod,
            deadline: None,
            metadata: MetadataMock::start(&ground.binaries, &folder).await?,
            witness,
            folder,
        };
        scene.write_token(&manifest::token(client, &scene.handler_pod).await?)?;
        Ok(scene)
    }

    /// Of node and namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its control plane.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.ground.cluster
    }

    /// The handler's pod on the node, the one its token is bound to.
    #[must_use]
    pub fn handler_pod(&self) -> &Pod {
        &self.handler_pod
    }

    /// When the instance was last announced to end.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    // What is there.

    /// Creates an object in the scene's namespace.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn create<K>(&self, object: &K) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let api: Api<K> = Api::namespaced(self.cluster().client(), &self.name);
        api.create(&PostParams::default(), object)
            .await
            .with_context(|| format!("creating {} {:?}", K::kind(&()), object.meta().name))
    }

    /// A Deployment whose pods all run on the node before this returns.
    ///
    /// # Errors
    /// They do not run within a minute.
    pub async fn deployment(&self, app: &str, replicas: usize, shape: &Shape) -> Result<()> {
        self.create(&shape.deployment(&self.name, app, replicas)?).await?;
        self.ready(app, replicas).await
    }

    /// Pods without a controller, `APP-0` and so on, on the node, past the
    /// scheduler. They run before this returns.
    ///
    /// # Errors
    /// They do not run within a minute.
    pub async fn pods(&self, app: &str, count: usize, shape: &Shape) -> Result<()> {
        for index in 0..count {
            let mut pod = shape.pod(&self.name, app, &self.name)?;
            pod.metadata.name = Some(format!("{app}-{index}"));
            self.create(&pod).await?;
        }
        self.ready(app, count).await
    }

    /// One pod of that name, on the node, past the scheduler. It runs before
    /// this returns.
    ///
    /// # Errors
    /// It does not run within a minute.
    pub async fn pod(&self, name: &str, shape: &Shape) -> Result<()> {
        self.place(name, shape).await?;
        self.ready(name, 1).await
    }

    /// Like [`Scene::pod`], and returns as soon as the pod was seen there.
    ///
    /// # Errors
    /// The API server refuses it, or it is not seen within a minute.
    pub async fn place(&self, name: &str, shape: &Shape) -> Result<()> {
        let uid = self.create(&shape.pod(&self.name, name, &self.name)?).await?.metadata.uid;
        let seen = |all: &[Sighting]| all.iter().any(|pod| Some(pod.uid()) == uid);
        self.witness.until("the pod is seen", SOON, seen).await?;
        Ok(())
    }

    /// Waits until that many pods labelled `app: APP` run on the node.
    ///
    /// # Errors
    /// They do not within a minute.
    pub async fn ready(&self, app: &str, count: usize) -> Result<()> {
        let what = format!("{count} pods of {app} run on {}", self.name);
        self.witness
            .until(&what, SOON, |all| {
                let ready = |pod: &&Sighting| {
                    pod.namespace() == self.name && label(pod, "app") == Some(app) && pod.is_ready()
                };
                all.iter().filter(ready).count() == count
            })
            .await?;
        Ok(())
    }

    /// A budget over the pods of `app`; it counts before this returns. Where
    /// there is no disruption controller it allows nothing.
    ///
    /// # Errors
    /// It does not count within a minute.
    pub async fn budget(&self, app: &str, limit: Value) -> Result<()> {
        let created = self.create(&budget(app, &limit)?).await?;
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.cluster().client(), &self.name);
        if !self.cluster().plan().controllers {
            let status = json!({"status": {
                "observedGeneration": created.metadata.generation, "disruptionsAllowed": 0,
                "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1,
            }});
            api.patch_status(app, &PatchParams::default(), &Patch::Merge(status)).await?;
            return Ok(());
        }
        let waiting = async {
            loop {
                let status = api.get(app).await?.status;
                if status.is_some_and(|status| {
                    status.expected_pods > Some(0) && status.current_healthy == status.expected_pods
                }) {
                    return anyhow::Ok(());
                }
                sleep(GLANCE).await;
            }
        };
        timeout(SOON, waiting).await.with_context(|| format!("budget {app} does not count"))?
    }

    /// Takes a budget away.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn drop_budget(&self, app: &str) -> Result<()> {
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.cluster().client(), &self.name);
        api.delete(app, &DeleteParams::default()).await?;
        Ok(())
    }

    /// A second node, where pods of the scene find a new home. Opened after
    /// the first is filled.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn open_spare(&self) -> Result<()> {
        let name = format!("{}-spare", self.name);
        create_node(self.cluster(), &node(&name, &self.name)?).await
    }

    /// The node as it is.
    ///
    /// # Errors
    /// The API server does not give it.
    pub async fn node(&self) -> Result<Node> {
        Ok(Api::all(self.cluster().client()).get(&self.name).await?)
    }

    /// Whether the node is cordoned.
    ///
    /// # Errors
    /// The API server does not give the node.
    pub async fn is_cordoned(&self) -> Result<bool> {
        let spec = self.node().await?.spec;
        Ok(spec.and_then(|spec| spec.unschedulable).unwrap_or(false))
    }

    /// What the handler noted on the node.
    ///
    /// # Errors
    /// There is no such note, or it is not JSON.
    pub async fn remembered(&self) -> Result<Value> {
        let annotations = self.node().await?.metadata.annotations.unwrap_or_default();
        let note = annotations.get("k8s-spot-handler/state").context("no note on the node")?;
        Ok(serde_json::from_str(note)?)
    }

    // The handler.

    /// Starts the handler with the shipped environment and these variables
    /// besides.
    ///
    /// # Errors
    /// It does not start.
    pub fn handler(&mut self, more: &[(&str, &str)]) -> Result<Handler> {
        self.handlers += 1;
        let mut environment = manifest::environment(&self.handler_pod)?;
        let port = self.cluster().port().to_string();
        let authority = self.cluster().authority();
        let url = self.metadata.url();
        let own = [
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", &port),
            ("TOKEN_FILE", text(&self.token_file)?),
            ("CA_FILE", text(&authority)?),
            ("INSTANCE_METADATA_URL", &url),
        ];
        for (name, value) in own.iter().chain(more) {
            environment.retain(|(known, _)| known != name);
            environment.push(((*name).to_owned(), (*value).to_owned()));
        }
        let name = format!("handler-{}", self.handlers);
        Handler::start(&self.ground.handler, &environment, &self.folder, &name)
    }

    /// Starts the handler and waits until it polls.
    ///
    /// # Errors
    /// It does not.
    pub async fn polling_handler(&mut self, more: &[(&str, &str)]) -> Result<Handler> {
        let mut handler = self.handler(more)?;
        handler.says(&["Polling"], SOON).await?;
        Ok(handler)
    }

    /// Announces the end of the instance, `seconds` ahead.
    ///
    /// # Errors
    /// The metadata mock does not start.
    pub async fn announce(&mut self, seconds: u32) -> Result<Timestamp> {
        let deadline = self.expect_end_in(seconds)?;
        self.metadata.announce("terminate", deadline).await?;
        Ok(deadline)
    }

    /// Notes a deadline, for those that announce it in another way.
    ///
    /// # Errors
    /// The time is out of range.
    pub fn expect_end_in(&mut self, seconds: u32) -> Result<Timestamp> {
        let end = Timestamp::now().checked_add(Duration::from_secs(seconds.into()))?;
        let deadline = Timestamp::from_second(end.as_second())?;
        self.deadline = Some(deadline);
        Ok(deadline)
    }

    /// Gives the handler a new pod on the node, as a rolling update does; the
    /// token of the old one is then worth nothing. The file is not written.
    ///
    /// # Errors
    /// The API server refuses, or no new pod comes.
    pub async fn replace_handler_pod(&mut self) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(self.cluster().client(), manifest::NAMESPACE);
        let name = self.handler_pod.metadata.name.clone().unwrap_or_default();
        api.delete(&name, &DeleteParams::default().grace_period(0)).await?;
        let before = self.handler_pod.metadata.uid.clone();
        self.handler_pod = manifest::handler_pod(self.cluster(), &self.name).await?;
        ensure!(self.handler_pod.metadata.uid != before, "the handler's pod was not replaced");
        Ok(())
    }

    /// Gives the handler a pod of its own making, for which the kubelet would
    /// have so many seconds of patience, and its token.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn handler_pod_with_grace(&mut self, seconds: u32) -> Result<()> {
        let client = self.cluster().client();
        self.handler_pod = manifest::create_pod(client, &self.name, Some(seconds)).await?;
        self.renew_token().await
    }

    /// Writes a token of the handler's pod of now into the file, as the
    /// kubelet does: whole or not at all.
    ///
    /// # Errors
    /// The API server gives none.
    pub async fn renew_token(&self) -> Result<()> {
        let token = manifest::token(self.cluster().client(), &self.handler_pod).await?;
        self.write_token(&token)
    }

    fn write_token(&self, token: &str) -> Result<()> {
        let whole = self.folder.join("token.new");
        fs::write(&whole, token)?;
        fs::rename(&whole, &self.token_file)?;
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).push(token.to_owned());
        Ok(())
    }

    // What happened.

    /// The scene's own pods that were ever on the node.
    #[must_use]
    pub fn sightings(&self) -> Vec<Sighting> {
        let mut pods = self.witness.pods();
        pods.retain(|pod| pod.namespace() == self.name);
        pods
    }

    /// Those of one app.
    #[must_use]
    pub fn of(&self, app: &str) -> Vec<Sighting> {
        let mut pods = self.sightings();
        pods.retain(|pod| label(pod, "app") == Some(app));
        pods
    }

    /// Waits until all pods of the scene that ever were on the node are gone.
    ///
    /// # Errors
    /// They are not by the deadline; without one, within a minute.
    pub async fn emptied(&self) -> Result<Vec<Sighting>> {
        let patience = if self.deadline.is_some() { self.time_left() } else { SOON };
        let all = self
            .witness
            .until("every pod of the scene is gone", patience, |all| {
                all.iter().filter(|pod| pod.namespace() == self.name).all(|pod| pod.gone.is_some())
            })
            .await?;
        Ok(all.into_iter().filter(|pod| pod.namespace() == self.name).collect())
    }

    /// From now to the deadline.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        let left = self.deadline.map(|end| end.duration_since(Timestamp::now()));
        left.and_then(|left| Duration::try_from(left).ok()).unwrap_or(Duration::ZERO)
    }

    /// What the handlers of this node asked so far.
    ///
    /// # Errors
    /// The audit log cannot be read.
    pub fn exchanges(&self) -> Result<Vec<Exchange>> {
        let mut exchanges = audit::read(&self.cluster().audit_log())?;
        exchanges.retain(|exchange| exchange.node == self.name);
        Ok(exchanges)
    }

    /// The logs of the handlers of this scene.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn logs(&self) -> Result<Vec<String>> {
        let paths = (1..=self.handlers).map(|n| self.folder.join(format!("handler-{n}.log")));
        paths.map(|path| fs::read_to_string(path).context("reading the handler's log")).collect()
    }

    /// Whether a text holds a token that a handler of this scene was given.
    #[must_use]
    pub fn holds_a_token(&self, text: &str) -> bool {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        // The signature alone would be as bad as the whole.
        tokens.iter().any(|token| token.rsplit('.').next().is_some_and(|end| text.contains(end)))
    }

    /// Waits until what the handler asked is as wanted.
    ///
    /// # Errors
    /// It is not within a minute.
    pub async fn asked(&self, what: &str, wanted: impl Fn(&[Exchange]) -> bool) -> Result<()> {
        let waiting = async {
            while !wanted(&self.exchanges()?) {
                sleep(GLANCE).await;
            }
            anyhow::Ok(())
        };
        timeout(SOON, waiting).await.with_context(|| format!("not within {SOON:?}: {what}"))?
    }
}

fn label<'a>(pod: &'a Sighting, name: &str) -> Option<&'a str> {
    pod.pod.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

fn node(name: &str, scene: &str) -> Result<Node> {
    typed(json!({
        "metadata": {"name": name, "labels": {
            "e2e/scene": scene, "kubernetes.io/os": "linux", "kubernetes.io/hostname": name,
        }},
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
async fn create_namespace(cluster: &Cluster, name: &str) -> Result<()> {
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
