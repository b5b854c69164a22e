//! One HTTP exchange over minreq: the only file here that touches the network. minreq takes the first colon of a
//! URL's host for the port's, so an IPv6 address is asked over [`exchange`].
//!
//! What minreq leaves to its caller is done here: no redirects, limits for every part of an answer,
//! and a body that is shorter than announced is an error. The environment's proxy settings have no
//! effect, as its `proxy` feature is off.

use std::fmt;
use std::io::{self, Read};
use std::mem;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use ureq_proto::http::{self as proto, HeaderName, HeaderValue, header};

use crate::clock::Clock;
use crate::excerpt::excerpt;
use crate::http::connection::Connection;
use crate::http::dial::{self, Stream};
use crate::http::error::{Cause, Party, Role};
use crate::http::exchange::exchange;
use crate::http::protocol::Limit;
use crate::http::request::Request as HttpRequest;
use crate::source::url::Address;

/// For connection, head and body together, in seconds. minreq takes whole seconds only.
pub(super) const PATIENCE_SECONDS: u64 = 1;
/// The longest body that is read, whatever the path. Most answers have under 100 bytes; a planned
/// maintenance takes some 250, so there is room for 60 of them, and an instance has one or two. A
/// history of more is not read, which hides nothing that is planned.
pub(super) const LONGEST_BODY: usize = 16 * 1024;
/// In bytes, line ends included. minreq counts a bare line feed as two bytes, so a line that ends
/// at the limit wraps its counter and lifts the limit; as 8190 + 1 is a prime, lines of one length
/// never meet it.
const LONGEST_HEADERS: usize = 8190;
const LONGEST_STATUS_LINE: usize = 1024;

/// What is asked.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) address: Address,
    /// Names and values without line breaks: minreq writes them as they are.
    pub(super) header: Option<(&'static str, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Put,
}

impl fmt::Display for Request {
    /// Method and address. Never the header: it may be the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            Method::Get => "GET",
            Method::Put => "PUT",
        };
        write!(f, "{method} {}", self.address)
    }
}

/// What came.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// Read for status 200 only, else empty.
    pub(super) body: Result<Vec<u8>, BodyError>,
}

impl Reply {
    /// The last header of that name (in lower case), as a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        number(&self.headers, name)
    }
}

impl fmt::Debug for Reply {
    /// The status only: the body may be the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A body of which not all came, or too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// More than the limit.
    TooLong,
    /// The connection was closed early.
    Cut {
        /// Bytes that came.
        came: usize,
        /// Bytes that the header announced.
        announced: u64,
    },
    /// Reading ended in an error.
    Broken {
        /// Bytes that came.
        came: usize,
        /// The error.
        why: String,
    },
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "more than {LONGEST_BODY} bytes"),
            Self::Cut { came, announced } => {
                write!(f, "{came} of {announced} bytes, then the connection was closed")
            }
            Self::Broken { came, why } => write!(f, "{came} bytes, then an error: {why}"),
        }
    }
}

/// Why no answer came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoResponse {
    /// Not within [`PATIENCE_SECONDS`].
    TimedOut,
    /// The name has no address.
    Unresolved(String),
    /// The connection could not be opened, or broke.
    Unconnected(String),
    /// What came is not an HTTP answer.
    NotHttp(String),
    /// The machine gave no thread to ask with.
    NoThread(String),
}

impl fmt::Display for NoResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => write!(f, "no answer within {PATIENCE_SECONDS} s"),
            Self::Unresolved(why) => write!(f, "the name could not be resolved: {why}"),
            Self::Unconnected(why) => write!(f, "no answer: {why}"),
            Self::NotHttp(why) => write!(f, "what came is no HTTP answer: {why}"),
            Self::NoThread(why) => write!(f, "not asked, as no thread could be started: {why}"),
        }
    }
}

