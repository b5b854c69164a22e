use super::*;
use crate::http::h2_stand_in::{
    HEADER_TABLE_SIZE, Heard, MAX_FRAME_SIZE, PREFACE, Speaker, acknowledgement, data, frame,
    goaway, padded_data, ping, pong, reset, settings, window,
};
use ringline_h2::frame::{
    FLAG_END_HEADERS, FLAG_END_STREAM, FLAG_PADDED, FLAG_PRIORITY, FRAME_CONTINUATION, FRAME_DATA,
    FRAME_GOAWAY, FRAME_HEADERS, FRAME_PING, FRAME_PRIORITY, FRAME_PUSH_PROMISE, FRAME_RST_STREAM,
    FRAME_SETTINGS, FRAME_WINDOW_UPDATE,
};
use ureq_proto::http::Method;

mod fuzz;

/// A connection and its server, in memory.
struct Pair {
    client: Http2,
    server: Speaker,
    now: Moment,
}

impl Pair {
    /// On which both sides have said their SETTINGS.
    fn new() -> Self {
        Self::of(&[])
    }

    /// The server has these.
    fn of(of: &[(u16, u32)]) -> Self {
        let mut pair = Self::silent();
        pair.says(&settings(of));
        pair.hears();
        pair
    }

    /// The server has said nothing yet.
    fn silent() -> Self {
        let now = Moment::at(Duration::from_secs(100));
        Self { client: Http2::new(now), server: Speaker::new(), now }
    }

    fn open(&mut self, request: &Request) -> StreamId {
        self.client.open(request, self.now).unwrap()
    }

    /// So many streams without a body, of which the server has heard.
    fn with_streams(number: u32) -> Self {
        let mut pair = Self::new();
        for at in 0..number {
            assert_eq!(pair.open(&get("/")), 2 * at + 1);
        }
        pair.hears();
        pair
    }

    /// What the client has sent meanwhile.
    fn hears(&mut self) -> Vec<Heard> {
        let sent = std::mem::take(self.client.output());
        self.server.hears(&sent)
    }

    fn says(&mut self, bytes: &[u8]) {
        self.client.receive(bytes, self.now).unwrap();
    }

    /// The server sends a head.
    fn answers(&mut self, stream: StreamId, status: u16, ends: bool) {
        let head = self.server.head(stream, status, ends);
        self.says(&head);
    }

    /// Ends the connection by what the server says: why, and what the server hears of it.
    fn breaks(mut self, bytes: &[u8]) -> (String, ErrorCode) {
        self.hears();
        let Err(StreamError::Malformed(why)) = self.client.receive(bytes, self.now) else {
            panic!("it is accepted: {bytes:?}")
        };
        let heard = self.hears();
        let Some(Heard::GoAway(code)) = heard.last() else { panic!("no GOAWAY: {heard:?}") };
        (why, *code)
    }

    /// What was told of the streams: `1: 200`, `1: {"a"`, `1 ends`.
    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some((stream, event)) = self.client.next_event() {
            told.push(match event {
                StreamEvent::Head(head) => format!("{stream}: {}", head.status.as_u16()),
                StreamEvent::Data(piece) if piece.len() > 20 => {
                    format!("{stream}: {}", piece.len())
                }
                StreamEvent::Data(piece) => {
                    format!("{stream}: {}", String::from_utf8(piece).unwrap())
                }
                StreamEvent::End => format!("{stream} ends"),
                StreamEvent::Failed(failure) => format!("{stream} fails: {failure:?}"),
            });
        }
        told
    }

    /// `1 fails: …` of the one stream, and what the server hears of it.
    fn stream_fails(&mut self, bytes: &[u8], why: &str, code: ErrorCode) {
        self.hears();
        self.says(bytes);
        assert_eq!(self.told().last(), Some(&format!("1 fails: Malformed({why:?})")));
        assert!(self.hears().contains(&Heard::Reset(1, code)), "{why}");
        // The connection goes on.
        let next = self.open(&get("/next"));
        self.answers(next, 200, true);
        assert_eq!(self.told(), [format!("{next}: 200"), format!("{next} ends")]);
    }

    fn later(&mut self, seconds: f32) {
        self.now = self.now + Duration::from_secs_f32(seconds);
    }
}

fn get(target: &str) -> Request {
    Request {
        method: Method::GET,
        target: target.to_owned(),
        authority: "api:6443".to_owned(),
        headers: Vec::new(),
        body: None,
    }
}

fn post(length: usize) -> Request {
    Request { method: Method::POST, body: Some("b".repeat(length)), ..get("/evictions") }
}

fn with_token(token: &str) -> Request {
    let mut value = HeaderValue::from_str(token).unwrap();
    value.set_sensitive(true);
    Request { headers: vec![(header::AUTHORIZATION, value)], ..get("/") }
}

/// Of the bodies: from which stream, how long, whether that was all.
fn bodies(heard: &[Heard]) -> Vec<(u32, usize, bool)> {
    let body = |heard: &Heard| match heard {
        Heard::Data { stream, payload, ends } => Some((*stream, payload.len(), *ends)),
        _ => None,
    };
    heard.iter().filter_map(body).collect()
}

fn sent(bodies: &[(u32, usize, bool)]) -> usize {
    bodies.iter().map(|(_, length, _)| length).sum()
}

/// By how much the client has widened the window of this stream, or of the connection.
fn widened(heard: &[Heard], of: u32) -> u32 {
    let window = |heard: &Heard| match heard {
        Heard::Window(stream, increment) if *stream == of => Some(*increment),
        _ => None,
    };
    heard.iter().filter_map(window).sum()
}

/// CONTINUATION, or what else has no padding.
fn part(kind: u8, stream: u32, ends: bool, block: &[u8]) -> Vec<u8> {
    frame(kind, u8::from(ends) * FLAG_END_HEADERS, stream, block)
}

// What a client sends.

#[test]
fn it_begins_with_its_preface_and_settings() {
    let mut client = Http2::new(Moment::START);
    assert!(client.output().starts_with(PREFACE));
    let mut server = Speaker::new();
    assert_eq!(
        server.hears(client.output()),
        [
            Heard::Settings(vec![(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, STREAM_WINDOW)]),
            Heard::Window(0, CONNECTION_WINDOW - FIRST_WINDOW)
        ]
    );
}

