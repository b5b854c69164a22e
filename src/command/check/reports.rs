//! Looks at the ways by which reports go: ports, and webhooks as far as one can without a message.

use std::time::Duration;

use crate::clock::Clock;
use crate::command::check::Report;
use crate::command::check::finding::{Finding, Outcome};
use crate::command::run::wanted_pages;
use crate::report::server::PageServer;
use crate::report::webhook::destination::Destination;
use crate::settings::Settings;

/// How long one webhook may take.
const PATIENCE: Duration = Duration::from_secs(3);

const FREE_PORT: &str = "set it to a port that is free, or see what has it: ss -ltnp on the node; the handler runs without";

const FILES: &str =
    "correct the file, or mount the Secret or ConfigMap that holds it; the handler runs without";

const WAY: &str = "see what is between: name resolution, network policy, WEBHOOK_PROXY, WEBHOOK_CA_FILE; a \
                   drain does not wait for it";

/// None of it is needed by a drain, so whatever is wrong is a warning.
pub(super) fn look(settings: &Settings, clock: Clock, report: &Report) {
    ports(settings, report);
    for webhook in &settings.reporting.webhooks {
        for finding in findings(webhook, clock) {
            report.add("webhook", &finding);
        }
    }
}

fn ports(settings: &Settings, report: &Report) {
    let listener = PageServer::bind(&wanted_pages(&settings.reporting));
    for (address, pages) in listener.addresses() {
        report.add("port", &Finding::ok(format!("{address} is free for {pages}")));
    }
    for missing in listener.missing() {
        report.add(
            "port",
            &if missing.is_of_this_program() {
                Finding::ok(format!("{} is served by this program", missing.address()))
            } else {
                Outcome::Warning.is(missing.to_string(), FREE_PORT)
            },
        );
    }
}

fn findings(webhook: &Destination, clock: Clock) -> Vec<Finding> {
    let name = &webhook.url;
    let faults = webhook.faults().into_iter();
    let mut findings: Vec<_> =
        faults.map(|why| Outcome::Warning.is(format!("{name}: {why}"), FILES)).collect();
    if webhook.may_be_reached() {
        findings.push(match webhook.reach(PATIENCE, clock) {
            Ok(how) => Finding::ok(format!("{name}: {how}; no message was sent")),
            Err(why) => Outcome::Warning.is(format!("{name}: {why}"), WAY),
        });
    }
    findings
}
