//! The handler of the scene: its pod, its token, its process, and what the
//! metadata service announces to it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use tokio::process::Command;
use tokio::time::timeout;

use super::{SOON, Scene};
use crate::gate::Gate;
use crate::handler::{Boot, Handler};
use crate::manifest;
use crate::rights::{self, Flavour, Grant};

/// The kubelet's patience with a handler, in seconds: that which ships.
const PATIENCE: u32 = 150;

impl Scene {
    /// Starts the handler with the shipped environment and these variables
    /// besides.
    ///
    /// # Errors
    /// It does not start.
    pub fn handler(&mut self, more: &[(&str, &str)]) -> Result<Handler> {
        self.handlers += 1;
        let environment = self.environment(more)?;
        let name = format!("handler-{}", self.handlers);
        let boot = self.boot.as_ref();
        Handler::start(&self.ground.handler, &environment, boot, &self.folder, &name)
    }

    /// Runs one of an operator's commands, as in the handler's container, to its end. What it says is
    /// kept in `commands.txt`.
    ///
    /// # Errors
    /// It does not start or does not end, or says a secret.
    pub async fn command(&self, arguments: &[&str]) -> Result<Output> {
        self.command_with(arguments, &[]).await
    }

    /// The same, with these variables besides.
    ///
    /// # Errors
    /// The same.
    pub async fn command_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Result<Output> {
        let mut command = Command::new(&self.ground.handler);
        command.args(arguments).env_clear().envs(self.environment(more)?).kill_on_drop(true);
        let output = timeout(SOON, command.output()).await.context("it does not end")??;
        let mut kept =
            OpenOptions::new().create(true).append(true).open(self.folder.join("commands.txt"))?;
        writeln!(kept, "$ {}", arguments.join(" "))?;
        for said in [&output.stdout, &output.stderr] {
            kept.write_all(said)?;
            let told = self.secrets_in(std::str::from_utf8(said)?);
            ensure!(told.is_empty(), "secrets in what {arguments:?} says: {told:?}");
        }
        Ok(output)
    }

    /// Runs `check`: its exit status and what it printed.
    ///
    /// # Errors
    /// It does not start or does not end, or it told a secret.
    pub async fn check(&mut self, more: &[(&str, &str)]) -> Result<(Option<i32>, String)> {
        self.checked = true;
        let output = self.command_with(&["check"], more).await?;
        ensure!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok((output.status.code(), String::from_utf8(output.stdout)?))
    }

    /// The shipped environment, and these variables besides.
    fn environment(&self, more: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
        let mut environment = manifest::environment(&self.handler_pod)?;
        let port = self.cluster().port().to_string();
        let authority = self.cluster().authority();
        let url = self.metadata.url();
        let own = [
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", &port),
            ("TOKEN_FILE", text(&self.token_file)?),
            ("CA_FILE", text(&authority)?),
            ("INSTANCE_METADATA_URL", &url),
        ];
        for (name, value) in own.iter().chain(more) {
            environment.retain(|(known, _)| known != name);
            environment.push(((*name).to_owned(), (*value).to_owned()));
        }
        Ok(environment)
    }

    /// From now on handlers of this scene run in another boot of the machine,
    /// which has just begun.
    ///
    /// # Errors
    /// Its files cannot be written.
    pub fn reboot(&mut self) -> Result<()> {
        let boot = Boot {
            id: self.folder.join(format!("boot-{}-id", self.handlers)),
            uptime: self.folder.join(format!("boot-{}-uptime", self.handlers)),
        };
        fs::write(&boot.id, format!("e2e00000-0000-4000-8000-{:012}\n", self.handlers))?;
        fs::write(&boot.uptime, "1.00 1.00\n")?;
        self.boot = Some(boot);
        Ok(())
    }

    /// Opens a gate before the API server, and gives what a handler needs to go
    /// through it.
    ///
    /// # Errors
    /// It does not open.
    pub async fn gate(&self) -> Result<(Gate, String)> {
        let gate = Gate::open(self.cluster(), &self.name).await?;
        let port = gate.port();
        Ok((gate, port))
    }

    /// Starts the handler and waits until it polls.
    ///
    /// # Errors
    /// It does not.
    pub async fn polling_handler(&mut self, more: &[(&str, &str)]) -> Result<Handler> {
        let mut handler = self.handler(more)?;
        handler.says(&["Polling"], SOON).await?;
        Ok(handler)
    }

