//! What was seen in a run, and how a scenario writes it down.

use std::collections::BTreeMap;

use crate::drain::ask::{Answer, Ask, Budget, Job};
use crate::drain::limit::Limit;
use crate::drain::progress::DrainProgress;
use crate::drain::tests::cluster::Verb;
use crate::drain::verdict::Verdict;
use crate::moment::Moment;

/// One drain from its beginning to its end.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) trace: Vec<(Moment, Did)>,
    pub(super) truth: BTreeMap<String, Truth>,
    /// The last word, and when it was said.
    pub(super) verdict: Verdict,
    pub(super) ended: Moment,
}

/// One thing that the machine did or was told.
#[derive(Clone, Debug)]
pub(super) enum Did {
    /// The watch told it of this pod; `terminating`: so.
    Saw {
        uid: String,
        terminating: Option<u32>,
    },
    /// The watch told it that this pod is gone.
    SawGone(String),
    SetBegins,
    SetComplete,
    Released,
    PulledIn(Moment),
    /// By another notice; whether the end moved earlier by a second or more.
    TakenOver(Limit, bool),
    CalledOff,
    /// Evictions are to wait for the load balancers until then.
    Balanced(Moment),
    StopAt(Moment),
    Asked(Job),
    /// It was told the answer.
    Answered {
        uid: String,
        ask: Ask,
        answer: Answer,
    },
    /// It waits no longer for the answer about this pod.
    GaveUp(String),
    Told(DrainProgress),
    Empty(Verdict),
    /// It had nothing to do until then, though it could have sent something.
    Idle {
        until: Moment,
    },
}

/// What really happened to a pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    pub(super) arrived: Option<Moment>,
    /// Who first told it to end, if somebody did.
    pub(super) cause: Option<Cause>,
    pub(super) gone: Option<Moment>,
    /// Evictions of it that were refused.
    pub(super) refused_by: Vec<Budget>,
}

/// Who told a pod to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Eviction,
    Deletion,
    Others,
}

impl From<Ask> for Verb {
    fn from(ask: Ask) -> Self {
        match ask {
            Ask::Evict { .. } => Self::Evict,
            Ask::MarkDisrupted => Self::Mark,
            Ask::Delete { .. } => Self::Delete,
        }
    }
}

impl Run {
    /// Every request.
    pub(super) fn asked(&self) -> impl Iterator<Item = (Moment, &Job)> {
        self.trace.iter().filter_map(|(at, did)| match did {
            Did::Asked(job) => Some((*at, job)),
            _ => None,
        })
    }

    /// Everything that was said.
    pub(super) fn told(&self) -> impl Iterator<Item = (Moment, &DrainProgress)> {
        self.trace.iter().filter_map(|(at, did)| match did {
            Did::Told(progress) => Some((*at, progress)),
            _ => None,
        })
    }

    /// One line for each request, `second uid verb grace`.
    pub(super) fn requests(&self) -> Vec<String> {
        self.asked().map(|(at, job)| line(at, job)).collect()
    }

    /// The same, but of what is asked again and again only the first.
    pub(super) fn deeds(&self) -> Vec<String> {
        let mut before = Vec::new();
        let mut deeds = Vec::new();
        for (at, job) in self.asked() {
            let deed = (&job.pod.uid, Verb::from(job.ask));
            if !before.contains(&deed) {
                before.push(deed);
                deeds.push(line(at, job));
            }
        }
        deeds
    }

    /// One line for each pod, `uid outcome, note`.
    pub(super) fn outcomes(&self) -> Vec<String> {
        let rows = self.verdict.rows.iter().map(|row| {
            let note = row.outcome.to_string();
            let comma = if note.is_empty() { "" } else { ", " };
            format!("{} {}{comma}{note}", row.pod.uid, row.outcome.name())
        });
        rows.collect()
    }

    /// One line for everything that was said, `second words`, but for who is to go.
    pub(super) fn said(&self) -> Vec<String> {
        let told = self.told().filter(|(_, it)| !matches!(it, DrainProgress::Listed { .. }));
        told.map(|(at, progress)| format!("{} {progress}", second(at))).collect()
    }

    /// When it said that nothing is left.
    pub(super) fn emptied(&self) -> Vec<Moment> {
        let empty = |(at, did): &(Moment, Did)| matches!(did, Did::Empty(_)).then_some(*at);
        self.trace.iter().filter_map(empty).collect()
    }
}

fn line(at: Moment, job: &Job) -> String {
    let what = match job.ask {
        Ask::Evict { grace, dry: false } => format!("evict {grace}"),
        Ask::Evict { grace, dry: true } => format!("evict {grace} dry"),
        Ask::MarkDisrupted => "mark".to_owned(),
        Ask::Delete { grace } => format!("delete {grace}"),
    };
    format!("{} {} {what}", second(at), job.pod.uid)
}

fn second(at: Moment) -> String {
    format!("{:.1}", at.since(Moment::START).as_secs_f64())
}
