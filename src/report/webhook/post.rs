//! One try to deliver a message: one request over a connection of its own.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use ureq_proto::http::{HeaderMap, HeaderValue, Method, Uri, header};

use crate::clock::Clock;
use crate::http::address::Address;
use crate::http::dial::{self, NotConnected};
use crate::http::exchange::{Answer, Connection, Limit};
use crate::http::failure::Failure;
use crate::http::request::{Request, USER_AGENT, header_value};
use crate::http::wire::{Fault, Wire};
use crate::moment::Moment;
use crate::report::webhook::headers::Headers;
use crate::report::webhook::outcome::{Reply, RetryAfter};
use crate::report::webhook::proxy::ProxyUrl;
use crate::report::webhook::roots::Roots;
use crate::report::webhook::undelivered::{Party, Undelivered};
use crate::report::webhook::url::{Security, WebhookUrl};

/// Of the body of an answer: nothing is of use.
const LIMIT: Limit = Limit { read: 48 * 1024, kept: 0 };

/// How long the body of an answer is waited for. What it says does not matter, but a server that
/// is cut off in its answer may write an error into its own log.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// A webhook as the settings describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where messages go.
    pub url: WebhookUrl,
    /// Through whom; `None`: directly.
    pub proxy: Option<ProxyUrl>,
    /// Whose certificates are believed, where the URL is one of https.
    pub roots: Roots,
    /// What goes with each message, its content type included.
    pub headers: Headers,
}

/// Posts `message` within `patience`, and to each address within 2 s; only the system's resolver
/// may take longer. A redirect is an answer; nobody follows it.
pub fn post(
    target: &Target,
    message: &str,
    patience: Duration,
    clock: Clock,
) -> Result<Reply, Undelivered> {
    let attempt = Attempt { target, clock, patience, until: clock.now() + patience };
    let mut connection = attempt.open()?;
    let answer = attempt.ask(&mut connection, message)?;
    Ok(attempt.finish(&mut connection, answer))
}

/// Opens a connection as [`post`] does, TLS included, within `patience`, and sends no message. Says
/// what was reached: with `http://` through a proxy that is the proxy alone.
pub fn reach(
    target: &Target,
    patience: Duration,
    clock: Clock,
) -> Result<&'static str, Undelivered> {
    let attempt = Attempt { target, clock, patience, until: clock.now() + patience };
    attempt.open()?;
    Ok(match (target.url.security(), &target.proxy) {
        (Security::Tls, None) => "reached, and its certificate is trusted",
        (Security::Tls, Some(_)) => "reached through the proxy, and its certificate is trusted",
        (Security::Plain, None) => "reached",
        (Security::Plain, Some(_)) => "the proxy is reached, and asks the rest of the way itself",
    })
}

struct Attempt<'a> {
    target: &'a Target,
    clock: Clock,
    patience: Duration,
    until: Moment,
}

