//! What is answered, as bytes. Pure.

/// An HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLong,
    Unavailable,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    status: Status,
    content_type: &'static str,
    body: String,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::HeadTooLong => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }

    /// For who reads it.
    fn words(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::BadRequest => "this is no HTTP request",
            Self::NotFound => "there is nothing at this path",
            Self::MethodNotAllowed => "only GET and HEAD are answered",
            Self::HeadTooLong => "the request line and headers are too long",
            Self::Unavailable => "not now",
        }
    }

    /// Headers that go with it (RFC 9110, 15.5.6: a 405 says what is allowed).
    fn headers(self) -> &'static str {
        match self {
            Self::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        }
    }
}

/// Who answers, in every head: whoever finds the port taken can tell by whom.
pub(super) const SERVER: &str = "Server: k8s-spot-handler";

impl Response {
    /// This status, in words.
    pub(super) fn of(status: Status) -> Self {
        Self::words(status, status.words())
    }

    /// This status, with one line of text.
    pub(super) fn words(status: Status, words: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: format!("{words}\n") }
    }

    /// A page.
    pub(super) fn page(content_type: &'static str, body: String) -> Self {
        Self { status: Status::Ok, content_type, body }
    }

    /// As it is sent; without its body in answer to a HEAD.
    pub(super) fn into_bytes(self, with_body: bool) -> Vec<u8> {
        let Self { status, content_type, mut body } = self;
        let head = format!(
            "HTTP/1.1 {}\r\n{SERVER}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{}Connection: \
             close\r\n\r\n",
            status.line(),
            body.len(),
            status.headers()
        );
        if !with_body {
            return head.into_bytes();
        }
        // Not into another buffer: a page of metrics is thousands of bytes.
        body.insert_str(0, &head);
        body.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_request_s_and_then_the_connection_ends() {
        let text = |response: Response, body| String::from_utf8(response.into_bytes(body)).unwrap();
        let head = "HTTP/1.1 405 Method Not Allowed\r\nServer: k8s-spot-handler\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Length: 31\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n";
        assert_eq!(text(Response::of(Status::MethodNotAllowed), false), head);
        assert_eq!(
            text(Response::of(Status::MethodNotAllowed), true),
            format!("{head}only GET and HEAD are answered\n")
        );
        assert_eq!(
            text(Response::page("a/b", "é".to_owned()), true),
            "HTTP/1.1 200 OK\r\nServer: k8s-spot-handler\r\nContent-Type: a/b\r\nContent-Length: \
             2\r\nConnection: close\r\n\r\né"
        );
    }
}
