use super::*;

/// What an algorithm is by: key and signature.
fn identifiers<'a>(
    algorithms: impl IntoIterator<
        Item = &'a &'static dyn rustls::pki_types::SignatureVerificationAlgorithm,
    >,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let of = |algorithm: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
        let (key, signature) = (algorithm.public_key_alg_id(), algorithm.signature_alg_id());
        (key.as_ref().to_vec(), signature.as_ref().to_vec())
    };
    algorithms.into_iter().map(of).collect()
}

#[test]
fn signatures_are_those_of_rustls_with_ring() {
    let theirs = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    assert_eq!(identifiers(SIGNATURES.all), identifiers(theirs.all));
    let mapping = |table: &WebPkiSupportedAlgorithms| -> Vec<_> {
        table.mapping.iter().map(|(scheme, by)| (*scheme, identifiers(*by))).collect()
    };
    assert_eq!(mapping(&SIGNATURES), mapping(&theirs));
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_in_words() {
    let sha1 = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05\x05\x00".to_vec();
    let p256 = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    let by_another_kind = CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
        signature_algorithm_id: sha1.clone(),
        public_key_algorithm_id: p256.to_vec(),
    };
    let said = |problem| distrust(rustls::Error::InvalidCertificate(problem), "a CA in ca.crt");
    assert_eq!(said(by_another_kind), Cause::Untrusted("a CA in ca.crt".to_owned()));
    assert_eq!(
        said(CertificateError::UnknownIssuer),
        Cause::Untrusted("a CA in ca.crt".to_owned())
    );
    let p521 = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23".to_vec();
    let all: Vec<_> = SIGNATURES.all.iter().map(|by| by.signature_alg_id()).collect();
    let other = |error: webpki::Error| CertificateError::Other(OtherError(Arc::new(error)));
    let host = || rustls::pki_types::ServerName::try_from("a.example").unwrap();
    for (problem, why) in [
        (
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: sha1.clone(),
                supported_algorithms: all,
            },
            "or that of a CA above it is signed with an algorithm (1.2.840.113549.1.1.5) that is not \
             supported: RSA with 2048 to 8192 bits, ECDSA on P-256 or P-384 and Ed25519 are, with \
             SHA-256 or longer",
        ),
        (
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: sha1,
                public_key_algorithm_id: p521,
            },
            "or that of a CA above it has a kind of key (1.2.840.10045.2.1 1.3.132.0.35) that is not \
             supported: RSA with 2048 to 8192 bits, ECDSA on P-256 or P-384 and Ed25519 are, with \
             SHA-256 or longer",
        ),
        (
            CertificateError::NotValidForNameContext {
                expected: host(),
                presented: vec!["DnsName(\"b.example\")".into(), "IpAddress(10.0.0.1)".into()],
            },
            "is not for this host, only for b.example, 10.0.0.1",
        ),
        (
            CertificateError::NotValidForNameContext { expected: host(), presented: vec![] },
            "is not for this host: it has no subjectAltName",
        ),
        (CertificateError::BadEncoding, "is not one in X.509"),
        (other(webpki::Error::UnsupportedCertVersion), "is not of X.509 version 3"),
        (other(webpki::Error::NameConstraintViolation), "is not valid: NameConstraintViolation"),
        (CertificateError::Revoked, "is not valid: Revoked"),
    ] {
        assert_eq!(said(problem), Cause::Certificate(why.to_owned()));
    }
}

#[test]
fn what_a_server_has_against_tls_is_said_in_words() {
    use AlertDescription as Alert;
    for (alert, said) in [
        (Alert::CertificateRequired, "it wants a client certificate"),
        (Alert::UnknownCA, "it does not accept the client certificate (TLS alert UnknownCA)"),
        (
            Alert::HandshakeFailure,
            "it refuses (TLS alert HandshakeFailure): it wants a client certificate, or neither TLS \
             1.3 nor TLS 1.2 with ECDHE and AES-GCM",
        ),
        (Alert::InternalError, "it ended TLS (alert InternalError)"),
    ] {
        assert_eq!(no_tls(&rustls::Error::AlertReceived(alert)), said);
    }
}

#[test]
fn whatever_an_identifier_is_it_is_short() {
    for (der, shown) in [
        (&b""[..], ""),
        (b"\x05\x00", ""),
        (b"\x06\x05\x2a", ""),
        (b"\x06\x00", ""),
        (b"\x06\x01\x80", ""),
        (b"\x06\x03\x88\x37\x03", "2.999.3"),
        (b"\x06\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "2.18446744073709551535"),
    ] {
        assert_eq!(object_identifiers(der), shown, "{der:?}");
    }
    assert!(object_identifiers(&[&[6, 255][..], &[1; 255]].concat()).chars().count() <= 200);
}
