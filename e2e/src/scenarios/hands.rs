//! Hands of others on the marks: what they have changed is theirs, and stays.

use anyhow::{Result, ensure};

use super::ALL_MARKS;
use super::marks::{AHEAD, CODE, KEY, call_off, marked};
use crate::cluster::audit::Exchange;
use crate::diary::{EXCLUSION, exclusion, is_cordoned, is_given_back, note, taint};
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// Somebody cordoned the node before: it stays cordoned.
pub async fn cordoned_before(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 3, &Shape::default()).await?;
    scene.kubectl("cordon NODE").await?;
    let mut handler = scene.polling_handler(&ALL_MARKS).await?;
    scene.schedule(CODE, AHEAD).await?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    marked(scene).await?;
    handler.says(&["cordoned already, by somebody else"], SOON).await?;
    let remembered = scene.remembered().await?;
    ensure!(remembered["cordoned"] == false, "it remembers {remembered}");

    call_off(scene).await?;
    scene.node_is("the note is gone", |node| note(node).is_none()).await?;
    let node = scene.node().await?;
    ensure!(is_cordoned(&node), "the node is not cordoned any more");
    ensure!(taint(&node, KEY).is_none() && exclusion(&node).is_none(), "marks are left");
    handler.stop(SOON).await
}

/// Somebody uncordons the node and cordons it again, for a reason of their own.
pub async fn cordoned_again(scene: &mut Scene) -> Result<()> {
    let mut handler = scene.polling_handler(&ALL_MARKS).await?;
    scene.schedule(CODE, AHEAD).await?;
    marked(scene).await?;
    scene.kubectl("uncordon NODE").await?;
    scene.kubectl("cordon NODE").await?;
    call_off(scene).await?;
    handler.says(&["WARN", "stays cordoned", "somebody else"], SOON).await?;
    scene.node_is("the note is gone", |node| note(node).is_none()).await?;
    ensure!(scene.is_cordoned().await?, "a cordon of others was lifted");
    handler.stop(SOON).await
}

/// Somebody uncordons the node: it is not cordoned again, and that is said.
pub async fn uncordoned(scene: &mut Scene) -> Result<()> {
    let mut handler = scene.polling_handler(&ALL_MARKS).await?;
    scene.schedule(CODE, AHEAD).await?;
    marked(scene).await?;
    scene.kubectl("uncordon NODE").await?;
    call_off(scene).await?;
    handler.says(&["somebody else has uncordoned it"], SOON).await?;
    scene.given_back().await?;
    ensure!(!scene.exchanges()?.iter().any(Exchange::uncordons), "uncordoned once more");
    handler.stop(SOON).await
}

/// Somebody gives the handler's taint and label other values: they stay, and
/// that is said. The cordon goes.
pub async fn other_values(scene: &mut Scene) -> Result<()> {
    let mut handler = scene.polling_handler(&ALL_MARKS).await?;
    scene.schedule(CODE, AHEAD).await?;
    marked(scene).await?;
    scene.kubectl(&format!("taint nodes NODE --overwrite {KEY}=mine:NoSchedule")).await?;
    scene.kubectl(&format!("label nodes NODE --overwrite {EXCLUSION}=mine")).await?;
    call_off(scene).await?;
    handler.says(&["WARN", "taint", "mine", "left as it is"], SOON).await?;
    handler.says(&["WARN", "label", "mine", "left as it is"], SOON).await?;
    let node = scene.node_is("the note is gone", |node| note(node).is_none()).await?;
    ensure!(!is_cordoned(&node), "the node is still cordoned");
    let value = taint(&node, KEY).and_then(|taint| taint.value.as_deref());
    ensure!(value == Some("mine"), "the taint is {value:?}");
    ensure!(exclusion(&node) == Some("mine"), "the label is {:?}", exclusion(&node));
    handler.stop(SOON).await
}

/// Somebody takes everything off in the middle, the note too. There is nothing
/// to take back then.
pub async fn taken_off(scene: &mut Scene) -> Result<()> {
    let mut handler = scene.polling_handler(&ALL_MARKS).await?;
    scene.schedule(CODE, AHEAD).await?;
    marked(scene).await?;
    scene.kubectl("uncordon NODE").await?;
    scene.kubectl(&format!("taint nodes NODE {KEY}-")).await?;
    scene.kubectl(&format!("label nodes NODE {EXCLUSION}-")).await?;
    scene.kubectl("annotate nodes NODE k8s-spot-handler/state-").await?;
    call_off(scene).await?;
    handler.says(&["withdrawn"], SOON).await?;
    handler.stop(SOON).await?;
    ensure!(is_given_back(&scene.node().await?), "marked again");
    Ok(())
}
