//! A socket to a server.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;

use crate::clock::Clock;
use crate::http::address::Address;
use crate::moment::Moment;

/// The longest that one address may take to accept a connection: what has no socket yet cannot be ended
/// from outside.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why one address gave no socket.
#[derive(Debug)]
pub enum NotConnected {
    /// No time was left to ask anybody.
    NoTime,
    /// Nobody accepted a connection in time: how long was waited for the last address.
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

/// The first socket that connects until `until`, else what was wrong with the last; `None` without
/// addresses. Each address has an equal share of the time that is left at its turn, and at most 2 s: those
/// that swallow what is sent to them do not use up the time of the others.
pub fn dial(
    addresses: &[SocketAddr],
    until: Moment,
    clock: Clock,
) -> Option<Result<Arc<TcpStream>, NotConnected>> {
    in_turn(addresses, || clock.now().until(until), dial_one)
}

/// `left`: the time that is left now.
fn in_turn<T>(
    addresses: &[SocketAddr],
    left: impl Fn() -> Duration,
    mut dial_one: impl FnMut(&SocketAddr, Duration) -> Result<T, NotConnected>,
) -> Option<Result<T, NotConnected>> {
    let mut last = None;
    for (address, turns) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let share = left() / u32::try_from(turns).unwrap_or(u32::MAX);
        // The system takes no time-out of 0. What was wrong before says more.
        if share.is_zero() {
            return last.or(Some(Err(NotConnected::NoTime)));
        }
        let dialled = dial_one(address, share.min(PATIENCE));
        if dialled.is_ok() {
            return Some(dialled);
        }
        last = Some(dialled);
    }
    last
}

fn dial_one(address: &SocketAddr, patience: Duration) -> Result<Arc<TcpStream>, NotConnected> {
    let socket = TcpStream::connect_timeout(address, patience).map_err(|e| match e.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => NotConnected::NotAccepted(patience),
        _ => NotConnected::Failed(e),
    })?;
    // A request goes out in one piece: there is nothing to wait for.
    socket.set_nodelay(true).map_err(NotConnected::Failed)?;
    // A system that has no such options finds out later.
    let _ = watch_over(&socket);
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// For how long each of so many addresses was dialled, in milliseconds, where each takes `takes` of the
    /// time it has, and what came of it.
    fn shares(addresses: u16, left: u64, takes: fn(Duration) -> Duration) -> (Vec<u128>, String) {
        let addresses: Vec<SocketAddr> =
            (1..=addresses).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        let left = Cell::new(Duration::from_millis(left));
        let mut dialled = Vec::new();
        let end: Option<Result<(), _>> = in_turn(
            &addresses,
            || left.get(),
            |_, patience| {
                dialled.push(patience.as_millis());
                left.set(left.get().saturating_sub(takes(patience)));
                Err(NotConnected::NotAccepted(patience))
            },
        );
        (dialled, end.map_or_else(String::new, |end| format!("{:?}", end.unwrap_err())))
    }

    #[test]
    fn who_is_gone_without_a_word_is_found_out() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = dial_one(&address, Duration::from_secs(1)).unwrap();
        assert!(sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), PROBES_AFTER);
        assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), BETWEEN_PROBES);
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), LONGEST_SILENCE);
    }

    #[test]
    fn each_address_has_its_share_of_the_time() {
        let swallowed = |patience| patience;
        assert_eq!(shares(3, 4500, swallowed).0, [1500, 1500, 1500]);
        assert_eq!(shares(5, 5000, swallowed).0, [1000; 5]);
        // At most 2 s each.
        assert_eq!(shares(2, 60_000, swallowed).0, [2000, 2000]);
        // What one does not use is the others'.
        assert_eq!(shares(3, 3000, |_| Duration::ZERO).0, [1000, 1500, 2000]);
        assert_eq!(shares(0, 1000, swallowed), (vec![], String::new()));
    }

    #[test]
    fn nobody_is_dialled_without_time() {
        let swallowed = |patience| patience;
        assert_eq!(shares(2, 0, swallowed), (vec![], "NoTime".to_owned()));
        // One takes longer than it may.
        let late = |_| Duration::from_secs(9);
        assert_eq!(shares(3, 1500, late), (vec![500], "NotAccepted(500ms)".to_owned()));
    }
}
