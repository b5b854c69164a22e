//! A way on which connections are lost without a word, as behind a NAT that forgets or with a peer whose
//! machine is gone: their packets are dropped, in both directions. Debian's nft, and root.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Lasts until it is dropped.
pub struct Loss {
    /// Of rules of its own.
    table: String,
}

impl Loss {
    /// Loses the connections on loopback from these ports to that one.
    ///
    /// # Errors
    /// The kernel does not let it.
    pub fn of(from: &[u16], to: u16) -> Result<Self> {
        ensure!(!from.is_empty(), "no connection to lose");
        let table = format!("e2e-{}-{to}", std::process::id());
        let ports = from.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        // Where they arrive: to the sender they are on their way.
        nft(&format!(
            "table ip {table} {{\n chain arriving {{\n  type filter hook input priority 0\n\
             \x20 tcp dport {to} tcp sport {{ {ports} }} drop\n\
             \x20 tcp sport {to} tcp dport {{ {ports} }} drop\n }}\n}}\n"
        ))?;
        Ok(Self { table })
    }
}

impl Drop for Loss {
    fn drop(&mut self) {
        if let Err(error) = nft(&format!("delete table ip {}", self.table)) {
            eprintln!("{error:#}");
        }
    }
}

fn nft(rules: &str) -> Result<()> {
    let output = Command::new("/usr/sbin/nft").arg(rules).output();
    let output = output.context("is Debian's package nftables installed?")?;
    ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
