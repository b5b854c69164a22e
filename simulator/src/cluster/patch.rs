//! Patches of the Node and of a pod's status.

use serde_json::{Value, json};

use super::fields;
use super::happening::Happening;
use super::refusal::Refusal;
use super::store::{Key, Store, timestamp};
use crate::http::{Request, Response};

/// The taint the control plane gives to a cordoned Node.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

#[derive(PartialEq, Eq)]
enum Form {
    Merge,
    Strategic,
}

impl Store {
    /// PATCH of the Node.
    pub(super) fn patch_node(&mut self, request: &Request) -> Result<Response, Refusal> {
        let (_, patch) = read(request)?;
        if let Some(interfere) = self.interferences.pop_front() {
            self.interfere(interfere);
        }
        let name = self.node_name().to_owned();
        check(&self.node, &patch, "nodes", &name)?;
        let mut node = self.node.clone();
        merge(&mut node, &patch);
        settle(&mut node, &self.node, &fields::manager(request));
        if request.parameter("dryRun") == Some("All") {
            return Ok(Response::json(200, &node));
        }
        Ok(self.replace_node(node))
    }

    /// Somebody else changes the Node.
    pub(super) fn interfere(&mut self, change: impl FnOnce(&mut Value)) {
        let mut node = self.node.clone();
        change(&mut node);
        settle(&mut node, &self.node, fields::OTHERS);
        self.replace_node(node);
    }

    /// The Node becomes this. It is answered with before the control plane
    /// follows.
    fn replace_node(&mut self, node: Value) -> Response {
        let was_cordoned = self.node["spec"]["unschedulable"] == true;
        self.node = node;
        self.touch_node();
        let response = Response::json(200, &self.node);
        let cordoned = self.node["spec"]["unschedulable"] == true;
        if cordoned != was_cordoned {
            self.happen(if cordoned { Happening::Cordoned } else { Happening::Uncordoned });
            self.taint_for_cordon(cordoned);
        }
        response
    }

    /// PATCH of a pod's status.
    pub(super) fn patch_status(
        &mut self,
        key: &Key,
        request: &Request,
    ) -> Result<Response, Refusal> {
        let (form, patch) = read(request)?;
        let held = self.pods.get_mut(key).ok_or_else(|| Refusal::not_found("pods", &key.1))?;
        check(&held.object, &patch, "pods", &key.1)?;
        let mut status = patch["status"].clone();
        let mut conditions = Vec::new();
        if form == Form::Strategic && status["conditions"].is_array() {
            // Conditions are merged by their type.
            if let Some(Value::Array(listed)) =
                status.as_object_mut().and_then(|status| status.remove("conditions"))
            {
                conditions = listed;
            }
        }
        if !status.is_null() {
            merge(&mut held.object["status"], &status);
        }
        for condition in &conditions {
            self.set_condition(key, condition);
            if condition["type"] == "DisruptionTarget" {
                let reason = condition["reason"].as_str().unwrap_or_default().to_owned();
                self.happen(Happening::Marked { pod: format!("{}/{}", key.0, key.1), reason });
            }
        }
        self.tell_of(key, "MODIFIED");
        let object = self.pods.get(key).map(|held| held.object.clone());
        Ok(Response::json(200, &object.unwrap_or_default()))
    }

    /// What the node lifecycle controller does beside.
    fn taint_for_cordon(&mut self, cordoned: bool) {
        let mut taints = self.node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints.retain(|taint| taint["key"] != UNSCHEDULABLE);
        if cordoned {
            taints.push(json!({ "key": UNSCHEDULABLE, "effect": "NoSchedule",
                "timeAdded": timestamp(std::time::Duration::ZERO) }));
        }
        if let Some(spec) = self.node["spec"].as_object_mut() {
            if taints.is_empty() {
                spec.remove("taints");
            } else {
                spec.insert("taints".to_owned(), Value::Array(taints));
            }
        }
        self.touch_node();
    }
}

fn read(request: &Request) -> Result<(Form, Value), Refusal> {
    let content_type = request.header("content-type").unwrap_or_default();
    let form = match content_type.split(';').next().unwrap_or_default().trim() {
        "application/merge-patch+json" => Form::Merge,
        "application/strategic-merge-patch+json" => Form::Strategic,
        other => {
            return Err(Refusal::new(
                415,
                format!("the body of the request was in an unknown format - {other:?}"),
            ));
        }
    };
    let patch: Value = serde_json::from_slice(&request.body)
        .map_err(|error| Refusal::new(400, format!("the patch is not JSON: {error}")))?;
    if patch.is_object() {
        Ok((form, patch))
    } else {
        Err(Refusal::new(400, "the patch is not an object"))
    }
}

/// A Node that was changed, as it is written: false and an empty list are the
/// same as absent, and who did it is noted.
fn settle(node: &mut Value, before: &Value, manager: &str) {
    if let Some(spec) = node["spec"].as_object_mut() {
        spec.retain(|_, value| *value != json!(false) && *value != json!([]));
    }
    fields::note(node, &before["spec"]["unschedulable"], manager);
}

/// A patch that names a UID or a resourceVersion is for that one only.
fn check(object: &Value, patch: &Value, kind: &str, name: &str) -> Result<(), Refusal> {
    let (there, wanted) = (&object["metadata"], &patch["metadata"]);
    let differs = |field: &str| !wanted[field].is_null() && wanted[field] != there[field];
    let what = if differs("uid") {
        format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            wanted["uid"].as_str().unwrap_or_default(),
            there["uid"].as_str().unwrap_or_default()
        )
    } else if differs("resourceVersion") {
        "the object has been modified; please apply your changes to the latest version and try again"
            .to_owned()
    } else {
        return Ok(());
    };
    let message = format!("Operation cannot be fulfilled on {kind} \"{name}\": {what}");
    Err(Refusal::new(409, message).about(kind, name))
}

/// JSON Merge Patch, RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, change) in changes {
        if change.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.as_str()).or_insert(Value::Null), change);
        }
    }
}
