//! The watch that lists and follows the pods of the node. [`Watch`] is its protocol: which request
//! comes next, what each line and reply means; pure. [`follow`] carries it out.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::drain::pod::Pod;
use crate::drain::pod_news::PodNews;
use crate::drain::timing::Backoff;
use crate::kube::access::Access;
use crate::kube::connection::{Body, Connection, Streaming};
use crate::kube::items::{Item, Items};
use crate::kube::lines::{Lines, Piece};
use crate::kube::pods::{self, Context, Event, Unread};
use crate::kube::reply::{Reply, refusal, says_version_is_too_large};
use crate::kube::request::{Request, Since, list_pods, watch_pods};
use crate::kube::trouble::Trouble;
use crate::moment::{Moment, Reading};

/// How long a connection, the head of a stream or an item of a list may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long after the stream was opened, and after each pod of its first set, the bookmark that
/// ends the set may stay away. A server that knows no such bookmark says nothing, or tells what
/// changes.
const BOOKMARK_PATIENCE: Duration = Duration::from_secs(2);

/// How long a streamed set may take in all.
const SET_PATIENCE: Duration = Duration::from_secs(10);

/// How long a stream may be silent: the server's bookmarks come every 59 to 62 seconds.
const SILENCE: Duration = Duration::from_secs(75);

/// How often it is looked whether a silent stream is doubted.
const GLANCE: Duration = Duration::from_secs(1);

/// A stream that was open for so long was a good one, even if it said nothing.
const PROVEN: Duration = Duration::from_secs(5);

/// The pauses after failures, one after the other; each cause has its longest.
const PAUSES: Backoff = Backoff::from_millis(100, 5000);

/// So often a list is asked for anew because of an item of which nothing can be read.
const MOST_GARBLED: u32 = 3;

/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause where the server asked for one, or where a permission is missing.
const LONGEST_OBEYED: Duration = Duration::from_secs(5);

/// Lists and follows the pods of `node` and tells of them, until `tell` breaks or `access` is
/// closed. The pauses between attempts are jittered by `seed`. Once `doubted` is set, the stream is
/// opened anew from where it was, and `doubted` unset.
pub fn follow(
    access: &Arc<Access>,
    node: &str,
    seed: u64,
    doubted: &AtomicBool,
    mut tell: impl FnMut(PodNews) -> ControlFlow<()>,
) {
    let clock = access.clock();
    let mut watch = Watch::new(node, seed);
    let mut open = Open::Nothing;
    while !access.is_closed() {
        let news = match watch.next(clock.now()) {
            Step::Rest(until) => {
                open = Open::Nothing;
                clock.sleep_until(until);
                continue;
            }
            Step::List(request) => match open.list(access, &request) {
                Ok(None) => watch.observe(clock.read(), Input::Opened),
                Ok(Some(reply)) => watch.observe(clock.read(), Input::Refused(&request, &reply)),
                Err(trouble) => watch.observe(clock.read(), Input::Failed(trouble.to_string())),
            },
            Step::Open(request) => match open.stream(access, &request) {
                Ok(None) => {
                    // It was about the stream before.
                    doubted.store(false, Ordering::Relaxed);
                    watch.observe(clock.read(), Input::Opened)
                }
                Ok(Some(reply)) => watch.observe(clock.read(), Input::Refused(&request, &reply)),
                Err(trouble) => watch.observe(clock.read(), Input::Failed(trouble.to_string())),
            },
            Step::Read(until) => {
                let now = clock.now();
                match open.read(now.until(until.min(now + GLANCE))) {
                    Input::TimedOut if doubted.swap(false, Ordering::Relaxed) => {
                        watch.observe(clock.read(), Input::Doubted)
                    }
                    Input::TimedOut if clock.now() < until => continue,
                    input => watch.observe(clock.read(), input),
                }
            }
        };
        // A closed connection is no news: it was closed because nobody wants any.
        if access.is_closed() || news.into_iter().try_for_each(&mut tell).is_break() {
            return;
        }
    }
}

