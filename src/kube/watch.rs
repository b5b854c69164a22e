//! The watch that lists and follows the pods of the node. [`Watch`] is its protocol: which request
//! comes next, what each line and reply means; pure. [`Follower`] carries it out.

use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::drain::pod::{Pod, PodNews};
use crate::http::pool::Cancel;
use crate::kube::client::{Client, Streamed};
use crate::kube::pods::{self, Context, Unread, WatchEvent};
use crate::kube::reply::{Reply, refusal, says_version_is_too_large};
use crate::kube::request::{Request, Since, Verb, list_pods, watch_pods};
use crate::kube::stream::{Items, Lines, OBJECT_LIMIT, Piece};
use crate::moment::{Moment, Reading};

/// How long a connection, the head of a stream or an item of a list may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long after the stream was opened, and after each pod of its first set, the bookmark that ends the set may
/// take. A server that knows no such bookmark sends nothing, or only changes.
const BOOKMARK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a streamed set may take in all.
const SET_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a stream may be silent: bookmarks come every 59 to 62 seconds.
const SILENCE: Duration = Duration::from_secs(75);

/// A stream that was open for so long was a good one, even without a line.
const PROVEN: Duration = Duration::from_secs(5);

/// The pauses after failures, one after the other; each cause has its longest.
const PAUSES: Backoff = Backoff::from_millis(100, 5000);

/// So often a list is asked for anew because of an item of which nothing can be read.
const MOST_GARBLED: u32 = 3;

/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause where the server asked for one, or where a permission is missing.
const LONGEST_OBEYED: Duration = Duration::from_secs(5);

/// Lists and follows the pods of one node, without waiting: what comes is passed to `send`, and from there to
/// [`Follower::observe`].
pub struct Follower {
    client: Client,
    node: Arc<str>,
    watch: Watch,
    send: Arc<dyn Fn(StreamInput) + Send + Sync>,
    /// Counts the streams: what comes of an earlier one is dropped.
    number: u32,
    /// The stream that is open or was asked for.
    open: Option<Cancel>,
    /// It was asked for, and has not been opened yet.
    is_asked: bool,
}

/// What came of a stream, and when.
#[derive(Debug)]
pub struct StreamInput {
    number: u32,
    at: Reading,
    input: Input,
}

impl Follower {
    /// Asks for nothing yet. The pauses between attempts are jittered by `jitter`.
    pub fn new(
        client: Client,
        node: &Arc<str>,
        jitter: u64,
        send: impl Fn(StreamInput) + Send + Sync + 'static,
    ) -> Self {
        Self {
            client,
            node: Arc::clone(node),
            watch: Watch::new(node, jitter),
            send: Arc::new(send),
            number: 0,
            open: None,
            is_asked: false,
        }
    }

    /// Does what is due. What that says of the pods, and when it is to be called again if nothing comes before.
    pub fn drive(&mut self, at: Reading) -> (Vec<PodNews>, Option<Moment>) {
        let mut news = Vec::new();
        loop {
            match self.watch.next(at.now) {
                Step::Rest(until) => {
                    self.close();
                    return (news, Some(until));
                }
                Step::Read(until) if at.now < until => return (news, Some(until)),
                Step::Read(_) => news.extend(self.watch.observe(at, Input::TimedOut)),
                Step::Ask(_) if self.is_asked => return (news, None),
                Step::Ask(request) => self.ask(request),
            }
        }
    }

    /// Takes in what came, and answers with what it says of the pods.
    pub fn observe(&mut self, StreamInput { number, at, input }: StreamInput) -> Vec<PodNews> {
        if number != self.number {
            return Vec::new();
        }
        self.is_asked = false;
        let news = self.watch.observe(at, input);
        // What else has come of a stream that is done with is dropped.
        if !matches!(self.watch.next(at.now), Step::Read(_)) {
            self.close();
        }
        news
    }

    fn ask(&mut self, request: Request) {
        self.close();
        self.is_asked = true;
        let (number, send) = (self.number, Arc::clone(&self.send));
        let cancel = Cancel::default();
        self.open = Some(cancel.clone());
        read(&self.client, request, &self.node, cancel, move |at, input| {
            send(StreamInput { number, at, input });
            ControlFlow::Continue(())
        });
    }

