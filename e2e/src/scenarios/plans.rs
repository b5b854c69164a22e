//! What `plan` foresees, and the drain that shows it right.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{AHEAD, MARGIN};
use crate::cluster::audit::Exchange;
use crate::scene::{SOON, Scene};
use crate::workload::{Shape, typed};

/// Pods of each kind are planned for and then drained.
pub async fn every_fate(scene: &mut Scene) -> Result<()> {
    let plain = Shape { grace: 10, ..Shape::default() };
    scene.deployment("web", 2, &plain).await?;
    scene.deployment("slow", 1, &Shape { grace: 300, exits_after: 300, ..plain.clone() }).await?;
    scene.deployment("guarded", 2, &Shape { grace: 5, ..plain.clone() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let critical = Some("system-cluster-critical");
    scene.pods("dns", 1, &Shape { priority_class: critical, ..plain.clone() }).await?;
    scene.deployment("scratch", 1, &Shape { empty_dir: true, ..plain.clone() }).await?;
    scene.place("db", &Shape { grace: 35, volume_claim: true, ..plain.clone() }).await?;
    scene.pod("bare", &plain).await?;
    let mirror = json!({"kubernetes.io/config.mirror": "e2e"});
    scene.pod("static", &Shape { annotations: mirror, ..plain.clone() }).await?;
    agents(scene, &plain).await?;

    let deadline = format!("--deadline={AHEAD}s");
    let found = foreseen(scene, &["plan", scene.name(), &deadline], 1).await?;
    for (app, fate, turn, note) in [
        ("web", "evicted", "first", ""),
        ("slow", "cut short", "first", "no more time is left"),
        ("guarded", "deleted", "first", "in 33 s"),
        ("dns", "evicted", "second", ""),
        ("scratch", "evicted", "first", "emptyDir"),
        (
            "db",
            "evicted",
            "first",
            "its volume may still be attached when the node goes, 5 s after",
        ),
        ("bare", "evicted", "first", "no controller"),
        ("static", "left alone", "first", "static pod"),
        ("agent", "left alone", "daemonset", "DaemonSet agent"),
    ] {
        for pod in of(scene, &found, app)? {
            let so = pod["fate"] == fate && pod["turn"] == turn;
            ensure!(so && pod["note"].as_str().is_some_and(|said| said.contains(note)), "{pod}");
            let lost = matches!(fate, "cut short" | "deleted");
            ensure!(pod["lost"] == lost, "{pod}");
        }
    }
    let own = scene.handler_pod().name_any();
    ensure!(row(&found, "kube-system", &own)?["fate"] == "left alone", "its own pod: {found}");
    ensure!(found["lost"] == 3 && found["unclear"] == 0, "{found}");

    let mut handler = scene.polling_handler(&[]).await?;
    let end = scene.announce(AHEAD).await?;
    let table = handler.verdicts(1, SOON).await?;
    for pod in pods(&found) {
        let (namespace, name) = names(pod)?;
        let row = table.of(namespace, name)?;
        let wanted = match pod["fate"].as_str() {
            Some("cut short") => "evicted",
            Some(other) => other,
            None => "",
        };
        ensure!(row.outcome == wanted, "{name}: {} and not {wanted} ({})", row.outcome, row.note);
        if namespace == scene.name() && wanted != "left alone" {
            kept_its_word(scene, pod, end)?;
        }
    }
    let again = scene.command(&["plan", &deadline]).await?;
    let said = std::str::from_utf8(&again.stdout)?;
    ensure!(again.status.code() == Some(0), "with nobody left to lose: {again:?}");
    ensure!(said.contains(". None would be lost."), "{said}");
    handler.stop(SOON).await
}

/// What settings and budgets keep dies with the node, in the plan and in truth.
pub async fn kept(scene: &mut Scene) -> Result<()> {
    let plain = Shape { grace: 5, ..Shape::default() };
    scene.deployment("guarded", 1, &plain).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    scene.deployment("scratch", 1, &Shape { empty_dir: true, ..plain.clone() }).await?;
    scene.pod("bare", &plain).await?;
    let settings =
        ["plan", "--budget-override=never", "--delete-local-data=false", "--drain-unmanaged=false"];
    let found = foreseen(scene, &settings, 1).await?;
    for (app, note) in
        [("guarded", "not overridden"), ("scratch", "emptyDir volume"), ("bare", "no controller")]
    {
        for pod in of(scene, &found, app)? {
            let told = pod["note"].as_str().is_some_and(|said| said.contains(note));
            ensure!(pod["fate"] == "dies with the node" && pod["lost"] == true && told, "{pod}");
        }
    }
    let settings = [
        ("BUDGET_OVERRIDE", "never"),
        ("DELETE_LOCAL_DATA", "false"),
        ("DRAIN_UNMANAGED", "false"),
    ];
    let mut handler = scene.polling_handler(&settings).await?;
    scene.announce(15).await?;
    let table = handler.verdicts(1, SOON).await?;
    ensure!(table.count(scene.name(), "still there") == 1, "{}", table.summary);
    ensure!(table.count(scene.name(), "left alone") == 2, "{}", table.summary);
    ensure!(scene.sightings().iter().all(|pod| pod.ending.is_none()), "a pod was ended");
    handler.stop(SOON).await
}

async fn agents(scene: &Scene, shape: &Shape) -> Result<()> {
    let agents: DaemonSet = typed(json!({
        "metadata": {"name": "agent"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": shape.template(scene.name(), "agent"),
        },
    }))?;
    scene.create(&agents).await?;
    scene.ready("agent", 1).await
}

/// What it finds, twice: the table says the same as the object, and nothing is changed.
async fn foreseen(scene: &Scene, arguments: &[&str], code: i32) -> Result<Value> {
    let before = scene.node().await?;
    let table = scene.command(arguments).await?;
    let mut more = arguments.to_vec();
    more.push("--output=json");
    let object = scene.command(&more).await?;
    for output in [&table, &object] {
        ensure!(output.status.code() == Some(code), "{output:?}");
        ensure!(output.stderr.is_empty(), "{output:?}");
    }
    let found: Value = serde_json::from_slice(&object.stdout).context("its JSON")?;
    same(&table, &found)?;

    let exchanges = scene.exchanges()?;
    let evictions = exchanges.iter().filter(|one| one.is_eviction()).count();
    let reads = |one: &Exchange| matches!(one.verb.as_str(), "get" | "list");
    for one in &exchanges {
        ensure!(reads(one) || one.is_eviction() && one.dry_run(), "no rehearsal: {one}");
    }
    let asked = pods(&found).filter(|pod| pod["asked_by_seconds"].is_number()).count();
    ensure!(evictions == 2 * asked, "{evictions} evictions were tried for {asked} pods, twice");
    let after = scene.node().await?;
    ensure!(before.spec == after.spec, "the node was changed");
    ensure!(before.metadata.annotations == after.metadata.annotations, "the node was annotated");
    ensure!(scene.sightings().iter().all(|pod| pod.ending.is_none()), "a pod was ended");
    Ok(found)
}

/// The rows of the table, in the order of the object.
fn same(table: &Output, found: &Value) -> Result<()> {
    let text = std::str::from_utf8(&table.stdout)?;
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("POD "))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .collect();
    ensure!(rows.len() == pods(found).count(), "{text}");
    for (line, pod) in rows.into_iter().zip(pods(found)) {
        let (namespace, name) = names(pod)?;
        let fate = pod["fate"].as_str().unwrap_or_default();
        let note = pod["note"].as_str().unwrap_or_default();
        let so = line.starts_with(&format!("{namespace}/{name} "));
        ensure!(so && line.contains(&format!("  {fate}")) && line.ends_with(note), "{line}: {pod}");
    }
    Ok(())
}

/// What the drain did with a pod is what was foreseen: the grace, and when it was deleted.
fn kept_its_word(scene: &Scene, pod: &Value, end: Timestamp) -> Result<()> {
    let (_, name) = names(pod)?;
    let all = scene.exchanges()?;
    let done = |one: &&Exchange| one.name == name && one.accepted() && !one.dry_run();
    let ended = all.iter().filter(done).find(|one| one.is_eviction() || one.is_deletion());
    let ended = ended.with_context(|| format!("nothing ended {name}"))?;
    let deleted = pod["fate"] == "deleted";
    ensure!(ended.is_deletion() == deleted, "{ended}: {pod}");
    let (got, foreseen) = (ended.grace(), pod["grace_seconds"].as_i64());
    let (got, foreseen) = (got.context("no grace")?, foreseen.context("no grace foreseen")?);
    // From the notice to the request some of it has gone.
    let cut = pod["fate"] == "cut short" && (foreseen - 5..=foreseen).contains(&got);
    ensure!(got == foreseen || cut, "{got} s: {pod}");
    if deleted {
        let grace = Duration::from_secs(foreseen.unsigned_abs());
        let off = ended.received.duration_since(end.checked_sub(MARGIN + grace)?);
        ensure!(off.as_secs().abs() <= 2, "{off} from when it was foreseen: {ended}");
    }
    Ok(())
}

fn pods(found: &Value) -> impl Iterator<Item = &Value> {
    found["pods"].as_array().into_iter().flatten()
}

fn names(pod: &Value) -> Result<(&str, &str)> {
    pod["namespace"].as_str().zip(pod["pod"].as_str()).with_context(|| format!("no name in {pod}"))
}

fn row<'a>(found: &'a Value, namespace: &str, name: &str) -> Result<&'a Value> {
    let is = |pod: &&Value| pod["namespace"] == namespace && pod["pod"] == name;
    pods(found).find(is).with_context(|| format!("{name} is not in {found}"))
}

/// The pods of one app, all of which must be in it.
fn of<'a>(scene: &Scene, found: &'a Value, app: &str) -> Result<Vec<&'a Value>> {
    let there = scene.of(app);
    ensure!(!there.is_empty(), "no pod of {app} was there");
    there.iter().map(|pod| row(found, &pod.namespace(), &pod.name())).collect()
}
