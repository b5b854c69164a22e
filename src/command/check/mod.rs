//! `check`: check that everything a drain needs is there, and print what to do if not.
//! Writes nothing but to standard output.

mod judge;
mod look;

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::command::check::judge::{CheckOutcome, Finding};
use crate::command::{Failure, print};
use crate::http::pool::STACK;
use crate::settings::{BadSettings, Output, Settings};

/// The time limit, whatever hangs.
const LIMIT: Duration = Duration::from_secs(15);

/// Runs all checks, each after those that it depends on.
///
/// # Errors
/// The system gives no thread.
pub(super) fn check(settings: Box<Settings>) -> Result<ExitCode, Failure> {
    let clock = Clock::start();
    let findings = Arc::new(Findings::new(settings.by_hand.output));
    let settings = Arc::new(*settings);
    for unusable in &settings.unusable {
        findings.add("settings", &CheckOutcome::Warning.is(unusable.to_string(), CORRECT));
    }
    let (shared, of_drain) = (Arc::clone(&findings), Arc::clone(&settings));
    let look = move || {
        let settings = of_drain;
        shared.add("settings", &judge::settings(&settings));
        let instance = look::metadata_service(&settings, clock, &shared);
        look::api_server(&settings, &instance, clock, &shared);
    };
    if !done_within(LIMIT, clock, Box::new(look))? {
        findings.add("time", &CheckOutcome::Outside.is(TOO_LONG.to_owned(), SLOW));
    }
    // Apart from the rest: a webhook that hangs must not look like a drain that fails.
    let shared = Arc::clone(&findings);
    let look = move || look::reports(&settings, clock, &shared);
    if !done_within(REPORTS_LIMIT, clock, Box::new(look))? {
        findings.add("webhook", &CheckOutcome::Warning.is(WEBHOOKS_TOO_LONG.to_owned(), SLOW));
    }
    Ok(findings.end())
}

/// The time limit of ports and webhooks.
const REPORTS_LIMIT: Duration = Duration::from_secs(10);

const WEBHOOKS_TOO_LONG: &str =
    "the next webhook was not reached within 10 s, nor looked at any other";

const CORRECT: &str = "correct it: --help names each setting";

const TOO_LONG: &str = "the next check did not end within 15 s, and the rest was not looked at";

const SLOW: &str = "see what comes after the line before this one: it hangs, as a rule over a name that is not resolved";

/// Runs it in a thread of its own: each request has a time-out, but the system's resolver has none. Whether it
/// ended in time; if not, it goes on until the process ends.
///
/// # Errors
/// The system gives no thread.
fn done_within(limit: Duration, clock: Clock, work: Box<dyn FnOnce() + Send>) -> io::Result<bool> {
    let waiting = thread::current();
    let work = move || {
        work();
        waiting.unpark();
    };
    let end = clock.now() + limit;
    let thread = thread::Builder::new().stack_size(STACK).spawn(work)?;
    while !thread.is_finished() && clock.now() < end {
        // `unpark` comes a moment before the thread has ended.
        thread::park_timeout(clock.now().until(end).min(GLANCE));
    }
    Ok(thread.is_finished())
}

const GLANCE: Duration = Duration::from_millis(20);

/// With settings that are not valid, they are the only findings.
pub(super) fn bad(bad: &BadSettings, output: Output) -> ExitCode {
    let findings = Findings::new(output);
    for problem in &bad.0 {
        let found = problem.clone();
        findings.add("settings", &CheckOutcome::Setup.is(found, CORRECT));
    }
    findings.end()
}

/// Prints findings, and counts them.
struct Findings {
    output: Output,
    totals: Mutex<Totals>,
}

/// The findings so far.
#[derive(Default)]
struct Totals {
    /// The JSON objects.
    json: String,
    checks: usize,
    warnings: usize,
    failures: usize,
    worst: Option<CheckOutcome>,
    is_over: bool,
}

impl Findings {
    fn new(output: Output) -> Self {
        Self { output, totals: Mutex::default() }
    }

    /// Adds one; as text it is printed immediately. `check`: what was checked.
    fn add(&self, check: &str, finding: &Finding) {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        if totals.is_over {
            return;
        }
        if self.output == Output::Text {
            print(&finding.line(check));
        } else {
            if totals.checks > 0 {
                totals.json.push(',');
            }
            totals.json += &finding.json(check);
        }
        totals.checks += 1;
        totals.warnings += usize::from(finding.outcome == CheckOutcome::Warning);
        totals.failures += usize::from(finding.outcome > CheckOutcome::Warning);
        totals.worst = totals.worst.max(Some(finding.outcome));
    }

    /// Prints the JSON, or the totals.
    fn end(&self) -> ExitCode {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.is_over = true;
        let Totals { json, checks, warnings, failures, .. } = &*totals;
        let worst = totals.worst.unwrap_or(CheckOutcome::Ok);
        print(&match self.output {
            Output::Text => format!("{checks} checks: {failures} failed, {warnings} warned\n"),
            Output::Json => format!("{{\"checks\":[{json}],\"outcome\":\"{}\"}}\n", worst.word()),
        });
        ExitCode::from(worst.exit_status())
    }
}
