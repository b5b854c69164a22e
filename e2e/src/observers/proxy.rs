//! A proxy as it stands between a cluster and the world: Debian's tinyproxy.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::cluster::{Process, port};

/// So long it may take to start.
const START: Duration = Duration::from_mins(1);

/// A running proxy on loopback. Dropping it ends it.
pub struct Proxy {
    port: u16,
    /// `USER:PASSWORD@`, or nothing.
    credentials: String,
    process: Process,
}

impl Proxy {
    /// Starts one that passes plain requests on and opens tunnels to this one port. With `credentials`,
    /// a name and a password of letters and digits, it asks for them.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(
        folder: &Path,
        tunnels_to: u16,
        credentials: Option<(&str, &str)>,
    ) -> Result<Self> {
        let port = port::free()?;
        let folder = folder.join(format!("proxy-{port}"));
        fs::create_dir_all(&folder)?;
        let mut settings = format!(
            "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nConnectPort {tunnels_to}\n\
             Timeout 600\nMaxClients 100\nLogLevel Info\n"
        );
        if let Some((name, password)) = credentials {
            writeln!(settings, "BasicAuth {name} {password}")?;
        }
        let file = folder.join("tinyproxy.conf");
        fs::write(&file, settings)?;
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(file);
        let mut process = Process::start("tinyproxy", command, &folder)
            .context("is Debian's package tinyproxy-bin installed?")?;
        // Not by a connection that says nothing: the first request must not meet what that leaves behind.
        process.says(&["Accepting connections"], START).await?;
        let credentials =
            credentials.map(|(name, password)| format!("{name}:{password}@")).unwrap_or_default();
        Ok(Self { port, credentials, process })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, with the credentials that it asks for.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}127.0.0.1:{}", self.credentials, self.port)
    }

    /// Waits until its log, which tells of every request, holds `words` on one line, and gives that
    /// line.
    ///
    /// # Errors
    /// It does not within `patience`.
    pub async fn says(&mut self, words: &[&str], patience: Duration) -> Result<String> {
        self.process.says(words, patience).await
    }

    /// All of its log.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn log(&self) -> Result<String> {
        self.process.said()
    }
}
