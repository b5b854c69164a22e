//! A gate between the handler and the API server: it lets everything through,
//! and stops the one request that a scenario waits for, before the server sees
//! it or before the handler sees the answer. It speaks HTTP/2 with a handler that
//! does, and then with the server, too; else HTTP/1.1.

use std::future::pending;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::cluster::{Cluster, Identity};
use crate::scene::SOON;
use crate::{lock, tls};

/// As many at once as the API server allows on a connection.
const STREAMS: u32 = 100;

/// For the last answers of a server that is gone.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs until it is dropped; its connections end with it.
pub struct Gate {
    port: u16,
    orders: Orders,
    task: JoinHandle<()>,
}

/// Where a request is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The server has not seen it.
    Before,
    /// The server has answered, and the handler does not know.
    After,
}

/// A request, as far as it is of interest.
#[derive(Clone, Debug)]
pub struct Passing {
    /// `GET /api/v1/nodes/x`.
    pub line: String,
    /// Its body.
    pub body: String,
}

/// A request that is to be stopped, or is.
#[must_use]
pub struct Held {
    reached: Option<oneshot::Receiver<()>>,
    release: oneshot::Sender<()>,
}

type Orders = Arc<Mutex<Vec<Order>>>;

struct Order {
    wanted: Box<dyn Fn(&Passing) -> bool + Send>,
    /// So many are let through before.
    skip: usize,
    side: Side,
    stop: Stop,
}

/// The gate's end of a [`Held`].
struct Stop {
    reached: oneshot::Sender<()>,
    release: oneshot::Receiver<()>,
}

impl Gate {
    /// Opens one before the API server of this cluster; `name` is for its
    /// certificate.
    ///
    /// # Errors
    /// No port or no certificate is to be had.
    pub async fn open(cluster: &Cluster, name: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let identity = cluster.server_identity(&format!("gate-{name}"))?;
        let ways = Ways::new(&identity, &cluster.authority(), cluster.port())?;
        let orders = Orders::default();
        let task = tokio::spawn(serve(listener, ways, Arc::clone(&orders)));
        Ok(Self { port, orders, task })
    }

    /// Its port on 127.0.0.1, for `KUBERNETES_SERVICE_PORT`.
    #[must_use]
    pub fn port(&self) -> String {
        self.port.to_string()
    }

    /// Stops the next request that is `wanted`.
    pub fn stop(&self, side: Side, wanted: impl Fn(&Passing) -> bool + Send + 'static) -> Held {
        self.stop_after(0, side, wanted)
    }

    /// Lets so many of the requests that are `wanted` through, and stops the
    /// next.
    pub fn stop_after(
        &self,
        skip: usize,
        side: Side,
        wanted: impl Fn(&Passing) -> bool + Send + 'static,
    ) -> Held {
        let (reached, on_reached) = oneshot::channel();
        let (release, on_release) = oneshot::channel();
        let stop = Stop { reached, release: on_release };
        lock(&self.orders).push(Order { wanted: Box::new(wanted), skip, side, stop });
        Held { reached: Some(on_reached), release }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Held {
    /// Waits until the request is there.
    ///
    /// # Errors
    /// It does not come within a minute.
    pub async fn reached(&mut self) -> Result<()> {
        let Some(reached) = self.reached.take() else { return Ok(()) };
        let result = timeout(SOON, reached).await;
        result.context("the request that was to be stopped did not come")?.context("the gate ended")
    }

    /// Lets it go on. To drop it instead cuts its connection.
    pub fn release(self) {
        let _ = self.release.send(());
    }
}

impl Stop {
    /// Whether it may go on.
    async fn pass(self) -> bool {
        let _ = self.reached.send(());
        self.release.await.is_ok()
    }
}

/// How to speak to both sides.
#[derive(Clone)]
struct Ways {
    acceptor: TlsAcceptor,
    /// In the version that the handler has chosen.
    connectors: [TlsConnector; 2],
    port: u16,
}

impl Ways {
    fn new(identity: &Identity, authority: &Path, port: u16) -> Result<Self> {
        let [second, first] = tls::BOTH.map(|protocol| tls::connector(authority, &[protocol]));
        let acceptor = tls::acceptor(identity, &tls::BOTH)?;
        Ok(Self { acceptor, connectors: [second?, first?], port })
    }
}

async fn serve(listener: TcpListener, ways: Ways, orders: Orders) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, ways.clone(), Arc::clone(&orders)));
        while connections.try_join_next().is_some() {}
    }
}

