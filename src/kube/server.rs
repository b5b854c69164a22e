//! The API server as the settings describe it: its URL, the CA of its certificate, our credentials.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustls::RootCertStore;
use ureq_proto::http::HeaderValue;
use ureq_proto::http::uri::Scheme;

use crate::file;
use crate::http::address::{Address, absolute, server_of};
use crate::http::connection::{H1, H2};
use crate::http::dial::Tls;
use crate::http::error::{Cause, Error, Party, Role};
use crate::http::tls::{self, OwnCertificate};
use crate::kube::identity::{Choice, Identity, Naming};
use crate::kube::request::{Caller, Request, Verb};
use crate::kube::token::{BearerToken, Claims};

/// The API server as the settings describe it. Its files are read when they are needed, not before.
#[derive(Debug)]
pub struct Server {
    url: ServerUrl,
    roots: Roots,
    credential: Credential,
    /// The last good token, for the moment in which its file cannot be read.
    last_token: Mutex<Option<BearerToken>>,
    /// The identity of requests.
    naming: Mutex<Naming>,
    observer: OnceLock<Observer>,
}

/// The CAs that its certificate may be signed by.
#[derive(Debug)]
pub(super) enum Roots {
    /// The certificates in this file, which may be replaced.
    File(PathBuf),
    /// These, in PEM, of a kubeconfig.
    Pem(Vec<u8>),
}

/// What authenticates us.
#[derive(Debug)]
pub(super) enum Credential {
    /// The token in this file, which is replaced from time to time.
    TokenFile(PathBuf),
    /// This token.
    Token(BearerToken),
    /// This certificate.
    Certificate(OwnCertificate),
}

/// What is called when something happens. None of it may block.
pub struct Observer {
    /// After every exchange: with what was asked, and the status of the answer if one came.
    pub exchanged: Box<dyn Fn(Verb, Option<u16>) + Send + Sync>,
    /// When the identity of requests was found out or has changed.
    pub identified: Box<dyn Fn(Identity) + Send + Sync>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

impl Server {
    /// Reads nothing yet.
    pub fn new(url: impl Into<ServerUrl>, token_file: PathBuf, ca_file: PathBuf) -> Self {
        Self::with(url.into(), Roots::File(ca_file), Credential::TokenFile(token_file))
    }

    /// Of these parts.
    pub(super) fn with(url: ServerUrl, roots: Roots, credential: Credential) -> Self {
        Self {
            url,
            roots,
            credential,
            last_token: Mutex::new(None),
            naming: Mutex::default(),
            observer: OnceLock::new(),
        }
    }

    /// Makes requests with this identity. `node`: its name; if that is not known, the one in the token's claims.
    #[must_use]
    pub fn naming(self, choice: Choice, node: Option<&str>) -> Self {
        Self { naming: Mutex::new(Naming::new(choice, node)), ..self }
    }

    /// Sets the observer, once.
    pub fn observe(&self, observer: Observer) {
        // A second call changes nothing.
        let _ = self.observer.set(observer);
    }

    /// An exchange is over; without a status if there was no answer.
    pub(super) fn exchanged(&self, request: &Request, status: Option<u16>) {
        if let Some(observer) = self.observer.get() {
            (observer.exchanged)(request.verb(), status);
        }
    }

    /// The value of `Impersonate-User` for a request that goes with this token, if it is to have one.
    pub(super) fn impersonated(
        &self,
        request: &Request,
        token: Option<&BearerToken>,
    ) -> Option<HeaderValue> {
        if request.caller == Caller::ServiceAccount {
            return None;
        }
        let mut naming = self.lock_naming();
        if naming.wants_node()
            && let Some(node) = token.and_then(|token| Claims::of(token).node)
        {
            naming.node_is(&node);
        }
        naming.impersonated()
    }

    /// The identity of requests, where it was to be found out and was.
    pub fn identity(&self) -> Option<Identity> {
        self.lock_naming().found().cloned()
    }

    /// Takes in what an answer says of the identity of requests.
    pub(super) fn identify<T>(&self, change: impl FnOnce(&mut Naming) -> T) -> T {
        let mut naming = self.lock_naming();
        let outcome = change(&mut naming);
        let news = naming.news();
        drop(naming);
        if let (Some(identity), Some(observer)) = (news, self.observer.get()) {
            (observer.identified)(identity);
        }
        outcome
    }

    fn lock_naming(&self) -> MutexGuard<'_, Naming> {
        self.naming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Host and port.
    pub fn address(&self) -> &Address {
        &self.url.address
    }