#[test]
fn a_request_has_its_pseudo_headers_first_and_ends_with_its_head_or_body() {
    let mut pair = Pair::new();
    pair.open(&Request {
        headers: vec![(header::ACCEPT, HeaderValue::from_static("application/json"))],
        ..get("/api/v1/nodes?a=b")
    });
    pair.open(&post(3));
    let empty = Request { body: Some(String::new()), ..post(0) };
    pair.open(&empty);
    let text = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let of = |method, path, more: &[(&str, &str)]| {
        let pseudo = [(":method", method), (":scheme", "https"), (":authority", "api:6443")];
        text(&[&pseudo[..], &[(":path", path)], more].concat())
    };
    let heard: Vec<_> = pair
        .hears()
        .into_iter()
        .map(|heard| match heard {
            Heard::Head { stream, fields, ends, .. } => (stream, fields, ends),
            Heard::Data { stream, payload, ends } => {
                (stream, text(&[("body", std::str::from_utf8(&payload).unwrap())]), ends)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        heard,
        [
            (1, of("GET", "/api/v1/nodes?a=b", &[("accept", "application/json")]), true),
            (3, of("POST", "/evictions", &[("content-length", "3")]), false),
            (3, text(&[("body", "bbb")]), true),
            (5, of("POST", "/evictions", &[("content-length", "0")]), true),
        ]
    );
}

#[test]
fn the_bearer_token_is_never_indexed_and_no_table_keeps_it() {
    for length in [1, 119, 120, 126, 127, 128, 1000, 16_000] {
        let mut pair = Pair::new();
        let token = format!("Bearer {}", "t".repeat(length));
        for _ in 0..2 {
            pair.open(&with_token(&token));
        }
        let mut table = Decoder::new(TABLE);
        for heard in pair.hears() {
            let Heard::Head { fields, block, .. } = heard else { panic!("{heard:?}") };
            assert_eq!(fields.last(), Some(&("authorization".to_owned(), token.clone())));
            let field = [&[0x10, 13], &b"authorization"[..]].concat();
            assert!(block.windows(field.len()).any(|part| part == field), "{block:?}");
            table.decode(&block).unwrap();
            // The youngest entry of the dynamic table is no. 62.
            assert!(table.decode(&[0xbe]).is_err(), "the table is empty");
        }
    }
}

#[test]
fn a_head_longer_than_a_frame_goes_on_in_continuations() {
    for (most, parts) in [(16_384, 3), (32_768, 2)] {
        let mut pair = Pair::of(&[(MAX_FRAME_SIZE, most)]);
        pair.server.largest_frame = most;
        let token = "t".repeat(40 * 1024);
        pair.open(&Request { body: Some("b".into()), ..with_token(&token) });
        let heard = pair.hears();
        let Heard::Head { fields, parts: came, ends, .. } = &heard[0] else { panic!("{heard:?}") };
        assert_eq!((fields.last().unwrap().1.len(), *came, *ends), (token.len(), parts, false));
        assert_eq!(bodies(&heard), [(1, 1, true)]);
    }
    let mut pair = Pair::new();
    // The first head tells the size of the table, too.
    pair.open(&get("/"));
    pair.open(&with_token(&"t".repeat(16_000)));
    let Heard::Head { block, .. } = &pair.hears()[1] else { panic!() };
    let overhead = block.len() - 16_000;
    for (length, came) in [(16_384 - overhead, 1), (16_385 - overhead, 2)] {
        pair.open(&with_token(&"t".repeat(length)));
        let Heard::Head { parts, ends, .. } = pair.hears()[0] else { panic!() };
        // It ends with its head, whose first frame says so.
        assert_eq!((parts, ends), (came, true), "{length}");
    }
}

#[test]
fn a_body_longer_than_the_windows_goes_out_in_parts_and_ends_once() {
    let mut pair = Pair::new();
    let id = pair.open(&post(150_000));
    let heard = bodies(&pair.hears());
    assert_eq!(sent(&heard), 65_535);
    assert!(heard.iter().all(|(_, length, ends)| *length <= 16_384 && !ends), "{heard:?}");
    // Either window alone is not enough.
    pair.says(&window(0, 100_000));
    assert_eq!(bodies(&pair.hears()), []);
    pair.says(&window(id, 10));
    assert_eq!(bodies(&pair.hears()), [(id, 10, false)]);
    pair.says(&window(id, 84_455));
    let heard = bodies(&pair.hears());
    assert_eq!(sent(&heard), 84_455);
    assert_eq!(heard.iter().filter(|(_, _, ends)| *ends).count(), 1);
    assert!(heard.last().unwrap().2);
    pair.says(&[window(0, 1000), window(id, 1000)].concat());
    assert_eq!(pair.hears(), []);
    pair.answers(id, 201, true);
    assert_eq!(pair.told(), ["1: 201", "1 ends"]);
    assert_eq!(pair.hears(), []);
}

#[test]
fn the_66th_body_waits_for_the_window_of_the_connection() {
    let mut pair = Pair::new();
    for _ in 0..100 {
        pair.open(&post(1000));
    }
    let heard = pair.hears();
    let heads = heard.iter().filter(|heard| matches!(heard, Heard::Head { .. })).count();
    assert_eq!(heads, 100);
    let before = bodies(&heard);
    assert_eq!(sent(&before), 65_535);
    assert_eq!(before.iter().filter(|(_, _, ends)| *ends).count(), 65);
    assert_eq!(before.last(), Some(&(131, 535, false)));
    pair.says(&window(0, 34_465));
    let after = bodies(&pair.hears());
    assert_eq!(after[0], (131, 465, true));
    assert_eq!((sent(&after), after.len()), (34_465, 35));
    assert!(after.iter().all(|(_, _, ends)| *ends));
}

#[test]
fn an_answer_before_the_end_of_the_request_is_the_answer() {
    let mut pair = Pair::new();
    let id = pair.open(&post(100_000));
    pair.answers(id, 413, true);
    assert_eq!(pair.told(), ["1: 413", "1 ends"]);
    assert_eq!(pair.hears().last(), Some(&Heard::Reset(id, ErrorCode::Cancel)));
    pair.says(&[reset(id, ErrorCode::NoError), window(id, 5)].concat());
    pair.says(&window(0, 100_000));
    assert_eq!(pair.hears(), [], "nobody waits for the rest");
}

// SETTINGS.

#[test]
fn settings_are_acknowledged_and_unknown_ones_ignored() {
    let mut pair = Pair::silent();
    pair.hears();
    pair.says(&settings(&[(HEADER_TABLE_SIZE, 0), (0xdead, 7), (6, 1), (8, 1)]));
    assert_eq!(pair.hears(), [Heard::Acknowledged]);
    pair.says(&acknowledgement());
    assert_eq!(pair.hears(), []);
}

#[test]
fn settings_that_are_not_named_stay_as_they_were() {
    let mut pair = Pair::of(&[
        (MAX_CONCURRENT_STREAMS, 7),
        (INITIAL_WINDOW_SIZE, 10),
        (MAX_FRAME_SIZE, 20_000),
    ]);
    pair.says(&[settings(&[]), settings(&[(HEADER_TABLE_SIZE, 100)])].concat());
    assert_eq!(pair.hears(), [Heard::Acknowledged, Heard::Acknowledged]);
    assert_eq!((pair.client.slots(), pair.client.capacity()), (Some(7), 7));
    let id = pair.open(&post(30_000));
    assert_eq!(sent(&bodies(&pair.hears())), 10);
    pair.server.largest_frame = 20_000;
    pair.says(&window(id, 40_000));
    assert_eq!(bodies(&pair.hears()), [(id, 20_000, false), (id, 9_990, true)]);
}

#[test]
fn settings_that_cannot_be_end_the_connection() {
    for (bytes, code, why) in [
        (frame(FRAME_SETTINGS, 0, 0, &[0; 5]), ErrorCode::FrameSizeError, "frame size error"),
        (
            frame(FRAME_SETTINGS, FLAG_END_STREAM, 0, &[0; 6]),
            ErrorCode::FrameSizeError,
            "frame size error",
        ),
        (frame(FRAME_SETTINGS, 0, 1, &[]), ErrorCode::ProtocolError, "SETTINGS of a stream"),
        (settings(&[(ENABLE_PUSH, 1)]), ErrorCode::ProtocolError, "SETTINGS with ENABLE_PUSH"),
        (
            settings(&[(MAX_FRAME_SIZE, 16_383)]),
            ErrorCode::ProtocolError,
            "SETTINGS with a MAX_FRAME_SIZE that it cannot have",
        ),
        (
            settings(&[(MAX_FRAME_SIZE, 1 << 24)]),
            ErrorCode::ProtocolError,
            "SETTINGS with a MAX_FRAME_SIZE that it cannot have",
        ),
        (
            settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)]),
            ErrorCode::FlowControlError,
            "flow control error",
        ),
    ] {
        assert_eq!(Pair::with_streams(1).breaks(&bytes), (why.to_owned(), code));
    }
    let (_, code) = Pair::new().breaks(&settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)]));
    assert_eq!(code, ErrorCode::FlowControlError, "also where no stream is open");
    for fine in [
        (ENABLE_PUSH, 0),
        (MAX_FRAME_SIZE, 16_384),
        (MAX_FRAME_SIZE, (1 << 24) - 1),
        (INITIAL_WINDOW_SIZE, (1 << 31) - 1),
    ] {
        Pair::with_streams(1).says(&settings(&[fine]));
    }
}