    /// Announces the end of the instance, `seconds` ahead.
    ///
    /// # Errors
    /// The metadata mock does not start.
    pub async fn announce(&mut self, seconds: u32) -> Result<Timestamp> {
        let deadline = self.expect_end_in(seconds)?;
        self.metadata.announce("terminate", deadline).await?;
        Ok(deadline)
    }

    /// Announces maintenance, `seconds` ahead.
    ///
    /// # Errors
    /// The metadata mock does not start.
    pub async fn schedule(&mut self, code: &str, seconds: u32) -> Result<Timestamp> {
        let from = self.expect_end_in(seconds)?;
        self.metadata.schedule(code, "active", from).await?;
        Ok(from)
    }

    /// Notes a deadline, for those that announce it in another way.
    ///
    /// # Errors
    /// The time is out of range.
    pub fn expect_end_in(&mut self, seconds: u32) -> Result<Timestamp> {
        let now = Timestamp::now();
        let end = now.checked_add(Duration::from_secs(seconds.into()))?;
        let deadline = Timestamp::from_second(end.as_second())?;
        self.deadline = Some(deadline);
        self.earliest_deadline =
            Some(self.earliest_deadline.map_or(deadline, |before| before.min(deadline)));
        self.announced.get_or_insert(now);
        Ok(deadline)
    }

    /// What was announced begins at once, whatever the time in it: nobody's own time is ahead.
    pub fn expect_end_at_once(&mut self) {
        self.earliest_deadline = Some(Timestamp::now());
    }

    /// Gives the handler a new pod on the node, as a rolling update does; the
    /// token of the old one is then worth nothing. The file is not written.
    ///
    /// # Errors
    /// The API server refuses, or no new pod comes.
    pub async fn replace_handler_pod(&mut self) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(self.cluster().client(), manifest::NAMESPACE);
        let name = self.handler_pod.metadata.name.clone().unwrap_or_default();
        api.delete(&name, &DeleteParams::default().grace_period(0)).await?;
        let before = self.handler_pod.metadata.uid.clone();
        self.handler_pod = manifest::handler_pod(self.cluster(), &self.name).await?;
        ensure!(self.handler_pod.metadata.uid != before, "the handler's pod was not replaced");
        Ok(())
    }

    /// Gives the handler a pod of its own making, for which the kubelet would
    /// have so many seconds of patience, and its token.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn handler_pod_with_grace(&mut self, seconds: u32) -> Result<()> {
        let client = self.cluster().client();
        self.handler_pod =
            manifest::create_pod(client, manifest::NAMESPACE, &self.name, Some(seconds)).await?;
        self.renew_token().await
    }

    /// Gives the handler an account of the scene's own, with what ships for this
    /// flavour but for one grant, and a pod and a token of that account.
    ///
    /// # Errors
    /// The API server refuses something.
    pub async fn held(&mut self, flavour: Flavour, without: Option<&Grant>) -> Result<()> {
        let cluster = &self.ground.cluster;
        let namespace = format!("{}-system", self.name);
        rights::give(cluster, &self.ground.deploy, &namespace, flavour, without).await?;
        if !cluster.plan().controllers {
            // Nobody's: it would be drained.
            let pods: Api<Pod> = Api::namespaced(cluster.client(), manifest::NAMESPACE);
            let name = self.handler_pod.metadata.name.clone().unwrap_or_default();
            pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
        }
        let patience = Some(PATIENCE);
        self.handler_pod =
            manifest::create_pod(cluster.client(), &namespace, &self.name, patience).await?;
        self.renew_token().await
    }

    /// Writes a token of the handler's pod of now into the file, as the
    /// kubelet does: whole or not at all.
    ///
    /// # Errors
    /// The API server gives none.
    pub async fn renew_token(&self) -> Result<()> {
        let token = manifest::token(self.cluster().client(), &self.handler_pod).await?;
        self.write_token(&token)
    }

    fn write_token(&self, token: &str) -> Result<()> {
        let whole = self.folder.join("token.new");
        fs::write(&whole, token)?;
        fs::rename(&whole, &self.token_file)?;
        // The signature alone would be as bad as the whole.
        self.keep_secret(token.rsplit('.').next().unwrap_or(token));
        Ok(())
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
