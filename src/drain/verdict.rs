//! What became of every pod.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::{Budget, PodRef};
use crate::drain::pod::Exempt;

/// The end of a drain, pod by pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// One row for each pod that was seen.
    pub rows: Vec<Row>,
    /// Whether the first set of pods was read to its end; otherwise there may be more.
    pub listed: bool,
    /// How many pods could not be read and have no row.
    pub unread: u32,
    /// How long the drain took until now.
    pub took: Duration,
    /// How the drain ended; `None`: it goes on.
    pub end: Option<End>,
    /// How long after a deadline the kubelet lets pods end, while it shuts the node down gracefully.
    pub node_shutdown: Duration,
}

/// How a drain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its deadline is there: the instance goes.
    Deadline,
    /// It had no deadline and was given up; the instance stays.
    TimedOut,
    /// Nothing that was to go is left, and no deadline was to be waited for.
    Empty,
    /// This process had to end; the next one goes on.
    Stopped,
    /// What was noticed will not happen.
    CalledOff,
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
    /// The time of a drain without a deadline is over.
    TimedOut,
    /// What was noticed will not happen.
    CalledOff,
    /// This process has to end.
    Stopped,
    /// There is no Node of this name, and no pod of it.
    NoNode,
    /// There is no pod of this node, and whether there is such a Node could not be found out.
    NodeUnknown,
}

impl Occasion {
    /// Whether all went that was to go. What was never seen has not gone.
    pub fn is_success(self, verdict: &Verdict) -> bool {
        verdict.is_clean() && !matches!(self, Self::NoNode | Self::NodeUnknown)
    }
}

/// One pod's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which pod.
    pub pod: Arc<PodRef>,
    /// What became of it.
    pub outcome: Outcome,
    /// When it was gone, counted from the beginning of the drain.
    pub gone_after: Option<Duration>,
}

/// What became of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Evicted, and gone.
    Evicted(Certainty),
    /// Deleted, for this had kept it until its own time was up, and gone.
    Deleted(Obstacle, Certainty),
    /// It was already ending; its grace was shortened, and it is gone.
    Shortened,
    /// It was ending already when this drain saw it first, and is gone.
    EndingAlready,
    /// Gone, and not by our doing.
    EndedByOthers,
    /// It was still there when the deadline came or the drain was given up, or still is.
    StillThere(Reason),
    /// It was still there when this process had to end; the next one goes on.
    HandedOver(Reason),
    /// It was not terminating before the drain was called off, and stays.
    CalledOff,
    /// It was terminating before the drain was called off, which cannot be taken back.
    ToldToEnd(Reason),
    /// It was not to go.
    LeftAlone(Exempt),
    /// A dry run: it would be evicted.
    WouldEvict,
    /// A dry run: this budget would refuse.
    WouldBlock(Arc<Budget>),
}

/// Whether the API server confirmed what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It did.
    Confirmed,
    /// Its answer was lost, but the pod ended after the request was sent.
    AnswerLost,
}

/// Why a pod is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is terminating, and has not ended yet.
    Ending {
        /// By whom, as far as that is known.
        by: Option<EndedBy>,
        /// A finalizer that holds the object.
        finalizer: Option<String>,
    },
    /// This budget refused until the end.
    Blocked(Arc<Budget>),
    /// The API server refused what it was asked until the end, or there was no answer.
    Failed(Failed),
    /// It was asked, and no answer had come.
    Unanswered,
    /// It was evicted so often, and its controller had it run on this node again each time.
    Returning(u32),
    /// It was never asked.
    NotAsked,
}

/// What kept the evictions of a pod from being accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A disruption budget.
    Budget(Arc<Budget>),
    /// Anything else: a webhook, a policy, a missing right, a server without an answer.
    Failed(Failed),
}

impl Obstacle {
    /// The budget, if it is one.
    pub fn budget(&self) -> Option<&Budget> {
        match self {
            Self::Budget(budget) => Some(budget),
            Self::Failed(_) => None,
        }
    }
}

/// Why a request about a pod was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Whether the API server has answered what was asked. Otherwise it was busy, or out of reach, and
    /// what it would have been is not known.
    pub answered: bool,
    /// What was asked and what came, in words.
    pub why: Arc<str>,
}

/// Who brought a pod to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Our eviction.
    Eviction,
    /// Our deletion, when this had kept the pod until its own time was up.
    Deletion(Obstacle),
    /// Our deletion of a pod that another had deleted with too much time.
    Shortening,
    /// Another client, or the pod itself.
    Others,
    /// It was terminating before this drain saw it: by others, or by a process of this program
    /// that was ended.
    Earlier,
}

impl Verdict {
    /// Whether nothing that was to go is left. Of a drain that was called off, nothing is to go.
    pub fn is_clean(&self) -> bool {
        let all_went =
            self.listed && self.unread == 0 && !self.rows.iter().any(|row| row.outcome.stays());
        all_went || self.end == Some(End::CalledOff)
    }

    /// Whether this pod was to go and is left.
    pub fn leaves(&self, row: &Row) -> bool {
        row.outcome.stays() && self.end != Some(End::CalledOff)
    }

    /// The rows as the table has them: what ended badly stands last, where the eye of one who
    /// reads the end of a log falls.
    pub fn in_order(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|row| (row.outcome.weight(), &row.pod));
        rows
    }

    /// How many pods came to each outcome, by its name; what ended badly stands last.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        let rows = self.in_order();
        let same = rows.chunk_by(|one, other| one.outcome.name() == other.outcome.name());
        same.filter_map(|rows| Some((rows.first()?.outcome.name(), rows.len()))).collect()
    }
}

impl Outcome {
    /// The budget that stood in the way, if one did.
    pub fn budget(&self) -> Option<&Budget> {
        match self {
            Self::Deleted(obstacle, _) => obstacle.budget(),
            Self::WouldBlock(budget) => Some(budget),
            Self::StillThere(reason) | Self::HandedOver(reason) | Self::ToldToEnd(reason) => {
                match reason {
                    Reason::Blocked(budget) => Some(budget),
                    Reason::Ending { by: Some(EndedBy::Deletion(obstacle)), .. } => {
                        obstacle.budget()
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn stays(&self) -> bool {
        matches!(self, Self::StillThere(_) | Self::HandedOver(_))
    }

    /// The word for it in the table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Evicted(_) => "evicted",
            Self::Deleted(..) => "deleted",
            Self::Shortened => "shortened",
            Self::EndingAlready => "ending already",
            Self::EndedByOthers => "ended by others",
            Self::StillThere(_) => "still there",
            Self::HandedOver(_) => "handed over",
            Self::CalledOff => "called off",
            Self::ToldToEnd(_) => "told to end",
            Self::LeftAlone(_) => "left alone",
            Self::WouldEvict => "would be evicted",
            Self::WouldBlock(_) => "would be refused",
        }
    }
    fn weight(&self) -> u8 {
        match self {
            Self::LeftAlone(_) => 0,
            Self::CalledOff => 1,
            Self::WouldEvict => 2,
            Self::Evicted(_) => 3,
            Self::EndingAlready => 4,
            Self::EndedByOthers => 5,
            Self::Shortened => 6,
            Self::Deleted(..) => 7,
            Self::WouldBlock(_) => 8,
            Self::ToldToEnd(_) => 9,
            Self::HandedOver(_) => 10,
            Self::StillThere(_) => 11,
        }
    }
}
