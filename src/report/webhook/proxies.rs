//! Through whom which webhook is reached.

use std::net::IpAddr;

use crate::http::address::Address;
use crate::report::webhook::proxy::ProxyUrl;
use crate::report::webhook::url::{Security, WebhookUrl};

/// A proxy for each scheme, and who is reached without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<Named>,
    http: Option<Named>,
    /// `None`: nobody is reached without one.
    except: Option<NoProxy>,
}

/// A proxy, or why the one that is named cannot be used. Whoever named it may mean that nothing leaves
/// the machine past it, so nothing does.
pub type Named = Result<ProxyUrl, String>;

impl Proxies {
    /// This one for every webhook, wherever it is.
    pub fn all(proxy: ProxyUrl) -> Self {
        Self { https: Some(Ok(proxy.clone())), http: Some(Ok(proxy)), except: None }
    }

    /// One for `https://` URLs and one for `http://` URLs, as the environment has them: not for hosts
    /// that `except` names, nor for this machine itself.
    pub fn by_scheme(https: Option<Named>, http: Option<Named>, except: NoProxy) -> Self {
        Self { https, http, except: Some(except) }
    }

    /// The proxy for this URL; `None`: it is reached directly.
    pub(super) fn of(&self, url: &WebhookUrl) -> Result<Option<&ProxyUrl>, String> {
        let named = match url.security() {
            Security::Tls => self.https.as_ref(),
            Security::Plain => self.http.as_ref(),
        };
        let is_excepted = self.except.as_ref().is_some_and(|except| except.names(url.server()));
        named.filter(|_| !is_excepted).map(Result::as_ref).transpose().map_err(String::clone)
    }
}

/// The variable `NO_PROXY`: hosts that are reached without a proxy. It is read as curl and Go's
/// `net/http` read it; where the two differ, so that it names the more. Nothing is resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
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
    /// Reads a list with commas or blanks between its entries. One that is none names nobody.
    pub fn parse(text: &str) -> Self {
        let entries = text.split([',', ' ', '\t', '\n', '\r']).filter(|entry| !entry.is_empty());
        Self(entries.filter_map(Entry::parse).collect())
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

impl Entry {
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
            // What has more colons is an IPv6 address, unless it stands in brackets.
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
    // All 128 bits may be of no matter.
    differ.checked_shr(width(net) - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

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
