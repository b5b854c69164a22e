//! One HTTP exchange, over minreq: one deadline for all of it, and a connection of its own. What minreq lacks is
//! done here: limits for each part of an answer, and an error where a body is shorter than announced. It takes
//! the first colon of a URL's host for the port's, so an IPv6 address is asked over [`Connection::exchange`]. The
//! environment's proxy settings have no effect, as its `proxy` feature is off.

use std::fmt;
use std::io::{self, Read};
use std::mem;
use std::net::ToSocketAddrs;
use std::thread;
use std::time::Duration;

use ureq_proto::http::{HeaderName, HeaderValue, Method, header};

use crate::clock::Clock;
use crate::excerpt::excerpt;
use crate::http::connection::{Connection, Response};
use crate::http::dial::{self, Stream};
use crate::http::error::{Cause, Error, Party, Role};
use crate::http::protocol::{self, BodyLimit};
use crate::source::url::Url;

/// For connection, head and body together, in seconds: minreq takes whole seconds only.
const TIMEOUT_SECONDS: u64 = 1;
const TIMEOUT: Duration = Duration::from_secs(TIMEOUT_SECONDS);
/// The longest body that is read, whatever the path. Most answers have under 100 bytes; a planned
/// maintenance takes some 250, so there is room for 60 of them, and an instance has one or two. A
/// history of more is not read, which hides nothing that is planned.
pub(super) const LONGEST_BODY: usize = 16 * 1024;
/// In bytes, line ends included. minreq counts a bare line feed as two bytes, so a line that ends
/// at the limit wraps its counter and lifts the limit; as 8190 + 1 is a prime, lines of one length
/// never meet it.
const LONGEST_HEADERS: usize = 8190;
const LONGEST_STATUS_LINE: usize = 1024;

/// A request, without a body.
#[derive(Clone)]
pub(super) struct ImdsRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    /// Name and value without line breaks: minreq writes them as they are.
    pub(super) header: Option<(&'static str, String)>,
}

impl fmt::Display for ImdsRequest {
    /// Method and URL. Never the header: it may be the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// An answer.
#[derive(Clone)]
pub(super) struct ImdsReply {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// Read for status 200 only, else empty.
    pub(super) body: Result<Vec<u8>, Error>,
}

impl ImdsReply {
    /// The last header of that name (in lower case), as a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        number(&self.headers, name)
    }
}

impl fmt::Debug for ImdsReply {
    /// The status only: the body may be the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImdsReply").field("status", &self.status).finish_non_exhaustive()
    }
}

/// How a request is sent: by [`send`], or as a test says.
pub(super) type SendFn<'a> = dyn FnMut(&ImdsRequest) -> Result<ImdsReply, Error> + 'a;

/// Sends one request and reads its answer, within a second and the time that the resolver takes for a name.
pub(super) fn send(request: &ImdsRequest) -> Result<ImdsReply, Error> {
    let party = Party { role: Role::MetadataService, address: request.url.server().clone() };
    if party.address.ip().is_some_and(|ip| ip.is_ipv6()) {
        return send_to_ipv6(request, &party);
    }
    // minreq resolves in a thread of its own, and such threads would pile up if the resolver never answered. Here
    // only this request waits for it.
    if let Some(name) = request.url.name() {
        name.to_socket_addrs().map_err(|e| Cause::Unresolved(e.to_string()).with(&party))?;
    }
    // minreq sends from a thread of its own and panics if it gets none, which would end the program. So a thread is
    // tried first, which returns nothing and cannot panic. That leaves the moment between the two; nothing else
    // does better from outside.
    let tried = thread::Builder::new().spawn(|| ()).map(thread::JoinHandle::join);
    tried.map_err(|e| Cause::of_system(&e, Cause::NoThread).with(&party)).map(drop)?;
    let method = match request.method {
        Method::PUT => minreq::Method::Put,
        _ => minreq::Method::Get,
    };
    let mut answer = minreq::Request::new(method, request.url.whole())
        .with_headers(request.header.clone())
        // Each request has a connection of its own.
        .with_header("Connection", "close")
        .with_timeout(TIMEOUT_SECONDS)
        .with_follow_redirects(false)
        .with_max_status_line_length(LONGEST_STATUS_LINE)
        .with_max_headers_size(LONGEST_HEADERS)
        .send_lazy()
        .map_err(|e| cause(e).with(&party))?;
    // How minreq reports a connection that was closed before a status line, or gave none.
    if answer.status_code == 503 && answer.reason_phrase == "Server did not provide a status line" {
        return Err(not_http("it has no status line").with(&party));
    }
    let (status, headers) = (answer.status_code, mem::take(&mut answer.headers));
    let body = if status == 200 { read_body(answer, &headers) } else { Ok(Vec::new()) };
    Ok(ImdsReply { status, headers, body: body.map_err(|cause| cause.with(&party)) })
}

