//! What `deploy/` ships, as the API server has it after `kubectl apply`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, GLANCE};

/// Of namespace, ServiceAccount, roles and DaemonSet.
pub const NAMESPACE: &str = "kube-system";
/// Their name.
pub const NAME: &str = "k8s-spot-handler";

/// Applies `deploy/` as a user does.
///
/// # Errors
/// `kubectl apply -k` fails.
pub async fn apply(cluster: &Cluster, deploy: &Path) -> Result<()> {
    let folder = deploy.to_str().context("a path that is not UTF-8")?;
    cluster.run_kubectl(&["apply", "--server-side", "-k", folder]).await?;
    Ok(())
}

/// The handler's pod on a node. Where a DaemonSet controller runs it is that
/// one's; elsewhere it is made from the DaemonSet's template.
///
/// # Errors
/// There is none within a minute.
pub async fn handler_pod(cluster: &Cluster, node: &str) -> Result<Pod> {
    if !cluster.plan().controllers {
        create_pod(cluster.client(), NAMESPACE, node, None).await?;
    }
    let waiting = async {
        loop {
            match find_handler_pod(cluster, node).await? {
                Some(pod) => return anyhow::Ok(pod),
                None => sleep(GLANCE).await,
            }
        }
    };
    timeout(Duration::from_mins(1), waiting)
        .await
        .with_context(|| format!("no pod of the DaemonSet runs on node {node}"))?
}

/// The running pod of the DaemonSet on a node, if there is one.
///
/// # Errors
/// The API server does not answer.
pub async fn find_handler_pod(cluster: &Cluster, node: &str) -> Result<Option<Pod>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), NAMESPACE);
    let on_node = ListParams::default()
        .fields(&format!("spec.nodeName={node},status.phase=Running"))
        .labels("app.kubernetes.io/name=k8s-spot-handler");
    let found = pods.list(&on_node).await?.items;
    Ok(found.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none()))
}

/// A pod made from the DaemonSet's template, on that node, with the account of
/// that namespace, for which the kubelet would have so much patience; `None`: as
/// much as shipped.
///
/// # Errors
/// The API server refuses it.
pub async fn create_pod(
    client: Client,
    namespace: &str,
    node: &str,
    grace: Option<u32>,
) -> Result<Pod> {
    let set: DaemonSet = Api::namespaced(client.clone(), NAMESPACE).get(NAME).await?;
    let template = serde_json::to_value(&set.spec.template)?;
    let mut pod = json!({
        "metadata": {
            // As the DaemonSet's controller does it: none has the name of one that is gone.
            "generateName": format!("{NAME}-{node}-"),
            "labels": template["metadata"]["labels"],
        },
        "spec": template["spec"],
    });
    pod["spec"]["nodeName"] = node.into();
    if let Some(grace) = grace {
        pod["spec"]["terminationGracePeriodSeconds"] = grace.into();
        // Its own, not the DaemonSet's: that one would not want it.
        pod["metadata"]["labels"] = json!({});
    }
    let pod: Pod = serde_json::from_value(pod)?;
    Ok(Api::namespaced(client, namespace).create(&PostParams::default(), &pod).await?)
}

/// The environment that the kubelet would give to this pod's container.
///
/// # Errors
/// The manifest uses a form that is not known here.
pub fn environment(pod: &Pod) -> Result<Vec<(String, String)>> {
    let spec = pod.spec.as_ref().context("a pod without spec")?;
    let container = spec.containers.first().context("a pod without containers")?;
    ensure!(container.args.is_none() && container.command.is_none(), "arguments are not expected");
    let mut environment = Vec::new();
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), None) => value.clone(),
            (None, Some(source)) => {
                let field = source.field_ref.as_ref().map(|field| field.field_path.as_str());
                match field {
                    Some("spec.nodeName") => spec.node_name.clone().unwrap_or_default(),
                    Some("metadata.name") => pod.name_any(),
                    Some("metadata.namespace") => pod.namespace().unwrap_or_default(),
                    other => bail!("{}: field {other:?} is not known here", variable.name),
                }
            }
            (None, None) | (Some(_), Some(_)) => String::new(),
        };
        environment.push((variable.name.clone(), value));
    }
    Ok(environment)
}

/// A token of the handler's ServiceAccount, bound to that pod as the kubelet
/// asks for it. It is worth nothing once the pod is gone.
///
/// # Errors
/// The API server gives none.
pub async fn token(client: Client, pod: &Pod) -> Result<String> {
    let bound = BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(pod.name_any()),
        uid: pod.uid(),
    };
    token_of(client, &pod.namespace().unwrap_or_default(), Some(bound)).await
}

/// A token of the account of that namespace, bound to nothing.
///
/// # Errors
/// The API server gives none.
pub async fn unbound_token(client: Client, namespace: &str) -> Result<String> {
    token_of(client, namespace, None).await
}

async fn token_of(
    client: Client,
    namespace: &str,
    bound: Option<BoundObjectReference>,
) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            bound_object_ref: bound,
            expiration_seconds: Some(3607),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let answer = accounts
        .create_token_request(NAME, &PostParams::default(), &request)
        .await
        .context("asking for a token")?;
    answer.status.and_then(|status| status.token).context("an answer without a token")
}
