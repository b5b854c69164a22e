//! What happened, as values: the only input of everything that reports.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::progress::Progress;
use crate::drain::verdict::Verdict;
use crate::intent::Basis;
use crate::notice::{Notice, NoticeId, NoticePath};
use crate::settings::Remark;

/// Something that an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The program has started.
    Started(Box<Start>),
    /// Something about the settings that is no error.
    Remark(Remark),
    /// The API server cannot be reached for want of a file; looked for again.
    CredentialsMissing(String),
    /// What was missing is there.
    CredentialsFound,
    /// The node's name could not be found out; tried again.
    NodeUnknown(String),
    /// The node's name was found out.
    NodeFound(String),
    /// The metadata service offers no IMDSv2.
    WithoutToken(u16),
    /// A path was polled. Said where the operator wants every poll.
    Polled(NoticePath, Option<u16>),
    /// A path of the metadata service begins to fail.
    MetadataFailing(NoticePath, String),
    /// It answers again, after so many failed polls.
    MetadataRecovered(NoticePath, u32),
    /// A notice has appeared, and a drain begins.
    NoticeSeen {
        /// Which.
        notice: Box<Notice>,
        /// Where the deadline comes from.
        basis: Basis,
        /// How long it is until then.
        left: Duration,
    },
    /// The drain of this node begins.
    DrainBegins(Arc<str>),
    /// The notice under way has an earlier time.
    DeadlineMoved {
        /// Where the new deadline comes from.
        basis: Basis,
        /// How long it is until then.
        left: Duration,
    },
    /// Another notice takes over the drain under way.
    TakenOver(Box<Notice>),
    /// The notice was withdrawn.
    NoticeWithdrawn {
        /// Which.
        notice: NoticeId,
        /// A drain for it is under way, and goes on.
        draining: bool,
    },
    /// The Node remembers that this notice was drained to its end.
    DrainedBefore(NoticeId),
    /// The node is cordoned.
    Cordon(Cordon),
    /// The cordon fails; tried again beside the evictions.
    CordonFailing(String),
    /// Something in the drain.
    Drain(Progress),
    /// What became of every pod.
    Verdict(Occasion, Box<Verdict>),
    /// The deadline is there, and nothing has changed since the table.
    DeadlineReached,
    /// The end of the drain could not be noted on the Node.
    NotNoted(String),
    /// SIGTERM came and there was nothing to do.
    Ends,
    /// SIGTERM came when every pod that was to go had gone.
    EndsDrained,
    /// SIGTERM came in a drain, which goes on for so long.
    EndsAfterDrain(Duration),
}

/// What the program starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Of the program.
    pub version: &'static str,
    /// Its node, if known.
    pub node: Option<String>,
    /// What is polled.
    pub polled: Vec<String>,
    /// How often.
    pub interval: Duration,
    /// Whether nothing is written.
    pub dry: bool,
    /// The settings that were given, each as `NAME=value`.
    pub given: Vec<String>,
}

/// How a node came to be cordoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cordon {
    /// By us, now.
    Done,
    /// By us, earlier: for another notice, or before a restart.
    Kept,
    /// By somebody else, before.
    Foreign,
    /// A dry run: by nobody.
    Would,
}

/// Why there is a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Nothing is left that was to go.
    Empty,
    /// A dry run has asked about every pod.
    Rehearsed,
    /// The deadline is there.
    Deadline,
    /// This process has to end.
    Stopped,
}

/// How much a fact matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The usual course of things.
    Info,
    /// Something is not as it should be, and is being dealt with.
    Warn,
    /// Something needs a person.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        })
    }
}