fn send_to_ipv6(request: &ImdsRequest, party: &Party) -> Result<ImdsReply, Error> {
    let clock = Clock::start();
    let until = clock.now() + TIMEOUT;
    let of_all = |cause| match cause {
        Cause::TimedOut(_) | Cause::NotAccepted(_) => Cause::TimedOut(TIMEOUT),
        cause => cause,
    };
    let socket = dial::connect(party, &dial::resolve(party)?, until, clock)
        .map_err(|error| of_all(error.cause).with(party))?;
    let mut connection = Connection::new(Stream { socket, tls: None }, party, clock.now())?;
    let limit = BodyLimit { read: LONGEST_BODY, kept: LONGEST_BODY };
    let Response { head, body } = as_http(request)
        .and_then(|request| connection.exchange(&request, limit, until, TIMEOUT, clock))
        .map_err(|cause| of_all(cause).with(party))?;
    let headers = head.headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    let body = match head.status.as_u16() {
        200 => body.map(|body| body.kept).map_err(|cause| of_all(cause).with(party)),
        _ => Ok(Vec::new()),
    };
    Ok(ImdsReply { status: head.status.as_u16(), headers: headers.collect(), body })
}

fn as_http(request: &ImdsRequest) -> Result<protocol::Request, Cause> {
    let unsendable = |why: &dyn fmt::Display| Cause::Unsendable(why.to_string());
    let mut headers = vec![(header::CONNECTION, HeaderValue::from_static("close"))];
    if let Some((name, value)) = &request.header {
        let name = HeaderName::try_from(*name).map_err(|e| unsendable(&e))?;
        headers.insert(0, (name, HeaderValue::try_from(value).map_err(|e| unsendable(&e))?));
    }
    Ok(protocol::Request {
        method: request.method.clone(),
        target: request.url.target(),
        authority: request.url.authority(),
        headers,
        body: (request.method == Method::PUT).then(String::new),
    })
}

/// minreq does not say in which phase the system reported an error.
fn cause(error: minreq::Error) -> Cause {
    match error {
        minreq::Error::IoError(e) if e.kind() == io::ErrorKind::TimedOut => {
            Cause::TimedOut(TIMEOUT)
        }
        minreq::Error::IoError(e) => Cause::of_system(&e, Cause::Unanswered),
        minreq::Error::AddressNotFound => Cause::Unresolved("it has no address".to_owned()),
        minreq::Error::HeadersOverflow => Cause::TooLong { status: None, limit: LONGEST_HEADERS },
        minreq::Error::StatusLineOverflow => {
            not_http(&format!("its status line is longer than {LONGEST_STATUS_LINE} bytes"))
        }
        minreq::Error::InvalidUtf8InResponse => not_http("its head is not UTF-8"),
        other => not_http(&excerpt(&other.to_string())),
    }
}

fn not_http(why: &str) -> Cause {
    Cause::NotHttp { status: None, why: why.to_owned() }
}