    fn close(&mut self) {
        self.number = self.number.wrapping_add(1);
        self.is_asked = false;
        if let Some(open) = self.open.take() {
            self.client.give_up(&open);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.close();
    }
}

/// Lists the pods of `node` once, from the server's cache, and passes each to `take` as it is read.
///
/// # Errors
/// The list could not be had, or not to its end; why, in words.
pub fn list(
    client: &Client,
    node: &str,
    mut take: impl FnMut(Result<Pod, Unread>),
) -> Result<(), String> {
    let request = list_pods(node, Since::Cached);
    let asked = request.to_string();
    let (send, inputs) = mpsc::channel();
    let cancel = Cancel::default();
    read(client, request, node, cancel.clone(), move |_, input| match send.send(input) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    });
    // The head may take as long as one item, and what ends it comes in time.
    while let Ok(input) = inputs.recv_timeout(TIMEOUT * 2) {
        match input {
            Input::Item(item) => take(item.map(|(pod, _)| pod)),
            Input::Skipped(PodNews::Unread { pod, why }) => take(Err(Unread { pod, why })),
            Input::ListEnded(version) => {
                return version
                    .map(drop)
                    .ok_or_else(|| format!("{asked}: 200, but not what was asked for: {NO_LIST}"));
            }
            Input::Failed(why) => return Err(why),
            Input::Refused(refused) => {
                let why = refusal(&refused.0, &refused.1);
                return Err(match refused.1.status {
                    403 => format!("{why}; `list` on `pods` must be granted"),
                    _ => why,
                });
            }
            _ => {}
        }
    }
    client.give_up(&cancel);
    Err(format!("{asked}: no pod of the list within {} s", TIMEOUT.as_secs()))
}

/// Asks for a watch or a list, and passes what comes to `take` as it is read, until that breaks.
fn read(
    client: &Client,
    request: Request,
    node: &str,
    cancel: Cancel,
    mut take: impl FnMut(Reading, Input) -> ControlFlow<()> + Send + 'static,
) {
    let (clock, node, asked) = (client.clock(), node.to_owned(), request.clone());
    let mut parts = match request.verb() {
        Verb::List => Parts::Items(Items::new(OBJECT_LIMIT)),
        _ => Parts::Lines(Lines::new(OBJECT_LIMIT)),
    };
    client.stream(request, TIMEOUT, cancel, move |came| {
        let at = clock.read();
        let context = Context { node: &node, at };
        match came {
            Streamed::Opened => take(at, Input::Opened),
            Streamed::Piece(piece) => match &mut parts {
                Parts::Lines(lines) => {
                    lines.push(piece, |line| take(at, Input::line(line, context)))
                }
                Parts::Items(items) => {
                    items.push(piece, |item| take(at, Input::item(item, context)))
                }
            },
            Streamed::Ended => {
                match &parts {
                    Parts::Items(items) => {
                        take(at, Input::ListEnded(pods::list_version(items.frame())))?;
                    }
                    Parts::Lines(lines) => {
                        if let Some(line) = lines.last() {
                            take(at, Input::line(line, context))?;
                        }
                    }
                }
                take(at, Input::Ended)
            }
            Streamed::Refused(reply) => take(at, Input::Refused(Box::new((asked.clone(), reply)))),
            Streamed::Failed(error) => take(at, Input::Failed(error.to_string())),
        }
    });
}

/// Of what an answer is made.
enum Parts {
    Lines(Lines),
    Items(Items),
}

const NO_LIST: &str = "what came is no complete list of pods";

/// What is to be done next. Whatever stream is open is done with, unless it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing until then.
    Rest(Moment),
    /// Open a stream or a list: [`Input::Opened`], or else [`Input::Refused`] or [`Input::Failed`].
    Ask(Request),
    /// Read what is open, and wait for more until then at most.
    Read(Moment),
}

/// What came.
#[derive(Debug)]
enum Input {
    /// The stream or the list is open.
    Opened,
    /// The request for one, and the reply, if that was not opened.
    Refused(Box<(Request, Reply)>),
    /// A line of the stream; and whether it begins as an event does.
    Line(Result<WatchEvent, String>, bool),
    /// An item of the list: the pod, and its resource version.
    Item(Result<(Pod, Option<String>), Unread>),
    /// A line or an item that is too long to be read.
    Skipped(PodNews),
    /// The list has no more items. As of which resource version it is complete; `None`: it is no complete list
    /// of pods.
    ListEnded(Option<String>),
    /// Nothing came in time.
    TimedOut,
    /// The server ended the stream as it should.
    Ended,
    /// The connection failed.
    Failed(String),
}

