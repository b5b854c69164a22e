//! A relay between a program and a server that it asks over HTTP: with TLS as the API server is asked, in the
//! version that the program chooses, or without as the metadata service is. It passes everything on, unless one of
//! its [`Rules`] says otherwise, and keeps a journal of what was asked.

mod body;
pub mod fault;
pub mod journal;
mod socket;

use std::future::pending;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn as client;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::cluster::{Identity, port};
use crate::tls;
use body::Body;
use fault::Fault;
use journal::{Journal, Open};
use socket::{Flow, Socket};

/// As many at once as the API server allows on a connection.
const STREAMS: u32 = 100;

/// For the last answers of a server that is gone.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// For what was written to reach the other side before its connection is cut.
const ON_THE_WAY: Duration = Duration::from_millis(100);

/// A request, as far as it is of interest.
#[derive(Clone, Debug)]
pub struct Passing {
    /// `GET /api/v1/nodes/x`.
    pub line: String,
    /// Its body.
    pub body: String,
}

/// What becomes of a request.
pub enum Course {
    /// It is passed on, and its answer back.
    Pass,
    /// The first is awaited before it is passed on, the second before its answer is passed back. The connection is
    /// cut if one of them says that it may not go on.
    Stop(BoxFuture<'static, bool>, BoxFuture<'static, bool>),
    /// It goes wrong.
    Fault(Fault),
}

/// What decides about connections and requests.
pub trait Rules: Send + Sync {
    /// About a request that has come.
    fn course(&self, passing: &Passing) -> Course;

    /// What goes wrong with a connection that is new, and until when, if not for ever.
    fn connecting(&self) -> Option<(Fault, Option<Instant>)> {
        None
    }

    /// Until when what a request has met goes on for its connection, if not for ever.
    fn until(&self) -> Option<Instant> {
        None
    }
}

/// Who is on both sides.
#[derive(Clone)]
pub struct Ends {
    /// `None`: no TLS on either side.
    tls: Option<TlsEnds>,
    /// Of the server, on 127.0.0.1.
    server: u16,
}

#[derive(Clone)]
struct TlsEnds {
    acceptor: TlsAcceptor,
    /// Presents a certificate of an authority that is not trusted.
    stranger: Option<TlsAcceptor>,
    /// For HTTP/2, and for HTTP/1.1.
    connectors: [TlsConnector; 2],
}

impl Ends {
    /// Before a server with TLS, in whose place the relay presents itself as `identity`; `authority` has signed the
    /// server's certificate.
    ///
    /// # Errors
    /// A certificate cannot be read.
    pub fn secure(identity: &Identity, authority: &Path, server: u16) -> Result<Self> {
        let [second, first] = tls::BOTH.map(|protocol| tls::connector(authority, &[protocol]));
        let acceptor = tls::acceptor(identity, &tls::BOTH)?;
        let tls = TlsEnds { acceptor, stranger: None, connectors: [second?, first?] };
        Ok(Self { tls: Some(tls), server })
    }

    /// The same, with another certificate for [`Fault::OtherCertificate`].
    ///
    /// # Errors
    /// It cannot be read.
    pub fn with_stranger(mut self, identity: &Identity) -> Result<Self> {
        if let Some(tls) = &mut self.tls {
            tls.stranger = Some(tls::acceptor(identity, &tls::BOTH)?);
        }
        Ok(self)
    }

    /// Before a server without TLS.
    #[must_use]
    pub fn plain(server: u16) -> Self {
        Self { tls: None, server }
    }
}

/// Runs until it is dropped; its connections end with it.
pub struct Relay {
    port: u16,
    journal: Journal,
    task: JoinHandle<()>,
}

