//! Requests to the API server and its replies: with which token and identity a request is sent, and when it is sent
//! again. All share the connections of one [`Pool`].

use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ureq_proto::http::{HeaderName, HeaderValue, StatusCode, header};

use crate::clock::Clock;
use crate::drain::ask::{Answer, Job, PodRef};
use crate::http::error::{Cause, Error, Party, Role};
use crate::http::pool::{Cancel, Exchange, Pool};
use crate::http::protocol::{self, BodyBuffer, BodyLimit, Head, USER_AGENT};
use crate::kube::identity::Naming;
use crate::kube::reply::{self, KnownBy, Reply};
use crate::kube::request::{Request, for_job};
use crate::kube::server::Server;
use crate::kube::token::BearerToken;
use crate::moment::WallTime;

/// A client of the API server. Its clones share the connections.
#[derive(Clone)]
pub struct Client {
    server: Arc<Server>,
    pool: Pool,
}

/// What comes of a request for a stream, in this order: [`Streamed::Opened`], its pieces, its end; or else one of
/// the last two.
#[derive(Debug)]
pub enum Streamed<'a> {
    /// The answer has status 200.
    Opened,
    /// A piece of its body.
    Piece(&'a [u8]),
    /// That was all.
    Ended,
    /// Any status but 200.
    Refused(Reply),
    /// There is no answer, or it broke off.
    Failed(Error),
}

impl Client {
    /// Connects with the first request.
    pub fn new(server: Arc<Server>, clock: Clock) -> Self {
        let party = Party { role: Role::ApiServer, address: server.address().clone() };
        let of = Arc::clone(&server);
        Self { server, pool: Pool::new(party, move || of.tls(), clock) }
    }

    /// The API server.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The clock that times are measured by.
    pub fn clock(&self) -> Clock {
        self.pool.clock()
    }

    /// How many more requests could be under way now.
    pub fn free(&self) -> usize {
        self.pool.free()
    }

    /// Sets what is called when more could be than before. It must not block.
    pub fn when_grown(&self, call: impl Fn() + Send + Sync + 'static) {
        self.pool.when_grown(call);
    }

    /// The request and its reply, all of it within `timeout`, connecting included.
    ///
    /// # Errors
    /// There is no reply.
    pub fn ask(&self, request: &Request, timeout: Duration) -> Result<Reply, Error> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.submit(request.clone(), timeout, Cancel::default(), move |_, reply| {
            let _ = sender.send(reply);
        });
        receiver.recv().unwrap_or_else(|_| {
            let error = Cause::Unanswered("the request was dropped".to_owned());
            Err(error.with(self.pool.party()).asking(request))
        })
    }

    /// The same without waiting: `done` is called once with what came. It must not block.
    ///
    /// Of a reply with status 2xx [`Request::answer_kept`] bytes are kept, and more than
    /// [`Request::answer_limit`] is an error. Of others the first 16 KiB are kept.
    pub fn submit(
        &self,
        request: Request,
        timeout: Duration,
        cancel: Cancel,
        done: impl FnOnce(&Request, Result<Reply, Error>) + Send + 'static,
    ) {
        self.begin(request, timeout, cancel, Taker::Whole(Box::new(done)));
    }

    /// Asks for a stream, the head of its answer within `timeout`. `take` is called with what comes until it
    /// breaks. It must not block.
    pub fn stream(
        &self,
        request: Request,
        timeout: Duration,
        cancel: Cancel,
        take: impl FnMut(Streamed<'_>) -> ControlFlow<()> + Send + 'static,
    ) {
        self.begin(request, timeout, cancel, Taker::Stream(Box::new(take)));
    }

    /// Cancels what was submitted with `cancel`: it ends with [`Cause::GivenUp`].
    pub fn give_up(&self, cancel: &Cancel) {
        cancel.set();
        self.pool.cancelled();
    }

    fn begin(&self, request: Request, timeout: Duration, cancel: Cancel, taker: Taker) {
        let asking = Asking {
            server: Arc::clone(&self.server),
            request,
            token: None,
            node: None,
            repeat: Repeat::None,
            reply: None,
            taker,
        };
        self.pool.submit(Box::new(asking), timeout, cancel);
    }
}