impl Input {
    fn line(line: Piece<'_>, context: Context<'_>) -> Self {
        match line {
            Piece::Text(line) => {
                let begins_well = line.trim_ascii_start().starts_with(b"{");
                Self::Line(WatchEvent::read(line, context), begins_well)
            }
            // That a pod is gone needs no more than its UID.
            Piece::TooLong { length, beginning } => {
                Self::Skipped(match pods::uid_of_deleted(beginning) {
                    Some(uid) => PodNews::Gone { uid },
                    None => skipped("a line", "watch", length, beginning),
                })
            }
        }
    }

    fn item(item: Piece<'_>, context: Context<'_>) -> Self {
        match item {
            Piece::Text(text) => Self::Item(pods::item(text, context)),
            Piece::TooLong { length, beginning } => {
                Self::Skipped(skipped("an item", "list", length, beginning))
            }
        }
    }
}

/// A pod that is too long to be read.
fn skipped(what: &str, of: &str, length: usize, beginning: &[u8]) -> PodNews {
    let why = format!("{what} of {length} bytes in the {of} of pods was skipped");
    PodNews::Unread { pod: pods::uid_at(beginning), why }
}

/// The protocol of listing and following.
///
/// A set is streamed where the server does that (`sendInitialEvents`), else listed. The first comes from
/// the server's cache, which has an index by node; a later one must not be older than what was seen, or pods that
/// live would be missing from it. What changes is then watched from the set's
/// resource version on, across every break: nothing is missed, and no set is needed. Only when the server
/// has forgotten that version (410) a new set is read, by which the pods that vanished meanwhile are noticed.
#[derive(Debug)]
struct Watch {
    node: String,
    phase: Phase,
    /// Nothing was seen yet, so any set is good enough.
    is_first: bool,
    /// The newest resource version that was seen, if that is known.
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
    /// Why the stream broke, as it was last reported.
    reported: Option<String>,
    jitter: fastrand::Rng,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
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
            phase: Phase::AskSet,
            is_first: true,
            newest: None,
            garbled: 0,
            forgotten: false,
            streams: true,
            rest: None,
            backoff: PAUSES,
            reported: None,
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
            _ if self.is_first => Since::Cached,
            Some(version) if !self.forgotten => Since::NotOlderThan(version),
            _ => Since::Newest,
        };
        match &self.phase {
            Phase::AskSet => Step::Ask(watch_pods(node, set)),
            Phase::AskList => Step::Ask(list_pods(node, set)),
            Phase::ReadSet { due, .. } | Phase::ReadList { due } => Step::Read(*due),
            Phase::AskChanges { version } => Step::Ask(watch_pods(node, Since::Version(version))),
            Phase::ReadChanges { opened, last_line, .. } => {
                Step::Read(last_line.unwrap_or(*opened) + SILENCE)
            }
        }
    }

    /// Takes in what came, and answers with what it says of the pods.
    fn observe(&mut self, at: Reading, input: Input) -> Vec<PodNews> {
        match input {
            Input::Opened => self.opened(at.now),
            Input::Refused(refused) => self.refused(at.now, &refused.0, &refused.1),
            Input::Line(line, begins_well) => self.line(at.now, line, begins_well),
            Input::Item(item) => {
                self.item_came(at.now);
                match item {
                    Ok((pod, version)) => {
                        self.seen_version(version.as_deref());
                        vec![PodNews::Seen(pod)]
                    }
                    // If it is not known which pod it is, the next list may say.
                    Err(Unread { pod: None, why }) if self.garbled < MOST_GARBLED => {
                        self.garbled += 1;
                        self.lost(at.now, why)
                    }
                    Err(unread) => vec![unread.into()],
                }
            }
            Input::Skipped(news) => {
                self.line_came(at.now, None, true);
                self.item_came(at.now);
                vec![news]
            }
            Input::ListEnded(version) => self.list_ended(at.now, version),
            Input::TimedOut => self.silence(at.now),
            Input::Ended => self.ended(at.now),
            Input::Failed(why) => self.lost(at.now, why),
        }
    }

    fn opened(&mut self, now: Moment) -> Vec<PodNews> {
        match &self.phase {
            Phase::AskSet => {
                self.is_first = false;
                self.phase =
                    Phase::ReadSet { opened: now, due: now + BOOKMARK_TIMEOUT, any_line: false };
                vec![PodNews::SetBegins]
            }
            Phase::AskList => {
                self.is_first = false;
                self.phase = Phase::ReadList { due: now + TIMEOUT };
                vec![PodNews::SetBegins]
            }
            Phase::AskChanges { version } => {
                let version = version.clone();
                self.phase = Phase::ReadChanges { version, opened: now, last_line: None };
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn item_came(&mut self, now: Moment) {
        if let Phase::ReadList { due } = &mut self.phase {
            *due = now + TIMEOUT;
        }
    }

    fn list_ended(&mut self, now: Moment, version: Option<String>) -> Vec<PodNews> {
        let Some(version) = version else {
            return self.lost(now, NO_LIST.to_owned());
        };
        self.set_complete(&version);
        self.phase = Phase::AskChanges { version };
        vec![PodNews::SetComplete]
    }

    /// All pods were seen, as of this resource version. Versions may count from another beginning by now.
    fn set_complete(&mut self, version: &str) {
        self.garbled = 0;
        if std::mem::take(&mut self.forgotten) {
            self.newest = None;
        }
        self.seen_version(Some(version));
    }

    /// This resource version was seen.
    fn seen_version(&mut self, version: Option<&str>) {
        self.newest = self.newest.max(version.and_then(|text| text.parse().ok()));
    }

    fn refused(&mut self, now: Moment, request: &Request, reply: &Reply) -> Vec<PodNews> {
        let why = refusal(request, reply);
        let why = match (&self.phase, reply.status) {
            // It knows no streamed set, or forbids to watch: a list may still be had.
            (Phase::AskSet, 400 | 403 | 422) => {
                self.streams = false;
                self.phase = Phase::AskList;
                return Vec::new();
            }
            (Phase::AskChanges { .. }, 403) => {
                self.phase = Phase::AskList;
                format!("{why}; `watch` on `pods` must be granted, until then they are listed")
            }
            (_, 403) => format!("{why}; `list` and `watch` on `pods` must be granted"),
            (_, 400 | 410 | 422) => {
                self.forget();
                format!("{why}; the pods are read anew")
            }
            // Its versions may count from another beginning by now.
            (Phase::AskSet | Phase::AskList, _) if says_version_is_too_large(reply) => {
                self.forgotten = true;
                why
            }
            _ => why,
        };
        let longest = if reply.status == 403 { LONGEST_OBEYED } else { LONGEST_PAUSE };
        self.lost_for(now, why, longest, reply.retry_after)
    }

    fn line(
        &mut self,
        now: Moment,
        line: Result<WatchEvent, String>,
        begins_well: bool,
    ) -> Vec<PodNews> {
        let event = match line {
            Ok(event) => event,
            Err(why) if self.is_without_lines() && !begins_well => {
                let why = format!("what came is no watch of pods: {why}");
                return self.lost(now, why);
            }
            Err(why) => {
                self.line_came(now, None, false);
                return vec![Unread::from(why).into()];
            }
        };
        match event {
            WatchEvent::Seen { pod, added, version } => {
                self.line_came(now, version, added);
                vec![match pod {
                    Ok(pod) => PodNews::Seen(pod),
                    Err(unread) => unread.into(),
                }]
            }
            WatchEvent::Gone { uid, version } => {
                self.line_came(now, version, false);
                vec![match uid {
                    Ok(uid) => PodNews::Gone { uid },
                    Err(unread) => unread.into(),
                }]
            }
            WatchEvent::Bookmark { version, ends_set: true } if self.is_reading_set() => {
                self.set_complete(&version);
                self.phase = Phase::ReadChanges { version, opened: now, last_line: None };
                vec![PodNews::SetComplete]
            }
            WatchEvent::Bookmark { version, .. } => {
                self.line_came(now, Some(version), false);
                Vec::new()
            }
            WatchEvent::Error { expired, why } => {
                if expired {
                    self.forget();
                }
                let anew = if expired { "; the pods are read anew" } else { "" };
                let why = format!("the API server ended the watch of pods: {why}{anew}");
                self.lost(now, why)
            }
        }
    }

    /// A line came: the stream is alive. A pod of the set, if it is one, lets its end wait.
    fn line_came(&mut self, now: Moment, newer: Option<String>, of_set: bool) {
        self.seen_version(newer.as_deref());
        match &mut self.phase {
            Phase::ReadSet { opened, due, any_line } => {
                *any_line = true;
                if of_set {
                    *due = (now + BOOKMARK_TIMEOUT).min(*opened + SET_TIMEOUT);
                }
            }
            Phase::ReadChanges { version, last_line, .. } => {
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
            self.phase = Phase::AskList;
            return Vec::new();
        }
        if let Phase::ReadList { .. } = self.phase {
            let why = format!("the list of pods was silent for {} s", TIMEOUT.as_secs());
            return self.lost(now, why);
        }
        let why = format!("the watch of pods was silent for {} s", SILENCE.as_secs());
        self.lost(now, why)
    }

    fn ended(&mut self, now: Moment) -> Vec<PodNews> {
        match &self.phase {
            // The server ends every watch after a while.
            Phase::ReadChanges { version, .. } if self.went_well(now) => {
                self.phase = Phase::AskChanges { version: version.clone() };
                self.backoff.reset();
                self.reported = None;
                self.pause(now, LONGEST_PAUSE, None);
                Vec::new()
            }
            Phase::ReadSet { .. } => {
                let why = "the API server ended the watch of pods before it had told all of them";
                self.lost(now, why.to_owned())
            }
            _ => {
                let why = "the API server ended the watch of pods as soon as it was open";
                self.lost(now, why.to_owned())
            }
        }
    }

    fn lost(&mut self, now: Moment, why: String) -> Vec<PodNews> {
        self.lost_for(now, why, LONGEST_PAUSE, None)
    }

    /// What was under way failed. It goes on where it stood, or a set is begun anew, after a pause of `longest` at
    /// most, or as long as the server asked for.
    fn lost_for(
        &mut self,
        now: Moment,
        why: String,
        longest: Duration,
        retry_after: Option<Duration>,
    ) -> Vec<PodNews> {
        if self.went_well(now) {
            self.backoff.reset();
            self.reported = None;
        }
        self.phase = match &self.phase {
            Phase::AskChanges { version } | Phase::ReadChanges { version, .. } => {
                Phase::AskChanges { version: version.clone() }
            }
            Phase::AskSet | Phase::ReadSet { .. } | Phase::AskList | Phase::ReadList { .. } => {
                self.new_set()
            }
        };
        self.pause(now, longest, retry_after);
        if self.reported.as_ref() == Some(&why) {
            return Vec::new();
        }
        self.reported = Some(why.clone());
        vec![PodNews::Lost { why }]
    }

    fn pause(&mut self, now: Moment, longest: Duration, retry_after: Option<Duration>) {
        let pause = self.backoff.next_within(longest, &mut self.jitter);
        let asked_for = retry_after.unwrap_or_default().min(LONGEST_OBEYED);
        self.rest = Some(now + pause.max(asked_for));
    }

    /// The version is of no use any more. A server that says so is back: that is no failure.
    fn forget(&mut self) {
        if let Phase::AskChanges { .. } | Phase::ReadChanges { .. } = self.phase {
            self.backoff.reset();
        }
        self.forgotten = true;
        self.phase = self.new_set();
    }

    fn new_set(&self) -> Phase {
        if self.streams { Phase::AskSet } else { Phase::AskList }
    }

    fn is_reading_set(&self) -> bool {
        matches!(self.phase, Phase::ReadSet { .. })
    }

    /// Whether the open stream has had no line yet: what then does not begin like an event may be a web page.
    fn is_without_lines(&self) -> bool {
        match self.phase {
            Phase::ReadSet { any_line, .. } => !any_line,
            Phase::ReadChanges { last_line, .. } => last_line.is_none(),
            Phase::AskSet | Phase::AskList | Phase::ReadList { .. } | Phase::AskChanges { .. } => {
                false
            }
        }
    }

    /// Whether the stream that is open was of use.
    fn went_well(&self, now: Moment) -> bool {
        match &self.phase {
            Phase::ReadChanges { opened, last_line, .. } => {
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

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod tests;
