//! The listener for metrics and probes: one thread, which waits for all its sockets at once, so that
//! a client that is slow or says nothing holds up nobody.
//!
//! | File | What it is | I/O |
//! |---|---|---|
//! | [`endpoints`] | what is answered where | none |
//! | [`pages`] | what is shown there | none |
//! | `request` | bytes → what is asked | none |
//! | `response` | what is answered → bytes | none |
//! | `connection` | one client, from its first byte to its last | a socket, never waited for |
//! | `connections` | all of them: how many, how long | none |
//! | `serving` | the thread | poll(2) |

mod connection;
mod connections;
pub mod endpoints;
pub mod pages;
mod request;
mod response;
mod serving;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use crate::clock::Clock;
use crate::report::Teller;
use crate::report::fact::Fact;
use crate::report::server::endpoints::Endpoints;
use crate::report::server::pages::Pages;
use crate::report::server::response::SERVER;
use crate::report::server::serving::Serving;

/// Ports that are listened on, and what is answered there. Nobody is answered yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(TcpListener, Endpoints)>,
    missing: Vec<BindError>,
}

/// Deep enough in a debug build; pages that are not touched take no memory. Released, 16 KiB are.
const STACK: usize = 64 * 1024;

impl Server {
    /// Listens on each of these addresses. Who is named twice listens once, for both. `[::]` is every
    /// address of the machine, those of IPv4 included, and only those where it has no IPv6. An address
    /// that cannot be had is [`missing`](Self::missing), and tried again when it serves.
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

    /// Where it does not listen, though it was to.
    pub fn missing(&self) -> &[BindError] {
        &self.missing
    }

    /// Where it listens, and what is answered there, in the order in which that was asked for.
    pub fn addresses(&self) -> Vec<(SocketAddr, String)> {
        let listeners = self.listeners.iter();
        let known = listeners.filter_map(|(listener, endpoints)| {
            Some((listener.local_addr().ok()?, endpoints.to_string()))
        });
        known.collect()
    }

    /// Answers from now on with `pages`, in a new thread, for ever. Tells where, and which addresses
    /// cannot be had; those are tried again, each minute at last.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn serve(
        self,
        clock: Clock,
        pages: impl Pages + Send + 'static,
        tell: Teller,
    ) -> io::Result<()> {
        self.serve_each(connections::PATIENCE, clock, pages, tell)
    }

    /// Each client has so long.
    fn serve_each(
        self,
        patience: Duration,
        clock: Clock,
        pages: impl Pages + Send + 'static,
        tell: Teller,
    ) -> io::Result<()> {
        let listens = self.addresses().into_iter();
        let listens = listens.map(|(address, pages)| Fact::Listens { address, pages });
        let missing = self.missing.iter().map(|missing| Fact::NotListening {
            pages: missing.endpoints.to_string(),
            why: missing.to_string(),
        });
        let facts: Vec<Fact> = listens.chain(missing).collect();
        let missing = self.missing.into_iter().map(|it| (it.address, it.endpoints)).collect();
        let serving = Serving::new(self.listeners, missing, clock, pages, patience, tell);
        thread::Builder::new()
            .name("http".to_owned())
            .stack_size(STACK)
            .spawn(move || serving.for_ever(facts))
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
    /// Where it was to listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a process of this program has the port, and answers there.
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
        // One of its heads comes whole.
        let mut head = [0; 512];
        let length = peer.read(&mut head)?;
        let head = String::from_utf8_lossy(head.get(..length).unwrap_or_default());
        Ok(head.contains(SERVER))
    }
}

/// How long whoever has a port may take to say who they are.
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
