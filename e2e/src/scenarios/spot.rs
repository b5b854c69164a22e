//! Interruptions that are not like the others.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use super::{AHEAD, ALL_MARKS};
use crate::cluster::audit::Exchange;
use crate::diary::is_cordoned;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// Hibernation begins with its notice: everybody is asked at once, whatever the
/// tier, with the least grace, and budgets hold nobody back.
pub async fn hibernate(scene: &mut Scene) -> Result<()> {
    let slow = Shape { exits_after: 25, ..Shape::default() };
    scene.pods("web", 3, &slow).await?;
    let critical = Shape { priority_class: Some("system-node-critical"), ..slow.clone() };
    scene.pods("critical", 2, &critical).await?;
    scene.deployment("guarded", 2, &slow).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    let end = scene.expect_end_in(AHEAD)?;
    scene.expect_end_at_once();
    scene.metadata.announce("hibernate", end).await?;
    handler.says(&["hibernate", "at once", "least grace"], SOON).await?;
    scene.emptied().await?;

    let table = handler.verdicts(1, SOON).await?;
    let (evicted, deleted) =
        (table.count(scene.name(), "evicted"), table.count(scene.name(), "deleted"));
    ensure!((evicted, deleted) == (5, 2), "{}", table.summary);
    for one in scene.exchanges()?.iter().filter(|one| one.is_eviction() || one.is_deletion()) {
        ensure!(one.grace() == Some(1), "more than the least grace: {one}");
    }
    handler.stop(SOON).await
}

/// The instance is stopped and started again: the node is in use again.
pub async fn stopped_and_started(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 3, &Shape::default()).await?;
    let mut handler = scene.polling_handler(&ALL_MARKS).await?;
    let end = scene.expect_end_in(15)?;
    scene.metadata.announce("stop", end).await?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    sleep(scene.time_left() + Duration::from_secs(2)).await;
    ensure!(is_cordoned(&scene.node().await?), "the node is not cordoned at the end");
    handler.kill().await?;

    scene.metadata.quiet().await?;
    scene.reboot()?;
    let mut handler = scene.handler(&ALL_MARKS)?;
    handler.says(&["started anew", "spot-interruption/stop"], SOON).await?;
    scene.given_back().await?;
    handler.stop(SOON).await
}

/// The notice goes away in the middle of the drain. The drain goes on, and the
/// node is given back some time after its end.
pub async fn withdrawn(scene: &mut Scene) -> Result<()> {
    scene.deployment("guarded", 2, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    scene.asked("the budget refuses", |all| all.iter().any(Exchange::refused_by_budget)).await?;
    scene.metadata.quiet().await?;
    handler.says(&["withdrawn", "the drain goes on"], SOON).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    ensure!(table.count(scene.name(), "deleted") == 2, "{}", table.summary);
    sleep(scene.time_left()).await;
    scene.given_back().await?;
    handler.stop(SOON).await
}

/// Marks only: the pods stay, also at the end, and the node is given back once
/// the notice is gone.
pub async fn cordon_only(scene: &mut Scene) -> Result<()> {
    scene.pod("web", &Shape::default()).await?;
    let mut handler = scene.polling_handler(&[("CORDON_ONLY", "true")]).await?;
    scene.announce(12).await?;
    handler.says(&["terminate", "marks on the node only"], SOON).await?;
    scene.node_is("the node is cordoned", is_cordoned).await?;
    sleep(scene.time_left() + Duration::from_secs(2)).await;
    ensure!(scene.is_cordoned().await?, "given back while the notice stands");
    scene.metadata.quiet().await?;
    scene.given_back().await?;
    let pods = scene.exchanges()?.iter().filter(|one| one.resource != "nodes").count();
    ensure!(pods == 0, "{pods} requests about pods");
    handler.stop(SOON).await
}
