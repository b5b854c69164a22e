//! Many pods, and nothing in the way.

use anyhow::{Result, ensure};

use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// Requests besides one for each pod: the Node twice read and twice changed, and
/// one to spare. Watches are not counted: a busy server ends them as it likes.
const BESIDES: usize = 5;

/// All pods of a Deployment are evicted, each with one request.
pub async fn drained(scene: &mut Scene, count: usize) -> Result<()> {
    scene.deployment("web", count, &Shape::default()).await?;
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(&[]).await?;
    // As EC2 gives it: on a busy machine nobody's own time is near.
    scene.announce(120).await?;
    scene.emptied().await?;

    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == count, "{evicted} of {count} pods evicted; {}", table.summary);
    let exchanges = scene.exchanges()?;
    let refused = exchanges.iter().filter(|exchange| !exchange.accepted()).count();
    ensure!(refused == 0, "{refused} requests were refused");
    let requests = exchanges.iter().filter(|exchange| exchange.verb != "watch").count();
    ensure!(requests <= count + BESIDES, "{requests} requests for {count} pods");
    handler.stop(SOON).await
}
