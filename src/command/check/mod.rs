//! `check`: look whether everything is there that a drain needs, and say what to do where it is not.
//! Writes nothing but to standard output.

mod cloud;
mod cluster;
mod finding;
mod judge;
mod limited;
mod reports;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::command::check::finding::{Finding, Outcome};
use crate::command::check::limited::done_within;
use crate::command::{Failure, print};
use crate::settings::{BadSettings, Output, Settings};

/// How long it may take, whatever hangs.
const LIMIT: Duration = Duration::from_secs(15);

/// Looks at everything, in an order in which what comes later needs what came before.
///
/// # Errors
/// The system gives no thread.
pub(super) fn check(settings: Box<Settings>) -> Result<ExitCode, Failure> {
    let clock = Clock::start();
    let report = Arc::new(Report::new(settings.by_hand.output));
    let settings = Arc::new(*settings);
    for unusable in &settings.unusable {
        report.add("settings", &Outcome::Warning.is(unusable.to_string(), CORRECT));
    }
    let (shared, of_drain) = (Arc::clone(&report), Arc::clone(&settings));
    let look = move || {
        let settings = of_drain;
        shared.add("settings", &judge::settings(&settings));
        let instance = cloud::look(&settings, clock, &shared);
        cluster::look(&settings, &instance, clock, &shared);
    };
    if !done_within(LIMIT, clock, Box::new(look))? {
        report.add("time", &Outcome::Outside.is(TOO_LONG.to_owned(), SLOW));
    }
    // Apart from what a drain needs: a webhook that hangs must not look like a drain that fails.
    let shared = Arc::clone(&report);
    let look = move || reports::look(&settings, clock, &shared);
    if !done_within(REPORTS_LIMIT, clock, Box::new(look))? {
        report.add("webhook", &Outcome::Warning.is(WEBHOOKS_TOO_LONG.to_owned(), SLOW));
    }
    Ok(report.end())
}

/// How long webhooks may take besides.
const REPORTS_LIMIT: Duration = Duration::from_secs(10);

const WEBHOOKS_TOO_LONG: &str =
    "the next webhook was not reached within 10 s, nor looked at any other";

const CORRECT: &str = "correct it: --help names each setting";

const TOO_LONG: &str = "the next check did not end within 15 s, and the rest was not looked at";

const SLOW: &str = "see what comes after the line before this one: it hangs, as a rule over a name that is not resolved";

/// Nothing is looked at with bad settings but these.
pub(super) fn bad(bad: &BadSettings, output: Output) -> ExitCode {
    let report = Report::new(output);
    for problem in &bad.0 {
        let found = problem.to_string();
        report.add("settings", &Outcome::Setup.is(found, CORRECT));
    }
    report.end()
}

/// Where findings are put.
struct Report {
    output: Output,
    state: Mutex<State>,
}

/// What was put there.
#[derive(Default)]
struct State {
    /// For programs.
    json: String,
    checks: usize,
    warnings: usize,
    failures: usize,
    worst: Option<Outcome>,
    is_over: bool,
}

impl Report {
    fn new(output: Output) -> Self {
        Self { output, state: Mutex::default() }
    }

    /// One more; for people it is printed at once. `check`: what was looked at.
    fn add(&self, check: &str, finding: &Finding) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_over {
            return;
        }
        if self.output == Output::Text {
            print(&finding.line(check));
        } else {
            if state.checks > 0 {
                state.json.push(',');
            }
            state.json += &finding.json(check);
        }
        state.checks += 1;
        state.warnings += usize::from(finding.outcome == Outcome::Warning);
        state.failures += usize::from(finding.outcome > Outcome::Warning);
        state.worst = state.worst.max(Some(finding.outcome));
    }

    /// Prints what is left to print.
    fn end(&self) -> ExitCode {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_over = true;
        let State { json, checks, warnings, failures, .. } = &*state;
        let worst = state.worst.unwrap_or(Outcome::Ok);
        print(&match self.output {
            Output::Text => format!("{checks} checks: {failures} failed, {warnings} warned\n"),
            Output::Json => format!("{{\"checks\":[{json}],\"outcome\":\"{}\"}}\n", worst.word()),
        });
        ExitCode::from(worst.exit_status())
    }
}
