//! The EC2 metadata service: AWS's own mock, as one process.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::cluster::{Binaries, GLANCE, Process, port};

/// A metadata service on a port of its own that asks for IMDSv2 tokens.
pub struct MetadataMock {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl MetadataMock {
    /// Starts it without a notice.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(binaries: &Binaries, folder: &Path) -> Result<Self> {
        let mut mock = Self {
            program: binaries.metadata_mock(),
            folder: folder.join("metadata"),
            port: port::free()?,
            process: None,
        };
        fs::create_dir_all(&mock.folder)?;
        mock.quiet().await?;
        Ok(mock)
    }

    /// What the handler is given as its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on there is no notice.
    ///
    /// # Errors
    /// The mock does not start again.
    pub async fn quiet(&mut self) -> Result<()> {
        self.run("terminate", Timestamp::now(), Quiet::ForDays).await
    }

    /// From now on the instance is announced to end at `time`.
    ///
    /// # Errors
    /// The mock does not start again.
    pub async fn announce(&mut self, action: &str, time: Timestamp) -> Result<()> {
        self.run(action, time, Quiet::No).await
    }

    /// The mock cannot be told anything while it runs: it is started again.
    /// For its client that is an IMDS that does not answer for a moment and
    /// then knows none of its tokens.
    async fn run(&mut self, action: &str, time: Timestamp, quiet: Quiet) -> Result<()> {
        if let Some(mut before) = self.process.take() {
            before.kill().await?;
        }
        let mut command = Command::new(&self.program);
        command
            .args(["--hostname", "127.0.0.1", "--port", &self.port.to_string()])
            // No limit on the number of clients, and tokens asked for.
            .args(["--mock-ip-count", "-1", "--imdsv2"])
            .args(["--mock-delay-sec", quiet.seconds()])
            // Without a time it would give another one with every answer.
            .args(["spot", "--action", action, "--time", &whole_seconds(time)])
            // It does not convert times to UTC, and it reads files in HOME.
            .env("TZ", "UTC")
            .env("HOME", &self.folder)
            .current_dir(&self.folder);
        self.process = Some(Process::start("aemm", command, &self.folder)?);
        timeout(Duration::from_secs(10), async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                sleep(GLANCE).await;
            }
        })
        .await
        .context("the metadata mock does not listen")
    }
}

enum Quiet {
    No,
    ForDays,
}

impl Quiet {
    fn seconds(&self) -> &'static str {
        match self {
            Self::No => "0",
            Self::ForDays => "1000000",
        }
    }
}

/// As EC2 writes a time: `2017-09-18T08:22:00Z`.
#[must_use]
pub fn whole_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
