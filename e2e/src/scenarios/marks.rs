//! What is written on the Node, and when nothing is.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::ALL_MARKS;
use crate::cluster::audit::Exchange;
use crate::diary::{EXCLUSION, exclusion, is_cordoned, note, taint, taints};
use crate::gate::{Passing, Side};
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// The taint for scheduled maintenance, which here gives the reason for marks:
/// it can be called off.
pub const KEY: &str = "aws-node-termination-handler/scheduled-maintenance";

/// Maintenance in a while, for which the node is drained at once.
pub const CODE: &str = "system-maintenance";

/// How far ahead it is, in seconds.
pub const AHEAD: u32 = 200;

/// Waits until the node bears all marks.
///
/// # Errors
/// It does not after a minute.
pub async fn marked(scene: &Scene) -> Result<()> {
    let marked = |node: &_| is_cordoned(node) && taint(node, KEY).is_some();
    scene.node_is("the node is marked", marked).await?;
    Ok(())
}

/// Has the maintenance called off.
///
/// # Errors
/// The metadata mock does not start.
pub async fn call_off(scene: &mut Scene) -> Result<()> {
    let from = scene.deadline().context("nothing is planned")?;
    scene.metadata.schedule(CODE, "canceled", from).await
}

/// One patch sets everything, one takes it back; what is not the handler's
/// stays all the time.
pub async fn all_at_once(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 2, &Shape::default()).await?;
    scene.kubectl("taint nodes NODE team=a:PreferNoSchedule").await?;
    scene.kubectl("label nodes NODE team=a").await?;
    let from_here = scene.node().await?;
    let handler = scene.polling_handler(&ALL_MARKS).await?;
    scene.schedule(CODE, AHEAD).await?;
    marked(scene).await?;
    call_off(scene).await?;
    let last = scene.given_back().await?;

    let exchanges = scene.exchanges()?;
    let patches: Vec<_> =
        exchanges.iter().filter(|one| one.is_node_patch() && one.accepted()).collect();
    let [set, back] = patches.as_slice() else { anyhow::bail!("{} patches", patches.len()) };
    for (patch, cordon) in [(set, json!(true)), (back, json!(null))] {
        ensure!(patch.body["spec"]["unschedulable"] == cordon, "the cordon: {}", patch.body);
        ensure!(patch.body["spec"]["taints"].is_array(), "no taints: {}", patch.body);
        ensure!(patch.body["metadata"]["labels"][EXCLUSION].is_null() == cordon.is_null(), "label");
        ensure!(patch.body["metadata"]["annotations"].is_object(), "no note: {}", patch.body);
    }
    let versions = scene.diary.up_to(&last).await?;
    let start = versions.iter().position(|one| one.metadata == from_here.metadata).unwrap_or(0);
    for node in versions.iter().skip(start) {
        let marks = [
            is_cordoned(node),
            taint(node, KEY).is_some(),
            exclusion(node).is_some(),
            note(node).is_some(),
        ];
        ensure!(marks.iter().all(|one| *one == marks[0]), "not all at once: {marks:?}");
        ensure!(taint(node, "team").is_some(), "the taint of others was lost");
    }
    ensure!(last.metadata.labels == from_here.metadata.labels, "labels are not as before");
    handler.stop(SOON).await
}

/// Somebody adds a taint between the handler's reading and its patch, each time:
/// the patch is refused, the next one keeps that taint.
pub async fn conflicts(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 2, &Shape::default()).await?;
    let (gate, port) = scene.gate().await?;
    let [taint_node, exclude] = ALL_MARKS;
    let settings = [taint_node, exclude, ("KUBERNETES_SERVICE_PORT", &*port)];
    let handler = scene.polling_handler(&settings).await?;
    let mut cordon = gate.stop(Side::Before, |one| is_patch_with(one, "\"unschedulable\":true"));
    scene.schedule(CODE, AHEAD).await?;
    cordon.reached().await?;
    scene.kubectl("taint nodes NODE first=x:PreferNoSchedule").await?;
    cordon.release();
    marked(scene).await?;
    let both = |node: &_| taint(node, "first").is_some() && taint(node, KEY).is_some();
    ensure!(both(&scene.node().await?), "a taint was lost");

    let mut uncordon = gate.stop(Side::Before, |one| is_patch_with(one, "\"unschedulable\":null"));
    call_off(scene).await?;
    uncordon.reached().await?;
    scene.kubectl("taint nodes NODE second=x:PreferNoSchedule").await?;
    uncordon.release();
    let last = scene.given_back().await?;
    let left: Vec<_> = taints(&last).iter().map(|taint| taint.key.as_str()).collect();
    ensure!(left.contains(&"first") && left.contains(&"second"), "left are {left:?}");
    for key in ["first", "second"] {
        let versions = scene.diary.up_to(&last).await?;
        let mut since = versions.iter().skip_while(|node| taint(node, key).is_none());
        ensure!(since.all(|node| taint(node, key).is_some()), "{key} was lost");
    }
    let exchanges = scene.exchanges()?;
    let refused = |what: fn(&Exchange) -> bool| {
        exchanges.iter().filter(|one| what(one) && one.code == 409).count()
    };
    ensure!(refused(Exchange::cordons) >= 1, "the cordon met no conflict");
    ensure!(refused(Exchange::uncordons) >= 1, "the uncordon met no conflict");
    handler.stop(SOON).await
}

