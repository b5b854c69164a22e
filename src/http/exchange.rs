//! One exchange after the other over one connection.

use std::net::TcpStream;
use std::sync::Arc;
use ureq_proto::BodyMode;
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult};
use ureq_proto::http::{HeaderMap, StatusCode};

use crate::excerpt::excerpt;
use crate::http::failure::{Failure, Received};
use crate::http::request::Request;
use crate::http::wire::{Fault, Wire};
use crate::moment::Moment;

/// Bytes that are read of a head, those of interim answers (1xx) included. An API server's are
/// below 1 kB.
pub const HEAD_LIMIT: usize = 16 * 1024;

/// Bytes that are read from the wire at a time.
pub(crate) const CHUNK: usize = 2 * 1024;

/// Bytes of a body that are unpacked at a time, on the stack.
const PIECE: usize = 1024;

/// Bytes between two pieces of a chunked body: a length, a trailer.
const FRAMING_LIMIT: usize = 8 * 1024;

/// An open connection.
pub struct Connection {
    wire: Wire,
    /// What has come and was not read yet.
    inbox: Vec<u8>,
    reusable: bool,
}

/// An answer of which the head has come.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// What follows.
    pub rest: Rest,
}

/// What follows a head.
pub enum Rest {
    /// A body: its framing.
    Body(Box<Call<RecvBody>>),
    /// Nothing.
    Nothing {
        /// Whether the connection ends with it.
        must_close: bool,
    },
}

