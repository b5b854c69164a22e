//! The EC2 metadata service: AWS's own mock, as one process.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::cluster::{Binaries, Process, port};

/// A metadata service on a port of its own that asks for IMDSv2 tokens.
///
/// Of each kind of notice the mock serves what it is started for, and 404 for
/// the others.
pub struct MetadataMock {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Option<Process>,
}

/// The `EventId` of every scheduled event of the mock.
pub const EVENT_ID: &str = "instance-event-1234567890abcdef0";

/// One of the mock's strings that may stand at any path.
const CARRIER: &str = "tags-instance-test";

/// A time that no scenario sees.
const DAYS: &str = "1000000";

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
        self.run(&["--mock-delay-sec", DAYS, "--rebalance-delay-sec", DAYS, "spot"]).await
    }

    /// From now on the instance is announced to end at `time`.
    ///
    /// # Errors
    /// The mock does not start again.
    pub async fn announce(&mut self, action: &str, time: Timestamp) -> Result<()> {
        // Without a time it would give another one with every answer.
        let time = whole_seconds(time);
        let mut arguments = vec!["--rebalance-delay-sec", DAYS];
        let elsewhere;
        if action != "terminate" {
            // EC2 gives that time for terminations only, the mock always.
            elsewhere = self.config(&json!({"paths": {"spot-termination-time": "/nowhere"}}))?;
            arguments.extend(["--config-file", &elsewhere]);
        }
        arguments.extend(["spot", "--action", action, "--time", &time]);
        self.run(&arguments).await
    }

    /// From now on the instance is likely to be taken back. The time in the
    /// notice is another one with every answer.
    ///
    /// # Errors
    /// The mock does not start again.
    pub async fn recommend_rebalance(&mut self) -> Result<()> {
        self.run(&["--mock-delay-sec", DAYS, "spot"]).await
    }

    /// Both at once.
    ///
    /// # Errors
    /// The mock does not start again.
    pub async fn recommend_and_announce(&mut self, action: &str, time: Timestamp) -> Result<()> {
        self.run(&["spot", "--action", action, "--time", &whole_seconds(time)]).await
    }

    /// From now on there is an event of this code at that time, and its state
    /// is `active`, `completed` or `canceled`.
    ///
    /// # Errors
    /// The mock does not start again.
    pub async fn schedule(&mut self, code: &str, state: &str, from: Timestamp) -> Result<()> {
        let from = whole_seconds(from);
        self.run(&["events", "--code", code, "--state", state, "--not-before", &from]).await
    }

    /// From now on nothing is planned, and that event stands in the history as
    /// `[Canceled]`.
    ///
    /// # Errors
    /// The mock does not start again.
    pub async fn canceled_in_history(&mut self, code: &str, from: Timestamp) -> Result<()> {
        let history = json!([{
            "NotBefore": from.strftime("%-d %b %Y %H:%M:%S GMT").to_string(),
            "Code": code,
            "Description": format!("[Canceled] The instance is scheduled for {code}"),
            "EventId": EVENT_ID,
            "NotAfter": "",
            "State": "canceled",
        }]);
        // The mock has no history. It serves any string at any path, though.
        let file = self.config(&json!({
            "paths": {CARRIER: "/latest/meta-data/events/maintenance/history"},
            "values": {CARRIER: history.to_string()},
        }))?;
        self.run(&["--config-file", &file, "--mock-delay-sec", DAYS, "events"]).await
    }

    /// From now on the Auto Scaling group wants the instance to stay, or to
    /// end.
    ///
    /// # Errors
    /// The mock does not start again.
    pub async fn lifecycle(&mut self, wanted: Lifecycle) -> Result<()> {
        let delay = match wanted {
            Lifecycle::InService => DAYS,
            Lifecycle::Terminated => "0",
        };
        self.run(&["--asg-termination-delay-sec", delay, "asglifecycle"]).await
    }

    /// A file for `--config-file` that says this of its paths and values.
    fn config(&self, metadata: &Value) -> Result<String> {
        let file = self.folder.join("config.json");
        fs::write(&file, json!({"metadata": metadata}).to_string())?;
        Ok(file.to_str().context("a path that is not UTF-8")?.to_owned())
    }

    /// The mock cannot be told anything while it runs: it is started again.
    /// For its client that is an IMDS that does not answer for a moment and
    /// then knows none of its tokens.
    async fn run(&mut self, what: &[&str]) -> Result<()> {
        if let Some(mut before) = self.process.take() {
            before.kill().await?;
        }
        let mut command = Command::new(&self.program);
        command
            .args(["--hostname", "127.0.0.1", "--port", &self.port.to_string()])
            // No limit on the number of clients, and tokens asked for.
            .args(["--mock-ip-count", "-1", "--imdsv2"])
            .args(what)
            // It does not convert times to UTC, and it reads files in HOME.
            .env("TZ", "UTC")
            .env("HOME", &self.folder)
            .current_dir(&self.folder);
        let process = Process::start("aemm", command, &self.folder)?;
        self.process.insert(process).listens(self.port).await
    }
}

/// What an Auto Scaling group wants of its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// It is to stay.
    InService,
    /// It is to end.
    Terminated,
}

/// As EC2 writes a time: `2017-09-18T08:22:00Z`.
#[must_use]
pub fn whole_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
