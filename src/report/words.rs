//! The text of facts, as in the log.

pub(super) mod drain;

use std::fmt;
use std::time::Duration;

use crate::drain::verdict::Verdict;
use crate::node::marks::{Change, Cordon};
use crate::node::state::STATE_ANNOTATION;
use crate::node::{EXCLUSION_LABEL, FieldManager, MOST_TAINTS};
use crate::notice::{Notice, NoticeId};
use crate::plan::kinds::Basis;
use crate::report::fact::{Channel, Fact, Level, Occasion, Purpose, Start, Withdrawal};

impl fmt::Display for Fact {
    #[expect(clippy::too_many_lines, reason = "one arm for each fact, so that none is forgotten")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(start) => write!(f, "{start}"),
            Self::Remark(remark) => write!(f, "{remark}"),
            Self::SettingUnusable(why) => write!(f, "a setting is not valid: {why}"),
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
            Self::ActsAs(identity) => write!(f, "{identity}"),
            Self::WithoutToken(status) => write!(
                f,
                "the metadata service offers no IMDSv2 (its token request was answered {status}): \
                 IMDSv1 is used, without a token"
            ),
            Self::Polled { path, status: Some(status), .. } => write!(f, "{path}: {status}"),
            Self::Polled { path, status: None, .. } => write!(f, "{path}: no answer"),
            Self::MetadataFailing(path, why) => {
                write!(f, "{path} cannot be polled: {why}. It is tried again")
            }
            Self::MetadataRecovered(path, failed) => {
                write!(f, "{path} answers again, after {failed} failed polls")
            }
            Self::NoticeSeen { notice, basis, left } | Self::TakenOver { notice, basis, left } => {
                if matches!(self, Self::TakenOver { .. }) {
                    f.write_str("another notice takes over the drain: ")?;
                }
                write!(f, "{}; {}", Announced(notice, *basis), Left(*basis, *left))?;
                write!(f, ". The notice: {}", notice.wording)
            }
            Self::NoticeScheduled { notice, basis, ahead, moved } => write!(
                f,
                "{}{}; this node is dealt with in {} s. The notice: {}",
                if *moved { "moved to another time: " } else { "" },
                Announced(notice, *basis),
                seconds(*ahead),
                notice.wording
            ),
            Self::NoticeMarks { notice, basis } => write!(
                f,
                "{}; it asks for marks on the node only. The notice: {}",
                Announced(notice, *basis),
                notice.wording
            ),
            Self::NoticeBeside { notice, basis } => write!(
                f,
                "{}; the drain that is under way comes first. The notice: {}",
                Announced(notice, *basis),
                notice.wording
            ),
            Self::DrainBegins(node) => write!(f, "the drain of {node} begins"),
            Self::DeadlineMoved { basis: Basis::NoDeadline, left } => write!(
                f,
                "an earlier process began this drain: {} s are left of the time for it",
                seconds(*left)
            ),
            Self::DeadlineMoved { basis, left } => {
                write!(f, "the instance goes earlier: {basis}; {} s left", seconds(*left))
            }
            Self::NoticeWithdrawn(notice, withdrawal) => {
                write!(f, "notice {notice} was withdrawn; ")?;
                f.write_str(match withdrawal {
                    Withdrawal::Quiet => "a new one would be dealt with again",
                    Withdrawal::DrainGoesOn => "the drain goes on, for that may be wrong",
                    Withdrawal::DrainCalledOff => "the drain is called off",
                })
            }
            Self::StaysWithdrawn(notice) => {
                write!(f, "notice {notice} did not come back: what was done for it is taken back")
            }
            Self::MarksLast(left) => {
                write!(f, "these marks end by themselves in {} s", seconds(*left))
            }
            Self::MarksExpired(notice) => {
                write!(f, "the marks for notice {notice} have stood for their time and end")
            }
            Self::MarksFound { notice, same_boot: true } => {
                write!(f, "an earlier process of this handler marked the node for notice {notice}")
            }
            Self::MarksFound { notice, same_boot: false } => write!(
                f,
                "the machine was started anew since the node was marked for notice {notice}"
            ),
            Self::MarksUnreadable => write!(
                f,
                "the annotation {STATE_ANNOTATION} on the Node is none that this version can read: \
                 what was set on the node for it is not taken back, whoever set it"
            ),
            Self::DrainedBefore(notice) => {
                write!(f, "notice {notice} was dealt with before: nothing to do")
            }
            Self::Marks { change, dry: true, .. } if **change == Change::Cordon(Cordon::Done) => {
                f.write_str("dry run: the node would be cordoned")
            }
            Self::Marks { change, dry: true, .. } if change.is_made() => {
                write!(f, "dry run, not done: {change}")
            }
            Self::Marks { change, by: FieldManager::Handler, .. }
                if **change == Change::Cordon(Cordon::Done) =>
            {
                write!(
                    f,
                    "{change}. This handler lifts that when the notice is over, also if somebody else \
                     cordons the node meanwhile: a cordon on a cordoned node leaves no trace"
                )
            }
            Self::Marks { change, .. } => write!(f, "{change}"),
            Self::NodeFailing(purpose, why) => write!(f, "{purpose}: {why}. It is tried again"),
            Self::NodeRecovered(failed) => {
                write!(f, "the Node answers again, after {failed} failed requests")
            }
            Self::NodeMissing { why, .. } => write!(
                f,
                "{why}, so no pod of it can be found and nothing can be done for it. Unless that node \
                 was deleted, NODE_NAME is wrong: it must be a name that `kubectl get nodes` shows \
                 (downward API: spec.nodeName). It is looked for again"
            ),
            Self::NodeThere(name) => write!(f, "there is a node named {name} now"),
            Self::TaintForbidden(why) => write!(
                f,
                "taints may not be changed, and the node is marked without one: {why}. That right is one \
                 of its own"
            ),
            Self::Drain(progress) => write!(f, "{progress}"),
            Self::Verdict(occasion, verdict) => {
                write!(f, "{}\n{verdict}", Headline(*occasion, verdict))
            }
            Self::DeadlineReached => f.write_str(
                "the deadline is reached and nothing has changed since the table. Polling goes on",
            ),
            Self::Listens { address, pages } => write!(f, "http://{address} serves {pages}"),
            Self::NotListening { why, .. } => {
                write!(f, "{why}. It is tried again; notices are heard all the same")
            }
            Self::ListensAgain { address, pages } => {
                write!(f, "http://{address} serves {pages} now")
            }
            Self::ThreadMissing(who, why) => write!(
                f,
                "the system gives no thread for {who}: {why}. It is tried again; notices are heard all \
                 the same"
            ),
            Self::ThreadStarted(who) => write!(f, "there is a thread for {who} now"),
            Self::ReportUnready { channel, why, .. } => {
                write!(f, "{channel}: {why}. Files are read again; a drain does not wait for them")
            }
            Self::ReportReady(channel) => write!(f, "{channel}: what was missing is there"),
            Self::ReportSent(channel) => write!(f, "{channel}: delivered"),
            Self::ReportFailing(channel, why) => {
                write!(f, "{channel}: {why}. It is tried again; the drain does not wait for it")
            }
            Self::ReportRecovered(channel, failed) => {
                write!(f, "{channel}: delivered, after {failed} failed tries")
            }
            Self::ReportRetried(channel) => write!(f, "{channel}: tried again in vain"),
            Self::ReportRefused { channel, why, .. } => write!(f, "{channel}: refused: {why}"),
            Self::ReportLost { channel, count: 1, why, .. } => {
                write!(f, "{channel}: not delivered: {why}")
            }
            Self::ReportLost { channel, count, why, .. } => {
                write!(f, "{channel}: {count} were not delivered: {why}")
            }
            Self::Ends { unsettled: false } => f.write_str("SIGTERM: ends, nothing was under way"),
            Self::Ends { unsettled: true } => f.write_str(
                "SIGTERM: ends, and the marks on the node are not as they should be yet: the next \
                 process sees to them",
            ),
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
        if self.interruptions {
            writeln!(
                f,
                "Polls the EC2 spot interruption notices, to gracefully stop all pods of {node}, \
                 and have them rescheduled elsewhere, in the two minutes before its instance is \
                 taken back."
            )?;
        } else {
            writeln!(
                f,
                "Polls the EC2 instance metadata for notices about {node}, but not for spot \
                 interruptions."
            )?;
        }
        writeln!(
            f,
            "See https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"
        )?;
        if self.dry {
            writeln!(f, "Dry run: evictions are asked for, and nothing is done or written.")?;
        } else if self.marks_only {
            writeln!(f, "{node} will be cordoned once a notice is made, and its pods left alone.")?;
        } else {
            let kind = if self.interruptions { "an interruption" } else { "such a" };
            writeln!(f, "{node} will be cordoned and drained once {kind} notice is made.")?;
        }
        if !self.given.is_empty() {
            writeln!(f, "Settings given: {}", self.given.join(", "))?;
        }
        let lines = self.polled.iter().map(|(url, interval)| {
            format!("Polling {url} every {} second(s)", interval.as_secs_f64())
        });
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

/// Why there is a verdict: the first line of the table.
pub(super) struct Headline<'a>(pub(super) Occasion, pub(super) &'a Verdict);

