//! Our marks on the Node: what is read of it, and the one patch that sets them. Pure: values in,
//! bodies out.

use miniserde::{Deserialize, Serialize, json};

use crate::notice::NoticeId;

/// The annotation in which the handler keeps what it did to the Node, and why.
pub const STATE_ANNOTATION: &str = "k8s-spot-handler/state";

/// What the handler needs to know of its Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `metadata.resourceVersion`: goes with each patch, so that it changes what was read.
    pub resource_version: String,
    /// `spec.unschedulable`: the node is cordoned.
    pub unschedulable: bool,
    /// What an earlier process or an earlier notice left in [`STATE_ANNOTATION`].
    pub state: Remembered,
}

/// The API server on the subject of our Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeAnswer {
    /// As it is now; for a patch, as it became.
    Is(Node),
    /// Somebody changed it in between (409).
    Conflict,
    /// It could not be read or changed, in words.
    Failed(String),
}

/// The content of [`STATE_ANNOTATION`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// There is no annotation.
    Nothing,
    /// What was done.
    State(State),
    /// There is one, but not of ours, or of a later version.
    Unreadable,
}

impl Remembered {
    /// Reads the annotation's value.
    pub fn parse(value: Option<&str>) -> Self {
        let Some(value) = value else { return Self::Nothing };
        match json::from_str::<State>(value) {
            Ok(state) if state.version == VERSION => Self::State(state),
            _ => Self::Unreadable,
        }
    }
}

/// The form of [`State`]; another one is not read.
const VERSION: u32 = 1;

/// What was done to the Node, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// The notice that it was done for, as [`NoticeId`] is written.
    pub notice: String,
    /// The boot in which it was done (`/proc/sys/kernel/random/boot_id`).
    #[serde(rename = "bootId")]
    pub boot_id: String,
    /// Whether we cordoned the node; `false`: somebody else had before.
    pub cordoned: bool,
    /// Whether the drain for this notice has come to its end.
    pub drained: bool,
}

impl State {
    /// Whether the drain for `notice` came to its end in this boot.
    pub fn has_drained(&self, notice: NoticeId, boot_id: &str) -> bool {
        self.drained && self.notice == notice.to_string() && self.boot_id == boot_id
    }
}

/// What the marks shall say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Why the node is marked.
    pub notice: NoticeId,
    /// The boot of this machine.
    pub boot_id: String,
    /// Whether the drain has come to its end.
    pub drained: bool,
}

/// A JSON merge patch (RFC 7386) of the Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch(pub String);

impl Marks {
    /// The patch that sets these marks on `node`; `None` if it bears them.
    pub fn patch(&self, node: &Node) -> Option<Patch> {
        let state = self.state_on(node);
        let cordoned = node.unschedulable || self.drained;
        if cordoned && node.state == Remembered::State(state.clone()) {
            return None;
        }
        let metadata = MetadataPatch {
            resource_version: node.resource_version.clone(),
            annotations: AnnotationsPatch { state: json::to_string(&state) },
        };
        Some(Patch(if self.drained {
            json::to_string(&StatePatch { metadata })
        } else {
            json::to_string(&CordonPatch { metadata, spec: SpecPatch { unschedulable: true } })
        }))
    }

    /// Cordoned by us is a node that nobody had cordoned, or that we had cordoned before.
    fn state_on(&self, node: &Node) -> State {
        let ours_before = matches!(&node.state, Remembered::State(state) if state.cordoned);
        let ours_now = !self.drained && !node.unschedulable;
        State {
            version: VERSION,
            notice: self.notice.to_string(),
            boot_id: self.boot_id.clone(),
            cordoned: ours_before || ours_now,
            drained: self.drained,
        }
    }
}

#[derive(Serialize)]
struct CordonPatch {
    metadata: MetadataPatch,
    spec: SpecPatch,
}

/// The end of a drain is only noted: somebody may have uncordoned the node meanwhile, and meant it.
#[derive(Serialize)]
struct StatePatch {
    metadata: MetadataPatch,
}

#[derive(Serialize)]
struct MetadataPatch {
    #[serde(rename = "resourceVersion")]
    resource_version: String,
    annotations: AnnotationsPatch,
}

#[derive(Serialize)]
struct AnnotationsPatch {
    #[serde(rename = "k8s-spot-handler/state")]
    state: String,
}

