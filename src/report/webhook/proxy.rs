//! Through whom a message goes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ureq_proto::http::HeaderValue;
use ureq_proto::http::uri::Scheme;

use crate::http::address::{Address, absolute, server_of};
use crate::report::webhook::url::{HTTP_PORT, visible};

/// A proxy: `http://[USER:PASSWORD@]HOST[:PORT]`, or with `tcp://`, which means the same. User and
/// password are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    server: Address,
    /// The header `Proxy-Authorization`.
    authorization: Option<HeaderValue>,
}

impl ProxyUrl {
    /// Reads the setting; white space around it is allowed. What has another meaning in a URL
    /// stands percent-encoded in user and password.
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

    pub(super) fn server(&self) -> &Address {
        &self.server
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
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
    // The first colon is where the password begins.
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
}
