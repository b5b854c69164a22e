//! What the command line asks for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::matrix::Selection;
use crate::scenarios::{self, Scenario};

/// Said to `--help`.
pub const HELP: &str = "\
cargo e2e [--handler PATH] [--deploy FOLDER] [--keep] [--complete] [--list] [SCENARIO…]
cargo e2e [--handler PATH] [--deploy FOLDER] [--keep] matrix|matrix-smoke
cargo e2e [--handler PATH] [--deploy FOLDER] [--keep] matrix WORDS…

Runs the scenarios, all of them by default, against a control plane on
loopback. Builds what is missing.

matrix instead runs the matrix of faults (docs/reliability.md): all of it, a
few of its cells, or those whose name has one of the WORDS in it.

  --handler PATH    the program under test, instead of building it
  --deploy FOLDER   what is applied with kubectl, instead of deploy/
  --peer PATH       a program that takes aws-node-termination-handler's
                    environment: goes through the cells of the matrix that
                    make sense for it, and what comes of it is printed
                    beside the handler's; needs root
  --keep            keep all logs, not only those of a run that failed
  --complete        fail where this machine lacks what a scenario needs
  --list            name the scenarios and end
";

/// See [`HELP`].
pub struct Options {
    /// The program under test; `None`: build it.
    pub handler: Option<PathBuf>,
    /// A peer, for the matrix.
    pub peer: Option<PathBuf>,
    /// The manifests.
    pub deploy: PathBuf,
    /// Keep the logs of a run that passed.
    pub keep: bool,
    /// What this machine cannot play has failed.
    pub complete: bool,
    /// What to do.
    pub task: Task,
}

/// What to do.
pub enum Task {
    /// Print [`HELP`].
    Help,
    /// Print the scenarios' names.
    List,
    /// Run these.
    Run(Vec<Scenario>),
    /// Run the matrix of faults.
    Matrix(Selection),
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// An argument is not known.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let mut options = Self {
            handler: None,
            peer: None,
            deploy: Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy"),
            keep: false,
            complete: false,
            task: Task::Run(Vec::new()),
        };
        let mut chosen = Vec::new();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut path = || arguments.next().map(PathBuf::from).context("a path is missing");
            match argument.to_str() {
                Some("--handler") => options.handler = Some(path()?),
                Some("--peer") => options.peer = Some(path()?),
                Some("--deploy") => options.deploy = path()?,
                Some("--keep") => options.keep = true,
                Some("--complete") => options.complete = true,
                Some("--list") => options.task = Task::List,
                Some("--help") => options.task = Task::Help,
                name => chosen.push(name.unwrap_or_default().to_owned()),
            }
        }
        if let (Task::Run(_), Some((first, words))) = (&options.task, chosen.split_first()) {
            match (first.as_str(), words) {
                ("matrix", []) => options.task = Task::Matrix(Selection::All),
                ("matrix", words) => options.task = Task::Matrix(Selection::Named(words.to_vec())),
                ("matrix-smoke", []) => options.task = Task::Matrix(Selection::Smoke),
                _ => {}
            }
        }
        if let Task::Run(run) = &mut options.task {
            *run = scenarios::all(&options.deploy)?;
            if !chosen.is_empty() {
                *run = chosen.iter().map(|name| scenario(run, name)).collect::<Result<_>>()?;
            }
        }
        Ok(options)
    }
}

fn scenario(all: &[Scenario], name: &str) -> Result<Scenario> {
    match all.iter().find(|scenario| scenario.name == name) {
        Some(scenario) => Ok(*scenario),
        None => bail!("no scenario {name:?}; --list names them"),
    }
}
