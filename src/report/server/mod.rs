//! The HTTP server for metrics and probes: one thread that polls all of its sockets, so that a slow or
//! silent client delays no other.
//!
//! | File | What it is | I/O |
//! |---|---|---|
//! | [`endpoints`] | which there are, and what they return | none |
//! | `message` | requests and responses as bytes | none |
//! | `connection` | the connections of clients: how many, how long, how far each is | non-blocking sockets |

mod connection;
pub mod endpoints;
mod message;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::clock::Clock;
use crate::moment::Moment;
use crate::report::FactSink;
use crate::report::fact::Fact;
use crate::report::server::connection::{ClientConnections, Interest};
use crate::report::server::endpoints::{Endpoints, PageContent};
use crate::report::server::message::{PageRequest, SERVER};

/// Sockets that listen, and the endpoints of each. Nothing is accepted yet.
#[derive(Debug)]
pub struct PageServer {
    listeners: Vec<(TcpListener, Endpoints)>,
    missing: Vec<BindError>,
}

/// Deep enough in a debug build; pages that are not touched take no memory. Released, 16 KiB are.
const STACK: usize = 64 * 1024;

impl PageServer {
    /// Listens on each of these addresses; on one that is given twice, for both. `[::]` is every address
    /// of the machine, IPv4 included, and only IPv4 where it has no IPv6. An address that cannot be bound
    /// is [`missing`](Self::missing), and tried again when it serves.
    pub fn bind(addresses: &[(SocketAddr, Endpoints)]) -> Self {
        let mut wanted: Vec<(SocketAddr, Endpoints)> = Vec::new();
        for (address, endpoints) in addresses {
            match wanted.iter_mut().find(|(known, _)| known == address) {
                Some((_, known)) => known.add(endpoints),
                None => wanted.push((*address, endpoints.clone())),
            }
        }
        let mut server = Self { listeners: Vec::new(), missing: Vec::new() };
        for (address, endpoints) in wanted {
            match listen(address) {
                Ok(listener) => server.listeners.push((listener, endpoints)),
                Err(error) => server.missing.push(BindError { address, endpoints, error }),
            }
        }
        server
    }

    /// The addresses that could not be bound.
    pub fn missing(&self) -> &[BindError] {
        &self.missing
    }

    /// Where it listens, and for what, in the order given.
    pub fn addresses(&self) -> Vec<(SocketAddr, String)> {
        let listeners = self.listeners.iter();
        let known = listeners.filter_map(|(listener, endpoints)| {
            Some((listener.local_addr().ok()?, endpoints.to_string()))
        });
        known.collect()
    }

    /// Serves `pages` in a new thread for as long as the process lives. Reports where, and which addresses
    /// cannot be bound; those are tried again, with pauses of up to a minute.
    ///
    /// # Errors
    /// The system has no thread to spare.
    pub fn serve(
        self,
        clock: Clock,
        pages: impl PageContent + Send + 'static,
        tell: FactSink,
    ) -> io::Result<()> {
        self.serve_each(connection::TIMEOUT, clock, pages, tell)
    }

    /// With this time-out for each client.
    fn serve_each(
        self,
        timeout: Duration,
        clock: Clock,
        pages: impl PageContent + Send + 'static,
        tell: FactSink,
    ) -> io::Result<()> {
        let listens = self.addresses().into_iter();
        let listens = listens.map(|(address, pages)| Fact::Listens { address, pages });
        let missing = self.missing.iter().map(|missing| Fact::NotListening {
            pages: missing.endpoints.to_string(),
            why: missing.to_string(),
        });
        let facts: Vec<Fact> = listens.chain(missing).collect();
        let listeners = self.listeners.into_iter().map(|(it, endpoints)| (it, Arc::new(endpoints)));
        let serving = Serving {
            listeners: listeners.collect(),
            connections: ClientConnections::new(timeout),
            closed_until: Moment::START,
            missing: self.missing.into_iter().map(|it| (it.address, it.endpoints)).collect(),
            next_try: clock.now() + FIRST_PAUSE,
            pause: FIRST_PAUSE,
            clock,
            pages,
            tell,
        };
        thread::Builder::new()
            .name("http".to_owned())
            .stack_size(STACK)
            .spawn(move || serving.run(facts))
            .map(drop)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = match TcpListener::bind(address) {
        Err(error) if is_without_ipv6(&error) && address.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn is_without_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    endpoints: Endpoints,
    error: io::Error,
}

impl std::error::Error for BindError {}

impl BindError {
    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether another process of this program listens on the port.
    pub fn is_of_this_program(&self) -> bool {
        self.error.kind() == io::ErrorKind::AddrInUse && self.answers().unwrap_or(false)
    }

    fn answers(&self) -> io::Result<bool> {
        let port = self.address.port();
        let address = match self.address.ip() {
            ip if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            ip => SocketAddr::new(ip, port),
        };
        let mut peer = TcpStream::connect_timeout(&address, GLANCE)?;
        peer.set_read_timeout(Some(GLANCE))?;
        peer.set_write_timeout(Some(GLANCE))?;
        peer.write_all(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        // Its heads fit into one packet.
        let mut head = [0; 512];
        let length = peer.read(&mut head)?;
        let head = String::from_utf8_lossy(head.get(..length).unwrap_or_default());
        Ok(head.contains(SERVER))
    }
}

/// How long the process that has the port may take to answer.
const GLANCE: Duration = Duration::from_secs(1);

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, endpoints, error } = self;
        write!(f, "cannot listen on {address} for {endpoints}: {error}. ")?;
        match error.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "Another process has port {} of this machine; on the host's network that may be any \
                 process of the node. Set {} to a port that is free",
                address.port(),
                endpoints.port_settings()
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "Ports below 1024 are kept for root. Set {} to a higher one",
                endpoints.port_settings()
            ),
            _ => write!(f, "Does the machine have this address?"),
        }
    }
}

