//! One connection to the API server: one exchange after the other, HTTP/1.1 over TLS. It has no
//! opinion of what an answer means. A redirect is an answer; nobody follows it.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use ureq_proto::http::{
    self as proto, HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header,
};

use crate::http;
use crate::http::exchange::{self, Answer, Limit, Rest};
use crate::http::failure::Failure;
use crate::http::request::{USER_AGENT, header_value};
use crate::http::tls::Distrust;
use crate::http::wire::{Fault, Wire};
use crate::kube::access::Access;
use crate::kube::reply::{self, KnownBy, Reply};
use crate::kube::request::{Method, Request};
use crate::kube::token::Token;
use crate::kube::trouble::Trouble;
use crate::moment::{Moment, WallTime};

/// Of the body of an answer other than 2xx: a Status with its message, or the beginning of whatever
/// a proxy says instead. So much is read that the connection can be kept.
const REFUSAL: Limit = Limit { read: 1024 * 1024, kept: 64 * 1024 };

/// An open connection.
pub(super) struct Connection {
    access: Arc<Access>,
    token: Option<Token>,
    http: exchange::Connection,
}

/// The answer to a request for a stream.
pub(super) enum Streaming {
    /// Any status but 200.
    Refused(Reply),
    /// Status 200, and its body as it comes.
    Body(Box<Body>),
}

impl Streaming {
    /// The answer's status.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Refused(reply) => reply.status,
            Self::Body(_) => StatusCode::OK.as_u16(),
        }
    }
}

impl Connection {
    /// Connects within `patience`, and to each address of the API server within 2 s, with the
    /// token that its file has now.
    pub(super) fn open(access: &Arc<Access>, patience: Duration) -> Result<Self, Trouble> {
        let token = access.server().token()?;
        let http = exchange::Connection::new(open_wire(access, patience)?);
        Ok(Self { access: Arc::clone(access), token, http })
    }

    /// Sends the request and waits for the whole answer, all within `patience`. After a trouble
    /// the connection cannot be used any more.
    ///
    /// Of an answer with status 2xx [`Request::answer_kept`] bytes are kept, and more than
    /// [`Request::answer_limit`] is a trouble. Of other answers the first 64 KiB are kept.
    pub(super) fn send(&mut self, request: &Request, patience: Duration) -> Result<Reply, Trouble> {
        let exchange = Exchange::new(&self.access, request, patience);
        let node = self.impersonated(request);
        let answer = self.ask(request, node.as_ref(), &exchange)?;
        let reply = self.read_rest(answer, request, &exchange)?;
        if !self.asks_anew(request, node.as_ref(), &reply) {
            return Ok(reply);
        }
        self.renew(&exchange)?;
        let answer = self.ask(request, None, &exchange)?;
        let reply = self.read_rest(answer, request, &exchange)?;
        self.access.server().answered_anew(reply.status);
        Ok(reply)
    }

    /// Sends the request and waits for the head of its answer, all within `patience`. An answer
    /// other than 200 is read to its end.
    pub(super) fn stream(
        mut self,
        request: &Request,
        patience: Duration,
    ) -> Result<Streaming, Trouble> {
        let exchange = Exchange::new(&self.access, request, patience);
        let mut node = self.impersonated(request);
        let is_named = node.is_some();
        loop {
            match self.ask(request, node.as_ref(), &exchange)? {
                Answer { status: StatusCode::OK, rest: Rest::Body(call), .. } => {
                    let server = self.access.server();
                    match (&node, is_named) {
                        (Some(_), _) => _ = server.answered_node(None),
                        (None, true) => server.answered_anew(StatusCode::OK.as_u16()),
                        (None, false) => {}
                    }
                    let http = exchange::Body::new(self.http, StatusCode::OK, call);
                    return Ok(Streaming::Body(Box::new(Body {
                        access: self.access,
                        token: self.token,
                        http,
                        exchange,
                    })));
                }
                answer => {
                    let reply = self.read_rest(answer, request, &exchange)?;
                    if !self.asks_anew(request, node.as_ref(), &reply) {
                        return Ok(Streaming::Refused(reply));
                    }
                    self.renew(&exchange)?;
                    node = None;
                }
            }
        }
    }

