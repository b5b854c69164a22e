//! A request, and its bytes.

use ureq_proto::Error;
use ureq_proto::client::state::RecvResponse;
use ureq_proto::client::{Call, SendRequestResult};
use ureq_proto::http::{self, HeaderMap, HeaderValue, Method, Uri, header};

use crate::http::failure::Failure;

/// One request.
pub struct Request<'a> {
    /// What is done.
    pub method: Method,
    /// What is asked for, written as it is named here: a path alone (to the server itself), with
    /// scheme and authority before it (to a proxy), or an authority alone (CONNECT).
    pub target: Uri,
    /// All headers but the length of the body. (`append` is in the binary anyway, `insert` would be
    /// 2 kB more.)
    pub headers: HeaderMap,
    /// What goes with it.
    pub body: Option<&'a [u8]>,
}

impl Request<'_> {
    /// The whole request in one piece, and what waits for its answer.
    #[inline(never)]
    pub(super) fn write(self) -> Result<(Vec<u8>, Call<RecvResponse>), Error> {
        let mut bytes = vec![0; self.room()];
        let origin = origin_of(&self.target);
        let body = self.body;
        let mut call = Call::new(self.head())?;
        if body.is_some() {
            // Not every method has one by itself: DELETE.
            call.force_send_body();
        }
        let mut call = call.proceed();
        let mut length = call.write(&mut bytes)?;
        let call = match call.proceed()? {
            Some(SendRequestResult::RecvResponse(call)) => Some(call),
            Some(SendRequestResult::SendBody(mut call)) => {
                let room = bytes.get_mut(length..).unwrap_or_default();
                let (_, written) = call.write(body.unwrap_or_default(), room)?;
                length += written;
                call.proceed()
            }
            Some(SendRequestResult::Await100(_)) | None => None,
        };
        bytes.truncate(length);
        if let Some(origin) = origin {
            bytes = with_origin(&bytes, &origin);
        }
        call.map(|call| (bytes, call)).ok_or(Error::OutputOverflow)
    }

    /// Enough bytes for it.
    fn room(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize =
            headers.map(|(name, value)| name.as_str().len() + value.len() + SEPARATORS).sum();
        let target = self.target.path_and_query().map_or(0, |path| path.as_str().len())
            + self.target.authority().map_or(0, |authority| authority.as_str().len());
        headers + target + self.body.map_or(0, <[u8]>::len) + FURTHER
    }

    fn head(self) -> http::Request<()> {
        let mut head = http::Request::new(());
        *head.method_mut() = self.method;
        *head.uri_mut() = self.target;
        *head.headers_mut() = self.headers;
        if let Some(body) = self.body {
            head.headers_mut().append(header::CONTENT_LENGTH, body.len().into());
        }
        head
    }
}

/// By which name the program makes itself known.
pub const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("k8s-spot-handler/", env!("CARGO_PKG_VERSION")));

/// A text as the value of a header.
#[inline(never)]
pub fn header_value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text).map_err(|e| Failure::Unsendable(e.to_string()))
}

/// Bytes that stand between a header's name and its value, and after it.
const SEPARATORS: usize = 4;

/// Bytes of a request that are neither target nor given headers nor body: method, version, the
/// length of the body, the empty line.
const FURTHER: usize = 128;

/// Scheme and authority, if both are named.
fn origin_of(target: &Uri) -> Option<String> {
    Some(format!("{}://{}", target.scheme_str()?, target.authority()?))
}

/// ureq-proto writes the path alone.
fn with_origin(request: &[u8], origin: &str) -> Vec<u8> {
    let target = request.iter().position(|byte| *byte == b' ').map_or(0, |space| space + 1);
    let (method, rest) = request.split_at_checked(target).unwrap_or((request, &[]));
    [method, origin.as_bytes(), rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(method: Method, target: &str, body: Option<&'a str>) -> Request<'a> {
        let headers =
            HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a.example:8080"))]);
        let body = body.map(str::as_bytes);
        Request { method, target: target.parse().unwrap(), headers, body }
    }

    fn written(request: Request<'_>) -> String {
        String::from_utf8(request.write().unwrap().0).unwrap()
    }

    #[test]
    fn what_is_asked_for_is_written_as_it_is_named() {
        for (named, target) in [
            ("/a/b?c=d", "/a/b?c=d"),
            ("http://a.example:8080/a/b?c=d", "http://a.example:8080/a/b?c=d"),
            ("http://[::1]:8080?c=d", "http://[::1]:8080/?c=d"),
            ("https://a.example", "https://a.example/"),
        ] {
            assert_eq!(
                written(request(Method::GET, named, None)),
                format!("GET {target} HTTP/1.1\r\nhost: a.example:8080\r\n\r\n")
            );
            assert_eq!(
                written(request(Method::POST, named, Some("body"))),
                format!(
                    "POST {target} HTTP/1.1\r\nhost: a.example:8080\r\n\
                     content-length: 4\r\n\r\nbody"
                )
            );
        }
        assert_eq!(
            written(request(Method::CONNECT, "[::1]:443", None)),
            "CONNECT [::1]:443 HTTP/1.1\r\nhost: a.example:8080\r\n\r\n"
        );
    }

    #[test]
    fn a_body_may_be_empty_and_a_head_long() {
        let empty = written(request(Method::POST, "/", Some("")));
        assert!(empty.ends_with("content-length: 0\r\n\r\n"), "{empty}");
        let long = "a".repeat(20_000);
        let value = HeaderValue::from_str(&long).unwrap();
        let mut request = request(Method::POST, &format!("/{long}"), Some(&long));
        for name in [header::ACCEPT, header::COOKIE, header::COOKIE] {
            request.headers.append(name, value.clone());
        }
        let written = written(request);
        assert_eq!(written.matches(&long).count(), 5);
        assert!(written.ends_with(&format!("\r\n\r\n{long}")));
    }

    #[test]
    fn what_would_wait_for_leave_to_send_its_body_is_refused() {
        let mut request = request(Method::POST, "/", Some("a"));
        request.headers.append(header::EXPECT, HeaderValue::from_static("100-continue"));
        assert!(request.write().is_err());
    }
}