#[test]
fn the_first_window_counts_for_open_streams_too_and_may_be_negative() {
    let mut pair = Pair::new();
    let id = pair.open(&post(1000));
    let second = pair.open(&post(70_000));
    assert_eq!(sent(&bodies(&pair.hears())), 65_535);
    pair.says(&window(0, 1 << 20));
    // 64,535 were sent on the second, 1000 is left.
    assert_eq!(bodies(&pair.hears()), [(second, 1000, false)]);
    pair.says(&settings(&[(INITIAL_WINDOW_SIZE, 100)]));
    assert_eq!(pair.client.streams[&second].send_window, 100 - 65_535);
    pair.says(&window(second, 65_435));
    assert_eq!(bodies(&pair.hears()), [], "its window is 0 now");
    pair.says(&window(second, 3));
    assert_eq!(bodies(&pair.hears()), [(second, 3, false)]);
    let third = pair.open(&post(200));
    assert_eq!(bodies(&pair.hears()), [(third, 100, false)]);
    pair.says(&settings(&[(INITIAL_WINDOW_SIZE, 150)]));
    assert_eq!(bodies(&pair.hears()), [(second, 50, false), (third, 50, false)]);
    pair.says(&settings(&[(INITIAL_WINDOW_SIZE, 65_535)]));
    assert_eq!(bodies(&pair.hears()), [(second, 4412, true), (third, 50, true)]);
    pair.answers(id, 200, true);
    assert_eq!(pair.told(), ["1: 200", "1 ends"]);
    let _ = pair.open(&post(70_000));
    pair.hears();
    pair.says(&settings(&[(INITIAL_WINDOW_SIZE, (1 << 31) - 1)]));
}

#[test]
fn windows_too_wide_end_their_stream_or_the_connection() {
    let most = (1 << 31) - 1;
    let pair = Pair::with_streams(1);
    let (why, code) = pair.breaks(&window(0, most));
    assert_eq!((why.as_str(), code), ("flow control error", ErrorCode::FlowControlError));
    Pair::with_streams(1).says(&window(0, most - 65_535));
    Pair::with_streams(1).says(&window(1, most - 65_535));
    Pair::with_streams(1).stream_fails(&window(1, most), TOO_WIDE, ErrorCode::FlowControlError);
    // What it was told to have besides is too much for an open stream.
    let mut pair = Pair::with_streams(1);
    pair.says(&window(1, most - 65_535));
    let (_, code) = pair.breaks(&settings(&[(INITIAL_WINDOW_SIZE, 65_536)]));
    assert_eq!(code, ErrorCode::FlowControlError);
    for stream in [0, 1] {
        let (_, code) = Pair::with_streams(1).breaks(&window(stream, 0));
        assert_eq!(code, ErrorCode::ProtocolError);
    }
}

#[test]
fn as_many_streams_as_settings_allow_and_100_before_they_come() {
    let mut pair = Pair::silent();
    assert_eq!((pair.client.slots(), pair.client.capacity()), (Some(100), 100));
    for _ in 0..100 {
        pair.open(&get("/"));
    }
    assert_eq!(pair.client.slots(), Some(0));
    pair.says(&settings(&[(MAX_CONCURRENT_STREAMS, 102)]));
    assert_eq!((pair.client.slots(), pair.client.capacity()), (Some(2), 102));
    // Lowered below what is open.
    pair.says(&settings(&[(MAX_CONCURRENT_STREAMS, 99)]));
    assert_eq!(pair.client.slots(), Some(0));
    for (id, slots) in [(1, 0), (3, 1), (5, 2)] {
        pair.answers(id, 200, true);
        assert_eq!(pair.client.slots(), Some(slots));
    }
    pair.client.reset(7);
    assert_eq!(pair.client.slots(), Some(3));
    pair.says(&settings(&[(MAX_CONCURRENT_STREAMS, 0)]));
    assert_eq!((pair.client.slots(), pair.client.capacity()), (Some(0), 0));
    pair.says(&settings(&[(MAX_CONCURRENT_STREAMS, u32::MAX)]));
    assert_eq!(pair.client.slots(), Some(u32::MAX as usize - 96));
}

