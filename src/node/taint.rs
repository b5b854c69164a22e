//! Taints (Kubernetes documentation, "Taints and Tolerations").

use std::fmt;

use miniserde::{Deserialize, Serialize};

use crate::excerpt::excerpt;
use crate::notice::{Action, NoticeId};

/// One entry of `spec.taints`, with all its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    /// What it is about.
    pub key: String,
    /// More of it, if there is more.
    pub value: Option<String>,
    /// What it does: [`TaintEffect`], or what a later Kubernetes may add.
    pub effect: String,
    /// When it was added, where the one who added it says so.
    #[serde(rename = "timeAdded")]
    pub time_added: Option<String>,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaintEffect {
    /// New pods are not put on the node.
    NoSchedule,
    /// New pods are put elsewhere if there is room.
    PreferNoSchedule,
    /// Pods that run there are ended too, past their budgets.
    NoExecute,
}

impl fmt::Display for TaintEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        })
    }
}

impl fmt::Display for Taint {
    /// `key=value:effect`, as kubectl writes it. It may be anybody's, and is to be sent back as it came:
    /// so it is cleaned where it is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, effect) = (&self.key, &self.effect);
        f.write_str(&excerpt(&match &self.value {
            Some(value) if !value.is_empty() => format!("{key}={value}:{effect}"),
            _ => format!("{key}:{effect}"),
        }))
    }
}

/// What the keys of our taints begin with.
const PREFIX: &str = "aws-node-termination-handler/";

impl Taint {
    /// The taint that names `notice`. Keys are those that aws-node-termination-handler sets, which
    /// people's pods tolerate already.
    pub fn of(notice: &NoticeId, effect: TaintEffect) -> Self {
        let key = match notice {
            NoticeId::Interruption(_) => "spot-itn",
            NoticeId::Rebalance => "rebalance-recommendation",
            NoticeId::Maintenance(_) => "scheduled-maintenance",
            NoticeId::Lifecycle(_) => "asg-lifecycle-termination",
        };
        Self {
            key: format!("{PREFIX}{key}"),
            value: Some(value(notice)),
            effect: effect.to_string(),
            time_added: None,
        }
    }

    /// Whether its key is one that this program sets.
    pub fn has_our_key(&self) -> bool {
        self.key.starts_with(PREFIX)
    }

    /// Whether both take the same place: a Node has no two taints with one key and effect.
    pub fn is_in_place_of(&self, other: &Self) -> bool {
        self.key == other.key && self.effect == other.effect
    }

    /// Whether both say the same, whenever they were added.
    pub fn says_same(&self, other: &Self) -> bool {
        let text = |taint: &Self| taint.value.clone().unwrap_or_default();
        self.is_in_place_of(other) && text(self) == text(other)
    }
}

/// The longest value of a taint or label.
const LONGEST_VALUE: usize = 63;

/// Which notice, as the value of a taint: at most 63 letters, digits, `-`, `_` and `.`, with a letter
/// or digit at both ends.
fn value(notice: &NoticeId) -> String {
    let text = match notice {
        NoticeId::Interruption(action) | NoticeId::Lifecycle(action) => match action {
            Action::Terminate => "terminate",
            Action::Stop => "stop",
            Action::Hibernate => "hibernate",
        },
        NoticeId::Rebalance => "rebalance-recommendation",
        NoticeId::Maintenance(event) => &event.id,
    };
    let fits = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let value: String = text.chars().map(fits).take(LONGEST_VALUE).collect();
    value.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::notice::{Code, Event};

    #[test]
    fn a_taint_is_written_as_kubectl_writes_it() {
        let taint = Taint::of(&NoticeId::Interruption(Action::Stop), TaintEffect::NoSchedule);
        assert_eq!(taint.to_string(), "aws-node-termination-handler/spot-itn=stop:NoSchedule");
        let bare = Taint { value: None, ..taint };
        assert_eq!(bare.to_string(), "aws-node-termination-handler/spot-itn:NoSchedule");
    }

    #[test]
    fn a_value_is_a_label_value_whatever_the_cloud_calls_the_event() {
        for (id, expected) in [
            ("instance-event-0d59937288b749b32", "instance-event-0d59937288b749b32"),
            ("-a b:c=", "a-b-c"),
            ("--", ""),
            (&"x".repeat(70), &"x".repeat(63)),
        ] {
            let event = Event { code: Code::SystemReboot, id: Arc::from(id), nth: 0 };
            let taint = Taint::of(&NoticeId::Maintenance(event), TaintEffect::NoExecute);
            assert_eq!(taint.value.as_deref(), Some(expected), "{id}");
        }
    }
}
