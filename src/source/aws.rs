//! Where EC2 announces an interruption, and what it says there. No I/O.
//!
//! Sources: EC2 user guide, "Spot Instance interruption notices"; for the older path, what it says
//! of `termination-time`.

use std::fmt;
use std::time::Duration;

use miniserde::Deserialize;
use miniserde::json::{self, Value};

use crate::excerpt::excerpt;
use crate::moment::WallTime;
use crate::notice::{Action, Kind, Notice, When};

/// Answers 404 until the instance is marked, then `{"action": "terminate", "time": "…"}`.
pub(super) const INSTANCE_ACTION: &str = "/latest/meta-data/spot/instance-action";
/// The older path, for `terminate` only: 404, or a bare time.
const TERMINATION_TIME: &str = "/spot/termination-time";

/// A body with status 200 that is no notice, and not the absence of one either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// No body, or white space.
    Empty,
    /// Not UTF-8.
    NotUtf8,
    /// A web page.
    Html,
    /// Not JSON, or only the beginning of it.
    NotJson,
    /// JSON with neither an action nor a time.
    NoAction,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty answer",
            Self::NotUtf8 => "not UTF-8",
            Self::Html => "HTML, so something else answers at this address",
            Self::NotJson => "not JSON, or cut short",
            Self::NoAction => "JSON with neither an action nor a time",
        })
    }
}

/// Reads what stands at [`INSTANCE_ACTION`] when it answers 200.
///
/// As the path is absent until the instance is marked, doubt speaks for a notice: a time that is
/// missing or unreadable gives [`When::Unstated`], and an action that EC2 does not document counts
/// as [`Action::Terminate`], the worst of them, which the wording then says.
pub(super) fn instance_action(body: &[u8], window: Duration) -> Result<Notice, Unreadable> {
    let text = text(body)?;
    document(text, window)
}

/// Reads what stands at a `NOTICE_URL` with this path when it answers 200: a notice if it is an
/// action document or a time.
///
/// Anything else is a notice too, without a time: whoever sets such an address was promised by
/// this program's predecessors that status 200 means a notice. Two exceptions: nothing and HTML
/// come from broken servers and are errors; and at EC2's own `termination-time` a value that is not
/// a time means that there is no notice, as EC2 documents it (`instance-action` is polled besides).
pub(super) fn notice_url(
    path: &str,
    body: &[u8],
    window: Duration,
) -> Result<Option<Notice>, Unreadable> {
    let text = text(body)?;
    if let Ok(notice) = document(text, window) {
        return Ok(Some(notice));
    }
    let when = WallTime::parse(text).map_or(When::Unstated, When::At);
    if when == When::Unstated && path.ends_with(TERMINATION_TIME) {
        return Ok(None);
    }
    Ok(Some(notice(Action::Terminate, when, window, excerpt(text))))
}

/// The keys of the document. Values of any type are taken, so that a bad one does not hide the
/// other.
#[derive(Deserialize)]
struct Document {
    action: Option<Value>,
    time: Option<Value>,
}

fn document(text: &str, window: Duration) -> Result<Notice, Unreadable> {
    let document: Document = json::from_str(text).map_err(|_| Unreadable::NotJson)?;
    let action = document.action.as_ref().map_or("", string).trim();
    let time = document.time.as_ref().and_then(|time| WallTime::parse(string(time)));
    let when = time.map_or(When::Unstated, When::At);
    let known = match action.to_ascii_lowercase().as_str() {
        "terminate" => Some(Action::Terminate),
        "stop" => Some(Action::Stop),
        "hibernate" => Some(Action::Hibernate),
        "" if when == When::Unstated => return Err(Unreadable::NoAction),
        _ => None,
    };
    let wording = match known {
        Some(_) => excerpt(text),
        None => excerpt(&format!("unknown action, taken for terminate: {text}")),
    };
    Ok(notice(known.unwrap_or(Action::Terminate), when, window, wording))
}

/// The string in a value, else an empty one.
fn string(value: &Value) -> &str {
    match value {
        Value::String(text) => text,
        _ => "",
    }
}

fn notice(action: Action, when: When, window: Duration, wording: String) -> Notice {
    Notice { kind: Kind::SpotInterruption, action, when, window, wording }
}

