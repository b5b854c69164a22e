//! What happened, as values: the only input of every report.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::progress::DrainProgress;
pub use crate::drain::verdict::Occasion;
use crate::drain::verdict::Verdict;
use crate::kube::identity::Identity;
use crate::node::FieldManager;
use crate::node::marks::Change;
use crate::notice::{Notice, NoticeId, NoticePath};
use crate::plan::kinds::Basis;

pub use crate::level::Level;

/// Something that an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The program has started.
    Started(Box<Start>),
    /// Something about the settings that is no error.
    Remark(String),
    /// A setting is not valid, and the handler does without it.
    SettingUnusable(String),
    /// A file that the API server cannot be reached without is missing; read again.
    CredentialsMissing(String),
    /// What was missing is there.
    CredentialsFound,
    /// The node's name is not known; tried again.
    NodeUnknown(String),
    /// The node's name is known.
    NodeFound(String),
    /// The identity in requests to the API server is known, or has changed.
    ActsAs(Identity),
    /// The metadata service offers no IMDSv2.
    WithoutToken(u16),
    /// A path was polled.
    Polled {
        /// Which.
        path: NoticePath,
        /// The HTTP status, if an answer came.
        status: Option<u16>,
        /// The answer was understood.
        good: bool,
    },
    /// A path of the metadata service has begun to fail.
    MetadataFailing(NoticePath, String),
    /// It answers again, after so many failed polls.
    MetadataRecovered(NoticePath, u32),
    /// There is a notice that asks for a drain. [`Fact::DrainBegins`] follows once the annotation was read, or
    /// after a second.
    NoticeSeen {
        /// Which.
        notice: Box<Notice>,
        /// Where its end comes from.
        basis: Basis,
        /// How long it is until then.
        left: Duration,
    },
    /// There is a notice whose time is yet to come.
    NoticeScheduled {
        /// Which.
        notice: Box<Notice>,
        /// Where its times come from.
        basis: Basis,
        /// How long it is until the drain begins.
        ahead: Duration,
        /// It had another time before.
        moved: bool,
    },
    /// There is a notice for which the node is only marked.
    NoticeMarks {
        /// Which.
        notice: Box<Notice>,
        /// Where its times come from.
        basis: Basis,
    },
    /// There is a notice besides the one that is drained for, with no earlier deadline.
    NoticeBeside {
        /// Which.
        notice: Box<Notice>,
        /// Where its end comes from.
        basis: Basis,
    },
    /// The drain of this node begins.
    DrainBegins(Arc<str>),
    /// The notice under way has an earlier time, or its drain an earlier end.
    DeadlineMoved {
        /// Where the new deadline comes from.
        basis: Basis,
        /// How long it is until then.
        left: Duration,
    },
    /// Another notice takes over the drain under way.
    TakenOver {
        /// Which.
        notice: Box<Notice>,
        /// Where its end comes from.
        basis: Basis,
        /// How long the drain has now.
        left: Duration,
    },
    /// The notice was withdrawn.
    NoticeWithdrawn(NoticeId, Withdrawal),
    /// It has not come back for a while, and what was done for it is undone.
    StaysWithdrawn(NoticeId),
    /// The marks on the Node end by themselves after so long.
    MarksLast(Duration),
    /// The marks for this notice have ended by themselves.
    MarksExpired(NoticeId),
    /// This notice was drained for before, as the annotation on the Node or the boot time shows.
    DrainedBefore(NoticeId),
    /// The Node bears marks of an earlier process.
    MarksFound {
        /// For which notice, as the annotation has it.
        notice: String,
        /// The machine has not rebooted since.
        same_boot: bool,
    },
    /// The annotation that an earlier process left on the Node cannot be read.
    MarksUnreadable,
    /// The marks on the Node have changed, or would in a dry run.
    Marks {
        /// How. In a box: a thousand facts may be queued, most of them about pods.
        change: Box<Change>,
        /// It was not done.
        dry: bool,
        /// Whose marks these are.
        by: FieldManager,
    },
    /// The Node cannot be read or changed; tried again.
    NodeFailing(Purpose, String),
    /// It can again, after this many failures.
    NodeRecovered(u32),
    /// There is no Node of the handler's name: nothing can be done. Looked for again.
    NodeMissing {
        /// The name.
        name: Arc<str>,
        /// What it was needed for.
        purpose: Purpose,
        /// What came, in words.
        why: String,
    },
    /// There is one now.
    NodeThere(Arc<str>),
    /// Taints may not be changed: the node is marked without one.
    TaintForbidden(String),
    /// Something in the drain.
    Drain(DrainProgress),
    /// What became of every pod.
    Verdict(Occasion, Box<Verdict>),
    /// The deadline is reached, and nothing has changed since the table.
    DeadlineReached,
    /// SIGTERM came, and no drain was under way.
    Ends {
        /// The marks on the Node are not yet as they should be.
        unsettled: bool,
    },
    /// SIGTERM came when every pod that was to go had gone.
    EndsDrained,
    /// SIGTERM came in a drain, which goes on for this long.
    EndsAfterDrain(Duration),
    /// Pages are served.
    Listens {
        /// Where.
        address: SocketAddr,
        /// Which ones, as paths.
        pages: String,
    },
    /// Pages cannot be served; tried again.
    NotListening {
        /// Which ones.
        pages: String,
        /// Why, and what to do.
        why: String,
    },
    /// They are served now.
    ListensAgain {
        /// Where.
        address: SocketAddr,
        /// Which ones.
        pages: String,
    },
    /// The system has no thread to spare for a kind of report; tried again.
    ThreadMissing(&'static str, String),
    /// It has now.
    ThreadStarted(&'static str),
    /// Files that these reports need are missing or not valid.
    ReportUnready {
        /// To whom.
        channel: Channel,
        /// Which, and what is done instead.
        why: String,
        /// Others were before.
        again: bool,
    },
    /// They are all there and valid now.
    ReportReady(Channel),
    /// A message is delivered, or a report written.
    ReportSent(Channel),
    /// Reports begin to fail; they are tried again.
    ReportFailing(Channel, String),
    /// Another attempt has failed.
    ReportRetried(Channel),
    /// One is delivered after this many failures.
    ReportRecovered(Channel, u32),
    /// A report was refused, and would be again.
    ReportRefused {
        /// By whom.
        channel: Channel,
        /// Why.
        why: String,
        /// For the same reason as the one before.
        again: bool,
    },
    /// Reports are dropped for lack of time or room.
    ReportLost {
        /// To whom.
        channel: Channel,
        /// How many.
        count: usize,
        /// Why.
        why: String,
        /// Others were dropped before, and none was delivered since.
        again: bool,
    },
}

/// Where reports go besides the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A webhook, by scheme and host: what follows may be secret.
    Webhook(Arc<str>),
    /// Events at the API server.
    KubernetesEvents,
}

