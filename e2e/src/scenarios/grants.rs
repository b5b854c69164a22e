//! Each right that ships is needed, and no other is used.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use serde_json::json;
use tokio::time::timeout;

use crate::cluster::audit::Exchange;
use crate::diary::{exclusion, has_noted, is_cordoned, note, taint};
use crate::rights::{self, Flavour, Grant};
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// Everything that the handler can be told to do in a drain.
const EVERYTHING: [(&str, &str); 2] =
    [("EMIT_KUBERNETES_EVENTS", "true"), ("EXCLUDE_FROM_LOAD_BALANCERS", "true")];

const TAINT: (&str, &str) = ("TAINT_NODE", "true");

/// The taint for an interruption.
const KEY: &str = "aws-node-termination-handler/spot-itn";

/// How far ahead the second notice lies, in seconds.
const AHEAD: u32 = 12;

/// So long what will probably not come is waited for.
const SHORTLY: Duration = Duration::from_secs(5);

/// What the names of the tests begin with in which one grant is missing.
const WITHOUT: &str = "without";

/// The name of the test in which this grant is missing.
#[must_use]
pub fn name_without(flavour: Flavour, grant: &Grant) -> String {
    let verb = if grant.is_impersonation() { "impersonate" } else { verb_of(grant) };
    let resource = grant.resource.replace('/', "-");
    format!("{WITHOUT}-{}-{verb}-{resource}", flavour.name())
}

/// The grants for which there is such a test. Those that both confined flavours
/// have are tried once.
///
/// # Errors
/// The roles cannot be read.
pub fn tried(deploy: &Path) -> Result<Vec<(Flavour, Grant)>> {
    let confined = rights::grants(deploy, Flavour::Confined)?;
    let mut all = Vec::new();
    for flavour in Flavour::ALL {
        for grant in rights::grants(deploy, flavour)? {
            if flavour != Flavour::ConfinedTaints || !confined.contains(&grant) {
                all.push((flavour, grant));
            }
        }
    }
    Ok(all)
}

/// A whole drain with everything on: what was asked is what the role grants, all
/// of it and nothing else, each in the name for which it is granted.
pub async fn just_enough(scene: &mut Scene, flavour: Flavour) -> Result<()> {
    scene.held(flavour, None).await?;
    let missing = drain(scene, flavour, &[]).await?;
    ensure!(missing.is_empty(), "{}", missing.join("\n"));
    let name = if flavour.is_confined() { "this node" } else { "the ServiceAccount" };
    let told = format!("requests are made in the name of {name}");
    ensure!(scene.logs()?.concat().contains(&told), "the log does not say that {told}");

    let grants = rights::grants(scene.deploy(), flavour)?;
    let node = format!("system:node:{}", scene.name());
    let granted: BTreeSet<_> = grants
        .iter()
        .filter(|grant| !grant.is_impersonation())
        .map(|grant| {
            let who = grant.verb_as_node().map(|_| node.clone());
            (verb_of(grant).to_owned(), grant.resource.clone(), who)
        })
        .collect();
    let asked: BTreeSet<_> =
        scene.exchanges()?.into_iter().map(|one| (one.verb, one.resource, one.acting_as)).collect();
    ensure!(asked == granted, "asked {asked:?}\ngranted {granted:?}");
    Ok(())
}

/// The same drain, and one grant is missing: the server refuses what it was for,
/// and something is not as it should be at the end.
pub async fn without(scene: &mut Scene) -> Result<()> {
    let tried = tried(scene.deploy())?;
    let named =
        |(flavour, grant): &&(Flavour, Grant)| name_without(*flavour, grant) == scene.name();
    let (flavour, grant) = tried.iter().find(named).context("a test without a grant")?.clone();
    scene.expect_refusals();
    scene.held(flavour, Some(&grant)).await?;
    // Otherwise what a node may not is asked for in the account's name.
    let identity = if flavour.is_confined() { "node" } else { "service-account" };
    let missing = drain(scene, flavour, &[("IDENTITY", identity)]).await?;
    ensure!(!missing.is_empty(), "nothing is missing without {grant}");
    let refused = |one: &Exchange| {
        let is_it = one.resource == grant.resource && one.verb == verb_of(&grant);
        one.code == 403 && (is_it || grant.is_impersonation())
    };
    ensure!(scene.all_exchanges()?.iter().any(refused), "nobody was refused for {grant}");
    fs::write(scene.folder().join("missing.txt"), missing.join("\n"))?;
    Ok(())
}

