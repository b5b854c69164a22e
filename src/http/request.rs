//! A request, as both versions of HTTP send it.

use ureq_proto::http::{HeaderName, HeaderValue, Method};

/// One request.
pub struct Request {
    /// What is done.
    pub method: Method,
    /// What is asked for: path and query; to a proxy (HTTP/1.1 only) the whole URI; for CONNECT host and port.
    pub target: String,
    /// Whom it is for: the header `Host`, or `:authority`.
    pub authority: String,
    /// All headers but that and the length of the body. One that is sensitive is not compressed into any table.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What goes with it.
    pub body: Option<String>,
}

/// By which name the program makes itself known.
pub const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("k8s-spot-handler/", env!("CARGO_PKG_VERSION")));
