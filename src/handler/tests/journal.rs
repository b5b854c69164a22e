//! What the handler ordered, said and was told, with times, and how a scenario writes it down.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::drain::ask::{Ask, Job};
use crate::drain::progress::Progress;
use crate::drain::verdict::Verdict;
use crate::handler::tests::node::Object;
use crate::handler::tests::pods::Pods;
use crate::handler::world::{News, Order};
use crate::moment::Moment;
use crate::node::marks::{Change, Cordon, Patch};
use crate::node::state::STATE_ANNOTATION;
use crate::notice::NoticeId;
use crate::plan::kinds::Basis;
use crate::report::fact::{Fact, Occasion, Withdrawal};

/// One run, from the start of the process to its end.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) journal: Vec<(Moment, Entry)>,
    pub(super) ended: Moment,
    pub(super) node: Object,
    /// The pods as they are in the end.
    pub(super) pods: Pods,
    pods_left: Vec<String>,
}

/// One thing that went into the handler or came out of it.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// It waited and this came; `None`: nothing, until the moment it had named.
    Came(Option<News>),
    Ordered(Order),
    Told(Fact),
    /// Beside what was told: our annotation at the API server at that moment.
    NodeIs {
        annotation: Option<String>,
    },
    /// The process has ended before its time, and another one begins.
    BeginsAnew {
        /// In another boot of the machine.
        rebooted: bool,
    },
}

impl Run {
    pub(super) fn new(
        journal: Vec<(Moment, Entry)>,
        ended: Moment,
        node: Object,
        pods: Pods,
    ) -> Self {
        let pods_left = pods.list().iter().map(|pod| pod.reference.name.clone()).collect();
        Self { journal, ended, node, pods, pods_left }
    }

    /// How many pods are still there.
    pub(super) fn pods_left(&self) -> usize {
        self.pods_left.len()
    }

    /// How everything is in the end: the Node, and the pods that are left.
    pub(super) fn end(&self) -> (Value, &[String]) {
        (self.node.what_it_is(), &self.pods_left)
    }

    /// Orders and facts, one line each, without what is said of single pods. Of what a pod is asked
    /// again and again in one drain, only the first time.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut before = BTreeSet::new();
        let words = self.journal.iter().filter_map(|(at, entry)| {
            let words = match entry {
                Entry::Ordered(Order::Ask(job)) => {
                    before.insert((&job.pod, verb(job.ask))).then(|| job_words(job))?
                }
                Entry::Ordered(order) => order_words(order),
                Entry::Told(fact) => fact_words(fact)?,
                Entry::BeginsAnew { .. } => "- another process begins".to_owned(),
                Entry::Came(_) | Entry::NodeIs { .. } => return None,
            };
            if matches!(entry, Entry::Told(Fact::NoticeSeen { .. })) {
                before.clear();
            }
            Some(format!("{} {words}", second(*at)))
        });
        words.collect()
    }

    /// Of these, those in which one of these words stands.
    pub(super) fn lines_with(&self, words: &[&str]) -> Vec<String> {
        let lines = self.lines().into_iter();
        lines.filter(|line| words.iter().any(|word| line.contains(word))).collect()
    }

    pub(super) fn news(&self) -> impl Iterator<Item = (Moment, &News)> {
        self.journal.iter().filter_map(|(at, entry)| match entry {
            Entry::Came(Some(news)) => Some((*at, news)),
            _ => None,
        })
    }

    pub(super) fn facts(&self) -> impl Iterator<Item = (Moment, &Fact)> {
        self.journal.iter().filter_map(|(at, entry)| match entry {
            Entry::Told(fact) => Some((*at, fact)),
            _ => None,
        })
    }

    pub(super) fn orders(&self) -> impl Iterator<Item = (Moment, &Order)> {
        self.journal.iter().filter_map(|(at, entry)| match entry {
            Entry::Ordered(order) => Some((*at, order)),
            _ => None,
        })
    }
}

fn order_words(order: &Order) -> String {
    match order {
        Order::CheckCredentials => "check credentials".to_owned(),
        Order::FindNode => "find node".to_owned(),
        Order::ReadNode(name) => format!("read {name}"),
        Order::PatchNode(name, patch) => format!("patch {name}: {}", patch_words(patch)),
        Order::FollowPods(name) => format!("follow pods of {name}"),
        Order::Ask(job) => job_words(job),
        Order::GiveUp(pod) => format!("give up {}", pod.name),
        Order::Disconnect => "disconnect".to_owned(),
    }
}