/// What the thread works with.
struct Serving<P> {
    listeners: Vec<(TcpListener, Arc<Endpoints>)>,
    connections: ClientConnections<TcpStream>,
    /// Until then no connection is accepted.
    closed_until: Moment,
    /// Addresses that could not be bound so far.
    missing: Vec<(SocketAddr, Endpoints)>,
    /// When they are tried again, and how long it is then to the next time.
    next_try: Moment,
    pause: Duration,
    clock: Clock,
    pages: P,
    tell: FactSink,
}

/// From one attempt to bind an address to the next: twice as long each time, up to a minute.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long no connection is accepted after the system has run out of descriptors or memory. Until there
/// are some, `accept` would fail again at once.
const PAUSE: Duration = Duration::from_secs(1);

impl<P: PageContent> Serving<P> {
    /// `facts`: to be reported first.
    fn run(mut self, facts: Vec<Fact>) {
        for fact in facts {
            (self.tell)(fact);
        }
        loop {
            let (listeners, connections) = self.wait();
            // Existing connections first: a new one may take their place.
            self.answer(&connections);
            self.connections.expire(self.clock.now());
            self.accept(&listeners);
            self.try_again();
        }
    }

    /// Tries again to bind what could not be bound.
    fn try_again(&mut self) {
        let now = self.clock.now();
        if self.missing.is_empty() || now < self.next_try {
            return;
        }
        for (address, endpoints) in std::mem::take(&mut self.missing) {
            match listen(address) {
                Ok(listener) => {
                    let pages = endpoints.to_string();
                    let address = listener.local_addr().unwrap_or(address);
                    self.listeners.push((listener, Arc::new(endpoints)));
                    (self.tell)(Fact::ListensAgain { address, pages });
                }
                Err(_) => self.missing.push((address, endpoints)),
            }
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next_try = now + self.pause;
    }

    /// Waits for the next event; without a time-out, if nothing is under way. Returns which listeners are ready
    /// (none while no connection is accepted), and which connections, in order.
    fn wait(&self) -> (Vec<bool>, Vec<bool>) {
        let now = self.clock.now();
        let is_open = self.closed_until <= now;
        let reopens = (!is_open).then_some(self.closed_until);
        let tries = (!self.missing.is_empty()).then_some(self.next_try);
        let wake = [self.connections.next_end(), reopens, tries].into_iter().flatten().min();
        let left = wake.and_then(|wake| Timespec::try_from(now.until(wake)).ok());

        let open = self.listeners.iter().filter(|_| is_open);
        let mut sockets: Vec<PollFd<'_>> =
            open.map(|(listener, _)| PollFd::new(listener, PollFlags::IN)).collect();
        let open = sockets.len();
        sockets.extend(self.connections.iter().map(|connection| {
            let events = match connection.interest() {
                Interest::Read => PollFlags::IN,
                Interest::Write => PollFlags::OUT,
            };
            PollFd::new(connection.socket(), events)
        }));
        match poll(&mut sockets, left.as_ref()) {
            Ok(_) => {
                let mut listeners: Vec<bool> =
                    sockets.iter().map(|socket| !socket.revents().is_empty()).collect();
                let connections = listeners.split_off(open);
                return (listeners, connections);
            }
            Err(Errno::INTR) => {}
            // No memory. It would fail again at once.
            Err(_) => self.clock.sleep_until(now + PAUSE),
        }
        (Vec::new(), Vec::new())
    }

    /// Advances the connections that are ready.
    fn answer(&mut self, ready: &[bool]) {
        let Self { connections, pages, clock, .. } = self;
        let answer = |endpoints: &Endpoints, asked: &PageRequest| {
            endpoints.answer(asked, pages, clock.now())
        };
        let mut ready = ready.iter();
        connections.retain(|connection| {
            let can_go_on = ready.next().is_some_and(|ready| *ready);
            !can_go_on || connection.advance(&answer).is_continue()
        });
    }

    /// Accepts one connection at each listener: others stay in the backlog until the existing ones have
    /// been advanced.
    fn accept(&mut self, ready: &[bool]) {
        for ((listener, endpoints), _) in
            self.listeners.iter().zip(ready).filter(|(_, ready)| **ready)
        {
            let now = self.clock.now();
            let accepted = listener.accept();
            match accepted.and_then(|(socket, _)| socket.set_nonblocking(true).map(|()| socket)) {
                Ok(socket) => self.connections.admit(socket, Arc::clone(endpoints), now),
                Err(error) if passes(&error) => {}
                Err(_) => self.closed_until = now + PAUSE,
            }
        }
    }
}

/// Whether the error is only about this one connection.
fn passes(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
    )
}
