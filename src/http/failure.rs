//! Why there is no answer.

use crate::http::tls::no_tls;
use crate::http::wire::Fault;

/// Why there is no whole answer, and how far it had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The request cannot be written: what is wrong with it.
    Unsendable(String),
    /// The deadline came before the end of the answer.
    TimedOut,
    /// The connection ended before the first byte of an answer: how.
    Unanswered(String),
    /// The connection ended in the middle of an answer.
    CutShort {
        /// The status, if that came.
        status: Option<u16>,
        /// How many bytes of head (without a status) or body (with one) had come.
        length: usize,
    },
    /// TLS was broken: what was wrong.
    Tls(String),
    /// The head of the answer does not end.
    EndlessHead {
        /// How many bytes are read of a head.
        limit: usize,
    },
    /// The body of the answer is longer than is read.
    EndlessBody {
        /// The status.
        status: u16,
        /// How many bytes are read of this body.
        limit: usize,
    },
    /// What came is no answer in HTTP/1.1.
    NotHttp {
        /// The status, if that came.
        status: Option<u16>,
        /// What is wrong with it.
        why: String,
    },
}

/// How far an answer has come.
#[derive(Clone, Copy)]
pub(super) enum Received {
    Nothing,
    Head(usize),
    /// Status, and bytes of the body.
    Body(u16, usize),
}

impl Failure {
    pub(super) fn of(fault: Fault, received: Received) -> Self {
        match (fault, received) {
            (Fault::TimedOut, _) => Self::TimedOut,
            (Fault::Gone(why), Received::Nothing) => Self::Unanswered(why),
            (Fault::Gone(_), Received::Head(length)) => Self::CutShort { status: None, length },
            (Fault::Gone(_), Received::Body(status, length)) => {
                Self::CutShort { status: Some(status), length }
            }
            (Fault::Tls(error), _) => Self::Tls(no_tls(&error)),
        }
    }
}
