//! A stand-in API server for the tests: real TLS on loopback, and word for word what the test says.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::clock::Clock;
use crate::http::address::Address;
use crate::kube::access::Access;
use crate::kube::connection::Connection;
use crate::kube::request::{Body, Method, Request};
use crate::kube::server::Server;
use crate::kube::workers::Workers;

/// Long enough for any machine; a test that waits for it has failed.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// Short, where a time-out is what is tested.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// A listening server, and the files by which a client is let in.
pub(crate) struct StandIn {
    port: u16,
    files: Files,
}

impl StandIn {
    /// Serves each connection on a thread of its own, by what `serve` does with it; the first is
    /// number 0.
    pub(crate) fn start(serve: impl Fn(usize, Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let identity = Identity::shared();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for (number, socket) in listener.incoming().enumerate() {
                let (serve, config) = (Arc::clone(&serve), Arc::clone(&identity.config));
                let tls = ServerConnection::new(config).unwrap();
                let peer = Peer { stream: StreamOwned::new(tls, socket.unwrap()) };
                thread::spawn(move || serve(number, peer));
            }
        });
        let files = Files::new(&identity.authority, "a-token");
        Self { port, files }
    }

    /// Answers every request of every connection alike.
    pub(crate) fn answering(answer: &'static [u8]) -> Self {
        Self::start(move |_, mut peer| {
            while peer.hears().is_some() {
                peer.says(answer);
            }
        })
    }

    /// Answers the first request of every connection, and then ends it in good order.
    pub(crate) fn answering_once(answer: &'static [u8]) -> Self {
        Self::start(move |_, mut peer| {
            peer.hears();
            peer.says(answer);
            peer.leaves();
        })
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    pub(crate) fn server(&self) -> Arc<Server> {
        self.server_named("127.0.0.1")
    }

    pub(crate) fn server_named(&self, host: &str) -> Arc<Server> {
        let address = Address::parse(host, self.port).unwrap();
        Arc::new(Server::new(address, self.files.token(), self.files.authority()))
    }

    pub(crate) fn access(&self) -> Arc<Access> {
        Arc::new(Access::new(self.server(), Clock::start()))
    }

    pub(super) fn connection(&self) -> Connection {
        Connection::open(&self.access(), LONG).unwrap()
    }

    pub(crate) fn workers(&self, most: usize) -> Workers {
        Workers::new(self.server(), Clock::start(), NonZeroUsize::new(most).unwrap())
    }
}

/// The server's end of a connection.
pub(crate) struct Peer {
    stream: StreamOwned<ServerConnection, TcpStream>,
}

impl Peer {
    /// The next request, head and body; `None` at the end of the connection.
    pub(crate) fn hears(&mut self) -> Option<String> {
        let mut request = Vec::new();
        loop {
            let mut byte = [0];
            if !matches!(self.stream.read(&mut byte), Ok(1)) {
                return None;
            }
            request.extend(byte);
            let text = String::from_utf8_lossy(&request);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() == length {
                return Some(text.into_owned());
            }
        }
    }

    /// Writes bytes as they are. That the client has gone is no concern of the server.
    pub(crate) fn says(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Ends the connection with TLS's goodbye.
    pub(crate) fn leaves(mut self) {
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
    }

    /// Ends the connection without a word.
    pub(crate) fn drops(self) {
        drop(self);
    }

    /// Waits until the client ends the connection.
    pub(crate) fn waits_for_the_end(mut self) {
        while self.hears().is_some() {}
    }
}

/// Files as the kubelet puts them into a pod; gone with this.
pub(crate) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(crate) fn new(authority: &str, token: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("k8s-spot-handler-kube-{}-{number}", std::process::id());
        let files = Self { folder: std::env::temp_dir().join(name) };
        std::fs::create_dir(&files.folder).unwrap();
        write(&files.authority(), authority.as_bytes());
        files.put_token(token.as_bytes());
        files
    }

    pub(crate) fn put_token(&self, content: &[u8]) {
        write(&self.token(), content);
    }

    pub(crate) fn put_authority(&self, content: &[u8]) {
        write(&self.authority(), content);
    }

    pub(crate) fn remove_token(&self) {
        std::fs::remove_file(self.token()).unwrap();
    }

    pub(crate) fn token(&self) -> PathBuf {
        self.folder.join("token")
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn write(file: &Path, content: &[u8]) {
    File::create(file).unwrap().write_all(content).unwrap();
}

/// An authority and the server's certificate.
pub(crate) struct Identity {
    config: Arc<ServerConfig>,
    pub(crate) authority: String,
}

impl Identity {
    /// The one that the stand-ins share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Identity> = OnceLock::new();
        SHARED.get_or_init(|| Self::for_names(&["127.0.0.1", "localhost"]))
    }

    pub(crate) fn for_names(names: &[&str]) -> Self {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root_key = KeyPair::generate().unwrap();
        let authority = root.self_signed(&root_key).unwrap().pem();
        let issuer = Issuer::new(root, root_key);
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let leaf = CertificateParams::new(names).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        Self { config: Arc::new(config), authority }
    }
}

/// A port on which nobody listens.
pub(crate) fn deaf_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

pub(crate) fn get(path: &str) -> Request {
    let path = path.to_owned();
    let limit = 64 * 1024;
    Request { method: Method::Get, path, body: None, answer_limit: limit, answer_kept: limit }
}

pub(crate) fn delete(path: &str, text: &str) -> Request {
    let body = Body { content_type: "application/json", text: text.to_owned() };
    Request { method: Method::Delete, body: Some(body), ..get(path) }
}
