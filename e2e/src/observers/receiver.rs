//! The receiver of a webhook, be it for messages or of the API server's admission: keeps what it is
//! sent, and answers as it is told.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, bail};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::cluster::{GLANCE, Pki};
use crate::wire::Request;
use crate::{lock, tls};

/// An HTTP or HTTPS server on loopback. Runs until it is dropped; its connections end with it.
pub struct Receiver {
    port: u16,
    authority: Option<PathBuf>,
    book: Arc<Mutex<Book>>,
    task: JoinHandle<()>,
}

/// A request that was received whole.
#[derive(Clone, Debug)]
pub struct Received {
    /// When it was there.
    pub at: Timestamp,
    /// What came.
    pub request: Request,
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A response.
    Reply {
        /// Its status.
        status: StatusCode,
        /// Its headers, but for the length.
        headers: Vec<(String, String)>,
        /// Its body.
        body: String,
    },
    /// A refusal of what the API server asks about in an `AdmissionReview`.
    Denial {
        /// The status that the API server is to answer with.
        code: u16,
        /// And the message.
        message: String,
    },
    /// Nothing, until the client has had enough.
    Hang,
    /// The end of the connection.
    Close,
}

struct Book {
    received: Vec<Received>,
    next: VecDeque<Answer>,
    otherwise: Answer,
}

impl Answer {
    /// A response without headers and body.
    ///
    /// # Errors
    /// There is no such status.
    pub fn status(status: u16) -> Result<Self> {
        let status = StatusCode::from_u16(status)?;
        Ok(Self::Reply { status, headers: Vec::new(), body: String::new() })
    }

    /// The same with one header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The same with this body.
    #[must_use]
    pub fn saying(mut self, text: &str) -> Self {
        if let Self::Reply { body, .. } = &mut self {
            text.clone_into(body);
        }
        self
    }
}

impl Receiver {
    /// An HTTP server. It answers 200 until it is told otherwise.
    ///
    /// # Errors
    /// No port is to be had.
    pub async fn plain() -> Result<Self> {
        Self::open(None, None).await
    }

    /// An HTTPS server with a certificate of an authority of its own, whose files go to `folder`.
    ///
    /// # Errors
    /// No port is to be had, or the files cannot be written.
    pub async fn secure(folder: &Path) -> Result<Self> {
        let pki = Pki::create(&folder.join("receiver-pki"), "e2e-receiver-ca")?;
        let acceptor = tls::acceptor(&pki.server("receiver")?, &[])?;
        Self::open(Some(acceptor), Some(pki.authority())).await
    }

    async fn open(acceptor: Option<TlsAcceptor>, authority: Option<PathBuf>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (received, next) = (Vec::new(), VecDeque::new());
        let book = Book { received, next, otherwise: Answer::status(200)? };
        let book = Arc::new(Mutex::new(book));
        let task = tokio::spawn(serve(listener, acceptor, Arc::clone(&book)));
        Ok(Self { port, authority, book, task })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a path that begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    /// The certificate of its authority; an HTTP server has none.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// Answers the next requests with these, in this order.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.book).next.extend(answers);
    }

    /// Answers with this whatever is not answered by [`Receiver::answer_next`].
    pub fn answer_otherwise(&self, answer: Answer) {
        lock(&self.book).otherwise = answer;
    }

    /// What it has received so far.
    #[must_use]
    pub fn all(&self) -> Vec<Received> {
        lock(&self.book).received.clone()
    }

    /// Waits until it has received that many requests in all, and gives what it has.
    ///
    /// # Errors
    /// It has not within `patience`.
    pub async fn received(&self, count: usize, patience: Duration) -> Result<Vec<Received>> {
        let waiting = async {
            while lock(&self.book).received.len() < count {
                sleep(GLANCE).await;
            }
        };
        let waited = timeout(patience, waiting).await;
        let all = self.all();
        if waited.is_err() {
            bail!("{} of {count} requests received within {patience:?}", all.len());
        }
        Ok(all)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, book: Arc<Mutex<Book>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, acceptor.clone(), Arc::clone(&book)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    book: Arc<Mutex<Book>>,
) -> Result<()> {
    match acceptor {
        Some(acceptor) => converse(acceptor.accept(stream).await?, &book).await,
        None => converse(stream, &book).await,
    }
}

/// One client, whose requests come one after the other.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    book: &Mutex<Book>,
) -> Result<()> {
    let mut asked = String::new();
    while let Some(request) = Request::read(&mut stream).await? {
        let last = request.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
        let answer = {
            let mut book = lock(book);
            asked.clone_from(&request.body);
            book.received.push(Received { at: Timestamp::now(), request });
            book.next.pop_front().unwrap_or_else(|| book.otherwise.clone())
        };
        let answer = match answer {
            Answer::Denial { code, message } => denial(&asked, code, &message)?,
            answer => answer,
        };
        match answer {
            Answer::Denial { .. } | Answer::Close => return Ok(()),
            Answer::Reply { status, headers, body } => {
                stream.write_all(response(status, &headers, &body).as_bytes()).await?;
                stream.flush().await?;
                if last {
                    return Ok(());
                }
            }
            Answer::Hang => {
                stream.read_to_end(&mut Vec::new()).await?;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The answer to an `AdmissionReview` that refuses what it asks about.
fn denial(asked: &str, code: u16, message: &str) -> Result<Answer> {
    let review: Value = serde_json::from_str(asked)?;
    let answer = json!({
        "apiVersion": review["apiVersion"], "kind": review["kind"],
        "response": {
            "uid": review["request"]["uid"], "allowed": false,
            "status": {"code": code, "message": message},
        },
    });
    Ok(Answer::status(200)?.with("Content-Type", "application/json").saying(&answer.to_string()))
}

fn response(status: StatusCode, headers: &[(String, String)], body: &str) -> String {
    let mut head = vec![format!("HTTP/1.1 {status}"), format!("Content-Length: {}", body.len())];
    head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    format!("{}\r\n\r\n{body}", head.join("\r\n"))
}
