//! Why a message did not arrive, in the operator's words.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::http::address::Address;

/// Why there is no answer of the webhook. No variant holds a path, a query, a header or a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// A name has no address.
    Unresolved {
        /// Whose.
        party: Party,
        /// What the system said.
        why: String,
    },
    /// No connection: refused, no route, and the like.
    Unreachable {
        /// Who was to be reached.
        party: Party,
        /// What the system said.
        why: String,
    },
    /// Nobody accepted a connection in time.
    NotAccepted {
        /// Who was to be reached.
        party: Party,
        /// How long was waited.
        patience: Duration,
    },
    /// The proxy answers, but opens no way to the webhook.
    ProxyRefused {
        /// Who was asked.
        proxy: Address,
        /// Where the way was to lead.
        server: Address,
        /// Its answer.
        status: u16,
    },
    /// The CA file gives no certificates.
    NoRoots {
        /// The CA file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No CA that is believed vouches for whoever answers.
    Untrusted {
        /// Who was asked.
        server: Address,
        /// The CA file; `None`: the public CAs.
        file: Option<PathBuf>,
    },
    /// The certificate is of a CA that is believed, but cannot be used.
    Certificate {
        /// Who was asked.
        server: Address,
        /// What is wrong with it.
        why: String,
    },
    /// TLS came to no agreement, or was broken.
    Tls {
        /// Who was asked.
        server: Address,
        /// What was wrong.
        why: String,
    },
    /// No answer in time.
    TimedOut {
        /// Who was asked.
        party: Party,
        /// How long the whole try might take.
        patience: Duration,
    },
    /// The connection ended before the first byte of an answer.
    Unanswered {
        /// Who was asked.
        party: Party,
        /// How it ended.
        why: String,
    },
    /// The connection ended in the head of the answer.
    CutShort {
        /// Who was asked.
        party: Party,
        /// How many bytes had come.
        length: usize,
    },
    /// What came is no answer in HTTP/1.1.
    NotHttp {
        /// Who was asked.
        party: Party,
        /// What is wrong with it.
        why: String,
    },
    /// The request itself cannot be written: a fault of this program.
    Unsendable {
        /// What is wrong with it.
        why: String,
    },
}

/// At whose end of the connection something went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// The server of the webhook.
    Server(Address),
    /// The proxy.
    Proxy(Address),
}

impl std::error::Error for Undelivered {}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(server) => write!(f, "the webhook's server {server}"),
            Self::Proxy(proxy) => write!(f, "the webhook's proxy {proxy}"),
        }
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved { party, why } => {
                write!(f, "the name of {party} cannot be resolved: {why}")
            }
            Self::Unreachable { party, why } => write!(f, "{party} cannot be reached: {why}"),
            Self::NotAccepted { party, patience } => {
                write!(f, "{party} did not accept a connection within {patience:.1?}")
            }
            Self::ProxyRefused { proxy, server, status: 407 } => write!(
                f,
                "the webhook's proxy {proxy} wants a user and a password, or others, before it \
                 connects to {server} (status 407)"
            ),
            Self::ProxyRefused { proxy, server, status } => write!(
                f,
                "the webhook's proxy {proxy} does not connect to {server}: status {status}"
            ),
            Self::NoRoots { file, why } => {
                write!(f, "no CA for the webhook's server from {}: {why}", file.display())
            }
            Self::Untrusted { server, file: Some(file) } => write!(
                f,
                "the certificate of the webhook's server {server} is not signed by a CA in {}",
                file.display()
            ),
            Self::Untrusted { server, file: None } => write!(
                f,
                "the certificate of the webhook's server {server} is not signed by a public CA; \
                 one's own CA must be given as a file"
            ),
            Self::Certificate { server, why } => {
                write!(f, "the certificate of the webhook's server {server} {why}")
            }
            Self::Tls { server, why } => {
                write!(f, "no TLS connection to the webhook's server {server}: {why}")
            }
            Self::TimedOut { party, patience } => {
                write!(f, "{party} did not answer within {patience:.1?}")
            }
            Self::Unanswered { party, why } => write!(f, "{party} did not answer: {why}"),
            Self::CutShort { party, length } => {
                write!(f, "the answer of {party} was cut short after {length} bytes of its head")
            }
            Self::NotHttp { party, why } => {
                write!(f, "what {party} answers is not HTTP: {why}")
            }
            Self::Unsendable { why } => write!(f, "the message cannot be sent: {why}"),
        }
    }
}
