//! Notices of all forms.

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde_json::json;
use simulator::{Metadata, Version};
use tokio::time::sleep;

use super::AHEAD;
use crate::cluster::audit::Exchange;
use crate::handler::Handler;
use crate::metadata::whole_seconds;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

const PODS: usize = 5;

/// A time in the past: the drain starts at once.
pub async fn in_the_past(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", PODS, &Shape::default()).await?;
    let handler = scene.polling_handler(&[]).await?;
    let past = Timestamp::now().checked_sub(Duration::from_hours(1))?;
    scene.metadata.announce("terminate", past).await?;
    drained(scene, handler).await
}

/// `NOTICE_URL` gives a bare time with a newline behind it.
pub async fn bare_time(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", PODS, &Shape::default()).await?;
    let service = Metadata::start()?;
    service.speak(Version::Both);
    let url = format!("{}/latest/meta-data/spot/termination-time", service.url());
    let handler = scene.polling_handler(&[("NOTICE_URL", &url)]).await?;
    let end = scene.expect_end_in(AHEAD)?;
    service.set("spot/termination-time", format!("{}\n", whole_seconds(end)));
    drained(scene, handler).await
}

/// The document itself ends with a newline.
pub async fn trailing_newline(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", PODS, &Shape::default()).await?;
    let service = Metadata::start()?;
    let handler = scene.polling_handler(&[("INSTANCE_METADATA_URL", &service.url())]).await?;
    let end = whole_seconds(scene.expect_end_in(AHEAD)?);
    let document = format!("{{\"action\": \"stop\",\r\n \"time\": \"{end}\"}}\n\n");
    service.set("spot/instance-action", document);
    drained(scene, handler).await
}

async fn drained(scene: &Scene, mut handler: Handler) -> Result<()> {
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == PODS, "{evicted} of {PODS} pods evicted; {}", table.summary);
    handler.stop(SOON).await
}

/// A notice, its end, and a second one: two drains. While the first stands
/// there is no other.
pub async fn second(scene: &mut Scene) -> Result<()> {
    let shape = Shape { tolerant: true, ..Shape::default() };
    scene.pods("first", PODS, &shape).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(12).await?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;

    // Beyond its end the notice still stands, and nothing happens.
    sleep(scene.time_left() + Duration::from_secs(2)).await;
    scene.pods("second", PODS, &shape).await?;
    sleep(Duration::from_secs(4)).await;
    ensure!(
        scene.of("second").iter().all(|pod| pod.ending.is_none()),
        "drained again for the same notice"
    );

    scene.metadata.quiet().await?;
    handler.says(&["was withdrawn"], SOON).await?;
    scene.announce(25).await?;
    scene.emptied().await?;
    let table = handler.verdicts(2, SOON).await?;
    for pod in scene.of("second") {
        let row = table.of(scene.name(), &pod.name())?;
        ensure!(row.outcome == "evicted", "{}: {}", pod.name(), row.outcome);
    }
    handler.stop(SOON).await
}

/// The same notice with another action is another notice, and drained for
/// without a pause between the two.
pub async fn changed_action(scene: &mut Scene) -> Result<()> {
    let shape = Shape { tolerant: true, ..Shape::default() };
    scene.pods("first", PODS, &shape).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    let end = scene.expect_end_in(12)?;
    scene.metadata.announce("stop", end).await?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    sleep(scene.time_left() + Duration::from_secs(2)).await;
    scene.pods("second", PODS, &shape).await?;

    scene.announce(AHEAD).await?;
    scene.emptied().await?;
    let table = handler.verdicts(2, SOON).await?;
    for pod in scene.of("second") {
        let row = table.of(scene.name(), &pod.name())?;
        ensure!(row.outcome == "evicted", "{}: {}", pod.name(), row.outcome);
    }
    handler.stop(SOON).await
}

/// The announced time moves: earlier is believed, later is not.
pub async fn moved(scene: &mut Scene) -> Result<()> {
    scene.deployment("guarded", 3, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(100).await?;
    scene.asked("an eviction", |all| all.iter().any(Exchange::is_eviction)).await?;
    let end = scene.announce(25).await?;
    sleep(Duration::from_secs(3)).await;
    let later = end.checked_add(Duration::from_mins(1))?;
    scene.metadata.announce("terminate", later).await?;

    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    let deleted = table.count(scene.name(), "deleted");
    ensure!(deleted == 3, "{deleted} of 3 pods deleted; {}", table.summary);
    handler.stop(SOON).await
}
