//! A notice of the cloud, parsed once at the edge. What comes after it decides by the
//! notice alone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::moment::{Reading, WallTime};

/// A notice about this instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about, and which one it is.
    pub id: NoticeId,
    /// When the cloud acts.
    pub when: When,
    /// When planned maintenance is to be over, if the cloud says so (`NotAfter`).
    pub until: Option<WallTime>,
    /// How long after its notice the cloud acts, where the notice itself gives no usable time.
    pub window: Duration,
    /// The answer as it came, for the log: at most 200 characters, without line breaks.
    pub wording: String,
}

/// What makes two answers the same notice. Its time is no part of it: that may move.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeId {
    /// A spot instance is taken back.
    Interruption(Action),
    /// A spot instance is more likely than others to be taken back.
    Rebalance,
    /// Maintenance of the instance or its host is planned.
    Maintenance(Event),
    /// The Auto Scaling group takes the instance out of service.
    Lifecycle(Action),
}

/// What is done to the instance (EC2 user guide, "Spot Instance interruption notices").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It ends for good.
    Terminate,
    /// It is stopped, and may be started again.
    Stop,
    /// Its memory is saved to disk; in an interruption that begins with the notice, not two minutes
    /// later.
    Hibernate,
}

/// One planned maintenance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// What is planned.
    pub code: Code,
    /// The cloud's name for it, as it came: `instance-event-0d59937288b749b32`.
    pub id: Arc<str>,
    /// One name may stand for several events at once; which of them by their times, from 0.
    pub nth: u8,
}

/// What maintenance does to an instance (EC2 user guide, "Scheduled events for your instances").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// `instance-reboot`: the instance is started anew.
    InstanceReboot,
    /// `system-reboot`: the host is started anew, and the instance with it.
    SystemReboot,
    /// `system-maintenance`: network or power of the host; the instance may be cut off for a while.
    SystemMaintenance,
    /// `instance-retirement`: the instance is stopped or ended, because its host is worn out.
    InstanceRetirement,
    /// `instance-stop`: the instance is stopped; started again it is on another host.
    InstanceStop,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::InstanceReboot,
        Self::SystemReboot,
        Self::SystemMaintenance,
        Self::InstanceRetirement,
        Self::InstanceStop,
    ];

    /// Whether the maintenance is done once the machine has been started anew.
    pub fn ends_with_reboot(self) -> bool {
        matches!(self, Self::InstanceReboot | Self::SystemReboot)
    }
}

impl fmt::Display for Code {
    /// As EC2 writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InstanceReboot => "instance-reboot",
            Self::SystemReboot => "system-reboot",
            Self::SystemMaintenance => "system-maintenance",
            Self::InstanceRetirement => "instance-retirement",
            Self::InstanceStop => "instance-stop",
        })
    }
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

impl fmt::Display for NoticeId {
    /// `spot-interruption/terminate`: also how the annotation on the Node names it, and what
    /// [`NoticeId::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interruption(action) => write!(f, "{INTERRUPTION}/{action}"),
            Self::Rebalance => f.write_str(REBALANCE),
            Self::Maintenance(Event { code, id, nth: 0 }) => {
                write!(f, "{MAINTENANCE}/{code}/{id}")
            }
            Self::Maintenance(Event { code, id, nth }) => {
                write!(f, "{MAINTENANCE}/{code}/{id}/{nth}")
            }
            Self::Lifecycle(action) => write!(f, "{LIFECYCLE}/{action}"),
        }
    }
}

/// The four kinds of notices, in the words that users of aws-node-termination-handler know them by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A spot instance is taken back.
    SpotItn,
    /// Maintenance is planned.
    ScheduledEvent,
    /// A spot instance is at risk.
    RebalanceRecommendation,
    /// The Auto Scaling group takes the instance out of service.
    AsgLifecycle,
}

impl Kind {
    /// All of them.
    #[cfg(test)]
    pub const ALL: [Self; 4] =
        [Self::SpotItn, Self::ScheduledEvent, Self::RebalanceRecommendation, Self::AsgLifecycle];

    /// `SPOT_ITN`: what that handler writes for it (its `pkg/monitor/types.go`).
    pub fn name(self) -> &'static str {
        match self {
            Self::SpotItn => "SPOT_ITN",
            Self::ScheduledEvent => "SCHEDULED_EVENT",
            Self::RebalanceRecommendation => "REBALANCE_RECOMMENDATION",
            Self::AsgLifecycle => "ASG_LIFECYCLE",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const INTERRUPTION: &str = "spot-interruption";
const REBALANCE: &str = "rebalance-recommendation";
const MAINTENANCE: &str = "scheduled-maintenance";
const LIFECYCLE: &str = "asg-lifecycle";

impl NoticeId {
    /// Which kind it is of.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Interruption(_) => Kind::SpotItn,
            Self::Rebalance => Kind::RebalanceRecommendation,
            Self::Maintenance(_) => Kind::ScheduledEvent,
            Self::Lifecycle(_) => Kind::AsgLifecycle,
        }
    }

    /// Reads what `Display` wrote. `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let id = match (parts.next()?, parts.next()) {
            (INTERRUPTION, Some(action)) => Self::Interruption(parse_action(action)?),
            (LIFECYCLE, Some(action)) => Self::Lifecycle(parse_action(action)?),
            (REBALANCE, None) => Self::Rebalance,
            (MAINTENANCE, Some(code)) => {
                let code = Code::ALL.into_iter().find(|known| known.to_string() == code)?;
                let id = parts.next().filter(|id| is_event_id(id))?;
                let nth = parts.next().map_or(Some(0), |nth| nth.parse().ok())?;
                Self::Maintenance(Event { code, id: Arc::from(id), nth })
            }
            _ => return None,
        };
        (id.to_string() == text).then_some(id)
    }
}