    /// Whether the last exchange left it ready for another one.
    pub(super) fn is_reusable(&self) -> bool {
        self.http.is_reusable()
    }

    /// This, if it is ready for another one now, after it was idle for a while.
    pub(super) fn if_idle(mut self) -> Option<Self> {
        self.http.is_idle().then_some(self)
    }

    /// Its socket, for whoever may have to shut it from outside.
    pub(super) fn socket(&self) -> &Arc<TcpStream> {
        self.http.socket()
    }

    /// The token by which the API server knows it, if it knows it by one.
    pub(super) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// The value of `Impersonate-User`, if the request is to have one.
    fn impersonated(&self, request: &Request) -> Option<HeaderValue> {
        self.access.server().impersonated(request, self.token.as_ref())
    }

    /// Whether the same is to be asked in the ServiceAccount's name.
    fn asks_anew(&self, request: &Request, node: Option<&HeaderValue>, reply: &Reply) -> bool {
        let server = self.access.server();
        if node.is_some() {
            return server.answered_node(Some(reply));
        }
        if request.is_needed() && reply::lacks_right(reply) {
            server.forbidden();
        }
        false
    }

    /// Sees to it that the same can be asked once more. The refusal of a name is no answer to what was
    /// asked, and is not counted as one.
    fn renew(&mut self, exchange: &Exchange) -> Result<(), Trouble> {
        if !self.is_reusable() {
            let left = self.access.clock().now().until(exchange.until);
            *self = Self::open(&self.access, left)?;
        }
        Ok(())
    }

    fn ask(
        &mut self,
        request: &Request,
        node: Option<&HeaderValue>,
        exchange: &Exchange,
    ) -> Result<Answer, Trouble> {
        self.write(request, node)
            .and_then(|request| self.http.ask(request, exchange.until))
            .map_err(|failure| exchange.trouble(&self.access, failure))
    }

    #[inline(never)]
    fn write<'a>(
        &self,
        request: &'a Request,
        node: Option<&HeaderValue>,
    ) -> Result<http::request::Request<'a>, Failure> {
        let target = Uri::try_from([self.access.server().prefix(), &request.path].concat());
        let target = target.map_err(|e| Failure::Unsendable(e.to_string()))?;
        let host = header_value(&self.access.server().address().to_string())?;
        let mut headers = HeaderMap::new();
        if let Some(body) = &request.body {
            headers.append(header::CONTENT_TYPE, header_value(body.content_type)?);
        }
        headers.append(header::HOST, host);
        if let Some(token) = &self.token {
            headers.append(header::AUTHORIZATION, token.header());
        }
        if let Some(node) = node {
            headers.append(IMPERSONATE_USER, node.clone());
        }
        headers.append(header::USER_AGENT, USER_AGENT);
        headers.append(header::ACCEPT, JSON);
        Ok(http::request::Request {
            method: method(request.method),
            target,
            headers,
            body: request.body.as_ref().map(|body| body.text.as_bytes()),
        })
    }

    fn read_rest(
        &mut self,
        answer: Answer,
        request: &Request,
        exchange: &Exchange,
    ) -> Result<Reply, Trouble> {
        let Answer { status, headers, rest } = answer;
        let limit = if status.is_success() {
            Limit { read: request.answer_limit, kept: request.answer_kept }
        } else {
            REFUSAL
        };
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let retry_after = text(header::RETRY_AFTER).and_then(reply::retry_after);
        let date = text(header::DATE).and_then(WallTime::parse_rfc2822);
        let by = if self.token.is_some() { KnownBy::Token } else { KnownBy::Certificate };
        self.http
            .read_rest(status, rest, limit, exchange.until)
            .map(|body| Reply { status: status.as_u16(), retry_after, date, by, body })
            .map_err(|failure| exchange.trouble(&self.access, failure))
    }
}