/// The requests about pods that are under way.
pub struct PodRequests {
    client: Client,
    open: Vec<(Arc<PodRef>, Cancel)>,
}

impl PodRequests {
    /// None yet.
    pub fn new(client: Client) -> Self {
        Self { client, open: Vec::new() }
    }

    /// Asks for `job`. `done` is called once with its answer, and must not block.
    pub fn submit(&mut self, job: Job, done: impl FnOnce(Job, Answer) + Send + 'static) {
        self.open.retain(|(_, cancel)| cancel.is_waited_for());
        let cancel = Cancel::default();
        self.open.push((Arc::clone(&job.pod), cancel.clone()));
        let request = for_job(&job, self.client.clock().read().wall);
        self.client.submit(request, job.timeout, cancel, move |request, reply| {
            let answer = match reply {
                Ok(reply) => reply::answer(&job, request, &reply),
                Err(error) => Answer::Broken(error.to_string()),
            };
            done(job, answer);
        });
    }

    /// Cancels the requests about this pod.
    pub fn give_up(&self, pod: &PodRef) {
        let about = self.open.iter().filter(|(about, _)| **about == *pod);
        about.for_each(|(_, cancel)| self.client.give_up(cancel));
    }

    /// Cancels all.
    pub fn give_up_all(&mut self) {
        self.open.drain(..).for_each(|(_, cancel)| self.client.give_up(&cancel));
    }
}

/// A request until its reply is there.
struct Asking {
    server: Arc<Server>,
    request: Request,
    /// The token of the last attempt.
    token: Option<BearerToken>,
    /// The node that the last attempt impersonated, if it did.
    node: Option<HeaderValue>,
    repeat: Repeat,
    reply: Option<PartialReply>,
    taker: Taker,
}

/// Why it is sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    None,
    /// The node may not be impersonated: it is sent as the ServiceAccount.
    Renamed,
    /// The token was replaced meanwhile.
    Renewed,
}

/// A reply of which the head has come.
struct PartialReply {
    status: StatusCode,
    retry_after: Option<Duration>,
    date: Option<WallTime>,
    /// `None`: it is passed on as it comes.
    body: Option<BodyBuffer>,
}

type Done = dyn FnOnce(&Request, Result<Reply, Error>) + Send;

