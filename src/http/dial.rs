//! A socket to a server.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;

use crate::clock::Clock;
use crate::http::address::Address;
use crate::moment::Moment;

/// How long one address may take to accept a connection: what has no socket yet cannot be ended
/// from outside.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why one address gave no socket.
#[derive(Debug)]
pub enum NotConnected {
    /// Nobody accepted a connection in time: how long was waited.
    NotAccepted(Duration),
    /// What the system said.
    Failed(io::Error),
}

/// Where the server's name leads; a literal address leads to itself. The system's resolver has
/// time-outs of its own.
pub fn resolve(server: &Address) -> io::Result<Vec<SocketAddr>> {
    match server.ip() {
        Some(ip) => Ok(vec![SocketAddr::new(ip, server.port())]),
        None => Ok((server.host().to_str().as_ref(), server.port()).to_socket_addrs()?.collect()),
    }
}

/// The first socket that connects until `until`, and within 2 s of its turn, else what was wrong
/// with the last; `None` without addresses.
pub fn dial(
    addresses: &[SocketAddr],
    until: Moment,
    clock: Clock,
) -> Option<Result<Arc<TcpStream>, NotConnected>> {
    let mut last = None;
    for address in addresses {
        let dialled = dial_one(address, clock.now().until(until).min(PATIENCE));
        if dialled.is_ok() {
            return Some(dialled);
        }
        last = Some(dialled);
    }
    last
}

fn dial_one(address: &SocketAddr, patience: Duration) -> Result<Arc<TcpStream>, NotConnected> {
    if patience.is_zero() {
        return Err(NotConnected::NotAccepted(patience));
    }
    let socket = TcpStream::connect_timeout(address, patience).map_err(|e| match e.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => NotConnected::NotAccepted(patience),
        _ => NotConnected::Failed(e),
    })?;
    // A request goes out in one piece: there is nothing to wait for.
    socket.set_nodelay(true).map_err(NotConnected::Failed)?;
    watch_over(&socket).map_err(|e| NotConnected::Failed(e.into()))?;
    Ok(Arc::new(socket))
}

/// An answer may take a minute, and its server may be gone meanwhile without a word: its host
/// crashed, or a firewall has forgotten the connection. Then the connection breaks after
/// [`LONGEST_SILENCE`] in which the other side has not even acknowledged a probe (tcp(7)).
fn watch_over(socket: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, PROBES_AFTER)?;
    sockopt::set_tcp_keepintvl(socket, BETWEEN_PROBES)?;
    sockopt::set_tcp_user_timeout(socket, LONGEST_SILENCE)
}

/// How long a connection is silent before the first probe.
const PROBES_AFTER: Duration = Duration::from_secs(2);
/// Between two probes.
const BETWEEN_PROBES: Duration = Duration::from_secs(1);
/// How long the other side may acknowledge nothing, in milliseconds.
const LONGEST_SILENCE: u32 = 6000;
