//! Disruption budgets in the way.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::api::Api;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{AHEAD, MARGIN};
use crate::cluster::GLANCE;
use crate::cluster::audit::Exchange;
use crate::scene::{SOON, Scene};
use crate::verdicts::Verdicts;
use crate::workload::{Shape, budget, typed};

/// The label that pods of several owners share.
const GROUP: &str = "e2e/group";

/// How many evictions a server in trouble may have to be asked for again.
const AGAIN: usize = 5;

/// A budget that always lets one pod go: each goes when the one before has its
/// replacement, and none is deleted.
pub async fn one_at_a_time(scene: &mut Scene) -> Result<()> {
    let count = 6;
    let shape = Shape { grace: 2, ready_after: 2, ..Shape::default() };
    scene.deployment("web", count, &shape).await?;
    scene.budget("web", json!({"maxUnavailable": 1})).await?;
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    scene.emptied().await?;

    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == count, "{evicted} of {count} pods evicted; {}", table.summary);
    let exchanges = scene.exchanges()?;
    // Each but the first waits for a replacement.
    let refused: BTreeSet<_> =
        exchanges.iter().filter(|one| one.refused_by_budget()).map(|one| &one.name).collect();
    ensure!(refused.len() >= count - 1, "the budget refused only {} pods", refused.len());
    ensure!(!exchanges.iter().any(Exchange::is_deletion), "a pod was deleted");
    handler.stop(SOON).await
}

/// A budget that allows nothing: its pods are deleted when their grace just
/// fits in, the others go at once.
pub async fn nothing_allowed(scene: &mut Scene, ahead: u32, graces: &[u32]) -> Result<()> {
    let each = 3;
    scene.deployment("free", each, &Shape::default()).await?;
    for &grace in graces {
        let app = format!("guarded-{grace}");
        scene.deployment(&app, each, &Shape { grace, ..Shape::default() }).await?;
        scene.budget(&app, json!({"minAvailable": "100%"})).await?;
    }
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(&[]).await?;
    let end = scene.announce(ahead).await?;
    scene.emptied().await?;

    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == each, "{evicted} of {each} free pods evicted; {}", table.summary);
    for &grace in graces {
        guarded(scene, &table, grace, each, end)?;
    }
    handler.stop(SOON).await
}

/// What must have become of the pods with this grace.
fn guarded(
    scene: &Scene,
    table: &Verdicts,
    grace: u32,
    count: usize,
    end: Timestamp,
) -> Result<()> {
    let app = format!("guarded-{grace}");
    let pods = scene.of(&app);
    ensure!(pods.len() == count, "{} pods of {app} were there", pods.len());
    let earliest = end.checked_sub(MARGIN + Duration::from_secs(grace.into()))?;
    for pod in pods {
        let row = table.of(scene.name(), &pod.name())?;
        ensure!(row.outcome == "deleted", "{}: {}", pod.name(), row.outcome);
        let budget = format!("{}/{app}", scene.name());
        ensure!(row.note.contains(&budget), "{}: the note is {:?}", pod.name(), row.note);
        ensure!(pod.disruption().is_some(), "{} had no DisruptionTarget", pod.name());
        let kept = pod.graces.iter().all(|given| (1..=i64::from(grace)).contains(given));
        ensure!(kept && !pod.graces.is_empty(), "{} got {:?} s", pod.name(), pod.graces);
        let deletion = scene
            .exchanges()?
            .into_iter()
            .find(|one| one.is_deletion() && one.name == pod.name())
            .with_context(|| format!("{} was not deleted", pod.name()))?;
        // The budget has its say until the pod's own time is up.
        ensure!(deletion.received >= earliest, "{} deleted before {earliest}", pod.name());
    }
    Ok(())
}

