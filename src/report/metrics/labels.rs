//! Labels and the values that each may have. Nothing that grows with the cluster is among them: no
//! node, no pod, no identity of a notice.

use std::fmt::{self, Write};

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use crate::drain::ask::{Answer, Ask};
use crate::drain::verdict::{Outcome, Verdict};
use crate::notice::{NoticeId, NoticePath};
use crate::report::fact::Occasion;

/// The labels of one series, in the order in which they are written.
pub(super) type Labels<const N: usize> = [(&'static str, Value); N];

/// The value of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// One of a list.
    Word(&'static str),
    /// A path of the metadata service.
    Path(NoticePath),
    /// An HTTP status from 100 to 599.
    Status(u16),
}

/// No answer came, or its status is none that HTTP knows.
pub(super) const NO_STATUS: Value = Value::Word("none");

impl Value {
    pub(super) fn status(status: Option<u16>) -> Self {
        match status {
            Some(status @ 100..=599) => Self::Status(status),
            Some(_) | None => NO_STATUS,
        }
    }
}

impl EncodeLabelValue for Value {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => encoder.write_str(word),
            Self::Path(path) => write!(encoder, "{path}"),
            Self::Status(status) => write!(encoder, "{status}"),
        }
    }
}

/// What became of one attempt to deliver a message to a webhook, or of a message without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Delivered,
    /// It was refused, and is not sent again.
    Refused,
    /// It failed, and is sent again.
    Retried,
    /// It was given up, or found no room.
    Lost,
}

impl Delivery {
    pub(super) const ALL: [Self; 4] = [Self::Delivered, Self::Refused, Self::Retried, Self::Lost];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Retried => "retried",
            Self::Lost => "lost",
        }
    }
}

/// What of the reports can be at fault without a harm to any drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A setting that is not valid.
    Setting,
    /// A port that cannot be had.
    Port,
    /// A webhook whose files are missing or bad.
    Webhook,
    /// A thread that the system does not give.
    Thread,
}

impl Part {
    pub(super) const ALL: [Self; 4] = [Self::Setting, Self::Port, Self::Webhook, Self::Thread];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::Port => "port",
            Self::Webhook => "webhook",
            Self::Thread => "thread",
        }
    }
}

/// What became of a Kubernetes Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// The API server has it.
    Written,
    /// The API server did not take it.
    Failed,
    /// It found no room, or no time was left for it.
    Lost,
}

impl EventOutcome {
    pub(super) const ALL: [Self; 3] = [Self::Written, Self::Failed, Self::Lost];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

/// What every [`kind`] may be.
pub(super) const KINDS: [&str; 4] =
    ["spot_interruption", "rebalance_recommendation", "scheduled_maintenance", "asg_lifecycle"];

/// What a notice is about.
pub(super) fn kind(notice: &NoticeId) -> &'static str {
    match notice {
        NoticeId::Interruption(_) => "spot_interruption",
        NoticeId::Rebalance => "rebalance_recommendation",
        NoticeId::Maintenance(_) => "scheduled_maintenance",
        NoticeId::Lifecycle(_) => "asg_lifecycle",
    }
}

/// How a drain ended, as far as its table tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DrainOutcome {
    Complete,
    Incomplete,
    CalledOff,
    HandedOver,
    DryRun,
}

impl DrainOutcome {
    pub(super) const ALL: [Self; 5] =
        [Self::Complete, Self::Incomplete, Self::CalledOff, Self::HandedOver, Self::DryRun];

    pub(super) fn of(occasion: Occasion, verdict: &Verdict, dry: bool) -> Self {
        match occasion {
            _ if dry => Self::DryRun,
            Occasion::CalledOff => Self::CalledOff,
            _ if occasion.is_success(verdict) => Self::Complete,
            Occasion::Stopped => Self::HandedOver,
            _ => Self::Incomplete,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::CalledOff => "called_off",
            Self::HandedOver => "handed_over",
            Self::DryRun => "dry_run",
        }
    }
}

/// What every [`pod_outcome`] may be.
pub(super) const POD_OUTCOMES: [&str; 12] = [
    "left_alone",
    "called_off",
    "would_be_evicted",
    "evicted",
    "ending_already",
    "ended_by_others",
    "shortened",
    "deleted",
    "would_be_refused",
    "told_to_end",
    "handed_over",
    "still_there",
];

/// What became of a pod: its word in the table, without spaces.
pub(super) fn pod_outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::LeftAlone(_) => "left_alone",
        Outcome::CalledOff => "called_off",
        Outcome::WouldEvict => "would_be_evicted",
        Outcome::Evicted(_) => "evicted",
        Outcome::EndingAlready => "ending_already",
        Outcome::EndedByOthers => "ended_by_others",
        Outcome::Shortened => "shortened",
        Outcome::Deleted(..) => "deleted",
        Outcome::WouldBlock(_) => "would_be_refused",
        Outcome::ToldToEnd(_) => "told_to_end",
        Outcome::HandedOver(_) => "handed_over",
        Outcome::StillThere(_) => "still_there",
    }
}

/// What every [`retry`] may be.
pub(super) const RETRIES: [&str; 6] =
    ["budget", "busy", "unauthorized", "forbidden", "namespace_terminating", "broken"];

/// Why a request about a pod is to be sent again; `None`: it is not.
pub(super) fn retry(ask: Ask, answer: &Answer) -> Option<&'static str> {
    match (ask, answer) {
        // A mark is set at best, and once; of a rehearsal, a refusal is what was to be found out.
        (Ask::MarkDisrupted, _)
        | (Ask::Evict { dry: true, .. }, Answer::Blocked(_))
        | (_, Answer::Accepted | Answer::Gone | Answer::Replaced) => None,
        (_, Answer::Blocked(_)) => Some("budget"),
        (_, Answer::Busy { .. }) => Some("busy"),
        (_, Answer::Unauthorized(_)) => Some("unauthorized"),
        (_, Answer::Forbidden(_)) => Some("forbidden"),
        (_, Answer::NamespaceTerminating) => Some("namespace_terminating"),
        (_, Answer::Broken(_)) => Some("broken"),
    }
}
