//! What the handler remembers on the Node: one annotation, nothing on disk.

use miniserde::{Deserialize, Serialize, json};

use crate::moment::WallTime;
use crate::node::Taint;
use crate::notice::{Notice, NoticeId, When};

/// The annotation in which the handler keeps what it did to the Node, and why.
pub const STATE_ANNOTATION: &str = "k8s-spot-handler/state";

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
        if value.len() > LONGEST {
            return Self::Unreadable;
        }
        match json::from_str::<State>(value) {
            Ok(state) if state.version == VERSION => Self::State(state),
            _ => Self::Unreadable,
        }
    }

    /// What was done, if that is known.
    pub fn state(&self) -> Option<&State> {
        match self {
            Self::State(state) => Some(state),
            Self::Nothing | Self::Unreadable => None,
        }
    }
}

/// The longest annotation that is read, in bytes: what is kept of 50 notices, of which an instance has one
/// or two, has 20,000 at most. Kubernetes takes 256 KiB.
const LONGEST: usize = 32 * 1024;

/// The form of [`State`]; another one is not read.
const VERSION: u32 = 1;

/// What was done to the Node, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// The boot in which it was written (`/proc/sys/kernel/random/boot_id`).
    #[serde(rename = "bootId")]
    pub boot_id: String,
    /// The notice for which the Node bears marks, as [`NoticeId`] is written; `None`: it bears none.
    pub notice: Option<String>,
    /// Whether we cordoned the node; `false`: another had before, or it is not cordoned.
    pub cordoned: bool,
    /// The taint that we added.
    pub taint: Option<Taint>,
    /// Whether we added [`EXCLUSION_LABEL`](crate::node::EXCLUSION_LABEL).
    pub excluded: bool,
    /// The notices that stand, as far as there is something to remember of them.
    pub notices: Vec<Known>,
}

/// What is known of a notice that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Which, as [`Occurrence`] is written.
    pub notice: String,
    /// How far it has been dealt with.
    pub progress: Progress,
    /// When its drain ends, where the notice itself does not state it (RFC 3339).
    pub end: Option<String>,
    /// When its marks end by themselves, if they do (RFC 3339).
    #[serde(rename = "marksUntil")]
    pub marks_until: Option<String>,
    /// When a recommendation was made, as far as it says (RFC 3339): a later one is another.
    #[serde(rename = "noticeTime")]
    pub made: Option<String>,
}

/// How far a notice has been dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// It is being dealt with.
    #[serde(rename = "open")]
    Open,
    /// Its drain is over, and the marks stay while it stands.
    #[serde(rename = "drained")]
    Drained,
    /// It is done with, and asks for no marks any more.
    #[serde(rename = "over")]
    Over,
}

impl State {
    /// Nothing done, in this boot.
    pub fn new(boot_id: String) -> Self {
        Self {
            version: VERSION,
            boot_id,
            notice: None,
            cordoned: false,
            taint: None,
            excluded: false,
            notices: Vec::new(),
        }
    }

    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        *self == Self::new(self.boot_id.clone())
    }
}

/// A notice at its time: what is done with is not done with any more once it is planned for another
/// time. The time of anything but maintenance is no part of it: some metadata services give another
/// one at every request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence(String);

impl Occurrence {
    /// That of this notice.
    pub fn of(notice: &Notice) -> Self {
        match (&notice.id, notice.when) {
            (NoticeId::Maintenance(_), When::At(time)) => Self(format!("{}@{time}", notice.id)),
            (id, _) => Self(id.to_string()),
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The notice of an occurrence that was read from the annotation.
    pub fn notice(text: &str) -> Option<NoticeId> {
        let timed = text.rsplit_once('@').filter(|(_, time)| WallTime::parse(time).is_some());
        NoticeId::parse(timed.map_or(text, |(id, _)| id))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::notice::{Action, Code, Event};

    const TIME: &str = "2026-11-25T10:00:00Z";

    fn notice(id: NoticeId) -> Notice {
        let when = When::At(WallTime::parse(TIME).unwrap());
        Notice { id, when, until: None, window: Duration::from_mins(2), wording: String::new() }
    }

    fn maintenance(id: &str) -> NoticeId {
        NoticeId::Maintenance(Event { code: Code::InstanceStop, id: Arc::from(id), nth: 1 })
    }

    #[test]
    fn only_maintenance_is_another_occurrence_at_another_time() {
        let interruption = NoticeId::Interruption(Action::Stop);
        for (id, expected) in [
            (interruption, "spot-interruption/stop".to_owned()),
            (maintenance("e"), format!("scheduled-maintenance/instance-stop/e/1@{TIME}")),
        ] {
            assert_eq!(Occurrence::of(&notice(id)).as_str(), expected);
        }
    }

    #[test]
    fn an_occurrence_tells_its_notice() {
        for id in [NoticeId::Rebalance, maintenance("e")] {
            let mut notice = notice(id.clone());
            assert_eq!(Occurrence::notice(Occurrence::of(&notice).as_str()), Some(id.clone()));
            notice.when = When::Unstated;
            assert_eq!(Occurrence::notice(Occurrence::of(&notice).as_str()), Some(id));
        }
        assert_eq!(Occurrence::notice("else"), None);
        // Its end would be taken for a time.
        let id = format!("scheduled-maintenance/instance-stop/e@{TIME}");
        assert_eq!(NoticeId::parse(&id), None);
    }

    #[test]
    fn no_prefix_of_an_annotation_is_a_state() {
        let mut state = State::new("boot-1".to_owned());
        assert!(state.is_empty());
        state.notice = Some("spot-interruption/stop".to_owned());
        state.taint = Some(Taint {
            key: "k".to_owned(),
            value: None,
            effect: "NoSchedule".to_owned(),
            time_added: None,
        });
        assert!(!state.is_empty());
        let whole = json::to_string(&state);
        for end in 0..whole.len() {
            assert_eq!(Remembered::parse(Some(&whole[..end])), Remembered::Unreadable);
        }
        assert_eq!(Remembered::parse(Some(&whole)), Remembered::State(state));
        let later = whole.replace("\"version\":1", "\"version\":2");
        assert_eq!(Remembered::parse(Some(&later)), Remembered::Unreadable);
        assert_eq!(Remembered::parse(None), Remembered::Nothing);
    }
}
