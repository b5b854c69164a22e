//! The one Node a stand-in cluster has.

use serde_json::{Value, json};

use super::fields;

/// The UID of the Node.
pub(super) const NODE_UID: &str = "0e5b7a52-4f0e-4f5e-9c55-6d7e3c1a9d01";

/// A Node to start a cluster with: ready, schedulable, with the labels and the
/// status an EC2 node has.
#[derive(Debug, Clone)]
pub struct Node {
    name: String,
    /// Who has cordoned it.
    cordoned_by: Option<String>,
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    taints: Vec<Value>,
}

impl Node {
    /// A Node of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            cordoned_by: None,
            labels: Vec::new(),
            annotations: Vec::new(),
            taints: Vec::new(),
        }
    }

    /// Cordoned beforehand, by somebody else.
    #[must_use]
    pub fn cordoned(self) -> Self {
        self.cordoned_by(fields::OTHERS)
    }

    /// Cordoned beforehand, under this name (`fieldManager`).
    #[must_use]
    pub fn cordoned_by(mut self, manager: &str) -> Self {
        self.cordoned_by = Some(manager.to_owned());
        self
    }

    /// With this label.
    #[must_use]
    pub fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.push((key.to_owned(), value.to_owned()));
        self
    }

    /// With this annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.push((key.to_owned(), value.to_owned()));
        self
    }

    /// With this taint.
    #[must_use]
    pub fn tainted(mut self, key: &str, value: &str, effect: &str) -> Self {
        self.taints.push(json!({ "key": key, "value": value, "effect": effect }));
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// As the API server holds it, without a resourceVersion.
    pub(super) fn into_object(self, now: &str) -> Value {
        let mut labels = json!({
            "beta.kubernetes.io/arch": "amd64",
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": "m7i.large",
            "topology.kubernetes.io/region": "eu-central-1",
            "topology.kubernetes.io/zone": "eu-central-1a",
        });
        for (key, value) in self.labels {
            labels[key] = json!(value);
        }
        let mut annotations = json!({ "node.alpha.kubernetes.io/ttl": "0" });
        for (key, value) in self.annotations {
            annotations[key] = json!(value);
        }
        let mut spec = json!({
            "podCIDR": "10.244.3.0/24",
            "podCIDRs": ["10.244.3.0/24"],
            "providerID": "aws:///eu-central-1a/i-0123456789abcdef0",
        });
        if self.cordoned_by.is_some() {
            spec["unschedulable"] = json!(true);
        }
        if !self.taints.is_empty() {
            spec["taints"] = json!(self.taints);
        }
        let resources = json!({
            "cpu": "2", "ephemeral-storage": "83873772Ki", "hugepages-2Mi": "0",
            "memory": "7934380Ki", "pods": "250",
        });
        let mut node = json!({
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {
                "name": self.name,
                "uid": NODE_UID,
                "creationTimestamp": now,
                "labels": labels,
                "annotations": annotations,
            },
            "spec": spec,
            "status": {
                "addresses": [
                    { "type": "InternalIP", "address": "10.0.1.17" },
                    { "type": "Hostname", "address": self.name },
                ],
                "allocatable": resources,
                "capacity": resources,
                "conditions": [
                    condition("MemoryPressure", "False", "KubeletHasSufficientMemory", now),
                    condition("DiskPressure", "False", "KubeletHasNoDiskPressure", now),
                    condition("PIDPressure", "False", "KubeletHasSufficientPID", now),
                    condition("Ready", "True", "KubeletReady", now),
                ],
                "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
                "nodeInfo": {
                    "architecture": "amd64",
                    "bootID": "b2c1d9a0-33d1-4d0f-9b59-2f6a5ed0c3f1",
                    "containerRuntimeVersion": "containerd://2.1.4",
                    "kernelVersion": "6.12.40",
                    "kubeProxyVersion": "",
                    "kubeletVersion": "v1.37.2",
                    "machineID": "ec2b0f6d9a8c4c0e8e3f7a6b5c4d3e2f",
                    "operatingSystem": "linux",
                    "osImage": "Amazon Linux 2023",
                    "systemUUID": "ec2b0f6d-9a8c-4c0e-8e3f-7a6b5c4d3e2f",
                },
            },
        });
        if let Some(manager) = self.cordoned_by {
            fields::note(&mut node, &Value::Null, &manager);
        }
        node
    }
}

fn condition(kind: &str, status: &str, reason: &str, now: &str) -> Value {
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": reason,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    })
}
