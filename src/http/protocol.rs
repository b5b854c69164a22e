//! What HTTP/1.1 and HTTP/2 have in common for whoever has a connection: requests out, events in. Without I/O
//! and without a clock.

use ureq_proto::http::{HeaderMap, StatusCode};

use crate::http::error::Cause;
use crate::http::request::Request;
use crate::moment::Moment;

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
    /// Nobody wants the rest of this exchange.
    fn reset(&mut self, stream: StreamId);
    /// So many bytes of the body of this exchange were used: as many more may come.
    fn consume(&mut self, stream: StreamId, length: usize);
    /// Takes in what came.
    ///
    /// # Errors
    /// It breaks the protocol, so that the connection is of no more use: how. What is in
    /// [`Protocol::output`] may still be sent.
    fn receive(&mut self, bytes: &[u8], now: Moment) -> Result<(), Failure>;
    /// Nothing more will come; whether the other side has said so itself (TLS's `close_notify`).
    fn closed(&mut self, in_good_order: bool);
    /// All exchanges end so.
    fn fail(&mut self, failure: &Failure);
    /// Whether more came than was asked for.
    fn has_excess(&self) -> bool;
    /// What came of the exchanges, in order.
    fn next_event(&mut self) -> Option<(StreamId, Event)>;
    /// What is to be sent.
    fn output(&mut self) -> &mut Vec<u8>;
    /// When [`Protocol::on_time`] is to be called, if nothing comes before.
    fn deadline(&self) -> Option<Moment>;
    /// It is late.
    ///
    /// # Errors
    /// The other side is not there any more.
    fn on_time(&mut self, now: Moment) -> Result<(), Failure>;
}

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// Its status; never an interim one (1xx), but for 101 with HTTP/1.1.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
}

/// What came of an exchange.
#[derive(Debug)]
pub enum Event {
    /// The head of its answer.
    Head(Head),
    /// A piece of its body.
    Data(Vec<u8>),
    /// The answer is whole.
    End,
    /// It has ended, and the answer is not whole.
    Failed(Failure),
}

/// How an exchange or a connection ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server has not looked at the request: the same may be asked again.
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

impl Failure {
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
pub struct Limit {
    /// More bytes than that are a failure.
    pub read: usize,
    /// So many bytes are kept; the rest is dropped.
    pub kept: usize,
}

/// A body as it is put together.
#[derive(Debug)]
pub struct Body {
    limit: Limit,
    /// How many bytes have come.
    pub length: usize,
    /// What is kept of them.
    pub kept: Vec<u8>,
}

impl Body {
    /// Of which nothing has come.
    pub fn new(limit: Limit) -> Self {
        Self { limit, length: 0, kept: Vec::new() }
    }

    /// A piece of it came.
    ///
    /// # Errors
    /// It is longer than is read. `status`: that of its head.
    pub fn push(&mut self, piece: &[u8], status: StatusCode) -> Result<(), Cause> {
        self.length += piece.len();
        if self.length > self.limit.read {
            let status = Some(status.as_u16());
            return Err(Cause::TooLong { status, limit: self.limit.read });
        }
        let room = self.limit.kept.saturating_sub(self.kept.len()).min(piece.len());
        self.kept.extend_from_slice(piece.get(..room).unwrap_or_default());
        Ok(())
    }
}
