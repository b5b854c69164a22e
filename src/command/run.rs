//! `run`: watch the metadata service, and drain when a notice comes.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::clock::Clock;
use crate::handler::config::Config;
use crate::handler::run::run as run_event_loop;
use crate::handler::threads::Threads;
use crate::handler::world::{News, World};
use crate::kube::server::Server;
use crate::kube::workers::Workers;
use crate::report::fact::{Fact, Start};
use crate::report::log::Log;
use crate::settings::{Settings, WhichNode};
use crate::source::{Report, Source};

/// Runs until the process is told to end.
///
/// # Errors
/// The system gives no thread or no socket to begin with.
pub(super) fn run(settings: Settings) -> io::Result<()> {
    let clock = Clock::start();
    let log = Log::start(io::stderr())?;
    let source = Source {
        metadata_url: settings.metadata.url.clone(),
        notice_url: settings.metadata.notice_url.clone(),
        interval: settings.metadata.poll_interval,
        v1_fallback: settings.metadata.v1_fallback,
        window: settings.window,
    };
    let config = config(&settings);
    let start = Start {
        version: env!("CARGO_PKG_VERSION"),
        node: config.node.as_deref().map(str::to_owned),
        polled: source.addresses(),
        interval: source.interval,
        dry: config.dry,
        given: settings.given.iter().map(ToString::to_string).collect(),
    };
    let api_server = settings.api_server;
    let server = Server::new(api_server.address, api_server.token_file, api_server.ca_file);
    let server = Arc::new(server);
    let workers = Workers::new(Arc::clone(&server), clock, settings.workers);
    let own = config.rules.own.clone();
    let mut threads = Threads::new(clock, log, server, workers, own, config.seed)?;

    threads.tell(Fact::Started(Box::new(start)));
    for remark in settings.remarks {
        threads.tell(Fact::Remark(remark));
    }
    for poller in source.pollers() {
        let sender = threads.news_sender();
        poller.start(clock, move |report| {
            sender.send(news(report));
            ControlFlow::Continue(())
        })?;
    }
    run_event_loop(config, &mut threads);
    threads.finish();
    Ok(())
}

fn news(report: Report) -> News {
    match report {
        Report::Polled(polled) => News::Polled(polled),
        Report::WithoutToken { status } => News::WithoutToken { status },
    }
}

fn config(settings: &Settings) -> Config {
    Config {
        node: match &settings.node {
            WhichNode::Named(name) => Some(Arc::from(name.as_str())),
            WhichNode::OfOwnPod => None,
        },
        boot_id: boot_id(),
        rules: settings.rules.clone(),
        longest_grace: settings.longest_grace,
        budget_override: settings.budget_override,
        margin: settings.safety_margin,
        shutdown_grace: settings.shutdown_grace,
        dry: settings.dry_run,
        verbose: settings.verbose,
        // Randomly keyed in every process: nodes that start together do not retry together.
        seed: RandomState::new().build_hasher().finish(),
    }
}

/// Differs from boot to boot (proc(5)). Where it cannot be read, every boot counts as the same.
#[expect(
    clippy::disallowed_methods,
    reason = "an edge: the one file that is read beside token and roots"
)]
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}
