//! Bytes to and from a server, as they are or over TLS. Every read and every write has a deadline.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::clock::Clock;
use crate::moment::Moment;

/// One connection.
pub struct Wire {
    socket: Socket,
    layer: Layer,
}

/// What lies between the bytes and the socket.
enum Layer {
    Plain,
    /// On the heap: more than a kilobyte, which each function on the way up would have on its stack.
    Tls(Box<ClientConnection>),
}

/// Why a byte could not be had or sent.
#[derive(Debug)]
pub enum Fault {
    /// The deadline came first.
    TimedOut,
    /// The connection is gone: it ended without TLS's goodbye, or was reset.
    Gone(String),
    /// What came is no TLS, or not from whom it should be.
    Tls(rustls::Error),
}

impl Wire {
    /// The bytes as they are. One descriptor: whoever may have to shut the socket shares it.
    pub fn plain(socket: Arc<TcpStream>, clock: Clock) -> Self {
        Self { socket: Socket { stream: socket, clock }, layer: Layer::Plain }
    }

    /// Shakes hands with `host`, whose certificate must be for it. From then on the bytes go over
    /// TLS.
    pub fn secured(
        self,
        config: Arc<ClientConfig>,
        host: ServerName<'static>,
        until: Moment,
    ) -> Result<Self, Fault> {
        let mut tls = begin_tls(config, host)?;
        self.socket.shake_hands(&mut tls, until)?;
        Ok(Self { layer: Layer::Tls(tls), ..self })
    }

    /// Its socket.
    pub fn socket(&self) -> &Arc<TcpStream> {
        &self.socket.stream
    }

    /// Sends all of `bytes`.
    pub fn send(&mut self, mut bytes: &[u8], until: Moment) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let taken = match &mut self.layer {
                Layer::Plain => self.socket.write(bytes, until)?,
                Layer::Tls(tls) => {
                    // Takes at most what its buffer has room for.
                    let taken = tls.writer().write(bytes).map_err(|e| gone(&e))?;
                    self.socket.flush(tls, until)?;
                    taken
                }
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Whether nothing has come that was not asked for, and the peer has not left: the same connection can be
    /// asked once more. Waits for nothing. Over TLS a message of TLS itself, such as a session ticket that comes
    /// late, is nothing.
    pub fn is_silent(&mut self) -> bool {
        for _ in 0..MESSAGES {
            if let Layer::Tls(tls) = &mut self.layer
                && !has_only_its_own(tls)
            {
                return false;
            }
            match (self.socket.has_news(), &mut self.layer) {
                (Ok(false), _) => return true,
                // Does not block: there is something.
                (Ok(true), Layer::Tls(tls)) => match tls.read_tls(&mut &*self.socket.stream) {
                    Ok(0) | Err(_) => return false,
                    Ok(_) => {}
                },
                (Ok(true), Layer::Plain) | (Err(_), _) => return false,
            }
        }
        false
    }

    /// Waits for the next bytes. 0: the peer has said that nothing more will come. Over TLS nobody
    /// else can have said so.
    pub fn receive(&mut self, into: &mut [u8], until: Moment) -> Result<usize, Fault> {
        let tls = match &mut self.layer {
            Layer::Plain => return self.socket.read(into, until),
            Layer::Tls(tls) => tls,
        };
        loop {
            match tls.reader().read(into) {
                Ok(length) => return Ok(length),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // The end without TLS's goodbye: somebody else may have cut it.
                Err(_) => return Err(Fault::Gone("the connection was closed".to_owned())),
            }
            self.socket.pull(tls, until)?;
        }
    }
}

/// So often TLS's own messages are read from an idle connection. A server sends a few session tickets.
const MESSAGES: usize = 8;

/// Whether all that was read so far is TLS's own, and no goodbye.
fn has_only_its_own(tls: &mut ClientConnection) -> bool {
    tls.process_new_packets()
        .is_ok_and(|state| state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed())
}

// Here and elsewhere: what is not inlined gives its stack back before the next step. Of each
// thread's stack the deepest page stays in memory for as long as the thread does.
#[inline(never)]
fn begin_tls(
    config: Arc<ClientConfig>,
    host: ServerName<'static>,
) -> Result<Box<ClientConnection>, Fault> {
    ClientConnection::new(config, host).map(Box::new).map_err(Fault::Tls)
}

/// A socket whose reads and writes end in time.
struct Socket {
    stream: Arc<TcpStream>,
    clock: Clock,
}

impl Socket {
    /// Our last message stays in the buffer: it goes out with the first request.
    #[inline(never)]
    fn shake_hands(&self, tls: &mut ClientConnection, until: Moment) -> Result<(), Fault> {
        while tls.is_handshaking() {
            self.flush(tls, until)?;
            if self.pull(tls, until)? == 0 {
                return Err(Fault::Gone("the connection was closed in the handshake".to_owned()));
            }
        }
        Ok(())
    }

    /// Reads once from the socket. 0: the socket has ended.
    fn pull(&self, tls: &mut ClientConnection, until: Moment) -> Result<usize, Fault> {
        loop {
            self.read_until(until)?;
            match tls.read_tls(&mut &*self.stream) {
                Ok(length) => {
                    if let Err(error) = tls.process_new_packets() {
                        // Tells the peer why; whether that arrives does not matter.
                        let _ = tls.write_tls(&mut &*self.stream);
                        return Err(Fault::Tls(error));
                    }
                    return Ok(length);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(fault(&e)),
            }
        }
    }

    /// Whether bytes, the end of the connection or an error can be read now.
    fn has_news(&self) -> io::Result<bool> {
        loop {
            let mut poll = [PollFd::new(&*self.stream, PollFlags::IN)];
            match rustix::event::poll(&mut poll, Some(&Timespec::default())) {
                Err(Errno::INTR) => {}
                found => return found.map(|found| found > 0).map_err(io::Error::from),
            }
        }
    }

    fn flush(&self, tls: &mut ClientConnection, until: Moment) -> Result<(), Fault> {
        while tls.wants_write() {
            self.write_until(until)?;
            match tls.write_tls(&mut &*self.stream) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(fault(&e)),
            }
        }
        Ok(())
    }

    fn read(&self, into: &mut [u8], until: Moment) -> Result<usize, Fault> {
        loop {
            self.read_until(until)?;
            match (&*self.stream).read(into) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map_err(|e| fault(&e)),
            }
        }
    }

    fn write(&self, bytes: &[u8], until: Moment) -> Result<usize, Fault> {
        loop {
            self.write_until(until)?;
            match (&*self.stream).write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                written => return written.map_err(|e| fault(&e)),
            }
        }
    }

    /// Lets the next read wait until then.
    fn read_until(&self, until: Moment) -> Result<(), Fault> {
        let left = self.left(until)?;
        self.stream.set_read_timeout(Some(left)).map_err(|e| gone(&e))
    }

    /// Lets the next write wait until then.
    fn write_until(&self, until: Moment) -> Result<(), Fault> {
        let left = self.left(until)?;
        self.stream.set_write_timeout(Some(left)).map_err(|e| gone(&e))
    }

    fn left(&self, until: Moment) -> Result<Duration, Fault> {
        match self.clock.now().until(until) {
            Duration::ZERO => Err(Fault::TimedOut),
            left => Ok(left),
        }
    }
}

fn fault(e: &io::Error) -> Fault {
    match e.kind() {
        // Linux reports a socket's time-out as either.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Fault::TimedOut,
        _ => gone(e),
    }
}

fn gone(e: &io::Error) -> Fault {
    Fault::Gone(e.to_string())
}