impl From<RecvResponseResult> for Rest {
    fn from(result: RecvResponseResult) -> Self {
        match result {
            RecvResponseResult::RecvBody(call) => Self::Body(Box::new(call)),
            RecvResponseResult::Redirect(call) => {
                Self::Nothing { must_close: call.must_close_connection() }
            }
            RecvResponseResult::Cleanup(call) => {
                Self::Nothing { must_close: call.must_close_connection() }
            }
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

impl Connection {
    /// On which nothing was said yet.
    pub fn new(wire: Wire) -> Self {
        Self { wire, inbox: Vec::new(), reusable: true }
    }

    /// Sends a request and waits for the head of its answer, both until `until`. After a failure
    /// the connection cannot be used any more.
    pub fn ask(&mut self, request: Request<'_>, until: Moment) -> Result<Answer, Failure> {
        // Until the answer is read to its end. What came late of an answer to somebody else would
        // be taken for ours.
        if !std::mem::replace(&mut self.reusable, false) {
            return Err(Failure::Unsendable("the connection is done with".to_owned()));
        }
        let (bytes, call) = request.write().map_err(|why| Failure::Unsendable(why.to_string()))?;
        self.wire.send(&bytes, until).map_err(|fault| Failure::of(fault, Received::Nothing))?;
        self.read_head(call, until)
    }

    /// Reads the body, if there is one, and sees whether the connection can be kept.
    #[inline(never)]
    pub fn read_rest(
        &mut self,
        status: StatusCode,
        rest: Rest,
        limit: Limit,
        until: Moment,
    ) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        match rest {
            Rest::Body(mut call) => {
                let status = status.as_u16();
                let too_long = || Failure::EndlessBody { status, limit: limit.read };
                if let BodyMode::LengthDelimited(length) = call.body_mode()
                    && usize::try_from(length).map_or(true, |length| length > limit.read)
                {
                    return Err(too_long());
                }
                let mut piece = [0; PIECE];
                let mut length = 0;
                loop {
                    let read = self.read_body(&mut call, &mut piece, status, length, until)?;
                    if read == 0 {
                        break;
                    }
                    length += read;
                    if length > limit.read {
                        return Err(too_long());
                    }
                    let room = limit.kept.saturating_sub(body.len()).min(read);
                    body.extend_from_slice(piece.get(..room).unwrap_or_default());
                }
                self.body_ended(*call);
            }
            Rest::Nothing { must_close } => self.answered(must_close),
        }
        Ok(body)
    }

    /// A body was read to its end, or as far as it is wanted.
    fn body_ended(&mut self, call: Call<RecvBody>) {
        self.answered(match call.proceed() {
            Some(RecvBodyResult::Cleanup(call)) => call.must_close_connection(),
            Some(RecvBodyResult::Redirect(call)) => call.must_close_connection(),
            None => true,
        });
    }

    fn answered(&mut self, must_close: bool) {
        // Bytes that nobody asked for cannot be told from the next answer.
        self.reusable = !must_close && self.inbox.is_empty();
        // Its memory may go until the next answer.
        self.inbox = Vec::new();
    }

    /// What is beneath it, where the answer has made a tunnel of it. `None` if the other end spoke
    /// first: what it said would be lost.
    pub fn into_wire(self) -> Option<Wire> {
        self.inbox.is_empty().then_some(self.wire)
    }

    /// Its socket, for whoever may have to shut it from outside.
    pub fn socket(&self) -> &Arc<TcpStream> {
        self.wire.socket()
    }

    /// Whether the last exchange left it ready for another one.
    pub fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// Whether it is ready for another exchange now, after it was idle for a while. What a proxy says to an idle
    /// connection (408, for one) would be taken for the answer to the next request.
    pub fn is_idle(&mut self) -> bool {
        self.reusable && self.wire.is_silent()
    }

    #[inline(never)]
    fn read_head(
        &mut self,
        mut call: Call<RecvResponse>,
        until: Moment,
    ) -> Result<Answer, Failure> {
        let not_http = |why: String| Failure::NotHttp { status: None, why };
        let mut interim = 0;
        loop {
            let (used, head) = read_head_of(&mut call, &self.inbox)
                .map_err(|e| not_http(excerpt(&e.to_string())))?;
            self.inbox.drain(..used);
            if let Some((status, headers)) = head {
                let rest = call
                    .proceed()
                    .ok_or_else(|| not_http("its head cannot be understood".to_owned()))?;
                return Ok(Answer { status, headers, rest: rest.into() });
            }
            interim += used;
            let length = interim + self.inbox.len();
            if length > HEAD_LIMIT {
                return Err(Failure::EndlessHead { limit: HEAD_LIMIT });
            }
            if used > 0 {
                continue;
            }
            let received = if length == 0 { Received::Nothing } else { Received::Head(length) };
            match self.fill(until) {
                Ok(0) => return Err(Failure::of(ended(), received)),
                Ok(_) => {}
                Err(fault) => return Err(Failure::of(fault, received)),
            }
        }
    }

    /// The next piece of a body, of which `before` bytes have been read. 0: that was all.
    fn read_body(
        &mut self,
        call: &mut Call<RecvBody>,
        into: &mut [u8],
        status: u16,
        before: usize,
        until: Moment,
    ) -> Result<usize, Failure> {
        let not_http = |why: String| Failure::NotHttp { status: Some(status), why };
        let until_close = call.body_mode() == BodyMode::CloseDelimited;
        loop {
            let (used, made) =
                call.read(&self.inbox, into).map_err(|e| not_http(excerpt(&e.to_string())))?;
            self.inbox.drain(..used);
            if made > 0 {
                return Ok(made);
            }
            if !until_close && call.can_proceed() {
                return Ok(0);
            }
            if used > 0 {
                continue;
            }
            if self.inbox.len() > FRAMING_LIMIT {
                return Err(not_http("a chunk has no readable length".to_owned()));
            }
            let received = Received::Body(status, before);
            match self.fill(until) {
                // TLS says goodbye at a true end, so this body is not cut short. A plain connection
                // cannot tell.
                Ok(0) if until_close => return Ok(0),
                Ok(0) => return Err(Failure::of(ended(), received)),
                Ok(_) => {}
                Err(fault) => return Err(Failure::of(fault, received)),
            }
        }
    }

    /// Waits for more to come. 0: nothing more will.
    fn fill(&mut self, until: Moment) -> Result<usize, Fault> {
        let before = self.inbox.len();
        self.inbox.resize(before + CHUNK, 0);
        let read = self.wire.receive(self.inbox.get_mut(before..).unwrap_or_default(), until);
        self.inbox.truncate(before + read.as_ref().copied().unwrap_or_default());
        read
    }
}

/// The body of an answer without end.
pub struct Body {
    connection: Connection,
    status: StatusCode,
    call: Box<Call<RecvBody>>,
}

impl Body {
    /// What follows the head of an answer with this status.
    pub fn new(connection: Connection, status: StatusCode, call: Box<Call<RecvBody>>) -> Self {
        Self { connection, status, call }
    }

    /// The next piece, of which `before` bytes have been read, until `until`. 0: that was all.
    /// After [`Failure::TimedOut`] it may be called again; nothing is lost.
    pub fn read(
        &mut self,
        into: &mut [u8],
        before: usize,
        until: Moment,
    ) -> Result<usize, Failure> {
        self.connection.read_body(&mut self.call, into, self.status.as_u16(), before, until)
    }

    /// The connection below, after the last piece; whether it can be used again, it says itself.
    pub fn into_connection(mut self) -> Connection {
        self.connection.body_ended(*self.call);
        self.connection
    }
}

/// How many bytes were used, and the head if it is complete and not an interim one.
#[inline(never)]
fn read_head_of(
    call: &mut Call<RecvResponse>,
    input: &[u8],
) -> Result<(usize, Option<(StatusCode, HeaderMap)>), ureq_proto::Error> {
    let (used, response) = call.try_response(input, false)?;
    let head = response.map(|response| {
        let (head, ()) = response.into_parts();
        (head.status, head.headers)
    });
    Ok((used, head))
}

fn ended() -> Fault {
    Fault::Gone("it closed the connection".to_owned())
}
