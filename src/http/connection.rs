//! One connection: a non-blocking socket, TLS over it or not, and the protocol that ALPN agreed on.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConnection;

use crate::clock::Clock;
use crate::http::dial::Stream;
use crate::http::error::{Cause, Error, Party};
use crate::http::h1::Http1;
use crate::http::h2::Http2;
use crate::http::protocol::{
    BodyBuffer, BodyLimit, Head, Protocol, Request, StreamError, StreamEvent,
};
use crate::http::tls::no_tls;
use crate::moment::Moment;

/// An open connection.
pub struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// The exchanges that it carries.
    pub(super) protocol: Box<dyn Protocol>,
    is_open: bool,
    /// There is more to read than was read at a time.
    unread: bool,
}

/// An answer to [`Connection::exchange`].
#[derive(Debug)]
pub struct Response {
    /// Its head.
    pub head: Head,
    /// Its body; or why it is not whole.
    pub body: Result<BodyBuffer, Cause>,
}

/// While so many bytes wait to be sent, nothing is read and no exchange begins: a peer that does not read gets no
/// more.
const BACKLOG: usize = 16 * 1024;

/// Bytes that are read at a time.
pub const CHUNK: usize = 4 * 1024;

/// Reads of one connection before the next one has its turn.
const TURN: usize = 16;

impl Connection {
    /// Speaks HTTP/2 where the handshake has agreed on it, else HTTP/1.1.
    ///
    /// # Errors
    /// The socket cannot be made non-blocking. `party`: its peer.
    pub fn new(stream: Stream, party: &Party, now: Moment) -> Result<Self, Error> {
        let Stream { socket, tls } = stream;
        socket
            .set_nonblocking(true)
            .map_err(|e| Cause::of_system(&e, Cause::Unreachable).with(party))?;
        let agreed = tls.as_ref().and_then(|tls| tls.alpn_protocol());
        let protocol: Box<dyn Protocol> =
            if agreed == Some(H2) { Box::new(Http2::new(now)) } else { Box::new(Http1::default()) };
        Ok(Self { socket, tls, protocol, is_open: true, unread: false })
    }

