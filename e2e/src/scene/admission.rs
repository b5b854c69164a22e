//! Who has a say in what the API server is asked: webhooks and policies, each for one scene alone.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, EvictParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{SOON, Scene};
use crate::cluster::{GLANCE, port};
use crate::observers::{Answer, Receiver};
use crate::workload::typed;

/// What becomes of a request whose webhook gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// It fails.
    Fail,
    /// It goes on as if there were no webhook.
    Ignore,
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intercepted {
    /// Evictions of the scene's pods.
    Evictions,
    /// Changes of the scene's node.
    Node,
}

/// So long a request that nobody holds up takes at most.
const AT_ONCE: Duration = Duration::from_secs(3);

impl Scene {
    /// Has the API server ask a webhook that answers like this. It is asked before this returns; what
    /// it was asked is kept.
    ///
    /// # Errors
    /// The API server refuses it, or does not know of it after a minute.
    pub async fn webhook(
        &self,
        what: Intercepted,
        answer: Answer,
        policy: FailurePolicy,
    ) -> Result<Receiver> {
        let receiver = Receiver::secure(self.folder()).await?;
        receiver.answer_otherwise(answer);
        let authority = receiver.authority().context("no authority")?;
        self.register(what, receiver.port(), &fs::read(authority)?, policy).await?;
        Ok(receiver)
    }

    /// The same for a webhook that nobody serves: the pods that did are gone.
    ///
    /// # Errors
    /// As above.
    pub async fn webhook_of_nobody(&self, what: Intercepted, policy: FailurePolicy) -> Result<()> {
        let authority = fs::read(self.cluster().authority())?;
        self.register(what, port::free()?, &authority, policy).await
    }

    async fn register(
        &self,
        what: Intercepted,
        port: u16,
        authority: &[u8],
        policy: FailurePolicy,
    ) -> Result<()> {
        let (resource, operation) = match what {
            Intercepted::Evictions => ("pods/eviction", "CREATE"),
            Intercepted::Node => ("nodes", "UPDATE"),
        };
        let mut webhook = json!({
            "name": self.webhook_name(),
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": format!("{policy:?}"),
            "clientConfig": {
                "url": format!("https://127.0.0.1:{port}/"),
                "caBundle": ByteString(authority.to_vec()),
            },
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"],
                "operations": [operation], "resources": [resource],
            }],
        });
        match what {
            Intercepted::Evictions => webhook["namespaceSelector"] = self.own_namespace(),
            Intercepted::Node => {
                let labels = json!({"kubernetes.io/hostname": self.name()});
                webhook["objectSelector"] = json!({"matchLabels": labels});
            }
        }
        let configuration: ValidatingWebhookConfiguration =
            typed(json!({"metadata": {"name": self.name()}, "webhooks": [webhook]}))?;
        let all = Api::all(self.cluster().client());
        all.create(&PostParams::default(), &configuration).await?;
        self.in_force(what).await
    }

    /// Of the webhook; the API server names it where it refuses.
    #[must_use]
    pub fn webhook_name(&self) -> String {
        format!("{}.e2e.test", self.name())
    }

    /// Has a `ValidatingAdmissionPolicy` refuse all evictions of the scene's pods, with that message;
    /// `reason` decides about the status: `Forbidden`, `Invalid` and others. It holds before this
    /// returns.
    ///
    /// # Errors
    /// The API server refuses it, or does not know of it after a minute.
    pub async fn forbid_evictions(&self, reason: &str, message: &str) -> Result<()> {
        let policy: ValidatingAdmissionPolicy = typed(json!({
            "metadata": {"name": self.name()},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"],
                    "operations": ["CREATE"], "resources": ["pods/eviction"],
                }]},
                "validations": [{"expression": "false", "reason": reason, "message": message}],
            },
        }))?;
        let binding: ValidatingAdmissionPolicyBinding = typed(json!({
            "metadata": {"name": self.name()},
            "spec": {
                "policyName": self.name(), "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": self.own_namespace()},
            },
        }))?;
        let client = self.cluster().client();
        Api::all(client.clone()).create(&PostParams::default(), &policy).await?;
        Api::all(client).create(&PostParams::default(), &binding).await?;
        self.in_force(Intercepted::Evictions).await
    }

    fn own_namespace(&self) -> Value {
        json!({"matchLabels": {"kubernetes.io/metadata.name": self.name()}})
    }

    /// Waits until the API server does not do at once, and be it on trial, what it was to ask about.
    async fn in_force(&self, what: Intercepted) -> Result<()> {
        let waiting = async {
            while let Ok(done) = timeout(AT_ONCE, self.try_on(what)).await
                && done?
            {
                sleep(GLANCE).await;
            }
            anyhow::Ok(())
        };
        timeout(SOON, waiting).await.context("the API server does not know of it")?
    }

    /// Whether the API server would do it.
    async fn try_on(&self, what: Intercepted) -> Result<bool> {
        let client = self.cluster().client();
        let done = match what {
            Intercepted::Evictions => {
                let own = |pod: &crate::witness::Sighting| pod.gone.is_none();
                let pod = self.sightings().into_iter().find(own).context("no pod to try it on")?;
                let mut trial = EvictParams::default();
                trial.post_options.dry_run = true;
                let pods: Api<Pod> = Api::namespaced(client, self.name());
                pods.evict(&pod.name(), &trial).await.map(drop)
            }
            Intercepted::Node => {
                let trial = PatchParams { dry_run: true, ..PatchParams::default() };
                let patch = Patch::Merge(json!({"metadata": {"annotations": {"e2e/trial": "1"}}}));
                let nodes: Api<Node> = Api::all(client);
                nodes.patch(self.name(), &trial, &patch).await.map(drop)
            }
        };
        match done {
            Ok(()) => Ok(true),
            Err(kube::Error::Api(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the scene's namespace where nobody deletes what is in it: it ends for ever.
    ///
    /// # Errors
    /// The API server refuses, or there are controllers.
    pub async fn end_namespace(&self) -> Result<()> {
        ensure!(!self.cluster().plan().controllers, "the namespace controller would end it");
        self.kubectl(&format!("delete namespace {} --wait=false", self.name())).await
    }
}
