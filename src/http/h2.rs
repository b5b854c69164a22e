//! HTTP/2 (RFC 9113), the client's side of one connection: many exchanges at a time, each a stream. Frames and
//! HPACK are read and written by `ringline-h2`; what they mean for the streams is decided here.
//!
//! Nothing is kept of a stream that is over. What still comes for it counts against the connection's window, as it
//! does for the peer, and is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ringline_h2::error::{ErrorCode, H2Error};
use ringline_h2::frame::{self, Frame, FrameHeader};
use ringline_h2::hpack::{Decoder, Encoder, HeaderField};
use ureq_proto::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::excerpt::excerpt;
use crate::http::protocol::{Head, Protocol, Request, StreamError, StreamEvent, StreamId};
use crate::moment::Moment;

/// One connection, from its first byte.
pub struct Http2 {
    /// What came and is no whole frame yet.
    input: Vec<u8>,
    output: Vec<u8>,
    encoder: Encoder,
    decoder: Decoder,
    streams: BTreeMap<StreamId, Stream>,
    /// The next one has this identifier; all odd ones below it were used.
    next: StreamId,
    peer: Peer,
    /// How many more bytes of bodies may be sent on all streams together.
    send_window: i64,
    /// Bytes of bodies that came on all streams since the last window update of the connection.
    received: u32,
    /// A header block of which not all has come.
    block: Option<Block>,
    events: VecDeque<(StreamId, StreamEvent)>,
    /// When something last came, or a request ended a silence.
    last_received: Moment,
    /// The PING that was not answered yet, and when it was sent.
    ping: Option<(u64, Moment)>,
    pings: u64,
}

/// What is known of the peer.
struct Peer {
    /// Whether its SETTINGS have come.
    known: bool,
    /// Its SETTINGS, as far as they matter here.
    most_streams: usize,
    first_window: i64,
    largest_frame: usize,
    /// GOAWAY: it processes no new stream.
    is_leaving: bool,
    /// Why, if it gave an error.
    goodbye: Option<String>,
}

/// An exchange that is not over.
struct Stream {
    /// The part of the request's body that was not sent yet.
    body: Vec<u8>,
    send_window: i64,
    /// How many more bytes the peer may send.
    receive_window: i64,
    /// Bytes that were used since the last window update.
    used: u32,
    expected: Expected,
}

/// What is to come of an answer.
enum Expected {
    Head,
    /// `left`: how many bytes are missing to the length that was announced.
    Body {
        left: Option<u64>,
    },
}

struct Block {
    stream: StreamId,
    bytes: Vec<u8>,
    ends_stream: bool,
    frames: usize,
}

/// What a client sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;

/// The initial size of all windows.
const FIRST_WINDOW: u32 = 65_535;

/// The greatest size of a window.
const LARGEST_WINDOW: i64 = (1 << 31) - 1;

/// What may come on a stream before any of it is used, in bytes. A watch begins with a hundred pods at once, and the
/// API server ends one that falls behind.
const STREAM_WINDOW: u32 = 1 << 20;

/// What may come on all streams together before any of it is used, in bytes: as much as sixteen streams may hold
/// back. It is refilled when something comes, so that no stream that is read slowly stops the others.
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// The largest frame that is taken, in bytes: the least that RFC 9113 lets one announce.
const LARGEST_FRAME: u32 = 16_384;

/// Of one header block so many bytes are taken, and so many it may be unpacked to; an API server's are below 1 kB.
const BLOCK_LIMIT: usize = 64 * 1024;

/// And so many frames: those may be empty.
const BLOCK_FRAMES: usize = 64;

/// How many streams are assumed until SETTINGS say otherwise: as many as RFC 9113 recommends at least, and as
/// Kubernetes has by default.
const USUAL_STREAMS: usize = 100;

/// The peer's dynamic table by default, in bytes.
const TABLE: usize = 4096;

/// After so long without a byte on a connection with open streams, a PING is sent.
const SILENCE: Duration = Duration::from_secs(3);

/// How long its answer may take.
const PING_TIMEOUT: Duration = Duration::from_secs(6);

