//! `run`: watch the metadata service, and drain when a notice comes.

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::handler::config::{Boot, Config};
use crate::handler::run::run as run_event_loop;
use crate::handler::threads::{Look, Threads};
use crate::handler::world::{News, World};
use crate::kube::server::Server;
use crate::kube::workers::Workers;
use crate::moment::{Reading, WallTime};
use crate::report::events::{Events, Identity};
use crate::report::fact::{Fact, Start};
use crate::report::known_instance::KnownInstance;
use crate::report::log::{Log, Style};
use crate::report::reporters::Reporters;
use crate::settings::{Settings, WhichNode};
use crate::source::{InstanceSource, Report, Source};

/// Runs until the process is told to end. `arguments`: those that it was started with.
///
/// # Errors
/// The system gives no thread or no socket to begin with.
pub(super) fn run(settings: Settings, arguments: Vec<OsString>) -> io::Result<()> {
    let clock = Clock::start();
    let source = Source {
        metadata_url: settings.metadata.url.clone(),
        notice_url: settings.metadata.notice_url.clone(),
        interval: settings.metadata.poll_interval,
        v1_fallback: settings.metadata.v1_fallback,
        watched: settings.watched,
        window: settings.window,
        lifecycle_window: settings.lifecycle_window,
    };
    let config = config(&settings, &source, clock.read());
    let start = Start {
        version: env!("CARGO_PKG_VERSION"),
        node: config.node.as_deref().map(str::to_owned),
        polled: source.addresses(),
        interruptions: config.paths.iter().any(|path| path.may_say_interruptions()),
        marks_only: config.policy.marks_only,
        dry: config.dry,
        given: settings.given.iter().map(ToString::to_string).collect(),
    };
    let api_server = settings.api_server.clone();
    let server = Server::new(api_server.address, api_server.token_file, api_server.ca_file);
    let server = Arc::new(server);
    let reporters = reporters(&settings, clock, &server, config.seed)?;
    let workers = Workers::new(Arc::clone(&server), clock, settings.workers);
    let own = config.rules.own.clone();
    let look = Look { arguments };
    let mut threads = Threads::new(clock, reporters, server, workers, own, look, config.seed)?;

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

/// Everybody who is to be told.
fn reporters(
    settings: &Settings,
    clock: Clock,
    server: &Arc<Server>,
    seed: u64,
) -> io::Result<Reporters> {
    let reporting = &settings.reporting;
    let style = if reporting.log.json {
        Style::Json
    } else {
        Style::Text { coloured: io::stderr().is_terminal() }
    };
    let log = Log::start(io::stderr(), style, reporting.log.least)?;
    let mut reporters = Reporters::new(log);
    let instance = Arc::new(KnownInstance::new(instance_source(settings), clock));
    if let Some(annotations) = reporting.events.clone().filter(|_| !settings.dry_run) {
        let identity = Identity { pod: settings.rules.own.name.clone(), annotations };
        let (server, tell) = (Arc::clone(server), reporters.teller(clock));
        let events = Events::start(server, clock, identity, Arc::clone(&instance), seed, tell)?;
        reporters = reporters.with_events(events);
    }
    Ok(reporters)
}

fn instance_source(settings: &Settings) -> InstanceSource {
    InstanceSource {
        metadata_url: settings.metadata.url.clone(),
        v1_fallback: settings.metadata.v1_fallback,
        zone_url: None,
        id_url: None,
        type_url: None,
    }
}

fn news(report: Report) -> News {
    match report {
        Report::Polled(polled) => News::Polled(polled),
        Report::WithoutToken { status } => News::WithoutToken { status },
    }
}

fn config(settings: &Settings, source: &Source, now: Reading) -> Config {
    Config {
        node: match &settings.node {
            WhichNode::Named(name) => Some(Arc::from(name.as_str())),
            WhichNode::OfOwnPod => None,
        },
        boot: boot(now.wall),
        paths: source.paths(),
        policy: settings.policy.clone(),
        marks: settings.marks,
        load_balancer_hold: settings.load_balancer_hold,
        rules: settings.rules.clone(),
        longest_grace: settings.longest_grace,
        budget_override: settings.budget_override,
        margin: settings.safety_margin,
        shutdown_grace: settings.shutdown_grace,
        dry: settings.dry_run,
        // Randomly keyed in every process: nodes that start together do not retry together.
        seed: RandomState::new().build_hasher().finish(),
    }
}

/// This boot of the machine (proc(5)). Where its id cannot be read, every boot counts as the same.
fn boot(now: WallTime) -> Boot {
    let id = read("/proc/sys/kernel/random/boot_id");
    let up = read("/proc/uptime").and_then(|text| {
        let (seconds, _) = text.split_once('.')?;
        seconds.parse().ok().map(Duration::from_secs)
    });
    Boot {
        id: id.map_or_else(|| "unknown".to_owned(), |id| id.trim().to_owned()),
        began: up.map(|up| now - up),
    }
}

#[expect(clippy::disallowed_methods, reason = "an edge: what the kernel tells of this boot")]
fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
