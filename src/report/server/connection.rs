//! The connections of clients: not too many, and none for long. Their sockets never block.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::moment::Moment;
use crate::report::server::endpoints::Endpoints;
use crate::report::server::message::{
    LONGEST_HEAD, PageMethod, PageRequest, PageResponse, Parsed, parse,
};

/// The most at a time. Prometheus, the kubelet and a person are three.
pub(super) const MOST: usize = 16;
/// From accepting a connection to closing it, whatever the client does.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// All of them.
#[derive(Debug)]
pub(super) struct ClientConnections<S> {
    /// The oldest first.
    all: VecDeque<ClientConnection<S>>,
    /// How long each may last.
    timeout: Duration,
}

impl<S: Socket> ClientConnections<S> {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { all: VecDeque::new(), timeout }
    }

    /// Adds a connection. If there is no room for it, the oldest, which has had the most time, is closed.
    pub(super) fn admit(&mut self, socket: S, endpoints: Arc<Endpoints>, now: Moment) {
        if self.all.len() >= MOST {
            self.all.pop_front();
        }
        self.all.push_back(ClientConnection::new(socket, endpoints, now + self.timeout));
    }

    /// Closes those that have timed out.
    pub(super) fn expire(&mut self, now: Moment) {
        while self.all.front().is_some_and(|oldest| oldest.until() <= now) {
            self.all.pop_front();
        }
        if self.all.is_empty() {
            // No memory is kept while idle.
            self.all = VecDeque::new();
        }
    }

    /// When the next one times out.
    pub(super) fn next_end(&self) -> Option<Moment> {
        self.all.front().map(ClientConnection::until)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ClientConnection<S>> {
        self.all.iter()
    }

    /// Calls `go_on` for each in order, and closes those for which it returns false.
    pub(super) fn retain(&mut self, go_on: impl FnMut(&mut ClientConnection<S>) -> bool) {
        self.all.retain_mut(go_on);
    }
}

/// A non-blocking socket.
pub(super) trait Socket: Read + Write {
    /// Ends the stream to the client.
    fn finish(&mut self) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn finish(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// The connection of one client.
#[derive(Debug)]
pub(super) struct ClientConnection<S> {
    socket: S,
    endpoints: Arc<Endpoints>,
    /// When it times out.
    until: Moment,
    stage: ConnectionPhase,
}

#[derive(Debug)]
enum ConnectionPhase {
    /// This much of the request has arrived.
    Asking(Vec<u8>),
    /// This much of the response is sent.
    Answering { bytes: Vec<u8>, sent: usize },
    /// The response is sent. Closing a socket with unread bytes resets the connection, and the client may
    /// lose the response: so much more is read first.
    Lingering { left: usize },
}

/// The event of the socket that it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Readable.
    Read,
    /// Writable.
    Write,
}

/// Bytes in one read.
const PIECE: usize = 1024;
/// The most bytes that are read after the response.
const LINGER: usize = 64 * 1024;

impl<S: Socket> ClientConnection<S> {
    /// A client of these endpoints.
    pub(super) fn new(socket: S, endpoints: Arc<Endpoints>, until: Moment) -> Self {
        Self { socket, endpoints, until, stage: ConnectionPhase::Asking(Vec::new()) }
    }

    pub(super) fn socket(&self) -> &S {
        &self.socket
    }

    pub(super) fn until(&self) -> Moment {
        self.until
    }

    pub(super) fn interest(&self) -> Interest {
        match self.stage {
            ConnectionPhase::Asking(_) | ConnectionPhase::Lingering { .. } => Interest::Read,
            ConnectionPhase::Answering { .. } => Interest::Write,
        }
    }

    /// Goes on as far as it can without blocking. Breaks when the connection is over.
    pub(super) fn advance(
        &mut self,
        answer: &impl Fn(&Endpoints, &PageRequest) -> PageResponse,
    ) -> ControlFlow<()> {
        match self.go_on(answer) {
            Ok(flow) => flow,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ControlFlow::Continue(()),
            // The client has gone.
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Ends with `WouldBlock` unless the connection is over.
    fn go_on(
        &mut self,
        answer: &impl Fn(&Endpoints, &PageRequest) -> PageResponse,
    ) -> io::Result<ControlFlow<()>> {
        loop {
            match &mut self.stage {
                ConnectionPhase::Asking(head) => {
                    if read_head(&mut self.socket, head)? == 0 {
                        return Ok(ControlFlow::Break(()));
                    }
                    let bytes = match parse(head) {
                        Parsed::Incomplete => continue,
                        Parsed::Complete(asked) => {
                            let with_body = asked.method != PageMethod::Head;
                            answer(&self.endpoints, &asked).into_bytes(with_body)
                        }
                        Parsed::Refused(status) => PageResponse::of(status).into_bytes(true),
                    };
                    self.stage = ConnectionPhase::Answering { bytes, sent: 0 };
                }
                ConnectionPhase::Answering { bytes, sent } => {
                    let rest = bytes.get(*sent..).unwrap_or_default();
                    if rest.is_empty() {
                        self.socket.finish()?;
                        self.stage = ConnectionPhase::Lingering { left: LINGER };
                        continue;
                    }
                    match unless_interrupted(|| self.socket.write(rest))? {
                        0 => return Ok(ControlFlow::Break(())),
                        length => *sent += length,
                    }
                }
                ConnectionPhase::Lingering { left } => {
                    let length = unless_interrupted(|| self.socket.read(&mut [0; PIECE]))?;
                    *left = left.saturating_sub(length);
                    if length == 0 || *left == 0 {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
    }
}

/// Reads once, up to the longest head. 0: the end of the stream.
fn read_head(socket: &mut impl Read, head: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; PIECE];
    let room = LONGEST_HEAD.saturating_sub(head.len()).min(PIECE);
    let into = piece.get_mut(..room).unwrap_or_default();
    let length = unless_interrupted(|| socket.read(into))?;
    head.extend(into.iter().take(length));
    Ok(length)
}

fn unless_interrupted(mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
pub(super) mod stand_in;
#[cfg(test)]
mod tests;
