//! The watch and the list without a connection, for `fuzz/`. Both answer with what the drain is told.

use std::ops::ControlFlow;

use crate::drain::pod::PodNews;
use crate::kube::pods::{self, Context};
use crate::kube::reply::Reply;
use crate::kube::request::{Request, Verb};
use crate::kube::stream::{Items, Lines, OBJECT_LIMIT};
use crate::kube::watch::{Input, Parts, Step, Watch};
use crate::moment::{Moment, Reading};

/// What a connection would pass on.
#[derive(Clone, Copy, Debug)]
pub enum Came<'a> {
    /// The stream that was asked for is open.
    Opened,
    /// It is refused.
    Refused(&'a Reply),
    /// A piece of its body.
    Piece(&'a [u8]),
    /// That was all.
    Ended,
    /// The connection failed.
    Failed,
    /// Nothing, for as long as was waited.
    Nothing,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Due {
    /// Nothing until then.
    Rest(Moment),
    /// This is to be asked for.
    Ask(Request),
    /// What is open is to be read, until then at most.
    Read(Moment),
}

/// The watch of one node.
pub struct FedWatch {
    node: String,
    watch: Watch,
    request: Option<Request>,
    parts: Parts,
}

impl FedWatch {
    /// Nothing has come yet.
    pub fn new(node: &str) -> Self {
        let parts = Parts::Lines(Lines::new(OBJECT_LIMIT));
        Self { node: node.to_owned(), watch: Watch::new(node, 1), request: None, parts }
    }

    /// What is to be done next.
    pub fn due(&mut self, now: Moment) -> Due {
        match self.watch.next(now) {
            Step::Rest(until) => Due::Rest(until),
            Step::Read(until) => Due::Read(until),
            Step::Ask(request) => {
                self.parts = match request.verb() {
                    Verb::List => Parts::Items(Items::new(OBJECT_LIMIT)),
                    _ => Parts::Lines(Lines::new(OBJECT_LIMIT)),
                };
                self.request = Some(request.clone());
                Due::Ask(request)
            }
        }
    }

    /// What it says of the pods.
    pub fn observe(&mut self, at: Reading, came: Came<'_>) -> Vec<PodNews> {
        let Self { node, watch, request, parts } = self;
        let context = Context { node, at };
        let mut inputs = Vec::new();
        let mut take = |input| {
            inputs.push(input);
            ControlFlow::Continue(())
        };
        let _ = match (came, parts) {
            (Came::Opened, _) => take(Input::Opened),
            (Came::Refused(reply), _) => match request {
                Some(request) => take(Input::Refused(Box::new((request.clone(), reply.clone())))),
                None => ControlFlow::Continue(()),
            },
            (Came::Piece(piece), Parts::Lines(lines)) => {
                lines.push(piece, |line| take(Input::line(line, context)))
            }
            (Came::Piece(piece), Parts::Items(items)) => {
                items.push(piece, |item| take(Input::item(item, context)))
            }
            (Came::Ended, Parts::Items(items)) => {
                let _ = take(Input::ListEnded(pods::list_version(items.frame())));
                take(Input::Ended)
            }
            (Came::Ended, Parts::Lines(lines)) => {
                if let Some(line) = lines.last() {
                    let _ = take(Input::line(line, context));
                }
                take(Input::Ended)
            }
            (Came::Failed, _) => take(Input::Failed("the connection failed".to_owned())),
            (Came::Nothing, _) => take(Input::TimedOut),
        };
        inputs.into_iter().flat_map(|input| watch.observe(at, input)).collect()
    }
}

/// Reads a list that comes in these pieces: its items, and as of which resource version it is complete.
pub fn list(node: &str, at: Reading, pieces: &[&[u8]]) -> (Vec<PodNews>, Option<String>) {
    let context = Context { node, at };
    let mut items = Items::new(OBJECT_LIMIT);
    let mut news = Vec::new();
    for piece in pieces {
        let _ = items.push(piece, |item| {
            news.push(match Input::item(item, context) {
                Input::Item(Ok((pod, _))) => PodNews::Seen(pod),
                Input::Item(Err(unread)) => unread.into(),
                Input::Skipped(news) => news,
                _ => PodNews::SetComplete,
            });
            ControlFlow::Continue(())
        });
    }
    (news, pods::list_version(items.frame()))
}
