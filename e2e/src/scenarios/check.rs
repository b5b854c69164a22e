//! `check` against the real API server.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::cluster::audit::Exchange;
use crate::rights::{self, Flavour};
use crate::scene::Scene;

/// The instance that the metadata mock stands for.
const PROVIDER_ID: &str = "aws:///us-east-1f/i-1234567890abcdef0";

/// Its mock is an on-demand instance: nothing else is to be warned of.
const WARNING: &str = "warning  instance: i-1234567890abcdef0, us-east-1f, on-demand; remedy: ";

const EVERYTHING: [(&str, &str); 1] = [("EMIT_KUBERNETES_EVENTS", "true")];

/// With what ships all is well, and nothing is written.
pub async fn all_well(scene: &mut Scene, flavour: Flavour) -> Result<()> {
    scene.held(flavour, None).await?;
    is_the_instance(scene).await?;
    let mut settings = EVERYTHING.to_vec();
    if flavour.has_policies() {
        settings.push(("TAINT_NODE", "true"));
    }
    let (status, told) = scene.check(&settings).await?;
    ensure!(status == Some(0), "exit status {status:?}:\n{told}");
    let other =
        told.lines().find(|line| !line.starts_with("ok       ") && !line.starts_with(WARNING));
    ensure!(other.is_some_and(|line| line.ends_with(" checks: 0 failed, 1 warned")), "{told}");
    let by_node = format!("the Node is {PROVIDER_ID}");
    let whose = if flavour.is_confined() { "this node" } else { "the ServiceAccount" };
    for words in [&by_node, whose, "gave a token (IMDSv2)", "to be replaced within 60 min"] {
        ensure!(told.contains(words), "{words}: {told}");
    }

    let exchanges = scene.all_exchanges()?;
    let reads = |one: &Exchange| matches!(one.verb.as_str(), "get" | "list" | "watch");
    let asks = |one: &Exchange| one.resource == "selfsubjectaccessreviews";
    let other = exchanges.iter().find(|one| !reads(one) && !asks(one));
    ensure!(other.is_none(), "it writes: {other:?}");
    // Every grant that ships is asked for.
    for grant in rights::grants(scene.deploy(), flavour)? {
        if grant.is_impersonation() {
            continue;
        }
        let line = format!("permission: {grant}: allowed");
        ensure!(told.contains(&line), "no line `{line}`:\n{told}");
    }
    Ok(())
}

/// Each grant that is taken away is named, and no other.
pub async fn one_missing(scene: &mut Scene, flavour: Flavour, verb: &str, of: &str) -> Result<()> {
    let grants = rights::grants(scene.deploy(), flavour)?;
    let is_it = |verb_as_node: &str| verb_as_node == verb;
    let grant = grants
        .into_iter()
        .find(|grant| grant.resource == of && is_it(grant.verb_as_node().unwrap_or(&grant.verb)))
        .context("no such grant")?;
    scene.expect_refusals();
    scene.held(flavour, Some(&grant)).await?;
    is_the_instance(scene).await?;
    let (status, told) = scene.check(&EVERYTHING).await?;
    // Without this one a drain goes on.
    let (expected, word) = if of == "pods/status" { (0, "warning") } else { (78, "failure") };
    ensure!(status == Some(expected), "exit status {status:?}:\n{told}");
    let of_permissions = format!("{word}  permission: ");
    let failed: Vec<_> = told.lines().filter(|line| line.starts_with(&of_permissions)).collect();
    let begin = format!("{of_permissions}{grant}: not allowed");
    ensure!(matches!(*failed, [line] if line.starts_with(&begin)), "not {begin}:\n{told}");
    ensure!(failed.concat().contains("; remedy: grant it"), "{told}");
    Ok(())
}

/// A server that does not know these rights grants nothing by them, and a review says so.
pub async fn confined_where_it_is_not_known(scene: &mut Scene) -> Result<()> {
    scene.expect_refusals();
    scene.held(Flavour::Confined, None).await?;
    let (status, told) = scene.check(&[]).await?;
    ensure!(status == Some(78), "exit status {status:?}:\n{told}");
    let refused = |word: &str| {
        let begin = format!("{word}  permission: ");
        told.lines().filter(|line| line.starts_with(&begin)).collect::<Vec<_>>()
    };
    let (failed, warned) = (refused("failure"), refused("warning"));
    ensure!((failed.len(), warned.len()) == (6, 1), "{told}");
    for line in failed.into_iter().chain(warned) {
        ensure!(line.contains("classic before Kubernetes 1.36"), "{line}");
    }
    ensure!(told.lines().any(|line| line.starts_with("failure  node: ")), "{told}");
    Ok(())
}

/// The Node of the scene is the instance of its metadata service.
async fn is_the_instance(scene: &Scene) -> Result<()> {
    let nodes: Api<Node> = Api::all(scene.cluster().client());
    let patch = Patch::Merge(json!({"spec": {"providerID": PROVIDER_ID}}));
    nodes.patch(scene.name(), &PatchParams::default(), &patch).await?;
    Ok(())
}
