//! The program under test: the release binary as a child, with the
//! environment that its pod would have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::cluster::{GLANCE, Process};
use crate::verdicts::Verdicts;

/// The triple of the static binary.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// Builds the release binary at the repository's root, as it ships.
///
/// # Errors
/// The build fails.
pub fn build() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = std::process::Command::new(root.join("release/build"))
        .arg(TARGET)
        .current_dir(&root)
        .stdout(Stdio::null())
        .status()
        .context("starting release/build")?;
    ensure!(status.success(), "release/build of k8s-spot-handler failed");
    let folder =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(folder.join(TARGET).join("release/k8s-spot-handler"))
}

/// Where a pod finds its ServiceAccount.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What a peer is told besides: to do what the handler does by default.
const PEER: [(&str, &str); 5] = [
    ("ENABLE_SPOT_INTERRUPTION_DRAINING", "true"),
    ("ENABLE_SCHEDULED_EVENT_DRAINING", "false"),
    ("DELETE_LOCAL_DATA", "true"),
    ("IGNORE_DAEMON_SETS", "true"),
    ("POD_TERMINATION_GRACE_PERIOD", "-1"),
];

/// What the kernel tells of one boot of the machine, in files of the tests'
/// making.
#[derive(Clone, Debug)]
pub struct Boot {
    /// In the place of `/proc/sys/kernel/random/boot_id`.
    pub id: PathBuf,
    /// In the place of `/proc/uptime`.
    pub uptime: PathBuf,
}

impl Boot {
    /// The program, in a mount namespace in which the kernel tells of this boot.
    /// It replaces the shell, so that its process is the child.
    fn command(&self, program: &Path, environment: &[(String, String)]) -> Command {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        let mounts = "mount --bind \"$1\" /proc/sys/kernel/random/boot_id &&
            mount --bind \"$2\" /proc/uptime && shift 2 && exec env -i \"$@\"";
        command.args(["--mount", "sh", "-c", mounts, "sh"]).arg(&self.id).arg(&self.uptime);
        command.args(environment.iter().map(|(name, value)| format!("{name}={value}")));
        command.arg(program);
        command
    }
}

fn plainly(program: &Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// One running handler.
pub struct Handler {
    process: Process,
}

impl Handler {
    /// Starts it with this environment and no other, in this boot of the
    /// machine or, without one, the real one; its log is `folder/name.log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        program: &Path,
        environment: &[(String, String)],
        boot: Option<&Boot>,
        folder: &Path,
        name: &str,
    ) -> Result<Self> {
        let settings = environment.iter().map(|(name, value)| format!("{name}={value}"));
        fs::write(folder.join(format!("{name}.env")), settings.collect::<Vec<_>>().join("\n"))?;
        let command = match boot {
            Some(boot) => boot.command(program, environment),
            None => plainly(program, environment),
        };
        Ok(Self { process: Process::start(name, command, folder)? })
    }

    /// Starts another program that takes aws-node-termination-handler's environment. It looks for its credentials
    /// where a pod has them: a mount namespace of its own puts them there without a trace on this machine.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_peer(
        program: &Path,
        environment: &[(String, String)],
        credentials: [&Path; 2],
        folder: &Path,
    ) -> Result<Self> {
        let script = format!(
            "run=$(readlink -f /var/run) && mount -t tmpfs none \"$run\" && mkdir -p {ACCOUNT} && \
             cp \"$1\" {ACCOUNT}/token && cp \"$2\" {ACCOUNT}/ca.crt && exec \"$3\""
        );
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", &script, "peer"])
            .args(credentials)
            .arg(program)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .envs(PEER);
        Ok(Self { process: Process::start("peer", command, folder)? })
    }

    /// All that it has said so far.
    ///
    /// # Errors
    /// Its log cannot be read.
    pub fn log(&self) -> Result<String> {
        self.process.said()
    }

    /// Waits until its log holds `words` on one line, and gives that line.
    ///
    /// # Errors
    /// It does not within `patience`, or the handler has ended.
    pub async fn says(&mut self, words: &[&str], patience: Duration) -> Result<String> {
        self.process.says(words, patience).await
    }

    /// Waits for the table of verdicts with this number (the first is 1).
    ///
    /// # Errors
    /// It does not come within `patience`.
    pub async fn verdicts(&mut self, number: usize, patience: Duration) -> Result<Verdicts> {
        let waiting = async {
            loop {
                let ended = self.process.check_running();
                if let Some(table) = Verdicts::all(&self.log()?).get(number - 1) {
                    return Ok(table.clone());
                }
                ended?;
                sleep(GLANCE).await;
            }
        };
        match timeout(patience, waiting).await {
            Ok(result) => result,
            Err(_) => bail!("no table of verdicts (number {number}) within {patience:?}"),
        }
    }

    /// Its process id.
    ///
    /// # Errors
    /// It has ended.
    pub fn id(&self) -> Result<u32> {
        self.process.id().context("the handler has ended")
    }

    /// Fails if it has ended by itself.
    ///
    /// # Errors
    /// It has.
    pub fn check_running(&mut self) -> Result<()> {
        self.process.check_running()
    }

    /// SIGTERM, without waiting.
    ///
    /// # Errors
    /// It has ended already.
    pub fn signal_term(&self) -> Result<()> {
        self.process.signal_term()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It is still there after `patience`.
    pub async fn ended(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.process.wait(patience).await
    }

    /// SIGTERM; it must end soon, with success.
    ///
    /// # Errors
    /// It does not.
    pub async fn stop(mut self, patience: Duration) -> Result<()> {
        self.check_running()?;
        self.signal_term()?;
        let status = self.ended(patience).await?;
        ensure!(status.success(), "the handler ended with {status}");
        Ok(())
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// It could not be waited for.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }
}
