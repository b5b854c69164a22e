//! A run as text: a line for each order and each fact (`*`), with its second; how scenarios compare it.

use std::collections::BTreeSet;

use crate::drain::ask::{Ask, Job};
use crate::drain::progress::DrainProgress;
use crate::drain::verdict::Verdict;
use crate::handler::tests::timeline::{Entry, Run};
use crate::handler::world::Order;
use crate::moment::Moment;
use crate::node::marks::{Change, Cordon, Patch};
use crate::node::state::STATE_ANNOTATION;
use crate::notice::NoticeId;
use crate::plan::kinds::Basis;
use crate::report::fact::{Fact, Occasion, Withdrawal};

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    /// Which notices there are, from when and until when.
    Notice,
    /// By when.
    Deadline,
    /// Evictions and deletions.
    Pod,
    /// The `DisruptionTarget` condition before a deletion.
    Condition,
    /// What has become of the pods.
    Verdict,
    /// What is written to the Node.
    Patch,
    /// Which marks the Node bears.
    Marks,
    /// Credentials, the Node and the watch: asked for, connected and disconnected.
    Connection,
    /// What fails, and that it works again.
    Failure,
    /// SIGTERM.
    Sigterm,
    /// Another process begins.
    Restart,
}

struct Line {
    topic: Topic,
    text: String,
}

impl Run {
    /// The whole transcript.
    #[track_caller]
    pub(super) fn transcript_is<const N: usize>(&self, expected: [&str; N]) {
        self.compare(&expected, &self.transcript());
    }

    /// These lines, and no others on the topics of these lines.
    #[track_caller]
    pub(super) fn shows<const N: usize>(&self, expected: [&str; N]) {
        let mut lines = self.transcript();
        let shown = lines.iter().filter(|line| expected.contains(&&*line.text));
        let topics: BTreeSet<Topic> = shown.map(|line| line.topic).collect();
        lines.retain(|line| topics.contains(&line.topic));
        self.compare(&expected, &lines);
    }

    #[track_caller]
    fn compare(&self, expected: &[&str], lines: &[Line]) {
        let lines: Vec<&str> = lines.iter().map(|line| &*line.text).collect();
        let whole = self.lines().join("\n  ");
        assert_eq!(lines, expected, "\nof the whole transcript:\n  {whole}");
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.transcript().into_iter().map(|line| line.text).collect()
    }

    /// Orders and facts, but for what is reported of single pods. Of what a pod is asked again and again
    /// in one drain, only the first time.
    fn transcript(&self) -> Vec<Line> {
        let mut before = BTreeSet::new();
        let lines = self.timeline.iter().filter_map(|(at, entry)| {
            let (topic, words) = match entry {
                Entry::Ordered(Order::Ask(job)) => {
                    let is_first = before.insert((&job.pod, verb(job.ask)));
                    is_first.then(|| job_words(job))?
                }
                Entry::Ordered(order) => order_words(order),
                Entry::Told(fact) => fact_words(fact)?,
                Entry::BeginsAnew { .. } => (Topic::Restart, "- another process begins".to_owned()),
                Entry::Came(_) | Entry::NodeIs { .. } => return None,
            };
            if matches!(entry, Entry::Told(Fact::NoticeSeen { .. })) {
                before.clear();
            }
            (*at >= self.shown_since)
                .then(|| Line { topic, text: format!("{} {words}", second(*at)) })
        });
        lines.collect()
    }
}

fn order_words(order: &Order) -> (Topic, String) {
    let connection = |words: String| (Topic::Connection, words);
    match order {
        Order::CheckCredentials => connection("check credentials".to_owned()),
        Order::FindNode => connection("find node".to_owned()),
        Order::ReadNode(name) => connection(format!("read {name}")),
        Order::FollowPods(name) => connection(format!("follow pods of {name}")),
        Order::Disconnect => connection("disconnect".to_owned()),
        Order::PatchNode(name, patch) => {
            (Topic::Patch, format!("patch {name}: {}", patch_words(patch)))
        }
        Order::Ask(job) => job_words(job),
        Order::GiveUp(pod) => (Topic::Pod, format!("give up {}", pod.name)),
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

fn job_words(job: &Job) -> (Topic, String) {
    let name = &job.pod.name;
    match job.ask {
        Ask::Evict { grace, dry: false } => (Topic::Pod, format!("evict {name} {grace}")),
        Ask::Evict { grace, dry: true } => (Topic::Pod, format!("evict {name} {grace} dry")),
        Ask::MarkDisrupted => (Topic::Condition, format!("mark {name}")),
        Ask::Delete { grace } => (Topic::Pod, format!("delete {name} {grace}")),
    }
}

fn fact_words(fact: &Fact) -> Option<(Topic, String)> {
    let words = match fact {
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
        Fact::Verdict(Occasion::TimedOut, verdict) => format!("* timed out: {}", rows(verdict)),
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
        Fact::Drain(DrainProgress::WatchLost { why }) => format!("* watch lost: {why}"),
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
    };
    Some((fact_topic(fact), words))
}

fn fact_topic(fact: &Fact) -> Topic {
    match fact {
        Fact::Verdict(..) => Topic::Verdict,
        Fact::Marks { .. }
        | Fact::MarksFound { .. }
        | Fact::MarksUnreadable
        | Fact::MarksLast(_)
        | Fact::TaintForbidden(_) => Topic::Marks,
        Fact::NodeFailing(..)
        | Fact::NodeRecovered(_)
        | Fact::NodeMissing { .. }
        | Fact::NodeThere(_)
        | Fact::CredentialsMissing(_)
        | Fact::CredentialsFound
        | Fact::NodeUnknown(_)
        | Fact::NodeFound(_)
        | Fact::MetadataFailing(..)
        | Fact::MetadataRecovered(..)
        | Fact::WithoutToken(_)
        | Fact::Drain(_) => Topic::Failure,
        Fact::DeadlineMoved { .. } | Fact::DeadlineReached => Topic::Deadline,
        Fact::DrainBegins(_) => Topic::Connection,
        Fact::Ends { .. } | Fact::EndsDrained | Fact::EndsAfterDrain(_) => Topic::Sigterm,
        _ => Topic::Notice,
    }
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
