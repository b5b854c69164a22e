//! Writing one answer.

use std::io::{self, Write};

use serde_json::Value;

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) code: u16,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// `Content-Length`.
    #[default]
    Length,
    /// `Transfer-Encoding: chunked`, in several chunks.
    Chunked,
}

impl Response {
    pub(crate) fn new(code: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { code, content_type: content_type.to_owned(), headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn json(code: u16, body: &Value) -> Self {
        Self::new(code, "application/json", body.to_string())
    }

    pub(crate) fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Writes the answer. With `close` it announces the connection's end.
    pub(crate) fn write(
        &self,
        wire: &mut impl Write,
        framing: Framing,
        close: bool,
    ) -> io::Result<()> {
        let mut bytes = self.head(framing, close)?;
        match framing {
            Framing::Length => bytes.extend(&self.body),
            Framing::Chunked => {
                let piece = (self.body.len() / 3).max(1);
                for part in self.body.chunks(piece) {
                    bytes.extend(chunk(part));
                }
                bytes.extend(b"0\r\n\r\n");
            }
        }
        wire.write_all(&bytes)?;
        wire.flush()
    }

    /// Writes the head and half of the body: what a client sees of a server
    /// that dies while it answers.
    pub(crate) fn write_half(&self, wire: &mut impl Write, framing: Framing) -> io::Result<()> {
        let mut bytes = self.head(framing, false)?;
        let (half, _) = self.body.split_at(self.body.len() / 2);
        match framing {
            Framing::Length => bytes.extend(half),
            Framing::Chunked => {
                // The chunk promises more than comes.
                bytes.extend(format!("{:x}\r\n", self.body.len()).bytes());
                bytes.extend(half);
            }
        }
        wire.write_all(&bytes)?;
        wire.flush()
    }

    fn head(&self, framing: Framing, close: bool) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        write!(head, "HTTP/1.1 {} {}\r\n", self.code, phrase(self.code))?;
        write!(head, "Content-Type: {}\r\n", self.content_type)?;
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n")?;
        }
        match framing {
            Framing::Length => write!(head, "Content-Length: {}\r\n", self.body.len())?,
            Framing::Chunked => write!(head, "Transfer-Encoding: chunked\r\n")?,
        }
        if close {
            write!(head, "Connection: close\r\n")?;
        }
        write!(head, "\r\n")?;
        Ok(head)
    }
}

/// An answer without a known end: each piece is written as it comes.
pub(crate) struct Chunks<'a, W: Write> {
    wire: &'a mut W,
}

impl<'a, W: Write> Chunks<'a, W> {
    /// Writes the head.
    pub(crate) fn begin(wire: &'a mut W, code: u16, content_type: &str) -> io::Result<Self> {
        let head = Response::new(code, content_type, "").head(Framing::Chunked, false)?;
        wire.write_all(&head)?;
        wire.flush()?;
        Ok(Self { wire })
    }

    /// Writes one piece as one chunk. An empty piece writes nothing: it would
    /// read as the end.
    pub(crate) fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.wire.write_all(&chunk(bytes))?;
        self.wire.flush()
    }

    /// Writes the last chunk.
    pub(crate) fn end(self) -> io::Result<()> {
        self.wire.write_all(b"0\r\n\r\n")?;
        self.wire.flush()
    }

    /// The connection below, to look whether it still lives.
    pub(crate) fn wire(&mut self) -> &mut W {
        self.wire
    }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend(bytes);
    framed.extend(b"\r\n");
    framed
}

fn phrase(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "Created",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