impl Http2 {
    /// A new one: [`Protocol::output`] holds its preface.
    pub fn new(now: Moment) -> Self {
        let mut output = PREFACE.to_vec();
        // The rest is RFC 9113's default.
        frame::encode_frame_header(&mut output, 12, frame::FRAME_SETTINGS, 0, 0);
        for (id, value) in [(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, STREAM_WINDOW)] {
            output.extend_from_slice(&id.to_be_bytes());
            output.extend_from_slice(&value.to_be_bytes());
        }
        let increment = CONNECTION_WINDOW - FIRST_WINDOW;
        Frame::WindowUpdate { stream_id: 0, increment }.encode(&mut output);
        // Each request is encoded by itself: without a dynamic table.
        let mut encoder = Encoder::new(0);
        encoder.update_max_table_size(0);
        Self {
            input: Vec::new(),
            output,
            encoder,
            decoder: Decoder::new(TABLE),
            streams: BTreeMap::new(),
            next: 1,
            peer: Peer {
                known: false,
                most_streams: USUAL_STREAMS,
                first_window: FIRST_WINDOW.into(),
                largest_frame: LARGEST_FRAME as usize,
                is_leaving: false,
                goodbye: None,
            },
            send_window: FIRST_WINDOW.into(),
            received: 0,
            block: None,
            events: VecDeque::new(),
            last_received: now,
            ping: None,
            pings: 0,
        }
    }
}

impl Protocol for Http2 {
    fn open(&mut self, request: &Request, now: Moment) -> Result<StreamId, String> {
        let id = self.next;
        self.next += 2;
        if self.streams.is_empty() {
            self.last_received = now;
        }
        let body = request.body.as_deref().unwrap_or_default().as_bytes().to_vec();
        let block = self.encode(request);
        self.send_block(id, &block, body.is_empty());
        let stream = Stream {
            body,
            send_window: self.peer.first_window,
            receive_window: STREAM_WINDOW.into(),
            used: 0,
            expected: Expected::Head,
        };
        self.streams.insert(id, stream);
        self.send_bodies();
        Ok(id)
    }

    fn slots(&self) -> Option<usize> {
        let usable = !self.peer.is_leaving && i64::from(self.next) <= LARGEST_WINDOW;
        usable.then(|| self.peer.most_streams.saturating_sub(self.streams.len()))
    }

    fn capacity(&self) -> usize {
        self.peer.most_streams
    }

    fn reset(&mut self, stream: StreamId) {
        self.end_with(stream, ErrorCode::Cancel);
        // What came of it so far is not wanted either.
        self.events.retain(|(of, _)| *of != stream);
    }

    fn consume(&mut self, id: StreamId, length: usize) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.used = stream.used.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        if stream.used >= STREAM_WINDOW / 2 {
            let increment = std::mem::take(&mut stream.used);
            stream.receive_window += i64::from(increment);
            Frame::WindowUpdate { stream_id: id, increment }.encode(&mut self.output);
        }
    }

    fn receive(&mut self, bytes: &[u8], now: Moment) -> Result<(), StreamError> {
        self.last_received = now;
        self.input.extend_from_slice(bytes);
        let mut input = std::mem::take(&mut self.input);
        match self.take_frames(&input) {
            Ok(taken) => {
                input.drain(..taken);
                self.input = input;
                Ok(())
            }
            Err(error) => {
                let error_code = error.code();
                let goaway =
                    Frame::GoAway { last_stream_id: 0, error_code, debug_data: Vec::new() };
                goaway.encode(&mut self.output);
                Err(StreamError::Malformed(match error {
                    H2Error::ProtocolError(why) | H2Error::MaxSizeExceeded(why) => excerpt(&why),
                    other => excerpt(&other.to_string()),
                }))
            }
        }
    }

    fn closed(&mut self, _in_good_order: bool) {
        let why = match &self.peer.goodbye {
            Some(why) => format!("it closed the connection: {why}"),
            None => "it closed the connection".to_owned(),
        };
        self.fail(&StreamError::Ended(why));
    }

    fn fail(&mut self, failure: &StreamError) {
        self.peer.is_leaving = true;
        for (id, _) in std::mem::take(&mut self.streams) {
            self.events.push_back((id, StreamEvent::Failed(failure.clone())));
        }
    }

    fn has_excess(&self) -> bool {
        false
    }

    fn next_event(&mut self) -> Option<(StreamId, StreamEvent)> {
        self.events.pop_front()
    }

    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn deadline(&self) -> Option<Moment> {
        if self.streams.is_empty() {
            return None;
        }
        Some(match self.ping {
            Some((_, sent)) => sent.max(self.last_received) + PING_TIMEOUT,
            None => self.last_received + SILENCE,
        })
    }

    fn on_time(&mut self, now: Moment) -> Result<(), StreamError> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        if let Some((_, sent)) = self.ping {
            let silent = now.since(sent.max(self.last_received));
            return Err(StreamError::Ended(format!("no sign of life for {silent:.0?}")));
        }
        self.pings += 1;
        self.ping = Some((self.pings, now));
        let opaque_data = self.pings.to_be_bytes();
        Frame::Ping { ack: false, opaque_data }.encode(&mut self.output);
        Ok(())
    }
}

