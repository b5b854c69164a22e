//! One exchange over a connection that has nothing else to do.

use std::time::Duration;

use rustix::event::{PollFd, Timespec, poll};

use crate::clock::Clock;
use crate::http::connection::Connection;
use crate::http::error::Cause;
use crate::http::protocol::{Body, Event, Head, Limit};
use crate::http::request::Request;
use crate::moment::Moment;

/// What came.
#[derive(Debug)]
pub struct Response {
    /// Its head.
    pub head: Head,
    /// How many bytes of its body came.
    pub length: usize,
    /// Its body, as far as it is kept; or why there is no whole one.
    pub body: Result<Vec<u8>, Cause>,
}

/// Sends a request, and waits for the head of its answer until `until`, and for its body until then, but no
/// longer than `body_patience`.
///
/// # Errors
/// There is no head.
pub fn exchange(
    connection: &mut Connection,
    request: &Request,
    limit: Limit,
    mut until: Moment,
    body_patience: Duration,
    clock: Clock,
) -> Result<Response, Cause> {
    let since = clock.now();
    connection.open(request, since).map_err(Cause::Unsendable)?;
    let (mut head, mut body) = (None::<Head>, Body::new(limit));
    let ended = loop {
        let now = clock.now();
        connection.progress(now);
        if let Some((stream, event)) = connection.next_event() {
            match (event, &head) {
                (Event::Head(came), _) => {
                    head = Some(came);
                    until = until.min(now + body_patience);
                }
                (Event::Data(piece), Some(Head { status, .. })) => {
                    if let Err(cause) = body.push(&piece, *status) {
                        break Err(cause);
                    }
                    connection.consume(stream, piece.len());
                }
                (Event::Data(_), None) => {}
                (Event::End, _) => break Ok(()),
                (Event::Failed(failure), head) => {
                    let status = head.as_ref().map(|head| head.status);
                    break Err(failure.cause(status, body.length));
                }
            }
            continue;
        }
        let left = now.until(until.min(connection.deadline().unwrap_or(until)));
        if now >= until {
            break Err(Cause::TimedOut(since.until(until)));
        }
        let interest = connection.interest();
        // Interrupted or not: what is there is seen then.
        let _ = poll(&mut [PollFd::new(connection, interest)], Some(&timespec(left)));
    };
    match head {
        Some(head) => Ok(Response { head, length: body.length, body: ended.map(|()| body.kept) }),
        None => Err(ended.err().unwrap_or(Cause::Unanswered("it has no head".to_owned()))),
    }
}

/// For poll(2).
pub fn timespec(span: Duration) -> Timespec {
    Timespec::try_from(span).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
}

#[cfg(test)]
mod tests;
