//! Where EC2 announces what it will do to an instance, and what it says there. No I/O. Each of the
//! other files reads one document.
//!
//! Source of the paths: EC2 user guide, "Instance metadata categories".

pub(super) mod interruption;
pub(super) mod lifecycle;
pub(super) mod maintenance;
pub(super) mod rebalance;

use std::fmt;

use miniserde::json::Value;

/// Answers 404 until the instance is marked, then `{"action": "terminate", "time": "…"}`.
pub(super) const INSTANCE_ACTION: &str = "/latest/meta-data/spot/instance-action";
/// The older path, for `terminate` only: 404, or a bare time.
pub(super) const TERMINATION_TIME: &str = "/latest/meta-data/spot/termination-time";
/// Answers 404 until the instance is at risk, then `{"noticeTime": "…"}`.
pub(super) const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
/// Planned maintenance: a list, usually empty.
pub(super) const SCHEDULED: &str = "/latest/meta-data/events/maintenance/scheduled";
/// Maintenance that is completed or cancelled: a list of the same form.
pub(super) const HISTORY: &str = "/latest/meta-data/events/maintenance/history";
/// What the Auto Scaling group wants of the instance: one word; 404 outside of a group.
pub(super) const LIFECYCLE: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";
/// What the instance is, as one JSON document.
pub(super) const IDENTITY: &str = "/latest/dynamic/instance-identity/document";
/// Facts about the instance, one bare value each; 404 where it has none.
pub(super) const FACTS: &str = "/latest/meta-data/";

/// Whether a path, on whatever server, ends as [`TERMINATION_TIME`] does.
pub(super) fn is_termination_time(path: &str) -> bool {
    path.ends_with("/spot/termination-time")
}

/// A body with status 200 that is no notice, and not the absence of one either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// No body, or white space.
    Empty,
    /// Not UTF-8.
    NotUtf8,
    /// A web page.
    Html,
    /// Not JSON of the expected kind, or only the beginning of it.
    NotJson,
    /// JSON with neither an action nor a time.
    NoAction,
    /// A list with something in it, and nothing of that is an event.
    NoEvent,
    /// A text that no state of an Auto Scaling instance has; an excerpt of it.
    NoLifecycleState(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty answer",
            Self::NotUtf8 => "not UTF-8",
            Self::Html => "HTML, so something else answers at this address",
            Self::NotJson => "not JSON, or cut short",
            Self::NoAction => "JSON with neither an action nor a time",
            Self::NoEvent => "a JSON array without a single event in it",
            Self::NoLifecycleState(excerpt) => {
                return write!(f, "not a lifecycle state: {excerpt}");
            }
        })
    }
}

/// The text in a body, without the white space around it.
fn text(body: &[u8]) -> Result<&str, Unreadable> {
    let text = str::from_utf8(body).map_err(|_| Unreadable::NotUtf8)?.trim();
    match text.bytes().next() {
        None => Err(Unreadable::Empty),
        Some(b'<') => Err(Unreadable::Html),
        Some(_) => Ok(text),
    }
}

/// The string in a value, else an empty one.
pub(super) fn string(value: &Value) -> &str {
    match value {
        Value::String(text) => text.trim(),
        _ => "",
    }
}
