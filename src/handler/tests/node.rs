//! The Node at the API server: an object with a resourceVersion, changed by merge patches. Beside it,
//! what it would be if this handler did not exist.

use serde_json::{Map, Value, json};

use crate::handler::tests::script::{Edit, NODE, Script};
use crate::node::marks::Patch;
use crate::node::state::{Remembered, STATE_ANNOTATION};
use crate::node::{EXCLUSION_LABEL, FieldManager, Node, NodeAnswer, Setter, Taint};

/// The Node, as the API server keeps it.
#[derive(Clone, Debug)]
pub(super) struct Object {
    json: Value,
    version: u64,
    cordoned_by: Setter,
    /// What others have set, and nobody else.
    others: Others,
}

/// What others want the Node to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Others {
    cordoned: bool,
    taints: Vec<(String, String, String)>,
    label: Option<String>,
}

impl Object {
    pub(super) fn new(script: &Script) -> Self {
        let mut annotations = Map::from_iter([("somebody/else".to_owned(), json!("stays"))]);
        if let Some(annotation) = &script.annotation {
            annotations.insert(STATE_ANNOTATION.to_owned(), json!(annotation));
        }
        let mut object = json!({
            "metadata": { "name": NODE, "annotations": annotations, "labels": { "a": "b" } },
            "spec": { "providerID": "aws:///eu-west-1a/i-0123456789abcdef0" },
        });
        if script.cordoned {
            object["spec"]["unschedulable"] = json!(true);
        }
        let ours = script.annotation.as_deref().is_some_and(|it| it.contains("\"cordoned\":true"));
        let others = Others { cordoned: script.cordoned && !ours, ..Others::default() };
        let mut node = Self { json: object, version: 100, cordoned_by: Setter::Unknown, others };
        node.changed();
        node
    }

    /// What a GET gives.
    pub(super) fn read(&self) -> Box<Node> {
        let taint = |(key, value, effect): (String, String, String)| Taint {
            key,
            value: Some(value),
            effect,
            time_added: None,
        };
        Box::new(Node {
            resource_version: self.version.to_string(),
            unschedulable: self.is_cordoned(),
            cordoned_by: self.cordoned_by,
            too_many_taints: false,
            taints: self.taints().into_iter().map(taint).collect(),
            exclusion: self.label(),
            state: Remembered::parse(self.annotation()),
            by_hand: Remembered::Nothing,
        })
    }

    /// What a PATCH with `application/merge-patch+json` gives.
    pub(super) fn patch(&mut self, patch: &Patch) -> NodeAnswer {
        let patch: Value = serde_json::from_str(&patch.text).unwrap();
        let asked = patch["metadata"]["resourceVersion"].as_str();
        if asked.is_some_and(|asked| asked != self.version.to_string()) {
            return NodeAnswer::Conflict;
        }
        let was_cordoned = self.is_cordoned();
        merge(&mut self.json, &patch);
        self.noted_cordon(was_cordoned, Setter::Manager(FieldManager::Handler));
        self.changed();
        NodeAnswer::Is(self.read())
    }

    pub(super) fn edit(&mut self, edit: &Edit) {
        let was_cordoned = self.is_cordoned();
        match edit {
            Edit::Touch => {}
            Edit::Cordon if was_cordoned => return,
            Edit::Cordon => {
                self.json["spec"]["unschedulable"] = json!(true);
                self.others.cordoned = true;
            }
            Edit::Uncordon => {
                let spec = self.json["spec"].as_object_mut().unwrap();
                spec.remove("unschedulable");
                self.others.cordoned = false;
            }
            Edit::Taint(key, value, effect) => {
                let taint = ((*key).to_owned(), (*value).to_owned(), (*effect).to_owned());
                let mut taints = self.taints();
                for taints in [&mut taints, &mut self.others.taints] {
                    taints.retain(|(k, _, e)| (&**k, &**e) != (*key, *effect));
                    taints.push(taint.clone());
                }
                self.set_taints(&taints);
            }
            Edit::Untaint(key) => {
                let mut taints = self.taints();
                taints.retain(|(k, ..)| k != key);
                self.others.taints.retain(|(k, ..)| k != key);
                self.set_taints(&taints);
            }
            Edit::Label(value) => {
                let labels = self.json["metadata"]["labels"].as_object_mut().unwrap();
                match value {
                    Some(value) => labels.insert(EXCLUSION_LABEL.to_owned(), json!(value)),
                    None => labels.remove(EXCLUSION_LABEL),
                };
                self.others.label = value.map(str::to_owned);
            }
        }
        self.noted_cordon(was_cordoned, Setter::Others);
        self.changed();
    }

