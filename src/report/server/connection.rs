//! One client, from its first byte to its last. Its socket is never waited for.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::moment::Moment;
use crate::report::server::endpoints::Endpoints;
use crate::report::server::request::{Asked, Heard, LONGEST_HEAD, Method, hear};
use crate::report::server::response::Response;

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
pub(super) struct Connection<S> {
    socket: S,
    endpoints: Arc<Endpoints>,
    /// When it is closed, however far it has got.
    until: Moment,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// So much of the request has come.
    Asking(Vec<u8>),
    /// So much of the answer is sent.
    Answering { bytes: Vec<u8>, sent: usize },
    /// The answer is sent. A socket that is closed while there is something to read in it is reset,
    /// and the client may then lose the answer, too: so much more is read first.
    Leaving { patience: usize },
}

/// What has to happen at the socket before it can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// Bytes come, or the end.
    ToRead,
    /// Bytes can be sent.
    ToWrite,
}

/// Bytes that are read at once.
const PIECE: usize = 1024;
/// Bytes that are read after the answer.
const PATIENCE: usize = 64 * 1024;

impl<S: Socket> Connection<S> {
    /// A client that came in where `endpoints` are answered.
    pub(super) fn new(socket: S, endpoints: Arc<Endpoints>, until: Moment) -> Self {
        Self { socket, endpoints, until, stage: Stage::Asking(Vec::new()) }
    }

    pub(super) fn socket(&self) -> &S {
        &self.socket
    }

    pub(super) fn until(&self) -> Moment {
        self.until
    }

    pub(super) fn waits(&self) -> Waits {
        match self.stage {
            Stage::Asking(_) | Stage::Leaving { .. } => Waits::ToRead,
            Stage::Answering { .. } => Waits::ToWrite,
        }
    }

    /// Goes on as far as that is possible without waiting. Breaks when the connection is over.
    pub(super) fn advance(
        &mut self,
        answer: &impl Fn(&Endpoints, &Asked) -> Response,
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
        answer: &impl Fn(&Endpoints, &Asked) -> Response,
    ) -> io::Result<ControlFlow<()>> {
        loop {
            match &mut self.stage {
                Stage::Asking(head) => {
                    if read_head(&mut self.socket, head)? == 0 {
                        return Ok(ControlFlow::Break(()));
                    }
                    let bytes = match hear(head) {
                        Heard::More => continue,
                        Heard::Asked(asked) => {
                            let with_body = asked.method != Method::Head;
                            answer(&self.endpoints, &asked).into_bytes(with_body)
                        }
                        Heard::Refused(status) => Response::of(status).into_bytes(true),
                    };
                    self.stage = Stage::Answering { bytes, sent: 0 };
                }
                Stage::Answering { bytes, sent } => {
                    let left = bytes.get(*sent..).unwrap_or_default();
                    if left.is_empty() {
                        self.socket.finish()?;
                        self.stage = Stage::Leaving { patience: PATIENCE };
                        continue;
                    }
                    match unless_interrupted(|| self.socket.write(left))? {
                        0 => return Ok(ControlFlow::Break(())),
                        length => *sent += length,
                    }
                }
                Stage::Leaving { patience } => {
                    let length = unless_interrupted(|| self.socket.read(&mut [0; PIECE]))?;
                    *patience = patience.saturating_sub(length);
                    if length == 0 || *patience == 0 {
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
