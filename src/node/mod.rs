//! Our Node: what is read of it, what we remember on it, and the one patch that sets our marks or
//! takes them back. Pure: values in, bodies out.

pub mod marks;
pub mod state;
mod taint;

use crate::node::state::Remembered;

pub use crate::node::taint::{Taint, TaintEffect};

/// Who changes the Node through this program. Each takes back only what it set itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldManager {
    /// The handler, for notices.
    Handler,
    /// The operator who gives the commands `drain` and `restore`.
    Operator,
}

impl FieldManager {
    /// The name under which the Node is changed (`fieldManager`). The API server keeps who set which
    /// field (Kubernetes documentation, "Server-Side Apply", `managedFields`).
    pub fn field_manager(self) -> &'static str {
        match self {
            Self::Handler => FIELD_MANAGER,
            Self::Operator => "k8s-spot-handler-by-hand",
        }
    }

    /// The annotation in which is kept what was done to the Node, and why.
    pub fn annotation(self) -> &'static str {
        match self {
            Self::Handler => state::STATE_ANNOTATION,
            Self::Operator => "k8s-spot-handler/by-hand",
        }
    }
}

/// The handler's [`FieldManager::field_manager`].
pub const FIELD_MANAGER: &str = "k8s-spot-handler";

/// Takes a node out of external load balancers (Kubernetes documentation, "Well-Known Labels").
pub const EXCLUSION_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// How the operator wants a node marked that is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkPolicy {
    /// Besides the cordon, a taint that names the notice, with this effect.
    pub taint: Option<TaintEffect>,
    /// The label that takes the node out of external load balancers.
    pub exclude_from_load_balancers: bool,
    /// How the node is marked for a rebalance recommendation that does not drain it.
    pub rebalance_mark: RebalanceMark,
}

/// How a node is marked that may be taken back sooner than others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebalanceMark {
    /// A cordon: no new pods.
    Cordon,
    /// A taint with effect `PreferNoSchedule`: new pods only if there is no room elsewhere.
    SoftTaint,
}

/// What the handler needs to know of its Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `metadata.resourceVersion`: goes with each patch, so that it changes what was read.
    pub resource_version: String,
    /// `spec.unschedulable`: the node is cordoned.
    pub unschedulable: bool,
    /// Who set `spec.unschedulable`.
    pub cordoned_by: Setter,
    /// `spec.taints`, all of them.
    pub taints: Vec<Taint>,
    /// There are more than [`MOST_TAINTS`]: none is kept. As the list is changed as a whole, it cannot be
    /// changed then.
    pub too_many_taints: bool,
    /// The value of [`EXCLUSION_LABEL`].
    pub exclusion: Option<String>,
    /// What an earlier process or an earlier notice left in [`state::STATE_ANNOTATION`].
    pub state: Remembered,
    /// What an operator's command left.
    pub by_hand: Remembered,
}

/// So many taints of a Node are kept. It has a handful; a few hundred bytes each.
pub const MOST_TAINTS: usize = 256;

impl Node {
    /// What was left in the annotation of this manager.
    pub fn remembered(&self, manager: FieldManager) -> &Remembered {
        match manager {
            FieldManager::Handler => &self.state,
            FieldManager::Operator => &self.by_hand,
        }
    }
}

#[cfg(test)]
impl Node {
    /// A Node without marks.
    pub(crate) fn bare() -> Self {
        Self {
            resource_version: "7".to_owned(),
            unschedulable: false,
            cordoned_by: Setter::Unknown,
            taints: Vec::new(),
            too_many_taints: false,
            exclusion: None,
            state: Remembered::Nothing,
            by_hand: Remembered::Nothing,
        }
    }
}

/// Who set a field, as the API server keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setter {
    /// This manager alone.
    Manager(FieldManager),
    /// Another manager, alone or besides.
    Others,
    /// Nothing is kept about it.
    Unknown,
}

/// The API server on the subject of our Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeAnswer {
    /// As it is now; for a patch, as it became.
    Is(Box<Node>),
    /// It was changed in between (409).
    Conflict,
    /// There is no Node of this name (404), in words.
    Missing(String),
    /// The right to do it is missing, in words.
    Forbidden(String),
    /// It could not be read or changed, in words.
    Failed(String),
}
