//! The server's side of HTTP/2 for the tests, frame by frame as the test says: in memory, or on a stand-in's
//! connection.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ringline_h2::error::ErrorCode;
use ringline_h2::frame::{
    FLAG_ACK, FLAG_END_HEADERS, FLAG_END_STREAM, FLAG_PADDED, FRAME_DATA, FRAME_GOAWAY,
    FRAME_HEADERS, FRAME_PING, FRAME_RST_STREAM, FRAME_SETTINGS, FRAME_WINDOW_UPDATE, Frame,
    decode_frame, decode_frame_header, encode_frame_header,
};
use ringline_h2::hpack::{Decoder, Encoder, HeaderField};

use crate::http::stand_in::{Peer, SHORT};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const MAX_FRAME_SIZE: u16 = 5;

/// One frame of the client; a header block with its CONTINUATIONs is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Settings(Vec<(u16, u32)>),
    Acknowledged,
    /// `block`: as it came, `parts` frames long.
    Head {
        stream: u32,
        fields: Vec<(String, String)>,
        block: Vec<u8>,
        parts: usize,
        ends: bool,
    },
    Data {
        stream: u32,
        payload: Vec<u8>,
        ends: bool,
    },
    Reset(u32, ErrorCode),
    Ping([u8; 8]),
    Pong([u8; 8]),
    Window(u32, u32),
    GoAway(ErrorCode),
}

/// Reads what the client sends and keeps the server's tables.
pub(crate) struct Speaker {
    input: Vec<u8>,
    has_preface: bool,
    block: Option<(u32, bool, usize, Vec<u8>)>,
    decoder: Decoder,
    encoder: Encoder,
    /// The longest frame that the client may send.
    pub(crate) largest_frame: u32,
}

impl Speaker {
    pub(crate) fn new() -> Self {
        Self {
            input: Vec::new(),
            has_preface: false,
            block: None,
            decoder: Decoder::new(4096),
            encoder: Encoder::new(4096),
            largest_frame: 16_384,
        }
    }

    /// What these bytes of the client say; panics if they are no HTTP/2.
    pub(crate) fn hears(&mut self, bytes: &[u8]) -> Vec<Heard> {
        self.input.extend_from_slice(bytes);
        if !self.has_preface {
            if self.input.len() < PREFACE.len() {
                return Vec::new();
            }
            assert!(self.input.starts_with(PREFACE), "no preface: {:?}", self.input);
            self.input.drain(..PREFACE.len());
            self.has_preface = true;
        }
        let mut heard = Vec::new();
        while let Some((frame, length)) =
            decode_frame(&self.input, self.largest_frame).expect("a well-formed frame")
        {
            let header = decode_frame_header(&self.input).unwrap();
            let payload: Vec<u8> = self.input.drain(..length).skip(9).collect();
            let is_continuation = matches!(frame, Frame::Continuation { .. });
            assert_eq!(self.block.is_some(), is_continuation, "header blocks stay together");
            heard.extend(self.hears_frame(frame, header.flags, &payload));
        }
        heard
    }

    fn hears_frame(&mut self, frame: Frame, flags: u8, payload: &[u8]) -> Option<Heard> {
        Some(match frame {
            Frame::Headers { stream_id, encoded, end_stream, .. } => {
                self.block = Some((stream_id, end_stream, 1, encoded));
                return self.hears_block(flags);
            }
            Frame::Continuation { encoded, .. } => {
                let (_, _, parts, block) = self.block.as_mut().unwrap();
                assert_eq!(flags & !FLAG_END_HEADERS, 0, "CONTINUATION has no other flag");
                *parts += 1;
                block.extend(encoded);
                return self.hears_block(flags);
            }
            Frame::Data { stream_id, payload, end_stream } => {
                Heard::Data { stream: stream_id, payload, ends: end_stream }
            }
            Frame::RstStream { stream_id, error_code } => Heard::Reset(stream_id, error_code),
            Frame::Settings { ack: true, .. } => Heard::Acknowledged,
            Frame::Settings { .. } => Heard::Settings(
                payload
                    .chunks_exact(6)
                    .map(|s| (u16::from_be_bytes([s[0], s[1]]), four(&s[2..])))
                    .collect(),
            ),
            Frame::Ping { ack: false, opaque_data } => Heard::Ping(opaque_data),
            Frame::Ping { ack: true, opaque_data } => Heard::Pong(opaque_data),
            Frame::GoAway { error_code, .. } => Heard::GoAway(error_code),
            Frame::WindowUpdate { stream_id, increment } => Heard::Window(stream_id, increment),
            other => panic!("no client sends {other:?}"),
        })
    }

