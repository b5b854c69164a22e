//! How the parts of the control plane find and convince the API server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use super::pki::Pki;

/// The group that may do everything.
pub const MASTERS: &str = "system:masters";

/// Writes the file for `user`, with a certificate made for it and perhaps its group.
pub fn write(
    folder: &Path,
    pki: &Pki,
    port: u16,
    user: &str,
    group: Option<&str>,
) -> Result<PathBuf> {
    let identity = pki.client(user, group)?;
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "e2e",
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": user}}],
        "clusters": [{"name": "e2e", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": pki.authority(),
        }}],
        "users": [{"name": user, "user": {
            "client-certificate": identity.certificate,
            "client-key": identity.key,
        }}],
    });
    let path = folder.join(format!("{}.kubeconfig", user.replace(':', "-")));
    // JSON is YAML.
    fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
    Ok(path)
}

/// A client with the identity of that file.
pub async fn client(path: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(path)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
