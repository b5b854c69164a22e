//! Whatever comes, in whatever order: no panic, one end for each stream, and nothing that grows.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

/// The same at every run, and no file beside the code. For others, and more of them, there are
/// `PROPTEST_RNG_SEED` and `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let given = ProptestConfig::default();
    let rng_seed = match given.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    ProptestConfig { cases: given.cases.max(600), rng_seed, failure_persistence: None, ..given }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_bytes_break_nothing(
        bytes in vec(any::<u8>(), 0..600),
        steps in vec(any::<(u8, u16)>(), 1..20),
    ) {
        Watched::new().hears_in_steps(&[settings(&[]), bytes].concat(), &steps);
    }

    /// Bytes that are frames at least.
    #[test]
    fn random_frames_break_nothing(
        frames in vec((0..11_u8, any::<u8>(), 0..10_u32, vec(any::<u8>(), 0..40)), 0..30),
        steps in vec(any::<(u8, u16)>(), 1..20),
    ) {
        let frames = frames.iter().map(|(kind, flags, id, load)| frame(*kind, *flags, *id, load));
        let frames: Vec<_> = std::iter::once(settings(&[])).chain(frames).collect();
        Watched::new().hears_in_steps(&frames.concat(), &steps);
    }

    #[test]
    fn a_mutated_conversation_breaks_nothing(
        mutations in vec(any::<(u8, u16, u16)>(), 0..8),
        steps in vec(any::<(u8, u16)>(), 1..20),
    ) {
        Watched::new().hears_in_steps(&mutated(conversation(), &mutations), &steps);
    }

    #[test]
    fn a_server_that_keeps_to_the_rules_gets_along(
        deeds in vec(any::<(u8, u16, u16)>(), 0..300),
    ) {
        Model::new().run(&deeds);
    }
}

/// What a server says in the time of a drain: a watch, replies, refusals, goodbyes.
fn conversation() -> Vec<u8> {
    let mut server = Speaker::new();
    let json = [("content-type", "application/json"), ("audit-id", "0a1b2c3d")];
    let head = |status| [&[(":status", status)][..], &json].concat();
    let long = "warning ".repeat(40);
    let block = server.block(&[&head("429")[..], &[("warning", &long)]].concat());
    let mut said = vec![
        settings(&[(MAX_FRAME_SIZE, 1 << 20), (MAX_CONCURRENT_STREAMS, 250), (6, 1 << 20)]),
        acknowledgement(),
        window(0, 1 << 20),
        server.head_with(1, &head("200"), false),
        data(1, &[b'{'; 900], false),
        server.head_with(3, &[&head("201")[..], &[("content-length", "11")]].concat(), false),
        data(3, b"{\"a\": \"bc\"}", true),
        part(FRAME_HEADERS, 5, false, &block[..60]),
        part(FRAME_CONTINUATION, 5, false, &block[60..61]),
        part(FRAME_CONTINUATION, 5, true, &block[61..]),
        padded_data(5, &[b'b'; 300], 200, true),
        server.head(7, 103, false),
        server.head_with(7, &head("404"), true),
        data(1, &[b'{'; 5000], false),
        ping(*b"areYouOk"),
        pong(1_u64.to_be_bytes()),
        reset(9, ErrorCode::RefusedStream),
        server.head_with(11, &head("200"), false),
        settings(&[(INITIAL_WINDOW_SIZE, 10), (MAX_CONCURRENT_STREAMS, 3)]),
        window(13, 4000),
        server.head_with(11, &[("grpc-status", "0")], true),
        goaway((1 << 31) - 1, ErrorCode::NoError, ""),
        goaway(15, ErrorCode::NoError, "graceful_stop"),
    ];
    said.push(server.answer(15, &[b'c'; 3000]));
    said.push(data(1, b"", true));
    said.concat()
}

