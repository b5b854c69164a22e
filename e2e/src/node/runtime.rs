//! containerd.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::TIMEOUT;
use crate::cluster::{Binaries, GLANCE, Process};

/// A running containerd, with a configuration, a network and a state of its own.
pub struct Runtime {
    ctr: PathBuf,
    socket: PathBuf,
    process: Option<Process>,
}

impl Runtime {
    /// Starts it; `sandbox` is the image that holds a pod's network.
    ///
    /// # Errors
    /// It does not answer within a minute.
    pub async fn start(
        binaries: &Binaries,
        folder: &Path,
        logs: &Path,
        sandbox: &str,
    ) -> Result<Self> {
        let programs = binaries.containerd();
        let socket = folder.join("containerd.sock");
        let configuration = folder.join("containerd.toml");
        fs::write(&configuration, configuration_of(folder, &socket, sandbox))?;
        fs::create_dir_all(folder.join("cni"))?;
        fs::write(folder.join("cni/10-e2e.conflist"), network(folder))?;
        let mut path: OsString = programs.clone().into();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new(programs.join("containerd"));
        // runc and the shim are found by PATH.
        command.arg("--config").arg(&configuration).env("PATH", path);
        let process = Process::start("containerd", command, logs)?;
        let mut runtime = Self { ctr: programs.join("ctr"), socket, process: Some(process) };
        let waiting = async {
            while runtime.ctr(&["version"]).await.is_err() {
                runtime.check_running()?;
                sleep(GLANCE).await;
            }
            anyhow::Ok(())
        };
        timeout(TIMEOUT, waiting).await.context("it does not answer")??;
        Ok(runtime)
    }

    /// Where the kubelet finds it.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Imports an archive of `docker load`'s form.
    ///
    /// # Errors
    /// It is none.
    pub async fn load(&self, archive: &Path) -> Result<()> {
        let archive = archive.to_str().context("a path that is not UTF-8")?;
        self.ctr(&["images", "import", "--local", "--snapshotter=native", archive]).await.map(drop)
    }

    /// Takes an image away, with its layers once nothing needs them.
    ///
    /// # Errors
    /// There is none of that name.
    pub async fn forget(&self, image: &str) -> Result<()> {
        self.ctr(&["images", "rm", "--sync", image]).await.map(drop)
    }

    /// The images that it has.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn images(&self) -> Result<String> {
        self.ctr(&["images", "ls", "--quiet"]).await
    }

    async fn ctr(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.ctr);
        command.arg("--address").arg(&self.socket).args(["--namespace", "k8s.io"]).args(arguments);
        let output = command.kill_on_drop(true).output().await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ctr {arguments:?}: {stderr}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Fails if it has ended by itself.
    ///
    /// # Errors
    /// It has.
    pub fn check_running(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check_running)
    }

    /// Ends it. Containers go on: none should be left.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal_term()?;
        process.wait(TIMEOUT).await?;
        Ok(())
    }

    /// Ends it without waiting: dropping a child only asks for its end.
    pub(super) fn end_now(&mut self) {
        let id = self.process.take().and_then(|process| process.id());
        if let Some(id) = id.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            let _ended = kill_process(id, Signal::KILL);
        }
    }
}

fn configuration_of(folder: &Path, socket: &Path, sandbox: &str) -> String {
    let (folder, socket) = (folder.display(), socket.display());
    format!(
        r#"version = 3
root = "{folder}/containerd"
state = "{folder}/containerd-state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "{socket}"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "native"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{sandbox}"

[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  enable_cdi = false
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "{folder}/runc"

[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
"#
    )
}

/// A network of pairs, of addresses that are kept for such things (RFC 2544); two runs at once have
/// different ones.
fn network(folder: &Path) -> String {
    let id = std::process::id();
    let subnet = format!("198.{}.{}.0/24", 18 + (id >> 8) % 2, id % 256);
    serde_json::json!({
        "cniVersion": "0.4.0",
        "name": "e2e",
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": folder.join("addresses"),
                "ranges": [[{"subnet": subnet}]],
            },
        }],
    })
    .to_string()
}