fn patch_words(patch: &Patch) -> String {
    let patch: serde_json::Value = serde_json::from_str(&patch.text).unwrap();
    let mut words = Vec::new();
    match patch["spec"].get("unschedulable") {
        Some(value) if *value == true => words.push("cordon".to_owned()),
        Some(_) => words.push("uncordon".to_owned()),
        None => {}
    }
    if let Some(taints) = patch["spec"]["taints"].as_array() {
        let key = |taint: &serde_json::Value| taint["key"].as_str().unwrap().to_owned();
        words.push(format!("taints [{}]", taints.iter().map(key).collect::<Vec<_>>().join(", ")));
    }
    if let Some(labels) = patch["metadata"]["labels"].as_object() {
        let is_set = labels.values().all(serde_json::Value::is_string);
        words.push(if is_set { "label" } else { "unlabel" }.to_owned());
    }
    let annotation = &patch["metadata"]["annotations"][STATE_ANNOTATION];
    let Some(state) = annotation.as_str() else {
        words.push("forget".to_owned());
        return words.join(", ");
    };
    let state: serde_json::Value = serde_json::from_str(state).unwrap();
    match state["notice"].as_str() {
        Some(_) => {
            words.push(if state["cordoned"] == true { "ours" } else { "not ours" }.to_owned());
        }
        None => words.push("remember".to_owned()),
    }
    for known in state["notices"].as_array().unwrap() {
        let (notice, progress) = (known["notice"].as_str(), known["progress"].as_str().unwrap());
        let notice = notice.and_then(|notice| notice.split('@').next()).unwrap();
        match progress {
            "open" => {}
            _ if *notice == state["notice"] => words.push(progress.to_owned()),
            _ => words.push(format!("{progress} {notice}")),
        }
    }
    words.join(", ")
}

fn verb(ask: Ask) -> u8 {
    match ask {
        Ask::Evict { .. } => 0,
        Ask::MarkDisrupted => 1,
        Ask::Delete { .. } => 2,
    }
}

fn job_words(job: &Job) -> String {
    let name = &job.pod.name;
    match job.ask {
        Ask::Evict { grace, dry: false } => format!("evict {name} {grace}"),
        Ask::Evict { grace, dry: true } => format!("evict {name} {grace} dry"),
        Ask::MarkDisrupted => format!("mark {name}"),
        Ask::Delete { grace } => format!("delete {name} {grace}"),
    }
}

