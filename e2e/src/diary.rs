//! Everything that was ever written on one Node, seen by the tests' own watch.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::cluster::GLANCE;
use crate::lock;
use crate::scene::SOON;

/// Follows one Node until it is dropped.
pub struct Diary {
    versions: Arc<Mutex<Vec<Node>>>,
    task: JoinHandle<()>,
}

impl Diary {
    /// Follows that Node.
    #[must_use]
    pub fn start(client: Client, node: &str) -> Self {
        let versions = Arc::new(Mutex::new(Vec::new()));
        let filter = watcher::Config::default().fields(&format!("metadata.name={node}"));
        let task = tokio::spawn(follow(client, filter, Arc::clone(&versions)));
        Self { versions, task }
    }

    /// Every version of it up to this one, in order.
    ///
    /// # Errors
    /// This one is not seen within a minute.
    pub async fn up_to(&self, last: &Node) -> Result<Vec<Node>> {
        let version = last.resource_version();
        let waiting = async {
            loop {
                let versions = lock(&self.versions).clone();
                let end = versions.iter().position(|one| one.resource_version() == version);
                match end {
                    Some(end) => break versions.into_iter().take(end + 1).collect(),
                    None => sleep(GLANCE).await,
                }
            }
        };
        Ok(timeout(SOON, waiting).await?)
    }
}

impl Diary {
    /// Every version of it that was seen so far, in order.
    #[must_use]
    pub fn versions(&self) -> Vec<Node> {
        lock(&self.versions).clone()
    }
}

impl Drop for Diary {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(client: Client, filter: watcher::Config, versions: Arc<Mutex<Vec<Node>>>) {
    let mut events = watcher(Api::<Node>::all(client), filter).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(node) | Event::InitApply(node)) => lock(&versions).push(node),
            Ok(Event::Init | Event::InitDone | Event::Delete(_)) => {}
            // The server is away; the watcher tries again when it is asked.
            Err(_) => sleep(GLANCE).await,
        }
    }
}

/// Whether a Node is cordoned.
#[must_use]
pub fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false)
}

/// The taints of a Node.
#[must_use]
pub fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

/// Its taint with this key.
#[must_use]
pub fn taint<'a>(node: &'a Node, key: &str) -> Option<&'a Taint> {
    taints(node).iter().find(|taint| taint.key == key)
}

/// Takes a node out of external load balancers.
pub const EXCLUSION: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The value of the label [`EXCLUSION`].
#[must_use]
pub fn exclusion(node: &Node) -> Option<&str> {
    node.labels().get(EXCLUSION).map(String::as_str)
}

/// What the handler noted on the Node.
#[must_use]
pub fn note(node: &Node) -> Option<&str> {
    node.annotations().get("k8s-spot-handler/state").map(String::as_str)
}

/// Whether the handler noted on the Node that it has come so far with a notice: `open`, `drained` or
/// `over`.
#[must_use]
pub fn has_noted(node: &Node, progress: &str) -> bool {
    let state = note(node).and_then(|note| serde_json::from_str::<Value>(note).ok());
    let notices = state.as_ref().and_then(|state| state["notices"].as_array());
    notices.is_some_and(|all| all.iter().any(|notice| notice["progress"] == progress))
}

/// Whether nothing of the handler's is left on a Node.
#[must_use]
pub fn is_given_back(node: &Node) -> bool {
    let ours = |taint: &Taint| taint.key.starts_with("aws-node-termination-handler/");
    !is_cordoned(node)
        && !taints(node).iter().any(ours)
        && exclusion(node).is_none()
        && note(node).is_none()
}