/// The connection is cut in each patch of the Node, once before the server has
/// seen it and once before its answer comes: it is asked again, and what was
/// done already is not taken for the work of others.
pub async fn cut(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 2, &Shape::default()).await?;
    let (gate, port) = scene.gate().await?;
    let [taint_node, exclude] = ALL_MARKS;
    let settings = [taint_node, exclude, ("KUBERNETES_SERVICE_PORT", &*port)];
    let handler = scene.polling_handler(&settings).await?;
    let cut = |words: &'static str| {
        [Side::Before, Side::After]
            .map(|side| gate.stop(side, move |request| is_patch_with(request, words)))
    };
    let cordons = cut("\"unschedulable\":true");
    scene.schedule(CODE, AHEAD).await?;
    for mut cordon in cordons {
        cordon.reached().await?;
    }
    marked(scene).await?;
    let remembered = scene.remembered().await?;
    ensure!(remembered["cordoned"] == true, "it remembers {remembered}");

    let uncordons = cut("\"unschedulable\":null");
    call_off(scene).await?;
    for mut uncordon in uncordons {
        uncordon.reached().await?;
    }
    scene.given_back().await?;
    let seen =
        |what: fn(&Exchange) -> bool, all: &[Exchange]| all.iter().filter(|one| what(one)).count();
    let exchanges = scene.exchanges()?;
    let counts = (seen(Exchange::cordons, &exchanges), seen(Exchange::uncordons, &exchanges));
    ensure!(counts == (1, 1), "cordoned and uncordoned {counts:?} times");
    handler.stop(SOON).await
}

/// Whether it is a patch of the Node with these words in it.
#[must_use]
pub fn is_patch_with(request: &Passing, words: &str) -> bool {
    request.line.starts_with("PATCH /api/v1/nodes/") && request.body.contains(words)
}

/// A node that somebody changes without a pause is marked and given back all
/// the same, and nothing of what they wrote is lost.
pub async fn restless(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 2, &Shape::default()).await?;
    let handler = scene.polling_handler(&ALL_MARKS).await?;
    let nodes: Api<Node> = Api::all(scene.cluster().client());
    let name = scene.name().to_owned();
    let (stop, mut stopped) = oneshot::channel::<()>();
    let noise = tokio::spawn(async move {
        let mut written = 0;
        while stopped.try_recv().is_err_and(|why| why == TryRecvError::Empty) {
            written += 1;
            let patch = json!({"metadata": {"annotations": {NOISE: written.to_string()}}});
            nodes.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        }
        anyhow::Ok(written)
    });
    scene.schedule(CODE, AHEAD).await?;
    marked(scene).await?;
    call_off(scene).await?;
    scene.given_back().await?;
    drop(stop);
    let written = noise.await??;
    let node = scene.node().await?;
    let last = node.annotations().get(NOISE);
    ensure!(last == Some(&written.to_string()), "{written} were written, there is {last:?}");
    handler.stop(SOON).await
}

/// Where others write in [`restless`].
const NOISE: &str = "e2e/noise";

/// A taint that ends pods by itself: past their budgets, which the table does
/// not hide.
pub async fn no_execute(scene: &mut Scene) -> Result<()> {
    scene.deployment("guarded", 2, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let settings = [("TAINT_NODE", "true"), ("TAINT_EFFECT", "NoExecute")];
    let mut handler = scene.polling_handler(&settings).await?;
    handler.says(&["WARN", "TAINT_EFFECT"], SOON).await?;
    scene.schedule(CODE, AHEAD).await?;
    let tainted = |node: &_| taint(node, KEY).is_some_and(|taint| taint.effect == "NoExecute");
    scene.node_is("the node is tainted", tainted).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    ensure!(table.count(scene.name(), "ended by others") == 2, "{}", table.summary);
    call_off(scene).await?;
    scene.given_back().await?;
    handler.stop(SOON).await
}

/// A dry run writes nothing and says what a budget would refuse.
pub async fn dry_run(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 3, &Shape::default()).await?;
    scene.deployment("guarded", 2, &Shape::default()).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let before = scene.node().await?;
    let mut handler = scene.polling_handler(&[("DRY_RUN", "true")]).await?;
    scene.announce(20).await?;

    let table = handler.verdicts(1, SOON).await?;
    let would = table.count(scene.name(), "would be evicted");
    ensure!(would == 3, "{would} of 3 would be evicted; {}", table.summary);
    let budget = format!("{}/guarded", scene.name());
    for pod in scene.of("guarded") {
        let row = table.of(scene.name(), &pod.name())?;
        ensure!(row.outcome == "would be refused", "{}: {}", pod.name(), row.outcome);
        ensure!(row.note.contains(&budget), "{}: the note is {:?}", pod.name(), row.note);
    }
    for one in scene.exchanges()? {
        let reads = matches!(one.verb.as_str(), "get" | "list" | "watch");
        ensure!(reads || one.dry_run(), "written in a dry run: {one}");
    }
    let after = scene.node().await?;
    ensure!(before.spec == after.spec, "the node was changed");
    ensure!(before.metadata.annotations == after.metadata.annotations, "the node was annotated");
    ensure!(scene.sightings().iter().all(|pod| pod.ending.is_none()), "a pod was ended");
    handler.stop(SOON).await
}