/// What goes out.
impl Http2 {
    fn encode(&mut self, request: &Request) -> Vec<u8> {
        let field = |name: &str, value: &str| HeaderField::new(name, value);
        let mut fields = vec![
            field(":method", request.method.as_str()),
            field(":scheme", "https"),
            field(":authority", &request.authority),
            field(":path", &request.target),
        ];
        if let Some(body) = &request.body {
            fields.push(field("content-length", &body.len().to_string()));
        }
        let (secret, open): (Vec<_>, Vec<_>) =
            request.headers.iter().partition(|(_, value)| value.is_sensitive());
        fields.extend(
            open.iter().map(|(name, value)| HeaderField::new(name.as_str(), value.as_bytes())),
        );
        let mut block = Vec::new();
        self.encoder.encode(&fields, &mut block);
        for (name, value) in secret {
            never_indexed(&mut block, name.as_str().as_bytes(), value.as_bytes());
        }
        block
    }

    fn send_block(&mut self, id: StreamId, block: &[u8], ends_stream: bool) {
        let mut parts = block.chunks(self.peer.largest_frame).peekable();
        let mut kind = frame::FRAME_HEADERS;
        let mut flags = if ends_stream { frame::FLAG_END_STREAM } else { 0 };
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                flags |= frame::FLAG_END_HEADERS;
            }
            self.send_frame(kind, flags, id, part);
            (kind, flags) = (frame::FRAME_CONTINUATION, 0);
        }
    }

    /// Sends of the bodies what the windows allow.
    fn send_bodies(&mut self) {
        for (id, stream) in &mut self.streams {
            while !stream.body.is_empty() {
                let window = self.send_window.min(stream.send_window);
                let room = usize::try_from(window).unwrap_or(0).min(self.peer.largest_frame);
                let length = room.min(stream.body.len());
                if length == 0 {
                    break;
                }
                let payload: Vec<u8> = stream.body.drain(..length).collect();
                let sent = i64::try_from(length).unwrap_or(i64::MAX);
                self.send_window -= sent;
                stream.send_window -= sent;
                let end_stream = stream.body.is_empty();
                Frame::Data { stream_id: *id, payload, end_stream }.encode(&mut self.output);
            }
        }
    }

    fn send_frame(&mut self, kind: u8, flags: u8, id: StreamId, payload: &[u8]) {
        // No payload that is sent is longer than a frame may be.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        frame::encode_frame_header(&mut self.output, length, kind, flags, id);
        self.output.extend_from_slice(payload);
    }

    /// Ends a stream from this side.
    fn end_with(&mut self, id: StreamId, error_code: ErrorCode) {
        if self.streams.remove(&id).is_some() {
            Frame::RstStream { stream_id: id, error_code }.encode(&mut self.output);
        }
    }
}

/// A field that no table on the way may keep (RFC 7541, 6.2.3).
fn never_indexed(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0x10);
    for text in [name, value] {
        // An integer with a prefix of seven bits (RFC 7541, 5.1); no Huffman code.
        let mut length = text.len();
        if length < 0x7f {
            block.push(low_bits(length));
        } else {
            block.push(0x7f);
            length -= 0x7f;
            while length >= 0x80 {
                block.push(0x80 | low_bits(length));
                length >>= 7;
            }
            block.push(low_bits(length));
        }
        block.extend_from_slice(text);
    }
}

fn low_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}

