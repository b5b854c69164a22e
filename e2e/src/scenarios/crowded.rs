//! A cluster with many pods, of which the node has few.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;

use super::AHEAD;
use crate::cluster::audit::Exchange;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// More than a page, if somebody reads by pages.
const ON_NODE: usize = 60;

/// The Node is read and changed, a watch is tried that the server does not know, the pods are listed
/// and followed. One to spare.
const BEFORE_AN_EVICTION: usize = 6;

/// A server that cannot begin a watch with what is there lists the node's pods from its cache, by the
/// node's name: it costs what the node has, and nothing of what the cluster has.
pub async fn first_set(scene: &mut Scene, elsewhere: usize) -> Result<()> {
    scene.pods("web", ON_NODE, &Shape::default()).await?;
    scene.pods_elsewhere(elsewhere).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    let before = Lists::now(scene).await?;
    scene.announce(AHEAD).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == ON_NODE, "{evicted} of {ON_NODE} pods evicted; {}", table.summary);
    let after = Lists::now(scene).await?;

    let exchanges = scene.exchanges()?;
    let of_pods = |one: &&Exchange| one.verb == "list" && one.resource == "pods";
    let lists: Vec<_> = exchanges.iter().filter(of_pods).collect();
    ensure!(lists.len() == 1, "{} lists of pods, such as {:?}", lists.len(), lists.last());
    let list = lists.first().context("no list")?;
    ensure!(list.accepted(), "{list}");
    ensure!(!list.uri.contains("limit="), "a page is never the cache's: {list}");
    ensure!(list.uri.contains("resourceVersion=0"), "not what the cache has: {list}");

    let first = exchanges.iter().filter(|one| one.is_eviction()).map(|one| one.received).min();
    let first: Timestamp = first.context("no eviction")?;
    let asked = exchanges.iter().filter(|one| one.received < first).count();
    ensure!(asked <= BEFORE_AN_EVICTION, "{asked} requests before the first eviction");

    let from_etcd = after.from_etcd - before.from_etcd;
    ensure!(from_etcd == 0, "{from_etcd} pods were read from etcd");
    let from_cache = after.from_cache - before.from_cache;
    // The list, and the watch that follows it.
    ensure!(from_cache <= 3 * ON_NODE, "{from_cache} pods were looked at");
    handler.stop(SOON).await
}

/// How many pods the server has looked at for lists since its start.
#[derive(Clone, Copy, Debug)]
struct Lists {
    from_etcd: usize,
    from_cache: usize,
}

impl Lists {
    async fn now(scene: &Scene) -> Result<Self> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let page = scene.cluster().client().request_text(request).await?;
        let of = |storage: &str| -> Result<usize> {
            let wanted = format!("storage=\"{storage}\"");
            let lines = page.lines().filter(|line| {
                line.starts_with("apiserver_storage_list_fetched_objects_total{")
                    && line.contains("resource=\"pods\"")
                    && line.contains(&wanted)
            });
            // From a million on it is written as `1.2e+06`, and so many there are not.
            let values = lines.map(|line| line.rsplit(' ').next().unwrap_or_default());
            Ok(values.map(str::parse::<usize>).sum::<Result<usize, _>>()?)
        };
        let (from_etcd, from_cache) = (of("etcd")?, of("watchcache")?);
        // The tests themselves have listed pods.
        ensure!(from_cache > 0, "the server does not say what it has looked at");
        Ok(Self { from_etcd, from_cache })
    }
}
