//! The clients that are there, each from its first byte to its last: not too many, and none for long.
//! Their sockets are never waited for.

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

/// At a time. A Prometheus, the kubelet and a person are three.
pub(super) const MOST: usize = 16;
/// From the moment in which a client is let in until it is closed, whatever it does.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// The clients.
#[derive(Debug)]
pub(super) struct ClientConnections<S> {
    /// The oldest first.
    all: VecDeque<ClientConnection<S>>,
    /// How long each may stay.
    timeout: Duration,
}

impl<S: Socket> ClientConnections<S> {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { all: VecDeque::new(), timeout }
    }

    /// Lets a client in. If there is no room for it, the oldest has had the most time of all, and is
    /// closed.
    pub(super) fn admit(&mut self, socket: S, endpoints: Arc<Endpoints>, now: Moment) {
        if self.all.len() >= MOST {
            self.all.pop_front();
        }
        self.all.push_back(ClientConnection::new(socket, endpoints, now + self.timeout));
    }

    /// Closes those whose time is over.
    pub(super) fn expire(&mut self, now: Moment) {
        while self.all.front().is_some_and(|oldest| oldest.until() <= now) {
            self.all.pop_front();
        }
        if self.all.is_empty() {
            // Nothing is kept for clients that are not there.
            self.all = VecDeque::new();
        }
    }

    /// When the next one's time is over.
    pub(super) fn next_end(&self) -> Option<Moment> {
        self.all.front().map(ClientConnection::until)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ClientConnection<S>> {
        self.all.iter()
    }

    /// Lets each go on, in order, and closes those for which `go_on` says no.
    pub(super) fn retain(&mut self, go_on: impl FnMut(&mut ClientConnection<S>) -> bool) {
        self.all.retain_mut(go_on);
    }
}

/// A socket that never blocks: it says `WouldBlock` instead.
pub(super) trait Socket: Read + Write {
    /// Tells the other side that nothing more will come.
    fn finish(&mut self) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn finish(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// A client.
#[derive(Debug)]
pub(super) struct ClientConnection<S> {
    socket: S,
    endpoints: Arc<Endpoints>,
    /// When it is closed, however far it has got.
    until: Moment,
    stage: ConnectionPhase,
}

#[derive(Debug)]
enum ConnectionPhase {
    /// So much of the request has come.
    Asking(Vec<u8>),
    /// So much of the answer is sent.
    Answering { bytes: Vec<u8>, sent: usize },
    /// The answer is sent. A socket that is closed while there is something to read in it is reset,
    /// and the client may then lose the answer, too: so much more is read first.
    Lingering { left: usize },
}

/// What has to happen at the socket before it can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Bytes come, or the end.
    Read,
    /// Bytes can be sent.
    Write,
}

/// Bytes that are read at once.
const PIECE: usize = 1024;
/// Bytes that are read after the answer.
const LINGER: usize = 64 * 1024;

impl<S: Socket> ClientConnection<S> {
    /// A client that came in where `endpoints` are answered.
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

    /// Goes on as far as that is possible without waiting. Breaks when the connection is over.
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

    /// `WouldBlock`: as far as it gets now.
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

/// Reads once, no further than a head may be long. 0: nothing more will come.
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
