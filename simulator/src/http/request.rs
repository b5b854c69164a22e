//! Reading one request off a connection.

use std::io::{self, ErrorKind, Read, Write};

/// The longest head taken, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;
/// The longest body taken, in bytes.
const LONGEST_BODY: usize = 4 * 1024 * 1024;
const MOST_HEADERS: usize = 64;

/// A request as it came: path and query are percent-decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Reads the next request. `pending` holds what was read beyond the one
    /// before. `Ok(None)`: the client hung up between two requests.
    pub(crate) fn read(
        wire: &mut (impl Read + Write),
        pending: &mut Vec<u8>,
    ) -> io::Result<Option<Self>> {
        loop {
            if let Some((head_length, mut request)) = Self::parse_head(pending)? {
                pending.drain(..head_length);
                if request
                    .header("expect")
                    .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
                {
                    wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                    wire.flush()?;
                }
                request.body = request.read_body(wire, pending)?;
                return Ok(Some(request));
            }
            if pending.len() > LONGEST_HEAD {
                return Err(malformed("the head of the request has no end"));
            }
            if !read_more(wire, pending)? {
                return if pending.is_empty() {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// The value of a header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The value of a query parameter; an empty one counts as absent.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Whether a query parameter says yes, in one of the forms Go reads.
    pub(crate) fn switched_on(&self, name: &str) -> bool {
        matches!(self.parameter(name), Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
    }

    fn parse_head(bytes: &[u8]) -> io::Result<Option<(usize, Self)>> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let length = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(malformed(&error.to_string())),
        };
        let target = parsed.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Self {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: decode(path, false),
            query: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(key, value)| (decode(key, true), decode(value, true)))
                .collect(),
            headers: parsed
                .headers
                .iter()
                .map(|header| {
                    (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())
                })
                .collect(),
            body: Vec::new(),
        };
        Ok(Some((length, request)))
    }

    fn read_body(&self, wire: &mut impl Read, pending: &mut Vec<u8>) -> io::Result<Vec<u8>> {
        let chunked = self
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        if chunked {
            return read_chunks(wire, pending);
        }
        let length = match self.header("content-length") {
            None => 0,
            Some(text) => text.parse().map_err(|_| malformed("content-length is not a number"))?,
        };
        take(wire, pending, length)
    }
}

fn read_chunks(wire: &mut impl Read, pending: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let (line_length, size) = loop {
            match httparse::parse_chunk_size(pending) {
                Ok(httparse::Status::Complete((line, size))) => break (line, size),
                Ok(httparse::Status::Partial) => fill(wire, pending)?,
                Err(_) => return Err(malformed("a chunk has no size")),
            }
        };
        pending.drain(..line_length);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size.saturating_add(body.len()) > LONGEST_BODY {
            return Err(malformed("the body of the request is too long"));
        }
        body.extend(take(wire, pending, size)?);
        // The line end after the data; after the last chunk, the empty line
        // (no client here sends trailers).
        take(wire, pending, 2)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn take(wire: &mut impl Read, pending: &mut Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    if length > LONGEST_BODY {
        return Err(malformed("the body of the request is too long"));
    }
    while pending.len() < length {
        fill(wire, pending)?;
    }
    Ok(pending.drain(..length).collect())
}

fn fill(wire: &mut impl Read, pending: &mut Vec<u8>) -> io::Result<()> {
    if read_more(wire, pending)? { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn read_more(wire: &mut impl Read, pending: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 8192];
    let count = wire.read(&mut piece)?;
    pending.extend(piece.iter().take(count));
    Ok(count > 0)
}

/// Percent-decoding; in a query a plus is a space.
fn decode(text: &str, in_query: bool) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' if in_query => decoded.push(b' '),
            b'%' => {
                let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                decoded.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            other => decoded.push(other),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Gives one byte for each read, as a slow network may.
    struct Trickle(Cursor<Vec<u8>>);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut buffer[..1])
        }
    }

    impl Write for Trickle {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn two_requests_on_one_connection_keep_their_bodies_apart() {
        let bytes = b"POST /a%2Fb?x=1%3D&y HTTP/1.1\r\nContent-Length: 3\r\n\r\none\
            DELETE /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n";
        let mut wire = Trickle(Cursor::new(bytes.to_vec()));
        let mut pending = Vec::new();

        let first = Request::read(&mut wire, &mut pending).unwrap().unwrap();
        assert_eq!((first.path.as_str(), first.body.as_slice()), ("/a/b", &b"one"[..]));
        assert_eq!(first.query, [("x".into(), "1=".into()), ("y".into(), String::new())]);

        let second = Request::read(&mut wire, &mut pending).unwrap().unwrap();
        assert_eq!((second.method.as_str(), second.body.as_slice()), ("DELETE", &b"two"[..]));
        assert!(Request::read(&mut wire, &mut pending).unwrap().is_none());
    }
}
