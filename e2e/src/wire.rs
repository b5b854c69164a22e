//! HTTP/1.1 as far as the tests' own servers and clients speak it: no request before the last is
//! answered, no body without a length.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// `/latest/meta-data/?x=1`; of a proxy's client the whole URL.
    pub target: String,
    /// In their order, names as they were sent.
    pub headers: Vec<(String, String)>,
    /// What is not UTF-8 in it is replaced.
    pub body: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Request {
    /// Reads the next one; `None`: there is none, or it breaks off.
    ///
    /// # Errors
    /// It is no HTTP, has a body of unstated length, or another follows at once.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>> {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if from.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let text = String::from_utf8_lossy(bytes.get(..head).unwrap_or_default()).into_owned();
        let mut request = Self::parse(&text)?;
        ensure!(request.header("transfer-encoding").is_none(), "a body of unstated length");
        let length = request.header("content-length").map(str::parse::<usize>).transpose()?;
        let whole = head + length.unwrap_or(0);
        while bytes.len() < whole {
            if from.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        }
        if bytes.len() > whole {
            bail!("more than one request at once");
        }
        request.body = String::from_utf8_lossy(bytes.get(head..).unwrap_or_default()).into_owned();
        request.bytes = bytes;
        Ok(Some(request))
    }

    /// The value of a header, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The head alone.
    fn parse(head: &str) -> Result<Self> {
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let (method, target) = words.next().zip(words.next()).context("no request line")?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        let headers = headers.collect();
        Ok(Self { method, target, headers, body: String::new(), bytes: Vec::new() })
    }
}

/// Asks a server on loopback for `target` and gives the body of its answer.
///
/// # Errors
/// There is no answer, or its status is not 200; the message holds what it said.
pub async fn get(port: u16, target: &str) -> Result<String> {
    exchange(port, &format!("GET {target}"), "").await
}

/// Posts that JSON to a server on loopback and gives the body of its answer.
///
/// # Errors
/// There is no answer, or its status is not 200; the message holds what it said.
pub async fn post(port: u16, target: &str, json: &str) -> Result<String> {
    exchange(port, &format!("POST {target}"), json).await
}

async fn exchange(port: u16, target: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // 1.0, so that the answer is in one piece and the server closes after it.
    let mut head = vec![format!("{target} HTTP/1.0"), format!("Host: 127.0.0.1:{port}")];
    if !body.is_empty() {
        head.push("Content-Type: application/json".to_owned());
        head.push(format!("Content-Length: {}", body.len()));
    }
    let request = format!("{}\r\n\r\n{body}", head.join("\r\n"));
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
    let status = head.split_whitespace().nth(1);
    ensure!(status == Some("200"), "{target}: {}: {body}", head.lines().next().unwrap_or_default());
    Ok(body.to_owned())
}

/// A text as one value in a query: all but letters, digits and `-._~` is escaped.
#[must_use]
pub fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
