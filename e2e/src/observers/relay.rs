//! Between Prometheus and a target that it is to read in the older text format. Debian's Prometheus
//! asks for `OpenMetrics` first and has no setting for that (`scrape_protocols` came with 2.49).

use anyhow::Result;
use tokio::io::{AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::wire::Request;

/// What a client that knows no other format accepts.
const ACCEPT: &str = "text/plain;version=0.0.4";

/// Runs until it is dropped.
pub struct Relay {
    port: u16,
    task: JoinHandle<()>,
}

impl Relay {
    /// Passes requests on to `target`, such as `127.0.0.1:9092`, and changes what they accept.
    ///
    /// # Errors
    /// No port is to be had.
    pub async fn open(target: String) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { port, task: tokio::spawn(serve(listener, target)) })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: String) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, target.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// One request and its answer, which the target ends by closing.
async fn connection(mut client: TcpStream, target: String) -> Result<()> {
    let Some(request) = Request::read(&mut client).await? else { return Ok(()) };
    let mut server = TcpStream::connect(&target).await?;
    let mut head = vec![format!("{} {} HTTP/1.1", request.method, request.target)];
    for (name, value) in &request.headers {
        match name.to_ascii_lowercase().as_str() {
            "accept" | "connection" => {}
            _ => head.push(format!("{name}: {value}")),
        }
    }
    head.push(format!("Accept: {ACCEPT}\r\nConnection: close\r\n\r\n"));
    server.write_all(head.join("\r\n").as_bytes()).await?;
    copy(&mut server, &mut client).await?;
    Ok(())
}
