//! Somebody who has the token of the handler's pod on one node.

mod attempts;
mod outcome;

use anyhow::{Context, Result};
use http::{HeaderName, HeaderValue, Request};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, PostParams};
use kube::client::Body as Bytes;
use kube::{Client, Config, ResourceExt};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, GLANCE};
use crate::manifest;
use crate::scene::SOON;
use crate::workload::Shape;

pub use attempts::{Attempt, Body, Law, Who, Whose, all};
pub use outcome::{Answer, Refusal};

/// Where the attempts are made.
pub struct Target {
    /// The node whose token it is.
    pub own: String,
    /// Another node.
    pub other: String,
    /// A namespace with pods on both.
    pub namespace: String,
    /// The namespace of the account.
    pub system: String,
}

/// See the module.
pub struct Attacker<'a> {
    cluster: &'a Cluster,
    client: Client,
    target: &'a Target,
}

impl<'a> Attacker<'a> {
    /// Takes the token of that pod.
    ///
    /// # Errors
    /// The API server gives none.
    pub async fn with_token_of(
        pod: &Pod,
        cluster: &'a Cluster,
        target: &'a Target,
    ) -> Result<Self> {
        let token = manifest::token(cluster.client(), pod).await?;
        Self::with_token(token, cluster, target)
    }

    /// Takes a token of the account that is bound to no pod.
    ///
    /// # Errors
    /// The API server gives none.
    pub async fn without_pod(cluster: &'a Cluster, target: &'a Target) -> Result<Self> {
        let token = manifest::unbound_token(cluster.client(), &target.system).await?;
        Self::with_token(token, cluster, target)
    }

    fn with_token(token: String, cluster: &'a Cluster, target: &'a Target) -> Result<Self> {
        let mut config = Config::new(format!("https://127.0.0.1:{}", cluster.port()).parse()?);
        config.root_cert_file = Some(cluster.authority());
        config.auth_info.token = Some(token.into());
        config.default_retry = false;
        Ok(Self { cluster, client: Client::try_from(config)?, target })
    }

    /// Makes an attempt, on a pod of its own if it is about one.
    ///
    /// # Errors
    /// The server does not answer, or a pod cannot be made.
    pub async fn tries(&self, attempt: &Attempt, who: &Who) -> Result<Answer> {
        let mut path = attempt.path.replace("{ns}", &self.target.namespace);
        path = path.replace("{system}", &self.target.system);
        path = path.replace("{own}", &self.target.own).replace("{other}", &self.target.other);
        let mut body = match attempt.body {
            Body::None => String::new(),
            Body::Json(ref value) => value.to_string(),
            Body::Taints(change) => {
                let name = path.rsplit('/').next().unwrap_or_default();
                let node: Node = Api::all(self.cluster.client()).get(name).await?;
                let taints = serde_json::to_value(node.spec.and_then(|spec| spec.taints))?;
                let taints = change(taints.as_array().cloned().unwrap_or_default());
                json!({"spec": {"taints": taints}}).to_string()
            }
        };
        for (place, node) in [("{own-pod}", &self.target.own), ("{other-pod}", &self.target.other)]
        {
            if path.contains(place) {
                let (name, uid) = self.victim(node).await?;
                path = path.replace(place, &name);
                body = body.replace(place, &name).replace("{uid}", &uid);
            }
        }
        body = body.replace("{ns}", &self.target.namespace).replace("{own}", &self.target.own);
        body = body.replace("{other}", &self.target.other).replace("{system}", &self.target.system);
        let waiting = async {
            loop {
                let answer = self.send(attempt, who, &path, &body).await?;
                // A part of the server has not heard of the pod yet.
                if answer.code != 404 {
                    return anyhow::Ok(answer);
                }
                sleep(GLANCE).await;
            }
        };
        timeout(SOON, waiting).await.with_context(|| format!("{path} is not found"))?
    }

    async fn send(&self, attempt: &Attempt, who: &Who, path: &str, body: &str) -> Result<Answer> {
        let content = if attempt.method == "PATCH" { attempt.patch } else { "application/json" };
        let mut request = Request::builder()
            .method(attempt.method)
            .uri(path)
            .header("Content-Type", content)
            .body(Bytes::from(body.as_bytes().to_vec()))?;
        for (name, value) in who.headers(&self.target.own, &self.target.other) {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            request.headers_mut().append(name, HeaderValue::from_str(&value)?);
        }
        let response = self.client.send(request).await?;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await?;
        let status: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Answer::new(code, status["message"].as_str().unwrap_or_default()))
    }

    /// A pod on that node, for one attempt: its name and its UID.
    async fn victim(&self, node: &str) -> Result<(String, String)> {
        let mut pod = Shape::default().pod(&self.target.namespace, "victim", node)?;
        pod.metadata.name = None;
        pod.metadata.generate_name = Some("victim-".to_owned());
        let api: Api<Pod> = Api::namespaced(self.cluster.client(), &self.target.namespace);
        let pod = api.create(&PostParams::default(), &pod).await.context("creating a victim")?;
        let uid = pod.uid().context("a pod without a UID")?;
        Ok((pod.name_any(), uid))
    }
}
