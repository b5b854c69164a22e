//! One drain's way to the API server: what all its connections share. When the drain is over it is
//! closed and dropped, and the memory goes with it.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustls::ClientConfig;

use crate::clock::Clock;
use crate::http::dial::{self, NotConnected};
use crate::kube::server::Server;
use crate::kube::trouble::{Trouble, is_out_of_descriptors};
use crate::moment::Moment;

/// The API server for as long as a drain needs it.
pub struct Access {
    server: Arc<Server>,
    clock: Clock,
    /// Made for the first connection, by its own thread: that reads a file.
    config: Mutex<Option<Arc<ClientConfig>>>,
    /// Where the API server's name last led: the cluster's DNS may run on the node that is drained.
    resolved: Mutex<Vec<SocketAddr>>,
    sockets: Mutex<Sockets>,
}

impl Access {
    /// Does nothing yet.
    pub fn new(server: Arc<Server>, clock: Clock) -> Self {
        Self {
            server,
            clock,
            config: Mutex::new(None),
            resolved: Mutex::new(Vec::new()),
            sockets: Mutex::new(Sockets::Open(Vec::new())),
        }
    }

    /// Shuts every connection, so that nothing is blocked on one; later ones end at once.
    pub fn close(&self) {
        let before = std::mem::replace(&mut *lock(&self.sockets), Sockets::Closed);
        let Sockets::Open(sockets) = before else { return };
        for socket in sockets.iter().filter_map(Weak::upgrade) {
            // It fails only on a socket that has ended by itself.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Whether [`Access::close`] was called.
    pub fn is_closed(&self) -> bool {
        matches!(*lock(&self.sockets), Sockets::Closed)
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// What TLS needs to know.
    pub(super) fn tls_config(&self) -> Result<Arc<ClientConfig>, Trouble> {
        let mut config = lock(&self.config);
        if let Some(config) = config.as_ref() {
            return Ok(Arc::clone(config));
        }
        Ok(Arc::clone(config.insert(self.server.tls_config()?)))
    }

    /// Reads the CA file anew for the next connection: it may have been replaced.
    pub(super) fn forget_roots(&self) {
        *lock(&self.config) = None;
    }

    /// A connected socket, which [`Access::close`] shuts. Every address of the API server is tried: where its
    /// name led the last time, for at most half of the time, and then where it leads now.
    pub(super) fn connect(&self, until: Moment) -> Result<Arc<TcpStream>, Trouble> {
        let server = self.server.address();
        if server.ip().is_none() {
            let known = lock(&self.resolved).clone();
            let now = self.clock.now();
            if let Some(Ok(socket)) = self.dial(&known, now + now.until(until) / 2) {
                return Ok(socket);
            }
        }
        // None known, or none of them right any more.
        let resolved = self.resolve()?;
        // Kept before they are tried: where the resolver took all the time, the next attempt begins with them.
        if !resolved.is_empty() {
            lock(&self.resolved).clone_from(&resolved);
        }
        self.dial(&resolved, until).unwrap_or_else(|| {
            let why = "the name has no address".to_owned();
            Err(Trouble::Unresolved { server: server.clone(), why })
        })
    }

    fn resolve(&self) -> Result<Vec<SocketAddr>, Trouble> {
        let server = self.server.address();
        dial::resolve(server)
            .map_err(|e| Trouble::Unresolved { server: server.clone(), why: e.to_string() })
    }

    fn dial(&self, to: &[SocketAddr], until: Moment) -> Option<Result<Arc<TcpStream>, Trouble>> {
        let server = || self.server.address().clone();
        Some(match dial::dial(to, until, self.clock)? {
            Ok(socket) => self.register(&socket).map(|()| socket),
            Err(NotConnected::NoTime) => {
                let why = "no time was left to connect".to_owned();
                Err(Trouble::Unreachable { server: server(), why })
            }
            Err(NotConnected::NotAccepted(patience)) => {
                Err(Trouble::NotAccepted { server: server(), patience })
            }
            Err(NotConnected::Failed(e)) if is_out_of_descriptors(&e) => Err(Trouble::NoDescriptor),
            Err(NotConnected::Failed(e)) => {
                Err(Trouble::Unreachable { server: server(), why: e.to_string() })
            }
        })
    }

    fn register(&self, socket: &Arc<TcpStream>) -> Result<(), Trouble> {
        match &mut *lock(&self.sockets) {
            Sockets::Closed => Err(Trouble::Over),
            Sockets::Open(sockets) => {
                sockets.retain(|other| other.strong_count() > 0);
                sockets.push(Arc::downgrade(socket));
                Ok(())
            }
        }
    }
}

/// Every socket that may be in use. Weak: a connection that ends gives its descriptor back.
enum Sockets {
    Open(Vec<Weak<TcpStream>>),
    Closed,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::address::Address;
    use crate::kube::connection::Connection;
    use crate::kube::stand_in::{LONG, SHORT, StandIn, deaf_address, get};
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Duration;

    fn access_to(port: u16, server: &StandIn) -> Arc<Access> {
        let address = Address::parse("127.0.0.1", port).unwrap();
        let (token, ca) = (server.files().token(), server.files().authority());
        Arc::new(Access::new(Arc::new(Server::new(address, token, ca)), Clock::start()))
    }

    fn trouble(access: &Arc<Access>, patience: Duration) -> String {
        Connection::open(access, patience).err().unwrap().to_string()
    }

    #[test]
    fn a_refused_connection_is_named_so() {
        let (server, port) = (StandIn::answering(b""), deaf_address().port());
        let access = access_to(port, &server);
        let expected = format!(
            "the API server at 127.0.0.1:{port} cannot be reached: Connection refused (os error 111)"
        );
        assert_eq!(trouble(&access, LONG), expected);
    }

    #[test]
    fn one_who_speaks_no_tls_is_named_so() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answering = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            let _ = socket.read_to_end(&mut Vec::new());
        });
        let server = StandIn::answering(b"");
        let access = access_to(port, &server);
        let expected = format!(
            "no TLS connection to the API server at 127.0.0.1:{port}: what answers there does not \
             speak TLS"
        );
        assert_eq!(trouble(&access, LONG), expected);
        answering.join().unwrap();
    }

