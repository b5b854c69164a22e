//! A child process with a log file, ended when it is dropped.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::GLANCE;

/// One running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it writes is appended to `folder/name.log`.
    ///
    /// # Errors
    /// The log cannot be opened or the program cannot be started.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let out: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("opening {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            // A group of its own: Ctrl-C reaches the tests, which end their
            // children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", command.as_std().get_program().display()))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Where its output is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All that it has written so far.
    ///
    /// # Errors
    /// Its log cannot be read.
    pub fn said(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| format!("reading {}", self.log.display()))
    }

    /// Waits until it has written a line that holds all `words`, and gives that line.
    ///
    /// # Errors
    /// It does not within `patience`, or it has ended.
    pub async fn says(&mut self, words: &[&str], patience: Duration) -> Result<String> {
        let waiting = async {
            loop {
                let ended = self.check_running();
                let text = self.said()?;
                let found = text.lines().find(|line| words.iter().all(|word| line.contains(word)));
                if let Some(line) = found {
                    return Ok(line.to_owned());
                }
                ended?;
                sleep(GLANCE).await;
            }
        };
        match timeout(patience, waiting).await {
            Ok(result) => result,
            Err(_) => bail!("{} did not say {words:?} within {patience:?}", self.name),
        }
    }

    /// Waits until it takes connections on that port of 127.0.0.1.
    ///
    /// # Errors
    /// It does not within a minute, or it has ended.
    pub async fn listens(&mut self, port: u16) -> Result<()> {
        let waiting = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                self.check_running()?;
                sleep(GLANCE).await;
            }
            Ok(())
        };
        match timeout(Duration::from_mins(1), waiting).await {
            Ok(result) => result,
            Err(_) => bail!("{} does not listen on port {port}", self.name),
        }
    }

    /// Its process id while it has not been waited for.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Fails if it has ended by itself.
    ///
    /// # Errors
    /// It has ended; the message names its log.
    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(anyhow!("{} ended with {status}; see {}", self.name, self.log.display()))
            }
        }
    }

    /// Sends SIGTERM and does not wait.
    ///
    /// # Errors
    /// It has ended already.
    pub fn signal_term(&self) -> Result<()> {
        let pid = self
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .with_context(|| format!("{} has ended already", self.name))?;
        kill_process(pid, Signal::TERM).with_context(|| format!("SIGTERM to {}", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It is still there after `patience`.
    pub async fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        timeout(patience, self.child.wait())
            .await
            .with_context(|| format!("{} did not end within {patience:?}", self.name))?
            .with_context(|| format!("waiting for {}", self.name))
    }

    /// Sends SIGKILL and waits for its end.
    ///
    /// # Errors
    /// It could not be waited for.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("ending {}", self.name))
    }
}
