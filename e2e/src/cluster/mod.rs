//! A real control plane on loopback: etcd, kube-apiserver, and, where asked
//! for, controller-manager and scheduler; kwok plays the kubelets, where there
//! are no real ones.

mod api_server;
pub mod audit;
mod binaries;
mod kubeconfig;
mod link;
mod pki;
pub mod port;
mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Client;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

pub use api_server::{ApiServer, Startup};
pub use binaries::{Binaries, Release};
use kubeconfig::MASTERS;
pub use link::Link;
pub use pki::{Identity, Pki};
pub use process::Process;

/// What a cluster is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// A word for its folder and its messages.
    pub name: &'static str,
    /// Of which release its API server is.
    pub release: Release,
    /// What the API server is told besides.
    pub flags: &'static [&'static str],
    /// How long the way from the API server to etcd is, one way.
    pub etcd_distance: Duration,
    /// Whether it has a controller manager and a scheduler. Without them pods
    /// are created on their node, and budgets get their status by hand.
    pub controllers: bool,
    /// Whether its scenes are nodes of their own, with a kubelet, and kwok has only those that are marked
    /// as its own.
    pub kubelets: bool,
}

/// The annotation of a node that kwok plays where there are others.
pub const PLAYED: (&str, &str) = ("kwok.x-k8s.io/node", "fake");

/// A running control plane. Dropping it ends its processes.
pub struct Cluster {
    plan: Plan,
    folder: PathBuf,
    binaries: Binaries,
    pki: Pki,
    /// Behind a lock: a scenario may stop and start it.
    api_server: Mutex<ApiServer>,
    port: u16,
    etcd: u16,
    /// Between the API server and etcd, if that is to be farther away than it is.
    _link: Option<Link>,
    others: Mutex<Vec<Process>>,
    client: Client,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// Starts everything and waits until it answers.
    ///
    /// # Errors
    /// A part does not start or is not ready within two minutes.
    pub async fn start(plan: Plan, binaries: &Binaries, runs: &Path) -> Result<Self> {
        Self::try_start(plan, binaries, runs)
            .await
            .with_context(|| format!("starting the cluster {}", plan.name))
    }

    async fn try_start(plan: Plan, binaries: &Binaries, runs: &Path) -> Result<Self> {
        let folder = runs.join(plan.name);
        fs::create_dir_all(&folder)?;
        let pki = Pki::create(&folder.join("pki"), "e2e-cluster-ca")?;
        pki.create_token_key()?;

        let (etcd, etcd_port) = start_etcd(binaries, &folder)?;
        let link = match plan.etcd_distance {
            Duration::ZERO => None,
            one_way => Some(Link::open(etcd_port, one_way).await?),
        };
        let etcd_url = url(link.as_ref().map_or(etcd_port, Link::port));
        let mut api_server = ApiServer::prepare(plan, binaries, &folder, &pki, &etcd_url)?;
        api_server.start()?;

        // The tests themselves: an identity of their own, beyond all limits.
        let kubeconfig = kubeconfig::write(&folder, &pki, api_server.port(), "e2e", Some(MASTERS))?;
        let client = kubeconfig::client(&kubeconfig).await?;
        api_server.wait_until_ready(&client).await?;

        let mut cluster = Self {
            plan,
            folder,
            binaries: binaries.clone(),
            pki,
            port: api_server.port(),
            etcd: etcd_port,
            _link: link,
            api_server: Mutex::new(api_server),
            others: Mutex::new(vec![etcd]),
            client,
            kubeconfig,
        };
        cluster.start_kwok()?;
        if plan.controllers {
            cluster.start_controller_manager()?;
            cluster.start_scheduler()?;
        }
        Ok(cluster)
    }

