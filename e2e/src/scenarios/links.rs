//! Connections to the API server that end, or seem not to.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::json;

use crate::cluster::Link;
use crate::cluster::audit::Exchange;
use crate::connections::Connections;
use crate::handler::Handler;
use crate::observers::Loss;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// How a connection falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// What is between takes everything and passes nothing on.
    Frozen,
    /// No packet arrives.
    Lost,
}

/// How long a connection may say nothing until another one is used.
const FOUND: Duration = Duration::from_secs(15);

/// How many go at once, at most: the drain takes its time.
const SHARE: usize = 4;

/// The API server sends the handler away now and then, with what is still open going on to its end.
pub async fn sent_away(scene: &mut Scene, count: usize) -> Result<()> {
    scene.deployment("web", count, &Shape { ready_after: 1, ..Shape::default() }).await?;
    scene.budget("web", json!({"maxUnavailable": "25%"})).await?;
    scene.open_spare().await?;
    let handler = scene.polling_handler(&[]).await?;
    scene.announce(120).await?;
    all_evicted(scene, handler, count).await
}

/// Every connection of a drain falls silent for good: others take its place, the watch among them, and
/// no pod is lost.
pub async fn silent(scene: &mut Scene, how: Silence) -> Result<()> {
    let count = 4 * SHARE;
    let shape = Shape { ready_after: 2, ..Shape::default() };
    scene.deployment("web", count, &shape).await?;
    scene.budget("web", json!({"maxUnavailable": SHARE})).await?;
    scene.open_spare().await?;
    let link = Link::open(scene.cluster().port(), Duration::ZERO).await?;
    let port = link.port().to_string();
    let handler = scene.polling_handler(&[("KUBERNETES_SERVICE_PORT", &port)]).await?;
    scene.announce(120).await?;
    let accepted = |one: &&Exchange| one.is_eviction() && one.accepted();
    scene.asked("a part is evicted", |all| all.iter().filter(accepted).count() > SHARE).await?;

    let since = Timestamp::now();
    let _lost = match how {
        Silence::Frozen => {
            link.freeze();
            None
        }
        Silence::Lost => {
            let open = Connections::now()?.of(handler.id()?, link.port());
            Some(Loss::of(&open, link.port())?)
        }
    };
    all_evicted(scene, handler, count).await?;

    let exchanges = scene.exchanges()?;
    // What was on the way may still arrive.
    let from = since.checked_add(Duration::from_millis(500))?;
    let by = since.checked_add(FOUND)?;
    for (what, wanted) in [
        ("an eviction", Exchange::is_eviction as fn(&Exchange) -> bool),
        ("a watch", |one| one.verb == "watch" && one.resource == "pods"),
    ] {
        let mut after = exchanges.iter().filter(|one| wanted(one) && one.received > from);
        let first = after.next().with_context(|| format!("{what} was not asked for any more"))?;
        ensure!(first.received < by, "{what} was asked for {} later", first.received - since);
    }
    Ok(())
}

async fn all_evicted(scene: &Scene, mut handler: Handler, count: usize) -> Result<()> {
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == count, "{evicted} of {count} pods evicted; {}", table.summary);
    handler.stop(SOON).await
}
