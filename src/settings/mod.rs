//! The operator's settings: flags, environment and defaults, parsed and validated before anything else
//! happens.
//!
//! | Module | What it is |
//! |---|---|
//! | `problem` | what is wrong, in words |
//! | `value` | how values are parsed, and what of them may be printed |
//! | `table` | every setting: its names, its help, how it is parsed |
//! | `predecessors` | names of other handlers that have no effect here |
//! | `arguments` | the command line, split into flags |
//! | `lookup` | flag, environment or default: which value is in force, and why |
//! | `webhooks`, `compare`, `settle` | from the table's values to [`Settings`]; checks across settings |
//! | `print` | `--help` and `--print-settings` |
//!
//! Each uses only what stands before it.

mod arguments;
mod compare;
mod lookup;
mod predecessors;
mod print;
mod problem;
mod settle;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod webhooks;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::drain::ask::Grace;
use crate::drain::pod::Rules;
use crate::kube::identity::Choice;
use crate::kube::request::Annotations;
use crate::kube::server::ServerUrl;
use crate::node::MarkPolicy;
use crate::plan::kinds::Policy;
use crate::remark::{Level, Remark};
use crate::settings::arguments::CommandLine;
use crate::settings::print::overview;
use crate::settings::settle::settle;
use crate::source::url::{MetadataUrl, NoticeUrl};
use crate::webhook::destination::Destination;

pub use crate::settings::print::{Overview, help};
pub use crate::settings::problem::{BadSettings, Problem, Unusable};
pub use crate::settings::value::{LivePath, METRICS, READY};
pub use crate::source::Watched;

/// What the program is asked to do.
#[derive(Debug)]
pub enum Invocation {
    /// Print [`help`].
    Help,
    /// Print name and version.
    Version,
    /// Print what is in force.
    Print(Overview),
    /// Run this command with these settings.
    Do(Command, Box<Settings>),
    /// `check` with settings that are not valid: report that as its findings, in this format.
    CheckBad(BadSettings, Output),
}

/// The commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Command {
    /// Watch the metadata service, and drain when a notice comes.
    #[default]
    Run,
    /// Check that everything a drain needs is there.
    Check,
    /// Print what a drain would do now, without doing it.
    Plan,
    /// Drain a node now.
    Drain,
    /// Undo what was done to a node.
    Restore,
}

impl Command {
    /// All of them, with their names on the command line.
    pub const ALL: [(&'static str, Self); 5] = [
        ("run", Self::Run),
        ("check", Self::Check),
        ("plan", Self::Plan),
        ("drain", Self::Drain),
        ("restore", Self::Restore),
    ];

    /// Whether it takes the name of a node.
    pub fn takes_node(self) -> bool {
        match self {
            Self::Check | Self::Plan | Self::Drain | Self::Restore => true,
            Self::Run => false,
        }
    }
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The node to drain.
    pub node: WhichNode,
    /// Where notices come from.
    pub metadata: Metadata,
    /// Which kinds of notices are looked for.
    pub watched: Watched,
    /// What is done about them.
    pub policy: Policy,
    /// How the node is marked.
    pub marks: MarkPolicy,
    /// From the label that takes the node out of load balancers to the first eviction. It is part of
    /// the drain's time; the deadline stays.
    pub load_balancer_hold: Duration,
    /// From the first poll that returns the target state `Terminated` to the drain's deadline; at
    /// least 1 s.
    pub lifecycle_window: Duration,
    /// The API server.
    pub api_server: ApiServer,
    /// Write nothing; evictions are requested with `dryRun`.
    pub dry_run: bool,
    /// Which pods are evicted.
    pub rules: Rules,
    /// The longest grace period of any pod; `None`: each pod's own.
    pub longest_grace: Option<Grace>,
    /// What happens to pods whose PodDisruptionBudget allows no eviction.
    pub budget_override: BudgetOverride,
    /// How long before the deadline the last pod must have ended; shorter than `window`.
    pub safety_margin: Duration,
    /// The time for a drain if the notice states no usable time; at least 1 s.
    pub window: Duration,
    /// The time from SIGTERM to SIGKILL, until that of this process's own pod is known; at least 1 s.
    pub shutdown_grace: Duration,
    /// Log, Events, webhooks, metrics and probes.
    pub reporting: Reporting,
    /// Settings of `check`, `plan` and `drain` alone.
    pub by_hand: ByHand,
    /// What was set by flag or environment, for the log at start.
    pub given: Vec<Given>,
    /// Remarks for the log at start.
    pub remarks: Vec<Remark>,
    /// Settings that are not valid, and without which the handler runs.
    pub unusable: Vec<Unusable>,
}

/// The node to drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhichNode {
    /// The one with this name.
    Named(String),
    /// The one that runs this process's own pod: [`Rules::own`].
    OfOwnPod,
}

