//! Pods as a test describes them, and as the API server shows them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

/// `namespace/name` of the handler's own pod, the one its token is bound to.
pub const HANDLER_POD: &str = "kube-system/k8s-spot-handler-x7x2p";
/// The UID of the handler's own pod.
pub const HANDLER_POD_UID: &str = "5b0b1f1e-7a35-4a8e-8f4e-2f6f1c9b7a10";

/// A pod to put on the node. Without more words it is a running, ready pod
/// without an owner, of some 4 kB, that wants up to 30 s and stops within one.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "what a test wants of a pod, one by one")]
pub struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: Option<String>,
    pub(super) takes: Option<Duration>,
    pub(super) terminating: Option<Duration>,
    node: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    owner: Option<Owner>,
    grace: u64,
    phase: &'static str,
    ready: bool,
    priority_class: Option<String>,
    empty_dir: bool,
    volume_claim: bool,
    host_network: bool,
    size: usize,
    /// What stands in these places (JSON pointers), whatever else would.
    places: Vec<(String, Value)>,
}

#[derive(Debug, Clone)]
struct Owner {
    api_version: &'static str,
    kind: &'static str,
    name: String,
    controller: bool,
}

impl Pod {
    /// A pod of this name, `namespace/name`; the namespace `default` may be
    /// left out.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: None,
            takes: Some(Duration::from_secs(1)),
            terminating: None,
            node: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            owner: None,
            grace: 30,
            phase: "Running",
            ready: true,
            priority_class: None,
            empty_dir: false,
            volume_claim: false,
            host_network: false,
            size: 0,
            places: Vec::new(),
        }
    }

    /// The handler's own pod, whose name and UID stand in its token: one of a
    /// DaemonSet, critical, with 150 s of grace.
    #[must_use]
    pub fn handler() -> Self {
        Self::named(HANDLER_POD)
            .uid(HANDLER_POD_UID)
            .daemon_set("k8s-spot-handler")
            .priority_class("system-node-critical")
            .grace(150)
    }

    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// With this UID instead of one of its own.
    #[must_use]
    pub fn uid(mut self, uid: &str) -> Self {
        self.uid = Some(uid.to_owned());
        self
    }

    /// Of a ReplicaSet, with the label `app`.
    #[must_use]
    pub fn replica_set(self, name: &str) -> Self {
        self.labelled("app", name).owned_by("apps/v1", "ReplicaSet", name)
    }

    /// Of a StatefulSet, with the label `app`.
    #[must_use]
    pub fn stateful_set(self, name: &str) -> Self {
        self.labelled("app", name).owned_by("apps/v1", "StatefulSet", name)
    }

    /// Of a DaemonSet, with the label `app`.
    #[must_use]
    pub fn daemon_set(self, name: &str) -> Self {
        self.labelled("app", name).owned_by("apps/v1", "DaemonSet", name)
    }

    /// Of a Job.
    #[must_use]
    pub fn job(self, name: &str) -> Self {
        self.labelled("job-name", name).owned_by("batch/v1", "Job", name)
    }

    /// The mirror of a static pod.
    #[must_use]
    pub fn mirror(mut self) -> Self {
        let digest = "6f1c2d9a8b7e4f5a9c3d2e1f0a9b8c7d";
        self.annotations.insert("kubernetes.io/config.hash".to_owned(), digest.to_owned());
        self.annotations.insert("kubernetes.io/config.mirror".to_owned(), digest.to_owned());
        self.annotations.insert("kubernetes.io/config.source".to_owned(), "file".to_owned());
        self.host_network = true;
        self.owner = Some(Owner {
            api_version: "v1",
            kind: "Node",
            name: "the-node".to_owned(),
            controller: true,
        });
        self
    }

    /// With an owner that is not its controller: as good as none.
    #[must_use]
    pub fn mere_owner(mut self, kind: &'static str, name: &str) -> Self {
        self.owner =
            Some(Owner { api_version: "apps/v1", kind, name: name.to_owned(), controller: false });
        self
    }

    /// With this label.
    #[must_use]
    pub fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With this annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Its `terminationGracePeriodSeconds`.
    #[must_use]
    pub fn grace(mut self, seconds: u64) -> Self {
        self.grace = seconds;
        self
    }

    /// How long its containers need to stop; longer than the grace it gets,
    /// they are killed.
    #[must_use]
    pub fn stops_in(mut self, time: Duration) -> Self {
        self.takes = Some(time);
        self
    }

    /// Its kubelet never gets rid of it, whatever the grace.
    #[must_use]
    pub fn stuck(mut self) -> Self {
        self.takes = None;
        self
    }

    /// Asked to go before it is added, with so much of its grace left.
    #[must_use]
    pub fn terminating(mut self, left: Duration) -> Self {
        self.terminating = Some(left);
        self
    }

    /// Finished: `Succeeded`.
    #[must_use]
    pub fn succeeded(mut self) -> Self {
        self.phase = "Succeeded";
        self.ready = false;
        self
    }

    /// Finished: `Failed`.
    #[must_use]
    pub fn failed(mut self) -> Self {
        self.phase = "Failed";
        self.ready = false;
        self
    }

    /// Bound, but not started: `Pending`.
    #[must_use]
    pub fn pending(mut self) -> Self {
        self.phase = "Pending";
        self.ready = false;
        self
    }

    /// Running, but not ready: a budget does not count it as healthy.
    #[must_use]
    pub fn unready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// Of this priority class, such as `system-cluster-critical`.
    #[must_use]
    pub fn priority_class(mut self, name: &str) -> Self {
        self.priority_class = Some(name.to_owned());
        self
    }

    /// With an `emptyDir` volume.
    #[must_use]
    pub fn empty_dir(mut self) -> Self {
        self.empty_dir = true;
        self
    }

    /// With a volume of a `PersistentVolumeClaim`.
    #[must_use]
    pub fn volume_claim(mut self) -> Self {
        self.volume_claim = true;
        self
    }

    /// On another node than the cluster's.
    #[must_use]
    pub fn on_node(mut self, name: &str) -> Self {
        self.node = Some(name.to_owned());
        self
    }

    /// At least that many bytes of JSON, if it has less without. Real ones
    /// have 4,000 to 15,000, and at most 1.5 MiB.
    #[must_use]
    pub fn size(mut self, bytes: usize) -> Self {
        self.size = bytes;
        self
    }

    /// With this value in this place of its object (a JSON pointer such as `/metadata/finalizers`).
    #[must_use]
    pub fn with(mut self, place: &str, value: Value) -> Self {
        self.places.push((place.to_owned(), value));
        self
    }

    fn owned_by(mut self, api_version: &'static str, kind: &'static str, name: &str) -> Self {
        self.owner = Some(Owner { api_version, kind, name: name.to_owned(), controller: true });
        self
    }

    /// As the API server holds it, without a resourceVersion.
    pub(super) fn object(&self, cluster_node: &str, uid: &str, now: &str) -> Value {
        let node = self.node.as_deref().unwrap_or(cluster_node);
        let mut metadata = json!({
            "name": self.name,
            "namespace": self.namespace,
            "uid": uid,
            "creationTimestamp": now,
            "managedFields": managed_fields(now),
        });
        if !self.labels.is_empty() {
            metadata["labels"] = json!(self.labels);
        }
        if !self.annotations.is_empty() {
            metadata["annotations"] = json!(self.annotations);
        }
        if let Some(owner) = &self.owner {
            let name = if owner.kind == "Node" { node } else { &owner.name };
            let mut reference = json!({
                "apiVersion": owner.api_version,
                "kind": owner.kind,
                "name": name,
                "uid": "9d1f7a44-5c1e-4b3a-8a77-3c2b1a0f9e8d",
            });
            if owner.controller {
                reference["controller"] = json!(true);
                reference["blockOwnerDeletion"] = json!(true);
            }
            metadata["ownerReferences"] = json!([reference]);
        }
        let mut object = json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": metadata,
            "spec": self.spec(node),
            "status": self.status(now),
        });
        for (place, value) in &self.places {
            let (parent, name) = place.rsplit_once('/').unwrap_or(("", place));
            if let Some(parent) = object.pointer_mut(parent) {
                parent[name] = value.clone();
            }
        }
        let lacking = self.size.saturating_sub(object.to_string().len());
        if lacking > 0 {
            object["metadata"]["annotations"]["simulator/filler"] = json!("x".repeat(lacking));
        }
        object
    }

    fn spec(&self, node: &str) -> Value {
        let mut volumes = vec![json!({
            "name": "kube-api-access-8xk2v",
            "projected": { "defaultMode": 420, "sources": [
                { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
                { "configMap": { "name": "kube-root-ca.crt",
                    "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                { "downwardAPI": { "items": [{ "path": "namespace",
                    "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } }] } },
            ] },
        })];
        if self.empty_dir {
            volumes.push(json!({ "name": "scratch", "emptyDir": {} }));
        }
        if self.volume_claim {
            let claim = json!({ "claimName": format!("data-{}", self.name) });
            volumes.push(json!({ "name": "data", "persistentVolumeClaim": claim }));
        }
        let variables: Vec<_> = ["LOG_LEVEL", "HTTP_PORT", "DATABASE_URL", "CACHE_URL", "REGION"]
            .iter()
            .map(|name| json!({ "name": name, "value": format!("the value of \"{name}\" – ünï") }))
            .collect();
        let mut spec = json!({
            "containers": [{
                "name": "main",
                "image": "registry.example.com/team/service:v1.4.2",
                "imagePullPolicy": "IfNotPresent",
                "env": variables,
                "ports": [{ "name": "http", "containerPort": 8080, "protocol": "TCP" }],
                "readinessProbe": { "failureThreshold": 3, "periodSeconds": 10,
                    "httpGet": { "path": "/ready", "port": "http", "scheme": "HTTP" } },
                "resources": { "limits": { "memory": "256Mi" },
                    "requests": { "cpu": "100m", "memory": "256Mi" } },
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "volumeMounts": [{ "name": "kube-api-access-8xk2v", "readOnly": true,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" }],
            }],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": true,
            "nodeName": node,
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": 0,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": self.grace,
            "tolerations": [
                { "effect": "NoExecute", "key": "node.kubernetes.io/not-ready",
                    "operator": "Exists", "tolerationSeconds": 300 },
                { "effect": "NoExecute", "key": "node.kubernetes.io/unreachable",
                    "operator": "Exists", "tolerationSeconds": 300 },
            ],
            "volumes": volumes,
        });
        if self.host_network {
            spec["hostNetwork"] = json!(true);
        }
        if let Some(class) = &self.priority_class {
            spec["priorityClassName"] = json!(class);
            spec["priority"] = match class.as_str() {
                "system-node-critical" => json!(2_000_001_000),
                "system-cluster-critical" => json!(2_000_000_000),
                _ => json!(1000),
            };
        }
        spec
    }

    fn status(&self, now: &str) -> Value {
        let ready = if self.ready { "True" } else { "False" };
        let condition = |kind: &str, status: &str| {
            json!({ "type": kind, "status": status, "observedGeneration": 1,
                "lastProbeTime": null, "lastTransitionTime": now })
        };
        json!({
            "phase": self.phase,
            "hostIP": "10.0.1.17",
            "podIP": "10.244.3.21",
            "podIPs": [{ "ip": "10.244.3.21" }],
            "qosClass": "Burstable",
            "startTime": now,
            "conditions": [
                condition("PodReadyToStartContainers", "True"),
                condition("Initialized", "True"),
                condition("Ready", ready),
                condition("ContainersReady", ready),
                condition("PodScheduled", "True"),
            ],
            "containerStatuses": [{
                "name": "main",
                "image": "registry.example.com/team/service:v1.4.2",
                "imageID": "registry.example.com/team/service@sha256:4f1d7c5b",
                "containerID": "containerd://0b8c1e7a5d",
                "ready": self.ready,
                "started": self.ready,
                "restartCount": 0,
                "lastState": {},
                "state": match self.phase {
                    "Running" => json!({ "running": { "startedAt": now } }),
                    "Pending" => json!({ "waiting": { "reason": "ContainerCreating" } }),
                    _ => json!({ "terminated": { "exitCode": i32::from(self.phase == "Failed"),
                        "reason": "Completed", "startedAt": now, "finishedAt": now } }),
                },
            }],
        })
    }
}

/// The part of an object that is long and says nothing to a client.
fn managed_fields(now: &str) -> Value {
    json!([
        {
            "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
            "time": now, "fieldsType": "FieldsV1",
            "fieldsV1": { "f:metadata": { "f:labels": { ".": {}, "f:app": {} },
                "f:ownerReferences": { ".": {} } },
                "f:spec": { "f:containers": { "k:{\"name\":\"main\"}": { ".": {}, "f:env": { ".": {},
                    "k:{\"name\":\"LOG_LEVEL\"}": { ".": {}, "f:name": {}, "f:value": {} } },
                    "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:resources": {} } },
                    "f:dnsPolicy": {}, "f:restartPolicy": {}, "f:schedulerName": {},
                    "f:terminationGracePeriodSeconds": {} } },
        },
        {
            "manager": "kubelet", "operation": "Update", "apiVersion": "v1",
            "time": now, "fieldsType": "FieldsV1", "subresource": "status",
            "fieldsV1": { "f:status": { "f:conditions": { ".": {},
                "k:{\"type\":\"Ready\"}": { ".": {}, "f:lastTransitionTime": {}, "f:status": {},
                    "f:type": {} } }, "f:containerStatuses": {}, "f:hostIP": {}, "f:phase": {},
                "f:podIP": {}, "f:podIPs": {}, "f:startTime": {} } },
        },
    ])
}
