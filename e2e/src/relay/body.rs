//! The bodies of answers, and what goes wrong in them.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use anyhow::{Error, Result};
use futures::stream::{BoxStream, Stream, StreamExt, unfold};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, Incoming};
use serde_json::Value;
use tokio::time::sleep;

use super::ON_THE_WAY;
use super::fault::{self, Fault};
use super::journal::Open;
use super::socket::{Control, Flow};

/// Of an answer.
pub struct Body {
    pieces: BoxStream<'static, Result<Bytes>>,
    /// Of a request that is open until all of its answer is on its way.
    open: Option<(Open, usize)>,
}

/// How long a trickle pauses between bytes.
const TRICKLE: Duration = Duration::from_millis(200);

/// How long a watch lasts that is to end.
const LASTS: Duration = Duration::from_millis(500);

impl Body {
    /// As it comes.
    pub fn streamed(body: Incoming) -> Self {
        Self { pieces: pieces(body), open: None }
    }

    /// Of these bytes.
    pub fn whole(bytes: Bytes, fault: Option<Fault>, flow: Control, open: Open) -> Self {
        let length = bytes.len();
        let whole = futures::stream::iter([Ok(bytes)]).boxed();
        Self { pieces: failing(whole, fault, flow), open: Some((open, length)) }
    }

    /// Of a watch.
    pub fn watch(body: Incoming, fault: Option<Fault>, flow: Control) -> Self {
        Self { pieces: failing(pieces(body), fault, flow), open: None }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        let next = self.pieces.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(piece))) = &next
            && let Some((_, left)) = &mut self.open
        {
            *left = left.saturating_sub(piece.len());
            if *left == 0 {
                self.open = None;
            }
        }
        next.map(|piece| Some(piece?.map(Frame::data)))
    }
}

fn pieces(body: Incoming) -> BoxStream<'static, Result<Bytes>> {
    let next = async |mut body: Incoming| {
        let frame = body.frame().await?;
        let data = frame.map(|frame| frame.into_data().unwrap_or_default());
        Some((data.map_err(Error::from), body))
    };
    unfold(body, next).boxed()
}

fn failing(
    pieces: BoxStream<'static, Result<Bytes>>,
    fault: Option<Fault>,
    flow: Control,
) -> BoxStream<'static, Result<Bytes>> {
    match fault {
        Some(Fault::CutBody(after)) => cut(pieces, after, flow).boxed(),
        Some(Fault::Trickle) => bytes(pieces)
            .then(async |byte| {
                sleep(TRICKLE).await;
                byte
            })
            .boxed(),
        Some(Fault::WatchEnds) => pieces.take_until(sleep(LASTS)).boxed(),
        Some(Fault::WatchExpires) => {
            let expired = async { Ok(Bytes::from_static(fault::EXPIRED)) };
            pieces.take_until(sleep(LASTS)).chain(futures::stream::once(expired)).boxed()
        }
        Some(Fault::Doubled) => lines(pieces).map(|line| line.map(doubled)).boxed(),
        Some(Fault::Reordered) => reordered(lines(pieces)).boxed(),
        _ => pieces,
    }
}

/// So many bytes, and then the connection is cut.
fn cut(
    pieces: BoxStream<'static, Result<Bytes>>,
    after: usize,
    flow: Control,
) -> impl Stream<Item = Result<Bytes>> {
    unfold((pieces, after, flow), async |(mut pieces, left, flow)| {
        if left == 0 {
            sleep(ON_THE_WAY).await;
            flow.set(Flow::Ended);
            pending::<()>().await;
        }
        let piece = pieces.next().await?.map(|piece| piece.slice(..piece.len().min(left)));
        let length = piece.as_ref().map_or(left, Bytes::len);
        Some((piece, (pieces, left - length, flow)))
    })
}

fn bytes(pieces: BoxStream<'static, Result<Bytes>>) -> impl Stream<Item = Result<Bytes>> {
    pieces.flat_map(|piece| {
        let bytes: Vec<Result<Bytes>> = match piece {
            Ok(piece) => (0..piece.len()).map(|at| Ok(piece.slice(at..=at))).collect(),
            Err(error) => vec![Err(error)],
        };
        futures::stream::iter(bytes)
    })
}

/// The lines of a watch, each with its end.
fn lines(pieces: BoxStream<'static, Result<Bytes>>) -> impl Stream<Item = Result<Bytes>> {
    unfold((pieces, Vec::new()), async |(mut pieces, mut text)| {
        loop {
            if let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let rest = text.split_off(end + 1);
                return Some((Ok(Bytes::from(text)), (pieces, rest)));
            }
            match pieces.next().await? {
                Ok(piece) => text.extend_from_slice(&piece),
                Err(error) => return Some((Err(error), (pieces, text))),
            }
        }
    })
}

fn doubled(line: Bytes) -> Bytes {
    if is_bookmark(&line) { line } else { Bytes::from([&line[..], &line[..]].concat()) }
}

/// What is there at first comes in any order: in the reverse of the server's, here. What changes after that has an
/// order that the API promises, and keeps it.
fn reordered(
    lines: impl Stream<Item = Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes>> {
    let begin = (lines.boxed(), VecDeque::new(), true);
    unfold(begin, async |(mut lines, mut kept, mut first)| {
        loop {
            if !first && let Some(line) = kept.pop_front() {
                return Some((Ok(line), (lines, kept, first)));
            }
            match lines.next().await? {
                Ok(line) if first && is_bookmark(&line) => {
                    kept.push_back(line);
                    first = false;
                }
                Ok(line) if first => kept.push_front(line),
                line => return Some((line, (lines, kept, first))),
            }
        }
    })
}

fn is_bookmark(line: &[u8]) -> bool {
    let event: Value = serde_json::from_slice(line).unwrap_or_default();
    event["type"] == "BOOKMARK"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(lines: &[&str]) -> BoxStream<'static, Result<Bytes>> {
        let text = lines.concat();
        // In pieces that are none of the lines.
        let pieces: Vec<_> =
            text.as_bytes().chunks(7).map(Bytes::copy_from_slice).map(Ok).collect();
        futures::stream::iter(pieces).boxed()
    }

    async fn read(pieces: BoxStream<'static, Result<Bytes>>, fault: Fault) -> String {
        let flow = crate::relay::socket::Control::new();
        let all: Vec<_> = failing(pieces, Some(fault), flow).collect().await;
        all.into_iter().map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap()).collect()
    }

    const A: &str = "{\"type\":\"ADDED\",\"object\":\"a\"}\n";
    const B: &str = "{\"type\":\"ADDED\",\"object\":\"b\"}\n";
    const END: &str = "{\"type\":\"BOOKMARK\"}\n";
    const GONE: &str = "{\"type\":\"DELETED\",\"object\":\"a\"}\n";

    #[tokio::test]
    async fn events_are_doubled_and_bookmarks_are_not() {
        let text = read(watch(&[A, END, GONE]), Fault::Doubled).await;
        assert_eq!(text, [A, A, END, GONE, GONE].concat());
    }

    #[tokio::test]
    async fn only_what_is_there_at_first_is_reordered() {
        let text = read(watch(&[A, B, END, B, GONE]), Fault::Reordered).await;
        assert_eq!(text, [B, A, END, B, GONE].concat());
    }

    #[tokio::test]
    async fn a_watch_expires_as_the_api_server_says_it() {
        let text = read(watch(&[A]), Fault::WatchExpires).await;
        let (first, last) = text.split_once('\n').unwrap();
        assert_eq!(first, A.trim_end());
        assert!(last.starts_with("{\"type\":\"ERROR\"") && last.contains("410"), "{last}");
    }
}
