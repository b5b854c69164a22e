//! Whether the drain was what it should be: by what the cluster saw, and by
//! what the handler said of it.

use std::process::ExitStatus;
use std::time::Duration;

use simulator::{ApiServer, Class, Happened, Happening};

use crate::stage::{CRITICAL, Expected, Role};

/// What the demo has heard and seen.
#[derive(Default)]
pub(crate) struct Record {
    lines: Vec<String>,
    /// How many lines had been heard when the last pod left.
    at_last_departure: usize,
    /// How the handler ended; `None`: it did not.
    pub(crate) status: Option<ExitStatus>,
    /// When the cloud first said something, on the journal's clock.
    pub(crate) opened: Duration,
    /// When the notice was given, on the journal's clock.
    pub(crate) announced: Duration,
    /// How far ahead the end was then.
    pub(crate) left: Duration,
}

impl Record {
    pub(crate) fn hear(&mut self, line: String) {
        self.lines.push(line);
    }

    pub(crate) fn see(&mut self, what: &Happening) {
        if matches!(what, Happening::Gone { .. }) {
            self.at_last_departure = self.lines.len();
        }
    }

    /// Whether all these pods have been spoken of since the last one left: the
    /// table is out.
    pub(crate) fn is_told_of(&self, names: &[&str]) -> bool {
        let since: Vec<_> = self.lines.iter().skip(self.at_last_departure).collect();
        names.iter().all(|name| since.iter().any(|line| line.contains(name)))
    }

    /// The announced end, on the journal's clock.
    pub(crate) fn end(&self) -> Duration {
        self.announced + self.left
    }

    /// Whether the last that the handler said of a pod is this outcome.
    fn says(&self, name: &str, outcome: &str) -> bool {
        let last = self.lines.iter().rfind(|line| line.contains(name));
        last.is_some_and(|line| line.contains(outcome))
    }
}

/// Prints what is right and what is wrong; whether all is right.
pub(crate) fn review(roles: &[Role], cluster: &ApiServer, record: &Record) -> bool {
    let mut wrong = Vec::new();
    let happened = cluster.happened();
    for role in roles {
        for fault in judge(role, cluster, record) {
            wrong.push(format!("{}: {fault}", role.name));
        }
    }
    wrong.extend(judge_order(roles, &happened, record));
    wrong.extend(judge_requests(cluster, record));
    match record.status {
        Some(status) if status.success() => {}
        Some(status) => wrong.push(format!("after SIGTERM the handler ended with {status}")),
        None => wrong.push("the handler did not end after SIGTERM".to_owned()),
    }
    let count = |expected| roles.iter().filter(|role| role.expected == expected).count();
    println!(
        "Should be: {} evicted, {} deleted at the last moment against a budget, {} left alone.",
        count(Expected::Evicted),
        count(Expected::Deleted),
        count(Expected::LeftAlone)
    );
    for line in &wrong {
        println!("WRONG: {line}");
    }
    if wrong.is_empty() {
        println!("The outcome is what it should be.");
    }
    wrong.is_empty()
}

fn judge(role: &Role, cluster: &ApiServer, record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    let fate = cluster.happened_to(&role.name);
    let evicted = fate.iter().find_map(|what| match what {
        Happening::Evicted { grace, .. } => Some(*grace),
        _ => None,
    });
    let position = |wanted: fn(&Happening) -> bool| fate.iter().position(wanted);
    let refused = position(|what| matches!(what, Happening::Refused { .. }));
    let marked = position(|what| matches!(what, Happening::Marked { .. }));
    let deleted = position(|what| matches!(what, Happening::Deleted { .. }));
    let gone = cluster.happened().into_iter().find_map(|happened| match happened.what {
        Happening::Gone { pod, by_itself } if pod == role.name => Some((happened.at, by_itself)),
        _ => None,
    });
    let mut check = |right: bool, what: &str| {
        if !right {
            wrong.push(what.to_owned());
        }
    };
    match role.expected {
        Expected::LeftAlone => {
            let asked = cluster.journal().of_pod(&role.name);
            check(asked.is_empty(), "was to be left alone, and was asked to go");
            check(
                record.says(&role.name, "left alone"),
                "the handler does not say it was left alone",
            );
        }
        Expected::Evicted => {
            check(evicted.is_some(), "was not evicted");
            check(deleted.is_none(), "was deleted");
            check(record.says(&role.name, "evicted"), "the handler does not say it was evicted");
        }
        Expected::Deleted => {
            check(refused.is_some() && refused < deleted, "was deleted without a refusal, or not");
            check(marked.is_some() && marked < deleted, "was not marked before it was deleted");
            check(record.says(&role.name, "deleted"), "the handler does not say it was deleted");
        }
    }
    if role.expected != Expected::LeftAlone {
        check(gone.is_some_and(|(at, _)| at < record.end()), "was there to the end");
        check(gone.is_none_or(|(_, by_itself)| by_itself), "was killed before it had stopped");
    }
    if role.grace_is_cut {
        let left = record.left.as_secs();
        check(evicted.is_some_and(|grace| grace <= left), "got more grace than there was time");
    }
    wrong
}

/// Cordon first, the critical pod after the ordinary ones.
fn judge_order(roles: &[Role], happened: &[Happened], record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    let when = |wanted: &dyn Fn(&Happening) -> bool| {
        happened.iter().find(|one| wanted(&one.what)).map(|one| one.at)
    };
    match when(&|what| *what == Happening::Cordoned) {
        None => wrong.push("the node was not cordoned".to_owned()),
        Some(at) if at < record.opened => wrong.push("cordoned without a notice".to_owned()),
        Some(_) => {}
    }
    let critical = when(&|what| matches!(what, Happening::Evicted { pod, .. } if pod == CRITICAL));
    let ordinary = roles
        .iter()
        .filter(|role| role.expected == Expected::Evicted && role.name != CRITICAL)
        .filter_map(|role| {
            when(&|what| matches!(what, Happening::Gone { pod, .. } if *pod == role.name))
        })
        .max();
    if critical < ordinary {
        wrong.push(format!("{CRITICAL}: went before the ordinary pods were gone"));
    }
    wrong
}

/// Each request with the pod's UID and a grace of at least a second, one at a
/// time for a pod, none after the end.
fn judge_requests(cluster: &ApiServer, record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    let journal = cluster.journal();
    let removals = journal.of(Class::Evict).into_iter().chain(journal.of(Class::Delete));
    for entry in removals {
        let body = entry.json();
        let options = if entry.kind == Class::Evict { &body["deleteOptions"] } else { &body };
        if !options["preconditions"]["uid"].is_string() {
            wrong.push(format!("without the pod's UID: {entry}"));
        }
        if options["gracePeriodSeconds"] == 0 {
            wrong.push(format!("with no grace at all: {entry}"));
        }
        if entry.at < record.announced || entry.at > record.end() {
            wrong.push(format!("not between the notice and the end: {entry}"));
        }
    }
    let together = journal.most_in_flight_per_pod();
    if together > 1 {
        wrong.push(format!("{together} requests at the same time for one pod"));
    }
    wrong
}