impl Fact {
    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Self::CredentialsMissing(_)
            | Self::NodeUnknown(_)
            | Self::MetadataFailing(..)
            | Self::Drain(Progress::Forbidden { .. }) => Level::Error,
            Self::Remark(_)
            | Self::WithoutToken(_)
            | Self::CordonFailing(_)
            | Self::NotNoted(_)
            | Self::NoticeSeen { .. }
            | Self::TakenOver(_)
            | Self::EndsAfterDrain(_)
            | Self::Drain(
                Progress::Deleted { .. }
                | Progress::Failing { .. }
                | Progress::Unread { .. }
                | Progress::WatchLost { .. },
            ) => Level::Warn,
            Self::Verdict(_, verdict) if !verdict.is_clean() => Level::Error,
            Self::Started(_)
            | Self::CredentialsFound
            | Self::NodeFound(_)
            | Self::Polled(..)
            | Self::MetadataRecovered(..)
            | Self::DrainBegins(_)
            | Self::DeadlineMoved { .. }
            | Self::NoticeWithdrawn { .. }
            | Self::DrainedBefore(_)
            | Self::Cordon(_)
            | Self::Verdict(..)
            | Self::DeadlineReached
            | Self::Ends
            | Self::EndsDrained
            | Self::Drain(
                Progress::LeftAlone(..)
                | Progress::Late(_)
                | Progress::Evicted { .. }
                | Progress::Blocked { .. }
                | Progress::Shortened { .. }
                | Progress::Gone { .. }
                | Progress::WouldEvict(_)
                | Progress::WouldBlock(..)
                | Progress::NamespaceTerminating(_)
                | Progress::Recovered { .. },
            ) => Level::Info,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(start) => write!(f, "{start}"),
            Self::Remark(remark) => write!(f, "{remark}"),
            Self::CredentialsMissing(why) => write!(
                f,
                "{why}. Without it no pod can be evicted. It is looked for again; polling goes on"
            ),
            Self::CredentialsFound => f.write_str("what was missing for the API server is there"),
            Self::NodeUnknown(why) => write!(
                f,
                "the name of this node is not known: {why}. It is asked for again; polling goes on"
            ),
            Self::NodeFound(name) => write!(f, "this node is {name}"),
            Self::WithoutToken(status) => write!(
                f,
                "the metadata service offers no IMDSv2 (its token request was answered {status}): \
                 IMDSv1 is used, without a token"
            ),
            Self::Polled(path, Some(status)) => write!(f, "{path}: {status}"),
            Self::Polled(path, None) => write!(f, "{path}: no answer"),
            Self::MetadataFailing(path, why) => {
                write!(f, "{path} cannot be polled: {why}. It is tried again")
            }
            Self::MetadataRecovered(path, failed) => {
                write!(f, "{path} answers again, after {failed} failed polls")
            }
            Self::NoticeSeen { notice, basis, left } => write!(
                f,
                "spot interruption: the instance will {} {basis}; {} s left. The notice: {}",
                Will(notice),
                left.as_secs(),
                notice.wording
            ),
            Self::DrainBegins(node) => write!(f, "the drain of {node} begins"),
            Self::DeadlineMoved { basis, left } => {
                write!(f, "the instance goes earlier: {basis}; {} s left", left.as_secs())
            }
            Self::TakenOver(notice) => write!(
                f,
                "another notice takes over the drain: the instance will {}. The notice: {}",
                Will(notice),
                notice.wording
            ),
            Self::NoticeWithdrawn { notice, draining: true } => write!(
                f,
                "notice {notice} was withdrawn; the drain goes on, for pods are on their way out"
            ),
            Self::NoticeWithdrawn { notice, draining: false } => {
                write!(f, "notice {notice} was withdrawn; a new one would be drained for again")
            }
            Self::DrainedBefore(notice) => write!(
                f,
                "notice {notice} is older than this start, and the Node says that it was \
                 drained to its end: nothing to do"
            ),
            Self::Cordon(cordon) => f.write_str(match cordon {
                Cordon::Done => "the node is cordoned",
                Cordon::Kept => "the node was cordoned already, by this handler",
                Cordon::Foreign => "the node was cordoned already, by somebody else",
                Cordon::Would => "dry run: the node would be cordoned",
            }),
            Self::CordonFailing(why) => write!(
                f,
                "the node is not cordoned: {why}. It is tried again; evictions do not wait for it"
            ),
            Self::Drain(progress) => write!(f, "{progress}"),
            Self::Verdict(occasion, verdict) => {
                match occasion {
                    // A pod that could not be read may well be there.
                    Occasion::Empty if verdict.unread > 0 => writeln!(
                        f,
                        "the drain is done for the pods that could be read: none of them is left \
                         that was to go"
                    )?,
                    _ => writeln!(f, "{occasion}")?,
                }
                write!(f, "{verdict}")
            }
            Self::DeadlineReached => f.write_str(
                "the deadline is reached and nothing has changed since the table. Polling goes on",
            ),
            Self::NotNoted(why) => write!(
                f,
                "the end of the drain could not be noted on the Node: {why}. A restart would drain \
                 again"
            ),
            Self::Ends => f.write_str("SIGTERM: ends, nothing was under way"),
            Self::EndsDrained => f.write_str("SIGTERM: ends, nothing is left that was to go"),
            Self::EndsAfterDrain(left) => write!(
                f,
                "SIGTERM: the drain goes on, for {} s at most; its deadline stays",
                left.as_secs()
            ),
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.as_deref().unwrap_or("this node");
        writeln!(f, "k8s-spot-handler {}", self.version)?;
        writeln!(
            f,
            "Polls the EC2 spot interruption notices, to gracefully stop all pods of {node}, and \
             have them rescheduled elsewhere, in the two minutes before its instance is taken back."
        )?;
        writeln!(
            f,
            "See https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"
        )?;
        if self.dry {
            writeln!(f, "Dry run: evictions are asked for, and nothing is done or written.")?;
        } else {
            writeln!(
                f,
                "{node} will be cordoned and drained once an interruption notice is made."
            )?;
        }
        if !self.given.is_empty() {
            writeln!(f, "Settings given: {}", self.given.join(", "))?;
        }
        let every = self.interval.as_secs_f64();
        let lines = self.polled.iter().map(|url| format!("Polling {url} every {every} second(s)"));
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the drain is done: nothing is left that was to go",
            Self::Rehearsed => "dry run: what would become of every pod; nothing was done",
            Self::Deadline => "the deadline is reached: what became of every pod",
            Self::Stopped => "this process has to end: what became of every pod so far",
        })
    }
}

/// What will be done to the instance, as a verb.
struct Will<'a>(&'a Notice);

impl fmt::Display for Will<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::notice::Action;
        f.write_str(match self.0.action {
            Action::Terminate => "terminate",
            Action::Stop => "stop",
            Action::Hibernate => "hibernate (which begins at once)",
        })
    }
}