/// What the program starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Of the program.
    pub version: &'static str,
    /// Its node, if known.
    pub node: Option<String>,
    /// What is polled, and how often.
    pub polled: Vec<(String, Duration)>,
    /// Whether spot interruptions are among what is polled.
    pub interruptions: bool,
    /// Whether the node is only marked, whatever the notice.
    pub marks_only: bool,
    /// Whether nothing is written.
    pub dry: bool,
    /// The settings that were given, each as `NAME=value`.
    pub given: Vec<String>,
}

/// What becomes of a drain whose notice was withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// There was none.
    Quiet,
    /// It goes on: if the metadata service is wrong, stopping would cost the pods.
    DrainGoesOn,
    /// It ends at once.
    DrainCalledOff,
}

/// What the Node was to be read or changed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To see what an earlier process left.
    Recall,
    /// To mark it, beside a drain.
    Drain,
    /// To mark it, or to note the end of a drain.
    Mark,
    /// To take marks back.
    TakeBack,
}

impl Occasion {
    /// How much a verdict matters that is given on this occasion.
    pub fn level(self, verdict: &Verdict) -> Level {
        match self {
            _ if self.is_success(verdict) => Level::Info,
            // No pod is lost: the instance stays.
            Self::TimedOut => Level::Warn,
            _ => Level::Error,
        }
    }
}

impl Fact {
    /// The log level at which it is written: the end of a failure wherever its beginning is.
    pub fn interest(&self) -> Level {
        match self {
            Self::CredentialsFound
            | Self::NodeFound(_)
            | Self::NodeThere(_)
            | Self::MetadataRecovered(..)
            | Self::ListensAgain { .. }
            | Self::ThreadStarted(_)
            | Self::ReportReady(_) => Level::Error,
            Self::NodeRecovered(_)
            | Self::ReportRecovered(..)
            | Self::Drain(DrainProgress::Recovered { .. }) => Level::Warn,
            _ => self.level(),
        }
    }

    /// How much it matters.
    pub fn level(&self) -> Level {
        self.row().1
    }

    /// A name that does not change.
    pub fn name(&self) -> &'static str {
        self.row().0
    }
}

macro_rules! names_and_levels {
    ($($fact:pat => $name:literal, $level:expr;)*) => {
        impl Fact {
            fn row(&self) -> (&'static str, Level) {
                use Level::{Debug, Error, Info, Warn};
                match self {
                    $($fact => ($name, $level),)*
                }
            }

            /// All names.
            #[cfg(test)]
            const NAMES: &[&str] = &[$($name),*];
        }
    };
}