#[test]
fn settings_come_first() {
    for bytes in [
        ping([0; 8]),
        acknowledgement(),
        window(0, 1),
        frame(0xfe, 0, 0, &[]),
        frame(FRAME_DATA, 0, 0, b"a"),
    ] {
        let (why, code) = Pair::silent().breaks(&bytes);
        assert_eq!(why, "what comes first is not HTTP/2's SETTINGS");
        assert_eq!(code, ErrorCode::ProtocolError);
    }
}

#[test]
fn a_page_in_http_1_is_found_by_its_first_nine_bytes() {
    let page = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let mut pair = Pair::silent();
    pair.open(&get("/"));
    pair.says(&page[..8]);
    let (why, _) = pair.breaks(&page[8..9]);
    assert_eq!(why, "it answers in HTTP/1.1 where HTTP/2 was agreed");
    let (why, _) = Pair::silent().breaks(page);
    assert_eq!(why, "it answers in HTTP/1.1 where HTTP/2 was agreed");
}

// Frames.

#[test]
fn byte_by_byte_comes_the_same_as_at_once() {
    let conversation = |pair: &mut Pair| {
        let server = &mut pair.server;
        let long = "v".repeat(300);
        let block = server.block(&[(":status", "200"), ("a", &long), ("content-length", "5")]);
        [
            settings(&[(MAX_CONCURRENT_STREAMS, 50), (INITIAL_WINDOW_SIZE, 1 << 20)]),
            server.head(1, 103, false),
            part(FRAME_HEADERS, 3, false, &block[..100]),
            part(FRAME_CONTINUATION, 3, false, &block[100..200]),
            part(FRAME_CONTINUATION, 3, true, &block[200..]),
            server.answer(1, b"first"),
            padded_data(3, b"thi", 200, false),
            ping(*b"12345678"),
            frame(0xbe, 0xff, 3, b"unknown"),
            server.answer(7, b""),
            data(3, b"rd", false),
            server.head_with(3, &[("grpc-status", "0")], true),
            reset(5, ErrorCode::RefusedStream),
            goaway(9, ErrorCode::NoError, ""),
            server.answer(9, b"last"),
        ]
        .concat()
    };
    let open = || {
        let mut pair = Pair::silent();
        for _ in 0..6 {
            pair.open(&post(20_000));
        }
        pair.hears();
        pair
    };
    let mut at_once = open();
    let bytes = conversation(&mut at_once);
    at_once.says(&bytes);
    let told = at_once.told();
    assert_eq!(told.len(), 14, "{told:?}");
    let mut one_by_one = open();
    for byte in &bytes {
        one_by_one.says(&[*byte]);
    }
    assert_eq!(one_by_one.told(), told);
    let (a, b) = (at_once.hears(), one_by_one.hears());
    assert_eq!(sent(&bodies(&a)), sent(&bodies(&b)));
    let besides = |heard: Vec<Heard>| -> Vec<Heard> {
        heard.into_iter().filter(|heard| !matches!(heard, Heard::Data { .. })).collect()
    };
    assert_eq!(besides(a), besides(b));
    assert!(one_by_one.client.input.is_empty());
}

#[test]
fn frames_that_cannot_be_end_the_connection() {
    let long = [&[0xff, 0xff, 0xff][..], &[FRAME_DATA, 0, 0, 0, 0, 1]].concat();
    for (bytes, code) in [
        // Before it is there.
        (long, ErrorCode::FrameSizeError),
        (vec![0, 0x40, 1, 0xfe, 0, 0, 0, 0, 0], ErrorCode::FrameSizeError),
        (data(0, b"a", false), ErrorCode::ProtocolError),
        (frame(FRAME_HEADERS, FLAG_END_HEADERS, 0, &[0x88]), ErrorCode::ProtocolError),
        (frame(FRAME_RST_STREAM, 0, 1, &[0; 3]), ErrorCode::FrameSizeError),
        (reset(0, ErrorCode::Cancel), ErrorCode::ProtocolError),
        (frame(FRAME_PING, 0, 0, &[0; 7]), ErrorCode::FrameSizeError),
        (frame(FRAME_PING, 0, 1, &[0; 8]), ErrorCode::ProtocolError),
        (frame(FRAME_WINDOW_UPDATE, 0, 0, &[0; 5]), ErrorCode::FrameSizeError),
        (frame(FRAME_GOAWAY, 0, 0, &[0; 7]), ErrorCode::FrameSizeError),
        (frame(FRAME_GOAWAY, 0, 1, &[0; 8]), ErrorCode::ProtocolError),
        (frame(FRAME_DATA, FLAG_PADDED, 1, &[]), ErrorCode::FrameSizeError),
        (frame(FRAME_DATA, FLAG_PADDED, 1, &[1]), ErrorCode::ProtocolError),
        (frame(FRAME_DATA, FLAG_PADDED, 1, &[9, 1, 2]), ErrorCode::ProtocolError),
        (
            frame(FRAME_HEADERS, FLAG_END_HEADERS | FLAG_PRIORITY, 1, &[0; 4]),
            ErrorCode::FrameSizeError,
        ),
        (frame(FRAME_PUSH_PROMISE, FLAG_END_HEADERS, 1, &[0, 0, 0, 2]), ErrorCode::ProtocolError),
        (part(FRAME_CONTINUATION, 1, true, &[0x88]), ErrorCode::ProtocolError),
        // An index that no table has; a table larger than was agreed.
        (frame(FRAME_HEADERS, FLAG_END_HEADERS, 1, &[0xff]), ErrorCode::CompressionError),
        (frame(FRAME_HEADERS, FLAG_END_HEADERS, 1, &[0xbe]), ErrorCode::CompressionError),
        (
            frame(FRAME_HEADERS, FLAG_END_HEADERS, 1, &[0x3f, 0xe2, 0x1f, 0x88]),
            ErrorCode::CompressionError,
        ),
    ] {
        let (why, said) = Pair::with_streams(1).breaks(&bytes);
        assert_eq!(said, code, "{bytes:?}: {why}");
        assert!(!why.is_empty());
    }
}

