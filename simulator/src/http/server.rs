//! Accepting connections, one thread each, and stopping again.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{self, AddressFamily, SocketType, bind, socket};
use rustls::ServerConfig;

use super::{Request, Wire};
use crate::lock;

/// What answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// Answers one request on its connection.
    fn answer(&self, request: Request, wire: &mut Wire) -> io::Result<After>;
}

/// What becomes of a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It waits for the next request.
    Keep,
    /// It is cut.
    Cut,
}

/// A server on a loopback port. It can be stopped and started again on the
/// same port; dropping it stops it.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

enum State {
    Accepting(JoinHandle<()>),
    /// A socket that is bound and does not listen: connections are refused,
    /// and nobody else gets the port.
    #[expect(dead_code, reason = "it is held, not used")]
    Stopped(Option<OwnedFd>),
}

struct Shared {
    service: Arc<dyn Service>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    open: Mutex<BTreeMap<u64, TcpStream>>,
    opened: AtomicU64,
    most_open: AtomicUsize,
    stopping: AtomicBool,
    silent: AtomicBool,
}

impl Server {
    /// Listens on `address` (port 0: any free one) and answers from then on.
    pub(crate) fn start(
        address: SocketAddr,
        service: Arc<dyn Service>,
        tls: Option<Arc<ServerConfig>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let server = Self {
            address: listener.local_addr()?,
            shared: Arc::new(Shared {
                service,
                tls: Mutex::new(tls),
                open: Mutex::default(),
                opened: AtomicU64::new(0),
                most_open: AtomicUsize::new(0),
                stopping: AtomicBool::new(false),
                silent: AtomicBool::new(false),
            }),
            state: Mutex::new(State::Stopped(None)),
        };
        *lock(&server.state) = server.accept_on(listener)?;
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection and refuses new ones. Stopping twice is no error.
    pub(crate) fn stop(&self) {
        let mut state = lock(&self.state);
        let State::Accepting(thread) = std::mem::replace(&mut *state, State::Stopped(None)) else {
            return;
        };
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that waits in accept, and is not served.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        // It only fails by a panic, and that has been printed.
        let _ = thread.join();
        // Without it the port is merely likely to be free later.
        *state = State::Stopped(reserve(self.address).ok());
        self.cut_connections();
    }

    /// Listens again on the port it had. Starting twice is no error.
    pub(crate) fn start_again(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        if matches!(*state, State::Accepting(_)) {
            return Ok(());
        }
        // Both may be bound to it, as long as only one listens.
        let listener = TcpListener::bind(self.address)?;
        self.shared.stopping.store(false, Ordering::SeqCst);
        *state = self.accept_on(listener)?;
        Ok(())
    }

    /// Presents another certificate to new connections.
    pub(crate) fn present(&self, tls: Arc<ServerConfig>) {
        *lock(&self.shared.tls) = Some(tls);
    }

    /// Cuts the connections that are open now; new ones are welcome.
    pub(crate) fn cut_connections(&self) {
        for socket in lock(&self.shared.open).values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Whether connections are accepted and then left without a single byte.
    pub(crate) fn be_silent(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::SeqCst);
    }

    pub(crate) fn open_connections(&self) -> usize {
        lock(&self.shared.open).len()
    }

    pub(crate) fn most_connections(&self) -> usize {
        self.shared.most_open.load(Ordering::SeqCst)
    }

    /// How many connections were ever accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.opened.load(Ordering::SeqCst)
    }

    fn accept_on(&self, listener: TcpListener) -> io::Result<State> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new()
            .name("accept".to_owned())
            .spawn(move || shared.accept(&listener))?;
        Ok(State::Accepting(thread))
    }
}

fn reserve(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    Ok(socket)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for socket in listener.incoming() {
            if self.stopping.load(Ordering::SeqCst) {
                // A child process that is being started still has a copy of the listener until it executes its
                // program: to close ours would not end it.
                let _ = net::shutdown(listener, net::Shutdown::Both);
                return;
            }
            let Ok(socket) = socket else { continue };
            let Ok(registered) = socket.try_clone() else { continue };
            let number = self.opened.fetch_add(1, Ordering::SeqCst) + 1;
            {
                let mut open = lock(&self.open);
                open.insert(number, registered);
                self.most_open.fetch_max(open.len(), Ordering::SeqCst);
            }
            let shared = Arc::clone(&self);
            let spawned =
                thread::Builder::new().name(format!("connection {number}")).spawn(move || {
                    // A client that leaves in the middle is everyday; what it
                    // had asked is in the journal.
                    let _ = shared.converse(number, socket);
                    lock(&shared.open).remove(&number);
                });
            if spawned.is_err() {
                lock(&self.open).remove(&number);
            }
        }
    }

    fn converse(&self, number: u64, socket: TcpStream) -> io::Result<()> {
        if self.silent.load(Ordering::SeqCst) {
            Wire::new(number, socket, None)?.hang();
            return Ok(());
        }
        let tls = lock(&self.tls).clone();
        let mut wire = Wire::new(number, socket, tls.as_ref())?;
        let mut pending = Vec::new();
        while let Some(request) = Request::read(&mut wire, &mut pending)? {
            let asked_to_close =
                request.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
            match self.service.answer(request, &mut wire)? {
                After::Keep if asked_to_close => {
                    wire.part();
                    break;
                }
                After::Keep => {}
                After::Cut => {
                    wire.cut();
                    break;
                }
            }
        }
        Ok(())
    }
}