    fn hears_block(&mut self, flags: u8) -> Option<Heard> {
        if flags & FLAG_END_HEADERS == 0 {
            return None;
        }
        let (stream, ends, parts, block) = self.block.take()?;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let fields = self.decoder.decode(&block).expect("a readable header block");
        let fields =
            fields.into_iter().map(|field| (text(field.name), text(field.value))).collect();
        Some(Heard::Head { stream, fields, block, parts, ends })
    }

    /// HEADERS with this status, by the server's table.
    pub(crate) fn head(&mut self, stream: u32, status: u16, ends: bool) -> Vec<u8> {
        self.head_with(stream, &[(":status", &status.to_string())], ends)
    }

    pub(crate) fn head_with(
        &mut self,
        stream: u32,
        fields: &[(&str, &str)],
        ends: bool,
    ) -> Vec<u8> {
        let block = self.block(fields);
        frame(FRAME_HEADERS, FLAG_END_HEADERS | u8::from(ends), stream, &block)
    }

    pub(crate) fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| HeaderField::new(*name, *value)).collect();
        let mut block = Vec::new();
        self.encoder.encode(&fields, &mut block);
        block
    }

    /// A whole answer.
    pub(crate) fn answer(&mut self, stream: u32, body: &[u8]) -> Vec<u8> {
        [self.head(stream, 200, false), data(stream, body, true)].concat()
    }
}

fn four(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame_header(&mut bytes, payload.len().try_into().unwrap(), kind, flags, stream);
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(FRAME_SETTINGS, 0, 0, &payload)
}

pub(crate) fn acknowledgement() -> Vec<u8> {
    frame(FRAME_SETTINGS, FLAG_ACK, 0, &[])
}

pub(crate) fn data(stream: u32, payload: &[u8], ends: bool) -> Vec<u8> {
    frame(FRAME_DATA, u8::from(ends) * FLAG_END_STREAM, stream, payload)
}

pub(crate) fn padded_data(stream: u32, payload: &[u8], padding: u8, ends: bool) -> Vec<u8> {
    let payload = [&[padding], payload, &vec![0; padding.into()]].concat();
    frame(FRAME_DATA, FLAG_PADDED | u8::from(ends), stream, &payload)
}

pub(crate) fn reset(stream: u32, code: ErrorCode) -> Vec<u8> {
    frame(FRAME_RST_STREAM, 0, stream, &(code as u32).to_be_bytes())
}

