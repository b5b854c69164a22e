//! The text of what happens in a drain, and the table at its end.

use std::fmt;
use std::time::Duration;

use crate::drain::ask::Grace;
use crate::drain::pod::Exempt;
use crate::drain::progress::DrainProgress;
use crate::drain::verdict::{Certainty, EndedBy, Failed, Obstacle, Outcome, Reason, Verdict};

/// Seconds by which a grace may be cut without mention.
const SLIGHT_CUT: u32 = 5;

impl fmt::Display for DrainProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed { to_go, left_alone } => {
                write!(f, "of this node's pods {} are to go", to_go.len())?;
                write!(f, "; left alone: {left_alone}")
            }
            Self::LeftAlone(pod, why) => write!(f, "{pod}: left alone ({why})"),
            Self::Late(pod) => write!(f, "{pod}: arrived late, goes too"),
            Self::Returned { pod, times } => write!(
                f,
                "{pod}: its controller started it on this node though the node is drained; it is \
                 evicted later ({times} before it)"
            ),
            Self::Evicted { pod, grace, wanted } if wanted.get() - grace.get() > SLIGHT_CUT => {
                write!(
                    f,
                    "{pod}: eviction accepted, {grace} s to end instead of {wanted} s: no more \
                     time is left"
                )
            }
            Self::Evicted { pod, grace, .. } => {
                write!(f, "{pod}: eviction accepted, {grace} s to end")
            }
            Self::Blocked { pod, budget, deleted_in } => {
                let then = Then(*deleted_in);
                write!(f, "{pod}: eviction refused by disruption budget {budget}; {then}")
            }
            Self::Deleted { pod, grace, obstacle } => {
                write!(f, "{pod}: {}", Deleted(*grace, obstacle))
            }
            Self::NotMarked { pod, why } => write!(
                f,
                "{pod}: the condition DisruptionTarget could not be set, so a Job may count the \
                 deletion as a failure: {why}"
            ),
            Self::Shortened { pod, grace } => write!(
                f,
                "{pod}: was already ending, with more time than is left: {grace} s to end now"
            ),
            Self::Gone { pod, after } => {
                write!(f, "{pod}: gone after {:.1} s", after.as_secs_f64())
            }
            Self::WouldEvict(pod) => write!(f, "{pod}: would be evicted"),
            Self::WouldBlock(pod, budget) => {
                write!(f, "{pod}: disruption budget {budget} would refuse its eviction now")
            }
            Self::NamespaceTerminating { pod, deleted_in } => {
                let then = Then(*deleted_in);
                write!(f, "{pod}: its namespace is being deleted, and the pod with it; {then}")
            }
            Self::Forbidden { pod, message, deleted_in } => {
                let then = Then(*deleted_in);
                write!(f, "{pod}: the API server forbids it: {message}. Other pods go on; {then}")
            }
            Self::Failing { pod, why, deleted_in } => {
                let then = Then(*deleted_in);
                write!(f, "{pod}: {why}; {then}")
            }
            Self::Recovered { failed } => {
                write!(f, "the API server answers again, after {failed} failed requests")
            }
            Self::Unread { why } => {
                write!(f, "a pod could not be read and is not in the table: {why}")
            }
            Self::WatchLost { why } => {
                write!(f, "the watch of this node's pods was lost and is opened again: {why}")
            }
        }
    }
}

/// What comes next for a pod that is not gone: when it is deleted, if at all.
struct Then(Option<Duration>);

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(left) if left < Duration::from_secs(1) => {
                f.write_str("its time is up: it is deleted next")
            }
            Some(left) => write!(f, "retried for {} s, then it is deleted", left.as_secs()),
            None => f.write_str("retried until the drain ends"),
        }
    }
}

/// That a pod was deleted, with this grace, and why.
pub(in crate::report) struct Deleted<'a>(
    pub(in crate::report) Option<Grace>,
    pub(in crate::report) &'a Obstacle,
);

impl fmt::Display for Deleted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(grace) => write!(f, "deleted, {grace} s to end")?,
            None => f.write_str("deleted, though the answer was lost")?,
        }
        f.write_str(": its time was up and ")?;
        match self.1 {
            Obstacle::Budget(budget) => write!(f, "disruption budget {budget} had not let it go"),
            Obstacle::Failed(Failed { why, .. }) => write!(f, "it could not be evicted ({why})"),
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
        write!(f, "{}", Summary(self))
    }
}

/// How many pods came to each outcome, and how long it took: the line below the table.
pub(in crate::report) struct Summary<'a>(pub(in crate::report) &'a Verdict);

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

impl fmt::Display for Outcome {
    /// The note in the table.
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

impl fmt::Display for Obstacle {
    /// As the subject of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget(budget) => write!(f, "disruption budget {budget}"),
            Self::Failed(failed) => write!(f, "{failed}"),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl fmt::Display for Exempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("this handler's own pod"),
            Self::Mirror => f.write_str("static pod of the kubelet"),
            Self::DaemonSet(name) => write!(f, "DaemonSet {name}"),
            Self::Unmanaged => f.write_str("no controller, and such pods are to stay"),
            Self::EmptyDir => f.write_str("emptyDir volume, and such pods are to stay"),
            Self::Returning(times) => {
                write!(f, "its controller put it back on this node after {times} evictions")
            }
        }
    }
}
