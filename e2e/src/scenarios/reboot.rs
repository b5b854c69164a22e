//! The machine is started anew: another boot, and the metadata service may not
//! know yet that the event is over.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;

use crate::diary::is_cordoned;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// When the machine is started anew.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reboot {
    /// When the event is due.
    InTime,
    /// Earlier, by its owner.
    Early,
}

/// A reboot was announced, the node was drained, the machine was started anew.
/// What runs there now is not drained again, though the event is still called
/// active, and the node is given back.
pub async fn announced(scene: &mut Scene, reboot: Reboot) -> Result<()> {
    let (code, ahead) = match reboot {
        Reboot::InTime => ("system-reboot", 20),
        Reboot::Early => ("instance-reboot", 100),
    };
    let tolerant = Shape { tolerant: true, ..Shape::default() };
    scene.deployment("web", 3, &Shape::default()).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    let from = scene.schedule(code, ahead).await?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    scene.node_is("the node is cordoned", is_cordoned).await?;
    if reboot == Reboot::InTime {
        sleep(scene.time_left() + Duration::from_secs(2)).await;
    }
    handler.kill().await?;
    scene.place("after", &tolerant).await?;

    scene.reboot()?;
    let mut handler = scene.handler(&[])?;
    handler.says(&["started anew", code], SOON).await?;
    handler.says(&["dealt with before"], SOON).await?;
    scene.node_is("the node is uncordoned", |node| !is_cordoned(node)).await?;
    // Once more, while the event still stands.
    handler.kill().await?;
    let mut handler = scene.handler(&[])?;
    handler.says(&["dealt with before"], SOON).await?;
    sleep(Duration::from_secs(3)).await;
    ensure!(!scene.is_cordoned().await?, "marked again after the reboot");
    let ended = scene.of("after").iter().any(|pod| pod.ending.is_some());
    ensure!(!ended, "drained again after the reboot");

    scene.metadata.schedule(code, "completed", from).await?;
    scene.given_back().await?;
    handler.stop(SOON).await
}

/// Not every event is over with a reboot: one whose time is yet to come is
/// drained for in the next boot too.
pub async fn unrelated(scene: &mut Scene) -> Result<()> {
    let tolerant = Shape { tolerant: true, ..Shape::default() };
    scene.deployment("web", 2, &Shape::default()).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.schedule("instance-retirement", 100).await?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    handler.kill().await?;
    scene.place("after", &tolerant).await?;

    scene.reboot()?;
    let mut handler = scene.handler(&[])?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    ensure!(scene.is_cordoned().await?, "not cordoned");
    handler.stop(SOON).await
}