    #[test]
    fn a_handshake_without_answer_ends_with_the_patience() {
        // The system accepts for it; nobody answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = StandIn::answering(b"");
        let access = access_to(port, &server);
        let expected = format!(
            "no TLS connection to the API server at 127.0.0.1:{port}: no answer within 50.0ms"
        );
        assert_eq!(trouble(&access, SHORT), expected);
    }

    #[test]
    fn a_name_that_led_somewhere_is_looked_up_again_only_when_it_leads_nowhere() {
        let server = StandIn::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let access = Arc::new(Access::new(server.server_named("localhost"), Clock::start()));
        let open = || Connection::open(&access, LONG)?.send(&get("/api"), LONG);
        open().unwrap();
        assert!(!lock(&access.resolved).is_empty());
        *lock(&access.resolved) = vec![deaf_address()];
        open().unwrap();
        assert_ne!(*lock(&access.resolved), vec![deaf_address()]);
    }

    /// An address that swallows what is sent to it: as many connections wait to be accepted as the system lets.
    struct Swallowing {
        address: SocketAddr,
        _listener: TcpListener,
        _waiting: Vec<TcpStream>,
    }

    impl Swallowing {
        fn new() -> Self {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
            let waiting: Vec<_> = (0..10_000).map_while(|_| connect()).collect();
            assert!(waiting.len() < 10_000, "it accepts for ever");
            Self { address, _listener: listener, _waiting: waiting }
        }
    }

    #[test]
    fn stale_addresses_do_not_use_up_the_time_of_the_right_ones() {
        let server = StandIn::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let access = Arc::new(Access::new(server.server_named("localhost"), Clock::start()));
        let swallowing = Swallowing::new();
        *lock(&access.resolved) = vec![swallowing.address; 3];
        Connection::open(&access, Duration::from_secs(3)).unwrap();
        assert!(!lock(&access.resolved).contains(&swallowing.address));
    }

    #[test]
    fn where_a_name_leads_is_kept_though_nobody_is_there_yet() {
        let (server, port) = (StandIn::answering(b""), deaf_address().port());
        let address = Address::parse("localhost", port).unwrap();
        let (token, ca) = (server.files().token(), server.files().authority());
        let access =
            Arc::new(Access::new(Arc::new(Server::new(address, token, ca)), Clock::start()));
        let said = trouble(&access, LONG);
        assert!(said.contains("cannot be reached: Connection refused"), "{said}");
        assert!(!lock(&access.resolved).is_empty());
        // Without time nobody is asked, and nobody is said to have been.
        let said = trouble(&access, Duration::ZERO);
        assert!(said.ends_with("cannot be reached: no time was left to connect"), "{said}");
    }

    #[test]
    fn a_connection_that_ended_is_forgotten() {
        let server = StandIn::answering(b"");
        let access = server.access();
        for _ in 0..5 {
            Connection::open(&access, LONG).unwrap();
        }
        let Sockets::Open(sockets) = &*lock(&access.sockets) else { panic!("closed") };
        assert!(sockets.len() <= 1, "{}", sockets.len());
    }
}
