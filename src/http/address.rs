//! Where a server is.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use rustls::pki_types::ServerName;
use ureq_proto::http::Uri;
use ureq_proto::http::uri::{Authority, Scheme};

/// Host and port of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host: what its certificate must be for.
    host: ServerName<'static>,
    port: u16,
}

impl Address {
    /// Takes a DNS name or a literal address, an IPv6 one with or without brackets. `None` if it
    /// is neither.
    pub fn parse(host: &str, port: u16) -> Option<Self> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bare {
            Some(v6) => ServerName::from(IpAddr::V6(v6.parse().ok()?)),
            None => ServerName::try_from(host.to_owned()).ok()?,
        };
        Some(Self { host, port })
    }

    /// What the certificate must be for.
    pub fn host(&self) -> &ServerName<'static> {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, where the host is a literal one.
    pub fn ip(&self) -> Option<IpAddr> {
        match &self.host {
            ServerName::IpAddress(ip) => Some(IpAddr::from(*ip)),
            _ => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().into(), port: address.port() }
    }
}

impl fmt::Display for Address {
    /// As a URL has it, and the `Host` header: `10.0.0.1:443`, `[::1]:6443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(IpAddr::V6(v6)) => write!(f, "[{v6}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host.to_str(), self.port),
        }
    }
}

/// A URI that names scheme and server, with both.
pub fn absolute(text: &str) -> Option<(Uri, Scheme, Authority)> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme()?.clone(), uri.authority()?.clone());
    Some((uri, scheme, authority))
}

/// Host and port of an authority, with `default` where it names no port; user and password are passed over.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub fn server_of(authority: &Authority, default: u16) -> Result<Address, &'static str> {
    let text = authority.as_str();
    let text = text.rsplit_once('@').map_or(text, |(_, server)| server);
    let port = match text.strip_prefix(authority.host()) {
        Some("") => default,
        Some(rest) => port(rest).ok_or("its port must be a number from 1 to 65535")?,
        None => return Err(NO_HOST),
    };
    Address::parse(authority.host(), port).ok_or(NO_HOST)
}

const NO_HOST: &str = "its host must be a name, an IPv4 address or an [IPv6 address]";

/// What follows a host.
fn port(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(':')?;
    let port = digits.parse().ok()?;
    (port != 0 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str) -> String {
        Address::parse(host, 6443).map_or_else(|| "none".to_owned(), |a| a.to_string())
    }

    #[test]
    fn an_address_is_shown_as_in_a_url() {
        assert_eq!(address("10.0.0.1"), "10.0.0.1:6443");
        assert_eq!(address("fd00:10::1"), "[fd00:10::1]:6443");
        assert_eq!(address("[::1]"), "[::1]:6443");
        assert_eq!(address("kubernetes.default.svc"), "kubernetes.default.svc:6443");
        for wrong in ["", "[", "[10.0.0.1]", "[::1", "a b", "https://a", "a:443", "a/b"] {
            assert_eq!(address(wrong), "none", "{wrong}");
        }
    }

    #[test]
    fn a_literal_address_is_not_looked_up() {
        let ip = |host| Address::parse(host, 1).unwrap().ip();
        assert_eq!(ip("[fd00::1]"), Some("fd00::1".parse().unwrap()));
        assert_eq!(ip("10.0.0.1"), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(ip("localhost"), None);
    }
}
