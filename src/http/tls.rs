//! Whom TLS trusts, and why it does not trust somebody.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::client::Resumption;
use rustls::crypto::ring::sign::{RsaSigningKey, any_ecdsa_type};
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use rustls::{CertificateError, ClientConfig, RootCertStore, SignatureScheme};

use webpki::ring as signed;

use crate::excerpt::excerpt;
use crate::file;

/// What TLS needs to know to trust whoever `roots` vouch for, and nobody else; and who we are, where that
/// is told by a certificate.
pub fn client_config(
    roots: RootCertStore,
    own: Option<&OwnCertificate>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
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

/// What ring does, as far as it is needed here. Every server has AES-GCM (RFC 8446, section 9.1; of TLS 1.2
/// what Go's servers offer).
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        kx_groups: vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        signature_verification_algorithms: SIGNATURES,
        secure_random: &Random,
        key_provider: &OwnKeys,
    }
}

/// How certificates and handshakes may be signed: as rustls with ring has it.
static SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        signed::ECDSA_P256_SHA256,
        signed::ECDSA_P256_SHA384,
        signed::ECDSA_P384_SHA256,
        signed::ECDSA_P384_SHA384,
        signed::ED25519,
        signed::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        signed::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        signed::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        signed::RSA_PKCS1_2048_8192_SHA256,
        signed::RSA_PKCS1_2048_8192_SHA384,
        signed::RSA_PKCS1_2048_8192_SHA512,
    ],
    // In TLS 1.2 a scheme leaves the curve open.
    mapping: &[
        (
            SignatureScheme::ECDSA_NISTP384_SHA384,
            &[signed::ECDSA_P384_SHA384, signed::ECDSA_P256_SHA384],
        ),
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[signed::ECDSA_P256_SHA256, signed::ECDSA_P384_SHA256],
        ),
        (SignatureScheme::ED25519, &[signed::ED25519]),
        (SignatureScheme::RSA_PSS_SHA512, &[signed::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA384, &[signed::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA256, &[signed::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[signed::RSA_PKCS1_2048_8192_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[signed::RSA_PKCS1_2048_8192_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[signed::RSA_PKCS1_2048_8192_SHA256]),
    ],
};

/// The system's.
#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        SystemRandom::new().fill(bytes).map_err(|_| GetRandomFailed)
    }
}

/// Keys of the kinds that clusters give: RSA and ECDSA.
#[derive(Debug)]
struct OwnKeys;

impl KeyProvider for OwnKeys {
    fn load_private_key(
        &self,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        if let Ok(rsa) = RsaSigningKey::new(&key) {
            return Ok(Arc::new(rsa));
        }
        any_ecdsa_type(&key)
    }
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
                // What stands in it is of whoever made it.
                other => certificate(&excerpt(&format!("is not valid: {other}"))),
            },
            rustls::Error::InvalidMessage(_) => {
                Self::NoTls("what answers there does not speak TLS".to_owned())
            }
            other => Self::NoTls(excerpt(&other.to_string())),
        }
    }
}
