//! The commands. Each wires the same parts in another way.

mod by_hand;
mod check;

mod plan;
pub mod run;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::clock::Clock;
use crate::file;
use crate::http::error::Error;
use crate::kube::kubeconfig;
use crate::kube::server::Server;
use crate::kube::token::Claims;
use crate::report::log::json_line;
use crate::settings::{self, ApiServer, BadSettings, Command, Invocation, Settings, WhichNode};

/// Why the program ends.
#[derive(Debug)]
pub enum Failure {
    /// The settings are bad, and nothing was done.
    Settings(BadSettings),
    /// The kubeconfig cannot be used, and nothing was done.
    Kubeconfig {
        /// Which file.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// The node is not known, and nothing was done.
    NoNode,
    /// The API server could not be asked, in words.
    Unanswered(String),
    /// The system gave no thread or no socket to begin with, and nothing was done.
    System(io::Error),
}

/// The API server or the metadata service could not be reached (`EX_UNAVAILABLE` of sysexits.h).
const UNANSWERED: u8 = 69;

impl Failure {
    /// The exit status, as sysexits.h numbers them.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::NoNode => 64, // EX_USAGE
            Self::Kubeconfig { .. } => 78,          // EX_CONFIG
            Self::Unanswered(_) => UNANSWERED,
            Self::System(_) => 71, // EX_OSERR
        }
    }
}

impl Failure {
    /// As lines of the JSON log: each bad setting has its own.
    fn in_json(&self) -> String {
        let now = Clock::start().read().wall;
        let line = |fact: &str, words: &dyn fmt::Display| json_line(now, fact, &words);
        match self {
            Self::Settings(bad) => {
                let each: String =
                    bad.0.iter().map(|problem| line("bad_setting", problem)).collect();
                each + &line("not_started", &BadSettings::SUMMARY)
            }
            other => line("not_started", other),
        }
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Unanswered(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(bad) => bad.fmt(f),
            Self::Kubeconfig { file, why } => {
                write!(f, "the kubeconfig {} cannot be used: {why}", file.display())
            }
            Self::NoNode => f.write_str(
                "the node is not named, and neither does the token name one: name it after the command",
            ),
            Self::Unanswered(why) => f.write_str(why),
            Self::System(error) => write!(
                f,
                "the system does not give the threads and sockets to begin with, so nothing was \
                 started: {error}"
            ),
        }
    }
}

/// Runs the command of the arguments (without the program's name) and the environment. Errors are printed to
/// standard error, in the format of the log.
pub fn start(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let logs_json = settings::logs_json(arguments.iter().cloned(), &settings::environment);
    if logs_json {
        panic_in_json();
    }
    act(&arguments).unwrap_or_else(|failure| {
        let text =
            if logs_json { failure.in_json() } else { format!("k8s-spot-handler: {failure}\n") };
        complain(&text);
        ExitCode::from(failure.exit_status())
    })
}

/// # Errors
/// Nothing was done.
fn act(arguments: &[OsString]) -> Result<ExitCode, Failure> {
    let invocation = settings::read(arguments.iter().cloned(), &settings::environment);
    match invocation.map_err(Failure::Settings)? {
        Invocation::Help => print(&settings::help()),
        Invocation::Version => print(VERSION),
        Invocation::Print(overview) => {
            print(&overview.text);
            if let Some(bad) = overview.bad {
                return Err(Failure::Settings(bad));
            }
        }
        Invocation::CheckBad(bad, output) => return Ok(check::bad(&bad, output)),
        Invocation::Do(Command::Run, settings) => run::run(*settings)?,
        Invocation::Do(command @ (Command::Drain | Command::Restore), settings) => {
            return by_hand::act(command, &settings);
        }
        Invocation::Do(Command::Check, settings) => return check::check(settings),
        Invocation::Do(Command::Plan, settings) => return plan::plan(&settings),
    }
    Ok(ExitCode::SUCCESS)
}

/// The node of an operator's command: the one that is named, or that of the own pod.
///
/// # Errors
/// Neither the settings nor the token name it.
fn node(settings: &Settings, claims: &Claims) -> Result<String, Failure> {
    match &settings.node {
        WhichNode::Named(name) => Ok(name.clone()),
        WhichNode::OfOwnPod => claims.node.clone().ok_or(Failure::NoNode),
    }
}

/// The API server, as configured.
///
/// # Errors
/// The kubeconfig cannot be used.
fn api_server(settings: &Settings) -> Result<Server, Failure> {
    match settings.api_server.clone() {
        ApiServer::Named { url, token_file, ca_file, identity } => {
            let node = match &settings.node {
                WhichNode::Named(name) => Some(name.as_str()),
                WhichNode::OfOwnPod => None,
            };
            Ok(Server::new(url, token_file, ca_file).naming(identity, node))
        }
        ApiServer::Kubeconfig(file) => {
            let bad = |why: String| Failure::Kubeconfig { file: file.clone(), why };
            let content = file::read(&file, kubeconfig::LIMIT).map_err(|e| bad(e.to_string()))?;
            let folder = file.parent().unwrap_or(Path::new(""));
            kubeconfig::server(&content, folder).map_err(bad)
        }
    }
}

const VERSION: &str = concat!("k8s-spot-handler ", env!("CARGO_PKG_VERSION"), "\n");

/// To standard error, in one piece: the log may be writing there, too.
fn complain(text: &str) {
    // If it is not read, there is the exit status.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Prints a panic, which ends the program, as a line of the JSON log.
fn panic_in_json() {
    panic::set_hook(Box::new(|panic| {
        complain(&json_line(Clock::start().read().wall, "panicked", panic));
    }));
}

/// To standard output. A closed pipe (`| head`) is no error.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}
