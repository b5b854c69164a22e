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
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use crate::clock::Clock;
use crate::report::server::endpoints::Endpoints;
use crate::report::server::pages::Pages;
use crate::report::server::serving::Serving;

/// Ports that are listened on, and what is answered there. Nobody is answered yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(TcpListener, Endpoints)>,
}

/// Deep enough in a debug build; pages that are not touched take no memory. Released, 16 KiB are.
const STACK: usize = 64 * 1024;

impl Server {
    /// Listens on each of these addresses. Who is named twice listens once, for both. `[::]` is every
    /// address of the machine, those of IPv4 included, and only those where it has no IPv6.
    ///
    /// # Errors
    /// An address cannot be had; then none is.
    pub fn bind(addresses: &[(SocketAddr, Endpoints)]) -> Result<Self, BindError> {
        let mut wanted: Vec<(SocketAddr, Endpoints)> = Vec::new();
        for (address, endpoints) in addresses {
            match wanted.iter_mut().find(|(known, _)| known == address) {
                Some((_, known)) => known.add(endpoints),
                None => wanted.push((*address, endpoints.clone())),
            }
        }
        let bound = wanted.into_iter().map(|(address, endpoints)| match listen(address) {
            Ok(listener) => Ok((listener, endpoints)),
            Err(error) => Err(BindError { address, endpoints, error }),
        });
        Ok(Self { listeners: bound.collect::<Result<_, _>>()? })
    }

    /// Where it listens, and what is answered there, in the order in which that was asked for.
    pub fn addresses(&self) -> Vec<(SocketAddr, String)> {
        let listeners = self.listeners.iter();
        let known = listeners.filter_map(|(listener, endpoints)| {
            Some((listener.local_addr().ok()?, endpoints.to_string()))
        });
        known.collect()
    }

    /// Answers from now on with `pages`, in a new thread, for ever.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn serve(self, clock: Clock, pages: impl Pages + Send + 'static) -> io::Result<()> {
        self.serve_each(connections::PATIENCE, clock, pages)
    }

    /// Each client has so long.
    fn serve_each(
        self,
        patience: Duration,
        clock: Clock,
        pages: impl Pages + Send + 'static,
    ) -> io::Result<()> {
        let serving = Serving::new(self.listeners, clock, pages, patience);
        thread::Builder::new()
            .name("http".to_owned())
            .stack_size(STACK)
            .spawn(move || serving.for_ever())
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

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, endpoints, error } = self;
        write!(f, "cannot listen on {address} for {endpoints}, so nothing was started: {error}. ")?;
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
