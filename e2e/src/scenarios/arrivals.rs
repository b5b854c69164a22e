//! Pods that come after the first set.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::AHEAD;
use crate::cluster::audit::Exchange;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// Pods that tolerate the cordon arrive during the drain, and after the table.
pub async fn late(scene: &mut Scene) -> Result<()> {
    let tolerant = Shape { tolerant: true, ..Shape::default() };
    scene.pod("slow", &Shape { exits_after: 6, ..Shape::default() }).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    scene.asked("an eviction", |all| all.iter().any(Exchange::is_eviction)).await?;

    scene.place("late", &tolerant).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    for name in ["slow", "late"] {
        let row = table.of(scene.name(), name)?;
        ensure!(row.outcome == "evicted", "{name}: {}", row.outcome);
    }

    scene.place("later", &tolerant).await?;
    scene.emptied().await?;
    handler.says(&["later"], SOON).await?;
    handler.stop(SOON).await
}

/// A pod comes back under its old name, as a StatefulSet's does: it is another
/// pod, and it goes too.
pub async fn same_name(scene: &mut Scene) -> Result<()> {
    let tolerant = Shape { tolerant: true, ..Shape::default() };
    scene.pod("slow", &Shape { exits_after: 10, ..Shape::default() }).await?;
    scene.pod("db-0", &tolerant).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    scene
        .witness
        .until("the first db-0 is gone", SOON, |all| {
            all.iter().any(|pod| pod.name() == "db-0" && pod.gone.is_some())
        })
        .await?;
    // kwok deletes by name alone, at times twice: not the new one.
    sleep(Duration::from_secs(2)).await;
    scene.place("db-0", &tolerant).await?;
    scene.emptied().await?;

    let pods = scene.of("db-0");
    ensure!(pods.len() == 2, "db-0 was there {} times", pods.len());
    let exchanges = scene.exchanges()?;
    for pod in pods {
        let uid = pod.uid();
        let evicted = exchanges
            .iter()
            .any(|one| one.is_eviction() && one.accepted() && one.uid_precondition() == Some(&uid));
        ensure!(evicted, "db-0 with UID {uid} was not evicted");
    }
    handler.verdicts(1, SOON).await?;
    handler.stop(SOON).await
}

/// A pod that ends but whose object is held by a finalizer: it stands in the
/// table at the deadline, with the finalizer's name.
pub async fn held(scene: &mut Scene) -> Result<()> {
    let shape = Shape { grace: 5, ..Shape::default() };
    let mut pod = shape.pod(scene.name(), "held", scene.name())?;
    pod.metadata.finalizers = Some(vec!["e2e/hold".to_owned()]);
    scene.create(&pod).await?;
    scene.pod("web", &shape).await?;
    scene.ready("held", 1).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(15).await?;
    let table = handler.verdicts(1, SOON).await?;
    let row = table.of(scene.name(), "held")?;
    ensure!(row.outcome == "still there", "held: {}", row.outcome);
    ensure!(row.note.contains("e2e/hold"), "the note is {:?}", row.note);
    let row = table.of(scene.name(), "web")?;
    ensure!(row.outcome == "evicted", "web: {}", row.outcome);
    handler.stop(SOON).await
}