/// Sends one request and reads its answer, within [`PATIENCE_SECONDS`] and the time that the
/// resolver takes for a name.
pub(super) fn send(request: &Request) -> Result<Reply, NoResponse> {
    if let Some(server) = request.address.ipv6() {
        return send_to_ipv6(request, server);
    }
    resolve(&request.address)?;
    try_a_thread().map_err(|why| NoResponse::NoThread(why.to_string()))?;
    let method = match request.method {
        Method::Get => minreq::Method::Get,
        Method::Put => minreq::Method::Put,
    };
    let mut answer = minreq::Request::new(method, request.address.to_url())
        .with_headers(request.header.clone())
        // Each request has a connection of its own.
        .with_header("Connection", "close")
        .with_timeout(PATIENCE_SECONDS)
        .with_follow_redirects(false)
        .with_max_status_line_length(LONGEST_STATUS_LINE)
        .with_max_headers_size(LONGEST_HEADERS)
        .send_lazy()
        .map_err(no_response)?;
    // How minreq reports a connection that was closed before a status line, or gave none.
    if answer.status_code == 503 && answer.reason_phrase == "Server did not provide a status line" {
        return Err(NoResponse::NotHttp("it has no status line".to_owned()));
    }
    let status = answer.status_code;
    let headers = mem::take(&mut answer.headers);
    let body = if status == 200 { read_body(answer, &headers) } else { Ok(Vec::new()) };
    Ok(Reply { status, headers, body })
}

/// The same over a connection of our own.
fn send_to_ipv6(request: &Request, server: SocketAddr) -> Result<Reply, NoResponse> {
    let clock = Clock::start();
    let patience = Duration::from_secs(PATIENCE_SECONDS);
    let until = clock.now() + patience;
    let party = Party { role: Role::MetadataService, address: server.into() };
    let socket = dial::connect(&party, &[server], until, clock).map_err(|e| no_answer(e.cause))?;
    let mut connection = Connection::new(Stream { socket, tls: None }, clock.now())
        .map_err(|why| NoResponse::Unconnected(why.to_string()))?;
    let request = http_request(request)?;
    let limit = Limit { read: LONGEST_BODY, kept: LONGEST_BODY };
    let answer =
        exchange(&mut connection, &request, limit, until, patience, clock).map_err(no_answer)?;
    let headers = answer.head.headers.iter();
    let headers: Vec<_> = headers
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let status = answer.head.status.as_u16();
    let body = match (status, answer.body) {
        (200, body) => {
            body.map_err(|cause| no_body(cause, answer.length, number(&headers, "content-length")))
        }
        _ => Ok(Vec::new()),
    };
    Ok(Reply { status, headers, body })
}

fn http_request(request: &Request) -> Result<HttpRequest, NoResponse> {
    let header = request
        .header
        .as_ref()
        .map(|(name, value)| Ok((HeaderName::try_from(*name)?, HeaderValue::try_from(value)?)));
    let header =
        header.transpose().map_err(|why: proto::Error| NoResponse::Unconnected(why.to_string()))?;
    let close = (header::CONNECTION, HeaderValue::from_static("close"));
    let (method, body) = match request.method {
        Method::Get => (proto::Method::GET, None),
        Method::Put => (proto::Method::PUT, Some(String::new())),
    };
    Ok(HttpRequest {
        method,
        target: request.address.target(),
        authority: request.address.authority(),
        headers: header.into_iter().chain([close]).collect(),
        body,
    })
}

fn no_body(cause: Cause, came: usize, announced: Option<u64>) -> BodyError {
    match (cause, announced) {
        (Cause::TooLong { .. }, _) => BodyError::TooLong,
        (Cause::CutShort { .. }, Some(announced)) => BodyError::Cut { came, announced },
        (cause, _) => BodyError::Broken { came, why: no_answer(cause).to_string() },
    }
}

fn no_answer(cause: Cause) -> NoResponse {
    match cause {
        Cause::TimedOut(_) | Cause::NotAccepted(_) => NoResponse::TimedOut,
        Cause::CutShort { length, .. } => {
            NoResponse::NotHttp(format!("it ends after {length} bytes"))
        }
        Cause::TooLong { limit, .. } => {
            NoResponse::NotHttp(format!("it is longer than {limit} bytes"))
        }
        Cause::NotHttp { why, .. } => NoResponse::NotHttp(why),
        Cause::Unreachable(why) | Cause::Unanswered(why) | Cause::Unsendable(why) => {
            NoResponse::Unconnected(why)
        }
        Cause::NoDescriptor => NoResponse::Unconnected("no file descriptor is left".to_owned()),
        // Of names, TLS and proxies, which there are none of here.
        other => NoResponse::Unconnected(format!("{other:?}")),
    }
}

