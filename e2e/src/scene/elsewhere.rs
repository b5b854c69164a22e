//! Pods of the cluster that are none of the scene's business.

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{SOON, Scene};
use crate::cluster::GLANCE;
use crate::wire;

/// The most operations of one transaction of etcd (`--max-txn-ops`).
const AT_ONCE: usize = 128;

/// How many of them a node has.
const EACH: usize = 100;

impl Scene {
    /// So many running pods on other nodes, of which there are no Nodes. They are written to etcd, in
    /// one of the forms in which the API server keeps them: through it, ten thousand would take it a
    /// minute. It has them before this returns.
    ///
    /// # Errors
    /// etcd refuses, or the API server does not see them within a minute.
    pub async fn pods_elsewhere(&self, count: usize) -> Result<()> {
        let port = self.cluster().etcd_port();
        let all: Vec<usize> = (0..count).collect();
        for some in all.chunks(AT_ONCE) {
            let puts: Vec<Value> = some.iter().map(|number| self.put(*number)).collect();
            wire::post(port, "/v3/kv/txn", &json!({"success": puts}).to_string())
                .await
                .context("writing pods to etcd")?;
        }
        let last = count.checked_sub(1).context("no pods")?;
        let path = format!("/api/v1/namespaces/default/pods/{}", name(last));
        let from_cache = format!("{path}?resourceVersion=0");
        let waiting = async {
            loop {
                let request = http::Request::get(&from_cache).body(Vec::new())?;
                match self.cluster().client().request_text(request).await {
                    Ok(_) => return anyhow::Ok(()),
                    Err(kube::Error::Api(status)) if status.code == 404 => sleep(GLANCE).await,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        timeout(SOON, waiting).await.context("the API server does not see the pods")?
    }

    fn put(&self, number: usize) -> Value {
        let name = name(number);
        let pod = json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {
                "name": name, "namespace": "default",
                "uid": format!("e2e00000-0000-4000-9000-{number:012}"),
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"app": "elsewhere", "e2e/beside": self.name()},
            },
            "spec": {
                "nodeName": format!("elsewhere-{}", number / EACH),
                "containers": [{"name": "main", "image": "none"}],
            },
            "status": {"phase": "Running"},
        });
        let bytes = |text: String| ByteString(text.into_bytes());
        json!({"requestPut": {
            "key": bytes(format!("/registry/pods/default/{name}")),
            "value": bytes(pod.to_string()),
        }})
    }
}

fn name(number: usize) -> String {
    format!("elsewhere-{number}")
}
