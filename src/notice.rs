//! What the cloud said: a notice, parsed once at the edge. What comes after it decides by the
//! notice alone.

use std::fmt;
use std::time::Duration;

use crate::moment::WallTime;

/// A notice that this instance will be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Why the instance goes.
    pub kind: Kind,
    /// What will be done to the instance.
    pub action: Action,
    /// When.
    pub when: When,
    /// How long after its notice this cloud acts, where the notice itself gives no usable time.
    pub window: Duration,
    /// The answer as it came, for the log: at most 200 characters, without line breaks.
    pub wording: String,
}

impl Notice {
    /// What makes two answers the same notice. Its time is no part of it: that may move.
    pub fn id(&self) -> NoticeId {
        NoticeId { kind: self.kind, action: self.action }
    }
}

/// Identity of a notice: free of any clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoticeId {
    kind: Kind,
    action: Action,
}

impl fmt::Display for NoticeId {
    /// `spot-interruption/terminate`: also how the annotation on the Node names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.action)
    }
}

/// Why an instance goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A spot instance is taken back.
    SpotInterruption,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpotInterruption => "spot-interruption",
        })
    }
}

/// What is done to the instance (EC2 user guide, "Spot Instance interruption notices").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It ends for good.
    Terminate,
    /// It is stopped, and may be started again.
    Stop,
    /// Its memory is saved to disk; that begins with the notice, not two minutes later.
    Hibernate,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "terminate",
            Self::Stop => "stop",
            Self::Hibernate => "hibernate",
        })
    }
}

/// When the cloud says that it will act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At a stated time, which may be over.
    At(WallTime),
    /// No time was given, or none that can be read.
    Unstated,
}

/// One poll of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Which.
    pub path: NoticePath,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// The notice that it says, `None` if there is none; else what went wrong, in words.
    pub outcome: Result<Option<Notice>, String>,
}

/// Where notices are looked for. Each is polled on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticePath {
    /// `spot/instance-action`.
    InstanceAction,
    /// The address in `NOTICE_URL`.
    NoticeUrl,
}

impl fmt::Display for NoticePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InstanceAction => "spot/instance-action",
            Self::NoticeUrl => "NOTICE_URL",
        })
    }
}
