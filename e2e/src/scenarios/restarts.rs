//! The handler ends, is killed, or loses its token.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::json;
use tokio::time::sleep;

use super::{AHEAD, ALL_MARKS, marks};
use crate::cluster::audit::Exchange;
use crate::diary::{exclusion, is_cordoned, taint};
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// Killed in the middle and started again: the drain is taken up.
pub async fn killed(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 40, &Shape { exits_after: 5, ..Shape::default() }).await?;
    let guarded = Shape { grace: 3, ..Shape::default() };
    scene.deployment("guarded", 3, &guarded).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    scene.asked("an eviction is accepted", an_eviction).await?;
    handler.kill().await?;

    let mut handler = scene.handler(&[])?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    for pod in scene.of("guarded") {
        let row = table.of(scene.name(), &pod.name())?;
        ensure!(row.outcome == "deleted", "{}: {}", pod.name(), row.outcome);
    }
    ensure!(scene.remembered().await?["cordoned"] == true, "it forgot that it cordoned the node");
    handler.stop(SOON).await
}

/// Killed after the drain and started again under the same notice: what came
/// to the node meanwhile is not drained for it a second time.
pub async fn killed_after_the_end(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 3, &Shape::default()).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(15).await?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    sleep(scene.time_left() + Duration::from_secs(3)).await;
    handler.kill().await?;
    scene.place("after", &Shape { tolerant: true, ..Shape::default() }).await?;

    let handler = scene.polling_handler(&[]).await?;
    sleep(Duration::from_secs(5)).await;
    let untouched = scene.of("after").iter().all(|pod| pod.ending.is_none());
    ensure!(untouched, "the same notice was drained for twice");
    handler.stop(SOON).await
}

/// SIGTERM with nothing to do.
pub async fn terminated_idle(scene: &mut Scene) -> Result<()> {
    scene.pod("web", &Shape::default()).await?;
    let handler = scene.polling_handler(&[]).await?;
    // It ends within a second; two more for a busy machine.
    handler.stop(Duration::from_secs(3)).await?;
    let written = scene.exchanges()?.iter().filter(|one| one.verb != "get").count();
    ensure!(written == 0, "{written} requests beyond reading, without a notice");
    Ok(())
}

/// A start with nothing to do: the Node is read once, for what an earlier
/// process may have left. Nothing is written, and nothing is asked after that.
pub async fn cold(scene: &mut Scene) -> Result<()> {
    scene.pod("web", &Shape::default()).await?;
    let before = scene.node().await?;
    let handler = scene.polling_handler(&ALL_MARKS).await?;
    scene.asked("the Node is read", |all| !all.is_empty()).await?;
    sleep(Duration::from_secs(15)).await;
    handler.stop(SOON).await?;
    let asked = scene.exchanges()?;
    let [only] = asked.as_slice() else { bail!("{} requests without a notice", asked.len()) };
    ensure!((only.verb.as_str(), only.resource.as_str()) == ("get", "nodes"), "asked: {only}");
    ensure!(scene.node().await?.metadata.annotations == before.metadata.annotations, "annotated");
    Ok(())
}

/// Started again with other settings: marks that are not wanted any more are
/// taken back, though the notice stands.
pub async fn other_settings(scene: &mut Scene) -> Result<()> {
    let mut handler = scene.polling_handler(&ALL_MARKS).await?;
    scene.schedule(marks::CODE, marks::AHEAD).await?;
    marks::marked(scene).await?;
    handler.kill().await?;
    let handler = scene.handler(&[])?;
    let cordon_only = |node: &_| {
        is_cordoned(node) && taint(node, marks::KEY).is_none() && exclusion(node).is_none()
    };
    scene.node_is("the node is cordoned, and no more", cordon_only).await?;
    marks::call_off(scene).await?;
    scene.given_back().await?;
    handler.stop(SOON).await
}

/// Started again with the notice's kind switched off: the node is given back.
pub async fn switched_off(scene: &mut Scene) -> Result<()> {
    let mut handler = scene.polling_handler(&ALL_MARKS).await?;
    scene.schedule(marks::CODE, marks::AHEAD).await?;
    marks::marked(scene).await?;
    handler.kill().await?;
    let handler = scene.handler(&[("ENABLE_SCHEDULED_EVENT_DRAINING", "false")])?;
    scene.given_back().await?;
    handler.stop(SOON).await
}

/// SIGTERM in a drain: it goes on, and ends when the work is done.
pub async fn terminated_draining(scene: &mut Scene) -> Result<()> {
    let slow = Shape { grace: 10, exits_after: 4, ..Shape::default() };
    scene.deployment("web", 3, &slow).await?;
    let critical = Shape { priority_class: Some("system-cluster-critical"), ..slow.clone() };
    scene.pods("critical", 2, &critical).await?;
    scene.deployment("guarded", 2, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(30).await?;
    scene.asked("an eviction is accepted", an_eviction).await?;
    handler.signal_term()?;

    scene.emptied().await?;
    let status = handler.ended(SOON).await?;
    ensure!(status.success(), "the handler ended with {status}");
    let table = handler.verdicts(1, SOON).await?;
    let (evicted, deleted) =
        (table.count(scene.name(), "evicted"), table.count(scene.name(), "deleted"));
    ensure!((evicted, deleted) == (5, 2), "{}", table.summary);
    Ok(())
}

/// SIGTERM with little time: shortly before the kubelet's patience is over the
/// rest is handed over, and the next handler carries it through.
pub async fn handed_over(scene: &mut Scene) -> Result<()> {
    scene.deployment("guarded", 3, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    scene.handler_pod_with_grace(8).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    scene.asked("the budget refuses", |all| all.iter().any(Exchange::refused_by_budget)).await?;
    handler.signal_term()?;
    // Beyond 8 s the kubelet would kill it.
    let status = handler.ended(Duration::from_secs(8)).await?;
    ensure!(status.success(), "the handler ended with {status}");
    let table = handler.verdicts(1, SOON).await?;
    let handed_over = table.count(scene.name(), "handed over");
    ensure!(handed_over == 3, "{handed_over} of 3 handed over; {}", table.summary);
    ensure!(scene.is_cordoned().await?, "the marks did not stay");

    let mut next = scene.handler(&[])?;
    scene.emptied().await?;
    let table = next.verdicts(1, SOON).await?;
    ensure!(table.count(scene.name(), "deleted") == 3, "{}", table.summary);
    next.stop(SOON).await
}

/// The token is worth nothing any more in the middle of the drain; some time
/// later there is another one in the file.
pub async fn token_rotated(scene: &mut Scene) -> Result<()> {
    let shape = Shape { grace: 2, ..Shape::default() };
    scene.deployment("web", 3, &shape).await?;
    scene.deployment("guarded", 3, &shape).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(50).await?;
    scene.asked("an eviction is accepted", an_eviction).await?;
    scene.replace_handler_pod().await?;
    // The server believes a token for ten seconds after it has checked it.
    handler.says(&["401"], SOON).await?;
    scene.renew_token().await?;
    scene.drop_budget("guarded").await?;

    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == 6, "{evicted} of 6 pods evicted; {}", table.summary);
    handler.stop(SOON).await
}

fn an_eviction(all: &[Exchange]) -> bool {
    all.iter().any(|one| one.is_eviction() && one.accepted())
}
