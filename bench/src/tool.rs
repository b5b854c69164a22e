//! What drains the node: the handler, its peers, and how each is started.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::Process;
use e2e::connections::Maximum;
use simulator::{Endpoint, Metadata};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::audience::{Audience, Reports};
use crate::cpu;
use crate::evictor::{Order, Victim};
use crate::group::Group;
use crate::memory::{Memory, watch_peak};
use crate::seat::Seat;

/// One that drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The handler.
    Handler {
        /// What it reports besides its log.
        reports: Reports,
        /// Which of two.
        build: Build,
    },
    /// `kubectl drain`.
    Kubectl,
    /// Evictions only, over that many connections.
    Bare {
        /// How many.
        connections: u16,
    },
    /// The program given by path.
    Peer {
        /// Whether its own limit of requests is out of the way.
        unlimited: bool,
    },
}

/// Which handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// The one that is measured.
    This,
    /// The one given by path, which it is held against.
    Other,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler { reports, build } => {
                f.write_str("k8s-spot-handler")?;
                if *build == Build::Other {
                    f.write_str(", the other")?;
                }
                f.write_str(match reports {
                    Reports::Off => "",
                    Reports::Pages => ", metrics and probes on",
                    Reports::All => ", all reports on",
                })
            }
            Self::Kubectl => f.write_str("kubectl drain"),
            Self::Bare { connections } => write!(f, "bare client, {connections} connections"),
            Self::Peer { unlimited: false } => f.write_str("peer, defaults"),
            Self::Peer { unlimited: true } => f.write_str("peer, 500 requests/s"),
        }
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The handler.
    pub handler: PathBuf,
    /// The one that it is held against, if there is one.
    pub other: Option<PathBuf>,
    /// kubectl.
    pub kubectl: PathBuf,
    /// The peer, if there is one.
    pub peer: Option<PathBuf>,
}

/// What a tool is started with.
#[derive(Debug)]
pub struct Start<'a> {
    /// The programs.
    pub programs: &'a Programs,
    /// The node and who is allowed to drain it.
    pub seat: &'a Seat,
    /// The API server's port on 127.0.0.1.
    pub server: u16,
    /// What is to go; only the bare client is told.
    pub victims: Vec<Victim>,
    /// Where its files go.
    pub folder: &'a Path,
}

/// A tool at work.
pub struct Running {
    tool: Tool,
    process: Process,
    /// Of one that ends by itself.
    peak: Option<Maximum>,
    audience: Option<Audience>,
    /// After the process: it ends first.
    group: Option<Group>,
}

/// What a tool took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// The most memory that it ever had, in KiB.
    pub peak: u64,
    /// The most that its cgroup was ever charged, in KiB. `None` for one that has none.
    pub charged: Option<u64>,
    /// Processor time until it was told to end, in milliseconds. `None` for one
    /// that ends by itself.
    pub cpu: Option<u64>,
}

/// For what should happen at once, on a busy machine.
const SOON: Duration = Duration::from_mins(1);

/// Where a pod finds its ServiceAccount.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl Tool {
    /// The handler as it is unless something is switched on.
    pub const HANDLER: Self = Self::Handler { reports: Reports::Off, build: Build::This };
    /// The one that it is held against.
    pub const OTHER: Self = Self::Handler { reports: Reports::Off, build: Build::Other };
    /// The same with metrics and probes.
    pub const SERVING: Self = Self::Handler { reports: Reports::Pages, build: Build::This };
    /// The same with everything that it can report.
    pub const REPORTING: Self = Self::Handler { reports: Reports::All, build: Build::This };

    /// Whether it waits for a notice; the others drain at once.
    #[must_use]
    pub fn is_handler(self) -> bool {
        matches!(self, Self::Handler { .. } | Self::Peer { .. })
    }

    /// Whether a drain by it must have left Events behind.
    #[must_use]
    pub fn writes_events(self) -> bool {
        matches!(self, Self::Handler { reports: Reports::All, .. })
    }

    /// Starts it. One that waits for a notice polls when this returns.
    ///
    /// # Errors
    /// It does not start, or does not poll within a minute.
    pub async fn start(self, start: &Start<'_>, metadata: &Metadata) -> Result<Running> {
        let mut audience = match self {
            Self::Handler { reports, .. } => Audience::gather(reports, start.folder).await?,
            _ => None,
        };
        let group = if self.is_handler() { Group::make() } else { None };
        let command = match self {
            Self::Handler { build, .. } => {
                handler(start, build, group.as_ref(), metadata, audience.as_ref())?
            }
            Self::Kubectl => kubectl(start),
            Self::Bare { connections } => bare(start, connections)?,
            Self::Peer { unlimited } => peer(start, unlimited, group.as_ref(), metadata)?,
        };
        let process = Process::start("tool", command, start.folder)?;
        let id = process.id().context("a process without an id")?;
        let mut running = Running {
            tool: self,
            process,
            peak: (!self.is_handler()).then(|| watch_peak(id)),
            audience: None,
            group,
        };
        if self.is_handler() {
            running.polls(metadata, 1).await?;
        }
        // It listens before it polls.
        audience.iter_mut().for_each(Audience::attend);
        running.audience = audience;
        Ok(running)
    }
}

impl Running {
    /// Its process id.
    ///
    /// # Errors
    /// It has ended.
    pub fn id(&self) -> Result<u32> {
        self.process.id().context("it has ended")
    }

