//! TLS as clusters have it: kubeadm, kOps and EKS sign with RSA, k3s with ECDSA; what stands in front of an API
//! server may speak TLS 1.2 only; a kubeconfig has its client key in any of four forms.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::*;
use crate::clock::Clock;
use crate::kube::kubeconfig;
use crate::kube::server::Server;
use crate::kube::stand_in::{Identity, LONG, StandIn, get};
use std::path::Path;

const RSA_CA: &str = include_str!("../../http/testdata/rsa-ca.pkcs8.pem");
const RSA: &str = include_str!("../../http/testdata/rsa.pkcs8.pem");
const RSA_PKCS1: &str = include_str!("../../http/testdata/rsa.pkcs1.pem");
const EC: &str = include_str!("../../http/testdata/ec.pkcs8.pem");
const EC_SEC1: &str = include_str!("../../http/testdata/ec.sec1.pem");

/// Of keys.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Rsa,
    Ec,
}

impl Kind {
    fn key(self) -> &'static str {
        match self {
            Self::Rsa => RSA,
            Self::Ec => EC,
        }
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(kind: Kind) -> Self {
        Self::with(match kind {
            Kind::Rsa => KeyPair::from_pem(RSA_CA).unwrap(),
            Kind::Ec => KeyPair::generate().unwrap(),
        })
    }

    /// Every one has the same name, as those of a CA that was replaced have.
    fn with(key: KeyPair) -> Self {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        root.distinguished_name.push(DnType::CommonName, "kubernetes");
        let pem = root.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(root, key), pem }
    }

    fn signs(&self, key: &str, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        change(&mut leaf);
        leaf.signed_by(&KeyPair::from_pem(key).unwrap(), &self.issuer).unwrap()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }
}

/// A server with this certificate that speaks these versions; `clients`: who vouches for whoever may ask.
fn serving(
    certificate: (&Certificate, &str),
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<&Authority>,
) -> StandIn {
    let (certificate, key) = certificate;
    answering(config((certificate.der().clone(), key), versions, clients))
}

fn answering(config: ServerConfig) -> StandIn {
    StandIn::start_as(&Identity::new(config, String::new()), |_, mut peer| {
        while peer.hears().is_some() {
            peer.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        }
    })
}

fn config(
    (certificate, key): (CertificateDer<'static>, &str),
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<&Authority>,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(clients.roots()), provider)
                .build()
                .unwrap(),
        ),
    };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    builder.with_single_cert(vec![certificate], key).unwrap()
}

fn ask(server: Arc<Server>) -> Result<u16, String> {
    Client::new(server, Clock::start())
        .ask(&get("/api"), LONG)
        .map(|reply| reply.status)
        .map_err(|error| error.to_string())
}

/// Asks with a token, and with these roots.
fn ask_with_token(server: &StandIn, roots: &[u8]) -> Result<u16, String> {
    server.files().put_authority(roots);
    ask(server.server())
}

/// Asks with a client certificate.
fn ask_with_certificate(
    server: &StandIn,
    authority: &Authority,
    certificate: &Certificate,
    key: &str,
) -> Result<u16, String> {
    ask(by_certificate(server, authority, certificate, key))
}

/// The server as a kubeconfig with a client certificate describes it.
fn by_certificate(
    server: &StandIn,
    authority: &Authority,
    certificate: &Certificate,
    key: &str,
) -> Arc<Server> {
    let [roots, certificate, key] =
        [&authority.pem, &certificate.pem(), key].map(|pem| STANDARD.encode(pem));
    let content = format!(
        r#"{{"kind":"Config","current-context":"c",
        "contexts":[{{"name":"c","context":{{"cluster":"k","user":"u"}}}}],
        "clusters":[{{"name":"k","cluster":{{"server":"https://{}",
        "certificate-authority-data":"{roots}"}}}}],
        "users":[{{"name":"u","user":{{"client-certificate-data":"{certificate}",
        "client-key-data":"{key}"}}}}]}}"#,
        server.server().address()
    );
    Arc::new(kubeconfig::server(content.as_bytes(), Path::new("")).unwrap())
}

#[test]
fn chains_of_every_kind_and_both_versions_are_trusted() {
    for (of_authority, of_server) in
        [(Kind::Rsa, Kind::Rsa), (Kind::Rsa, Kind::Ec), (Kind::Ec, Kind::Ec), (Kind::Ec, Kind::Rsa)]
    {
        let authority = Authority::new(of_authority);
        let certificate = authority.signs(of_server.key(), |_| {});
        for versions in [&[&TLS12][..], &[&TLS13], &[&TLS13, &TLS12]] {
            let server = serving((&certificate, of_server.key()), versions, None);
            let answer = ask_with_token(&server, authority.pem.as_bytes());
            assert_eq!(answer, Ok(200), "{of_authority:?} {of_server:?} {versions:?}");
        }
    }
}