fn verb_of(grant: &Grant) -> &str {
    grant.verb_as_node().unwrap_or(&grant.verb)
}

/// A drain that another notice takes over, over pods that go, pods behind a
/// budget, and one that comes late. Gives what is not as it should be at the end.
async fn drain(
    scene: &mut Scene,
    flavour: Flavour,
    more: &[(&'static str, &'static str)],
) -> Result<Vec<String>> {
    scene.pods("web", 3, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.pods("guarded", 2, &Shape { grace: 2, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let mut settings = EVERYTHING.to_vec();
    if flavour != Flavour::Confined {
        settings.push(TAINT);
    }
    settings.extend(more);
    let mut handler = scene.polling_handler(&settings).await?;
    let end = scene.expect_end_in(60)?;
    scene.metadata.announce("stop", end).await?;
    let patience = if scene.expects_refusals() { SHORTLY } else { SOON };
    let mut missing = Vec::new();
    // What is said of the first cordon is said of the second, and counted.
    if timeout(patience, scene.node_is("cordoned", is_cordoned)).await.is_ok() {
        scene.kubectl("uncordon NODE").await?;
    } else {
        missing.push("the node is not cordoned for the first notice".to_owned());
    }
    scene.announce(AHEAD).await?;
    scene.place("late", &Shape { tolerant: true, grace: 5, ..Shape::default() }).await?;
    let table = handler.verdicts(1, scene.time_left() + patience).await;
    // A patch without taints: sent as the node also where others are not.
    let noted = scene.node_is("its end is noted", |node| has_noted(node, "drained"));
    if timeout(patience, noted).await.is_err() {
        missing.push("the end of the drain is not noted".to_owned());
    }
    // What is to be written still is written before it ends.
    handler.stop(SOON).await?;

    let node = scene.node().await?;
    let tainted = taint(&node, KEY).is_some() || flavour == Flavour::Confined;
    let marked = is_cordoned(&node) && note(&node).is_some() && exclusion(&node).is_some();
    if !marked || !tainted {
        missing.push("marks are not on the node".to_owned());
    }
    match table {
        Ok(table) => {
            let counts = [("evicted", 4), ("deleted", 2)];
            let short =
                |(outcome, count): &(&str, usize)| table.count(scene.name(), outcome) != *count;
            missing.extend(counts.iter().any(short).then(|| table.summary.clone()));
        }
        Err(error) => missing.push(format!("{error:#}")),
    }
    if scene.of("guarded").iter().any(|pod| pod.disruption().is_none()) {
        missing.push("a deletion is no disruption".to_owned());
    }
    if scene.logs()?.concat().contains("the watch of this node's pods was lost") {
        missing.push("the pods are not followed".to_owned());
    }
    let about_pods = events(scene, scene.name(), "DeletedAgainstBudget").await?;
    let mut about_node = Vec::new();
    for reason in ["SpotInterruption", "Cordon", "PreDrain"] {
        about_node.push(events(scene, "default", reason).await?);
    }
    if about_pods != 2 || about_node != [2, 2, 1] {
        missing.push(format!("Events: {about_pods} of pods, {about_node:?} of the node"));
    }
    Ok(missing)
}

/// How often a reason was told of in that namespace: by Events, and by their counts.
async fn events(scene: &Scene, namespace: &str, reason: &str) -> Result<i32> {
    let api: Api<Event> = Api::namespaced(scene.cluster().client(), namespace);
    let mut all = api.list(&ListParams::default().fields(&format!("reason={reason}"))).await?.items;
    let node = Some(scene.name());
    all.retain(|one| one.source.as_ref().and_then(|source| source.host.as_deref()) == node);
    Ok(all.iter().filter_map(|event| event.count).sum())
}
