//! Where an API server is, as its URL has it. Pure.

use std::fmt;

use ureq_proto::http::uri::Scheme;

use crate::http::address::{Address, absolute, server_of};

/// `https://HOST[:PORT][/PREFIX]`: the prefix is that of a server behind which several API servers stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    address: Address,
    prefix: String,
}

impl ServerUrl {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that has named it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (uri, scheme, authority) = absolute(text).ok_or(NO_URL)?;
        if scheme != Scheme::HTTPS || uri.query().is_some() || text.contains(['#', '@']) {
            return Err(NO_URL);
        }
        let address = server_of(&authority, HTTPS_PORT)?;
        Ok(Self { address, prefix: uri.path().trim_end_matches('/').to_owned() })
    }

    /// Host and port.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// What stands before every path; without the last `/`.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl From<Address> for ServerUrl {
    fn from(address: Address) -> Self {
        Self { address, prefix: String::new() }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.address, self.prefix)
    }
}

const HTTPS_PORT: u16 = 443;

const NO_URL: &str = "it must be https://HOST:PORT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_host_port_and_prefix() {
        for (text, shown) in [
            ("https://10.0.0.1", "https://10.0.0.1:443"),
            ("https://10.0.0.1:6443/", "https://10.0.0.1:6443"),
            ("https://[fd00::1]:6443", "https://[fd00::1]:6443"),
            (
                "https://rancher.example/k8s/clusters/c-1/",
                "https://rancher.example:443/k8s/clusters/c-1",
            ),
        ] {
            assert_eq!(ServerUrl::parse(text).unwrap().to_string(), shown);
        }
        for wrong in [
            "",
            "10.0.0.1:6443",
            "http://10.0.0.1",
            "https://",
            "https://a?b",
            "https://u@a",
            "https://a:0",
        ] {
            assert!(ServerUrl::parse(wrong).is_err(), "{wrong}");
        }
    }
}
