//! kube-apiserver: it alone can be stopped and started again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use kube::Client;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::kubeconfig::MASTERS;
use super::pki::Pki;
use super::{Binaries, GLANCE, Plan, Process, port};

/// The API server of one cluster.
pub struct ApiServer {
    program: PathBuf,
    arguments: Vec<OsString>,
    folder: PathBuf,
    port: u16,
    process: Option<Process>,
    started: Timestamp,
    startups: Vec<Startup>,
}

/// The time from a start to readiness. The server answers before it is ready,
/// and then knows no roles yet: it forbids what is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Startup {
    from: Timestamp,
    to: Timestamp,
}

impl Startup {
    /// Whether that moment lies in it.
    #[must_use]
    pub fn contains(&self, moment: Timestamp) -> bool {
        (self.from..=self.to).contains(&moment)
    }
}

impl ApiServer {
    pub(super) fn prepare(
        plan: Plan,
        binaries: &Binaries,
        folder: &Path,
        pki: &Pki,
        etcd: &str,
    ) -> Result<Self> {
        let port = port::free()?;
        let server = pki.server("kube-apiserver")?;
        // As which it asks kubelets for logs, and has them run commands.
        let client = pki.client("kube-apiserver-kubelet-client", Some(MASTERS))?;
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("controlplane/audit-policy.yaml");
        let files: [(&str, &Path); 11] = [
            ("tls-cert-file", &server.certificate),
            ("tls-private-key-file", &server.key),
            ("client-ca-file", &pki.authority()),
            ("kubelet-client-certificate", &client.certificate),
            ("kubelet-client-key", &client.key),
            ("kubelet-certificate-authority", &pki.authority()),
            ("service-account-key-file", &pki.token_public_key()),
            ("service-account-signing-key-file", &pki.token_key()),
            ("audit-policy-file", &policy),
            ("audit-log-path", &audit_log(folder)),
            ("cert-dir", folder),
        ];
        let mut arguments: Vec<OsString> = Vec::new();
        for (flag, path) in files {
            arguments.push(format!("--{flag}").into());
            arguments.push(path.into());
        }
        let port_text = port.to_string();
        let values = [
            ("etcd-servers", etcd),
            ("secure-port", &port_text),
            ("bind-address", "127.0.0.1"),
            ("advertise-address", "127.0.0.1"),
            ("endpoint-reconciler-type", "none"),
            ("service-cluster-ip-range", "10.96.0.0/16"),
            ("service-account-issuer", "https://kubernetes.default.svc"),
            ("authorization-mode", "Node,RBAC"),
            ("enable-admission-plugins", "NodeRestriction"),
            // Names of nodes are names of scenes, and stand in no name service.
            ("kubelet-preferred-address-types", "InternalIP"),
        ];
        for (flag, value) in values {
            arguments.push(format!("--{flag}={value}").into());
        }
        arguments.extend(plan.flags.iter().map(OsString::from));
        Ok(Self {
            program: binaries.api_server(plan.release),
            arguments,
            folder: folder.to_owned(),
            port,
            process: None,
            started: Timestamp::now(),
            startups: Vec::new(),
        })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref()?.id()
    }

    /// Starts it, for the first time or again.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(&mut self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        self.started = Timestamp::now();
        self.process = Some(Process::start("kube-apiserver", command, &self.folder)?);
        Ok(())
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// It ended, or is not ready after two minutes.
    pub async fn wait_until_ready(&mut self, client: &Client) -> Result<()> {
        let patience = Duration::from_mins(2);
        timeout(patience, async {
            loop {
                if let Some(process) = &mut self.process {
                    process.check_running()?;
                }
                let request = http::Request::get("/readyz").body(Vec::new())?;
                if client.request_text(request).await.is_ok() {
                    self.startups.push(Startup { from: self.started, to: Timestamp::now() });
                    return Ok(());
                }
                sleep(GLANCE).await;
            }
        })
        .await
        .with_context(|| format!("kube-apiserver not ready after {patience:?}"))?
    }

    /// When it was there and not ready yet.
    #[must_use]
    pub fn startups(&self) -> &[Startup] {
        &self.startups
    }

    /// Lets it end as an upgrade does: what it was asked before it answers.
    ///
    /// # Errors
    /// It does not end within two minutes, or has ended already.
    pub async fn terminate(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it has ended already")?;
        process.signal_term()?;
        process.wait(Duration::from_mins(2)).await?;
        Ok(())
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// It could not be ended.
    pub async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }
}

pub(super) fn audit_log(folder: &Path) -> PathBuf {
    folder.join("audit.log")
}