/// The same certificate, signed anew with this RSA key, without the parameter NULL of sha256WithRSAEncryption: both
/// forms are to be accepted (RFC 4055, section 5).
fn without_parameters(certificate: &[u8], key: &str) -> CertificateDer<'static> {
    const OID: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
    // Of 128 bytes to 64 KiB.
    let sequence = |parts: &[&[u8]]| {
        let content = parts.concat();
        match u16::try_from(content.len()).unwrap().to_be_bytes() {
            [0, length] => [&[0x30, 0x81, length], &content[..]].concat(),
            [high, low] => [&[0x30, 0x82, high, low], &content[..]].concat(),
        }
    };
    let content = |der: &[u8]| match der[1] {
        0x81 => der[3..3 + usize::from(der[2])].to_vec(),
        _ => der[4..4 + usize::from(u16::from_be_bytes([der[2], der[3]]))].to_vec(),
    };
    let (with, without) = ([b"\x30\x0d", OID, b"\x05\x00"].concat(), [b"\x30\x0b", OID].concat());
    // A sequence of what is signed, algorithm and signature; what is signed is one, too.
    let signed = content(&content(certificate));
    let at = signed.windows(with.len()).position(|part| part == with).unwrap();
    let signed = sequence(&[&signed[..at], &without, &signed[at + with.len()..]]);
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = ring::signature::RsaKeyPair::from_pkcs8(key.secret_der()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    let padding = &ring::signature::RSA_PKCS1_SHA256;
    key.sign(padding, &ring::rand::SystemRandom::new(), &signed, &mut signature).unwrap();
    sequence(&[&signed, &without, b"\x03\x82\x01\x01\x00", &signature]).into()
}

#[test]
fn a_signature_of_rsa_needs_no_parameter() {
    let authority = Authority::new(Kind::Rsa);
    let certificate = without_parameters(authority.signs(EC, |_| {}).der(), RSA_CA);
    for version in [&TLS12, &TLS13] {
        let server = answering(config((certificate.clone(), EC), &[version], None));
        assert_eq!(ask_with_token(&server, authority.pem.as_bytes()), Ok(200), "{version:?}");
    }
}

#[test]
fn a_client_certificate_is_given_where_it_is_asked_for() {
    for of_authority in [Kind::Rsa, Kind::Ec] {
        let authority = Authority::new(of_authority);
        let certificate = authority.signs(RSA, |_| {});
        for version in [&TLS12, &TLS13] {
            let server = serving((&certificate, RSA), &[version], Some(&authority));
            for (of_client, key) in
                [(RSA, RSA), (RSA, RSA_PKCS1), (EC, EC), (EC, EC_SEC1), (EC, &crlf(EC_SEC1))]
            {
                let client = authority.signs(of_client, |_| {});
                let answer = ask_with_certificate(&server, &authority, &client, key);
                let form = key.lines().next();
                assert_eq!(answer, Ok(200), "{of_authority:?} {version:?} {form:?}");
            }
        }
    }
}

#[test]
fn a_client_certificate_that_is_missing_or_refused_is_named_so() {
    let (authority, other) = (Authority::new(Kind::Rsa), Authority::new(Kind::Ec));
    let certificate = authority.signs(EC, |_| {});
    let client = other.signs(RSA, |_| {});
    let expired = authority.signs(RSA, |leaf| leaf.not_after = date_time_ymd(2001, 1, 1));
    let missing = "it wants a client certificate";
    for version in [&TLS12, &TLS13] {
        let server = serving((&certificate, EC), &[version], Some(&authority));
        let address = server.server().address().clone();
        // By TLS 1.3 the server looks at it when the handshake is over for us.
        let asked = if *version == TLS13 { "GET /api: " } else { "" };
        let said = |why: &str| {
            Err(format!("{asked}no TLS connection to the API server at {address}: {why}"))
        };
        assert_eq!(ask_with_token(&server, authority.pem.as_bytes()), said(missing));
        for (client, alert) in [(&client, "DecryptError"), (&expired, "CertificateExpired")] {
            let why = format!("it does not accept the client certificate (TLS alert {alert})");
            assert_eq!(ask_with_certificate(&server, &authority, client, RSA), said(&why));
        }
    }
}

