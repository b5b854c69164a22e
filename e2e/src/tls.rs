//! TLS on loopback, with certificates of the tests' making.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls};

use crate::cluster::Identity;

/// What a server offers, or a client, that speaks both versions (ALPN).
pub const BOTH: [&str; 2] = ["h2", "http/1.1"];

/// For a server that is `identity` and offers these protocols; none: it says nothing of them.
///
/// # Errors
/// Its files cannot be read.
pub fn acceptor(identity: &Identity, protocols: &[&str]) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(&identity.certificate)?;
    let chain = chain.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&identity.key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = named(protocols);
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// For a client that trusts the authority in that file, and nobody else, and wants these protocols.
///
/// # Errors
/// The file cannot be read.
pub fn connector(authority: &Path, protocols: &[&str]) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = named(protocols);
    Ok(TlsConnector::from(Arc::new(config)))
}

fn named(protocols: &[&str]) -> Vec<Vec<u8>> {
    protocols.iter().map(|name| name.as_bytes().to_vec()).collect()
}
