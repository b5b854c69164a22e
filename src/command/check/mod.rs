//! `check`: look whether everything is there that a drain needs, and say what to do where it is not.
//! Writes nothing but to standard output.

mod cloud;
mod cluster;
mod finding;
mod judge;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::command::check::finding::{Finding, Side, exit_status, json, sum};
use crate::command::{Failure, print};
use crate::kube::workers::STACK;
use crate::moment::Moment;
use crate::settings::{BadSettings, Output, Settings};

/// How long it may take, whatever hangs: each request has a shorter time of its own, but the system's
/// resolver of names has none.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Looks at everything, in an order in which what comes later needs what came before.
///
/// # Errors
/// The system gives no thread.
pub(super) fn check(settings: Settings) -> Result<ExitCode, Failure> {
    let clock = Clock::start();
    let report = Arc::new(Report::new(settings.by_hand.output));
    let reader = thread::current();
    let shared = Arc::clone(&report);
    let looking = thread::Builder::new().name("check".to_owned()).stack_size(STACK).spawn(
        move || {
            look(&settings, clock, &shared);
            reader.unpark();
        },
    )?;
    let end = Moment::START + TIMEOUT;
    while !looking.is_finished() && clock.now() < end {
        // A moment longer than needed where the thread says that it ends, and has not.
        thread::park_timeout(clock.now().until(end).min(GLANCE));
    }
    if !looking.is_finished() {
        let found = format!("the last check did not end within {TIMEOUT:?}; the rest is not looked at");
        report.add(Finding::failure("time", Side::Outside, found, SLOW));
    }
    Ok(report.end())
}

const GLANCE: Duration = Duration::from_millis(50);

const SLOW: &str = "see which line is the last before this one: what comes after it hangs (names are resolved \
    by the node's DNS)";

/// Nothing is looked at with bad settings but these.
pub(super) fn bad(bad: &BadSettings, output: Output) -> ExitCode {
    let report = Report::new(output);
    for problem in &bad.0 {
        let found = problem.to_string();
        report.add(Finding::failure("settings", Side::Setup, found, "correct it: see docs/settings.md"));
    }
    report.end()
}

fn look(settings: &Settings, clock: Clock, report: &Report) {
    report.add(judge::settings(settings));
    let instance = cloud::look(settings, clock, report);
    cluster::look(settings, &instance, clock, report);
}

/// Where findings are put.
struct Report {
    output: Output,
    /// `None`: it is over.
    findings: Mutex<Option<Vec<Finding>>>,
}

impl Report {
    fn new(output: Output) -> Self {
        Self { output, findings: Mutex::new(Some(Vec::new())) }
    }

    /// One more; for people it is printed at once.
    fn add(&self, finding: Finding) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(findings) = findings.as_mut() {
            if self.output == Output::Text {
                print(&finding.line());
            }
            findings.push(finding);
        }
    }

    /// Prints what is left to print.
    fn end(&self) -> ExitCode {
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner).take();
        let findings = findings.unwrap_or_default();
        print(&match self.output {
            Output::Text => sum(&findings),
            Output::Json => json(&findings),
        });
        exit_status(&findings)
    }
}
