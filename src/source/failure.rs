//! Why a poll gave no answer to its question, in the operator's words.
//!
//! A text holds nothing that differs from poll to poll while the cause stays, so that it can be
//! said once; and never a token.

use std::fmt;

use super::aws::Unreadable;
use super::http::{BadBody, Silence};

/// One request that did not give what it was sent for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Method and address.
    pub asked: String,
    /// What came.
    pub came: Came,
}

/// What came instead of the answer that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// Nothing.
    Silence(Silence),
    /// Nothing for the token's request, in time.
    TokenTimedOut,
    /// No token, and the operator forbids to go on without one.
    NoVersion2 {
        /// 404 or 405.
        status: u16,
    },
    /// Status 200, and something that cannot be a token.
    NoToken {
        /// Its length in bytes.
        length: usize,
    },
    /// Status 401, also with a fresh token.
    Unauthorized,
    /// Status 403 from the metadata service.
    Forbidden,
    /// Status 3xx.
    Redirect {
        /// Which.
        status: u16,
    },
    /// A status that this request does not have.
    Status {
        /// Which.
        status: u16,
        /// What the header says of the body.
        length: Option<u64>,
    },
    /// Status 200, and a body that did not come whole.
    BadBody(BadBody),
    /// Status 200, and a whole body that says nothing known.
    Unreadable {
        /// Its length in bytes.
        length: usize,
        /// What is wrong with it.
        why: Unreadable,
    },
}

impl Failure {
    /// The status that came, if one came.
    pub fn status(&self) -> Option<u16> {
        match self.came {
            Came::Silence(_) | Came::TokenTimedOut => None,
            Came::NoVersion2 { status }
            | Came::Redirect { status }
            | Came::Status { status, .. } => Some(status),
            Came::NoToken { .. } | Came::BadBody(_) | Came::Unreadable { .. } => Some(200),
            Came::Unauthorized => Some(401),
            Came::Forbidden => Some(403),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.asked, self.came)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence(why) => write!(f, "{why}"),
            Self::TokenTimedOut => write!(
                f,
                "{}. A token's answer passes as many network hops as the instance's hop limit \
                 says; with the usual limit of 1 it never reaches a pod network. Give the pod \
                 hostNetwork: true, or raise the limit: aws ec2 modify-instance-metadata-options \
                 --instance-id INSTANCE --http-put-response-hop-limit 2",
                Silence::TimedOut
            ),
            Self::NoVersion2 { status } => write!(
                f,
                "status {status}: IMDSv2 is not offered here, and IMDS_V1_FALLBACK=false forbids \
                 to ask without a token"
            ),
            Self::NoToken { length } => write!(f, "status 200, {length} bytes that are no token"),
            Self::Unauthorized => write!(f, "status 401, also with a fresh token"),
            Self::Forbidden => write!(
                f,
                "status 403: the metadata service is switched off for this instance, or forbids \
                 this request. To switch it on: aws ec2 modify-instance-metadata-options \
                 --instance-id INSTANCE --http-endpoint enabled"
            ),
            Self::Redirect { status } => write!(
                f,
                "status {status}, a redirect. It is not followed: the setting must name the place \
                 itself"
            ),
            Self::Status { status, length: Some(length) } => {
                write!(f, "status {status}, {length} bytes")
            }
            Self::Status { status, length: None } => write!(f, "status {status}"),
            Self::BadBody(why) => write!(f, "status 200, {why}"),
            Self::Unreadable { length, why } => write!(f, "status 200, {length} bytes: {why}"),
        }
    }
}