/// The longest id of an event, in bytes. EC2's have some 32 today.
pub const LONGEST_EVENT_ID: usize = 100;

/// Whether this can be the id of an event: visible ASCII in which nothing can be mistaken for the end of
/// the field it stands in, nor for the time that follows it in the annotation.
pub fn is_event_id(text: &str) -> bool {
    let is_fit = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b'"' | b'\\' | b'@');
    (1..=LONGEST_EVENT_ID).contains(&text.len()) && text.bytes().all(is_fit)
}

fn parse_action(text: &str) -> Option<Action> {
    let actions = [Action::Terminate, Action::Stop, Action::Hibernate];
    actions.into_iter().find(|action| action.to_string() == text)
}

/// When the cloud says that it will act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At a stated time, which may be over.
    At(WallTime),
    /// No time was given, or none that can be read.
    Unstated,
}

impl When {
    /// Whether a time was stated, and it is over.
    pub fn is_over(self, reading: Reading) -> bool {
        match self {
            Self::At(time) => reading.moment_of(time).is_none(),
            Self::Unstated => false,
        }
    }
}

/// One poll of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Which.
    pub path: NoticePath,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// What it says; else what went wrong, in words.
    pub outcome: Result<PathAnswer, String>,
}

/// What a path says. That there is nothing is an answer, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathAnswer {
    /// The notices that stand, each identity once.
    pub standing: Vec<Notice>,
    /// The cloud's names of maintenance that it calls completed or cancelled, and of which nothing
    /// stands any more.
    pub over: Vec<Arc<str>>,
}

impl From<Option<Notice>> for PathAnswer {
    fn from(notice: Option<Notice>) -> Self {
        Self { standing: notice.into_iter().collect(), over: Vec::new() }
    }
}

/// Where notices are looked for. Each is polled on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticePath {
    /// `spot/instance-action`.
    InstanceAction,
    /// `spot/termination-time`, the older one: for `terminate` only. A time that is over says
    /// nothing there: if EC2 fails to take the instance back, it stays for ever.
    TerminationTime,
    /// The address in `NOTICE_URL`.
    NoticeUrl,
    /// `events/recommendations/rebalance`.
    Rebalance,
    /// `events/maintenance/scheduled`, and `events/maintenance/history` with it.
    Maintenance,
    /// `autoscaling/target-lifecycle-state`.
    Lifecycle,
}

impl NoticePath {
    /// Whether an interruption may be stated there.
    pub fn may_say_interruptions(self) -> bool {
        matches!(self, Self::InstanceAction | Self::TerminationTime | Self::NoticeUrl)
    }

    /// Whether it may say a notice of this identity.
    pub fn may_say(self, id: &NoticeId) -> bool {
        match self {
            Self::InstanceAction | Self::TerminationTime | Self::NoticeUrl => {
                matches!(id, NoticeId::Interruption(_))
            }
            Self::Rebalance => matches!(id, NoticeId::Rebalance),
            Self::Maintenance => matches!(id, NoticeId::Maintenance(_)),
            Self::Lifecycle => matches!(id, NoticeId::Lifecycle(_)),
        }
    }
}

impl fmt::Display for NoticePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InstanceAction => "spot/instance-action",
            Self::TerminationTime => "spot/termination-time",
            Self::NoticeUrl => "NOTICE_URL",
            Self::Rebalance => "events/recommendations/rebalance",
            Self::Maintenance => "events/maintenance/scheduled",
            Self::Lifecycle => "autoscaling/target-lifecycle-state",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(code: Code, nth: u8) -> NoticeId {
        NoticeId::Maintenance(Event { code, id: Arc::from("instance-event-0d59"), nth })
    }

    #[test]
    fn every_notice_is_of_the_kind_that_its_users_know() {
        for (id, name) in [
            (NoticeId::Interruption(Action::Stop), "SPOT_ITN"),
            (event(Code::InstanceStop, 0), "SCHEDULED_EVENT"),
            (NoticeId::Rebalance, "REBALANCE_RECOMMENDATION"),
            (NoticeId::Lifecycle(Action::Terminate), "ASG_LIFECYCLE"),
        ] {
            assert_eq!(id.kind().to_string(), name);
        }
    }

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let actions = [Action::Terminate, Action::Stop, Action::Hibernate];
        let all = actions
            .into_iter()
            .flat_map(|action| [NoticeId::Interruption(action), NoticeId::Lifecycle(action)])
            .chain(Code::ALL.into_iter().flat_map(|code| [event(code, 0), event(code, 3)]))
            .chain([NoticeId::Rebalance]);
        for id in all {
            let text = id.to_string();
            assert_eq!(NoticeId::parse(&text), Some(id), "{text}");
            for end in 0..text.len() {
                let read = NoticeId::parse(&text[..end]);
                assert!(read.is_none_or(|read| read.to_string() == text[..end]), "{text} {end}");
            }
        }
        for other in ["", "/", "spot-interruption/recycle", "rebalance-recommendation/", "x/y/z"] {
            assert_eq!(NoticeId::parse(other), None, "{other}");
        }
    }
}