fn text(body: &[u8]) -> Result<&str, Unreadable> {
    let text = str::from_utf8(body).map_err(|_| Unreadable::NotUtf8)?.trim();
    match text.bytes().next() {
        None => Err(Unreadable::Empty),
        Some(b'<') => Err(Unreadable::Html),
        Some(_) => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_mins(2);
    const GOOD: &str = r#"{"action": "terminate", "time": "2017-09-18T08:22:00Z"}"#;
    const OLD: &str = "/latest/meta-data/spot/termination-time";

    fn at(time: &str) -> When {
        When::At(WallTime::parse(time).unwrap())
    }

    fn read(body: &str) -> (Action, When) {
        let notice = instance_action(body.as_bytes(), WINDOW).unwrap();
        assert_eq!((notice.kind, notice.window), (Kind::SpotInterruption, WINDOW));
        (notice.action, notice.when)
    }

    #[test]
    fn each_documented_action_is_read_with_its_time() {
        let time = "2017-09-18T08:22:00Z";
        for (name, action) in [
            ("terminate", Action::Terminate),
            ("stop", Action::Stop),
            ("hibernate", Action::Hibernate),
        ] {
            let body = format!("{{\n\t\"action\": \"{name}\",\n\t\"time\": \"{time}\"\n}}\n");
            assert_eq!(read(&body), (action, at(time)));
        }
        assert_eq!(instance_action(GOOD.as_bytes(), WINDOW).unwrap().wording, GOOD);
    }

    #[test]
    fn a_bad_time_does_not_hide_the_action() {
        for time in [
            "",
            r#", "time": null"#,
            r#", "time": 17"#,
            r#", "time": {}"#,
            r#", "time": """#,
            r#", "time": "soon""#,
            r#", "time": "2017-09-18T08:22""#,
            r#", "time": ["2017"]"#,
        ] {
            let body = format!(r#"{{"action": "stop"{time}}}"#);
            assert_eq!(read(&body), (Action::Stop, When::Unstated), "{body}");
        }
    }

    #[test]
    fn an_unknown_action_counts_as_terminate_and_says_so() {
        for body in [
            r#"{"action": "recycle", "time": "2017-09-18T08:22:00Z"}"#,
            r#"{"action": 1, "time": "2017-09-18T08:22:00Z"}"#,
            r#"{"time": "2017-09-18T08:22:00Z"}"#,
        ] {
            assert_eq!(read(body), (Action::Terminate, at("2017-09-18T08:22:00Z")), "{body}");
            let wording = instance_action(body.as_bytes(), WINDOW).unwrap().wording;
            assert_eq!(wording, format!("unknown action, taken for terminate: {body}"));
        }
        assert_eq!(read(r#"{"action": "recycle"}"#), (Action::Terminate, When::Unstated));
    }

    #[test]
    fn what_is_no_document_is_an_error_that_says_what_it_is() {
        for (body, why) in [
            (&b""[..], Unreadable::Empty),
            (b" \r\n", Unreadable::Empty),
            (b"\xff\xfe{}", Unreadable::NotUtf8),
            (b"\n<!DOCTYPE html><html>", Unreadable::Html),
            (b"2017-09-18T08:22:00Z", Unreadable::NotJson),
            (b"[]", Unreadable::NotJson),
            (b"null", Unreadable::NotJson),
            (b"{} {}", Unreadable::NotJson),
            (b"{}", Unreadable::NoAction),
            (br#"{"error": "x"}"#, Unreadable::NoAction),
            (br#"{"action": "", "time": "never"}"#, Unreadable::NoAction),
        ] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(instance_action(body, WINDOW), Err(why), "{shown}");
        }
        let deep = "[".repeat(16 * 1024);
        assert_eq!(instance_action(deep.as_bytes(), WINDOW), Err(Unreadable::NotJson));
    }

    #[test]
    fn no_prefix_of_a_document_is_a_notice() {
        for end in 0..GOOD.len() {
            let expected = if end == 0 { Unreadable::Empty } else { Unreadable::NotJson };
            assert_eq!(instance_action(&GOOD.as_bytes()[..end], WINDOW), Err(expected), "{end}");
        }
    }

    #[test]
    fn a_notice_url_may_give_a_time_or_a_document() {
        for path in [OLD, "/custom"] {
            let read = |body: &str| notice_url(path, body.as_bytes(), WINDOW).unwrap().unwrap();
            assert_eq!(read("2015-01-05T18:02:00Z\n").when, at("2015-01-05T18:02:00Z"));
            assert_eq!(read("2015-01-05T18:02:00Z\n").action, Action::Terminate);
            assert_eq!(read(r#"{"action": "stop"}"#).action, Action::Stop);
            assert_eq!(read(GOOD).when, at("2017-09-18T08:22:00Z"));
        }
    }

    #[test]
    fn a_notice_url_that_answers_anything_else_gives_a_notice_but_not_at_termination_time() {
        let time = "2015-01-05T18:02:00Z";
        let bodies = (1..time.len()).map(|end| &time[..end]).chain(["yes", "{}", "[1]"]);
        for body in bodies {
            let custom = notice_url("/custom", body.as_bytes(), WINDOW).unwrap().unwrap();
            assert_eq!((custom.when, custom.wording.as_str()), (When::Unstated, body));
            assert_eq!(notice_url(OLD, body.as_bytes(), WINDOW), Ok(None), "{body}");
        }
        for path in [OLD, "/custom"] {
            assert_eq!(notice_url(path, b"", WINDOW), Err(Unreadable::Empty));
            assert_eq!(notice_url(path, b"<html>", WINDOW), Err(Unreadable::Html));
            assert_eq!(notice_url(path, b"\xff", WINDOW), Err(Unreadable::NotUtf8));
        }
    }
}
