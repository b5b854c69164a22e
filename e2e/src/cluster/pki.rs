//! A certificate authority of the tests' own, and what it signs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A certificate authority with its folder.
pub struct Pki {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, as PEM files.
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Pki {
    /// Makes an authority of that name.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn create(folder: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key)?;
        let pki = Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) };
        fs::write(pki.authority(), certificate.pem())?;
        Ok(pki)
    }

    /// Makes the key that signs ServiceAccount tokens.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn create_token_key(&self) -> Result<()> {
        let tokens = KeyPair::generate()?;
        fs::write(self.token_key(), tokens.serialize_pem())?;
        fs::write(self.token_public_key(), tokens.public_key_pem())?;
        Ok(())
    }

    /// The certificate that everyone trusts.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The private key that signs ServiceAccount tokens.
    #[must_use]
    pub fn token_key(&self) -> PathBuf {
        self.folder.join("tokens.key")
    }

    /// The public key that such a token is checked with.
    #[must_use]
    pub fn token_public_key(&self) -> PathBuf {
        self.folder.join("tokens.pub")
    }

    /// The certificate of a server on loopback.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn server(&self, name: &str) -> Result<Identity> {
        self.server_at(name, &["127.0.0.1", "::1", "localhost", "kubernetes.default.svc"])
    }

    /// The certificate of a server at these names and addresses.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn server_at(&self, name: &str, at: &[&str]) -> Result<Identity> {
        let names: Vec<_> = at.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(name, params)
    }

    /// The certificate of a client: its user name and perhaps its group.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Identity> {
        let mut params = CertificateParams::default();
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(user, params)
    }

    fn issue(&self, name: &str, mut params: CertificateParams) -> Result<Identity> {
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let file = name.replace(':', "-");
        let identity = Identity {
            certificate: self.folder.join(format!("{file}.crt")),
            key: self.folder.join(format!("{file}.key")),
        };
        fs::write(&identity.certificate, certificate.pem())?;
        fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }
}
