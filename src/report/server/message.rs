//! Requests and responses as bytes. Pure.

use httparse::{EMPTY_HEADER, Error};

/// The longest head in bytes, with the empty line at its end.
pub(super) const LONGEST_HEAD: usize = 4096;
/// The most header lines.
const MOST_HEADERS: usize = 64;

/// The result of parsing a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// Its end has not arrived yet.
    Incomplete,
    /// It is complete.
    Complete(PageRequest),
    /// It is rejected.
    Refused(PageStatus),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageRequest {
    pub(super) method: PageMethod,
    /// The path, without a query.
    pub(super) path: String,
    /// The headers `Accept`, joined by commas.
    pub(super) accept: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageMethod {
    Get,
    Head,
    Other,
}

/// `bytes`: all that arrived, at most [`LONGEST_HEAD`].
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD => return Parsed::Incomplete,
        Ok(httparse::Status::Partial) | Err(Error::TooManyHeaders) => {
            return Parsed::Refused(PageStatus::HeadTooLong);
        }
        Err(_) => return Parsed::Refused(PageStatus::BadRequest),
    }
    let method = match request.method {
        Some("GET") => PageMethod::Get,
        Some("HEAD") => PageMethod::Head,
        _ => PageMethod::Other,
    };
    let accepts = request.headers.iter().filter(|it| it.name.eq_ignore_ascii_case("accept"));
    let accepts: Vec<_> = accepts.map(|it| String::from_utf8_lossy(it.value)).collect();
    let path = path(request.path.unwrap_or_default()).to_owned();
    Parsed::Complete(PageRequest { method, path, accept: accepts.join(",") })
}

/// The path in a request target (RFC 9112, 3.2): a proxy is sent the whole URL.
fn path(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some(("http", rest)) => rest.find('/').map_or("/", |at| rest.get(at..).unwrap_or_default()),
        _ => target,
    };
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// The status of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageStatus {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLong,
    Unavailable,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageResponse {
    status: PageStatus,
    content_type: &'static str,
    body: String,
}

impl PageStatus {
    /// The status line without its version, and the body, for people.
    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Ok => ("200 OK", "ok"),
            Self::BadRequest => ("400 Bad Request", "this is no HTTP request"),
            Self::NotFound => ("404 Not Found", "there is nothing at this path"),
            Self::MethodNotAllowed => ("405 Method Not Allowed", "only GET and HEAD are answered"),
            Self::HeadTooLong => {
                ("431 Request Header Fields Too Large", "the request line and headers are too long")
            }
            Self::Unavailable => ("503 Service Unavailable", "not now"),
        }
    }
}

/// In every head, so that a handler that finds its port taken sees that another handler has it.
pub(super) const SERVER: &str = "Server: k8s-spot-handler";

impl PageResponse {
    /// This status, with its text.
    pub(super) fn of(status: PageStatus) -> Self {
        Self::words(status, status.texts().1)
    }

    /// This status, with one line of text.
    pub(super) fn words(status: PageStatus, words: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: format!("{words}\n") }
    }

    /// A page.
    pub(super) fn page(content_type: &'static str, body: String) -> Self {
        Self { status: PageStatus::Ok, content_type, body }
    }

    /// As it is sent; without its body for HEAD.
    pub(super) fn into_bytes(self, with_body: bool) -> Vec<u8> {
        let Self { status, content_type, mut body } = self;
        // RFC 9110, 15.5.6: a 405 lists what is allowed.
        let allow =
            if status == PageStatus::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {}\r\n{SERVER}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}Connection: \
             close\r\n\r\n",
            status.texts().0,
            body.len()
        );
        if !with_body {
            return head.into_bytes();
        }
        // Not into another buffer: a page of metrics has thousands of bytes.
        body.insert_str(0, &head);
        body.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::PageStatus::{BadRequest, HeadTooLong};
    use super::*;

    fn asked(head: &str) -> PageRequest {
        match parse(head.as_bytes()) {
            Parsed::Complete(asked) => asked,
            other => panic!("{head:?}: {other:?}"),
        }
    }

    #[test]
    fn a_request_is_its_method_its_path_and_what_it_accepts() {
        let head = "GET /metrics?a=/b HTTP/1.1\r\nHost: a:1\r\nACCEPT: text/plain\r\n\
                    accept: */*;q=0.1\r\nX-Accept: no\r\n\r\nand more";
        let accept = "text/plain,*/*;q=0.1".to_owned();
        assert_eq!(
            asked(head),
            PageRequest { method: PageMethod::Get, path: "/metrics".to_owned(), accept }
        );
        for (start, method) in [
            ("GET", PageMethod::Get),
            ("HEAD", PageMethod::Head),
            ("POST", PageMethod::Other),
            ("get", PageMethod::Other),
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
            assert_eq!(parse(&head.as_bytes()[..end]), Parsed::Incomplete, "{end}");
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
            assert_eq!(parse(garbage.as_bytes()), Parsed::Refused(BadRequest), "{garbage:?}");
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
        assert_eq!(parse(&longer.as_bytes()[..LONGEST_HEAD]), Parsed::Refused(HeadTooLong));
        let headers = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(count));
        assert_eq!(asked(&headers(MOST_HEADERS)).path, "/");
        let more = headers(MOST_HEADERS + 1);
        assert_eq!(parse(more.as_bytes()), Parsed::Refused(HeadTooLong));
    }

    #[test]
    fn an_answer_is_one_request_s_and_then_the_connection_ends() {
        let text =
            |response: PageResponse, body| String::from_utf8(response.into_bytes(body)).unwrap();
        let head = "HTTP/1.1 405 Method Not Allowed\r\nServer: k8s-spot-handler\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Length: 31\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n";
        assert_eq!(text(PageResponse::of(PageStatus::MethodNotAllowed), false), head);
        assert_eq!(
            text(PageResponse::of(PageStatus::MethodNotAllowed), true),
            format!("{head}only GET and HEAD are answered\n")
        );
        assert_eq!(
            text(PageResponse::page("a/b", "é".to_owned()), true),
            "HTTP/1.1 200 OK\r\nServer: k8s-spot-handler\r\nContent-Type: a/b\r\nContent-Length: \
             2\r\nConnection: close\r\n\r\né"
        );
    }
}
