//! Maintenance that is planned for an instance: the list of what is to come, and the list of what
//! is over.
//!
//! Source: EC2 user guide, "Scheduled events for your instances", with the form of both lists, the
//! states and the prefixes of descriptions.

use std::sync::Arc;
use std::time::Duration;

use miniserde::json::{self, Array, Value};

use crate::excerpt::excerpt;
use crate::moment::WallTime;
use crate::notice::{
    Code, Event, LONGEST_EVENT_ID, Notice, NoticeId, PathAnswer, When, is_event_id,
};
use crate::source::aws::{Unreadable, string, text};

/// How many events of one answer are kept, the first by their times. An instance has one or two.
const MOST: usize = 50;

/// Reads what stands at [`SCHEDULED`](super::SCHEDULED). It is there all the time: nothing in it
/// means that nothing is planned.
pub(in crate::source) fn scheduled(body: &[u8]) -> Result<Vec<ListedEvent>, Unreadable> {
    entries(body)
}

/// Reads what stands at [`HISTORY`](super::HISTORY): nothing, if it cannot be read.
pub(in crate::source) fn history(body: &[u8]) -> Vec<ListedEvent> {
    let mut entries = entries(body).unwrap_or_default();
    // What stands in this list is over, unless it says itself that it is not.
    entries.retain(|entry| entry.state != EventState::Open);
    entries
}

/// What both lists say together: an event of the first stands unless it is over by its own words
/// or by the second.
pub(in crate::source) fn answer(
    scheduled: Vec<ListedEvent>,
    history: Vec<ListedEvent>,
    window: Duration,
) -> PathAnswer {
    let stands = |entry: &ListedEvent| {
        entry.state != EventState::Over && !history.iter().any(|past| past.is_the_event_of(entry))
    };
    let (mut standing, past): (Vec<ListedEvent>, Vec<ListedEvent>) =
        scheduled.into_iter().partition(stands);
    standing.sort_by(|one, other| one.key().cmp(&other.key()));
    standing.dedup_by(|one, other| one.key() == other.key());
    standing.truncate(MOST);

    let mut over: Vec<Arc<str>> = Vec::new();
    for ListedEvent { id, .. } in past.into_iter().chain(history) {
        if !over.contains(&id) && standing.iter().all(|entry| entry.id != id) {
            over.push(id);
        }
    }

    let ids: Vec<Arc<str>> = standing.iter().map(|entry| Arc::clone(&entry.id)).collect();
    let standing = standing.into_iter().enumerate().map(|(index, entry)| {
        let before = ids.iter().take(index).filter(|id| **id == entry.id).count();
        entry.notice(u8::try_from(before).unwrap_or(u8::MAX), window)
    });
    PathAnswer { standing: standing.collect(), over }
}

/// One event of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) struct ListedEvent {
    code: Code,
    id: Arc<str>,
    not_before: Option<WallTime>,
    not_after: Option<WallTime>,
    state: EventState,
    wording: String,
}

/// What an entry says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventState {
    /// Completed or cancelled.
    Over,
    /// Anything else, such as `active`.
    Open,
    /// Nothing.
    Unsaid,
}

impl ListedEvent {
    /// `None` if nothing in it describes an event. A key that is missing, null or of another type
    /// hides none of the others; unknown keys are ignored (the metadata mock of AWS adds one).
    fn read(value: &Value) -> Option<Self> {
        let Value::Object(keys) = value else { return None };
        let text = |key: &str| keys.get(key).map_or("", string);
        let [code, id, not_before, not_after, description] =
            ["Code", "EventId", "NotBefore", "NotAfter", "Description"].map(text);
        if [code, id, not_before, description].iter().all(|text| text.is_empty()) {
            return None;
        }
        let wording = wording(code, [not_before, not_after], description);
        let known = known_code(code);
        let wording = match known {
            Some(_) => excerpt(&wording),
            None => excerpt(&format!("unknown code, taken for system-reboot: {wording}")),
        };
        // A kind that is not known must not pass unseen. A reboot of the host is what comes over
        // most instances, and leaves the node where it is.
        let code = known.unwrap_or(Code::SystemReboot);
        Some(Self {
            code,
            id: if id.is_empty() { Arc::from(code.to_string()) } else { fit_id(id) },
            not_before: date(not_before),
            not_after: date(not_after),
            state: EventState::read(text("State"), description),
            wording,
        })
    }

    /// One `EventId` may stand for several events, at different times.
    fn is_the_event_of(&self, other: &Self) -> bool {
        (&self.id, self.not_before) == (&other.id, other.not_before)
    }

    /// Entries that differ in nothing of this are one event.
    fn key(&self) -> (Option<WallTime>, Code, &str) {
        (self.not_before, self.code, &self.id)
    }

    fn notice(self, nth: u8, window: Duration) -> Notice {
        Notice {
            id: NoticeId::Maintenance(Event { code: self.code, id: self.id, nth }),
            when: self.not_before.map_or(When::Unstated, When::At),
            until: self.not_after,
            window,
            wording: self.wording,
        }
    }
}

impl EventState {
    fn read(state: &str, description: &str) -> Self {
        let state = state.to_ascii_lowercase();
        let prefix = description.split_once(']').and_then(|(start, _)| start.strip_prefix('['));
        match state.as_str() {
            _ if prefix.is_some_and(|prefix| is_over(&prefix.to_ascii_lowercase())) => Self::Over,
            state if is_over(state) => Self::Over,
            "" => Self::Unsaid,
            _ => Self::Open,
        }
    }
}

/// EC2 writes `canceled`; the other spelling costs nothing.
fn is_over(word: &str) -> bool {
    matches!(word, "completed" | "canceled" | "cancelled")
}

fn entries(body: &[u8]) -> Result<Vec<ListedEvent>, Unreadable> {
    let text = match text(body) {
        Err(Unreadable::Empty) => return Ok(Vec::new()),
        text => text?,
    };
    let list: Array = json::from_str(text).map_err(|_| Unreadable::NotJson)?;
    let entries: Vec<ListedEvent> = list.iter().filter_map(ListedEvent::read).collect();
    if entries.is_empty() && !list.is_empty() {
        return Err(Unreadable::NoEvent);
    }
    Ok(entries)
}

fn known_code(text: &str) -> Option<Code> {
    let text = text.to_ascii_lowercase();
    Code::ALL.into_iter().find(|code| code.to_string() == text)
}

/// `21 Jan 2019 09:00:43 GMT`, as EC2 writes it, or an RFC 3339 time.
fn date(text: &str) -> Option<WallTime> {
    WallTime::parse_rfc2822(text).or_else(|| WallTime::parse(text))
}

/// An `EventId` made fit: it becomes part of an annotation and of log lines.
fn fit_id(text: &str) -> Arc<str> {
    let fit = |c: char| is_event_id(c.encode_utf8(&mut [0; 4]));
    let fitted = text.chars().take(LONGEST_EVENT_ID).map(|c| if fit(c) { c } else { '_' });
    Arc::from(fitted.collect::<String>())
}

fn wording(code: &str, times: [&str; 2], description: &str) -> String {
    let when = match times {
        ["", ""] => String::new(),
        [from, ""] => format!("from {from}"),
        ["", to] => format!("until {to}"),
        [from, to] => format!("from {from} until {to}"),
    };
    let mut parts = vec![code, &when, description];
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

#[cfg(test)]
mod tests;
