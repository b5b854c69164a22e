//! HTTP/2: frames in any order, whole and in pieces, between requests that are begun, used and given up. Each stream
//! has one end, what is sent are frames, and nothing grows beyond what came.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use fuzz::now;
use k8s_spot_handler::http::h2::Http2;
use k8s_spot_handler::http::protocol::{Protocol, Request, StreamError, StreamEvent, StreamId};
use k8s_spot_handler::moment::Moment;
use libfuzzer_sys::fuzz_target;
use ureq_proto::http::Method;

fuzz_target!(|input: &[u8]| {
    // The table's 4 kB may be named 256 times in one block, which is unpacked before it is refused.
    let whole = fuzz::within(input, 64, 5 << 18, || Connection::run(input, usize::MAX));
    let (mode, _) = fuzz::mode(input);
    let in_pieces = Connection::run(input, usize::from(mode >> 1) + 1);
    assert_eq!(in_pieces, whole);
});

/// How far an exchange has come, as its owner sees it.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    status: Option<u16>,
    body: Vec<u8>,
    /// What came and was not used yet.
    unused: usize,
    end: Option<Result<(), StreamError>>,
    is_reset: bool,
}

struct Connection {
    client: Http2,
    now: Moment,
    seen: BTreeMap<StreamId, Seen>,
    /// A part of a frame.
    sent: Vec<u8>,
    has_sent_preface: bool,
}

/// The preface of a client.
const PREFACE: usize = 24;

/// How many requests are made: what they cost is not the peer's doing.
const MOST_STREAMS: usize = 64;

/// What may come on a stream before any of it is used.
const STREAM_WINDOW: usize = 1 << 20;

impl Connection {
    /// Each step is a byte that says what is done, a byte that says with what, and for a frame its flags and load.
    fn run(input: &[u8], length: usize) -> BTreeMap<StreamId, Seen> {
        let (mode, mut rest) = fuzz::mode(input);
        let at = now().now;
        let mut it = Self {
            client: Http2::new(at),
            now: at,
            seen: BTreeMap::new(),
            sent: Vec::new(),
            has_sent_preface: false,
        };
        it.open(0);
        it.open(3);
        // Without SETTINGS nothing else counts.
        if mode & 1 == 0 && it.hears(&frame(4, 0, 0, b""), length).is_err() {
            return it.end();
        }
        while let [deed, what, after @ ..] = rest {
            rest = after;
            let outcome = match deed % 16 {
                deed @ 0..=2 => {
                    [Self::open, Self::reset, Self::consume][usize::from(deed)](&mut it, *what);
                    Ok(())
                }
                3 => {
                    it.now = it.now + Duration::from_millis(u64::from(*what) * 50);
                    it.client.on_time(it.now)
                }
                4 => {
                    // Whatever it is.
                    let (bytes, after) = rest.split_at(rest.len().min(usize::from(*what)));
                    rest = after;
                    it.hears(bytes, length)
                }
                kind => {
                    let (load, after) = rest.split_at(rest.len().min(usize::from(*what)));
                    rest = after;
                    let (flags, load) = fuzz::mode(load);
                    let id = u32::from(deed >> 4);
                    it.hears(&frame(kind - 5, flags, id, load), length)
                }
            };
            it.sees_what_is_sent();
            if let Err(failure) = outcome {
                it.client.fail(&failure);
                return it.end();
            }
        }
        it.client.closed(true);
        it.end()
    }

    fn open(&mut self, length: u8) {
        if self.seen.len() == MOST_STREAMS || self.client.slots().is_none_or(|slots| slots == 0) {
            return;
        }
        let body = (length > 0).then(|| "b".repeat(usize::from(length) * 4));
        let request = Request {
            method: if body.is_some() { Method::POST } else { Method::GET },
            target: "/a?b=c".to_owned(),
            authority: "api:6443".to_owned(),
            headers: Vec::new(),
            body,
        };
        let id = self.client.open(&request, self.now).expect("there is room");
        assert!(self.seen.insert(id, Seen::default()).is_none());
    }

    fn id(&self, which: u8) -> Option<StreamId> {
        let which = usize::from(which).checked_rem(self.seen.len())?;
        self.seen.keys().nth(which).copied()
    }

    fn reset(&mut self, which: u8) {
        let Some(id) = self.id(which) else { return };
        self.client.reset(id);
        let seen = self.seen.entry(id).or_default();
        seen.is_reset = seen.end.is_none();
    }

    fn consume(&mut self, which: u8) {
        let Some(id) = self.id(which) else { return };
        let unused = std::mem::take(&mut self.seen.entry(id).or_default().unused);
        self.client.consume(id, unused);
    }

    fn hears(&mut self, bytes: &[u8], length: usize) -> Result<(), StreamError> {
        for piece in bytes.chunks(length) {
            let outcome = self.client.receive(piece, self.now);
            self.sees();
            outcome?;
        }
        Ok(())
    }

    fn sees(&mut self) {
        while let Some((id, event)) = self.client.next_event() {
            let seen = self.seen.get_mut(&id).expect("it was opened");
            assert!(seen.end.is_none() && !seen.is_reset, "{id} is over: {event:?}");
            match event {
                StreamEvent::Head(head) => {
                    assert!(!head.status.is_informational());
                    assert_eq!(seen.status.replace(head.status.as_u16()), None, "one head");
                }
                StreamEvent::Data(piece) => {
                    assert!(seen.status.is_some() && !piece.is_empty());
                    seen.unused += piece.len();
                    seen.body.extend(piece);
                    assert!(seen.unused <= STREAM_WINDOW);
                }
                StreamEvent::End => {
                    assert!(seen.status.is_some());
                    seen.end = Some(Ok(()));
                }
                StreamEvent::Failed(failure) => {
                    if let StreamError::Malformed(why) | StreamError::Ended(why) = &failure {
                        fuzz::is_one_line(why);
                    }
                    seen.end = Some(Err(failure));
                }
            }
        }
    }

    /// The preface, then frames of streams that were opened, none of them too long.
    fn sees_what_is_sent(&mut self) {
        self.sent.append(self.client.output());
        if !self.has_sent_preface {
            assert!(self.sent.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
            self.sent.drain(..PREFACE);
            self.has_sent_preface = true;
        }
        while let [a, b, c, kind, _, id @ ..] = self.sent.as_slice() {
            let [d, e, f, g, ..] = id else { break };
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let id = u32::from_be_bytes([*d, *e, *f, *g]);
            assert!(
                *kind <= 9 && (id == 0 || self.seen.contains_key(&id)),
                "a frame of {kind} for {id}"
            );
            let Some(rest) = self.sent.get(9 + length..) else { break };
            self.sent = rest.to_vec();
        }
        assert!(self.sent.is_empty(), "a part of a frame");
    }

    fn end(mut self) -> BTreeMap<StreamId, Seen> {
        self.sees();
        self.sees_what_is_sent();
        for (id, seen) in &self.seen {
            assert!(seen.end.is_some() || seen.is_reset, "{id} has no end");
        }
        assert_eq!(self.client.slots(), None);
        self.seen
    }
}

fn frame(kind: u8, flags: u8, id: u32, load: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(load.len()).expect("a load is short").to_be_bytes();
    [&length[..], &[kind, flags], &id.to_be_bytes(), load].concat()
}