/// Where notices come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The metadata service.
    pub url: MetadataUrl,
    /// Another address that is polled for notices.
    pub notice_url: Option<NoticeUrl>,
    /// The interval between polls of an interruption; at least 1 s.
    pub poll_interval: Duration,
    /// The interval between polls of everything else: 5 s, or `poll_interval`, if that is longer.
    pub calm_poll_interval: Duration,
    /// Whether it is asked without a token if it offers no IMDSv2.
    pub v1_fallback: bool,
}

/// Where the API server is, and the credentials for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiServer {
    /// As in a pod.
    Named {
        /// Host and port; the port is not 0.
        url: ServerUrl,
        /// The ServiceAccount token.
        token_file: PathBuf,
        /// The CA certificates, in PEM, that the server's certificate must chain to.
        ca_file: PathBuf,
        /// As whom requests are made.
        identity: Choice,
    },
    /// As in this kubeconfig, with its credentials.
    Kubeconfig(PathBuf),
}

/// What is reported, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporting {
    /// The log.
    pub log: LogStyle,
    /// The annotations of Kubernetes Events; `None`: no Events are written.
    pub events: Option<Annotations>,
    /// Webhooks.
    pub webhooks: Vec<Destination>,
    /// The cluster's name in messages.
    pub cluster: Option<String>,
    /// Addresses of facts about the instance other than the metadata service's.
    pub facts: FactUrls,
    /// Where metrics are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Where probes are served; `None`: nowhere.
    pub probes: Option<Probes>,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStyle {
    /// JSON, one object per line; else text.
    pub json: bool,
    /// Facts of a lower level are left out.
    pub least: Level,
}

/// Addresses of facts about the instance other than the metadata service's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactUrls {
    /// The availability zone.
    pub zone: Option<NoticeUrl>,
    /// Its id.
    pub id: Option<NoticeUrl>,
    /// Its type.
    pub kind: Option<NoticeUrl>,
}

/// Where probes are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    /// At this address.
    pub address: SocketAddr,
    /// The path of the liveness probe.
    pub liveness: LivePath,
}

/// Settings of `check`, `plan` and `drain` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    /// The time for a drain; at least 1 s.
    pub deadline: Duration,
    /// Budgets are overridden at the deadline, because a flag says so.
    pub overrides_budgets: bool,
    /// The longest grace period applies, because a flag sets it.
    pub shortens_graces: bool,
    /// The format of the output.
    pub output: Output,
}

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Text.
    Text,
    /// One JSON object.
    Json,
}

/// A setting as it was given: `POLL_INTERVAL=5s`, `--dry-run=true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    given_as: String,
    value: String,
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.given_as, self.value)
    }
}

/// Reads the arguments (without the program's name), the environment (through `variable`) and the defaults.
///
/// # Errors
/// Every problem, together. For `--print-settings` they are in [`Invocation::Print`].
pub fn read(
    arguments: impl IntoIterator<Item = OsString>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Invocation, BadSettings> {
    match arguments::read(arguments) {
        CommandLine::Help => Ok(Invocation::Help),
        CommandLine::Version => Ok(Invocation::Version),
        CommandLine::Run(flags) if flags.print => Ok(Invocation::Print(overview(flags, variable))),
        CommandLine::Run(flags) => {
            let command = flags.command;
            let output = flags.output(variable);
            match settle(flags, variable) {
                Ok(settings) => Ok(Invocation::Do(command, Box::new(settings))),
                Err(bad) if command == Command::Check => Ok(Invocation::CheckBad(bad, output)),
                Err(bad) => Err(bad),
            }
        }
    }
}

/// Whether the handler itself is to run and log JSON, whatever else is wrong with the settings. The
/// commands of an operator answer in text.
pub fn logs_json(
    arguments: impl IntoIterator<Item = OsString>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> bool {
    match arguments::read(arguments) {
        CommandLine::Run(flags) => {
            flags.command == Command::Run && !flags.print && flags.logs_json(variable)
        }
        CommandLine::Help | CommandLine::Version => false,
    }
}

/// A variable of the process's environment.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
