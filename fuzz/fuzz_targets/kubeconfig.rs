//! A kubeconfig, and a token in it: nothing secret is told of either, and no claim of a token can lead a request
//! elsewhere.
#![no_main]

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_spot_handler::kube::kubeconfig;
use k8s_spot_handler::kube::request::{is_label, is_subdomain};
use k8s_spot_handler::kube::server::ServerUrl;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let (mode, content) = fuzz::mode(input);
    if mode == b'T' {
        claims(content);
        return;
    }
    let read = fuzz::within(input, 100, 64 * 1024, || kubeconfig::server(content, Path::new("/k")));
    match read {
        Ok(server) => {
            fuzz::is_one_line(&server.address().to_string());
            assert!(server.address().port() != 0);
            if server.where_token_is().as_deref() == Some("the kubeconfig") {
                assert!(server.claims().is_ok());
            }
        }
        Err(why) => {
            fuzz::is_one_line(&why);
            let config: Value = serde_json::from_slice(content).unwrap_or_default();
            for user in config["users"].as_array().into_iter().flatten() {
                for secret in ["token", "client-key-data"] {
                    // Shorter ones may be words of the sentence.
                    let secret = user["user"][secret].as_str().unwrap_or_default();
                    assert!(
                        secret.len() < 12
                            || is_shown_anyway(&config, secret)
                            || !why.contains(secret),
                        "{why}"
                    );
                }
            }
        }
    }
});

/// The same text stands in a place that is told of.
fn is_shown_anyway(config: &Value, secret: &str) -> bool {
    let mut config = config.clone();
    for user in config["users"].as_array_mut().into_iter().flatten() {
        user["user"] = Value::Null;
    }
    config.to_string().contains(secret)
}

/// The payload of a token.
fn claims(payload: &[u8]) {
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
    let config = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://a", "certificate-authority": "ca"}}],
        "users": [{"name": "u", "user": {"token": token}}],
    });
    let server = kubeconfig::server(config.to_string().as_bytes(), Path::new("/k"));
    let claims = server.expect("it is one").claims().expect("it is in the kubeconfig");
    assert!(claims.namespace.as_deref().is_none_or(is_label), "{claims:?}");
    for name in [&claims.pod, &claims.node] {
        assert!(name.as_deref().is_none_or(is_subdomain), "{claims:?}");
    }
    fuzz::are_lines([claims.audience, claims.subject].iter().flatten().map(String::as_str));
    let url = ServerUrl::parse(&String::from_utf8_lossy(payload));
    if let Ok(url) = url {
        assert_eq!(ServerUrl::parse(&url.to_string()), Ok(url));
    }
}
