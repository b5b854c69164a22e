//! A throw-away authority and one certificate of it, made at each start.

use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What a server needs to speak TLS, and a client to trust it.
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    /// The authority's certificate in PEM: what a cluster gives to its pods.
    pub(crate) authority: String,
}

/// The names and addresses the certificate is for.
const SUBJECTS: [&str; 5] =
    ["127.0.0.1", "::1", "localhost", "kubernetes", "kubernetes.default.svc"];

impl Identity {
    pub(crate) fn generate() -> io::Result<Self> {
        let (config, authority) = build().map_err(io::Error::other)?;
        Ok(Self { config: Arc::new(config), authority })
    }
}

fn build() -> Result<(ServerConfig, String), Box<dyn std::error::Error + Send + Sync>> {
    let mut root = CertificateParams::default();
    root.distinguished_name.push(DnType::CommonName, "simulator authority");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root_key = KeyPair::generate()?;
    let root_certificate = root.self_signed(&root_key)?;
    let issuer = Issuer::new(root, root_key);

    let mut leaf = CertificateParams::new(SUBJECTS.map(str::to_owned))?;
    leaf.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    let leaf_key = KeyPair::generate()?;
    let leaf_certificate = leaf.signed_by(&leaf_key, &issuer)?;

    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf_certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der())),
        )?;
    // No HTTP/2 here, whatever a client would prefer.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, root_certificate.pem()))
}
