//! The bare client: one cordon, then evictions and nothing else, each
//! connection taking the next pod as soon as it has its answer. It is told the
//! pods beforehand. What it reaches is what the API server gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// What it is to do; handed over in a file.
#[derive(Debug, Deserialize, Serialize)]
pub struct Order {
    /// `https://…` without a final slash.
    pub server: String,
    /// The certificate of its authority, PEM.
    pub authority: PathBuf,
    /// The token.
    pub token_file: PathBuf,
    /// What to cordon.
    pub node: String,
    /// How many connections.
    pub connections: u16,
    /// What to evict.
    pub pods: Vec<Victim>,
}

/// One pod.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Victim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its grace in seconds.
    pub grace: i64,
}

/// Carries out the order in that file.
///
/// # Errors
/// The file cannot be read, or a request did not succeed.
pub fn run(order: &Path) -> Result<()> {
    let order: Order = serde_json::from_slice(&fs::read(order)?)?;
    let token = fs::read_to_string(&order.token_file)?;
    let token = format!("Bearer {}", token.trim());
    let agent = agent(&order.authority)?;

    let node = format!("{}/api/v1/nodes/{}", order.server, order.node);
    let cordon = json!({"spec": {"unschedulable": true}}).to_string();
    let request = agent.patch(node).content_type("application/merge-patch+json");
    expect_success(request.header("Authorization", &token).send(cordon)?)?;

    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..order.connections)
            .map(|_| scope.spawn(|| evict_the_next(&order, &token, &next)))
            .collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        Ok(())
    })
}

fn evict_the_next(order: &Order, token: &str, next: &AtomicUsize) -> Result<()> {
    // An agent of its own is a connection of its own.
    let agent = agent(&order.authority)?;
    while let Some(pod) = order.pods.get(next.fetch_add(1, Ordering::Relaxed)) {
        let Victim { namespace, name, .. } = pod;
        let url = format!("{}/api/v1/namespaces/{namespace}/pods/{name}/eviction", order.server);
        let request = agent.post(url).content_type("application/json");
        let answer = request.header("Authorization", token).send(pod.eviction().to_string());
        expect_success(answer?).with_context(|| format!("evicting {name}"))?;
    }
    Ok(())
}

impl Victim {
    fn eviction(&self) -> Value {
        json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"namespace": self.namespace, "name": self.name},
            "deleteOptions": {
                "gracePeriodSeconds": self.grace,
                "preconditions": {"uid": self.uid},
            },
        })
    }
}

fn agent(authority: &Path) -> Result<Agent> {
    let pem = fs::read(authority)?;
    let mut roots = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item? {
            roots.push(certificate);
        }
    }
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build();
    let config = Agent::config_builder().tls_config(tls).http_status_as_error(false);
    Ok(config.build().into())
}

/// Reads the body too: only then is the connection free again.
fn expect_success(answer: ureq::http::Response<ureq::Body>) -> Result<()> {
    let status = answer.status();
    let text = answer.into_body().read_to_string()?;
    ensure!(status.is_success(), "{status}: {text}");
    Ok(())
}
