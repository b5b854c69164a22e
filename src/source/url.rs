//! URLs that can be asked: plain HTTP, a name or an address, a port that exists. Pure.

use std::fmt;
use std::net::IpAddr;

use ureq_proto::http::uri::Authority;

use crate::http::address::{Address, server_of};

/// The metadata service: `http://HOST[:PORT]`. The paths below it are the program's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataUrl(Url);

impl MetadataUrl {
    /// Reads the setting. A path is refused because a wrong one would answer 404 for ever, which reads as "no
    /// notice".
    pub fn parse(text: &str) -> Option<Self> {
        Url::parse(text).filter(|url| url.path == "/" && url.query.is_none()).map(Self)
    }

    /// The URL of `path`, which starts with `/`.
    pub(super) fn at(&self, path: &str) -> Url {
        Url { path: path.to_owned(), ..self.0.clone() }
    }
}

impl fmt::Display for MetadataUrl {
    /// Without the final slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0.authority())
    }
}

/// One more place where a notice may stand: `http://HOST[:PORT]/PATH[?QUERY]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeUrl(pub(super) Url);

impl NoticeUrl {
    /// Reads the setting.
    pub fn parse(text: &str) -> Option<Self> {
        Url::parse(text).map(Self)
    }
}

impl fmt::Display for NoticeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The URL of one request.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// In lower case. Of a name its final dot says that no search domain is to be added, which `server` does not
    /// keep.
    host: String,
    server: Address,
    /// Starts with `/`.
    path: String,
    /// Without its `?`. May hold a password of the operator's, so it is never shown.
    query: Option<String>,
}

const HTTP_PORT: u16 = 80;

impl Url {
    /// `None` if it is not plain HTTP, holds a user or a fragment, or anything but visible ASCII.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        if rest.contains('#') || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority: Authority = authority.parse().ok().filter(|_| !authority.contains('@'))?;
        let server = server_of(&authority, HTTP_PORT).ok()?;
        let host = match server.ip() {
            // In its usual form.
            Some(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => authority.host().to_ascii_lowercase(),
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let path = if path.is_empty() { "/" } else { path };
        Some(Self { host, server, path: path.to_owned(), query })
    }

    /// With its query.
    pub(super) fn whole(&self) -> String {
        format!("http://{}{}", self.authority(), self.target())
    }

    pub(super) fn server(&self) -> &Address {
        &self.server
    }

    /// Host and port, if the host is a name that has to be resolved.
    pub(super) fn name(&self) -> Option<(&str, u16)> {
        self.server.ip().is_none().then_some((self.host.as_str(), self.server.port()))
    }

    /// Host and port, as the header `Host` has them.
    pub(super) fn authority(&self) -> String {
        match self.server.port() {
            HTTP_PORT => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// Path and query, as a request line has them.
    pub(super) fn target(&self) -> String {
        let query = self.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
        format!("{}{query}", self.path)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether both are the same host and port, so that what one gave may be shown to the other.
    pub(super) fn is_on(&self, service: &MetadataUrl) -> bool {
        self.host == service.0.host && self.server.port() == service.0.server.port()
    }
}

impl fmt::Display for Url {
    /// With `?…` in place of a query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = if self.query.is_some() { "?…" } else { "" };
        write!(f, "http://{}{}{query}", self.authority(), self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metadata_url_is_a_server_and_nothing_else() {
        for good in
            ["http://169.254.169.254", "http://169.254.169.254/", "http://169.254.169.254:80"]
        {
            let shown = MetadataUrl::parse(good).map(|url| url.to_string());
            assert_eq!(shown.as_deref(), Some("http://169.254.169.254"), "{good}");
        }
        let mock = MetadataUrl::parse("http://Metadata-Mock.default.:1338/").unwrap();
        assert_eq!(mock.to_string(), "http://metadata-mock.default.:1338");
        assert_eq!(mock.at("/latest").whole(), "http://metadata-mock.default.:1338/latest");
        for bad in ["http://169.254.169.254/latest", "http://169.254.169.254?a=b"] {
            assert_eq!(MetadataUrl::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        for (text, shown, socket) in [
            ("http://[fd00:ec2::254]", "http://[fd00:ec2::254]", "[fd00:ec2::254]:80"),
            ("http://[FD00:0EC2:0::254]:80/", "http://[fd00:ec2::254]", "[fd00:ec2::254]:80"),
            ("http://[::1]:1338", "http://[::1]:1338", "[::1]:1338"),
        ] {
            let url = MetadataUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            let url = url.at("/latest");
            let socket: std::net::SocketAddr = socket.parse().unwrap();
            assert_eq!(url.server().ip(), Some(socket.ip()));
            assert_eq!((url.server().port(), url.name()), (socket.port(), None));
            assert_eq!(url.target(), "/latest");
            assert_eq!(format!("http://{}", url.authority()), shown);
        }
        let by_name = NoticeUrl::parse("http://a:81/b?c").unwrap().0;
        assert_eq!((by_name.server().ip(), by_name.name()), (None, Some(("a", 81))));
        assert_eq!((by_name.authority(), by_name.target()), ("a:81".to_owned(), "/b?c".to_owned()));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for bad in [
            "",
            "169.254.169.254",
            "HTTP://a",
            "https://a",
            "http://",
            "http:///path",
            "http://a..b",
            "http://a%2eb",
            "http://169.254.169.2544",
            "http://169.254.169",
            "http://2852039166",
            "http://169.254.169.254.",
            "http://a:",
            "http://a:0",
            "http://a:65536",
            "http://a:+80",
            "http://a:http",
            "http://fd00:ec2::254/",
            "http://fd00:ec2::254",
            "http://[fd00:ec2::254",
            "http://[fe80::1%eth0]",
            "http://[fd00:ec2::254]a",
            "http://[fd00:ec2::254]:",
            "http://[fd00:ec2::254]:0",
            "http://[fd00:ec2::254]1:80",
            "http://a[fd00:ec2::254]",
            "http://[169.254.169.254]",
            "http://[]",
            "http://]",
            "http://user:secret@a",
            "http://a/b#c",
            "http://a/b c",
            "http://a/b\r\nX: y",
            "http://ä/",
            "http://a\r\n/b",
        ] {
            assert_eq!(NoticeUrl::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_query_is_sent_but_never_shown() {
        let url = NoticeUrl::parse("http://notices.example?key=geheim").unwrap();
        assert_eq!(url.0.whole(), "http://notices.example/?key=geheim");
        assert_eq!(url.to_string(), "http://notices.example/?…");
        assert!(!format!("{url:?}").contains("geheim"));
    }

    #[test]
    fn only_the_same_host_and_port_are_the_same_server() {
        let service = MetadataUrl::parse("http://Imds:1338").unwrap();
        let is_same = |url: &str| NoticeUrl::parse(url).unwrap().0.is_on(&service);
        assert!(is_same("http://imds:1338/latest/meta-data/spot/termination-time"));
        assert!(!is_same("http://imds/latest/meta-data/spot/termination-time"));
        assert!(!is_same("http://imds.example:1338/"));
    }
}
