//! Pods that tolerate the cordon and come back as often as they are evicted.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::sleep;

use super::{AHEAD, MARGIN};
use crate::cluster::audit::Exchange;
use crate::scene::{SOON, Scene};
use crate::verdicts::Verdicts;
use crate::workload::{Shape, typed};

/// No more generations of an owner's pods are evicted in one drain.
const HANDFUL: usize = 5;

/// In seconds.
const GRACE: u32 = 5;

/// A new pod is seen, and its eviction asked for and answered.
const SLACK: Duration = Duration::from_secs(3);

/// Whether the pods may go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// They may run on this node only.
    Pinned,
    /// They may run on another, which the scheduler likes less.
    Free,
}

/// Before an interruption: a few evictions, with pauses that grow, and who is there at the end is told
/// to end in time.
pub async fn not_hunted(scene: &mut Scene, place: Place) -> Result<()> {
    let count = match place {
        Place::Pinned => 1,
        Place::Free => 2,
    };
    scene.create(&deployment(scene, count, place)?).await?;
    scene.ready("back", count).await?;
    if place == Place::Free {
        scene.open_spare().await?;
        ballast(scene).await?;
    }
    let handler = scene.polling_handler(&[]).await?;
    let end = scene.announce(AHEAD).await?;
    sleep(scene.time_left() + Duration::from_secs(1)).await;

    few(scene, count)?;
    growing(&accepted(scene)?, count)?;
    // The last to be told is the one that is there when its own time is up.
    let own_time = end.checked_sub(MARGIN + Duration::from_secs(GRACE.into()) + SLACK)?;
    for pod in scene.of("back").iter().filter(|pod| pod.seen <= own_time) {
        ensure!(pod.gone.is_some_and(|gone| gone <= end), "{} was left to die", pod.name());
    }
    handler.stop(SOON).await
}

/// A rebalance recommendation has no deadline: after a few evictions they are left alone, and the table
/// says so.
pub async fn left_alone(scene: &mut Scene) -> Result<()> {
    let count = 2;
    scene.create(&deployment(scene, count, Place::Pinned)?).await?;
    scene.ready("back", count).await?;
    let settings = [("ENABLE_REBALANCE_DRAINING", "true"), ("REBALANCE_PATIENCE", "90s")];
    let mut handler = scene.polling_handler(&settings).await?;
    scene.metadata.recommend_rebalance().await?;
    handler.verdicts(1, SOON * 2).await?;
    // The first may have been told between two of them.
    sleep(SLACK).await;

    few(scene, count)?;
    growing(&accepted(scene)?, count)?;
    let exchanges = scene.exchanges()?;
    ensure!(!exchanges.iter().any(Exchange::is_deletion), "a pod was deleted");
    scene.ready("back", count).await?;
    let table = Verdicts::all(&handler.log()?).pop().context("no table")?;
    for pod in scene.of("back").iter().filter(|pod| pod.ending.is_none()) {
        let row = table.of(scene.name(), &pod.name())?;
        ensure!(row.outcome == "left alone", "{}: {} {}", row.pod, row.outcome, row.note);
        ensure!(!row.note.is_empty(), "{}: why is not said", row.pod);
    }
    scene.metadata.quiet().await?;
    scene.given_back().await?;
    handler.stop(SOON).await
}

fn deployment(scene: &Scene, count: usize, place: Place) -> Result<Deployment> {
    let shape = Shape { grace: GRACE, tolerant: true, ..Shape::default() };
    let mut deployment = shape.deployment(scene.name(), "back", count)?;
    if place == Place::Pinned {
        let spec = deployment.spec.template.spec.as_mut().context("no spec")?;
        let selector = spec.node_selector.get_or_insert_default();
        selector.insert("kubernetes.io/hostname".to_owned(), scene.name().to_owned());
    }
    Ok(deployment)
}

/// Half of the spare node is taken: an empty one is liked better.
async fn ballast(scene: &Scene) -> Result<()> {
    let mut pod = serde_json::to_value(Shape::default().pod(
        scene.name(),
        "ballast",
        &format!("{}-spare", scene.name()),
    )?)?;
    let half = json!({"cpu": "500", "memory": "500Gi"});
    pod["spec"]["containers"][0]["resources"] = json!({"requests": half});
    scene.create(&typed::<Pod>(pod)?).await?;
    Ok(())
}

/// When the evictions of its pods were asked for that were accepted, in order.
fn accepted(scene: &Scene) -> Result<Vec<Timestamp>> {
    let mut all: Vec<_> = scene
        .exchanges()?
        .into_iter()
        .filter(|one| one.is_eviction() && one.accepted() && one.name.starts_with("back-"))
        .map(|one| one.received)
        .collect();
    all.sort();
    Ok(all)
}

fn few(scene: &Scene, count: usize) -> Result<()> {
    let evicted = accepted(scene)?.len();
    ensure!(evicted >= count, "{evicted} evictions of {count} pods");
    ensure!(evicted <= count * HANDFUL, "{evicted} evictions of {count} pods that come back");
    Ok(())
}

/// Each pause is as long as the one before, or longer; but for the last: it is cut to the pods' own
/// time. Pods of one generation go together.
fn growing(evictions: &[Timestamp], count: usize) -> Result<()> {
    let generations = evictions.chunks(count).filter_map(|generation| generation.first());
    let times: Vec<_> = generations.copied().collect();
    let pauses: Vec<_> =
        times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64()).collect();
    let uncut = pauses.split_last().map_or(&[][..], |(_, before)| before);
    // kwok and the scheduler are not always equally quick.
    let grow = uncut.windows(2).all(|pair| pair[1] > pair[0] - 1.0);
    ensure!(grow, "the pauses do not grow: {pauses:.1?} s");
    Ok(())
}
