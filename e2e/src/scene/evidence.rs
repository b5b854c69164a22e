//! What happened in the scene.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::{SOON, Scene, label};
use crate::cluster::GLANCE;
use crate::cluster::audit::{self, Exchange};
use crate::lock;
use crate::manifest::NAME;
use crate::node::PodLog;
use crate::witness::Sighting;

impl Scene {
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

    /// What the handlers of this node asked so far, but for what was not come to as
    /// they may not act as their node.
    ///
    /// # Errors
    /// The audit log cannot be read.
    pub fn exchanges(&self) -> Result<Vec<Exchange>> {
        let mut exchanges = audit::read(&self.cluster().audit_log())?;
        exchanges.retain(|exchange| exchange.node == self.name);
        Ok(exchanges)
    }

    /// All that the handlers of this node asked so far.
    ///
    /// # Errors
    /// The audit log cannot be read.
    pub fn all_exchanges(&self) -> Result<Vec<Exchange>> {
        let mut exchanges = audit::read_all(&self.cluster().audit_log())?;
        exchanges.retain(|exchange| exchange.node == self.name);
        Ok(exchanges)
    }

    /// The logs of the handlers of this scene.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn logs(&self) -> Result<Vec<String>> {
        if let Some(machine) = &self.machine {
            return machine.logs.all(NAME)?.iter().map(PodLog::read).collect();
        }
        let paths = (1..=self.handlers).map(|n| self.folder.join(format!("handler-{n}.log")));
        paths.map(|path| fs::read_to_string(path).context("reading the handler's log")).collect()
    }

    /// From now on this must stand in no log of this scene's handlers. What may be written in more than
    /// one way, escaped or encoded, is given in each.
    pub fn keep_secret(&self, text: &str) {
        lock(&self.secrets).push(text.to_owned());
    }

    /// The secrets of this scene that stand in a text: tokens, what every pod of the tests has in its
    /// environment, and what was given to [`Scene::keep_secret`].
    #[must_use]
    pub fn secrets_in(&self, text: &str) -> Vec<String> {
        let mut told = lock(&self.secrets).clone();
        told.retain(|secret| text.contains(secret.as_str()));
        told
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