    /// What stands before every path.
    pub(super) fn prefix(&self) -> &str {
        &self.url.prefix
    }

    /// Where the roots are, in words.
    pub fn where_roots_are(&self) -> String {
        match &self.roots {
            Roots::File(file) => file.display().to_string(),
            Roots::Pem(_) => "the kubeconfig".to_owned(),
        }
    }

    /// Whether roots and token can be read.
    pub fn check(&self) -> Result<(), Error> {
        self.roots()?;
        self.token()?;
        Ok(())
    }

    /// The claims of the token, if it is a JSON Web Token. Nothing is verified: the API server does that.
    pub fn claims(&self) -> Result<Claims, Error> {
        Ok(self.token()?.map(|token| Claims::of(&token)).unwrap_or_default())
    }

    /// Where the token is, in words; `None`: a client certificate authenticates us.
    pub fn where_token_is(&self) -> Option<String> {
        match &self.credential {
            Credential::TokenFile(file) => Some(file.display().to_string()),
            Credential::Token(_) => Some("the kubeconfig".to_owned()),
            Credential::Certificate(_) => None,
        }
    }

    /// The token as it is in its file now: the kubelet replaces it every hour or so. If the file
    /// cannot be read or has no token in it, the last good one. `None`: a client certificate authenticates us.
    pub(super) fn token(&self) -> Result<Option<BearerToken>, Error> {
        let file = match &self.credential {
            Credential::TokenFile(file) => file,
            Credential::Token(token) => return Ok(Some(token.clone())),
            Credential::Certificate(_) => return Ok(None),
        };
        let read = self.read_token(file);
        let mut last = self.last_token.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(match (read, last.as_ref()) {
            // All requests share the memory of one token.
            (Ok(token), Some(known)) if token == *known => known.clone(),
            (Ok(token), _) => last.insert(token).clone(),
            (Err(_), Some(known)) => known.clone(),
            (Err(error), None) => return Err(error),
        }))
    }

    /// A TLS configuration that trusts this API server only, by its files as they are now.
    pub(super) fn tls(&self) -> Result<Tls, Error> {
        let own = match &self.credential {
            Credential::Certificate(own) => Some(own),
            Credential::TokenFile(_) | Credential::Token(_) => None,
        };
        let config = tls::client_config(self.roots()?, own, &[H2, H1])
            .map_err(|e| self.error(Cause::Tls(e.to_string())))?;
        Ok(Tls { config, roots: format!("a CA in {}", self.where_roots_are()) })
    }

    /// The cluster's CA, and no other.
    fn roots(&self) -> Result<RootCertStore, Error> {
        match &self.roots {
            Roots::File(file) => tls::roots_in(file),
            Roots::Pem(pem) => tls::roots_of(pem),
        }
        .map_err(|why| {
            let file = self.where_roots_are();
            let why = format!("the CA of the cluster cannot be read from {file}: {why}");
            self.error(Cause::Credentials(why))
        })
    }

    fn read_token(&self, file: &Path) -> Result<BearerToken, Error> {
        let named = file.display();
        let bytes = file::read(file, TOKEN_LIMIT).map_err(|e| {
            self.error(Cause::of_system(&e, |why| {
                let what = "the ServiceAccount token cannot be read from";
                Cause::Credentials(format!("{what} {named}: {why}"))
            }))
        })?;
        BearerToken::parse(&bytes).map_err(|why| {
            let what = "there is no ServiceAccount token in";
            self.error(Cause::Credentials(format!("{what} {named}: {why}")))
        })
    }

    fn error(&self, cause: Cause) -> Error {
        cause.with(&Party { role: Role::ApiServer, address: self.address().clone() })
    }
}

/// Of a token file so much is read, in bytes; a token is 1 to 2 kB.
const TOKEN_LIMIT: usize = 16 * 1024;

