//! JSON, for machines: one object a line, whose field names do not change. Every object has `time`,
//! `level`, `fact` (the name of the fact) and `message` (the text of the text log); the others where they
//! apply: `node`, `event` and `kind` (the notice), `pod` and `namespace`, `outcome`, `budget`,
//! `seconds`.

use std::fmt::{self, Display};
use std::io;
use std::time::Duration;

use crate::drain::ask::{Budget, PodRef};
use crate::drain::progress::DrainProgress;
use crate::drain::timing;
use crate::drain::verdict::Row;
use crate::excerpt::is_hidden;
use crate::json::Object;
use crate::moment::WallTime;
use crate::notice::NoticeId;
use crate::report::envelope::Envelope;
use crate::report::fact::{Fact, Level};
use crate::report::words::Headline;
use crate::report::words::drain::Summary;

/// A fact is one object; a table of verdicts one for each pod, and one for all of them.
pub(super) fn write(out: &mut impl io::Write, envelope: &Envelope) -> fmt::Result {
    let fact = &envelope.fact;
    let head = |level, name| ObjectHead {
        at: envelope.at.wall,
        level,
        name,
        node: envelope.node.as_deref(),
        drained: envelope.drain.as_ref().map(|drain| &drain.notice.id),
    };
    let whole = head(fact.level(), fact.name());
    let fields = FactFields::of_fact(fact);
    let Fact::Verdict(occasion, verdict) = fact else {
        return write_line(out, whole.object(fact, &fields));
    };
    for row in verdict.in_order() {
        let level = if verdict.leaves(row) { Level::Error } else { Level::Info };
        let note = row.outcome.to_string();
        let colon = if note.is_empty() { "" } else { ": " };
        let message = format!("{}: {}{colon}{note}", row.pod, row.outcome.name());
        write_line(out, head(level, "pod_verdict").object(&message, &FactFields::of_row(row)))?;
    }
    let message = format!("{}: {}", Headline(*occasion, verdict), Summary(verdict));
    write_line(out, whole.object(&message, &fields))
}

/// A line without a fact.
pub(super) fn line(
    at: WallTime,
    level: Level,
    name: &str,
    node: Option<&str>,
    message: &impl Display,
) -> String {
    let head = ObjectHead { at, level, name, node, drained: None };
    head.object(message, &FactFields::default()) + "\n"
}

/// What every object has.
struct ObjectHead<'a> {
    at: WallTime,
    level: Level,
    name: &'a str,
    node: Option<&'a str>,
    /// The notice that is drained for.
    drained: Option<&'a NoticeId>,
}

impl ObjectHead<'_> {
    fn object(&self, message: &impl Display, fields: &FactFields<'_>) -> String {
        let notice = fields.notice.or(self.drained.filter(|_| fields.is_of_drain));
        let more = [
            ("node", self.node.map(str::to_owned)),
            ("event", notice.map(shown)),
            ("kind", notice.map(|id| id.kind().to_string())),
            ("pod", fields.pod.map(|pod| pod.name.clone())),
            ("namespace", fields.pod.map(|pod| pod.namespace.clone())),
            ("outcome", fields.outcome.map(str::to_owned)),
            ("budget", fields.budget.map(shown)),
        ];
        // The time first, for people.
        let object = Object::new()
            .text("time", &self.at.to_string())
            .text("level", &self.level.to_string().to_ascii_lowercase())
            .text("fact", self.name)
            .text("message", &shown(message));
        let known = more.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let object = known.fold(object, |object, (key, value)| object.text(key, &value));
        match fields.seconds {
            Some(time) => object.json("seconds", &format!("{:.3}", time.as_secs_f64())).end(),
            None => object.end(),
        }
    }
}

fn write_line(out: &mut impl io::Write, object: String) -> fmt::Result {
    out.write_all((object + "\n").as_bytes()).map_err(|_| fmt::Error)
}

