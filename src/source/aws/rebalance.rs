//! The recommendation to move work off a spot instance that is more likely than others to be taken
//! back.
//!
//! Source: EC2 user guide, "EC2 instance rebalance recommendations".

use std::time::Duration;

use miniserde::Deserialize;
use miniserde::json::{self, Value};

use crate::excerpt::excerpt;
use crate::moment::WallTime;
use crate::notice::{Notice, NoticeId, When};
use crate::source::aws::{Unreadable, string, text};

/// Reads what stands at [`REBALANCE`](super::REBALANCE) when it answers 200.
///
/// As the path is absent until there is a recommendation, any document says that there is one.
pub(in crate::source) fn rebalance(body: &[u8], window: Duration) -> Result<Notice, Unreadable> {
    let text = text(body)?;
    let document: RebalanceDocument = json::from_str(text).map_err(|_| Unreadable::NotJson)?;
    let time = document.notice_time.as_ref().and_then(|time| WallTime::parse(string(time)));
    let when = time.map_or(When::Unstated, When::At);
    Ok(Notice { id: NoticeId::Rebalance, when, until: None, window, wording: excerpt(text) })
}

#[derive(Deserialize)]
struct RebalanceDocument {
    #[serde(rename = "noticeTime")]
    notice_time: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_mins(2);
    const GOOD: &str = r#"{"noticeTime": "2020-10-27T08:22:00Z"}"#;

    #[test]
    fn a_recommendation_is_read_with_its_time() {
        let expected = Notice {
            id: NoticeId::Rebalance,
            when: When::At(WallTime::parse("2020-10-27T08:22:00Z").unwrap()),
            until: None,
            window: WINDOW,
            wording: GOOD.to_owned(),
        };
        assert_eq!(rebalance(format!("\n{GOOD}\n").as_bytes(), WINDOW), Ok(expected));
    }

    #[test]
    fn a_bad_time_does_not_hide_the_recommendation() {
        for body in [
            "{}",
            r#"{"noticeTime": null}"#,
            r#"{"noticeTime": 17}"#,
            r#"{"noticeTime": {"a": []}}"#,
            r#"{"noticeTime": ["2020-10-27T08:22:00Z"]}"#,
            r#"{"noticeTime": "soon"}"#,
            r#"{"noticeTime": ""}"#,
            r#"{"time": "2020-10-27T08:22:00Z"}"#,
        ] {
            let notice = rebalance(body.as_bytes(), WINDOW).unwrap();
            assert_eq!((notice.id, notice.when), (NoticeId::Rebalance, When::Unstated), "{body}");
            assert_eq!(notice.wording, body);
        }
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        for (body, why) in [
            (&b" \n"[..], Unreadable::Empty),
            (b"\xff", Unreadable::NotUtf8),
            (b"<html>", Unreadable::Html),
            (b"[]", Unreadable::NotJson),
            (b"null", Unreadable::NotJson),
            (b"2020-10-27T08:22:00Z", Unreadable::NotJson),
        ] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(rebalance(body, WINDOW), Err(why), "{shown}");
        }
        for end in 1..GOOD.len() {
            assert_eq!(rebalance(&GOOD.as_bytes()[..end], WINDOW), Err(Unreadable::NotJson));
        }
    }
}
