//! What a response means for the message: delivered, to be retried, or refused. Pure.

use std::time::Duration;

use crate::http::error::{Cause, Error};
use crate::moment::WallTime;

/// What is kept of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostReply {
    /// HTTP status.
    pub status: u16,
    /// When the server wants the next attempt.
    pub retry_after: Option<RetryAfter>,
}

/// The header `Retry-After` (RFC 9110, 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// This long after the response.
    In(Duration),
    /// At this time.
    At(WallTime),
}

impl RetryAfter {
    /// Parses whole seconds, or a date such as `Fri, 31 Dec 1999 23:59:59 GMT`. `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().parse().map(Duration::from_secs) {
            Ok(wait) => Some(Self::In(wait)),
            Err(_) => WallTime::parse_rfc2822(text).map(Self::At),
        }
    }

    /// How long it is until then, at most 5 minutes; `None` if that is over.
    fn wait(self, now: WallTime) -> Option<Duration> {
        let wait = match self {
            Self::In(wait) => wait,
            Self::At(time) => now.until(time)?,
        };
        Some(wait.min(LONGEST_WAIT))
    }
}

/// The longest wait that a server may ask for: messages grow old.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// What one attempt means for the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostOutcome {
    /// It is delivered.
    Delivered,
    /// Another attempt may succeed.
    Again {
        /// The least wait; `None`: any.
        not_before: Option<Duration>,
        /// Why this one failed, for the log.
        why: String,
    },
    /// No attempt will succeed.
    Refused {
        /// Why, for the log.
        why: String,
    },
}

impl PostOutcome {
    /// Of one attempt that ended `now`.
    pub fn of(tried: &Result<PostReply, Error>, now: WallTime) -> Self {
        match tried {
            Ok(reply) => Self::of_reply(reply, now),
            Err(error) => {
                let why = error.to_string();
                if may_pass(&error.cause) {
                    Self::Again { not_before: None, why }
                } else {
                    Self::Refused { why }
                }
            }
        }
    }

    fn of_reply(reply: &PostReply, now: WallTime) -> Self {
        let status = reply.status;
        match status {
            200..=299 => Self::Delivered,
            _ if is_passing(status) => Self::Again {
                not_before: reply.retry_after.and_then(|retry_after| retry_after.wait(now)),
                why: format!("status {status}"),
            },
            300..=399 => Self::Refused {
                why: format!(
                    "status {status}, a redirect. It is not followed: the URL must name the place \
                     itself"
                ),
            },
            407 => Self::Refused {
                why: "status 407: the proxy wants a user and a password, or others".to_owned(),
            },
            _ => Self::Refused { why: format!("status {status}") },
        }
    }
}

/// Whether the same request may have another response later.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// Whether another attempt may succeed. Certificates, names and files are fixed while this program runs;
/// its own faults are not.
fn may_pass(cause: &Cause) -> bool {
    match cause {
        Cause::NoTunnel(_, status) => is_passing(*status),
        Cause::Unsendable(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::address::Address;
    use crate::http::error::{Party, Role};

    const NOW: &str = "2026-11-23T09:00:00Z";

    fn outcome(status: u16, retry_after: Option<&str>) -> PostOutcome {
        let retry_after = retry_after.and_then(RetryAfter::parse);
        PostOutcome::of(&Ok(PostReply { status, retry_after }), WallTime::parse(NOW).unwrap())
    }

    fn wait(retry_after: &str) -> Option<u64> {
        match outcome(503, Some(retry_after)) {
            PostOutcome::Again { not_before, .. } => not_before.map(|wait| wait.as_secs()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_status_means_one_of_three_things() {
        for status in 100..=999 {
            let outcome = outcome(status, None);
            match status {
                200..=299 => assert_eq!(outcome, PostOutcome::Delivered),
                408 | 425 | 429 | 500..=599 => {
                    let why = format!("status {status}");
                    assert_eq!(outcome, PostOutcome::Again { not_before: None, why });
                }
                _ => match outcome {
                    PostOutcome::Refused { why } => assert!(why.contains(&status.to_string())),
                    other => panic!("{status}: {other:?}"),
                },
            }
        }
    }

    #[test]
    fn a_redirect_is_refused_with_the_remedy() {
        let why = "status 302, a redirect. It is not followed: the URL must name the place itself";
        assert_eq!(outcome(302, Some("5")), PostOutcome::Refused { why: why.to_owned() });
    }

    #[test]
    fn the_servers_wait_is_obeyed_up_to_five_minutes() {
        assert_eq!(wait("0"), Some(0));
        assert_eq!(wait(" 120 "), Some(120));
        assert_eq!(wait("300"), Some(300));
        assert_eq!(wait("301"), Some(300));
        assert_eq!(wait("18446744073709551615"), Some(300));
        assert_eq!(wait("Mon, 23 Nov 2026 09:00:30 GMT"), Some(30));
        assert_eq!(wait("Mon, 23 Nov 2026 10:00:00 GMT"), Some(300));
        assert_eq!(wait("Mon, 23 Nov 2026 08:59:59 GMT"), None);
        for unreadable in ["", "soon", "-1", "1.5", "18446744073709551616", NOW] {
            assert_eq!(wait(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn what_may_be_mended_is_tried_again() {
        let address = || Address::parse("hooks.example", 443).unwrap();
        let party = Party { role: Role::Webhook, address: address() };
        let refused = |status| Cause::NoTunnel(address(), status);
        let why = || "so".to_owned();
        let patience = Duration::from_secs(5);
        for (cause, again) in [
            (Cause::Unresolved(why()), true),
            (Cause::Unreachable(why()), true),
            (Cause::NotAccepted(patience), true),
            (Cause::Credentials(why()), true),
            (Cause::Untrusted(why()), true),
            (Cause::Certificate(why()), true),
            (Cause::Tls(why()), true),
            (Cause::TimedOut(patience), true),
            (Cause::Unanswered(why()), true),
            (Cause::CutShort { status: None, length: 1 }, true),
            (Cause::NotHttp { status: None, why: why() }, true),
            (Cause::Unsendable(why()), false),
            (refused(502), true),
            (refused(429), true),
            (refused(302), false),
            (refused(403), false),
            (refused(407), false),
        ] {
            let error = cause.with(&party);
            let why = error.to_string();
            let expected = if again {
                PostOutcome::Again { not_before: None, why }
            } else {
                PostOutcome::Refused { why }
            };
            assert_eq!(PostOutcome::of(&Err(error), WallTime::parse(NOW).unwrap()), expected);
        }
    }
}
