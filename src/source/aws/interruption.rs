//! A spot instance is taken back: what EC2 says of it, at two paths of its own, and what another
//! address may say.
//!
//! Source: EC2 user guide, "Spot Instance interruption notices", also of `termination-time`.

use std::time::Duration;

use miniserde::Deserialize;
use miniserde::json::{self, Value};

use crate::excerpt::excerpt;
use crate::moment::WallTime;
use crate::notice::{Action, Notice, NoticeId, When};
use crate::source::aws::{Unreadable, string, text};

/// Reads what stands at [`INSTANCE_ACTION`](super::INSTANCE_ACTION) when it answers 200.
///
/// As the path is absent until the instance is marked, doubt speaks for a notice: a time that is
/// missing or unreadable gives [`When::Unstated`], and an action that EC2 does not document counts
/// as [`Action::Terminate`], the worst of them, which the wording then says.
pub(in crate::source) fn instance_action(
    body: &[u8],
    window: Duration,
) -> Result<Notice, Unreadable> {
    document(text(body)?, window)
}

/// Reads what stands at [`TERMINATION_TIME`](super::TERMINATION_TIME) when it answers 200. A value
/// that is not a time means that there is no notice, as EC2 documents it.
///
/// EC2 has no document there. One counts nonetheless: this path may be on a server of the
/// operator's.
pub(in crate::source) fn termination_time(
    body: &[u8],
    window: Duration,
) -> Result<Option<Notice>, Unreadable> {
    let text = text(body)?;
    Ok(document(text, window).ok().or_else(|| {
        let time = WallTime::parse(text)?;
        Some(notice(Action::Terminate, When::At(time), window, excerpt(text)))
    }))
}

/// Reads what stands at a `NOTICE_URL` when it answers 200: a notice in any case, without a time
/// unless it is an action document or a time.
///
/// This program's predecessors promise those who set such an address that status 200 means a
/// notice. Two exceptions: nothing and HTML come from broken servers and are errors.
pub(in crate::source) fn notice_url(body: &[u8], window: Duration) -> Result<Notice, Unreadable> {
    if let Some(notice) = termination_time(body, window)? {
        return Ok(notice);
    }
    Ok(notice(Action::Terminate, When::Unstated, window, excerpt(text(body)?)))
}

/// The keys of the document. Values of any type are taken, so that a bad one does not hide the
/// other.
#[derive(Deserialize)]
struct ActionDocument {
    action: Option<Value>,
    time: Option<Value>,
}

fn document(text: &str, window: Duration) -> Result<Notice, Unreadable> {
    let document: ActionDocument = json::from_str(text).map_err(|_| Unreadable::NotJson)?;
    let action = document.action.as_ref().map_or("", string);
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

fn notice(action: Action, when: When, window: Duration, wording: String) -> Notice {
    Notice { id: NoticeId::Interruption(action), when, until: None, window, wording }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_mins(2);
    const GOOD: &str = r#"{"action": "terminate", "time": "2017-09-18T08:22:00Z"}"#;

    fn at(time: &str) -> When {
        When::At(WallTime::parse(time).unwrap())
    }

    fn action(notice: &Notice) -> Action {
        match notice.id {
            NoticeId::Interruption(action) => action,
            _ => panic!("{notice:?}"),
        }
    }

    fn read(body: &str) -> (Action, When) {
        let notice = instance_action(body.as_bytes(), WINDOW).unwrap();
        assert_eq!(notice.window, WINDOW);
        (action(&notice), notice.when)
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
    fn a_time_or_a_document_is_a_notice_at_termination_time_and_elsewhere() {
        for (body, expected) in [
            ("2015-01-05T18:02:00Z\n", (Action::Terminate, at("2015-01-05T18:02:00Z"))),
            (r#"{"action": "stop"}"#, (Action::Stop, When::Unstated)),
            (GOOD, (Action::Terminate, at("2017-09-18T08:22:00Z"))),
        ] {
            let old = termination_time(body.as_bytes(), WINDOW).unwrap().unwrap();
            assert_eq!((action(&old), old.when), expected, "{body}");
            assert_eq!((old.window, old.wording.as_str()), (WINDOW, body.trim()));
            assert_eq!(notice_url(body.as_bytes(), WINDOW), Ok(old));
        }
    }

    #[test]
    fn anything_else_is_a_notice_elsewhere_but_none_at_termination_time() {
        let time = "2015-01-05T18:02:00Z";
        let bodies = (1..time.len()).map(|end| &time[..end]).chain(["yes", "{}", "[1]"]);
        for body in bodies {
            let custom = notice_url(body.as_bytes(), WINDOW).unwrap();
            assert_eq!((custom.when, custom.wording.as_str()), (When::Unstated, body));
            assert_eq!(termination_time(body.as_bytes(), WINDOW), Ok(None), "{body}");
        }
        for (body, why) in [
            (&b""[..], Unreadable::Empty),
            (b"<html>", Unreadable::Html),
            (b"\xff", Unreadable::NotUtf8),
        ] {
            assert_eq!(notice_url(body, WINDOW), Err(why.clone()));
            assert_eq!(termination_time(body, WINDOW), Err(why));
        }
    }
}
