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

/// An enum whose variants are the values of a label.
macro_rules! values {
    ($(#[$doc:meta])* $vis:vis enum $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident => $word:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            pub(super) const WORDS: &[&str] = &[$($word),*];

            pub(super) fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

values! {
    /// What became of one attempt to deliver a message to a webhook, or of a message without one.
    pub enum MessageOutcome {
        /// It was taken.
        Delivered => "delivered",
        /// It was refused, and is not sent again.
        Refused => "refused",
        /// It failed, and is sent again.
        Retried => "retried",
        /// It was given up, or found no room.
        Lost => "lost",
    }
}

values! {
    /// What reports may lack. No drain depends on it.
    pub enum FaultyPart {
        /// A setting that is not valid.
        Setting => "setting",
        /// A port that cannot be bound.
        Port => "port",
        /// A webhook whose files are missing or bad.
        Webhook => "webhook",
        /// A thread that cannot be started.
        Thread => "thread",
    }
}

values! {
    /// What became of a Kubernetes Event.
    pub enum EventOutcome {
        /// The API server has it.
        Written => "written",
        /// The API server did not take it.
        Failed => "failed",
        /// It found no room, or no time was left for it.
        Lost => "lost",
    }
}

values! {
    /// How a drain ended, by its verdict.
    pub(super) enum DrainOutcome {
        Complete => "complete",
        Incomplete => "incomplete",
        CalledOff => "called_off",
        HandedOver => "handed_over",
        DryRun => "dry_run",
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

impl DrainOutcome {
    pub(super) fn of(occasion: Occasion, verdict: &Verdict, dry: bool) -> Self {
        match occasion {
            _ if dry => Self::DryRun,
            Occasion::CalledOff => Self::CalledOff,
            _ if occasion.is_success(verdict) => Self::Complete,
            Occasion::Stopped => Self::HandedOver,
            _ => Self::Incomplete,
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
