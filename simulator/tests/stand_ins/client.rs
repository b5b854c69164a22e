//! A client as plain as can be: one connection for each request, read to its
//! end. What a server does wrong on purpose is seen here as it is.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use simulator::ApiServer;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its head had promised.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// How long a client waits for the next byte.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// Long enough for a busy machine.
    Great,
    /// For a server that is known to say nothing.
    Little,
}

/// Sends one request over plain HTTP.
pub(crate) fn ask(address: SocketAddr, request: &str, headers: &str) -> Result<Answer> {
    ask_with(Patience::Great, address, request, headers)
}

/// Sends one request over plain HTTP, and waits so long.
pub(crate) fn ask_with(
    patience: Patience,
    address: SocketAddr,
    request: &str,
    headers: &str,
) -> Result<Answer> {
    let mut socket = connect(address, patience)?;
    exchange(&mut socket, request, headers, "")
}

/// A client of the API server with the token of its file.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    address: SocketAddr,
    token: String,
    patience: Patience,
}

impl Client {
    pub(crate) fn of(cluster: &ApiServer) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(cluster.authority_file())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let token = std::fs::read_to_string(cluster.token_file())?;
        Ok(Self {
            config: Arc::new(config),
            address: cluster.address(),
            token,
            patience: Patience::Great,
        })
    }

    pub(crate) fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn get(&self, target: &str) -> Result<Answer> {
        self.ask("GET", target, "application/json", "")
    }

    pub(crate) fn evict(&self, namespace: &str, name: &str, options: &str) -> Result<Answer> {
        let body = format!(
            r#"{{"apiVersion":"policy/v1","kind":"Eviction","metadata":{{"name":"{name}","namespace":"{namespace}"}},"deleteOptions":{options}}}"#
        );
        let target = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        self.ask("POST", &target, "application/json", &body)
    }

    pub(crate) fn ask(&self, method: &str, target: &str, kind: &str, body: &str) -> Result<Answer> {
        let name = ServerName::from(self.address.ip());
        let session = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut stream = StreamOwned::new(session, connect(self.address, self.patience)?);
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: {kind}\r\n", self.token);
        exchange(&mut stream, &format!("{method} {target}"), &headers, body)
    }
}

fn connect(address: SocketAddr, patience: Patience) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(match patience {
        Patience::Great => Duration::from_secs(30),
        Patience::Little => Duration::from_millis(300),
    }))?;
    Ok(socket)
}

fn exchange(
    stream: &mut (impl Read + Write),
    request: &str,
    headers: &str,
    body: &str,
) -> Result<Answer> {
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: here\r\nUser-Agent: stand-ins-test/1.0\r\n\
         Connection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )?;
    stream.flush()?;
    // A time-out, or a cut without a farewell, ends the reading as well.
    let mut bytes = Vec::new();
    let mut piece = [0; 16384];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        bytes.extend_from_slice(&piece[..count]);
        if bytes.len() > 6 * 1024 * 1024 {
            break;
        }
    }
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").ok_or("no head came")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let raw = &bytes[end + 4..];
    let code = head.split(' ').nth(1).ok_or("no code")?.parse()?;
    let promised = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let (body, complete) = match promised {
        Some(length) => (raw.to_vec(), raw.len() == length.parse::<usize>()?),
        None => unchunk(raw),
    };
    Ok(Answer { code, head, body, complete })
}

fn unchunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(raw) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        raw = &raw[line..];
        if size == 0 {
            return (body, true);
        }
        body.extend(&raw[..size.min(raw.len())]);
        let Some(rest) = raw.get(size + 2..) else { break };
        raw = rest;
    }
    (body, false)
}
