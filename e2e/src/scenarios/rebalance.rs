//! Recommendations to rebalance: the instance may go sooner than others, and
//! may stay.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use super::{ALL_MARKS, MARGIN};
use crate::cluster::audit::Exchange;
use crate::diary::{exclusion, has_noted, is_cordoned, taint, taints};
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

const MONITORING: (&str, &str) = ("ENABLE_REBALANCE_MONITORING", "true");
const DRAINING: (&str, &str) = ("ENABLE_REBALANCE_DRAINING", "true");

/// The taint for it.
const KEY: &str = "aws-node-termination-handler/rebalance-recommendation";

/// The taint for an interruption.
const ITN: &str = "aws-node-termination-handler/spot-itn";

/// How long the marks stay, and how long a drain is tried: no less can be set.
const MINUTE: Duration = Duration::from_mins(1);

/// The node is cordoned for a minute and its pods stay. Then it is in use again
/// though the recommendation still stands, also for the next process.
pub async fn cordoned_for_a_while(scene: &mut Scene) -> Result<()> {
    let settings = [MONITORING, ("REBALANCE_MARK_DURATION", "1m")];
    scene.deployment("web", 2, &Shape::default()).await?;
    let mut handler = scene.polling_handler(&settings).await?;
    scene.metadata.recommend_rebalance().await?;
    scene.node_is("the node is cordoned", is_cordoned).await?;
    handler.says(&["rebalance recommendation", "marks on the node only"], SOON).await?;
    handler.says(&["these marks end by themselves in 60 s"], SOON).await?;
    sleep(MINUTE / 2).await;
    ensure!(scene.is_cordoned().await?, "the marks ended early");
    scene.node_is("the node is uncordoned", |node| !is_cordoned(node)).await?;
    lasted(&scene.exchanges()?)?;

    handler.kill().await?;
    let mut handler = scene.handler(&settings)?;
    handler.says(&["dealt with before"], SOON).await?;
    ensure!(!scene.is_cordoned().await?, "marked again for the same recommendation");
    ensure!(has_noted(&scene.node().await?, "over"), "its end is not remembered");
    scene.metadata.quiet().await?;
    scene.given_back().await?;
    untouched(scene)?;
    handler.stop(SOON).await
}

/// The marks stay for a minute at least.
fn lasted(exchanges: &[Exchange]) -> Result<()> {
    let set = exchanges.iter().find(|one| one.cordons() && one.accepted());
    let ended = exchanges.iter().find(|one| one.uncordons() && one.accepted());
    let (set, ended) = (set.context("no cordon")?, ended.context("no end of it")?);
    // Counted from the notice, a moment before the cordon.
    let least = set.received.checked_add(Duration::from_secs(55))?;
    ensure!(ended.received >= least, "marked {} only", ended.received.duration_since(set.received));
    Ok(())
}

/// A soft taint in the place of the cordon.
pub async fn soft_taint(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 2, &Shape::default()).await?;
    let settings = [MONITORING, ("REBALANCE_MARK", "soft-taint")];
    let handler = scene.polling_handler(&settings).await?;
    scene.metadata.recommend_rebalance().await?;
    let node = scene.node_is("the node is tainted", |node| taint(node, KEY).is_some()).await?;
    ensure!(taint(&node, KEY).is_some_and(|one| one.effect == "PreferNoSchedule"), "{node:?}");
    ensure!(!is_cordoned(&node), "the node is cordoned");
    scene.metadata.quiet().await?;
    let node = scene.given_back().await?;
    ensure!(taints(&node).is_empty(), "taints are left: {:?}", taints(&node));
    untouched(scene)?;
    handler.stop(SOON).await
}

fn untouched(scene: &Scene) -> Result<()> {
    ensure!(scene.sightings().iter().all(|pod| pod.ending.is_none()), "a pod was ended");
    let nodes_only = scene.exchanges()?.iter().all(|one| one.resource == "nodes");
    ensure!(nodes_only, "pods were asked for");
    Ok(())
}