fn mutated(mut bytes: Vec<u8>, mutations: &[(u8, u16, u16)]) -> Vec<u8> {
    for (kind, at, what) in mutations {
        let at = usize::from(*at) % bytes.len();
        let end = (at + usize::from(*what) % 400).min(bytes.len());
        match kind % 6 {
            0 => bytes[at] = what.to_be_bytes()[1],
            1 => bytes[at] ^= 1 << (what % 8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes[at..end].reverse(),
            _ => bytes.rotate_left(at),
        }
        if bytes.is_empty() {
            return bytes;
        }
    }
    bytes
}

/// How far an exchange has come, as its owner sees it.
#[derive(Debug, Default)]
struct Seen {
    status: Option<u16>,
    length: usize,
    /// What was told and not used yet.
    unused: usize,
    end: Option<Result<(), StreamError>>,
    is_reset: bool,
}

/// A connection of which nothing goes unseen.
struct Watched {
    client: Http2,
    now: Moment,
    seen: BTreeMap<StreamId, Seen>,
}

impl Watched {
    fn new() -> Self {
        let now = Moment::at(Duration::from_secs(1));
        Self { client: Http2::new(now), now, seen: BTreeMap::new() }
    }

    /// With a body of this length.
    fn open(&mut self, length: u16) -> Option<StreamId> {
        self.client.slots().filter(|slots| *slots > 0)?;
        let request = if length == 0 { get("/") } else { post(length.into()) };
        let id = self.client.open(&request, self.now).unwrap();
        assert!(self.seen.insert(id, Seen::default()).is_none());
        Some(id)
    }

    fn reset(&mut self, which: u16) {
        if let Some(id) = self.id(which) {
            self.client.reset(id);
            let seen = self.seen.get_mut(&id).unwrap();
            seen.is_reset = seen.end.is_none();
        }
    }

    fn consume(&mut self, which: u16) {
        if let Some(id) = self.id(which) {
            let unused = std::mem::take(&mut self.seen.get_mut(&id).unwrap().unused);
            self.client.consume(id, unused);
        }
    }

    fn id(&self, which: u16) -> Option<StreamId> {
        let which = usize::from(which).checked_rem(self.seen.len())?;
        self.seen.keys().nth(which).copied()
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        let received = self.client.receive(bytes, self.now);
        if let Err(failure) = &received {
            self.client.fail(failure);
        }
        self.see();
        assert!(self.client.input.len() < 9 + LARGEST_FRAME as usize);
        let block = self.client.block.as_ref().map_or(0, |block| block.bytes.len());
        assert!(block <= BLOCK_LIMIT && self.client.streams.len() <= self.seen.len());
        received
    }

    fn see(&mut self) {
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
                    seen.length += piece.len();
                    seen.unused += piece.len();
                    assert!(seen.unused <= STREAM_WINDOW as usize);
                }
                StreamEvent::End => {
                    assert!(seen.status.is_some());
                    seen.end = Some(Ok(()));
                }
                StreamEvent::Failed(failure) => seen.end = Some(Err(failure)),
            }
        }
    }

    /// Opens, uses and gives up as the steps say, between pieces of what comes.
    fn hears_in_steps(mut self, mut bytes: &[u8], steps: &[(u8, u16)]) {
        for _ in 0..8 {
            self.open(3);
        }
        let mut server = Speaker::new();
        server.largest_frame = 1 << 24;
        let mut received = Ok(());
        for (deed, number) in steps.iter().cycle() {
            match deed % 8 {
                0 => _ = self.open(*number),
                1 => self.reset(*number),
                2 => {
                    self.now = self.now + Duration::from_millis((*number).into());
                    received = received.and(self.client.on_time(self.now));
                }
                _ => self.consume(*number),
            }
            server.hears(&std::mem::take(self.client.output()));
            let (piece, rest) = bytes.split_at(bytes.len().min(1 + usize::from(*number) % 700));
            bytes = rest;
            received = received.and_then(|()| self.receive(piece));
            if bytes.is_empty() || received.is_err() {
                break;
            }
        }
        // What it says of it is HTTP/2, too.
        server.hears(&std::mem::take(self.client.output()));
        match received {
            Ok(()) => self.client.closed(true),
            Err(failure) => self.client.fail(&failure),
        }
        self.see();
        for (id, seen) in &self.seen {
            assert!(seen.end.is_some() || seen.is_reset, "{id} has no end");
        }
        assert_eq!((self.client.slots(), self.client.streams.len()), (None, 0));
    }
}

