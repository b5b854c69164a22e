//! Connecting: from a name to a socket over which HTTP can be spoken. Blocks, each step with a deadline; only the
//! system's resolver has time-outs of its own.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use rustls::{ClientConfig, ClientConnection};

use crate::clock::Clock;
use crate::http::error::{Cause, Error, Party};
use crate::http::tls::distrust;
use crate::moment::Moment;

/// How TLS connects.
pub struct Tls {
    /// The CAs that are trusted, and the client certificate.
    pub config: Arc<ClientConfig>,
    /// The CAs in words: "is not signed by …".
    pub roots: String,
}

/// A socket, and TLS over it if that was agreed.
pub struct Stream {
    /// It is connected.
    pub socket: TcpStream,
    /// The handshake is done. On the heap: it is more than a kilobyte.
    pub tls: Option<Box<ClientConnection>>,
}

/// The longest that one address may take to accept a connection, where others can be tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(2);

/// The addresses of a name, or a literal address itself.
///
/// # Errors
/// There is none.
pub fn resolve(party: &Party) -> Result<Vec<SocketAddr>, Error> {
    let address = &party.address;
    let found = match address.ip() {
        Some(ip) => vec![SocketAddr::new(ip, address.port())],
        None => (address.host().to_str().as_ref(), address.port())
            .to_socket_addrs()
            .map_err(|e| Cause::of_system(&e, Cause::Unresolved).with(party))?
            .collect(),
    };
    if found.is_empty() {
        return Err(Cause::Unresolved("it has no address".to_owned()).with(party));
    }
    Ok(found)
}

/// The first socket that connects until `until`. Each address has an equal share of the time that is left at
/// its turn, and at most 2 s: addresses that drop packets do not use up the time of the others.
///
/// # Errors
/// What was wrong with the last of them.
pub fn connect(
    party: &Party,
    addresses: &[SocketAddr],
    until: Moment,
    clock: Clock,
) -> Result<TcpStream, Error> {
    in_turn(addresses, || clock.now().until(until), connect_to).map_err(|cause| cause.with(party))
}

/// `left`: the time that is left now.
fn in_turn<T>(
    addresses: &[SocketAddr],
    left: impl Fn() -> Duration,
    mut connect_to: impl FnMut(&SocketAddr, Duration) -> Result<T, Cause>,
) -> Result<T, Cause> {
    let mut last = None;
    for (address, turns) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let share = left() / u32::try_from(turns).unwrap_or(u32::MAX);
        // The system takes no time-out of 0. What was wrong before says more.
        if share.is_zero() {
            break;
        }
        match connect_to(address, share.min(ADDRESS_TIMEOUT)) {
            Ok(connected) => return Ok(connected),
            Err(cause) => last = Some(cause),
        }
    }
    Err(last.unwrap_or_else(|| Cause::Unreachable("no time was left to connect".to_owned())))
}

fn connect_to(address: &SocketAddr, timeout: Duration) -> Result<TcpStream, Cause> {
    let failed = |e: io::Error| Cause::of_system(&e, Cause::Unreachable);
    let socket = TcpStream::connect_timeout(address, timeout).map_err(|e| match e.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Cause::NotAccepted(timeout),
        _ => failed(e),
    })?;
    // A request goes out in one piece: there is nothing to wait for.
    socket.set_nodelay(true).map_err(failed)?;
    // Without these options a dead peer is found later.
    let _ = watch_over(&socket);
    Ok(socket)
}

/// An answer may take a minute, and its server may be gone meanwhile without a FIN: its host crashed, or a
/// firewall has forgotten the connection. Then the connection breaks after [`LONGEST_SILENCE`] in which the peer has
/// not even acknowledged a probe (tcp(7)).
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
/// How long the peer may acknowledge nothing, in milliseconds.
const LONGEST_SILENCE: u32 = 6000;