/// One connection of the handler's, and one to the server for it alone.
async fn connection(stream: TcpStream, ways: Ways, orders: Orders) -> Result<()> {
    stream.set_nodelay(true)?;
    let handler = ways.acceptor.accept(stream).await?;
    let second = handler.get_ref().1.alpn_protocol() == Some(b"h2");
    let [for_second, for_first] = ways.connectors;
    let connector = if second { for_second } else { for_first };
    let server = TcpStream::connect(("127.0.0.1", ways.port)).await?;
    server.set_nodelay(true)?;
    let server = connector.connect(ServerName::try_from("127.0.0.1")?, server).await?;
    let (server, link) = Server::meet(TokioIo::new(server), second).await?;

    let passage = Arc::new(Passage { server, orders, cut: Notify::new() });
    let service = service_fn(|request| Arc::clone(&passage).pass(request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(STREAMS);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(handler), service));
    tokio::select! {
        done = serving.as_mut() => return done.map_err(|e| anyhow!(e)),
        () = passage.cut.notified() => return Ok(()),
        // The server's end is the handler's: what was answered before still gets there.
        () = link => serving.as_mut().graceful_shutdown(),
    }
    timeout(LAST_WORDS, serving).await?.map_err(|e| anyhow!(e))
}

/// The way of the requests of one connection.
struct Passage {
    server: Server,
    orders: Orders,
    cut: Notify,
}

impl Passage {
    /// Passes one request on, and its answer back, unless it is to be stopped.
    async fn pass(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Incoming>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let line = format!("{} {target}", head.method);
        let passing = Passing { line, body: String::from_utf8_lossy(&body).into_owned() };
        let (before, after) = match matching(&self.orders, &passing) {
            Some((Side::Before, stop)) => (Some(stop), None),
            Some((Side::After, stop)) => (None, Some(stop)),
            None => (None, None),
        };
        self.stopped(before).await;
        let answer = self.server.ask(Request::from_parts(head, Full::new(body))).await?;
        self.stopped(after).await;
        Ok(answer)
    }

    /// Comes back when it may go on. If it may not, its connection is cut, with all that is on it.
    async fn stopped(&self, stop: Option<Stop>) {
        if let Some(stop) = stop
            && !stop.pass().await
        {
            self.cut.notify_one();
            pending::<()>().await;
        }
    }
}

/// The server, as one connection has it.
enum Server {
    First(tokio::sync::Mutex<client::http1::SendRequest<Full<Bytes>>>),
    Second(client::http2::SendRequest<Full<Bytes>>),
}