enum Taker {
    Whole(Box<Done>),
    Stream(Box<dyn FnMut(Streamed<'_>) -> ControlFlow<()> + Send>),
}

/// Of the body of an answer other than 2xx: a Status with its message, or the beginning of whatever
/// a proxy says instead. Each of many may have one at a time.
const REFUSAL: BodyLimit = BodyLimit { read: 1024 * 1024, kept: 16 * 1024 };

impl Exchange for Asking {
    fn asked(&self) -> String {
        self.request.to_string()
    }

    fn request(&mut self) -> Result<protocol::Request, Error> {
        self.reply = None;
        // The file may have been replaced since the last request.
        self.token = self.server.token()?;
        self.node = match self.repeat {
            Repeat::Renamed => None,
            Repeat::None | Repeat::Renewed => {
                self.server.impersonated(&self.request, self.token.as_ref())
            }
        };
        let body = self.request.body.as_ref();
        let content_type =
            body.map(|body| (header::CONTENT_TYPE, HeaderValue::from_static(body.content_type)));
        let token = self.token.as_ref().map(|token| (header::AUTHORIZATION, token.header()));
        let node = self.node.clone().map(|node| (IMPERSONATE_USER, node));
        let own = [(header::USER_AGENT, USER_AGENT), (header::ACCEPT, JSON)];
        Ok(protocol::Request {
            method: self.request.method.clone(),
            target: [self.server.prefix(), &self.request.path].concat(),
            authority: self.server.address().to_string(),
            headers: content_type.into_iter().chain(token).chain(node).chain(own).collect(),
            body: body.map(|body| body.text.clone()),
        })
    }

    fn head(&mut self, head: Head) -> Result<bool, Cause> {
        let status = head.status;
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let is_stream = match &mut self.taker {
            Taker::Stream(take) if status == StatusCode::OK => {
                // Whether it is still wanted is seen with its first piece.
                let _ = take(Streamed::Opened);
                true
            }
            Taker::Stream(_) | Taker::Whole(_) => false,
        };
        let limit = if status.is_success() {
            BodyLimit { read: self.request.answer_limit, kept: self.request.answer_kept }
        } else {
            REFUSAL
        };
        self.reply = Some(PartialReply {
            status,
            retry_after: text(header::RETRY_AFTER).and_then(reply::retry_after),
            date: text(header::DATE).and_then(WallTime::parse_rfc2822),
            body: if is_stream { None } else { Some(BodyBuffer::new(limit, &head)?) },
        });
        if is_stream {
            match (self.repeat, &self.node) {
                (Repeat::Renamed, _) => {
                    self.server.identify(|naming| naming.answered_anew(status.as_u16()));
                }
                (_, Some(_)) => _ = self.server.identify(|naming| naming.answered_node(None)),
                (_, None) => {}
            }
            self.server.exchanged(&self.request, Some(status.as_u16()));
        }
        Ok(is_stream)
    }

    fn data(&mut self, piece: &[u8]) -> Result<(), Cause> {
        match (&mut self.reply, &mut self.taker) {
            (Some(PartialReply { body: Some(body), .. }), _) => body.push(piece),
            (Some(_), Taker::Stream(take)) => match take(Streamed::Piece(piece)) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(Cause::GivenUp(Duration::ZERO)),
            },
            _ => Ok(()),
        }
    }

    fn end(mut self: Box<Self>, end: Result<(), Error>) -> Option<Box<dyn Exchange>> {
        let is_stream = matches!(&self.reply, Some(PartialReply { body: None, .. }));
        let reply = match (end, self.reply.take()) {
            (Err(error), _) => {
                if !is_stream {
                    self.server.exchanged(&self.request, None);
                }
                Err(error)
            }
            (Ok(()), Some(PartialReply { status, retry_after, date, body: Some(body) })) => {
                let by = if self.token.is_some() { KnownBy::Token } else { KnownBy::Certificate };
                let status = status.as_u16();
                let reply = Reply { status, retry_after, date, by, body: body.kept };
                if let Some(repeat) = self.repeats(&reply) {
                    self.repeat = repeat;
                    return Some(self);
                }
                Ok(Some(reply))
            }
            (Ok(()), _) => Ok(None),
        };
        match (self.taker, reply) {
            (Taker::Whole(done), Ok(Some(reply))) => done(&self.request, Ok(reply)),
            (Taker::Whole(done), Err(error)) => done(&self.request, Err(error)),
            // An answer that is whole has a head.
            (Taker::Whole(_), Ok(None)) => {}
            (Taker::Stream(mut take), reply) => {
                let _ = take(match reply {
                    Ok(None) => Streamed::Ended,
                    Ok(Some(reply)) => Streamed::Refused(reply),
                    Err(error) => Streamed::Failed(error),
                });
            }
        }
        None
    }
}

impl Asking {
    /// Whether it is to be sent again, and how.
    fn repeats(&self, reply: &Reply) -> Option<Repeat> {
        let server = &self.server;
        match (self.repeat, &self.node) {
            (Repeat::Renamed, _) => server.identify(|naming| naming.answered_anew(reply.status)),
            // A refused impersonation is no answer to the request, and not counted as one.
            (_, Some(_)) if server.identify(|naming| naming.answered_node(Some(reply))) => {
                return Some(Repeat::Renamed);
            }
            (_, None) if self.request.is_needed() && reply::lacks_right(reply) => {
                server.identify(Naming::forbidden);
            }
            _ => {}
        }
        server.exchanged(&self.request, Some(reply.status));
        let is_stale = reply.status == StatusCode::UNAUTHORIZED.as_u16()
            && self.repeat != Repeat::Renewed
            && server.token().is_ok_and(|fresh| fresh != self.token);
        is_stale.then_some(Repeat::Renewed)
    }
}

/// Kubernetes documentation, "User impersonation".
const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