#[test]
fn frames_that_mean_nothing_are_ignored() {
    let mut pair = Pair::with_streams(1);
    let head = pair.server.head(1, 200, false);
    // With padding and a priority: the block stands between them.
    let flags = FLAG_END_HEADERS | FLAG_PADDED | FLAG_PRIORITY;
    let padded = [&[3, 0, 0, 0, 0, 5], &head[9..], &[0; 3]].concat();
    pair.says(
        &[
            frame(0x10, 0xff, 0, &[1; 100]),
            frame(0xff, 0, 1, &[]),
            frame(0xff, 0, 1001, &[]),
            frame(FRAME_PRIORITY, 0, 1, &[0; 5]),
            frame(FRAME_HEADERS, flags, 1, &padded),
            data(1, b"", false),
            data(1, b"ok", true),
        ]
        .concat(),
    );
    assert_eq!(pair.told(), ["1: 200", "1: ok", "1 ends"]);
    assert_eq!(pair.hears(), []);
}

#[test]
fn a_header_block_that_does_not_end_ends_the_connection_before_64_kib_and_64_frames() {
    let begin = part(FRAME_HEADERS, 1, false, &[]);
    let mut pair = Pair::with_streams(1);
    pair.says(&begin);
    let part_of = |length| part(FRAME_CONTINUATION, 1, false, &vec![0x88; length]);
    for _ in 0..4 {
        pair.says(&part_of(16_384));
        assert!(pair.client.block.as_ref().unwrap().bytes.len() <= BLOCK_LIMIT);
    }
    let (why, code) = pair.breaks(&part_of(1));
    assert_eq!(why, "the head of an answer does not end");
    assert_eq!(code, ErrorCode::EnhanceYourCalm);
    let mut pair = Pair::with_streams(1);
    pair.says(&begin);
    for _ in 0..63 {
        pair.says(&part_of(0));
    }
    let (why, code) = pair.breaks(&part_of(0));
    assert_eq!(why, "the head of an answer does not end");
    assert_eq!(code, ErrorCode::EnhanceYourCalm);
}

/// A name of one byte and a value of 4000, which goes into the table, and then as often as there is room for.
#[test]
fn a_block_that_is_unpacked_to_far_more_is_no_head() {
    let value = "v".repeat(4000);
    let length: &[u8] = &[0x7f, 0xa1, 0x1e];
    let entry = [&[0x88, 0x40, 1, b'a'][..], length, value.as_bytes()].concat();
    let most = BLOCK_LIMIT / (value.len() + 1);
    for (times, fits) in [(most - 1, true), (most, false), (200, false)] {
        let mut pair = Pair::with_streams(1);
        let named = vec![0xbe; times];
        let flags = FLAG_END_HEADERS | FLAG_END_STREAM;
        let head = frame(FRAME_HEADERS, flags, 1, &[&entry[..], &named].concat());
        if fits {
            pair.says(&head);
            assert_eq!(pair.told(), ["1: 200", "1 ends"]);
        } else {
            let why = format!("its head is longer than {BLOCK_LIMIT} bytes");
            pair.stream_fails(&head, &why, ErrorCode::ProtocolError);
        }
    }
}

#[test]
fn a_short_header_block_is_not_an_endless_answer() {
    // An index of one byte each, to a field of 3 kB.
    let mut pair = Pair::with_streams(1);
    let long = "v".repeat(3000);
    let block = pair.server.block(&[(":status", "200"), ("a", &long)]);
    let bytes = [&block[..], &[0xbe; 10_000]].concat();
    let (_, code) = pair.breaks(&part(FRAME_HEADERS, 1, true, &bytes));
    assert_eq!(code, ErrorCode::EnhanceYourCalm);
}

#[test]
fn nothing_comes_within_a_header_block() {
    let mut server = Speaker::new();
    let head = server.head(3, 200, true);
    for between in [
        head,
        data(1, b"a", false),
        settings(&[]),
        ping([0; 8]),
        frame(0xfe, 0, 0, &[]),
        part(FRAME_CONTINUATION, 3, true, &[0x88]),
    ] {
        let mut pair = Pair::with_streams(2);
        pair.says(&part(FRAME_HEADERS, 1, false, &[0x88]));
        assert_eq!(pair.told(), Vec::<String>::new());
        let (why, code) = pair.breaks(&between);
        assert_eq!(why, "a header block is interrupted");
        assert_eq!(code, ErrorCode::ProtocolError);
    }
}

#[test]
fn frames_for_streams_that_were_never_opened_end_the_connection() {
    for stream in [2, 3, 101, (1 << 31) - 1] {
        let mut server = Speaker::new();
        for bytes in [
            server.head(stream, 200, true),
            data(stream, b"a", true),
            reset(stream, ErrorCode::Cancel),
            window(stream, 1),
        ] {
            let (why, code) = Pair::with_streams(1).breaks(&bytes);
            assert_eq!(why, "it answers what was not asked");
            assert_eq!(code, ErrorCode::ProtocolError);
        }
    }
}

// Receiving.

#[test]
fn answers_come_side_by_side() {
    let mut pair = Pair::with_streams(3);
    let heads: Vec<_> = [(5, 200), (1, 404), (3, 201)]
        .map(|(id, status)| pair.server.head(id, status, false))
        .concat();
    pair.says(&heads);
    pair.says(&[data(3, b"b", false), data(1, b"a", true), data(3, b"bb", true)].concat());
    pair.says(&data(5, b"", true));
    assert_eq!(
        pair.told(),
        ["5: 200", "1: 404", "3: 201", "3: b", "1: a", "1 ends", "3: bb", "3 ends", "5 ends"]
    );
}

#[test]
fn padding_counts_against_both_windows() {
    let mut pair = Pair::with_streams(2);
    pair.answers(1, 200, false);
    pair.told();
    // 256 bytes each that nobody is told of, for 4 MiB.
    let (mut stream, mut connection) = (i64::from(STREAM_WINDOW), i64::from(CONNECTION_WINDOW));
    for _ in 0..16_384 {
        pair.says(&padded_data(1, b"", 255, false));
        let heard = pair.hears();
        stream += i64::from(widened(&heard, 1)) - 256;
        connection += i64::from(widened(&heard, 0)) - 256;
        assert!(stream > 0 && connection > 0, "the server can go on");
        assert!(stream <= i64::from(STREAM_WINDOW) && connection <= i64::from(CONNECTION_WINDOW));
    }
    pair.says(&padded_data(1, b"end", 255, true));
    assert_eq!(pair.told(), ["1: end", "1 ends"]);
    // A stream's window that only padding fills.
    let head = pair.server.head(3, 200, false);
    let full = [padded_data(3, &[0; 4000], 95, false).repeat(255), data(3, &[0; 4096], false)];
    pair.says(&[head, full.concat()].concat());
    assert_eq!(pair.told().len(), 257);
    pair.says(&padded_data(3, b"", 0, false));
    assert_eq!(pair.told(), ["3 fails: Malformed(\"more came than was allowed\")"]);
}

