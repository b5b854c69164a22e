//! A kubeconfig in its JSON form, as `kubectl config view --minify --flatten --raw -o json` prints it:
//! where the API server is, by what it is known, by what we are known to it. The program reads no YAML.
//! Pure.
//!
//! The fields are those of `clientcmd/api/v1` in k8s.io/client-go.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miniserde::Deserialize;
use miniserde::json::{self, Value};

use crate::excerpt::excerpt;
use crate::http::tls::OwnCertificate;
use crate::kube::server::{Credential, Roots, Server, ServerUrl};
use crate::kube::token::BearerToken;

/// Of a kubeconfig so much is read, in bytes.
pub const LIMIT: usize = 1024 * 1024;

/// How a kubeconfig that can be read is made of any other.
const HOW: &str = "kubectl config view --minify --flatten --raw -o json";

/// The API server of the current context. `folder`: where the kubeconfig is; relative names of files in it begin
/// there, as client-go has it.
///
/// # Errors
/// What is missing or cannot be done, and what to do, as the end of a sentence that has named the file.
/// Nothing secret.
pub fn server(content: &[u8], folder: &Path) -> Result<Server, String> {
    let not_json = || format!("it is not the JSON form of a kubeconfig: write it with {HOW}");
    let text = std::str::from_utf8(content).map_err(|_| not_json())?;
    let config: Config = json::from_str(text).map_err(|_| not_json())?;
    if config.kind.as_deref().unwrap_or(KIND) != KIND {
        return Err(not_json());
    }
    let current = config.current_context.filter(|name| !name.is_empty());
    let current = current.ok_or("it has no current-context")?;
    let names = named(config.contexts, |it| (it.name, it.context), "context", &current)?;
    let cluster = named(config.clusters, |it| (it.name, it.cluster), "cluster", &names.cluster)?;
    let user = match names.user.filter(|user| !user.is_empty()) {
        Some(user) => named(config.users, |it| (it.name, it.user), "user", &user)?,
        None => return Err("its current context names no user".to_owned()),
    };
    let (url, roots) = cluster.server(folder)?;
    Ok(Server::with(url, roots, user.credential(folder)?))
}

const KIND: &str = "Config";

fn named<T, N>(
    all: Option<Vec<N>>,
    parts: impl Fn(N) -> (String, T),
    what: &str,
    name: &str,
) -> Result<T, String> {
    let found = all.into_iter().flatten().map(parts).find(|(its, _)| its == name);
    found.map(|(_, it)| it).ok_or_else(|| format!("it has no {what} named {}", excerpt(name)))
}

fn decoded(what: &str, data: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(data.trim()).map_err(|_| format!("its {what} is not base64"))
}

#[derive(Deserialize)]
struct Config {
    kind: Option<String>,
    clusters: Option<Vec<NamedCluster>>,
    contexts: Option<Vec<NamedContext>>,
    users: Option<Vec<NamedUser>>,
    #[serde(rename = "current-context")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: Option<String>,
}

#[derive(Deserialize)]
struct Cluster {
    server: String,
    #[serde(rename = "certificate-authority-data")]
    authority: Option<String>,
    #[serde(rename = "certificate-authority")]
    authority_file: Option<String>,
    #[serde(rename = "insecure-skip-tls-verify")]
    insecure: Option<bool>,
    #[serde(rename = "tls-server-name")]
    server_name: Option<String>,
    #[serde(rename = "proxy-url")]
    proxy: Option<String>,
}

impl Cluster {
    fn server(self, folder: &Path) -> Result<(ServerUrl, Roots), String> {
        let url = ServerUrl::parse(&self.server)
            .map_err(|why| format!("its server is not good: {why}"))?;
        if self.insecure == Some(true) {
            return Err(
                "it says insecure-skip-tls-verify, and nobody is trusted without a certificate: \
                give certificate-authority-data"
                    .to_owned(),
            );
        }
        for (name, value) in [("tls-server-name", self.server_name), ("proxy-url", self.proxy)] {
            if value.is_some_and(|value| !value.is_empty()) {
                return Err(format!("it has {name}, which this program does not know"));
            }
        }
        let given = |text: &String| !text.is_empty();
        match (self.authority.filter(given), self.authority_file.filter(given)) {
            (Some(data), _) => Ok((url, Roots::Pem(decoded("certificate-authority-data", &data)?))),
            (None, Some(file)) => Ok((url, Roots::File(folder.join(file)))),
            (None, None) => {
                Err("it has no certificate-authority-data, and no other authority is trusted"
                    .to_owned())
            }
        }
    }
}

#[derive(Deserialize)]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    #[serde(rename = "client-certificate-data")]
    certificate: Option<String>,
    #[serde(rename = "client-key-data")]
    key: Option<String>,
    #[serde(rename = "as")]
    acts_as: Option<Value>,
    #[serde(rename = "as-uid")]
    acts_as_uid: Option<Value>,
    #[serde(rename = "as-groups")]
    acts_as_groups: Option<Value>,
    #[serde(rename = "as-user-extra")]
    acts_as_extra: Option<Value>,
    exec: Option<Value>,
    #[serde(rename = "auth-provider")]
    auth_provider: Option<Value>,
}

impl User {
    /// A token file goes before a token, as in client-go, and a certificate before both.
    fn credential(self, folder: &Path) -> Result<Credential, String> {
        let posing = [&self.acts_as, &self.acts_as_uid, &self.acts_as_groups, &self.acts_as_extra];
        if posing.iter().any(|it| it.is_some()) {
            return Err(
                "its user acts as somebody else (as, as-groups …), which this program does not \
                know: without it more might be allowed than is meant"
                    .to_owned(),
            );
        }
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            let certificate = decoded("client-certificate-data", certificate)?;
            let key = decoded("client-key-data", key)?;
            return OwnCertificate::from_pem(&certificate, &key).map(Credential::Certificate);
        }
        if let Some(file) = self.token_file.filter(|file| !file.is_empty()) {
            return Ok(Credential::TokenFile(folder.join(file)));
        }
        if let Some(token) = self.token.filter(|token| !token.is_empty()) {
            let token = BearerToken::parse(token.as_bytes())
                .map_err(|why| format!("its token is not good: {why}"))?;
            return Ok(Credential::Token(token));
        }
        let plugin = [("exec", self.exec), ("auth-provider", self.auth_provider)];
        match plugin.into_iter().find(|(_, value)| value.is_some()) {
            Some((name, _)) => Err(format!(
                "it gets its credentials by a program ({name}), and this one starts none: get a token with \
                 that program or with kubectl create token, and give it with --server, --ca-file and \
                 --token-file"
            )),
            None => Err(format!(
                "its user has neither token nor client certificate: write it with {HOW}"
            )),
        }
    }
}

#[cfg(test)]
mod tests;
