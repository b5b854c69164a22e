//! A TCP relay on loopback that keeps what goes through it for a while, each way: a server that is
//! farther away than it is.

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
    task: JoinHandle<()>,
}

impl Link {
    /// Opens one to that port of 127.0.0.1; each byte takes `one_way`.
    ///
    /// # Errors
    /// No port is to be had.
    pub async fn open(target: u16, one_way: Duration) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { port, task: tokio::spawn(serve(listener, target, one_way)) })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: u16, one_way: Duration) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, target, one_way));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(client: TcpStream, target: u16, one_way: Duration) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (asks, told) = client.into_split();
    let (answers, asked) = server.into_split();
    tokio::try_join!(carry(asks, asked, one_way), carry(answers, told, one_way))?;
    Ok(())
}

/// One direction, to its end. What is on the way does not hold up what follows.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, one_way: Duration) -> Result<()> {
    let (sender, mut on_the_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let reading = async move {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let count = from.read(&mut bytes).await?;
            let there = Instant::now() + one_way;
            let read = bytes.get(..count).unwrap_or_default().to_vec();
            if sender.send((there, read)).is_err() || count == 0 {
                return anyhow::Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((there, bytes)) = on_the_way.recv().await {
            sleep_until(there).await;
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
}