/// Lists the pods of `node` once, from the server's cache, and tells of each as it is read.
///
/// # Errors
/// The list could not be had, or not to its end; why, in words.
pub fn list(
    access: &Arc<Access>,
    node: &str,
    mut tell: impl FnMut(Result<Pod, Unread>),
) -> Result<(), String> {
    let clock = access.clock();
    let request = list_pods(node, Since::Cached);
    let mut open = Open::Nothing;
    if let Some(reply) = open.list(access, &request).map_err(|trouble| trouble.to_string())? {
        let why = refusal(&request, &reply);
        return Err(match reply.status {
            403 => format!("{why}; `list` on `pods` must be granted"),
            _ => why,
        });
    }
    loop {
        match open.read(PATIENCE) {
            Input::Item(text) => {
                let item = pods::item(text, Context { node, at: clock.read() });
                tell(item.map(|(pod, _)| pod));
            }
            Input::TooLong { what, length, beginning } => {
                tell(Err(skipped(what, length, beginning)));
            }
            Input::ListEnded(frame) => {
                let version = pods::list_version(frame).map(drop);
                return version.ok_or_else(|| {
                    format!("{request}: 200, but not what was asked for: {NO_LIST}")
                });
            }
            Input::Failed(why) => return Err(why),
            _ => {
                let patience = PATIENCE.as_secs();
                return Err(format!("{request}: no pod of the list within {patience} s"));
            }
        }
    }
}

/// What is open to the API server: one connection at most.
enum Open {
    Nothing,
    Lines(Lines),
    Items(Box<Items>),
}

impl Open {
    fn take(&mut self, access: &Arc<Access>) -> Result<Connection, Trouble> {
        let kept = match std::mem::replace(self, Self::Nothing) {
            Self::Items(items) => items.into_connection().and_then(Connection::if_idle),
            Self::Nothing | Self::Lines(_) => None,
        };
        kept.map_or_else(|| Connection::open(access, PATIENCE), Ok)
    }

    /// A list; `Some` if it is refused.
    fn list(&mut self, access: &Arc<Access>, request: &Request) -> Result<Option<Reply>, Trouble> {
        self.open(access, request, |body| Self::Items(Box::new(Items::new(body))))
    }

    /// A stream; `Some` if it is refused.
    fn stream(
        &mut self,
        access: &Arc<Access>,
        request: &Request,
    ) -> Result<Option<Reply>, Trouble> {
        self.open(access, request, |body| Self::Lines(Lines::new(body)))
    }

    fn open(
        &mut self,
        access: &Arc<Access>,
        request: &Request,
        read_as: fn(Box<Body>) -> Self,
    ) -> Result<Option<Reply>, Trouble> {
        let answer = self.take(access).and_then(|open| open.stream(request, PATIENCE));
        access.server().exchanged(request, answer.as_ref().ok().map(Streaming::status));
        match answer? {
            Streaming::Refused(reply) => Ok(Some(reply)),
            Streaming::Body(body) => {
                *self = read_as(body);
                Ok(None)
            }
        }
    }

    /// The next piece of what is open.
    fn read(&mut self, patience: Duration) -> Input<'_> {
        let came = match self {
            Self::Lines(lines) => lines.next_line(patience).map(|line| match line {
                Some(Piece::Text(text)) => Input::Line(text),
                Some(Piece::TooLong { length, beginning }) => {
                    Input::TooLong { what: What::Line, length, beginning }
                }
                None => Input::Ended,
            }),
            Self::Items(items) => items.next_item(patience).map(|item| match item {
                Item::Next(Piece::Text(text)) => Input::Item(text),
                Item::Next(Piece::TooLong { length, beginning }) => {
                    Input::TooLong { what: What::Item, length, beginning }
                }
                Item::End(frame) => Input::ListEnded(frame),
            }),
            Self::Nothing => Ok(Input::Ended),
        };
        came.unwrap_or_else(|trouble| match trouble {
            Trouble::TimedOut { .. } => Input::TimedOut,
            trouble => Input::Failed(trouble.to_string()),
        })
    }
}