impl Server {
    /// Gives what carries the connection to its end, too.
    async fn meet(
        stream: TokioIo<TlsStream<TcpStream>>,
        second: bool,
    ) -> Result<(Self, BoxFuture<'static, ()>)> {
        if second {
            let (sender, link) = client::http2::handshake(TokioExecutor::new(), stream).await?;
            return Ok((Self::Second(sender), link.map(drop).boxed()));
        }
        let (sender, link) = client::http1::handshake(stream).await?;
        Ok((Self::First(tokio::sync::Mutex::new(sender)), link.map(drop).boxed()))
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
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

/// The order that this request is waited for with.
fn matching(orders: &Orders, passing: &Passing) -> Option<(Side, Stop)> {
    let mut orders = lock(orders);
    let index = orders.iter().position(|order| (order.wanted)(passing))?;
    let order = orders.get_mut(index)?;
    if order.skip > 0 {
        order.skip -= 1;
        return None;
    }
    let order = orders.remove(index);
    Some((order.side, order.stop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Pki;

    /// A client behind a gate, which is before a server that repeats what it is sent.
    struct Way {
        gate: Gate,
        client: Server,
        _folder: Folder,
    }

    /// Taken away when it is dropped.
    struct Folder(std::path::PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    async fn way(name: &str, second: bool) -> Way {
        let name = format!("e2e-gate-{}-{name}-{second}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        let pki = Pki::create(&folder.0, "ca").unwrap();
        let identity = pki.server("server").unwrap();
        let acceptor = tls::acceptor(&identity, &tls::BOTH).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = acceptor.accept(stream).await.unwrap();
                // The gate asks it in the version in which it is asked.
                assert_eq!(stream.get_ref().1.alpn_protocol() == Some(b"h2"), second);
                tokio::spawn(repeating(TokioIo::new(stream)));
            }
        });

        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port_of_gate = listener.local_addr().unwrap().port();
        let ways = Ways::new(&identity, &pki.authority(), port).unwrap();
        let orders = Orders::default();
        let task = tokio::spawn(serve(listener, ways, Arc::clone(&orders)));
        let gate = Gate { port: port_of_gate, orders, task };

        let protocol = if second { "h2" } else { "http/1.1" };
        let connector = tls::connector(&pki.authority(), &[protocol]).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port_of_gate)).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TokioIo::new(connector.connect(name, stream).await.unwrap());
        let (client, link) = Server::meet(stream, second).await.unwrap();
        tokio::spawn(link);
        Way { gate, client, _folder: folder }
    }

    async fn repeating(stream: TokioIo<tokio_rustls::server::TlsStream<TcpStream>>) -> Result<()> {
        let service = service_fn(async |request: Request<Incoming>| {
            let body = request.into_body().collect().await?.to_bytes();
            hyper::Result::Ok(Response::new(Full::new(body)))
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        builder.serve_connection(stream, service).await.map_err(|e| anyhow!(e))
    }

    async fn ask(client: &Server, body: &'static str) -> Result<String> {
        let request = Request::post("https://127.0.0.1/").header("host", "127.0.0.1");
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = client.ask(request).await?;
        Ok(String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec())?)
    }

    #[tokio::test]
    async fn one_request_is_stopped_on_either_side_and_goes_on() {
        for (second, side) in [(false, Side::Before), (false, Side::After)]
            .into_iter()
            .chain([(true, Side::Before), (true, Side::After)])
        {
            let way = way(&format!("goes-on-{side:?}"), second).await;
            assert_eq!(ask(&way.client, "first").await.unwrap(), "first");
            let mut held = way.gate.stop(side, |request| request.body == "second");
            let mut asked = pin!(ask(&way.client, "second"));
            tokio::select! {
                answer = asked.as_mut() => panic!("it was not stopped: {answer:?}"),
                reached = held.reached() => reached.unwrap(),
            }
            held.release();
            assert_eq!(asked.await.unwrap(), "second");
        }
    }

    #[tokio::test]
    async fn others_on_the_connection_pass_by_one_that_is_stopped_and_are_cut_with_it() {
        let way = way("cut", true).await;
        let mut cut = way.gate.stop(Side::After, |request| request.body == "cut");
        let mut beside = way.gate.stop(Side::Before, |request| request.body == "beside");
        let mut asked =
            pin!(async { tokio::join!(ask(&way.client, "cut"), ask(&way.client, "beside")) });
        tokio::select! {
            answers = asked.as_mut() => panic!("they were not stopped: {answers:?}"),
            reached = async { (cut.reached().await, beside.reached().await) } => {
                reached.0.unwrap();
                reached.1.unwrap();
            }
        }
        assert_eq!(ask(&way.client, "free").await.unwrap(), "free");
        drop(cut);
        let (first, second) = asked.await;
        assert!(first.is_err() && second.is_err(), "{first:?} {second:?}");
    }
}