/// The body of an answer without end.
pub(super) struct Body {
    access: Arc<Access>,
    token: Option<Token>,
    http: exchange::Body,
    exchange: Exchange,
}

impl Body {
    /// The next piece, of which `before` bytes have been read, within `patience`. 0: that was all.
    pub(super) fn read(
        &mut self,
        into: &mut [u8],
        before: usize,
        until: Moment,
    ) -> Result<usize, Trouble> {
        self.exchange.until = until;
        self.http
            .read(into, before, until)
            .map_err(|failure| self.exchange.trouble(&self.access, failure))
    }

    /// The connection below, after the last piece; `None` if it cannot be used again.
    pub(super) fn into_connection(self) -> Option<Connection> {
        let Self { access, token, http, .. } = self;
        let http = http.into_connection();
        http.is_reusable().then_some(Connection { access, token, http })
    }

    /// The moment at which `patience` ends.
    pub(super) fn begin(&mut self, patience: Duration) -> Moment {
        self.exchange.patience = patience;
        self.access.clock().now() + patience
    }
}

/// Connects and shakes hands, both within `patience`.
fn open_wire(access: &Access, patience: Duration) -> Result<Wire, Trouble> {
    let until = access.clock().now() + patience;
    let (wire, config) = connect(access, until)?;
    wire.secured(config, access.server().address().host().clone(), until).map_err(|fault| {
        let server = access.server().address().clone();
        match fault {
            _ if access.is_closed() => Trouble::Over,
            Fault::TimedOut => {
                Trouble::Tls { server, why: format!("no answer within {patience:.1?}") }
            }
            Fault::Gone(why) => Trouble::Tls { server, why },
            Fault::Tls(error) => match Distrust::from(error) {
                Distrust::UnknownIssuer => {
                    access.forget_roots();
                    Trouble::Untrusted { server, roots: access.server().where_roots_are() }
                }
                Distrust::Certificate(why) => Trouble::Certificate { server, why },
                Distrust::NoTls(why) => Trouble::Tls { server, why },
            },
        }
    })
}

// For its stack, as in http::wire.
#[inline(never)]
fn connect(access: &Access, until: Moment) -> Result<(Wire, Arc<ClientConfig>), Trouble> {
    let config = access.tls_config()?;
    Ok((Wire::plain(access.connect(until)?, access.clock()), config))
}

/// One request, as its troubles name it, and its deadline.
struct Exchange {
    asked: String,
    patience: Duration,
    until: Moment,
}

impl Exchange {
    fn new(access: &Access, request: &Request, patience: Duration) -> Self {
        Self { asked: request.to_string(), patience, until: access.clock().now() + patience }
    }

    fn trouble(&self, access: &Access, failure: Failure) -> Trouble {
        let asked = self.asked.clone();
        match failure {
            Failure::Unsendable(why) => Trouble::Unsendable { asked, why },
            Failure::EndlessHead { limit } => Trouble::EndlessHead { asked, limit },
            Failure::EndlessBody { status, limit } => Trouble::EndlessBody { asked, status, limit },
            Failure::NotHttp { status, why } => Trouble::NotHttp { asked, status, why },
            // We may have shut the socket ourselves.
            _ if access.is_closed() => Trouble::Over,
            Failure::TimedOut => Trouble::TimedOut { asked, patience: self.patience },
            Failure::Unanswered(why) => Trouble::Unanswered { asked, why },
            Failure::CutShort { status, length } => Trouble::CutShort { asked, status, length },
            Failure::Tls(why) => Trouble::Tls { server: access.server().address().clone(), why },
        }
    }
}

/// As whom the API server is to take whoever asks (Kubernetes documentation, "User impersonation").
const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn method(method: Method) -> proto::Method {
    match method {
        Method::Get => proto::Method::GET,
        Method::Post => proto::Method::POST,
        Method::Patch => proto::Method::PATCH,
        Method::Delete => proto::Method::DELETE,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