/// A server that does what it may, when it likes. What either side says is on its way for a while.
struct Model {
    watched: Watched,
    speaker: Speaker,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    streams: BTreeMap<StreamId, Served>,
    /// How long the bodies of the requests are.
    asked: BTreeMap<StreamId, usize>,
    /// What the client may send.
    allowed: i64,
    /// What the server may.
    may: i64,
    settings: Agreed,
    /// Not acknowledged yet.
    proposed: VecDeque<Agreed>,
    last: Option<StreamId>,
}

/// The server's SETTINGS.
#[derive(Clone, Copy)]
struct Agreed {
    streams: usize,
    window: i64,
    frame: usize,
}

/// A stream as the server sees it.
#[derive(Debug)]
struct Served {
    came: usize,
    is_asked: bool,
    allowed: i64,
    may: i64,
    status: Option<u16>,
    sent: usize,
    is_answered: bool,
    /// By either side.
    is_reset: bool,
}

impl Served {
    fn is_open(&self) -> bool {
        !self.is_answered && !self.is_reset
    }
}

impl Model {
    fn new() -> Self {
        let settings = Agreed { streams: 100, window: 65_535, frame: 16_384 };
        let mut model = Self {
            watched: Watched::new(),
            speaker: Speaker::new(),
            to_client: Vec::new(),
            to_server: Vec::new(),
            streams: BTreeMap::new(),
            asked: BTreeMap::new(),
            allowed: 65_535,
            may: 65_535,
            settings,
            proposed: VecDeque::new(),
            last: None,
        };
        model.propose(settings);
        model
    }

    fn run(mut self, deeds: &[(u8, u16, u16)]) {
        for deed in deeds {
            self.does(*deed);
        }
        self.finish();
    }

    fn does(&mut self, (deed, a, b): (u8, u16, u16)) {
        match deed % 20 {
            0..=2 => {
                let length = if a.is_multiple_of(3) {
                    0
                } else {
                    b % 9000 + u16::from(a % 50 == 1) * 50_000
                };
                if let Some(id) = self.watched.open(length) {
                    self.asked.insert(id, length.into());
                }
            }
            3 if a.is_multiple_of(4) => self.watched.reset(b),
            3..=5 => self.watched.consume(a),
            6 => self.to_server.append(self.watched.client.output()),
            7..=8 => {
                self.to_server.append(self.watched.client.output());
                let length = self.to_server.len().min(usize::from(a));
                let piece: Vec<_> = self.to_server.drain(..length).collect();
                self.hears(&piece);
            }
            9..=10 => self.delivers(usize::from(a)),
            11 => self.answers(a, b),
            12..=13 => self.sends(a, b, false),
            14 => self.sends(a, b, true),
            15 => self.widens(a, b),
            16 if a.is_multiple_of(3) => self.propose(Agreed {
                streams: (b % 8).into(),
                window: (a % 20_000).into(),
                frame: 16_384 + usize::from(b),
            }),
            17 if a.is_multiple_of(4) => self.resets(b),
            18 if a.is_multiple_of(16) => self.goes_away(b),
            19 => self.to_client.extend(ping([a.to_be_bytes()[1]; 8])),
            _ => self.interim(a),
        }
    }

    fn delivers(&mut self, length: usize) {
        let length = length.min(self.to_client.len());
        let piece: Vec<_> = self.to_client.drain(..length).collect();
        self.watched.receive(&piece).expect("it keeps to the rules");
    }

