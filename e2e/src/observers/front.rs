//! What stands before some API servers: it ends TLS, with a certificate of an authority of its own, and
//! speaks nothing but HTTP/1.1. Debian's `HAProxy`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::cluster::{Pki, Process, port};

/// A running one on loopback. Dropping it ends it.
pub struct Front {
    port: u16,
    authority: PathBuf,
    _process: Process,
}

impl Front {
    /// Starts one before that port of 127.0.0.1, whose certificate it believes.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(folder: &Path, target: u16) -> Result<Self> {
        let pki = Pki::create(&folder.join("front-pki"), "e2e-front-ca")?;
        let identity = pki.server("front")?;
        let both = folder.join("front.pem");
        fs::write(&both, [fs::read(identity.certificate)?, fs::read(identity.key)?].concat())?;
        let port = port::free()?;
        let settings = format!(
            "global\n  log stdout format raw local0\n  maxconn 200\n\
             defaults\n  mode http\n  log global\n  option httplog\n\
             \x20 timeout connect 5s\n  timeout client 10m\n  timeout server 10m\n\
             listen api\n  bind 127.0.0.1:{port} ssl crt {} alpn http/1.1\n\
             \x20 server api 127.0.0.1:{target} ssl verify none alpn http/1.1\n",
            both.display()
        );
        let file = folder.join("haproxy.cfg");
        fs::write(&file, settings)?;
        // Not on an ordinary user's path.
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-f").arg(file);
        let mut process = Process::start("haproxy", command, folder)
            .context("is Debian's package haproxy installed?")?;
        process.listens(port).await?;
        Ok(Self { port, authority: pki.authority(), _process: process })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of its authority.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.authority
    }
}
