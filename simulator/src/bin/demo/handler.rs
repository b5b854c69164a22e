//! The handler as a child process: built, started, listened to, ended.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::arguments::Arguments;

/// Builds the handler for this machine, as it is released; its path.
pub(crate) fn build() -> io::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "k8s-spot-handler"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other("the handler could not be built"));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "k8s-spot-handler")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    built.ok_or_else(|| io::Error::other("the build named no executable"))
}

/// The running handler. Dropped before its end, it is killed.
pub(crate) struct Handler {
    child: Child,
}

impl Handler {
    /// Starts it with this environment and no other. Each line of its log goes
    /// to `lines`.
    pub(crate) fn start(
        path: &Path,
        arguments: &Arguments,
        environment: impl IntoIterator<Item = (&'static str, String)>,
        lines: Sender<String>,
    ) -> io::Result<Self> {
        let mut words = arguments.runner.iter().flat_map(|runner| runner.split_whitespace());
        let mut command = match words.next() {
            None => Command::new(path),
            Some(runner) => {
                let mut command = Command::new(runner);
                command.args(words).arg(path);
                command
            }
        };
        let search_path = std::env::var_os("PATH").unwrap_or_default();
        let mut child = command
            .env_clear()
            .env("PATH", search_path)
            .envs(environment)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{} does not start: {error}", path.display()))
            })?;
        if let Some(log) = child.stderr.take() {
            thread::spawn(move || {
                let mut log = BufReader::new(log);
                let mut line = Vec::new();
                while matches!(log.read_until(b'\n', &mut line), Ok(1..)) {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    line.clear();
                    if lines.send(text).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { child })
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends it as the kubelet does: SIGTERM, and patience. `None`: it is still
    /// there after that.
    pub(crate) fn terminate(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && self.child.try_wait()?.is_none()
        {
            kill_process(pid, Signal::TERM)?;
        }
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(None)
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        // It has mostly ended by then, and both fail for a reason as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
