//! What can go wrong with an answer, and when it does.

use std::io::{self, Write};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::http::{After, Chunks, Framing, Response, Wire};
use crate::lock;

/// One way an answer goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status code, in the form the server gives its errors (500, 503,
    /// 408, …). The request is not carried out.
    Code(u16),
    /// 429 for overload, with `Retry-After` in seconds or without it. It names
    /// no budget.
    Throttled(Option<u32>),
    /// 500 `etcdserver: leader changed`.
    LeaderChanged,
    /// This HTTP code, with a `Status` in the body that lacks its `code`.
    StatusWithoutCode(u16),
    /// A page for people, as a proxy in between sends it, with this code.
    Html(u16),
    /// The right answer, carried out, with bytes in it that are not UTF-8.
    NotUtf8,
    /// 302 to this address.
    Redirect(String),
    /// 200, and a body that never ends.
    EndlessBody,
    /// A status line, and headers that never end.
    EndlessHead,
    /// The connection is cut before the answer; the request is not carried out.
    CutBeforeAnswer,
    /// The request is carried out, and the connection cut before the answer.
    AnswerLost,
    /// The request is carried out, and the connection cut in the middle of the
    /// answer's body.
    CutInBody,
    /// No answer at all; the connection stays open until the client ends it.
    Hang,
    /// The right answer after this time.
    Slow(Duration),
    /// This answer, word for word.
    Answer {
        /// The status code.
        code: u16,
        /// The `Content-Type`.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// A watch that starts well, and is disturbed after that many lines. For
    /// anything but a watch it is no fault.
    Watch(usize, Disturbance),
}

/// What goes wrong within a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbance {
    /// An `ERROR` line with a Status of code 410, reason `Expired`; then the
    /// watch ends.
    Expired,
    /// An `ERROR` line with a Status that has no code; then the watch ends.
    ErrorWithoutCode,
    /// Half a line; then the connection is cut.
    CutLine,
    /// The watch ends as it does after its time: the last chunk, nothing said.
    Ended,
    /// A line of that many bytes about a pod of this node; then it goes on.
    /// Over 1.5 MiB this is more than any real Pod.
    LongLine(usize),
    /// These bytes, word for word (with a newline of their own, if any); then
    /// it goes on.
    Bytes(Vec<u8>),
    /// Nothing more is sent, not even bookmarks; the connection stays open.
    Silence,
}

/// How a server words an error of its own.
pub(crate) trait Wording {
    /// An error of this code.
    fn error(code: u16, message: &str) -> Response;
}

impl Fault {
    /// Whether the request is carried out nonetheless.
    pub(crate) fn is_carried_out(&self) -> bool {
        matches!(
            self,
            Self::NotUtf8 | Self::AnswerLost | Self::CutInBody | Self::Slow(_) | Self::Watch(..)
        )
    }

    /// The code that stands in the journal, if the client gets one that is not
    /// the right answer's.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Code(code)
            | Self::StatusWithoutCode(code)
            | Self::Html(code)
            | Self::Answer { code, .. } => Some(*code),
            Self::Throttled(_) => Some(429),
            Self::LeaderChanged => Some(500),
            Self::Redirect(_) => Some(302),
            Self::EndlessBody | Self::EndlessHead => Some(200),
            _ => None,
        }
    }

    /// Sends what the client gets instead of `right`, the right answer (there
    /// is one if the request was carried out).
    pub(crate) fn send<W: Wording>(
        &self,
        right: Option<Response>,
        framing: Framing,
        wire: &mut Wire,
    ) -> io::Result<After> {
        let response = match self {
            Self::Code(code) => W::error(*code, "the stand-in was told to fail"),
            Self::Throttled(seconds) => {
                let refusal = W::error(429, "too many requests, please try again later");
                match seconds {
                    Some(seconds) => refusal.with_header("Retry-After", seconds.to_string()),
                    None => refusal,
                }
            }
            Self::LeaderChanged => W::error(500, "etcdserver: leader changed"),
            Self::StatusWithoutCode(code) => Response::new(
                *code,
                "application/json",
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure"}"#,
            ),
            Self::Html(code) => Response::new(
                *code,
                "text/html",
                "<!DOCTYPE html>\n<html><body><h1>Gateway</h1></body></html>\n",
            ),
            Self::Redirect(target) => Response::new(302, "text/plain", "elsewhere")
                .with_header("Location", target.as_str()),
            Self::Answer { code, content_type, body } => {
                Response::new(*code, content_type, body.as_slice())
            }
            Self::EndlessBody => return endless_body(wire),
            Self::EndlessHead => return endless_head(wire),
            Self::CutBeforeAnswer | Self::AnswerLost => return Ok(After::Cut),
            Self::Hang => {
                wire.hang();
                return Ok(After::Cut);
            }
            Self::CutInBody => {
                if let Some(response) = right {
                    response.write_half(wire, framing)?;
                }
                return Ok(After::Cut);
            }
            Self::NotUtf8 => {
                let mut response = right.unwrap_or_else(|| W::error(500, ""));
                let middle = response.body.len() / 2;
                response.body.splice(middle..middle, [0xff, 0xfe]);
                response
            }
            Self::Slow(time) => {
                thread::sleep(*time);
                right.unwrap_or_else(|| W::error(500, ""))
            }
            Self::Watch(..) => right.unwrap_or_else(|| W::error(500, "")),
        };
        response.write(wire, framing, false)?;
        Ok(After::Keep)
    }
}