    /// Whether exchanges share it.
    pub fn is_shared(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.alpn_protocol() == Some(H2))
    }

    /// Whether what was to be sent has gone out but for a little.
    pub fn is_ready(&mut self) -> bool {
        self.protocol.output().len() < BACKLOG
    }

    /// What is to be waited for before [`Connection::progress`].
    pub fn interest(&mut self) -> PollFlags {
        let sends = !self.protocol.output().is_empty()
            || self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        let reads = self.is_ready();
        let flag = |wanted, flag| if wanted { flag } else { PollFlags::empty() };
        flag(reads, PollFlags::IN) | flag(sends, PollFlags::OUT)
    }

    /// When [`Connection::progress`] is due although nothing comes.
    pub fn deadline(&self) -> Option<Moment> {
        let at_once = self.unread.then_some(Moment::START);
        at_once.or(self.protocol.deadline()).filter(|_| self.is_open)
    }

    /// The socket, where the answer to CONNECT has made a tunnel of it. `None`: the peer sent first, and what it sent
    /// would be lost.
    pub fn into_tunnel(self) -> Option<TcpStream> {
        self.socket.set_nonblocking(false).ok()?;
        (!self.protocol.has_excess()).then_some(self.socket)
    }

    /// One exchange on a connection that has no other: sends the request, and waits until `until` for the head of
    /// its answer, and for the body until then, but no longer than `body_timeout`.
    ///
    /// # Errors
    /// There is no head.
    pub fn exchange(
        &mut self,
        request: &Request,
        limit: BodyLimit,
        mut until: Moment,
        body_timeout: Duration,
        clock: Clock,
    ) -> Result<Response, Cause> {
        let since = clock.now();
        self.protocol.open(request, since).map_err(Cause::Unsendable)?;
        let mut answer = None::<(Head, BodyBuffer)>;
        let ended = loop {
            let now = clock.now();
            self.progress(now);
            let Some((stream, event)) = self.protocol.next_event() else {
                if now >= until {
                    break Err(Cause::TimedOut(since.until(until)));
                }
                let left = now.until(until.min(self.deadline().unwrap_or(until)));
                let interest = self.interest();
                // Interrupted or not: what is there is seen then.
                let _ = poll(&mut [PollFd::new(self, interest)], Some(&timespec(left)));
                continue;
            };
            match (event, &mut answer) {
                (StreamEvent::Head(head), _) => {
                    until = until.min(now + body_timeout);
                    match BodyBuffer::new(limit, &head) {
                        Ok(body) => answer = Some((head, body)),
                        Err(cause) => return Ok(Response { head, body: Err(cause) }),
                    }
                }
                (StreamEvent::Data(bytes), Some((_, body))) => {
                    if let Err(cause) = body.push(&bytes) {
                        break Err(cause);
                    }
                    self.protocol.consume(stream, bytes.len());
                }
                (StreamEvent::Data(_), None) => {}
                (StreamEvent::End, _) => break Ok(()),
                (StreamEvent::Failed(failure), Some((head, body))) => {
                    break Err(failure.cause(Some(head.status), body.length));
                }
                (StreamEvent::Failed(failure), None) => break Err(failure.cause(None, 0)),
            }
        };
        match answer {
            Some((head, body)) => Ok(Response { head, body: ended.map(|()| body) }),
            None => Err(ended.err().unwrap_or(Cause::Unanswered("it has no head".to_owned()))),
        }
    }

    /// Reads and writes what can be read and written without waiting. What came of it is in
    /// [`Protocol::next_event`], also where it ended the connection.
    pub fn progress(&mut self, now: Moment) {
        if !self.is_open {
            return;
        }
        let sent = self.write();
        // Also where nothing can be sent any more: what the peer sent before it closed may say why.
        let mut outcome = self.read(now);
        if matches!(outcome, Ok(Goes::On)) {
            // What came before `now` has been read by now.
            outcome = sent.and_then(|()| self.protocol.on_time(now)).map(|()| Goes::On);
        }
        // Also the GOAWAY that names the peer's error.
        let written = self.write();
        // While it waits to be sent, POLLOUT says when to go on.
        self.unread &= self.is_ready();
        match outcome.and_then(|goes| written.map(|()| goes)) {
            Ok(Goes::On) => {}
            Ok(Goes::Closed { in_good_order }) => {
                self.is_open = false;
                self.protocol.closed(in_good_order);
            }
            Err(failure) => {
                self.is_open = false;
                self.protocol.fail(&failure);
            }
        }
    }

    fn write(&mut self) -> Result<(), StreamError> {
        let output = self.protocol.output();
        loop {
            let written = match &mut self.tls {
                None if output.is_empty() => return Ok(()),
                None => (&self.socket).write(output).map(|length| drop(output.drain(..length))),
                Some(tls) => {
                    if !output.is_empty() {
                        // Takes at most what its buffer has room for.
                        let taken = tls.writer().write(output).map_err(|e| ended(&e))?;
                        output.drain(..taken);
                    }
                    if !tls.wants_write() {
                        return Ok(());
                    }
                    tls.write_tls(&mut &self.socket).map(drop)
                }
            };
            match written {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(ended(&e)),
            }
        }
    }

    fn read(&mut self, now: Moment) -> Result<Goes, StreamError> {
        let mut bytes = [0; CHUNK];
        self.unread = true;
        for _ in 0..TURN {
            if !self.is_ready() {
                return Ok(Goes::On);
            }
            let came = match &mut self.tls {
                None => (&self.socket).read(&mut bytes),
                Some(tls) => read_tls(tls, &self.socket, &mut bytes)?,
            };
            match came {
                Ok(0) => return Ok(Goes::Closed { in_good_order: true }),
                Ok(length) => {
                    self.protocol.receive(bytes.get(..length).unwrap_or_default(), now)?;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.unread = false;
                    return Ok(Goes::On);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // The end without close_notify: an attacker may have truncated it.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(Goes::Closed { in_good_order: false });
                }
                Err(e) => return Err(ended(&e)),
            }
        }
        Ok(Goes::On)
    }
}

/// Whether there may be more.
#[derive(Clone, Copy)]
enum Goes {
    On,
    Closed { in_good_order: bool },
}

/// What TLS has, or else what the socket has for it.
fn read_tls(
    tls: &mut ClientConnection,
    mut socket: &TcpStream,
    bytes: &mut [u8],
) -> Result<io::Result<usize>, StreamError> {
    loop {
        match tls.reader().read(bytes) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            read => return Ok(read),
        }
        match tls.read_tls(&mut socket) {
            Ok(_) => tls.process_new_packets().map_err(|e| StreamError::Tls(no_tls(&e)))?,
            Err(e) => return Ok(Err(e)),
        };
    }
}

fn ended(e: &io::Error) -> StreamError {
    StreamError::Ended(e.to_string())
}

/// A time-out for poll(2).
pub(super) fn timespec(span: Duration) -> Timespec {
    Timespec::try_from(span).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What HTTP/2 over TLS is called in the handshake (RFC 9113, 3.2).
pub const H2: &[u8] = b"h2";

/// What HTTP/1.1 is called there (RFC 7301, 6).
pub const H1: &[u8] = b"http/1.1";

#[cfg(test)]
mod exchange_tests;
#[cfg(test)]
mod tests;
