//! Labels and the values that each may have. Nothing that grows with the cluster is among them: no
//! node, no pod, no identity of a notice.

use std::borrow::Cow;

use crate::drain::ask::{Answer, Ask};
use crate::drain::verdict::Verdict;
use crate::notice::NoticeId;
use crate::report::fact::Occasion;

/// A label as it is written. No value that is used here has to be escaped.
pub(super) fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{value}\"")
}

/// The HTTP status of an answer; none: no answer came, or its status is none that HTTP knows.
pub(super) fn code(status: Option<u16>) -> Cow<'static, str> {
    match status {
        Some(status @ 100..=599) => status.to_string().into(),
        Some(_) | None => "none".into(),
    }
}

/// What became of one attempt to deliver a message to a webhook, or of a message without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageOutcome {
    /// It was taken.
    Delivered,
    /// It was refused, and is not sent again.
    Refused,
    /// It failed, and is sent again.
    Retried,
    /// It was given up, or found no room.
    Lost,
}

impl MessageOutcome {
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

/// What reports may lack. No drain depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultyPart {
    /// A setting that is not valid.
    Setting,
    /// A port that cannot be bound.
    Port,
    /// A webhook whose files are missing or bad.
    Webhook,
    /// A thread that cannot be started.
    Thread,
}

impl FaultyPart {
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

/// How a drain ended, by its verdict.
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
pub(super) fn pod_outcome(word: &str) -> String {
    label("outcome", &word.replace(' ', "_"))
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
        (_, Answer::Failed(_)) => Some("failed"),
        (_, Answer::Busy { .. }) => Some("busy"),
        (_, Answer::Unauthorized(_)) => Some("unauthorized"),
        (_, Answer::Forbidden(_)) => Some("forbidden"),
        (_, Answer::NamespaceTerminating) => Some("namespace_terminating"),
        (_, Answer::Broken(_)) => Some("broken"),
    }
}
