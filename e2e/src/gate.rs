//! A gate between the handler and the API server: it lets everything through,
//! and stops the one request that a scenario waits for, before the server sees
//! it or before the handler sees the answer.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::cluster::Cluster;
use crate::scene::SOON;
use crate::wire::Request;
use crate::{lock, tls};

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
        let ways = Ways::new(cluster, name)?;
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
    connector: TlsConnector,
    port: u16,
}

impl Ways {
    fn new(cluster: &Cluster, name: &str) -> Result<Self> {
        let identity = cluster.server_identity(&format!("gate-{name}"))?;
        Ok(Self {
            acceptor: tls::acceptor(&identity)?,
            connector: tls::connector(&cluster.authority())?,
            port: cluster.port(),
        })
    }
}

async fn serve(listener: TcpListener, ways: Ways, orders: Orders) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, ways.clone(), Arc::clone(&orders)));
        while connections.try_join_next().is_some() {}
    }
}

/// One connection of the handler's. Its requests come one after the other.
async fn connection(stream: TcpStream, ways: Ways, orders: Orders) -> Result<()> {
    let (mut asks, mut told) = split(ways.acceptor.accept(stream).await?);
    let server = TcpStream::connect(("127.0.0.1", ways.port)).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let (mut answers, mut server) = split(ways.connector.connect(name, server).await?);
    let behind: Mutex<Option<Stop>> = Mutex::default();
    let there = async {
        while let Some(request) = Request::read(&mut asks).await? {
            let Request { method, target, body, bytes, .. } = request;
            let passing = Passing { line: format!("{method} {target}"), body };
            let goes_on = match matching(&orders, &passing) {
                Some((Side::Before, stop)) => stop.pass().await,
                Some((Side::After, stop)) => {
                    *lock(&behind) = Some(stop);
                    true
                }
                None => true,
            };
            if !goes_on {
                return Ok(());
            }
            server.write_all(&bytes).await?;
            server.flush().await?;
        }
        anyhow::Ok(())
    };
    let back = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let count = answers.read(&mut bytes).await?;
            let stop = lock(&behind).take();
            if let Some(stop) = stop
                && !stop.pass().await
            {
                return Ok(());
            }
            if count == 0 {
                return anyhow::Ok(());
            }
            told.write_all(bytes.get(..count).unwrap_or_default()).await?;
            told.flush().await?;
        }
    };
    tokio::select! {
        result = there => result,
        result = back => result,
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
