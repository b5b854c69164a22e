//! What is asked, from its bytes. Pure.

use httparse::{EMPTY_HEADER, Error, Status};

use crate::report::server::response;

/// A head may have so many bytes, the empty line at its end included.
pub(super) const LONGEST_HEAD: usize = 4096;
/// And so many lines.
const MOST_HEADERS: usize = 64;

/// What the bytes of a head say so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Its end has not come yet.
    More,
    /// It is complete.
    Asked(Asked),
    /// It is refused.
    Refused(response::Status),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// The path, without a query.
    pub(super) path: String,
    /// The headers `Accept`, joined by commas.
    pub(super) accept: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Other,
}

/// `bytes`: all that came, at most [`LONGEST_HEAD`].
pub(super) fn hear(bytes: &[u8]) -> Heard {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) if bytes.len() < LONGEST_HEAD => return Heard::More,
        Ok(Status::Partial) | Err(Error::TooManyHeaders) => {
            return Heard::Refused(response::Status::HeadTooLong);
        }
        Err(_) => return Heard::Refused(response::Status::BadRequest),
    }
    let method = match request.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        _ => Method::Other,
    };
    let accepts = request.headers.iter().filter(|it| it.name.eq_ignore_ascii_case("accept"));
    let accepts: Vec<_> = accepts.map(|it| String::from_utf8_lossy(it.value)).collect();
    let path = path(request.path.unwrap_or_default()).to_owned();
    Heard::Asked(Asked { method, path, accept: accepts.join(",") })
}

/// The path in a request's target (RFC 9112, 3.2): proxies are sent the whole URL.
fn path(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some(("http", rest)) => rest.find('/').map_or("/", |at| rest.get(at..).unwrap_or_default()),
        _ => target,
    };
    path.split_once('?').map_or(path, |(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::server::response::Status::{BadRequest, HeadTooLong};

    fn asked(head: &str) -> Asked {
        match hear(head.as_bytes()) {
            Heard::Asked(asked) => asked,
            other => panic!("{head:?}: {other:?}"),
        }
    }

    #[test]
    fn a_request_is_its_method_its_path_and_what_it_accepts() {
        let head = "GET /metrics?a=/b HTTP/1.1\r\nHost: a:1\r\nACCEPT: text/plain\r\n\
                    accept: */*;q=0.1\r\nX-Accept: no\r\n\r\nand more";
        let accept = "text/plain,*/*;q=0.1".to_owned();
        assert_eq!(asked(head), Asked { method: Method::Get, path: "/metrics".to_owned(), accept });
        for (start, method) in [
            ("GET", Method::Get),
            ("HEAD", Method::Head),
            ("POST", Method::Other),
            ("get", Method::Other),
        ] {
            assert_eq!(asked(&format!("{start} / HTTP/1.0\r\n\r\n")).method, method);
        }
        for (target, path) in [
            ("/", "/"),
            ("http://a:1/metrics?b", "/metrics"),
            ("http://a", "/"),
            ("/a?b=http://c/d", "/a"),
            ("*", "*"),
            ("//a", "//a"),
        ] {
            assert_eq!(
                asked(&format!("GET {target} HTTP/1.1\nHost: a\n\n")).path,
                path,
                "{target}"
            );
        }
    }

    #[test]
    fn the_beginning_of_a_request_wants_more() {
        let head = "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(hear(&head.as_bytes()[..end]), Heard::More, "{end}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused_at_once() {
        for garbage in [
            "\x16\x03\x01\x02\x00",
            "GET / HTTP/2.0\r\n\r\n",
            "GET /\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\n folded: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "SSH-2.0-OpenSSH_9.9\r\n",
            "\0",
        ] {
            assert_eq!(hear(garbage.as_bytes()), Heard::Refused(BadRequest), "{garbage:?}");
        }
    }

    #[test]
    fn a_head_may_be_so_long_and_no_longer() {
        let head = |length: usize| {
            let rest = "GET / HTTP/1.1\r\nA: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(length - rest))
        };
        assert_eq!(asked(&head(LONGEST_HEAD)).path, "/");
        let longer = head(LONGEST_HEAD + 1);
        assert_eq!(hear(&longer.as_bytes()[..LONGEST_HEAD]), Heard::Refused(HeadTooLong));
        let headers = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(count));
        assert_eq!(asked(&headers(MOST_HEADERS)).path, "/");
        let more = headers(MOST_HEADERS + 1);
        assert_eq!(hear(more.as_bytes()), Heard::Refused(HeadTooLong));
    }
}
