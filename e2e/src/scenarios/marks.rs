//! What is written on the Node, and when nothing is.

use anyhow::{Result, ensure};
use serde_json::json;

use super::AHEAD;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// Somebody else cordoned the node before: that is remembered.
pub async fn already_cordoned(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 3, &Shape::default()).await?;
    scene.cluster().run_kubectl(&["cordon", scene.name()]).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    let remembered = scene.remembered().await?;
    ensure!(remembered["cordoned"] == false, "it remembers {remembered}");
    ensure!(scene.is_cordoned().await?, "the node is not cordoned any more");
    handler.stop(SOON).await
}

/// A dry run writes nothing and says what a budget would refuse.
pub async fn dry_run(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 3, &Shape::default()).await?;
    scene.deployment("guarded", 2, &Shape::default()).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let before = scene.node().await?;
    let mut handler = scene.polling_handler(&[("DRY_RUN", "true")]).await?;
    scene.announce(20).await?;

    let table = handler.verdicts(1, SOON).await?;
    let would = table.count(scene.name(), "would be evicted");
    ensure!(would == 3, "{would} of 3 would be evicted; {}", table.summary);
    let budget = format!("{}/guarded", scene.name());
    for pod in scene.of("guarded") {
        let row = table.of(scene.name(), &pod.name())?;
        ensure!(row.outcome == "would be refused", "{}: {}", pod.name(), row.outcome);
        ensure!(row.note.contains(&budget), "{}: the note is {:?}", pod.name(), row.note);
    }
    for one in scene.exchanges()? {
        let reads = matches!(one.verb.as_str(), "get" | "list" | "watch");
        ensure!(reads || one.dry_run(), "written in a dry run: {one}");
    }
    let after = scene.node().await?;
    ensure!(before.spec == after.spec, "the node was changed");
    ensure!(before.metadata.annotations == after.metadata.annotations, "the node was annotated");
    ensure!(scene.sightings().iter().all(|pod| pod.ending.is_none()), "a pod was ended");
    handler.stop(SOON).await
}
