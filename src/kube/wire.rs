//! Bytes over TLS. Every read and every write has a deadline.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{CertificateError, ClientConnection};

use crate::clock::Clock;
use crate::kube::access::Access;
use crate::kube::trouble::Trouble;
use crate::moment::Moment;

/// One TLS connection. One descriptor: the registry of [`Access`] shares it.
pub(super) struct Wire {
    socket: Arc<TcpStream>,
    /// On the heap: more than a kilobyte, which each function on the way up would have on its stack.
    tls: Box<ClientConnection>,
    clock: Clock,
}

/// Why a byte could not be had or sent.
#[derive(Debug)]
pub(super) enum Fault {
    /// The deadline came first.
    TimedOut,
    /// The connection is gone: it ended without TLS's goodbye, or was reset.
    Gone(String),
    /// What came is no TLS, or not from whom it should be.
    Tls(rustls::Error),
}

impl Wire {
    /// Connects and shakes hands, both within `patience`.
    pub(super) fn open(access: &Access, patience: Duration) -> Result<Self, Trouble> {
        let until = access.clock().now() + patience;
        let mut wire = Self::connect(access, until)?;
        wire.shake_hands(until).map_err(|fault| {
            let server = || access.server().address().clone();
            match fault {
                _ if access.is_closed() => Trouble::Over,
                Fault::TimedOut => Trouble::Tls {
                    server: server(),
                    why: format!("no answer within {patience:.1?}"),
                },
                Fault::Gone(why) => Trouble::Tls { server: server(), why },
                Fault::Tls(error) => untrusted(access, error),
            }
        })?;
        Ok(wire)
    }

    // Here and elsewhere: what is not inlined gives its stack back before the next step. Of each
    // thread's stack the deepest page stays in memory for as long as the thread does.
    #[inline(never)]
    fn connect(access: &Access, until: Moment) -> Result<Self, Trouble> {
        let server = access.server().address();
        let config = access.tls_config()?;
        let socket = access.connect(until)?;
        let tls = ClientConnection::new(config, server.host().clone())
            .map_err(|e| Trouble::Tls { server: server.clone(), why: e.to_string() })?;
        Ok(Self { socket, tls: Box::new(tls), clock: access.clock() })
    }

    /// Our last message stays in the buffer: it goes out with the first request.
    #[inline(never)]
    fn shake_hands(&mut self, until: Moment) -> Result<(), Fault> {
        while self.tls.is_handshaking() {
            self.flush(until)?;
            if self.pull(until)? == 0 {
                return Err(Fault::Gone("the connection was closed in the handshake".to_owned()));
            }
        }
        Ok(())
    }

    /// Sends all of `bytes`.
    pub(super) fn send(&mut self, mut bytes: &[u8], until: Moment) -> Result<(), Fault> {
        while !bytes.is_empty() {
            // Takes at most what its buffer has room for.
            let taken = self.tls.writer().write(bytes).map_err(|e| Fault::Gone(e.to_string()))?;
            bytes = bytes.get(taken..).unwrap_or_default();
            self.flush(until)?;
        }
        Ok(())
    }

    /// Waits for the next bytes. 0: the peer has said that nothing more will come.
    pub(super) fn receive(&mut self, into: &mut [u8], until: Moment) -> Result<usize, Fault> {
        loop {
            match self.tls.reader().read(into) {
                Ok(length) => return Ok(length),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // The end without TLS's goodbye: somebody else may have cut it.
                Err(_) => return Err(Fault::Gone("the connection was closed".to_owned())),
            }
            self.pull(until)?;
        }
    }

    /// Reads once from the socket. 0: the socket has ended.
    fn pull(&mut self, until: Moment) -> Result<usize, Fault> {
        loop {
            let left = self.clock.now().until(until);
            if left.is_zero() {
                return Err(Fault::TimedOut);
            }
            self.socket.set_read_timeout(Some(left)).map_err(|e| Fault::Gone(e.to_string()))?;
            match self.tls.read_tls(&mut &*self.socket) {
                Ok(length) => {
                    if let Err(error) = self.tls.process_new_packets() {
                        // Tells the peer why; whether that arrives does not matter.
                        let _ = self.tls.write_tls(&mut &*self.socket);
                        return Err(Fault::Tls(error));
                    }
                    return Ok(length);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Self::fault(&e)),
            }
        }
    }

    fn flush(&mut self, until: Moment) -> Result<(), Fault> {
        while self.tls.wants_write() {
            let left = self.clock.now().until(until);
            if left.is_zero() {
                return Err(Fault::TimedOut);
            }
            self.socket.set_write_timeout(Some(left)).map_err(|e| Fault::Gone(e.to_string()))?;
            match self.tls.write_tls(&mut &*self.socket) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Self::fault(&e)),
            }
        }
        Ok(())
    }

    fn fault(e: &io::Error) -> Fault {
        match e.kind() {
            // Linux reports a socket's time-out as either.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Fault::TimedOut,
            _ => Fault::Gone(e.to_string()),
        }
    }
}

/// What a failed handshake means for the operator.
fn untrusted(access: &Access, error: rustls::Error) -> Trouble {
    let server = access.server().address().clone();
    let certificate = |why: &str| Trouble::Certificate { server: server.clone(), why: why.into() };
    match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                access.forget_roots();
                Trouble::Untrusted { server, roots: access.server().ca_file().to_owned() }
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                certificate("is not for this host")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                certificate("has expired, or this machine's clock is wrong")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                certificate("is not valid yet, or this machine's clock is wrong")
            }
            other => certificate(&format!("is not valid: {other}")),
        },
        rustls::Error::InvalidMessage(_) => {
            Trouble::Tls { server, why: "what answers there does not speak TLS".to_owned() }
        }
        other => Trouble::Tls { server, why: other.to_string() },
    }
}
