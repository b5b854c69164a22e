//! One connection to the API server: one exchange after the other, HTTP/1.1 over TLS. It has no
//! opinion of what an answer means. A redirect is an answer; nobody follows it.

use std::sync::Arc;
use std::time::Duration;

use ureq_proto::BodyMode;
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};
use ureq_proto::http::{self, StatusCode, header};

use crate::kube::access::Access;
use crate::kube::reply::{self, Reply};
use crate::kube::request::{Method, Request};
use crate::kube::token::Token;
use crate::kube::trouble::Trouble;
use crate::kube::wire::{Fault, Wire};
use crate::moment::Moment;

/// Bytes that are read of a head, those of interim answers (1xx) included. The API server's are
/// below 1 kB.
const HEAD_LIMIT: usize = 16 * 1024;

/// Bytes that are kept of the body of an answer other than 2xx: a Status with its message, or the
/// beginning of whatever a proxy says instead.
const REFUSAL_KEPT: usize = 64 * 1024;

/// Bytes that are read of such a body, so that the connection can be kept.
const REFUSAL_READ: usize = 1024 * 1024;

/// Bytes that are read from the wire at a time.
const CHUNK: usize = 2 * 1024;

/// Bytes of a body that are unpacked at a time, on the stack.
const PIECE: usize = 1024;

/// Bytes between two pieces of a chunked body: a length, a trailer.
const FRAMING_LIMIT: usize = 8 * 1024;

/// An open connection.
pub(super) struct Connection {
    access: Arc<Access>,
    wire: Wire,
    token: Token,
    /// What has come and was not read yet.
    inbox: Vec<u8>,
    reusable: bool,
}

/// The answer to a request for a stream.
pub(super) enum Streaming {
    /// Any status but 200.
    Refused(Reply),
    /// Status 200, and its body as it comes.
    Body(Box<Body>),
}

impl Connection {
    /// Connects within `patience`, and to each address of the API server within 2 s, with the
    /// token that its file has now.
    pub(super) fn open(access: &Arc<Access>, patience: Duration) -> Result<Self, Trouble> {
        let token = access.server().token()?;
        let wire = Wire::open(access, patience)?;
        let access = Arc::clone(access);
        Ok(Self { access, wire, token, inbox: Vec::new(), reusable: true })
    }

    /// Sends the request and waits for the whole answer, all within `patience`. After a trouble
    /// the connection cannot be used any more.
    ///
    /// Of an answer with status 2xx [`Request::answer_kept`] bytes are kept, and more than
    /// [`Request::answer_limit`] is a trouble. Of other answers the first 64 KiB are kept.
    pub(super) fn send(&mut self, request: &Request, patience: Duration) -> Result<Reply, Trouble> {
        let exchange = Exchange::new(&self.access, request, patience);
        let (call, head) = self.ask(request, &exchange)?;
        self.read_rest(call, head, request, &exchange)
    }

    /// Sends the request and waits for the head of its answer, all within `patience`. An answer
    /// other than 200 is read to its end.
    pub(super) fn stream(
        mut self,
        request: &Request,
        patience: Duration,
    ) -> Result<Streaming, Trouble> {
        let exchange = Exchange::new(&self.access, request, patience);
        let (call, head) = self.ask(request, &exchange)?;
        match call {
            RecvResponseResult::RecvBody(body) if head.status == StatusCode::OK => {
                Ok(Streaming::Body(Box::new(Body { connection: self, call: body, exchange })))
            }
            call => self.read_rest(call, head, request, &exchange).map(Streaming::Refused),
        }
    }

    /// Whether the last exchange left it ready for another one.
    pub(super) fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// The token by which the API server knows it.
    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    fn ask(
        &mut self,
        request: &Request,
        exchange: &Exchange,
    ) -> Result<(RecvResponseResult, Head), Trouble> {
        let unsendable = |why| Trouble::Unsendable { asked: exchange.asked.clone(), why };
        // Until the answer is read to its end. What came late of an answer to somebody else would
        // be taken for ours.
        if !std::mem::replace(&mut self.reusable, false) {
            return Err(unsendable("the connection is done with".to_owned()));
        }
        let (bytes, call) = self.write(request).map_err(|why| unsendable(why.to_string()))?;
        self.wire
            .send(&bytes, exchange.until)
            .map_err(|fault| exchange.trouble(&self.access, fault, Received::Nothing))?;
        self.read_head(call, exchange)
    }

