//! Why a request has no answer: which peer, which phase, and what came instead. One type for the API server, the
//! metadata service, webhooks and their proxies.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::http::address::Address;

/// Why there is no answer, or no whole one. `Display` is a sentence for the operator. No token, header, query
/// or body is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The peer.
    pub party: Party,
    /// The request, as `METHOD /path`, where there was one; for a webhook its path stays secret.
    pub asked: Option<String>,
    /// In which phase, and what came.
    pub cause: Cause,
}

/// The peer of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// What it is for.
    pub role: Role,
    /// Where it is.
    pub address: Address,
}

/// What a peer is for this program.
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
    /// Before connecting: a token, a certificate or a CA that is needed cannot be read. The whole sentence.
    Credentials(String),
    /// Resolving: the name has no address.
    Unresolved(String),
    /// Connecting: refused, no route, and the like, as the system says it.
    Unreachable(String),
    /// Connecting: not accepted within this time.
    NotAccepted(Duration),
    /// Connecting: no connection within this time; in which step is not known.
    NotConnected(Duration),
    /// Connecting: the process has used up its file descriptors.
    NoDescriptor,
    /// Connecting: the system starts no further thread.
    NoThread(String),
    /// Connecting: the proxy refused a tunnel to the address with this status.
    NoTunnel(Address, u16),
    /// TLS: the certificate is not signed by a trusted CA; which are trusted, in words.
    Untrusted(String),
    /// TLS: the certificate is signed by one, but not valid; to be read after "the certificate of …".
    Certificate(String),
    /// TLS: the handshake failed, or the connection was corrupted.
    Tls(String),
    /// Sending: the request cannot be encoded, a fault of this program.
    Unsendable(String),
    /// Waiting: no answer, or no whole one, within this time.
    TimedOut(Duration),
    /// Waiting: cancelled after this time.
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
    /// Why the system gave no socket, file or thread: that no descriptor is left has a cause of its own.
    pub fn of_system(error: &io::Error, otherwise: impl FnOnce(String) -> Self) -> Self {
        // EMFILE, ENFILE: the same numbers on every architecture of Linux; the standard library has no
        // kind for them.
        match error.raw_os_error() {
            Some(23 | 24) => Self::NoDescriptor,
            _ => otherwise(error.to_string()),
        }
    }

    /// The error of this party.
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let party = &self.party;
        // Once it is connected: there is only one API server.
        let answerer: &dyn fmt::Display =
            if party.role == Role::ApiServer { &"the API server" } else { party };
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
