//! Many pods, and nothing in the way.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::connections::watch_connections;
use crate::observers::Front;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// Requests besides one for each pod: the Node twice read and twice changed, and
/// one to spare. Watches are not counted: a busy server ends them as it likes.
const BESIDES: usize = 5;

/// How often connections are counted.
const GLANCE: Duration = Duration::from_millis(200);

/// The most connections that a drain takes: nodes are reclaimed by the hundred, and each of their
/// connections costs the API server a handshake.
const FEW: u64 = 3;

/// The same where a connection has no room for more than one request at a time.
const FEW_OVER_HTTP1: u64 = 8;

/// All pods of a Deployment are evicted, each with one request, over few connections.
pub async fn drained(scene: &mut Scene, count: usize) -> Result<()> {
    let most = drained_with(scene, count, &[]).await?;
    ensure!(most <= FEW, "{most} connections at once");
    Ok(())
}

/// The same through a proxy that ends TLS and speaks only HTTP/1.1.
pub async fn over_http1(scene: &mut Scene, count: usize) -> Result<()> {
    let front = Front::start(scene.folder(), scene.cluster().port()).await?;
    let port = front.port().to_string();
    let authority = front.authority().to_str().context("a path that is not UTF-8")?;
    let settings = [("KUBERNETES_SERVICE_PORT", &*port), ("CA_FILE", authority)];
    let most = drained_with(scene, count, &settings).await?;
    ensure!(most <= FEW_OVER_HTTP1, "{most} connections at once");
    Ok(())
}

/// Gives the most connections to the API server that there were at once.
async fn drained_with(scene: &mut Scene, count: usize, more: &[(&str, &str)]) -> Result<u64> {
    scene.deployment("web", count, &Shape::default()).await?;
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(more).await?;
    let port = more.iter().find(|(name, _)| *name == "KUBERNETES_SERVICE_PORT");
    let port = port.map_or(Ok(scene.cluster().port()), |(_, port)| port.parse())?;
    let connections = watch_connections(vec![handler.id()?], port, GLANCE);
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
    handler.stop(SOON).await?;
    let most = connections.seen();
    ensure!(most > 0, "no connection was seen");
    Ok(most)
}
