//! Whom TLS trusts, and why it does not trust somebody.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::file;

/// What TLS needs to know to trust whoever `roots` vouch for, and nobody else; and who we are, where that
/// is told by a certificate.
pub fn client_config(
    roots: RootCertStore,
    own: Option<&OwnCertificate>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match own {
        Some(OwnCertificate { chain, key }) => {
            builder.with_client_auth_cert(chain.clone(), key.clone_key())?
        }
        None => builder.with_no_client_auth(),
    };
    // A store of sessions would be 64 kB, for connections that are kept open, or opened seldom.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A certificate by which we are known, and its key. Never shown.
pub struct OwnCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl OwnCertificate {
    /// From PEM (RFC 7468): a chain that begins with our own, and the key in PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// Which of the two is not good, and why; nothing of the key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|e| format!("its client certificate is not PEM: {e}"))?;
        if chain.is_empty() {
            return Err("there is no certificate in its client certificate".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "its client key is not a private key in PEM".to_owned())?;
        Ok(Self { chain, key })
    }
}

impl fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnCertificate(not shown)")
    }
}

/// Why a CA file gives no roots.
#[derive(Debug)]
pub enum NoRoots {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is not PEM: where it fails.
    NotPem(String),
    /// It is PEM, but has no certificate that can vouch for anybody.
    NoCertificate,
}

/// The certificates of a CA file in PEM (RFC 7468).
pub fn roots_in(ca_file: &Path) -> Result<RootCertStore, NoRoots> {
    roots_of(&file::read(ca_file, CA_LIMIT).map_err(NoRoots::Unreadable)?)
}

/// The certificates in a text in PEM.
pub fn roots_of(pem: &[u8]) -> Result<RootCertStore, NoRoots> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| NoRoots::NotPem(e.to_string()))?;
    if certificates.is_empty() && !pem.windows(PEM_MARK.len()).any(|part| part == PEM_MARK) {
        let why = format!("its {} bytes have no BEGIN line", pem.len());
        return Err(NoRoots::NotPem(why));
    }
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(NoRoots::NoCertificate),
        _ => Ok(roots),
    }
}

/// What a section of a PEM file begins with (RFC 7468).
const PEM_MARK: &[u8] = b"-----BEGIN ";

/// Of a CA file so much is read, in bytes; a bundle of all public CAs is 250 kB.
const CA_LIMIT: usize = 1024 * 1024;

/// What a failed handshake means for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// None of the roots vouches for the certificate.
    UnknownIssuer,
    /// The certificate is vouched for, but cannot be used. What is wrong with it, to be read after
    /// "the certificate of …".
    Certificate(String),
    /// TLS came to no agreement: what was wrong.
    NoTls(String),
}

impl From<rustls::Error> for Distrust {
    fn from(error: rustls::Error) -> Self {
        let certificate = |why: &str| Self::Certificate(why.to_owned());
        match error {
            rustls::Error::InvalidCertificate(problem) => match problem {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Self::UnknownIssuer
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => {
                    certificate("is not for this host")
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    certificate("has expired, or this machine's clock is wrong")
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    certificate("is not valid yet, or this machine's clock is wrong")
                }
                other => certificate(&format!("is not valid: {other}")),
            },
            rustls::Error::InvalidMessage(_) => {
                Self::NoTls("what answers there does not speak TLS".to_owned())
            }
            other => Self::NoTls(other.to_string()),
        }
    }
}