#[derive(Serialize)]
struct SpecPatch {
    unschedulable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::{Action, Kind, Notice, When};
    use std::time::Duration;

    fn marks(drained: bool) -> Marks {
        let notice = Notice {
            kind: Kind::SpotInterruption,
            action: Action::Terminate,
            when: When::Unstated,
            window: Duration::from_mins(2),
            wording: String::new(),
        };
        Marks { notice: notice.id(), boot_id: "boot-1".to_owned(), drained }
    }

    fn node(unschedulable: bool, state: Remembered) -> Node {
        Node { resource_version: "7".to_owned(), unschedulable, state }
    }

    /// The Node as the patch leaves it.
    fn patched(marks: &Marks, node: &Node) -> Node {
        let Patch(body) = marks.patch(node).unwrap();
        let body: k8s_openapi::api::core::v1::Node = serde_json::from_str(&body).unwrap();
        let annotations = body.metadata.annotations.unwrap();
        let cordon = body.spec.and_then(|spec| spec.unschedulable);
        Node {
            resource_version: body.metadata.resource_version.unwrap(),
            unschedulable: cordon.unwrap_or(node.unschedulable),
            state: Remembered::parse(annotations.get(STATE_ANNOTATION).map(String::as_str)),
        }
    }

    #[test]
    fn the_patch_cordons_and_remembers_in_one() {
        let after = patched(&marks(false), &node(false, Remembered::Nothing));
        assert!(after.unschedulable);
        assert_eq!(after.resource_version, "7");
        let Remembered::State(state) = after.state else { panic!("{:?}", after.state) };
        assert!(state.cordoned && !state.drained);
        assert_eq!(
            (state.notice.as_str(), state.boot_id.as_str()),
            ("spot-interruption/terminate", "boot-1")
        );
    }

    #[test]
    fn a_foreign_cordon_is_remembered_as_foreign_and_ours_as_ours() {
        let foreign = patched(&marks(false), &node(true, Remembered::Nothing));
        assert!(matches!(&foreign.state, Remembered::State(state) if !state.cordoned));
        assert!(
            matches!(patched(&marks(true), &foreign).state, Remembered::State(state) if !state.cordoned)
        );
        let ours = patched(&marks(false), &node(false, Remembered::Nothing));
        assert!(
            matches!(patched(&marks(true), &ours).state, Remembered::State(state) if state.cordoned)
        );
    }

    #[test]
    fn a_node_that_bears_the_marks_is_not_patched_again() {
        let once = patched(&marks(false), &node(false, Remembered::Nothing));
        assert_eq!(marks(false).patch(&once), None);
        let uncordoned = Node { unschedulable: false, ..once };
        assert!(marks(false).patch(&uncordoned).is_some());
    }

    #[test]
    fn the_end_of_a_drain_cordons_nothing() {
        let once = patched(&marks(false), &node(false, Remembered::Nothing));
        let uncordoned = Node { unschedulable: false, ..once };
        assert!(!patched(&marks(true), &uncordoned).unschedulable);
        assert!(matches!(patched(&marks(true), &node(false, Remembered::Nothing)).state,
            Remembered::State(state) if !state.cordoned));
    }

    #[test]
    fn drained_counts_for_the_same_notice_and_boot_only() {
        let done = patched(&marks(true), &node(false, Remembered::Nothing));
        let Remembered::State(state) = done.state else { panic!() };
        let id = marks(true).notice;
        assert!(state.has_drained(id, "boot-1"));
        assert!(!state.has_drained(id, "boot-2"));
    }

    #[test]
    fn no_prefix_of_an_annotation_is_a_state() {
        let Patch(body) = marks(true).patch(&node(false, Remembered::Nothing)).unwrap();
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let whole = body["metadata"]["annotations"][STATE_ANNOTATION].as_str().unwrap();
        for end in 0..whole.len() {
            assert_eq!(Remembered::parse(Some(&whole[..end])), Remembered::Unreadable);
        }
        let later = whole.replace("\"version\":1", "\"version\":2");
        assert_eq!(Remembered::parse(Some(&later)), Remembered::Unreadable);
        assert_eq!(Remembered::parse(None), Remembered::Nothing);
    }
}