impl fmt::Display for Headline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            // A pod that could not be read may still be there.
            Occasion::Empty if self.1.unread > 0 => {
                "the drain is done for the pods that could be read: none of them is left that was \
                 to go"
            }
            Occasion::Empty => "the drain is done: nothing is left that was to go",
            Occasion::Rehearsed => "dry run: what would become of every pod; nothing was done",
            Occasion::Deadline if !self.1.node_shutdown.is_zero() && !self.1.is_clean() => {
                let left = self.1.node_shutdown.as_secs();
                return write!(
                    f,
                    "the deadline is reached; the kubelet's graceful node shutdown may let pods end for {left} s \
                     more: what became of every pod"
                );
            }
            Occasion::Deadline => "the deadline is reached: what became of every pod",
            Occasion::TimedOut => {
                "the time for this drain is over, and the instance stays: what became of every pod"
            }
            Occasion::CalledOff => "the drain is called off: what became of every pod so far",
            Occasion::Stopped => "this process has to end: what became of every pod so far",
            Occasion::NoNode => {
                "nothing was drained: there is no node of this name, so no pod of it was found"
            }
            Occasion::NodeUnknown => {
                "nothing was drained: no pod of this node was found, and whether there is a node of \
                 this name could not be seen"
            }
        })
    }
}