/// The same, and the operator wants budgets to have the last word.
pub async fn never_overridden(scene: &mut Scene) -> Result<()> {
    let count = 3;
    scene.deployment("guarded", count, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let mut handler = scene.polling_handler(&[("BUDGET_OVERRIDE", "never")]).await?;
    scene.announce(20).await?;

    let table = handler.verdicts(1, SOON).await?;
    let there = table.count(scene.name(), "still there");
    ensure!(there == count, "{there} of {count} still there; {}", table.summary);
    let budget = format!("{}/guarded", scene.name());
    ensure!(table.rows_in(scene.name()).all(|row| row.note.contains(&budget)), "budget not named");
    ensure!(scene.sightings().iter().all(|pod| pod.ending.is_none()), "a pod was ended");
    handler.stop(SOON).await
}

/// Two budgets over one pod: the API server cannot decide, and never will. It
/// counts as a refusal.
pub async fn two(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 2, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("web", json!({"maxUnavailable": 1})).await?;
    let mut other = budget("web", &json!({"maxUnavailable": 1}))?;
    other.metadata.name = Some("other".to_owned());
    scene.create(&other).await?;
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(25).await?;
    scene.emptied().await?;

    let table = handler.verdicts(1, SOON).await?;
    for pod in scene.of("web") {
        let row = table.of(scene.name(), &pod.name())?;
        ensure!(row.outcome == "deleted", "{}: {}", pod.name(), row.outcome);
        let told = row.note.contains("more than one");
        ensure!(told, "{}: the note is {:?}", pod.name(), row.note);
    }
    handler.stop(SOON).await
}

/// A budget that lets all of its pods go at once, and etcd is so far away that the evictions of them
/// get into each other's way: all go, none is deleted, and nobody is told of a refusal. `owners` are
/// how many Deployments the pods are of.
pub async fn all_allowed(scene: &mut Scene, owners: usize, count: usize) -> Result<()> {
    let each = count / owners;
    for number in 0..owners {
        let app = format!("web-{number}");
        let mut deployment = Shape::default().deployment(scene.name(), &app, each)?;
        let labels = &mut deployment.spec.template.metadata.get_or_insert_default().labels;
        labels.get_or_insert_default().insert(GROUP.to_owned(), "web".to_owned());
        scene.create(&deployment).await?;
    }
    for number in 0..owners {
        scene.ready(&format!("web-{number}"), each).await?;
    }
    let budget = typed(json!({
        "metadata": {"name": "web"},
        "spec": {"maxUnavailable": "100%", "selector": {"matchLabels": {GROUP: "web"}}},
    }))?;
    scene.budget_of("web", &budget).await?;
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(&[]).await?;
    // As EC2 gives it: nobody's own time is near.
    scene.announce(120).await?;
    scene.emptied().await?;

    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == count, "{evicted} of {count} pods evicted; {}", table.summary);
    let exchanges = scene.exchanges()?;
    ensure!(!exchanges.iter().any(Exchange::is_deletion), "a pod was deleted");
    let marked = exchanges.iter().any(|one| one.resource == "pods/status");
    ensure!(!marked, "a pod was marked to be deleted");
    let refused = exchanges.iter().filter(|one| one.refused_by_budget()).count();
    ensure!(refused == 0, "the budget refused {refused} times");
    let asked = exchanges.iter().filter(|one| one.is_eviction()).count();
    ensure!(asked <= count + AGAIN, "{asked} evictions for {count} pods");
    handler.stop(SOON).await
}

/// A pod of a Job that does not count disruptions as failures, behind a budget
/// that allows nothing: it is deleted, and the Job goes on elsewhere.
pub async fn job(scene: &mut Scene) -> Result<()> {
    let mut template = Shape { grace: 5, ..Shape::default() }.template(scene.name(), "work");
    template["spec"]["restartPolicy"] = "Never".into();
    let job: Job = typed(json!({
        "metadata": {"name": "work"},
        "spec": {
            "backoffLimit": 0,
            "podFailurePolicy": {"rules": [{
                "action": "Ignore",
                "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
            }]},
            "template": template,
        },
    }))?;
    scene.create(&job).await?;
    scene.ready("work", 1).await?;
    // A Job has no scale to take a share of: a number, then.
    scene.budget("work", json!({"minAvailable": 1})).await?;
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(20).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    ensure!(table.count(scene.name(), "deleted") == 1, "{}", table.summary);

    let jobs: Api<Job> = Api::namespaced(scene.cluster().client(), scene.name());
    let again = async {
        loop {
            let status = jobs.get("work").await?.status.unwrap_or_default();
            ensure!(status.failed.unwrap_or(0) == 0, "the Job counts the pod as failed");
            if status.ready == Some(1) {
                return Ok(());
            }
            sleep(GLANCE).await;
        }
    };
    timeout(SOON, again).await.context("the Job's pod has no successor")??;
    handler.stop(SOON).await
}
