//! A gate between the handler and the API server: it lets everything through,
//! and stops the one request that a scenario waits for, before the server sees
//! it or before the handler sees the answer. It speaks HTTP/2 with a handler that
//! does, and then with the server, too; else HTTP/1.1.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::ready;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::lock;
use crate::relay::{Course, Ends, Relay, Rules};
use crate::scene::SOON;

pub use crate::relay::Passing;

/// Runs until it is dropped; its connections end with it.
pub struct Gate {
    relay: Relay,
    orders: Arc<Orders>,
}

/// Where a request is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The server has not seen it.
    Before,
    /// The server has answered, and the handler does not know.
    After,
}

/// A request that is to be stopped, or is.
#[must_use]
pub struct Held {
    reached: Option<oneshot::Receiver<()>>,
    release: oneshot::Sender<()>,
}

#[derive(Default)]
struct Orders(Mutex<Vec<Order>>);

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
        let identity = cluster.server_identity(&format!("gate-{name}"))?;
        Self::before(Ends::secure(&identity, &cluster.authority(), cluster.port())?).await
    }

    async fn before(ends: Ends) -> Result<Self> {
        let orders = Arc::new(Orders::default());
        let rules = Arc::clone(&orders) as Arc<dyn Rules>;
        Ok(Self { relay: Relay::open(ends, rules).await?, orders })
    }

    /// Its port on 127.0.0.1, for `KUBERNETES_SERVICE_PORT`.
    #[must_use]
    pub fn port(&self) -> String {
        self.relay.port().to_string()
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
        lock(&self.orders.0).push(Order { wanted: Box::new(wanted), skip, side, stop });
        Held { reached: Some(on_reached), release }
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

impl Rules for Orders {
    fn course(&self, passing: &Passing) -> Course {
        match self.matching(passing) {
            None => Course::Pass,
            Some((Side::Before, stop)) => Course::Stop(stop.pass().boxed(), ready(true).boxed()),
            Some((Side::After, stop)) => Course::Stop(ready(true).boxed(), stop.pass().boxed()),
        }
    }
}

impl Orders {
    /// The order that this request is waited for with.
    fn matching(&self, passing: &Passing) -> Option<(Side, Stop)> {
        let mut orders = lock(&self.0);
        let index = orders.iter().position(|order| (order.wanted)(passing))?;
        let order = orders.get_mut(index)?;
        if order.skip > 0 {
            order.skip -= 1;
            return None;
        }
        let order = orders.remove(index);
        Some((order.side, order.stop))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use anyhow::anyhow;
    use http_body_util::{BodyExt, Full};
    use hyper::body::{Bytes, Incoming};
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::rustls::pki_types::ServerName;

    use super::*;
    use crate::cluster::Pki;
    use crate::relay::Server;
    use crate::tls;

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

        let ends = Ends::secure(&identity, &pki.authority(), port).unwrap();
        let gate = Gate::before(ends).await.unwrap();

        let protocol = if second { "h2" } else { "http/1.1" };
        let connector = tls::connector(&pki.authority(), &[protocol]).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", gate.relay.port())).await.unwrap();
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