pub(crate) fn window(stream: u32, increment: u32) -> Vec<u8> {
    frame(FRAME_WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn ping(payload: [u8; 8]) -> Vec<u8> {
    frame(FRAME_PING, 0, 0, &payload)
}

pub(crate) fn pong(payload: [u8; 8]) -> Vec<u8> {
    frame(FRAME_PING, FLAG_ACK, 0, &payload)
}

pub(crate) fn goaway(last: u32, code: ErrorCode, text: &str) -> Vec<u8> {
    let payload = [&last.to_be_bytes()[..], &(code as u32).to_be_bytes(), text.as_bytes()].concat();
    frame(FRAME_GOAWAY, 0, 0, &payload)
}

/// A request whose body has come as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) stream: u32,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

/// The server's end of a connection over TLS. Answers PING, unless it is told to be silent, and gives the
/// windows back.
pub(crate) struct Speaking {
    peer: Peer,
    pub(crate) speaker: Speaker,
    heard: VecDeque<Heard>,
    /// Bodies of which not all has come.
    open: Vec<Asked>,
    /// Which streams the client has reset.
    pub(crate) resets: Vec<(u32, ErrorCode)>,
}

impl Speaking {
    /// Sends its SETTINGS.
    pub(crate) fn new(peer: Peer, of: &[(u16, u32)]) -> Self {
        let mut speaking = Self {
            peer,
            speaker: Speaker::new(),
            heard: VecDeque::new(),
            open: Vec::new(),
            resets: Vec::new(),
        };
        // What it says before it leaves goes out.
        speaking.socket().set_nodelay(true).unwrap();
        speaking.says(&settings(of));
        speaking
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) fn hears(&mut self) -> Option<Heard> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Some(heard);
            }
            let mut bytes = [0; 16_384];
            let length = match &mut self.peer {
                Peer::Plain(socket) => socket.read(&mut bytes),
                Peer::Tls(stream) => stream.read(&mut bytes),
            };
            let length = length.ok().filter(|length| *length > 0)?;
            self.heard.extend(self.speaker.hears(&bytes[..length]));
        }
    }

    /// The next whole request; `None` at the end of the connection.
    pub(crate) fn hears_request(&mut self) -> Option<Asked> {
        loop {
            let heard = self.hears()?;
            if let Some(asked) = self.takes(heard) {
                return Some(asked);
            }
        }
    }

    /// The next whole request, if it comes in a moment.
    pub(crate) fn hears_soon(&mut self) -> Option<Asked> {
        self.patience(Some(SHORT));
        let asked = self.hears_request();
        self.patience(None);
        asked
    }

    /// Whether nothing is asked for a moment.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        self.hears_soon().is_none()
    }

    fn patience(&self, patience: Option<Duration>) {
        self.socket().set_read_timeout(patience).unwrap();
    }

    fn socket(&self) -> &TcpStream {
        match &self.peer {
            Peer::Plain(socket) => socket,
            Peer::Tls(stream) => &stream.sock,
        }
    }

    /// Takes in a frame; gives the request that it has made whole.
    pub(crate) fn takes(&mut self, heard: Heard) -> Option<Asked> {
        match heard {
            Heard::Settings(_) => _ = self.says(&acknowledgement()),
            Heard::Ping(payload) => _ = self.says(&pong(payload)),
            Heard::Reset(stream, code) => {
                self.resets.push((stream, code));
                self.open.retain(|asked| asked.stream != stream);
            }
            Heard::Head { stream, fields, ends, .. } => {
                let path = fields.into_iter().find(|(name, _)| name == ":path").unwrap().1;
                let asked = Asked { stream, path, body: Vec::new() };
                if ends {
                    return Some(asked);
                }
                self.open.push(asked);
            }
            Heard::Data { stream, payload, ends } => {
                if let Ok(length) = u32::try_from(payload.len())
                    && length > 0
                {
                    self.says(&[window(0, length), window(stream, length)].concat());
                }
                let place = self.open.iter().position(|asked| asked.stream == stream)?;
                self.open[place].body.extend(payload);
                return ends.then(|| self.open.swap_remove(place));
            }
            Heard::Acknowledged | Heard::Pong(_) | Heard::Window(..) | Heard::GoAway(_) => {}
        }
        None
    }

    /// Serves requests with their paths as answers, until the client leaves.
    pub(crate) fn echoes(&mut self) {
        while let Some(asked) = self.hears_request() {
            let answer = self.speaker.answer(asked.stream, asked.path.as_bytes());
            self.says(&answer);
        }
    }

    /// Bytes as they are.
    pub(crate) fn says(&mut self, bytes: &[u8]) -> bool {
        match &mut self.peer {
            Peer::Plain(socket) => socket.write_all(bytes).is_ok(),
            Peer::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()).is_ok(),
        }
    }

    /// Ends the connection by TLS's goodbye.
    pub(crate) fn leaves(self) {
        self.peer.leaves();
    }

    /// Ends the connection without one.
    pub(crate) fn hangs_up(self) {
        self.peer.hangs_up();
    }
}
