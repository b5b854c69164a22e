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

/// The content of [`STATE_ANNOTATION`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// There is no annotation.
    Nothing,
    /// What was done.
    State(State),
    /// There is one, but not of ours or of a later version.
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
    /// Form of this annotation.
    version: u32,
    /// The notice that it was done for, as [`NoticeId`] writes it.
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
    /// Whether this notice was drained to its end in this boot.
    pub fn has_drained(&self, notice: NoticeId, boot_id: &str) -> bool {
        self.drained && self.notice == notice.to_string() && self.boot_id == boot_id
    }
}

/// A JSON merge patch (RFC 7386) of the Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch(pub String);
