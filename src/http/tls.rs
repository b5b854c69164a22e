//! Which certificates TLS trusts, and why one is not trusted.

use std::fmt;
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
use rustls::{
    AlertDescription, CertificateError, ClientConfig, OtherError, RootCertStore, SignatureScheme,
};

use webpki::ring as signed;

use crate::excerpt::excerpt;
use crate::file;
use crate::http::error::Cause;

/// A configuration that trusts certificates signed by `roots` and no others, with our client certificate, if there is
/// one, and the protocols that ALPN may agree on, the best first.
pub fn client_config(
    roots: RootCertStore,
    own: Option<&OwnCertificate>,
    protocols: &[&[u8]],
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
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
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

/// How certificates and handshakes may be signed: what rustls with ring has, which a test holds. To take it from
/// `default_provider()` links all that this one names, and the binary grows by 53 kB.
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
        signed::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
        signed::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
        signed::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
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

/// A client certificate and its key. Never shown.
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

/// The certificates of a CA file in PEM (RFC 7468).
///
/// # Errors
/// Why there is none, in words.
pub fn roots_in(ca_file: &Path) -> Result<RootCertStore, String> {
    roots_of(&file::read(ca_file, CA_LIMIT).map_err(|e| e.to_string())?)
}

/// The certificates in a text in PEM.
///
/// # Errors
/// Why there is none, in words.
pub fn roots_of(pem: &[u8]) -> Result<RootCertStore, String> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("it is not PEM: {e}"))?;
    if certificates.is_empty() && !pem.windows(PEM_MARK.len()).any(|part| part == PEM_MARK) {
        return Err(format!("it is not PEM: its {} bytes have no BEGIN line", pem.len()));
    }
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err("it has no usable CA certificate".to_owned()),
        _ => Ok(roots),
    }
}

/// What a section of a PEM file begins with (RFC 7468).
const PEM_MARK: &[u8] = b"-----BEGIN ";

/// Of a CA file so much is read, in bytes; a bundle of all public CAs is 250 kB.
const CA_LIMIT: usize = 1024 * 1024;

/// What a failed handshake means for the operator. `roots`: which CAs are trusted, in words.
pub fn distrust(error: rustls::Error, roots: &str) -> Cause {
    let certificate = |why: &str| Cause::Certificate(why.to_owned());
    let untrusted = || Cause::Untrusted(roots.to_owned());
    match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => untrusted(),
            CertificateError::NotValidForName => certificate("is not for this host"),
            CertificateError::NotValidForNameContext { presented, .. } => {
                Cause::Certificate(not_for_this_host(&presented))
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                certificate("has expired, or this machine's clock is wrong")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                certificate("is not valid yet, or this machine's clock is wrong")
            }
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id,
                ..
            } => Cause::Certificate(format!(
                "or that of a CA above it is signed with an algorithm ({}) that is not \
                     supported: {SUPPORTED}",
                object_identifiers(&signature_algorithm_id)
            )),
            // A root of the same name with another kind of key, as after a change from RSA to ECDSA.
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                public_key_algorithm_id: id,
                ..
            } if SIGNATURES.all.iter().any(|by| *by.public_key_alg_id() == *id) => untrusted(),
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                public_key_algorithm_id,
                ..
            } => Cause::Certificate(format!(
                "or that of a CA above it has a kind of key ({}) that is not supported: \
                     {SUPPORTED}",
                object_identifiers(&public_key_algorithm_id)
            )),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                certificate("is not for servers: its extended key usage must have serverAuth")
            }
            CertificateError::BadEncoding => certificate("is not one in X.509"),
            CertificateError::Other(OtherError(why)) => match why.downcast_ref::<webpki::Error>() {
                Some(webpki::Error::CaUsedAsEndEntity) => certificate(
                    "is a CA's: a server needs one of its own, which that CA has signed",
                ),
                Some(webpki::Error::UnsupportedCertVersion) => {
                    certificate("is not of X.509 version 3")
                }
                _ => Cause::Certificate(format!("is not valid: {}", excerpt(&why.to_string()))),
            },
            other => Cause::Certificate(format!("is not valid: {}", excerpt(&other.to_string()))),
        },
        other => Cause::Tls(no_tls(&other)),
    }
}

/// What a failure of TLS other than by the server's certificate means, to be read after "no TLS connection
/// to …: ".
pub(super) fn no_tls(error: &rustls::Error) -> String {
    use AlertDescription as Alert;
    match error {
        rustls::Error::InvalidMessage(_) => "what answers there does not speak TLS".to_owned(),
        rustls::Error::AlertReceived(Alert::CertificateRequired) => {
            "it wants a client certificate".to_owned()
        }
        // Go's servers say so of none at all, too.
        rustls::Error::AlertReceived(Alert::BadCertificate) => {
            "it wants a client certificate, or does not accept the one that it has (TLS alert \
             BadCertificate)"
                .to_owned()
        }
        rustls::Error::AlertReceived(
            alert @ (Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError),
        ) => format!("it does not accept the client certificate (TLS alert {alert:?})"),
        rustls::Error::AlertReceived(
            alert
            @ (Alert::HandshakeFailure | Alert::InsufficientSecurity | Alert::ProtocolVersion),
        ) => format!(
            "it refuses (TLS alert {alert:?}): it wants a client certificate, or neither TLS 1.3 nor \
             TLS 1.2 with ECDHE and AES-GCM"
        ),
        rustls::Error::AlertReceived(alert) => format!("it ended TLS (alert {alert:?})"),
        rustls::Error::PeerIncompatible(why) => format!(
            "it offers neither TLS 1.3 nor TLS 1.2 as this program speaks them ({})",
            excerpt(&format!("{why:?}"))
        ),
        other => excerpt(&other.to_string()),
    }
}

/// What certificates and keys may be signed with, in the operator's words.
const SUPPORTED: &str = "RSA with 2048 to 8192 bits, ECDSA on P-256 or P-384 and Ed25519 are, with SHA-256 or \
                         longer";

/// `presented`: the names in a certificate, as rustls shows them: `DnsName("a.example")`, `IpAddress(10.0.0.1)`.
fn not_for_this_host(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"').to_owned()
    };
    match presented {
        [] => "is not for this host: it has no subjectAltName".to_owned(),
        names => {
            let names: Vec<_> = names.iter().map(bare).collect();
            format!("is not for this host, only for {}", excerpt(&names.join(", ")))
        }
    }
}

/// The object identifiers at the beginning of the content of an `AlgorithmIdentifier` in DER (X.690, 8.19), as
/// `openssl x509 -text` shows those that it has no name for: `1.2.840.113549.1.1.5`.
fn object_identifiers(mut der: &[u8]) -> String {
    let mut found = Vec::new();
    while let [6, length, rest @ ..] = der
        && let Some((content, rest)) = rest.split_at_checked((*length).into())
    {
        let mut arcs = Vec::new();
        let mut arc: u64 = 0;
        for byte in content {
            arc = (arc << 7) | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                if arcs.is_empty() {
                    let first = (arc / 40).min(2);
                    arcs.push(first.to_string());
                    arc -= first * 40;
                }
                arcs.push(arc.to_string());
                arc = 0;
            }
        }
        found.push(arcs.join("."));
        der = rest;
    }
    excerpt(&found.join(" "))
}

#[cfg(test)]
mod tests;
