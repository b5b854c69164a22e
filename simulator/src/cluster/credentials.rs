//! The ServiceAccount's files, and the tokens the API server takes.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::node::NODE_UID;
use super::pod::{HANDLER_POD, HANDLER_POD_UID};
use crate::lock;

/// In whose name the handler speaks.
pub(super) const USER: &str = "system:serviceaccount:kube-system:k8s-spot-handler";

/// A folder with `token`, `ca.crt` and `namespace`, as a pod finds it below
/// `/var/run/secrets/kubernetes.io/serviceaccount`; gone when dropped.
pub(super) struct Credentials {
    folder: PathBuf,
    node: String,
    accepted: Mutex<Vec<String>>,
    issued: AtomicU64,
}

impl Credentials {
    pub(super) fn create(authority: &str, node: &str) -> io::Result<Self> {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("simulator-{}-{number}", process::id()));
        fs::create_dir_all(&folder)?;
        let credentials = Self {
            folder,
            node: node.to_owned(),
            accepted: Mutex::default(),
            issued: AtomicU64::new(0),
        };
        fs::write(credentials.authority_file(), authority)?;
        fs::write(credentials.folder.join("namespace"), "kube-system")?;
        credentials.issue()?;
        Ok(credentials)
    }

    pub(super) fn token_file(&self) -> PathBuf {
        self.folder.join("token")
    }

    pub(super) fn authority_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The newest token.
    pub(super) fn token(&self) -> String {
        lock(&self.accepted).last().cloned().unwrap_or_default()
    }

    /// Makes a token that is accepted beside the others, and puts it into the
    /// file in one step, as the kubelet does.
    pub(super) fn issue(&self) -> io::Result<()> {
        let token = self.make();
        let draft = self.folder.join("token.new");
        fs::write(&draft, &token)?;
        fs::rename(draft, self.token_file())?;
        lock(&self.accepted).push(token);
        Ok(())
    }

    /// Accepts this text beside the others.
    pub(super) fn accept(&self, token: &str) {
        lock(&self.accepted).insert(0, token.to_owned());
    }

    /// Accepts none of the tokens made so far; the file stays as it is.
    pub(super) fn revoke(&self) {
        lock(&self.accepted).clear();
    }

    pub(super) fn accepts(&self, authorization: Option<&str>) -> bool {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        token.is_some_and(|token| lock(&self.accepted).iter().any(|one| one == token))
    }

    /// A token with the claims of one that is bound to the handler's pod. Its
    /// signature is for show.
    fn make(&self) -> String {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let now = OffsetDateTime::now_utc();
        let (namespace, pod) = HANDLER_POD.split_once('/').unwrap_or_default();
        let claims = json!({
            "aud": ["https://kubernetes.default.svc"],
            "exp": (now + Duration::hours(1)).unix_timestamp(),
            "iat": now.unix_timestamp(),
            "iss": "https://kubernetes.default.svc",
            "jti": format!("3f0c5b1e-8c1d-4f44-a2c5-{number:012}"),
            "kubernetes.io": {
                "namespace": namespace,
                "node": { "name": self.node, "uid": NODE_UID },
                "pod": { "name": pod, "uid": HANDLER_POD_UID },
                "serviceaccount": { "name": "k8s-spot-handler",
                    "uid": "b7c2a1d0-2f3e-4d5c-8b9a-0f1e2d3c4b5a" },
            },
            "nbf": now.unix_timestamp(),
            "sub": USER,
        });
        let head = json!({ "alg": "RS256", "kid": "simulator" });
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        format!(
            "{}.{}.{}",
            encode(head.to_string()),
            encode(claims.to_string()),
            encode("no signature".to_owned())
        )
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        // What is left lies in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
