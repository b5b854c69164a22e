//! Many pods, and nothing in the way.

use anyhow::{Result, ensure};

use super::AHEAD;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// Requests besides one for each pod: the Node twice read and twice changed,
/// the watch, and one to spare.
const BESIDES: usize = 6;

/// All pods of a Deployment are evicted, each with one request.
pub async fn drained(scene: &mut Scene, count: usize) -> Result<()> {
    scene.deployment("web", count, &Shape::default()).await?;
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    scene.emptied().await?;

    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == count, "{evicted} of {count} pods evicted; {}", table.summary);
    let exchanges = scene.exchanges()?;
    let refused = exchanges.iter().filter(|exchange| !exchange.accepted()).count();
    ensure!(refused == 0, "{refused} requests were refused");
    ensure!(exchanges.len() <= count + BESIDES, "{} requests for {count} pods", exchanges.len());
    handler.stop(SOON).await
}