names_and_levels! {
    Self::Started(_) => "started", Info;
    Self::Remark(_) => "remark", Warn;
    Self::SettingUnusable(_) => "setting_unusable", Error;
    Self::CredentialsMissing(_) => "credentials_missing", Error;
    Self::CredentialsFound => "credentials_found", Info;
    Self::NodeUnknown(_) => "node_unknown", Error;
    Self::NodeFound(_) => "node_found", Info;
    Self::ActsAs(_) => "acts_as", Info;
    Self::WithoutToken(_) => "metadata_without_token", Warn;
    Self::Polled { .. } => "polled", Debug;
    Self::MetadataFailing(..) => "metadata_failing", Error;
    Self::MetadataRecovered(..) => "metadata_recovered", Info;
    Self::NoticeSeen { .. } => "notice", Warn;
    Self::NoticeScheduled { .. } => "notice_scheduled", Info;
    Self::NoticeMarks { notice, .. } => "notice_marks", match notice.id {
        NoticeId::Interruption(_) => Warn,
        NoticeId::Rebalance | NoticeId::Maintenance(_) | NoticeId::Lifecycle(_) => Info,
    };
    Self::NoticeBeside { .. } => "notice_beside", Info;
    Self::DrainBegins(_) => "drain_begins", Info;
    Self::DeadlineMoved { .. } => "deadline_moved", Info;
    Self::TakenOver { .. } => "taken_over", Warn;
    Self::NoticeWithdrawn(..) => "notice_withdrawn", Info;
    Self::StaysWithdrawn(_) => "notice_stays_withdrawn", Info;
    Self::MarksLast(_) => "marks_last", Info;
    Self::MarksExpired(_) => "marks_expired", Info;
    Self::DrainedBefore(_) => "drained_before", Info;
    Self::MarksFound { .. } => "marks_found", Info;
    Self::MarksUnreadable => "marks_unreadable", Warn;
    Self::Marks { change, .. } => "marks", match **change {
        Change::CordonStays | Change::TaintStays(_) | Change::ExclusionStays(_) => Warn,
        _ => Info,
    };
    Self::NodeFailing(..) => "node_failing", Warn;
    Self::NodeRecovered(_) => "node_recovered", Info;
    Self::NodeMissing { .. } => "node_missing", Error;
    Self::NodeThere(_) => "node_there", Info;
    Self::TaintForbidden(_) => "taint_forbidden", Error;
    Self::Drain(DrainProgress::Listed { .. }) => "pods_listed", Info;
    Self::Drain(DrainProgress::LeftAlone(..)) => "pod_left_alone", Info;
    Self::Drain(DrainProgress::Late(_)) => "pod_late", Info;
    Self::Drain(DrainProgress::Returned { .. }) => "pod_returned", Info;
    Self::Drain(DrainProgress::Evicted { .. }) => "pod_evicted", Info;
    Self::Drain(DrainProgress::Blocked { .. }) => "pod_blocked", Info;
    Self::Drain(DrainProgress::Deleted { .. }) => "pod_deleted", Warn;
    Self::Drain(DrainProgress::NotMarked { .. }) => "pod_not_marked", Warn;
    Self::Drain(DrainProgress::Shortened { .. }) => "pod_shortened", Info;
    Self::Drain(DrainProgress::Gone { .. }) => "pod_gone", Info;
    Self::Drain(DrainProgress::WouldEvict(_)) => "pod_would_be_evicted", Info;
    Self::Drain(DrainProgress::WouldBlock(..)) => "pod_would_be_refused", Info;
    Self::Drain(DrainProgress::NamespaceTerminating { .. }) => "namespace_terminating", Info;
    Self::Drain(DrainProgress::Forbidden { .. }) => "forbidden", Error;
    Self::Drain(DrainProgress::Failing { .. }) => "requests_failing", Warn;
    Self::Drain(DrainProgress::Recovered { .. }) => "requests_recovered", Info;
    Self::Drain(DrainProgress::Unread { .. }) => "pod_unread", Warn;
    Self::Drain(DrainProgress::WatchLost { .. }) => "watch_lost", Warn;
    Self::Verdict(occasion, verdict) => "verdict", occasion.level(verdict);
    Self::DeadlineReached => "deadline_reached", Info;
    Self::Ends { .. } | Self::EndsDrained => "ends", Info;
    Self::EndsAfterDrain(_) => "ends_after_drain", Warn;
    Self::Listens { .. } => "listens", Info;
    Self::NotListening { .. } => "not_listening", Error;
    Self::ListensAgain { .. } => "listens_again", Info;
    Self::ThreadMissing(..) => "thread_missing", Error;
    Self::ThreadStarted(_) => "thread_started", Info;
    Self::ReportUnready { .. } => "report_unready", Error;
    Self::ReportReady(_) => "report_ready", Info;
    Self::ReportSent(Channel::KubernetesEvents) => "report_sent", Debug;
    Self::ReportSent(Channel::Webhook(_)) => "report_sent", Info;
    Self::ReportFailing(..) => "report_failing", Warn;
    Self::ReportRecovered(..) => "report_recovered", Info;
    Self::ReportRetried(_) => "report_retried", Debug;
    Self::ReportRefused { again: true, .. } => "report_refused", Debug;
    Self::ReportRefused { again: false, .. } => "report_refused", Warn;
    Self::ReportLost { again: true, .. } => "report_lost", Debug;
    Self::ReportLost { again: false, .. } => "report_lost", Warn;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of lines without a fact: a row of the table, the log itself, the time before there is a log.
    const OTHERS: [&str; 5] = ["pod_verdict", "log_lost", "bad_setting", "not_started", "panicked"];

    /// Operators look a line up in the page of reports by its name.
    #[test]
    fn every_name_is_explained() {
        let page = include_str!("../../docs/reports.md");
        for name in Fact::NAMES.iter().chain(&OTHERS) {
            assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/reports.md");
        }
    }
}