/// Shakes hands with `party`, whose certificate must be for its host.
///
/// # Errors
/// It is not trusted, does not speak TLS, or did not do so until `until`.
pub fn secure(
    mut socket: TcpStream,
    party: &Party,
    tls: &Tls,
    until: Moment,
    clock: Clock,
) -> Result<Stream, Error> {
    let since = clock.now();
    let shaken = shake_hands(&mut socket, party, tls, || clock.now().until(until));
    match shaken {
        Ok(connection) => Ok(Stream { socket, tls: Some(connection) }),
        Err(Broken::Io(e)) => Err(Cause::Tls(match e.kind() {
            // Linux reports a socket's time-out as either.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("no answer within {:.1?}", since.until(until))
            }
            _ => e.to_string(),
        })
        .with(party)),
        Err(Broken::Tls(error)) => Err(distrust(error, &tls.roots).with(party)),
    }
}

enum Broken {
    Io(io::Error),
    Tls(rustls::Error),
}

impl From<io::Error> for Broken {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// Our last message stays in the buffer: it goes out with the first request.
fn shake_hands(
    socket: &mut TcpStream,
    party: &Party,
    tls: &Tls,
    left: impl Fn() -> Duration,
) -> Result<Box<ClientConnection>, Broken> {
    let host = party.address.host().clone();
    let mut tls = ClientConnection::new(Arc::clone(&tls.config), host).map_err(Broken::Tls)?;
    while tls.is_handshaking() {
        let timeout = match left() {
            Duration::ZERO => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            left => Some(left),
        };
        socket.set_write_timeout(timeout)?;
        socket.set_read_timeout(timeout)?;
        while tls.wants_write() {
            tls.write_tls(socket)?;
        }
        match tls.read_tls(socket) {
            Ok(0) => {
                return Err(io::Error::other("the connection was closed in the handshake").into());
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => _ = read?,
        }
        if let Err(error) = tls.process_new_packets() {
            // Tells the peer why; whether that arrives does not matter.
            let _ = tls.write_tls(socket);
            return Err(Broken::Tls(error));
        }
    }
    Ok(Box::new(tls))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// For how long each of so many addresses was dialled, in milliseconds, where each takes `takes` of the
    /// time it has, and what came of it.
    fn shares(addresses: u16, left: u64, takes: fn(Duration) -> Duration) -> (Vec<u128>, Cause) {
        let addresses: Vec<SocketAddr> =
            (1..=addresses).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        let left = Cell::new(Duration::from_millis(left));
        let mut dialled = Vec::new();
        let end: Result<(), _> = in_turn(
            &addresses,
            || left.get(),
            |_, timeout| {
                dialled.push(timeout.as_millis());
                left.set(left.get().saturating_sub(takes(timeout)));
                Err(Cause::NotAccepted(timeout))
            },
        );
        (dialled, end.unwrap_err())
    }

    #[test]
    fn who_is_gone_without_a_word_is_found_out() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = connect_to(&address, Duration::from_secs(1)).unwrap();
        assert!(sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), PROBES_AFTER);
        assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), BETWEEN_PROBES);
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), LONGEST_SILENCE);
    }

    #[test]
    fn each_address_has_its_share_of_the_time() {
        let swallowed = |timeout| timeout;
        assert_eq!(shares(3, 4500, swallowed).0, [1500, 1500, 1500]);
        assert_eq!(shares(5, 5000, swallowed).0, [1000; 5]);
        // At most 2 s each.
        assert_eq!(shares(2, 60_000, swallowed).0, [2000, 2000]);
        // What one does not use is the others'.
        assert_eq!(shares(3, 3000, |_| Duration::ZERO).0, [1000, 1500, 2000]);
    }

    #[test]
    fn nobody_is_dialled_without_time() {
        let swallowed = |timeout| timeout;
        let no_time = Cause::Unreachable("no time was left to connect".to_owned());
        assert_eq!(shares(2, 0, swallowed), (vec![], no_time));
        // One takes longer than it may.
        let late = |_| Duration::from_secs(9);
        let not_accepted = Cause::NotAccepted(Duration::from_millis(500));
        assert_eq!(shares(3, 1500, late), (vec![500], not_accepted));
    }
}