    /// What it is made of.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// The tests' own client: everything is allowed, nothing is limited.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The API server, to stop it and start it again.
    pub async fn api_server(&self) -> MutexGuard<'_, ApiServer> {
        self.api_server.lock().await
    }

    /// The programs that it is made of, and those to use it with.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The port of the API server on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of etcd on 127.0.0.1, for clients.
    #[must_use]
    pub fn etcd_port(&self) -> u16 {
        self.etcd
    }

    /// The certificate of the cluster's authority.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.pki.authority()
    }

    /// A certificate for a server on loopback, as the API server has one.
    ///
    /// # Errors
    /// Its files cannot be written.
    pub fn server_identity(&self, name: &str) -> Result<Identity> {
        self.pki.server(name)
    }

    /// A certificate for a server at these names and addresses.
    ///
    /// # Errors
    /// Its files cannot be written.
    pub fn server_identity_at(&self, name: &str, at: &[&str]) -> Result<Identity> {
        self.pki.server_at(name, at)
    }

    /// The audit log: what the handler asked and what it was told.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        api_server::audit_log(&self.folder)
    }

    /// The logs of its parts.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `kubectl` as the tests' own user.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(self.binaries.kubectl());
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            // No discovery cache outside the run's folder.
            .env("HOME", &self.folder);
        command
    }

    /// `helm` as the tests' own user.
    #[must_use]
    pub fn helm(&self) -> Command {
        let mut command = Command::new(self.binaries.helm());
        command.arg("--kubeconfig").arg(&self.kubeconfig).env("HOME", &self.folder);
        command
    }

    /// Runs `kubectl` to its end and gives what it printed.
    ///
    /// # Errors
    /// It failed; the message holds what it said.
    pub async fn run_kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.kubectl().args(arguments).output().await?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {arguments:?}: {told}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Fails if one of its processes has ended by itself.
    ///
    /// # Errors
    /// The message names the process and its log.
    pub async fn check_running(&self) -> Result<()> {
        for process in self.others.lock().await.iter_mut() {
            process.check_running()?;
        }
        Ok(())
    }

    /// Ends its processes and waits for their end.
    ///
    /// # Errors
    /// One could not be ended.
    pub async fn stop(&self) -> Result<()> {
        let mut others = self.others.lock().await;
        // etcd, the first of them, goes after the API server.
        let etcd = others.drain(..1).collect::<Vec<_>>();
        for mut process in others.drain(..) {
            process.kill().await?;
        }
        self.api_server.lock().await.kill().await?;
        for mut process in etcd {
            process.kill().await?;
        }
        // Logs are kept where a run failed; this is large and says nothing.
        fs::remove_dir_all(self.folder.join("etcd"))?;
        Ok(())
    }

    fn start_kwok(&mut self) -> Result<()> {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("controlplane/kwok.yaml");
        let mut command = Command::new(self.binaries.kwok());
        command
            .arg("--kubeconfig")
            .arg(self.identity("kwok", Some(MASTERS))?)
            .arg("--config")
            .arg(config)
            .env("HOME", &self.folder);
        if self.plan.kubelets {
            let (label, value) = PLAYED;
            command.arg("--manage-all-nodes=false");
            command.arg(format!("--manage-nodes-with-annotation-selector={label}={value}"));
        }
        self.keep("kwok", command)
    }

    fn start_controller_manager(&mut self) -> Result<()> {
        let mut command = Command::new(self.binaries.controller_manager());
        command
            .arg("--kubeconfig")
            .arg(self.identity("system:kube-controller-manager", None)?)
            .arg("--service-account-private-key-file")
            .arg(self.pki.token_key())
            .arg("--root-ca-file")
            .arg(self.pki.authority())
            .args([
                "--use-service-account-credentials=true",
                "--leader-elect=false",
                "--secure-port=0",
                "--node-monitor-grace-period=600s",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
            ]);
        self.keep("kube-controller-manager", command)
    }

    fn start_scheduler(&mut self) -> Result<()> {
        let mut command = Command::new(self.binaries.scheduler());
        command.arg("--kubeconfig").arg(self.identity("system:kube-scheduler", None)?).args([
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]);
        self.keep("kube-scheduler", command)
    }

    /// A kubeconfig for that user, perhaps in a group, with a certificate of its own.
    ///
    /// # Errors
    /// Its files cannot be written.
    pub fn identity(&self, user: &str, group: Option<&str>) -> Result<PathBuf> {
        kubeconfig::write(&self.folder, &self.pki, self.port(), user, group)
    }

    fn keep(&mut self, name: &str, command: Command) -> Result<()> {
        self.others.get_mut().push(Process::start(name, command, &self.folder)?);
        Ok(())
    }
}

/// How often something that is awaited is looked at.
pub const GLANCE: Duration = Duration::from_millis(100);

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Gives the port for clients, too.
fn start_etcd(binaries: &Binaries, folder: &Path) -> Result<(Process, u16)> {
    let port = port::free()?;
    let (client, peer) = (url(port), url(port::free()?));
    let mut command = Command::new(binaries.etcd());
    command
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", &client])
        .args(["--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        // Nothing here outlives the run.
        .args(["--unsafe-no-fsync", "--log-level=warn"]);
    Ok((Process::start("etcd", command, folder)?, port))
}