#[test]
fn more_may_come_when_what_came_was_used() {
    let mut pair = Pair::with_streams(2);
    pair.answers(1, 200, false);
    pair.answers(3, 200, false);
    let piece = [7; 16_000];
    for _ in 0..65 {
        pair.says(&data(1, &piece, false));
    }
    pair.says(&data(1, &piece[..8576], false));
    assert_eq!(pair.hears(), [], "nothing was used");
    pair.client.consume(1, 524_287);
    assert_eq!(pair.hears(), []);
    pair.client.consume(1, 1);
    assert_eq!(pair.hears(), [Heard::Window(1, 524_288)]);
    pair.told();
    // The other gets megabytes meanwhile.
    let mut windows = (STREAM_WINDOW, CONNECTION_WINDOW - STREAM_WINDOW);
    for _ in 0..1000 {
        pair.says(&data(3, &piece, false));
        pair.client.consume(3, piece.len());
        let heard = pair.hears();
        assert_eq!(widened(&heard, 1), 0);
        windows.0 = windows.0 + widened(&heard, 3) - 16_000;
        windows.1 = windows.1 + widened(&heard, 0) - 16_000;
        assert!(windows.0 >= 16_000 && windows.1 >= 16_000, "{windows:?}");
        assert_eq!(pair.told().len(), 1);
    }
}

#[test]
fn more_than_the_windows_allow_ends_the_stream_or_the_connection() {
    let piece = [7; 16_384];
    let mut pair = Pair::with_streams(1);
    let head = pair.server.head(1, 200, false);
    let (fits, more) = (data(1, &piece, false).repeat(64), data(1, b"!", false));
    pair.says(&[head, fits].concat());
    assert_eq!(pair.told().len(), 65);
    pair.stream_fails(&more, "more came than was allowed", ErrorCode::FlowControlError);
    // All streams together, where nothing could be widened.
    let mut pair = Pair::with_streams(1);
    pair.client.received = CONNECTION_WINDOW;
    let (why, code) = pair.breaks(&data(1, b"!", false));
    assert_eq!((why.as_str(), code), ("flow control error", ErrorCode::FlowControlError));
}

#[test]
fn an_interim_answer_is_not_the_answer() {
    let mut pair = Pair::with_streams(1);
    for status in [100, 103, 199] {
        pair.answers(1, status, false);
    }
    assert_eq!(pair.told(), Vec::<String>::new());
    pair.answers(1, 429, false);
    pair.says(&data(1, b"{}", true));
    assert_eq!(pair.told(), ["1: 429", "1: {}", "1 ends"]);
    let mut pair = Pair::with_streams(1);
    let last = pair.server.head(1, 100, true);
    pair.stream_fails(&last, "an interim answer is the last", ErrorCode::ProtocolError);
    // After the answer it is one answer too many.
    let mut pair = Pair::with_streams(1);
    pair.answers(1, 200, false);
    let late = pair.server.head(1, 100, false);
    pair.stream_fails(&late, "a second head", ErrorCode::ProtocolError);
}

#[test]
fn trailers_end_an_answer() {
    let mut pair = Pair::with_streams(1);
    pair.answers(1, 200, false);
    let trailers = pair.server.head_with(1, &[("grpc-status", "0")], true);
    pair.says(&[data(1, b"a", false), trailers].concat());
    assert_eq!(pair.told(), ["1: 200", "1: a", "1 ends"]);
    let mut pair = Pair::with_streams(1);
    let head = pair.server.head_with(1, &[(":status", "200"), ("content-length", "2")], false);
    let trailers = pair.server.head_with(1, &[("grpc-status", "0")], true);
    pair.says(&[head, data(1, b"a", false), trailers].concat());
    assert_eq!(pair.told()[2], "1 fails: Ended(\"its body is shorter than its content-length\")");
}

#[test]
fn a_body_is_as_long_as_its_content_length() {
    let cut = "1 fails: Ended(\"its body is shorter than its content-length\")";
    for (status, length, body, end) in [
        ("200", "0", 0, "1 ends"),
        ("200", "5", 5, "1 ends"),
        ("200", "5", 4, cut),
        ("200", "5", 0, cut),
        // They may tell of what does not come.
        ("204", "5", 0, "1 ends"),
        ("304", "5", 0, "1 ends"),
    ] {
        for with_head in [true, false].into_iter().filter(|with_head| body == 0 || !with_head) {
            let mut pair = Pair::with_streams(1);
            let fields = [(":status", status), ("content-length", length)];
            let head = pair.server.head_with(1, &fields, with_head);
            pair.says(&head);
            if !with_head {
                pair.says(&data(1, &vec![b'a'; body], true));
            }
            assert_eq!(pair.told().last().unwrap(), end, "{status} {length} {body}");
            assert_eq!(pair.client.slots(), Some(100));
        }
    }
    let mut pair = Pair::with_streams(1);
    let head = pair.server.head_with(1, &[(":status", "200"), ("content-length", "5")], false);
    pair.says(&[head, data(1, b"abcde", false)].concat());
    let why = "its body is longer than its content-length";
    pair.stream_fails(&data(1, b"f", true), why, ErrorCode::ProtocolError);
}