/// Waits for the resolver here, where only one request is under way: minreq asks it again in a
/// thread of its own, and such threads would pile up if it never answered.
fn resolve(address: &Address) -> Result<(), NoResponse> {
    let Some(name) = address.name() else { return Ok(()) };
    let mut found =
        name.to_socket_addrs().map_err(|why| NoResponse::Unresolved(why.to_string()))?;
    match found.next() {
        Some(_) => Ok(()),
        None => Err(NoResponse::Unresolved("it has no address".to_owned())),
    }
}

/// minreq sends from a thread of its own and panics if it gets none, which would end the program.
/// So a thread is tried first. That leaves the moment between the two; nothing else does better
/// from outside.
fn try_a_thread() -> io::Result<()> {
    let thread = thread::Builder::new().spawn(|| ())?;
    // It returns nothing and cannot panic.
    let _ = thread.join();
    Ok(())
}

fn no_response(error: minreq::Error) -> NoResponse {
    match error {
        minreq::Error::IoError(why) if why.kind() == io::ErrorKind::TimedOut => {
            NoResponse::TimedOut
        }
        minreq::Error::IoError(why) => NoResponse::Unconnected(why.to_string()),
        minreq::Error::AddressNotFound => NoResponse::Unresolved("it has no address".to_owned()),
        minreq::Error::HeadersOverflow => {
            NoResponse::NotHttp(format!("its headers are longer than {LONGEST_HEADERS} bytes"))
        }
        minreq::Error::StatusLineOverflow => NoResponse::NotHttp(format!(
            "its status line is longer than {LONGEST_STATUS_LINE} bytes"
        )),
        minreq::Error::InvalidUtf8InResponse => {
            NoResponse::NotHttp("its head is not UTF-8".to_owned())
        }
        other => NoResponse::NotHttp(excerpt(&other.to_string())),
    }
}

fn read_body(
    answer: minreq::ResponseLazy,
    headers: &[(String, String)],
) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    let read = answer.take(LONGEST_BODY as u64 + 1).read_to_end(&mut body);
    let came = body.len();
    if came > LONGEST_BODY {
        return Err(BodyError::TooLong);
    }
    if let Err(why) = read {
        return Err(BodyError::Broken { came, why: why.to_string() });
    }
    // Then a length that was announced does not count (RFC 9112, 6.3).
    let is_chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    match number(headers, "content-length") {
        Some(announced) if !is_chunked && announced != came as u64 => {
            Err(BodyError::Cut { came, announced })
        }
        _ => Ok(body),
    }
}

