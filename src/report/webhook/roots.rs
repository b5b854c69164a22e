//! Whose certificates are believed.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use webpki_roots::TLS_SERVER_ROOTS;

use crate::http::address::Address;
use crate::http::tls::{self, Distrust, NoRoots};
use crate::report::webhook::undelivered::Undelivered;

/// The CAs that may vouch for a webhook: the public ones or those of a file, never both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Those that Mozilla's browsers believe, as of this program's release.
    Public,
    /// The certificates of this file, in PEM; read for each delivery.
    File(PathBuf),
}

impl Roots {
    /// What TLS needs to know. It takes memory, so it is made for a delivery and dropped after.
    pub fn tls_config(&self) -> Result<Arc<ClientConfig>, Undelivered> {
        tls::client_config(self.certificates()?, None)
            .map_err(|e| Undelivered::Unsendable { why: e.to_string() })
    }

    /// Whether a file that is named holds certificates now.
    pub(super) fn check(&self) -> Result<(), Undelivered> {
        match self {
            Self::Public => Ok(()),
            Self::File(_) => self.certificates().map(drop),
        }
    }

    fn certificates(&self) -> Result<RootCertStore, Undelivered> {
        match self {
            Self::Public => Ok(RootCertStore { roots: TLS_SERVER_ROOTS.to_vec() }),
            Self::File(file) => tls::roots_in(file).map_err(|no_roots| Undelivered::NoRoots {
                file: file.clone(),
                why: match no_roots {
                    NoRoots::Unreadable(e) => e.to_string(),
                    NoRoots::NotPem(why) => format!("it is not PEM: {why}"),
                    NoRoots::NoCertificate => "it has no usable CA certificate".to_owned(),
                },
            }),
        }
    }

    /// What a handshake with `server` that failed means.
    pub(super) fn distrust(&self, server: Address, error: rustls::Error) -> Undelivered {
        match Distrust::from(error) {
            Distrust::UnknownIssuer => Undelivered::Untrusted {
                server,
                file: match self {
                    Self::Public => None,
                    Self::File(file) => Some(file.clone()),
                },
            },
            Distrust::Certificate(why) => Undelivered::Certificate { server, why },
            Distrust::NoTls(why) => Undelivered::Tls { server, why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::stand_in::{Folder, Identity};

    #[test]
    fn whoever_names_a_ca_file_believes_no_public_ca() {
        let folder = Folder::new();
        let file = folder.put("ca.crt", Identity::shared().authority.as_bytes());
        assert_eq!(Roots::File(file).certificates().unwrap().len(), 1);
        assert!(Roots::Public.certificates().unwrap().len() > 50);
    }
}
