//! What can go wrong on the way to the API server, in the user's words.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::http::address::Address;

/// Why there is no answer of the API server. No variant holds a token or a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A file of the ServiceAccount cannot be read.
    File {
        /// Which of them.
        what: CredentialFile,
        /// Where it should be.
        file: String,
        /// What the system said.
        why: String,
    },
    /// The content of the token file is no token.
    Token {
        /// The token file.
        file: String,
        /// What it is instead.
        why: &'static str,
    },
    /// The CA file is not PEM.
    NotPem {
        /// The CA file.
        file: String,
        /// Where it fails.
        why: String,
    },
    /// The CA file is PEM, but has no certificate that can vouch for the API server.
    NoCertificate {
        /// The CA file.
        file: String,
    },
    /// The name of the API server has no address.
    Unresolved {
        /// Where the API server should be.
        server: Address,
        /// What the system said.
        why: String,
    },
    /// No connection: refused, no route, and the like.
    Unreachable {
        /// Where the API server should be.
        server: Address,
        /// What the system said.
        why: String,
    },
    /// Nobody accepted a connection in time.
    NotAccepted {
        /// Where the API server should be.
        server: Address,
        /// How long was waited.
        patience: Duration,
    },
    /// The process has used up its file descriptors.
    NoDescriptor,
    /// The system starts no further thread.
    NoThread {
        /// What it said.
        why: String,
    },
    /// Whoever answers is not the API server of this cluster, or the CA file is not that of this
    /// cluster.
    Untrusted {
        /// Who was asked.
        server: Address,
        /// The CA file.
        roots: String,
    },
    /// The certificate is of this cluster, but cannot be used.
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
    /// No answer, or no whole one, in time. Of a stream it only means that nothing was said for
    /// so long: the next line can still be asked for.
    TimedOut {
        /// Method and path.
        asked: String,
        /// How long was waited.
        patience: Duration,
    },
    /// Whoever asked waits no longer, and the connection is closed.
    GivenUp {
        /// Method and path.
        asked: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection ended before the first byte of an answer.
    Unanswered {
        /// Method and path.
        asked: String,
        /// How it ended.
        why: String,
    },
    /// The connection ended in the middle of an answer.
    CutShort {
        /// Method and path.
        asked: String,
        /// The status, if that came.
        status: Option<u16>,
        /// How many bytes of head (without a status) or body (with one) had come.
        length: usize,
    },
    /// The head of the answer does not end.
    EndlessHead {
        /// Method and path.
        asked: String,
        /// How many bytes are read of a head.
        limit: usize,
    },
    /// The body of the answer is larger than any that is asked for.
    EndlessBody {
        /// Method and path.
        asked: String,
        /// The status.
        status: u16,
        /// How many bytes are read of this body.
        limit: usize,
    },
    /// What came is no answer in HTTP/1.1.
    NotHttp {
        /// Method and path.
        asked: String,
        /// The status, if that came.
        status: Option<u16>,
        /// What is wrong with it.
        why: String,
    },
    /// The request itself cannot be written: a fault of this program.
    Unsendable {
        /// Method and path.
        asked: String,
        /// What is wrong with it.
        why: String,
    },
    /// There was no free worker: a fault of this program.
    NoWorker,
    /// The connections were closed by this program, because the drain is over.
    Over,
}

/// The two files by which a pod knows its API server and is known to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialFile {
    /// The token of the ServiceAccount.
    Token,
    /// The certificates of the cluster's CA.
    Roots,
}

impl fmt::Display for CredentialFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "the ServiceAccount token",
            Self::Roots => "the CA of the cluster",
        })
    }
}

/// EMFILE, ENFILE: the same numbers on every architecture of Linux; the standard library has no
/// kind for them.
pub(super) fn is_out_of_descriptors(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(23 | 24))
}

impl std::error::Error for Trouble {}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { what, file, why } => {
                write!(f, "{what} cannot be read from {file}: {why}")
            }
            Self::Token { file, why } => {
                write!(f, "there is no ServiceAccount token in {file}: {why}")
            }
            Self::NotPem { file, why } => {
                write!(f, "the CA of the cluster in {file} is not PEM: {why}")
            }
            Self::NoCertificate { file } => {
                write!(f, "there is no usable CA certificate in {file}")
            }
            Self::Unresolved { server, why } => {
                write!(f, "the name of the API server {server} cannot be resolved: {why}")
            }
            Self::Unreachable { server, why } => {
                write!(f, "the API server at {server} cannot be reached: {why}")
            }
            Self::NotAccepted { server, patience } => write!(
                f,
                "the API server at {server} did not accept a connection within {patience:.0?}"
            ),
            Self::NoDescriptor => {
                f.write_str("no file descriptor is left for a connection to the API server")
            }
            Self::NoThread { why } => {
                write!(f, "no thread can be started for a connection to the API server: {why}")
            }
            Self::Untrusted { server, roots } => write!(
                f,
                "the certificate of the API server {server} is not signed by a CA in {roots}"
            ),
            Self::Certificate { server, why } => {
                write!(f, "the certificate of the API server {server} {why}")
            }
            Self::Tls { server, why } => {
                write!(f, "no TLS connection to the API server at {server}: {why}")
            }
            Self::GivenUp { asked, after } => {
                write!(f, "{asked}: no answer of the API server within {after:.1?}; given up")
            }
            Self::TimedOut { asked, patience } => {
                write!(f, "{asked}: no complete answer of the API server within {patience:.1?}")
            }
            Self::Unanswered { asked, why } => {
                write!(f, "{asked}: the API server did not answer: {why}")
            }
            Self::CutShort { asked, status: None, length } => {
                write!(f, "{asked}: the answer was cut short after {length} bytes of its head")
            }
            Self::CutShort { asked, status: Some(status), length } => write!(
                f,
                "{asked}: the answer with status {status} was cut short after {length} bytes of \
                 its body"
            ),
            Self::EndlessHead { asked, limit } => {
                write!(f, "{asked}: the head of the answer is longer than {limit} bytes")
            }
            Self::EndlessBody { asked, status, limit } => write!(
                f,
                "{asked}: the body of the answer with status {status} is longer than {limit} bytes"
            ),
            Self::NotHttp { asked, status: None, why } => {
                write!(f, "{asked}: what came is no HTTP answer: {why}")
            }
            Self::NotHttp { asked, status: Some(status), why } => {
                write!(f, "{asked}: the answer with status {status} cannot be read: {why}")
            }
            Self::Unsendable { asked, why } => write!(f, "{asked}: cannot be sent: {why}"),
            Self::NoWorker => f.write_str("no worker was free for a request"),
            Self::Over => f.write_str("the drain is over and its connections are closed"),
        }
    }
}
