//! What runs on the scene's nodes.

use std::fmt::Debug;

use anyhow::{Context, Result};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::node::{create_node, node};
use super::{SOON, Scene, label};
use crate::cluster::GLANCE;
use crate::diary::{is_cordoned, is_given_back, note};
use crate::witness::Sighting;
use crate::workload::{Shape, budget};

impl Scene {
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
        self.budget_of(app, &budget(app, &limit)?).await
    }

    /// The same for a budget of any form, of that name.
    ///
    /// # Errors
    /// It does not count within a minute.
    pub async fn budget_of(&self, name: &str, budget: &PodDisruptionBudget) -> Result<()> {
        let created = self.create(budget).await?;
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.cluster().client(), &self.name);
        if !self.cluster().plan().controllers {
            let status = json!({"status": {
                "observedGeneration": created.metadata.generation, "disruptionsAllowed": 0,
                "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1,
            }});
            api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
            return Ok(());
        }
        let waiting = async {
            loop {
                let status = api.get(name).await?.status;
                if status.is_some_and(|status| {
                    status.expected_pods > Some(0) && status.current_healthy == status.expected_pods
                }) {
                    return anyhow::Ok(());
                }
                sleep(GLANCE).await;
            }
        };
        timeout(SOON, waiting).await.with_context(|| format!("budget {name} does not count"))?
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
        Ok(is_cordoned(&self.node().await?))
    }

    /// Waits until the node is as wanted, and gives it.
    ///
    /// # Errors
    /// It is not within a minute.
    pub async fn node_is(&self, what: &str, wanted: impl Fn(&Node) -> bool) -> Result<Node> {
        let waiting = async {
            loop {
                let node = self.node().await?;
                if wanted(&node) {
                    return anyhow::Ok(node);
                }
                sleep(GLANCE).await;
            }
        };
        timeout(SOON, waiting).await.with_context(|| format!("not within {SOON:?}: {what}"))?
    }

    /// Waits until nothing of the handler's is left on the node.
    ///
    /// # Errors
    /// Something is, after a minute.
    pub async fn given_back(&self) -> Result<Node> {
        self.node_is("the node is given back", is_given_back).await
    }

    /// Runs `kubectl` with these words, of which `NODE` stands for the node.
    ///
    /// # Errors
    /// It failed; the message holds what it said.
    pub async fn kubectl(&self, words: &str) -> Result<()> {
        self.kubectl_says(words).await.map(drop)
    }

    /// The same, and gives what it said.
    ///
    /// # Errors
    /// It failed; the message holds what it said.
    pub async fn kubectl_says(&self, words: &str) -> Result<String> {
        let words: Vec<&str> = words
            .split(' ')
            .map(|word| if word == "NODE" { self.name.as_str() } else { word })
            .collect();
        self.cluster().run_kubectl(&words).await
    }

    /// What the handler noted on the node.
    ///
    /// # Errors
    /// There is no such note, or it is not JSON.
    pub async fn remembered(&self) -> Result<Value> {
        let node = self.node().await?;
        Ok(serde_json::from_str(note(&node).context("no note on the node")?)?)
    }
}