/// A drain for it has no deadline: a budget that allows nothing has the last
/// word, and after a minute it is given up.
pub async fn patience(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 3, &Shape::default()).await?;
    scene.deployment("guarded", 2, &Shape { grace: 3, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(&[DRAINING, ("REBALANCE_PATIENCE", "1m")]).await?;
    scene.metadata.recommend_rebalance().await?;
    handler.says(&["no budget is overridden"], SOON).await?;
    handler.says(&["the time for this drain is over", "the instance stays"], MINUTE * 2).await?;

    let table = handler.verdicts(1, SOON).await?;
    let (evicted, there) =
        (table.count(scene.name(), "evicted"), table.count(scene.name(), "still there"));
    ensure!((evicted, there) == (3, 2), "{}", table.summary);
    let ended = scene.of("guarded").iter().any(|pod| pod.ending.is_some());
    ensure!(!ended, "a guarded pod was ended");
    let exchanges = scene.exchanges()?;
    ensure!(!exchanges.iter().any(Exchange::is_deletion), "a pod was deleted");
    let asked = exchanges.iter().filter(|one| one.is_eviction()).map(|one| one.received);
    let (first, last) = (asked.clone().min(), asked.max());
    let (first, last) = (first.context("no eviction")?, last.context("no eviction")?);
    // The last pause before the end may be a long one.
    let tried = last.duration_since(first).as_secs();
    ensure!(tried >= 45, "tried for {tried} s only");
    ensure!(scene.is_cordoned().await?, "the marks did not stay");

    scene.metadata.quiet().await?;
    scene.given_back().await?;
    handler.stop(SOON).await
}

/// An interruption follows: it takes over the drain. What is gone counts, and
/// what a budget held back is deleted in time.
pub async fn taken_over(scene: &mut Scene) -> Result<()> {
    let grace = 5;
    scene.deployment("web", 3, &Shape::default()).await?;
    scene.deployment("guarded", 2, &Shape { grace, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    scene.open_spare().await?;
    let [taint_node, exclude] = ALL_MARKS;
    let mut handler = scene.polling_handler(&[DRAINING, taint_node, exclude]).await?;
    scene.metadata.recommend_rebalance().await?;
    scene.asked("the budget refuses", |all| all.iter().any(Exchange::refused_by_budget)).await?;
    let gone = |all: &[crate::witness::Sighting]| {
        all.iter().filter(|pod| pod.name().starts_with("web") && pod.gone.is_some()).count() == 3
    };
    scene.witness.until("web is gone", SOON, gone).await?;
    let end = scene.expect_end_in(25)?;
    scene.metadata.recommend_and_announce("terminate", end).await?;
    handler.says(&["another notice takes over the drain", "terminate"], SOON).await?;
    let node = scene.node_is("the taint is another", |node| taint(node, ITN).is_some()).await?;
    ensure!(taint(&node, KEY).is_none(), "both taints stand: {:?}", taints(&node));
    scene.emptied().await?;

    let table = handler.verdicts(1, SOON).await?;
    let (evicted, deleted) =
        (table.count(scene.name(), "evicted"), table.count(scene.name(), "deleted"));
    ensure!((evicted, deleted) == (3, 2), "{}", table.summary);
    let earliest = end.checked_sub(MARGIN + Duration::from_secs(grace.into()))?;
    for one in scene.exchanges()?.iter().filter(|one| one.is_deletion()) {
        ensure!(one.received >= earliest, "deleted before {earliest}: {one}");
    }
    handler.stop(SOON).await
}

/// Softly tainted for a recommendation, then drained for an interruption that
/// does not come: the recommendation still stands, and so does its taint.
pub async fn interrupted(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 2, &Shape::default()).await?;
    let [taint_node, exclude] = ALL_MARKS;
    let settings = [MONITORING, ("REBALANCE_MARK", "soft-taint"), taint_node, exclude];
    let mut handler = scene.polling_handler(&settings).await?;
    scene.metadata.recommend_rebalance().await?;
    let soft = |node: &_| taint(node, KEY).is_some() && !is_cordoned(node);
    scene.node_is("the node is tainted softly", soft).await?;

    let end = scene.expect_end_in(20)?;
    scene.metadata.recommend_and_announce("terminate", end).await?;
    let drained =
        |node: &_| is_cordoned(node) && taint(node, ITN).is_some() && exclusion(node).is_some();
    let node = scene.node_is("the node is marked for the interruption", drained).await?;
    ensure!(taint(&node, KEY).is_none(), "both taints stand: {:?}", taints(&node));
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    sleep(scene.time_left() + Duration::from_secs(1)).await;

    scene.metadata.recommend_rebalance().await?;
    handler.says(&["spot-interruption/terminate was withdrawn"], SOON).await?;
    let node = scene.node_is("the node is tainted softly again", soft).await?;
    ensure!(taint(&node, ITN).is_none() && exclusion(&node).is_none(), "marks are left");
    scene.metadata.quiet().await?;
    scene.given_back().await?;
    handler.stop(SOON).await
}

/// The marks end when they were to end, whoever is restarted meanwhile: the
/// next process keeps the time that the first has noted.
pub async fn restarted(scene: &mut Scene, drained: bool) -> Result<()> {
    scene.deployment("web", 2, &Shape::default()).await?;
    let settings = [if drained { DRAINING } else { MONITORING }];
    let mut handler = scene.polling_handler(&settings).await?;
    scene.metadata.recommend_rebalance().await?;
    if drained {
        scene.emptied().await?;
        handler.verdicts(1, SOON).await?;
    }
    let progress = if drained { "drained" } else { "open" };
    let marked = |node: &_| is_cordoned(node) && has_noted(node, progress);
    scene.node_is("the node is marked", marked).await?;
    let before = scene.remembered().await?;
    ensure!(before["notices"][0]["marksUntil"].is_string(), "no end is noted: {before}");
    handler.kill().await?;

    let mut handler = scene.handler(&settings)?;
    handler.says(&["an earlier process of this handler marked the node"], SOON).await?;
    sleep(Duration::from_secs(3)).await;
    let after = scene.remembered().await?;
    ensure!(after["notices"] == before["notices"], "before {before}, after {after}");
    scene.metadata.quiet().await?;
    scene.given_back().await?;
    handler.stop(SOON).await
}
