//! Who goes, who stays, and in which order.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::AHEAD;
use crate::cluster::audit::Exchange;
use crate::scene::{SOON, Scene};
use crate::verdicts::Verdicts;
use crate::witness::Sighting;
use crate::workload::{Shape, typed};

/// DaemonSet and mirror pods stay, and the handler's own; finished pods, bare
/// ones and those with an emptyDir go.
pub async fn every_kind(scene: &mut Scene) -> Result<()> {
    people(scene).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    let table = handler.verdicts(1, SOON).await?;

    outcomes(
        scene,
        &table,
        &[
            ("agent", "left alone"),
            ("static", "left alone"),
            ("finished", "evicted"),
            ("bare", "evicted"),
            ("scratch", "evicted"),
            ("web", "evicted"),
        ],
    )?;
    let own = table.of("kube-system", &scene.handler_pod().name_any())?;
    ensure!(own.outcome == "left alone", "its own pod: {}", own.outcome);
    handler.stop(SOON).await
}

/// The settings of somebody who wants the cautious rules of `kubectl drain`.
pub async fn kept_kinds(scene: &mut Scene) -> Result<()> {
    people(scene).await?;
    let cautious = [("DELETE_LOCAL_DATA", "false"), ("DRAIN_UNMANAGED", "false")];
    let mut handler = scene.polling_handler(&cautious).await?;
    scene.announce(AHEAD).await?;
    let table = handler.verdicts(1, SOON).await?;

    outcomes(
        scene,
        &table,
        &[
            ("agent", "left alone"),
            ("static", "left alone"),
            // Finished pods go, whoever owns them.
            ("finished", "evicted"),
            ("bare", "left alone"),
            ("scratch", "left alone"),
            ("web", "evicted"),
        ],
    )?;
    handler.stop(SOON).await
}

/// One pod of each kind, each named or labelled after it.
async fn people(scene: &Scene) -> Result<()> {
    let plain = Shape::default();
    let mirror =
        Shape { annotations: json!({"kubernetes.io/config.mirror": "e2e"}), ..plain.clone() };
    let scratch = Shape { empty_dir: true, ..plain.clone() };
    scene.deployment("web", 2, &plain).await?;
    scene.deployment("scratch", 2, &scratch).await?;
    scene.pod("bare", &plain).await?;
    scene.pod("static", &mirror).await?;
    scene.pod("finished", &plain).await?;
    let pods: Api<Pod> = Api::namespaced(scene.cluster().client(), scene.name());
    let succeeded = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
    pods.patch_status("finished", &PatchParams::default(), &succeeded).await?;
    let agents: DaemonSet = typed(json!({
        "metadata": {"name": "agent"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": plain.template(scene.name(), "agent"),
        },
    }))?;
    scene.create(&agents).await?;
    scene.ready("agent", 1).await
}

/// What became of the pods of each kind, in the table and in truth.
fn outcomes(scene: &Scene, table: &Verdicts, wanted: &[(&str, &str)]) -> Result<()> {
    for (app, outcome) in wanted {
        let pods = scene.of(app);
        ensure!(!pods.is_empty(), "no pod of {app} was there");
        for pod in pods {
            let row = table.of(scene.name(), &pod.name())?;
            ensure!(row.outcome == *outcome, "{app}: {} ({})", row.outcome, row.note);
            let ended = pod.ending.is_some();
            ensure!(ended == (*outcome == "evicted"), "{app}: {outcome}, but ended: {ended}");
        }
    }
    Ok(())
}

/// Critical pods go when the ordinary ones are gone, node-critical ones last.
pub async fn critical_last(scene: &mut Scene) -> Result<()> {
    let tiers = [
        ("ordinary", None),
        ("cluster", Some("system-cluster-critical")),
        ("node", Some("system-node-critical")),
    ];
    for (app, priority_class) in tiers {
        let shape = Shape { grace: 10, exits_after: 8, priority_class, ..Shape::default() };
        scene.pods(app, 2, &shape).await?;
    }
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == 6, "{evicted} of 6 pods evicted; {}", table.summary);

    let exchanges = scene.exchanges()?;
    for pair in tiers.windows(2) {
        let [(before, _), (after, _)] = pair else { continue };
        let gone = scene.of(before).iter().filter_map(|pod| pod.gone).max();
        let asked = first_asked(&exchanges, &scene.of(after));
        let (gone, asked) = (gone.context("not gone")?, asked.context("not asked")?);
        // The two saw the same deletion on two watches, of which one may lag.
        let early = gone.duration_since(asked);
        ensure!(early.as_secs() < 5, "{after} asked {early} before {before} was gone");
    }
    handler.stop(SOON).await
}

fn first_asked(exchanges: &[Exchange], pods: &[Sighting]) -> Option<jiff::Timestamp> {
    let about = |one: &&Exchange| pods.iter().any(|pod| pod.is(&one.namespace, &one.name));
    exchanges.iter().filter(about).map(|one| one.received).min()
}
