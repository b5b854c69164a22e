//! By which token we are known to the API server, and what it says of whose it is.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniserde::Deserialize;
use miniserde::json::{self, Value};
use ureq_proto::http::HeaderValue;

use crate::drain::pod::OwnPod;
use crate::excerpt::excerpt;
use crate::kube::request::{is_label, is_subdomain};

/// A bearer token, as the header that carries it. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BearerToken(HeaderValue);

impl BearerToken {
    /// Takes the content of a token file, white space around it allowed.
    pub(super) fn parse(content: &[u8]) -> Result<Self, &'static str> {
        let token = content.trim_ascii();
        if token.is_empty() {
            return Err("it is empty");
        }
        // Anything else could smuggle a header into the request.
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err("it has characters that no token has");
        }
        let header = [BEARER, token].concat();
        let mut header =
            HeaderValue::try_from(header).map_err(|_| "it has characters that no token has")?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    pub(super) fn secret(&self) -> &[u8] {
        let header = self.0.as_bytes();
        header.strip_prefix(BEARER).unwrap_or(header)
    }
}

const BEARER: &[u8] = b"Bearer ";

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(not shown)")
    }
}

/// Whose token it is: claims of a token that is bound to a pod (Kubernetes 1.21 and later; the
/// node since 1.30). What is not there is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The namespace of ServiceAccount and pod.
    pub namespace: Option<String>,
    /// The name of the pod.
    pub pod: Option<String>,
    /// The UID of the pod.
    pub uid: Option<String>,
    /// The name of the node that the pod runs on.
    pub node: Option<String>,
    /// When it was issued; this and the following in seconds since 1970.
    pub issued: Option<u64>,
    /// From when on it is not accepted any more.
    pub expires: Option<u64>,
    /// From when on the API server warns of it: the kubelet has replaced it by then. It is accepted for
    /// longer for the sake of programs that read their token once.
    pub stale: Option<u64>,
    /// Whom it is meant for, as JSON.
    pub audience: Option<String>,
    /// Whose it is: `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: Option<String>,
}

impl Claims {
    /// The pod that the token is bound to.
    pub fn own_pod(self) -> OwnPod {
        OwnPod { namespace: self.namespace, name: self.pod, uid: self.uid }
    }

    /// Reads the payload of a JSON Web Token (RFC 7519); no claims if it is anything else. Nothing
    /// is verified: the API server does that.
    pub(super) fn of(token: &BearerToken) -> Self {
        Self::payload(token.secret()).unwrap_or_default()
    }

    fn payload(token: &[u8]) -> Option<Self> {
        let payload = token.split(|byte| *byte == b'.').nth(1)?;
        let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let payload: Payload = json::from_str(&payload).ok()?;
        let claims = payload.kubernetes?;
        let pod = claims.pod.unwrap_or_default();
        Some(Self {
            namespace: claims.namespace.filter(|name| is_label(name)),
            pod: pod.name.filter(|name| is_subdomain(name)),
            uid: pod.uid,
            node: claims.node.and_then(|node| node.name).filter(|name| is_subdomain(name)),
            issued: payload.issued,
            expires: payload.expires,
            stale: claims.stale,
            audience: payload.audience.map(|audience| excerpt(&json::to_string(&audience))),
            subject: payload.subject.as_deref().map(excerpt),
        })
    }
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Bound>,
    #[serde(rename = "iat")]
    issued: Option<u64>,
    #[serde(rename = "exp")]
    expires: Option<u64>,
    #[serde(rename = "aud")]
    audience: Option<Value>,
    #[serde(rename = "sub")]
    subject: Option<String>,
}

#[derive(Deserialize)]
struct Bound {
    namespace: Option<String>,
    #[serde(rename = "warnafter")]
    stale: Option<u64>,
    pod: Option<Object>,
    node: Option<Object>,
}

#[derive(Default, Deserialize)]
struct Object {
    name: Option<String>,
    uid: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims_of(token: &str) -> Claims {
        Claims::of(&BearerToken::parse(token.as_bytes()).unwrap())
    }

    #[test]
    fn a_token_is_visible_ascii() {
        let header = |content: &[u8]| BearerToken::parse(content).map(|token| token.header());
        assert_eq!(header(b" \na.b-c_d\r\n").unwrap(), "Bearer a.b-c_d");
        for wrong in [&b""[..], b" \n", b"a b", b"a\r\nX-Evil: 1", b"a\0", "ä".as_bytes()] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_claims_tell_whose_token_it_is() {
        let claims = |payload: &str| {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
            claims_of(&token)
        };
        let payload = r#"{"aud":["x","y"],"exp":9,"iat":1,"kubernetes.io":{"namespace":"kube-system",
            "node":{"name":"n1","uid":"1"},"pod":{"name":"p","uid":"2"},
            "serviceaccount":{"name":"s","uid":"3"},"warnafter":5},
            "sub":"system:serviceaccount:a:b?>~"}"#;
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            claims(payload),
            Claims {
                namespace: some("kube-system"),
                pod: some("p"),
                uid: some("2"),
                node: some("n1"),
                issued: Some(1),
                expires: Some(9),
                stale: Some(5),
                audience: some(r#"["x","y"]"#),
                subject: some("system:serviceaccount:a:b?>~"),
            }
        );
        let unbound = Claims { namespace: some("a"), ..Claims::default() };
        assert_eq!(claims(r#"{"kubernetes.io":{"namespace":"a"}}"#), unbound);
        for end in 0..payload.len() {
            assert_eq!(claims(&payload[..end]), Claims::default());
        }
        for token in ["opaque", "a.b", "a.!.c", "..", "a.eyJ.c"] {
            assert_eq!(claims_of(token), Claims::default(), "{token}");
        }
    }
}
