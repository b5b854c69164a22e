//! What the API server says of the Node: what decides about its marks, and for messages its labels. Pure.

use std::collections::BTreeMap;

use miniserde::Deserialize;

use crate::excerpt::excerpt;
use crate::json::{FromMembers, Members};
use crate::kube::json::{AnyObject, Excerpt, Fold, Folded, read};
use crate::node::state::Remembered;
use crate::node::{FieldManager, MOST_TAINTS, Node, Setter, Taint};

/// The Node of this name, by its object.
pub(super) fn node(name: &str, body: &[u8]) -> Option<Node> {
    let NodeObject { kind, metadata, spec } = read(body)?;
    let is_it = kind == "Node" && metadata.name == name && !metadata.resource_version.is_empty();
    let cordoned_by = metadata.managed_fields.and_then(|Folded(CordonedBy(setter))| setter);
    let (state, by_hand) = metadata
        .annotations
        .map_or((None, None), |annotations| (annotations.state, annotations.by_hand));
    let (unschedulable, taints) =
        spec.map_or((None, None), |spec| (spec.unschedulable, spec.taints));
    let taints = taints.map_or_else(|| Some(Vec::new()), |Folded(Taints(taints))| taints);
    is_it.then(|| Node {
        resource_version: metadata.resource_version,
        unschedulable: unschedulable.unwrap_or(false),
        cordoned_by: cordoned_by.unwrap_or(Setter::Unknown),
        too_many_taints: taints.is_none(),
        taints: taints.unwrap_or_default(),
        exclusion: metadata.labels.and_then(|labels| labels.exclusion).map(|label| label.0),
        state: Remembered::parse(state.as_deref()),
        by_hand: Remembered::parse(by_hand.as_deref()),
    })
}

#[derive(Deserialize)]
struct NodeObject {
    kind: String,
    metadata: NodeMeta,
    spec: Option<NodeSpec>,
}

#[derive(Deserialize)]
struct NodeMeta {
    name: String,
    #[serde(rename = "resourceVersion")]
    resource_version: String,
    annotations: Option<NodeAnnotations>,
    labels: Option<NodeLabels>,
    #[serde(rename = "managedFields")]
    managed_fields: Option<Folded<CordonedBy>>,
}

#[derive(Deserialize)]
struct NodeAnnotations {
    // crate::node::state::STATE_ANNOTATION; an attribute takes no constant.
    #[serde(rename = "k8s-spot-handler/state")]
    state: Option<String>,
    // crate::node::FieldManager::annotation
    #[serde(rename = "k8s-spot-handler/by-hand")]
    by_hand: Option<String>,
}

#[derive(Deserialize)]
struct NodeLabels {
    // crate::node::EXCLUSION_LABEL
    #[serde(rename = "node.kubernetes.io/exclude-from-external-load-balancers")]
    exclusion: Option<Excerpt>,
}

#[derive(Deserialize)]
struct NodeSpec {
    unschedulable: Option<bool>,
    taints: Option<Folded<Taints>>,
}

/// The fields that one manager was the last to change.
#[derive(Deserialize)]
struct ManagedFields {
    manager: Option<String>,
    #[serde(rename = "fieldsV1")]
    fields: Option<Fields>,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "f:spec")]
    spec: Option<SpecFields>,
}

#[derive(Deserialize)]
struct SpecFields {
    #[serde(rename = "f:unschedulable")]
    unschedulable: Option<AnyObject>,
}

impl ManagedFields {
    fn cordons(&self) -> bool {
        let spec = self.fields.as_ref().and_then(|fields| fields.spec.as_ref());
        spec.is_some_and(|spec| spec.unschedulable.is_some())
    }
}

/// Who set `spec.unschedulable`, by all who have set any field.
#[derive(Default)]
struct CordonedBy(Option<Setter>);

impl Fold for CordonedBy {
    type Element = ManagedFields;

    fn fold(&mut self, fields: ManagedFields) {
        if !fields.cordons() {
            return;
        }
        let managers = [FieldManager::Handler, FieldManager::Operator];
        let manager = managers
            .into_iter()
            .find(|manager| fields.manager.as_deref() == Some(manager.field_manager()));
        self.0 = Some(match (self.0, manager) {
            (None, Some(manager)) => Setter::Manager(manager),
            (Some(Setter::Manager(same)), Some(manager)) if same == manager => {
                Setter::Manager(manager)
            }
            _ => Setter::Others,
        });
    }
}

/// The taints; none of them if there are too many to be kept.
struct Taints(Option<Vec<Taint>>);

impl Default for Taints {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl Fold for Taints {
    type Element = Taint;

    fn fold(&mut self, taint: Taint) {
        if let Some(taints) = &mut self.0 {
            taints.push(taint);
            if taints.len() > MOST_TAINTS {
                self.0 = None;
            }
        }
    }
}

/// Labels and provider id of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// `metadata.labels`: the first 256, in the order of their names. A Node has some dozens.
    pub labels: BTreeMap<String, String>,
    /// `spec.providerID`.
    pub provider_id: Option<String>,
}

/// So many labels are kept.
const MOST_LABELS: usize = 256;

/// By its object.
pub(super) fn profile(body: &[u8]) -> Option<Profile> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
        spec: Option<Spec>,
    }
    #[derive(Deserialize)]
    struct Metadata {
        labels: Option<Members<Labels>>,
    }
    #[derive(Deserialize)]
    struct Spec {
        #[serde(rename = "providerID")]
        provider_id: Option<Excerpt>,
    }
    let object: Object = read(body)?;
    Some(Profile {
        labels: object.metadata.labels.map(|Members(Labels(labels))| labels).unwrap_or_default(),
        provider_id: object.spec.and_then(|spec| spec.provider_id).map(|Excerpt(text)| text),
    })
}

#[derive(Default)]
struct Labels(BTreeMap<String, String>);

impl FromMembers for Labels {
    type Value = Excerpt;

    fn member(&mut self, name: &str, Excerpt(value): Excerpt) {
        self.0.insert(excerpt(name), value);
        if self.0.len() > MOST_LABELS {
            self.0.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(node: &Value) -> Option<Profile> {
        profile(node.to_string().as_bytes())
    }

    #[test]
    fn of_any_number_of_labels_the_first_are_kept() {
        let labels =
            |count| (0..count).map(|n| (format!("l{n:06}"), json!("v"))).collect::<Value>();
        for (count, kept) in [(0, 0), (60, 60), (256, 256), (257, 256), (100_000, 256)] {
            let profile = of(&json!({"metadata": {"labels": labels(count)}})).unwrap();
            assert_eq!(profile.labels.len(), kept, "{count}");
            assert!(profile.labels.keys().enumerate().all(|(n, name)| *name == format!("l{n:06}")));
        }
        assert_eq!(of(&json!({"metadata": {"labels": null}})), Some(Profile::default()));
        assert_eq!(of(&json!({"metadata": {}})), Some(Profile::default()));
        assert_eq!(of(&json!({"metadata": {"labels": []}})), None);
    }

    #[test]
    fn what_it_says_is_one_line() {
        let node =
            json!({"metadata": {"labels": {"a\nb": "c\nd"}}, "spec": {"providerID": "x\ny"}});
        let profile = of(&node).unwrap();
        assert_eq!(profile.provider_id.as_deref(), Some("x y"));
        assert_eq!(profile.labels, BTreeMap::from([("a b".to_owned(), "c d".to_owned())]));
    }
}
