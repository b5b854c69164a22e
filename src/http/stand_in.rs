//! Stand-in servers for the tests: plain or with real TLS on loopback, and word for word what the
//! test says.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::clock::Clock;
use crate::http::connection::{Connection, H1};
use crate::http::dial::{self, Stream, Tls};
use crate::http::error::{Party, Role};
use crate::http::tls;

/// Long enough for any machine; a test that waits for it has failed.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// Answers that are not HTTP, each with the status that was read before that showed.
pub(crate) const NOT_HTTP: [(&[u8], Option<u16>); 7] = [
    (b"<html>hello</html>\r\n\r\n", None),
    (b"HTTP/2 200 OK\r\n\r\n", None),
    (b"HTTP/1.1 099 Odd\r\n\r\n", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", None),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", Some(200)),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", Some(200)),
];

/// Short, where a time-out is what is tested.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// Listens on a port of 127.0.0.1, with TLS if it has an identity. Serves each connection on a
/// thread of its own, by what `serve` does with it; the first is number 0.
pub(crate) fn listen(
    identity: Option<&Identity>,
    serve: impl Fn(usize, Peer) + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = identity.map(|identity| Arc::clone(&identity.config));
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, socket) in listener.incoming().enumerate() {
            let serve = Arc::clone(&serve);
            let socket = socket.unwrap();
            let peer = match &config {
                None => Peer::Plain(socket),
                Some(config) => {
                    let tls = ServerConnection::new(Arc::clone(config)).unwrap();
                    Peer::Tls(Box::new(StreamOwned::new(tls, socket)))
                }
            };
            thread::spawn(move || serve(number, peer));
        }
    });
    port
}

/// A connection to such a server.
pub(crate) fn connect(
    identity: Option<&Identity>,
    serve: impl Fn(Peer) + Send + Sync + 'static,
) -> Connection {
    let clock = Clock::start();
    let until = clock.now() + LONG;
    let server =
        SocketAddr::from((Ipv4Addr::LOCALHOST, listen(identity, move |_, peer| serve(peer))));
    let party = Party { role: Role::Webhook, address: server.into() };
    let socket = dial::connect(&party, &[server], until, clock).unwrap();
    let stream = match identity {
        None => Stream { socket, tls: None },
        Some(identity) => {
            let roots = tls::roots_of(identity.authority.as_bytes()).unwrap();
            let config = tls::client_config(roots, None, &[H1]).unwrap();
            let tls = Tls { config, roots: "the stand-in's CA".to_owned() };
            dial::secure(socket, &party, &tls, until, clock).unwrap()
        }
    };
    Connection::new(stream, &party, clock.now()).unwrap()
}

/// A port on which nobody listens.
pub(crate) fn deaf_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The server's end of a connection.
pub(crate) enum Peer {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Peer {
    /// The next request, head and body; `None` at the end of the connection.
    pub(crate) fn hears(&mut self) -> Option<String> {
        let mut request = Vec::new();
        loop {
            let mut byte = [0];
            let read = match self {
                Self::Plain(socket) => socket.read(&mut byte),
                Self::Tls(stream) => stream.read(&mut byte),
            };
            if !matches!(read, Ok(1)) {
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
        match self {
            Self::Plain(socket) => socket.write_all(bytes).is_ok(),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()).is_ok(),
        }
    }

    /// Ends the connection in good order: with TLS, by its goodbye.
    pub(crate) fn leaves(mut self) {
        if let Self::Tls(stream) = &mut self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        self.hangs_up();
    }

    /// Says nothing more, and leaves when the client does. (Who leaves with something unread resets the
    /// connection, and an answer that is on its way is lost.)
    pub(crate) fn hangs_up(mut self) {
        if let Self::Tls(stream) = &mut self {
            let _ = stream.sock.shutdown(Shutdown::Write);
            let _ = io::copy(&mut stream.sock, &mut io::sink());
        }
    }

    /// Ends the connection without a word.
    pub(crate) fn drops(self) {
        drop(self);
    }

    /// What comes next is no TLS.
    pub(crate) fn breaks(self) {
        if let Self::Tls(mut stream) = self {
            let _ = stream.sock.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = io::copy(&mut stream.sock, &mut io::sink());
        }
    }

    /// A message of TLS 1.3 itself that comes when it likes, as a session ticket does.
    pub(crate) fn refreshes_its_keys(&mut self) {
        let Self::Tls(stream) = self else { panic!("no TLS") };
        stream.conn.refresh_traffic_keys().unwrap();
        stream.flush().unwrap();
    }

    /// Waits until the client ends the connection.
    pub(crate) fn waits_for_the_end(mut self) {
        while self.hears().is_some() {}
    }

    /// Passes on what comes from either side, to and from a server on this machine.
    pub(crate) fn tunnels_to(self, port: u16) {
        let Self::Plain(client) = self else { panic!("no plain connection") };
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| pass_on(&client, &server));
            pass_on(&server, &client);
        });
    }
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// A folder for the files of one test; gone with this.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("k8s-spot-handler-test-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.file(name);
        File::create(&file).unwrap().write_all(content).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An authority and the server's certificate.
pub(crate) struct Identity {
    config: Arc<ServerConfig>,
    pub(crate) authority: String,
}

impl Identity {
    /// `authority`: the CA that has signed the certificate in `config`, in PEM.
    pub(crate) fn new(config: ServerConfig, authority: String) -> Self {
        Self { config: Arc::new(config), authority }
    }

    /// The same, which agrees on one of these protocols over TLS.
    pub(crate) fn speaking(&self, protocols: &[&[u8]]) -> Self {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Self::new(config, self.authority.clone())
    }

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
        Self::new(config, authority)
    }
}
