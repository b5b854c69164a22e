//! JSON, for machines: one object a line, whose fields have names that do not change.

use std::fmt::{self, Display};
use std::io;

use crate::drain::verdict::{Row, Verdict};
use crate::excerpt::is_hidden;
use crate::moment::WallTime;
use crate::notice::NoticeId;
use crate::report::fact::{Fact, Level};
use crate::report::fields::Fields;
use crate::report::json::Object;
use crate::report::words::Ended;
use crate::report::words::drain::Summary;

/// Writes facts as objects. Every object has `time`, `level`, `fact` (a stable name for what is said)
/// and `message` (the words of the text log); the others where they apply: `node`, `event` and `kind`
/// (the notice), `pod` and `namespace`, `outcome`, `budget`, `seconds`.
#[derive(Debug, Default)]
pub(super) struct JsonLines {
    node: Option<String>,
    /// The notice that is drained for.
    drained: Option<NoticeId>,
}

impl JsonLines {
    /// A fact is one object; a table of verdicts one for each pod, and one for all of them.
    pub(super) fn write(&self, out: &mut impl io::Write, at: WallTime, fact: &Fact) -> fmt::Result {
        if let Fact::Verdict(occasion, verdict) = fact {
            for row in verdict.in_order() {
                self.write_row(out, at, verdict, row)?;
            }
            let message = format!("{}: {}", Ended(*occasion, verdict), Summary(verdict));
            let object = self.object(at, fact.level(), fact.name(), &message, &fact.fields());
            return write_line(out, object);
        }
        write_line(out, self.object(at, fact.level(), fact.name(), fact, &fact.fields()))
    }

    /// What is said where there is no log (yet): as a line of its own.
    pub(super) fn lone(at: WallTime, level: Level, name: &str, message: &impl Display) -> String {
        Self::default().object(at, level, name, message, &Fields::default()) + "\n"
    }

    /// That facts were lost.
    pub(super) fn write_lost(
        &self,
        out: &mut impl io::Write,
        at: WallTime,
        words: &impl Display,
    ) -> fmt::Result {
        write_line(out, self.object(at, Level::Warn, "log_lost", words, &Fields::default()))
    }

    fn write_row(
        &self,
        out: &mut impl io::Write,
        at: WallTime,
        verdict: &Verdict,
        row: &Row,
    ) -> fmt::Result {
        let note = row.outcome.to_string();
        let colon = if note.is_empty() { "" } else { ": " };
        let message = format!("{}: {}{colon}{note}", row.pod, row.outcome.name());
        let level = if verdict.leaves(row) { Level::Error } else { Level::Info };
        write_line(out, self.object(at, level, "pod_verdict", &message, &Fields::of_row(row)))
    }

    /// What later facts leave out. Every fact that says it is taken in, written or not.
    pub(super) fn take_in(&mut self, fact: &Fact) {
        match fact {
            Fact::Started(start) => self.node.clone_from(&start.node),
            Fact::NodeFound(name) => self.node = Some(name.clone()),
            Fact::NoticeSeen { notice, .. } | Fact::TakenOver { notice, .. } => {
                self.drained = Some(notice.id.clone());
            }
            _ => {}
        }
    }

    fn object(
        &self,
        at: WallTime,
        level: Level,
        name: &str,
        message: &impl Display,
        fields: &Fields<'_>,
    ) -> String {
        let drained = self.drained.as_ref().filter(|_| fields.is_of_drain);
        let notice = fields.notice.or(drained);
        let more = [
            ("node", self.node.clone()),
            ("event", notice.map(shown)),
            ("kind", notice.map(|id| id.kind().to_string())),
            ("pod", fields.pod.map(|pod| pod.name.clone())),
            ("namespace", fields.pod.map(|pod| pod.namespace.clone())),
            ("outcome", fields.outcome.map(str::to_owned)),
            ("budget", fields.budget.map(shown)),
        ];
        // Whoever reads such a line with their eyes wants the time first.
        let object = Object::new()
            .text("time", &at.to_string())
            .text("level", &level.to_string().to_ascii_lowercase())
            .text("fact", name)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::drain::ask::{Budget, PodRef};
    use crate::drain::progress::Progress;
    use crate::drain::verdict::{Outcome, Reason};
    use crate::intent::Basis;
    use crate::notice::{Action, Notice, When};
    use crate::report::fact::Occasion;

    fn written(facts: &[Fact]) -> Vec<Value> {
        let mut lines = JsonLines { node: Some("node-1".to_owned()), drained: None };
        let at = WallTime::parse("2026-11-23T12:00:00.5Z").unwrap();
        let mut out = Vec::new();
        for fact in facts {
            lines.take_in(fact);
            lines.write(&mut out, at, fact).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn pod(name: &str) -> Arc<PodRef> {
        Arc::new(PodRef { namespace: "shop".into(), name: name.into(), uid: "u".into() })
    }

    fn notice() -> Fact {
        let notice = Notice {
            id: NoticeId::Interruption(Action::Terminate),
            when: When::Unstated,
            until: None,
            window: Duration::from_mins(2),
            wording: "\"quoted\" \u{202e}".to_owned(),
        };
        let basis = Basis::AtOnce;
        Fact::NoticeSeen { notice: Box::new(notice), basis, left: Duration::from_millis(1500) }
    }

    #[test]
    fn what_is_said_of_a_pod_says_for_which_notice() {
        let gone = Progress::Gone { pod: pod("web-1"), after: Duration::from_millis(2250) };
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
        let verdict = Verdict { rows, listed: true, unread: 0, took, end: None };
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
        let verdict = Verdict { rows: vec![], listed: true, unread: 1, took, end: None };
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