    /// Its memory now.
    ///
    /// # Errors
    /// It has ended.
    pub fn memory(&self) -> Result<Memory> {
        let charged = self.group.as_ref().map(Group::charged).transpose()?;
        Ok(Memory { charged, ..Memory::of(self.id()?)? })
    }

    /// Waits until it has polled that often.
    ///
    /// # Errors
    /// It has not within a minute, or has ended.
    pub async fn polls(&mut self, metadata: &Metadata, count: usize) -> Result<()> {
        let journal = metadata.journal();
        let waiting = async {
            while journal.count(Endpoint::InstanceAction) < count {
                self.process.check_running()?;
                sleep(Duration::from_millis(50)).await;
            }
            anyhow::Ok(())
        };
        timeout(SOON, waiting).await.with_context(|| format!("{} does not poll", self.tool))?
    }

    /// How often its pages were asked for.
    #[must_use]
    pub fn scraped(&self) -> usize {
        self.audience.as_ref().map_or(0, Audience::scraped)
    }

    /// Lets it end, when it has reported what it was to report.
    ///
    /// # Errors
    /// It does not end, or not well, or something was not reported.
    pub async fn end(mut self) -> Result<Taken> {
        let (mut used, mut peak) = (None, None);
        if let Some(audience) = &mut self.audience {
            audience.leave().await?;
        }
        if self.tool.is_handler() {
            self.process.check_running()?;
            used = Some(cpu::used(self.id()?)?);
            peak = Some(self.memory()?.peak);
            self.process.signal_term()?;
        }
        let status = self.process.wait(SOON).await?;
        // How a peer ends on SIGTERM is its own affair.
        let as_wished = matches!(self.tool, Tool::Peer { .. }) || status.success();
        ensure!(as_wished, "{status}; see {}", self.process.log().display());
        let charged = self.group.as_ref().map(Group::charged).transpose()?;
        Ok(Taken {
            peak: peak.or(self.peak.map(|watch| watch.seen())).context("nobody looked")?,
            charged: charged.map(|charged| charged.peak),
            cpu: used,
        })
    }
}

fn handler(
    start: &Start<'_>,
    build: Build,
    group: Option<&Group>,
    metadata: &Metadata,
    audience: Option<&Audience>,
) -> Result<Command> {
    let seat = start.seat;
    let program = match build {
        Build::This => &start.programs.handler,
        Build::Other => start.programs.other.as_ref().context("no other handler was given")?,
    };
    let own = [
        ("INSTANCE_METADATA_URL", metadata.url()),
        ("TOKEN_FILE", seat.token_file.to_string_lossy().into_owned()),
        ("CA_FILE", seat.authority.to_string_lossy().into_owned()),
    ];
    let audience = audience.map(Audience::environment).unwrap_or_default();
    let own = own.into_iter().chain(audience).map(|(name, value)| format!("{name}={value}"));
    let shipped = seat.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let mut command = within(group, "env");
    command.arg("-i").args(shipped).args(own).arg(program);
    Ok(command)
}

/// That program, in the group if there is one.
fn within(group: Option<&Group>, program: &str) -> Command {
    match group {
        Some(group) => {
            let mut command = group.command();
            command.arg(program);
            command
        }
        None => Command::new(program),
    }
}

fn kubectl(start: &Start<'_>) -> Command {
    let mut command = Command::new(&start.programs.kubectl);
    command
        .arg("--kubeconfig")
        .arg(&start.seat.kubeconfig)
        .args(["drain", &start.seat.node])
        .args(["--force", "--delete-emptydir-data", "--ignore-daemonsets"])
        // No discovery cache outside the run's folder.
        .env("HOME", start.folder);
    command
}

fn bare(start: &Start<'_>, connections: u16) -> Result<Command> {
    let path = start.folder.join("order.json");
    let seat = start.seat;
    let order = Order {
        server: format!("https://127.0.0.1:{}", start.server),
        authority: seat.authority.clone(),
        token_file: seat.token_file.clone(),
        node: seat.node.clone(),
        connections,
        pods: start.victims.clone(),
    };
    fs::write(&path, serde_json::to_vec(&order)?)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("evict").arg(path);
    Ok(command)
}

/// It looks for its credentials where a pod has them. A mount namespace of its
/// own puts them there without a trace on this machine.
fn peer(
    start: &Start<'_>,
    unlimited: bool,
    group: Option<&Group>,
    metadata: &Metadata,
) -> Result<Command> {
    let program = start.programs.peer.as_ref().context("no peer was given")?;
    let script = format!(
        "run=$(readlink -f /var/run) && mount -t tmpfs none \"$run\" && mkdir -p {ACCOUNT} && \
         cp \"$1\" {ACCOUNT}/token && cp \"$2\" {ACCOUNT}/ca.crt && exec \"$3\""
    );
    let mut command = within(group, "unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", &script, "peer"])
        .args([&start.seat.token_file, &start.seat.authority, program])
        .envs(start.seat.environment.iter().cloned())
        .env("INSTANCE_METADATA_URL", metadata.url())
        .env("ENABLE_SPOT_INTERRUPTION_DRAINING", "true")
        .env("ENABLE_SCHEDULED_EVENT_DRAINING", "false")
        .env("DELETE_LOCAL_DATA", "true")
        .env("IGNORE_DAEMON_SETS", "true")
        .env("POD_TERMINATION_GRACE_PERIOD", "-1");
    if unlimited {
        command.env("KUBE_API_QPS", "500").env("KUBE_API_BURST", "1000");
    }
    Ok(command)
}
