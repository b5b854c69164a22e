//! Proxies, and which of them is used for which URL.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ureq_proto::http::HeaderValue;
use ureq_proto::http::uri::Scheme;

use crate::http::address::{Address, absolute, server_of};
use crate::webhook::url::{HTTP_PORT, Security, WebhookUrl, visible};

/// A proxy: `http://[USER:PASSWORD@]HOST[:PORT]`, or with `tcp://`, which means the same. User and
/// password are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    server: Address,
    /// The header `Proxy-Authorization`.
    authorization: Option<HeaderValue>,
}

impl ProxyUrl {
    /// Reads the setting; white space around it is allowed. User and password are percent-encoded.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that has named the setting. Nothing of the
    /// address is in it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (uri, authority) = match absolute(visible(text)?) {
            // The second is what the help of aws-node-termination-handler advises.
            Some((uri, scheme, authority))
                if scheme == Scheme::HTTP || scheme.as_str() == "tcp" =>
            {
                (uri, authority)
            }
            Some((_, scheme, _)) if scheme == Scheme::HTTPS => {
                return Err("a proxy is spoken to over http://, not https://. What goes through \
                            it to an https:// address is encrypted from end to end");
            }
            _ => return Err("it must be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"),
        };
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err("a path or query has no place in it");
        }
        let authorization = match authority.as_str().rsplit_once('@') {
            None => None,
            Some((user, _)) => Some(basic(user).ok_or(
                "its user and password cannot be read: what is no letter, digit, `-`, `.`, `_` or \
                 `~` must stand percent-encoded in them",
            )?),
        };
        Ok(Self { server: server_of(&authority, HTTP_PORT)?, authorization })
    }

    pub(crate) fn server(&self) -> &Address {
        &self.server
    }

    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

impl fmt::Display for ProxyUrl {
    /// Host and port: `http://proxy.example:3128`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.server)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The credentials of a URL as a header (RFC 7617).
fn basic(credentials: &str) -> Option<HeaderValue> {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (user, password) = (decoded(user)?, decoded(password)?);
    // The password begins at the first colon.
    if user.contains(&b':') {
        return None;
    }
    let credentials = STANDARD.encode([user.as_slice(), b":", &password].concat());
    let mut header = HeaderValue::try_from(format!("Basic {credentials}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// A part of a URL without its percent-encoding (RFC 3986).
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let digit = |digit: &u8| char::from(*digit).is_ascii_hexdigit();
        if !digits.as_bytes().iter().all(digit) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Some(bytes)
}

/// A proxy for each scheme, and the hosts that are reached without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<Named>,
    http: Option<Named>,
    /// `None`: no host is reached without one.
    except: Option<NoProxy>,
}

/// A proxy, or why it cannot be used. Then nothing is sent that would have to go through it: it may be
/// meant as the only way out.
pub type Named = Result<ProxyUrl, String>;

impl Proxies {
    /// This one for every webhook.
    pub fn all(proxy: ProxyUrl) -> Self {
        Self { https: Some(Ok(proxy.clone())), http: Some(Ok(proxy)), except: None }
    }

    /// One for `https://` URLs and one for `http://` URLs, as in the environment: not for the hosts of
    /// `except`, nor for this machine itself.
    pub fn by_scheme(https: Option<Named>, http: Option<Named>, except: NoProxy) -> Self {
        Self { https, http, except: Some(except) }
    }

    /// The proxy for this URL; `None`: it is reached directly.
    pub(crate) fn of(&self, url: &WebhookUrl) -> Result<Option<&ProxyUrl>, String> {
        let named = match url.security() {
            Security::Tls => self.https.as_ref(),
            Security::Plain => self.http.as_ref(),
        };
        let is_excepted = self.except.as_ref().is_some_and(|except| except.names(url.server()));
        named.filter(|_| !is_excepted).map(Result::as_ref).transpose().map_err(String::clone)
    }
}

/// The variable `NO_PROXY`: hosts that are reached without a proxy. It is read as by curl and Go's
/// `net/http`; where these differ, as the one that matches more. Names are not resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// `*`
    All,
    /// `10.0.0.0/8`, `fd00::/8`
    Net { ip: IpAddr, bits: u32 },
    /// `10.0.0.1`, `[fd00::1]:8443`
    Ip { ip: IpAddr, port: Option<u16> },
    /// `example.com` and `.example.com`: the domain and all below it. `*.example.com`: those below it.
    Domain { name: String, itself: bool, port: Option<u16> },
}

impl NoProxy {
    /// Reads a list separated by commas or blanks. What is no valid pattern matches nothing.
    pub fn parse(text: &str) -> Self {
        let entries = text.split([',', ' ', '\t', '\n', '\r']).filter(|entry| !entry.is_empty());
        Self(entries.filter_map(Pattern::parse).collect())
    }

