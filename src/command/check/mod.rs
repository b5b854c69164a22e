//! `check`: look whether everything is there that a drain needs, and say what to do where it is not.
//! Writes nothing but to standard output.

mod judge;
mod look;

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::command::check::judge::{Finding, Outcome};
use crate::command::{Failure, print};
use crate::http::pool::STACK;
use crate::settings::{BadSettings, Output, Settings};

/// How long it may take, whatever hangs.
const LIMIT: Duration = Duration::from_secs(15);

/// Looks at everything, in an order in which what comes later needs what came before.
///
/// # Errors
/// The system gives no thread.
pub(super) fn check(settings: Box<Settings>) -> Result<ExitCode, Failure> {
    let clock = Clock::start();
    let findings = Arc::new(Findings::new(settings.by_hand.output));
    let settings = Arc::new(*settings);
    for unusable in &settings.unusable {
        findings.add("settings", &Outcome::Warning.is(unusable.to_string(), CORRECT));
    }
    let (shared, of_drain) = (Arc::clone(&findings), Arc::clone(&settings));
    let look = move || {
        let settings = of_drain;
        shared.add("settings", &judge::settings(&settings));
        let instance = look::metadata_service(&settings, clock, &shared);
        look::api_server(&settings, &instance, clock, &shared);
    };
    if !done_within(LIMIT, clock, Box::new(look))? {
        findings.add("time", &Outcome::Outside.is(TOO_LONG.to_owned(), SLOW));
    }
    // Apart from what a drain needs: a webhook that hangs must not look like a drain that fails.
    let shared = Arc::clone(&findings);
    let look = move || look::reports(&settings, clock, &shared);
    if !done_within(REPORTS_LIMIT, clock, Box::new(look))? {
        findings.add("webhook", &Outcome::Warning.is(WEBHOOKS_TOO_LONG.to_owned(), SLOW));
    }
    Ok(findings.end())
}

/// How long webhooks may take besides.
const REPORTS_LIMIT: Duration = Duration::from_secs(10);

const WEBHOOKS_TOO_LONG: &str =
    "the next webhook was not reached within 10 s, nor looked at any other";

const CORRECT: &str = "correct it: --help names each setting";

const TOO_LONG: &str = "the next check did not end within 15 s, and the rest was not looked at";

const SLOW: &str = "see what comes after the line before this one: it hangs, as a rule over a name that is not resolved";

/// Does it in a thread of its own: each request has a time-out, but the system's resolver of names has none.
/// Whether it was done in time; if not, it goes on until the process ends.
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
        // It is woken a moment before the thread has ended.
        thread::park_timeout(clock.now().until(end).min(GLANCE));
    }
    Ok(thread.is_finished())
}

const GLANCE: Duration = Duration::from_millis(20);

/// Nothing is looked at with bad settings but these.
pub(super) fn bad(bad: &BadSettings, output: Output) -> ExitCode {
    let findings = Findings::new(output);
    for problem in &bad.0 {
        let found = problem.to_string();
        findings.add("settings", &Outcome::Setup.is(found, CORRECT));
    }
    findings.end()
}

/// Where findings are put.
struct Findings {
    output: Output,
    totals: Mutex<Totals>,
}

/// What was put there.
#[derive(Default)]
struct Totals {
    /// For programs.
    json: String,
    checks: usize,
    warnings: usize,
    failures: usize,
    worst: Option<Outcome>,
    is_over: bool,
}

impl Findings {
    fn new(output: Output) -> Self {
        Self { output, totals: Mutex::default() }
    }

    /// One more; for people it is printed at once. `check`: what was looked at.
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
        totals.warnings += usize::from(finding.outcome == Outcome::Warning);
        totals.failures += usize::from(finding.outcome > Outcome::Warning);
        totals.worst = totals.worst.max(Some(finding.outcome));
    }

    /// Prints what is left to print.
    fn end(&self) -> ExitCode {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.is_over = true;
        let Totals { json, checks, warnings, failures, .. } = &*totals;
        let worst = totals.worst.unwrap_or(Outcome::Ok);
        print(&match self.output {
            Output::Text => format!("{checks} checks: {failures} failed, {warnings} warned\n"),
            Output::Json => format!("{{\"checks\":[{json}],\"outcome\":\"{}\"}}\n", worst.word()),
        });
        ExitCode::from(worst.exit_status())
    }
}