/// Of which a stream is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Line,
    Item,
}

/// A pod that is too long to be read.
fn skipped(what: What, length: usize, beginning: &[u8]) -> Unread {
    let why = match what {
        What::Line => format!("a line of {length} bytes in the watch of pods was skipped"),
        What::Item => format!("an item of {length} bytes in the list of pods was skipped"),
    };
    Unread { pod: pods::uid_at(beginning), why }
}

const NO_LIST: &str = "what came is no complete list of pods";

/// What is to be done next. Whatever stream is open is done with, unless it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing until then.
    Rest(Moment),
    /// Open a list: [`Input::Opened`] or [`Input::Refused`].
    List(Request),
    /// Open a stream: [`Input::Opened`] or [`Input::Refused`].
    Open(Request),
    /// Read a line or an item of what is open, and wait for it until then at most.
    Read(Moment),
}

/// What came.
#[derive(Debug)]
enum Input<'a> {
    /// The stream or the list is open.
    Opened,
    /// The answer to a request for one, if that was not opened.
    Refused(&'a Request, &'a Reply),
    /// A line of the stream.
    Line(&'a [u8]),
    /// An item of the list.
    Item(&'a [u8]),
    /// One of so many bytes, which begins so, was skipped.
    TooLong { what: What, length: usize, beginning: &'a [u8] },
    /// The list has no more items; this stood around them.
    ListEnded(&'a [u8]),
    /// Nothing came in time.
    TimedOut,
    /// The server ended the stream as it should.
    Ended,
    /// The stream says nothing where something must have happened.
    Doubted,
    /// The connection failed.
    Failed(String),
}

/// The protocol of listing and following.
///
/// A set is streamed where the server does that (`sendInitialEvents`), else listed. The first comes from
/// the server's cache, which finds the pods of a node by itself; a later one must not be older than what
/// was told, or pods that live would be missing from it. What changes is then watched from the set's
/// resource version on, across every break: nothing is missed, and no set is needed. Only when the server
/// has forgotten that version (410) a new set is told, by which the pods that vanished meanwhile are
/// noticed.
#[derive(Debug)]
struct Watch {
    node: String,
    stage: Stage,
    /// Nothing was told yet, so any set is good enough.
    untold: bool,
    /// The newest resource version that was told of, if that is known.
    newest: Option<u64>,
    /// How many lists in a row had an item of which nothing can be read.
    garbled: u32,
    /// The server has forgotten it, or has never known it: until a set is complete, only the newest state
    /// is surely not older.
    forgotten: bool,
    /// Whether the server may know how to stream a set.
    streams: bool,
    /// Nothing is asked before then.
    rest: Option<Moment>,
    /// Failures since something went well.
    backoff: Backoff,
    /// What was last said of the present break.
    said: Option<String>,
    jitter: fastrand::Rng,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// A set is to be streamed.
    AskSet,
    /// It is being streamed.
    ReadSet { opened: Moment, due: Moment, any_line: bool },
    /// A set is to be listed.
    AskList,
    /// It is being listed; the next item is to come by then.
    ReadList { due: Moment },
    /// What changed since `version` is to be watched.
    AskChanges { version: String },
    /// It is being watched.
    ReadChanges { version: String, opened: Moment, last_line: Option<Moment> },
}

impl Watch {
    fn new(node: &str, seed: u64) -> Self {
        Self {
            node: node.to_owned(),
            stage: Stage::AskSet,
            untold: true,
            newest: None,
            garbled: 0,
            forgotten: false,
            streams: true,
            rest: None,
            backoff: PAUSES,
            said: None,
            jitter: fastrand::Rng::with_seed(seed),
        }
    }

    /// What to do next.
    fn next(&mut self, now: Moment) -> Step {
        match self.rest {
            Some(until) if now < until => return Step::Rest(until),
            _ => self.rest = None,
        }
        let node = self.node.as_str();
        let newest = self.newest.map(|version| version.to_string());
        let set = match &newest {
            _ if self.untold => Since::Cached,
            Some(version) if !self.forgotten => Since::NotOlderThan(version),
            _ => Since::Newest,
        };
        match &self.stage {
            Stage::AskSet => Step::Open(watch_pods(node, set)),
            Stage::AskList => Step::List(list_pods(node, set)),
            Stage::ReadSet { due, .. } | Stage::ReadList { due } => Step::Read(*due),
            Stage::AskChanges { version } => Step::Open(watch_pods(node, Since::Version(version))),
            Stage::ReadChanges { opened, last_line, .. } => {
                Step::Read(last_line.unwrap_or(*opened) + SILENCE)
            }
        }
    }

    /// Takes in what came, and answers with what it says of the pods.
    fn observe(&mut self, at: Reading, input: Input<'_>) -> Vec<PodNews> {
        match input {
            Input::Opened => self.opened(at.now),
            Input::Refused(request, reply) => self.refused(at.now, request, reply),
            Input::Line(line) => self.line(at, line),
            Input::Item(text) => {
                self.item_came(at.now);
                let item = pods::item(text, Context { node: &self.node, at });
                match item {
                    Ok((pod, version)) => {
                        self.told_of(version.as_deref());
                        vec![PodNews::Seen(pod)]
                    }
                    // If nobody knows which pod it is, the next list may know.
                    Err(Unread { pod: None, why }) if self.garbled < MOST_GARBLED => {
                        self.garbled += 1;
                        self.lost(at.now, why, LONGEST_PAUSE, None)
                    }
                    Err(unread) => vec![unread.into()],
                }
            }
            Input::TooLong { what, length, beginning } => {
                self.line_came(at.now, None, true);
                self.item_came(at.now);
                // That a pod is gone needs no more than its UID.
                vec![match pods::uid_of_deleted(beginning) {
                    Some(uid) => PodNews::Gone { uid },
                    None => skipped(what, length, beginning).into(),
                }]
            }
            Input::ListEnded(frame) => self.list_ended(at.now, frame),
            Input::TimedOut => self.silence(at.now),
            Input::Ended => self.ended(at.now),
            Input::Doubted => {
                // Maybe there is nothing to tell, for a pod may end late: so this is no failure and
                // no news. A set has time limits of its own.
                if let Stage::ReadChanges { version, .. } = &self.stage {
                    self.stage = Stage::AskChanges { version: version.clone() };
                }
                Vec::new()
            }
            Input::Failed(why) => self.lost(at.now, why, LONGEST_PAUSE, None),
        }
    }

    fn opened(&mut self, now: Moment) -> Vec<PodNews> {
        match &self.stage {
            Stage::AskSet => {
                self.untold = false;
                self.stage =
                    Stage::ReadSet { opened: now, due: now + BOOKMARK_PATIENCE, any_line: false };
                vec![PodNews::SetBegins]
            }
            Stage::AskList => {
                self.untold = false;
                self.stage = Stage::ReadList { due: now + PATIENCE };
                vec![PodNews::SetBegins]
            }
            Stage::AskChanges { version } => {
                let version = version.clone();
                self.stage = Stage::ReadChanges { version, opened: now, last_line: None };
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn item_came(&mut self, now: Moment) {
        if let Stage::ReadList { due } = &mut self.stage {
            *due = now + PATIENCE;
        }
    }

    fn list_ended(&mut self, now: Moment, frame: &[u8]) -> Vec<PodNews> {
        let Some(version) = pods::list_version(frame) else {
            return self.lost(now, NO_LIST.to_owned(), LONGEST_PAUSE, None);
        };
        self.set_complete(&version);
        self.stage = Stage::AskChanges { version };
        vec![PodNews::SetComplete]
    }

    /// All pods were told, as of this resource version. Versions may count from another beginning by now.
    fn set_complete(&mut self, version: &str) {
        self.garbled = 0;
        if std::mem::take(&mut self.forgotten) {
            self.newest = None;
        }
        self.told_of(Some(version));
    }

    /// What was told has this resource version.
    fn told_of(&mut self, version: Option<&str>) {
        self.newest = self.newest.max(version.and_then(|text| text.parse().ok()));
    }

    fn refused(&mut self, now: Moment, request: &Request, reply: &Reply) -> Vec<PodNews> {
        let why = refusal(request, reply);
        let why = match (&self.stage, reply.status) {
            // It knows no streamed set, or forbids to watch: a list may still be had.
            (Stage::AskSet, 400 | 403 | 422) => {
                self.streams = false;
                self.stage = Stage::AskList;
                return Vec::new();
            }
            (Stage::AskChanges { .. }, 403) => {
                self.stage = Stage::AskList;
                format!("{why}; `watch` on `pods` must be granted, until then they are listed")
            }
            (_, 403) => format!("{why}; `list` and `watch` on `pods` must be granted"),
            (_, 400 | 410 | 422) => {
                self.forget();
                format!("{why}; the pods are read anew")
            }
            // Its versions may count from another beginning by now.
            (Stage::AskSet | Stage::AskList, _) if says_version_is_too_large(reply) => {
                self.forgotten = true;
                why
            }
            _ => why,
        };
        let longest = if reply.status == 403 { LONGEST_OBEYED } else { LONGEST_PAUSE };
        self.lost(now, why, longest, reply.retry_after)
    }

    fn line(&mut self, at: Reading, line: &[u8]) -> Vec<PodNews> {
        let event = match Event::read(line, Context { node: &self.node, at }) {
            Ok(event) => event,
            Err(why) if self.is_without_lines() && !line.trim_ascii_start().starts_with(b"{") => {
                let why = format!("what came is no watch of pods: {why}");
                return self.lost(at.now, why, LONGEST_PAUSE, None);
            }
            Err(why) => {
                self.line_came(at.now, None, false);
                return vec![Unread::from(why).into()];
            }
        };
        match event {
            Event::Seen { pod, added, version } => {
                self.line_came(at.now, version, added);
                vec![match pod {
                    Ok(pod) => PodNews::Seen(pod),
                    Err(unread) => unread.into(),
                }]
            }
            Event::Gone { uid, version } => {
                self.line_came(at.now, version, false);
                vec![match uid {
                    Ok(uid) => PodNews::Gone { uid },
                    Err(unread) => unread.into(),
                }]
            }
            Event::Bookmark { version, ends_set: true } if self.is_reading_set() => {
                self.set_complete(&version);
                self.stage = Stage::ReadChanges { version, opened: at.now, last_line: None };
                vec![PodNews::SetComplete]
            }
            Event::Bookmark { version, .. } => {
                self.line_came(at.now, Some(version), false);
                Vec::new()
            }
            Event::Error { expired, why } => {
                if expired {
                    self.forget();
                }
                let anew = if expired { "; the pods are read anew" } else { "" };
                let why = format!("the API server ended the watch of pods: {why}{anew}");
                self.lost(at.now, why, LONGEST_PAUSE, None)
            }
        }
    }

    /// A line came: the stream is alive. A pod of the set, if it is one, lets its end wait.
    fn line_came(&mut self, now: Moment, newer: Option<String>, of_set: bool) {
        self.told_of(newer.as_deref());
        match &mut self.stage {
            Stage::ReadSet { opened, due, any_line } => {
                *any_line = true;
                if of_set {
                    *due = (now + BOOKMARK_PATIENCE).min(*opened + SET_PATIENCE);
                }
            }
            Stage::ReadChanges { version, last_line, .. } => {
                *last_line = Some(now);
                if let Some(newer) = newer {
                    *version = newer;
                }
            }
            _ => {}
        }
    }

    fn silence(&mut self, now: Moment) -> Vec<PodNews> {
        if self.is_reading_set() {
            self.streams = false;
            self.stage = Stage::AskList;
            return Vec::new();
        }
        if let Stage::ReadList { .. } = self.stage {
            let why = format!("the list of pods was silent for {} s", PATIENCE.as_secs());
            return self.lost(now, why, LONGEST_PAUSE, None);
        }
        let why = format!("the watch of pods was silent for {} s", SILENCE.as_secs());
        self.lost(now, why, LONGEST_PAUSE, None)
    }

    fn ended(&mut self, now: Moment) -> Vec<PodNews> {
        match &self.stage {
            // The server ends every watch after a while: that is no news.
            Stage::ReadChanges { version, .. } if self.went_well(now) => {
                self.stage = Stage::AskChanges { version: version.clone() };
                self.backoff.reset();
                self.said = None;
                self.pause(now, LONGEST_PAUSE, None);
                Vec::new()
            }
            Stage::ReadSet { .. } => {
                let why = "the API server ended the watch of pods before it had told all of them";
                self.lost(now, why.to_owned(), LONGEST_PAUSE, None)
            }
            _ => {
                let why = "the API server ended the watch of pods as soon as it was open";
                self.lost(now, why.to_owned(), LONGEST_PAUSE, None)
            }
        }
    }

    /// What was under way failed. It goes on where it stood, or a set is begun anew.
    fn lost(
        &mut self,
        now: Moment,
        why: String,
        longest: Duration,
        retry_after: Option<Duration>,
    ) -> Vec<PodNews> {
        if self.went_well(now) {
            self.backoff.reset();
            self.said = None;
        }
        self.stage = match &self.stage {
            Stage::AskChanges { version } | Stage::ReadChanges { version, .. } => {
                Stage::AskChanges { version: version.clone() }
            }
            Stage::AskSet | Stage::ReadSet { .. } | Stage::AskList | Stage::ReadList { .. } => {
                self.new_set()
            }
        };
        self.pause(now, longest, retry_after);
        if self.said.as_ref() == Some(&why) {
            return Vec::new();
        }
        self.said = Some(why.clone());
        vec![PodNews::Lost { why }]
    }

    fn pause(&mut self, now: Moment, longest: Duration, retry_after: Option<Duration>) {
        let pause = self.backoff.next_within(longest, &mut self.jitter);
        let asked_for = retry_after.unwrap_or_default().min(LONGEST_OBEYED);
        self.rest = Some(now + pause.max(asked_for));
    }

    /// The version is of no use any more. A server that says so is back: that is no failure.
    fn forget(&mut self) {
        if let Stage::AskChanges { .. } | Stage::ReadChanges { .. } = self.stage {
            self.backoff.reset();
        }
        self.forgotten = true;
        self.stage = self.new_set();
    }

    fn new_set(&self) -> Stage {
        if self.streams { Stage::AskSet } else { Stage::AskList }
    }

    fn is_reading_set(&self) -> bool {
        matches!(self.stage, Stage::ReadSet { .. })
    }

    /// Whether the stream that is open has said nothing yet: what then begins like no event may be
    /// a web page, of which no line is a pod.
    fn is_without_lines(&self) -> bool {
        match self.stage {
            Stage::ReadSet { any_line, .. } => !any_line,
            Stage::ReadChanges { last_line, .. } => last_line.is_none(),
            Stage::AskSet | Stage::AskList | Stage::ReadList { .. } | Stage::AskChanges { .. } => {
                false
            }
        }
    }

    /// Whether the stream that is open was of use.
    fn went_well(&self, now: Moment) -> bool {
        match &self.stage {
            Stage::ReadChanges { opened, last_line, .. } => {
                last_line.is_some() || now.since(*opened) >= PROVEN
            }
            _ => false,
        }
    }
}

impl From<Unread> for PodNews {
    fn from(Unread { pod, why }: Unread) -> Self {
        Self::Unread { pod, why }
    }
}

#[cfg(test)]
mod tests;