fn read_body(answer: minreq::ResponseLazy, headers: &[(String, String)]) -> Result<Vec<u8>, Cause> {
    let status = Some(200);
    // Then a length that is announced does not count (RFC 9112, 6.3).
    let is_chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    let announced = number(headers, "content-length").filter(|_| !is_chunked);
    let too_long = Cause::TooLong { status, limit: LONGEST_BODY };
    if announced.is_some_and(|length| length > LONGEST_BODY as u64) {
        return Err(too_long);
    }
    let mut body = Vec::new();
    let read = answer.take(LONGEST_BODY as u64 + 1).read_to_end(&mut body);
    let length = body.len();
    match read {
        _ if length > LONGEST_BODY => Err(too_long),
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(Cause::TimedOut(TIMEOUT)),
        Err(e) => Err(Cause::NotHttp { status, why: excerpt(&e.to_string()) }),
        Ok(_) if announced.is_some_and(|announced| announced != length as u64) => {
            Err(Cause::CutShort { status, length })
        }
        Ok(_) => Ok(body),
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

    fn get(url: &str) -> ImdsRequest {
        ImdsRequest { method: Method::GET, url: NoticeUrl::parse(url).unwrap().0, header: None }
    }

    /// What comes of a GET when the server does that.
    fn ask(
        answer: impl FnMut(&mut TcpStream) -> io::Result<()> + Send + 'static,
    ) -> Result<ImdsReply, Error> {
        let mut answer = answer;
        let server = StandIn::start(move |_, stream| answer(stream));
        send(&get(&server.url("/a?b=c")))
    }

    fn ask_for(answer: &'static [u8]) -> Result<ImdsReply, Error> {
        ask(|stream| stream.write_all(answer))
    }

    /// Why there is no answer, or no whole one.
    fn failure(answer: Result<ImdsReply, Error>) -> Cause {
        answer.and_then(|reply| reply.body).unwrap_err().cause
    }

    const TOO_LONG: Cause = Cause::TooLong { status: Some(200), limit: LONGEST_BODY };

    fn cut_short(length: usize) -> Cause {
        Cause::CutShort { status: Some(200), length }
    }

    #[test]
    fn a_request_is_one_connection_with_the_header_given() {
        let server = StandIn::start(|_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX-Left: 7\r\nContent-Length: 2\r\n\r\nok")
        });
        let header = Some(("X-Name", "value".to_owned()));
        let reply = send(&ImdsRequest { header, ..get(&server.url("/a?b=c")) }).unwrap();
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
        let put = send(&ImdsRequest { method: Method::PUT, header, ..get(&url) }).unwrap();
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
        let failure = |answer, repeats| failure(ask(answer, repeats));
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"action\"";
        assert_eq!(failure(cut, 0), cut_short(9));
        let stalls = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
        assert_eq!(failure(stalls, 1), Cause::TimedOut(TIMEOUT));
        assert_eq!(failure(b"HTTP/1.1 200 OK\r\n\r\n", 20), TOO_LONG);
        assert_eq!(failure(b"HTTP/1.1 200 OK\r\nContent-Length: 16385\r\n\r\n", 1), TOO_LONG);
        let broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
        assert!(matches!(failure(broken, 0), Cause::NotHttp { status: Some(200), .. }));
        let ssh = failure(b"SSH-2.0-OpenSSH_9.9\r\n", 0);
        assert!(matches!(ssh, Cause::NotHttp { status: None, .. }), "{ssh:?}");
        assert!(matches!(failure(b"", 0), Cause::Unanswered(_)));
        assert_eq!(failure(b"HTTP/1.1 200 OK\r\nX: ", 1), Cause::TimedOut(TIMEOUT));
        let refused = send(&get("http://[::1]:1/")).unwrap_err().cause;
        assert!(matches!(refused, Cause::Unreachable(_)), "{refused:?}");
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
        assert_eq!(failure(cut), cut_short(9));
        let broken = ask_for(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
        assert!(matches!(failure(broken), Cause::NotHttp { status: Some(200), .. }));
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
        assert_eq!(failure(stalled), Cause::TimedOut(TIMEOUT));
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
            assert_eq!(failure(reply), TOO_LONG, "{head}");
            // What the kernel holds between the two.
            let sent = sent.load(Ordering::Relaxed);
            assert!(sent < 32_000_000, "{sent}");
        }
    }

    #[test]
    fn an_endless_head_is_read_to_the_limit() {
        let endless = |line: &'static str| {
            failure(ask(move |stream| {
                stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
                loop {
                    stream.write_all(line.as_bytes())?;
                }
            }))
        };
        for line in ["X-More: yes\r\n", "X-Longer: more\n", "a:\n", "no colon and no end"] {
            let too_long = Cause::TooLong { status: None, limit: LONGEST_HEADERS };
            assert_eq!(endless(line), too_long, "{line:?}");
        }
        let status = ask(|stream| {
            loop {
                stream.write_all(b"HTTP/1.1 ")?;
            }
        });
        assert_eq!(failure(status), not_http("its status line is longer than 1024 bytes"));
    }

    #[test]
    fn what_is_not_http_is_said() {
        for (answer, why) in [
            (&b""[..], "it has no status line"),
            (b"SSH-2.0-OpenSSH_9.9\r\n", "it has no status line"),
            (b"\xff\xff\r\n", "its head is not UTF-8"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "non-usize content length"),
        ] {
            assert_eq!(failure(ask_for(answer)), not_http(why));
        }
    }

    #[test]
    fn a_refused_connection_is_said() {
        // Nobody listens on the port of tcpmux any more.
        let cause = failure(send(&get("http://127.0.0.1:1/")));
        assert!(matches!(cause, Cause::Unanswered(_)), "{cause:?}");
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
                assert_eq!(failure(send(&get(&url))), Cause::TimedOut(TIMEOUT));
                // This one, and at most the last exchange's, at its end.
                assert!(threads_named(name) <= 2);
            }
        });
        asking.unwrap().join().unwrap();
    }
}