/// Text without what could steer a terminal on which a JSON log is read after all.
fn shown(text: &impl Display) -> String {
    let text = text.to_string();
    let hidden = |c: char| c != '\n' && is_hidden(c);
    if !text.contains(hidden) {
        return text;
    }
    text.chars().fold(String::new(), |mut shown, c| {
        if hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

/// The fields of a fact.
#[derive(Debug, Default)]
struct FactFields<'a> {
    /// Which notice.
    notice: Option<&'a NoticeId>,
    /// It is about the drain under way, for whatever notice.
    is_of_drain: bool,
    /// Which pod.
    pod: Option<&'a PodRef>,
    /// What became of the pod.
    outcome: Option<&'static str>,
    /// Which budget stood in the way.
    budget: Option<&'a Budget>,
    /// The duration in its text.
    seconds: Option<Duration>,
}

impl<'a> FactFields<'a> {
    /// Those of a row of the table of verdicts.
    fn of_row(row: &'a Row) -> Self {
        Self {
            is_of_drain: true,
            pod: Some(&row.pod),
            outcome: Some(row.outcome.name()),
            budget: row.outcome.budget(),
            seconds: row.gone_after,
            ..Self::default()
        }
    }

    fn of_notice(notice: &'a NoticeId, seconds: Option<Duration>) -> Self {
        Self { notice: Some(notice), seconds, ..Self::default() }
    }

    fn of_drain(seconds: Option<Duration>) -> Self {
        Self { is_of_drain: true, seconds, ..Self::default() }
    }

    fn of_progress(progress: &'a DrainProgress) -> Self {
        let (pod, budget, seconds) = match progress {
            DrainProgress::Blocked { pod, budget, deleted_in } => (pod, Some(budget), *deleted_in),
            DrainProgress::Deleted { pod, obstacle, grace } => {
                let budget = obstacle.budget();
                return Self {
                    pod: Some(pod),
                    budget,
                    ..Self::of_drain(grace.map(timing::seconds))
                };
            }
            DrainProgress::WouldBlock(pod, budget) => (pod, Some(budget), None),
            DrainProgress::Evicted { pod, grace, .. } | DrainProgress::Shortened { pod, grace } => {
                (pod, None, Some(timing::seconds(*grace)))
            }
            DrainProgress::Gone { pod, after } => (pod, None, Some(*after)),
            DrainProgress::LeftAlone(pod, _)
            | DrainProgress::Late(pod)
            | DrainProgress::WouldEvict(pod)
            | DrainProgress::Returned { pod, .. }
            | DrainProgress::NotMarked { pod, .. } => (pod, None, None),
            DrainProgress::NamespaceTerminating { pod, deleted_in }
            | DrainProgress::Forbidden { pod, deleted_in, .. }
            | DrainProgress::Failing { pod, deleted_in, .. } => (pod, None, *deleted_in),
            DrainProgress::Listed { .. }
            | DrainProgress::Recovered { .. }
            | DrainProgress::Unread { .. }
            | DrainProgress::WatchLost { .. } => return Self::of_drain(None),
        };
        let budget = budget.map(AsRef::as_ref);
        Self { pod: Some(pod), budget, ..Self::of_drain(seconds) }
    }

    fn of_fact(fact: &'a Fact) -> Self {
        match fact {
            Fact::NoticeSeen { notice, left, .. } | Fact::TakenOver { notice, left, .. } => {
                Self::of_notice(&notice.id, Some(*left))
            }
            Fact::NoticeScheduled { notice, ahead, .. } => {
                Self::of_notice(&notice.id, Some(*ahead))
            }
            Fact::NoticeMarks { notice, .. } | Fact::NoticeBeside { notice, .. } => {
                Self::of_notice(&notice.id, None)
            }
            Fact::NoticeWithdrawn(id, _)
            | Fact::StaysWithdrawn(id)
            | Fact::MarksExpired(id)
            | Fact::DrainedBefore(id) => Self::of_notice(id, None),
            Fact::Drain(progress) => Self::of_progress(progress),
            Fact::Verdict(_, verdict) => Self::of_drain(Some(verdict.took)),
            Fact::DeadlineMoved { left, .. } | Fact::EndsAfterDrain(left) => {
                Self::of_drain(Some(*left))
            }
            Fact::DrainBegins(_) | Fact::DeadlineReached | Fact::EndsDrained => {
                Self::of_drain(None)
            }
            Fact::MarksLast(left) => Self { seconds: Some(*left), ..Self::default() },
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::drain::verdict::{Outcome, Reason, Verdict};
    use crate::notice::Notice;
    use crate::plan::kinds::Basis;
    use crate::report::fact::Occasion;
    use crate::report::samples::{self, TERMINATE, in_envelopes, pod};

    fn written(facts: &[Fact]) -> Vec<Value> {
        let mut out = Vec::new();
        for envelope in in_envelopes(facts) {
            write(&mut out, &envelope).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn notice() -> Fact {
        let wording = "\"quoted\" \u{202e}".to_owned();
        let notice = Box::new(Notice { wording, ..samples::notice(TERMINATE) });
        let basis = Basis::AtOnce;
        Fact::NoticeSeen { notice, basis, left: Duration::from_millis(1500) }
    }

    #[test]
    fn what_is_said_of_a_pod_says_for_which_notice() {
        let gone = DrainProgress::Gone { pod: pod("web-1"), after: Duration::from_millis(2250) };
        let lines = written(&[notice(), Fact::Drain(gone)]);
        assert_eq!(
            lines[1],
            json!({
                "time": "2026-11-23T12:00:00.500Z", "level": "info", "fact": "pod_gone",
                "message": "shop/web-1: gone after 2.2 s", "node": "node-1",
                "event": "spot-interruption/terminate", "kind": "SPOT_ITN",
                "pod": "web-1", "namespace": "shop", "seconds": 2.25,
            })
        );
        assert_eq!(lines[0]["seconds"], 1.5);
        assert!(lines[0]["message"].as_str().unwrap().ends_with("\"quoted\" \\u{202e}"));
    }

    #[test]
    fn a_table_is_an_object_for_each_pod_and_one_for_all() {
        let budget = Arc::new(Budget { namespace: "shop".into(), name: "web".into() });
        let row = |name, outcome| Row { pod: pod(name), outcome, gone_after: None };
        let rows = vec![
            row("b", Outcome::StillThere(Reason::Blocked(Arc::clone(&budget)))),
            row("a", Outcome::EndedByOthers),
        ];
        let took = Duration::from_secs(3);
        let verdict = Verdict {
            rows,
            listed: true,
            unread: 0,
            took,
            end: None,
            node_shutdown: Duration::ZERO,
        };
        let lines = written(&[notice(), Fact::Verdict(Occasion::Deadline, Box::new(verdict))]);
        assert_eq!(lines.len(), 4);
        assert_eq!(
            (&lines[1]["pod"], &lines[1]["outcome"]),
            (&json!("a"), &json!("ended by others"))
        );
        assert_eq!((&lines[2]["pod"], &lines[2]["level"]), (&json!("b"), &json!("error")));
        assert_eq!(lines[2]["budget"], "shop/web");
        assert_eq!(
            lines[2]["message"],
            "shop/b: still there: refused by disruption budget shop/web"
        );
        assert_eq!(lines[3]["fact"], "verdict");
        assert_eq!(lines[3]["seconds"], 3.0);
        assert_eq!(
            lines[3]["message"],
            "the deadline is reached: what became of every pod: 1 ended by others, 1 still there in \
             3.0 s"
        );
    }

    #[test]
    fn nobody_says_that_nothing_is_left_where_a_pod_could_not_be_read() {
        let took = Duration::from_secs(3);
        let verdict = Verdict {
            rows: vec![],
            listed: true,
            unread: 1,
            took,
            end: None,
            node_shutdown: Duration::ZERO,
        };
        let lines = written(&[Fact::Verdict(Occasion::Empty, Box::new(verdict))]);
        let message = lines[0]["message"].as_str().unwrap();
        assert!(!message.contains("nothing is left"), "{message}");
    }

    #[test]
    fn a_line_is_a_line_whatever_is_said() {
        let why = "one\ntwo\u{1b}[31m \u{2028}".to_owned();
        let lines = written(&[Fact::NodeUnknown(why)]);
        let message = lines[0]["message"].as_str().unwrap();
        assert!(message.contains("one\ntwo\\u{1b}[31m \\u{2028}"), "{message}");
        assert_eq!(lines[0]["level"], "error");
    }
}