fn number(headers: &[(String, String)], name: &str) -> Option<u64> {
    let (_, value) = headers.iter().rfind(|(other, _)| other == name)?;
    // minreq leaves all white space around it but one space.
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::source::stand_in::{StandIn, until_hung_up};
    use crate::source::url::NoticeUrl;

    fn get(url: &str) -> Request {
        Request { method: Method::Get, address: NoticeUrl::parse(url).unwrap().0, header: None }
    }

    /// What comes of a GET when the server does that.
    fn ask(
        answer: impl FnMut(&mut TcpStream) -> io::Result<()> + Send + 'static,
    ) -> Result<Reply, NoResponse> {
        let mut answer = answer;
        let server = StandIn::start(move |_, stream| answer(stream));
        send(&get(&server.url("/a?b=c")))
    }

    fn ask_for(answer: &'static [u8]) -> Result<Reply, NoResponse> {
        ask(|stream| stream.write_all(answer))
    }

    fn not_http(answer: Result<Reply, NoResponse>) -> String {
        match answer {
            Err(NoResponse::NotHttp(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_one_connection_with_the_header_given() {
        let server = StandIn::start(|_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX-Left: 7\r\nContent-Length: 2\r\n\r\nok")
        });
        let header = Some(("X-Name", "value".to_owned()));
        let reply = send(&Request { header, ..get(&server.url("/a?b=c")) }).unwrap();
        assert_eq!((reply.status, reply.body.as_deref()), (200, Ok(&b"ok"[..])));
        assert_eq!((reply.number("x-left"), reply.number("x-right")), (Some(7), None));
        let head = server.heads().remove(0);
        assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:"), "{head}");
        assert!(head.contains("\r\nX-Name: value\r\nConnection: close\r\n"), "{head}");
    }

    #[test]
    fn an_ipv6_address_is_asked_in_the_same_way() {
        let server = StandIn::start_on("[::1]:0", |head, stream| {
            if head.starts_with("PUT ") {
                stream.write_all(b"HTTP/1.1 200 OK\r\nX-Left: 7\r\nContent-Length: 2\r\n\r\nok")
            } else {
                stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone")
            }
        });
        let url = server.url("/a?b=c");
        let header = Some(("X-Name", "value".to_owned()));
        let put = send(&Request { method: Method::Put, header, ..get(&url) }).unwrap();
        assert_eq!((put.status, put.body.as_deref()), (200, Ok(&b"ok"[..])));
        assert_eq!((put.number("x-left"), put.number("content-length")), (Some(7), Some(2)));
        let missing = send(&get(&url)).unwrap();
        assert_eq!((missing.status, missing.body.as_deref()), (404, Ok(&b""[..])));

        let host = url.strip_prefix("http://").unwrap().strip_suffix("/a?b=c").unwrap().to_owned();
        assert!(host.starts_with("[::1]:"), "{host}");
        let lines = |head: &str| head.lines().map(str::to_lowercase).collect::<Vec<_>>();
        let heads = server.heads();
        let host = format!("host: {host}");
        let (first, close) = ("put /a?b=c http/1.1", "connection: close");
        assert_eq!(
            lines(&heads[0]),
            [first, &host, "x-name: value", close, "content-length: 0", ""]
        );
        assert_eq!(lines(&heads[1]), ["get /a?b=c http/1.1", &host, close, ""]);
    }

    #[test]
    fn what_an_ipv6_address_says_is_limited_too() {
        let ask = |answer: &'static [u8], repeats: usize| {
            let server = StandIn::start_on("[::1]:0", move |_, stream| {
                stream.write_all(answer)?;
                (0..repeats).try_for_each(|_| stream.write_all(&[b'a'; 1024]))?;
                if repeats == 0 { Ok(()) } else { until_hung_up(stream) }
            });
            send(&get(&server.url("/")))
        };
        let body = |answer, repeats| ask(answer, repeats).unwrap().body.unwrap_err();
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"action\"";
        assert_eq!(body(cut, 0), BodyError::Cut { came: 9, announced: 50 });
        let stalls = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
        assert!(matches!(body(stalls, 1), BodyError::Broken { came: 1024, .. }));
        assert_eq!(body(b"HTTP/1.1 200 OK\r\n\r\n", 20), BodyError::TooLong);
        let broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
        assert!(matches!(body(broken, 0), BodyError::Broken { came: 0, .. }));
        assert!(matches!(ask(b"SSH-2.0-OpenSSH_9.9\r\n", 0), Err(NoResponse::NotHttp(_))));
        assert!(matches!(ask(b"", 0), Err(NoResponse::Unconnected(_))));
        assert_eq!(ask(b"HTTP/1.1 200 OK\r\nX: ", 1).unwrap_err(), NoResponse::TimedOut);
        let refused = send(&get("http://[::1]:1/"));
        assert!(matches!(refused, Err(NoResponse::Unconnected(_))), "{refused:?}");
    }

    #[test]
    fn a_name_is_resolved() {
        let server = StandIn::start(|_, stream| stream.write_all(b"HTTP/1.1 404 No\r\n\r\n"));
        let url = server.url("/").replace("127.0.0.1", "localhost");
        assert_eq!(send(&get(&url)).unwrap().status, 404);
    }

    #[test]
    fn a_redirect_is_an_answer_and_not_followed() {
        for status in [301, 302, 303, 307, 308] {
            let server = StandIn::start(move |_, stream| {
                write!(
                    stream,
                    "HTTP/1.1 {status} Moved\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
                )
            });
            assert_eq!(send(&get(&server.url("/a"))).unwrap().status, status);
            assert_eq!(server.heads().len(), 1);
        }
    }

    #[test]
    fn a_body_that_is_cut_is_an_error() {
        let cut = ask_for(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"action\"");
        assert_eq!(cut.unwrap().body, Err(BodyError::Cut { came: 9, announced: 50 }));
        let broken = ask_for(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
        assert!(matches!(broken.unwrap().body, Err(BodyError::Broken { came: 0, .. })));
    }

    #[test]
    fn chunks_count_more_than_an_announced_length() {
        let reply = ask_for(
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n\
              2\r\nok\r\n0\r\n\r\n",
        );
        assert_eq!(reply.unwrap().body.as_deref(), Ok(&b"ok"[..]));
    }

    #[test]
    fn a_body_that_stalls_is_an_error() {
        let stalled = ask(|stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"action\"")?;
            until_hung_up(stream)
        });
        assert!(matches!(stalled.unwrap().body, Err(BodyError::Broken { came: 9, .. })));
    }

    #[test]
    fn an_endless_body_is_read_to_the_limit_and_no_further() {
        for head in ["", "Content-Length: 9999999999\r\n", "Transfer-Encoding: chunked\r\n"] {
            let sent = Arc::new(AtomicUsize::new(0));
            let sending = Arc::clone(&sent);
            let reply = ask(move |stream| {
                write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n")?;
                let chunk = "f4240\r\n".to_owned() + &"a".repeat(1_000_000) + "\r\n";
                loop {
                    stream.write_all(chunk.as_bytes())?;
                    sending.fetch_add(chunk.len(), Ordering::Relaxed);
                }
            });
            assert_eq!(reply.unwrap().body, Err(BodyError::TooLong), "{head}");
            // What the kernel holds between the two.
            let sent = sent.load(Ordering::Relaxed);
            assert!(sent < 32_000_000, "{sent}");
        }
    }

    #[test]
    fn an_endless_head_is_read_to_the_limit() {
        let endless = |line: &'static str| {
            not_http(ask(move |stream| {
                stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
                loop {
                    stream.write_all(line.as_bytes())?;
                }
            }))
        };
        for line in ["X-More: yes\r\n", "X-Longer: more\n", "a:\n", "no colon and no end"] {
            assert_eq!(endless(line), "its headers are longer than 8190 bytes", "{line:?}");
        }
        let status = ask(|stream| {
            loop {
                stream.write_all(b"HTTP/1.1 ")?;
            }
        });
        assert_eq!(not_http(status), "its status line is longer than 1024 bytes");
    }

    #[test]
    fn what_is_not_http_is_said() {
        assert_eq!(not_http(ask_for(b"")), "it has no status line");
        assert_eq!(not_http(ask_for(b"SSH-2.0-OpenSSH_9.9\r\n")), "it has no status line");
        assert_eq!(not_http(ask_for(b"\xff\xff\r\n")), "its head is not UTF-8");
        let length = ask_for(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n");
        assert_eq!(not_http(length), "non-usize content length");
    }

    #[test]
    fn a_refused_connection_is_said() {
        // Nobody listens on the port of tcpmux any more.
        let answer = send(&get("http://127.0.0.1:1/"));
        assert!(matches!(answer, Err(NoResponse::Unconnected(_))), "{answer:?}");
    }

    /// Threads of this process that have this name, which a thread gives to those it starts.
    #[expect(clippy::disallowed_methods, reason = "the kernel's list of threads")]
    fn threads_named(name: &str) -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        tasks
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
            .filter(|comm| comm.trim() == name)
            .count()
    }

    #[test]
    fn a_black_hole_is_a_time_out_and_gathers_no_threads() {
        // Connections are taken by the kernel, and nobody reads them.
        let hole = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", hole.local_addr().unwrap());
        let name = "black-hole";
        let asking = thread::Builder::new().name(name.to_owned()).spawn(move || {
            for _ in 0..4 {
                assert_eq!(send(&get(&url)).unwrap_err(), NoResponse::TimedOut);
                // This one, and at most the last exchange's, at its end.
                assert!(threads_named(name) <= 2);
            }
        });
        asking.unwrap().join().unwrap();
    }
}
