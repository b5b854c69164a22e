//! What runs on the node that is going to die.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// In the environment of every pod that runs here. A handler reads whole pods, and says nothing of it.
pub const SECRET: &str = "e2e-secret-of-a-pod-zYq83kfPd";

/// What a pod is like. All pods of a scene stay on the scene's nodes.
#[derive(Clone, Debug)]
pub struct Shape {
    /// `terminationGracePeriodSeconds`.
    pub grace: u32,
    /// Seconds from the order to end to the end, if the grace lasts as long.
    pub exits_after: u32,
    /// Seconds until it runs and is ready.
    pub ready_after: u32,
    /// Its priority class.
    pub priority_class: Option<&'static str>,
    /// Whether it has a volume of type emptyDir.
    pub empty_dir: bool,
    /// Whether it has a volume of a `PersistentVolumeClaim` (of which kwok does not ask whether it is there).
    pub volume_claim: bool,
    /// Whether it tolerates everything, a cordon too.
    pub tolerant: bool,
    /// Further annotations.
    pub annotations: Value,
    /// The container's image; where nodes are played it does not matter.
    pub image: &'static str,
    /// The arguments of its program.
    pub arguments: &'static [&'static str],
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            grace: 30,
            exits_after: 1,
            ready_after: 0,
            priority_class: None,
            empty_dir: false,
            volume_claim: false,
            tolerant: false,
            annotations: json!({}),
            image: "none",
            arguments: &[],
        }
    }
}

impl Shape {
    /// The `PodTemplateSpec`, labelled `app: APP`.
    #[must_use]
    pub fn template(&self, scene: &str, app: &str) -> Value {
        let mut annotations = self.annotations.clone();
        annotations["e2e/exits-after"] = self.exits_after.to_string().into();
        annotations["e2e/ready-after"] = self.ready_after.to_string().into();
        let mut volumes = Vec::new();
        if self.empty_dir {
            volumes.push(json!({"name": "scratch", "emptyDir": {}}));
        }
        if self.volume_claim {
            let claim = json!({"claimName": format!("data-{app}")});
            volumes.push(json!({"name": "data", "persistentVolumeClaim": claim}));
        }
        json!({
            "metadata": {"labels": {"app": app}, "annotations": annotations},
            "spec": {
                "nodeSelector": {"e2e/scene": scene},
                "terminationGracePeriodSeconds": self.grace,
                "priorityClassName": self.priority_class,
                "automountServiceAccountToken": false,
                "tolerations": if self.tolerant { json!([{"operator": "Exists"}]) } else { json!([]) },
                "volumes": volumes,
                "containers": [{
                    "name": "main", "image": self.image, "args": self.arguments,
                    "env": [{"name": "PASSWORD", "value": SECRET}],
                }],
            },
        })
    }

    /// A pod on that node, past the scheduler.
    ///
    /// # Errors
    /// None but of this code's own making.
    pub fn pod(&self, scene: &str, name: &str, node: &str) -> anyhow::Result<Pod> {
        let mut pod = self.template(scene, name);
        pod["metadata"]["name"] = name.into();
        pod["spec"]["nodeName"] = node.into();
        typed(pod)
    }

    /// A Deployment of such pods.
    ///
    /// # Errors
    /// None but of this code's own making.
    pub fn deployment(
        &self,
        scene: &str,
        name: &str,
        replicas: usize,
    ) -> anyhow::Result<Deployment> {
        deployment(name, replicas, &self.template(scene, name))
    }
}

/// A Deployment of pods that are labelled `app: NAME`.
///
/// # Errors
/// The template is none.
pub fn deployment(name: &str, replicas: usize, template: &Value) -> anyhow::Result<Deployment> {
    typed(json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template,
        },
    }))
}

/// A budget over the pods labelled `app: APP`; `limit` is such as
/// `{"maxUnavailable": 1}`.
///
/// # Errors
/// None but of this code's own making.
pub fn budget(app: &str, limit: &Value) -> anyhow::Result<PodDisruptionBudget> {
    let mut spec = limit.clone();
    spec["selector"] = json!({"matchLabels": {"app": app}});
    typed(json!({"metadata": {"name": app}, "spec": spec}))
}

/// A value as a Kubernetes object.
///
/// # Errors
/// It is none.
pub fn typed<T: DeserializeOwned>(value: Value) -> anyhow::Result<T> {
    Ok(serde_json::from_value(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pod_has_a_secret_in_its_environment() {
        let pod = Shape::default().pod("scene", "web", "node").unwrap();
        let set = Shape::default().deployment("scene", "web", 2).unwrap();
        let template = set.spec.template.spec;
        for spec in [pod.spec, template] {
            let variables = spec.unwrap().containers.remove(0).env.unwrap();
            assert!(variables.iter().any(|variable| variable.value.as_deref() == Some(SECRET)));
        }
    }
}