#[test]
fn a_malformed_answer_ends_its_stream_alone() {
    for (fields, why) in [
        (&[(":status", "20")][..], "its status is no number"),
        (&[(":status", "2x0")], "its status is no number"),
        (&[(":status", "")], "its status is no number"),
        (&[(":status", "200"), (":status", "200")], "it has two statuses"),
        (&[], "it has no status"),
        (&[("server", "a")], "it has no status"),
        (&[(":status", "200"), (":path", "/")], "a header has no usable name"),
        (&[(":status", "200"), ("Server", "a")], "a header has no usable name"),
        (&[(":status", "200"), ("", "a")], "a header has no usable name"),
        (&[(":status", "200"), ("a b", "a")], "a header has no usable name"),
        (&[(":status", "200"), ("a", "b\r\nc: d")], "the header a has no usable value"),
        (&[(":status", "200"), ("a", "\0")], "the header a has no usable value"),
        (&[(":status", "200"), ("content-length", "a")], "its content-length is no number"),
        (&[(":status", "200"), ("content-length", "-1")], "its content-length is no number"),
        (&[(":status", "200"), ("content-length", "+1")], "its content-length is no number"),
        (
            &[(":status", "200"), ("content-length", "1"), ("content-length", "2")],
            "its content-length is no number",
        ),
        (&[(":status", "200"), ("connection", "close")], "it has the header connection"),
        (&[(":status", "200"), ("upgrade", "h2c")], "it has the header upgrade"),
        (
            &[(":status", "200"), ("transfer-encoding", "chunked")],
            "it has the header transfer-encoding",
        ),
    ] {
        let mut pair = Pair::with_streams(1);
        let head = pair.server.head_with(1, fields, false);
        pair.stream_fails(&head, why, ErrorCode::ProtocolError);
    }
    let code = ErrorCode::ProtocolError;
    Pair::with_streams(1).stream_fails(&data(1, b"a", true), "a body without a head", code);
    let mut pair = Pair::with_streams(1);
    pair.answers(1, 200, false);
    let again = pair.server.head(1, 200, false);
    pair.stream_fails(&again, "a second head", code);
}

#[test]
fn a_content_length_may_be_said_twice_alike() {
    let mut pair = Pair::with_streams(1);
    let fields = [(":status", "200"), ("content-length", "1"), ("content-length", "1")];
    let head = pair.server.head_with(1, &fields, false);
    pair.says(&[head, data(1, b"a", true)].concat());
    assert_eq!(pair.told(), ["1: 200", "1: a", "1 ends"]);
}

// GOAWAY, RST_STREAM.

#[test]
fn after_goaway_those_up_to_its_last_id_are_answered_and_the_others_not_processed() {
    let mut pair = Pair::with_streams(4);
    pair.answers(1, 200, false);
    pair.told();
    pair.says(&goaway(3, ErrorCode::NoError, ""));
    let why = "NotProcessed(\"it takes no more requests on this connection (GOAWAY)\")";
    assert_eq!(pair.told(), [format!("5 fails: {why}"), format!("7 fails: {why}")]);
    assert_eq!(pair.client.slots(), None, "nothing new is opened");
    pair.says(&data(1, b"a", true));
    let answer = pair.server.answer(3, b"b");
    pair.says(&answer);
    assert_eq!(pair.told(), ["1: a", "1 ends", "3: 200", "3: b", "3 ends"]);
    assert_eq!(pair.client.slots(), None);
    assert_eq!(pair.hears(), []);
    pair.client.closed(true);
    assert_eq!(pair.told(), Vec::<String>::new());
}

#[test]
fn a_first_goaway_announces_the_second() {
    let mut pair = Pair::with_streams(3);
    pair.says(&goaway((1 << 31) - 1, ErrorCode::NoError, ""));
    assert_eq!(pair.told(), Vec::<String>::new());
    assert_eq!(pair.client.slots(), None);
    pair.says(&goaway(3, ErrorCode::NoError, ""));
    assert_eq!(pair.told().len(), 1);
    // None is taken back.
    pair.says(&goaway(5, ErrorCode::NoError, ""));
    pair.says(&goaway(1, ErrorCode::NoError, ""));
    let told = pair.told();
    assert!(told.len() == 1 && told[0].starts_with("3 fails: NotProcessed"), "{told:?}");
    pair.answers(1, 200, true);
    assert_eq!(pair.told(), ["1: 200", "1 ends"]);
}

#[test]
fn why_it_said_goaway_is_told_with_the_end() {
    let mut pair = Pair::with_streams(2);
    pair.says(&goaway(1, ErrorCode::EnhanceYourCalm, "too_many_pings\n\u{7}"));
    let told = pair.told();
    assert!(told.len() == 1 && told[0].starts_with("3 fails: NotProcessed"), "{told:?}");
    pair.client.closed(true);
    let told = pair.told();
    assert_eq!(told.len(), 1);
    let why = "it closed the connection: GOAWAY (EnhanceYourCalm) too_many_pings";
    assert!(told[0].contains(why), "{told:?}");
    let mut pair = Pair::with_streams(1);
    pair.says(&goaway(1, ErrorCode::InternalError, &"x".repeat(10_000)));
    pair.client.closed(false);
    assert!(pair.told()[0].len() < 400);
    let mut pair = Pair::with_streams(1);
    pair.client.closed(true);
    assert_eq!(pair.told(), ["1 fails: Ended(\"it closed the connection\")"]);
    assert_eq!(pair.client.slots(), None);
}

#[test]
fn a_refused_stream_was_not_processed_and_any_other_reset_ends_it() {
    for (number, code) in [
        (7, ErrorCode::RefusedStream),
        (0, ErrorCode::NoError),
        (1, ErrorCode::ProtocolError),
        (2, ErrorCode::InternalError),
        (8, ErrorCode::Cancel),
        (11, ErrorCode::EnhanceYourCalm),
        (13, ErrorCode::Http11Required),
        (99, ErrorCode::InternalError),
    ] {
        let mut pair = Pair::with_streams(2);
        pair.says(&frame(FRAME_RST_STREAM, 0, 1, &u32::to_be_bytes(number)));
        let kind = if number == 7 { "NotProcessed" } else { "Ended" };
        let why = format!("1 fails: {kind}(\"it reset the stream ({code:?})\")");
        assert_eq!(pair.told(), [why]);
        assert_eq!(pair.client.slots(), Some(99));
        // In the middle of a body, and once.
        pair.answers(3, 200, false);
        pair.says(&reset(3, ErrorCode::InternalError).repeat(2));
        assert_eq!(pair.told().len(), 2);
        assert_eq!(pair.hears(), []);
    }
}

