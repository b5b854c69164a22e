//! Why a poll gave no answer to its question, in the operator's words.
//!
//! A text holds nothing that differs from poll to poll while the cause stays, so that it can be
//! said once; and never a token.

use std::fmt;

use crate::source::aws::Unreadable;
use crate::source::http::{BodyError, NoResponse};

/// One request that did not give what it was sent for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// Method and address.
    pub(super) asked: String,
    /// What came.
    pub(super) cause: Cause,
}

/// What came instead of the answer that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nothing.
    NoResponse(NoResponse),
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
    BodyError(BodyError),
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
    pub(super) fn status(&self) -> Option<u16> {
        match self.cause {
            Cause::NoResponse(_) | Cause::TokenTimedOut => None,
            Cause::NoVersion2 { status }
            | Cause::Redirect { status }
            | Cause::Status { status, .. } => Some(status),
            Cause::NoToken { .. } | Cause::BodyError(_) | Cause::Unreadable { .. } => Some(200),
            Cause::Unauthorized => Some(401),
            Cause::Forbidden => Some(403),
        }
    }
}

impl Failure {
    /// What happened, and what to do about it.
    pub(super) fn told(&self) -> (String, &'static str) {
        match self.cause {
            Cause::TokenTimedOut => {
                (format!("{}: {}", self.asked, NoResponse::TimedOut), HOP_LIMIT)
            }
            _ => (self.to_string(), NOT_EC2),
        }
    }
}

/// What to do where something is wrong with the metadata service itself.
const NOT_EC2: &str = "see that INSTANCE_METADATA_URL is the metadata service of EC2, that nothing \
    (iptables, a network policy, a proxy such as kiam) keeps this pod from it, and that it is switched on";

/// What a time-out of the token's request means.
const HOP_LIMIT: &str = "A token's answer passes as many network hops as the instance's hop limit says; \
    with the usual limit of 1 it never reaches a pod network. Give the pod hostNetwork: true, or raise the \
    limit: aws ec2 modify-instance-metadata-options --instance-id INSTANCE --http-put-response-hop-limit 2";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.asked, self.cause)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoResponse(why) => write!(f, "{why}"),
            Self::TokenTimedOut => write!(f, "{}. {HOP_LIMIT}", NoResponse::TimedOut),
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
            Self::BodyError(why) => write!(f, "status 200, {why}"),
            Self::Unreadable { length, why } => write!(f, "status 200, {length} bytes: {why}"),
        }
    }
}
