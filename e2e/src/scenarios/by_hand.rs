//! An operator's commands: `drain` and `restore`, from outside the cluster and
//! in the handler's container.

use std::fs;
use std::process::Output;

use anyhow::{Result, ensure};
use kube::ResourceExt;
use serde_json::json;

use crate::diary::{is_cordoned, is_given_back};
use crate::scene::Scene;
use crate::workload::Shape;

const NOTE: &str = "k8s-spot-handler/by-hand";

/// With an administrator's kubeconfig, as kubectl writes it in JSON: a client
/// certificate, and no token.
pub async fn from_outside(scene: &mut Scene) -> Result<()> {
    let quick = Shape { grace: 5, ..Shape::default() };
    scene.deployment("web", 20, &quick).await?;
    scene.deployment("guarded", 2, &quick).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let flattened = ["config", "view", "--minify", "--flatten", "--raw", "-o", "json"];
    let config = scene.cluster().run_kubectl(&flattened).await?;
    let file = scene.folder().join("admin.json");
    fs::write(&file, config)?;
    let with = format!("--kubeconfig={}", file.display());
    let node = scene.name().to_owned();

    let drained = scene.command(&["drain", &node, &with, "--deadline=6s"]).await?;
    ends(&drained, 1, &["20 evicted", "2 still there"])?;
    ensure!(said(&drained).contains("refused by disruption budget"), "{}", said(&drained));
    let marked = scene.node().await?;
    ensure!(is_cordoned(&marked) && marked.annotations().contains_key(NOTE), "not marked");
    ensure!(scene.of("guarded").iter().all(|pod| pod.ending.is_none()), "a budget was overridden");

    scene.drop_budget("guarded").await?;
    let drained = scene.command(&["drain", &node, &with]).await?;
    ends(&drained, 0, &["2 evicted"])?;
    scene.emptied().await?;

    ends(&scene.command(&["restore", &node, &with]).await?, 0, &[])?;
    scene.node_is("the node is given back", is_given_back).await?;
    let again = scene.command(&["restore", &node, &with]).await?;
    ends(&again, 0, &["nothing of this program is left"])?;
    ensure!(scene.exchanges()?.is_empty(), "something was asked in the handler's name");
    Ok(())
}

/// In the handler's container, beside the handler: with its token and its rights,
/// and its own pod stays.
pub async fn in_the_container(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 3, &Shape::default()).await?;
    let handler = scene.polling_handler(&[]).await?;
    let drained = scene.command(&["drain"]).await?;
    ends(&drained, 0, &["3 evicted"])?;
    scene.emptied().await?;
    ensure!(said(&drained).contains("this handler's own pod"), "{}", said(&drained));
    ends(&scene.command(&["restore"]).await?, 0, &[])?;
    scene.node_is("the node is given back", is_given_back).await?;
    handler.stop(crate::scene::SOON).await
}

fn ends(output: &Output, status: i32, words: &[&str]) -> Result<()> {
    let so = output.status.code() == Some(status);
    ensure!(so && words.iter().all(|words| said(output).contains(words)), "{}", said(output));
    Ok(())
}

fn said(output: &Output) -> String {
    let words = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&words).into_owned()
}