fn fact_words(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::NoticeSeen { notice, basis, left } => {
            let basis = basis_words(*basis);
            format!("* notice: {}{basis}, {} s left", short(&notice.id), left.as_secs_f64())
        }
        Fact::NoticeScheduled { notice, ahead, moved, .. } => {
            let moved = if *moved { ", moved" } else { "" };
            format!("* scheduled: {} in {} s{moved}", short(&notice.id), ahead.as_secs_f64())
        }
        Fact::NoticeMarks { notice, .. } => format!("* marks: {}", short(&notice.id)),
        Fact::NoticeBeside { notice, .. } => format!("* beside: {}", short(&notice.id)),
        Fact::DeadlineMoved { basis, left } => {
            format!("* deadline moved{}, {} s left", basis_words(*basis), left.as_secs_f64())
        }
        Fact::TakenOver { notice, .. } => format!("* taken over: {}", short(&notice.id)),
        Fact::NoticeWithdrawn(_, Withdrawal::DrainGoesOn) => {
            "* notice withdrawn, drain goes on".to_owned()
        }
        Fact::NoticeWithdrawn(_, Withdrawal::DrainCalledOff) => {
            "* notice withdrawn, drain called off".to_owned()
        }
        Fact::NoticeWithdrawn(_, Withdrawal::Quiet) => "* notice withdrawn".to_owned(),
        Fact::MarksLast(left) => format!("* marks last {:.1} s", left.as_secs_f64()),
        Fact::StaysWithdrawn(id) => format!("* stays withdrawn: {}", short(id)),
        Fact::MarksUnreadable => "* marks unreadable".to_owned(),
        Fact::MarksExpired(id) => format!("* marks expired: {}", short(id)),
        Fact::DrainedBefore(_) => "* drained before".to_owned(),
        Fact::MarksFound { notice, same_boot } => {
            let boot = if *same_boot { "" } else { " of an earlier boot" };
            format!("* marks found{boot}: {notice}")
        }
        Fact::Marks { change, dry, .. } => match (&**change, dry) {
            (Change::Cordon(Cordon::Done), true) => "* cordon: Would".to_owned(),
            (Change::Cordon(cordon), _) => format!("* cordon: {cordon:?}"),
            (change, true) => format!("* would: {change}"),
            (change, false) => format!("* {change}"),
        },
        Fact::NodeFailing(purpose, why) => format!("* node failing: {purpose:?}, {why}"),
        Fact::TaintForbidden(why) => format!("* no taint: {why}"),
        Fact::NodeRecovered(failed) => format!("* node answers, {failed} failed"),
        Fact::NodeMissing { purpose, .. } => format!("* no such node: {purpose:?}"),
        Fact::NodeThere(name) => format!("* there is {name}"),
        Fact::DrainBegins(name) => format!("* drain of {name} begins"),
        Fact::Verdict(Occasion::Rehearsed, verdict) => format!("* rehearsed: {}", rows(verdict)),
        Fact::Verdict(Occasion::Empty, verdict) => format!("* empty: {}", rows(verdict)),
        Fact::Verdict(Occasion::Deadline, verdict) => format!("* deadline: {}", rows(verdict)),
        Fact::Verdict(Occasion::TimedOut, verdict) => format!("* patience: {}", rows(verdict)),
        Fact::Verdict(Occasion::CalledOff, verdict) => format!("* called off: {}", rows(verdict)),
        Fact::Verdict(Occasion::NoNode, verdict) => format!("* no node: {}", rows(verdict)),
        Fact::Verdict(Occasion::NodeUnknown, verdict) => format!("* unknown: {}", rows(verdict)),
        Fact::Verdict(Occasion::Stopped, verdict) => format!("* stopped: {}", rows(verdict)),
        Fact::DeadlineReached => "* deadline, nothing has changed".to_owned(),
        Fact::Ends { unsettled: true } => "* SIGTERM, ends with unsettled marks".to_owned(),
        Fact::Ends { unsettled: false } | Fact::EndsDrained => "* SIGTERM, ends".to_owned(),
        Fact::EndsAfterDrain(left) => format!("* SIGTERM, ends within {} s", left.as_secs_f64()),
        Fact::CredentialsMissing(_) => "* credentials missing".to_owned(),
        Fact::CredentialsFound => "* credentials found".to_owned(),
        Fact::NodeUnknown(_) => "* node unknown".to_owned(),
        Fact::NodeFound(name) => format!("* node found: {name}"),
        Fact::MetadataFailing(path, _) => format!("* failing: {path}"),
        Fact::MetadataRecovered(path, failed) => format!("* recovered: {path}, {failed} failed"),
        Fact::WithoutToken(status) => format!("* without token: {status}"),
        Fact::Drain(Progress::WatchLost { why }) => format!("* watch lost: {why}"),
        Fact::Polled { .. } | Fact::Drain(_) => return None,
        Fact::Started(_)
        | Fact::Remark(_)
        | Fact::SettingUnusable(_)
        | Fact::NotListening { .. }
        | Fact::ListensAgain { .. }
        | Fact::ThreadMissing(..)
        | Fact::ThreadStarted(_)
        | Fact::ReportUnready { .. }
        | Fact::ReportReady(_)
        | Fact::Listens { .. }
        | Fact::ReportSent(_)
        | Fact::ReportFailing(..)
        | Fact::ReportRecovered(..)
        | Fact::ReportRetried(_)
        | Fact::ReportRefused { .. }
        | Fact::ReportLost { .. }
        | Fact::ActsAs(_) => panic!("said by others than the handler: {fact}"),
    })
}

/// An interruption by its action, anything else by all that names it.
fn short(id: &NoticeId) -> String {
    match id {
        NoticeId::Interruption(action) => action.to_string(),
        other => other.to_string(),
    }
}

fn basis_words(basis: Basis) -> &'static str {
    match basis {
        Basis::Stated(_) => "",
        Basis::Over(..) => " in the past",
        Basis::TooFar(..) => " too far",
        Basis::Unstated(_) => " some time",
        Basis::AtOnce => " at once",
        Basis::NoDeadline => " without a deadline",
        Basis::Remembered => " as before",
    }
}

fn rows(verdict: &Verdict) -> String {
    let rows = verdict.rows.iter().map(|row| format!("{} {}", row.pod.name, row.outcome.name()));
    let rows = rows.collect::<Vec<_>>().join(", ");
    if verdict.listed { format!("[{rows}]") } else { format!("[{rows}] and perhaps more") }
}

fn second(at: Moment) -> String {
    format!("{:.1}", at.since(Moment::START).as_secs_f64())
}
