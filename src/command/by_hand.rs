//! `drain` and `restore`: what the handler does for a notice, at an operator's word.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::command::{Failure, api_server, node, print, run};
use crate::drain::limit::Limit;
use crate::handler::by_hand::{ByHand, Success};
use crate::handler::config::Config;
use crate::handler::run::{Goal, run as run_loop};
use crate::handler::threads::Threads;
use crate::handler::world::World;
use crate::kube::client::Client;
use crate::moment::Moment;
use crate::plan::Boot;
use crate::report::fact::Fact;
use crate::report::log::status_line::StatusLine;
use crate::report::log::{Log, Style};
use crate::report::reporters::Reporters;
use crate::settings::{Command, Settings};

/// How long `restore` tries.
const RESTORING: Duration = Duration::from_secs(30);

/// Does it. The exit status is success if all of it was done, failure if something is left.
///
/// # Errors
/// Nothing was done.
pub(super) fn act(command: Command, settings: &Settings) -> Result<ExitCode, Failure> {
    let clock = Clock::start();
    let server = Arc::new(api_server(settings)?);
    let name = node(settings, &server.claims().unwrap_or_default())?;
    let boot = Boot { id: String::new(), began: None };
    let mut config: Config = run::config(settings, Vec::new(), boot);
    // The machine goes on running.
    config.node_shutdown = Duration::ZERO;
    if !settings.by_hand.shortens_graces {
        config.longest_grace = None;
    }

    let json = settings.reporting.json;
    let watched = (io::stderr().is_terminal() && !json).then(StatusLine::default);
    let reporters = Reporters::new(log(settings, watched.clone())?, None);
    let own = config.rules.own.clone();
    let client = Client::new(server, clock);
    let mut threads = Threads::new(clock, reporters, client, own, config.seed)?;

    for remark in &settings.remarks {
        threads.tell(Fact::Remark(remark.clone()));
    }
    for unusable in &settings.unusable {
        threads.tell(Fact::SettingUnusable(unusable.to_string()));
    }
    if let Some(line) = &watched {
        threads.show_on(line.clone());
    }
    let now = clock.now();
    let asked = match command {
        Command::Restore => ByHand::restore(&config, now + RESTORING),
        _ => ByHand::drain(&config, limit(settings, now)),
    };
    config.node = Some(Arc::from(name.as_str()));
    let ended = run_loop(Goal::ByHand(Box::new(asked)), config, &mut threads);
    // The last lines of the log are written above it.
    threads.finish();
    if let Some(line) = &watched {
        line.show("");
    }
    if let Some(verdict) = &ended.verdict {
        print(&format!("{verdict}\n"));
    }
    Ok(match ended.success {
        Success::Whole { changed } => {
            if command == Command::Restore && !changed {
                print(&format!("nothing of this program is left on {name}\n"));
            }
            ExitCode::SUCCESS
        }
        Success::Partial => ExitCode::FAILURE,
        Success::None(why) => return Err(Failure::Unanswered(why)),
    })
}

/// By hand no pod has to go: each keeps its grace and its budget, unless a flag says that the
/// instance goes at the deadline.
fn limit(settings: &Settings, now: Moment) -> Limit {
    let end = now + settings.by_hand.deadline;
    if settings.by_hand.overrides_budgets { Limit::Deadline(end) } else { Limit::Timeout(end) }
}

fn log(settings: &Settings, watched: Option<StatusLine>) -> io::Result<Log> {
    let log = &settings.reporting;
    match watched {
        _ if log.json => Log::start(io::stderr(), Style::Json, log.least),
        Some(line) => Log::start(line, Style::Text { coloured: true }, log.least),
        None => Log::start(io::stderr(), Style::Text { coloured: false }, log.least),
    }
}
