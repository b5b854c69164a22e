//! What became of every pod.

use std::fmt;
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
    /// It was not told to end before the drain was called off, and stays.
    CalledOff,
    /// It was told to end before the drain was called off, which cannot be taken back.
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
    /// It was told to end and has not yet.
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

impl fmt::Display for Obstacle {
    /// As the subject of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget(budget) => write!(f, "disruption budget {budget}"),
            Self::Failed(failed) => write!(f, "{failed}"),
        }
    }
}

/// Why a request about a pod was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Whether the API server has answered what was asked. Otherwise it was busy, or out of reach, and
    /// nobody can say what it would have said.
    pub answered: bool,
    /// What was asked and what came, in words.
    pub why: Arc<str>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Who brought a pod to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Our eviction.
    Eviction,
    /// Our deletion, when this had kept the pod until its own time was up.
    Deletion(Obstacle),
    /// Our deletion of a pod that somebody else had told to end too late.
    Shortening,
    /// Somebody else, or itself.
    Others,
    /// It was told to end before this drain saw it: by others, or by a process of this program
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

    /// The rows as the table has them: what ended badly stands last, where the eye of somebody who
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

    /// All of it in one line.
    pub fn summary(&self) -> Summary<'_> {
        Summary(self)
    }
}

/// How many pods came to each outcome, and how long it took: the line below the table.
#[derive(Debug)]
pub struct Summary<'a>(&'a Verdict);

impl fmt::Display for Summary<'_> {
    /// `12 evicted, 1 still there in 2.3 s`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { listed, unread, took, .. } = self.0;
        write!(f, "{} in {:.1} s", in_words(&self.0.counts()), took.as_secs_f64())?;
        if !listed {
            write!(f, "; the list of pods was not read to its end, there may be more")?;
        }
        if *unread > 0 {
            write!(f, "; {unread} more could not be read and are not in this table")?;
        }
        Ok(())
    }
}

/// `12 evicted, 1 still there`
fn in_words(counts: &[(&'static str, usize)]) -> String {
    let words: Vec<String> =
        counts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    if words.is_empty() { "no pods".to_owned() } else { words.join(", ") }
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
}

impl fmt::Display for Outcome {
    /// The note beside the word: what the reader needs to know besides.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evicted(certainty) => write!(f, "{certainty}"),
            Self::Deleted(obstacle, certainty) => {
                write!(
                    f,
                    "{}{}",
                    Against(obstacle),
                    match certainty {
                        Certainty::Confirmed => "",
                        Certainty::AnswerLost => "; the answer was lost",
                    }
                )
            }
            Self::Shortened => f.write_str("was already ending, with more time than was left"),
            Self::EndingAlready => f.write_str("told to end before this drain saw it"),
            Self::EndedByOthers | Self::CalledOff | Self::WouldEvict => Ok(()),
            Self::StillThere(reason) | Self::HandedOver(reason) | Self::ToldToEnd(reason) => {
                write!(f, "{reason}")
            }
            Self::LeftAlone(exempt) => write!(f, "{exempt}"),
            Self::WouldBlock(budget) => write!(f, "by disruption budget {budget}"),
        }
    }
}

/// A deletion against what kept the pod.
struct Against<'a>(&'a Obstacle);

impl fmt::Display for Against<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Obstacle::Budget(budget) => write!(f, "against disruption budget {budget}"),
            Obstacle::Failed(failed) => write!(f, "as evictions failed: {failed}"),
        }
    }
}

impl fmt::Display for Certainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Confirmed => "",
            Self::AnswerLost => "the answer was lost",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ending { by, finalizer } => {
                match by {
                    Some(EndedBy::Eviction) => f.write_str("evicted")?,
                    Some(EndedBy::Deletion(obstacle)) => {
                        write!(f, "deleted {}", Against(obstacle))?;
                    }
                    Some(EndedBy::Shortening) => f.write_str("was already ending, shortened")?,
                    Some(EndedBy::Earlier) => f.write_str("was ending already")?,
                    Some(EndedBy::Others) | None => f.write_str("told to end by others")?,
                }
                f.write_str(", has not ended")?;
                match finalizer {
                    Some(finalizer) => write!(f, ": held by finalizer {finalizer}"),
                    None => Ok(()),
                }
            }
            Self::Blocked(budget) => write!(f, "refused by disruption budget {budget}"),
            Self::Failed(failed) => write!(f, "{failed}"),
            Self::Unanswered => f.write_str("was asked, and no answer had come"),
            Self::Returning(times) => {
                write!(f, "its controller put it back on this node after {times} evictions")
            }
            Self::NotAsked => f.write_str("was not asked: its turn had not come"),
        }
    }
}

impl fmt::Display for Verdict {
    /// The table, one line for each pod, then the counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.in_order();
        let names: Vec<String> = rows.iter().map(|row| row.pod.to_string()).collect();
        let width = names.iter().map(String::len).max().unwrap_or(0).max("POD".len());
        writeln!(f, "{:width$}  {:<16}  {:>7}  NOTE", "POD", "OUTCOME", "SECONDS")?;
        for (row, name) in rows.iter().zip(&names) {
            let seconds = match row.gone_after {
                Some(after) => format!("{:.1}", after.as_secs_f64()),
                None => "-".to_owned(),
            };
            let line =
                format!("{name:width$}  {:<16}  {seconds:>7}  {}", row.outcome.name(), row.outcome);
            writeln!(f, "{}", line.trim_end())?;
        }
        write!(f, "{}", self.summary())
    }
}

impl Outcome {
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
