//! One attempt to deliver a message: one request over a connection of its own.

use std::time::Duration;

use ureq_proto::http::{HeaderName, HeaderValue, Method, header};

use crate::clock::Clock;
use crate::http::connection::{Connection, Response};
use crate::http::dial::{self, Stream};
use crate::http::error::{Cause, Error, Party, Role};
use crate::http::protocol::{BodyLimit, Request, USER_AGENT};
use crate::moment::Moment;
use crate::report::webhook::outcome::{PostReply, RetryAfter};
use crate::webhook::destination::WebhookRoots;
use crate::webhook::headers::Headers;
use crate::webhook::proxy::ProxyUrl;
use crate::webhook::url::{Security, WebhookUrl};

/// The body of a response is read, and none of it kept.
const LIMIT: BodyLimit = BodyLimit { read: 48 * 1024, kept: 0 };

/// How long to wait for the body of a response. It is of no interest, but a server that is cut off while
/// it sends one may log an error.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// A webhook as the settings describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostTarget {
    /// Where messages go.
    pub url: WebhookUrl,
    /// Through whom; `None`: directly.
    pub proxy: Option<ProxyUrl>,
    /// Whose certificates are believed, where the URL is one of https.
    pub roots: WebhookRoots,
    /// What goes with each message, its content type included.
    pub headers: Headers,
}

/// Posts `message` within `timeout`, with 2 s to connect to each address; only the system's resolver may
/// take longer. A redirect is a response, and not followed.
///
/// # Errors
/// There is no response.
pub fn post(
    target: &PostTarget,
    message: &str,
    timeout: Duration,
    clock: Clock,
) -> Result<PostReply, Error> {
    let attempt = Attempt::new(target, timeout, clock);
    let mut connection = attempt.open()?;
    let request = attempt.request(message);
    let Response { head, .. } = attempt.exchange(&mut connection, &request, &attempt.answerer())?;
    let retry_after = head.headers.get(header::RETRY_AFTER);
    Ok(PostReply {
        status: head.status.as_u16(),
        retry_after: retry_after.and_then(|value| RetryAfter::parse(value.to_str().ok()?)),
    })
}

/// Opens a connection as [`post`] does, TLS included, within `timeout`, and sends no message. Returns what
/// was reached: with `http://` through a proxy that is the proxy alone.
///
/// # Errors
/// Nothing was.
pub fn reach(target: &PostTarget, timeout: Duration, clock: Clock) -> Result<&'static str, Error> {
    Attempt::new(target, timeout, clock).open()?;
    Ok(match (target.url.security(), &target.proxy) {
        (Security::Tls, None) => "reached, and its certificate is trusted",
        (Security::Tls, Some(_)) => "reached through the proxy, and its certificate is trusted",
        (Security::Plain, None) => "reached",
        (Security::Plain, Some(_)) => "the proxy is reached, and asks the rest of the way itself",
    })
}

struct Attempt<'a> {
    target: &'a PostTarget,
    clock: Clock,
    timeout: Duration,
    until: Moment,
    server: Party,
    proxy: Option<Party>,
}

impl<'a> Attempt<'a> {
    fn new(target: &'a PostTarget, timeout: Duration, clock: Clock) -> Self {
        let party = |role, address| Party { role, address };
        let server = party(Role::Webhook, target.url.server().clone());
        let proxy = target.proxy.as_ref();
        let proxy = proxy.map(|proxy| party(Role::Proxy, proxy.server().clone()));
        Self { target, clock, timeout, until: clock.now() + timeout, server, proxy }
    }

    /// A connection to the party that takes the request.
    fn open(&self) -> Result<Connection, Error> {
        let tls = match self.target.url.security() {
            Security::Plain => None,
            Security::Tls => Some(self.target.roots.tls().map_err(|e| e.with(&self.server))?),
        };
        let next = self.next_party();
        let addresses = dial::resolve(next)?;
        let socket = dial::connect(next, &addresses, self.until, self.clock)?;
        let plain = Stream { socket, tls: None };
        let stream = match (tls, &self.target.proxy) {
            (None, _) => plain,
            (Some(tls), proxy) => {
                let socket = match proxy {
                    Some(proxy) => self.tunnel(plain, proxy)?.socket,
                    None => plain.socket,
                };
                dial::secure(socket, &self.server, &tls, self.until, self.clock)?
            }
        };
        Connection::new(stream, self.next_party(), self.clock.now())
    }

    /// Opens a tunnel through the proxy.
    fn tunnel(&self, stream: Stream, proxy: &ProxyUrl) -> Result<Stream, Error> {
        let next = self.next_party();
        let mut connection = Connection::new(stream, next, self.clock.now())?;
        let request = connect_request(&self.server, proxy);
        let Response { head, .. } = self.exchange(&mut connection, &request, next)?;
        if !head.status.is_success() {
            let server = self.server.address.clone();
            return Err(Cause::NoTunnel(server, head.status.as_u16()).with(next));
        }
        let socket = connection.into_tunnel().ok_or_else(|| {
            let why = "more than a head answers CONNECT".to_owned();
            Cause::NotHttp { status: None, why }.with(next)
        })?;
        Ok(Stream { socket, tls: None })
    }

    /// Only the head counts; the body is read and dropped.
    fn exchange(
        &self,
        connection: &mut Connection,
        request: &Request,
        with: &Party,
    ) -> Result<Response, Error> {
        let response = connection.exchange(request, LIMIT, self.until, BODY_TIMEOUT, self.clock);
        response.map_err(|cause| {
            match cause {
                // The time-out of the whole attempt.
                Cause::TimedOut(_) => Cause::TimedOut(self.timeout),
                cause => cause,
            }
            .with(with)
        })
    }

    fn request(&self, message: &str) -> Request {
        let PostTarget { url, proxy, headers: own, .. } = self.target;
        let mut headers = vec![(header::USER_AGENT, USER_AGENT), (header::CONNECTION, CLOSE)];
        let target = match (url.security(), proxy) {
            (Security::Plain, Some(proxy)) => {
                headers.extend(authorization(proxy));
                url.whole()
            }
            _ => url.path(),
        };
        headers.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
        let body = Some(message.to_owned());
        Request {
            method: Method::POST,
            target: target.to_string(),
            authority: url.host(),
            headers,
            body,
        }
    }

    /// The party at the other end of the socket.
    fn next_party(&self) -> &Party {
        self.proxy.as_ref().unwrap_or(&self.server)
    }

    /// The party that answers the request.
    fn answerer(&self) -> Party {
        match self.target.url.security() {
            Security::Plain => self.next_party().clone(),
            Security::Tls => self.server.clone(),
        }
    }
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");

fn authorization(proxy: &ProxyUrl) -> Option<(HeaderName, HeaderValue)> {
    proxy.authorization().map(|value| (header::PROXY_AUTHORIZATION, value.clone()))
}

fn connect_request(server: &Party, proxy: &ProxyUrl) -> Request {
    let server = server.address.to_string();
    let own = [(header::USER_AGENT, USER_AGENT)];
    Request {
        method: Method::CONNECT,
        target: server.clone(),
        authority: server,
        headers: own.into_iter().chain(authorization(proxy)).collect(),
        body: None,
    }
}