impl Relay {
    /// Opens one.
    ///
    /// # Errors
    /// No port is to be had.
    pub async fn open(ends: Ends, rules: Arc<dyn Rules>) -> Result<Self> {
        let port = port::free()?;
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let journal = Journal::default();
        let way = Way { ends, rules, journal: journal.clone(), closed: Arc::new(Notify::new()) };
        Ok(Self { port, journal, task: tokio::spawn(serve(listener, port, way)) })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What came by.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What all connections share.
#[derive(Clone)]
struct Way {
    ends: Ends,
    rules: Arc<dyn Rules>,
    journal: Journal,
    /// No further connection is to be taken for a while.
    closed: Arc<Notify>,
}

/// For how long connections are refused where that is to happen once.
const REFUSING: Duration = Duration::from_millis(500);

async fn serve(listener: TcpListener, port: u16, way: Way) {
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        let Some(listening) = &listener else {
            listener = TcpListener::bind(("127.0.0.1", port)).await.ok();
            continue;
        };
        tokio::select! {
            accepted = listening.accept() => {
                let Ok((stream, _)) = accepted else { return };
                connections.spawn(connection(stream, way.clone()));
            }
            () = way.closed.notified() => {
                listener = None;
                match way.rules.connecting() {
                    Some((_, Some(until))) => sleep_until(until).await,
                    Some((_, None)) => pending().await,
                    None => tokio::time::sleep(REFUSING).await,
                }
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One connection of the program's, and one to the server for it alone.
async fn connection(stream: TcpStream, way: Way) -> Result<()> {
    let met = way.rules.connecting();
    let mut socket = Socket::new(stream)?;
    let flow = socket.flow();
    match &met {
        Some((Fault::Freeze, until)) => flow.freeze(*until),
        Some((Fault::BrokenTls, _)) => flow.set(Flow::Garbled),
        Some((Fault::Reset, _)) => {
            socket.reset();
            return Ok(());
        }
        _ => {}
    }
    let stranger = met.is_some_and(|(fault, _)| fault == Fault::OtherCertificate);
    let inner = socket.start();
    let (program, second): (Box<dyn Stream>, bool) = match &way.ends.tls {
        None => (Box::new(inner), false),
        Some(tls) => {
            let acceptor = if stranger { &tls.stranger } else { &Some(tls.acceptor.clone()) };
            let acceptor = acceptor.as_ref().context("no other certificate")?;
            let stream = acceptor.accept(inner).await?;
            let second = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            (Box::new(stream), second)
        }
    };
    let (server, link) = Server::connect(&way.ends, second).await?;

    let passage = Arc::new(Passage {
        server,
        rules: way.rules,
        journal: way.journal,
        flow: flow.clone(),
        closed: way.closed,
        goaway: Notify::new(),
    });
    let service = service_fn(|request| Arc::clone(&passage).pass(request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(STREAMS);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(program), service));
    let mut link = pin!(link);
    let mut sent_away = false;
    loop {
        tokio::select! {
            done = serving.as_mut() => return done.map_err(|e| anyhow!(e)),
            () = flow.ended() => return Ok(()),
            // What is under way goes on to its end.
            () = passage.goaway.notified(), if !sent_away => {
                sent_away = true;
                serving.as_mut().graceful_shutdown();
            }
            // The server's end is the program's: what was answered before still gets there.
            () = link.as_mut() => {
                serving.as_mut().graceful_shutdown();
                return timeout(LAST_ANSWERS, serving).await?.map_err(|e| anyhow!(e));
            }
        }
    }
}

/// The way of the requests of one connection.
struct Passage {
    server: Server,
    rules: Arc<dyn Rules>,
    journal: Journal,
    flow: socket::Control,
    closed: Arc<Notify>,
    goaway: Notify,
}

impl Passage {
    /// Passes one request on, and its answer back, unless something else is to become of it.
    async fn pass(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let line = format!("{} {target}", head.method);
        let passing = Passing { line, body: String::from_utf8_lossy(&body).into_owned() };
        let course = self.rules.course(&passing);
        let watches = passing.watches();
        let open =
            self.journal.open(passing, matches!(course, Course::Fault(_)), self.flow.was_frozen());
        let request = Request::from_parts(head, Full::new(body));
        match course {
            Course::Pass => self.answer(request, watches, open, None).await,
            Course::Stop(before, after) => {
                self.cut_unless(before.await).await;
                let answer = self.server.ask(request).await?;
                self.cut_unless(after.await).await;
                Ok(answer.map(Body::streamed))
            }
            Course::Fault(fault) => self.fail(fault, request, watches, open).await,
        }
    }

    /// The server's answer, whole, or as it comes if it is that to a watch; with what goes wrong in it.
    async fn answer(
        &self,
        request: Request<Full<Bytes>>,
        watches: bool,
        mut open: Open,
        fault: Option<Fault>,
    ) -> Result<Response<Body>> {
        open.passed_on();
        let answer = self.server.ask(request).await?;
        let status = answer.status().as_u16();
        open.begun(status);
        let flow = self.flow.clone();
        if watches && status == 200 {
            open.close();
            return Ok(answer.map(|body| Body::watch(body, fault, flow)));
        }
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        open.answered(&body);
        Ok(Response::from_parts(head, Body::whole(body, fault, flow, open)))
    }

    async fn fail(
        &self,
        fault: Fault,
        request: Request<Full<Bytes>>,
        watches: bool,
        mut open: Open,
    ) -> Result<Response<Body>> {
        match fault {
            Fault::HangBefore => pending().await,
            Fault::HangAfter | Fault::CutHead => {
                open.passed_on();
                self.server.ask(request).await?.into_body().collect().await?;
                if fault == Fault::CutHead {
                    self.flow.set(Flow::Ended);
                }
                pending().await
            }
            Fault::Answer { code, retry_after } => {
                let (answer, body) = fault::answer(code, retry_after)?;
                open.begun(code);
                open.answered(body.as_bytes());
                let flow = self.flow.clone();
                Ok(answer.map(|()| Body::whole(Bytes::from(body), None, flow, open)))
            }
            Fault::Goaway => {
                self.goaway.notify_one();
                self.answer(request, watches, open, None).await
            }
            Fault::StreamReset => {
                Err(anyhow!("the stream is reset")) // RST_STREAM, INTERNAL_ERROR
            }
            Fault::Refuse => {
                self.closed.notify_one();
                // The listener is gone before the program finds its connection gone.
                tokio::time::sleep(ON_THE_WAY).await;
                self.flow.set(Flow::Ended);
                pending().await
            }
            Fault::Reset => {
                self.flow.set(Flow::Reset);
                pending().await
            }
            Fault::OtherCertificate => {
                self.flow.set(Flow::Ended);
                pending().await
            }
            Fault::Freeze => {
                self.journal.lose();
                self.flow.freeze(self.rules.until());
                pending().await
            }
            Fault::BrokenTls => {
                self.flow.set(Flow::Garbled);
                self.answer(request, watches, open, None).await
            }
            Fault::CutBody(_)
            | Fault::Trickle
            | Fault::WatchEnds
            | Fault::WatchExpires
            | Fault::Doubled
            | Fault::Reordered => self.answer(request, watches, open, Some(fault)).await,
        }
    }

    /// Comes back if it may go on. If it may not, its connection is cut, with all that is on it.
    async fn cut_unless(&self, may_go_on: bool) {
        if !may_go_on {
            self.flow.set(Flow::Ended);
            pending::<()>().await;
        }
    }
}

impl Passing {
    /// Whether its answer is a stream.
    fn watches(&self) -> bool {
        self.line.contains("watch=1") || self.line.contains("watch=true")
    }
}

/// The server, as one connection has it.
pub(crate) enum Server {
    /// HTTP/1.1.
    First(tokio::sync::Mutex<client::http1::SendRequest<Full<Bytes>>>),
    /// HTTP/2.
    Second(client::http2::SendRequest<Full<Bytes>>),
}

impl Server {
    async fn connect(ends: &Ends, second: bool) -> Result<(Self, BoxFuture<'static, ()>)> {
        let server = TcpStream::connect(("127.0.0.1", ends.server)).await?;
        server.set_nodelay(true)?;
        let Some(tls) = &ends.tls else { return Self::meet(TokioIo::new(server), false).await };
        let [for_second, for_first] = &tls.connectors;
        let connector = if second { for_second } else { for_first };
        let server = connector.connect(ServerName::try_from("127.0.0.1")?, server).await?;
        Self::meet(TokioIo::new(server), second).await
    }

    /// Gives what carries the connection to its end, too.
    pub(crate) async fn meet<S>(
        stream: TokioIo<S>,
        second: bool,
    ) -> Result<(Self, BoxFuture<'static, ()>)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if second {
            let (sender, link) = client::http2::handshake(TokioExecutor::new(), stream).await?;
            return Ok((Self::Second(sender), link.map(drop).boxed()));
        }
        let (sender, link) = client::http1::handshake(stream).await?;
        Ok((Self::First(tokio::sync::Mutex::new(sender)), link.map(drop).boxed()))
    }

    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        Ok(match self {
            Self::First(sender) => {
                let mut sender = sender.lock().await;
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Second(sender) => sender.clone().send_request(request).await?,
        })
    }
}
