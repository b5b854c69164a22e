//! What really happened to the pods of one node, seen by the tests' own watch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::cluster::GLANCE;
use crate::lock;

/// One pod, by UID.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// As it was last seen.
    pub pod: Pod,
    /// When it was first seen on the node: its creation may be long before.
    pub seen: Timestamp,
    /// Every `deletionGracePeriodSeconds` that it has had.
    pub graces: Vec<i64>,
    /// When it was first seen with a deletion timestamp.
    pub ending: Option<Timestamp>,
    /// When it was first not there any more.
    pub gone: Option<Timestamp>,
}

impl Sighting {
    /// Namespace and name.
    #[must_use]
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace() == namespace && self.name() == name
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.pod.name_any()
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> String {
        self.pod.namespace().unwrap_or_default()
    }

    /// Its UID.
    #[must_use]
    pub fn uid(&self) -> String {
        self.pod.uid().unwrap_or_default()
    }

    /// The reason of its condition `DisruptionTarget`, if that is true.
    #[must_use]
    pub fn disruption(&self) -> Option<&str> {
        let conditions = self.pod.status.as_ref()?.conditions.as_ref()?;
        conditions
            .iter()
            .find(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True")
            .and_then(|condition| condition.reason.as_deref())
    }

    /// Whether it runs and is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let status = self.pod.status.as_ref();
        self.ending.is_none()
            && status.and_then(|status| status.conditions.as_ref()).is_some_and(|conditions| {
                conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True")
            })
    }
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { graces, ending, gone, .. } = self;
        let time = |time: &Option<Timestamp>| time.map_or("-".to_owned(), |at| at.to_string());
        write!(f, "{}/{} {}", self.namespace(), self.name(), self.uid())?;
        write!(f, " ending {} graces {graces:?} gone {}", time(ending), time(gone))?;
        write!(f, " disruption {:?}", self.disruption())
    }
}

type Book = BTreeMap<String, Sighting>;

/// Follows the pods of one node until it is dropped.
pub struct Witness {
    pods: Api<Pod>,
    selector: String,
    book: Arc<Mutex<Book>>,
    news: watch::Receiver<()>,
    task: JoinHandle<()>,
}

impl Witness {
    /// Follows the pods of `node`, in all namespaces.
    #[must_use]
    pub fn start(client: Client, node: &str) -> Self {
        let book = Arc::new(Mutex::new(Book::new()));
        let (bell, news) = watch::channel(());
        let (pods, selector) = (Api::all(client), format!("spec.nodeName={node}"));
        let filter = watcher::Config::default().fields(&selector);
        let task = tokio::spawn(follow(pods.clone(), filter, Arc::clone(&book), bell));
        Self { pods, selector, book, news, task }
    }

    /// Waits until it has seen the end of every pod that the server does not have any more: of two
    /// watches of a busy server, the handler's may be ahead.
    ///
    /// # Errors
    /// The server does not say, or the ends are not seen within `patience`.
    pub async fn catch_up(&self, patience: Duration) -> Result<()> {
        // Of those only: a node that was given back gets new ones.
        let known: Vec<String> = self.pods().iter().map(Sighting::uid).collect();
        let filter = ListParams::default().fields(&self.selector);
        let there = self.pods.list(&filter).await.context("listing the pods of the node")?;
        let is_there = |uid: &str| there.iter().any(|pod| pod.uid().as_deref() == Some(uid));
        let gone = |pod: &&Sighting| known.contains(&pod.uid()) && !is_there(&pod.uid());
        self.until("the end of every pod that is gone is seen", patience, |all| {
            all.iter().filter(gone).all(|pod| pod.gone.is_some())
        })
        .await?;
        Ok(())
    }

    /// All pods that were ever seen on the node.
    #[must_use]
    pub fn pods(&self) -> Vec<Sighting> {
        lock(&self.book).values().cloned().collect()
    }

    /// Waits until the pods are as wanted, and gives them.
    ///
    /// # Errors
    /// They are not within `patience`.
    pub async fn until(
        &self,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&[Sighting]) -> bool,
    ) -> Result<Vec<Sighting>> {
        let mut news = self.news.clone();
        let waiting = async {
            loop {
                news.borrow_and_update();
                let pods = self.pods();
                if wanted(&pods) {
                    return Ok(pods);
                }
                if news.changed().await.is_err() {
                    bail!("the watch of the tests ended while waiting: {what}");
                }
            }
        };
        match timeout(patience, waiting).await {
            Ok(result) => result,
            Err(_) => bail!("not within {patience:?}: {what}"),
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    pods: Api<Pod>,
    filter: watcher::Config,
    book: Arc<Mutex<Book>>,
    bell: watch::Sender<()>,
) {
    let mut events = watcher(pods, filter).boxed();
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        let mut book = lock(&book);
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(pod)) => {
                listed.push(pod.uid().unwrap_or_default());
                see(&mut book, pod);
            }
            Ok(Event::Apply(pod)) => see(&mut book, pod),
            Ok(Event::InitDone) => {
                for (uid, sighting) in book.iter_mut() {
                    if !listed.contains(uid) {
                        sighting.gone.get_or_insert_with(Timestamp::now);
                    }
                }
            }
            Ok(Event::Delete(pod)) => {
                let uid = pod.uid().unwrap_or_default();
                see(&mut book, pod);
                if let Some(sighting) = book.get_mut(&uid) {
                    sighting.gone.get_or_insert_with(Timestamp::now);
                }
            }
            Err(_) => {
                // The server is away; the watcher tries again when it is asked.
                drop(book);
                sleep(GLANCE).await;
                continue;
            }
        }
        drop(book);
        bell.send_replace(());
    }
}

fn see(book: &mut Book, pod: Pod) {
    let uid = pod.uid().unwrap_or_default();
    let sighting = book.entry(uid).or_insert_with(|| Sighting {
        pod: pod.clone(),
        seen: Timestamp::now(),
        graces: Vec::new(),
        ending: None,
        gone: None,
    });
    if pod.metadata.deletion_timestamp.is_some() {
        sighting.ending.get_or_insert_with(Timestamp::now);
    }
    // kwok removes the object with a grace of 0: that is the end, no order.
    if let Some(grace) = pod.metadata.deletion_grace_period_seconds
        && grace > 0
        && sighting.graces.last() != Some(&grace)
    {
        sighting.graces.push(grace);
    }
    sighting.pod = pod;
}