/// `https://HOST[:PORT][/PREFIX]`: the prefix is that of a server behind which several API servers stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    address: Address,
    /// Stands before every path; without the last `/`.
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
    use crate::clock::Clock;
    use crate::kube::client::Client;
    use crate::kube::stand_in::{Files, Identity, LONG, StandIn, get};

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    fn server_with(authority: &str, token: &str) -> (Files, Server) {
        let files = Files::new(authority, token);
        let address = Address::parse("10.0.0.1", 443).unwrap();
        let server = Server::new(address, files.token(), files.authority());
        (files, server)
    }

    fn authority() -> &'static str {
        &Identity::shared().authority
    }

    #[test]
    fn roots_must_be_certificates_in_pem() {
        let broken = authority().replace("-----END CERTIFICATE-----", "");
        let key = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        let no_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let no_pem = "it is not PEM: ";
        let no_ca = "it has no usable CA certificate";
        for (pem, why) in [
            ("", no_pem),
            ("<html>", no_pem),
            (broken.as_str(), no_pem),
            (key, no_ca),
            (no_x509, no_ca),
        ] {
            let (files, server) = server_with(pem, "t");
            let error = server.check().unwrap_err();
            assert!(matches!(error.cause, Cause::Credentials(_)), "{pem}: {error:?}");
            let file = files.authority();
            let expected =
                format!("the CA of the cluster cannot be read from {}: {why}", file.display());
            assert!(error.to_string().starts_with(&expected), "{pem}: {error}");
        }
        let (_files, server) = server_with(&format!("# CA\n{}{}", authority(), authority()), "t");
        assert_eq!(server.check(), Ok(()));
    }

    #[test]
    fn a_missing_file_is_named() {
        let (files, server) = server_with(authority(), "t");
        files.remove_token();
        let why = server.check().unwrap_err().to_string();
        let expected = format!(
            "the ServiceAccount token cannot be read from {}: No such file or directory (os error 2)",
            files.token().display()
        );
        assert_eq!(why, expected);
    }

    #[test]
    fn an_endless_file_is_left() {
        let address = Address::parse("10.0.0.1", 443).unwrap();
        let server = Server::new(address, "/dev/zero".into(), "/dev/zero".into());
        let why = server.token().unwrap_err().to_string();
        assert!(why.ends_with("longer than 16384 bytes"), "{why}");
    }

    #[test]
    fn the_token_is_read_anew_and_the_last_good_one_kept() {
        let (files, server) = server_with(authority(), "first");
        let secret =
            || String::from_utf8(server.token().unwrap().unwrap().secret().to_vec()).unwrap();
        assert_eq!(secret(), "first");
        files.put_token(b"second\n");
        assert_eq!(secret(), "second");
        files.put_token(b"");
        assert_eq!(secret(), "second");
        files.remove_token();
        assert_eq!(secret(), "second");
    }

    #[test]
    fn a_token_is_never_shown() {
        let (files, server) = server_with(authority(), "s3cret");
        let token = server.token().unwrap().unwrap();
        assert!(!format!("{token:?} {server:?} {:?}", token.header()).contains("s3cret"));
        files.put_token(b"s3cret s3cret");
        let fresh = Server::new(server.address().clone(), files.token(), files.authority());
        let error = fresh.check().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }

    #[test]
    fn only_the_clusters_own_ca_is_trusted() {
        let server = StandIn::answering(OK);
        let theirs = Identity::for_names(&["127.0.0.1"]).authority;
        server.files().put_authority(theirs.as_bytes());
        let client = server.client();
        let why = client.ask(&get("/api"), LONG).unwrap_err().to_string();
        let expected = format!(
            "the certificate of the API server at {} is not signed by a CA in {}",
            server.server().address(),
            server.files().authority().display()
        );
        assert_eq!(why, expected);
        // A CA that was replaced meanwhile counts from the next connection on.
        server.files().put_authority(authority().as_bytes());
        assert_eq!(client.ask(&get("/api"), LONG).map(|reply| reply.status), Ok(200));
    }

    #[test]
    fn the_certificate_must_be_for_this_host() {
        for (names, asked, why) in [
            (&["127.0.0.1"][..], "127.0.0.1", None),
            (&["localhost", "10.0.0.1"], "localhost", None),
            (&["localhost", "10.0.0.1"], "127.0.0.1", Some("localhost, 10.0.0.1")),
            (&["127.0.0.1"], "localhost", Some("127.0.0.1")),
            (&["127.0.0.2"], "127.0.0.1", Some("127.0.0.2")),
            (&["host.localhost"], "localhost", Some("host.localhost")),
        ] {
            let server = StandIn::start_as(&Identity::for_names(names), |_, mut peer| {
                while peer.hears().is_some() {
                    peer.says(OK);
                }
            });
            let server = server.server_named(asked);
            let party = Party { role: Role::ApiServer, address: server.address().clone() };
            let reply = Client::new(server, Clock::start()).ask(&get("/api"), LONG);
            let refused = why.map(|only_for| {
                Cause::Certificate(format!("is not for this host, only for {only_for}"))
                    .with(&party)
            });
            assert_eq!(reply.err(), refused, "{asked}: {names:?}");
        }
    }

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
