//! What the operator wants: flags, environment and defaults, parsed into values that cannot be
//! wrong before anything else happens.

mod arguments;
mod compare;
mod help;
mod list;
mod overview;
mod predecessors;
mod problem;
mod reporting;
mod settle;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod webhooks;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::drain::ask::Grace;
use crate::drain::pod::Rules;
use crate::intent::Policy;
use crate::kube::identity::Choice;
use crate::kube::server::ServerUrl;
use crate::node::MarkPolicy;
use crate::settings::arguments::Asked;
use crate::settings::overview::overview;
use crate::settings::settle::settle;
use crate::source::url::{MetadataUrl, NoticeUrl};

pub use crate::settings::help::help;
pub use crate::settings::list::BadItem;
pub use crate::settings::overview::Overview;
pub use crate::settings::problem::{BadSettings, Problem, Unusable};
pub use crate::settings::reporting::{Annotations, FactUrls, LogStyle, Probes, Reporting};
pub use crate::source::Watched;

/// What the program is asked to do.
#[derive(Debug)]
pub enum Wanted {
    /// Print [`help`].
    Help,
    /// Print name and version.
    Version,
    /// Print what is in force.
    Print(Overview),
    /// Do this with these settings.
    Do(Command, Box<Settings>),
    /// Say what is wrong with the settings as the findings of a check, in this form.
    CheckBad(BadSettings, Output),
}

/// What is done with the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Command {
    /// Watch the metadata service, and drain when a notice comes.
    #[default]
    Run,
    /// Look whether everything is there that a drain needs.
    Check,
    /// Tell what a drain would do now, and do nothing.
    Plan,
    /// Drain a node, by hand.
    Drain,
    /// Take back what was done to a node.
    Restore,
}

impl Command {
    /// All of them, by the word that stands first among the arguments.
    pub const ALL: [(&'static str, Self); 5] = [
        ("run", Self::Run),
        ("check", Self::Check),
        ("plan", Self::Plan),
        ("drain", Self::Drain),
        ("restore", Self::Restore),
    ];

    /// Whether a node may be named after it.
    pub fn takes_node(self) -> bool {
        match self {
            Self::Check | Self::Plan | Self::Drain | Self::Restore => true,
            Self::Run => false,
        }
    }
}

/// Everything that is in force.
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
    /// From the label that takes the node out of load balancers to the first eviction. Taken from
    /// the drain's time; it moves no deadline.
    pub load_balancer_hold: Duration,
    /// From when the Auto Scaling group's `Terminated` is first seen to the drain's deadline; at
    /// least 1 s.
    pub lifecycle_window: Duration,
    /// Where requests go.
    pub api_server: ApiServer,
    /// Write nothing: ask for evictions with `dryRun`.
    pub dry_run: bool,
    /// Which pods go.
    pub rules: Rules,
    /// The longest grace any pod gets; `None`: each pod's own.
    pub longest_grace: Option<Grace>,
    /// What becomes of pods that their budgets do not let go.
    pub budget_override: BudgetOverride,
    /// How long before the deadline the last pod is to have ended; shorter than `window`.
    pub safety_margin: Duration,
    /// The time a drain has after a notice that states no usable time; at least 1 s.
    pub window: Duration,
    /// From SIGTERM to SIGKILL, until that of the own pod was read; at least 1 s.
    pub shutdown_grace: Duration,
    /// Who is told.
    pub reporting: Reporting,
    /// What an operator's commands are told.
    pub by_hand: ByHand,
    /// What was given by flag or environment, for the log at start.
    pub given: Vec<Given>,
    /// What is worth a word at start.
    pub remarks: Vec<Remark>,
    /// What of the settings is not valid, and is done without.
    pub unusable: Vec<Unusable>,
}

/// The node to drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhichNode {
    /// The one with this name.
    Named(String),
    /// The one that this process's own pod runs on: [`Rules::own`].
    OfOwnPod,
}

/// Where notices come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The metadata service.
    pub url: MetadataUrl,
    /// Another address where notices may stand.
    pub notice_url: Option<NoticeUrl>,
    /// From one poll to the next; at least 1 s.
    pub poll_interval: Duration,
    /// Whether it may be asked without a token where it offers no IMDSv2.
    pub v1_fallback: bool,
}

/// Where the API server is, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiServer {
    /// As a pod is told it.
    Named {
        /// Host and port; the port is not 0.
        url: ServerUrl,
        /// The ServiceAccount token.
        token_file: PathBuf,
        /// The roots, in PEM, that the server's certificate must go back to.
        ca_file: PathBuf,
        /// In whose name requests are made.
        identity: Choice,
    },
    /// As this kubeconfig has it, in whoever's name its credentials are.
    Kubeconfig(PathBuf),
}

/// What an operator's commands are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    /// How long a drain has, or is thought to have; at least 1 s.
    pub deadline: Duration,
    /// Pods that their budgets do not let go are deleted at the deadline: somebody asked for that.
    pub overrides_budgets: bool,
    /// The longest grace counts: somebody asked for that.
    pub shortens_graces: bool,
    /// How it is printed what was found.
    pub output: Output,
}

/// How it is printed what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Text,
    /// For programs: one JSON object.
    Json,
}

/// A setting that was given, and by what: `POLL_INTERVAL=5s`, `--dry-run=true`.
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

/// Something about the settings that the operator should know, in one sentence. Nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark(String);

impl Remark {
    /// A remark in these words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the arguments (without the program's name), then what `variable` finds, then the defaults.
///
/// # Errors
/// All that is wrong, together. Where only [`Wanted::Print`] is asked for, it is in there.
pub fn read(
    arguments: impl IntoIterator<Item = OsString>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Wanted, BadSettings> {
    match arguments::read(arguments) {
        Asked::Help => Ok(Wanted::Help),
        Asked::Version => Ok(Wanted::Version),
        Asked::Run(flags) if flags.print => Ok(Wanted::Print(overview(flags, variable))),
        Asked::Run(flags) => {
            let command = flags.command;
            let output = flags.output(variable);
            match settle(flags, variable) {
                Ok(settings) => Ok(Wanted::Do(command, Box::new(settings))),
                Err(bad) if command == Command::Check => Ok(Wanted::CheckBad(bad, output)),
                Err(bad) => Err(bad),
            }
        }
    }
}

/// Whether these arguments and variables ask for the handler itself with a log of JSON, whatever else
/// is wrong with them. What a person asks for by hand is answered in words.
pub fn logs_json(
    arguments: impl IntoIterator<Item = OsString>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> bool {
    match arguments::read(arguments) {
        Asked::Run(flags) => {
            flags.command == Command::Run && !flags.print && flags.logs_json(variable)
        }
        Asked::Help | Asked::Version => false,
    }
}

/// The process's environment: one variable of it.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
