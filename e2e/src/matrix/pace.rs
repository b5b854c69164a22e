//! How quick the control plane is, by requests of the tests' own. Deadlines are real: a cell begins when it is quick,
//! and one during which it was not says nothing about the handler.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::lock;
use crate::workload::typed;

/// How often it is asked.
const EACH: Duration = Duration::from_millis(250);

/// A write takes no longer where nothing is in its way.
const QUICK: Duration = Duration::from_millis(100);

/// If a write takes so long, those of the handler do, too.
const SLOW: Duration = Duration::from_millis(400);

const NAME: &str = "pace";

/// Asks until it is dropped.
pub struct Pace {
    probes: Arc<Mutex<Vec<Probe>>>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy)]
struct Probe {
    ended: Instant,
    took: Duration,
}

impl Pace {
    /// From now on.
    ///
    /// # Errors
    /// What is written cannot be created.
    pub async fn start(client: Client) -> Result<Self> {
        let maps: Api<ConfigMap> = Api::namespaced(client, "default");
        let map = typed(json!({"metadata": {"name": NAME}}))?;
        maps.create(&PostParams::default(), &map).await.context("creating a ConfigMap")?;
        let probes = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(probe(maps, Arc::clone(&probes)));
        Ok(Self { probes, task })
    }

    /// Waits until it is quick.
    pub async fn quick(&self) {
        while lock(&self.probes).last().is_none_or(|probe| probe.took > QUICK) {
            sleep(EACH).await;
        }
    }

    /// Whether it was slow, or silent, at any time since.
    #[must_use]
    pub fn was_slow(&self, since: Instant) -> bool {
        let probes = lock(&self.probes);
        let of = probes.iter().filter(|probe| probe.ended >= since);
        let silent = probes.last().is_none_or(|probe| probe.ended.elapsed() > SLOW + EACH);
        silent || of.into_iter().any(|probe| probe.took > SLOW)
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn probe(maps: Api<ConfigMap>, probes: Arc<Mutex<Vec<Probe>>>) {
    for count in 0_u64.. {
        let begin = Instant::now();
        let patch = Patch::Merge(json!({"data": {"count": count.to_string()}}));
        // A failure shows by the time that it takes, or nowhere.
        let _ = maps.patch(NAME, &PatchParams::default(), &patch).await;
        let ended = Instant::now();
        lock(&probes).push(Probe { ended, took: ended - begin });
        sleep(EACH).await;
    }
}
