//! URLs that can be asked: plain HTTP, a name or an address, a port that exists. Pure.

use std::fmt;

use crate::http::address::Address;

/// The metadata service: `http://HOST[:PORT]`. The paths below it are the program's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataUrl(Url);

impl MetadataUrl {
    /// Reads the setting.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that has named the setting and its value.
    /// A path is refused because a wrong one would answer 404 for ever, which reads as "no notice".
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text)?;
        match (url.path.as_str(), &url.query) {
            ("/", None) => Ok(Self(url)),
            _ => Err("only http://HOST[:PORT] may stand here: /latest/… is added".to_owned()),
        }
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
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that has named the setting and its value.
    pub fn parse(text: &str) -> Result<Self, String> {
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
    fn parse(text: &str) -> Result<Self, String> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("only visible ASCII characters may stand in it".to_owned());
        }
        if text.starts_with("https://") {
            return Err("the metadata service is asked over plain http://, not https://".to_owned());
        }
        let rest = text.strip_prefix("http://").ok_or("it must begin with http://")?;
        if rest.contains('#') {
            return Err("a fragment (#…) has no place in it".to_owned());
        }
        let (server, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let (host, server) = parse_server(server)?;
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { host, server, path: path.to_owned(), query })
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

fn parse_server(server: &str) -> Result<(String, Address), String> {
    if server.contains('@') {
        return Err("a user or password has no place in it".to_owned());
    }
    // The colons in brackets are the address's.
    let end = server.rfind(']').map_or(0, |bracket| bracket + 1);
    let (before, after) = server.split_at_checked(end).unwrap_or(("", server));
    if after.matches(':').count() > 1 {
        return Err("an IPv6 address stands in brackets: http://[fd00:ec2::254]".to_owned());
    }
    let (host, port) = match after.split_once(':') {
        Some((host, port)) => (format!("{before}{host}"), parse_port(port)?),
        None => (server.to_owned(), HTTP_PORT),
    };
    match Address::parse(&host, port) {
        // An IPv6 address in its usual form.
        Some(server) if host.starts_with('[') => {
            let host = server.ip().map_or(host, |ip| format!("[{ip}]"));
            Ok((host, server))
        }
        Some(server) => Ok((host.to_ascii_lowercase(), server)),
        None => Err(format!(
            "its host is {host:?}, expected a name, an IPv4 address or an [IPv6 address]"
        )),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(format!("its port is {text:?}, expected 1 to 65535")),
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
            assert_eq!(shown.as_deref(), Ok("http://169.254.169.254"), "{good}");
        }
        let mock = MetadataUrl::parse("http://Metadata-Mock.default.:1338/").unwrap();
        assert_eq!(mock.to_string(), "http://metadata-mock.default.:1338");
        assert_eq!(mock.at("/latest").whole(), "http://metadata-mock.default.:1338/latest");
        for bad in ["http://169.254.169.254/latest", "http://169.254.169.254?a=b"] {
            assert!(MetadataUrl::parse(bad).unwrap_err().contains("is added"), "{bad}");
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
    fn what_cannot_be_asked_is_refused_with_the_reason() {
        for (bad, reason) in [
            ("", "begin with http://"),
            ("169.254.169.254", "begin with http://"),
            ("HTTP://a", "begin with http://"),
            ("https://a", "not https://"),
            ("http://", "its host is \"\""),
            ("http:///path", "its host is \"\""),
            ("http://a..b", "its host is"),
            ("http://a%2eb", "its host is"),
            ("http://169.254.169.2544", "its host is"),
            ("http://169.254.169", "its host is"),
            ("http://2852039166", "its host is"),
            ("http://169.254.169.254.", "its host is"),
            ("http://a:", "its port is \"\""),
            ("http://a:0", "its port is \"0\""),
            ("http://a:65536", "its port is \"65536\""),
            ("http://a:+80", "its port is \"+80\""),
            ("http://a:http", "its port is \"http\""),
            ("http://fd00:ec2::254/", "an IPv6 address stands in brackets"),
            ("http://fd00:ec2::254", "an IPv6 address stands in brackets"),
            ("http://[fd00:ec2::254", "an IPv6 address stands in brackets"),
            ("http://[fe80::1%eth0]", "its host is"),
            ("http://[fd00:ec2::254]a", "its host is"),
            ("http://[fd00:ec2::254]:", "its port is \"\""),
            ("http://[fd00:ec2::254]:0", "its port is \"0\""),
            ("http://[fd00:ec2::254]1:80", "its host is"),
            ("http://a[fd00:ec2::254]", "its host is"),
            ("http://[169.254.169.254]", "its host is"),
            ("http://[]", "its host is"),
            ("http://]", "its host is"),
            ("http://user:secret@a", "password"),
            ("http://a/b#c", "fragment"),
            ("http://a/b c", "visible ASCII"),
            ("http://a/b\r\nX: y", "visible ASCII"),
            ("http://ä/", "visible ASCII"),
        ] {
            let why = NoticeUrl::parse(bad).unwrap_err();
            assert!(why.contains(reason), "{bad:?}: {why}");
            assert!(!why.contains("secret"), "{why}");
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
