//! What `deploy/` ships, on nodes of many kinds.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use crate::manifest;
use crate::scene::{Scene, create_node};
use crate::workload::typed;

/// The DaemonSet's pod runs on every node that can die, and its account may do
/// nothing beyond its work.
pub async fn everywhere(scene: &mut Scene) -> Result<()> {
    let taint = |key: &str, effect: &str| json!([{"key": key, "effect": effect}]);
    let pools = [
        ("spot", "amd64", taint("spot", "NoSchedule")),
        ("batch", "amd64", taint("batch", "NoExecute")),
        ("arm", "arm64", json!([])),
        ("cordoned", "amd64", taint("node.kubernetes.io/unschedulable", "NoSchedule")),
    ];
    for (pool, architecture, taints) in pools {
        let name = format!("{}-{pool}", scene.name());
        create_node(scene.cluster(), &node(&name, "linux", architecture, &taints)?).await?;
        manifest::handler_pod(scene.cluster(), &name).await?;
    }
    elsewhere(scene).await?;
    allowed(scene).await
}

/// Nodes without a handler: it would not run there, or has nothing to do.
async fn elsewhere(scene: &Scene) -> Result<()> {
    let windows = node(&format!("{}-windows", scene.name()), "windows", "amd64", &json!([]))?;
    let mut fargate = node(&format!("{}-fargate", scene.name()), "linux", "amd64", &json!([]))?;
    let labels = fargate.metadata.labels.get_or_insert_default();
    labels.insert("eks.amazonaws.com/compute-type".to_owned(), "fargate".to_owned());
    // Nodes in one more pool, the last to come: when that has its pod, the
    // controller has seen these two.
    let last = format!("{}-last", scene.name());
    for node in [&windows, &fargate, &node(&last, "linux", "amd64", &json!([]))?] {
        create_node(scene.cluster(), node).await?;
    }
    manifest::handler_pod(scene.cluster(), &last).await?;
    for node in [windows, fargate] {
        let name = node.metadata.name.unwrap_or_default();
        let found = manifest::find_handler_pod(scene.cluster(), &name).await?;
        ensure!(found.is_none(), "{name} has a handler");
    }
    Ok(())
}

/// Exactly what its work needs.
async fn allowed(scene: &Scene) -> Result<()> {
    let may = [
        ("get", "nodes", ""),
        ("patch", "nodes", ""),
        ("list", "pods", ""),
        ("watch", "pods", ""),
        ("delete", "pods", ""),
        ("create", "pods", "eviction"),
        ("patch", "pods", "status"),
    ];
    let may: BTreeSet<_> = may.into_iter().collect();
    let verbs = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
    let resources = [
        ("nodes", ""),
        ("nodes", "status"),
        ("pods", ""),
        ("pods", "eviction"),
        ("pods", "status"),
        ("pods", "exec"),
        ("secrets", ""),
        ("configmaps", ""),
        ("serviceaccounts", "token"),
    ];
    let reviews: Api<SubjectAccessReview> = Api::all(scene.cluster().client());
    for (resource, subresource) in resources {
        for verb in verbs {
            let review = review(verb, resource, subresource)?;
            let answer = reviews.create(&PostParams::default(), &review).await?;
            let allowed = answer.status.is_some_and(|status| status.allowed);
            let wanted = may.contains(&(verb, resource, subresource));
            ensure!(allowed == wanted, "{verb} {resource}/{subresource}: allowed is {allowed}");
        }
    }
    Ok(())
}

fn review(verb: &str, resource: &str, subresource: &str) -> Result<SubjectAccessReview> {
    let user = format!("system:serviceaccount:{}:{}", manifest::NAMESPACE, manifest::NAME);
    typed(json!({"spec": {
        "user": user,
        "groups": ["system:serviceaccounts", "system:authenticated"],
        "resourceAttributes": {
            "verb": verb, "resource": resource, "subresource": subresource,
            "namespace": "default", "name": "some",
        },
    }}))
}

pub(super) fn node(name: &str, system: &str, architecture: &str, taints: &Value) -> Result<Node> {
    typed(json!({
        "metadata": {"name": name, "labels": {
            "kubernetes.io/os": system, "kubernetes.io/arch": architecture,
        }},
        "spec": {"taints": taints},
    }))
}
