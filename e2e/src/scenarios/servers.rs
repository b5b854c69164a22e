//! API servers of another age or another mind.

use anyhow::{Result, ensure};
use serde_json::json;

use super::AHEAD;
use crate::cluster::audit::Exchange;
use crate::handler::Handler;
use crate::rights::Flavour;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// How the first set of pods is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FirstSet {
    /// The watch begins with it.
    Streamed,
    /// The server cannot do that: it is listed, page by page.
    Listed,
}

/// A whole drain: free pods, guarded ones, and one that comes late.
pub async fn whole_drain(scene: &mut Scene, first_set: FirstSet) -> Result<()> {
    let free = 60;
    scene.pods("web", free, &Shape { exits_after: 5, ..Shape::default() }).await?;
    scene.pods("guarded", 3, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    drained(scene, &mut handler, free).await?;
    let listed = scene.exchanges()?.iter().any(|one| one.verb == "list" && one.resource == "pods");
    ensure!(listed == (first_set == FirstSet::Listed), "the first set was listed: {listed}");
    handler.stop(SOON).await
}

/// The drain of so many free pods, three that are guarded, and one that comes
/// late.
async fn drained(scene: &mut Scene, handler: &mut Handler, free: usize) -> Result<()> {
    scene.announce(AHEAD).await?;
    scene.asked("an eviction", |all| all.iter().any(Exchange::is_eviction)).await?;
    scene.place("late", &Shape { tolerant: true, ..Shape::default() }).await?;
    scene.emptied().await?;

    let table = handler.verdicts(1, SOON).await?;
    let (evicted, deleted) =
        (table.count(scene.name(), "evicted"), table.count(scene.name(), "deleted"));
    ensure!((evicted, deleted) == (free + 1, 3), "{}", table.summary);
    Ok(())
}

/// A whole drain by an account that may act only as its own node: the API server
/// refuses it nothing, and was asked nothing in the account's name.
pub async fn confined(scene: &mut Scene) -> Result<()> {
    scene.held(Flavour::Confined, None).await?;
    let free = 40;
    scene.deployment("web", free, &Shape { exits_after: 5, ..Shape::default() }).await?;
    scene.deployment("guarded", 3, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    handler.says(&["requests are made in the name of this node"], SOON).await?;
    drained(scene, &mut handler, free).await?;
    let node = format!("system:node:{}", scene.name());
    let all = scene.all_exchanges()?;
    let other = all.iter().find(|one| one.acting_as.as_ref() != Some(&node) || one.code == 403);
    ensure!(other.is_none(), "{other:?}");
    ensure!(!all.iter().any(|one| one.verb == "list"), "the first set was not streamed");
    handler.stop(SOON).await
}
