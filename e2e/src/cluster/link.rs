//! A TCP relay on loopback that keeps what goes through it for a while, each way: a server that is
//! farther away than it is. It can freeze, too.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// Runs until it is dropped; its connections end with it.
pub struct Link {
    port: u16,
    /// How many connections there were.
    opened: Arc<AtomicUsize>,
    /// How many of them, from the first on, pass nothing on.
    frozen: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// Of one connection.
#[derive(Clone)]
struct Way {
    delay: Duration,
    number: usize,
    frozen: Arc<AtomicUsize>,
}

impl Link {
    /// Opens one to that port of 127.0.0.1; each byte takes `one_way`.
    ///
    /// # Errors
    /// No port is to be had.
    pub async fn open(target: u16, one_way: Duration) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let [opened, frozen] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let way = Way { delay: one_way, number: 0, frozen: Arc::clone(&frozen) };
        let task = tokio::spawn(serve(listener, target, way, Arc::clone(&opened)));
        Ok(Self { port, opened, frozen, task })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing comes through the connections that there are. They stay open, and what is
    /// sent is taken; new ones are as ever.
    pub fn freeze(&self) {
        self.frozen.store(self.opened.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: u16, way: Way, opened: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = opened.fetch_add(1, Ordering::SeqCst);
        connections.spawn(connection(stream, target, Way { number, ..way.clone() }));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(client: TcpStream, target: u16, way: Way) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (asks, told) = client.into_split();
    let (answers, asked) = server.into_split();
    tokio::try_join!(carry(asks, asked, &way), carry(answers, told, &way))?;
    Ok(())
}

impl Way {
    fn is_frozen(&self) -> bool {
        self.number < self.frozen.load(Ordering::SeqCst)
    }
}

/// One direction, to its end. What is on the way does not hold up what follows.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: &Way) -> Result<()> {
    let (sender, mut on_the_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let reading = async move {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut bytes).await;
            if way.is_frozen() {
                match read {
                    Ok(1..) => continue,
                    // Nobody hears of its end.
                    Ok(0) | Err(_) => pending().await,
                }
            }
            let count = read?;
            let there = Instant::now() + way.delay;
            let read = bytes.get(..count).unwrap_or_default().to_vec();
            if sender.send((there, read)).is_err() || count == 0 {
                return anyhow::Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((there, bytes)) = on_the_way.recv().await {
            sleep_until(there).await;
            if way.is_frozen() {
                pending::<()>().await;
            }
            to.write_all(&bytes).await?;
        }
        to.shutdown().await?;
        anyhow::Ok(())
    };
    tokio::try_join!(reading, writing)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_answer_takes_both_ways() {
        let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = server.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(&asked).await.unwrap();
        });
        let link = Link::open(port, Duration::from_millis(40)).await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", link.port())).await.unwrap();
        let begin = Instant::now();
        client.write_all(b"ping").await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"ping");
        assert!(begin.elapsed() >= Duration::from_millis(80));
    }
    #[tokio::test]
    async fn a_frozen_connection_says_nothing_and_stays_and_a_new_one_is_as_ever() {
        let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = server.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let mut asked = [0; 4];
                    while stream.read_exact(&mut asked).await.is_ok() {
                        stream.write_all(&asked).await.unwrap();
                    }
                });
            }
        });
        let link = Link::open(port, Duration::ZERO).await.unwrap();
        let mut before = TcpStream::connect(("127.0.0.1", link.port())).await.unwrap();
        let mut answer = [0; 4];
        before.write_all(b"ping").await.unwrap();
        before.read_exact(&mut answer).await.unwrap();
        link.freeze();
        before.write_all(&vec![0; 1 << 20]).await.unwrap();
        let silent = timeout(Duration::from_millis(200), before.read(&mut answer)).await;
        assert!(silent.is_err(), "{silent:?}");
        let mut after = TcpStream::connect(("127.0.0.1", link.port())).await.unwrap();
        after.write_all(b"pong").await.unwrap();
        after.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"pong");
    }
}
