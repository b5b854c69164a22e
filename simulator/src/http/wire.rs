//! One connection as bytes, plain or inside TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A connection to one client.
pub(crate) struct Wire {
    /// Its number, counted from 1 in the order of acceptance.
    pub(crate) number: u64,
    stream: Stream,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    /// Takes over an accepted socket. The TLS handshake happens with the
    /// first read.
    pub(crate) fn new(
        number: u64,
        socket: TcpStream,
        tls: Option<&Arc<ServerConfig>>,
    ) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(config) => {
                let session =
                    ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        };
        Ok(Self { number, stream })
    }

    /// Ends the connection the hard way: no TLS farewell, nothing more sent.
    pub(crate) fn cut(&self) {
        // The peer may have been quicker; the connection is over either way.
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    /// Ends the connection the polite way.
    pub(crate) fn part(&mut self) {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            // The peer may have gone already.
            let _ = stream.flush();
        }
        self.cut();
    }

    /// Says nothing until the client hangs up.
    pub(crate) fn hang(&mut self) {
        let mut ignored = [0; 1024];
        while matches!(self.read(&mut ignored), Ok(n) if n > 0) {}
    }

    /// Whether the client has hung up, found out without waiting. No client
    /// here sends ahead while it reads a stream, so bytes that lie ready are
    /// its farewell.
    pub(crate) fn is_over(&self) -> bool {
        let socket = self.socket();
        if socket.set_nonblocking(true).is_err() {
            return true;
        }
        let peeked = socket.peek(&mut [0]);
        let restored = socket.set_nonblocking(false);
        restored.is_err() || !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref(),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}