    fn hears(&mut self, bytes: &[u8]) {
        for heard in self.speaker.hears(bytes) {
            match heard {
                Heard::Settings(of) => {
                    assert_eq!(of, [(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, STREAM_WINDOW)]);
                }
                Heard::Acknowledged => {
                    let agreed = self.proposed.pop_front().expect("there is something to it");
                    for stream in self.streams.values_mut() {
                        stream.allowed += agreed.window - self.settings.window;
                    }
                    self.settings = agreed;
                }
                Heard::Head { stream, ends, .. } => {
                    let served = Served {
                        came: 0,
                        is_asked: ends,
                        allowed: self.settings.window,
                        may: i64::from(STREAM_WINDOW),
                        status: None,
                        sent: 0,
                        is_answered: false,
                        is_reset: false,
                    };
                    assert!(self.streams.insert(stream, served).is_none());
                    let open = self.streams.values().filter(|stream| stream.is_open()).count();
                    assert!(open <= self.settings.streams, "{open} streams");
                }
                Heard::Data { stream: id, payload, ends } => {
                    let stream = self.streams.get_mut(&id).unwrap();
                    let length = i64::try_from(payload.len()).unwrap();
                    assert!(!stream.is_asked && length > 0 && payload.len() <= self.settings.frame);
                    stream.allowed -= length;
                    self.allowed -= length;
                    assert!(stream.allowed >= 0 && self.allowed >= 0, "it was not allowed");
                    stream.came += payload.len();
                    stream.is_asked = ends;
                }
                Heard::Reset(id, code) => {
                    assert_eq!(code, ErrorCode::Cancel);
                    self.streams.get_mut(&id).unwrap().is_reset = true;
                }
                Heard::Pong(_) => {}
                Heard::Window(0, more) => self.may += i64::from(more),
                Heard::Window(id, more) => {
                    let stream = self.streams.get_mut(&id).unwrap();
                    stream.may += i64::from(more);
                    assert!(stream.may <= i64::from(STREAM_WINDOW));
                }
                Heard::Ping(_) | Heard::GoAway(_) => panic!("{heard:?}"),
            }
        }
        assert!(self.may <= i64::from(CONNECTION_WINDOW));
    }

    /// One that the server may still answer.
    fn open_one(&self, which: u16) -> Option<StreamId> {
        let last = self.last.unwrap_or(u32::MAX);
        let open: Vec<_> = self
            .streams
            .iter()
            .filter(|(id, stream)| stream.is_open() && **id <= last)
            .map(|(id, _)| *id)
            .collect();
        open.get(usize::from(which).checked_rem(open.len())?).copied()
    }

    fn answers(&mut self, which: u16, how: u16) {
        let Some(id) = self.open_one(which) else { return };
        let stream = self.streams.get_mut(&id).unwrap();
        if stream.status.is_some() {
            return;
        }
        let status = [200, 201, 404, 429, 500][usize::from(how) % 5];
        stream.status = Some(status);
        stream.is_answered = how.is_multiple_of(7);
        let id_text = format!("{:x}", how % 64);
        let fields = [(":status", &*status.to_string()), ("audit-id", &id_text)];
        let head = self.speaker.head_with(id, &fields, how.is_multiple_of(7));
        if how.is_multiple_of(3) {
            // In parts.
            let flags = head[4] & FLAG_END_STREAM;
            let cut = 9 + usize::from(how) % (head.len() - 9);
            self.to_client.extend(frame(FRAME_HEADERS, flags, id, &head[9..cut]));
            self.to_client.extend(part(FRAME_CONTINUATION, id, true, &head[cut..]));
        } else {
            self.to_client.extend(head);
        }
    }

    fn interim(&mut self, which: u16) {
        if let Some(id) = self.open_one(which)
            && self.streams[&id].status.is_none()
        {
            let head = self.speaker.head(id, 103, false);
            self.to_client.extend(head);
        }
    }

    fn sends(&mut self, which: u16, much: u16, ends: bool) {
        let Some(id) = self.open_one(which) else { return };
        let stream = self.streams.get_mut(&id).unwrap();
        if stream.status.is_none() {
            return;
        }
        if ends && much.is_multiple_of(2) {
            stream.is_answered = true;
            let trailers = self.speaker.head_with(id, &[("trailer", "x")], true);
            self.to_client.extend(trailers);
            return;
        }
        let padding = u8::try_from(much % 256).unwrap();
        let is_padded = much.is_multiple_of(5);
        let besides = if is_padded { i64::from(padding) + 1 } else { 0 };
        let room = self.may.min(stream.may).min(16_384) - besides;
        let Ok(room) = usize::try_from(room) else { return };
        let length = room.min((much % 16_384).into());
        let counts = i64::try_from(length).unwrap() + besides;
        self.may -= counts;
        stream.may -= counts;
        stream.sent += length;
        stream.is_answered = ends;
        let payload = vec![b'a'; length];
        self.to_client.extend(if is_padded {
            padded_data(id, &payload, padding, ends)
        } else {
            data(id, &payload, ends)
        });
    }