    pub(super) fn is_cordoned(&self) -> bool {
        self.json["spec"]["unschedulable"] == json!(true)
    }

    pub(super) fn annotation(&self) -> Option<&str> {
        self.json["metadata"]["annotations"][STATE_ANNOTATION].as_str()
    }

    pub(super) fn label(&self) -> Option<String> {
        self.json["metadata"]["labels"][EXCLUSION_LABEL].as_str().map(str::to_owned)
    }

    /// Key, value and effect of each taint.
    pub(super) fn taints(&self) -> Vec<(String, String, String)> {
        let taints = self.json["spec"]["taints"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        taints.map(|it| (text(&it["key"]), text(&it["value"]), text(&it["effect"]))).collect()
    }

    /// Whether it is as if this handler did not exist.
    pub(super) fn is_as_others_want_it(&self) -> bool {
        let mut taints = self.taints();
        let mut wanted = self.others.taints.clone();
        taints.sort();
        wanted.sort();
        self.is_cordoned() == self.others.cordoned
            && taints == wanted
            && self.label() == self.others.label
    }

    /// All of it but its version, with the annotation taken apart.
    pub(super) fn what_it_is(&self) -> Value {
        let mut json = self.json.clone();
        json["metadata"]["resourceVersion"] = Value::Null;
        if let Some(annotation) = self.annotation() {
            let state: Value = serde_json::from_str(annotation).unwrap();
            json["metadata"]["annotations"][STATE_ANNOTATION] = state;
        }
        json
    }

    /// Whether everything that nobody here changes is as it was.
    pub(super) fn is_otherwise_untouched(&self) -> bool {
        let mut rest = self.json.clone();
        let spec = rest["spec"].as_object_mut().unwrap();
        spec.remove("unschedulable");
        spec.remove("taints");
        let metadata = rest["metadata"].as_object_mut().unwrap();
        metadata.remove("resourceVersion");
        metadata["annotations"].as_object_mut().unwrap().remove(STATE_ANNOTATION);
        metadata["labels"].as_object_mut().unwrap().remove(EXCLUSION_LABEL);
        rest == json!({
            "metadata": {
                "name": NODE,
                "annotations": { "somebody/else": "stays" },
                "labels": { "a": "b" },
            },
            "spec": { "providerID": "aws:///eu-west-1a/i-0123456789abcdef0" },
        })
    }

    fn set_taints(&mut self, taints: &[(String, String, String)]) {
        let taints = taints
            .iter()
            .map(|(key, value, effect)| json!({ "key": key, "value": value, "effect": effect }));
        self.json["spec"]["taints"] = taints.collect();
    }

    /// The API server keeps who was the last to change a field; what nobody changes stays whose it
    /// was.
    fn noted_cordon(&mut self, was_cordoned: bool, setter: Setter) {
        match (was_cordoned, self.is_cordoned()) {
            (false, true) => self.cordoned_by = setter,
            (true, false) => self.cordoned_by = Setter::Unknown,
            _ => {}
        }
    }

    fn changed(&mut self) {
        self.version += 1;
        self.json["metadata"]["resourceVersion"] = json!(self.version.to_string());
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