/// What a notice announces, and when.
pub(super) struct Announced<'a>(pub(super) &'a Notice, pub(super) Basis);

impl fmt::Display for Announced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(notice, basis) = self;
        match (&notice.id, basis) {
            (NoticeId::Interruption(action), Basis::AtOnce) => write!(
                f,
                "spot interruption: the instance will {action}, which begins at once"
            ),
            (NoticeId::Interruption(action), _) => {
                write!(f, "spot interruption: the instance will {action} {basis}")
            }
            (NoticeId::Rebalance, _) => f.write_str(
                "rebalance recommendation: the instance is more likely than others to be taken back",
            ),
            (NoticeId::Maintenance(event), _) => {
                write!(f, "scheduled maintenance: {} ({}) {basis}", event.code, event.id)
            }
            (NoticeId::Lifecycle(action), _) => {
                write!(f, "the Auto Scaling group will {action} the instance {basis}")
            }
        }
    }
}

/// To the nearest second: a fact is reported a little after its time was taken.
fn seconds(time: Duration) -> u64 {
    (time + Duration::from_millis(500)).as_secs()
}

/// How much time is left, and what that means.
struct Left(Basis, Duration);

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = seconds(self.1);
        match self.0 {
            Basis::NoDeadline => write!(
                f,
                "the node is drained for {seconds} s at most, and no budget is overridden"
            ),
            Basis::AtOnce => f.write_str("every pod is asked now, with the least grace"),
            _ => write!(f, "{seconds} s left"),
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stated(time) => write!(f, "at {time}"),
            Self::Over(time, window) => {
                write!(f, "at {time}, which is over: taken as {} s from now", window.as_secs())
            }
            Self::TooFar(time, window) => write!(
                f,
                "at {time}, which is too far ahead to be true: taken as {} s from now",
                window.as_secs()
            ),
            Self::Unstated(window) => write!(
                f,
                "at a time that it does not tell: taken as {} s from now",
                window.as_secs()
            ),
            Self::AtOnce => f.write_str("at once"),
            Self::NoDeadline => f.write_str("without a deadline"),
            Self::Remembered => {
                f.write_str("at the time that an earlier process of this handler assumed")
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cordon(Cordon::Done) => f.write_str("the node is cordoned"),
            Self::Cordon(Cordon::Kept) => {
                f.write_str("the node was cordoned already, by this handler")
            }
            Self::Cordon(Cordon::Foreign) => {
                f.write_str("the node was cordoned already, by somebody else")
            }
            Self::Uncordoned => f.write_str("the node is uncordoned"),
            Self::CordonStays => f.write_str(
                "the node stays cordoned: somebody else has cordoned it since this handler did",
            ),
            Self::CordonLifted => {
                f.write_str("the node is cordoned no longer: somebody else has uncordoned it")
            }
            Self::Tainted(taint) => write!(f, "the node is tainted: {taint}"),
            Self::TaintForeign(taint) => write!(
                f,
                "the taint {taint} stands there already, set by somebody else, and is left as it is"
            ),
            Self::Untainted(taint) => write!(f, "the taint {taint} is taken off"),
            Self::TaintStays(taint) => write!(
                f,
                "the taint that this handler set was changed to {taint} by somebody else, and is \
                 left as it is"
            ),
            Self::TaintsTooMany => write!(
                f,
                "the node has more than {MOST_TAINTS} taints: they are left as they are, and none is \
                 added or taken off"
            ),
            Self::Excluded => {
                write!(f, "the node is excluded from load balancers: label {EXCLUSION_LABEL}")
            }
            Self::ExclusionForeign(value) => write!(
                f,
                "the label {EXCLUSION_LABEL}={value} stands there already, set by somebody else, \
                 and is left as it is"
            ),
            Self::Included => write!(
                f,
                "the node is excluded from load balancers no longer: label {EXCLUSION_LABEL} is \
                 taken off"
            ),
            Self::ExclusionStays(value) => write!(
                f,
                "the label {EXCLUSION_LABEL} was changed to \"{value}\" by somebody else, and is \
                 left as it is"
            ),
        }
    }
}

impl fmt::Display for Purpose {
    /// The state of things until it succeeds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recall => {
                "whether an earlier process has marked this node is not known; polling goes on"
            }
            Self::Drain => "the node is not marked; evictions do not wait for it",
            Self::Mark => "the marks of the node are not as they should be",
            Self::TakeBack => "what this handler left on the node is not taken back",
        })
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(name) => write!(f, "webhook {name}"),
            Self::KubernetesEvents => f.write_str("Kubernetes Events"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        })
    }
}
