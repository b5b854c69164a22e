//! The Auto Scaling group takes the instance out of service.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use crate::cluster::audit::Exchange;
use crate::metadata::Lifecycle;
use crate::scene::{SOON, Scene};
use crate::witness::Sighting;
use crate::workload::Shape;

/// There is time, so each budget has its say: one lets its pods go one by one,
/// the other none. Then the group wants the instance after all.
pub async fn out_of_service_and_back(scene: &mut Scene) -> Result<()> {
    let web = 4;
    let shape = Shape { grace: 2, ready_after: 1, ..Shape::default() };
    scene.deployment("web", web, &shape).await?;
    scene.budget("web", json!({"maxUnavailable": 1})).await?;
    scene.deployment("guarded", 2, &shape).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    scene.open_spare().await?;
    scene.metadata.lifecycle(Lifecycle::InService).await?;
    let settings = [("ENABLE_ASG_LIFECYCLE_DRAINING", "true"), ("VERBOSE", "1")];
    let mut handler = scene.polling_handler(&settings).await?;
    handler.says(&["target-lifecycle-state: 200"], SOON).await?;
    sleep(Duration::from_secs(2)).await;
    ensure!(!scene.is_cordoned().await?, "marked in service");

    scene.metadata.lifecycle(Lifecycle::Terminated).await?;
    handler.says(&["Auto Scaling group will terminate the instance"], SOON).await?;
    let gone = |all: &[Sighting]| {
        all.iter().filter(|pod| pod.name().starts_with("web") && pod.gone.is_some()).count() == web
    };
    scene.witness.until("web is gone", SOON, gone).await?;
    ensure!(scene.is_cordoned().await?, "not cordoned");

    scene.metadata.lifecycle(Lifecycle::InService).await?;
    handler.says(&["withdrawn", "called off"], SOON).await?;
    let table = handler.verdicts(1, SOON).await?;
    let (evicted, stay) =
        (table.count(scene.name(), "evicted"), table.count(scene.name(), "called off"));
    ensure!((evicted, stay) == (web, 2), "{}", table.summary);
    scene.given_back().await?;
    ensure!(!scene.exchanges()?.iter().any(Exchange::is_deletion), "a pod was deleted");
    ensure!(scene.of("guarded").iter().all(|pod| pod.ending.is_none()), "a guarded pod was ended");
    handler.stop(SOON).await
}

/// The time that the group gives is counted from when it was first heard of,
/// also by a process that is started in the middle of it.
pub async fn restarted(scene: &mut Scene) -> Result<()> {
    scene.pods("guarded", 2, &Shape { grace: 3, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": 2})).await?;
    let settings = [("ENABLE_ASG_LIFECYCLE_DRAINING", "true"), ("ASG_LIFECYCLE_WINDOW", "40s")];
    let mut handler = scene.polling_handler(&settings).await?;
    scene.metadata.lifecycle(Lifecycle::Terminated).await?;
    handler.says(&["taken as 40 s from now"], SOON).await?;
    scene.expect_end_in(40)?;
    scene.asked("the budget refuses", |all| all.iter().any(Exchange::refused_by_budget)).await?;
    sleep(Duration::from_secs(20)).await;
    handler.kill().await?;
    let mut handler = scene.handler(&settings)?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    handler.stop(SOON).await
}
