//! One HTTP exchange over minreq: the only file here that touches the network.
//!
//! What minreq leaves to its caller is done here: no redirects, limits for every part of an answer,
//! and a body that is shorter than announced is an error. The environment's proxy settings have no
//! effect, as its `proxy` feature is off.

use std::fmt;
use std::io::{self, Read};
use std::net::ToSocketAddrs;
use std::thread;

use super::url::Address;

/// For connection, head and body together, in seconds. minreq takes whole seconds only.
pub(super) const PATIENCE_SECONDS: u64 = 1;
/// The longest body that is read. The answers that matter have under 100 bytes.
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
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// Read for status 200 only, else empty.
    pub(super) body: Result<Vec<u8>, BadBody>,
}

impl Reply {
    /// The last header of that name (in lower case), as a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        number(&self.headers, name)
    }
}

/// A body of which not all came, or too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadBody {
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

impl fmt::Display for BadBody {
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
pub enum Silence {
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

impl fmt::Display for Silence {
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
pub(super) fn send(request: &Request) -> Result<Reply, Silence> {
    resolve(&request.address)?;
    try_a_thread().map_err(|why| Silence::NoThread(why.to_string()))?;
    let method = match request.method {
        Method::Get => minreq::Method::Get,
        Method::Put => minreq::Method::Put,
    };
    let answer = minreq::Request::new(method, request.address.to_url())
        .with_headers(request.header.clone())
        // Each request has a connection of its own.
        .with_header("Connection", "close")
        .with_timeout(PATIENCE_SECONDS)
        .with_follow_redirects(false)
        .with_max_status_line_length(LONGEST_STATUS_LINE)
        .with_max_headers_size(LONGEST_HEADERS)
        .send_lazy()
        .map_err(silence)?;
    // How minreq reports a connection that was closed before a status line, or gave none.
    if answer.status_code == 503 && answer.reason_phrase == "Server did not provide a status line" {
        return Err(Silence::NotHttp("it has no status line".to_owned()));
    }
    Ok(Reply {
        status: answer.status_code,
        headers: answer.headers.clone(),
        body: if answer.status_code == 200 { read_body(answer) } else { Ok(Vec::new()) },
    })
}

/// Waits for the resolver here, where only one request is under way: minreq asks it again in a
/// thread of its own, and such threads would pile up if it never answered.
fn resolve(address: &Address) -> Result<(), Silence> {
    let Some(name) = address.name() else { return Ok(()) };
    let mut found = name.to_socket_addrs().map_err(|why| Silence::Unresolved(why.to_string()))?;
    match found.next() {
        Some(_) => Ok(()),
        None => Err(Silence::Unresolved("it has no address".to_owned())),
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

fn silence(error: minreq::Error) -> Silence {
    match error {
        minreq::Error::IoError(why) if why.kind() == io::ErrorKind::TimedOut => Silence::TimedOut,
        minreq::Error::IoError(why) => Silence::Unconnected(why.to_string()),
        minreq::Error::AddressNotFound => Silence::Unresolved("it has no address".to_owned()),
        minreq::Error::HeadersOverflow => {
            Silence::NotHttp(format!("its headers are longer than {LONGEST_HEADERS} bytes"))
        }
        minreq::Error::StatusLineOverflow => {
            Silence::NotHttp(format!("its status line is longer than {LONGEST_STATUS_LINE} bytes"))
        }
        minreq::Error::InvalidUtf8InResponse => {
            Silence::NotHttp("its head is not UTF-8".to_owned())
        }
        other => Silence::NotHttp(other.to_string()),
    }
}

fn read_body(mut answer: minreq::ResponseLazy) -> Result<Vec<u8>, BadBody> {
    let mut body = Vec::new();
    let read = answer.by_ref().take(LONGEST_BODY as u64 + 1).read_to_end(&mut body);
    let came = body.len();
    if came > LONGEST_BODY {
        return Err(BadBody::TooLong);
    }
    if let Err(why) = read {
        return Err(BadBody::Broken { came, why: why.to_string() });
    }
    let is_chunked = answer.headers.iter().any(|(name, _)| name.trim() == "transfer-encoding");
    match number(&answer.headers, "content-length") {
        Some(announced) if !is_chunked && announced != came as u64 => {
            Err(BadBody::Cut { came, announced })
        }
        _ => Ok(body),
    }
}

fn number(headers: &[(String, String)], name: &str) -> Option<u64> {
    let (_, value) = headers.iter().rfind(|(other, _)| other.trim() == name)?;
    value.trim().parse().ok()
}