    /// Whether this server is reached without a proxy. The machine itself always is.
    fn names(&self, server: &Address) -> bool {
        let host = server.host().to_str().to_ascii_lowercase();
        let host = host.trim_end_matches('.');
        let ip = server.ip().map(|ip| ip.to_canonical());
        let is_own = host == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
        is_own || self.0.iter().any(|entry| entry.names(host, ip, server.port()))
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((ip, bits)) = text.split_once('/') {
            let ip: IpAddr = ip.parse().ok()?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(ip))?;
            return Some(Self::Net { ip, bits });
        }
        let (host, port) = match text.rsplit_once(':') {
            // More colons without brackets are an IPv6 address.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().ok()?))
            }
            _ => (text, None),
        };
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(host).parse::<IpAddr>() {
            return Some(Self::Ip { ip: ip.to_canonical(), port });
        }
        let below = host.strip_prefix("*.");
        let name = below.or_else(|| host.strip_prefix('.')).unwrap_or(host);
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        (!name.is_empty()).then(|| Self::Domain { name, itself: below.is_none(), port })
    }

    fn names(&self, host: &str, ip: Option<IpAddr>, at: u16) -> bool {
        let is_at = |port: &Option<u16>| port.is_none_or(|port| port == at);
        match self {
            Self::All => true,
            Self::Net { ip: net, bits } => ip.is_some_and(|ip| is_in(ip, *net, *bits)),
            Self::Ip { ip: known, port } => ip == Some(*known) && is_at(port),
            Self::Domain { name, itself, port } => {
                let rest = host.strip_suffix(name.as_str());
                let is_below = rest.is_some_and(|rest| rest.ends_with('.'));
                (is_below || *itself && rest == Some("")) && is_at(port)
            }
        }
    }
}