#[test]
fn what_the_api_server_does_not_accept_is_named() {
    let authority = Authority::new(Kind::Rsa);
    let certificate = authority.signs(RSA, |_| {});
    let config = config((certificate.der().clone(), RSA), &[&TLS13], None);
    let server = StandIn::start_as(&Identity::new(config, String::new()), |_, mut peer| {
        while peer.hears().is_some() {
            peer.says(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
        }
    });
    server.files().put_authority(authority.pem.as_bytes());
    let with_certificate = by_certificate(&server, &authority, &certificate, RSA);
    for (of, expected) in
        [(server.server(), KnownBy::Token), (with_certificate, KnownBy::Certificate)]
    {
        let reply = Client::new(of, Clock::start()).ask(&get("/api"), LONG).unwrap();
        assert_eq!((reply.status, reply.by), (401, expected));
    }
}

/// Of a certificate before it is signed.
type Change = fn(&mut CertificateParams);

#[test]
fn a_certificate_that_cannot_be_used_is_said_to_be_so_with_the_reason() {
    let authority = Authority::new(Kind::Rsa);
    let cases: [(Change, &str); 7] = [
        (
            |leaf| leaf.not_after = date_time_ymd(2001, 1, 1),
            "has expired, or this machine's clock is wrong",
        ),
        (
            |leaf| leaf.not_before = date_time_ymd(4000, 1, 1),
            "is not valid yet, or this machine's clock is wrong",
        ),
        (
            |leaf| {
                let names = ["kubernetes.default".to_owned(), "10.96.0.1".to_owned()];
                leaf.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
            },
            "is not for this host, only for kubernetes.default, 10.96.0.1",
        ),
        (|leaf| leaf.subject_alt_names.clear(), "is not for this host: it has no subjectAltName"),
        (
            |leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            "is not for servers: its extended key usage must have serverAuth",
        ),
        (
            |leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            "is a CA's: a server needs one of its own, which that CA has signed",
        ),
        (|_| {}, ""),
    ];
    for (change, why) in cases {
        for version in [&TLS12, &TLS13] {
            let server = serving((&authority.signs(EC, change), EC), &[version], None);
            let expected = match why {
                "" => Ok(200),
                why => Err(format!(
                    "the certificate of the API server at {} {why}",
                    server.server().address()
                )),
            };
            assert_eq!(ask_with_token(&server, authority.pem.as_bytes()), expected);
        }
    }
}

fn crlf(pem: &str) -> String {
    pem.replace("\r\n", "\n").replace('\n', "\r\n")
}

#[test]
fn of_a_bundle_any_ca_will_do() {
    for kind in [Kind::Rsa, Kind::Ec] {
        let (right, other) = (Authority::new(kind), Authority::new(Kind::Ec));
        let server = serving((&right.signs(RSA, |_| {}), RSA), &[&TLS13, &TLS12], None);
        let bundle = |parts: &[&[u8]]| ask_with_token(&server, &parts.concat());
        let (right, other) = (right.pem.as_bytes(), other.pem.as_bytes());
        assert_eq!(bundle(&[other, right]), Ok(200));
        assert_eq!(bundle(&[right, other]), Ok(200));
        let [right_crlf, other_crlf] =
            [right, other].map(|pem| crlf(std::str::from_utf8(pem).unwrap()));
        assert_eq!(bundle(&[other_crlf.as_bytes(), right_crlf.as_bytes()]), Ok(200));
        // What stands between: comments, as `openssl -text` has them, bytes of no text, a key, a certificate
        // that is none.
        let between: [&[u8]; 6] = [
            b"\xef\xbb\xbf# old\r\n",
            b"\r\n\n\n",
            b"subject=CN = kubernetes\n    Serial Number: 1 (0x1)\n",
            b"\xff\xfe\0\x1b nonsense - --- -----\n",
            EC.as_bytes(),
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ];
        for between in between {
            let answer = bundle(&[between, other, between, right, between]);
            assert_eq!(answer, Ok(200), "{}", String::from_utf8_lossy(between));
        }
        let untrusted = format!(
            "the certificate of the API server at {} is not signed by a CA in {}",
            server.server().address(),
            server.files().authority().display()
        );
        assert_eq!(bundle(&[other, other]), Err(untrusted));
        // A bundle that is cut off is not half believed.
        let cut = bundle(&[right, &other[..other.len() / 2]]).unwrap_err();
        let file = server.files().authority().display().to_string();
        let expected = format!("the CA of the cluster cannot be read from {file}: it is not PEM: ");
        assert!(cut.starts_with(&expected), "{cut}");
    }
}
