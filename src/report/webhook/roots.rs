//! Whose certificates are believed.

use std::path::PathBuf;

use rustls::RootCertStore;
use webpki_roots::TLS_SERVER_ROOTS;

use crate::http::connection::H1;
use crate::http::dial::Tls;
use crate::http::error::Cause;
use crate::http::tls;

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
    pub fn tls(&self) -> Result<Tls, Cause> {
        let roots = match self {
            Self::Public => "a public CA; one's own CA must be given as a file".to_owned(),
            Self::File(file) => format!("a CA in {}", file.display()),
        };
        let config =
            tls::client_config(self.certificates().map_err(Cause::Credentials)?, None, &[H1])
                .map_err(|e| Cause::Tls(e.to_string()))?;
        Ok(Tls { config, roots })
    }

    /// Whether a file that is named holds certificates now.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Public => Ok(()),
            Self::File(_) => self.certificates().map(drop),
        }
    }

    fn certificates(&self) -> Result<RootCertStore, String> {
        match self {
            Self::Public => Ok(RootCertStore { roots: TLS_SERVER_ROOTS.to_vec() }),
            Self::File(file) => tls::roots_in(file).map_err(|why| {
                format!("no CA for the webhook's server from {}: {why}", file.display())
            }),
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
