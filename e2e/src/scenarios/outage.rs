//! The API server is away for a while.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use crate::observers::Answer;
use crate::scene::{FailurePolicy, Intercepted, SOON, Scene};
use crate::workload::Shape;

const AWAY: Duration = Duration::from_secs(20);

/// How an API server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It is told to: answers what it was asked, and says that it goes.
    Told,
    /// It crashes.
    None,
}

/// It ends while the watch and evictions are open, and is there again at once. A webhook keeps the
/// evictions, until it is given up on: then they are allowed.
pub async fn evictions_open(scene: &mut Scene, farewell: Farewell) -> Result<()> {
    let count = 30;
    scene.pods("web", count, &Shape { exits_after: 2, ..Shape::default() }).await?;
    let webhook =
        scene.webhook(Intercepted::Evictions, Answer::Hang, FailurePolicy::Ignore).await?;
    let tried = webhook.all().len();
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(120).await?;
    webhook.received(tried + OPEN, SOON).await?;
    {
        let mut server = scene.cluster().api_server().await;
        match farewell {
            Farewell::Told => server.terminate().await?,
            Farewell::None => server.kill().await?,
        }
        webhook.answer_otherwise(Answer::Close);
        server.start()?;
        server.wait_until_ready(&scene.cluster().client()).await?;
    }
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == count, "{evicted} of {count} pods evicted; {}", table.summary);
    handler.stop(SOON).await
}

/// So many evictions are under way at least when the server ends.
const OPEN: usize = 10;

/// It goes away in the middle of a drain and comes back.
pub async fn in_the_middle(scene: &mut Scene) -> Result<()> {
    people(scene).await?;
    let handler = scene.polling_handler(&[]).await?;
    scene.announce(90).await?;
    let accepted = |one: &crate::cluster::audit::Exchange| one.is_eviction() && one.accepted();
    scene.asked("an eviction is accepted", |all| all.iter().any(accepted)).await?;
    away(scene).await?;
    carried_through(scene, handler).await
}

/// It is away when the notice comes.
pub async fn from_the_start(scene: &mut Scene) -> Result<()> {
    people(scene).await?;
    let handler = scene.polling_handler(&[]).await?;
    scene.announce(90).await?;
    away(scene).await?;
    carried_through(scene, handler).await
}

async fn people(scene: &Scene) -> Result<()> {
    scene.pods("web", 20, &Shape { exits_after: 8, ..Shape::default() }).await?;
    scene.pods("guarded", 3, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await
}

async fn away(scene: &Scene) -> Result<()> {
    scene.cluster().api_server().await.kill().await?;
    sleep(AWAY).await;
    let mut server = scene.cluster().api_server().await;
    server.start()?;
    server.wait_until_ready(&scene.cluster().client()).await
}

async fn carried_through(scene: &Scene, mut handler: crate::handler::Handler) -> Result<()> {
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    let (evicted, deleted) =
        (table.count(scene.name(), "evicted"), table.count(scene.name(), "deleted"));
    ensure!((evicted, deleted) == (20, 3), "{}", table.summary);
    handler.stop(SOON).await
}
