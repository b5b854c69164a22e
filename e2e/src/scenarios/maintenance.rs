//! Scheduled maintenance: known long before, and it may be called off.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use super::ALL_MARKS;
use crate::cluster::audit::Exchange;
use crate::diary::is_cordoned;
use crate::scene::{SOON, Scene};
use crate::verdicts::Row;
use crate::workload::Shape;

/// How long before the event the drain begins, in seconds.
const LEAD: u32 = 15;

/// From the announcement to the event: time enough to hear of it before the
/// drain begins.
const ANNOUNCED: u32 = 40;

/// An event of this code: nothing before its lead time, then a drain that is
/// over before the event; when its state is `over`, everything is taken back.
pub async fn planned(scene: &mut Scene, code: &str, over: &str) -> Result<()> {
    scene.deployment("web", 2, &Shape::default()).await?;
    scene.deployment("guarded", 2, &Shape { grace: 3, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let leads = format!("{code}={LEAD}s");
    let mut handler = scene.polling_handler(&[("MAINTENANCE_LEAD_TIMES", &leads)]).await?;
    let from = scene.schedule(code, ANNOUNCED).await?;
    handler.says(&["scheduled maintenance", code, "dealt with in"], SOON).await?;
    scene.emptied().await?;

    let table = handler.verdicts(1, SOON).await?;
    let (evicted, deleted) =
        (table.count(scene.name(), "evicted"), table.count(scene.name(), "deleted"));
    ensure!((evicted, deleted) == (2, 2), "{}", table.summary);
    // A reading of the clock may be off by a fraction of a second.
    let begin = from.checked_sub(Duration::from_secs(u64::from(LEAD) + 1))?;
    for one in scene.exchanges()?.iter().filter(|one| one.received < begin) {
        ensure!((one.verb.as_str(), one.resource.as_str()) == ("get", "nodes"), "early: {one}");
    }
    sleep(scene.time_left() + Duration::from_secs(3)).await;
    ensure!(scene.is_cordoned().await?, "given back while the event stands");

    scene.metadata.schedule(code, over, from).await?;
    scene.given_back().await?;
    handler.stop(SOON).await
}

/// Called off before anything was done: nothing was ever written.
pub async fn canceled_before(scene: &mut Scene) -> Result<()> {
    scene.pod("web", &Shape::default()).await?;
    let code = "system-maintenance";
    let leads = format!("{code}={LEAD}s");
    let mut handler = scene.polling_handler(&[("MAINTENANCE_LEAD_TIMES", &leads)]).await?;
    let from = scene.schedule(code, 120).await?;
    handler.says(&["scheduled maintenance", code, "dealt with in"], SOON).await?;
    scene.metadata.schedule(code, "canceled", from).await?;
    handler.says(&["withdrawn"], SOON).await?;
    handler.stop(SOON).await?;
    let asked = scene.exchanges()?;
    ensure!(asked.len() == 1, "{} requests, with nothing to do", asked.len());
    Ok(())
}

/// Called off in the middle of the drain: who is still there stays.
pub async fn canceled_during(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 2, &Shape { exits_after: 2, ..Shape::default() }).await?;
    guarded(scene).await?;
    let mut handler = scene.polling_handler(&ALL_MARKS).await?;
    let from = scene.schedule("instance-stop", 100).await?;
    refused(scene).await?;
    scene.metadata.schedule("instance-stop", "canceled", from).await?;
    called_off(scene, &mut handler).await?;
    handler.stop(SOON).await
}

/// Planned for a later time in the middle of the drain; then it is in the
/// history, cancelled.
pub async fn moved(scene: &mut Scene) -> Result<()> {
    guarded(scene).await?;
    let settings = [("MAINTENANCE_LEAD_TIMES", "system-reboot=60s")];
    let mut handler = scene.polling_handler(&settings).await?;
    scene.schedule("system-reboot", 50).await?;
    refused(scene).await?;
    let later = scene.schedule("system-reboot", 300).await?;
    handler.says(&["moved to another time", "dealt with in"], SOON).await?;
    called_off(scene, &mut handler).await?;

    scene.metadata.canceled_in_history("system-reboot", later).await?;
    handler.says(&["withdrawn"], SOON).await?;
    handler.stop(SOON).await
}

async fn guarded(scene: &Scene) -> Result<()> {
    scene.deployment("guarded", 2, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await
}

async fn refused(scene: &Scene) -> Result<()> {
    scene.asked("the budget refuses", |all| all.iter().any(Exchange::refused_by_budget)).await?;
    scene.node_is("the node is cordoned", is_cordoned).await?;
    Ok(())
}

async fn called_off(scene: &Scene, handler: &mut crate::handler::Handler) -> Result<()> {
    handler.says(&["the drain is called off: what became"], SOON).await?;
    let table = handler.verdicts(1, SOON).await?;
    // One that was just being asked may have been told to end, for all the handler knows. Whether it was
    // asked at that moment is looked up with every table.
    let off = |row: &&Row| row.outcome == "called off" || row.note.contains("no answer had come");
    ensure!(table.rows_in(scene.name()).filter(off).count() == 2, "{}", table.summary);
    scene.given_back().await?;
    let asked = scene.exchanges()?.len();
    sleep(Duration::from_secs(3)).await;
    let ended = scene.of("guarded").iter().any(|pod| pod.ending.is_some());
    ensure!(!ended, "a pod was ended for what was called off");
    ensure!(scene.exchanges()?.len() == asked, "requests after the end");
    Ok(())
}
