//! The address of a webhook.

use std::fmt;

use ureq_proto::http::Uri;
use ureq_proto::http::uri::Scheme;

use crate::http::address::{Address, absolute, server_of};

/// The address of a webhook: `https://HOST[:PORT]/PATH[?QUERY]`, or `http://…`. Its path is a
/// secret as a rule, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    uri: Uri,
    server: Address,
    security: Security,
}

/// With TLS or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    Tls,
}

impl WebhookUrl {
    /// Reads the setting; white space around it is allowed.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that has named the setting. It contains nothing of the
    /// address.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = visible(text)?;
        if text.contains('#') {
            return Err("a fragment (#…) has no place in it");
        }
        let (security, uri, authority) = match absolute(text) {
            Some((uri, scheme, authority)) if scheme == Scheme::HTTPS => {
                (Security::Tls, uri, authority)
            }
            Some((uri, scheme, authority)) if scheme == Scheme::HTTP => {
                (Security::Plain, uri, authority)
            }
            _ => return Err("it must be https://HOST/PATH, or http://HOST/PATH"),
        };
        if authority.as_str().contains('@') {
            return Err("a user or password has no place in it");
        }
        let server = server_of(&authority, security.default_port())?;
        Ok(Self { uri, server, security })
    }

    /// With one more parameter in the query; `None` if the result is no URL.
    pub fn with_query(&self, name: &str, value: &str) -> Option<Self> {
        let before = if self.uri.query().is_some() { '&' } else { '?' };
        Self::parse(&format!("{}{before}{name}={value}", self.uri)).ok()
    }

    /// The server.
    pub(crate) fn server(&self) -> &Address {
        &self.server
    }

    pub(crate) fn security(&self) -> Security {
        self.security
    }

    /// The request target for the server: path and query.
    pub(crate) fn path(&self) -> Uri {
        self.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from)
    }

    /// The request target for a proxy.
    pub(crate) fn whole(&self) -> Uri {
        self.uri.clone()
    }

    /// For the header `Host`: without the port, if that is the scheme's default.
    pub(crate) fn host(&self) -> String {
        let host = self.server.to_string();
        match host.strip_suffix(&format!(":{}", self.security.default_port())) {
            Some(bare) => bare.to_owned(),
            None => host,
        }
    }
}

impl fmt::Display for WebhookUrl {
    /// Scheme, host and port: `https://hooks.example/…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            Security::Plain => "http",
            Security::Tls => "https",
        };
        write!(f, "{scheme}://{}/…", self.host())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Security {
    fn default_port(self) -> u16 {
        match self {
            Self::Plain => HTTP_PORT,
            Self::Tls => 443,
        }
    }
}

/// The default port of `http://`.
pub(crate) const HTTP_PORT: u16 = 80;

/// The text without the white space around it.
pub(crate) fn visible(text: &str) -> Result<&str, &'static str> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err("only visible ASCII characters may stand in it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_scheme_host_and_port_are_shown() {
        for (text, shown, host) in [
            ("https://hooks.example/services/geheim?a=geheim", "https://hooks.example/…", ""),
            ("https://hooks.example:443/geheim", "https://hooks.example/…", ""),
            (" https://hooks.example:8443/geheim\n", "https://hooks.example:8443/…", ""),
            ("HTTP://hooks.example", "http://hooks.example/…", ""),
            ("http://hooks.example:443/geheim", "http://hooks.example:443/…", ""),
            ("https://10.0.0.1/geheim", "https://10.0.0.1/…", "10.0.0.1"),
            ("http://[fd00::1]:80/geheim", "http://[fd00::1]/…", "[fd00::1]"),
            ("http://[fd00::1]:443?geheim", "http://[fd00::1]:443/…", "[fd00::1]:443"),
        ] {
            let url = WebhookUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert_eq!(format!("{url:?}"), shown);
            if !host.is_empty() {
                assert_eq!(url.host(), host);
            }
        }
    }

    #[test]
    fn path_and_query_are_kept_as_they_are() {
        for (text, path) in [
            ("https://a/services/T0/B%20?x=%41&y=/?", "/services/T0/B%20?x=%41&y=/?"),
            ("https://a", "/"),
            ("https://a/", "/"),
            ("https://a?x=1", "/?x=1"),
        ] {
            let url = WebhookUrl::parse(text).unwrap();
            let written = url.path().to_string();
            assert_eq!(written, path, "{text}");
        }
        let whole = WebhookUrl::parse("http://a:81/b?c").unwrap().whole().to_string();
        assert_eq!(whole, "http://a:81/b?c");
    }

    #[test]
    fn what_cannot_be_posted_to_is_refused_with_the_reason_and_without_a_secret() {
        for (bad, reason) in [
            ("", "https://HOST"),
            ("hooks.example/geheim", "https://HOST"),
            ("/geheim", "https://HOST"),
            ("ftp://hooks.example/geheim", "https://HOST"),
            ("https:/hooks.example/geheim", "https://HOST"),
            ("https://", "https://HOST"),
            ("https:///geheim", "https://HOST"),
            ("https://fd00::1/geheim", "https://HOST"),
            ("https://a/<geheim>", "https://HOST"),
            ("https://geheim@hooks.example/", "password"),
            ("https://user:geheim@hooks.example/", "password"),
            ("https://hooks.example/#geheim", "fragment"),
            ("https://hooks.example/geheim x", "visible ASCII"),
            ("https://hooks.example/geheim\r\nX: y", "visible ASCII"),
            ("https://hooks.example/gehéim", "visible ASCII"),
            ("https://hooks.example:/geheim", "port"),
            ("https://hooks.example:0/geheim", "port"),
            ("https://hooks.example:65536/geheim", "port"),
            ("https://hooks.example:+80/geheim", "port"),
            ("https://user:geheim/", "port"),
            ("https://hooks..example/geheim", "host"),
            ("https://[10.0.0.1]/geheim", "host"),
        ] {
            let why = WebhookUrl::parse(bad).unwrap_err();
            assert!(why.contains(reason), "{bad:?}: {why}");
        }
    }
}