#[test]
fn what_comes_late_for_a_stream_that_was_reset_harms_nobody_and_takes_no_slot() {
    let mut pair = Pair::with_streams(3);
    pair.answers(3, 200, false);
    pair.says(&data(3, b"unread", false));
    for id in [1, 3] {
        pair.client.reset(id);
        pair.client.reset(id);
    }
    assert_eq!(pair.client.slots(), Some(99), "at once");
    assert_eq!(
        pair.hears(),
        [Heard::Reset(1, ErrorCode::Cancel), Heard::Reset(3, ErrorCode::Cancel)]
    );
    assert_eq!(pair.told(), Vec::<String>::new());
    // Its head is written into the table, to which the next one refers.
    let server = &mut pair.server;
    let late = [
        server.head_with(1, &[(":status", "201"), ("audit-id", "a-b-c")], false),
        data(1, b"late", false),
        padded_data(1, b"late", 9, false),
        data(3, b"late", true),
        window(1, 5),
        window(3, 1 << 30),
        window(3, 1 << 30),
        server.head_with(1, &[("trailer", "x")], true),
        reset(1, ErrorCode::StreamClosed),
        server.head_with(5, &[(":status", "201"), ("audit-id", "a-b-c")], false),
    ]
    .concat();
    pair.says(&late);
    let Some((5, StreamEvent::Head(head))) = pair.client.next_event() else { panic!() };
    assert_eq!(
        (head.status.as_u16(), &head.headers["audit-id"]),
        (201, &HeaderValue::from_static("a-b-c"))
    );
    assert_eq!(pair.told(), Vec::<String>::new());
    assert_eq!(pair.hears(), []);
    assert_eq!(pair.client.slots(), Some(99));
    // Its bytes count, as the server counts them.
    assert_eq!(pair.client.received, 6 + 4 + 14 + 4);
    let mut widths = 0;
    for _ in 0..1000 {
        pair.says(&data(1, &[0; 16_384], false));
        widths += widened(&pair.hears(), 0);
    }
    assert_eq!(u64::from(widths) + u64::from(pair.client.received), 28 + 1000 * 16_384);
    assert!(widths >= CONNECTION_WINDOW / 2);
}

#[test]
fn an_answer_that_nobody_wants_any_more_is_not_told() {
    let mut pair = Pair::with_streams(2);
    let answers = [pair.server.answer(1, b"a"), pair.server.answer(3, b"b")].concat();
    pair.says(&answers);
    pair.client.reset(1);
    assert_eq!(pair.told(), ["3: 200", "3: b", "3 ends"]);
    assert_eq!(pair.hears(), [], "it was whole already");
}

#[test]
fn a_reset_takes_back_the_part_of_the_body_that_was_not_sent() {
    let mut pair = Pair::new();
    let first = pair.open(&post(100_000));
    let second = pair.open(&post(1000));
    assert_eq!(sent(&bodies(&pair.hears())), 65_535);
    pair.client.reset(first);
    pair.says(&window(0, 2000));
    assert_eq!(
        pair.hears(),
        [
            Heard::Reset(first, ErrorCode::Cancel),
            Heard::Data { stream: second, payload: vec![b'b'; 1000], ends: true }
        ]
    );
}

#[test]
fn the_last_identifier_is_the_last() {
    let mut pair = Pair::new();
    pair.client.next = (1 << 31) - 3;
    assert_eq!(pair.client.slots(), Some(100));
    pair.open(&get("/"));
    assert_eq!(pair.client.slots(), Some(99));
    assert_eq!(pair.open(&get("/")), (1 << 31) - 1);
    assert_eq!(pair.client.slots(), None);
    pair.answers((1 << 31) - 1, 200, true);
    assert_eq!(pair.told().len(), 2);
}

// PING.

#[test]
fn a_ping_is_answered() {
    let mut pair = Pair::new();
    pair.says(&[ping(*b"abcdefgh"), pong(*b"unasked!"), ping([0; 8])].concat());
    assert_eq!(pair.hears(), [Heard::Pong(*b"abcdefgh"), Heard::Pong([0; 8])]);
}

#[test]
fn after_three_silent_seconds_it_asks_for_a_sign_of_life() {
    let mut pair = Pair::new();
    assert_eq!(pair.client.deadline(), None, "nobody waits");
    pair.later(60.0);
    pair.client.on_time(pair.now).unwrap();
    assert_eq!(pair.hears(), []);
    pair.open(&get("/"));
    pair.hears();
    assert_eq!(pair.client.deadline(), Some(pair.now + SILENCE));
    pair.later(2.9);
    pair.client.on_time(pair.now).unwrap();
    assert_eq!(pair.hears(), []);
    pair.later(0.2);
    pair.client.on_time(pair.now).unwrap();
    let [Heard::Ping(first)] = pair.hears()[..] else { panic!() };
    pair.client.on_time(pair.now).unwrap();
    assert_eq!(pair.hears(), [], "one at a time");
    // Another's answer is none.
    pair.says(&pong([9; 8]));
    assert!(pair.client.ping.is_some());
    pair.says(&pong(first));
    assert_eq!(pair.client.ping, None);
    assert_eq!(pair.client.deadline(), Some(pair.now + SILENCE));
    pair.later(3.0);
    pair.client.on_time(pair.now).unwrap();
    let [Heard::Ping(second)] = pair.hears()[..] else { panic!() };
    assert_ne!(first, second);
}

#[test]
fn whoever_gives_no_sign_of_life_for_six_more_seconds_is_dead() {
    let mut pair = Pair::with_streams(2);
    pair.later(3.0);
    pair.client.on_time(pair.now).unwrap();
    assert_eq!(pair.hears().len(), 1);
    pair.later(5.9);
    pair.client.on_time(pair.now).unwrap();
    pair.later(0.2);
    let failure = pair.client.on_time(pair.now).unwrap_err();
    assert_eq!(failure, StreamError::Ended("no sign of life for 6s".to_owned()));
    pair.client.fail(&failure);
    let why = "fails: Ended(\"no sign of life for 6s\")";
    assert_eq!(pair.told(), [format!("1 {why}"), format!("3 {why}")]);
    assert_eq!((pair.client.slots(), pair.client.deadline()), (None, None));
}

#[test]
fn whatever_comes_is_a_sign_of_life() {
    let mut pair = Pair::with_streams(1);
    pair.answers(1, 200, false);
    pair.later(3.0);
    pair.client.on_time(pair.now).unwrap();
    for _ in 0..10 {
        pair.later(5.0);
        pair.says(&data(1, b"a", false));
        pair.client.on_time(pair.now).unwrap();
    }
    // The next PING goes out after this one was answered.
    assert_eq!(pair.hears(), [Heard::Ping(1_u64.to_be_bytes())]);
    pair.says(&pong(1_u64.to_be_bytes()));
    pair.later(2.9);
    pair.client.on_time(pair.now).unwrap();
    assert_eq!(pair.hears(), []);
    pair.later(0.1);
    pair.client.on_time(pair.now).unwrap();
    assert_eq!(pair.hears(), [Heard::Ping(2_u64.to_be_bytes())]);
}
