//! The Node at the API server: an object with a resourceVersion, changed by merge patches.

use serde_json::{Map, Value, json};

use crate::handler::tests::script::{Edit, NODE, Script};
use crate::node::{Node, NodeAnswer, Patch, Remembered, STATE_ANNOTATION};

/// The Node, as the API server keeps it.
#[derive(Clone, Debug)]
pub(super) struct Object {
    object: Value,
    version: u64,
}

impl Object {
    pub(super) fn new(script: &Script) -> Self {
        let mut annotations = Map::from_iter([("somebody/else".to_owned(), json!("stays"))]);
        if let Some(annotation) = &script.annotation {
            annotations.insert(STATE_ANNOTATION.to_owned(), json!(annotation));
        }
        let mut object = json!({
            "metadata": { "name": NODE, "annotations": annotations },
            "spec": { "providerID": "aws:///eu-west-1a/i-0123456789abcdef0" },
        });
        if script.cordoned {
            object["spec"]["unschedulable"] = json!(true);
        }
        let mut node = Self { object, version: 100 };
        node.changed();
        node
    }

    /// What a GET gives.
    pub(super) fn read(&self) -> Node {
        Node {
            resource_version: self.version.to_string(),
            unschedulable: self.is_cordoned(),
            state: Remembered::parse(self.annotation()),
        }
    }

    /// What a PATCH with `application/merge-patch+json` gives.
    pub(super) fn patch(&mut self, patch: &Patch) -> NodeAnswer {
        let patch: Value = serde_json::from_str(&patch.0).unwrap();
        let asked = patch["metadata"]["resourceVersion"].as_str();
        if asked.is_some_and(|asked| asked != self.version.to_string()) {
            return NodeAnswer::Conflict;
        }
        merge(&mut self.object, &patch);
        self.changed();
        NodeAnswer::Is(self.read())
    }

    pub(super) fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::Touch => {}
            Edit::Cordon => self.object["spec"]["unschedulable"] = json!(true),
            Edit::Uncordon => {
                let spec = self.object["spec"].as_object_mut().unwrap();
                spec.remove("unschedulable");
            }
        }
        self.changed();
    }

    pub(super) fn is_cordoned(&self) -> bool {
        self.object["spec"]["unschedulable"] == json!(true)
    }

    pub(super) fn annotation(&self) -> Option<&str> {
        self.object["metadata"]["annotations"][STATE_ANNOTATION].as_str()
    }

    /// Whether everything that is not ours is as it was.
    pub(super) fn is_otherwise_untouched(&self) -> bool {
        let mut rest = self.object.clone();
        rest["spec"].as_object_mut().unwrap().remove("unschedulable");
        rest["metadata"]["annotations"].as_object_mut().unwrap().remove(STATE_ANNOTATION);
        rest["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        rest == json!({
            "metadata": { "name": NODE, "annotations": { "somebody/else": "stays" } },
            "spec": { "providerID": "aws:///eu-west-1a/i-0123456789abcdef0" },
        })
    }

    fn changed(&mut self) {
        self.version += 1;
        self.object["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (name, value) in fields {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
