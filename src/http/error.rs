//! Why a request has no answer: with whom, in which phase, and what came instead. One type for the API
//! server, for webhooks and for their proxies.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::http::address::Address;

/// Why there is no answer, or no whole one. `Display` is a sentence for the operator. No token, header, query
/// or body is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// With whom.
    pub party: Party,
    /// The request, as `METHOD /path`, where there was one; for a webhook its path stays secret.
    pub asked: Option<String>,
    /// In which phase, and what came.
    pub cause: Cause,
}

/// At whose end of the connection something went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// What it is for.
    pub role: Role,
    /// Where it is.
    pub address: Address,
}

/// What somebody is for this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The API server of the cluster.
    ApiServer,
    /// The receiver of a webhook.
    Webhook,
    /// The proxy before the receiver of a webhook.
    Proxy,
    /// The metadata service of the instance, or another server that is polled.
    MetadataService,
}

/// In which phase a request failed, and what came instead of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Before all: a token, a certificate or a CA that is needed cannot be had. The whole sentence.
    Credentials(String),
    /// Resolving: the name has no address.
    Unresolved(String),
    /// Connecting: refused, no route, and the like, as the system says it.
    Unreachable(String),
    /// Connecting: nobody accepted a connection within this time.
    NotAccepted(Duration),
    /// Connecting: there was no connection within this time, and how far that came is not known.
    NotConnected(Duration),
    /// Connecting: the process has used up its file descriptors.
    NoDescriptor,
    /// Connecting: the system starts no further thread.
    NoThread(String),
    /// Connecting: the proxy answered this status in place of a tunnel to the address.
    NoTunnel(Address, u16),
    /// TLS: nobody who is trusted vouches for the certificate; who is trusted, in words.
    Untrusted(String),
    /// TLS: the certificate is vouched for, but cannot be used; to be read after "the certificate of …".
    Certificate(String),
    /// TLS came to no agreement, or was broken.
    Tls(String),
    /// Sending: the request cannot be written, a fault of this program.
    Unsendable(String),
    /// Waiting: no answer, or no whole one, within this time.
    TimedOut(Duration),
    /// Waiting: whoever asked waits no longer; how long that was.
    GivenUp(Duration),
    /// Waiting: the connection or the stream ended before the first byte of an answer.
    Unanswered(String),
    /// Reading: the answer ended in the middle.
    CutShort {
        /// The status, if the head had come.
        status: Option<u16>,
        /// How many bytes of the head (without a status) or of the body (with one) had come.
        length: usize,
    },
    /// Reading: the head (without a status) or the body (with one) is longer than this many bytes.
    TooLong {
        /// The status, if the head had come.
        status: Option<u16>,
        /// How many bytes are read.
        limit: usize,
    },
    /// Reading: what came is no answer in HTTP.
    NotHttp {
        /// The status, if the head had come.
        status: Option<u16>,
        /// What is wrong with it.
        why: String,
    },
}

impl Cause {
    /// Where a socket, a file or a thread was not to be had: a process without descriptors is said so.
    pub fn of_system(error: &io::Error, otherwise: impl FnOnce(String) -> Self) -> Self {
        // EMFILE, ENFILE: the same numbers on every architecture of Linux; the standard library has no
        // kind for them.
        match error.raw_os_error() {
            Some(23 | 24) => Self::NoDescriptor,
            _ => otherwise(error.to_string()),
        }
    }

    /// With whom it came to that.
    pub fn with(self, party: &Party) -> Error {
        Error { party: party.clone(), asked: None, cause: self }
    }
}

impl Error {
    /// The same, for this request.
    #[must_use]
    pub fn asking(self, asked: impl fmt::Display) -> Self {
        Self { asked: Some(asked.to_string()), ..self }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        match self.role {
            Role::ApiServer => write!(f, "the API server at {address}"),
            Role::Webhook => write!(f, "the webhook's server {address}"),
            Role::Proxy => write!(f, "the webhook's proxy {address}"),
            // What was asked is a whole URL.
            Role::MetadataService => f.write_str("the server"),
        }
    }
}

/// Whoever answers, where the connection stood already: there is but one API server.
struct Answerer<'a>(&'a Party);

impl fmt::Display for Answerer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.role {
            Role::ApiServer => f.write_str("the API server"),
            _ => self.0.fmt(f),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (party, answerer) = (&self.party, Answerer(&self.party));
        if let Some(asked) = &self.asked {
            write!(f, "{asked}: ")?;
        }
        match &self.cause {
            Cause::Credentials(why) => f.write_str(why),
            Cause::Unresolved(why) => write!(f, "the name of {party} cannot be resolved: {why}"),
            Cause::Unreachable(why) => write!(f, "{party} cannot be reached: {why}"),
            Cause::NotAccepted(timeout) => {
                write!(f, "{party} did not accept a connection within {timeout:.1?}")
            }
            Cause::NotConnected(timeout) => {
                write!(f, "no connection to {party} within {timeout:.1?}")
            }
            Cause::NoDescriptor => {
                write!(f, "no file descriptor is left for a connection to {party}")
            }
            Cause::NoThread(why) => {
                write!(f, "no thread can be started for a connection to {party}: {why}")
            }
            Cause::NoTunnel(server, 407) => write!(
                f,
                "{party} wants a user and a password, or others, before it connects to {server} \
                 (status 407)"
            ),
            Cause::NoTunnel(server, status) => {
                write!(f, "{party} does not connect to {server}: status {status}")
            }
            Cause::Untrusted(by) => {
                write!(f, "the certificate of {party} is not signed by {by}")
            }
            Cause::Certificate(why) => write!(f, "the certificate of {party} {why}"),
            Cause::Tls(why) => write!(f, "no TLS connection to {party}: {why}"),
            Cause::Unsendable(why) => write!(f, "the request cannot be sent: {why}"),
            Cause::TimedOut(timeout) => {
                write!(f, "no complete answer of {answerer} within {timeout:.1?}")
            }
            Cause::GivenUp(after) => {
                write!(f, "no answer of {answerer} within {after:.1?}; given up")
            }
            Cause::Unanswered(why) => write!(f, "{answerer} did not answer: {why}"),
            Cause::CutShort { status: None, length } => {
                write!(f, "the answer of {answerer} was cut short after {length} bytes of its head")
            }
            Cause::CutShort { status: Some(status), length } => write!(
                f,
                "the answer of {answerer} with status {status} was cut short after {length} bytes of \
                 its body"
            ),
            Cause::TooLong { status: None, limit } => {
                write!(f, "the head of the answer of {answerer} is longer than {limit} bytes")
            }
            Cause::TooLong { status: Some(status), limit } => write!(
                f,
                "the body of the answer of {answerer} with status {status} is longer than {limit} \
                 bytes"
            ),
            Cause::NotHttp { status: None, why } => {
                write!(f, "what {answerer} answers is not HTTP: {why}")
            }
            Cause::NotHttp { status: Some(status), why } => {
                write!(f, "the answer of {answerer} with status {status} cannot be read: {why}")
            }
        }
    }
}