// Each step gives its stack back before the next: the deepest page of a thread's stack stays in
// memory for as long as the thread does.
impl Attempt<'_> {
    /// A connection to whoever takes the request.
    fn open(&self) -> Result<Connection, Undelivered> {
        match self.target.url.security() {
            Security::Plain => self.dial().map(Connection::new),
            Security::Tls => {
                let config = self.target.roots.tls_config()?;
                let wire = self.dial()?;
                let wire = match &self.target.proxy {
                    Some(proxy) => self.tunnel(wire, proxy)?,
                    None => wire,
                };
                self.secure(wire, config).map(Connection::new)
            }
        }
    }

    /// Plain bytes to the proxy, or else to the server.
    #[inline(never)]
    fn dial(&self) -> Result<Wire, Undelivered> {
        let party = self.next_party();
        let (Party::Proxy(address) | Party::Server(address)) = &party;
        self.dial_to(address, &party).map(|socket| Wire::plain(socket, self.clock))
    }

    fn dial_to(&self, address: &Address, party: &Party) -> Result<Arc<TcpStream>, Undelivered> {
        let party = || party.clone();
        let unresolved = |why: String| Undelivered::Unresolved { party: party(), why };
        let addresses = dial::resolve(address).map_err(|e| unresolved(e.to_string()))?;
        dial::dial(&addresses, self.until, self.clock)
            .ok_or_else(|| unresolved("it has no address".to_owned()))?
            .map_err(|not_connected| match not_connected {
                NotConnected::NoTime => {
                    Undelivered::TimedOut { party: party(), patience: self.patience }
                }
                NotConnected::NotAccepted(patience) => {
                    Undelivered::NotAccepted { party: party(), patience }
                }
                NotConnected::Failed(e) => {
                    Undelivered::Unreachable { party: party(), why: e.to_string() }
                }
            })
    }

    /// Has the proxy connect us with the server.
    #[inline(never)]
    fn tunnel(&self, wire: Wire, proxy: &ProxyUrl) -> Result<Wire, Undelivered> {
        let party = || Party::Proxy(proxy.server().clone());
        let server = self.target.url.server();
        let mut connection = Connection::new(wire);
        let answer = connect_request(server, proxy)
            .and_then(|request| connection.ask(request, self.until))
            .map_err(|failure| self.undelivered(failure, party()))?;
        if !answer.status.is_success() {
            return Err(Undelivered::ProxyRefused {
                proxy: proxy.server().clone(),
                server: server.clone(),
                status: answer.status.as_u16(),
            });
        }
        connection.into_wire().ok_or_else(|| Undelivered::NotHttp {
            party: party(),
            why: "more than a head answers CONNECT".to_owned(),
        })
    }

    #[inline(never)]
    fn secure(&self, wire: Wire, config: Arc<ClientConfig>) -> Result<Wire, Undelivered> {
        let server = self.target.url.server();
        wire.secured(config, server.host().clone(), self.until).map_err(|fault| {
            let server = server.clone();
            match fault {
                Fault::TimedOut => {
                    let why = format!("no answer within {:.1?}", self.patience);
                    Undelivered::Tls { server, why }
                }
                Fault::Gone(why) => Undelivered::Tls { server, why },
                Fault::Tls(error) => self.target.roots.distrust(server, error),
            }
        })
    }

    #[inline(never)]
    fn ask(&self, connection: &mut Connection, message: &str) -> Result<Answer, Undelivered> {
        self.request(message)
            .and_then(|request| connection.ask(request, self.until))
            .map_err(|failure| self.undelivered(failure, self.answerer()))
    }

    fn request<'a>(&self, message: &'a str) -> Result<Request<'a>, Failure> {
        let Target { url, proxy, headers: own, .. } = self.target;
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, header_value(&url.host())?);
        headers.append(header::USER_AGENT, USER_AGENT);
        headers.append(header::CONNECTION, CLOSE);
        let target = match (url.security(), proxy) {
            (Security::Plain, Some(proxy)) => {
                if let Some(authorization) = proxy.authorization() {
                    headers.append(header::PROXY_AUTHORIZATION, authorization.clone());
                }
                url.whole()
            }
            _ => url.path(),
        };
        for (name, value) in own.iter() {
            headers.append(name, value.clone());
        }
        Ok(Request { method: Method::POST, target, headers, body: Some(message.as_bytes()) })
    }

    /// The head has decided; what follows it is only read.
    fn finish(&self, connection: &mut Connection, answer: Answer) -> Reply {
        let until = self.until.min(self.clock.now() + BODY_PATIENCE);
        let Answer { status, headers, rest } = answer;
        let retry_after = headers.get(header::RETRY_AFTER);
        let _ = connection.read_rest(status, rest, LIMIT, until);
        Reply {
            status: status.as_u16(),
            retry_after: retry_after.and_then(|value| RetryAfter::parse(value.to_str().ok()?)),
        }
    }

    /// Who is at the other end of the socket.
    fn next_party(&self) -> Party {
        match &self.target.proxy {
            Some(proxy) => Party::Proxy(proxy.server().clone()),
            None => Party::Server(self.target.url.server().clone()),
        }
    }

    /// Who answers the request.
    fn answerer(&self) -> Party {
        match self.target.url.security() {
            Security::Plain => self.next_party(),
            Security::Tls => Party::Server(self.target.url.server().clone()),
        }
    }

    fn undelivered(&self, failure: Failure, party: Party) -> Undelivered {
        match failure {
            Failure::TimedOut => Undelivered::TimedOut { party, patience: self.patience },
            Failure::Unanswered(why) => Undelivered::Unanswered { party, why },
            Failure::CutShort { length, .. } => Undelivered::CutShort { party, length },
            Failure::Tls(why) => Undelivered::Tls { server: self.target.url.server().clone(), why },
            Failure::EndlessHead { limit } => Undelivered::NotHttp {
                party,
                why: format!("its head is longer than {limit} bytes"),
            },
            Failure::EndlessBody { limit, .. } => Undelivered::NotHttp {
                party,
                why: format!("its body is longer than {limit} bytes"),
            },
            Failure::NotHttp { why, .. } => Undelivered::NotHttp { party, why },
            Failure::Unsendable(why) => Undelivered::Unsendable { why },
        }
    }
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");

fn connect_request(server: &Address, proxy: &ProxyUrl) -> Result<Request<'static>, Failure> {
    let server = server.to_string();
    let mut headers = HeaderMap::new();
    headers.append(header::HOST, header_value(&server)?);
    headers.append(header::USER_AGENT, USER_AGENT);
    if let Some(authorization) = proxy.authorization() {
        headers.append(header::PROXY_AUTHORIZATION, authorization.clone());
    }
    let target = Uri::try_from(server).map_err(|e| Failure::Unsendable(e.to_string()))?;
    Ok(Request { method: Method::CONNECT, target, headers, body: None })
}