fn width(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// Whether the first `bits` of both are the same.
fn is_in(ip: IpAddr, net: IpAddr, bits: u32) -> bool {
    let differ = match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => u128::from(ip.to_bits() ^ net.to_bits()),
        (IpAddr::V6(ip), IpAddr::V6(net)) => ip.to_bits() ^ net.to_bits(),
        _ => return false,
    };
    // A network may have a prefix of 0 bits.
    differ.checked_shr(width(net) - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(url: &str) -> Option<String> {
        let proxy = ProxyUrl::parse(url).unwrap();
        let header = proxy.authorization()?.to_str().unwrap().to_owned();
        let decoded = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
        Some(String::from_utf8(decoded).unwrap())
    }

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        for (text, shown) in [
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            ("http://proxy.example/\n", "http://proxy.example:80"),
            ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
            ("tcp://proxy.example:3128", "http://proxy.example:3128"),
            ("http://geheim:geheim@proxy.example:3128/", "http://proxy.example:3128"),
        ] {
            let proxy = ProxyUrl::parse(text).unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert_eq!(format!("{proxy:?}"), shown);
            assert!(!format!("{:?}", proxy.authorization()).contains("Basic"));
        }
    }

    #[test]
    fn user_and_password_are_decoded() {
        let of = |user: &str| credentials(&format!("http://{user}@p:3128"));
        assert_eq!(credentials("http://p:3128"), None);
        assert_eq!(of("u:p").as_deref(), Some("u:p"));
        assert_eq!(of("u").as_deref(), Some("u:"));
        assert_eq!(of("u:").as_deref(), Some("u:"));
        assert_eq!(of("u:a:b").as_deref(), Some("u:a:b"));
        assert_eq!(of("D%5Cu:p%40%3A%2f%25%c3%a9").as_deref(), Some("D\\u:p@:/%é"));
    }

    #[test]
    fn what_is_no_proxy_is_refused_with_the_reason_and_without_a_secret() {
        for (bad, reason) in [
            ("", "it must be http://"),
            ("proxy.example:3128", "it must be http://"),
            ("socks5://proxy.example:1080", "it must be http://"),
            ("https://u:geheim@proxy.example:3128", "not https://"),
            ("http://u:geheim@proxy.example:3128/geheim", "path"),
            ("http://proxy.example:3128?geheim", "path"),
            ("http://u:geheim@proxy.example:", "port"),
            ("http://u:geheim@proxy..example:3128", "host"),
            ("http://u:geheim%4@proxy.example:3128", "percent-encoded"),
            ("http://u:geheim%+4@proxy.example:3128", "percent-encoded"),
            ("http://u%3Av:geheim@proxy.example:3128", "percent-encoded"),
            ("http://u:ge heim@proxy.example:3128", "visible ASCII"),
        ] {
            let why = ProxyUrl::parse(bad).unwrap_err();
            assert!(why.contains(reason), "{bad:?}: {why}");
        }
    }

    fn proxies(no_proxy: &str) -> Proxies {
        let proxy = |text| Some(Ok(ProxyUrl::parse(text).unwrap()));
        let (https, http) = (proxy("http://secure:1"), proxy("http://plain:2"));
        Proxies::by_scheme(https, http, NoProxy::parse(no_proxy))
    }

    fn of(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.of(&WebhookUrl::parse(url).unwrap()).unwrap().map(ToString::to_string)
    }

    #[test]
    fn each_scheme_has_its_own() {
        let both = proxies("");
        assert_eq!(of(&both, "https://hooks.example/a").as_deref(), Some("http://secure:1"));
        assert_eq!(of(&both, "http://hooks.example/a").as_deref(), Some("http://plain:2"));
        let one = Proxies::by_scheme(None, both.http.clone(), NoProxy::default());
        assert_eq!(of(&one, "https://hooks.example/a"), None);
        assert_eq!(of(&Proxies::default(), "https://hooks.example/a"), None);
    }

    #[test]
    fn nothing_goes_past_one_that_cannot_be_used() {
        let bad = Some(Err("HTTPS_PROXY: not this one".to_owned()));
        let proxies = Proxies::by_scheme(bad, None, NoProxy::parse("direct.example"));
        let of = |url: &str| proxies.of(&WebhookUrl::parse(url).unwrap());
        assert_eq!(of("https://hooks.example/a"), Err("HTTPS_PROXY: not this one".to_owned()));
        assert_eq!(of("https://direct.example/a"), Ok(None));
        assert_eq!(of("http://hooks.example/a"), Ok(None));
    }

    #[test]
    fn the_one_for_all_is_for_this_machine_too() {
        let all = Proxies::all(ProxyUrl::parse("http://proxy:1").unwrap());
        for url in ["https://hooks.example", "http://hooks.example", "https://127.0.0.1:1"] {
            assert_eq!(of(&all, url).as_deref(), Some("http://proxy:1"), "{url}");
        }
    }

    #[test]
    fn who_is_reached_without_a_proxy() {
        for (no_proxy, direct, proxied) in [
            // This machine, whatever is said.
            (
                "",
                &["http://localhost", "https://LOCALHOST:1", "http://127.9.9.9", "http://[::1]:8"]
                    [..],
                &["https://a.example", "http://localhost.example", "http://128.0.0.1"][..],
            ),
            ("*", &["https://a.example", "http://10.0.0.1", "https://[fd00::1]"], &[]),
            ("b.example, *", &["https://a.example"], &[]),
            (
                "example.com",
                &["https://example.com", "https://EXAMPLE.com:8443", "http://a.b.example.com"],
                &["https://nonexample.com", "https://example.com.evil", "https://example.org"],
            ),
            // Go leaves the domain itself to the proxy, curl does not.
            (
                ".example.com",
                &["https://example.com", "https://a.example.com"],
                &["https://nonexample.com"],
            ),
            (
                "*.example.com",
                &["https://a.example.com"],
                &["https://example.com", "https://nonexample.com"],
            ),
            ("Example.COM.", &["https://a.example.com"], &[]),
            (
                "example.com:8443",
                &["https://a.example.com:8443"],
                &["https://a.example.com", "https://example.com:443"],
            ),
            ("example.com:443", &["https://example.com"], &["http://example.com"]),
            (
                "10.0.0.1",
                &["http://10.0.0.1", "https://10.0.0.1:8443", "http://[::ffff:10.0.0.1]"],
                &["http://10.0.0.10", "http://10.0.0.1.example"],
            ),
            ("10.0.0.1:80", &["http://10.0.0.1"], &["https://10.0.0.1"]),
            ("fd00::1", &["http://[fd00::1]:8080"], &["http://[fd00::2]"]),
            ("[fd00::1]", &["http://[fd00::1]"], &[]),
            ("[fd00::1]:443", &["https://[fd00::1]"], &["http://[fd00::1]"]),
            ("10.0.0.0/8", &["http://10.255.0.1"], &["http://11.0.0.1", "http://[fd00::1]"]),
            ("10.1.2.3/31", &["http://10.1.2.2"], &["http://10.1.2.4"]),
            ("10.1.2.3/32", &["http://10.1.2.3"], &["http://10.1.2.2"]),
            ("0.0.0.0/0", &["http://11.0.0.1"], &["http://[fd00::1]", "http://a.example"]),
            ("fd00::/8", &["http://[fdff::1]"], &["http://[fe00::1]", "http://10.0.0.1"]),
            ("::/0", &["http://[fe00::1]"], &["http://10.0.0.1"]),
            // Names are not resolved.
            ("10.0.0.0/8", &[], &["http://a.example"]),
            (
                "a.example b.example\tc.example,,d.example",
                &[
                    "https://a.example",
                    "https://b.example",
                    "https://c.example",
                    "https://d.example",
                ],
                &["https://e.example"],
            ),
            // What is no entry names nobody, and spoils no other.
            (
                "10.0.0.0/33,10.0.0.0/x,a/8,:80,.,*.,example.com:port,[,b.example",
                &["https://b.example"],
                &["http://10.0.0.1", "https://example.com", "https://a.example"],
            ),
        ] {
            let proxies = proxies(no_proxy);
            for url in direct {
                assert_eq!(of(&proxies, url), None, "{no_proxy:?} {url}");
            }
            for url in proxied {
                assert!(of(&proxies, url).is_some(), "{no_proxy:?} {url}");
            }
        }
    }
}