    /// The request as bytes, in one piece.
    #[inline(never)]
    fn write(&self, request: &Request) -> Result<(Vec<u8>, Call<RecvResponse>), ureq_proto::Error> {
        let body = request.body.as_ref();
        let mut builder = http::Request::builder()
            .method(method(request.method))
            .uri(&request.path)
            .header(header::HOST, self.access.server().address().to_string())
            .header(header::AUTHORIZATION, self.token.header())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "application/json");
        if let Some(body) = body {
            builder = builder
                .header(header::CONTENT_TYPE, body.content_type)
                .header(header::CONTENT_LENGTH, body.text.len());
        }
        let head = builder.body(()).map_err(|e| ureq_proto::Error::BadHeader(e.to_string()))?;
        let mut call = Call::new(head)?;
        if body.is_some() {
            // Not every method has one by itself: DELETE.
            call.force_send_body();
        }
        let mut call = call.proceed();
        let text = body.map(|body| body.text.as_bytes()).unwrap_or_default();
        let room = request.path.len() + self.token.header().len() + text.len() + HEADERS;
        let mut bytes = vec![0; room];
        let mut length = call.write(&mut bytes)?;
        let call = match call.proceed()? {
            Some(SendRequestResult::RecvResponse(call)) => Some(call),
            Some(SendRequestResult::SendBody(mut call)) => {
                let (_, written) = call.write(text, bytes.get_mut(length..).unwrap_or_default())?;
                length += written;
                call.proceed()
            }
            Some(SendRequestResult::Await100(_)) | None => None,
        };
        bytes.truncate(length);
        call.map(|call| (bytes, call)).ok_or(ureq_proto::Error::OutputOverflow)
    }

    #[inline(never)]
    fn read_head(
        &mut self,
        mut call: Call<RecvResponse>,
        exchange: &Exchange,
    ) -> Result<(RecvResponseResult, Head), Trouble> {
        let not_http =
            |why: String| Trouble::NotHttp { asked: exchange.asked.clone(), status: None, why };
        let mut interim = 0;
        loop {
            let (used, head) =
                Head::read(&mut call, &self.inbox).map_err(|e| not_http(e.to_string()))?;
            self.inbox.drain(..used);
            if let Some(head) = head {
                let call = call
                    .proceed()
                    .ok_or_else(|| not_http("its head cannot be understood".to_owned()))?;
                return Ok((call, head));
            }
            interim += used;
            let length = interim + self.inbox.len();
            if length > HEAD_LIMIT {
                let asked = exchange.asked.clone();
                return Err(Trouble::EndlessHead { asked, limit: HEAD_LIMIT });
            }
            if used > 0 {
                continue;
            }
            let received = if length == 0 { Received::Nothing } else { Received::Head(length) };
            if self.fill(exchange.until).map_err(|f| exchange.trouble(&self.access, f, received))?
                == 0
            {
                return Err(exchange.trouble(&self.access, ended(), received));
            }
        }
    }

    /// Reads the body, if there is one, and sees whether the connection can be kept.
    #[inline(never)]
    fn read_rest(
        &mut self,
        call: RecvResponseResult,
        head: Head,
        request: &Request,
        exchange: &Exchange,
    ) -> Result<Reply, Trouble> {
        let status = head.status.as_u16();
        let (limit, kept) = if head.status.is_success() {
            (request.answer_limit, request.answer_kept)
        } else {
            (REFUSAL_READ, REFUSAL_KEPT)
        };
        let mut body = Vec::new();
        let must_close = match call {
            RecvResponseResult::RecvBody(mut call) => {
                let too_long =
                    || Trouble::EndlessBody { asked: exchange.asked.clone(), status, limit };
                if let BodyMode::LengthDelimited(length) = call.body_mode()
                    && usize::try_from(length).map_or(true, |length| length > limit)
                {
                    return Err(too_long());
                }
                let mut piece = [0; PIECE];
                let mut length = 0;
                loop {
                    let read = self.read_body(&mut call, &mut piece, status, length, exchange)?;
                    if read == 0 {
                        break;
                    }
                    length += read;
                    if length > limit {
                        return Err(too_long());
                    }
                    let room = kept.saturating_sub(body.len()).min(read);
                    body.extend_from_slice(piece.get(..room).unwrap_or_default());
                }
                match call.proceed() {
                    Some(RecvBodyResult::Cleanup(call)) => call.must_close_connection(),
                    Some(RecvBodyResult::Redirect(call)) => call.must_close_connection(),
                    None => true,
                }
            }
            RecvResponseResult::Redirect(call) => call.must_close_connection(),
            RecvResponseResult::Cleanup(call) => call.must_close_connection(),
        };
        // Bytes that nobody asked for cannot be told from the next answer.
        self.reusable = !must_close && self.inbox.is_empty();
        // Its memory may go until the next answer.
        self.inbox = Vec::new();
        Ok(Reply { status, retry_after: head.retry_after, body })
    }

    /// The next piece of a body, of which `before` bytes have been read. 0: that was all.
    fn read_body(
        &mut self,
        call: &mut Call<RecvBody>,
        into: &mut [u8],
        status: u16,
        before: usize,
        exchange: &Exchange,
    ) -> Result<usize, Trouble> {
        let not_http = |why: String| Trouble::NotHttp {
            asked: exchange.asked.clone(),
            status: Some(status),
            why,
        };
        let until_close = call.body_mode() == BodyMode::CloseDelimited;
        loop {
            let (used, made) = call.read(&self.inbox, into).map_err(|e| not_http(e.to_string()))?;
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
            match self.fill(exchange.until) {
                // TLS says goodbye at a true end, so this body is not cut short.
                Ok(0) if until_close => return Ok(0),
                Ok(0) => return Err(exchange.trouble(&self.access, ended(), received)),
                Ok(_) => {}
                Err(fault) => return Err(exchange.trouble(&self.access, fault, received)),
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
pub(super) struct Body {
    connection: Connection,
    call: Call<RecvBody>,
    exchange: Exchange,
}

impl Body {
    /// The next piece, of which `before` bytes have been read, within `patience`. 0: that was all.
    pub(super) fn read(
        &mut self,
        into: &mut [u8],
        before: usize,
        until: Moment,
    ) -> Result<usize, Trouble> {
        self.exchange.until = until;
        let status = StatusCode::OK.as_u16();
        self.connection.read_body(&mut self.call, into, status, before, &self.exchange)
    }

    /// The moment at which `patience` ends.
    pub(super) fn begin(&mut self, patience: Duration) -> Moment {
        self.exchange.patience = patience;
        self.connection.access.clock().now() + patience
    }
}

/// What is kept of an answer's head.
#[derive(Clone, Copy)]
struct Head {
    status: StatusCode,
    retry_after: Option<Duration>,
}

impl Head {
    /// How many bytes were used, and the head if it is complete and not an interim one.
    #[inline(never)]
    fn read(
        call: &mut Call<RecvResponse>,
        input: &[u8],
    ) -> Result<(usize, Option<Self>), ureq_proto::Error> {
        let (used, response) = call.try_response(input, false)?;
        let head = response.map(|response| Self {
            status: response.status(),
            retry_after: response
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| reply::retry_after(value.to_str().ok()?)),
        });
        Ok((used, head))
    }
}

/// One request, as its troubles name it, and its deadline.
struct Exchange {
    asked: String,
    patience: Duration,
    until: Moment,
}

/// How far an answer has come.
#[derive(Clone, Copy)]
enum Received {
    Nothing,
    Head(usize),
    /// Status, and bytes of the body.
    Body(u16, usize),
}

impl Exchange {
    fn new(access: &Access, request: &Request, patience: Duration) -> Self {
        Self { asked: request.to_string(), patience, until: access.clock().now() + patience }
    }

    fn trouble(&self, access: &Access, fault: Fault, received: Received) -> Trouble {
        if access.is_closed() {
            return Trouble::Over;
        }
        let asked = self.asked.clone();
        match (fault, received) {
            (Fault::TimedOut, _) => Trouble::TimedOut { asked, patience: self.patience },
            (Fault::Gone(why), Received::Nothing) => Trouble::Unanswered { asked, why },
            (Fault::Gone(_), Received::Head(length)) => {
                Trouble::CutShort { asked, status: None, length }
            }
            (Fault::Gone(_), Received::Body(status, length)) => {
                Trouble::CutShort { asked, status: Some(status), length }
            }
            (Fault::Tls(error), _) => {
                Trouble::Tls { server: access.server().address().clone(), why: error.to_string() }
            }
        }
    }
}

fn ended() -> Fault {
    Fault::Gone("it closed the connection".to_owned())
}

const USER_AGENT: &str = concat!("k8s-spot-handler/", env!("CARGO_PKG_VERSION"));

/// Bytes of a request's head that are neither path nor token.
const HEADERS: usize = 1024;

fn method(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::lines::{Line, Lines};
    use crate::kube::stand_in::{LONG, SHORT, StandIn, delete, get};
    use std::sync::{Mutex, mpsc};

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

    fn answer_to(answer: &'static [u8]) -> Result<Reply, Trouble> {
        StandIn::answering_once(answer).connection().send(&get("/api"), LONG)
    }

    fn body_of(answer: &'static [u8]) -> String {
        String::from_utf8(answer_to(answer).unwrap().body).unwrap()
    }

    #[test]
    fn a_request_is_written_as_the_api_server_wants_it() {
        let (tell, requests) = mpsc::channel();
        let server = StandIn::start(move |_, mut peer| {
            while let Some(request) = peer.hears() {
                tell.send(request).unwrap();
                peer.says(OK);
            }
        });
        let mut connection = server.connection();
        connection.send(&delete("/api/v1/pods/a?x=1", r#"{"a":1}"#), LONG).unwrap();
        let request = requests.recv().unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<_> = head.lines().collect();
        assert_eq!(lines.remove(0), "DELETE /api/v1/pods/a?x=1 HTTP/1.1");
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "accept: application/json",
                "authorization: Bearer a-token",
                "content-length: 7",
                "content-type: application/json",
                &format!("host: {}", server.server().address()),
                &format!("user-agent: k8s-spot-handler/{}", env!("CARGO_PKG_VERSION")),
            ]
        );
        assert_eq!(body, r#"{"a":1}"#);

        connection.send(&get("/api"), LONG).unwrap();
        let request = requests.recv().unwrap();
        assert!(request.starts_with("GET /api HTTP/1.1\r\n"), "{request}");
        assert!(!request.contains("content-"), "{request}");
    }

    #[test]
    fn one_connection_carries_many_requests() {
        let (opened, connections) = mpsc::channel();
        let server = StandIn::start(move |number, mut peer| {
            opened.send(number).unwrap();
            while peer.hears().is_some() {
                peer.says(OK);
            }
        });
        let mut connection = server.connection();
        for _ in 0..3 {
            let reply = connection.send(&get("/api"), LONG).unwrap();
            assert_eq!((reply.status, reply.body.as_slice()), (200, &b"{}"[..]));
            assert!(connection.is_reusable());
        }
        assert_eq!(connections.try_iter().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn bodies_of_every_framing_are_read_whole() {
        assert_eq!(body_of(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "hello");
        assert_eq!(
            body_of(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                  2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\nTrailer: t\r\n\r\n"
            ),
            "hello"
        );
        // Ended by TLS's goodbye.
        assert_eq!(body_of(b"HTTP/1.0 200 OK\r\n\r\nhello"), "hello");
        assert_eq!(body_of(b"HTTP/1.1 204 No Content\r\n\r\n"), "");
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
                       HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
        let reply = answer_to(answer).unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (201, &b"{}"[..]));
    }

    #[test]
    fn a_refusal_is_an_answer_with_its_wait() {
        let reply = answer_to(
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}",
        );
        let wait = Some(Duration::from_secs(7));
        assert_eq!(reply, Ok(Reply { status: 429, retry_after: wait, body: b"{}".to_vec() }));
    }

    #[test]
    fn a_redirect_is_an_answer() {
        let answer = b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\n\
                       Content-Length: 5\r\n\r\nthere";
        let reply = answer_to(answer).unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (302, &b"there"[..]));
    }

    #[test]
    fn what_the_server_wants_closed_is_not_used_again() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"[..],
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            // More than was said: the next answer would begin in the middle.
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n",
        ] {
            let mut connection = StandIn::answering_once(answer).connection();
            connection.send(&get("/api"), LONG).unwrap();
            assert!(!connection.is_reusable(), "{}", String::from_utf8_lossy(answer));
        }
    }

    /// Sends each proper prefix of `answer` and ends the connection, with and without a goodbye.
    fn every_prefix_is_a_trouble(answer: &'static [u8]) {
        let server = StandIn::start(move |number, mut peer| {
            peer.hears();
            peer.says(&answer[..number / 2]);
            if number % 2 == 0 { peer.leaves() } else { peer.drops() }
        });
        let access = server.access();
        for number in 0..answer.len() * 2 {
            let result = Connection::open(&access, LONG).unwrap().send(&get("/api"), LONG);
            let trouble = result.expect_err(&String::from_utf8_lossy(&answer[..number / 2]));
            let length = number / 2;
            match trouble {
                Trouble::Unanswered { .. } => assert_eq!(length, 0),
                Trouble::CutShort { status: None, length: said, .. } => assert_eq!(said, length),
                Trouble::CutShort { status: Some(200), .. } => assert!(length > 12),
                other => panic!("{length}: {other}"),
            }
        }
        assert_eq!(
            Connection::open(&access, LONG).unwrap().send(&get("/api"), LONG).unwrap().status,
            200
        );
    }

    #[test]
    fn no_prefix_of_an_answer_with_a_length_passes_for_one() {
        every_prefix_is_a_trouble(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello",
        );
    }

    #[test]
    fn no_prefix_of_a_chunked_answer_passes_for_one() {
        every_prefix_is_a_trouble(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
        );
    }

    #[test]
    fn a_body_until_the_end_needs_a_goodbye() {
        let server = StandIn::start(|_, mut peer| {
            peer.hears();
            peer.says(b"HTTP/1.0 200 OK\r\n\r\n{\"a\":");
            peer.drops();
        });
        assert_eq!(
            server.connection().send(&get("/api"), LONG),
            Err(Trouble::CutShort { asked: "GET /api".into(), status: Some(200), length: 5 })
        );
    }

    #[test]
    fn what_is_no_http_is_named_so() {
        for (answer, status) in [
            (&b"<html>hello</html>\r\n\r\n"[..], None),
            (b"HTTP/2 200 OK\r\n\r\n", None),
            (b"HTTP/1.1 099 Odd\r\n\r\n", None),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n", None),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", None),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", Some(200)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", Some(200)),
        ] {
            match answer_to(answer) {
                Err(Trouble::NotHttp { status: got, .. }) => assert_eq!(got, status),
                other => panic!("{}: {other:?}", String::from_utf8_lossy(answer)),
            }
        }
    }

    /// Says `first`, then `again` for as long as somebody listens.
    fn endless(first: &'static [u8], again: &'static [u8]) -> StandIn {
        StandIn::start(move |_, mut peer| {
            peer.hears();
            peer.says(first);
            while peer.says(again) {}
        })
    }

    #[test]
    fn a_head_without_end_is_left() {
        let asked = || "GET /api".to_owned();
        for server in [
            endless(b"HTTP/1.1 200 OK\r\n", b"X-Pad: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        ] {
            assert_eq!(
                server.connection().send(&get("/api"), LONG),
                Err(Trouble::EndlessHead { asked: asked(), limit: HEAD_LIMIT })
            );
        }
        // Many short headers come to another limit first.
        let server = endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n");
        let trouble = server.connection().send(&get("/api"), LONG).unwrap_err();
        assert!(matches!(trouble, Trouble::NotHttp { status: None, .. }), "{trouble}");
    }

    #[test]
    fn a_body_without_end_is_left() {
        const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let limit = get("/api").answer_limit;
        let too_long =
            |status, limit| Err(Trouble::EndlessBody { asked: "GET /api".into(), status, limit });
        let bodies: [(&'static [u8], &'static [u8], u16, usize); 3] = [
            (CHUNKED, b"8\r\naaaaaaaa\r\n", 200, limit),
            (b"HTTP/1.0 200 OK\r\n\r\n", b"aaaaaaaa", 200, limit),
            (b"HTTP/1.0 503 Busy\r\n\r\n", &[b'a'; 4096], 503, REFUSAL_READ),
        ];
        for (first, again, status, limit) in bodies {
            let reply = endless(first, again).connection().send(&get("/api"), LONG);
            assert_eq!(reply, too_long(status, limit));
        }
        // Said in advance: not read at all.
        for said in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
        ] {
            assert_eq!(answer_to(said), too_long(200, limit));
        }
        // Neither a chunk's length nor its trailers end.
        let server = endless(CHUNKED, b"0000000000000000");
        let trouble = server.connection().send(&get("/api"), LONG).unwrap_err();
        assert!(matches!(trouble, Trouble::NotHttp { status: Some(200), .. }), "{trouble}");
    }

    #[test]
    fn of_a_long_refusal_the_beginning_is_kept_and_so_is_the_connection() {
        let server = StandIn::start(|_, mut peer| {
            while peer.hears().is_some() {
                peer.says(b"HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n");
                peer.says(&vec![b'a'; 100_000]);
            }
        });
        let mut connection = server.connection();
        let reply = connection.send(&get("/api"), LONG).unwrap();
        assert_eq!((reply.status, reply.body.len()), (503, REFUSAL_KEPT));
        assert!(connection.is_reusable());
    }

    #[test]
    fn the_deadline_counts_for_the_whole_answer() {
        // Each byte comes in time; together they never end.
        let drip = endless(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"a");
        let silence = StandIn::start(|_, peer| peer.waits_for_the_end());
        for server in [drip, silence] {
            let mut request = get("/api");
            request.answer_limit = usize::MAX;
            let mut connection = server.connection();
            let trouble = connection.send(&request, SHORT).unwrap_err();
            assert_eq!(trouble, Trouble::TimedOut { asked: "GET /api".into(), patience: SHORT });
            assert!(!connection.is_reusable());
            // What comes late is nobody else's answer.
            let trouble = connection.send(&request, LONG).unwrap_err();
            assert!(matches!(trouble, Trouble::Unsendable { .. }), "{trouble}");
        }
    }

    #[test]
    fn closing_the_access_wakes_whoever_waits() {
        let (tell, told) = mpsc::channel();
        let server = StandIn::start(move |_, mut peer| {
            peer.hears();
            tell.send(()).unwrap();
            peer.waits_for_the_end();
        });
        let access = server.access();
        let waiting = std::thread::spawn({
            let access = Arc::clone(&access);
            move || Connection::open(&access, LONG).unwrap().send(&get("/api"), LONG)
        });
        told.recv().unwrap();
        access.close();
        assert_eq!(waiting.join().unwrap(), Err(Trouble::Over));
        // Whoever comes later finds it closed.
        assert_eq!(Connection::open(&access, LONG).err(), Some(Trouble::Over));
    }

    fn stream_of(server: &StandIn) -> Lines {
        match server.connection().stream(&get("/w"), LONG) {
            Ok(Streaming::Body(body)) => Lines::new(body),
            Ok(Streaming::Refused(reply)) => panic!("{reply:?}"),
            Err(trouble) => panic!("{trouble}"),
        }
    }

    #[test]
    fn a_stream_is_read_line_by_line() {
        let (go, told) = mpsc::channel();
        let told = Mutex::new(told);
        let server = StandIn::start(move |_, mut peer| {
            peer.hears();
            peer.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            peer.says(b"8\r\none\ntwo\n\r\n3\r\nthr\r\n");
            told.lock().unwrap().recv().unwrap();
            peer.says(b"3\r\nee\n\r\n4\r\nrest\r\n0\r\n\r\n");
            peer.waits_for_the_end();
        });
        let mut lines = stream_of(&server);
        assert_eq!(lines.next_line(LONG), Ok(Some(Line::Text(b"one"))));
        assert_eq!(lines.next_line(LONG), Ok(Some(Line::Text(b"two"))));
        // A pause is no loss.
        let paused = Trouble::TimedOut { asked: "GET /w".into(), patience: SHORT };
        assert_eq!(lines.next_line(SHORT), Err(paused));
        go.send(()).unwrap();
        assert_eq!(lines.next_line(LONG), Ok(Some(Line::Text(b"three"))));
        assert_eq!(lines.next_line(LONG), Ok(Some(Line::Text(b"rest"))));
        assert_eq!(lines.next_line(LONG), Ok(None));
        assert_eq!(lines.next_line(LONG), Ok(None));
    }

    #[test]
    fn a_stream_that_breaks_off_gives_its_whole_lines_and_then_the_trouble() {
        let server = StandIn::start(|_, mut peer| {
            peer.hears();
            peer.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\none\nhal\r\n");
            peer.leaves();
        });
        let mut lines = stream_of(&server);
        assert_eq!(lines.next_line(LONG), Ok(Some(Line::Text(b"one"))));
        let cut = Trouble::CutShort { asked: "GET /w".into(), status: Some(200), length: 7 };
        assert_eq!(lines.next_line(LONG), Err(cut));
    }

    #[test]
    fn a_stream_refused_is_an_answer() {
        let server = StandIn::answering(b"HTTP/1.1 410 Gone\r\nContent-Length: 2\r\n\r\n{}");
        match server.connection().stream(&get("/w"), LONG) {
            Ok(Streaming::Refused(reply)) => {
                assert_eq!((reply.status, reply.body.as_slice()), (410, &b"{}"[..]));
            }
            _ => panic!("not refused"),
        }
    }
}