/// What comes in.
impl Http2 {
    /// Takes all whole frames; so many bytes they have.
    fn take_frames(&mut self, input: &[u8]) -> Result<usize, H2Error> {
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            let Some(header) = frame::decode_frame_header(rest) else { return Ok(taken) };
            if !self.peer.known {
                begins_well(&header, rest)?;
            }
            if header.length > LARGEST_FRAME {
                return Err(H2Error::FrameSizeError);
            }
            let length = frame::FRAME_HEADER_LEN + header.length as usize;
            let Some(whole) = rest.get(..length) else { return Ok(taken) };
            self.take_frame(&header, whole)?;
            taken += length;
        }
    }

    fn take_frame(&mut self, header: &FrameHeader, whole: &[u8]) -> Result<(), H2Error> {
        if let Some(block) = &self.block
            && (header.frame_type != frame::FRAME_CONTINUATION || header.stream_id != block.stream)
        {
            return Err(violation("a header block is interrupted"));
        }
        // Of SETTINGS only what is in the frame counts.
        if header.frame_type == frame::FRAME_SETTINGS {
            let payload = whole.get(frame::FRAME_HEADER_LEN..).unwrap_or_default();
            return self.take_settings(header, payload);
        }
        let decoded = frame::decode_frame(whole, LARGEST_FRAME)?;
        let Some((frame, _)) = decoded else { return Ok(()) };
        match frame {
            Frame::Data { stream_id, payload, end_stream } => {
                self.take_data(stream_id, header.length, payload, end_stream)
            }
            Frame::Headers {
                stream_id: stream, encoded: bytes, end_stream, end_headers, ..
            } => {
                self.is_known(stream)?;
                self.block = Some(Block { stream, bytes, ends_stream: end_stream, frames: 1 });
                if end_headers { self.take_block() } else { Ok(()) }
            }
            Frame::Continuation { encoded, end_headers, .. } => {
                let Some(block) = &mut self.block else {
                    return Err(violation("CONTINUATION of nothing"));
                };
                block.bytes.extend_from_slice(&encoded);
                block.frames += 1;
                if block.bytes.len() > BLOCK_LIMIT || block.frames > BLOCK_FRAMES {
                    let why = "the head of an answer does not end".to_owned();
                    return Err(H2Error::MaxSizeExceeded(why));
                }
                if end_headers { self.take_block() } else { Ok(()) }
            }
            Frame::RstStream { stream_id, error_code } => {
                self.is_known(stream_id)?;
                if self.streams.remove(&stream_id).is_some() {
                    let why = format!("it reset the stream ({error_code:?})");
                    self.emit(
                        stream_id,
                        StreamEvent::Failed(match error_code {
                            ErrorCode::RefusedStream => StreamError::NotProcessed(why),
                            _ => StreamError::Ended(why),
                        }),
                    );
                }
                Ok(())
            }
            Frame::PushPromise { .. } => Err(violation("PUSH_PROMISE, which was declined")),
            Frame::Ping { ack: false, opaque_data } => {
                Frame::Ping { ack: true, opaque_data }.encode(&mut self.output);
                Ok(())
            }
            Frame::Ping { ack: true, opaque_data } => {
                let number = u64::from_be_bytes(opaque_data);
                self.ping = self.ping.filter(|(sent, _)| *sent != number);
                Ok(())
            }
            Frame::GoAway { last_stream_id, error_code, debug_data } => {
                self.take_goaway(last_stream_id, error_code, &debug_data);
                Ok(())
            }
            Frame::WindowUpdate { stream_id, increment } => {
                self.take_window_update(stream_id, increment.into())
            }
            Frame::Settings { .. } | Frame::Priority { .. } | Frame::Unknown { .. } => Ok(()),
        }
    }

    fn take_settings(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<(), H2Error> {
        let is_answer = header.flags & frame::FLAG_ACK != 0;
        if header.stream_id != 0 {
            return Err(violation("SETTINGS of a stream"));
        }
        if !payload.len().is_multiple_of(6) || (is_answer && !payload.is_empty()) {
            return Err(H2Error::FrameSizeError);
        }
        if is_answer {
            return Ok(());
        }
        for setting in payload.chunks_exact(6) {
            let [id @ .., a, b, c, d] = setting else { continue };
            let value = u32::from_be_bytes([*a, *b, *c, *d]);
            let id = id.iter().fold(0, |id, byte| id << 8 | u16::from(*byte));
            match id {
                ENABLE_PUSH if value != 0 => {
                    return Err(violation("SETTINGS with ENABLE_PUSH"));
                }
                MAX_CONCURRENT_STREAMS => self.peer.most_streams = value as usize,
                INITIAL_WINDOW_SIZE => self.take_first_window(value.into())?,
                MAX_FRAME_SIZE if !(LARGEST_FRAME..1 << 24).contains(&value) => {
                    return Err(violation("SETTINGS with a MAX_FRAME_SIZE that it cannot have"));
                }
                MAX_FRAME_SIZE => self.peer.largest_frame = value as usize,
                _ => {}
            }
        }
        self.peer.known = true;
        self.send_frame(frame::FRAME_SETTINGS, frame::FLAG_ACK, 0, &[]);
        self.send_bodies();
        Ok(())
    }

    /// Counts for the streams that are open, too.
    fn take_first_window(&mut self, size: i64) -> Result<(), H2Error> {
        let more = size - self.peer.first_window;
        self.peer.first_window = size;
        for stream in self.streams.values_mut() {
            stream.send_window += more;
        }
        let largest = self.streams.values().map(|stream| stream.send_window).max();
        if size.max(largest.unwrap_or(0)) > LARGEST_WINDOW {
            return Err(H2Error::FlowControlError);
        }
        Ok(())
    }

    fn take_window_update(&mut self, id: StreamId, increment: i64) -> Result<(), H2Error> {
        if id == 0 {
            self.send_window += increment;
            if self.send_window > LARGEST_WINDOW {
                return Err(H2Error::FlowControlError);
            }
        } else {
            self.is_known(id)?;
            let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
            stream.send_window += increment;
            if stream.send_window > LARGEST_WINDOW {
                self.malformed(id, ErrorCode::FlowControlError, TOO_WIDE);
            }
        }
        self.send_bodies();
        Ok(())
    }

    fn take_goaway(&mut self, last: StreamId, error_code: ErrorCode, text: &[u8]) {
        self.peer.is_leaving = true;
        if error_code != ErrorCode::NoError {
            let text = excerpt(&String::from_utf8_lossy(text));
            self.peer.goodbye =
                Some(format!("GOAWAY ({error_code:?}) {text}").trim_end().to_owned());
        }
        for (id, _) in self.streams.split_off(&last.saturating_add(1)) {
            let why = "it takes no more requests on this connection (GOAWAY)".to_owned();
            self.emit(id, StreamEvent::Failed(StreamError::NotProcessed(why)));
        }
    }

    /// `length`: what counts against the windows, padding included.
    fn take_data(
        &mut self,
        id: StreamId,
        length: u32,
        payload: Vec<u8>,
        ends_stream: bool,
    ) -> Result<(), H2Error> {
        self.is_known(id)?;
        self.received += length;
        if self.received > CONNECTION_WINDOW {
            return Err(H2Error::FlowControlError);
        }
        if self.received >= CONNECTION_WINDOW / 2 {
            let increment = std::mem::take(&mut self.received);
            Frame::WindowUpdate { stream_id: 0, increment }.encode(&mut self.output);
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        stream.receive_window -= i64::from(length);
        if stream.receive_window < 0 {
            self.malformed(id, ErrorCode::FlowControlError, "more came than was allowed");
            return Ok(());
        }
        let Expected::Body { left } = &mut stream.expected else {
            self.malformed(id, ErrorCode::ProtocolError, "a body without a head");
            return Ok(());
        };
        if let Some(left) = left {
            let Some(less) = left.checked_sub(payload.len() as u64) else {
                let why = "its body is longer than its content-length";
                self.malformed(id, ErrorCode::ProtocolError, why);
                return Ok(());
            };
            *left = less;
        }
        let padding = (length as usize).saturating_sub(payload.len());
        if !payload.is_empty() {
            self.emit(id, StreamEvent::Data(payload));
        }
        if ends_stream {
            self.answer_ended(id);
        } else {
            self.consume(id, padding);
        }
        Ok(())
    }

    fn take_block(&mut self) -> Result<(), H2Error> {
        let Some(Block { stream: id, bytes, ends_stream, .. }) = self.block.take() else {
            return Ok(());
        };
        // Wanted or not: later blocks refer to it.
        let fields = self.decoder.decode(&bytes)?;
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        if let Expected::Body { .. } = stream.expected {
            // Trailers are not read.
            if ends_stream {
                self.answer_ended(id);
            } else {
                self.malformed(id, ErrorCode::ProtocolError, "a second head");
            }
            return Ok(());
        }
        match head_of(fields) {
            Ok(head) if head.status.is_informational() && !ends_stream => {}
            Ok(head) if !head.status.is_informational() => {
                stream.expected = Expected::Body { left: head.length };
                self.emit(id, StreamEvent::Head(head));
                if ends_stream {
                    self.answer_ended(id);
                }
            }
            Ok(_) => self.malformed(id, ErrorCode::ProtocolError, "an interim answer is the last"),
            Err(why) => self.malformed(id, ErrorCode::ProtocolError, &why),
        }
        Ok(())
    }

    fn answer_ended(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(&id) else { return };
        let is_cut = matches!(stream.expected, Expected::Body { left: Some(1..) });
        if stream.body.is_empty() {
            self.streams.remove(&id);
        } else {
            // It was answered without the rest of the request.
            self.end_with(id, ErrorCode::Cancel);
        }
        let cut = || StreamError::Ended("its body is shorter than its content-length".to_owned());
        self.emit(id, if is_cut { StreamEvent::Failed(cut()) } else { StreamEvent::End });
    }

    fn malformed(&mut self, id: StreamId, error_code: ErrorCode, why: &str) {
        self.end_with(id, error_code);
        self.emit(id, StreamEvent::Failed(StreamError::Malformed(why.to_owned())));
    }

    /// An error for a stream that was never opened.
    fn is_known(&self, id: StreamId) -> Result<(), H2Error> {
        if id % 2 == 1 && id < self.next {
            return Ok(());
        }
        Err(violation("it answers what was not asked"))
    }

    fn emit(&mut self, id: StreamId, event: StreamEvent) {
        self.events.push_back((id, event));
    }
}

const TOO_WIDE: &str = "a window is wider than it can be";

fn violation(why: &str) -> H2Error {
    H2Error::ProtocolError(why.to_owned())
}

/// What comes first is SETTINGS (RFC 9113, 3.4).
fn begins_well(header: &FrameHeader, bytes: &[u8]) -> Result<(), H2Error> {
    if bytes.starts_with(b"HTTP/") {
        return Err(violation("it answers in HTTP/1.1 where HTTP/2 was agreed"));
    }
    if header.frame_type != frame::FRAME_SETTINGS || header.flags & frame::FLAG_ACK != 0 {
        return Err(violation("what comes first is not HTTP/2's SETTINGS"));
    }
    Ok(())
}

/// The head that these fields make; else what is wrong with them (RFC 9113, 8.2 and 8.3).
fn head_of(fields: Vec<HeaderField>) -> Result<Head, String> {
    // A block names what stands in the table, a byte each time: unpacked it may be a thousand times as long.
    if fields.iter().map(|field| field.name.len() + field.value.len()).sum::<usize>() > BLOCK_LIMIT
    {
        return Err(format!("its head is longer than {BLOCK_LIMIT} bytes"));
    }
    let mut status = None;
    let mut headers = HeaderMap::new();
    for HeaderField { name, value } in fields {
        if name == b":status" {
            let read = StatusCode::from_bytes(&value).map_err(|_| "its status is no number")?;
            if status.replace(read).is_some() {
                return Err("it has two statuses".to_owned());
            }
            continue;
        }
        let name = HeaderName::from_lowercase(&name).map_err(|_| "a header has no usable name")?;
        let value = HeaderValue::from_bytes(&value)
            .map_err(|_| format!("the header {name} has no usable value"))?;
        if OF_A_CONNECTION.contains(&name) {
            return Err(format!("it has the header {name}"));
        }
        headers.append(name, value);
    }
    let status = status.ok_or("it has no status")?;
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = match lengths.next() {
        // Without a body, too, its length may be given.
        None | Some(_) if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => {
            None
        }
        None => None,
        Some(first) => {
            let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
            let number = first.to_str().ok().filter(digits).and_then(|text| text.parse().ok());
            if lengths.any(|other| other != first) || number.is_none() {
                return Err("its content-length is no number".to_owned());
            }
            number
        }
    };
    Ok(Head { status, headers, length })
}

/// What HTTP/2 has no place for (RFC 9113, 8.2.2).
const OF_A_CONNECTION: [HeaderName; 3] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE];

#[cfg(test)]
mod tests;