fn endless_body(wire: &mut Wire) -> io::Result<After> {
    let mut body = Chunks::begin(wire, 200, "application/json")?;
    let piece = vec![b'a'; 16 * 1024];
    body.piece(b"{\"kind\":\"")?;
    loop {
        body.piece(&piece)?;
    }
}

fn endless_head(wire: &mut Wire) -> io::Result<After> {
    wire.write_all(b"HTTP/1.1 200 OK\r\n")?;
    loop {
        wire.write_all(b"X-Filler: and one more of these lines that lead nowhere\r\n")?;
    }
}

/// The faults a server has been told of, by kind of request.
#[derive(Debug)]
pub(crate) struct Faults<K>(Mutex<Vec<Rule<K>>>);

#[derive(Debug)]
struct Rule<K> {
    kind: K,
    pod: Option<String>,
    skip: u32,
    left: Option<u32>,
    fault: Fault,
}

impl<K> Default for Faults<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + PartialEq> Faults<K> {
    /// The fault for this request, if one is due. The oldest rule that fits
    /// has its way.
    pub(crate) fn due(&self, kind: K, pod: Option<&str>) -> Option<Fault> {
        let mut rules = lock(&self.0);
        let mut due = None;
        for rule in rules.iter_mut() {
            let fits =
                rule.kind == kind && rule.pod.as_deref().is_none_or(|name| Some(name) == pod);
            if !fits {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if let Some(left) = &mut rule.left {
                *left -= 1;
            }
            due = Some(rule.fault.clone());
            break;
        }
        rules.retain(|rule| rule.left != Some(0));
        due
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }
}

/// A fault in the making: which requests it meets. Nothing happens before
/// [`Failing::with`].
#[derive(Debug)]
#[must_use = "a fault takes effect with `.with(…)`"]
pub struct Failing<'a, K> {
    faults: &'a Faults<K>,
    rule: Rule<K>,
}

impl<'a, K: Copy + PartialEq> Failing<'a, K> {
    pub(crate) fn new(faults: &'a Faults<K>, kind: K) -> Self {
        let rule = Rule { kind, pod: None, skip: 0, left: Some(1), fault: Fault::Hang };
        Self { faults, rule }
    }

    /// The next `count` requests fail (without this: one).
    pub fn times(mut self, count: u32) -> Self {
        self.rule.left = Some(count);
        self
    }

    /// All requests fail, until the faults are cleared.
    pub fn always(mut self) -> Self {
        self.rule.left = None;
        self
    }

    /// `count` requests succeed first.
    pub fn after(mut self, count: u32) -> Self {
        self.rule.skip = count;
        self
    }

    /// Only requests about this pod, `namespace/name`, fail.
    pub fn pod(mut self, name: &str) -> Self {
        self.rule.pod = Some(name.to_owned());
        self
    }

    /// In this way; from now on.
    pub fn with(mut self, fault: Fault) {
        self.rule.fault = fault;
        if self.rule.left != Some(0) {
            lock(&self.faults.0).push(self.rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_meets_its_pod_after_its_time_and_so_many_times() {
        let faults = Faults::default();
        Failing::new(&faults, 'e').pod("a/b").after(1).times(2).with(Fault::Hang);
        Failing::new(&faults, 'e').with(Fault::Code(500));

        assert_eq!(faults.due('d', Some("a/b")), None);
        assert_eq!(faults.due('e', Some("a/c")), Some(Fault::Code(500)));
        assert_eq!(faults.due('e', Some("a/b")), None, "the first goes through");
        assert_eq!(faults.due('e', Some("a/b")), Some(Fault::Hang));
        assert_eq!(faults.due('e', Some("a/b")), Some(Fault::Hang));
        assert_eq!(faults.due('e', Some("a/b")), None);
    }
}