    fn widens(&mut self, which: u16, more: u16) {
        let more = u32::from(more) + 1;
        if which.is_multiple_of(2) {
            self.allowed += i64::from(more);
            self.to_client.extend(window(0, more));
        } else if let Some(id) = self.open_one(which) {
            self.streams.get_mut(&id).unwrap().allowed += i64::from(more);
            self.to_client.extend(window(id, more));
        }
    }

    fn propose(&mut self, what: Agreed) {
        self.proposed.push_back(what);
        self.to_client.extend(settings(&[
            (MAX_CONCURRENT_STREAMS, what.streams.try_into().unwrap()),
            (INITIAL_WINDOW_SIZE, what.window.try_into().unwrap()),
            (MAX_FRAME_SIZE, what.frame.try_into().unwrap()),
        ]));
        self.speaker.largest_frame = 1 << 24;
    }

    fn resets(&mut self, which: u16) {
        let Some(id) = self.open_one(which) else { return };
        let stream = self.streams.get_mut(&id).unwrap();
        stream.is_reset = true;
        let is_untouched = stream.status.is_none() && which.is_multiple_of(2);
        let code = if is_untouched { ErrorCode::RefusedStream } else { ErrorCode::InternalError };
        self.to_client.extend(reset(id, code));
    }

    fn goes_away(&mut self, how: u16) {
        let touched = self.streams.iter().rfind(|(_, stream)| stream.status.is_some());
        let lowest = touched.map_or(0, |(id, _)| *id);
        let highest = self.streams.keys().next_back().copied().unwrap_or(0);
        let last = [lowest, highest, (1 << 31) - 1][usize::from(how) % 3];
        let last = last.min(self.last.unwrap_or(last));
        self.last = Some(last);
        self.to_client.extend(goaway(last, ErrorCode::NoError, ""));
    }

    /// All that is under way arrives, all that was told is used, all that was asked is answered.
    fn finish(mut self) {
        // Whatever it has proposed before: there is room for every body.
        self.propose(Agreed { streams: 100, window: 1 << 20, frame: 16_384 });
        self.allowed += 1 << 30;
        self.to_client.extend(window(0, 1 << 30));
        self.settle();
        let last = self.last.unwrap_or(u32::MAX);
        let open: Vec<_> = self
            .streams
            .iter()
            .filter(|(id, s)| s.is_open() && **id <= last)
            .map(|(id, _)| *id)
            .collect();
        for id in open {
            let stream = &self.streams[&id];
            assert!(stream.is_asked && stream.came == self.asked[&id], "{id}: {stream:?}");
            let used = i64::from(self.watched.client.streams[&id].used);
            assert_eq!(stream.may + used, i64::from(STREAM_WINDOW), "what was used may come again");
            let answer = if stream.status.is_some() {
                data(id, b"", true)
            } else {
                self.streams.get_mut(&id).unwrap().status = Some(204);
                self.speaker.head(id, 204, true)
            };
            self.streams.get_mut(&id).unwrap().is_answered = true;
            self.to_client.extend(answer);
        }
        self.settle();
        let received = i64::from(self.watched.client.received);
        assert_eq!(self.may + received, i64::from(CONNECTION_WINDOW));
        assert_eq!(self.watched.client.streams.len(), 0);
        for (id, seen) in &self.watched.seen {
            let served = &self.streams[id];
            match &seen.end {
                None => assert!(seen.is_reset, "{id} has no end"),
                Some(Ok(())) => {
                    assert!(served.is_answered, "{id}: {served:?}");
                    assert_eq!((seen.status, seen.length), (served.status, served.sent));
                }
                Some(Err(StreamError::NotProcessed(_))) => {
                    assert!(served.status.is_none() && (*id > last || served.is_reset));
                }
                Some(Err(StreamError::Ended(_))) => assert!(served.is_reset && !seen.is_reset),
                Some(Err(failure)) => panic!("{id}: {failure:?}"),
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..3 {
            self.delivers(usize::MAX);
            for which in 0..u16::try_from(self.watched.seen.len()).unwrap() {
                self.watched.consume(which);
            }
            self.to_server.append(self.watched.client.output());
            let all = std::mem::take(&mut self.to_server);
            self.hears(&all);
        }
    }
}
