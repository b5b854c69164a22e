//! logind, as the kubelet knows it: a mock on a bus of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::TIMEOUT;
use crate::cluster::{GLANCE, Process};

/// A bus, and the mock on it.
pub struct Logind {
    address: String,
    mock: Process,
    bus: Process,
}

impl Logind {
    /// Starts both; the machine then waits up to five minutes for those who hold it back.
    ///
    /// # Errors
    /// One does not start.
    pub async fn start(folder: &Path, logs: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let socket: PathBuf = folder.join("bus");
        let address = format!("unix:path={}", socket.display());
        let configuration = folder.join("bus.xml");
        fs::write(&configuration, configuration_of(&address))?;
        let mut command = Command::new("dbus-daemon");
        command.arg("--nofork").arg("--config-file").arg(&configuration);
        let mut bus = Process::start("dbus-daemon", command, logs)?;
        let waiting = async {
            while !socket.exists() {
                bus.check_running()?;
                sleep(GLANCE).await;
            }
            anyhow::Ok(())
        };
        timeout(TIMEOUT, waiting).await.context("the bus does not come up")??;
        // Debian's own: the mock is one of its packages.
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-m", "dbusmock", "--system", "--template", "logind"]);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &address);
        let mock = Process::start("dbusmock", command, logs)?;
        let mut logind = Self { address, mock, bus };
        let property = [
            "org.freedesktop.DBus.Mock.AddProperty",
            "string:org.freedesktop.login1.Manager",
            "string:InhibitDelayMaxUSec",
            "variant:uint64:300000000",
        ];
        let waiting = async {
            while logind.send(&property).await.is_err() {
                logind.mock.check_running()?;
                sleep(GLANCE).await;
            }
            anyhow::Ok(())
        };
        timeout(TIMEOUT, waiting).await.context("the mock does not answer")??;
        Ok(logind)
    }

    /// Of the bus.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Says to all who listen that the machine goes down.
    ///
    /// # Errors
    /// The mock does not.
    pub async fn prepare_for_shutdown(&self) -> Result<()> {
        // An array of variants: dbus-send cannot write one.
        let script = "import dbus, sys\n\
            bus = dbus.bus.BusConnection(sys.argv[1])\n\
            mock = bus.get_object('org.freedesktop.login1', '/org/freedesktop/login1')\n\
            mock.EmitSignal('org.freedesktop.login1.Manager', 'PrepareForShutdown', 'b', [True],\n\
                dbus_interface='org.freedesktop.DBus.Mock')\n";
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", script, &self.address]);
        run(command).await
    }

    /// Ends both.
    ///
    /// # Errors
    /// One cannot be waited for.
    pub async fn stop(mut self) -> Result<()> {
        self.mock.kill().await?;
        self.bus.kill().await
    }

    async fn send(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new("dbus-send");
        command.arg(format!("--bus={}", self.address)).args([
            "--print-reply",
            "--dest=org.freedesktop.login1",
            "/org/freedesktop/login1",
        ]);
        command.args(words);
        run(command).await
    }
}

async fn run(mut command: Command) -> Result<()> {
    let output = command.kill_on_drop(true).output().await?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {stderr}", command.as_std());
    Ok(())
}

fn configuration_of(address: &str) -> String {
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>{address}</listen>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"#
    )
}
