//! What HTTP/1.1 and HTTP/2 have in common: requests out, events in. Without I/O
//! and without a clock.

use ureq_proto::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::http::error::Cause;
use crate::moment::Moment;

/// One request.
pub struct Request {
    /// What is done.
    pub method: Method,
    /// What is asked for: path and query; to a proxy (HTTP/1.1 only) the whole URI; for CONNECT host and port.
    pub target: String,
    /// The header `Host`, or `:authority`.
    pub authority: String,
    /// All headers but that and the length of the body. One that is sensitive is not compressed into any table.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Option<String>,
}

/// The name of the program in its requests.
pub const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("k8s-spot-handler/", env!("CARGO_PKG_VERSION")));

/// One exchange on a connection. HTTP/1.1 counts its exchanges, for HTTP/2 it is the stream's identifier.
pub type StreamId = u32;

/// One connection, between its bytes and the exchanges that it carries.
pub trait Protocol: Send {
    /// Begins an exchange. Only where [`Protocol::slots`] is not 0.
    ///
    /// # Errors
    /// The request cannot be written: why.
    fn open(&mut self, request: &Request, now: Moment) -> Result<StreamId, String>;
    /// How many more exchanges can begin now. `None`: none will ever begin on this connection any more.
    fn slots(&self) -> Option<usize>;
    /// How many exchanges it carries at a time, as far as is known.
    fn capacity(&self) -> usize;
    /// The rest of this exchange is not wanted.
    fn reset(&mut self, stream: StreamId);
    /// So many bytes of the body of this exchange were used: as many more may come.
    fn consume(&mut self, stream: StreamId, length: usize);
    /// Takes in what came.
    ///
    /// # Errors
    /// It breaks the protocol, so that the connection is of no more use: how. What is in
    /// [`Protocol::output`] may still be sent.
    fn receive(&mut self, bytes: &[u8], now: Moment) -> Result<(), StreamError>;
    /// The connection was closed; in good order: the peer announced it (TLS's `close_notify`).
    fn closed(&mut self, in_good_order: bool);
    /// All exchanges end so.
    fn fail(&mut self, failure: &StreamError);
    /// Whether more came than was requested.
    fn has_excess(&self) -> bool;
    /// What came of the exchanges, in order.
    fn next_event(&mut self) -> Option<(StreamId, StreamEvent)>;
    /// What is to be sent.
    fn output(&mut self) -> &mut Vec<u8>;
    /// When [`Protocol::on_time`] is to be called, if nothing comes before.
    fn deadline(&self) -> Option<Moment>;
    /// The deadline has passed.
    ///
    /// # Errors
    /// The peer does not answer any more.
    fn on_time(&mut self, now: Moment) -> Result<(), StreamError>;
}

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// Its status; never an interim one (1xx), but for 101 with HTTP/1.1.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The length of its body, where it is announced.
    pub length: Option<u64>,
}

/// What came of an exchange.
#[derive(Debug)]
pub enum StreamEvent {
    /// The head of its answer.
    Head(Head),
    /// A piece of its body.
    Data(Vec<u8>),
    /// The answer is whole.
    End,
    /// It has ended, and the answer is not whole.
    Failed(StreamError),
}

/// How an exchange or a connection ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// The server has not processed the request: the same may be sent again.
    NotProcessed(String),
    /// It ended: how.
    Ended(String),
    /// It ended after so many bytes of the head of its answer.
    CutHead(usize),
    /// What came is no answer in HTTP: why.
    Malformed(String),
    /// The head is longer than this many bytes.
    HeadTooLong(usize),
    /// TLS was broken: how.
    Tls(String),
}

impl StreamError {
    /// What it means for an exchange of which the head came with this status, if it did, and so many bytes of
    /// the body.
    pub fn cause(self, status: Option<StatusCode>, length: usize) -> Cause {
        let status = status.map(|status| status.as_u16());
        match (self, status) {
            (Self::NotProcessed(why) | Self::Ended(why), None) => Cause::Unanswered(why),
            (Self::NotProcessed(_) | Self::Ended(_), Some(_)) => Cause::CutShort { status, length },
            (Self::CutHead(length), _) => Cause::CutShort { status: None, length },
            (Self::Malformed(why), _) => Cause::NotHttp { status, why },
            (Self::HeadTooLong(limit), _) => Cause::TooLong { status: None, limit },
            (Self::Tls(why), _) => Cause::Tls(why),
        }
    }
}

/// How much of a body is read.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    /// More bytes than that are a failure.
    pub read: usize,
    /// So many bytes are kept; the rest is dropped.
    pub kept: usize,
}

/// The part of a body that has come.
#[derive(Debug)]
pub struct BodyBuffer {
    limit: BodyLimit,
    status: StatusCode,
    /// Its length so far.
    pub length: usize,
    /// What is kept of it.
    pub kept: Vec<u8>,
}

impl BodyBuffer {
    /// Before its first byte.
    ///
    /// # Errors
    /// Its head announces more than is read.
    pub fn new(limit: BodyLimit, head: &Head) -> Result<Self, Cause> {
        let body = Self { limit, status: head.status, length: 0, kept: Vec::new() };
        let is_too_long = head.length.is_some_and(|length| length > limit.read as u64);
        if is_too_long { Err(body.too_long()) } else { Ok(body) }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// It is longer than is read.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        self.length += bytes.len();
        if self.length > self.limit.read {
            return Err(self.too_long());
        }
        let room = self.limit.kept.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
        Ok(())
    }

    fn too_long(&self) -> Cause {
        Cause::TooLong { status: Some(self.status.as_u16()), limit: self.limit.read }
    }
}
